"""Shows how far a job is: a live line on a terminal, plain lines now and then elsewhere."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TextIO

from ..jobs.summary import Tally

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

__all__ = ["Progress", "duration", "progress_on"]

_EVERY = 5.0
"""Seconds between plain lines."""
_REDRAWN_EVERY = 0.2
"""Seconds between changes of a live line."""
_LOOKED_AT_EVERY = 1.0
"""Seconds between looks at whether it is time for a plain line."""


class Progress(Protocol):
    """Shows how far a job is.

    Attributes:
        every: Seconds between two calls of `show`; to sum up a thousand selling partners takes its time.
    """

    every: float

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last state standing."""

    def say(self, line: str) -> None:
        """Print a line that stays."""

    def read(self, lines: int) -> None:
        """Show how many lines were read by now, while it is not known how many there are; call it with each."""

    def show(self, tally: Tally, pace: float, left: float, waits_until: datetime | None = None) -> None:
        """Show the counts; call it as often as `every` says.

        Args:
            tally: The counts.
            pace: Rows that get their outcome, per second.
            left: Seconds until the last row is through.
            waits_until: When it goes on, if it waits for a window or for a row's own moment.
        """


def progress_on(stream: TextIO, clock: Callable[[], float], *, is_dry: bool = False) -> Progress:
    """Make what fits the stream: a live line if it is a terminal and rich is installed, else plain lines.

    Args:
        stream: Where it is shown.
        clock: Gives seconds.
        is_dry: Whether nothing is sent.
    """
    sent = "would be sent" if is_dry else "sent"
    if stream.isatty():
        try:
            return _LiveLine(stream, clock, sent)
        except ImportError:
            pass
    return _PlainLines(stream, clock, sent)


def duration(seconds: float) -> str:
    """Write a duration as in 4:05 or 27:46:40."""
    if math.isinf(seconds):
        return "ages"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _until(moment: datetime) -> str:
    return f"waits until {moment.astimezone():%Y-%m-%d %H:%M %Z}"


def _counts(tally: Tally, sent: str) -> str:
    return f"{tally.sent} {sent}, {tally.refused} refused, {tally.in_doubt} in doubt"


class _PlainLines:
    every = _LOOKED_AT_EVERY

    def __init__(self, stream: TextIO, clock: Callable[[], float], sent: str) -> None:
        self._stream = stream
        self._sent = sent
        self._clock = clock
        self._next = clock() + _EVERY

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def say(self, line: str) -> None:
        try:
            print(line, file=self._stream, flush=True)
        except OSError:
            # As with `| head`, or a log on a full disk: a job must not die of that. What is buffered has to go
            # somewhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def read(self, lines: int) -> None:
        if self._is_time():
            self.say(f"{lines} lines read")

    def show(self, tally: Tally, pace: float, left: float, waits_until: datetime | None = None) -> None:
        if not self._is_time():
            return
        done = tally.total - tally.waiting
        words = _until(waits_until) if waits_until else f"{pace:.1f}/s, {duration(left)} left"
        self.say(f"{done} of {tally.total} lines: {_counts(tally, self._sent)}; {words}")

    def _is_time(self) -> bool:
        now = self._clock()
        if now < self._next:
            return False
        self._next = now + _EVERY
        return True


class _LiveLine:
    every = _REDRAWN_EVERY

    def __init__(self, stream: TextIO, clock: Callable[[], float], sent: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.table import Column

        self._clock = clock
        self._sent = sent
        # Refreshed by us: rich's own thread would draw in the middle of a line that is being printed.
        self._rich: RichProgress = Progress(
            BarColumn(bar_width=24),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),  # the bar gives way, not the figures
            TextColumn("{task.description}", markup=False),
            console=Console(file=stream),
            auto_refresh=False,
        )
        self._task = self._rich.add_task("", total=None)
        self._next = clock()

    def __enter__(self) -> Self:
        self._rich.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rich.stop()

    def say(self, line: str) -> None:
        self._rich.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def read(self, lines: int) -> None:
        if (now := self._clock()) >= self._next:
            self._next = now + _REDRAWN_EVERY
            self._rich.update(self._task, description=f"{lines} lines read", refresh=True)

    def show(self, tally: Tally, pace: float, left: float, waits_until: datetime | None = None) -> None:
        ahead = _until(waits_until) if waits_until else f"{pace:.1f}/s · ETA {duration(left)}"
        done = tally.total - tally.waiting
        words = f"{_counts(tally, self._sent)} · {ahead}"
        self._rich.update(self._task, total=tally.total, completed=done, description=words, refresh=True)
