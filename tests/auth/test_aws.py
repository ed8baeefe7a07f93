"""AWS keys: what they may look like, and how those of a role are renewed."""

from __future__ import annotations

import asyncio
import pickle
from datetime import UTC, datetime, timedelta

import attrs
import httpx
import pytest

from spapi_async import SellingPartner
from spapi_async.apis.orders_v0.operations import GET_ORDER
from spapi_async.auth.aws import AwsCredentials, AwsRole, RoleKeys, Signing
from spapi_async.errors import AuthError, ClientClosedError, ConfigError
from spapi_async.events import Event, TokenFailed, TokenRefreshed
from spapi_async.retry import RetryPolicy
from spapi_async.sandbox import Sandbox

KEYS = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "the/secret+key"}
ROLE = "arn:aws:iam::123456789012:role/spapi"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"access_key_id": ""}, "access_key_id is missing"),
        ({"access_key_id": "AKIA/x"}, "access_key_id must be letters and digits"),
        ({"secret_access_key": ""}, "secret_access_key is missing"),
        ({"secret_access_key": "sensitive\n"}, "secret_access_key must be printable ASCII without white space"),
        ({"secret_access_key": b"sensitive"}, "secret_access_key must be"),
        ({"session_token": ""}, "session_token is missing"),
        ({"session_token": "sensitive token"}, "session_token must be"),
    ],
)
def test_keys_that_cannot_be(changes: dict[str, str], words: str) -> None:
    """What no AWS key looks like is refused at once, by its name and without its value."""
    with pytest.raises(ConfigError, match=words) as caught:
        AwsCredentials(**{**KEYS, **changes})
    assert "sensitive" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"role_arn": "arn:aws:iam::123456789012:user/me"}, "role_arn must be as in"),
        ({"credentials": ("id", "sensitive")}, "credentials must be AwsCredentials, not of type tuple"),
        ({"session_name": "a b"}, "session_name must be"),
        ({"duration": 60}, "duration must be 900 to 43200"),
        ({"duration": 3600.5}, "duration must be 900 to 43200"),
        ({"external_id": "sensitive id"}, "external_id must be"),
        ({"endpoint": "sts.amazonaws.com"}, "endpoint must be a URL"),
    ],
)
def test_roles_that_cannot_be(changes: dict[str, object], words: str) -> None:
    """What AWS STS would refuse is refused at once, by its name."""
    with pytest.raises(ConfigError, match=words) as caught:
        AwsRole(**{"role_arn": ROLE, **changes})
    assert "sensitive" not in str(caught.value)


def test_secrets_do_not_show() -> None:
    """No repr shows a secret key, a session token or an external id, and keys cannot be pickled."""
    keys = AwsCredentials(**KEYS, session_token="the-session-token")
    role = AwsRole(role_arn=ROLE, credentials=keys, external_id="the-external-id")
    assert "AKIDEXAMPLE" in repr(role)
    for secret in ("the/secret+key", "the-session-token", "the-external-id"):
        assert secret not in repr(role) + str(keys)
    with pytest.raises(TypeError, match="holds a secret") as caught:
        pickle.dumps(role)
    assert "secret+key" not in str(caught.value)


CALL = GET_ORDER.call({"orderId": "1"})


