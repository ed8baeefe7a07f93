from __future__ import annotations

from typing import Any

import pytest

from spapi_async.operation import Operation, Parameter, UsagePlan
from spapi_async.sandbox import Sandbox

pytestmark = pytest.mark.anyio

ORDERS = "/orders/v0/orders"
US = "ATVPDKIKX0DER"
PLENTY = {"*": UsagePlan(1000, 1000)}


async def _details(caller: Any, path: str, **query: str) -> str:
    reply = await caller.get(path, **query)
    assert reply.status_code == 400
    [error] = reply.json()["errors"]
    assert error["code"] == "InvalidInput"
    assert error["message"]
    return str(error["details"])


async def test_a_required_argument(connect: Any) -> None:
    """A missing one is named; so is one that is there but empty."""
    async with connect(Sandbox()) as caller:
        assert "MarketplaceIds is required" in await _details(caller, ORDERS)
        assert "MarketplaceIds is required" in await _details(caller, ORDERS, MarketplaceIds="")


async def test_an_unknown_marketplace(connect: Any) -> None:
    """A marketplace id that Amazon does not have is a 400."""
    async with connect(Sandbox()) as caller:
        assert "'A1'" in await _details(caller, ORDERS, MarketplaceIds=f"{US},A1")


async def test_counts_of_an_array(connect: Any) -> None:
    """Messaging takes one marketplace, getOrders takes 50 order ids: more are refused."""
    async with connect(Sandbox()) as caller:
        path = "/messaging/v1/orders/902-1845936-5435065"
        assert "at most 1 " in await _details(caller, path, marketplaceIds=f"{US},A1PA6795UKMFR9")
        ids = ",".join(["902-1845936-5435065"] * 51)
        assert "at most 50 " in await _details(caller, ORDERS, MarketplaceIds=US, AmazonOrderIds=ids)


@pytest.mark.parametrize("order_id", ["902-1845936-543506", "9021845936-5435065", "x", "902-1845936-5435065%20"])
async def test_a_malformed_order_id(connect: Any, order_id: str) -> None:
    """An order id is three, seven and seven digits."""
    async with connect(Sandbox()) as caller:
        assert "order id" in await _details(caller, f"/messaging/v1/orders/{order_id}", marketplaceIds=US)


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({"n": "x"}, "n is no integer"),
        ({"n": "0"}, "n is below 1"),
        ({"n": "101"}, "n is above 100"),
        ({"b": "yes"}, "b is neither"),
        ({"s": "abcd"}, "s is longer than 3"),
        ({"s": "a"}, "s is shorter than 2"),
        ({"p": "abc"}, "p does not match"),
        ({"t": "yesterday"}, "t is no date-time"),
        ({"d": "2026-13-01"}, "d is no date"),
        ({"l": "1,2,3"}, "l takes at most 2"),
        ({"l": "1"}, "l takes at least 2"),
    ],
)
async def test_each_limit(connect: Any, query: dict[str, str], problem: str) -> None:
    """Type, bounds, lengths, pattern, format and counts are those of the operation's parameters."""
    parameters = (
        Parameter(name="n", argument="n", location="query", type="integer", minimum=1, maximum=100),
        Parameter(name="b", argument="b", location="query", type="boolean"),
        Parameter(name="s", argument="s", location="query", min_length=2, max_length=3),
        Parameter(name="p", argument="p", location="query", pattern="^[0-9]+$"),
        Parameter(name="t", argument="t", location="query", format="date-time"),
        Parameter(name="d", argument="d", location="query", format="date"),
        Parameter(name="l", argument="l", location="query", type="array", collection="csv", min_items=2, max_items=2),
    )
    operation = Operation(
        module="m", name="o", operation_id="o", method="GET", path="/o", plan=UsagePlan(9, 9), parameters=parameters
    )
    good = {"n": "1", "b": "true", "s": "ab", "p": "1", "t": "2026-01-01T00:00:00Z", "d": "2026-01-01", "l": "1,2"}
    async with connect(Sandbox(operations=[operation])) as caller:
        assert (await caller.get("/o", **good)).status_code == 200
        assert problem in await _details(caller, "/o", **good | query)


async def test_a_plus_sign_is_a_space(connect: Any) -> None:
    """An offset whose plus sign was not encoded is found out."""
    async with connect(Sandbox()) as caller:
        path = f"{ORDERS}?MarketplaceIds={US}&EarliestDeliveryDateAfter=2026-01-01T00:00:00"
        assert (await caller.get(path + "%2B01:00")).status_code == 200
        assert (await caller.get(path + "+01:00")).status_code == 400


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "body.templateId is required; body.notificationParameters is required"),
        ({"templateId": 1, "notificationParameters": {}}, "body.templateId has the wrong JSON type"),
        ({"templateId": "x", "notificationParameters": []}, "body.notificationParameters has the wrong JSON type"),
        ([], "body has the wrong JSON type"),
    ],
)
async def test_a_body_of_the_wrong_shape(connect: Any, body: Any, problem: str) -> None:
    """Required fields and JSON types of a body are those of its model, and each problem is named with its place."""
    async with connect(Sandbox()) as caller:
        reply = await caller.post("/appIntegrations/2024-04-01/notifications", body)
    assert (400, problem) == (reply.status_code, reply.json()["errors"][0]["details"])


async def test_a_nested_body(connect: Any) -> None:
    """Objects within objects and lists are checked too."""
    async with connect(Sandbox()) as caller:
        body = {"marketplaceId": US, "packageDetail": {"orderItems": [{"quantity": "1"}]}}
        reply = await caller.post("/orders/v0/orders/902-1845936-5435065/shipmentConfirmation", body)
    assert (
        "payload.packageDetail.orderItems[0].quantity has the wrong JSON type" in reply.json()["errors"][0]["details"]
    )
    assert "payload.packageDetail.orderItems[0].orderItemId is required" in reply.json()["errors"][0]["details"]


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b"a=b", "application/x-www-form-urlencoded", 415),
        (b" " * (10 * 1024 * 1024 + 1), "application/json", 413),
    ],
    ids=["broken", "missing", "form", "huge"],
)
async def test_a_body_that_is_none(connect: Any, content: bytes, media_type: str, status: int) -> None:
    """Broken JSON and no body are 400, another media type 415, more than 10 MiB 413."""
    async with connect(Sandbox()) as caller:
        headers = caller.headers | {"content-type": media_type}
        path = "/appIntegrations/2024-04-01/notifications"
        assert (await caller.http.post(path, content=content, headers=headers)).status_code == status


@pytest.mark.parametrize("length", [0, 501])
async def test_the_user_agent(connect: Any, length: int) -> None:
    """A request without a User-Agent, or with one of more than 500 characters, is rejected."""
    async with connect(Sandbox()) as caller:
        caller.headers["user-agent"] = "a" * length
        assert (await caller.get("/orders/v0/orders/902-1845936-5435065")).status_code == 400
