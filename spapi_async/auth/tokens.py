"""Tokens, and the cache that fetches each of them once for everybody who waits for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable

import anyio
import attrs

from ..errors import AuthError
from ..events import Emit, TokenRefreshed

__all__ = ["Fetch", "Token", "TokenCache"]


@attrs.frozen(kw_only=True)
class Token:
    """A token as it came.

    Args:
        value: What goes into `x-amz-access-token`; never shown in a repr.
        expires_in: Seconds it is valid for, as Amazon said.
    """

    value: str = attrs.field(repr=False)
    expires_in: float


Fetch = Callable[[], Awaitable[Token]]
"""Fetches a new token, or raises `AuthError`."""


class _Flight:
    """One fetch under way, for everybody who waits for it."""

    __slots__ = ("done", "error")

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.error: AuthError | None = None


class _Entry:
    """What is known of one key."""

    __slots__ = ("error", "expires_at", "flight", "refresh_at", "value")

    def __init__(self) -> None:
        self.value = ""
        self.refresh_at = self.expires_at = float("-inf")
        self.flight: _Flight | None = None
        self.error: AuthError | None = None


class TokenCache:
    """Keeps tokens; at most one fetch per key is under way, however many calls wait for it.

    A token is renewed ahead of its expiry by the first call that finds it old; while it does, all others go on with the
    old one. A fetch that fails wakes all who wait with the same error, once. A refusal that cannot heal by repeating
    (`AuthError.is_permanent`) is remembered: what was refused for good is not asked again.

    Args:
        clock: Gives seconds.
        emit: Is told of each token fetched.
    """

    # Renewal begins this long before expiry, at most; a fifth of the lifetime for short-lived tokens. (Amazon's are
    # valid for 3600 s; its own SDKs use margins of 30 to 300 s.)
    ahead = 300.0
    # A token with less left than this is not used: it could expire on the way.
    margin = 15.0

    def __init__(self, *, clock: Callable[[], float], emit: Emit) -> None:
        self._clock = clock
        self._emit = emit
        self._entries: dict[Hashable, _Entry] = {}

    def fresh(self, key: Hashable) -> str | None:
        """Return the token if there is one that needs no renewal yet: the case of nearly every call."""
        entry = self._entries.get(key)
        return entry.value if entry is not None and self._clock() < entry.refresh_at else None

    async def get(self, key: Hashable, fetch: Fetch, kind: str) -> str:
        """Return a token that is valid now, fetching one if need be.

        Args:
            key: What the token is for. It must hold the application and the selling partner or scope.
            fetch: Fetches a new one.
            kind: `access`, `grantless` or `restricted`, for the event.

        Raises:
            AuthError: It could not be fetched.
        """
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry()
        while True:
            now = self._clock()
            if now < entry.refresh_at:
                return entry.value
            if entry.error is not None:
                raise entry.error.for_operation(None) from entry.error
            is_usable = now < entry.expires_at
            if entry.flight is None:
                try:
                    await self._fetch(entry, fetch, kind)
                except AuthError as error:
                    # Still good for a while: a passing fault of the token endpoint is no reason to fail this call.
                    if not is_usable or error.is_permanent:
                        raise
                    entry.refresh_at = min(entry.expires_at, self._clock() + self.margin)
                return entry.value
            if is_usable:
                return entry.value
            flight = entry.flight
            await flight.done.wait()
            if flight.error is not None:
                raise flight.error.for_operation(None) from flight.error
            # The one who fetched may have been cancelled; then the next in this loop takes over.

    def refuse(self, key: Hashable, value: str) -> None:
        """Take note that Amazon refused this token; unless it was renewed since, it is not used again."""
        entry = self._entries.get(key)
        if entry is not None and entry.value == value:
            entry.refresh_at = entry.expires_at = float("-inf")

    async def _fetch(self, entry: _Entry, fetch: Fetch, kind: str) -> None:
        flight = entry.flight = _Flight()
        began = self._clock()
        try:
            token = await fetch()
        except AuthError as error:
            flight.error = error
            if error.is_permanent:
                entry.error = error
            raise
        else:
            now = self._clock()
            # Counted from before the request, since the lifetime began some time before the answer was here.
            entry.value = token.value
            entry.expires_at = began + max(token.expires_in - self.margin, token.expires_in / 2)
            entry.refresh_at = began + token.expires_in - min(self.ahead, token.expires_in / 5) - self.margin
            entry.refresh_at = min(max(entry.refresh_at, now), entry.expires_at)
            self._emit(TokenRefreshed(kind=kind, expires_in=token.expires_in, elapsed=now - began))
        finally:
            entry.flight = None
            flight.done.set()
