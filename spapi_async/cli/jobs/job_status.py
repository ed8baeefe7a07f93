"""`spapi-async jobs status`: how far a job is, read from its journal while it runs; once, or as a live screen."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TextIO

import attrs

from ...jobs.report.overview import Figures, Overview, Part, Reason, Standing, fold, title_of
from ...jobs.report.reading import Reader
from ...jobs.report.table import iso
from ...jobs.report.words import amount, duration as in_words, share
from ...jobs.row import State
from ..options import add_job
from ..progress import duration
from .text_table import Column, plain_table, rich_table

if TYPE_CHECKING:
    from rich.console import Console, Group

__all__ = ["Content", "Watch", "add_arguments", "content_of", "facts_of", "run"]

_MOST_PARTS, _MOST_REASONS = 20, 8
_EVERY, _LINE_EVERY = 1.0, 5.0
"""Seconds between two looks of a live screen, and between two lines where there is no terminal."""
_RARER = 10
"""Reading takes at most one part in so many of the time, or a big journal would slow the jobs down."""
_WIDE = 110
"""Characters from which on there is room for all columns."""
_BAR = "█▓▒·"
"""Sent, refused, in doubt, waiting: told apart without colours too."""

_STYLES = {State.SENT: "blue", State.REFUSED: "yellow", State.IN_DOUBT: "bold magenta"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = (
        "The journal is only read; that can be done while jobs run. --watch ends when the job has ended, or with "
        "Ctrl-C, which does nothing to the job."
    )
    add_job(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--watch", action="store_true", help="a live screen; without a terminal a line every 5 seconds")
    how.add_argument("--json", action="store_true", help="print a JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Print how far the job is; return 0.

    Raises:
        ConfigError: There is no such journal or job.
        JobError: The journal cannot be read.
    """
    reader = Reader(arguments.journal)
    console = _console() if sys.stdout.isatty() and not arguments.json else None
    if arguments.watch:
        watch = Watch(Look(reader, arguments.job, time.time, time.monotonic), time.sleep)
        with suppress(KeyboardInterrupt):
            watch.on_screen(console) if console else watch.in_lines(sys.stdout)
        if console is None or watch.seen is None:
            return 0
        found = watch.seen
    else:
        found = reader.overview(arguments.job, time.time())
    if arguments.json:
        print(json.dumps(facts_of(found), indent=2))
    elif console:
        console.print(_screen(found, console.width, None))
    else:
        print("\n".join(_lines(content_of(found, most_parts=None, is_wide=True))))
    return 0


def _console() -> Console | None:
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(highlight=False, markup=False)


# --- what is shown


@attrs.frozen(kw_only=True)
class Content:
    """What a screen or a page of plain text says.

    Args:
        title: The job.
        counts: Where its rows stand.
        notes: Its pace, and what else is to be known.
        columns: Those of the table of parts.
        parts: Its lines; none for a job of one part.
        reasons: How many rows are refused or in doubt, and why.
    """

    title: str
    counts: str
    notes: Sequence[str]
    columns: Sequence[Column]
    parts: Sequence[Sequence[str]]
    reasons: Sequence[Sequence[str]]


_REASON_COLUMNS = (Column("Rows", is_number=True), Column("Outcome"), Column("Reason"))


def content_of(
    overview: Overview, *, most_parts: int | None, is_wide: bool, most_reasons: int = _MOST_REASONS
) -> Content:
    """Put an overview into words.

    Args:
        overview: The job.
        most_parts: Lines for selling partners and kinds; all others are summed up in the last of them. None for all.
        is_wide: Whether there is room for all columns.
        most_reasons: Lines for reasons.
    """
    parts, whole = overview.parts, overview.whole
    has_kinds = len({part.kind for part in parts}) > 1
    columns, lines = _table(parts, most_parts, has_kinds, is_wide) if len(parts) > 1 else ((), ())
    return Content(
        title=" · ".join(_title(overview)),
        counts="   ".join(f"{glyph} {words}" for glyph, words in zip(_BAR, _counts(overview), strict=True)),
        notes=[note for note in (_pace(overview), _rejected(overview.job.rejected)) if note],
        columns=columns,
        parts=lines,
        reasons=[[f"{reason.count:,}", _outcome(reason), reason.words] for reason in whole.reasons[:most_reasons]],
    )


def _title(overview: Overview) -> Sequence[str]:
    job, parts = overview.job, overview.parts
    kinds, sellers = {part.kind for part in parts}, {part.selling_partner for part in parts}
    span = in_words(overview.elapsed)
    since = f"{overview.standing} after {span}" if job.ended is not None else f"{overview.standing}, begun {span} ago"
    return [
        f"job {job.number}, {since}",
        *([] if title_of(job) == f"job {job.number}" else [title_of(job)]),
        next(iter(kinds)) if len(kinds) == 1 else f"{len(kinds)} kinds",
        next(iter(sellers)) if len(sellers) == 1 else f"{len(sellers):,} selling partners",
    ]


