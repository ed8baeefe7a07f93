"""A whole job on a socket, paced by the usage plan. This takes as long as the plan says: some ten seconds."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest

from spapi_async import SellingPartner, UsagePlan
from spapi_async.jobs import Job
from spapi_async.jobs.kinds import KINDS
from spapi_async.sandbox import start_process

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
