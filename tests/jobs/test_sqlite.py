from __future__ import annotations

import asyncio
import gzip
import os
import platform
import random
import sqlite3
import sys
import threading
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest

from spapi_async.errors import JobError
from spapi_async.jobs import lock, sqlite
from spapi_async.jobs.journal import Identity
from spapi_async.jobs.lease import LEASE
from spapi_async.jobs.ledger import ABANDONED, APPLICATION_ID
from spapi_async.jobs.row import Admission, Move, Row, State
from spapi_async.jobs.sqlite import SCHEMA_VERSION, SqliteJournal, open_read_only

pytestmark = pytest.mark.asyncio

WHO = Identity(refresh_token="Atzr|secret-token", selling_partner_id="SECRET-SELLER")
KIND = "confirmOrderDetails"


def row(number: int, text: str = "hello") -> Row:
    return Row(number=number, kind=KIND, order_id=f"902-{number}", body={"marketplace_id": "M", "text": text})


def content_of(path: Path) -> bytes:
    return path.read_bytes()


def modes_in(folder: Path) -> dict[str, int]:
    return {each.name: each.stat().st_mode & 0o777 for each in folder.iterdir()}


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


@pytest.mark.skipif(sys.platform == "win32", reason="no modes of files there")
async def test_nobody_else_may_read_it(path: Path) -> None:
    """The file, in which texts to buyers wait, and those beside it are its user's alone; a mode that is set stays."""
    async with SqliteJournal(path) as journal:
        await journal.start(WHO, KIND)
        modes = modes_in(path.parent)
    assert set(modes.values()) == {0o600}
    assert {"jobs.db", "jobs.db-wal", "jobs.db-shm"} <= set(modes)
    os.chmod(path, 0o640)
    async with SqliteJournal(path):
        assert modes_in(path.parent)["jobs.db"] == 0o640


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


async def test_a_write_that_fails_takes_no_other_one_with_it(path: Path) -> None:
    """A row that cannot be written fails alone, and wholly; the outcomes that share its commit are written."""
    async with SqliteJournal(path) as journal:
        run = await journal.start(WHO, KIND)
        await journal.add(run, [row(1)])
        [claimed] = await journal.claim(run, 1)
        sending = await journal.move(claimed, Move.BEGIN)
        outcome = asyncio.create_task(journal.move(sending, Move.ACCEPT))
        with pytest.raises(TypeError, match="UTF-8"):
            await journal.add(run, [row(2), row(3, "half a character: \ud800")])
        assert (await outcome).state is State.SENT
        assert dict(await journal.count(run)) == {State.SENT: 1}


async def test_an_owner_whose_first_transaction_failed_is_entered_again(path: Path) -> None:
    """Who lost the lease and became another owner in a transaction that failed shares no number with the next one."""
    now = 1000.0

    def fail() -> None:
        raise sqlite3.OperationalError("disk I/O error")

    async with SqliteJournal(path, clock=lambda: now) as journal:
        run = await journal.start(WHO, KIND)
        await journal.add(run, [row(1)])
        with closing(sqlite3.connect(path)) as beside, beside:
            beside.execute("DELETE FROM owner")  # the machine slept, and somebody took it for dead
        now += 2 * LEASE
        with pytest.raises(JobError):
            await journal._write(fail)
        assert not journal.holds()
        await journal.claim(run, 1)
        async with SqliteJournal(path, clock=lambda: now) as other:
            assert await other.held(run) == 1  # and nobody takes it from the first
            assert dict(await other.count(run)) == {State.CLAIMED: 1}


async def test_a_task_that_asyncio_cancels_has_its_write_made(path: Path) -> None:
    """`Task.cancel()` comes through when the write is on the disk, and costs those nothing who share its commit."""
    async with SqliteJournal(path) as journal:
        run = await journal.start(WHO, KIND)
        await journal.add(run, [row(1), row(2)])
        first, second = await journal.claim(run, 2)
        cancelled = asyncio.create_task(journal.move(first, Move.BEGIN))
        other = asyncio.create_task(journal.move(second, Move.BEGIN))
        await asyncio.sleep(0)
        cancelled.cancel()
        assert (await other).state is State.SENDING
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert dict(await journal.count(run)) == {State.SENDING: 2}


