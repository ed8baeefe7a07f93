"""Restricted data tokens through the whole client, against the sandbox in-process, which checks what they open."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import attrs
import httpx
import orjson
import pytest
import trio.testing

from spapi_async import (
    RESTRICTED_REPORT_TYPES,
    Application,
    ArgumentError,
    AuthError,
    ConfigError,
    ForbiddenError,
    NotFoundError,
    Priority,
    Quota,
    Region,
    SellingPartner,
    Timeouts,
    UsagePlan,
)
from spapi_async.apis import catalog
from spapi_async.apis.tokens_2021_03_01 import RestrictedResource
from spapi_async.auth import MemoryStore
from spapi_async.auth.rdt import Resource
from spapi_async.middleware import Next
from spapi_async.operation import Call, Reply
from spapi_async.sandbox import Sandbox

pytestmark = pytest.mark.anyio
on_virtual_time = pytest.mark.parametrize(
    "anyio_backend", [("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)})], ids=["virtual"]
)

RDT = "/tokens/2021-03-01/restrictedDataToken"
ORDER = "902-1845936-5435065"
ADDRESS = "/orders/v0/orders/{orderId}/address"
OURS = {
    operation.key: UsagePlan(10_000, 10_000)
    for operation in catalog("orders_v0", "tokens_2021_03_01", "reports_2021_06_30")
    if operation.retired is None
}


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


class Amazon(httpx.ASGITransport):
    """The sandbox, and a note of each request: its path, its body and its token."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(app=sandbox)
        self.sandbox = sandbox
        self.requests: list[tuple[str, bytes, str]] = []
        self.before: Callable[[httpx.Request], httpx.Response | None] = lambda request: None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        token = request.headers.get("x-amz-access-token", "")
        self.requests.append((request.url.path, await request.aread(), token))
        return self.before(request) or await super().handle_async_request(request)

    @property
    def asked(self) -> list[Any]:
        """The bodies of the requests for restricted data tokens."""
        return [orjson.loads(body) for path, body, _ in self.requests if path == RDT]

    @property
    def kinds(self) -> Counter[str]:
        """How many calls travelled with which kind of token, requests for tokens left out."""
        return Counter(token.partition("|")[0] for path, _, token in self.requests if path not in (RDT, "/token"))


@pytest.fixture
def amazon() -> Amazon:
    return Amazon(Sandbox(plans={"*": UsagePlan(10_000, 10_000)}, clock=anyio.current_time))


Make = Callable[..., Application]


@pytest.fixture
def make(amazon: Amazon) -> Make:
    def make(**options: Any) -> Application:
        where = {"endpoint": "http://sb", "lwa_endpoint": "http://sb/auth/o2/token"}
        return Application(
            **{"client_id": "app", "client_secret": "s", "transport": amazon, "plans": OURS, **where, **options}
        )

    return make


@pytest.fixture
async def sp(make: Make) -> AsyncIterator[SellingPartner]:
    async with make() as app:
        yield app.selling_partner(refresh_token="Atzr|SELLER1")


async def test_a_hundred_addresses_cost_one_token(sp: SellingPartner, amazon: Amazon) -> None:
    """100 calls of `get_order_address` at once, each of another order, cost one createRestrictedDataToken."""

    async def call(number: int) -> None:
        await sp.orders_v0.get_order_address(order_id=f"902-0000000-{number:07}")

    async with anyio.create_task_group() as tasks:
        for number in range(100):
            tasks.start_soon(call, number)
    assert amazon.asked == [{"restrictedResources": [{"method": "GET", "path": ADDRESS}]}]
    assert amazon.sandbox.requests()["operations"]["orders_v0.get_order_address"] == {"200": 100}


