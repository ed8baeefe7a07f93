"""The journal in a SQLite file.

Write-ahead log with `synchronous=FULL`: a commit is on the disk when it returns. All writes of a process go through one
connection, one commit at a time, in a thread of the journal's own; those that come while a commit runs share the next
one (group commit), so the disk sets the delay of a write and not the pace of the job.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import os
import platform
import queue
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import anyio
from anyio import to_thread

from ..auth.tasks import current_loop
from ..errors import JobError
from . import lease
from .journal import LedgerJournal
from .ledger import APPLICATION_ID, SCHEMA_VERSION, Claim, Ledger, Owner, Step, create, migrate
from .lock import FileLock, OwnerLock
from .row import Move, Row

__all__ = ["SCHEMA_VERSION", "SqliteJournal", "itself", "open_read_only", "version_of"]

_T = TypeVar("_T")

_PAUSE = 0.01
"""Seconds between two commits, at least: more moves share one, and other processes find the file free."""

_PAUSE_PER_WRITE = 0.0005
"""The more writes shared a commit, the longer the next one waits: a commit costs much the same for few and for many."""

_LONGEST_PAUSE = 0.1

_PATIENCE = 10.0
"""Seconds to wait while another process opens the journal, or writes to it."""

_ROOM = 8 << 20
"""Bytes that must be free on the disk to begin something: outcomes of what is under way have to fit in after it."""

_VERSION_1 = {"setting", "selling_partner", "run", "row"}
"""The tables of version 1, which had no application id."""


class _Ticket(Generic[_T]):
    """One write that waits for its commit: some work, or a claim or a move, of which many are made together."""

    __slots__ = ("error", "needs_room", "result", "work")

    def __init__(self, work: Callable[[], _T] | Claim | Step, needs_room: bool) -> None:
        self.work = work
        self.needs_room = needs_room
        self.result: _T
        self.error: Exception | None = None


class _Batch:
    """Writes that share a commit."""

    def __init__(self) -> None:
        self.tickets: list[_Ticket[Any]] = []
        self.is_done = anyio.Event()


class SqliteJournal(LedgerJournal):
    """A journal in a file that survives the process. Use it as an async context manager.

    Several processes of one machine may have it open at once. Each has a lease on what it has in hand, renewed by the
    journal's thread, and a lock by which the others see at once that it is gone.

    Args:
        path: The file; it is made when it is not there. Beside it come `-wal`, `-shm`, `.lock`, and one more lock for
            each process.
        keep_bodies: Keep the texts of rows that are settled.
        clock: The wall clock, in seconds since 1970.
        ticks: A clock that nobody can set, in seconds.

    Raises:
        JobError: On entering: it is no journal, a newer one or a damaged one, it cannot be written, or a process of a
            version that does not share has it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        keep_bodies: bool = False,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path = itself(Path(path))
        self._keep_bodies = keep_bodies
        self._clock = clock
        self._ticks = ticks
        self._opening = FileLock(path.with_name(path.name + ".lock"))
        self._lock = OwnerLock(path)
        self._connection: sqlite3.Connection
        self._files: Sequence[tuple[int, int]] = ()
        self._batch: _Batch | None = None
        """The one that takes further writes."""
        self._batches: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._mutex = threading.Lock()
        """Between the event loop and the thread: around `_batch` and `_is_open`."""
        self._is_open = False
        self._is_entered = False
        self._thread: threading.Thread | None = None
        self._next_commit = 0.0

    async def __aenter__(self) -> Self:
        # A worker thread of our own, or a user's busy threads would hold up the journal.
        self._limiter = anyio.CapacityLimiter(1)
        try:
            await self._in_thread(self._open)
        except BaseException:
            if self._is_entered:  # asyncio's own cancellation came meanwhile
                await self._in_thread(self._close)
            raise
        self._call_soon = _call_soon()
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()
        self._is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._mutex:
            self._is_open = False
            self._batch = None
            self._batches.put(None)
        await self._in_thread(self._close)

    async def _in_thread(self, work: Callable[[], None]) -> None:
        """Do something in a thread and come back when it is done, whoever cancels."""
        failures: list[Exception] = []

        async def run() -> None:
            try:
                with anyio.CancelScope(shield=True):  # from that of the group, which a host that is cancelled cancels
                    await to_thread.run_sync(work, limiter=self._limiter)
            except Exception as error:  # kept out of the group, which would wrap it up
                failures.append(error)

        # A group besides the shield: asyncio's own cancellation heeds no shield, but a group waits for its tasks.
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as group:
                group.start_soon(run)
        if failures:
            raise failures[0]

    async def _write(self, work: Callable[[], _T], *, needs_room: bool = True) -> _T:
        return await self._commit_soon(_Ticket(work, needs_room))

    async def _claim(self, claim: Claim) -> Sequence[Row]:
        return await self._commit_soon(_Ticket(claim, needs_room=True))

    async def _move(self, step: Step) -> Row:
        return await self._commit_soon(_Ticket(step, step.move is Move.BEGIN))

    async def _commit_soon(self, ticket: _Ticket[_T]) -> _T:
        with self._mutex:
            if not self._is_open:
                raise JobError(f"the journal {self._path} is not open")
            batch = self._batch
            if batch is None:
                batch = self._batch = _Batch()
                self._batches.put(batch)
            batch.tickets.append(ticket)
        try:
            await batch.is_done.wait()
        except anyio.get_cancelled_exc_class():
            # A cancelled caller must know for certain whether its write was made, and it takes milliseconds. The shield
            # comes only now, since for each move it would cost as much as all the rest of its waiting.
            with anyio.CancelScope(shield=True):
                await batch.is_done.wait()
            if anyio.current_effective_deadline() != -math.inf:
                raise  # asyncio's own, which comes but once; that of a scope comes again
        if ticket.error is not None:
            raise ticket.error
        return ticket.result

    # --- in the journal's thread

    def _work(self) -> None:
        """Commit batch after batch; when there is none, renew the lease from time to time.

        A renewal that fails is no error: the lease then comes to its end, and a row's BEGIN says so.
        """
        batch: _Batch | None = None
        try:
            while True:
                try:
                    batch = self._batches.get(timeout=lease.BEAT)
                except queue.Empty:
                    self._commit([])
                    continue
                if batch is None:
                    return
                time.sleep(max(self._next_commit - time.monotonic(), 0.0))
                with self._mutex:
                    if self._batch is batch:
                        self._batch = None
                self._commit(batch.tickets)
                self._is_done(batch)
        except BaseException as error:  # nobody may wait for a thread that is gone
            self._give_up(batch, error)
            raise

    def _give_up(self, batch: _Batch | None, error: BaseException) -> None:
        with self._mutex:
            self._is_open = False
            while not self._batches.empty():
                if batch is not None:
                    self._fail(batch, error)
                batch = self._batches.get()
        if batch is not None:
            self._fail(batch, error)

    def _fail(self, batch: _Batch, error: BaseException) -> None:
        for ticket in batch.tickets:
            ticket.error = JobError(f"the journal {self._path} cannot be used: its thread ended by {error!r}")
        self._is_done(batch)

    def _is_done(self, batch: _Batch) -> None:
        with suppress(RuntimeError):  # the event loop has ended, and nobody waits
            self._call_soon(batch.is_done.set)

    def _commit(self, tickets: Sequence[_Ticket[Any]]) -> None:
        """Do all the waiting work in one transaction."""
        connection = self._connection
        try:
            has_room = shutil.disk_usage(self._path.parent).free >= _ROOM
            connection.execute("BEGIN IMMEDIATE")
            self._ledger.renew()
            self._work_off([ticket for ticket in tickets if self._fits(ticket, has_room)])
            connection.execute("COMMIT")
            self._see_that_it_is_there()
        except Exception as error:
            # One transaction: what one of them could not write, none of them has written.
            with suppress(sqlite3.Error):
                connection.rollback()
            self._ledger.undone()
            for ticket in tickets:
                ticket.error = self._error(error)
        finally:
            pause = min(max(_PAUSE_PER_WRITE * len(tickets), _PAUSE), _LONGEST_PAUSE)
            self._next_commit = time.monotonic() + pause

    def _fits(self, ticket: _Ticket[Any], has_room: bool) -> bool:
        if ticket.needs_room and not has_room:
            ticket.error = self._full()
        return ticket.error is None

    def _work_off(self, tickets: Sequence[_Ticket[Any]]) -> None:
        claims: list[Claim] = []
        steps: list[Step] = []
        together: tuple[list[_Ticket[Any]], list[_Ticket[Any]]] = [], []
        for ticket in tickets:
            if isinstance(ticket.work, Step):
                together[1].append(ticket)
                steps.append(ticket.work)
            elif isinstance(ticket.work, Claim):
                together[0].append(ticket)
                claims.append(ticket.work)
            else:
                self._work_alone(ticket, ticket.work)
        outcomes = [*self._ledger.claim_all(claims), *self._ledger.move_all(steps)]
        for ticket, outcome in zip(itertools.chain(*together), outcomes, strict=True):
            if isinstance(outcome, JobError):
                ticket.error = outcome
            else:
                ticket.result = outcome

    def _work_alone(self, ticket: _Ticket[_T], work: Callable[[], _T]) -> None:
        """Do work that may fail, as by a text that cannot be written: the others of the commit have no part in that."""
        self._connection.execute("SAVEPOINT ticket")
        try:
            ticket.result = work()
        except sqlite3.Error:
            raise
        except Exception as error:
            self._connection.execute("ROLLBACK TO ticket")
            self._ledger.forget()
            ticket.error = error
        self._connection.execute("RELEASE ticket")

    def _open(self) -> None:
        if not (folder := self._path.parent).is_dir():
            raise JobError(f"the journal {self._path} cannot be made: there is no folder {folder}")
        self._opening.acquire(_PATIENCE)
        try:
            self._connection = self._connect()
            try:
                self._enter()
            except BaseException:
                self._lock.release()
                self._connection.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise self._error(error) from error
        finally:
            self._opening.release()
        self._is_entered = True

    def _connect(self) -> sqlite3.Connection:
        with suppress(OSError):  # SQLite says better what is wrong
            # Texts to buyers stand in it. SQLite gives the files beside it the same mode.
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=_PATIENCE)
        connection.row_factory = sqlite3.Row
        try:
            version = version_of(connection, self._path)  # before anything is written to a file that is not ours
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            # On macOS a plain fsync leaves it in the disk's own memory. Elsewhere these two do nothing.
            connection.execute("PRAGMA fullfsync = ON")
            connection.execute("PRAGMA checkpoint_fullfsync = ON")
            # A text that was dropped must not be readable in a free page of the file, nor behind the end of the log.
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("PRAGMA journal_size_limit = 0")
            connection.execute("PRAGMA cache_size = -4096")  # KiB; more would only look like a leak
            if version != SCHEMA_VERSION:
                connection.execute("BEGIN IMMEDIATE")
                if version:
                    migrate(connection, version)
                else:
                    create(connection)
                connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        return connection

    def _enter(self) -> None:
        connection = self._connection
        self._ledger = Ledger(
            connection,
            clock=self._clock,
            ticks=self._ticks,
            is_gone=partial(_is_gone, self._lock),
            keep_bodies=self._keep_bodies,
        )
        self._lock.acquire()  # before the others hear of us: an owner without a lock counts as dead
        connection.execute("BEGIN IMMEDIATE")
        known = {record["lock"] for record in connection.execute("SELECT lock FROM owner")}
        self._ledger.enter(host=platform.node(), pid=os.getpid(), lock=self._lock.name)
        crashes = self._ledger.recover()
        connection.execute("COMMIT")
        self._lock.sweep(known)
        if crashes and connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise JobError(f"the journal {self._path} is damaged: restore it, or name another file; nothing was sent")
        self._files = self._look_up()

    def _close(self) -> None:
        if self._thread is not None:
            self._thread.join()
        with closing(self._connection) as connection:
            # What cannot be written now is found by the next one, since the lock is gone.
            with suppress(sqlite3.Error, JobError):
                connection.execute("BEGIN IMMEDIATE")
                self._ledger.leave()
                connection.execute("COMMIT")
            # The log still holds texts that were dropped from the table. SQLite empties it when the last connection
            # goes; this does it also while others stay, unless they read at this moment.
            with suppress(sqlite3.Error):
                connection.execute("PRAGMA busy_timeout = 100")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._lock.release()

    def _look_up(self) -> Sequence[tuple[int, int]]:
        """Say which files stand under our names now; a file that was removed or replaced is another one."""
        stats = [os.stat(f"{self._path}{suffix}") for suffix in ("", "-wal", "-shm")]
        return [(stat.st_dev, stat.st_ino) for stat in stats]

    def _see_that_it_is_there(self) -> None:
        # After the commit: SQLite writes happily to files that have no name any more.
        try:
            is_there = self._look_up() == self._files
        except FileNotFoundError:
            is_there = False
        if not is_there:
            raise JobError(
                f"the journal {self._path} was removed or replaced while it was in use; nothing more is sent"
            )

    def _full(self) -> JobError:
        return JobError(
            f"the journal {self._path} cannot be used: less than {_ROOM >> 20} MB are free on its disk. Make room "
            "first; nothing is sent without the journal"
        )

    def _error(self, error: Exception) -> Exception:
        if isinstance(error, sqlite3.Error):
            return _unusable(self._path, error)
        if isinstance(error, OSError):
            return JobError(f"the journal {self._path} cannot be used: {error.strerror or error}")
        return error


