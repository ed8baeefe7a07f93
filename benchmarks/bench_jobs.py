"""Whole jobs of many selling partners against the sandbox: memory, CPU and pace of the job's process.

    python benchmarks/bench_jobs.py                                      100,000 rows, 1,000 selling partners
    python benchmarks/bench_jobs.py --rows 1000000 --no-compare          a million rows, once

The sandbox runs in another process, with plans that are no limit, and the job in a third one, with the journal in a
file; then once more with a journal that remembers nothing, whose CPU is the floor. Rows come from a generator.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio
from no_journal import NoJournal

from spapi_async import Application, UsagePlan
from spapi_async.cli.bench import machine
from spapi_async.cli.jobs.program import calm_collector
from spapi_async.jobs import Job, Outcome, SqliteJournal
from spapi_async.sandbox import start_process

FAST = UsagePlan(1_000_000, 1_000_000)
PLANS = {"messaging_v1.get_messaging_actions_for_order": FAST, "messaging_v1.create_confirm_order_details": FAST}
TEXT = "Which ring size may we send? We have 17 and 18 in stock and can have it with you on Friday. " * 3
EARLY = 10_000
"""Rows after which the memory is looked at for the first time."""


def rows(count: int, sellers: int) -> Iterator[Mapping[str, str]]:
    """Make rows, of each selling partner in turn."""
    for n in range(count):
        yield {
            "order_id": f"902-{n // 10_000_000:07}-{n % 10_000_000:07}",
            "marketplace_id": "A1PA6795UKMFR9",
            "text": TEXT,
            "selling_partner": f"A{n % sellers}SELLER",
        }


def memory() -> float:
    """Return the resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def job(arguments: argparse.Namespace) -> Mapping[str, Any]:
    """Run a job in this process and measure it."""
    settled, seen = 0, [memory()]
    early = late = 0.0

    def note(outcome: Outcome) -> None:
        nonlocal settled, early, late
        settled += 1
        if settled == EARLY:
            early = memory()
        elif settled % 1_000 == 0 and settled > EARLY:
            late = max(late, memory())

    sellers = {f"A{n}SELLER": f"Atzr|A{n}SELLER" for n in range(arguments.sellers)}
    where = {"endpoint": arguments.endpoint, "lwa_endpoint": arguments.lwa_endpoint}
    app = Application(client_id="id", client_secret="secret", plans=PLANS, **where)
    journal = NoJournal() if arguments.journal == "none" else SqliteJournal(Path(arguments.journal))
    async with app:
        if isinstance(journal, SqliteJournal):
            await journal.__aenter__()
        async with Job(
            app, kind="confirmOrderDetails", journal=journal, selling_partners=sellers, on_outcome=note
        ) as job:
            began = time.monotonic()
            await job.add(rows(arguments.rows, arguments.sellers))
            added = time.monotonic()
            seen.append(memory())
            cpu = time.process_time()
            with calm_collector():  # as the command does
                tally = await job.run()
            cpu, ended = time.process_time() - cpu, time.monotonic()
        if isinstance(journal, SqliteJournal):
            await journal.__aexit__(None, None, None)
    assert tally.sent == arguments.rows, tally
    return {
        "add_seconds": added - began,
        "run_seconds": ended - added,
        "cpu_per_row": cpu / arguments.rows,
        "memory_begin": seen[0],
        "memory_added": seen[1],
        "memory_early": early,
        "memory_late": late,
        "memory_most": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }


def measure(arguments: argparse.Namespace, journal: str) -> Mapping[str, Any]:
    """Run a job in a process of its own, against a sandbox of its own."""
    with start_process(plans=PLANS) as sandbox:
        command = [sys.executable, __file__, "--rows", str(arguments.rows), "--sellers", str(arguments.sellers)]
        command += ["--journal", journal, "--endpoint", sandbox.endpoint, "--lwa-endpoint", sandbox.lwa_endpoint]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--sellers", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=1, help="of the comparison (default 1)")
    parser.add_argument("--no-compare", action="store_true", help="not without a journal")
    for internal in ("--journal", "--endpoint", "--lwa-endpoint"):
        parser.add_argument(internal, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.journal:
        print(json.dumps(anyio.run(job, arguments)))
        return
    print(machine())
    print(f"{arguments.rows:,} rows of {arguments.sellers:,} selling partners")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "jobs.db"
        found = measure(arguments, str(path))
        print(f"added    {found['add_seconds']:.0f} s, {arguments.rows / found['add_seconds']:,.0f} rows/s")
        print(f"sent     {found['run_seconds']:.0f} s, {arguments.rows / found['run_seconds']:,.0f} rows/s")
        print(
            f"memory   {found['memory_most']:.0f} MB at most; {found['memory_begin']:.0f} MB at the beginning, "
            f"{found['memory_added']:.0f} MB with all rows added, {found['memory_early']:.0f} MB after {EARLY:,} rows, "
            f"{found['memory_late'] - found['memory_early']:+.1f} MB at most after that"
        )
        print(f"journal  {path.stat().st_size / 1e6:,.0f} MB")
        print(f"CPU      {found['cpu_per_row'] * 1e6:.0f} us a row")
    if not arguments.no_compare:
        compare(arguments, found)


def compare(arguments: argparse.Namespace, first: Mapping[str, Any]) -> None:
    """Print what the journal costs: the CPU with and without it by turns, and the medians of the rounds."""
    costs: dict[str, list[float]] = {"with": [first["cpu_per_row"]], "without": []}
    for turn in range(arguments.rounds):
        if turn:
            with tempfile.TemporaryDirectory() as folder:
                costs["with"].append(measure(arguments, str(Path(folder) / "jobs.db"))["cpu_per_row"])
        costs["without"].append(measure(arguments, "none")["cpu_per_row"])
    medians = {name: statistics.median(figures) for name, figures in costs.items()}
    for name, figures in costs.items():
        print(f"CPU      {medians[name] * 1e6:.0f} us a row {name} a journal; of {[round(x * 1e6) for x in figures]}")
    print(f"         {medians['with'] / medians['without'] - 1:.0%} more with it")


if __name__ == "__main__":
    main()
