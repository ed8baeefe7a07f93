from __future__ import annotations

import pytest

from spapi_async.jobs.ledger import JobRecord, Outcomes, PlanNote
from spapi_async.jobs.report.pace import MOST_BINS, pace_of, width_for
from spapi_async.jobs.row import State

BEGUN = 1_000_000.0


def record(begun: float = BEGUN) -> JobRecord:
    options = {"name": "", "source": "", "options": {}, "ended": None, "loaded": None, "rejected": 0, "runs": []}
    return JobRecord(number=1, begun=begun, is_open=True, **options)


def outcome(since: float, count: int, state: State = State.SENT, seller: str = "A") -> Outcomes:
    return Outcomes(since=since, selling_partner=seller, kind="K", state=state, count=count)


def plan(moment: float, rate: float, seller: str = "A") -> PlanNote:
    return PlanNote(moment=moment, selling_partner=seller, kind="K", rate=rate, burst=5)


@pytest.mark.parametrize(
    ("span", "width"), [(0, 1), (40, 1), (199, 1), (200, 2), (4000, 30), (86_400, 600), (200 * 86_400, 2 * 86_400)]
)
def test_no_more_bins_than_fit(span: float, width: float) -> None:
    """A bin is as short as people count time, and so long that 200 cover the job."""
    assert width_for(span) == width


def test_bins_stand_side_by_side() -> None:
    """From the beginning of the job to the last outcome there are no gaps; each outcome has its count."""
    found = pace_of(
        record(), [outcome(BEGUN, 5), outcome(BEGUN, 1, State.REFUSED), outcome(BEGUN + 20, 2, State.IN_DOUBT)],
        [], [], BEGUN + 100, 10,
    )  # fmt: skip
    assert [(each.since - BEGUN, each.sent, each.refused, each.in_doubt) for each in found.bins] == [
        (0, 5, 1, 0), (10, 0, 0, 0), (20, 0, 0, 2),
    ]  # fmt: skip
    assert found.count == 8
    assert found.average == pytest.approx(8 / 30)


def test_bins_are_never_too_many() -> None:
    """Whatever the beginning, the bins of the right width are 200 at most."""
    for span in (1, 199.5, 1000.1, 123_456.7, 9e6):
        width = width_for(span)
        for begun in (BEGUN, BEGUN + 0.99 * width):
            last = (begun + span) // width * width
            assert len(pace_of(record(begun), [outcome(last, 1)], [], [], begun + span, width).bins) <= MOST_BINS


def test_a_plan_counts_while_its_part_has_rows() -> None:
    """The plans of all parts are added, each from its first note to its last outcome, and changed when they change."""
    outcomes = [outcome(BEGUN, 1), outcome(BEGUN + 40, 1), outcome(BEGUN + 20, 1, seller="B")]
    plans = [plan(BEGUN + 2, 1.0), plan(BEGUN + 3, 0.5, "B"), plan(BEGUN + 31, 4.0)]
    found = pace_of(record(), outcomes, plans, [], BEGUN + 100, 10)
    assert [each.plan for each in found.bins] == [1.5, 1.5, 1.5, 4.0, 4.0]
    waiting = pace_of(record(), outcomes, plans, [("B", "K")], BEGUN + 100, 10)
    assert [each.plan for each in waiting.bins] == [1.5, 1.5, 1.5, 4.5, 4.5]
    late = pace_of(record(), outcomes, [plan(BEGUN + 25, 1.0)], [], BEGUN + 100, 10)
    assert [each.plan for each in late.bins] == [None, None, 1.0, 1.0, 1.0]


def test_what_came_before_the_job_is_counted_apart() -> None:
    """A file that is run again brings rows that had their outcome in an earlier job: they are none of its pace."""
    found = pace_of(record(), [outcome(BEGUN - 500, 7), outcome(BEGUN, 1)], [], [], BEGUN + 10, 10)
    assert (found.earlier, found.count) == (7, 1)
    nothing = pace_of(record(), [outcome(BEGUN - 500, 7)], [], [], BEGUN + 10, 10)
    assert (nothing.earlier, nothing.bins, nothing.average) == (7, (), 0.0)
