from __future__ import annotations

from typing import Any

import pytest

from spapi_async.operation import UsagePlan
from spapi_async.sandbox import Sandbox

pytestmark = pytest.mark.anyio

ORDER = "/orders/v0/orders/902-1845936-5435065"
ADDRESS = ORDER + "/address"
RDT = "/tokens/2021-03-01/restrictedDataToken"
SCOPE = "sellingpartnerapi::notifications"
PLENTY = {"*": UsagePlan(1000, 1000)}


async def _status(caller: Any, path: str, token: str | None) -> tuple[int, str]:
    headers = {} if token is None else {"x-amz-access-token": token}
    reply = await caller.http.get(path, headers=headers)
    return reply.status_code, reply.json()["errors"][0]["details"]


async def _rdt(caller: Any, path: str, **facts: Any) -> str:
    body = {"restrictedResources": [{"method": "GET", "path": path, **facts}]}
    reply = await caller.post(RDT, body)
    assert reply.status_code == 200
    assert reply.json()["expiresIn"] == 3600
    return str(reply.json()["restrictedDataToken"])


async def test_no_token_and_a_bad_one(connect: Any) -> None:
    """Without an access token the answer is 401, with one that was never given out 403."""
    async with connect(Sandbox()) as caller:
        for token, expected in [(None, 401), ("Atza|made-up", 403), ("garbage", 403)]:
            status, details = await _status(caller, ORDER, token)
            assert expected == status
            assert "access token" in details


async def test_grantless_operations_need_their_scope(connect: Any) -> None:
    """A seller's token and a token of another scope do not open a grantless operation."""
    async with connect(Sandbox()) as caller:
        assert (await caller.get("/notifications/v1/destinations")).status_code == 403
        await caller.log_in(grant_type="client_credentials", scope="sellingpartnerapi::shipments:track")
        assert (await caller.get("/notifications/v1/destinations")).status_code == 403
        await caller.log_in(grant_type="client_credentials", scope=f"{SCOPE} sellingpartnerapi::shipments:track")
        assert (await caller.get("/notifications/v1/destinations")).status_code == 200


async def test_a_grantless_token_is_no_sellers(connect: Any) -> None:
    """A grantless token does not open what acts for a selling partner."""
    async with connect(Sandbox()) as caller:
        await caller.log_in(grant_type="client_credentials", scope=SCOPE)
        assert (await caller.get(ORDER)).status_code == 403


async def test_a_restricted_operation_needs_its_own_token(connect: Any) -> None:
    """An ordinary token is refused; a restricted data token opens the path it names and no other."""
    async with connect(Sandbox()) as caller:
        assert (await caller.get(ADDRESS)).status_code == 403
        token = await _rdt(caller, ADDRESS)
        reply = await caller.http.get(ADDRESS, headers={"x-amz-access-token": token})
        assert reply.json()["payload"]["AmazonOrderId"] == "902-1845936-5435065"
        assert "ShippingAddress" in reply.json()["payload"]
        for path in ["/orders/v0/orders/902-0000000-0000000/address", ORDER + "/buyerInfo"]:
            status, details = await _status(caller, path, token)
            assert status == 403
            assert "another method or path" in details


async def test_a_generic_path_opens_every_id(connect: Any) -> None:
    """The path template stands for all ids of the operation."""
    async with connect(Sandbox()) as caller:
        token = await _rdt(caller, "/orders/v0/orders/{orderId}/address")
        assert (await caller.http.get(ADDRESS, headers={"x-amz-access-token": token})).status_code == 200


async def test_a_restricted_data_token_expires(connect: Any, clock: Any) -> None:
    """After an hour it is refused like any expired token."""
    async with connect(Sandbox(clock=clock)) as caller:
        token = await _rdt(caller, ADDRESS)
        clock.now += 3600
        assert "has expired" in (await _status(caller, ADDRESS, token))[1]


async def test_personal_data_needs_a_restricted_data_token(connect: Any) -> None:
    """An order comes with either token; only the restricted one brings what is personal."""
    async with connect(Sandbox()) as caller:
        plain = (await caller.get(ORDER)).json()["payload"]
        token = await _rdt(caller, ORDER, dataElements=["buyerInfo", "shippingAddress"])
        full = (await caller.http.get(ORDER, headers={"x-amz-access-token": token})).json()["payload"]
    assert {"BuyerInfo", "ShippingAddress"} <= full.keys() - plain.keys()