class Calendar:
    """A calendar that a test turns."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def turn(self, **time: float) -> None:
        self.now += timedelta(**time)


class Sts:
    """Gives keys for an hour: at once, or when the test lets it; or fails."""

    def __init__(self, now: Calendar) -> None:
        self.now = now
        self.calls = 0
        self.error: AuthError | None = None
        self.asked = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.lifetime = timedelta(hours=1)

    async def assume(self) -> tuple[AwsCredentials, datetime]:
        self.calls += 1
        self.asked.set()
        number = self.calls
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        keys = AwsCredentials(access_key_id=f"ASIA{number}", secret_access_key="s", session_token="t")
        return keys, self.now() + self.lifetime


REFUSED = AuthError("not allowed", code="AccessDenied", is_permanent=True, missing="AWS keys")
DOWN = AuthError("down", status=503, missing="AWS keys")


@pytest.fixture
def now() -> Calendar:
    return Calendar()


@pytest.fixture
def sts(now: Calendar) -> Sts:
    return Sts(now)


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def keys(now: Calendar, sts: Sts, events: list[Event]) -> RoleKeys:
    async def sleep(seconds: float) -> None:
        now.turn(seconds=seconds)

    return RoleKeys(
        sts.assume,
        policy=RetryPolicy(max_attempts=3, base_delay=1),
        now=now,
        sleep=sleep,
        random=lambda: 1.0,
        emit=events.append,
    )


async def settle() -> None:
    """Let what runs in the background run."""
    for _ in range(10):
        await asyncio.sleep(0)


async def get(keys: RoleKeys) -> str:
    return (await keys.get(CALL)).access_key_id


@pytest.mark.asyncio
async def test_one_fetch_for_all(keys: RoleKeys, sts: Sts, events: list[Event]) -> None:
    """However many calls wait for the first keys, STS is asked once; afterwards nobody waits."""
    assert await asyncio.gather(*(get(keys) for _ in range(1000))) == ["ASIA1"] * 1000
    assert await get(keys) == "ASIA1"
    assert sts.calls == 1
    assert events == [TokenRefreshed(kind="aws", expires_in=3600.0, elapsed=0.0)]


@pytest.mark.asyncio
async def test_renewal_ahead_of_expiry(keys: RoleKeys, sts: Sts, now: Calendar) -> None:
    """Ten minutes before expiry the next call starts a renewal; while STS takes its time, calls go on with the old."""
    await get(keys)
    now.turn(minutes=49)
    assert (await get(keys), sts.calls) == ("ASIA1", 1)
    now.turn(minutes=2)
    sts.gate.clear()
    assert await asyncio.gather(*(get(keys) for _ in range(100))) == ["ASIA1"] * 100
    await settle()
    assert sts.calls == 2
    sts.gate.set()
    await settle()
    assert (await get(keys), sts.calls) == ("ASIA2", 2)


@pytest.mark.asyncio
async def test_an_outage_while_the_old_keys_hold(keys: RoleKeys, sts: Sts, now: Calendar, events: list[Event]) -> None:
    """No call fails for it: STS is asked again every half minute, and an event tells how long the old keys serve."""
    await get(keys)
    now.turn(minutes=51)
    sts.error = DOWN
    for _ in range(16):
        assert await get(keys) == "ASIA1"
        await settle()
        now.turn(seconds=15)
    assert 3 * 6 <= sts.calls - 1 <= 3 * 8  # each time with the policy's three tries
    reason = "down (status 503, safe to repeat: yes)"
    assert events[1] == TokenFailed(kind="aws", reason=reason, is_permanent=False, usable_for=8 * 60.0 - 3)
    sts.error = None
    now.turn(seconds=30)
    await get(keys)
    await settle()
    assert await get(keys) == f"ASIA{sts.calls}"


@pytest.mark.asyncio
async def test_an_outage_that_ends_with_the_keys(keys: RoleKeys, sts: Sts, now: Calendar) -> None:
    """When the old keys have come to their end STS is asked at once, however short the last failure is ago."""
    await get(keys)
    now.turn(minutes=58, seconds=55)
    sts.error = DOWN
    await get(keys)
    await settle()
    sts.error = None
    now.turn(seconds=5)
    assert await get(keys) == f"ASIA{sts.calls}"


@pytest.mark.asyncio
async def test_a_clock_that_is_set_back(keys: RoleKeys, sts: Sts, now: Calendar) -> None:
    """A refusal is remembered for half a minute, not until the calendar is where it was."""
    sts.error = REFUSED
    with pytest.raises(AuthError):
        await get(keys)
    now.turn(days=-1)
    sts.error = None
    assert await get(keys) == "ASIA2"


@pytest.mark.asyncio
async def test_an_outage_beyond_expiry(keys: RoleKeys, sts: Sts, now: Calendar) -> None:
    """Keys that expire within a minute are not used: then calls wait for STS, and fail if it does not come back."""
    await get(keys)
    now.turn(minutes=59, seconds=1)
    sts.error = DOWN
    with pytest.raises(AuthError) as caught:
        await get(keys)
    assert str(caught.value) == "orders_v0.get_order: no AWS keys: down (status 503, safe to repeat: yes)"
    sts.error = None
    assert await get(keys) == f"ASIA{sts.calls}"


@pytest.mark.asyncio
async def test_a_passing_fault_is_repeated(keys: RoleKeys, sts: Sts, now: Calendar) -> None:
    """By the client's retry policy; one failure wakes all who wait, each with an error of its own."""
    sts.error = DOWN
    started = now()
    outcomes = await asyncio.gather(*(get(keys) for _ in range(50)), return_exceptions=True)
    assert {str(each) for each in outcomes} == {
        "orders_v0.get_order: no AWS keys: down (status 503, safe to repeat: yes)"
    }
    assert len({id(each) for each in outcomes}) == 50
    assert (sts.calls, now() - started) == (3, timedelta(seconds=1 + 2))


@pytest.mark.asyncio
async def test_a_refusal_for_good(keys: RoleKeys, sts: Sts, now: Calendar) -> None:
    """STS is not asked again at once, and not by every call: only after half a minute, when it may have been mended."""
    sts.error = REFUSED
    for _ in range(5):
        with pytest.raises(AuthError, match="no AWS keys: AccessDenied: not allowed") as caught:
            await get(keys)
        assert caught.value.is_permanent
    assert sts.calls == 1
    sts.error = None
    now.turn(seconds=31)
    assert await get(keys) == "ASIA2"


