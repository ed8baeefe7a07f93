"""Journals with a past, made through the journal's own rules by a clock that a test moves."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from spapi_async.errors import JobError
from spapi_async.jobs.identity import Identity
from spapi_async.jobs.ledger import Claim, Ledger, Run, Step, create
from spapi_async.jobs.row import Move, Row
from spapi_async.operation import UsagePlan

BEGUN = 1_790_000_000.0  # 2026-09-21T14:13:20Z

HOSTILE = "</td><script>alert(1)</script>\x1b[31m\u202e & \"quotes\" 'too'"

REASONS = [
    "Amazon does not offer confirmOrderDetails for this order now",
    "Amazon answered 400: the text must not hold links; order {order}",
    "Amazon answered 403: outside the 5-30 day range; it may be tried again from 2026-10-{day:02}T00:00:00+00:00",
    "Amazon answered 404: order {order} was not found",
    "Amazon answered 400: " + "a long explanation, as lawyers write them, " * 11,
    f"Amazon answered 400: {HOSTILE}",
]

KINDS = ("confirmOrderDetails", "productReviewAndSellerFeedback", "warranty")


class Past:
    """Writes a job into a journal: batch by batch, as time goes by.

    Args:
        path: The journal.
        seed: For what becomes of which row.
    """

    def __init__(self, path: Path, seed: int = 1) -> None:
        self.now = BEGUN
        self._random = random.Random(seed)
        self._path = path

    def __call__(
        self,
        rows: int,
        *,
        sellers: int = 1,
        kinds: int = 1,
        rate: float = 1.0,
        waiting: int = 0,
        reasons: Sequence[str] = REASONS,
        source: str = "/data/messages.csv",
        is_ended: bool = True,
    ) -> None:
        """Make a job of so many rows, of which the last ones wait; the plan is doubled half-way."""
        connection = sqlite3.connect(self._path, isolation_level=None)
        connection.row_factory = sqlite3.Row
        with closing(connection):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN")
            if not connection.execute("PRAGMA user_version").fetchone()[0]:
                create(connection)
            ledger = Ledger(connection, clock=lambda: self.now, ticks=lambda: self.now, is_gone=lambda owner: False)
            ledger.enter(host="here", pid=1, lock=None)
            runs: list[Run] = []
            for seller in range(sellers):
                for kind in KINDS[:kinds]:
                    identity = Identity(refresh_token=f"token {seller}", selling_partner_id=f"A{seller}")
                    label = f"A{seller:04}EXAMPLE" if seller != 1 else HOSTILE
                    run = ledger.start(
                        identity, kind, same_selling_partner=False, job=runs[0].number if runs else None,
                        name="", source=source, options={}, label=label,
                    )  # fmt: skip
                    ledger.note_plan(run, UsagePlan(rate=rate, burst=5))
                    runs.append(run)
            self._fill(ledger, runs, rows)
            ledger.loaded(runs[0], 7)
            begun, ends = self.now, []
            for run in runs:  # side by side
                self.now = begun
                self._send(ledger, run, rows // len(runs) - waiting // len(runs), rate, reasons)
                ends.append(self.now)
            self.now = max(ends)
            if is_ended:
                ledger.leave()
            for run in runs:
                ledger.release(run)
            connection.execute("COMMIT")

    def _fill(self, ledger: Ledger, runs: Sequence[Run], rows: int) -> None:
        number = 1
        for run in runs:
            batch = []
            for _ in range(rows // len(runs)):
                number += 1
                order = f"902-{number:07}-{run.number:07}"
                key = "=cmd|'/C calc'!A0" if number % 17 == 0 else ""
                batch.append(Row(number=number, kind=run.kind, order_id=order, key=key, body={"text": "hello"}))
            ledger.add(run, batch, False)

    def _send(self, ledger: Ledger, run: Run, rows: int, rate: float, reasons: Sequence[str]) -> None:
        done = 0
        batch = max(1, rows // 100)
        while done < rows:
            [claimed] = ledger.claim_all([Claim(run, min(batch, rows - done))])
            assert not isinstance(claimed, JobError)
            refused = [row for row in claimed if self._random.random() < 0.12]
            taken = [row for row in claimed if row not in refused] if refused else claimed
            for row in refused:
                reason = self._random.choice(reasons).format(order=row.order_id, day=self._random.randint(1, 28))
                ledger.move(row, Move.REFUSE, reason=reason[:500], request_id=f"+request-{row.number}")
            sending = [row for row in ledger.move_all([Step(row, Move.BEGIN) for row in taken]) if isinstance(row, Row)]
            lost = [row for row in sending if self._random.random() < 0.004]
            for row in lost:
                ledger.move(row, Move.LOSE, reason="no answer came within 30 s")
            ledger.move_all(
                [Step(row, Move.ACCEPT, request_id=f"request-{row.number}") for row in sending if row not in lost]
            )
            half = done < rows / 2 <= done + len(claimed)
            done += len(claimed)
            self.now += len(claimed) / rate * self._random.uniform(0.9, 1.3)
            if half:
                ledger.note_plan(run, UsagePlan(rate=rate * 2, burst=5))
                rate *= 2
