"""Whole jobs that are paced by the usage plan: on a socket, where it takes its ten seconds, and on virtual time."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import anyio
import httpx
import pytest
import trio.testing

from spapi_async import SellingPartner, UsagePlan
from spapi_async.jobs import Job, MemoryJournal
from spapi_async.jobs.kinds import KINDS
from spapi_async.sandbox import Sandbox, start_process

KIND = KINDS["confirmOrderDetails"]
COUNT = 60
PLAN = UsagePlan(rate=5, burst=10)


@pytest.mark.asyncio
async def test_sixty_messages_take_what_the_plan_says(tmp_path: Path) -> None:
    """60 rows at 5/s burst 10 are delivered once each, with at most one 429, in 10 s plus 5 % and half a second."""
    plans = {KIND.check.key: PLAN, KIND.operation.key: PLAN}
    fields = [
        {"order_id": f"902-0000001-{n:07}", "marketplace_id": "A1PA6795UKMFR9", "text": f"message {n}"}
        for n in range(COUNT)
    ]
    with start_process(plans=plans) as sandbox:
        client = SellingPartner(
            client_id="id",
            client_secret="secret",
            refresh_token="Atzr|SELLER1",
            endpoint=sandbox.endpoint,
            lwa_endpoint=sandbox.lwa_endpoint,
            plans=plans,
        )
        async with client, Job(client, kind=KIND, journal=tmp_path / "jobs.db") as job:
            await job.add(fields)
            started = time.monotonic()
            tally = await job.run()
            wall = time.monotonic() - started
            assert tally.sent == COUNT
        delivered = Counter(message["order_id"] for message in sandbox.messages())
        statuses = sandbox.requests()["operations"]
    assert delivered == {one["order_id"]: 1 for one in fields}
    throttled = [statuses[operation.key].get("429", 0) for operation in (KIND.check, KIND.operation)]
    assert sum(throttled) <= 1
    ideal = (COUNT - PLAN.burst) / PLAN.rate
    assert wall <= ideal * 1.05 + 0.5


@pytest.mark.anyio
@pytest.mark.parametrize(
    "anyio_backend", [("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)})], ids=["virtual"]
)
@pytest.mark.parametrize("latency", [0.0, 0.3])
async def test_ten_minutes_use_the_plan(latency: float) -> None:
    """At 1/s burst 5 a job of ten minutes uses at least 99 % of the plan, and meets no 429."""
    plan = UsagePlan(rate=1, burst=5)
    seconds = 600
    sandbox = Sandbox(plans={KIND.check.key: plan, KIND.operation.key: plan}, clock=anyio.current_time, latency=latency)
    client = SellingPartner(
        client_id="id",
        client_secret="secret",
        refresh_token="Atzr|SELLER1",
        endpoint="http://sandbox",
        lwa_endpoint="http://sandbox/auth/o2/token",
        transport=httpx.ASGITransport(app=sandbox),
    )
    most = plan.burst + plan.rate * seconds
    rows = (
        {"order_id": f"902-0000001-{n:07}", "marketplace_id": "A1PA6795UKMFR9", "text": f"message {n}"}
        for n in range(int(most) + 50)
    )
    async with client, Job(client, kind=KIND, journal=MemoryJournal()) as job:
        await job.add(rows)
        with anyio.move_on_after(seconds):
            await job.run()
        used = len(sandbox.state.messages)
    statuses = sandbox.requests()["operations"]
    assert used >= 0.99 * most
    assert not any(statuses[operation.key].get("429") for operation in (KIND.check, KIND.operation))
