from __future__ import annotations

from spapi_async.jobs.row import Admission, State
from spapi_async.jobs.summary import Pace, Tally


def test_every_line_is_counted_once() -> None:
    """The total is all lines of the source, whatever became of them."""
    tally = Tally(invalid=1)
    for admission in Admission:
        tally.admit(admission)
    assert tally.total == 1 + len(Admission)
    assert (tally.waiting, tally.already_sent, tally.refused, tally.in_doubt, tally.duplicates) == (4, 1, 1, 1, 2)


def test_the_pace_is_that_of_the_last_seconds() -> None:
    """The pace counts what was settled in the last ten seconds, and is 0 when nothing was."""
    pace = Pace()
    assert pace.per_second(0.0) == 0.0
    for n in range(20):
        pace.note(n * 0.5)
    assert pace.per_second(10.0) == 2.0
    assert pace.per_second(100.0) == 0.0


def test_tallies_add_up() -> None:
    """The counts of several selling partners are summed; of none they are 0."""
    assert Tally.sum([Tally(sent=1, waiting=2), Tally(sent=3, refused=1)]) == Tally(sent=4, waiting=2, refused=1)
    assert Tally.sum([]) == Tally()


def test_a_tally_goes_on_by_what_the_journal_has() -> None:
    """What an earlier run sent counts as sent before, and what was in hand waits."""
    tally = Tally()
    tally.resume({State.SENT: 3, State.REFUSED: 1, State.IN_DOUBT: 2, State.READY: 4, State.CLAIMED: 1})
    assert tally == Tally(already_sent=3, refused=1, in_doubt=2, waiting=5)
