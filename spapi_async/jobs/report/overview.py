"""How far a job is, or what it came to: one picture of what its journal says. Pure."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import PurePath

import attrs

from ..ledger import Count, JobRecord, Outcomes, PlanNote, ReasonCount, Run
from ..row import State
from ..windows import HORIZON, Windows

__all__ = [
    "RECENT",
    "STEP",
    "Figures",
    "Overview",
    "Part",
    "Reason",
    "Standing",
    "fold",
    "group",
    "name_of",
    "overview",
    "plain",
    "title_of",
]

RECENT, STEP = 60.0, 5.0
"""Seconds over which the pace is measured, and of the intervals in which its outcomes are counted."""

_LEAST = 10.0
"""Seconds: over less, a few outcomes would make any pace."""

_MOST_REASONS = 20


class Standing:
    """What a job does now, in words."""

    ENDED = "ended"
    RUNNING = "running"
    READING = "reading its source"
    WAITING = "not running"
    """Rows wait, and no process has it open."""


@attrs.frozen(kw_only=True)
class Reason:
    """Rows that have an outcome for the same sort of reason.

    Args:
        state: REFUSED or IN_DOUBT.
        words: The reason. If it differed from row to row, each part with digits in it is "…".
        count: How many rows.
    """

    state: State
    words: str
    count: int


@attrs.frozen(kw_only=True)
class Figures:
    """How many rows stand where, and how fast they go.

    Args:
        sent: Rows that were sent.
        refused: By Amazon.
        in_doubt: May have been sent.
        waiting: Nothing was sent, and nobody has them in hand.
        in_hand: A process has them in hand.
        pace: Outcomes a second over the last minute.
        rate: What the usage plan allows, in requests/s; None when no plan was noted. Of several parts the sum over
            those that are not done.
        left: How long the rest takes by the plan and in the job's windows, in seconds; None when no plan was noted.
        reasons: Why rows were refused or are in doubt, the most frequent first; rare ones are one, "other reasons".
    """

    sent: int = 0
    refused: int = 0
    in_doubt: int = 0
    waiting: int = 0
    in_hand: int = 0
    pace: float = 0.0
    rate: float | None = None
    left: float | None = 0.0
    reasons: Sequence[Reason] = ()

    @property
    def settled(self) -> int:
        """How many rows have an outcome."""
        return self.sent + self.refused + self.in_doubt

    @property
    def unsettled(self) -> int:
        """How many rows have none."""
        return self.waiting + self.in_hand

    @property
    def total(self) -> int:
        """All rows."""
        return self.settled + self.unsettled


@attrs.frozen(kw_only=True)
class Part(Figures):
    """The rows of one selling partner and kind.

    Args:
        selling_partner: What people see for the selling partner.
        kind: The kind.
    """

    selling_partner: str
    kind: str


@attrs.frozen(kw_only=True)
class Overview:
    """A job at a moment.

    Args:
        job: What the journal knows of it.
        now: The moment, in seconds since 1970.
        whole: The sums of all parts.
        parts: Each selling partner and kind: those with rows in doubt first, then those with most refused, then those
            with most to do.
    """

    job: JobRecord
    now: float
    whole: Figures
    parts: Sequence[Part]

    @property
    def standing(self) -> str:
        """What the job does now; see `Standing`."""
        if self.job.ended is not None:
            return Standing.ENDED
        if not self.job.is_open:
            return Standing.WAITING
        is_reading = self.job.loaded is None and not self.whole.settled
        return Standing.READING if is_reading else Standing.RUNNING

    @property
    def elapsed(self) -> float:
        """Seconds from the job's beginning to its end, or until now."""
        return max(0.0, (self.now if self.job.ended is None else self.job.ended) - self.job.begun)


def overview(
    job: JobRecord,
    counts: Iterable[Count],
    recent: Iterable[Outcomes],
    plans: Iterable[PlanNote],
    reasons: Iterable[ReasonCount],
    now: float,
    windows: Windows | None = None,
    marketplaces: Sequence[str] = ("",),
) -> Overview:
    """Put together what a journal says of a job.

    Args:
        job: The job.
        counts: Its rows by selling partner, kind and state.
        recent: The outcomes of the last `RECENT` seconds, in intervals of `STEP`.
        plans: Its usage plans, in the order of their moments.
        reasons: Why rows were refused or are in doubt.
        now: The moment of all that, in seconds since 1970.
        windows: When its rows may go out. None: at any time.
        marketplaces: Of the rows, for windows that go by their clocks: the last to be through counts.
    """
    moment = datetime.fromtimestamp(now, UTC)

    @cache  # of a thousand parts, many have as many rows and the same plan
    def left_of(rows: int, rate: float) -> float:
        if windows is None:
            return rows / rate
        try:
            ends = max(windows.ends(moment, rows, rate, 0.0, marketplace_id) for marketplace_id in marketplaces)
        except OverflowError:
            return HORIZON.total_seconds()
        return (ends - moment).total_seconds()

    names = {(run.selling_partner, run.kind): name_of(run) for run in job.runs}
    states: dict[tuple[str, str], Counter[State]] = {who: Counter() for who in names}
    for count in counts:
        states.setdefault((count.selling_partner, count.kind), Counter())[count.state] += count.count
    lately: dict[tuple[str, str], list[Outcomes]] = defaultdict(list)
    for outcome in recent:
        lately[outcome.selling_partner, outcome.kind].append(outcome)
    rates = {(note.selling_partner, note.kind): note.rate for note in plans}
    why: dict[tuple[str, str], list[ReasonCount]] = defaultdict(list)
    for reason in reasons:
        why[reason.selling_partner, reason.kind].append(reason)

    parts = []
    for who, by_state in states.items():
        rate = rates.get(who)
        unsettled = by_state[State.READY] + by_state[State.CLAIMED] + by_state[State.SENDING]
        left = 0.0 if not unsettled else left_of(unsettled, rate) if rate else None
        parts.append(
            Part(
                selling_partner=names.get(who) or _short(who[0]),
                kind=who[1],
                sent=by_state[State.SENT],
                refused=by_state[State.REFUSED],
                in_doubt=by_state[State.IN_DOUBT],
                waiting=by_state[State.READY],
                in_hand=by_state[State.CLAIMED] + by_state[State.SENDING],
                pace=_pace(lately[who], rate, now),
                rate=rate,
                left=left,
                reasons=group(why[who]),
            )
        )
    parts.sort(key=lambda part: (-part.in_doubt, -part.refused, -part.unsettled, part.selling_partner, part.kind))
    whole = attrs.evolve(fold(parts), reasons=group(each for several in why.values() for each in several))
    return Overview(job=job, now=now, whole=whole, parts=parts)


