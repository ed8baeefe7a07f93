from __future__ import annotations

import sqlite3
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from spapi_async.errors import JobError
from spapi_async.jobs.journal import Identity
from spapi_async.jobs.kinds import find_kind
from spapi_async.jobs.preview import JournalView, preview
from spapi_async.jobs.row import Move
from spapi_async.jobs.source import Entry, open_source
from spapi_async.jobs.sqlite import SqliteJournal
from spapi_async.jobs.summary import Tally
from spapi_async.marketplaces import Region

KIND = find_kind("confirmOrderDetails")
WHO = Identity(refresh_token="Atzr|A")
NOBODY = Identity(refresh_token="")
MOVES: Sequence[Sequence[Move]] = [
    [Move.BEGIN, Move.ACCEPT],
    [Move.BEGIN, Move.LOSE],
    [Move.REFUSE],
    [Move.RELEASE],
    [],
]


def read(path: Path, region: Region | None = None) -> Iterator[Entry]:
    with open_source(path, KIND, region=region) as source:
        yield from source.entries


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path, *(f"902-{n},A1PA6795UKMFR9,hello" for n in range(1, 8)))


@pytest.fixture
def path(tmp_path: Path, source: Path) -> Path:
    """A journal that has the first rows of the source: sent, in doubt, refused, two that are ready, one more sent."""
    path = tmp_path / "jobs.db"
    anyio.run(_keep, path, source, WHO)
    return path


async def _keep(path: Path, source: Path, who: Identity) -> None:
    async with SqliteJournal(path) as journal:
        run = await journal.start(who, KIND.name)
        rows = [entry.row for entry in read(source) if entry.row]
        await journal.add(run, rows[:6])
        for row, moves in zip(await journal.claim(run, 6), [*MOVES, MOVES[0]], strict=True):
            for move in moves:
                row = await journal.move(row, move)


def write(folder: Path, *lines: str) -> Path:
    path = folder / "messages.csv"
    path.write_text("\n".join(["order_id,marketplace_id,text", *lines, ""]), encoding="utf-8")
    return path


def test_what_would_become_of_the_rows_of_a_file(tmp_path: Path) -> None:
    """Lines that break a rule and those that come again are counted apart; without a journal all others are new."""
    good = "902-1,A1PA6795UKMFR9,hello"
    path = write(tmp_path, good, good, "902-2,A1PA6795UKMFR9,<b>", "902-3,ATVPDKIKX0DER,hello")
    assert preview(read(path)) == Tally(waiting=2, invalid=1, duplicates=1)
    assert preview(read(path, Region.EU)) == Tally(waiting=1, invalid=2, duplicates=1)


def test_what_a_journal_knows_is_not_counted(source: Path, path: Path) -> None:
    """Rows that were sent, refused or are in doubt have their outcome; a changed one is refused, as by a job."""
    with JournalView(path, WHO) as journal:
        assert preview(read(source), journal) == Tally(already_sent=2, in_doubt=1, refused=1, waiting=3)
        mended = preview(read(source), journal, retry_refused=True)
        assert mended == Tally(already_sent=2, in_doubt=1, waiting=4)
        source.write_text(source.read_text(encoding="utf-8").replace("hello", "good day"), encoding="utf-8")
        assert preview(read(source), journal) == Tally(duplicates=2, in_doubt=1, waiting=4)


def test_it_leaves_no_trace(source: Path, path: Path) -> None:
    """The journal's folder is the same afterwards, to the last byte."""

    def files() -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in path.parent.iterdir()}

    before = files()
    with JournalView(path, WHO) as journal:
        preview(read(source), journal)
    assert files() == before


@pytest.mark.asyncio
async def test_it_can_be_read_while_a_job_runs(source: Path, tmp_path: Path) -> None:
    """A job that has the journal is not disturbed, and what it has done by now counts."""
    async with SqliteJournal(tmp_path / "jobs.db") as held:
        run = await held.start(WHO, KIND.name)
        await held.add(run, [entry.row for entry in read(source) if entry.row])
        first, second = await held.claim(run, 2)
        await held.move(await held.move(first, Move.BEGIN), Move.ACCEPT)
        await held.move(second, Move.BEGIN)
        with JournalView(tmp_path / "jobs.db", WHO) as journal:
            assert preview(read(source), journal) == Tally(already_sent=1, in_doubt=1, waiting=5)


@pytest.mark.parametrize(
    ("who", "sent"),
    [
        (NOBODY, 2),
        (WHO, 2),
        (Identity(refresh_token="Atzr|B"), 2),
        (Identity(refresh_token="", selling_partner_id="A"), 2),
    ],
)
def test_the_only_selling_partner_of_a_journal_is_meant(source: Path, path: Path, who: Identity, sent: int) -> None:
    """With one in it nobody needs to say which: a wrong guess would send nothing here."""
    with JournalView(path, who) as journal:
        assert preview(read(source), journal).already_sent == sent


def test_one_of_several_selling_partners_must_be_named(source: Path, path: Path) -> None:
    """By its id, or by the refresh token under which its rows stand; another id is somebody new."""
    named = Identity(refresh_token="Atzr|B", selling_partner_id="B")
    with pytest.raises(JobError):  # the journal itself wants to know whose the first rows are
        anyio.run(_keep, path, source, named)
    first = Identity(refresh_token="Atzr|A", selling_partner_id="A")
    anyio.run(_keep_under_id, path, first)
    anyio.run(_keep, path, source, named)
    with pytest.raises(JobError, match=r"several selling partners.*--selling-partner-id"):
        JournalView(path, NOBODY)
    for name, sent in ("A", 2), ("B", 2), ("C", 0):
        with JournalView(path, Identity(refresh_token="", selling_partner_id=name)) as journal:
            assert preview(read(source), journal).already_sent == sent


async def _keep_under_id(path: Path, who: Identity) -> None:
    async with SqliteJournal(path) as journal:
        await journal.start(who, KIND.name)


def _text(path: Path) -> None:
    path.write_text("order_id,marketplace_id,text\n" * 50, encoding="utf-8")


def _database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE row (id)")
    connection.close()


@pytest.mark.parametrize(
    ("make", "words"),
    [(_text, "cannot be read: file is not a database"), (_database, "no journal"), (Path.mkdir, "cannot be read")],
)
def test_what_is_no_journal(tmp_path: Path, make: Any, words: str) -> None:
    """It is one clear error."""
    make(tmp_path / "jobs.db")
    with pytest.raises(JobError, match=words):
        JournalView(tmp_path / "jobs.db", WHO)


def test_the_size_of_a_file_does_not_matter(tmp_path: Path) -> None:
    """Ten times the rows take no more memory: what was seen lies in a temporary database with a bounded cache."""
    peaks = []
    for count in 1000, 10_000:
        path = write(tmp_path, *(f"902-{n},A1PA6795UKMFR9,hello" for n in range(count)))
        tracemalloc.start()
        assert preview(read(path)).waiting == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 50_000
