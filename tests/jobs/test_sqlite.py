from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from spapi_async.errors import JobError
from spapi_async.jobs.journal import Identity
from spapi_async.jobs.row import Move, Row, State
from spapi_async.jobs.sqlite import SCHEMA_VERSION, SqliteJournal

pytestmark = pytest.mark.asyncio

WHO = Identity(refresh_token="Atzr|secret-token", selling_partner_id="SECRET-SELLER")
KIND = "confirmOrderDetails"


def row(number: int, text: str = "hello") -> Row:
    return Row(number=number, kind=KIND, order_id=f"902-{number}", body={"marketplace_id": "M", "text": text})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


async def test_rows_survive_the_process(path: Path) -> None:
    """What was written is there when the file is opened again, and what was under way is in doubt."""
    async with SqliteJournal(path) as journal:
        run = await journal.start(WHO, KIND)
        await journal.add(run, [row(1), row(2), row(3)])
        first, second = await journal.claim(run, 2)
        await journal.move(await journal.move(first, Move.BEGIN), Move.ACCEPT)
        await journal.move(second, Move.BEGIN)
    async with SqliteJournal(path) as journal:
        assert dict(await journal.count(run)) == {State.SENT: 1, State.IN_DOUBT: 1, State.READY: 1}


async def test_a_commit_is_on_the_disk(path: Path) -> None:
    """The file is a write-ahead log with `synchronous=FULL` (2), and says its schema version."""
    async with SqliteJournal(path) as journal:
        pragmas = ("journal_mode", "synchronous", "secure_delete", "user_version")
        values = [journal._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas]
    assert values == ["wal", 2, 1, SCHEMA_VERSION]


async def test_no_text_and_no_secret_is_left_in_the_files(path: Path) -> None:
    """Neither a settled row's text nor who sells can be read in the files; the digest of the text stays."""
    async with SqliteJournal(path) as journal:
        run = await journal.start(WHO, KIND)
        await journal.add(run, [row(n, f"private {n} " * 50) for n in range(1, 41)])
        for one in await journal.claim(run, 40):
            await journal.move(await journal.move(one, Move.BEGIN), Move.ACCEPT)
        assert b"secret-token" not in path.with_name("jobs.db-wal").read_bytes()
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"902-40" in content
    for secret in (b"private", b"secret-token", b"SECRET-SELLER"):
        assert secret not in content


async def test_writes_that_wait_share_a_commit(path: Path) -> None:
    """Many writes at once take few commits, so that the disk does not set the pace of the job."""

    class Counting(SqliteJournal):
        batches: Sequence[int] = ()

        def _commit(self, batch: Sequence[Any]) -> None:
            self.batches = [*self.batches, len(batch)]
            super()._commit(batch)

    async with Counting(path) as journal:
        run = await journal.start(WHO, KIND)
        await journal.add(run, [row(n) for n in range(1, 101)])
        claimed = await journal.claim(run, 100)
        before = len(journal.batches)
        async with anyio.create_task_group() as group:
            for one in claimed:
                group.start_soon(journal.move, one, Move.BEGIN)
        assert sum(journal.batches[before:]) == 100
        assert len(journal.batches) - before <= 5


async def test_one_process_has_it_at_a_time(path: Path) -> None:
    """A second opening says who has the journal; afterwards it can be opened again."""
    async with SqliteJournal(path):
        with pytest.raises(JobError, match=rf"jobs\.db is in use by process {os.getpid()}"):
            async with SqliteJournal(path):
                pass
    async with SqliteJournal(path):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
async def test_a_dead_owner_holds_nothing(path: Path) -> None:
    """The lock of a process that was killed is gone at once."""
    program = (
        "import anyio, sys\nfrom pathlib import Path\nfrom spapi_async.jobs.sqlite import SqliteJournal\n"
        "async def main():\n    async with SqliteJournal(Path(sys.argv[1])):\n        print('open', flush=True)\n"
        "        await anyio.sleep_forever()\nanyio.run(main)"
    )
    async with await anyio.open_process([sys.executable, "-c", program, str(path)]) as process:
        assert process.stdout
        assert (await process.stdout.receive()).startswith(b"open")
        with pytest.raises(JobError, match=f"in use by process {process.pid}"):
            async with SqliteJournal(path):
                pass
        process.kill()
        await process.wait()
        async with SqliteJournal(path):
            pass


async def test_a_full_disk_is_one_clear_error(path: Path) -> None:
    """When there is no room, the error names the journal and what helps, and the journal stays as it was."""
    async with SqliteJournal(path) as journal:
        run = await journal.start(WHO, KIND)
        await journal.add(run, [row(1)])
        pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
        journal._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(JobError, match=r"the journal .*jobs\.db cannot be used: database or disk is full"):
            await journal.add(run, [row(n, "x" * 2000) for n in range(2, 60)])
        assert dict(await journal.count(run)) == {State.READY: 1}


async def test_what_is_no_journal_is_left_alone(tmp_path: Path) -> None:
    """A file that is something else, and the journal of a newer version, are refused and not touched."""
    text, other, newer = tmp_path / "messages.csv", tmp_path / "other.db", tmp_path / "newer.db"
    text.write_text("order_id,marketplace_id,text\n" * 100)
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE invoices (id)")
    connection.close()
    with sqlite3.connect(newer) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    for path, words in ((text, "file is not a database"), (other, "but no journal"), (newer, "update spapi-async")):
        before = path.read_bytes() if path is text else b""
        with pytest.raises(JobError, match=words):
            async with SqliteJournal(path):
                pass
        assert before == (path.read_bytes() if path is text else b"")


async def test_a_folder_that_is_missing_is_one_clear_error(tmp_path: Path) -> None:
    """The error names the file that cannot be written."""
    with pytest.raises(JobError, match=r"jobs\.db\.lock cannot be written: No such file"):
        async with SqliteJournal(tmp_path / "nowhere" / "jobs.db"):
            pass
