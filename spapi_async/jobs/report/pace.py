"""The outcomes of a job over time, beside what its usage plans allowed. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import attrs

from ..ledger import JobRecord, Outcomes, PlanNote
from ..row import State

__all__ = ["MOST_BINS", "Bin", "Pace", "pace_of", "width_for"]

MOST_BINS = 200

_WIDTHS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
"""Seconds; what people think in. Longer ones are whole days."""


@attrs.frozen(kw_only=True)
class Bin:
    """An interval of a job.

    Args:
        since: Its beginning, in seconds since 1970.
        sent: Rows that were sent in it.
        refused: Rows that were refused.
        in_doubt: Rows that came to be in doubt.
        plan: What the usage plans allowed, in requests/s; None when none was noted.
    """

    since: float
    sent: int = 0
    refused: int = 0
    in_doubt: int = 0
    plan: float | None = None

    @property
    def count(self) -> int:
        """All outcomes in it."""
        return self.sent + self.refused + self.in_doubt


@attrs.frozen(kw_only=True)
class Pace:
    """The outcomes of a job over time.

    Args:
        width: The length of a bin, in seconds.
        bins: Side by side from the job's beginning to its last outcome, `MOST_BINS` at most; empty without outcomes.
        earlier: Rows that had their outcome before the job began: its file was run before.
    """

    width: float
    bins: Sequence[Bin]
    earlier: int = 0

    @property
    def count(self) -> int:
        """All outcomes in the bins."""
        return sum(each.count for each in self.bins)

    @property
    def average(self) -> float:
        """Outcomes a second from the first to the last bin that has any; 0.0 without."""
        busy = [number for number, each in enumerate(self.bins) if each.count]
        return self.count / ((busy[-1] - busy[0] + 1) * self.width) if busy else 0.0


def width_for(span: float) -> float:
    """Return the length of a bin that covers so many seconds with `MOST_BINS` at most."""
    # Bins begin at whole multiples of their width, so one more may be needed.
    least = span / (MOST_BINS - 1)
    return next((float(width) for width in _WIDTHS if width >= least), 86_400.0 * -(-least // 86_400))


def pace_of(
    job: JobRecord,
    outcomes: Iterable[Outcomes],
    plans: Sequence[PlanNote],
    waiting: Iterable[tuple[str, str]],
    now: float,
    width: float,
) -> Pace:
    """Put the outcomes of a job into bins.

    Args:
        job: The job.
        outcomes: Its outcomes, in intervals of `width`.
        plans: Its usage plans, in the order of their moments.
        waiting: The selling partners (by digest) and kinds of which rows have no outcome yet: their plan still counts.
        now: The moment of all that, in seconds since 1970.
        width: The length of a bin, in seconds: `width_for` the time from the job's beginning to its last outcome.
    """
    counts: dict[float, dict[State, int]] = defaultdict(lambda: defaultdict(int))
    last: dict[tuple[str, str], float] = {}
    earlier = 0
    for outcome in outcomes:
        if outcome.since + width <= job.begun:
            earlier += outcome.count
            continue
        counts[outcome.since][outcome.state] += outcome.count
        who = (outcome.selling_partner, outcome.kind)
        last[who] = max(last.get(who, 0.0), outcome.since)
    if not counts:
        return Pace(width=width, bins=(), earlier=earlier)
    last |= dict.fromkeys(waiting, now)
    first, end = job.begun // width, max(counts) // width
    starts = [(first + n) * width for n in range(int(end - first) + 1)]
    bins = [
        Bin(
            since=start,
            sent=counts[start][State.SENT],
            refused=counts[start][State.REFUSED],
            in_doubt=counts[start][State.IN_DOUBT],
            plan=plan,
        )
        for start, plan in zip(starts, _allowed(plans, last, starts, width), strict=True)
    ]
    return Pace(width=width, bins=bins, earlier=earlier)


def _allowed(
    plans: Iterable[PlanNote], last: Mapping[tuple[str, str], float], starts: Sequence[float], width: float
) -> Sequence[float | None]:
    """Return what all plans together allowed in each bin: that of a part from its first note to its last outcome."""
    notes: dict[tuple[str, str], list[PlanNote]] = defaultdict(list)
    for note in plans:
        notes[note.selling_partner, note.kind].append(note)
    allowed: list[float | None] = [None] * len(starts)
    for who, several in notes.items():
        for index in range(
            max(0, bisect_right(starts, several[0].moment) - 1), bisect_right(starts, last.get(who, 0.0))
        ):
            # Of several in one bin the last.
            known = bisect_right(several, starts[index] + width, key=lambda note: note.moment)
            allowed[index] = (allowed[index] or 0.0) + several[max(0, known - 1)].rate
    return allowed
