"""The journal in a SQLite file.

Write-ahead log with `synchronous=FULL`: a commit is on the disk when it returns. All writes go through one connection,
one commit at a time, in a worker thread; those that come while a commit runs share the next one (group commit), so the
disk sets the delay of a write and not the pace of the job.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import anyio
import attrs
import orjson
from anyio import to_thread

from ..errors import JobError
from .journal import Admitted, Identity, Run, abandoned, body_bytes, digest, digests, resolve
from .lock import FileLock
from .row import Admission, Move, Row, State, Stored, admit

__all__ = ["SCHEMA_VERSION", "SqliteJournal", "queries", "row_of"]

SCHEMA_VERSION = 1

_T = TypeVar("_T")


class _Ticket(Generic[_T]):
    """One write that waits for its commit."""

    def __init__(self, work: Callable[[], _T]) -> None:
        self.work = work
        self.is_done = False
        self.result: _T
        self.error: Exception | None = None


class SqliteJournal:
    """A journal in a file that survives the process. Use it as an async context manager.

    Args:
        path: The file; it is made when it is not there. Beside it come `-wal`, `-shm` and `.lock`.

    Raises:
        JobError: On entering: another process has it, it is no journal or a newer one, or it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = FileLock(path.with_name(path.name + ".lock"))
        self._queries = queries()
        self._connection: sqlite3.Connection
        self._salt = b""
        self._pending: list[_Ticket[Any]] = []

    async def __aenter__(self) -> Self:
        self._turn = anyio.Lock()
        # A worker thread of our own, or a user's busy threads would hold up the journal.
        self._limiter = anyio.CapacityLimiter(1)
        self._lock.acquire()
        try:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(self._open, limiter=self._limiter)
            await self.recover()
        except BaseException:
            self._lock.release()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            try:
                async with self._turn:
                    await to_thread.run_sync(self._close, limiter=self._limiter)
            finally:
                self._lock.release()

    async def recover(self) -> None:
        """See `Journal.recover`."""

        def work() -> None:
            for record in self._all("unfinished_rows"):
                row = row_of(record)
                self._move(row, abandoned(row))

        await self._write(work)

    async def start(self, identity: Identity, kind: str, *, same_selling_partner: bool = False) -> Run:
        """See `Journal.start`."""

        def work() -> Run:
            token, named = digests(self._salt, identity)
            known = {record["digest"]: bool(record["is_named"]) for record in self._all("selling_partners")}
            mine, adopted = resolve(known, token, named, same_selling_partner)
            self._do("add_selling_partner", (mine, named is not None))
            if adopted:
                self._do("adopt_rows", {"to": mine, "from": adopted})
                self._do("forget_selling_partner", (adopted,))
            number = self._do("add_run", (datetime.now(UTC).isoformat(timespec="seconds"),)).lastrowid
            return Run(number=number or 0, selling_partner=mine, kind=kind)

        return await self._write(work)

    async def add(self, run: Run, rows: Sequence[Row], *, retry_refused: bool = False) -> Sequence[Admitted]:
        """See `Journal.add`."""
        return await self._write(lambda: [self._add(run, row, retry_refused) for row in rows])

    def _add(self, run: Run, row: Row, retry_refused: bool) -> Admitted:
        name = (run.selling_partner, run.kind, row.order_id, row.key)
        record = self._do("find_row", name).fetchone()
        stored = Stored(row=row_of(record), digest=record["digest"], run=record["run"]) if record else None
        body = body_bytes(row.body)
        content = digest(self._salt, body)
        admission = admit(stored, content, run.number, retry_refused)
        values = {"run": run.number, "number": row.number, "body": body.decode(), "digest": content}
        if stored is None:
            keys = ("selling_partner", "kind", "order_id", "key")
            added = self._do("add_row", {**values, **dict(zip(keys, name, strict=True))}).lastrowid
            kept = attrs.evolve(row, id=added or 0)
        elif admission is Admission.REPEATED:
            kept = stored.row
        elif admission.is_waiting:
            self._do("renew_row", {**values, "id": stored.row.id})
            kept = attrs.evolve(row, id=stored.row.id, attempts=stored.row.attempts)
        else:
            self._do("touch_row", {"run": run.number, "number": row.number, "id": stored.row.id})
            kept = attrs.evolve(stored.row, number=row.number)
        return Admitted(admission=admission, stored=kept)

    async def claim(self, run: Run, after: int, limit: int) -> Sequence[Row]:
        """See `Journal.claim`."""

        def work() -> Sequence[Row]:
            ready = [row_of(record) for record in self._all("ready_rows", (run.number, after, limit))]
            return [self._move(row, row.after(Move.CLAIM)) for row in ready]

        return await self._write(work)

    async def move(self, row: Row, move: Move, *, reason: str = "", request_id: str | None = None) -> Row:
        """See `Journal.move`."""
        moved = row.after(move, reason=reason, request_id=request_id)
        return await self._write(lambda: self._move(row, moved))

    def _move(self, old: Row, new: Row) -> Row:
        body = body_bytes(new.body).decode() if not new.state.is_settled else None
        values = {
            "id": new.id,
            "old": old.state,
            "state": new.state,
            "attempts": new.attempts,
            "body": body,
            "reason": new.reason,
            "request_id": new.request_id,
        }
        if self._do("move_row", values).rowcount != 1:
            raise JobError(f"line {old.number}: somebody else moved the row first")
        return new

    async def release(self, run: Run) -> None:
        """See `Journal.release`."""

        def work() -> None:
            for record in self._all("rows_in_state", (run.number, State.CLAIMED)):
                row = row_of(record)
                self._move(row, row.after(Move.RELEASE))

        await self._write(work)

    async def count(self, run: Run) -> Mapping[State, int]:
        """See `Journal.count`."""
        records = await self._write(lambda: self._all("count_rows", (run.number,)))
        return {State(state): count for state, count in records}

    async def rows(self, run: Run, state: State) -> Sequence[Row]:
        """See `Journal.rows`."""
        records = await self._write(lambda: self._all("rows_in_state", (run.number, state)))
        return [row_of(record) for record in records]

    async def _write(self, work: Callable[[], _T]) -> _T:
        ticket = _Ticket(work)
        self._pending.append(ticket)
        # Shielded: a cancelled caller must know for certain whether its write was made, and it takes milliseconds.
        with anyio.CancelScope(shield=True):
            async with self._turn:
                if not ticket.is_done:
                    batch, self._pending = self._pending, []
                    await to_thread.run_sync(self._commit, batch, limiter=self._limiter)
        if ticket.error is not None:
            raise ticket.error
        return ticket.result

    def _commit(self, batch: Sequence[_Ticket[Any]]) -> None:
        """Do all the waiting work in one transaction. In the worker thread."""
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            for ticket in batch:
                try:
                    ticket.result = ticket.work()
                except JobError as error:  # raised before anything of this ticket was written
                    ticket.error = error
            connection.execute("COMMIT")
        except Exception as error:
            # One transaction: what one of them could not write, none of them has written.
            if connection.in_transaction:
                connection.rollback()
            for ticket in batch:
                ticket.error = self._unusable(error) if isinstance(error, sqlite3.Error) else error
        finally:
            for ticket in batch:
                ticket.is_done = True

    def _open(self) -> None:
        try:
            connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=5)
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        connection.row_factory = sqlite3.Row
        self._connection = connection
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            # A text that was dropped must not be readable in a free page of the file.
            connection.execute("PRAGMA secure_delete = ON")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise JobError(f"the journal {self._path} is of version {version}: update spapi-async to go on with it")
            connection.execute("BEGIN IMMEDIATE")
            if version == 0:
                if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    raise JobError(f"{self._path} is a database, but no journal; name another file")
                for statement in self._queries["schema"].split(";\n"):
                    connection.execute(statement)
                connection.execute(self._queries["set_salt"], (secrets.token_bytes(32),))
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            self._salt = connection.execute(self._queries["get_salt"]).fetchone()[0]
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            connection.close()
            raise self._unusable(error) from error
        except BaseException:
            connection.close()
            raise

    def _close(self) -> None:
        # The log still holds texts that were dropped from the table; SQLite empties it when the last connection goes.
        self._connection.close()

    def _unusable(self, error: sqlite3.Error) -> JobError:
        name = getattr(error, "sqlite_errorname", "")
        cure = "nothing is sent without it"
        if name == "SQLITE_FULL" or name.startswith("SQLITE_IOERR"):
            cure = "is the disk full? Make room first; nothing is sent without the journal"
        elif name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
            cure = "the file and its folder must be writable; nothing is sent without the journal"
        elif name in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):
            cure = "it is no journal or it is damaged; name another file, or restore it"
        return JobError(f"the journal {self._path} cannot be used: {error}; {cure}")

    def _do(self, query: str, values: Mapping[str, object] | Sequence[object] = ()) -> sqlite3.Cursor:
        return self._connection.execute(self._queries[query], values)

    def _all(self, query: str, values: Sequence[object] = ()) -> Sequence[Any]:
        return self._do(query, values).fetchall()


def row_of(record: sqlite3.Row) -> Row:
    """Make a row of a record of the table `row`."""
    return Row(
        id=record["id"],
        number=record["number"],
        kind=record["kind"],
        order_id=record["order_id"],
        key=record["key"],
        body=orjson.loads(record["body"]) if record["body"] is not None else {},
        state=State(record["state"]),
        attempts=record["attempts"],
        reason=record["reason"],
        request_id=record["request_id"],
    )


def queries() -> Mapping[str, str]:
    """Read the queries of `journal.sql`, by name."""
    text = resources.files(__package__).joinpath("journal.sql").read_text(encoding="utf-8")
    parts: Iterable[str] = text.split("-- name: ")[1:]
    return {name.strip(): query.strip().rstrip(";") for name, _, query in (part.partition("\n") for part in parts)}
