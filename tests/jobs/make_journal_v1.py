"""How journal_v1.db.gz was made: with the code of commit fc0a050, whose schema was version 1. It does not run today."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import anyio

from spapi_async.jobs.journal import Identity
from spapi_async.jobs.row import Move, Row
from spapi_async.jobs.sqlite import SqliteJournal

KIND = "confirmOrderDetails"


def row(n: int) -> Row:
    body = {"marketplace_id": "A1PA6795UKMFR9", "text": f"hello {n}"}
    return Row(number=n, kind=KIND, order_id=f"902-{n}", key="b" if n == 3 else "", body=body)


async def main() -> None:
    async with SqliteJournal(Path(sys.argv[1])) as journal:
        run = await journal.start(Identity(refresh_token="Atzr|one", selling_partner_id="A1"), KIND)
        await journal.add(run, [row(n) for n in range(2, 9)])
        claimed = await journal.claim(run, 0, 6)  # type: ignore[call-arg]
        sending = [await journal.move(one, Move.BEGIN) for one in claimed[:4]]
        await journal.move(sending[0], Move.ACCEPT, request_id="id-2")
        await journal.move(sending[1], Move.REFUSE, reason="Amazon answered 400: bad", request_id="id-3")
        await journal.move(sending[2], Move.LOSE, reason="silence")
        run = await journal.start(Identity(refresh_token="Atzr|two", selling_partner_id="A2"), "unexpectedProblem")
        await journal.add(run, [row(2)])


if __name__ == "__main__":
    anyio.run(main)
    path = Path(sys.argv[1])
    path.with_suffix(".db.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
