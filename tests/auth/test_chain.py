"""Which token a call travels with, and what happens when Amazon refuses it."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import orjson
import pytest

from spapi_async.auth import Authorising, Credentials, Token, TokenCache
from spapi_async.auth.chain import is_about_token
from spapi_async.errors import AuthError, BadRequestError, ConfigError, ForbiddenError, Problem, UnauthorizedError
from spapi_async.operation import Call, Operation, Reply, UsagePlan

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])]

EXPIRED = Problem(
    "Unauthorized", "Access to requested resource is denied.", "The access token you provided has expired."
)
NOT_ALLOWED = Problem("Unauthorized", "Invalid order and template combination", "")

PLAIN = Operation(
    module="test_v0", name="get_order", operation_id="getOrder", method="GET", path="/o/{id}", plan=UsagePlan(1, 1)
)
GRANTLESS = attrs.evolve(PLAIN, grantless_scope="scope::one")
RESTRICTED = attrs.evolve(PLAIN, restricted="required", restricted_path=True)
RESTRICTED_BY_PATH = attrs.evolve(PLAIN, restricted="required")


class Lwa:
    def __init__(self) -> None:
        self.forms: list[Mapping[str, str]] = []
        self.failure: AuthError | None = None

    async def fetch(self, form: Mapping[str, str]) -> Token:
        self.forms.append(form)
        if self.failure is not None:
            raise self.failure
        return Token(value=f"Atza|{len(self.forms)}", expires_in=3600)


class Amazon:
    """Answers with the given outcomes in turn, and notes the tokens it sees."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self.outcomes = list(outcomes)
        self.tokens: list[str | None] = []

    async def __call__(self, call: Call) -> Reply:
        self.tokens.append(call.headers.get("x-amz-access-token"))
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if outcome is not None:
            raise outcome
        return Reply(status=200, headers={}, body=b"")


def refusal(problem: Problem, kind: type = ForbiddenError, status: int = 403) -> Exception:
    return kind(operation=PLAIN.key, status=status, errors=[problem], is_retry_safe=False)


@pytest.fixture
def lwa() -> Lwa:
    return Lwa()


@pytest.fixture
def rdt_bodies() -> list[object]:
    return []


@pytest.fixture
def auth(lwa: Lwa, rdt_bodies: list[object]) -> Authorising:
    async def create_rdt(body: bytes, *_: object) -> Reply:
        rdt_bodies.append(orjson.loads(body))
        answer = {"restrictedDataToken": f"Atz.sprdt|{len(rdt_bodies)}", "expiresIn": 3600}
        return Reply(status=200, headers={}, body=orjson.dumps(answer))

    credentials = Credentials(client_id="app", client_secret="secret", refresh_token="Atzr|one")
    return Authorising(credentials, lwa, TokenCache(clock=lambda: 0.0, emit=lambda event: None), create_rdt)


async def test_a_seller_call_travels_with_the_access_token(auth: Authorising, lwa: Lwa) -> None:
    """One token serves all of a selling partner's calls."""
    amazon = Amazon()
    for _ in range(3):
        await auth.attach(PLAIN.call({"id": "1"}), amazon)
    assert amazon.tokens == ["Atza|1"] * 3
    assert [form["grant_type"] for form in lwa.forms] == ["refresh_token"]


async def test_a_grantless_call_travels_with_a_token_of_its_scope(auth: Authorising, lwa: Lwa) -> None:
    """A grantless operation gets a token of its own scope, by itself, and needs no refresh token."""
    amazon = Amazon()
    await auth.attach(GRANTLESS.call({"id": "1"}), amazon)
    await auth.attach(attrs.evolve(GRANTLESS, grantless_scope="scope::two").call({"id": "1"}), amazon)
    assert [form["scope"] for form in lwa.forms] == ["scope::one", "scope::two"]
    assert amazon.tokens == ["Atza|1", "Atza|2"]


async def test_one_restricted_token_serves_all_ids(auth: Authorising, rdt_bodies: list[object]) -> None:
    """Where Amazon allows a path template, 100 restricted calls cost one restricted data token."""
    amazon = Amazon()
    for number in range(100):
        await auth.attach(RESTRICTED.call({"id": str(number)}), amazon)
    assert set(amazon.tokens) == {"Atz.sprdt|1"}
    assert rdt_bodies == [{"restrictedResources": [{"method": "GET", "path": "/o/{id}"}]}]


async def test_a_restricted_token_of_one_path_serves_that_path(auth: Authorising, rdt_bodies: list[object]) -> None:
    """Where no template is allowed, the token names the path of the call, and another path gets another token."""
    amazon = Amazon()
    for number in ("1", "2", "1"):
        await auth.attach(RESTRICTED_BY_PATH.call({"id": number}), amazon)
    assert amazon.tokens == ["Atz.sprdt|1", "Atz.sprdt|2", "Atz.sprdt|1"]


