"""How journal_v2.db.gz was made: with the code of commit 5f200ac, whose schema was version 2. It ends by a kill."""

from __future__ import annotations

import gzip
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import anyio

from spapi_async.jobs.journal import Identity
from spapi_async.jobs.row import Move, Row
from spapi_async.jobs.sqlite import SqliteJournal

KIND = "confirmOrderDetails"


def row(n: int) -> Row:
    body = {"marketplace_id": "A1PA6795UKMFR9", "text": f"hello {n}"}
    return Row(number=n, kind=KIND, order_id=f"902-{n}", key="b" if n == 3 else "", body=body)


async def fill(path: Path) -> None:
    journal = await SqliteJournal(path).__aenter__()
    other = Identity(refresh_token="Atzr|two", selling_partner_id="A2")
    run = await journal.start(other, "unexpectedProblem", name="done", source="done.csv", options={"grace": 3})
    await journal.add(run, [row(2)])
    [claimed] = await journal.claim(run, 1)
    await journal.move(await journal.move(claimed, Move.BEGIN), Move.ACCEPT)
    await journal.release(run)
    run = await journal.start(Identity(refresh_token="Atzr|one", selling_partner_id="A1"), KIND)
    await journal.add(run, [row(n) for n in range(2, 9)])
    claimed_rows = await journal.claim(run, 6)
    sending = [await journal.move(one, Move.BEGIN) for one in claimed_rows[:4]]
    await journal.move(sending[0], Move.ACCEPT, request_id="id-2")
    await journal.move(sending[1], Move.REFUSE, reason="Amazon answered 400: bad", request_id="id-3")
    await journal.move(sending[2], Move.LOSE, reason="silence")
    os._exit(0)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    if os.fork() == 0:
        anyio.run(fill, path)
    os.wait()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path.with_suffix(".db.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
