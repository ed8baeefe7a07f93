"""States as a site uses them: with its key, its clock, and a memory of those that came back."""

from __future__ import annotations

import heapq
import secrets
import time
from collections.abc import Callable
from typing import Protocol

from ..errors import ConfigError, ConsentError, ReplayedStateError, WrongStateError
from .state import AHEAD, Signer, State, make_state, read_state

__all__ = ["MemoryStateStore", "StateStore", "States"]

_SHORTEST_KEY = 32  # bytes, as many as the signature has


class StateStore(Protocol):
    """Remembers which states came back, for all processes of a site.

    With Redis, `use` is one command: `SET name 1 NX EX expires_in`.
    """

    async def use(self, name: str, *, expires_in: float) -> bool:
        """Say whether this is the first use of a state, and remember it. Of two at once, one is the first.

        Args:
            name: Of the state.
            expires_in: Seconds after which it may be forgotten, since the state is no longer valid then.
        """
        ...


class MemoryStateStore:
    """A `StateStore` for a site of one process.

    Args:
        limit: How many states are remembered at most. When that many came back within their lifetime, further ones are
            refused: none is forgotten that could be replayed.
        clock: Gives seconds since 1970: that of `States`.
    """

    def __init__(self, *, limit: int = 100_000, clock: Callable[[], float] = time.time) -> None:
        self._limit = limit
        self._clock = clock
        self._names: set[str] = set()
        self._ends: list[tuple[float, str]] = []

    async def use(self, name: str, *, expires_in: float) -> bool:
        """As `StateStore.use`.

        Raises:
            ConsentError: The store is full.
        """
        now = self._clock()
        while self._ends and self._ends[0][0] < now:
            self._names.discard(heapq.heappop(self._ends)[1])
        if name in self._names:
            return False
        if len(self._names) >= self._limit:
            raise ConsentError(f"{self._limit} consents came back within minutes: no more can be remembered now")
        self._names.add(name)
        heapq.heappush(self._ends, (now + expires_in, name))
        return True


class States:
    """Makes the `state` of each consent, and checks it when it comes back.

    A state is valid for some minutes, once, and only in the session that it was made for. It is signed, so nothing is
    kept until it comes back.

    Args:
        key: At least 32 random bytes, or a text of as many, the same for all processes of a site; never shown.
            `secrets.token_urlsafe(32)` makes one. With a new key, consents under way have to be given anew.
        store: Remembers which states came back. Default: a `MemoryStateStore`, right for one process.
        lifetime: Seconds that a state is valid. Amazon gives a selling partner 10 minutes.
        clock: Gives seconds since 1970.
        random: Gives so many random bytes.

    Raises:
        ConfigError: The key is too short, or an argument is wrong.
    """

    def __init__(
        self,
        key: str | bytes,
        *,
        store: StateStore | None = None,
        lifetime: float = 600.0,
        clock: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._key = key.encode() if isinstance(key, str) else key
        del key  # a traceback that shows locals shall not show it
        if len(self._key) < _SHORTEST_KEY:
            raise ConfigError(f"the key of States must have at least {_SHORTEST_KEY} random bytes")
        if not lifetime > 0:
            raise ConfigError("the lifetime of States must be more than 0 seconds")
        self._store: StateStore = MemoryStateStore(clock=clock) if store is None else store
        self.lifetime = lifetime
        self.clock = clock
        self._random = random

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("States holds a key and is not pickled: make it in each process")

    def make(self, session: str, *, selling_partner_id: str | None = None) -> str:
        """Make a state.

        Args:
            session: A value that only this user's session has, as a random session id in a cookie. It is not a part of
                the state.
            selling_partner_id: Who is expected back, where Amazon has said so: in the Appstore workflow.

        Raises:
            ConfigError: The session is empty: the state would be anybody's.
        """
        if not session:
            raise ConfigError("session is empty: give a value that only this user's session has")
        signer = Signer(self._key, session)
        return make_state(signer, now=self.clock(), nonce=self._random(16), selling_partner_id=selling_partner_id)

    def signer(self, session: str | None) -> Signer:
        """Give what `check` needs of a session.

        Args:
            session: The value that this user's session has now; None or "" when there is no session.

        Raises:
            WrongStateError: There is no session, so no state can be its.
        """
        if not session:
            raise WrongStateError("the callback came without the session that the state belongs to")
        return Signer(self._key, session)

    def check(self, state: str, signer: Signer) -> State:
        """Check a state that came back, but for whether it was used before.

        Args:
            state: As it came.
            signer: Of the session that it came with.

        Raises:
            WrongStateError: It is not ours, or of another session.
            ExpiredStateError: It is too old.
        """
        return read_state(signer, state, now=self.clock(), lifetime=self.lifetime)

    async def use(self, state: State) -> None:
        """Use up a state that was checked.

        Raises:
            ReplayedStateError: It was used before.
        """
        # For as long as any of our clocks can take it for valid.
        expires_in = state.issued_at + self.lifetime + AHEAD - self.clock()
        if not await self._store.use(state.name, expires_in=expires_in):
            raise ReplayedStateError("the state was used before: the callback came twice")
