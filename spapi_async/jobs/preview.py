"""What would become of the rows of a file if a job ran now: counted, with nothing sent and nothing written."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

from ..errors import JobError
from .journal import Admitted, Identity, body_bytes, digest, digests
from .row import Admission, Row, State, admit
from .source import Entry
from .sqlite import open_read_only
from .summary import Tally

__all__ = ["JournalView", "preview"]

_NO_RUN = 0
"""The journal counts its runs from 1, so no row stands in an earlier line of this one."""


class JournalView:
    """What a journal knows, read without its lock and without changing it, so also while a job runs.

    Use it as a context manager.

    Args:
        path: The journal's file.
        identity: Who sells, as far as that is known; the refresh token may be "". Of several selling partners: by what
            their rows have as `selling_partner`.

    Raises:
        JobError: It is no journal, it cannot be read, or it knows several selling partners and not which is meant.
    """

    def __init__(self, path: Path, identity: Identity | Mapping[str, Identity]) -> None:
        self._path = path
        self._identities = identity if isinstance(identity, Mapping) else {}
        self._digests: dict[str, str] = {}
        self._connection, self._ledger = open_read_only(path)
        try:
            if isinstance(identity, Identity):
                self._digests[""] = self._identify(identity)
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the journal."""
        self._connection.close()

    def admission(self, row: Row, *, retry_refused: bool = False) -> Admission:
        """Say what would become of a row.

        Raises:
            JobError: The journal cannot be read.
        """
        admitted = self.admitted(row, retry_refused=retry_refused)
        return admitted.admission if admitted else Admission.NEW

    def admitted(self, row: Row, *, retry_refused: bool = False) -> Admitted | None:
        """Say what would become of a row, and how the journal has it; None if it does not know it.

        Raises:
            JobError: The journal cannot be read.
        """
        try:
            stored = self._ledger.find(self._digest_of(row.selling_partner), row)
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        if stored is None:
            return None
        content = digest(self._ledger.salt, body_bytes(row.body))
        admission = admit(stored, content, _NO_RUN, row.number, retry_refused)
        if admission is Admission.IN_HAND:
            # Until that process is through with it; what it leaves would become this.
            admission = Admission.IN_DOUBT if stored.row.state is State.SENDING else Admission.RESUMED
        return Admitted(admission=admission, stored=stored.row)

    def _digest_of(self, selling_partner: str) -> str:
        if selling_partner not in self._digests:
            self._digests[selling_partner] = self._identify(self._identities[selling_partner])
        return self._digests[selling_partner]

    def _identify(self, identity: Identity) -> str:
        token, named = digests(self._ledger.salt, identity)
        try:
            # If there is only one it is the one that is meant: a wrong guess sends nothing here.
            mine, adopted = self._ledger.resolve(token, named, same=True)
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        except JobError:
            raise JobError(
                f"the journal {self._path} knows several selling partners; say which one by --selling-partner-id, "
                "or by its refresh token in SPAPI_REFRESH_TOKEN"
            ) from None
        return adopted or mine

    def _unusable(self, error: sqlite3.Error) -> JobError:
        return JobError(f"the journal {self._path} cannot be read: {error}")


def preview(
    entries: Iterable[Entry],
    journal: JournalView | None = None,
    *,
    retry_refused: bool = False,
    on_waiting: Callable[[Row], None] | None = None,
) -> Tally:
    """Count what would become of the rows of a source; `waiting` are those that would be sent.

    Args:
        entries: Of the source, their attachments looked at. They are taken one by one, so their number does not matter.
        journal: What is known of the rows; None when they are all new.
        retry_refused: As of a job.
        on_waiting: Is called with each row that would be sent.

    Raises:
        ConfigError: The source cannot be read on.
        JobError: The journal cannot be read, or there is no room for temporary files.
    """
    tally = Tally()
    with closing(_Seen()) as seen:
        for entry in entries:
            row = entry.row
            if row is None:
                tally.invalid += 1
                continue
            if not seen.add(row):
                admission = Admission.REPEATED
            elif journal is None:
                admission = Admission.NEW
            else:
                admission = journal.admission(row, retry_refused=retry_refused)
            tally.admit(admission)
            if on_waiting and admission.is_waiting:
                on_waiting(row)
    return tally


class _Seen:
    """Which rows stood in earlier lines.

    In a temporary database, which goes to the disk when it outgrows its cache: a file may have more rows than fit into
    the memory.
    """

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", isolation_level=None)
        self._connection.execute("PRAGMA cache_size = -32768")  # KiB; room for about a million rows
        self._connection.execute("CREATE TABLE seen (row INTEGER PRIMARY KEY)")
        self._connection.execute("BEGIN")

    def add(self, row: Row) -> bool:
        """Add a row; return whether it is new."""
        # 64 bits: among a million rows, two are taken for one once in thirty million files.
        value = hash((row.selling_partner, row.order_id, row.key))
        try:
            return self._connection.execute("INSERT OR IGNORE INTO seen VALUES (?)", (value,)).rowcount == 1
        except sqlite3.Error as error:
            raise JobError(f"lines cannot be compared: {error}; is there room for temporary files?") from error

    def close(self) -> None:
        self._connection.close()
