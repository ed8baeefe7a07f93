"""Makes journals for the tests of the commands that read them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anyio

from spapi_async.jobs.journal import Identity, Run
from spapi_async.jobs.row import Move, Row
from spapi_async.jobs.sqlite import SqliteJournal
from spapi_async.operation import UsagePlan

KIND = "confirmOrderDetails"
REASON = "Amazon answered 403: order 902-{n} is too young; it may be tried again from 2026-10-01T00:00:00+00:00"


class Jobs:
    """Makes a journal, job by job, and moves its rows.

    Args:
        path: The journal.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, *labels: str, rows: int = 6, source: str = "/data/messages.csv", name: str = "") -> None:
        """Make a job: of each selling partner one row is sent, two refused, one is in doubt, and the rest waits."""

        async def work() -> None:
            async with SqliteJournal(self.path) as journal:
                runs: list[Run] = []
                for label in labels:
                    number = runs[0].number if runs else None
                    who = Identity(refresh_token=label, selling_partner_id=label)
                    run = await journal.start(who, KIND, job=number, label=label, source=source, name=name)
                    await journal.note_plan(run, UsagePlan(rate=0.5, burst=5))
                    await journal.add(run, [self._row(n, run) for n in range(2, rows + 2)])
                    runs.append(run)
                await journal.loaded(runs[0], 3)
                for run in runs:
                    await self._send(journal, run)
                    await journal.release(run)

        anyio.run(work)

    def finish(self, number: int = 1) -> None:
        """Refuse all rows of a job that wait."""

        async def work() -> None:
            async with SqliteJournal(self.path) as journal:
                [job] = [job for job in await journal.jobs() if job.number == number]
                for run in job.runs:
                    for row in await journal.claim(run, 100):
                        await journal.move(row, Move.REFUSE, reason="no")
                    await journal.release(run)

        anyio.run(work)

    def _row(self, number: int, run: Run) -> Row:
        return Row(number=number, kind=KIND, order_id=f"902-{run.number}-{number}", body={"text": "hello"})

    async def _send(self, journal: SqliteJournal, run: Run) -> None:
        rows: Sequence[Row] = await journal.claim(run, 4)
        first, second, third, *rest = rows
        await journal.move(await journal.move(first, Move.BEGIN), Move.ACCEPT, request_id="r-1")
        for row in (second, third):
            await journal.move(row, Move.REFUSE, reason=REASON.format(n=row.number))
        for row in rest:
            await journal.move(await journal.move(row, Move.BEGIN), Move.LOSE, reason="no answer")
