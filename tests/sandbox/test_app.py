from __future__ import annotations

import itertools
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

from spapi_async.apis import catalog
from spapi_async.errors import ConfigError
from spapi_async.operation import UsagePlan
from spapi_async.sandbox import Faults, Sandbox

pytestmark = pytest.mark.anyio

ORDER = "/orders/v0/orders/902-1845936-5435065"
PLAN = {"orders_v0.get_order": UsagePlan(0.5, 2)}


async def test_an_unknown_route_is_403(connect: Any) -> None:
    """Amazon's gateway answers an unknown path, and a wrong verb, with 403 and not 404."""
    async with connect(Sandbox()) as caller:
        for reply in [await caller.get("/orders/v1/orders"), await caller.delete(ORDER)]:
            assert (reply.status_code, reply.json()["errors"][0]["code"]) == (403, "MissingAuthenticationToken")
            assert "x-amzn-ratelimit-limit" not in reply.headers


async def test_every_live_operation_is_routed(connect: Any) -> None:
    """No generated operation that Amazon still has ends at the gateway's unknown route."""
    async with connect(Sandbox()) as caller:
        for operation in catalog():
            reply = await caller.http.request(operation.method, operation.path)
            routed = reply.json()["errors"][0]["code"] != "MissingAuthenticationToken"
            assert routed == (operation.retired is None), operation.key


async def test_a_throttled_call(connect: Any, clock: Any) -> None:
    """A 429 has Amazon's code, error type and request id, and neither the rate nor Retry-After."""
    async with connect(Sandbox(clock=clock, plans=PLAN)) as caller:
        replies = [await caller.get(ORDER) for _ in range(3)]
        assert [reply.status_code for reply in replies] == [200, 200, 429]
        throttled = replies[-1]
        assert throttled.json()["errors"][0]["code"] == "QuotaExceeded"
        assert throttled.headers["x-amzn-errortype"] == "TooManyRequestsException"
        assert throttled.headers["x-amzn-requestid"]
        assert not {"x-amzn-ratelimit-limit", "retry-after"} & set(throttled.headers)
        clock.now += 2
        assert [(await caller.get(ORDER)).status_code for _ in range(2)] == [200, 429]


async def test_who_shares_a_bucket(connect: Any) -> None:
    """A new token, and another refresh token of the seller, meet the same bucket; another seller or app does not."""
    app = Sandbox(plans={"orders_v0.get_order": UsagePlan(0.001, 1)})
    async with connect(app) as caller:
        statuses = []
        for refresh_token, client_id in [
            ("Atzr|A", "app"),
            ("Atzr|A", "app"),
            ("Atzr|A|second", "app"),
            ("Atzr|B", "app"),
            ("Atzr|A", "other"),
        ]:
            await caller.log_in(refresh_token, client_id)
            statuses.append((await caller.get(ORDER)).status_code)
        assert (await caller.get("/orders/v0/orders", MarketplaceIds="ATVPDKIKX0DER")).status_code == 200
    assert statuses == [200, 429, 429, 200, 200]


async def test_a_grantless_operation_has_one_bucket_for_the_application(connect: Any) -> None:
    """Without a selling partner, the application is what is counted."""
    async with connect(Sandbox(plans={"notifications_v1.get_destinations": UsagePlan(0.001, 1)})) as caller:
        statuses = []
        for client_id in ["app", "app", "other"]:
            await caller.log_in(
                client_id=client_id, grant_type="client_credentials", scope="sellingpartnerapi::notifications"
            )
            statuses.append((await caller.get("/notifications/v1/destinations")).status_code)
    assert statuses == [200, 429, 200]


async def test_the_plan_comes_before_the_arguments(connect: Any) -> None:
    """An invalid call spends a token too, and is throttled before its arguments are looked at; a bad token is free."""
    async with connect(Sandbox(plans={"orders_v0.get_orders": UsagePlan(0.001, 1)})) as caller:
        await caller.http.get("/orders/v0/orders", headers={"x-amz-access-token": "bad"})
        assert [(await caller.get("/orders/v0/orders")).status_code for _ in range(2)] == [400, 429]


async def test_where_the_rate_is_sent(connect: Any, clock: Any) -> None:
    """2xx, 400 and 404 carry the rate of the plan in force, as a decimal; other statuses do not."""
    plans = {"*": UsagePlan(0.0167, 20), "orders_v0.get_order": UsagePlan(0.00001, 9)}
    async with connect(Sandbox(clock=clock, plans=plans)) as caller:
        found = {}
        for path in ["902-1845936-5435065", "x", "000-0000404-0000001", "000-0000500-0000001"]:
            reply = await caller.get(f"/orders/v0/orders/{path}")
            found[reply.status_code] = reply.headers.get("x-amzn-ratelimit-limit")
        reply = await caller.get("/orders/v0/orders", MarketplaceIds="ATVPDKIKX0DER")
        assert reply.headers["x-amzn-ratelimit-limit"] == "0.0167"
    assert found == {200: "0.00001", 400: "0.00001", 404: "0.00001", 500: None}


