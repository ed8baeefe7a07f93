"""The client: the stages in their order, many selling partners, and a clean end. The transport is a mock."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import parse_qs

import anyio
import anyio.lowlevel
import httpx
import pytest

from spapi_async import (
    JSON_LISTINGS_FEED,
    Application,
    ArgumentError,
    AuthError,
    ClientClosedError,
    ConfigError,
    ForbiddenError,
    Marketplace,
    OutcomeUnknownError,
    Priority,
    Region,
    RetryPolicy,
    SellingPartner,
    Timeouts,
    UsagePlan,
)
from spapi_async.apis.orders_v0 import OrdersV0
from spapi_async.apis.orders_v0.operations import GET_ORDERS
from spapi_async.events import Event, ReplyDeviated, Retried, TokenRefreshed, Waited
from spapi_async.middleware import Next
from spapi_async.operation import Call, Reply

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])]

ORDERS = {"payload": {"Orders": [{"AmazonOrderId": "902-1845936-5435065", "OrderStatus": "Unshipped"}]}}
AFTER = datetime(2026, 1, 1, tzinfo=UTC)
SECRETS = ("the-client-secret", "Atzr|the-refresh-token", "Atza|")


class Amazon:
    """Login with Amazon and the Selling Partner API in one mock; requests are kept, outcomes can be scripted."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.grants: list[dict[str, list[str]]] = []
        self.outcomes: list[httpx.Response | Exception] = []
        self.transport = httpx.MockTransport(self)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/o2/token":
            self.grants.append(parse_qs(request.content.decode()))
            token = {"access_token": f"Atza|{len(self.grants)}", "token_type": "bearer", "expires_in": 3600}
            return httpx.Response(200, json=token)
        self.requests.append(request)
        outcome = self.outcomes.pop(0) if self.outcomes else httpx.Response(200, json=ORDERS)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.fixture
def amazon() -> Amazon:
    return Amazon()


@pytest.fixture
def make(amazon: Amazon) -> Callable[..., SellingPartner]:
    def make(**options: object) -> SellingPartner:
        return SellingPartner(
            **{
                "client_id": "app",
                "client_secret": "the-client-secret",
                "refresh_token": "Atzr|the-refresh-token",
                "region": Region.NA,
                "transport": amazon.transport,
                "retry": RetryPolicy(base_delay=0),
                **options,
            }
        )

    return make


async def test_a_call(make: Callable[..., SellingPartner], amazon: Amazon) -> None:
    """One await: the token is fetched, the request is what Amazon wants, the reply is typed."""
    async with make(application_name="Acme", application_version="2.1") as sp:
        reply = await sp.orders_v0.get_orders(marketplace_ids=[Marketplace.US], created_after=AFTER)
    assert reply.payload.orders[0].amazon_order_id == "902-1845936-5435065"
    [request] = amazon.requests
    assert request.method == "GET"
    assert str(request.url.copy_with(query=None)) == "https://sellingpartnerapi-na.amazon.com/orders/v0/orders"
    assert dict(request.url.params) == {"MarketplaceIds": "ATVPDKIKX0DER", "CreatedAfter": "2026-01-01T00:00:00Z"}
    assert request.headers["x-amz-access-token"] == "Atza|1"
    assert request.headers["user-agent"].startswith("Acme/2.1 (Language=Python/")
    assert amazon.grants == [
        {
            "grant_type": ["refresh_token"],
            "refresh_token": ["Atzr|the-refresh-token"],
            "client_id": ["app"],
            "client_secret": ["the-client-secret"],
        }
    ]


async def test_a_raw_reply(make: Callable[..., SellingPartner], amazon: Amazon) -> None:
    """`with_raw_response` gives status, headers and the body as it came, and the model when it is asked for."""
    amazon.outcomes = [httpx.Response(200, json=ORDERS, headers={"x-amzn-RateLimit-Limit": "0.0167"})]
    async with make() as sp:
        reply = await sp.with_raw_response.orders_v0.get_orders(marketplace_ids=[Marketplace.US])
    assert (reply.status, reply.rate_limit, reply.json()) == (200, 0.0167, ORDERS)
    assert reply.parse().payload.orders[0].order_status == "Unshipped"


