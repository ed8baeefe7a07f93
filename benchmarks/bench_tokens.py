"""Tokens of a fleet in virtual time: how often Login with Amazon is asked, who waits for it, and how even it is.

    python benchmarks/bench_tokens.py [--sellers 5000] [--hours 10] [--calls 20] [--start 60] [--even]

Every selling partner makes `calls` calls an hour, at random moments or evenly spaced; the first comes within `start`
seconds, so that the whole fleet asks for its first token together. The token cache is the real one, on trio's clock;
Login with Amazon takes 0.2 s and gives tokens of an hour.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from functools import partial
from random import Random

import anyio
import attrs
import trio
import trio.testing

from spapi_async.auth import Token, TokenCache
from spapi_async.operation import Operation, UsagePlan

CALL = Operation(module="bench_v0", name="get", operation_id="get", method="GET", path="/", plan=UsagePlan(1, 1)).call()


@attrs.frozen(kw_only=True)
class Result:
    """What became of a fleet.

    Args:
        requests: To Login with Amazon, by selling partner.
        minutes: The same, by minute; the last one is that of the end.
        waited: Calls that waited for a token, other than the first of a selling partner.
        calls: How many calls were made.
        left: What the cache still keeps two hours after the last call.
    """

    requests: Counter[int]
    minutes: Counter[int]
    waited: int
    calls: int
    left: int


def run(*, sellers: int, hours: float, calls: float, start: float, even: bool, seed: int = 1) -> Result:
    """Let a fleet work for some hours of virtual time."""
    return trio.run(
        partial(_run, sellers, hours, calls, start, even, Random(seed)),
        clock=trio.testing.MockClock(autojump_threshold=0),
    )


async def _run(sellers: int, hours: float, calls: float, start: float, even: bool, random: Random) -> Result:
    requests: Counter[int] = Counter()
    minutes: Counter[int] = Counter()
    made = Counter[str]()
    began = anyio.current_time()
    end = began + hours * 3600

    async def fetch(number: int) -> Token:
        if anyio.current_time() < end:
            requests[number] += 1
            minutes[int((anyio.current_time() - began) // 60)] += 1
        await anyio.sleep(0.2)
        return Token(value=f"Atza|{number}", expires_in=3600)

    cache = TokenCache(clock=anyio.current_time, emit=lambda event: None, random=random.random)

    async def sell(number: int) -> None:
        key, source = ("app", "partner", str(number)), partial(fetch, number)
        await anyio.sleep(random.uniform(0, start))
        is_first = True
        while (now := anyio.current_time()) < end:
            token = cache.fresh(key) or await cache.get(key, source, "access", CALL)
            assert token == f"Atza|{number}"
            made["waited"] += not is_first and anyio.current_time() > now
            made["calls"] += 1
            is_first = False
            await anyio.sleep(3600 / calls if even else random.expovariate(calls / 3600))

    async with anyio.create_task_group() as tasks:
        for number in range(sellers):
            tasks.start_soon(sell, number)
    await anyio.sleep(2 * 3600)
    left = len(cache)
    await cache.aclose()
    return Result(requests=requests, minutes=minutes, waited=made["waited"], calls=made["calls"], left=left)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sellers", type=int, default=5000)
    parser.add_argument("--hours", type=float, default=10)
    parser.add_argument("--calls", type=float, default=20, help="of each selling partner and hour")
    parser.add_argument("--start", type=float, default=60, help="seconds in which all make their first call")
    parser.add_argument("--even", action="store_true", help="calls at even distances; by chance without")
    given = parser.parse_args()
    began = time.perf_counter()
    result = run(sellers=given.sellers, hours=given.hours, calls=given.calls, start=given.start, even=given.even)
    mean = result.requests.total() / (given.hours * 60)
    after = max(count for minute, count in result.minutes.items() if minute * 60 > given.start)
    each, most = result.requests.total() / given.sellers, max(result.requests.values())
    took = time.perf_counter() - began
    print(f"{given.sellers} selling partners, {given.hours:g} h, {result.calls} calls, in {took:.0f} s")
    print(f"requests to LWA: {each:.2f} each, {most} at most")
    print(f"a minute: mean {mean:.1f}, at most {after} once all have begun ({after / mean:.2f} times the mean)")
    print(f"first minute: {result.minutes[0]}")
    print(f"calls that waited, other than the first of a selling partner: {result.waited}")
    print(f"tokens kept two hours after the last call: {result.left}")


if __name__ == "__main__":
    main()