def _counts(overview: Overview) -> Sequence[str]:
    whole = overview.whole
    whose = "in hand" if overview.job.is_open else "in hand of a process that is gone"
    in_hand = f" ({whole.in_hand:,} {whose})" if whole.in_hand else ""
    return [
        f"{whole.sent:,} sent",
        f"{whole.refused:,} refused",
        f"{whole.in_doubt:,} in doubt",
        f"{whole.unsettled:,} waiting{in_hand}",
    ]


def _pace(overview: Overview) -> str:
    whole = overview.whole
    match overview.standing:
        case Standing.ENDED:
            return ""
        case Standing.READING:
            return f"{whole.total:,} rows read so far"
        case Standing.WAITING if overview.job.source and overview.job.loaded is None:
            return "no process works on it, and its source was not read to the end: run the command again that began it"
        case Standing.WAITING:
            return "no process works on it; `spapi-async jobs resume` sends what waits"
    pace = f"{amount(whole.pace)} a second"
    if whole.rate:
        pace += f", {100 * whole.pace / whole.rate:.0f} % of the plan's {amount(whole.rate)}"
    if whole.left is None:
        return f"{pace}; no plan is known"
    return f"{pace}; {in_words(whole.left)} left by the plan, until {_when(overview)}"


def _when(overview: Overview) -> str:
    now = datetime.fromtimestamp(overview.now).astimezone()
    try:
        end = now + timedelta(seconds=overview.whole.left or 0.0)
    except OverflowError:
        return "after the year 9999"
    return f"{end:%H:%M:%S}" if end.date() == now.date() else f"{end:%Y-%m-%d %H:%M}"


def _rejected(count: int) -> str:
    if not count:
        return ""
    were = "line of the source was" if count == 1 else "lines of the source were"
    return f"{count:,} {were} rejected and became no row"


def _outcome(reason: Reason) -> str:
    return "refused" if reason.state is State.REFUSED else "in doubt"


def _table(
    parts: Sequence[Part], most: int | None, has_kinds: bool, is_wide: bool
) -> tuple[Sequence[Column], Sequence[Sequence[str]]]:
    shown, others = parts, parts[:0]
    if most is not None and len(parts) > most:
        shown, others = parts[: most - 1], parts[most - 1 :]
    columns = [
        Column("Selling partner"),
        *[Column("Kind")] * has_kinds,
        *[Column("Rows", is_number=True)] * is_wide,
        Column("Sent", is_number=True),
        Column("Refused", is_number=True, style=_STYLES[State.REFUSED]),
        Column("In doubt", is_number=True, style=_STYLES[State.IN_DOUBT]),
        Column("Waiting", is_number=True),
        Column("Left", is_number=True),
        Column("Pace/plan", is_number=True),
    ]

    def line(name: str, kind: str, figures: Figures) -> Sequence[str]:
        plan = "–" if figures.rate is None else amount(figures.rate)
        left = "–" if figures.left is None else duration(figures.left) if figures.unsettled else "done"
        return [
            name,
            *[kind] * has_kinds,
            *[f"{figures.total:,}"] * is_wide,
            *(f"{n:,}" for n in (figures.sent, figures.refused, figures.in_doubt, figures.unsettled)),
            left,
            f"{amount(figures.pace)}/{plan}" if figures.unsettled else "–",
        ]

    lines = [line(part.selling_partner, part.kind, part) for part in shown]
    if others:
        lines.append(line(f"{len(others):,} others", "", fold(others)))
    return columns, lines


def _lines(content: Content) -> Sequence[str]:
    lines = [content.title, content.counts, *content.notes]
    if content.parts:
        lines += ["", *plain_table(content.columns, content.parts)]
    if content.reasons:
        lines += ["", *plain_table(_REASON_COLUMNS, content.reasons)]
    return lines


def _screen(overview: Overview, width: int, height: int | None) -> Group:
    """Return what rich draws, in no more than so many lines."""
    from rich.console import Group
    from rich.text import Text

    most_parts, most_reasons = _MOST_PARTS, _MOST_REASONS
    if height is not None:
        room = max(4, height - 7)  # what stands above the tables, and the blank lines between
        # A third for the reasons, and what they leave for the parts; each has a line of headings. For one part there is
        # no table, so the reasons have it all.
        third = room // 3 if len(overview.parts) > 1 else room
        most_reasons = min(_MOST_REASONS, len(overview.whole.reasons), max(2, third - 1))
        most_parts = max(2, min(_MOST_PARTS, room - most_reasons - 3))
    content = content_of(overview, most_parts=most_parts, is_wide=width >= _WIDE, most_reasons=most_reasons)
    parts: list[Any] = [  # what rich draws, which has no type of its own
        Text(content.title, style="bold", no_wrap=True, overflow="ellipsis"),
        _bar(overview.whole, width),
        *map(Text, [content.counts, *content.notes]),
    ]
    if content.parts:
        parts += [Text(), rich_table(content.columns, content.parts, width)]
    if content.reasons:
        parts += [Text(), rich_table(_REASON_COLUMNS, content.reasons, width)]
    return Group(*parts)