async def test_a_request_of_what_is_not_generated(make: Callable[..., SellingPartner], amazon: Amazon) -> None:
    """`request` passes all stages: the token, the usage plan, the retries, the errors."""
    events: list[Event] = []
    amazon.outcomes = [httpx.Response(200, json={"a": 1}), httpx.Response(503), httpx.Response(204)]
    plan = UsagePlan(rate=10, burst=1)
    async with make(on_event=events.append) as sp:
        path = "/things/v1/{id}"
        first = await sp.request("GET", path, path_parameters={"id": "1"}, query={"q": [1, 2]}, plan=plan)
        second = await sp.request("GET", path, path_parameters={"id": "2"}, plan=plan, repeatable=True)
    assert first.json() == first.parse() == {"a": 1}
    assert (second.status, second.json()) == (204, None)
    assert [request.url.raw_path for request in amazon.requests] == [
        b"/things/v1/1?q=1%2C2", b"/things/v1/2", b"/things/v1/2",
    ]  # fmt: skip
    assert {request.headers["x-amz-access-token"] for request in amazon.requests} == {"Atza|1"}
    assert {event.operation for event in events if isinstance(event, Waited)} == {"request.GET /things/v1/{id}"}


async def test_a_request_is_not_repeated_on_our_own_decision(
    make: Callable[..., SellingPartner], amazon: Amazon
) -> None:
    """A request that is not said to be repeatable may have been done: that is raised, and it is sent once."""
    amazon.outcomes = [httpx.Response(500)]
    async with make() as sp:
        with pytest.raises(OutcomeUnknownError, match="POST /things/v1"):
            await sp.request("POST", "/things/v1", body={"a": 1})
    assert len(amazon.requests) == 1


async def test_a_grantless_request(make: Callable[..., SellingPartner], amazon: Amazon) -> None:
    """With a scope, a request travels with a token of that scope."""
    async with make(refresh_token=None) as sp:
        await sp.request("GET", "/things/v1", grantless_scope="sellingpartnerapi::things")
    assert amazon.grants[0]["scope"] == ["sellingpartnerapi::things"]


async def test_without_validation(make: Callable[..., SellingPartner], amazon: Amazon) -> None:
    """`validate=False` sends what Amazon's model forbids: for a client, or for the calls of a view."""
    async with make() as sp:
        with pytest.raises(ArgumentError):
            await sp.orders_v0.get_orders(marketplace_ids=[])
        await sp.with_options(validate=False).orders_v0.get_orders(marketplace_ids=[])
        with pytest.raises(ArgumentError):
            await sp.orders_v0.get_orders(marketplace_ids=[])
    async with make(validate=False) as sp:
        await sp.orders_v0.get_orders(marketplace_ids=[])
        with pytest.raises(ArgumentError):
            await sp.with_options(validate=True).orders_v0.get_orders(marketplace_ids=[])
    assert len(amazon.requests) == 2


async def test_strict(make: Callable[..., SellingPartner], amazon: Amazon, caplog: pytest.LogCaptureFixture) -> None:
    """`strict=True` tells what differs from the model, as an event and as a warning; the result is the same."""
    events: list[Event] = []
    orders = {"payload": {"Orders": [{"AmazonOrderId": "1", "BuyerName": "Jane Doe"}]}}
    amazon.outcomes = [httpx.Response(200, json=orders, headers={"x-amzn-RequestId": "id-1"})]
    async with make(strict=True, on_event=events.append) as sp:
        reply = await sp.orders_v0.get_orders(marketplace_ids=[Marketplace.US])
    assert reply.payload.orders[0].amazon_order_id == "1"
    [event] = [event for event in events if isinstance(event, ReplyDeviated)]
    assert (event.operation, event.request_id) == ("orders_v0.get_orders", "id-1")
    assert sorted(event.deviations) == [
        "payload.Orders[0].BuyerName: is not in the model",
        "payload.Orders[0].LastUpdateDate: is required, and missing",
        "payload.Orders[0].OrderStatus: is required, and missing",
        "payload.Orders[0].PurchaseDate: is required, and missing",
    ]
    [record] = [record for record in caplog.records if "model says" in record.message]
    assert record.levelno == logging.WARNING
    assert "Jane Doe" not in caplog.text


