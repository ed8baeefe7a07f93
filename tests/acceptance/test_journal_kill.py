"""Several processes on one journal, killed again and again: the building block of the crash matrix, without HTTP.

Here a file takes the place of Amazon: what a worker appends to it was delivered. SPAPI_JOURNAL_KILLS sets how often is
killed (4 in the normal run).
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import anyio
import pytest

from spapi_async.jobs.journal import Identity
from spapi_async.jobs.row import Row, State
from spapi_async.jobs.sqlite import SqliteJournal

KILLS = int(os.environ.get("SPAPI_JOURNAL_KILLS", "4"))
WORKERS = 2
IN_HAND = 8
ROWS = 150 * KILLS
WHO = Identity(refresh_token="Atzr|x", selling_partner_id="A1")

WORKER = """
import os, random, sys
from pathlib import Path
import anyio
from spapi_async.jobs.journal import Identity
from spapi_async.jobs.row import Move
from spapi_async.jobs.sqlite import SqliteJournal

journal_path, wire_path = map(Path, sys.argv[1:3])
wire = os.open(wire_path, os.O_WRONLY | os.O_APPEND)
chance = random.Random()

async def send(journal, row):
    row = await journal.move(row, Move.BEGIN)
    os.write(wire, f"{row.order_id}\\n".encode())
    await anyio.sleep(chance.uniform(0, 0.004))
    await journal.move(row, Move.ACCEPT)

async def main():
    async with SqliteJournal(journal_path) as journal:
        run = await journal.start(Identity(refresh_token="Atzr|x", selling_partner_id="A1"), "k", job=1)
        while True:
            rows = await journal.claim(run, int(sys.argv[3]))
            if not rows and not await journal.held(run):
                return
            async with anyio.create_task_group() as group:
                for row in rows:
                    group.start_soon(send, journal, row)
            if not rows:
                await anyio.sleep(0.05)

anyio.run(main)
"""


async def prepare(path: Path) -> None:
    async with SqliteJournal(path) as journal:
        run = await journal.start(WHO, "k")
        rows = [Row(number=n, kind="k", order_id=f"902-{n}", body={"text": "x"}) for n in range(1, ROWS + 1)]
        await journal.add(run, rows)


async def read(path: Path) -> dict[State, set[str]]:
    async with SqliteJournal(path) as journal:
        [job] = await journal.jobs()
        return {state: {row.order_id for row in await journal.rows(job.runs[0], state)} for state in State}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_processes_on_one_journal_survive_each_others_death(tmp_path: Path) -> None:
    """One of two is killed, over and over: none sent twice, none lost, in doubt only what was begun at a kill."""
    path, wire = tmp_path / "jobs.db", tmp_path / "wire"
    wire.touch()
    anyio.run(prepare, path)
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", WORKER, str(path), str(wire), str(IN_HAND)], stderr=subprocess.PIPE
        )

    workers = [start() for _ in range(WORKERS)]
    killed = 0
    for _ in range(KILLS):
        size = wire.stat().st_size
        end = time.monotonic() + 10
        while wire.stat().st_size == size and time.monotonic() < end and any(w.poll() is None for w in workers):
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.05))
        victim = workers.pop(0)
        victim.send_signal(signal.SIGKILL)
        _, errors = victim.communicate()
        assert victim.returncode in (0, -signal.SIGKILL), errors.decode()
        killed += victim.returncode != 0
        workers.append(start())
    for worker in workers:
        _, errors = worker.communicate(timeout=60)
        assert worker.returncode == 0, errors.decode()
    states = anyio.run(read, path)
    delivered = Counter(wire.read_text().split())
    told = f"seed {seed}: {killed} kills, {ROWS} rows, {len(states[State.IN_DOUBT])} in doubt"
    print(told)  # noqa: T201
    assert set(delivered.values()) == {1}, told
    assert states[State.SENT] | states[State.IN_DOUBT] == {f"902-{n}" for n in range(1, ROWS + 1)}, told
    assert states[State.SENT] <= set(delivered), told
    assert len(states[State.IN_DOUBT]) <= killed * IN_HAND, told
