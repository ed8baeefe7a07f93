"""What the journal of bulk jobs costs: CPU per row beside sending without one, durability, and a million rows.

    python benchmarks/bench_journal.py
    python benchmarks/bench_journal.py add --rows 1000000
    python benchmarks/bench_journal.py send --gc-threshold 50000

`send`: jobs over a static server in another process, with the journal in a file and with one that remembers nothing.
`sync`: commits with `synchronous=FULL` beside NORMAL, and what a power cut could take back with NORMAL.
`add`: rows added, claimed and settled, with the memory and the file that it takes.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import multiprocessing
import os
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import anyio
from aiohttp import web
from no_journal import NoJournal

from spapi_async import SellingPartner, UsagePlan
from spapi_async.cli.bench import machine
from spapi_async.jobs.journal import Identity, Journal
from spapi_async.jobs.kinds import find_kind
from spapi_async.jobs.lane import Lane
from spapi_async.jobs.row import Move, Row
from spapi_async.jobs.sqlite import SqliteJournal

KIND = find_kind("confirmOrderDetails")
WHO = Identity(refresh_token="Atzr|BENCH")
OFFER = b'{"_links": {"actions": [{"name": "confirmOrderDetails"}]}}'
TEXT = "Which ring size may we send? We have 17 and 18 in stock and can have it with you on Friday. " * 3
ROUNDS = 5
ROWS = 2_000
IN_HAND = (16, 200, 1_000, 4_000)


def rows(count: int, first: int = 0) -> Sequence[Row]:
    """Make rows as a file would have them."""
    return [
        KIND.row(
            n + 2,
            {
                "order_id": f"902-{n // 10_000_000:07}-{n % 10_000_000:07}",
                "marketplace_id": "A1PA6795UKMFR9",
                "text": TEXT,
            },
        )
        for n in range(first, first + count)
    ]


def serve(ready: Connection) -> None:
    """Answer every check and every message, in a process of its own."""

    async def token(request: web.Request) -> web.Response:
        return web.json_response({"access_token": "Atza|x", "token_type": "bearer", "expires_in": 3600})

    async def check(request: web.Request) -> web.Response:
        return web.Response(body=OFFER, content_type="application/json")

    async def send(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=201, body=b"{}", content_type="application/json")

    async def main() -> None:
        app = web.Application()
        app.add_routes([web.post("/auth/o2/token", token), web.get("/{path:.*}", check), web.post("/{path:.*}", send)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        ready.send(runner.addresses[0][1])
        await asyncio.sleep(3600)

    asyncio.run(main())


async def send(client: SellingPartner, journal: Journal, in_hand: int, first: int) -> float:
    """Run a job; return the CPU seconds per row of this process."""
    count = max(ROWS, 2 * in_hand)
    began = time.process_time()
    run = await journal.start(WHO, KIND.name)
    lane = Lane(client.send, KIND, journal, run, concurrency=in_hand)
    for admitted in await journal.add(run, rows(count, first)):
        lane.tally.admit(admitted.admission)
    await lane.run()
    assert lane.tally.sent == count, (lane.tally, lane.stopped)
    return (time.process_time() - began) / count


async def compare(endpoint: str, in_hand: int, folder: Path) -> None:
    """Send with and without a journal, in turns, and print what it costs."""
    plan = UsagePlan(10_000, 1_000_000)  # never in the way, whatever the jitter
    results: dict[str, list[float]] = {"without": [], "in a file": []}
    numbers = itertools.count(0, max(ROWS, 2 * in_hand))
    async with (
        SellingPartner(
            client_id="bench",
            client_secret="bench",
            refresh_token="Atzr|BENCH",
            endpoint=endpoint,
            lwa_endpoint=endpoint + "/auth/o2/token",
            plans={KIND.check.key: plan, KIND.operation.key: plan},
        ) as client,
        SqliteJournal(folder / f"{in_hand}.db") as journal,
    ):
        await send(client, NoJournal(), in_hand, 0)  # connections, imports, the token
        gc.collect()
        gc.freeze()
        for _ in range(ROUNDS):
            results["without"].append(await send(client, NoJournal(), in_hand, next(numbers)))
            results["in a file"].append(await send(client, journal, in_hand, next(numbers)))
    without, within = (statistics.median(values) for values in results.values())
    print(
        f"  {in_hand:5} in hand   {without * 1e6:5.0f} us without   {within * 1e6:5.0f} us with   "
        f"{(within - without) / without:6.1%} more"
    )


def bench_send() -> None:
    """Print the CPU of jobs."""
    receiving, sending = multiprocessing.Pipe(duplex=False)
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(sending,), daemon=True)
    server.start()
    print(f"CPU per row (check and send), medians of {ROUNDS} rounds of {ROWS} rows or more:")
    try:
        endpoint = f"http://127.0.0.1:{receiving.recv()}"
        with tempfile.TemporaryDirectory(dir=".") as folder:
            for in_hand in IN_HAND:
                asyncio.run(compare(endpoint, in_hand, Path(folder)))
    finally:
        server.terminate()


async def _moves(path: Path, level: str, count: int) -> tuple[float, float, int]:
    """Settle rows one after the other; return wall and CPU seconds a row, and the rows that a power cut takes back."""
    async with SqliteJournal(path) as journal:
        journal._connection.execute(f"PRAGMA synchronous = {level}")
        run = await journal.start(WHO, KIND.name)
        await journal.add(run, rows(count))
        claimed = await journal.claim(run, count)
        journal._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        began, cpu = time.perf_counter(), time.process_time()
        most_lost = sent = 0
        on_disk = _changed(path)
        for row in claimed:
            await journal.move(await journal.move(row, Move.BEGIN), Move.ACCEPT)
            sent += 1
            # With NORMAL the log is synced when it is copied into the file, and only then.
            if (now := _changed(path)) != on_disk:
                on_disk, sent = now, 0
            most_lost = max(most_lost, sent)
        return (time.perf_counter() - began) / count, (time.process_time() - cpu) / count, most_lost


def _size(path: Path) -> int:
    return path.stat().st_size


def _changed(path: Path) -> int:
    return path.stat().st_mtime_ns


def bench_sync() -> None:
    """Print what durability costs, one row after the other: the worst case, since nobody shares a commit."""
    count = 1_000
    print(f"{count} rows one after the other, begun and settled:")
    with tempfile.TemporaryDirectory(dir=".") as folder:
        for level in ("FULL", "NORMAL"):
            wall, cpu, lost = asyncio.run(_moves(Path(folder) / f"{level}.db", level, count))
            told = "none" if level == "FULL" else f"up to {lost}"
            print(
                f"  {level:7} {wall * 1e3:6.2f} ms a row, {cpu * 1e6:4.0f} us CPU; "
                f"sent rows that a power cut makes READY: {told}"
            )


def _memory() -> float:
    """Return the memory of this process now, in MB."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