def _bar(whole: Figures, width: int) -> Any:  # a Text of rich, which may not be there to name
    from rich.text import Text

    percent = f" {share(whole.settled, whole.total)}" if whole.total else ""
    room = max(10, width - 8)
    text = Text(no_wrap=True)
    begin, done = 0, 0
    counts = (whole.sent, whole.refused, whole.in_doubt, whole.unsettled)
    for glyph, count, style in zip(_BAR, counts, [*_STYLES.values(), "dim"], strict=True):
        done += count
        end = round(room * done / whole.total) if whole.total else 0
        text.append(glyph * (end - begin), style=style)
        begin = end
    return text.append(percent)


def facts_of(overview: Overview) -> dict[str, Any]:  # Any: JSON
    """Return an overview as JSON has it."""
    job = overview.job
    return {
        "job": job.number,
        "name": job.name,
        "source": job.source,
        "standing": overview.standing,
        "now": iso(overview.now),
        "begun": iso(job.begun),
        "ended": None if job.ended is None else iso(job.ended),
        "rejected": job.rejected,
        **_figures(overview.whole),
        "parts": [
            {"selling_partner": part.selling_partner, "kind": part.kind, **_figures(part)} for part in overview.parts
        ],
    }


def _figures(figures: Figures) -> dict[str, Any]:  # Any: JSON
    return {
        "rows": figures.total,
        "sent": figures.sent,
        "refused": figures.refused,
        "in_doubt": figures.in_doubt,
        "waiting": figures.waiting,
        "in_hand": figures.in_hand,
        "pace": round(figures.pace, 4),
        "rate": figures.rate,
        "left": None if figures.left is None else round(figures.left, 1),
        "reasons": [
            {"state": reason.state.value, "reason": reason.words, "rows": reason.count} for reason in figures.reasons
        ],
    }


# --- again and again


class Look:
    """Reads how far a job is, as often as that does not slow the job down.

    Args:
        reader: Reads the journal.
        number: The job; None for the latest at the first look.
        clock: The wall clock, in seconds since 1970.
        ticks: A clock that nobody can set, in seconds.
    """

    def __init__(
        self, reader: Reader, number: int | None, clock: Callable[[], float], ticks: Callable[[], float]
    ) -> None:
        self._reader = reader
        self._number = number
        self._clock = clock
        self._ticks = ticks
        self._seen: Overview | None = None
        self._next = self._next_full = float("-inf")

    def __call__(self) -> Overview:
        """Return the job, as it stands or as it stood a short while ago."""
        begun = self._ticks()
        if self._seen is None or begun >= min(self._next, self._next_full):
            # Of many refused rows, reading why takes longer than all else, so that is done more rarely.
            is_full = begun >= self._next_full
            seen = self._reader.overview(self._number, self._clock(), has_reasons=is_full)
            now = self._ticks()
            if is_full:
                self._next_full = now + _RARER * (now - begun)
            else:
                self._next = now + _RARER * (now - begun)
            if not is_full and seen.job.ended is not None:
                seen = self._reader.overview(seen.job.number, self._clock())
            elif not is_full and self._seen is not None:
                seen = attrs.evolve(seen, whole=attrs.evolve(seen.whole, reasons=self._seen.whole.reasons))
            self._seen, self._number = seen, seen.job.number
        return self._seen


class Watch:
    """Shows a job until it has ended.

    Args:
        look: Reads how far it is.
        sleep: Waits so many seconds.
    """

    def __init__(self, look: Callable[[], Overview], sleep: Callable[[float], None]) -> None:
        self._look = look
        self._sleep = sleep
        self.seen: Overview | None = None

    def on_screen(self, console: Console) -> None:
        """Draw a screen every second, whatever size the terminal has by then."""
        from rich.live import Live

        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                self.seen = self._look()
                live.update(_screen(self.seen, console.width, console.height), refresh=True)
                if self.seen.job.ended is not None:
                    return
                self._sleep(_EVERY)

    def in_lines(self, stream: TextIO) -> None:
        """Print a line every five seconds."""
        while True:
            self.seen = self._look()
            whole = self.seen.whole
            when = datetime.fromtimestamp(self.seen.now).astimezone()
            words = f"{when:%Y-%m-%d %H:%M:%S} job {self.seen.job.number}, {self.seen.standing}"
            line = f"{words}: {whole.settled:,} of {whole.total:,} rows: {', '.join(_counts(self.seen))}"
            if self.seen.job.ended is None:
                left = "–" if whole.left is None else duration(whole.left)
                line += f"; {amount(whole.pace)}/s, {left} left"
            print(line, file=stream, flush=True)
            if self.seen.job.ended is not None:
                return
            self._sleep(_LINE_EVERY)