async def test_views(make: Callable[..., SellingPartner], amazon: Amazon) -> None:
    """A view gives its calls its options, shares everything else, and can be closed without any effect."""
    calls: list[Call] = []

    async def note(call: Call, next_: Next) -> Reply:
        calls.append(call)
        return await next_(call)

    async with make(middleware=[note]) as sp:
        urgent = sp.with_options(priority=Priority.INTERACTIVE, deadline=30.0)
        async with urgent.with_options(timeout=Timeouts(read=1)) as view:
            await view.orders_v0.get_order(order_id="1")
        before = anyio.current_time()
        await urgent.orders_v0.get_order(order_id="2")
        await sp.orders_v0.get_order(order_id="3")
        assert urgent.orders_v0 is urgent.orders_v0 is not sp.orders_v0
        assert urgent.scheduler is sp.scheduler
    first, second, third = calls
    assert (first.priority, first.timeout) == (Priority.INTERACTIVE, Timeouts(read=1))
    assert (second.priority, second.timeout) == (Priority.INTERACTIVE, None)
    assert second.deadline == pytest.approx(before + 30.0, abs=5)
    assert (third.priority, third.deadline) == (Priority.NORMAL, None)
    assert len(amazon.grants) == 1


async def test_views_of_a_subclass(make: Callable[..., SellingPartner], amazon: Amazon) -> None:
    """A view is of the same class, and what the class keeps is made anew for it, bound to the view."""

    class Shop(SellingPartner):
        @functools.cached_property
        def orders(self) -> OrdersV0:
            return self.api(OrdersV0)

    async with Shop(client_id="a", client_secret="s", refresh_token="r", region="na", transport=amazon.transport) as sp:
        assert sp.orders is sp.orders
        view = sp.with_options(validate=False)
        assert isinstance(view, Shop)
        await view.orders.get_orders(marketplace_ids=["A"] * 51)
        with pytest.raises(ArgumentError):
            await sp.orders.get_orders(marketplace_ids=["A"] * 51)


async def test_a_view_declares_quotas(make: Callable[..., SellingPartner]) -> None:
    """Calls made through it count against them, and the estimate knows."""
    async with make() as sp:
        feeds = sp.with_options(quotas=[JSON_LISTINGS_FEED])
        await feeds.request("GET", "/anything", plan=UsagePlan(10, 100))
        await sp.request("GET", "/anything", plan=UsagePlan(10, 100))
        granted = {state.limit: state.granted for state in sp.scheduler.snapshot()}
        assert granted == {"": 2, "JSON_LISTINGS_FEED": 1}
        assert sp.scheduler.estimate("feeds_2021_06_30.create_feed", 7) == 0
        wait = sp.scheduler.estimate("feeds_2021_06_30.create_feed", 7, quotas=[JSON_LISTINGS_FEED])
        assert wait == pytest.approx(2 * 300 / 5, rel=0.05)
        with pytest.raises(ConfigError, match="quotas must be Quotas, not of type str"):
            sp.with_options(quotas=["JSON_LISTINGS_FEED"])  # type: ignore[list-item]


async def test_an_estimate_knows_who_waits(make: Callable[..., SellingPartner]) -> None:
    """How long so many more calls of an operation would take, by its plan and the calls that wait already."""
    async with make(plans={"orders_v0.get_orders": UsagePlan(0.5, 2)}) as sp:
        estimate = functools.partial(sp.scheduler.estimate, "orders_v0.get_orders")
        assert (estimate(0), estimate(), estimate(2)) == (0, 0, pytest.approx(0, abs=0.5))
        assert estimate(100) == pytest.approx(98 * 2, rel=0.01)
        assert sp.scheduler.estimate(GET_ORDERS, 100) == estimate(100)
        async with anyio.create_task_group() as tasks:
            for _ in range(12):
                tasks.start_soon(sp.with_options(priority=Priority.BULK).send, GET_ORDERS.call())
            await anyio.wait_all_tasks_blocked()
            assert estimate(100) == pytest.approx(100 * 2, rel=0.01)
            assert estimate(100, priority=Priority.BULK) == pytest.approx(110 * 2, rel=0.01)
            tasks.cancel_scope.cancel()
        with pytest.raises(ConfigError, match=r"did you mean 'orders_v0\.get_orders'"):
            sp.scheduler.estimate("orders_v0.get_ordrs", 1)


