"""What an error tells."""

import copy
import inspect
import pickle

import pytest

from spapi_async import errors
from spapi_async.errors import (
    AuthError,
    CallError,
    ConnectError,
    NotFoundError,
    OutcomeUnknownError,
    Problem,
    QueueFullError,
    ServerError,
    SpapiError,
    StatusError,
)

NOT_FOUND = NotFoundError(
    operation="orders_v0.get_order",
    status=404,
    errors=[Problem("NotFound", "No such order", "")],
    headers={"x-amzn-requestid": "R1"},
    attempt=2,
    is_retry_safe=False,
)


def test_the_message_reads_well_in_a_log() -> None:
    """A line holds operation, status, Amazon's code and words, request id, attempt, and whether a repeat is safe."""
    assert str(NOT_FOUND) == (
        "orders_v0.get_order: 404 NotFound “No such order” (request id R1, attempt 2, safe to repeat: no)"
    )


def test_further_errors_are_counted() -> None:
    """Amazon may send several errors; the line shows the first and how many more there are."""
    problems = [Problem("InvalidInput", "One", ""), Problem("InvalidInput", "Two", "")]
    error = StatusError(operation="x", status=400, errors=problems)
    assert "“One” (and 1 more)" in str(error)


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BadRequestError"),
        (401, "UnauthorizedError"),
        (403, "ForbiddenError"),
        (404, "NotFoundError"),
        (409, "ConflictError"),
        (413, "StatusError"),
        (422, "StatusError"),
        (429, "QuotaExceededError"),
        (500, "ServerError"),
        (503, "ServerError"),
        (302, "StatusError"),
    ],
)
def test_the_class_of_a_status(status: int, name: str) -> None:
    """A status that callers treat differently has a class of its own."""
    assert StatusError.of(status).__name__ == name


def test_only_a_429_is_throttled() -> None:
    """`is_throttled` tells a used-up plan from everything else."""
    assert StatusError.of(429)(operation="x", status=429).is_throttled
    assert not NOT_FOUND.is_throttled


def test_never_connected_is_safe_to_repeat() -> None:
    """A request that had not begun to leave is always safe to repeat; one that had is not known to be."""
    assert ConnectError("refused", operation="x", had_begun=False).is_retry_safe is True
    assert ConnectError("refused", operation="x", had_begun=True).is_retry_safe is None


def test_bodies_do_not_show() -> None:
    """Neither str nor repr of an error holds the reply's body: it may hold a buyer's data."""
    error = ServerError(operation="x", status=500, body=b"buyer@example.com")
    assert "buyer" not in f"{error} {error!r}"


# One of each class, with texts as the library makes them.
ONE_OF_EACH: list[SpapiError] = [
    errors.ConfigError("refresh_token is missing: give it as an argument or set SPAPI_REFRESH_TOKEN"),
    errors.ArgumentError("x_v0.get", ["body is missing"]),
    AuthError("refused", code="AccessDenied", is_permanent=True, operation="x_v0.get", missing="AWS keys"),
    AuthError("revoked", code="invalid_grant", is_permanent=True, status=400, request_id="R1", operation="x_v0.get"),
    errors.ConsentError("too many consents came back"),
    errors.WrongStateError("the state is none of ours"),
    errors.ExpiredStateError("the state is older than 600 s"),
    errors.ReplayedStateError("the state was used before"),
    errors.AlteredCallbackError("the parameter state is missing"),
    errors.ConsentRefusedError("access_denied", "The seller said no."),
    errors.CodeRefusedError("the code belongs to another application"),
    errors.LeaseLostError("line 7: somebody else moved the row first"),
    errors.JobStoppedError({"A1": errors.AuthError("refused", code="invalid_grant", is_permanent=True)}, waiting=7),
    errors.LateCodeError("the code is older than 300 s"),
    errors.JobError("job.db is in use by process 12; wait until that has ended"),
    errors.ThrottleTimeoutError(
        "its turn would come after its deadline", operation="x_v0.get", predicted_wait=1234.567
    ),
    QueueFullError("7 calls wait", operation="x_v0.get", predicted_wait=3.0, plan="1/s", queue_length=7),
    errors.ClientClosedError("the client is closed", operation="x_v0.get"),
    ConnectError("no connection to h: Connection refused", operation="x_v0.get", had_begun=False),
    errors.ConnectTimeoutError("no connection to h: timed out", operation="x_v0.get", had_begun=False),
    errors.ReadTimeoutError("no whole reply from h", operation="x_v0.get", had_begun=True, is_retry_safe=True),
    errors.ConnectionLostError("no whole reply from h", operation="x_v0.get", had_begun=True, is_retry_safe=True),
    OutcomeUnknownError("it may have been done or not: 503", operation="x_v0.get", request_id="R1"),
    *[
        StatusError.of(status)(
            operation="x_v0.get",
            status=status,
            errors=[Problem("Code", "Words.", "Details")],
            headers={"x-amzn-requestid": "R1"},
            is_retry_safe=status in {429, 500},
        )
        for status in (400, 401, 403, 404, 409, 413, 429, 500)
    ],
    errors.TransferError(status=403, code="AccessDenied", operation="x_v0.get", is_retry_safe=False),
    errors.DecodeError("its body is no JSON", operation="x_v0.get", body=b"{", request_id="R1", is_retry_safe=True),
]