async def test_no_token_crosses(make: Make, amazon: Amazon) -> None:
    """Two selling partners, two clients and one store between them: over 1,000 calls no token serves another's order.

    The sandbox knows whose the orders are, and gives the data that a token was asked for and no other.
    """
    owners = {f"902-0000000-{number:07}": f"SELLER{number % 2}" for number in range(1000)}
    amazon.app = amazon.sandbox = Sandbox(
        plans={"*": UsagePlan(10_000, 10_000)}, clock=anyio.current_time, owners=owners
    )
    store = MemoryStore()

    async def call(apps: list[Application], number: int, order: str) -> None:
        app = apps[number // 2 % 2]
        api = app.selling_partner(refresh_token=f"Atzr|{owners[order]}").orders_v0
        match number // 4 % 4:
            case 0:
                assert (await api.get_order_address(order_id=order)).payload.amazon_order_id == order
            case 1:
                assert (await api.get_order_buyer_info(order_id=order)).payload.amazon_order_id == order
            case 2:
                with_email = (await api.get_order(order_id=order, restricted=["buyerInfo"])).payload
                assert with_email.buyer_info is not None
                assert with_email.shipping_address is None
            case _:
                with_address = (await api.get_order(order_id=order, restricted=["shippingAddress"])).payload
                assert with_address.buyer_info is None
                assert with_address.shipping_address is not None

    async with make(token_store=store) as one, make(token_store=store) as other:
        for batch in range(10):
            async with anyio.create_task_group() as tasks:
                for number, order in list(enumerate(owners))[batch::10]:
                    tasks.start_soon(call, [one, other], number, order)
    statuses = amazon.sandbox.requests()["operations"]
    answered = {name: counts for name, counts in statuses.items() if name.startswith("orders_v0.")}
    assert sum(counts["200"] for counts in answered.values()) == 1000
    assert all(counts.keys() == {"200"} for counts in answered.values())
    # Four resources of two selling partners; both clients may ask before the first token is in the store.
    assert 8 <= len(amazon.asked) <= 16


async def test_the_sandbox_would_tell(make: Make, amazon: Amazon) -> None:
    """An order of another selling partner does not exist for this one."""
    amazon.app = Sandbox(owners={ORDER: "SELLER2"}, clock=anyio.current_time)
    async with make() as app:
        with pytest.raises(NotFoundError):
            await app.selling_partner(refresh_token="Atzr|SELLER1").orders_v0.get_order_address(order_id=ORDER)


async def test_optional_ones_on_request(sp: SellingPartner, amazon: Amazon) -> None:
    """`restricted=` asks for the data that it names; without it a call has the access token, and none of them."""
    order = (await sp.orders_v0.get_order(order_id=ORDER)).payload
    assert (order.buyer_info, order.shipping_address) == (None, None)
    assert amazon.asked == []
    order = (await sp.orders_v0.get_order(order_id=ORDER, restricted=["shippingAddress", "buyerInfo"])).payload
    assert None not in (order.buyer_info, order.shipping_address)
    assert order.buyer_tax_information is None
    items = await sp.orders_v0.get_order_items(order_id=ORDER, restricted=["buyerInfo"])
    assert items.payload.order_items[0].buyer_info is not None
    orders = await sp.orders_v0.get_orders(marketplace_ids=["ATVPDKIKX0DER"], restricted={"buyerInfo"})
    assert orders.payload.orders[0].buyer_info is not None
    assert orders.payload.orders[0].shipping_address is None
    [[first], [second], [third]] = [body["restrictedResources"] for body in amazon.asked]
    elements = ["buyerInfo", "shippingAddress"]
    assert first == {"method": "GET", "path": "/orders/v0/orders/{orderId}", "dataElements": elements}
    assert second["path"] == "/orders/v0/orders/{orderId}/orderItems"
    assert third == {"method": "GET", "path": "/orders/v0/orders", "dataElements": ["buyerInfo"]}


async def test_the_order_of_the_elements_does_not_matter(sp: SellingPartner, amazon: Amazon) -> None:
    """The same data in another order, or twice, is the same token; other data are another one."""
    for elements in (
        ["buyerInfo", "shippingAddress"],
        ["shippingAddress", "buyerInfo"],
        ("buyerInfo", "shippingAddress", "buyerInfo"),
        ["buyerInfo"],
    ):
        await sp.orders_v0.get_order(order_id=ORDER, restricted=elements)
    assert len(amazon.asked) == 2


async def test_raw_replies(sp: SellingPartner, amazon: Amazon) -> None:
    """`with_raw_response` takes `restricted=` too."""
    raw = sp.with_raw_response.orders_v0
    reply = await raw.get_order(order_id=ORDER, restricted=["buyerInfo"])
    assert "BuyerInfo" in reply.json()["payload"]
    assert (
        "BuyerInfo"
        in (await raw.get_order_items(order_id=ORDER, restricted=["buyerInfo"])).json()["payload"]["OrderItems"][0]
    )
    assert "BuyerInfo" not in (await raw.get_order(order_id=ORDER)).json()["payload"]


async def test_each_page_has_it(sp: SellingPartner, amazon: Amazon) -> None:
    """All pages are fetched with the restricted data token of the first."""
    pages = iter([{"Orders": [{"AmazonOrderId": "1"}], "NextToken": "n"}, {"Orders": [{"AmazonOrderId": "2"}]}])

    def answer(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(200, json={"payload": next(pages)}) if request.url.path == "/orders/v0/orders" else None

    amazon.before = answer
    orders = sp.orders_v0.get_orders(marketplace_ids=["ATVPDKIKX0DER"], restricted=["buyerInfo"])
    assert [order.amazon_order_id async for order in orders] == ["1", "2"]
    assert len(amazon.asked) == 1
    tokens = [token for path, _, token in amazon.requests if path == "/orders/v0/orders"]
    assert len(tokens) == 2
    assert all(token.startswith("Atz.sprdt|") for token in tokens)


async def test_a_report_document(sp: SellingPartner, amazon: Amazon) -> None:
    """A document's token is for this one document; of a report type without buyers' data, none is fetched."""
    assert "GET_VAT_TRANSACTION_DATA" in RESTRICTED_REPORT_TYPES
    assert len(RESTRICTED_REPORT_TYPES) == 16
    for name in ("a", "b", "a"):
        await sp.reports_2021_06_30.get_report_document(report_document_id=name, restricted=True)
    await sp.reports_2021_06_30.get_report_document(report_document_id="c")
    assert [body["restrictedResources"][0]["path"].rpartition("/")[2] for body in amazon.asked] == ["a", "b"]
    assert amazon.requests[-1][2].startswith("Atza|")


async def test_wrong_requests_for_data(sp: SellingPartner, amazon: Amazon) -> None:
    """What an operation does not give is refused with what it does; unknown ones go with `validate=False`."""
    api = sp.orders_v0
    wrong: Any
    for wrong, words in (
        (["buyerinfo"], "restricted holds 'buyerinfo'; allowed are buyerInfo, shippingAddress, buyerTaxInformation"),
        ([], "must name at least one of buyerInfo"),
        ("buyerInfo", "must be a list of some of buyerInfo"),
        (True, "must be a list of some of buyerInfo"),
        ([1], "must be a list of some of buyerInfo"),
    ):
        with pytest.raises(ArgumentError, match=words):
            await api.get_order(order_id=ORDER, restricted=wrong)
    with pytest.raises(ArgumentError, match=r"'shippingAddress'; allowed are buyerInfo$"):
        await api.get_order_items(order_id=ORDER, restricted=["shippingAddress"])
    wrong = ["buyerInfo"]
    with pytest.raises(ArgumentError, match="restricted must be True or False"):
        await sp.reports_2021_06_30.get_report_document(report_document_id="a", restricted=wrong)
    assert amazon.requests == []
    with pytest.raises(AuthError, match="no restricted data token"):  # the sandbox does not know it either
        await sp.with_options(validate=False).orders_v0.get_order(order_id=ORDER, restricted=["buyerGift"])
    assert amazon.asked[0]["restrictedResources"][0]["dataElements"] == ["buyerGift"]


async def test_without_tokens(make: Make, amazon: Amazon) -> None:
    """`rdt=False`, of a client or a view, fetches none; a view can have it the other way round."""
    async with make(rdt=False) as app:
        sp = app.selling_partner(refresh_token="Atzr|SELLER1")
        with pytest.raises(ForbiddenError, match="takes a restricted data token"):
            await sp.orders_v0.get_order_address(order_id=ORDER)
        order = (await sp.orders_v0.get_order(order_id=ORDER, restricted=["buyerInfo"])).payload
        assert order.buyer_info is None
        assert amazon.asked == []
        await sp.with_options(rdt=True).orders_v0.get_order_address(order_id=ORDER)
        assert len(amazon.asked) == 1
    async with make() as app:
        sp = app.selling_partner(refresh_token="Atzr|SELLER1").with_options(rdt=False)
        with pytest.raises(ForbiddenError):
            await sp.with_options(priority=Priority.BULK).orders_v0.get_order_address(order_id=ORDER)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"region": Region.EU, "sandbox": True}, "Atza"),
        ({"endpoint": "https://sandbox.sellingpartnerapi-na.amazon.com/"}, "Atza"),
        ({"region": Region.EU, "sandbox": True, "rdt": True}, "Atz.sprdt"),
        ({"region": Region.EU}, "Atz.sprdt"),
    ],
)
async def test_amazons_own_sandbox(make: Make, amazon: Amazon, options: Any, kind: str) -> None:
    """Amazon's static sandbox gets the access token, unless one says otherwise."""
    amazon.before = lambda request: (
        None
        if request.url.path in (RDT, "/auth/o2/token")
        else httpx.Response(200, json={"payload": {"AmazonOrderId": ORDER}})
    )
    async with make(**{"endpoint": None, **options}) as app:
        await app.selling_partner(refresh_token="Atzr|SELLER1").orders_v0.get_order_address(order_id=ORDER)
    assert amazon.requests[-1][2].partition("|")[0] == kind