@pytest.mark.parametrize(
    "answer", [{}, [], {"restrictedDataToken": None, "expiresIn": 3600}, {"restrictedDataToken": "", "expiresIn": 3600}]
)
async def test_an_odd_answer_is_no_restricted_token(lwa: Lwa, answer: object) -> None:
    """A reply without a restricted data token in it is an error of its own, and nothing of it is kept."""

    async def create_rdt(body: bytes, *_: object) -> Reply:
        return Reply(status=200, headers={"x-amzn-requestid": "R1"}, body=orjson.dumps(answer))

    credentials = Credentials(client_id="app", client_secret="secret", refresh_token="Atzr|one")
    auth = Authorising(credentials, lwa, TokenCache(clock=lambda: 0.0, emit=lambda event: None), create_rdt)
    for _ in range(2):
        with pytest.raises(AuthError, match="cannot be read") as caught:
            await auth.attach(RESTRICTED.call({"id": "1"}), Amazon())
        assert caught.value.request_id == "R1"


@pytest.mark.parametrize(
    "error", [refusal(EXPIRED), refusal(Problem("Unauthorized", "no", ""), UnauthorizedError, 401)]
)
async def test_an_expired_token_is_renewed_once(auth: Authorising, lwa: Lwa, error: Exception) -> None:
    """When Amazon says that the token is at fault, the call is repeated once with a new one."""
    amazon = Amazon(error)
    await auth.attach(PLAIN.call({"id": "1"}), amazon)
    assert amazon.tokens == ["Atza|1", "Atza|2"]


async def test_it_is_repeated_only_once(auth: Authorising) -> None:
    """A token that is refused although it is new is no reason to go on for ever."""
    amazon = Amazon(refusal(EXPIRED), refusal(EXPIRED))
    with pytest.raises(ForbiddenError):
        await auth.attach(PLAIN.call({"id": "1"}), amazon)
    assert len(amazon.tokens) == 2


@pytest.mark.parametrize("error", [refusal(NOT_ALLOWED), refusal(EXPIRED, BadRequestError, 400)])
async def test_a_business_answer_is_no_token_fault(auth: Authorising, lwa: Lwa, error: Exception) -> None:
    """A 403 that says nothing of the token is raised at once: no refresh, no repeat."""
    amazon = Amazon(error)
    with pytest.raises(type(error)):
        await auth.attach(PLAIN.call({"id": "1"}), amazon)
    assert len(amazon.tokens) == len(lwa.forms) == 1


async def test_a_token_of_the_caller_is_left_alone(auth: Authorising, lwa: Lwa) -> None:
    """A call that brings a token travels with that, as for a delegated restricted data token."""
    amazon = Amazon()
    call = PLAIN.call({"id": "1"}, headers={"x-amz-access-token": "mine"})
    await auth.prepare(call, lambda call: auth.attach(call, amazon))
    assert amazon.tokens == ["mine"]
    assert not lwa.forms


async def test_prepare_fetches_before_the_wait(auth: Authorising, lwa: Lwa) -> None:
    """The token is there before the call waits for its turn, but is attached behind it, so that none ages."""
    seen: list[tuple[int, dict[str, str]]] = []

    async def next_(call: Call) -> Reply:
        seen.append((len(lwa.forms), dict(call.headers)))
        return Reply(status=200, headers={}, body=b"")

    await auth.prepare(PLAIN.call({"id": "1"}), next_)
    assert seen == [(1, {})]


async def test_an_auth_error_names_the_operation(auth: Authorising, lwa: Lwa) -> None:
    """The error says which operation had no token, and why."""
    lwa.failure = AuthError("revoked", code="invalid_grant", is_permanent=True)
    with pytest.raises(AuthError) as caught:
        await auth.attach(PLAIN.call({"id": "1"}), Amazon())
    assert str(caught.value) == "test_v0.get_order: no access token: invalid_grant: revoked (safe to repeat: no)"


async def test_without_refresh_token_only_grantless_calls(lwa: Lwa) -> None:
    """An operation that acts for a selling partner needs a refresh token, and the error says so."""

    async def create_rdt(body: bytes, *_: object) -> Reply:
        raise AssertionError

    credentials = Credentials(client_id="app", client_secret="secret")
    auth = Authorising(credentials, lwa, TokenCache(clock=lambda: 0.0, emit=lambda event: None), create_rdt)
    await auth.attach(GRANTLESS.call({"id": "1"}), Amazon())
    with pytest.raises(ConfigError, match="refresh_token"):
        await auth.attach(PLAIN.call({"id": "1"}), Amazon())


async def test_the_words_that_tell_a_token_fault() -> None:
    """Amazon's code is `Unauthorized` for every 403; only message and details tell the token from the rest."""
    cases = {
        "The access token you provided has expired.": True,
        "The access token you provided is revoked, malformed or invalid.": True,
        "Access to requested resource is denied.": False,
        "The LWA secret token you provided has expired.": False,
        "": False,
    }
    for details, expected in cases.items():
        error = ForbiddenError(operation="x", status=403, errors=[Problem("Unauthorized", "", details)])
        assert is_about_token(error) is expected, details
