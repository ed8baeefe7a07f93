"""Pacing in real time: what the client makes of plans that it is not told, against the sandbox on a socket.

    python benchmarks/bench_pacing.py
    python benchmarks/bench_pacing.py shared --rounds 5

The sandbox runs in another process and keeps Amazon's rules with a bucket of its own. All calls of a case begin at
once; `end` is when the last one is done, `ideal` when it could be at the earliest.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import attrs

from spapi_async import SellingPartner, UsagePlan
from spapi_async.cli.bench import machine
from spapi_async.sandbox import start_process

OPERATION = "orders_v0.get_orders"
PLAN = UsagePlan(5, 10)


@attrs.frozen(kw_only=True)
class Case:
    """What is believed, what is true, and how many calls are made."""

    what: str
    calls: int = 60
    processes: int = 1
    believed: UsagePlan = PLAN
    true: UsagePlan = PLAN
    options: Mapping[str, Any] = {}  # Any: of `start_process`
    eaten: float = 0.0

    @property
    def ideal(self) -> float:
        """Seconds until the last call could be done at the earliest."""
        calls = self.calls * self.processes
        return (calls - self.true.burst) / (self.true.rate - self.eaten)


CASES = {
    "plain": Case(what="60 calls, 5/s burst 10"),
    "jitter": Case(what="the same, each way up to 150 ms longer", options={"jitter": 0.15}),
    "slower": Case(what="believed 5/s, true 2/s, header", true=UsagePlan(2, 10)),
    "silent": Case(what="the same without any header", true=UsagePlan(2, 10), options={"rate_header": False}),
    "faster": Case(what="believed 5/s, true 25/s, header", true=UsagePlan(25, 10)),
    "shared": Case(what="two processes x 150 calls, 5/s burst 10", calls=150, processes=2),
    "eaten": Case(
        what="3/s burst 10, somebody else takes 1.33/s",
        believed=UsagePlan(3, 10),
        true=UsagePlan(3, 10),
        options={"eat": {OPERATION: 1.33}},
        eaten=1.33,
    ),
}


async def make_calls(endpoint: str, lwa_endpoint: str, believed: UsagePlan, calls: int) -> float:
    """Make so many calls at once; the seconds until all are done."""
    async with SellingPartner(
        client_id="app",
        client_secret="secret",
        refresh_token="Atzr|PACED",
        endpoint=endpoint,
        lwa_endpoint=lwa_endpoint,
        plans={OPERATION: believed},
    ) as sp:

        async def call() -> None:
            await sp.orders_v0.get_orders(marketplace_ids=["ATVPDKIKX0DER"], created_after="2026-01-01T00:00:00Z")

        await sp.orders_v0.get_order(order_id="902-1845936-5435065")  # fetches the token, and imports what is needed
        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(calls):
                tasks.create_task(call())
        return time.monotonic() - began


def run(case: Case) -> tuple[float, float]:
    """Return when the last call was done, in seconds, and the share of requests that were answered 429."""
    with start_process(plans={OPERATION: case.true}, **case.options) as sandbox:
        arguments = json.dumps([sandbox.endpoint, sandbox.lwa_endpoint, *attrs.astuple(case.believed)[:2], case.calls])
        command = [sys.executable, __file__, "--client", arguments]
        clients = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(case.processes)]
        ends = [float(client.communicate()[0]) for client in clients]
        assert not any(client.returncode for client in clients)
        statuses = sandbox.requests()["operations"][OPERATION]
    refused = statuses.get("429", 0)
    return max(ends), refused / sum(statuses.values())


def main() -> None:
    """Run the cases that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}; default: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--client", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        endpoint, lwa_endpoint, rate, burst, calls = json.loads(options.client)
        print(asyncio.run(make_calls(endpoint, lwa_endpoint, UsagePlan(rate, burst), calls)))
        return
    print(machine())
    print(f"{'':44} {'ideal':>8} {'end':>8} {'worst':>8} {'of ideal':>9} {'429':>6} {'worst':>6}")
    for name in options.cases or CASES:
        case = CASES[name]
        ends, shares = zip(*(run(case) for _ in range(options.rounds)), strict=True)
        end, share = statistics.median(ends), statistics.median(shares)
        print(
            f"{case.what:44} {case.ideal:>6.1f} s {end:>6.1f} s {max(ends):>6.1f} s {end / case.ideal:>9.3f} "
            f"{share:>6.1%} {max(shares):>6.1%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
