"""The scheduler's own cost: a pass that need not wait, long queues, very many idle buckets; and a picture of pacing.

    python benchmarks/bench_scheduler.py
    python benchmarks/bench_scheduler.py --svg docs/explanation/pacing.svg

One pass (admit, call, learn from the reply) is measured beside `aiolimiter.AsyncLimiter.acquire` and the call alone,
by the real clock. Queues and idle buckets are measured in virtual time: the event loop's clock jumps to the next timer
instead of waiting for it, so what is left is CPU, and hours of pacing take seconds. Everything runs on asyncio.

`--svg` measures nothing: it draws what arrives at a simulated server, beside what its usage plan allows.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import math
import multiprocessing
import os
import random
import selectors
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar
from xml.sax.saxutils import escape

import aiolimiter
import attrs

from spapi_async.cli.bench import machine
from spapi_async.errors import QuotaExceededError
from spapi_async.operation import Call, Operation, Priority, Reply, UsagePlan
from spapi_async.scheduler import Account, Scheduler

T = TypeVar("T")

ACCOUNT = Account("amzn1.application-oa2-client.bench", "seller", "https://sellingpartnerapi-eu.amazon.com")
ROUNDS, PASSES = 15, 10_000
QUEUES, GRANTS = (100, 10_000, 100_000), 10_000  # GRANTS: at least so many a round, by queue after queue
QUEUE_ROUNDS = 3
SELLERS, OPERATIONS = 10_000, 100


def operation(plan: UsagePlan, name: str = "get_order") -> Operation:
    """Return an operation with a plan of its own."""
    return Operation(
        module="bench_v0", name=name, operation_id=name, method="GET", path=f"/{name}", plan=plan, repeatable=True
    )


def scheduler() -> Scheduler:
    """Return a scheduler whose events nobody reads."""
    return Scheduler(emit=lambda event: None)


def replying(plan: UsagePlan) -> Callable[[Call], Awaitable[Reply]]:
    """Return the least that can come after the throttling stage: a reply that confirms the rate."""
    reply = Reply(status=200, headers={"x-amzn-ratelimit-limit": str(plan.rate)}, body=b"")

    async def next_(call: Call) -> Reply:
        return reply

    return next_


# -- virtual time


class Jumping(selectors.DefaultSelector):
    """Looks what is ready, and where the event loop would wait, lets the time have passed."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready now."""
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("everything waits, and no timer is set")
            self.now += max(timeout, 0.0)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio's event loop, with a clock that jumps."""

    def __init__(self) -> None:
        self.jumping = Jumping()
        super().__init__(self.jumping)

    def time(self) -> float:
        """Return the virtual time in seconds; it begins at 0."""
        return self.jumping.now


