from __future__ import annotations

from itertools import product

import pytest

from spapi_async.errors import JobError
from spapi_async.jobs.row import LATE, TRANSITIONS, Admission, Move, Row, State, Stored, admit


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


def test_who_has_a_message_never_gets_another() -> None:
    """No way leads out of SENT, neither by a move nor by what a process says that lost its lease."""
    assert [move for state, move in [*TRANSITIONS, *LATE] if state is State.SENT] == []


def test_out_of_doubt_leads_only_knowledge_or_a_person() -> None:
    """A row in doubt goes nowhere by itself: Amazon's answer, or a person's decision, takes it out."""
    assert {move for state, move in TRANSITIONS if state is State.IN_DOUBT} == {Move.CONFIRM, Move.REFUTE, Move.RESEND}
    assert {Move.REFUTE, Move.RESEND, Move.UNSENT} == {
        move for (state, move), to in [*TRANSITIONS.items(), *LATE.items()] if (state, to) == (State.IN_DOUBT, S.READY)
    }


def test_sending_is_the_only_way_to_the_wire() -> None:
    """SENDING is entered by `begin` alone, and a row is IN_DOUBT only after it, and SENT after it or in hindsight."""
    assert {Move.BEGIN} == {move for (_, move), to in TRANSITIONS.items() if to is State.SENDING}
    into = {(state, move) for (state, move), to in TRANSITIONS.items() if to in (State.SENT, State.IN_DOUBT)}
    assert {State.SENDING} == {state for state, _ in into - {(State.IN_DOUBT, Move.CONFIRM)}}


def test_a_late_answer_takes_no_row_in_hand() -> None:
    """Who lost its lease gets no row back by it: what it says settles the row, or makes it ready for others."""
    assert not any(state.is_held for state in LATE.values())
    accepted = row(State.CLAIMED).after(Move.ACCEPT, is_late=True)
    assert (accepted.state, accepted.body) == (State.SENT, {})


@pytest.mark.parametrize(("state", "move"), [*TRANSITIONS])
def test_the_text_goes_when_it_is_needed_no_more(state: State, move: Move) -> None:
    """A row that is SENT or REFUSED keeps no text, unless it is told to; one that is in doubt may have to be resent."""
    after = row(state).after(move)
    assert (after.state in (State.SENT, State.REFUSED)) == (after.body == {})
    assert row(state).after(move, keep_body=True).body == {"text": "hello"}


def test_an_outcome_has_its_moment() -> None:
    """When a row was settled is kept; one that is not has none."""
    assert row(State.SENDING).after(Move.ACCEPT, at=7.0).settled == 7.0
    assert row(State.SENDING).after(Move.UNSENT, at=7.0).settled is None


def test_attempts_count_exchanges() -> None:
    """An attempt counts when its exchange begins, whether or not it comes to anything."""
    begun = row(State.CLAIMED).after(Move.BEGIN)
    assert begun.after(Move.UNSENT).after(Move.BEGIN).attempts == 2


def test_the_text_is_not_shown() -> None:
    """A row's repr holds no buyer's text."""
    assert "hello" not in repr(row())


S, A = State, Admission


@pytest.mark.parametrize(
    ("state", "same_text", "same_line", "retry", "expected"),
    [
        (S.READY, True, None, False, A.REPEATED),
        (S.READY, False, None, False, A.REPEATED),
        (S.SENT, True, None, True, A.REPEATED),
        (S.REFUSED, True, None, False, A.REPEATED),
        (S.REFUSED, True, None, True, A.REOPENED),
        (S.READY, True, True, False, A.RESUMED),
        (S.SENT, True, True, False, A.ALREADY_SENT),
        (S.READY, True, False, False, A.RESUMED),
        (S.READY, False, False, False, A.RESUMED),
        (S.SENT, True, False, True, A.ALREADY_SENT),
        (S.SENT, False, False, True, A.CHANGED),
        (S.REFUSED, True, False, False, A.ALREADY_REFUSED),
        (S.REFUSED, False, False, False, A.REOPENED),
        (S.REFUSED, True, False, True, A.REOPENED),
        (S.IN_DOUBT, True, False, True, A.IN_DOUBT),
        (S.IN_DOUBT, False, False, True, A.IN_DOUBT),
        (S.CLAIMED, False, False, True, A.IN_HAND),
        (S.SENDING, False, False, True, A.IN_HAND),
    ],
)
def test_what_becomes_of_a_row_that_comes_again(
    state: State, same_text: bool, same_line: bool | None, retry: bool, expected: Admission
) -> None:
    """A row that comes again is sent only if nothing was sent for it, and a refused one only if something changed.

    `same_line`: True for the same line of the same job, read again; None for another line of it; False for another job.
    """
    stored = Stored(row=row(state), digest=b"one", run=1)
    run, number = 2 if same_line is False else 1, 8 if same_line is None else 7
    assert expected is admit(stored, b"one" if same_text else b"two", run, number, retry)


def test_a_row_that_nobody_knows_is_new() -> None:
    """A row that the journal does not know is sent."""
    assert Admission.NEW is admit(None, b"one", 1, 7, False)