async def test_a_token_for_another_application(make: Make, amazon: Amazon) -> None:
    """One application gets the token, another calls with it; where none is taken, its own tokens stay."""
    async with make() as app, make(client_id="other") as other:
        sp = app.selling_partner(refresh_token="Atzr|SELLER1")
        token = await sp.create_restricted_data_token(
            [
                {"method": "GET", "path": ADDRESS},
                RestrictedResource(method="GET", path="/orders/v0/orders/{orderId}", data_elements=["buyerInfo"]),
            ],
            target_application="other",
        )
        assert token.expires_in == 3600
        assert amazon.asked[0]["targetApplication"] == "other"
        grant = amazon.sandbox._lwa.find(token.value)
        assert grant is not None
        assert (grant.client_id, grant.seller) == ("other", "SELLER1")
        asked = len(amazon.requests)
        delegate = other.selling_partner().with_options(restricted_data_token=token.value)
        await delegate.orders_v0.get_order_address(order_id=ORDER)
        assert (await delegate.orders_v0.get_order(order_id=ORDER)).payload.buyer_info is not None
        assert [token for _, _, token in amazon.requests[asked:]] == [token.value] * 2
        await delegate.notifications_v1.get_destinations()
        assert amazon.requests[-1][2].startswith("Atza|")
        with pytest.raises(ForbiddenError, match="another method or path"):
            await delegate.orders_v0.get_order_buyer_info(order_id=ORDER)


