from __future__ import annotations

import io
import math
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from spapi_async.cli.progress import duration, progress_on
from spapi_async.jobs.summary import Tally


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.4, "0:00"), (59.6, "1:00"), (245, "4:05"), (3600, "1:00:00"), (100_000, "27:46:40"), (math.inf, "ages")],
)
def test_durations_read_like_a_clock(seconds: float, expected: str) -> None:
    """Minutes and seconds, with hours when there are some."""
    assert duration(seconds) == expected


def test_without_a_terminal_there_is_a_line_now_and_then() -> None:
    """In a pipe or a log file a plain line comes every five seconds, and no control codes."""
    clock, stream = Clock(), io.StringIO()
    tally = Tally(sent=3, refused=1, waiting=10)
    with progress_on(stream, clock) as progress:
        for tenth in range(110):
            clock.now = tenth / 10
            progress.show(tally, 1.5, 5.0)
    expected = "4 of 14 lines: 3 sent, 1 refused, 0 in doubt; 1.5/s, 0:05 left\n"
    assert stream.getvalue() == expected * 2


def test_on_80_columns_no_figure_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long job the bar gets shorter, and all figures stay."""
    monkeypatch.setenv("COLUMNS", "80")
    terminal = Terminal()
    with progress_on(terminal, Clock()) as live:
        live.show(Tally(sent=99_565, refused=12, in_doubt=1, waiting=900_422), 1.0, 70_000)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue())
    assert " 99578/1000000 99565 sent, 12 refused, 1 in doubt · 1.0/s · ETA 19:26:40" in plain


def test_while_a_source_is_read_there_is_no_end_to_show() -> None:
    """Of a source one sees how many lines were read, since nobody knows how many there are."""
    clock, plain, terminal = Clock(), io.StringIO(), Terminal()
    with progress_on(plain, clock) as lines, progress_on(terminal, clock) as live:
        for tenth in range(110):
            clock.now = tenth / 10
            lines.read(tenth + 1)
            live.read(tenth + 1)
    assert plain.getvalue() == "51 lines read\n101 lines read\n"
    assert "0/?" in terminal.getvalue()
    assert " lines read" in terminal.getvalue()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file that is always full")
def test_a_full_disk_does_not_end_a_job() -> None:
    """When a line cannot be written, as to a log on a full disk, no further ones are; whoever works goes on."""
    with Path("/dev/full").open("w", encoding="utf-8") as stream, progress_on(stream, Clock()) as progress:
        progress.say("one")
        progress.say("another")


def test_on_a_terminal_there_is_a_live_line() -> None:
    """On a terminal the counts, the pace and the time left stand in one line that is drawn anew."""
    stream = Terminal()
    with progress_on(stream, Clock()) as progress:
        progress.show(Tally(sent=3, waiting=10), 2.0, 5.0)
        progress.say("line 7: [b]not markup[/b]")
        progress.show(Tally(sent=4, waiting=9), 2.0, 4.5)
    shown = stream.getvalue()
    assert "4 sent, 0 refused, 0 in doubt" in shown
    assert "line 7: [b]not markup[/b]" in shown


def test_a_terminal_without_rich_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """The live line needs the extra `cli`; without it the job runs all the same."""
    monkeypatch.setitem(__import__("sys").modules, "rich.console", None)
    clock, stream = Clock(), Terminal()
    with progress_on(stream, clock) as progress:
        clock.now = 5.0
        progress.show(Tally(sent=1), 1.0, 0.0)
    assert stream.getvalue() == "1 of 1 lines: 1 sent, 0 refused, 0 in doubt; 1.0/s, 0:00 left\n"


def test_a_job_that_waits_says_until_when() -> None:
    """Where all rows that are left wait for a window, the moment stands there in the place of the pace."""
    clock, plain, terminal = Clock(), io.StringIO(), Terminal()
    moment = datetime(2026, 5, 1, 9, tzinfo=UTC)
    with progress_on(plain, clock) as lines, progress_on(terminal, clock) as live:
        clock.now = 5.0
        lines.show(Tally(sent=1, waiting=1), 0.0, 3600.0, moment)
        live.show(Tally(sent=1, waiting=1), 0.0, 3600.0, moment)
    assert f"waits until {moment.astimezone():%Y-%m-%d %H:%M}" in plain.getvalue()
    assert "waits until" in terminal.getvalue()
