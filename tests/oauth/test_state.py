"""States, and the store of those that came back."""

from __future__ import annotations

import pickle
import traceback
from typing import Any

import pytest
from hypothesis import given, strategies as st

from spapi_async import (
    AlteredCallbackError,
    ConfigError,
    ConsentError,
    ExpiredStateError,
    ReplayedStateError,
    WrongStateError,
    oauth,
)
from spapi_async.oauth.state import Signer, make_state, read_state

KEY = b"k" * 32
NOW = 1_800_000_000.0
STATE = make_state(Signer(KEY, "session"), now=NOW, nonce=bytes(range(16)), selling_partner_id="A1")
CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.=+/ \n\0äé漢"


def read(state: str, *, key: bytes = KEY, session: str = "session", now: float = NOW, lifetime: float = 600.0) -> Any:
    return read_state(Signer(key, session), state, now=now, lifetime=lifetime)


# -- the rules


@given(
    session=st.text(),
    nonce=st.binary(min_size=16, max_size=16),
    now=st.floats(min_value=0, max_value=1e13),
    key=st.binary(min_size=32, max_size=80),
    partner=st.none() | st.text(min_size=1),
)
def test_a_state_is_taken_back(session: str, nonce: bytes, now: float, key: bytes, partner: str | None) -> None:
    """Whatever session, key and time it was made with; it can go into a URL as it is."""
    state = make_state(Signer(key, session), now=now, nonce=nonce, selling_partner_id=partner)
    found = read(state, key=key, session=session, now=now)
    assert found.issued_at == int(now)
    if partner:
        found.check_partner(partner)
    assert all(char.isascii() and (char.isalnum() or char in "-_.") for char in state)


@given(place=st.integers(0, len(STATE)), change=st.text(CHARACTERS, max_size=3), length=st.integers(0, 3))
def test_any_tampering_is_refused(place: int, change: str, length: int) -> None:
    """Not one character can be changed, added or left out."""
    state = STATE[:place] + change + STATE[place + length :]
    if state != STATE:
        with pytest.raises(WrongStateError):
            read(state)


def test_no_other_text_stands_for_the_same_bytes() -> None:
    """The last character of base64 has bits that mean nothing: they count all the same."""
    for place in (STATE.index(".", 10) - 1, len(STATE) - 1):
        for char in CHARACTERS.replace(STATE[place], ""):
            with pytest.raises(WrongStateError):
                read(STATE[:place] + char + STATE[place + 1 :])


@given(session=st.text(), key=st.binary(min_size=32, max_size=40), parts=st.permutations([0, 1, 2, 3]))
def test_another_session_or_key(session: str, key: bytes, parts: list[int]) -> None:
    """A state of another session, of another key, or put together from parts of two, is refused."""
    other = make_state(Signer(KEY, "session"), now=NOW + 1, nonce=bytes(16), selling_partner_id="A2")
    if session != "session":
        with pytest.raises(WrongStateError):
            read(STATE, session=session)
    if key != KEY:
        with pytest.raises(WrongStateError):
            read(STATE, key=key)
    pieces = [STATE.split("."), other.split(".")]
    mixed = ".".join(pieces[part % 2][place] for place, part in enumerate(parts))
    if mixed not in (STATE, other):
        with pytest.raises(WrongStateError):
            read(mixed)


@given(st.text())
def test_a_text_that_is_no_state(text: str) -> None:
    """Whatever a browser brings."""
    with pytest.raises(WrongStateError):
        read(text)


@pytest.mark.parametrize("age", [0, 600, -60])
def test_a_state_in_time(age: float) -> None:
    """It is valid for its lifetime, and our machines' clocks may differ by a minute."""
    assert read(STATE, now=NOW + age)


@pytest.mark.parametrize("age", [600.001, 601, 86400, -60.001, -3600])
def test_a_state_out_of_time(age: float) -> None:
    """After its lifetime it has an error of its own."""
    with pytest.raises(ExpiredStateError):
        read(STATE, now=NOW + age)


def test_a_wrong_state_is_wrong_before_it_is_old() -> None:
    """Who made it up is not told how old a right one may be."""
    with pytest.raises(WrongStateError):
        read(STATE, session="another", now=NOW + 86400)