def test_many_that_stopped_alike_are_told_once() -> None:
    """Of a thousand selling partners that meet the same, the error has a few names and the words of one."""
    alike = {
        f"A{n}": errors.AuthError("refused", code="invalid_grant", is_permanent=True, request_id=f"r-{n}")
        for n in range(1000)
    }
    error = errors.JobStoppedError({**alike, "B1": errors.ConfigError("no token")}, waiting=1)
    assert str(error) == (
        "1000 selling partners (A0, A1, A2, …): invalid_grant: refused (request id r-0, safe to repeat: no); "
        "B1: no token; 1 row waits in the journal"
    )
    assert len(error.stopped) == 1001
    assert str(errors.JobStoppedError({"B1": ValueError("no")}, waiting=2, dry_run=True)) == "B1: no; 2 rows wait"


def test_there_is_one_of_each() -> None:
    """What holds for all errors is tried on each class that is raised."""
    classes = {value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, SpapiError)}
    abstract = {"SpapiError", "CallError", "_NotSentError", "TransportError"}
    assert {type(error).__name__ for error in ONE_OF_EACH} == {class_.__name__ for class_ in classes} - abstract


@pytest.mark.parametrize("error", ONE_OF_EACH, ids=lambda error: type(error).__name__)
def test_every_error_says_what_to_do_next(error: SpapiError) -> None:
    """Its line names the operation, the request id and whether a repeat is safe, and its repr says the same."""
    assert error.is_retry_safe is not None or isinstance(error, errors.JobError)
    assert str(error) in repr(error)
    assert repr(error).startswith(type(error).__name__ + "(")
    if isinstance(error, CallError | AuthError):
        safe = "yes" if error.is_retry_safe else "no"
        assert str(error).startswith("x_v0.get: ")
        assert f"safe to repeat: {safe}" in str(error)
        assert (f"request id {error.request_id}" in str(error)) is (error.request_id is not None)


@pytest.mark.parametrize("error", ONE_OF_EACH, ids=lambda error: type(error).__name__)
def test_errors_cross_processes(error: SpapiError) -> None:
    """Task queues and process pools hand errors on with all their facts; so do copies."""
    for same in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error), copy.copy(error)):
        assert (type(same), str(same), repr(same)) == (type(error), str(error), repr(error))
        assert repr(vars(same)) == repr(vars(error))  # errors in it are equal by their words only


def test_the_cause_crosses_processes() -> None:
    """What left an outcome open goes along; an error of a library, which may hold a connection, does not."""
    lost = errors.ConnectionLostError("no whole reply", operation="x", had_begun=True)
    lost.__cause__ = OSError("socket 5")
    error = OutcomeUnknownError("it may have been done or not: no whole reply", operation="x")
    error.__cause__ = lost
    same = pickle.loads(pickle.dumps(error))
    assert isinstance(same.__cause__, errors.ConnectionLostError)
    assert (str(same.__cause__), same.__cause__.__cause__) == (str(lost), None)


HOSTILE = "a\r\nWARNING forged\x1b[31m\u2028b\u202ec\ud800d\x00" + "e" * 100_000


@pytest.mark.parametrize(
    "error",
    [
        AuthError(HOSTILE, code=HOSTILE, request_id=HOSTILE, operation="x"),
        CallError(HOSTILE, operation="x", request_id=HOSTILE),
        errors.ArgumentError("x", [HOSTILE] * 100),
        StatusError(
            operation="x",
            status=400,
            errors=[Problem(HOSTILE, HOSTILE, HOSTILE + "f")] * 100,
            headers={"x-amzn-requestid": HOSTILE},
        ),
        StatusError(
            operation="x",
            status=403,
            errors=[Problem(HOSTILE, "Access to requested resource is denied.", HOSTILE)],
            roles=["Direct to Consumer Shipping (Restricted)"] * 12,
        ),
    ],
    ids=["AuthError", "CallError", "ArgumentError", "StatusError", "roles"],
)
def test_texts_of_others_are_tamed(error: SpapiError) -> None:
    """Whatever a reply says, the line stays one line, can be written, hides nothing, and does not fill the log."""
    for text in (str(error), repr(error)):
        assert text.isprintable()
        text.encode()
    assert len(str(error)) < 4000
    if isinstance(error, StatusError):
        assert HOSTILE in (error.code, error.errors[0].details)  # the facts are as they came
        assert str(error).endswith("safe to repeat: unknown)")


def test_the_first_attempt_is_not_worth_a_word() -> None:
    """The attempt is named from the second on: before it says nothing, and for a 2xx reply nobody counted."""
    assert str(CallError("it failed", operation="x")) == "x: it failed (safe to repeat: unknown)"


