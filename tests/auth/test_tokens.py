"""The token cache: one fetch at a time, renewals in the background, by the clock handed in."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import partial
from random import Random

import anyio
import attrs
import pytest
import trio
import trio.testing

from spapi_async.auth import MemoryStore, Token, TokenCache
from spapi_async.auth.tokens import refresh_after, usable_for
from spapi_async.errors import AuthError, ClientClosedError
from spapi_async.events import Event, TokenFailed, TokenRefreshed, TokenStoreFailed
from spapi_async.operation import Call, Operation, UsagePlan

pytestmark = pytest.mark.anyio
on_virtual_time = pytest.mark.parametrize(
    "anyio_backend", [("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)})], ids=["virtual"]
)

OPERATION = Operation(module="m_v0", name="get", operation_id="get", method="GET", path="/", plan=UsagePlan(1, 1))
CALL = OPERATION.call()
KEY = ("app", "partner", "seller")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Lwa:
    """Gives tokens T1, T2, ...; or fails, or hangs until it is let go."""

    def __init__(self, expires_in: float = 3600.0) -> None:
        self.expires_in = expires_in
        self.calls = 0
        self.failure: Exception | None = None
        self.gate: anyio.Event | None = None

    async def __call__(self) -> Token:
        self.calls += 1
        number = self.calls
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return Token(value=f"T{number}", expires_in=self.expires_in)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
async def cache(clock: Clock, events: list[Event]) -> AsyncIterator[TokenCache]:
    # The first renewal comes as late as it can: 3427 s after the fetch.
    cache = TokenCache(clock=clock, emit=events.append, random=lambda: 1.0)
    yield cache
    await cache.aclose()


async def get(cache: TokenCache, lwa: Lwa, key: tuple[str, ...] = KEY, call: Call = CALL, kind: str = "access") -> str:
    return cache.fresh(key) or await cache.get(key, lwa, kind, call)


async def get_then_settle(cache: TokenCache, lwa: Lwa) -> None:
    """Get a token, and let the background task go to sleep that renews it: before the clock makes a jump."""
    await get(cache, lwa)
    await settle()


async def settle() -> None:
    await anyio.wait_all_tasks_blocked()


async def test_fetched_once_for_all_who_wait(cache: TokenCache, events: list[Event]) -> None:
    """However many calls need a token at once, it is fetched once."""
    lwa = Lwa()
    lwa.gate = anyio.Event()
    got: list[str] = []

    async def call() -> None:
        got.append(await get(cache, lwa))

    async with anyio.create_task_group() as tasks:
        for _ in range(1000):
            tasks.start_soon(call)
        await settle()
        lwa.gate.set()
    assert got == ["T1"] * 1000
    assert lwa.calls == 1
    assert events == [TokenRefreshed(kind="access", expires_in=3600.0, elapsed=0.0)]


async def test_keys_do_not_mix(cache: TokenCache) -> None:
    """A token is only ever given for the key it was fetched for."""
    one, two = Lwa(), Lwa()
    two.calls = 10
    assert await get(cache, one, ("app", "one")) == "T1"
    assert await get(cache, two, ("app", "two")) == "T11"
    assert await get(cache, one, ("app", "one")) == "T1"


async def test_nobody_waits_for_a_renewal(cache: TokenCache, clock: Clock) -> None:
    """A token that is due is renewed in the background; all calls go on with the old one until the new one is there."""
    lwa = Lwa()
    await get_then_settle(cache, lwa)
    clock.now += 3500
    lwa.gate = anyio.Event()
    assert [await get(cache, lwa) for _ in range(3)] == ["T1"] * 3
    await settle()
    lwa.gate.set()
    await settle()
    assert await get(cache, lwa) == "T2"
    assert lwa.calls == 2


async def test_a_short_lifetime_is_obeyed(cache: TokenCache, clock: Clock) -> None:
    """A token of one minute is used for 45 seconds: no lifetime is assumed."""
    lwa = Lwa(expires_in=60)
    await get_then_settle(cache, lwa)
    clock.now += 40
    assert await get(cache, lwa) == "T1"
    clock.now += 6
    assert await get(cache, lwa) == "T2"


async def test_no_lifetime_at_all(cache: TokenCache) -> None:
    """A token that is said to have expired already serves those who waited for it, and nobody else."""
    lwa = Lwa(expires_in=0)
    assert [await get(cache, lwa), await get(cache, lwa)] == ["T1", "T2"]


async def test_a_lifetime_that_cannot_be_right(cache: TokenCache, clock: Clock) -> None:
    """A token is used for a day at most, whatever is said of it."""
    lwa = Lwa(expires_in=1e300)
    await get_then_settle(cache, lwa)
    assert len(cache._tasks._tasks) == 1
    clock.now += 86_400
    assert await get(cache, lwa) == "T2"


async def test_a_passing_fault_of_a_renewal_is_no_failure(cache: TokenCache, clock: Clock, events: list[Event]) -> None:
    """When LWA is down while the old token is still good, calls go on with the old one, and an event tells."""
    lwa = Lwa()
    await get_then_settle(cache, lwa)
    clock.now += 3500
    lwa.failure = AuthError("down", status=503)
    assert await get(cache, lwa) == "T1"
    await settle()
    assert await get(cache, lwa) == "T1"
    assert lwa.calls == 2  # it rests before it asks again
    [failed] = [event for event in events if isinstance(event, TokenFailed)]
    assert (failed.kind, failed.is_permanent, failed.usable_for) == ("access", False, 85.0)


async def test_one_failure_wakes_all(cache: TokenCache) -> None:
    """A fetch that fails is not repeated by each who waited: all get its error, each a copy of its own."""
    lwa = Lwa()
    lwa.gate, lwa.failure = anyio.Event(), AuthError("down", status=503)
    errors: list[AuthError] = []

    async def call() -> None:
        try:
            await get(cache, lwa)
        except AuthError as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        for _ in range(30):
            tasks.start_soon(call)
        await settle()
        lwa.gate.set()
    assert lwa.calls == 1
    assert [(error.status, error.operation) for error in errors] == [(503, "m_v0.get")] * 30
    assert len({id(error) for error in errors}) == 30


async def test_what_is_no_auth_error_reaches_the_call(cache: TokenCache) -> None:
    """A fault of a transport that was handed in is not taken for a refusal: the call raises it."""
    lwa = Lwa()
    lwa.failure = ZeroDivisionError("slip")
    with pytest.raises(ZeroDivisionError):
        await get(cache, lwa)
    lwa.failure = None
    assert await get(cache, lwa) == "T2"


async def test_a_cancelled_call_leaves_the_fetch_alone(cache: TokenCache) -> None:
    """When the call that came first is cancelled, the fetch goes on for the others; nobody asks twice."""
    lwa = Lwa()
    lwa.gate = anyio.Event()
    got: list[str] = []
    scope = anyio.CancelScope()

    async def first() -> None:
        with scope:
            await get(cache, lwa)

    async def second() -> None:
        got.append(await get(cache, lwa))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        await settle()
        tasks.start_soon(second)
        await settle()
        scope.cancel()
        await settle()
        lwa.gate.set()
    assert (got, lwa.calls) == (["T1"], 1)


@on_virtual_time
async def test_a_call_waits_until_its_deadline(events: list[Event]) -> None:
    """A call whose deadline comes first ends with an error that says so; the fetch goes on for the others."""
    cache = TokenCache(clock=anyio.current_time, emit=events.append)
    began = anyio.current_time()

    async def slow() -> Token:
        await anyio.sleep(30)
        return Token(value="T", expires_in=3600)

    with pytest.raises(AuthError, match=r"m_v0.get: no access token: .*before the call's deadline") as caught:
        await cache.get(KEY, slow, "access", attrs.evolve(CALL, deadline=began + 2))
    assert anyio.current_time() == began + 2
    assert caught.value.is_retry_safe
    assert await cache.get(KEY, slow, "access", attrs.evolve(CALL, deadline=began + 60)) == "T"
    assert anyio.current_time() == began + 30
    await cache.aclose()


async def test_a_permanent_refusal_is_remembered(cache: TokenCache) -> None:
    """What LWA refused for good is not asked again, until it is forgiven; a revoked refresh token never is."""
    lwa = Lwa()
    for code, calls in (("invalid_scope", 2), ("invalid_grant", 3)):
        lwa.failure = AuthError("no", code=code, is_permanent=True)
        for _ in range(3):
            with pytest.raises(AuthError, match=code):
                await get(cache, lwa, kind="access")
        cache.forgive()
        with pytest.raises(AuthError):
            await get(cache, lwa)
        assert lwa.calls == calls
        cache._refusals.clear()


async def test_a_good_token_outlives_the_refusal_of_the_next(cache: TokenCache, clock: Clock) -> None:
    """A renewal that is refused for good ends nothing at once: the old token is used to its end, and nobody asks."""
    lwa = Lwa()
    await get_then_settle(cache, lwa)
    clock.now += 3500
    lwa.failure = AuthError("revoked", code="invalid_grant", is_permanent=True)
    await get(cache, lwa)
    await settle()
    assert await get(cache, lwa) == "T1"
    clock.now += 86
    with pytest.raises(AuthError, match="invalid_grant"):
        await get(cache, lwa)
    assert lwa.calls == 2


async def test_a_remembered_refusal_keeps_nothing_alive(cache: TokenCache) -> None:
    """What is remembered holds no traceback, however often it is raised: neither frames nor what is in them."""

    class Big:
        pass

    async def refuse() -> Token:
        big = Big()
        assert big
        try:
            raise OSError("below")
        except OSError as error:
            raise AuthError("revoked", code="invalid_grant", is_permanent=True) from error

    for _ in range(3):
        with pytest.raises(AuthError):
            await cache.get(KEY, refuse, "access", CALL)
    gc.collect()
    assert not [thing for thing in gc.get_objects() if isinstance(thing, Big)]
    [kept] = cache._refusals.values()
    assert kept.__traceback__ is None
    assert kept.__cause__ is not None
    assert kept.__cause__.__traceback__ is None


async def test_a_refused_token_is_not_used_again(cache: TokenCache) -> None:
    """A token that Amazon refused is replaced; a late refusal of an old token does not cost the new one."""
    lwa = Lwa()
    assert await get(cache, lwa) == "T1"
    cache.refuse(KEY, "T1")
    assert await get(cache, lwa) == "T2"
    cache.refuse(KEY, "T1")
    assert await get(cache, lwa) == "T2"
    assert lwa.calls == 2


async def test_closing_ends_waiting_and_fetching(cache: TokenCache) -> None:
    """Closing wakes who waits for a token with a `ClientClosedError`, at once, and leaves no task behind."""
    lwa = Lwa()
    lwa.gate = anyio.Event()
    errors: list[ClientClosedError] = []

    async def call() -> None:
        try:
            await get(cache, lwa)
        except ClientClosedError as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(call)
        await settle()
        await cache.aclose()
    assert [error.operation for error in errors] == ["m_v0.get"] * 3
    assert not cache._tasks._tasks
    with pytest.raises(ClientClosedError):
        await get(cache, lwa)
    lwa.gate = None
    cache.reopen(is_same_clock=True)
    assert await get(cache, lwa) == "T2"


@on_virtual_time
async def test_renewed_while_in_use_then_forgotten() -> None:
    """A token is renewed by itself for an hour after its last use; then the cache forgets it, and its task ends."""
    lwa = Lwa()
    cache = TokenCache(clock=anyio.current_time, emit=lambda event: None)
    await get(cache, lwa)
    for _ in range(50):
        await anyio.sleep(600)
        assert cache.fresh(KEY) is not None
    assert 9 <= lwa.calls <= 10
    before = lwa.calls
    await anyio.sleep(3 * 3600)
    assert lwa.calls - before in {1, 2}
    assert len(cache) == len(cache._heap) == len(cache._tasks._tasks) == 0
    await cache.aclose()


@on_virtual_time
async def test_what_was_for_one_document_is_not_renewed() -> None:
    """A restricted data token that was not used for a quarter of its lifetime is not renewed."""
    lwa = Lwa()
    cache = TokenCache(clock=anyio.current_time, emit=lambda event: None)
    await get(cache, lwa, kind="restricted")
    await anyio.sleep(7200)
    assert (lwa.calls, len(cache)) == (1, 0)
    await cache.aclose()


@on_virtual_time
async def test_a_fleet() -> None:
    """20 calls an hour at random for ten hours: 11 requests to LWA at most, and only first calls wait."""
    random = Random(5)
    requests: Counter[str] = Counter()
    waited: list[bool] = []
    cache = TokenCache(clock=anyio.current_time, emit=lambda event: None, random=random.random)
    end = anyio.current_time() + 36_000

    async def fetch(name: str) -> Token:
        if anyio.current_time() < end:
            requests[name] += 1
        await anyio.sleep(0.2)
        return Token(value=name, expires_in=3600)

    async def sell(name: str) -> None:
        await anyio.sleep(random.uniform(0, 60))
        while (now := anyio.current_time()) < end:
            assert (cache.fresh((name,)) or await cache.get((name,), partial(fetch, name), "access", CALL)) == name
            waited.append(anyio.current_time() > now)
            await anyio.sleep(random.expovariate(20 / 3600))

    async with anyio.create_task_group() as tasks:
        for number in range(60):
            tasks.start_soon(sell, str(number))
    await cache.aclose()
    assert max(requests.values()) <= 11
    assert sum(waited) == 60


def test_renewals_of_a_fleet_are_spread() -> None:
    """5,000 tokens fetched within one minute: no minute of the next ten hours has more than 3 times the mean."""
    random = Random(1)
    minutes: Counter[int] = Counter()
    for _ in range(5000):
        at = random.uniform(0, 60)
        at += refresh_after(3600, random.random(), first=True)
        while at < 36_000:
            minutes[int(at // 60)] += 1
            at += refresh_after(3600, random.random(), first=False)
    assert minutes.total() <= 5000 * 10
    assert max(minutes.values()) <= 3 * (minutes.total() + 5000) / 600


def test_when_a_token_is_renewed() -> None:
    """The first renewal comes in the second half; later ones leave more than 100 s for a failure."""
    assert [round(refresh_after(3600, random, first=True)) for random in (0.0, 1.0)] == [1792, 3427]
    assert [round(refresh_after(3600, random, first=False)) for random in (0.0, 1.0)] == [3427, 3481]
    assert usable_for(3600) - refresh_after(3600, 1.0, first=False) > 100
    assert (usable_for(3600), usable_for(10)) == (3585, 5)


async def test_the_number_of_tokens_is_bounded(cache: TokenCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest token gives way when there are too many, and so does the oldest refusal."""
    monkeypatch.setattr(TokenCache, "max_entries", 3)
    lwa = Lwa()
    for number in range(5):
        await get(cache, lwa, (str(number),))
    assert len(cache) == 3
    lwa.failure = AuthError("no", code="invalid_grant", is_permanent=True)
    for number in range(5, 10):
        with pytest.raises(AuthError):
            await get(cache, lwa, (str(number),))
    assert list(cache._refusals) == [("7",), ("8",), ("9",)]