@pytest.mark.parametrize("times", [1, 2])
async def test_a_task_that_asyncio_cancels_leaves_no_open_journal(path: Path, times: int) -> None:
    """`task.cancel()` while a journal is opened or closed, once or twice, leaves no thread and no lock behind."""

    async def use() -> None:
        async with SqliteJournal(path) as journal:
            await journal.jobs()

    for turns in range(10):
        task = asyncio.ensure_future(use())
        await asyncio.sleep(0)
        for _ in range(turns):
            await asyncio.sleep(0)
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
        with suppress(asyncio.CancelledError):
            await task
        async with SqliteJournal(path):  # it waits for one that is being opened
            assert len(list(path.parent.glob(f"{path.name}.*.lock"))) == 1
            assert [thread.name for thread in threading.enumerate()].count("journal") == 1


async def test_a_journal_that_is_not_open_says_so(path: Path) -> None:
    """A write after it was left is an error and waits for nothing; it can be entered again."""
    journal = SqliteJournal(path)
    for _ in range(2):
        async with journal:
            assert await journal.jobs() == []
        with pytest.raises(JobError, match=r"jobs\.db is not open"):
            await journal.jobs()


async def test_several_processes_may_have_it(path: Path) -> None:
    """Each has a lock file of its own, which goes when it is closed, and with the next opening if it was killed."""
    async with SqliteJournal(path) as one, SqliteJournal(path) as two:
        assert len([*path.parent.glob("jobs.db.*.lock")]) == 2
        run = await one.start(WHO, KIND)
        await two.add(run, [row(1)])
        assert len(await one.claim(run, 9)) == 1
    assert [*path.parent.glob("jobs.db.*.lock")] == []
    path.with_name("jobs.db.0123456789abcdef.lock").touch()
    async with SqliteJournal(path):
        assert len([*path.parent.glob("jobs.db.*.lock")]) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few users make links")