async def test_a_token_that_was_handed_over_goes_before_rdt_false(make: Make, amazon: Amazon) -> None:
    """As Amazon's page on its sandbox has it: a token from production, handed over. It is not renewed when refused."""
    async with make(rdt=False) as app:
        sp = app.selling_partner(refresh_token="Atzr|SELLER1")
        token = await sp.create_restricted_data_token([{"method": "GET", "path": ADDRESS}])
        view = sp.with_options(restricted_data_token=token.value)
        await view.orders_v0.get_order_address(order_id=ORDER)
        amazon.sandbox.revoke()
        with pytest.raises(ForbiddenError, match="revoked"):
            await view.orders_v0.get_order_address(order_id=ORDER)
    assert len(amazon.asked) == 1


async def test_tokens_are_hidden(sp: SellingPartner, amazon: Amazon) -> None:
    """No repr of what holds a token shows it."""
    token = await sp.create_restricted_data_token([{"method": "GET", "path": ADDRESS}])
    view = sp.with_options(restricted_data_token=str.__str__(token.value))
    call = view._options.applied(next(o for o in catalog("orders_v0") if o.name == "get_order_address").call())
    assert call.headers == {"x-amz-access-token": token.value}
    for holder in (token, view, view._options, call, call.headers):
        assert token.value not in repr(holder)