def test_an_event_loop_that_ended_leaves_nothing_behind(anyio_backend: str) -> None:
    """Without being closed, a cache goes on in another event loop: a fetch that was cut off is begun anew."""
    cache = TokenCache(clock=lambda: 0.0, emit=lambda event: None)
    lwa = Lwa()

    async def first() -> None:
        lwa.gate = anyio.Event()
        with anyio.move_on_after(0.01):
            await get(cache, lwa)

    async def second() -> str:
        lwa.gate = None
        return await get(cache, lwa)

    anyio.run(first, backend=anyio_backend)
    assert anyio.run(second, backend=anyio_backend) == "T2"


async def test_a_token_does_not_show() -> None:
    """The repr of a token does not hold its value, and neither does the value's own."""
    token = Token(value="Atza|secret", expires_in=1)
    assert "Atza" not in repr(token) + repr(token.value)


class TestStore:
    @pytest.fixture
    def make(self, clock: Clock, events: list[Event]) -> Callable[..., TokenCache]:
        return lambda store, **options: TokenCache(
            **{
                "clock": clock, "emit": events.append, "random": lambda: 1.0, "store": store,
                "wall_clock": lambda: clock.now + 1e9, **options,
            }
        )  # fmt: skip

    @pytest.fixture
    def store(self, clock: Clock) -> MemoryStore:
        return MemoryStore(clock=clock)

    async def test_tokens_are_shared(self, make: Callable[..., TokenCache], store: MemoryStore, clock: Clock) -> None:
        """What one client fetched, another one with the same store uses, for as long as it is valid."""
        one, two = Lwa(), Lwa()
        first, second = make(store), make(store)
        assert await get(first, one) == "T1"
        await settle()
        clock.now += 1000
        assert await get(second, two) == "T1"
        await settle()
        clock.now += 2500
        assert await get(first, one) == "T1"
        await settle()
        assert await get(second, two) == "T1"  # due as well, and it finds the new one
        await settle()
        assert await get(second, two) == "T2"
        assert (one.calls, two.calls) == (2, 0)
        await first.aclose()
        await second.aclose()

    async def test_keys_name_whose_it_is(self, make: Callable[..., TokenCache], store: MemoryStore) -> None:
        """A key holds the endpoints, the application and the selling partner; a value under another key is not used."""
        cache = make(store, namespace="ns")
        await get(cache, Lwa(), ("app", "partner", "A:1"))
        await settle()
        [(key, (value, _))] = store._values.items()
        assert key == "spapi-async:ns:app:partner:A%3A1"
        await store.set("spapi-async:ns:app:partner:B", value, 100)
        other = Lwa()
        assert await get(cache, other, ("app", "partner", "B")) == "T1"
        assert other.calls == 1
        assert await get(make(store, namespace="else"), other, ("app", "partner", "A:1")) == "T2"

    async def test_a_refused_token_is_not_taken_back(self, make: Callable[..., TokenCache], store: MemoryStore) -> None:
        """A token that Amazon refused is not taken from the store again, and goes when there is no other."""
        lwa, cache = Lwa(), make(store)
        await get(cache, lwa)
        await settle()
        cache.refuse(KEY, "T1")
        lwa.failure = AuthError("revoked", code="invalid_grant", is_permanent=True)
        with pytest.raises(AuthError):
            await get(cache, lwa)
        await settle()
        assert not store._values
        await cache.aclose()

    @pytest.mark.parametrize("value", ["", "{}", "[]", '{"key": 1}', "\x00"])
    async def test_what_cannot_be_read_is_not_used(
        self, make: Callable[..., TokenCache], store: MemoryStore, value: str
    ) -> None:
        """Anything else than what was written there counts as nothing."""
        await store.set("spapi-async::app:partner:seller", value, 100)
        cache = make(store)
        assert await get(cache, Lwa()) == "T1"
        await cache.aclose()

    async def test_a_store_that_fails_fails_no_call(self, make: Callable[..., TokenCache], events: list[Event]) -> None:
        """Calls go on without a store that raises; events tell, without its words."""

        class Broken:
            async def get(self, key: str) -> str | None:
                raise OSError("Atza|secret")

            set = delete = get

        cache = make(Broken())
        assert await get(cache, Lwa()) == "T1"
        await settle()
        failed = [event for event in events if isinstance(event, TokenStoreFailed)]
        assert [(event.action, event.reason) for event in failed] == [("get", "OSError"), ("set", "TypeError")]
        await cache.aclose()

    @on_virtual_time
    async def test_a_store_that_hangs_holds_up_nobody(
        self, make: Callable[..., TokenCache], events: list[Event]
    ) -> None:
        """After five seconds calls go on without it."""

        class Hanging(MemoryStore):
            async def get(self, key: str) -> str | None:
                await anyio.sleep_forever()

        cache = make(Hanging(), clock=anyio.current_time)
        began = anyio.current_time()
        assert await get(cache, Lwa()) == "T1"
        assert anyio.current_time() == began + 5
        assert TokenStoreFailed(action="get", reason="no answer within 5 s") in events
        await cache.aclose()
