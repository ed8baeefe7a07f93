from __future__ import annotations

import math
import statistics
from datetime import datetime, timedelta
from typing import Any

import anyio
import httpx
import pytest
from trio.testing import MockClock

from spapi_async import SellingPartner
from spapi_async.apis import catalog
from spapi_async.errors import ConfigError
from spapi_async.operation import UsagePlan
from spapi_async.sandbox import Faults, Sandbox

pytestmark = pytest.mark.anyio

ORDER = "/orders/v0/orders/902-1845936-5435065"
MESSAGE = "/messaging/v1/orders/902-1845936-5435065/messages/confirmOrderDetails"
VIRTUAL_TIME = [("trio", {"clock": MockClock(autojump_threshold=0)})]
ITEM = "/catalog/2022-04-01/items/B07N4M94X4"
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


async def test_a_limit_over_all_selling_partners(connect: Any, clock: Any) -> None:
    """It throttles like a usage plan, the rate in the replies stays that of the pair, and it can change in mid-run."""
    name = "catalog_items_2022_04_01.get_catalog_item"
    app = Sandbox(clock=clock, application_rates={name: 2.0})

    async def rates(*sellers: str) -> list[str | int]:
        found = []
        for seller in sellers:
            await caller.log_in(f"Atzr|{seller}")
            reply = await caller.get(ITEM, marketplaceIds="ATVPDKIKX0DER")
            found.append(reply.headers["x-amzn-ratelimit-limit"] if reply.is_success else reply.status_code)
        return found

    async with connect(app) as caller:
        assert await rates("A", "B", "C") == ["2", "2", 429]
        app.set_application_rate(name, 1)
        clock.now += 1
        assert await rates("C", "D") == ["2", 429]
        assert (await caller.post("/_sandbox/application-rates", {"operation": name, "rate": None})).json() == {}
        assert await rates("D") == ["2"]
        assert (await caller.post("/_sandbox/application-rates", {"operation": name, "rate": 1})).json() == {}
        assert await rates("E", "F") == ["2", 429]
        app.reset()
        assert await rates("A", "B", "C") == ["2", "2", 429]
    [bucket] = [bucket for bucket in app.requests()["buckets"] if bucket["limit"] == "application"]
    assert (bucket["client_id"], bucket["seller"], bucket["operation"]) == ("app", None, name)
    assert (len(bucket["arrivals"]), bucket["throttled"]) == (2, 1)


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


async def test_the_plan_can_change(connect: Any, clock: Any) -> None:
    """The next reply tells the new rate, tokens stay, and one selling partner can have a plan of its own."""
    app = Sandbox(clock=clock, plans=PLAN)

    async def rates(refresh_token: str) -> list[str | None]:
        await caller.log_in(refresh_token)
        return [(await caller.get(ORDER)).headers.get("x-amzn-ratelimit-limit") for _ in range(2)]

    async with connect(app) as caller:
        assert await rates("Atzr|A") == ["0.5", "0.5"]
        app.set_plan("orders_v0.get_order", UsagePlan(4, 9))
        assert await rates("Atzr|A") == [None, None]
        clock.now += 0.25
        assert await rates("Atzr|A") == ["4", None]
        app.set_plan("*", UsagePlan(0.25, 1), seller="B")
        assert await rates("Atzr|B") == ["0.25", None]
        assert await rates("Atzr|C") == ["4", "4"]
        app.reset()
        assert await rates("Atzr|B") == ["0.5", "0.5"]


async def test_an_empty_bucket(connect: Any, clock: Any) -> None:
    """A bucket can begin with less than its burst, and be emptied or filled later."""
    app = Sandbox(clock=clock, plans={"*": UsagePlan(1, 3)}, tokens={"orders_v0.get_order": 0})

    async def statuses() -> list[int]:
        return [(await caller.get(ORDER)).status_code for _ in range(2)]

    async with connect(app) as caller:
        assert await statuses() == [429, 429]
        clock.now += 1
        assert await statuses() == [200, 429]
        app.set_tokens("orders_v0.get_order", 2)
        assert await statuses() == [200, 200]