@pytest.mark.parametrize("wrong", ["", "a b", "é", "a\nb", 7])
async def test_what_cannot_be_a_token(sp: SellingPartner, wrong: Any) -> None:
    """It is refused before a call is made, and not shown."""
    with pytest.raises(ConfigError, match="restricted_data_token must be") as caught:
        sp.with_options(restricted_data_token=wrong)
    assert not wrong or str(wrong) not in str(caught.value)
    with pytest.raises(ConfigError, match="rdt must be True or False"):
        sp.with_options(rdt="no")  # type: ignore[arg-type]


async def test_wrong_resources(sp: SellingPartner, amazon: Amazon) -> None:
    """Resources that Amazon's model does not know are refused before anything is sent."""
    with pytest.raises(ArgumentError, match=r"restrictedResources\[0\].path is required"):
        await sp.create_restricted_data_token([{"method": "GET"}])
    assert amazon.requests == []


async def test_what_the_request_inherits(make: Make) -> None:
    """The request for a token has priority and timeouts of the call that needs it, but neither deadline nor quotas."""
    seen: list[Call] = []

    async def note(call: Call, next_: Next) -> Reply:
        seen.append(call)
        return await next_(call)

    async with make(middleware=[note]) as app:
        view = app.selling_partner(refresh_token="Atzr|SELLER1").with_options(
            priority=Priority.INTERACTIVE,
            timeout=Timeouts(read=7),
            deadline=30.0,
            quotas=[Quota("mine", UsagePlan(1, 1))],
        )
        await view.orders_v0.get_order_address(order_id=ORDER)
    own, inner = seen
    assert own.operation.name == "get_order_address"
    assert inner.operation.name == "create_restricted_data_token"
    assert (inner.priority, inner.timeout) == (Priority.INTERACTIVE, Timeouts(read=7))
    assert (own.deadline is None, inner.deadline, inner.quotas, inner.restricted) == (False, None, (), None)


@on_virtual_time
async def test_requests_for_tokens_keep_their_own_plan(make: Make, amazon: Amazon) -> None:
    """Tokens for 15 documents at once take the 5 s that the plan of the Tokens API says, and meet no 429.

    A call whose deadline comes before its token ends then, without touching the others.
    """
    amazon.app = amazon.sandbox = Sandbox(clock=anyio.current_time)
    began = anyio.current_time()
    ends: list[float] = []
    late: list[float] = []

    async def call(sp: SellingPartner, number: int) -> None:
        try:
            await sp.reports_2021_06_30.get_report_document(report_document_id=str(number), restricted=True)
            ends.append(anyio.current_time() - began)
        except AuthError:
            late.append(anyio.current_time() - began)

    async with make(plans={}) as app, anyio.create_task_group() as tasks:
        sp = app.selling_partner(refresh_token="Atzr|SELLER1")
        for number in range(14):
            tasks.start_soon(call, sp, number)
        await anyio.sleep(0.5)  # the last in the queue
        tasks.start_soon(call, sp.with_options(deadline=3.0), 14)
    assert late == [3.5]
    assert len(ends) == 14
    assert 4 <= max(ends) < 5.5
    statuses = amazon.sandbox.requests()["operations"]
    assert statuses["tokens_2021_03_01.create_restricted_data_token"].keys() == {"200"}


