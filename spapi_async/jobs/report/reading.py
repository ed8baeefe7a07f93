"""Gets from a journal what is shown of its jobs, while jobs run too: nothing is written and nobody has to wait."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from ...errors import ConfigError, JobError
from ..ledger import JobRecord, Ledger
from ..row import Row
from ..sqlite import itself, open_read_only
from ..windows import Windows
from .overview import RECENT, STEP, Overview, name_of, overview
from .pace import Pace, pace_of, width_for

__all__ = ["Reader", "names_of", "pick"]

_T = TypeVar("_T")


class Reader:
    """Reads from a journal. It opens the file for each look anew, so it may be kept while jobs come and go.

    Args:
        path: The journal.
    """

    def __init__(self, path: Path) -> None:
        self._path = itself(path)

    def jobs(self, now: float) -> Sequence[Overview]:
        """Return all jobs, in the order of their beginnings: the counts of their rows, without pace and reasons.

        Args:
            now: Seconds since 1970.

        Raises:
            ConfigError: There is no such file.
            JobError: It cannot be read, it is no journal, or one of another version.
        """
        return self._look(
            lambda ledger: [overview(job, ledger.counts(job.number), (), (), (), now) for job in ledger.jobs()]
        )

    def job(self, number: int | None) -> JobRecord:
        """Return a job; None: the latest.

        Raises:
            ConfigError: There is no such file or job.
            JobError: It cannot be read, it is no journal, or one of another version.
        """
        return self._look(lambda ledger: pick(ledger.jobs(), number))

    def doubts(self, number: int) -> Sequence[Row]:
        """Return the rows of a job that are in doubt, in the order of their lines.

        Raises:
            ConfigError: There is no such file.
            JobError: It cannot be read, it is no journal, or one of another version.
        """
        return self._look(lambda ledger: ledger.doubts(number))

    def overview(self, number: int | None, now: float, *, has_reasons: bool = True) -> Overview:
        """Return how far a job is.

        Args:
            number: Its number; None for the latest.
            now: Seconds since 1970.
            has_reasons: Whether to read why rows are refused or in doubt. Of many such rows that takes longer than all
                else.

        Raises:
            ConfigError: There is no such file or job.
            JobError: It cannot be read, it is no journal, or one of another version.
        """
        return self._look(lambda ledger: _overview(ledger, number, now, has_reasons))

    def overview_and_pace(self, number: int | None, now: float) -> tuple[Overview, Pace]:
        """Return what a job came to, and its outcomes over time, both of the same moment.

        Raises:
            ConfigError: There is no such file or job.
            JobError: It cannot be read, it is no journal, or one of another version.
        """

        def look(ledger: Ledger) -> tuple[Overview, Pace]:
            found = _overview(ledger, number, now, True)
            return found, _pace(ledger, found, now)

        return self._look(look)

    @contextmanager
    def rows(self, number: int) -> Iterator[Iterator[Row]]:
        """Give all rows of a job, in the order of their lines.

        Raises:
            JobError: Also when a job began meanwhile, in a journal that nobody used before.
        """
        with self._opened() as (_, ledger):
            yield ledger.each(number)

    def _look(self, work: Callable[[Ledger], _T]) -> _T:
        for is_last in (False, True):
            try:
                with self._opened() as (connection, ledger):
                    connection.execute("BEGIN")  # what is shown together is of one moment
                    return work(ledger)
            except _ChangedError:
                if is_last:
                    raise
        raise AssertionError

    @contextmanager
    def _opened(self) -> Iterator[tuple[sqlite3.Connection, Ledger]]:
        if not self._path.exists():
            raise ConfigError(f"there is no journal {self._path}")
        before = self._state()
        connection, ledger = open_read_only(self._path)
        with closing(connection):
            try:
                yield connection, ledger
            except sqlite3.Error as error:
                self._check(before)
                raise JobError(f"the journal {self._path} cannot be read: {error}") from error
        self._check(before)

    def _state(self) -> object:
        """Say what stands in the file while nobody writes to it; while somebody may, None: SQLite sees to it then."""
        if self._path.with_name(self._path.name + "-wal").exists():
            return None
        stat = self._path.stat()
        return stat.st_ino, stat.st_size, stat.st_mtime_ns

    def _check(self, before: object) -> None:
        # A file that nobody uses is read without a lock, so nothing keeps a job from beginning to write to it.
        if before is not None and self._state() != before:
            raise _ChangedError(f"a job began while the journal {self._path} was read; try again")


class _ChangedError(JobError):
    """What was read may be of two moments."""


def pick(jobs: Sequence[JobRecord], number: int | None) -> JobRecord:
    """Return the job of a number, None for the latest.

    Raises:
        ConfigError: There is none.
    """
    if not jobs:
        raise ConfigError("the journal has no jobs yet")
    if number is None:
        return jobs[-1]
    for job in jobs:
        if job.number == number:
            return job
    raise ConfigError(f"the journal has no job {number}; `spapi-async jobs list` shows those that it has")


def names_of(job: JobRecord) -> Mapping[str, str]:
    """Return what people see for the selling partners of a job, by digest."""
    return {run.selling_partner: name_of(run) for run in job.runs}


def _overview(ledger: Ledger, number: int | None, now: float, has_reasons: bool) -> Overview:
    job = pick(ledger.jobs(), number)
    windows = _windows_of(job)
    marketplaces = ledger.marketplaces_of_next(job.number) if windows else ()
    return overview(
        job,
        ledger.counts(job.number),
        ledger.outcomes(job.number, STEP, now - RECENT),
        ledger.plans(job.number),
        ledger.reasons(job.number) if has_reasons else (),
        now,
        windows if marketplaces else None,
        marketplaces,
    )


def _windows_of(job: JobRecord) -> Windows | None:
    """Return the windows that `jobs run` began a job with. What a program keeps in `options` may be anything."""
    between, zone, most = (job.options.get(name) for name in ("between", "timezone", "max_per_day"))
    if not (between or most):
        return None
    try:
        return Windows.parse(between, zone or "marketplace", most)
    except (ConfigError, TypeError):
        return None


def _pace(ledger: Ledger, found: Overview, now: float) -> Pace:
    job = found.job
    width, end = float("inf"), now
    while (finer := width_for(max(1.0, end - job.begun))) < width:  # again, when it ended long before now
        width = finer
        outcomes = ledger.outcomes(job.number, width)
        end = max((outcome.since + width for outcome in outcomes), default=job.begun)
    waiting = {(count.selling_partner, count.kind) for count in ledger.counts(job.number) if not count.state.is_settled}
    return pace_of(job, outcomes, ledger.plans(job.number), waiting, now, width)
