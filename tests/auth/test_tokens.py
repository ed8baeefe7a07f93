"""The token cache: one fetch at a time, ahead of expiry, by the clock handed in."""

from __future__ import annotations

import anyio
import pytest

from spapi_async.auth import Token, TokenCache
from spapi_async.errors import AuthError
from spapi_async.events import Event, TokenRefreshed

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])]


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
        self.failure: AuthError | None = None
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
def cache(clock: Clock, events: list[Event]) -> TokenCache:
    return TokenCache(clock=clock, emit=events.append)


async def test_fetched_once_for_all_who_wait(cache: TokenCache, events: list[Event]) -> None:
    """However many calls need a token at once, it is fetched once."""
    lwa = Lwa()
    lwa.gate = anyio.Event()
    got: list[str] = []

    async def call() -> None:
        got.append(await cache.get("seller", lwa, "access"))

    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        lwa.gate.set()
    assert got == ["T1"] * 100
    assert lwa.calls == 1
    assert events == [TokenRefreshed(kind="access", expires_in=3600.0, elapsed=0.0)]


async def test_keys_do_not_mix(cache: TokenCache) -> None:
    """A token is only ever given for the key it was fetched for."""
    one, two = Lwa(), Lwa()
    two.calls = 10
    assert await cache.get("one", one, "access") == "T1"
    assert await cache.get("two", two, "access") == "T11"
    assert await cache.get("one", one, "access") == "T1"


async def test_renewed_ahead_of_expiry(cache: TokenCache, clock: Clock) -> None:
    """A token is renewed some minutes before it expires, as `expires_in` says, not at its end."""
    lwa = Lwa()
    await cache.get("seller", lwa, "access")
    clock.now += 3600 - 400
    assert await cache.get("seller", lwa, "access") == "T1"
    clock.now += 100
    assert await cache.get("seller", lwa, "access") == "T2"


async def test_a_short_lifetime_is_obeyed(cache: TokenCache, clock: Clock) -> None:
    """A token of one minute is renewed within that minute: no lifetime is assumed."""
    lwa = Lwa(expires_in=60)
    await cache.get("seller", lwa, "access")
    clock.now += 20
    assert await cache.get("seller", lwa, "access") == "T1"
    clock.now += 39
    assert await cache.get("seller", lwa, "access") == "T2"


async def test_nobody_waits_for_an_early_renewal(cache: TokenCache, clock: Clock) -> None:
    """While one call renews a token that is still good, all others go on with the old one."""
    lwa = Lwa()
    await cache.get("seller", lwa, "access")
    clock.now += 3600 - 200
    lwa.gate = anyio.Event()
    renewed: list[str] = []

    async def renew() -> None:
        renewed.append(await cache.get("seller", lwa, "access"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(renew)
        await anyio.wait_all_tasks_blocked()
        assert await cache.get("seller", lwa, "access") == "T1"
        lwa.gate.set()
    assert renewed == ["T2"]


async def test_a_passing_fault_of_an_early_renewal_is_no_failure(cache: TokenCache, clock: Clock) -> None:
    """When LWA is down while the old token is still good, calls go on with the old one."""
    lwa = Lwa()
    await cache.get("seller", lwa, "access")
    clock.now += 3600 - 200
    lwa.failure = AuthError("down", status=503)
    assert await cache.get("seller", lwa, "access") == "T1"


async def test_one_failure_wakes_all(cache: TokenCache) -> None:
    """A fetch that fails is not repeated by each who waited: all get its error, each a copy of its own."""
    lwa = Lwa()
    lwa.gate, lwa.failure = anyio.Event(), AuthError("down", status=503)
    errors: list[AuthError] = []

    async def call() -> None:
        try:
            await cache.get("seller", lwa, "access")
        except AuthError as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        for _ in range(30):
            tasks.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        lwa.gate.set()
    assert lwa.calls == 1
    assert [error.status for error in errors] == [503] * 30
    assert len({id(error) for error in errors}) == 30


async def test_a_cancelled_fetch_is_taken_over(cache: TokenCache) -> None:
    """When the call that fetches is cancelled, one of those who wait fetches instead, and nobody hangs."""
    lwa = Lwa()
    lwa.gate = anyio.Event()
    got: list[str] = []
    scope = anyio.CancelScope()

    async def first() -> None:
        with scope:
            await cache.get("seller", lwa, "access")

    async def second() -> None:
        got.append(await cache.get("seller", lwa, "access"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(second)
        await anyio.wait_all_tasks_blocked()
        scope.cancel()
        await anyio.wait_all_tasks_blocked()
        lwa.gate.set()
    assert got == ["T2"]


async def test_a_permanent_refusal_is_remembered(cache: TokenCache) -> None:
    """What LWA refused for good is not asked again."""
    lwa = Lwa()
    lwa.failure = AuthError("revoked", code="invalid_grant", is_permanent=True)
    for _ in range(3):
        with pytest.raises(AuthError, match="invalid_grant"):
            await cache.get("seller", lwa, "access")
    assert lwa.calls == 1


async def test_a_refused_token_is_not_used_again(cache: TokenCache) -> None:
    """A token that Amazon refused is replaced; a late refusal of an old token does not cost the new one."""
    lwa = Lwa()
    assert await cache.get("seller", lwa, "access") == "T1"
    cache.refuse("seller", "T1")
    assert await cache.get("seller", lwa, "access") == "T2"
    cache.refuse("seller", "T1")
    assert await cache.get("seller", lwa, "access") == "T2"
    assert lwa.calls == 2


async def test_a_token_does_not_show() -> None:
    """The repr of a token does not hold its value."""
    assert "Atza" not in repr(Token(value="Atza|secret", expires_in=1))