async def test_a_link_to_a_journal_is_that_journal(path: Path, tmp_path: Path) -> None:
    """By either name processes know of each other, and readers see what was written last."""
    link = tmp_path / "links" / "mine.db"
    link.parent.mkdir()
    link.symlink_to(path)
    async with SqliteJournal(path) as one, SqliteJournal(link) as two:
        run = await one.start(WHO, KIND)
        await one.add(run, [row(1)])
        assert len(await one.claim(run, 1)) == 1
        assert await two.recover() == 0
        connection, ledger = open_read_only(link)
        with closing(connection):
            assert [job.is_open for job in ledger.jobs()] == [True]
    assert [each.name for each in link.parent.iterdir()] == ["mine.db"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
async def test_a_killed_process_is_found_at_once(path: Path) -> None:
    """What a process had in hand that was killed is taken back when somebody looks, long before its lease ends."""
    program = (
        "import anyio, sys\nfrom pathlib import Path\nfrom spapi_async.jobs.journal import Identity\n"
        "from spapi_async.jobs.row import Move\nfrom spapi_async.jobs.sqlite import SqliteJournal\n"
        "async def main():\n    async with SqliteJournal(Path(sys.argv[1])) as journal:\n"
        "        run = await journal.start(Identity(refresh_token='x', selling_partner_id='A'), 'k', job=1)\n"
        "        first, _ = await journal.claim(run, 2)\n        await journal.move(first, Move.BEGIN)\n"
        "        print('open', flush=True)\n        await anyio.sleep_forever()\nanyio.run(main)"
    )
    async with SqliteJournal(path) as journal:
        run = await journal.start(Identity(refresh_token="x", selling_partner_id="A"), "k")
        await journal.add(run, [row(1), row(2)])
        async with await anyio.open_process([sys.executable, "-c", program, str(path)]) as process:
            try:
                assert process.stdout
                assert (await process.stdout.receive()).startswith(b"open")
                assert await journal.recover() == 0
                assert await journal.held(run) == 2
            finally:
                process.kill()
            await process.wait()
        assert await journal.recover() == 1
        assert dict(await journal.count(run)) == {State.READY: 1, State.IN_DOUBT: 1}


async def test_where_files_cannot_be_locked_only_time_ends_a_lease(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system without locks, and for a process of another machine, nobody can tell that it is gone."""

    def refuse(handle: int) -> None:
        raise OSError("no locks here")

    clock = [1000.0]
    times: dict[str, Any] = {"clock": lambda: clock[0], "ticks": lambda: clock[0]}
    async with SqliteJournal(path, **times) as one:
        await one.start(WHO, KIND)
        one._connection.execute("UPDATE owner SET host = 'elsewhere'")
        one._lock.release()
        async with SqliteJournal(path, **times) as two:
            assert await two.recover() == 0
            two._connection.execute("UPDATE owner SET host = ?, lock = NULL", (platform.node(),))
            assert await two.recover() == 0
            clock[0] += 61
            assert await two.recover() == 1
    monkeypatch.setattr(lock, "_lock", refuse)
    owner_lock = lock.OwnerLock(path)
    owner_lock.acquire()
    assert owner_lock.name is None
    assert [*path.parent.glob("jobs.db.*.lock")] == []


async def test_the_lease_is_renewed_while_nothing_is_written(path: Path) -> None:
    """A process that waits for its plan for minutes keeps what it has: a thread renews the lease."""
    clock = [1000.0]
    async with SqliteJournal(path, clock=lambda: clock[0]) as journal:
        clock[0] += 61
        assert not journal.holds()
        journal._commit([])  # what the thread does every ten seconds
        assert journal.holds()


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


RLIMIT = """
import anyio, resource, sys
from pathlib import Path
from spapi_async.errors import JobError
from spapi_async.jobs.journal import Identity
from spapi_async.jobs.row import Move, Row, State
from spapi_async.jobs.sqlite import SqliteJournal

async def main():
    sent = 0
    async with SqliteJournal(Path(sys.argv[1])) as journal:
        run = await journal.start(Identity(refresh_token="x"), "k")
        rows = [Row(number=n, kind="k", order_id=f"902-{n}", body={"text": "x"}) for n in range(1, 4001)]
        await journal.add(run, rows)
        size = Path(sys.argv[1] + "-wal").stat().st_size + 60_000
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        try:
            for row in await journal.claim(run, 2000):
                row = await journal.move(row, Move.BEGIN)
                sent += 1
                await journal.move(row, Move.ACCEPT)
        except JobError as error:
            assert "is the disk full" in str(error), error
        else:
            raise SystemExit("there was room")
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        counts = await journal.count(run)
        assert counts.get(State.SENT, 0) + counts.get(State.SENDING, 0) == sent, (counts, sent)

anyio.run(main)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
async def test_a_file_that_may_not_grow_stops_before_sending(path: Path) -> None:
    """When the system refuses to write more, the next exchange does not begin, and the journal knows of all before."""
    await anyio.run_process([sys.executable, "-c", RLIMIT, str(path)], stderr=None)


async def test_the_last_room_is_for_outcomes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With little room on the disk nothing is begun any more, while what is under way can still be written down."""
    async with SqliteJournal(path) as journal:
        run = await journal.start(WHO, KIND)
        await journal.add(run, [row(1), row(2)])
        first, second = await journal.claim(run, 2)
        first = await journal.move(first, Move.BEGIN)
        monkeypatch.setattr(sqlite, "_ROOM", 1 << 62)
        with pytest.raises(JobError, match=r"jobs\.db cannot be used: less than .* are free on its disk"):
            await journal.move(second, Move.BEGIN)
        await journal.move(first, Move.ACCEPT)
        await journal.release(run)
        assert dict(await journal.count(run)) == {State.SENT: 1, State.READY: 1}


async def test_a_journal_that_became_read_only_stops_before_sending(path: Path) -> None:
    """The error says what must be writable, and the row is as it was."""
    async with SqliteJournal(path) as journal:
        run = await journal.start(WHO, KIND)
        await journal.add(run, [row(1)])
        [claimed] = await journal.claim(run, 1)
        journal._connection.execute("PRAGMA query_only = ON")
        with pytest.raises(JobError, match="must be writable; nothing is sent without the journal"):
            await journal.move(claimed, Move.BEGIN)
        journal._connection.execute("PRAGMA query_only = OFF")
        assert dict(await journal.count(run)) == {State.CLAIMED: 1}


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write everything")
async def test_a_file_without_the_right_to_write_is_refused(path: Path) -> None:
    """A journal that may only be read cannot be opened."""
    async with SqliteJournal(path):
        pass
    os.chmod(path, 0o444)
    with pytest.raises(JobError, match="must be writable"):
        async with SqliteJournal(path):
            pass


async def test_somebody_elses_long_read_disturbs_nobody(path: Path) -> None:
    """A program that reads the journal for minutes does not hold up a job, and texts go from the log all the same."""
    async with SqliteJournal(path) as journal:
        run = await journal.start(WHO, KIND)
        await journal.add(run, [row(1, "private")])
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM row").fetchone() == (1,)
            [claimed] = await journal.claim(run, 1)
            await journal.move(await journal.move(claimed, Move.BEGIN), Move.ACCEPT)
            assert reader.execute("SELECT state FROM row").fetchone() == ("READY",)
            reader.execute("COMMIT")
            await journal.__aexit__(None, None, None)
            assert b"private" not in b"".join(file.read_bytes() for file in path.parent.iterdir())
            await journal.__aenter__()


async def test_somebody_elses_lock_stops_before_sending(path: Path) -> None:
    """A program that keeps the journal locked for writing is waited for, but not for ever; then nothing is sent."""
    async with SqliteJournal(path) as journal:
        run = await journal.start(WHO, KIND)
        await journal.add(run, [row(1)])
        [claimed] = await journal.claim(run, 1)
        journal._connection.execute("PRAGMA busy_timeout = 20")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(JobError, match="another program has it locked"):
                await journal.move(claimed, Move.BEGIN)
        assert dict(await journal.count(run)) == {State.CLAIMED: 1}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not remove files that are open")
@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
@pytest.mark.parametrize("is_replaced", [False, True])
async def test_a_journal_that_was_removed_stops_before_sending(path: Path, suffix: str, is_replaced: bool) -> None:
    """A file that is gone, or another one in its place, is noticed by the next write: nothing is sent on its word."""
    async with SqliteJournal(path) as journal:
        run = await journal.start(WHO, KIND)
        await journal.add(run, [row(1)])
        [claimed] = await journal.claim(run, 1)
        file = path.with_name(path.name + suffix)
        content = file.read_bytes()
        file.unlink()
        if is_replaced:
            file.write_bytes(content)
        with pytest.raises(JobError, match="was removed or replaced while it was in use"):
            await journal.move(claimed, Move.BEGIN)


async def test_half_a_write_is_none(path: Path) -> None:
    """A log that breaks off anywhere, or whose end is garbage, holds whole commits up to there and nothing half."""
    async with SqliteJournal(path) as journal:
        run = await journal.start(WHO, KIND)
        await journal.add(run, [row(n) for n in range(1, 9)])
        claimed = await journal.claim(run, 8)
        begin = path.with_name("jobs.db-wal").stat().st_size
        for one in claimed:
            await journal.move(await journal.move(one, Move.BEGIN), Move.ACCEPT)
        file, log = content_of(path), content_of(path.with_name("jobs.db-wal"))
    chance = random.Random(7)
    seen = []
    for cut in [*sorted(chance.randrange(begin, len(log)) for _ in range(12)), len(log)]:
        copy = path.with_name(f"cut at {cut}.db")
        copy.write_bytes(file)
        copy.with_name(f"{copy.name}-wal").write_bytes(log[:cut] + chance.randbytes(len(log) - cut))
        async with SqliteJournal(copy) as journal:
            counts = await journal.count(run)
        assert sum(counts.values()) == 8
        assert counts.get(State.IN_DOUBT, 0) <= 1  # begun, and the outcome lost
        seen.append((counts.get(State.SENT, 0), counts.get(State.IN_DOUBT, 0)))
    assert seen == sorted(seen)
    assert len(set(seen)) > 4
    assert seen[-1] == (8, 0)


@pytest.mark.parametrize("damage", ["cut", "garbage"])
async def test_a_damaged_file_is_refused(path: Path, damage: str) -> None:
    """A journal whose pages are gone or overwritten is told to be damaged when it is opened after a crash."""
    async with SqliteJournal(path) as journal:
        run = await journal.start(WHO, KIND)
        await journal.add(run, [row(n) for n in range(1, 200)])
        await journal.claim(run, 1)
        journal._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        content = content_of(path)
    half = len(content) // 2 // 4096 * 4096
    broken = content[:half] if damage == "cut" else content[:half] + b"\xff" * 8192 + content[half + 8192 :]
    copy = path.with_name("copy.db")
    copy.write_bytes(broken)
    with pytest.raises(JobError, match=r"copy\.db (is damaged|cannot be used: database disk image is malformed)"):
        async with SqliteJournal(copy):
            pass


def _made(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)
    return path


async def test_what_is_no_journal_is_left_alone(tmp_path: Path) -> None:
    """A file that is something else, and the journal of a newer version, are refused and not touched."""
    text = tmp_path / "messages.csv"
    text.write_text("order_id,marketplace_id,text\n" * 100)
    table = "CREATE TABLE invoices (id)"
    mark = f"PRAGMA application_id = {APPLICATION_ID}"
    for path, words in (
        (text, "file is not a database"),
        (_made(tmp_path / "other.db", table), "but no journal"),
        (_made(tmp_path / "foreign.db", table, f"PRAGMA user_version = {SCHEMA_VERSION}"), "but no journal"),
        (_made(tmp_path / "one.db", table, "PRAGMA user_version = 1"), "but no journal"),
        (_made(tmp_path / "negative.db", table, mark, "PRAGMA user_version = -3"), "but no journal"),
        (_made(tmp_path / "newer.db", mark, f"PRAGMA user_version = {SCHEMA_VERSION + 1}"), "update spapi-async"),
    ):
        before = path.read_bytes()
        with pytest.raises(JobError, match=words):
            async with SqliteJournal(path):
                pass
        assert before == path.read_bytes()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A journal that the code of version 1 made and left with rows in hand; see make_journal_v1.py."""
    path = tmp_path / "old.db"
    path.write_bytes(gzip.decompress((Path(__file__).parent / "journal_v1.db.gz").read_bytes()))
    return path


async def test_an_earlier_version_is_brought_up_to_date(old: Path) -> None:
    """All rows of a version 1 come over, with what is known of them; what was in hand is in nobody's hand."""
    for _ in range(2):
        async with SqliteJournal(old) as journal:
            first, second = await journal.jobs()
            assert (first.begun > 1.7e9, first.ended, second.ended) == (True, None, None)
            [run] = first.runs
            counts = {State.SENT: 1, State.REFUSED: 1, State.IN_DOUBT: 2, State.READY: 3}
            assert dict(await journal.count(run)) == counts
            assert [r.number for r in await journal.rows(run, State.READY)] == [6, 7, 8]
            assert (await journal.rows(run, State.READY))[0].body["text"] == "hello 6"
            [refused] = await journal.rows(run, State.REFUSED)
            assert (refused.reason, refused.request_id, refused.key, refused.settled) == (
                "Amazon answered 400: bad",
                "id-3",
                "b",
                first.begun,
            )
            silent, abandoned = await journal.doubts(run.number)
            assert (silent.reason, abandoned.reason) == ("silence", ABANDONED)
            with pytest.raises(JobError, match="no text of the row; run its file again"):
                await journal.move(silent, Move.RESEND)
    async with SqliteJournal(old) as journal:
        run = await journal.start(Identity(refresh_token="new", selling_partner_id="A1"), KIND)
        again = [attrs.evolve(row(n), body={"marketplace_id": "A1PA6795UKMFR9", "text": f"hello {n}"}) for n in (2, 8)]
        admitted = await journal.add(run, again)
        assert [a.admission for a in admitted] == [Admission.ALREADY_SENT, Admission.RESUMED]
        assert [r.number for r in await journal.claim(run, 9)] == [8]


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """A journal that a killed process of version 2 left; see make_journal_v2.py."""
    path = tmp_path / "newer.db"
    path.write_bytes(gzip.decompress((Path(__file__).parent / "journal_v2.db.gz").read_bytes()))
    return _made(path, f"UPDATE owner SET host = '{platform.node()}'")


async def test_version_2_is_brought_up_to_date(newer: Path) -> None:
    """What a killed process had in hand is taken back; of a job that was done it is known that all was read."""
    async with SqliteJournal(newer) as journal:
        done, killed = await journal.jobs()
        assert (done.loaded, done.rejected, done.name, done.options) == (done.begun, 0, "done", {"grace": 3})
        assert (killed.loaded, killed.ended) == (None, None)
        [run] = killed.runs
        assert run.label == ""
        counts = {State.SENT: 1, State.REFUSED: 1, State.IN_DOUBT: 2, State.READY: 3}
        assert dict(await journal.count(run)) == counts
        who = Identity(refresh_token="Atzr|one", selling_partner_id="A1")
        run = await journal.start(who, KIND, job=killed.number, label="One")
        assert [r.number for r in await journal.claim(run, 9)] == [6, 7, 8]
        assert await journal.held(run) == 0


def _layout(path: Path) -> Sequence[Any]:
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name")
        return [
            (type_, name, connection.execute(f"PRAGMA {type_}_xinfo({name})").fetchall())
            for type_, name in names.fetchall()
        ]


async def test_every_version_becomes_the_same(path: Path, old: Path, newer: Path) -> None:
    """A journal that was brought up to date has the tables and indexes of a new one."""
    for one in (path, old, newer):
        async with SqliteJournal(one):
            pass
    assert _layout(path) == _layout(old) == _layout(newer)


async def test_a_reader_goes_through_all_rows(path: Path) -> None:
    """Reports read all rows in the order of their lines, and the first refused ones, while the job goes on."""
    async with SqliteJournal(path) as journal:
        run = await journal.start(WHO, KIND)
        await journal.add(run, [row(n) for n in (5, 3, 4, 1, 2)])
        await journal.add(await journal.start(WHO, KIND), [row(6)])
        for one in await journal.claim(run, 3):
            await journal.move(one, Move.REFUSE, reason="bad")
        connection, ledger = open_read_only(path)
        with closing(connection):
            rows = ledger.each(run.number)
            assert next(rows).number == 1
            await journal.claim(run, 1)
            assert [(r.number, r.state) for r in rows] == [
                (2, State.REFUSED),
                (3, State.REFUSED),
                (4, State.READY),
                (5, State.READY),
            ]
            assert [(r.number, r.reason) for r in ledger.refused(run.number, 2)] == [(1, "bad"), (2, "bad")]


async def test_an_earlier_version_is_not_touched_while_somebody_uses_it(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code of version 1 locks the journal as long as it has it; it is not brought up to date under its feet."""
    before = content_of(old)
    monkeypatch.setattr(sqlite, "_PATIENCE", 0.0)
    theirs = lock.FileLock(old.with_name("old.db.lock"))
    theirs.acquire()
    with pytest.raises(JobError, match=rf"old\.db is in use by process {os.getpid()}"):
        async with SqliteJournal(old):
            pass
    theirs.release()
    assert before == content_of(old)


async def test_a_folder_that_is_missing_is_one_clear_error(tmp_path: Path) -> None:
    """The error names the journal and the folder."""
    with pytest.raises(JobError, match=r"jobs\.db cannot be made: there is no folder .*nowhere$"):
        async with SqliteJournal(tmp_path / "nowhere" / "jobs.db"):
            pass


async def test_nobody_waits_for_a_thread_that_is_gone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the journal's thread ends by whatever it may be, all that wait and all that come get an error, not a hang."""
    monkeypatch.setattr(threading, "excepthook", lambda arguments: None)
    async with SqliteJournal(path) as journal:
        run = await journal.start(WHO, KIND)

        def end(*_: object) -> None:
            raise SystemExit("somebody ended it")

        monkeypatch.setattr(journal, "_commit", end)
        with anyio.fail_after(20):
            for words in ("its thread ended by SystemExit", "is not open"):
                with pytest.raises(JobError, match=words):
                    await journal.claim(run, 1)
