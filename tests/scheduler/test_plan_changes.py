"""A usage plan that changes under way, while Amazon's bucket follows it at the same moments."""

from __future__ import annotations

import random

from hypothesis import given, settings, strategies as st

from spapi_async.operation import UsagePlan
from spapi_async.scheduler import Bucket


@settings(max_examples=300, deadline=None)
@given(
    burst=st.integers(2, 40),
    jitter=st.floats(0, 0.5),
    rates=st.lists(st.tuples(st.floats(0, 20), st.floats(0.05, 20)), min_size=1, max_size=6),
    cancelled=st.floats(0, 0.5),
    seed=st.integers(0, 2**32),
)
def test_no_429_while_the_plan_changes(
    server_bucket: type, burst: int, jitter: float, rates: list[tuple[float, float]], cancelled: float, seed: int
) -> None:
    """With the jitter known, Amazon's bucket refuses nothing, whatever the delays, the plans and who is cancelled."""
    jitter = min(jitter, (burst - 1.03) / max(rate for _, rate in rates))
    draw = random.Random(seed)
    bucket, server = Bucket(UsagePlan(rates[0][1], burst)), server_bucket(rates[0][1], burst)
    for _ in range(4):
        bucket.observe(-1.0, 0.1)
        bucket.observe(-1.0, 0.1 + jitter)
    changes, at = [], 0.0
    for pause, rate in rates[1:]:
        at += pause
        changes.append((at, rate))
    changes.append((at + 20, rates[-1][1]))

    now, arrivals = 0.0, []
    for at, rate in changes:
        while (wait := bucket.ask(now)) + now < at:
            now += wait
            if wait == 0.0:
                bucket.spend(now)
                if draw.random() < cancelled:
                    bucket.put_back(now)  # it never left
                    now += draw.uniform(0, 0.1)
                else:
                    arrivals.append((now + draw.uniform(0, jitter), None))
        now = max(now, at)
        bucket.learn(rate, now)
        arrivals.append((now, rate))
    for arrival, rate in sorted(arrivals, key=lambda each: each[0]):
        server.refill(arrival)
        if rate is None:
            assert server.arrive(arrival)
        else:
            server.rate = rate