async def test_what_was_learned_can_be_kept(make: Callable[..., SellingPartner], amazon: Amazon) -> None:
    """The plans that Amazon told are exported for one selling partner, and a client made later begins with them."""
    amazon.outcomes.append(httpx.Response(200, json=ORDERS, headers={"x-amzn-RateLimit-Limit": "0.25"}))
    async with make() as sp:
        await sp.orders_v0.get_orders(marketplace_ids=[Marketplace.US], created_after=AFTER)
        learned = sp.scheduler.learned_plans()
    assert learned == {"orders_v0.get_orders": UsagePlan(0.25, 20, "header")}
    async with make(learned_plans=learned) as sp:
        await sp.orders_v0.get_orders(marketplace_ids=[Marketplace.US], created_after=AFTER)
        assert [state.plan for state in sp.scheduler.snapshot()] == [UsagePlan(0.25, 20, "header")]


async def test_selling_partners_see_their_own_buckets(amazon: Amazon) -> None:
    """The application's scheduler shows all buckets, a selling partner's those that its calls pass."""
    app = Application(client_id="app", client_secret="s", region="eu", transport=amazon.transport)
    async with app:
        first, second = (app.selling_partner(refresh_token=token, selling_partner_id=token) for token in ("A1", "A2"))
        for sp in (first, second):
            await sp.orders_v0.get_order(order_id="1")
            await sp.notifications_v1.get_destinations()
        assert len(app.scheduler.snapshot()) == 3
        assert [state.selling_partner for state in second.scheduler.snapshot()] == ["", "A2"]


@pytest.mark.parametrize("option", ["priority", "deadline", "timeout", "validate"])
async def test_views_with_options_of_another_type(make: Callable[..., SellingPartner], option: str) -> None:
    """They are refused at once, by name, and not in the middle of a call."""
    async with make() as sp:
        with pytest.raises(ConfigError, match=f"{option} must be .*, not of type str"):
            sp.with_options(**{option: "1"})  # type: ignore[arg-type]


async def test_a_deadline_that_is_no_time(make: Callable[..., SellingPartner]) -> None:
    """NaN is refused: a call with it would wait forever, however long its turn takes."""
    async with make() as sp:
        with pytest.raises(ConfigError, match="deadline must be a number of seconds, not nan"):
            sp.with_options(deadline=float("nan"))


async def test_learned_plans_of_another_type(make: Callable[..., SellingPartner]) -> None:
    """They are refused at once, by name: plain data as it was kept must be made `UsagePlan`s again."""
    with pytest.raises(ConfigError, match=r"learned_plans\['orders_v0.get_order'\] must be a UsagePlan, not of"):
        make(learned_plans={"orders_v0.get_order": {"rate": 2, "burst": 10}})


async def test_an_api_that_you_generated_yourself(make: Callable[..., SellingPartner]) -> None:
    """`api` binds any generated class to the client."""
    async with make() as sp:
        reply = await sp.api(OrdersV0).get_orders(marketplace_ids=[Marketplace.US])
    assert reply.payload.orders[0].order_status == "Unshipped"


async def test_a_grantless_call_by_itself(make: Callable[..., SellingPartner], amazon: Amazon) -> None:
    """A grantless operation travels with a token of its scope, and needs no refresh token."""
    amazon.outcomes = [httpx.Response(200, json={"payload": []})]
    async with make(refresh_token=None) as sp:
        await sp.notifications_v1.get_destinations()
    assert amazon.grants[0]["grant_type"] == ["client_credentials"]
    assert amazon.grants[0]["scope"] == ["sellingpartnerapi::notifications"]


