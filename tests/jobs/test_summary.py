from __future__ import annotations

from spapi_async.jobs.row import Admission
from spapi_async.jobs.summary import Tally


def test_every_line_is_counted_once() -> None:
    """The total is all lines of the source, whatever became of them."""
    tally = Tally(invalid=1)
    for admission in Admission:
        tally.admit(admission)
    assert tally.total == 1 + len(Admission)
    assert (tally.waiting, tally.already_sent, tally.refused, tally.in_doubt, tally.duplicates) == (4, 1, 1, 1, 2)


def test_the_pace_is_that_of_the_last_seconds() -> None:
    """The pace counts what was settled in the last ten seconds, and is 0 when nothing was."""
    tally = Tally(waiting=100)
    assert tally.pace(0.0) == 0.0
    for n in range(20):
        tally.settle(n * 0.5)
    assert tally.pace(10.0) == 2.0
    assert tally.pace(100.0) == 0.0


def test_what_is_left_takes_as_long_as_the_plan_says() -> None:
    """The time left is that of the usage plan, which is known before anything was sent."""
    assert Tally(waiting=30).seconds_left(0.5) == 60.0
