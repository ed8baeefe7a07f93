"""Tokens, and the cache that fetches each of them once for everybody who waits for it, and renews it in time.

How it works: a fetch runs in a background task of the client's, a flight. Calls that need its token wait for it, each
for as long as its deadline allows; a call that is cancelled leaves the flight alone. One more background task, the
keeper, sleeps until the next token is due and starts the flight that renews it. When there is nothing left to renew it
ends, and with it the last trace of a selling partner that makes no calls.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Awaitable, Callable
from contextvars import Context
from functools import partial
from random import random as draw
from urllib.parse import quote

import anyio
import attrs
import orjson

from ..errors import AuthError, ClientClosedError
from ..events import Emit, TokenFailed, TokenRefreshed, TokenStoreFailed
from ..hidden import Secret, bare, hide
from ..operation import Call
from .stores import TokenStore
from .tasks import Tasks, current_loop

__all__ = ["Fetch", "Key", "Token", "TokenCache", "refresh_after", "usable_for"]

Key = tuple[str, ...]
"""What a token is for: the application, the selling partner (a digest) or the scope, and what else makes it another."""


@attrs.frozen(kw_only=True)
class Token:
    """A token as it came.

    Args:
        value: What goes into `x-amz-access-token`; never shown in a repr.
        expires_in: Seconds it is valid for, as Amazon said.
    """

    value: str = attrs.field(repr=False, converter=hide)
    expires_in: float


Fetch = Callable[[], Awaitable[Token]]
"""Fetches a new token, or raises `AuthError`."""

# A token with less left than this is not used: it could expire on the way. In seconds.
_MARGIN = 15.0
# When a token is renewed, as parts of the time for which it is used. One that was fetched because a call needed it:
# tokens of many selling partners are fetched together when a program starts, and must not be renewed together for ever.
# So the first renewal comes anywhere in the second half. After that they are spread, and later ones come as late as
# leaves room for a failure of two minutes, and for some more jitter: ten hours so cost eleven requests at most.
_FIRST = (0.5, 0.956)
_LATER = (0.956, 0.971)
# How long ago a token may have been used to be renewed by itself, as parts of its lifetime. Many a restricted data
# token is for one document, and of no use when that has been read.
_IN_USE = {"restricted": 0.25}
# After a renewal that failed, in seconds, while the old token is still good.
_PAUSE = 30.0
_STORE_TIMEOUT = 5.0
# A lifetime beyond a day is a slip of somebody's, and timers cannot be set for any number of seconds.
_LONGEST = 86_400.0


def usable_for(lifetime: float) -> float:
    """Return how long a token is used, in seconds, of its lifetime."""
    return lifetime - min(_MARGIN, lifetime / 2)


def refresh_after(lifetime: float, random: float, *, first: bool) -> float:
    """Return after how many seconds a token is renewed.

    Args:
        lifetime: Seconds, as Amazon said.
        random: A number from 0 up to 1, drawn evenly.
        first: Whether it was fetched because a call needed it, and not by a renewal.
    """
    low, high = _FIRST if first else _LATER
    return usable_for(lifetime) * (low + random * (high - low))


class _Flight:
    """One fetch under way, for everybody who waits for it."""

    __slots__ = ("done", "error", "loop", "value")

    def __init__(self, loop: object) -> None:
        self.loop = loop
        self.done = anyio.Event()
        self.value: str | None = None
        self.error: Exception | None = None


class _Entry:
    """What is known of one key."""

    __slots__ = (
        "due", "expires_at", "fetch", "flight", "kind", "lifetime", "refresh_at", "refused", "used_at", "value",
    )  # fmt: skip

    def __init__(self) -> None:
        self.value = ""
        self.lifetime = 0.0
        self.refresh_at = self.expires_at = self.used_at = -math.inf
        self.due = math.inf
        """When the keeper looks at it."""
        self.flight: _Flight | None = None
        self.fetch: Fetch | None = None
        self.kind = ""
        self.refused = ""
        """The last token that Amazon refused: a store may still have it."""


class TokenCache:
    """Keeps tokens; at most one fetch per key is under way, however many calls wait for it.

    A token is renewed ahead of its expiry in the background while it is in use: at most one lifetime after its last
    use. Calls go on with the old one meanwhile. A fetch that fails wakes all who wait with the same error, once. A
    refusal that cannot heal by repeating (`AuthError.is_permanent`) is remembered: what was refused for good is not
    asked again. A token that is still good is used to its end all the same.

    Args:
        clock: Gives seconds.
        emit: Is told of each token fetched, and of each that could not be.
        random: Draws a number from 0 up to 1: when a token is renewed.
        store: Keeps tokens for other clients too; None for this one alone.
        namespace: Goes before the keys in the store: tokens of different endpoints must not mix there.
        wall_clock: Gives seconds since 1970, for what is in the store.
    """

    max_entries = 100_000
    """How many tokens are kept at a time, and how many refusals; the oldest give way."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        emit: Emit,
        random: Callable[[], float] = draw,
        store: TokenStore | None = None,
        namespace: str = "",
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._emit = emit
        self._random = random
        self._store = store
        self._namespace = namespace
        self._wall_clock = wall_clock
        self._entries: dict[Key, _Entry] = {}
        self._refusals: dict[Key, AuthError] = {}
        self._tasks = Tasks()
        self._is_closed = False
        self._heap: list[tuple[float, Key]] = []  # when to look at which key; stale where the entry's `due` differs
        self._keeper: object = None  # the event loop that it runs in
        self._wake: anyio.Event | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def fresh(self, key: Key) -> str | None:
        """Return the token if there is one that needs no renewal yet: the case of nearly every call."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        now = self._clock()
        if now >= entry.refresh_at:
            return None
        entry.used_at = now
        return entry.value

    async def get(self, key: Key, fetch: Fetch, kind: str, call: Call) -> str:
        """Return a token that is valid now, fetching one if need be.

        Args:
            key: What the token is for. It must hold the application and the selling partner or scope.
            fetch: Fetches a new one.
            kind: `access`, `grantless` or `restricted`, for the event.
            call: What it is needed for; it waits until its deadline at most.

        Raises:
            AuthError: It could not be fetched, or not before the call's deadline.
            ClientClosedError: The client was closed meanwhile.
        """
        while True:
            if self._is_closed:
                raise ClientClosedError(
                    "the client was closed before there was an access token",
                    operation=call.operation.key,
                    attempt=call.attempt,
                )
            entry = self._entries.get(key) or self._make_room(key)
            now = entry.used_at = self._clock()
            refusal = self._refusals.get(key)
            if now < entry.expires_at:
                if now >= entry.refresh_at and refusal is None:
                    self._start(key, entry, fetch, kind)
                return entry.value
            if refusal is not None:
                raise refusal.for_operation(call.operation.key) from refusal
            flight = self._start(key, entry, fetch, kind)
            await self._wait(flight, call, now)
            if flight.value is not None:
                return flight.value
            if isinstance(flight.error, AuthError):
                raise flight.error.for_operation(call.operation.key) from flight.error
            if flight.error is not None:
                raise flight.error
            # It was cancelled: the client was closed, or its event loop is ending.

    def refuse(self, key: Key, value: str) -> None:
        """Take note that Amazon refused this token; unless it was renewed since, it is not used again."""
        entry = self._entries.get(key)
        if entry is not None and entry.value == value:
            entry.refresh_at = entry.expires_at = -math.inf
            entry.refused = value

    def forgive(self) -> None:
        """Forget the refusals that another client secret may heal: all but those of a refresh token."""
        self._refusals = {key: error for key, error in self._refusals.items() if error.code == "invalid_grant"}

    def close(self) -> None:
        """Give out no more tokens, and end what is under way: who waits gets a `ClientClosedError`."""
        self._is_closed = True
        self._tasks.cancel()

    async def aclose(self) -> None:
        """Close, and wait until the background tasks have ended."""
        self.close()
        await self._tasks.aclose()

    def reopen(self, *, is_same_clock: bool) -> None:
        """Begin anew after a close, in the event loop that runs now.

        Args:
            is_same_clock: False forgets all tokens, since nothing tells how much time has passed.
        """
        self._is_closed = False
        if not is_same_clock:
            self._entries.clear()
            self._heap.clear()
        self._see_to_keeper()

    # -- waiting

    async def _wait(self, flight: _Flight, call: Call, now: float) -> None:
        if call.deadline is None:
            await flight.done.wait()
            return
        with anyio.move_on_after(max(call.deadline - now, 0.0)):
            await flight.done.wait()
        if not flight.done.is_set():
            raise AuthError(
                "it did not come before the call's deadline; it is still being fetched, for later calls",
                operation=call.operation.key,
            )

    def _make_room(self, key: Key) -> _Entry:
        if len(self._entries) >= self.max_entries:
            for old, entry in self._entries.items():
                if entry.flight is None:
                    del self._entries[old]
                    break
        entry = self._entries[key] = _Entry()
        return entry

    # -- fetching

    def _start(self, key: Key, entry: _Entry, fetch: Fetch, kind: str, context: Context | None = None) -> _Flight:
        """Give the flight that is under way, else a new one."""
        flight, loop = entry.flight, current_loop()
        if flight is None or flight.loop is not loop:  # one of an event loop that has ended will never arrive
            flight = entry.flight = _Flight(loop)
            entry.fetch, entry.kind = fetch, kind
            self._tasks.start(partial(self._fly, key, entry, flight), context=context)
        return flight

    async def _fly(self, key: Key, entry: _Entry, flight: _Flight) -> None:
        first = self._clock() >= entry.expires_at
        store_key = self._store_key(key)
        fetched: Token | None = None
        try:
            if not await self._take_from_store(store_key, entry):
                fetched = await self._fetch(entry, first=first)
            flight.value = entry.value
            self._plan(key, entry, entry.refresh_at)
        except Exception as error:
            flight.error = bare(error)
            self._note_failure(key, entry, error)
        finally:
            if entry.flight is flight:
                entry.flight = None
            flight.done.set()
        if fetched is not None:
            await self._put_into_store(store_key, entry)
        elif key in self._refusals:
            await self._ask_store("delete", store_key)

    async def _fetch(self, entry: _Entry, *, first: bool) -> Token:
        assert entry.fetch is not None
        began = self._clock()
        token = await entry.fetch()
        # Counted from before the request, since the lifetime began some time before the answer was here.
        self._keep(entry, token, began, refresh_after(token.expires_in, self._random(), first=first))
        elapsed = self._clock() - began
        self._emit(TokenRefreshed(kind=entry.kind, expires_in=token.expires_in, elapsed=elapsed))
        return token

    def _keep(self, entry: _Entry, token: Token, began: float, refresh_in: float) -> None:
        entry.value = token.value
        entry.lifetime = min(token.expires_in, _LONGEST)
        entry.expires_at = began + usable_for(entry.lifetime)
        entry.refresh_at = min(began + refresh_in, entry.expires_at)

    def _note_failure(self, key: Key, entry: _Entry, error: Exception) -> None:
        now = self._clock()
        if isinstance(error, AuthError) and error.is_permanent:
            if len(self._refusals) >= self.max_entries:
                del self._refusals[next(iter(self._refusals))]
            self._refusals[key] = error
        left = entry.expires_at - now
        if left > 0:
            pause = _PAUSE * (0.5 + self._random() / 2)
            entry.refresh_at = min(entry.expires_at, now + pause)
            self._plan(key, entry, entry.refresh_at if key not in self._refusals else entry.expires_at)
        else:
            self._entries.pop(key, None)
        if not self._is_closed:
            self._emit(
                TokenFailed(
                    kind=entry.kind,
                    reason=str(error) if isinstance(error, AuthError) else type(error).__name__,
                    is_permanent=key in self._refusals,
                    usable_for=max(left, 0.0),
                )
            )

    # -- renewing

    def _plan(self, key: Key, entry: _Entry, due: float) -> None:
        entry.due = due
        heapq.heappush(self._heap, (due, key))
        self._see_to_keeper()
        if self._wake is not None and self._heap[0][1] == key:
            self._wake.set()

    def _see_to_keeper(self) -> None:
        loop = current_loop()
        if self._heap and self._keeper is not loop and not self._is_closed:
            self._keeper = loop
            # In a context of its own: that of a call would stay alive for as long as there is something to renew.
            self._tasks.start(self._renew, context=Context())

    async def _renew(self) -> None:
        loop = self._keeper
        try:
            while self._heap:
                due, key = self._heap[0]
                wait = due - self._clock()
                if wait > 0:
                    self._wake = anyio.Event()
                    with anyio.move_on_after(wait):
                        await self._wake.wait()
                    continue
                heapq.heappop(self._heap)
                entry = self._entries.get(key)
                if entry is not None and entry.due == due:
                    self._look_at(key, entry)
        finally:
            if self._keeper is loop:
                self._keeper = self._wake = None

    def _look_at(self, key: Key, entry: _Entry) -> None:
        """Renew a token that is due, if it is in use; else forget it when it has expired."""
        now = self._clock()
        in_use = now - entry.used_at < entry.lifetime * _IN_USE.get(entry.kind, 1.0)
        if entry.flight is not None and entry.flight.loop is self._keeper:
            return  # its end plans anew
        if in_use and key not in self._refusals and entry.fetch is not None:
            self._start(key, entry, entry.fetch, entry.kind, Context())
        elif now < entry.expires_at:
            self._plan(key, entry, entry.expires_at)
        else:
            del self._entries[key]

    # -- the store

    def _store_key(self, key: Key) -> str:
        return ":".join(["spapi-async", self._namespace, *(quote(part, safe="") for part in key)])

    async def _take_from_store(self, key: str, entry: _Entry) -> bool:
        """Take a token that another client has fetched meanwhile."""
        kept = _read(await self._ask_store("get", key), key)
        if kept is None:
            return False
        token, expires_at = kept
        began = self._clock() - (token.expires_in - (expires_at - self._wall_clock()))
        refresh_in = refresh_after(token.expires_in, self._random(), first=False)
        if token.value in (entry.value, entry.refused) or self._clock() >= began + refresh_in:
            return False
        self._keep(entry, token, began, refresh_in)
        return True

    async def _put_into_store(self, key: str, entry: _Entry) -> None:
        left = entry.expires_at - self._clock()
        if left > 0:
            expires_at = self._wall_clock() + left + (entry.lifetime - usable_for(entry.lifetime))
            fields = {"key": key, "token": entry.value, "lifetime": entry.lifetime, "expires_at": expires_at}
            await self._ask_store("set", key, Secret(orjson.dumps(fields).decode()), left)

    async def _ask_store(self, action: str, *arguments: object) -> object:
        """Let the store do something. It may fail or hang: that is told, and nothing depends on it."""
        if self._store is None:
            return None
        reason = f"no answer within {_STORE_TIMEOUT:g} s"
        try:
            # Shielded: closing the client right after a call must not lose what was just fetched.
            with anyio.move_on_after(_STORE_TIMEOUT, shield=action == "set"):
                return await getattr(self._store, action)(*arguments)
        except Exception as error:
            reason = type(error).__name__  # its words may hold what was to be stored
        self._emit(TokenStoreFailed(action=action, reason=reason))
        return None


def _read(text: object, key: str) -> tuple[Token, float] | None:
    """Read what `_put_into_store` wrote for this key; None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        fields = orjson.loads(text.encode())  # it takes no subclass of `str`, as a store in memory gives back
        if fields["key"] == key and isinstance(fields["token"], str) and fields["token"]:
            token = Token(value=fields["token"], expires_in=float(fields["lifetime"]))
            return token, float(fields["expires_at"])
    except (KeyError, TypeError, ValueError):  # what is no JSON is one too
        pass
    return None