def run_virtually(main: Coroutine[object, object, T]) -> T:
    """As `asyncio.run`, in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


# -- one pass


async def passes(rounds: int) -> dict[str, list[float]]:
    """Return the CPU seconds of one pass, and of its rivals, for each round."""
    plan = UsagePlan(1e9, 1e9)
    call, next_ = operation(plan).call(), replying(plan)
    stage = scheduler().throttling(ACCOUNT)
    limiter = aiolimiter.AsyncLimiter(1e9, 1)

    async def ours() -> None:
        for _ in range(PASSES):
            await stage(call, next_)

    async def rival() -> None:
        for _ in range(PASSES):
            await limiter.acquire()

    async def floor() -> None:
        for _ in range(PASSES):
            await next_(call)

    contenders = {"spapi_async": ours, "aiolimiter.acquire": rival, "the call alone": floor}
    results: dict[str, list[float]] = {name: [] for name in contenders}
    for work in contenders.values():
        await work()
    gc.collect()
    gc.freeze()
    for _ in range(rounds):
        for name, work in contenders.items():
            began = time.process_time()
            await work()
            results[name].append((time.process_time() - began) / PASSES)
    gc.unfreeze()
    return results


# -- long queues


class Queued(NamedTuple):
    """What one waiter cost, in CPU seconds: until it stood in the queue, until it was cancelled, until it was done."""

    joining: float
    cancelling: float
    granting: float


async def queue(waiters: int, chance: random.Random | None, cancelled: int) -> Queued:
    """Let so many calls wait at once, cancel some of them, and let the others go; with `chance`, of all priorities."""
    plan = UsagePlan(5, 10)
    left, everybody_is_done = waiters - cancelled, asyncio.get_running_loop().create_future()
    reply = await replying(plan)(operation(plan).call())

    async def next_(call: Call) -> Reply:
        nonlocal left
        left -= 1
        if not left:
            everybody_is_done.set_result(None)
        return reply

    stage = scheduler().throttling(ACCOUNT)
    call = operation(plan).call()
    by_priority = [attrs.evolve(call, priority=priority) for priority in Priority]
    calls = [chance.choice(by_priority) if chance else call for _ in range(waiters)]
    gc.collect()

    began = time.process_time()
    tasks = [asyncio.ensure_future(stage(call, next_)) for call in calls]
    await asyncio.sleep(0)
    joined = time.process_time()
    if cancelled:
        assert chance is not None
        for task in chance.sample(tasks[int(plan.burst) :], cancelled):  # who is not in the burst
            task.cancel()
        await asyncio.sleep(0)
    gone = time.process_time()
    await everybody_is_done
    done = time.process_time()
    await asyncio.wait(tasks)
    assert sum(task.cancelled() for task in tasks) == cancelled
    ideal = (waiters - cancelled - plan.burst) / plan.rate
    assert ideal <= asyncio.get_running_loop().time() < ideal * 1.01 + 1
    return Queued(
        (joined - began) / waiters, (gone - joined) / max(cancelled, 1), (done - gone) / (waiters - cancelled)
    )


def queues(rounds: int) -> dict[str, list[Queued]]:
    """Return what a waiter cost for each kind of queue and round."""
    chance = random.Random(2026)
    cases: dict[str, tuple[int, Callable[[], Coroutine[object, object, Queued]]]] = {
        f"{waiters:,}": (waiters, partial(queue, waiters, None, 0)) for waiters in QUEUES
    }
    most = QUEUES[-1]
    for waiters in (QUEUES[0], most):
        cases[f"{waiters:,} of mixed priorities"] = (waiters, partial(queue, waiters, chance, 0))
    cases[f"{most:,}, half of them cancelled"] = (most, partial(queue, most, chance, most // 2))
    results: dict[str, list[Queued]] = {name: [] for name in cases}
    gc.collect()
    gc.freeze()
    for _ in range(rounds):
        for name, (waiters, work) in cases.items():
            costs = [run_virtually(work()) for _ in range(max(1, GRANTS // waiters))]
            results[name].append(Queued(*(statistics.fmean(values) for values in zip(*costs, strict=True))))
    gc.unfreeze()
    return results


# -- idle buckets


class Idle(NamedTuple):
    """What so many idle buckets cost; seconds are of CPU."""

    buckets: int
    first_pass: float
    """Seconds of the pass that makes a bucket."""
    size: float
    """Bytes of the process per bucket."""
    pause: float
    """Seconds that the garbage collector needs to look through everything."""
    remaining_size: float
    """Bytes of the process per bucket after two idle hours."""
    remaining_blocks: float
    """Share of Python's memory blocks that are still in use then."""