def _call_soon() -> Callable[[Callable[[], None]], object]:
    """Return what a thread calls to have a function called in the event loop that runs now."""
    loop: Any = current_loop()  # trio's token is no type of ours
    return loop.call_soon_threadsafe if isinstance(loop, asyncio.AbstractEventLoop) else loop.run_sync_soon


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """Return the schema version of a journal, 0 for an empty file. It only reads.

    Raises:
        JobError: It is no journal, or a newer one.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if version == 0 and application == 0 and not tables:
        return 0
    if version == 1 and application == 0 and tables == _VERSION_1:
        return 1
    if application != APPLICATION_ID or version < 2:
        raise JobError(f"{path} is a database, but no journal; name another file")
    if version > SCHEMA_VERSION:
        raise JobError(f"the journal {path} is of version {version}: update spapi-async to go on with it")
    return version


def itself(path: Path) -> Path:
    """Return the journal that a link leads to: its log and its locks lie beside that, whatever name it is opened by."""
    return path.resolve() if path.is_symlink() else path


def open_read_only(path: Path) -> tuple[sqlite3.Connection, Ledger]:
    """Open a journal to read from it, also while jobs run: nothing is written and nobody is disturbed.

    Args:
        path: Its file.

    Raises:
        JobError: It cannot be read, it is no journal, or one of another version.
    """
    path = itself(path)
    if not path.exists():
        raise JobError(f"there is no journal {path}")
    # A reader leaves a log behind where there was none. Where there is none, nobody writes either.
    is_in_use = path.with_name(path.name + "-wal").exists()
    uri = f"{path.resolve().as_uri()}?mode=ro{'' if is_in_use else '&immutable=1'}"
    try:
        connection = sqlite3.connect(uri, uri=True)
        try:
            connection.row_factory = sqlite3.Row
            if version_of(connection, path) != SCHEMA_VERSION:
                raise JobError(
                    f"{path} is a journal of an earlier version, or empty; the next job brings it up to date"
                )
            lock = OwnerLock(path)  # never acquired: it only looks at those of others
            ledger = Ledger(connection, clock=time.time, ticks=time.monotonic, is_gone=partial(_is_gone, lock))
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise JobError(f"the journal {path} cannot be read: {error}") from error
    return connection, ledger


def _is_gone(lock: OwnerLock, owner: Owner) -> bool:
    return owner.lock is not None and owner.host == platform.node() and lock.is_gone(owner.lock)


def _unusable(path: Path, error: sqlite3.Error) -> JobError:
    name = getattr(error, "sqlite_errorname", "")
    cure = "nothing is sent without it"
    if name == "SQLITE_FULL" or name.startswith("SQLITE_IOERR"):
        cure = "is the disk full? Make room first; nothing is sent without the journal"
    elif name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        cure = "the file and its folder must be writable; nothing is sent without the journal"
    elif name.startswith("SQLITE_BUSY"):
        cure = "another program has it locked; end that first, nothing is sent without the journal"
    elif name in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):
        cure = "it is no journal or it is damaged; name another file, or restore it"
    return JobError(f"the journal {path} cannot be used: {error}; {cure}")
