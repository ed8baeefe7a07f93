"""Shared by the scheduler's tests: an operation, and Amazon's bucket written a second time, independently."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from heapq import heappop, heappush

import attrs
import pytest

from spapi_async.operation import Operation, UsagePlan
from spapi_async.scheduler import Bucket


class ServerBucket:
    """Amazon's side: refills first, then takes a token or refuses."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self.tokens = burst
        self.at = 0.0
        self.refused = 0

    def refill(self, now: float) -> None:
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now

    def arrive(self, now: float) -> bool:
        self.refill(now)
        if self.tokens >= 1.0:
            self.tokens -= 1.0
            return True
        self.refused += 1
        return False


@pytest.fixture(scope="session")
def server_bucket() -> type[ServerBucket]:
    return ServerBucket


@attrs.define
class Client:
    """A process with calls to make, all of them at the beginning, and its own idea of the plan."""

    bucket: Bucket
    calls: int
    ends: list[float] = attrs.field(factory=list)
    refused: int = 0
    timer: float | None = None


def simulate(
    clients: list[Client],
    server: ServerBucket,
    *,
    jitter: float = 0.0,
    latency: float = 0.01,
    header: float | None = None,
    seed: int = 0,
    arrived: Callable[[int], None] = lambda count: None,
) -> list[float]:
    """Let the clients make their calls, in virtual time; the times at which calls were let through.

    Args:
        clients: Each sends when its bucket says so, and sends again what is refused, before all others.
        server: Consulted when a request arrives.
        jitter: Seconds; each way takes half of the latency and up to so much more.
        latency: Seconds for both ways together.
        header: The rate that each success tells, if any.
        seed: Of the delays.
        arrived: Is told how many calls were let through, after each.
    """
    draw = random.Random(seed)
    order = itertools.count()
    events: list[tuple[float, int, str, Client, float]] = []
    passed: list[float] = []

    def later(at: float, what: str, client: Client, sent: float = 0.0) -> None:
        heappush(events, (at, next(order), what, client, sent))

    for client in clients:
        later(0.0, "look", client)
    while events:
        now, _, what, client, sent = heappop(events)
        if what == "arrive":
            is_ok = server.arrive(now)
            if is_ok:
                passed.append(now)
                arrived(len(passed))
            later(now + latency / 2 + draw.uniform(0, jitter), "ok" if is_ok else "refused", client, sent)
            continue
        if what == "ok":
            client.ends.append(now)
            client.bucket.succeeded(sent)
            client.bucket.observe(sent, now - sent)
            if header is not None:
                client.bucket.learn(header, now)
        elif what == "refused":
            client.refused += 1
            client.calls += 1
            client.bucket.refused(sent, now)
        elif client.timer not in (None, now):
            continue  # an older timer; things have changed since
        client.timer = None
        while client.calls:
            if wait := client.bucket.take(now):
                client.timer = now + wait
                later(client.timer, "look", client)
                break
            client.calls -= 1
            later(now + latency / 2 + draw.uniform(0, jitter), "arrive", client, now)
    return passed


@pytest.fixture(scope="session")
def simulation() -> tuple[type[Client], Callable[..., list[float]]]:
    """What puts clients and a server into virtual time."""
    return Client, simulate


@pytest.fixture
def make_operation() -> Callable[..., Operation]:
    def make(rate: float = 5.0, burst: float = 10.0, name: str = "get_order", **facts: object) -> Operation:
        return Operation(
            module="test_v0",
            name=name,
            operation_id=name,
            method="GET",
            path="/test/v0/" + name,
            plan=UsagePlan(rate, burst, "model"),
            **{"repeatable": True, **facts},
        )

    return make