def resident() -> float:
    """Return how many bytes of memory this process has now; NaN where the system does not say it as Linux does."""
    pages = Path("/proc/self/statm")
    if not pages.exists():
        return math.nan
    return int(pages.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def idle(sellers: int) -> Idle:
    """Let each selling partner call each operation once, and then let two hours pass in which only one calls."""
    plan = UsagePlan(5, 10)
    next_ = replying(plan)
    calls = [operation(plan, f"operation_{number}").call() for number in range(OPERATIONS)]
    shared = scheduler()
    accounts = [ACCOUNT._replace(selling_partner=f"A{number}") for number in range(sellers)]
    busy = shared.throttling(ACCOUNT)
    await busy(calls[0], next_)
    gc.collect()
    size, blocks = resident(), sys.getallocatedblocks()

    buckets = sellers * OPERATIONS
    began = time.process_time()
    for account in accounts:
        stage = shared.throttling(account)
        for call in calls:
            await stage(call, next_)
    first_pass = (time.process_time() - began) / buckets
    gc.collect()
    full_size, full_blocks = resident() - size, sys.getallocatedblocks() - blocks
    began = time.process_time()
    gc.collect()
    pause = time.process_time() - began

    await asyncio.sleep(3600)
    for _ in range(3600):
        await busy(calls[0], next_)
        await asyncio.sleep(1)
    gc.collect()
    remaining = sys.getallocatedblocks() - blocks
    return Idle(buckets, first_pass, full_size / buckets, pause, (resident() - size) / buckets, remaining / full_blocks)


def idle_alone(sellers: int) -> Idle:
    """As `idle`, in this process."""
    return run_virtually(idle(sellers))


# -- the picture


class Case(NamedTuple):
    """What is simulated for the picture."""

    title: str
    believed: UsagePlan
    truth: UsagePlan
    jitter: float
    """Seconds by which the way to the server varies."""


class Arrival(NamedTuple):
    """A request at the server."""

    at: float
    is_accepted: bool


CALLS, WAY_BACK = 60, 0.05
CASES = (
    Case("5/s, burst 10; no jitter", UsagePlan(5, 10), UsagePlan(5, 10), 0.0),
    Case("5/s, burst 10; jitter 150 ms", UsagePlan(5, 10), UsagePlan(5, 10), 0.15),
    Case("believed 5/s, in truth 2/s; burst 10", UsagePlan(5, 10), UsagePlan(2, 10), 0.0),
)


def ideal(plan: UsagePlan, number: int) -> float:
    """Return when request `number`, from 0, can arrive at the earliest."""
    return max(0.0, (number + 1 - plan.burst) / plan.rate)


async def simulate(case: Case) -> list[Arrival]:
    """Send all calls at once through the scheduler to a server that keeps the true plan; return what arrives there."""
    clock, chance = asyncio.get_running_loop().time, random.Random(4)
    reply = await replying(case.truth)(operation(case.truth).call())
    tokens, counted_at = case.truth.burst, 0.0
    arrivals: list[Arrival] = []

    async def server(call: Call) -> Reply:
        nonlocal tokens, counted_at
        await asyncio.sleep(chance.uniform(0.0, case.jitter))
        tokens = min(case.truth.burst, tokens + (clock() - counted_at) * case.truth.rate)
        counted_at = clock()
        is_accepted = tokens >= 1.0
        tokens -= is_accepted
        arrivals.append(Arrival(clock(), is_accepted))
        await asyncio.sleep(WAY_BACK)
        if not is_accepted:
            raise QuotaExceededError(operation=call.operation.key, status=429, is_retry_safe=True)
        return reply

    stage, call = scheduler().throttling(ACCOUNT), operation(case.believed).call()
    await asyncio.gather(*[stage(call, server) for _ in range(CALLS)])
    return arrivals


GREY, PALE, BLUE, RED, INK = "#8b949e", "#eaeef2", "#0969da", "#cf222e", "#24292f"
WIDTH, LEFT, TOP, GAP = 250, 58, 84, 52  # of a panel, and what is beside, above and between panels
HIGH, LOW, BETWEEN = 200, 60, 34  # heights of the two strips of a panel, and what is between them
MOST_BEHIND = 0.4  # seconds: the top of the lower strip


def text(x: float, y: float, content: str, *, anchor: str = "middle", more: str = "") -> str:
    """Return an SVG text."""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{more}>{escape(content)}</text>'


def line(points: Sequence[tuple[float, float]], style: str) -> str:
    """Return an SVG line through some points."""
    return f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" {style}/>'


def panel(case: Case, arrivals: Sequence[Arrival], left: float) -> list[str]:
    """Return the SVG elements of one case: arrivals over time, and below, how far each is behind the ideal."""
    plan = case.truth
    end = max(arrival.at for arrival in arrivals)
    step, last = (2 if end < 15 else 5), 1.08 * end
    bottom, floor = TOP + HIGH, TOP + HIGH + BETWEEN + LOW

    def across(seconds: float) -> float:
        return left + WIDTH * seconds / last

    def up(requests: float) -> float:
        return bottom - HIGH * requests / (CALLS + 5)

    def up_below(seconds: float) -> float:
        return floor - LOW * seconds / MOST_BEHIND

    stairs = [(across(0), up(0))]
    for number in range(CALLS):
        stairs += [(across(ideal(plan, number)), up(number)), (across(ideal(plan, number)), up(number + 1))]
    stairs.append((across(last), up(CALLS)))
    parts = [
        line([*stairs, (across(last), up(0))], f'fill="{PALE}"'),
        line(stairs, f'fill="none" stroke="{GREY}" stroke-width="1.2"'),
    ]
    parts += [text(left - 7, up(count) + 4, f"{count}", anchor="end") for count in range(0, CALLS + 1, 20)]
    parts += [text(across(seconds), floor + 16, f"{seconds}") for seconds in range(0, int(last) + 1, step)]
    for behind in (0, MOST_BEHIND / 2, MOST_BEHIND):
        y = up_below(behind)
        parts += [
            text(left - 7, y + 4, f"{behind * 1000:g}", anchor="end"),
            line([(left, y), (left + WIDTH, y)], f'stroke="{GREY if not behind else PALE}"'),
        ]
    parts += [
        line([(left, bottom), (left + WIDTH, bottom)], f'stroke="{GREY}"'),
        text(left + WIDTH / 2, floor + 34, "seconds"),
    ]

    done = 0
    for arrival in arrivals:
        x, y = across(arrival.at), up(done + 1)
        if arrival.is_accepted:
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="1.9" fill="{BLUE}"/>')
            behind = min(arrival.at - ideal(plan, done), MOST_BEHIND)
            parts.append(line([(x, floor), (x, up_below(behind))], f'stroke="{BLUE}" stroke-width="1.6"'))
            done += 1
        else:
            parts.append(f'<path d="M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8" stroke="{RED}" stroke-width="1.8"/>')
    refused = len(arrivals) - done
    verdict = f"{end:.2f} s, ideal {ideal(plan, CALLS - 1):.2f} s; {refused or 'no'} {'429s' if refused > 1 else '429'}"
    parts.append(text(left, TOP - 26, case.title, anchor="start", more=' font-weight="600"'))
    parts.append(text(left, TOP - 10, verdict, anchor="start"))
    return parts


def picture() -> str:
    """Return all cases as SVG."""
    width, height = LEFT + len(CASES) * (WIDTH + GAP) - GAP + 18, TOP + HIGH + BETWEEN + LOW + 46
    title = f"{CALLS} calls at once: what arrives at the server, and what its usage plan allows"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{title}" '
        f'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif" font-size="12" fill="{INK}">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    x, cross = LEFT, f'stroke="{RED}" stroke-width="1.8"'
    parts += [
        f'<rect x="{x}" y="15" width="16" height="10" fill="{PALE}" stroke="{GREY}"/>',
        text(x + 23, 24, "ideal: all that the plan allows", anchor="start"),
        f'<circle cx="{x + 228}" cy="20" r="3" fill="{BLUE}"/>',
        text(x + 237, 24, "a request of ours arrives", anchor="start"),
        f'<path d="M{x + 402} 16l8 8m0 -8l-8 8" {cross}/>',
        text(x + 417, 24, "one arrives and is answered 429", anchor="start"),
    ]
    middle, below = TOP + HIGH / 2, TOP + HIGH + BETWEEN + LOW / 2
    parts.append(text(16, middle, "requests", more=f' transform="rotate(-90 16 {middle:g})"'))
    parts.append(text(16, below, "ms behind", more=f' transform="rotate(-90 16 {below:g})"'))
    for number, case in enumerate(CASES):
        parts += panel(case, run_virtually(simulate(case)), LEFT + number * (WIDTH + GAP))
    return "\n".join([*parts, "</svg>", ""])


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print, or draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the picture into this file, and measure nothing")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds of single passes (default {ROUNDS})")
    parser.add_argument(
        "--sellers", type=int, default=SELLERS, help=f"with {OPERATIONS} idle buckets each (default {SELLERS:,})"
    )
    arguments = parser.parse_args(argv)
    if arguments.svg:
        arguments.svg.write_text(picture(), encoding="utf-8")
        return

    print(machine())
    print(f"CPU of a pass that need not wait, medians of {arguments.rounds} rounds of {PASSES:,}:", flush=True)
    medians = {name: statistics.median(values) for name, values in asyncio.run(passes(arguments.rounds)).items()}
    for name, median in medians.items():
        print(f"  {name:20} {median * 1e6:6.2f} us   spapi_async costs {medians['spapi_async'] / median:.2f}x of it")

    print(f"CPU for each of N waiters in one bucket, medians of {QUEUE_ROUNDS} rounds:", flush=True)
    least: float | None = None
    for name, costs in queues(QUEUE_ROUNDS).items():
        joining, cancelling, granting = (statistics.median(values) * 1e6 for values in zip(*costs, strict=True))
        least = least or granting
        shown = f"   is cancelled {cancelling:5.1f} us" if "cancelled" in name else ""
        print(f"  {name:32} joins {joining:5.1f} us   goes {granting:5.1f} us ({granting / least:.2f}x){shown}")

    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
        cost = fresh.submit(idle_alone, arguments.sellers).result()
    print(f"{cost.buckets:,} idle buckets, {arguments.sellers:,} selling partners x {OPERATIONS} operations, once:")
    print(f"  {cost.first_pass * 1e6:.1f} us for the pass that makes one, {cost.size:,.0f} bytes each")
    print(f"  {cost.pause:.2f} s for a full garbage collection with all of them")
    print(f"  after two idle hours: {cost.remaining_size:,.0f} bytes each, {cost.remaining_blocks:.1%} of the blocks")


if __name__ == "__main__":
    main()