async def test_a_restricted_call_by_itself(make: Callable[..., SellingPartner], amazon: Amazon) -> None:
    """A restricted operation fetches its restricted data token, and travels with that instead."""
    amazon.outcomes = [
        httpx.Response(200, json={"restrictedDataToken": "Atz.sprdt|1", "expiresIn": 3600}),
        httpx.Response(200, json={"payload": {"AmazonOrderId": "902-1845936-5435065"}}),
        httpx.Response(200, json={"payload": {"AmazonOrderId": "902-1845936-5435066"}}),
    ]
    async with make() as sp:
        await sp.orders_v0.get_order_address(order_id="902-1845936-5435065")
        await sp.orders_v0.get_order_address(order_id="902-1845936-5435066")
    assert [request.url.path for request in amazon.requests] == [
        "/tokens/2021-03-01/restrictedDataToken",
        "/orders/v0/orders/902-1845936-5435065/address",
        "/orders/v0/orders/902-1845936-5435066/address",
    ]
    assert [request.headers["x-amz-access-token"] for request in amazon.requests] == ["Atza|1"] + ["Atz.sprdt|1"] * 2


async def test_selling_partners_of_one_application(amazon: Amazon) -> None:
    """Selling partners share the application's transport and scheduler, and never a token."""
    async with Application(client_id="app", client_secret="s", region=Region.EU, transport=amazon.transport) as app:
        for name in ("one", "two", "one"):
            sp = app.selling_partner(refresh_token=f"Atzr|{name}")
            await sp.orders_v0.get_orders(marketplace_ids=[Marketplace.DE], created_after=AFTER)
    assert [grant["refresh_token"] for grant in amazon.grants] == [["Atzr|one"], ["Atzr|two"]]
    assert [request.headers["x-amz-access-token"] for request in amazon.requests] == ["Atza|1", "Atza|2", "Atza|1"]


async def test_a_read_is_repeated_after_a_fault(make: Callable[..., SellingPartner], amazon: Amazon) -> None:
    """A read that meets a 500 and a broken connection is sent again; each repeat is told."""
    events: list[Event] = []
    amazon.outcomes = [httpx.Response(500), httpx.ReadError("cut")]
    async with make(on_event=events.append) as sp:
        await sp.orders_v0.get_orders(marketplace_ids=[Marketplace.US], created_after=AFTER)
    assert len(amazon.requests) == 3
    assert [event.attempt for event in events if isinstance(event, Retried)] == [1, 2]
    assert [event.kind for event in events if isinstance(event, TokenRefreshed)] == ["access"]


async def test_a_listener_that_raises_changes_nothing(
    make: Callable[..., SellingPartner], amazon: Amazon, caplog: pytest.LogCaptureFixture
) -> None:
    """What `on_event` raises is logged and goes no further: a message that was sent counts as sent."""

    def listen(event: Event) -> None:
        raise KeyError("slip")

    amazon.outcomes = [httpx.Response(429), httpx.Response(201, json={})]
    async with make(on_event=listen, plans={"messaging_v1.create_confirm_order_details": UsagePlan(1000, 10)}) as sp:
        await sp.messaging_v1.create_confirm_order_details(
            amazon_order_id="902-1845936-5435065", marketplace_ids=[Marketplace.US], body={"text": "Which size?"}
        )
    assert len(amazon.requests) == 2
    assert "slip" in caplog.text


@pytest.mark.parametrize("fault", [httpx.ReadTimeout("silence"), httpx.ReadError("cut"), httpx.Response(500)])
async def test_a_message_is_never_sent_twice(
    make: Callable[..., SellingPartner], amazon: Amazon, fault: httpx.Response | Exception
) -> None:
    """A message whose fate is unknown is not sent again; the error says so and chains what happened."""
    amazon.outcomes = [fault]
    async with make() as sp:
        with pytest.raises(OutcomeUnknownError) as caught:
            await sp.messaging_v1.create_confirm_order_details(
                amazon_order_id="902-1845936-5435065", marketplace_ids=[Marketplace.US], body={"text": "Which size?"}
            )
    assert len(amazon.requests) == 1
    assert caught.value.is_retry_safe is False
    assert caught.value.__cause__ is not None


