"""Strict mode: every place where a reply is not as its model says is reported, with its path and without its value."""

from __future__ import annotations

import importlib
from typing import Any, Literal, get_type_hints

import attrs
import orjson
import pytest

from spapi_async.apis.catalog_items_2022_04_01 import CatalogItems20220401
from spapi_async.apis.deviations import Deviation, _check_of, deviations
from spapi_async.apis.messaging_v1 import CreateWarrantyRequest
from spapi_async.apis.namespace import MODULES
from spapi_async.apis.orders_v0 import GetOrdersResponse, Order, OrdersV0
from spapi_async.apis.shipping_v2 import GetAccessPointsResult
from spapi_async.errors import DecodeError
from spapi_async.operation import Call, Operation, Reply

ORDER = {
    "AmazonOrderId": "902-1845936-5435065",
    "PurchaseDate": "2026-01-01T00:00:00Z",
    "LastUpdateDate": "2026-01-01T00:00:00Z",
    "OrderStatus": "Unshipped",
}


def found(**changes: Any) -> list[str]:
    return [str(deviation) for deviation in deviations(Order, {**ORDER, **changes})]


def test_a_reply_that_is_as_its_model_says() -> None:
    """Nothing is reported where there is nothing to report."""
    assert found() == []
    assert found(OrderTotal={"CurrencyCode": "USD", "Amount": "1.00"}, IsPrime=True, NumberOfItemsShipped=1) == []
    assert deviations(GetOrdersResponse, {"payload": {"Orders": [ORDER, ORDER]}}) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"New": 1}, "New: is not in the model"),
        ({"To Jane Doe\n": 1}, "(a name not shown): is not in the model"),
        ({"OrderTotal": {"amount": "1"}}, "OrderTotal.amount: is not in the model"),
        ({"OrderStatus": "Lost"}, "OrderStatus: 'Lost' is not among the 8 values that the model lists"),
        ({"OrderStatus": "To Jane Doe"}, "OrderStatus: its value is not among the 8 values that the model lists"),
        ({"OrderStatus": 5}, "OrderStatus: is an integer, not a string"),
        ({"NumberOfItemsShipped": "1"}, "NumberOfItemsShipped: is a string, not an integer"),
        ({"NumberOfItemsShipped": True}, "NumberOfItemsShipped: is a boolean, not an integer"),
        ({"NumberOfItemsShipped": 1.5}, "NumberOfItemsShipped: is a number, not an integer"),
        ({"IsPrime": "true"}, "IsPrime: is a string, not a boolean"),
        ({"PurchaseDate": "soon"}, "PurchaseDate: is a string, but not a date-time"),
        ({"PurchaseDate": "2026-01-01"}, "PurchaseDate: is a string, but not a date-time"),
        ({"PurchaseDate": 0}, "PurchaseDate: is an integer, not a date-time"),
        ({"SellerOrderId": None}, "SellerOrderId: is null, not a string"),
        ({"OrderTotal": []}, "OrderTotal: is an array, not an object"),
        ({"PaymentMethodDetails": "x"}, "PaymentMethodDetails: is a string, not an array"),
        ({"PaymentMethodDetails": ["x", {}]}, "PaymentMethodDetails[1]: is an object, not a string"),
        (
            {"PaymentExecutionDetail": [{"PaymentMethod": "x", "Payment": {"Amount": 1}}]},
            "PaymentExecutionDetail[0].Payment.Amount: is an integer, not a string",
        ),
    ],
)
def test_what_is_reported(changes: dict[str, Any], expected: str) -> None:
    """Unknown fields, unlisted values, other types, odd dates and nulls, each with its path; only codes are shown."""
    assert found(**changes) == [expected]


def test_what_is_missing() -> None:
    """A field that the model requires and that is not there is reported, though decoding makes it None.

    In the order of the model: every process reports the same reply with the same words.
    """
    assert [str(each) for each in deviations(GetOrdersResponse, {"payload": {"Orders": [{}]}})] == [
        f"payload.Orders[0].{name}: is required, and missing" for name in ORDER
    ]


def test_limits_are_compared() -> None:
    """A value outside the limits that the model states is reported; a value of another type once, not twice."""
    attachment = {"uploadDestinationId": "1", "fileName": "a.pdf"}
    assert deviations(CreateWarrantyRequest, {"attachments": [attachment] * 6}) == [
        Deviation("attachments", "has 6 items, and may have at most 5")
    ]
    assert len(deviations(CreateWarrantyRequest, {"attachments": "x"})) == 1


def test_maps_and_lists_as_results() -> None:
    """Maps and lists are looked into as well; the reply itself has the path “the reply”."""
    assert [each.path for each in deviations(list[Order], [ORDER, {**ORDER, "New": 1}])] == ["[1].New"]
    wire = GetAccessPointsResult.__wire__["access_points_map"]
    assert [each.path for each in deviations(GetAccessPointsResult, {wire: {"HELIX": [{"x": 1}]}})][-1].endswith(".x")
    assert str(deviations(Order, [])[0]) == "the reply: is an array, not an object"


@pytest.mark.parametrize("module", MODULES)
def test_every_field_can_be_compared(module: str) -> None:
    """There is no field in any model whose type the comparison does not know."""
    models = importlib.import_module(f"spapi_async.apis.{module}.models")
    for name in models.__all__:
        class_ = getattr(models, name)
        if attrs.has(class_):
            hints = get_type_hints(class_)
            for field in attrs.fields(class_):
                assert _check_of(hints[field.name])


def test_a_type_that_is_not_known_is_an_error() -> None:
    """A new kind of annotation is noticed here, and not passed over."""
    with pytest.raises(TypeError, match="Literal"):
        _check_of(Literal["x"])


@pytest.mark.asyncio
async def test_a_reply_that_is_nested_too_deeply() -> None:
    """What cannot be decoded for its depth is not compared either; decoding tells."""
    body = b'{"classifications":[{"classifications":[' + b'{"parent":' * 1000 + b"{}" + b"}" * 1000 + b"]}]}"

    async def send(_: Call) -> Reply:
        return Reply(status=200, headers={}, body=body)

    api = CatalogItems20220401(send, report=lambda *_: None)
    with pytest.raises(DecodeError):
        await api.get_catalog_item(asin="A", marketplace_ids=["A1"])


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            orjson.dumps({"payload": {"New": 1}}),
            ["payload.Orders: is required, and missing", "payload.New: is not in the model"],
        ),
        (orjson.dumps({"payload": {"Orders": []}}), None),
        (b"", ["payload: is required, and missing"]),
    ],
)
async def test_who_is_told(body: bytes, expected: list[str] | None) -> None:
    """The report has the operation, the reply and what differs; the result of the call is the same as without it."""
    told: list[tuple[str, list[str]]] = []

    def report(operation: Operation, reply: Reply, found: list[Deviation]) -> None:
        assert reply.body is body
        told.append((operation.key, [str(each) for each in found]))

    async def send(_: Call) -> Reply:
        return Reply(status=200, headers={}, body=body)

    strict = await OrdersV0(send, report=report).get_orders(marketplace_ids=["A"])
    assert strict == await OrdersV0(send).get_orders(marketplace_ids=["A"])
    assert told == ([("orders_v0.get_orders", expected)] if expected else [])
