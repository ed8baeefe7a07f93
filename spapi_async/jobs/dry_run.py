"""A job that does everything but sending: Amazon is asked for each order, and no buyer gets anything."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from pathlib import Path

from ..middleware import Middleware, compose
from ..operation import Call, Reply
from .identity import Identity
from .journal import Admitted, MemoryJournal, Run
from .kinds import Kind, Uploaded
from .kinds.attachments import COLUMN, read
from .lane import Send
from .preview import JournalView
from .row import Row

__all__ = ["DryRun"]

_TAKEN = Reply(status=201, headers={}, body=b"{}")


class DryRun:
    """What a dry run has in the place of the journal, the sending and the uploads.

    Args:
        path: Of the journal that tells what was sent before; it is only read, and need not be there.

    Attributes:
        journal: For the rows of this run; it is gone with it.
    """

    def __init__(self, path: Path) -> None:
        self.journal = MemoryJournal()
        self._identities: dict[str, Identity] = {}
        self._path = path
        self._view: JournalView | None = None

    def open(self) -> None:
        """Open the journal, if there is one.

        Raises:
            JobError: It cannot be read.
        """
        if self._path.exists():
            self._view = JournalView(self._path, self._identities)

    def knows(self, part: Run, identity: Identity) -> None:
        """Learn who has the rows of a part."""
        self._identities[part.selling_partner] = identity

    def admitted(self, row: Row, *, retry_refused: bool) -> Admitted | None:
        """Say what would become of a row; None if nothing is known of it.

        Raises:
            JobError: The journal cannot be read, or knows several selling partners and not this one.
        """
        return self._view.admitted(row, retry_refused=retry_refused) if self._view else None

    def sends(self, kind: Kind, send: Send) -> Send:
        """Return a function that sends all calls but those of the kind's operation, which it only makes."""

        def dry(call: Call, inner: Iterable[Middleware] = ()) -> Awaitable[Reply]:
            if call.operation is kind.operation:
                return compose((*inner,), _take)(call)
            return send(call, inner)

        return dry

    async def attach(self, kind: Kind, row: Row, *, anew: bool = False) -> Sequence[Uploaded]:
        """Upload nothing; the files were looked at when the row was added."""
        return [Uploaded("dry-run", each.name) for each in read(row.body.get(COLUMN, ""))]

    def close(self) -> None:
        """Close what was read."""
        if self._view:
            self._view.close()


async def _take(call: Call) -> Reply:
    return _TAKEN