@pytest.mark.asyncio
async def test_a_clock_that_is_ahead(keys: RoleKeys, sts: Sts) -> None:
    """Keys that come already expired would be fetched for ever: it is an error that names the clock."""
    sts.lifetime = timedelta(hours=-1)
    with pytest.raises(AuthError, match="have expired by this machine's clock"):
        await get(keys)
    assert sts.calls == 1


@pytest.mark.asyncio
async def test_a_cancelled_call_leaves_the_fetch_to_the_others(keys: RoleKeys, sts: Sts) -> None:
    """Who asked first may go away; who waits with it gets the keys all the same."""
    sts.gate.clear()
    first, second = asyncio.create_task(get(keys)), asyncio.create_task(get(keys))
    await settle()
    first.cancel()
    await settle()
    sts.gate.set()
    assert (await second, sts.calls) == ("ASIA1", 1)
    assert first.cancelled()


@pytest.mark.asyncio
async def test_closing(keys: RoleKeys, sts: Sts) -> None:
    """A client that closes ends the fetch, tells those who wait, and leaves no task behind."""
    sts.gate.clear()
    waiting = asyncio.create_task(get(keys))
    await settle()
    await keys.aclose()
    with pytest.raises(ClientClosedError):
        await waiting
    with pytest.raises(ClientClosedError):
        await get(keys)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.asyncio
async def test_closing_lets_nobody_wait(keys: RoleKeys, sts: Sts) -> None:
    """A client that closes tells who waits for keys at once: an exchange under way may end first, but this is none."""
    sts.gate.clear()
    sp = SellingPartner(
        client_id="app",
        client_secret="s",
        refresh_token="Atzr|SELLER1",
        endpoint="http://sandbox",
        lwa_endpoint="http://sandbox/auth/o2/token",
        transport=httpx.ASGITransport(app=Sandbox()),
        aws=AwsCredentials(**KEYS),
        aws_region="eu-west-1",
    )
    assert sp._application._signing is not None
    sp._application._signing._keys = keys
    waiting = asyncio.create_task(sp.send(CALL))
    await sts.asked.wait()
    await asyncio.wait_for(sp.aclose(), 5.0)
    with pytest.raises(ClientClosedError):
        await waiting


@pytest.mark.asyncio
async def test_a_call_waits_until_its_deadline(keys: RoleKeys, sts: Sts) -> None:
    """A call whose deadline comes first ends with an error that says so; the fetch goes on for the others."""
    sts.gate.clear()
    waiting = asyncio.create_task(get(keys))
    await settle()
    hurried = attrs.evolve(CALL, deadline=asyncio.get_running_loop().time())
    with pytest.raises(AuthError, match="no AWS keys: they did not come before the call's deadline") as caught:
        await keys.get(hurried)
    assert caught.value.operation == "orders_v0.get_order"
    sts.gate.set()
    assert (await waiting, sts.calls) == ("ASIA1", 1)


@pytest.mark.asyncio
async def test_a_fault_of_ours_is_not_hidden(keys: RoleKeys, sts: Sts) -> None:
    """What is no refusal of STS reaches the call as it is."""
    sts.error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        await get(keys)


def test_two_event_loops(now: Calendar) -> None:
    """A fetch that one event loop left unfinished does not keep those of the next waiting."""
    sts = Sts(now)
    keys = RoleKeys(
        sts.assume, policy=RetryPolicy(), now=now, sleep=asyncio.sleep, random=lambda: 0.0, emit=lambda event: None
    )
    sts.gate.clear()
    loop = asyncio.new_event_loop()
    left = loop.create_task(get(keys))
    loop.run_until_complete(settle())
    sts.gate = asyncio.Event()
    sts.gate.set()
    assert asyncio.run(get(keys)) == "ASIA2"
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.wait([left]))
    loop.close()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_trio(now: Calendar) -> None:
    """A role needs asyncio, and on trio the error says what to do; closing is harmless."""

    async def never() -> tuple[AwsCredentials, datetime]:
        raise AssertionError

    keys = RoleKeys(
        never, policy=RetryPolicy(), now=now, sleep=asyncio.sleep, random=lambda: 0.0, emit=lambda event: None
    )
    with pytest.raises(ConfigError, match="on trio assume the role yourself"):
        await keys.get(CALL)
    await keys.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_signing_with_keys(now: Calendar) -> None:
    """The signature is of the moment at which the request is made, and what makes it shows no secret."""
    signing = Signing(AwsCredentials(**KEYS), region="eu-west-1", now=now)
    sign = await signing.signer(CALL)
    assert "the/secret+key" not in repr(sign)
    headers = {"Host": "h", "User-Agent": "u", "x-amz-access-token": "t"}
    first = sign("GET", "/", headers, b"")
    now.turn(seconds=1)
    assert sign("GET", "/", headers, b"")["x-amz-date"] > first["x-amz-date"]
    await signing.aclose()
