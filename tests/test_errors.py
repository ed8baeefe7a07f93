"""What an error tells."""

import inspect
import pickle

import pytest

from spapi_async import errors
from spapi_async.errors import (
    AuthError,
    CallError,
    ConnectError,
    NotFoundError,
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


@pytest.mark.parametrize(
    "error",
    [
        NOT_FOUND,
        AuthError("revoked", code="invalid_grant", is_permanent=True),
        QueueFullError("full", operation="x", predicted_wait=3.0, plan="1/s", queue_length=7),
        errors.ArgumentError("x", ["body is missing"]),
    ],
)
def test_errors_survive_pickling(error: SpapiError) -> None:
    """Task queues and process pools hand errors on with all their facts."""
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """The tree drawn in the module's docstring names every public error."""
    for name, value in vars(errors).items():
        if inspect.isclass(value) and issubclass(value, SpapiError) and not name.startswith("_"):
            assert name in (errors.__doc__ or ""), name


def test_every_call_error_says_whether_it_is_safe() -> None:
    """Each error of a call has the facts that decide about a repeat."""
    for attribute in ("operation", "attempt", "request_id", "is_retry_safe", "retry_after"):
        assert hasattr(CallError("x", operation="x"), attribute)