def test_a_state_for_one_selling_partner() -> None:
    """In the Appstore workflow, who comes back must be who was sent away; else whoever it is."""
    with pytest.raises(AlteredCallbackError, match="selling_partner_id is not the one"):
        read(STATE).check_partner("A2")
    read(make_state(Signer(KEY, "session"), now=NOW, nonce=bytes(16))).check_partner("A2")


# -- the object


def test_two_states_differ(states: oauth.States) -> None:
    """Each has a random number of its own."""
    assert len({states.make("session") for _ in range(100)}) == 100


def test_randomness_comes_in(clock: Any) -> None:
    """With the same time and randomness, the same state."""
    made = [oauth.States("k" * 32, clock=clock, random=bytes).make("s") for _ in range(2)]
    assert made[0] == made[1]


@pytest.mark.parametrize("key", ["", "kkk", "k" * 31, b"k" * 31])
def test_a_short_key(key: str | bytes) -> None:
    """A key that could be guessed is refused, and not shown."""
    with pytest.raises(ConfigError, match="at least 32 random bytes") as caught:
        oauth.States(key)
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    assert "kkk" not in f"{caught.value} {frames[-1].locals}"


def test_odd_settings(states: oauth.States) -> None:
    """A state that would be anybody's, or never valid, is refused when it is made."""
    with pytest.raises(ConfigError, match="session is empty"):
        states.make("")
    with pytest.raises(ConfigError, match="lifetime"):
        oauth.States("k" * 32, lifetime=0)


@pytest.mark.parametrize("session", ["", None])
def test_a_callback_without_a_session(states: oauth.States, session: str | None) -> None:
    """A browser that has no session brings nobody's state."""
    with pytest.raises(WrongStateError, match="without the session"):
        states.signer(session)


def test_the_key_does_not_show(states: oauth.States) -> None:
    """Neither in a repr nor in a pickle."""
    assert "kkk" not in repr(states)
    with pytest.raises(TypeError, match="holds a key"):
        pickle.dumps(states)


@pytest.mark.anyio
class TestUse:
    async def test_a_state_is_used_once(self, states: oauth.States) -> None:
        """The second time has an error of its own, and other states go on."""
        one, two = (
            states.check(states.make("s"), states.signer("s")),
            states.check(states.make("s"), states.signer("s")),
        )
        await states.use(one)
        with pytest.raises(ReplayedStateError):
            await states.use(one)
        await states.use(two)

    async def test_it_is_remembered_for_as_long_as_it_is_valid(self, states: oauth.States, clock: Any) -> None:
        """At no moment can it be used again: it is forgotten only when it has expired, also by a clock that is slow."""
        state = states.make("s")
        clock.now += 100
        await states.use(states.check(state, states.signer("s")))
        clock.now += 499.9
        with pytest.raises(ReplayedStateError):
            await states.use(states.check(state, states.signer("s")))
        clock.now += 1
        with pytest.raises(ExpiredStateError):
            states.check(state, states.signer("s"))

    async def test_another_store(self, clock: Any) -> None:
        """A store is told the name and for how long; what it is not told is the state."""
        asked: list[tuple[str, float]] = []

        class Store:
            async def use(self, name: str, *, expires_in: float) -> bool:
                asked.append((name, expires_in))
                return len(asked) == 1

        states = oauth.States("k" * 32, clock=clock, store=Store())
        state = states.make("s")
        clock.now += 10
        found = states.check(state, states.signer("s"))
        await states.use(found)
        with pytest.raises(ReplayedStateError):
            await states.use(found)
        assert asked == [(found.name, 650.0)] * 2
        assert state.rpartition(".")[2] not in found.name

    async def test_the_memory_has_a_bound(self, clock: Any) -> None:
        """A full store refuses rather than forgets what could be replayed, and has room again as states expire."""
        store = oauth.MemoryStateStore(limit=2, clock=clock)
        assert await store.use("a", expires_in=10)
        assert await store.use("b", expires_in=5)
        assert not await store.use("a", expires_in=10)
        with pytest.raises(ConsentError, match="2 consents came back"):
            await store.use("c", expires_in=10)
        clock.now += 6
        assert await store.use("c", expires_in=10)
        assert not await store.use("a", expires_in=10)