def fold(parts: Iterable[Figures]) -> Figures:
    """Sum several parts up, without their reasons. They run side by side, so the slowest one says how long it takes."""
    parts = list(parts)
    active = [part for part in parts if part.unsettled]
    rates = [part.rate for part in active if part.rate is not None]
    left = [part.left for part in active if part.left is not None]
    return Figures(
        sent=sum(part.sent for part in parts),
        refused=sum(part.refused for part in parts),
        in_doubt=sum(part.in_doubt for part in parts),
        waiting=sum(part.waiting for part in parts),
        in_hand=sum(part.in_hand for part in parts),
        pace=sum(part.pace for part in parts),
        rate=sum(rates) if rates else None,
        left=None if len(left) < len(active) else max(left, default=0.0),
    )


def group(reasons: Iterable[ReasonCount]) -> Sequence[Reason]:
    """Take reasons together that differ only in dates, ids and numbers."""
    groups: dict[tuple[State, Sequence[str]], _Group] = {}
    for each in reasons:
        start = found.end() if (found := _ANSWERED.match(each.reason)) else 0  # 403 and 404 are not the same
        first, *rest = _WITH_DIGIT.split(each.reason[start:])
        known = groups.setdefault((each.state, (each.reason[:start] + first, *rest)), _Group())
        known.add(_WITH_DIGIT.findall(each.reason, start), each.count)
    grouped = [
        Reason(state=state, words=plain(known.between(words)) or "no reason given", count=known.count)
        for (state, words), known in groups.items()
    ]
    grouped.sort(key=lambda reason: (-reason.count, reason.state, reason.words))
    shown = grouped[:_MOST_REASONS]
    for state in (State.REFUSED, State.IN_DOUBT):
        rare = [reason.count for reason in grouped[_MOST_REASONS:] if reason.state is state]
        if rare:
            others = "1 other reason" if len(rare) == 1 else f"{len(rare):,} other reasons"
            shown.append(Reason(state=state, words=others, count=sum(rare)))
    return shown


_ANSWERED = re.compile(r"Amazon answered \d+: ")
# A word with a digit in it: an order id, a moment, a number, another id. It begins and ends as a word does.
_WITH_DIGIT = re.compile(r"(?<![\w.+:/#-])(?:[^\W\d]|[.+:/#-])*+\d(?:[\w.+:/#-]*\w)?")


class _Group:
    """Reasons that have the same words between those with digits."""

    def __init__(self) -> None:
        self.count = 0
        self._digits: list[str] = []

    def add(self, digits: list[str], count: int) -> None:
        """Add rows with a reason; of the words with digits those stay that are the same in all."""
        if self.count:
            digits = [old if old == new else "…" for old, new in zip(self._digits, digits, strict=True)]
        self._digits = digits
        self.count += count

    def between(self, words: Sequence[str]) -> str:
        """Return the whole reason."""
        return "".join(part for pair in zip(words, [*self._digits, ""], strict=True) for part in pair)


def _pace(outcomes: Sequence[Outcomes], rate: float | None, now: float) -> float:
    if not outcomes:
        return 0.0
    # From the first of them on, so that a job that has just begun is not said to be slow; but a single outcome of a
    # plan of one in a minute is no pace.
    span = now - min(outcome.since for outcome in outcomes)
    least = min(RECENT, max(_LEAST, 1 / rate if rate else 0.0))
    return sum(outcome.count for outcome in outcomes) / min(RECENT, max(least, span))


def name_of(run: Run) -> str:
    """Return what people see for a selling partner: what it was labelled, else the beginning of its digest."""
    return plain(run.label) or _short(run.selling_partner)


def _short(digest: str) -> str:
    return f"seller {digest[:8]}"


def title_of(job: JobRecord) -> str:
    """Return what people see for a job: its name, else that of its file, else its number."""
    return plain(job.name) or plain(PurePath(job.source).name) or f"job {job.number}"


def plain(text: str) -> str:
    """Put words from outside into one line of printable characters: no control codes, nothing that turns its order."""
    text = " ".join(text.split())
    return (
        text
        if text.isprintable()
        else "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    )