async def test_an_unseen_consumer(connect: Any, clock: Any) -> None:
    """It takes tokens of each selling partner's bucket until it is stopped; what it took can be looked up."""
    app = Sandbox(clock=clock, plans={"*": UsagePlan(0.001, 10)}, eat={"orders_v0.get_order": 2})
    async with connect(app) as caller:
        assert (await caller.get(ORDER)).status_code == 200
        clock.now += 3
        assert [(await caller.get(ORDER)).status_code for _ in range(4)] == [200] * 3 + [429]
        assert app.requests()["buckets"][0]["eaten"] == 6
        app.set_tokens("*", 2)
        app.eat("*", 0)
        clock.now += 3
        assert [(await caller.get(ORDER)).status_code for _ in range(3)] == [200, 200, 429]
        assert app.requests()["buckets"][0]["eaten"] == 6


async def test_changes_from_outside(connect: Any) -> None:
    """What Python can change, a POST with JSON can change too, also for one selling partner."""
    app = Sandbox(plans={"*": UsagePlan(0.001, 1)})
    order = "orders_v0.get_order"
    async with connect(app) as caller:
        for page, body in [
            ("plans", {"operation": order, "rate": 0.002, "burst": 5, "seller": "SELLER1"}),
            ("tokens", {"operation": "*", "tokens": 2, "seller": None}),
            ("eat", {"operation": "orders_v0.*", "rate": 0.5}),
        ]:
            reply = await caller.post(f"/_sandbox/{page}", body)
            assert (reply.status_code, reply.json()) == (200, {})
        replies = [await caller.get(ORDER) for _ in range(3)]
        await caller.log_in("Atzr|SELLER2")
        replies += [await caller.get(ORDER) for _ in range(2)]
    assert [reply.status_code for reply in replies] == [200, 200, 429, 200, 429]
    assert [r.headers.get("x-amzn-ratelimit-limit") for r in replies] == ["0.002", "0.002", None, "0.001", None]


@pytest.mark.parametrize(
    ("page", "body", "words"),
    [
        ("plans", b"{", "unexpected end"),
        ("plans", b"[]", "operation, rate, burst"),
        ("plans", b'{"operation": "*", "rate": 1}', "operation, rate, burst"),
        ("plans", b'{"operation": "*", "rate": 1, "burst": "x"}', "rate and burst must be numbers"),
        ("plans", b'{"operation": "*", "rate": 0, "burst": 1}', "above 0"),
        ("plans", b'{"operation": "x", "rate": 1, "burst": 1}', "no operation"),
        ("tokens", b'{"operation": "*", "tokens": -1}', "at least 0"),
        ("tokens", b'{"operation": 1, "tokens": 1}', "must be strings"),
        ("eat", b'{"operation": "*", "rate": 1, "sellers": "A"}', "operation, rate"),
        ("eat", b'{"operation": "*", "rate": 1001}', "0 to 1000"),
        ("eat", b'{"operation": "*", "rate": null}', "must be numbers"),
        ("application-rates", b'{"operation": "*", "rate": 0}', "above 0"),
        ("application-rates", b'{"operation": "*", "rate": "1"}', "must be numbers"),
        ("application-rates", b'{"operation": "*", "rate": 1, "seller": "A"}', "of operation, rate"),
    ],
)
async def test_changes_that_cannot_be_read(connect: Any, page: str, body: bytes, words: str) -> None:
    """Each is a 400 that says what is wrong."""
    async with connect(Sandbox()) as caller:
        reply = await caller.http.post(f"/_sandbox/{page}", content=body)
    assert reply.status_code == 400
    assert words in reply.json()["errors"][0]["message"]


@pytest.mark.parametrize("anyio_backend", VIRTUAL_TIME)
async def test_latency_and_jitter(connect: Any) -> None:
    """A round trip takes `latency`, and on each way up to `jitter` longer, on virtual time here."""
    app = Sandbox(latency=0.2, jitter=0.1, clock=anyio.current_time, plans={"*": UsagePlan(1000, 1000)})
    async with connect(app) as caller:
        left, back = [], []
        for _ in range(50):
            left.append(anyio.current_time())
            await caller.get(ORDER)
            back.append(anyio.current_time())
    [bucket] = app.requests()["buckets"]
    arrived = bucket["arrivals"]
    ways = [[b - a for a, b in zip(*pair, strict=True)] for pair in ((left, arrived), (arrived, back))]
    for way in ways:
        assert 0.1 <= min(way) < 0.12
        assert 0.18 < max(way) <= 0.2 + 1e-9
    assert abs(statistics.correlation(*ways)) < 0.3  # chance decides again for the way out