@pytest.mark.parametrize(
    ("element", "field"),
    [
        ("buyerInfo", "BuyerInfo"),
        ("shippingAddress", "ShippingAddress"),
        ("buyerTaxInformation", "BuyerTaxInformation"),
    ],
)
async def test_a_token_shows_what_it_was_asked_for(connect: Any, element: str, field: str) -> None:
    """Of what is personal, an order has what the data elements of the token name, and nothing else."""
    async with connect(Sandbox()) as caller:
        plain = (await caller.get(ORDER)).json()["payload"]
        token = await _rdt(caller, "/orders/v0/orders/{orderId}", dataElements=[element])
        reply = await caller.http.get(ORDER, headers={"x-amz-access-token": token})
    assert reply.json()["payload"].keys() - plain.keys() == {field}


async def test_an_order_of_another(connect: Any) -> None:
    """Of an order that belongs to another selling partner, no token tells anything, and no message can be sent."""
    actions = "/messaging/v1/orders/902-1845936-5435065?marketplaceIds=ATVPDKIKX0DER"
    async with connect(Sandbox(owners={"902-1845936-5435065": "SELLER2"}, plans=PLENTY)) as caller:
        statuses = []
        for seller in ("SELLER1", "SELLER2"):
            await caller.log_in(f"Atzr|{seller}")
            headers = {"x-amz-access-token": await _rdt(caller, ADDRESS)}
            statuses.append((await caller.http.get(ADDRESS, headers=headers)).status_code)
            statuses += [(await caller.get(path)).status_code for path in (ORDER, actions)]
        assert (await caller.get("/orders/v0/orders/902-0000000-0000000")).status_code == 200
    assert statuses == [404] * 3 + [200] * 3


async def test_a_restricted_data_token_keeps_its_sellers_bucket(connect: Any) -> None:
    """It meets the usage plan of the selling partner and application that it was made for."""
    async with connect(Sandbox(plans={"orders_v0.get_order_address": UsagePlan(0.001, 1)})) as caller:
        statuses = []
        for seller in ["A", "A", "B"]:
            await caller.log_in(f"Atzr|{seller}")
            headers = {"x-amz-access-token": await _rdt(caller, ADDRESS)}
            statuses.append((await caller.http.get(ADDRESS, headers=headers)).status_code)
    assert statuses == [200, 429, 200]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"restrictedResources": []},
        {"restrictedResources": [{"method": "GET", "path": ADDRESS}] * 51},
        {"restrictedResources": [{"method": "PATCH", "path": ADDRESS}]},
        {"restrictedResources": [{"method": "GET"}]},
        {"restrictedResources": [{"method": "GET", "path": "/orders/v0/nothing"}]},
        {"restrictedResources": [{"method": "GET", "path": ADDRESS + "?a=b"}]},
        {"restrictedResources": [{"method": "GET", "path": "/orders/v0/orders/{id}/address"}]},
        {"restrictedResources": [{"method": "GET", "path": ADDRESS, "dataElements": ["buyerInfo"]}]},
        {"restrictedResources": [{"method": "GET", "path": ORDER}]},
        {"restrictedResources": [{"method": "GET", "path": ORDER, "dataElements": [["buyerInfo"]]}]},
        {
            "restrictedResources": [
                {"method": "GET", "path": ORDER + "/orderItems", "dataElements": ["shippingAddress"]}
            ]
        },
        {"restrictedResources": [{"method": "POST", "path": "/uploads/2020-11-01/uploadDestinations/x"}]},
        {"restrictedResources": [{"method": "GET", "path": ADDRESS}], "targetApplication": ""},
        {"restrictedResources": [{"method": "GET", "path": ADDRESS}], "targetApplication": 1},
    ],
)
async def test_wrong_restricted_resources(connect: Any, body: Any) -> None:
    """A body that breaks a rule of the Tokens API is a 400."""
    async with connect(Sandbox(plans=PLENTY)) as caller:
        assert (await caller.post(RDT, body)).status_code == 400
