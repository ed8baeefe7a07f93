from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest

from spapi_async.errors import ConfigError, JobError
from spapi_async.jobs import ledger
from spapi_async.jobs.journal import Identity
from spapi_async.jobs.report.overview import Standing
from spapi_async.jobs.report.reading import Reader
from spapi_async.jobs.row import Move, Row
from spapi_async.jobs.sqlite import SqliteJournal
from spapi_async.operation import UsagePlan

from .past import Past

WHO = Identity(refresh_token="Atzr|1", selling_partner_id="A1")
KIND = "confirmOrderDetails"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


def rows(count: int) -> list[Row]:
    return [Row(number=n, kind=KIND, order_id=f"902-{n}", body={"text": "hello"}) for n in range(2, count + 2)]


def test_a_job_of_the_past(path: Path) -> None:
    """The pace has the right length of bins though the job ended long ago, and all outcomes of the overview."""
    Past(path)(400, sellers=2, waiting=40)
    overview, pace = Reader(path).overview_and_pace(None, 1_890_000_000.0)
    assert (overview.whole.total, overview.whole.unsettled, overview.job.rejected) == (400, 40, 7)
    assert pace.count == overview.whole.settled == 360
    assert pace.width == 1.0
    assert 100 < len(pace.bins) <= 200
    assert {each.plan for each in pace.bins} >= {2.0, 4.0}
    assert overview.whole.pace == 0.0
    with Reader(path).rows(1) as found:
        assert [row.number for row in found] == list(range(2, 402))
    assert [each.whole.total for each in Reader(path).jobs(0.0)] == [400]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"between": "09:00-20:00"}, 12 * 3600 + 3.0),  # it is 21:00 in London
        ({"between": "09:00-20:00", "timezone": "America/New_York"}, 3.0),
        ({}, 3.0),
        ({"between": ["of", "another", "program"]}, 3.0),
    ],
)
async def test_the_windows_of_a_job_are_in_its_options(path: Path, options: dict[str, object], left: float) -> None:
    """The time left has the hours in which `jobs run` was told to send; options of other programs say nothing."""
    body = {"marketplace_id": "A1F83G8C2ARO7P", "text": "hello"}
    async with SqliteJournal(path) as journal:
        run = await journal.start(WHO, KIND, options=options)
        await journal.add(run, [attrs.evolve(row, body=body) for row in rows(3)])
        await journal.note_plan(run, UsagePlan(rate=1.0, burst=5.0))
        now = datetime(2026, 11, 21, 21, tzinfo=UTC).timestamp()
        assert Reader(path).overview(None, now).whole.left == left


def test_reading_leaves_nothing_behind(path: Path) -> None:
    """A journal that nobody uses is read without a file beside it."""
    Past(path)(10)
    Reader(path).overview(None, 0.0)
    assert [each.name for each in path.parent.iterdir()] == ["jobs.db"]


@pytest.mark.asyncio
async def test_a_job_that_runs_is_read_again_and_again(path: Path) -> None:
    """A reader sees what happened since, also in a journal that nobody used when it was made."""
    reader = Reader(path)
    async with SqliteJournal(path) as journal:
        run = await journal.start(WHO, KIND)
        await journal.add(run, rows(3))
    assert not reader.overview(None, 0.0).job.is_open
    async with SqliteJournal(path) as journal:
        await journal.start(WHO, KIND, job=run.number)
        [row, *_] = await journal.claim(run, 2)
        await journal.move(row, Move.REFUSE, reason="no")
        found = reader.overview(None, 0.0)
        assert found.job.is_open
        assert (found.whole.refused, found.whole.in_hand, found.whole.waiting) == (1, 1, 1)
        assert [reason.words for reason in found.whole.reasons] == ["no"]
        assert reader.overview(None, 0.0, has_reasons=False).whole.reasons == []


@pytest.mark.asyncio
async def test_a_job_whose_process_was_killed_does_not_run(path: Path) -> None:
    """That is known at once, by the lock that its process held, though nothing in the journal says so."""
    async with SqliteJournal(path) as journal:
        run = await journal.start(WHO, KIND)
        await journal.add(run, rows(2))
        await journal.claim(run, 1)
        assert Reader(path).overview(None, 0.0).job.is_open
        journal._lock.release()
        found = Reader(path).overview(None, 0.0)
        assert found.standing == Standing.WAITING
        assert (found.whole.in_hand, found.whole.waiting) == (1, 1)


@pytest.mark.asyncio
async def test_all_rows_are_read_without_holding_the_log(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a report goes through the rows, a job goes on, and its log is copied into the file and emptied."""
    monkeypatch.setattr(ledger, "_CHUNK", 2)
    async with SqliteJournal(path) as journal:
        run = await journal.start(WHO, KIND)
        await journal.add(run, rows(6))
        with Reader(path).rows(run.number) as found:
            assert next(found).number == 2
            assert next(found).number == 3
            assert next(found).number == 4
            for row in await journal.claim(run, 6):
                await journal.move(row, Move.REFUSE, reason="no")
            with closing(sqlite3.connect(path)) as other:
                assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
            assert [(row.number, row.state.value) for row in found] == [(5, "READY"), (6, "REFUSED"), (7, "REFUSED")]


def test_a_job_that_begins_meanwhile_is_noticed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that nobody used is read without a lock; if somebody writes to it then, it is read once more."""
    Past(path)(10)
    reader = Reader(path)
    assert len(reader.jobs(0.0)) == 1
    found = reader.rows(1)
    assert len(list(found.__enter__())) == 10
    Past(path)(10, source="another")
    with pytest.raises(JobError, match="a job began while"):
        found.__exit__(None, None, None)
    assert reader._look(lambda ledger: _while_somebody_writes(ledger, path)) == 3


def _while_somebody_writes(found: ledger.Ledger, path: Path) -> int:
    if len(found.jobs()) == 2:
        Past(path)(10, source="a third")
    return len(found.jobs())


def test_what_is_not_there(path: Path) -> None:
    """No journal, no job and a file that is none are told apart; nothing is made."""
    with pytest.raises(ConfigError, match=r"there is no journal .*jobs\.db"):
        Reader(path).jobs(0.0)
    assert not path.exists()
    path.write_text("no journal, though it is long enough to be taken for one" * 20, encoding="utf-8")
    with pytest.raises(JobError, match=r"cannot be read: file is not a database"):
        Reader(path).jobs(0.0)
    path.unlink()
    Past(path)(10)
    with pytest.raises(ConfigError, match=r"has no job 2; `spapi-async jobs list`"):
        Reader(path).overview(2, 0.0)