async def test_the_rate_can_be_withheld(connect: Any) -> None:
    """With `rate_header=False` no reply carries it, as happens at Amazon."""
    async with connect(Sandbox(rate_header=False)) as caller:
        assert "x-amzn-ratelimit-limit" not in (await caller.get(ORDER)).headers


async def test_every_answer_has_a_request_id_of_its_own(connect: Any) -> None:
    """Tokens, successes and refusals: each has another `x-amzn-RequestId`."""
    async with connect(Sandbox()) as caller:
        replies = [await caller.log_in(), await caller.get(ORDER), await caller.get("/x"), await caller.get(ORDER)]
        assert len({reply.headers["x-amzn-requestid"] for reply in replies}) == 4


async def test_what_was_called_can_be_looked_up(connect: Any, clock: Any) -> None:
    """Counts by operation and status, and the arrivals that each usage plan accepted; a reset forgets them."""
    app = Sandbox(clock=clock, plans=PLAN)
    async with connect(app) as caller:
        for _ in range(3):
            await caller.get(ORDER)
        found = (await caller.get("/_sandbox/requests")).json()
        assert found["operations"]["orders_v0.get_order"] == {"200": 2, "429": 1}
        [bucket] = found["buckets"]
        assert (bucket["seller"], bucket["arrivals"], bucket["throttled"]) == ("SELLER1", [1000.0, 1000.0], 1)
        assert (await caller.post("/_sandbox/reset")).status_code == 200
        assert (await caller.get("/_sandbox/requests")).json() == {"operations": {}, "buckets": []}
        assert (await caller.get(ORDER)).status_code == 200
        assert (await caller.get("/_sandbox/health")).json() == {"status": "ok"}
        assert (await caller.get("/_sandbox/nothing")).status_code == 404


async def test_a_mistyped_plan_is_found_at_once() -> None:
    """A sandbox with a plan for no operation is not made."""
    with pytest.raises(ConfigError, match=r"orders_v0\.get_order"):
        Sandbox(plans={"orders_v0.get_odrer": UsagePlan(1, 1)})


async def test_the_lifespan_is_answered() -> None:
    """Servers that run an ASGI lifespan get their answers."""
    inbox = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent = []

    async def receive() -> dict[str, str]:
        return next(inbox)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await Sandbox()({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


@pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})])
async def test_latency_and_jitter(connect: Any) -> None:
    """A round trip takes between `latency` and `latency + jitter`, on virtual time here."""
    app = Sandbox(latency=0.2, jitter=0.1, clock=anyio.current_time, plans={"*": UsagePlan(1000, 1000)})
    async with connect(app) as caller:
        times = [anyio.current_time()]
        for _ in range(50):
            await caller.get(ORDER)
            times.append(anyio.current_time())
    trips = [after - before for before, after in itertools.pairwise(times)]
    assert min(trips) >= 0.2
    assert max(trips) <= 0.3
    assert max(trips) - min(trips) > 0.05


async def test_faults_leave_other_operations_alone(connect: Any) -> None:
    """By default only calls that send a buyer something can fail by chance."""
    async with connect(Sandbox(faults=Faults(error_before=1.0))) as caller:
        assert (await caller.get(ORDER)).status_code == 200


async def test_a_caller_who_leaves_in_the_middle_of_its_request() -> None:
    """A request that never came whole is not done and not counted."""
    app = Sandbox()
    inbox = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> dict[str, Any]:
        return next(inbox)

    async def send(message: Any) -> None:
        raise AssertionError(message)

    scope = {"type": "http", "method": "POST", "path": "/auth/o2/token", "headers": [(b"content-length", b"9")]}
    await app(scope, receive, send)
    assert app.requests()["operations"] == {}


@pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})])
async def test_what_was_done_is_counted_before_the_reply_is_back(connect: Any) -> None:
    """A caller that gives up while the reply is on its way has made a call that was done."""
    app = Sandbox(latency=1.0, clock=anyio.current_time)
    async with connect(app) as caller:
        for patience, counted in [(0.4, {}), (0.6, {"200": 1})]:
            with anyio.move_on_after(patience):
                await caller.get(ORDER)
            assert app.requests()["operations"].get("orders_v0.get_order", {}) == counted
