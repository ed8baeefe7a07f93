"""A journal that remembers nothing: the floor that the real one is measured against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spapi_async import UsagePlan
from spapi_async.jobs import MemoryJournal
from spapi_async.jobs.journal import Admitted, Identity, Run
from spapi_async.jobs.row import Admission, Move, Row, State

__all__ = ["NoJournal"]


class NoJournal(MemoryJournal):
    """Remembers nothing but what waits: what sending costs by itself."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: dict[str, list[Row]] = {}

    async def start(self, identity: Identity, kind: str, *, label: str = "", **options: object) -> Run:
        """Begin."""
        return Run(number=1, selling_partner=label, kind=kind, label=label)

    async def add(self, run: Run, rows: Sequence[Row], *, retry_refused: bool = False) -> Sequence[Admitted]:
        """Keep the rows until they are claimed."""
        for row in rows:
            self._waiting.setdefault(row.selling_partner, []).append(row)
        return [Admitted(admission=Admission.NEW, stored=row) for row in rows]

    async def claim(self, run: Run, limit: int, *, most: int | None = None, since: float = 0.0) -> Sequence[Row]:
        """Hand them out."""
        waiting = self._waiting.get(run.selling_partner, [])
        taken, waiting[:limit] = waiting[:limit], []
        return [row.after(Move.CLAIM) for row in taken]

    async def move(
        self, row: Row, move: Move, *, reason: str = "", request_id: str | None = None, not_before: float = 0.0
    ) -> Row:
        """Move."""
        return row.after(move)

    def holds(self) -> bool:
        """Agree."""
        return True

    async def held(self, run: Run) -> int:
        """Know of nobody."""
        return 0

    async def release(self, run: Run) -> None:
        """Do nothing."""

    async def count(self, run: Run) -> Mapping[State, int]:
        """Count nothing."""
        return {}

    async def next_attempt(self, run: Run) -> float | None:
        """Know of none."""
        return None

    async def note_plan(self, run: Run, plan: UsagePlan) -> None:
        """Do nothing."""