async def _fill(path: Path, count: int) -> None:
    async with SqliteJournal(path) as journal:
        run = await journal.start(WHO, KIND.name)
        began = time.perf_counter()
        early = 0.0
        for first in range(0, count, 500):
            await journal.add(run, rows(min(500, count - first), first))
            if first == 10_000:
                early = _memory()
        added = time.perf_counter() - began
        print(f"  added      {added:6.1f} s  {added / count * 1e6:4.0f} us a row  {_size(path) / 1e6:.0f} MB of file")
        print(f"  memory     {early:6.1f} MB after 10,000 rows, {_memory():.1f} MB after {count:,}")
        began = time.perf_counter()
        await journal.count(run)
        counted = time.perf_counter()
        await journal.claim(run, 1_000)
        claimed_at = time.perf_counter()
        print(f"  count {(counted - began) * 1e3:.1f} ms, claim 1,000 {(claimed_at - counted) * 1e3:.1f} ms")
        began = time.perf_counter()
        done = 0
        while done < min(count - 1_000, 50_000) and (claimed := await journal.claim(run, 1_000)):
            async with anyio.create_task_group() as group:
                for row in claimed:
                    group.start_soon(_settle, journal, row)
            done += len(claimed)
        print(
            f"  settled    {(time.perf_counter() - began) / max(done, 1) * 1e6:6.0f} us a row, 1,000 at once; "
            f"{_memory():.1f} MB"
        )
        began = time.perf_counter()
        await journal.counts(run.number)
        await journal.outcomes(run.number, 60.0)
        await journal.doubts(run.number)
        print(f"  counts, outcomes and doubts {(time.perf_counter() - began) * 1e3:6.1f} ms")
    began = time.perf_counter()
    async with SqliteJournal(path):
        print(f"  opened     {(time.perf_counter() - began) * 1e3:6.1f} ms")


async def _settle(journal: Journal, row: Row) -> None:
    await journal.move(await journal.move(row, Move.BEGIN), Move.ACCEPT)


def bench_add(count: int) -> None:
    """Print what many rows take."""
    folder = Path(tempfile.mkdtemp(dir="."))
    print(f"{count:,} rows of {len(TEXT)} characters:")
    try:
        asyncio.run(_fill(folder / "jobs.db", count))
    finally:
        shutil.rmtree(folder)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=["send", "sync", "add", []], help="what to measure (default: all)")
    parser.add_argument("--gc-threshold", type=int, help="of the garbage collector, 0 for none (default: Python's)")
    parser.add_argument("--rows", type=int, default=100_000, help="rows of `add` (default 100,000)")
    arguments = parser.parse_args(argv)
    what = arguments.what or ["send", "sync", "add"]
    if arguments.gc_threshold is not None:
        gc.set_threshold(arguments.gc_threshold)
    print(machine())
    if "send" in what:
        bench_send()
    if "sync" in what:
        bench_sync()
    if "add" in what:
        bench_add(arguments.rows)


if __name__ == "__main__":
    main()