async def test_a_message_that_never_left_is_sent_again(make: Callable[..., SellingPartner], amazon: Amazon) -> None:
    """A refused connection cannot have delivered anything, so even a message is tried again."""
    amazon.outcomes = [httpx.ConnectError("refused"), httpx.Response(201, json={})]
    async with make() as sp:
        await sp.messaging_v1.create_confirm_order_details(
            amazon_order_id="902-1845936-5435065", marketplace_ids=[Marketplace.US], body={"text": "Which size?"}
        )
    assert len(amazon.requests) == 2


async def test_a_throttled_message_is_sent_again(make: Callable[..., SellingPartner], amazon: Amazon) -> None:
    """A 429 was not executed: the call waits for its next turn, whatever the operation, and no attempt is lost."""
    amazon.outcomes = [httpx.Response(429)] * 5 + [httpx.Response(201, json={})]
    plans = {"messaging_v1.create_confirm_order_details": UsagePlan(1000, 10)}
    async with make(plans=plans, retry=RetryPolicy(max_attempts=1)) as sp:
        await sp.messaging_v1.create_confirm_order_details(
            amazon_order_id="902-1845936-5435065", marketplace_ids=[Marketplace.US], body={"text": "Which size?"}
        )
    assert len(amazon.requests) == 6


async def test_a_business_answer_is_raised_at_once(make: Callable[..., SellingPartner], amazon: Amazon) -> None:
    """A 403 that does not speak of the token is the operation's answer: no repeat, no new token."""
    refusal = {"errors": [{"code": "Unauthorized", "message": "Template not available for this order", "details": ""}]}
    amazon.outcomes = [httpx.Response(403, json=refusal, headers={"x-amzn-RequestId": "R1"})]
    async with make() as sp:
        with pytest.raises(ForbiddenError, match="Template not available") as caught:
            await sp.orders_v0.get_orders(marketplace_ids=[Marketplace.US], created_after=AFTER)
    assert caught.value.request_id == "R1"
    assert (len(amazon.requests), len(amazon.grants)) == (1, 1)


async def test_stages_of_the_user_see_a_call_once(make: Callable[..., SellingPartner], amazon: Amazon) -> None:
    """A middleware of the user stands outside of retries; an inner stage of one call sees each attempt."""
    outer: list[int] = []
    inner: list[int] = []

    async def see_call(call: Call, next_: Next) -> Reply:
        outer.append(call.attempt)
        return await next_(call)

    async def see_attempt(call: Call, next_: Next) -> Reply:
        assert call.headers["x-amz-access-token"]
        inner.append(call.attempt)
        return await next_(call)

    amazon.outcomes = [httpx.Response(500)]
    async with make(middleware=[see_call]) as sp:
        await sp.send(GET_ORDERS.call(query=[("MarketplaceIds", "ATVPDKIKX0DER")]), inner=[see_attempt])
    assert (outer, inner) == ([1], [1, 2])


async def test_closing_ends_calls_that_wait(make: Callable[..., SellingPartner], amazon: Amazon) -> None:
    """At the end of the block, calls that still wait for their plan get an error that says that nothing was sent."""
    ended: list[ClientClosedError] = []
    plans = {"orders_v0.get_orders": UsagePlan(0.001, 1)}

    async with anyio.create_task_group() as tasks, make(plans=plans) as sp:

        async def call() -> None:
            try:
                await sp.orders_v0.get_orders(marketplace_ids=[Marketplace.US], created_after=AFTER)
            except ClientClosedError as error:
                ended.append(error)

        for _ in range(5):
            tasks.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        await sp.aclose()
        with pytest.raises(ClientClosedError):
            await sp.orders_v0.get_orders(marketplace_ids=[Marketplace.US], created_after=AFTER)
    assert len(ended) == 4
    assert len(amazon.requests) == 1