@pytest.mark.parametrize(("seconds", "words"), [(0.5, "0.5 s"), (7, "7 s"), (3600, "3600 s"), (1234.567, "1234.57 s")])
def test_waits_can_be_read(seconds: float, words: str) -> None:
    """A long wait is no power of ten."""
    assert str(CallError("no", operation="x", retry_after=seconds)).endswith(f", retry after {words})")


def test_many_wrong_arguments() -> None:
    """The line names the first ten, `problems` has all."""
    error = errors.ArgumentError("x", [f"a{number} is required" for number in range(12)])
    assert str(error).endswith("a9 is required; and 2 more")
    assert len(error.problems) == 12


# -- Amazon's words


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (Problem("InvalidInput", "It is wrong.", "Too late"), "400 InvalidInput “It is wrong. Too late”"),
        (Problem("InvalidInput", "It is wrong", "Too late"), "400 InvalidInput “It is wrong: Too late”"),
        (Problem("InvalidInput", "It is wrong", "It is wrong"), "400 InvalidInput “It is wrong”"),
        (Problem("InvalidInput", "", "Too late"), "400 InvalidInput “Too late”"),
        (Problem("InvalidInput", "", ""), "400 InvalidInput"),
        (Problem("", "Forbidden", ""), "400 “Forbidden”"),
    ],
)
def test_details_are_shown(problem: Problem, words: str) -> None:
    """Often only the details tell what is wrong, as which date or which token."""
    assert StatusError(operation="x", status=400, errors=[problem]).message == words


def test_a_reply_without_a_readable_error() -> None:
    """A gateway's page, or nothing: the line says so, and shows nothing of it."""
    assert str(StatusError(operation="x", status=502)) == "x: 502 without a readable error (safe to repeat: unknown)"


def test_a_2xx_that_holds_errors() -> None:
    """Some older operations fail with a 2xx status; the line must not look like a mistake."""
    error = StatusError(operation="x", status=200, errors=[Problem("InvalidInput", "Bad", "")], is_retry_safe=True)
    assert str(error) == "x: 200 with errors in place of a result: InvalidInput “Bad” (safe to repeat: yes)"


# -- access denied

DENIED = "Access to requested resource is denied."


def forbidden(problem: Problem, roles: tuple[str, ...] = ("Buyer Communication",)) -> StatusError:
    return StatusError.of(403)(operation="x", status=403, errors=[problem], roles=roles, is_retry_safe=False)


def test_a_missing_role_is_named() -> None:
    """Amazon says only that access is denied; the error says for want of what that may be."""
    error = forbidden(Problem("Unauthorized", DENIED, ""))
    assert error.is_access_denied
    assert error.roles == ("Buyer Communication",)
    assert str(error) == (
        "x: 403 Unauthorized “Access to requested resource is denied.”; the application needs the role Buyer "
        "Communication, and a consent of the selling partner newer than the role; if it has both, check the region "
        "(safe to repeat: no)"
    )


def test_one_of_several_roles() -> None:
    """Where several roles let an application in, any of them does."""
    assert "needs one of the roles A, B, and" in str(forbidden(Problem("Unauthorized", DENIED, ""), ("A", "B")))


def test_a_role_that_is_not_known() -> None:
    """Without a source for the roles the error says what to look for, and names none."""
    error = forbidden(Problem("Unauthorized", DENIED, ""), ())
    assert error.roles == ()
    assert "needs the role for this operation, and" in str(error)


@pytest.mark.parametrize(
    "problem",
    [
        Problem("Unauthorized", DENIED, "The access token you provided has expired."),
        Problem("Unauthorized", DENIED, "The client secret has expired."),
        Problem("Unauthorized", "Invalid amazonOrderId and template combination", ""),
        Problem("MissingAuthenticationToken", "Missing Authentication Token", ""),
        Problem("Forbidden", "", ""),
    ],
)
def test_a_403_that_is_about_something_else(problem: Problem) -> None:
    """A token, a secret, a path, an order that takes no message: no role would help, so none is named."""
    error = forbidden(problem)
    assert (error.is_access_denied, error.roles) == (False, ())
    assert "role" not in str(error)


def test_only_a_403_names_roles() -> None:
    """A role plays no part in any other status, whatever its words."""
    error = StatusError.of(404)(operation="x", status=404, errors=[Problem("", DENIED, "")], roles=["A"])
    assert (error.roles, "role" in str(error)) == ((), False)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """The tree drawn in the module's docstring names every public error."""
    for name, value in vars(errors).items():
        if inspect.isclass(value) and issubclass(value, SpapiError) and not name.startswith("_"):
            assert name in (errors.__doc__ or ""), name


def test_every_call_error_says_whether_it_is_safe() -> None:
    """Each error of a call has the facts that decide about a repeat."""
    for attribute in ("operation", "attempt", "request_id", "is_retry_safe", "retry_after"):
        assert hasattr(CallError("x", operation="x"), attribute)
