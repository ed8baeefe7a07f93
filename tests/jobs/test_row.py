from __future__ import annotations

from itertools import product

import pytest

from spapi_async.errors import JobError
from spapi_async.jobs.row import TRANSITIONS, Admission, Move, Row, State, Stored, admit


def row(state: State = State.READY) -> Row:
    return Row(number=7, kind="k", order_id="902-0000001-0000001", body={"text": "hello"}, state=state)


@pytest.mark.parametrize(("state", "move"), [*product(State, Move)])
def test_whatever_is_not_in_the_table_is_refused(state: State, move: Move) -> None:
    """A row moves as the table says, and every other move raises an error that names line, state and move."""
    if (state, move) in TRANSITIONS:
        assert TRANSITIONS[state, move] is row(state).after(move).state
    else:
        with pytest.raises(JobError, match=f"line 7: a row that is {state} cannot {move}"):
            row(state).after(move)


@pytest.mark.parametrize("settled", [State.SENT, State.IN_DOUBT])
def test_who_may_have_a_message_never_gets_another(settled: State) -> None:
    """No way leads out of SENT or IN_DOUBT."""
    assert [move for state, move in TRANSITIONS if state is settled] == []


def test_sending_is_the_only_way_to_the_wire() -> None:
    """SENDING is entered by `begin` alone, and a row is SENT or IN_DOUBT only after it."""
    assert {Move.BEGIN} == {move for (_, move), to in TRANSITIONS.items() if to is State.SENDING}
    into = {state for (state, _), to in TRANSITIONS.items() if to in (State.SENT, State.IN_DOUBT)}
    assert {State.SENDING} == into


@pytest.mark.parametrize(("state", "move"), [*TRANSITIONS])
def test_the_text_goes_when_the_row_is_settled(state: State, move: Move) -> None:
    """A settled row keeps no text; one that still waits does."""
    after = row(state).after(move)
    assert after.state.is_settled == (after.body == {})


def test_attempts_count_exchanges() -> None:
    """An attempt counts when its exchange begins, whether or not it comes to anything."""
    begun = row(State.CLAIMED).after(Move.BEGIN)
    assert begun.after(Move.UNSENT).after(Move.BEGIN).attempts == 2


def test_the_text_is_not_shown() -> None:
    """A row's repr holds no buyer's text."""
    assert "hello" not in repr(row())


S, A = State, Admission


@pytest.mark.parametrize(
    ("state", "same_text", "same_run", "retry", "expected"),
    [
        (S.READY, True, True, False, A.REPEATED),
        (S.READY, False, True, False, A.REPEATED),
        (S.SENT, True, True, True, A.REPEATED),
        (S.READY, True, False, False, A.RESUMED),
        (S.READY, False, False, False, A.RESUMED),
        (S.SENT, True, False, True, A.ALREADY_SENT),
        (S.SENT, False, False, True, A.CHANGED),
        (S.REFUSED, True, False, False, A.ALREADY_REFUSED),
        (S.REFUSED, False, False, False, A.REOPENED),
        (S.REFUSED, True, False, True, A.REOPENED),
        (S.IN_DOUBT, True, False, True, A.IN_DOUBT),
        (S.IN_DOUBT, False, False, True, A.IN_DOUBT),
    ],
)
def test_what_becomes_of_a_row_that_comes_again(
    state: State, same_text: bool, same_run: bool, retry: bool, expected: Admission
) -> None:
    """A row that comes again is sent only if nothing was sent for it, and a refused one only if something changed."""
    stored = Stored(row=row(state), digest=b"one", run=1)
    assert expected is admit(stored, b"one" if same_text else b"two", 1 if same_run else 2, retry)


def test_a_row_that_nobody_knows_is_new() -> None:
    """A row that the journal does not know is sent."""
    assert Admission.NEW is admit(None, b"one", 1, False)
