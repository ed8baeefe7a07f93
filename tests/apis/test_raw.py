"""Replies as they came: `with_raw_response`, for every way in which an operation replies."""

from __future__ import annotations

import warnings
from typing import Any

import orjson
import pytest

from spapi_async.apis import catalog
from spapi_async.apis.aplus_content_2020_11_01 import AplusContent20201101, AplusContent20201101WithRawResponse
from spapi_async.apis.base import Api
from spapi_async.apis.namespace import MODULES, Apis, ApisWithRawResponse
from spapi_async.apis.orders_v0 import GetOrdersResponse, OrdersV0, OrdersV0WithRawResponse
from spapi_async.apis.raw import RawResponse
from spapi_async.errors import DecodeError, StatusError
from spapi_async.operation import Call, Reply

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])]

HEADERS = {"x-amzn-requestid": "id-1", "x-amzn-ratelimit-limit": "0.5"}
PAGE = {"payload": {"Orders": [{"AmazonOrderId": "1"}], "NextToken": "next"}}


class Replies:
    """Replies with the same all the time, and keeps the calls."""

    def __init__(self, content: Any, status: int = 200) -> None:
        body = content if isinstance(content, bytes) else orjson.dumps(content)
        self.reply = Reply(status=status, headers=HEADERS, body=body, elapsed=0.25)
        self.calls: list[Call] = []

    async def send(self, call: Call) -> Reply:
        self.calls.append(call)
        return self.reply


async def test_a_reply_as_it_came() -> None:
    """It has the status, the headers and the body; `json` shows fields that no model has, `parse` gives the model."""
    content = {"payload": {"Orders": [], "New": 1}}
    response = await OrdersV0WithRawResponse(OrdersV0(Replies(content).send)).get_orders(marketplace_ids=["A"])
    assert isinstance(response, RawResponse)
    assert (response.status, response.request_id, response.rate_limit, response.elapsed) == (200, "id-1", 0.5, 0.25)
    assert response.headers["x-amzn-requestid"] == "id-1"
    assert response.content == orjson.dumps(content)
    assert response.json() == content
    assert isinstance(response.parse(), GetOrdersResponse)
    assert response.parse().payload.orders == []


async def test_the_first_of_pages() -> None:
    """Of a paginated operation it is one page, asked for once; there is nothing to iterate over."""
    replies = Replies(PAGE)
    pending = OrdersV0WithRawResponse(OrdersV0(replies.send)).get_orders(marketplace_ids=["A"])
    assert not hasattr(pending, "__aiter__")
    response = await pending
    assert response.parse().payload.next_token == "next"
    assert len(replies.calls) == 1


async def test_nothing_is_raised_before_it_is_read() -> None:
    """A body that is no JSON, or holds nothing but errors, can be looked at; `parse` raises."""
    methods = OrdersV0WithRawResponse(OrdersV0(Replies(b"<html>").send))
    response = await methods.get_order(order_id="1")
    assert response.content == b"<html>"
    with pytest.raises(DecodeError, match=r"orders_v0\.get_order"):
        response.json()
    with pytest.raises(DecodeError, match=r"orders_v0\.get_order"):
        response.parse()
    errors = [{"code": "InvalidInput", "message": "no"}]
    response = await OrdersV0WithRawResponse(OrdersV0(Replies({"errors": errors}).send)).get_order(order_id="1")
    assert response.json() == {"errors": errors}
    with pytest.raises(StatusError, match="InvalidInput"):
        response.parse()


async def test_a_reply_without_a_body() -> None:
    """Where nothing comes back, `parse` and `json` give None, and the request id is there all the same."""
    methods = OrdersV0WithRawResponse(OrdersV0(Replies(b"", 204).send))
    response = await methods.confirm_shipment(order_id="1", body=SHIPMENT)
    assert (response.parse(), response.json(), response.request_id) == (None, None, "id-1")


SHIPMENT = {
    "marketplaceId": "A",
    "packageDetail": {
        "packageReferenceId": "1", "carrierCode": "X", "trackingNumber": "1", "shipDate": "2026-01-01T00:00:00Z",
        "orderItems": [{"orderItemId": "1", "quantity": 1}],
    },
}  # fmt: skip


async def test_the_api_itself_stays_as_it_is() -> None:
    """What was given to the raw methods goes on giving models."""
    api = AplusContent20201101(Replies({}).send)
    assert AplusContent20201101WithRawResponse(api)
    assert not isinstance(await api.get_content_document(**arguments_of(api, "get_content_document")), RawResponse)


def arguments_of(api: Any, name: str) -> dict[str, Any]:
    module = type(api).__module__.split(".")[-2]
    [operation] = [operation for operation in catalog(module) if operation.name == name]
    kinds: dict[str, Any] = {"array": ["x"], "integer": 1, "number": 1, "boolean": True, "string": "x", "object": {}}
    return {parameter.argument: kinds[parameter.type] for parameter in operation.parameters if parameter.required}


@pytest.mark.parametrize("module", MODULES)
async def test_every_operation_has_one(module: str) -> None:
    """Each method of each module has its twin, which gives a `RawResponse`, whatever its reply is otherwise."""

    class Client(Apis):
        def api(self, kind: Any) -> Any:
            return kind(Replies(b"").send, validate=False)

    client = Client()
    methods = getattr(ApisWithRawResponse(client), module)
    for operation in catalog(module):
        method = getattr(methods, operation.name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            response = await method(**arguments_of(getattr(client, module), operation.name))
        assert isinstance(response, RawResponse), operation.key
        assert response.status == 200
    public = {name for name in vars(type(getattr(client, module))) if not name.startswith("_")}
    assert public == set(vars(methods))


def test_it_shows_neither_body_nor_headers(anyio_backend: str) -> None:
    """Its repr can be logged: no body and no headers stand in it."""
    reply = Reply(status=200, headers={"x": "secret"}, body=b"buyer")
    response = RawResponse.plain(next(catalog("orders_v0")), reply)
    assert repr(response) == "<RawResponse 200 of orders_v0.get_orders, request id None>"


async def test_as_raw_is_a_copy() -> None:
    """`as_raw` leaves the object alone that it is asked of."""
    api = Api(Replies({}).send)
    assert api.as_raw() is not api
    assert not api._is_raw