async def test_a_refused_token_is_renewed_once(sp: SellingPartner, amazon: Amazon) -> None:
    """A token that Amazon no longer takes is replaced, for all who had it, by one request."""
    await sp.orders_v0.get_order_address(order_id=ORDER)
    amazon.sandbox.revoke()

    async def call() -> None:
        await sp.orders_v0.get_order_address(order_id=ORDER)

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(call)
    # The first request of the second token went with an access token that was revoked too.
    assert len(amazon.asked) == 3
    statuses = amazon.sandbox.requests()["operations"]
    assert statuses["tokens_2021_03_01.create_restricted_data_token"] == {"200": 2, "403": 1}


async def test_refused_for_ever(sp: SellingPartner, amazon: Amazon) -> None:
    """A token that is refused although it is new is no reason to go on."""
    words = {"code": "Unauthorized", "message": "Access denied", "details": "The restricted data token has expired."}
    amazon.before = lambda request: (
        httpx.Response(403, json={"errors": [words]}) if request.url.path.endswith("/address") else None
    )
    with pytest.raises(ForbiddenError):
        await sp.orders_v0.get_order_address(order_id=ORDER)
    assert len(amazon.asked) == 2


@pytest.mark.parametrize("is_wrapped", [True, False])
async def test_both_shapes_of_the_reply(sp: SellingPartner, amazon: Amazon, is_wrapped: bool) -> None:
    """The token may stand in `payload`, as in Amazon's older guide, or on top, as in its model."""

    def answer(request: httpx.Request) -> httpx.Response | None:
        told = {"restrictedDataToken": "Atz.sprdt|x", "expiresIn": 3600}
        if request.url.path == RDT:
            return httpx.Response(200, json={"payload": told} if is_wrapped else told)
        return httpx.Response(200, json={"payload": {}}) if request.url.path.endswith("/address") else None

    amazon.before = answer
    await sp.orders_v0.get_order_address(order_id=ORDER)
    assert amazon.requests[-1][2] == "Atz.sprdt|x"
    assert (await sp.create_restricted_data_token([{"method": "GET", "path": ADDRESS}])).value == "Atz.sprdt|x"


async def test_a_token_to_hand_over_that_is_none(sp: SellingPartner, amazon: Amazon) -> None:
    """A reply without a token is an error."""
    amazon.before = lambda request: httpx.Response(200, json={}) if request.url.path == RDT else None
    with pytest.raises(AuthError, match="cannot be read"):
        await sp.create_restricted_data_token([{"method": "GET", "path": ADDRESS}])


async def test_a_request_of_what_is_not_generated(sp: SellingPartner, amazon: Amazon) -> None:
    """`request` takes the data's names too, and asks for its own path."""
    reply = await sp.request("GET", f"/orders/v0/orders/{ORDER}", restricted=["buyerInfo"])
    assert "BuyerInfo" in reply.json()["payload"]
    [[resource]] = [body["restrictedResources"] for body in amazon.asked]
    assert resource == {"method": "GET", "path": f"/orders/v0/orders/{ORDER}", "dataElements": ["buyerInfo"]}


async def test_tokens_for_operations_do_not_mix() -> None:
    """A key tells operations, paths and data apart."""
    [address] = [operation for operation in catalog("orders_v0") if operation.name == "get_order_address"]
    call = address.call({"orderId": "1"})
    others = [
        call,
        attrs.evolve(call, operation=attrs.evolve(address, method="POST")),
        attrs.evolve(call, operation=attrs.evolve(address, restricted_path=False)),
        attrs.evolve(call, restricted=("buyerInfo",)),
        attrs.evolve(call, restricted=("buyerInfo", "shippingAddress")),
        attrs.evolve(call, restricted=("buyerInfo,shippingAddress",)),
    ]
    assert len({Resource.of(each).key for each in others}) == len(others)