async def test_exchanges_under_way_may_end(make: Callable[..., SellingPartner], amazon: Amazon) -> None:
    """Closing waits for exchanges that are on the wire already: their replies are not lost."""
    on_the_wire, answer = anyio.Event(), anyio.Event()
    replies: list[object] = []

    async def slow(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/auth/o2/token":
            on_the_wire.set()
            await answer.wait()
        return await amazon(request)

    sp = make(transport=httpx.MockTransport(slow))

    async def call() -> None:
        replies.append(await sp.orders_v0.get_orders(marketplace_ids=[Marketplace.US], created_after=AFTER))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await on_the_wire.wait()
        tasks.start_soon(sp.aclose)
        await anyio.wait_all_tasks_blocked()
        answer.set()
    assert len(replies) == 1


async def test_after_closing_no_token_is_fetched(
    make: Callable[..., SellingPartner], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that waits to ask for a token again when the client is closed ends with that, and asks no more."""
    monkeypatch.setattr("random.random", lambda: 0.5)
    asked: list[str] = []
    caught: list[Exception] = []

    async def fail(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(503)

    sp = make(transport=httpx.MockTransport(fail), retry=RetryPolicy(base_delay=0.1))

    async def call() -> None:
        try:
            await sp.send(GET_ORDERS.call())
        except ClientClosedError as error:
            caught.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        await sp.aclose(grace=0)
    assert (len(asked), len(caught)) == (1, 1)


async def test_a_restricted_call_that_waits_when_the_client_is_closed(
    make: Callable[..., SellingPartner], amazon: Amazon
) -> None:
    """It too gets the error of a closed client when it waits for its restricted data token's turn."""
    plans = {"tokens_2021_03_01.create_restricted_data_token": UsagePlan(0.001, 1)}
    amazon.outcomes = [httpx.Response(429)]
    caught: list[Exception] = []
    sp = make(plans=plans)

    async def call() -> None:
        try:
            await sp.orders_v0.get_order_address(order_id="902-1845936-5435065")
        except ClientClosedError as error:
            caught.append(error)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        await sp.aclose()
    assert len(caught) == 3


async def test_closing_twice_at_once(make: Callable[..., SellingPartner], amazon: Amazon) -> None:
    """Whoever closes a client that is being closed already does not make the other one wait longer."""
    on_the_wire, answer = anyio.Event(), anyio.Event()

    async def slow(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/auth/o2/token":
            on_the_wire.set()
            await answer.wait()
        return await amazon(request)

    sp = make(transport=httpx.MockTransport(slow))
    with anyio.fail_after(2):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sp.send, GET_ORDERS.call())
            await on_the_wire.wait()
            tasks.start_soon(functools.partial(sp.aclose, grace=60))
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(functools.partial(sp.aclose, grace=60))
            await anyio.wait_all_tasks_blocked()
            answer.set()


async def test_a_cancelled_close_leaves_nothing_open(
    make: Callable[..., SellingPartner], amazon: Amazon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the wait for exchanges under way is cancelled, the connections are closed all the same."""
    on_the_wire = anyio.Event()
    closed: list[bool] = []

    class Hanging(httpx.MockTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path != "/auth/o2/token":
                on_the_wire.set()
                await anyio.sleep_forever()
            return await amazon(request)

        async def aclose(self) -> None:
            await anyio.lowlevel.checkpoint()
            closed.append(True)

    monkeypatch.setattr("spapi_async.client.default_transport", lambda: Hanging(amazon))
    sp = make(transport=None)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sp.send, GET_ORDERS.call())
        await on_the_wire.wait()
        with anyio.move_on_after(0.01):
            await sp.aclose()
        tasks.cancel_scope.cancel()
    assert closed == [True]


async def test_a_wrong_secret_is_one_clear_error(make: Callable[..., SellingPartner]) -> None:
    """LWA's refusal comes with its code and the operation that needed the token; no secret is in it."""

    async def refuse(request: httpx.Request) -> httpx.Response:
        return httpx.Response(
            401, json={"error": "invalid_client", "error_description": "Client authentication failed"}
        )

    async with make(transport=httpx.MockTransport(refuse)) as sp:
        with pytest.raises(AuthError) as caught:
            await sp.orders_v0.get_orders(marketplace_ids=[Marketplace.US], created_after=AFTER)
    assert str(caught.value) == (
        "orders_v0.get_orders: no access token: invalid_client: Client authentication failed "
        "(status 401, safe to repeat: no)"
    )
    assert caught.value.is_permanent


async def test_no_secret_is_told(
    make: Callable[..., SellingPartner], amazon: Amazon, caplog: pytest.LogCaptureFixture
) -> None:
    """Reprs, events, errors and logs at DEBUG hold no secret, token or body, whether a call succeeds or fails."""
    caplog.set_level(logging.DEBUG)
    told: list[object] = []
    amazon.outcomes = [httpx.Response(500), httpx.Response(200, json=ORDERS), httpx.ReadError("cut")]
    async with make(on_event=told.append) as sp:
        await sp.orders_v0.get_orders(marketplace_ids=[Marketplace.US], created_after=AFTER)
        with pytest.raises(OutcomeUnknownError) as caught:
            await sp.messaging_v1.create_confirm_order_details(
                amazon_order_id="902-1845936-5435065", marketplace_ids=[Marketplace.US], body={"text": "Dear Jane"}
            )
        told += [sp, sp._application, sp._credentials, caught.value, caught.value.__cause__, caplog.text]
    text = "\n".join(f"{thing} {thing!r}" for thing in told)
    assert not [secret for secret in (*SECRETS, "Dear Jane") if secret in text]


async def test_from_env(amazon: Amazon) -> None:
    """The environment gives what is not given as an option."""
    environ = {
        "SPAPI_CLIENT_ID": "app",
        "SPAPI_CLIENT_SECRET": "s",
        "SPAPI_REFRESH_TOKEN": "Atzr|x",
        "SPAPI_ENDPOINT": "http://127.0.0.1:8900",
        "SPAPI_LWA_ENDPOINT": "http://127.0.0.1:8900/auth/o2/token",
    }
    async with SellingPartner.from_env(environ, transport=amazon.transport) as sp:
        await sp.orders_v0.get_orders(marketplace_ids=[Marketplace.US], created_after=AFTER)
    assert amazon.requests[0].url.host == "127.0.0.1"
    options = SellingPartner.from_env({**environ, "SPAPI_REGION": "na"}, region=Region.FE, transport=amazon.transport)
    assert "sellingpartnerapi-fe" in repr(options)
    assert options._application._config.lwa_endpoint is None  # that of the environment goes with its endpoint


async def test_from_env_with_options_that_are_none(amazon: Amazon) -> None:
    """An option that is None is one that is not given: the environment has it."""
    environ = {
        "SPAPI_CLIENT_ID": "app",
        "SPAPI_CLIENT_SECRET": "s",
        "SPAPI_REFRESH_TOKEN": "Atzr|x",
        "SPAPI_REGION": "fe",
        "SPAPI_LWA_ENDPOINT": "http://lwa/auth/o2/token",
    }
    sp = SellingPartner.from_env(environ, region=None, endpoint=None, lwa_endpoint=None, transport=amazon.transport)
    assert repr(sp) == (
        "SellingPartner(Application(client_id='app', endpoint='https://sellingpartnerapi-fe.amazon.com'))"
    )
    assert sp._application._config.lwa_endpoint == "http://lwa/auth/o2/token"


async def test_from_env_names_all_that_is_missing() -> None:
    """One error names every variable that is missing, the region's too."""
    with pytest.raises(ConfigError, match=r"SPAPI_CLIENT_ID .*SPAPI_REFRESH_TOKEN .*SPAPI_REGION or SPAPI_ENDPOINT"):
        SellingPartner.from_env({})


async def test_a_misspelt_plan_is_an_error(make: Callable[..., SellingPartner]) -> None:
    """A plan for an operation that does not exist is refused when the client is made."""
    with pytest.raises(ConfigError, match=r"did you mean 'orders_v0.get_orders'"):
        make(plans={"orders_v0.get_order_s": UsagePlan(1, 1)})
