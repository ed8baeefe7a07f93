"""`spapi-async jobs report`: what became of every row, as a CSV, and of the whole job, as one HTML page."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from ...errors import ConfigError
from ...jobs.report.page import MOST_DOUBTS, MOST_REFUSED, page_of
from ...jobs.report.reading import Reader, names_of
from ...jobs.report.table import write_rows
from ...jobs.row import Row, State
from ...jobs.whole_file import replaced
from ..options import add_job

__all__ = ["Progress", "add_arguments", "run"]

_EVERY, _REDRAWN_EVERY = 5.0, 0.2
"""Seconds between two lines of progress, and between two changes of one on a terminal."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = (
        "The journal is only read; that can be done while the job runs. Both files are replaced at once as a whole."
    )
    add = parser.add_argument
    add_job(parser)
    add("--csv", type=Path, metavar="FILE", help="all rows; default: JOURNAL-job-N.csv beside the journal")
    add("--html", type=Path, metavar="FILE", help="the page; default: JOURNAL-job-N.html beside the journal")


def run(arguments: argparse.Namespace) -> int:
    """Write the report and return 0.

    Raises:
        ConfigError: There is no such journal or job, a file would replace the journal, or it cannot be written.
        JobError: The journal cannot be read.
    """
    journal: Path = arguments.journal
    overview, pace = Reader(journal).overview_and_pace(arguments.job, time.time())
    job, whole = overview.job, overview.whole
    stem = f"{journal.stem}-job-{job.number}"
    table = arguments.csv or journal.with_name(f"{stem}.csv")
    html = arguments.html or journal.with_name(f"{stem}.html")
    if len({path.resolve() for path in (journal, table, html)}) < 3:
        raise ConfigError("the journal, the CSV and the page must be three files; name others by --csv and --html")
    names = names_of(job)
    refused: list[Row] = []
    doubts: list[Row] = []
    progress = Progress(sys.stderr, whole.total, time.monotonic)

    def count(row: Row) -> None:
        progress.count()
        if row.state is State.REFUSED and len(refused) < MOST_REFUSED:
            refused.append(row)
        elif row.state is State.IN_DOUBT and len(doubts) < MOST_DOUBTS:
            doubts.append(row)

    with _written(table) as file, Reader(journal).rows(job.number) as rows:
        write_rows(file, rows, names, count)
        progress.close()
    with _written(html) as file:
        file.write(page_of(overview, pace, refused, doubts, names, table.name))
    print(f"{table}: {progress.done:,} row{'s' * (progress.done != 1)}")
    print(f"{html}: {html.stat().st_size:,} bytes")
    return 0


@contextmanager
def _written(path: Path) -> Iterator[TextIO]:
    try:
        with replaced(path) as file:
            yield file
    except OSError as error:  # which would name the partial one
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None


class Progress:
    """Shows how many rows are written: in one line on a terminal, elsewhere in a line now and then."""

    def __init__(self, stream: TextIO, total: int, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._total = total
        self._clock = clock
        self._is_live = stream.isatty()
        self._every = _REDRAWN_EVERY if self._is_live else _EVERY
        self._next = clock() + self._every
        self.done = 0

    def count(self) -> None:
        """Count a row."""
        self.done += 1
        if self.done % 256 == 0 and (now := self._clock()) >= self._next:
            self._next = now + self._every
            line = f"{self.done:,} of {self._total:,} rows"
            print(
                f"\r{line}" if self._is_live else line, end="" if self._is_live else "\n", file=self._stream, flush=True
            )

    def close(self) -> None:
        """Take the line away again."""
        if self._is_live:
            print("\r\033[K", end="", file=self._stream, flush=True)
