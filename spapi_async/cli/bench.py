"""`spapi-async bench`: how much of a usage plan the client uses, and what it costs, against a sandbox on this machine.

The sandbox runs in another process and keeps Amazon's rules with its own bucket. What is printed:

    calls/s     finished calls per second of wall time
    of plan     calls made, as a share of what the plan allows in that time: burst + rate * seconds per selling partner
    429s        calls that the sandbox throttled
    added       time per call beyond waiting for the plan and beyond the exchange itself: the client's own part
    CPU         of this process, per call
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import time
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any

import anyio
import attrs

from ..client import Application, SellingPartner
from ..errors import ConfigError
from ..events import Attempted, Event, Waited
from ..operation import UsagePlan

__all__ = ["add_arguments", "machine", "run"]

_OPERATION = "orders_v0.get_orders"
_WORKERS = 12  # tasks per selling partner: some more than its burst, so that there is always a call that waits


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--sellers", type=int, action="append", metavar="N", help="selling partners (default: 1 and 100)"
    )
    parser.add_argument("--rate", type=float, default=5.0, help="plan per seller in requests/s (default 5)")
    parser.add_argument("--burst", type=int, default=10, help="burst per seller (default 10)")
    parser.add_argument("--calls", type=int, default=60, help="calls per seller (default 60)")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; the exit status.

    Raises:
        ConfigError: A number is out of range, or uvicorn is missing.
    """
    from ..sandbox import start_process  # needs the extra `sandbox`

    sellers_in_turn = arguments.sellers or [1, 100]
    if min(arguments.calls, *sellers_in_turn) < 1:
        raise ConfigError("--calls and --sellers must be at least 1")
    try:
        plan = UsagePlan(arguments.rate, arguments.burst)
    except ValueError as error:
        raise ConfigError(f"--rate and --burst make no usage plan: {error}") from None
    print(machine())
    print(f"{_OPERATION} at {plan} per selling partner, {arguments.calls} calls each, sandbox in another process")
    print(" sellers   calls  seconds  calls/s  of plan  429s   added p50   added p99        CPU")
    with start_process(plans={_OPERATION: plan}) as sandbox:
        for sellers in sellers_in_turn:
            print(_line(sellers, anyio.run(_measure, sandbox, sellers, arguments.calls, plan)))
            sandbox.reset()
    return 0


def machine() -> str:
    """Return in a line what was measured on."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{python}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def _line(sellers: int, result: _Result) -> str:
    p50, p99 = (_quantile(result.added, share) * 1e6 for share in (0.5, 0.99))
    return (
        f"{sellers:>8} {result.calls:>7} {result.seconds:>8.2f} {result.calls / result.seconds:>8.1f} "
        f"{result.share:>8.1%} {result.throttled:>5} {p50:>8.0f} us {p99:>8.0f} us "
        f"{result.cpu / result.calls * 1e6:>7.0f} us"
    )


@attrs.frozen(kw_only=True)
class _Result:
    calls: int
    seconds: float
    share: float
    throttled: int
    added: list[float]
    cpu: float


class _Times:
    """What one call spent outside of the client."""

    elsewhere = 0.0
    throttled = 0


_times: ContextVar[_Times] = ContextVar("times")


def _listen(event: Event) -> None:
    times = _times.get(None)
    if times is None:  # a call of the client's own
        return
    if isinstance(event, Waited):
        times.elsewhere += event.seconds
    elif isinstance(event, Attempted):
        times.elsewhere += event.elapsed
        times.throttled += event.status == 429


async def _measure(sandbox: Any, sellers: int, calls: int, plan: UsagePlan) -> _Result:  # Any: of an optional extra
    added: list[float] = []
    throttled = 0

    async with Application(
        client_id="bench",
        client_secret="bench",
        endpoint=sandbox.endpoint,
        lwa_endpoint=sandbox.lwa_endpoint,
        plans={_OPERATION: plan},
        on_event=_listen,
    ) as app:
        partners = [app.selling_partner(refresh_token=f"Atzr|BENCH{number}") for number in range(sellers)]

        async def call(partner: SellingPartner) -> None:
            await partner.orders_v0.get_orders(marketplace_ids=["ATVPDKIKX0DER"], created_after="2026-01-01T00:00:00Z")

        async def work(partner: SellingPartner, todo: Iterator[int]) -> None:
            nonlocal throttled
            for _ in todo:
                times = _Times()
                _times.set(times)
                began = time.perf_counter()
                await call(partner)
                added.append(time.perf_counter() - began - times.elsewhere)
                throttled += times.throttled

        # What happens once is not counted: imports, connections, and the tokens of all selling partners.
        async with anyio.create_task_group() as tasks:
            for partner in partners:
                tasks.start_soon(call, partner)
        await anyio.sleep(1 / plan.rate + 0.5)  # until all buckets are full again

        gc.freeze()
        cpu, began = time.process_time(), time.perf_counter()
        async with anyio.create_task_group() as tasks:
            for partner in partners:
                todo = iter(range(calls))
                for _ in range(_WORKERS):
                    tasks.start_soon(work, partner, todo)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        gc.unfreeze()
    allowed = sellers * (plan.burst + plan.rate * seconds)
    return _Result(
        calls=len(added), seconds=seconds, share=len(added) / allowed, throttled=throttled, added=added, cpu=cpu
    )


def _quantile(values: Iterable[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