@pytest.mark.parametrize("anyio_backend", VIRTUAL_TIME)
async def test_jitter_changes_the_order(connect: Any) -> None:
    """Requests reach their usage plan in another order than they left in; the same seed repeats the times."""

    async def arrivals(seed: int) -> list[float]:
        app = Sandbox(jitter=0.2, clock=anyio.current_time, faults=Faults(seed=seed), plans={"*": UsagePlan(99, 99)})
        async with connect(app) as caller:
            started = anyio.current_time()

            async def call(number: int) -> None:
                await anyio.sleep(number / 100)
                await caller.post(MESSAGE, {"text": str(number)}, marketplaceIds="ATVPDKIKX0DER")

            async with anyio.create_task_group() as tasks:
                for number in range(20):
                    tasks.start_soon(call, number)
        order = [int(message.text) for message in app.state.messages]
        assert sorted(order) == list(range(20)) != order
        [bucket] = app.requests()["buckets"]
        return [arrival - started for arrival in bucket["arrivals"]]

    first = await arrivals(1)
    assert await arrivals(1) == pytest.approx(first)
    assert await arrivals(2) != pytest.approx(first)


async def test_jitter_without_virtual_time(connect: Any) -> None:
    """The delays are those of the event loop, whichever it is."""
    app = Sandbox(latency=0.002, jitter=0.001)
    async with connect(app) as caller:
        started = anyio.current_time()
        await caller.get(ORDER)
        assert anyio.current_time() - started >= 0.002


@pytest.mark.parametrize("option", ["latency", "jitter"])
@pytest.mark.parametrize("seconds", [-0.1, math.nan, math.inf])
async def test_delays_that_cannot_be(option: str, seconds: float) -> None:
    """Seconds on the way are finite and not negative."""
    with pytest.raises(ConfigError, match=option):
        Sandbox(**{option: seconds})  # type: ignore[arg-type]


@pytest.mark.parametrize("anyio_backend", VIRTUAL_TIME)
async def test_hours_pass_at_once() -> None:
    """On trio's mock clock a client and the sandbox keep a plan of 1/min for an hour, renewing the token on the way."""
    plans = {"orders_v0.get_order": UsagePlan(1 / 60, 1)}
    app = Sandbox(plans=plans, clock=anyio.current_time)
    started = anyio.current_time()
    async with SellingPartner(
        client_id="app",
        client_secret="secret",
        refresh_token="Atzr|SELLER1",
        endpoint="http://sandbox",
        lwa_endpoint="http://sandbox/auth/o2/token",
        plans=plans,
        transport=httpx.ASGITransport(app=app),
    ) as sp:

        async def call() -> None:
            await sp.orders_v0.get_order(order_id="902-1845936-5435065")

        async with anyio.create_task_group() as tasks:
            for _ in range(60):
                tasks.start_soon(call)
    # No 429, and by the sandbox's clock each call came a minute after the one before.
    assert app.requests()["operations"] == {"/auth/o2/token": {"200": 2}, "orders_v0.get_order": {"200": 60}}
    assert 59 * 60 <= anyio.current_time() - started < 59 * 60 * 1.05


async def test_messages_are_dated_by_the_clock(connect: Any, clock: Any) -> None:
    """Two messages that the clock sets half an hour apart are so in what the sandbox tells of them."""
    app = Sandbox(clock=clock)
    async with connect(app) as caller:
        for _ in range(2):
            assert (await caller.post(MESSAGE, {"text": "Hi"}, marketplaceIds="ATVPDKIKX0DER")).status_code == 201
            clock.now += 1800
    first, second = (datetime.fromisoformat(message.time) for message in app.state.messages)
    assert second - first == timedelta(minutes=30)


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


@pytest.mark.parametrize("anyio_backend", VIRTUAL_TIME)
async def test_what_was_done_is_counted_before_the_reply_is_back(connect: Any) -> None:
    """A caller that gives up while the reply is on its way has made a call that was done."""
    app = Sandbox(latency=1.0, clock=anyio.current_time)
    async with connect(app) as caller:
        for patience, counted in [(0.4, {}), (0.6, {"200": 1})]:
            with anyio.move_on_after(patience):
                await caller.get(ORDER)
            assert app.requests()["operations"].get("orders_v0.get_order", {}) == counted
