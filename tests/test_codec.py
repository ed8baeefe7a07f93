"""JSON to models and back, and Amazon's errors in all their shapes."""

from __future__ import annotations

import gc
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib import import_module
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import orjson
import pytest
from hypothesis import given, strategies as st

from spapi_async import codec
from spapi_async.apis import catalog
from spapi_async.apis.messaging_v1 import CreateWarrantyRequest, GetMessagingActionsForOrderResponse
from spapi_async.apis.orders_v0 import GetOrdersResponse, Money, Order, OrdersList, TaxClassification
from spapi_async.codec import decode, decode_list, decode_object, encode, parse_errors
from spapi_async.errors import DecodeError, Problem

NAMED = {"operation": "orders_v0.get_orders", "request_id": "r-1"}


# -- errors


@pytest.mark.parametrize(
    "body",
    [
        {"errors": [{"code": "A", "message": "b", "details": "c"}]},
        {"errors": {"errors": [{"code": "A", "message": "b", "details": "c"}]}},
        {"errors": {"code": "A", "message": "b", "details": "c"}},
        {"payload": {"errors": [{"code": "A", "message": "b", "details": "c"}]}},
        {"payload": None, "errors": [{"code": "A", "message": "b", "details": "c"}]},
        [{"code": "A", "message": "b", "details": "c"}],
        {"code": "A", "message": "b", "details": "c"},
        {"Errors": [{"Code": "A", "Message": "b", "details": "c"}]},
        {"error": {"code": "A", "message": "b", "details": "c"}},
    ],
)
def test_errors_in_every_shape(body: Any) -> None:
    """An object, nested, a list, a single one, in an envelope: the same errors."""
    assert parse_errors(orjson.dumps(body)) == (Problem("A", "b", "c"),)


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        (b'{"error": "invalid_grant", "error_description": "expired"}', [("invalid_grant", "expired", "")]),
        (b'{"message": "Too Many Requests"}', [("", "Too Many Requests", "")]),
        (b'{"errors": [{"code": 5, "message": null, "details": {"a": 1}}]}', [("5", "", '{"a":1}')]),
        (
            b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>',
            [("AccessDenied", "Request has expired", "")],
        ),
        (b"", []),
        (b"{}", []),
        (b"null", []),
        (b'{"errors": []}', []),
        (b'{"errors": "none"}', []),
        (b"<html><body>502 Bad Gateway</body></html>", []),
        (b'{"errors": [{"code": "A"', []),
        (b"\xff\xfe", []),
    ],
)
def test_errors_of_others_and_none(body: bytes, problems: list[tuple[str, str, str]]) -> None:
    """Login with Amazon's, a gateway's, S3's; and bodies that hold none that can be read."""
    assert list(parse_errors(body)) == [Problem(*problem) for problem in problems]


NAMES = ["errors", "Errors", "payload", "error", "code", "message", "details", "x"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(NAMES), inner),
        max_leaves=12,
    )
)
def test_errors_never_raise(content: Any) -> None:
    """Whatever JSON comes, the parser finds problems or none."""
    assert all(isinstance(part, str) for problem in parse_errors(orjson.dumps(content)) for part in problem)


def test_errors_nested_without_end() -> None:
    """Lists within lists, as deep as the parser goes, hold no problem; Python could not follow them."""
    deep = b"[" * 1000 + b"]" * 1000
    assert parse_errors(deep) == ()
    assert parse_errors(b'{"message": "a", "details": ' + deep + b"}") == (Problem("", "a", ""),)


# -- replies


def test_decode() -> None:
    """Wire names become Python's; times become datetimes; lists and objects become models."""
    body = b'{"payload": {"Orders": [{"AmazonOrderId": "1", "PurchaseDate": "2026-01-02T03:04:05Z"}]}, "new": 1}'
    reply = decode(GetOrdersResponse, body, **NAMED)
    [order] = reply.payload.orders
    assert (order.amazon_order_id, order.purchase_date) == ("1", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert order.order_total is None


def test_what_is_not_as_the_model_says() -> None:
    """A value of another type stays what it is, also one that stands for a small object or among some."""
    wire = {
        "Orders": [
            {"OrderTotal": "11.01", "BuyerTaxInformation": [], "PaymentMethodDetails": {"a": 1}},
            {"OrderTotal": {"Amount": 11.01, "CurrencyCode": None}, "MarketplaceTaxInfo": {"TaxClassifications": "x"}},
            {"MarketplaceTaxInfo": {"TaxClassifications": [None, "x", {"Name": 5, "new": 1}]}},
            "none",
        ]
    }
    first, second, third, last = decode(OrdersList, orjson.dumps(wire), **NAMED).orders
    assert (first.order_total, first.buyer_tax_information, first.payment_method_details) == ("11.01", [], {"a": 1})
    assert second.order_total == Money(amount=11.01)
    assert second.marketplace_tax_info.tax_classifications == "x"
    assert third.marketplace_tax_info.tax_classifications == [None, "x", TaxClassification(name=5)]
    assert last == "none"


@pytest.mark.parametrize("was_enabled", [True, False])
@pytest.mark.parametrize("body", [b"{}", b"[]", b"[[]]", b"["])
def test_garbage_waits_for_a_large_reply(was_enabled: bool, body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a large reply is read Python's collector rests, and does afterwards what it did before, whatever came."""
    seen = []
    monkeypatch.setitem(codec._decoders, Money, lambda value: seen.append(gc.isenabled()))
    try:
        (gc.enable if was_enabled else gc.disable)()
        for function in (decode, decode_list):
            with suppress(DecodeError):
                function(Money, body + b" " * 20_000, **NAMED)
            assert gc.isenabled() is was_enabled
    finally:
        gc.enable()
    assert not any(seen)


def test_garbage_does_not_wait_for_a_small_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply of the usual size leaves Python's collector alone."""
    seen = []
    monkeypatch.setitem(codec._decoders, Money, lambda value: seen.append(gc.isenabled()))
    decode(Money, b"{}", **NAMED)
    assert seen == [True]


@pytest.mark.parametrize("body", [b"", b" \n"])
def test_nothing_is_an_empty_object(body: bytes) -> None:
    """Some operations send nothing where their model says an object."""
    assert decode(OrdersList, body, **NAMED).next_token is None
    assert decode_object(body, operation="") == {}
    assert decode_list(Order, body, operation="") == []


@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"{", b"<html>", b"\xff"])
def test_what_cannot_be_read_is_kept(body: bytes) -> None:
    """The error holds the bytes and names operation and request; its text shows nothing of the body."""
    with pytest.raises(DecodeError) as caught:
        decode(GetOrdersResponse, body, **NAMED)
    assert (caught.value.body, caught.value.request_id) == (body, "r-1")
    assert str(caught.value).startswith("orders_v0.get_orders: its body is no JSON")
    assert "text" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-01-02T03:04:05.678Z", datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)),
        ("2026-01-02T03:04Z", datetime(2026, 1, 2, 3, 4, tzinfo=UTC)),
        ("2026-01-02T03:04:05.6Z", datetime(2026, 1, 2, 3, 4, 5, 600000, tzinfo=UTC)),
        ("2026-01-02T05:04:05+02:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05.000", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03Z", datetime(2026, 1, 2, 3, tzinfo=UTC)),
        ("2026-01-02T03", "2026-01-02T03"),
        ("2026-01-02", date(2026, 1, 2)),
        ("20260102", "20260102"),
        ("Mon Oct 28 18:49:32 UTC 2019", "Mon Oct 28 18:49:32 UTC 2019"),
        ("2024-02-30T00:00:00Z", "2024-02-30T00:00:00Z"),
        ("", ""),
        (1767225600, 1767225600),
    ],
)
def test_times(text: Any, value: Any) -> None:
    """Every spelling that Amazon uses is read, without a zone as UTC; what is no time stays what it is."""
    assert codec.read_datetime(text) == value


@pytest.mark.parametrize(
    ("value", "number"),
    [(1.5, 1.5), (3, 3), ("2.00000", 2.0), ("x", "x"), ("nan", "nan"), ("1e999", "1e999"), (None, None)],
)
def test_numbers(value: Any, number: Any) -> None:
    """Numbers in strings are numbers; what is none stays what it is."""
    assert codec.read_number(value) == number


def test_dates() -> None:
    """A date is a date, else it stays what it is; what Python would read as one more generously stays too."""
    assert codec.read_date("2026-W01-5") == "2026-W01-5"
    assert codec.read_date("2026-01-02") == date(2026, 1, 2)
    assert codec.read_date("2026-13-02") == "2026-13-02"
    assert codec.read_date(5) == 5


@pytest.mark.parametrize(
    ("value", "amount"),
    [("12.30", "12.30"), (12.3, "12.3"), (5, "5"), ("", None), ("NaN", None), (None, None), (True, None), ({}, None)],
)
def test_money(value: Any, amount: str | None) -> None:
    """An amount is exactly what is written, whether as a string or as a number."""
    assert codec.read_decimal(value) == (None if amount is None else Decimal(amount))
    assert Money(amount="1.10").decimal == Decimal("1.10")


# -- requests


def test_encode() -> None:
    """None is left out, times are in UTC, and plain data may hold models."""
    request = CreateWarrantyRequest(coverage_start_date=datetime(2026, 1, 2, tzinfo=UTC))
    assert encode(request) == b'{"coverageStartDate":"2026-01-02T00:00:00Z"}'
    assert encode({"a": [request], "b": None}) == b'{"a":[{"coverageStartDate":"2026-01-02T00:00:00Z"}],"b":null}'


@pytest.mark.parametrize("value", [datetime(2026, 1, 2), object(), {1: 2}, "\ud800"])
def test_what_cannot_be_written(value: Any) -> None:
    """A time without a zone is ambiguous; other things are no JSON."""
    with pytest.raises(TypeError):
        encode({"a": value})


def test_cattrs_uses_the_same_functions() -> None:
    """The converter reads and writes every model as the library does itself."""
    wire = {"Orders": [{"AmazonOrderId": "1", "PurchaseDate": "2026-01-02T03:04:05Z"}], "NextToken": "t"}
    orders = codec.converter.structure(wire, OrdersList)
    assert orders == decode(OrdersList, orjson.dumps(wire), operation="")
    assert codec.converter.unstructure(orders) == wire
    assert codec.converter.loads(orjson.dumps([wire]), list[OrdersList]) == [orders]


def test_hal() -> None:
    """`_links` is `links`, and `self` is `self_`."""
    body = (
        b'{"_links": {"self": {"href": "/x"}, "actions": [{"href": "/y", "name": "n"}]}, "_embedded": {"actions": []}}'
    )
    reply = decode(GetMessagingActionsForOrderResponse, body, operation="")
    assert reply.links is not None
    assert (reply.links.self_.href, reply.links.actions[0].name) == ("/x", "n")
    assert encode(reply) == orjson.dumps(orjson.loads(body))


def test_a_time_that_utc_does_not_have() -> None:
    """The first day there is, ahead of UTC, is written with the zone it came in."""
    text = "0001-01-01T00:00:00+23:59"
    assert encode({"at": datetime.fromisoformat(text)}) == b'{"at":"%s"}' % text.encode()


# -- whole replies


def results() -> list[type]:
    found = {(operation.module, operation.result) for operation in catalog() if operation.result}
    return [getattr(import_module(f"spapi_async.apis.{module}.models"), str(name)) for module, name in sorted(found)]


def example(type_: Any, depth: int = 0) -> Any:
    """Make a value of a type; of a model, a body with every field, down to a depth that recursion does not pass."""
    if hasattr(type_, "__wire__"):
        if depth > 6:
            return {}
        hints = get_type_hints(type_)
        return {wire: example(hints[name], depth + 1) for name, wire in type_.__wire__.items()}
    arguments = [argument for argument in get_args(type_) if argument is not type(None)]
    if get_origin(type_) is list:
        return [example(arguments[0], depth + 1)]
    if get_origin(type_) is dict:
        return {"key": example(arguments[1], depth + 1)}
    if get_origin(type_) in {Union, UnionType}:
        return example(arguments[0], depth)
    plain = {datetime: "2026-01-02T03:04:05Z", date: "2026-01-02", float: 1.5, int: 1, bool: True}
    return plain.get(type_, "text")


@pytest.mark.parametrize("type_", results(), ids=lambda type_: type_.__name__)
def test_every_model_and_back(type_: Any) -> None:
    """Reading and writing a full reply gives the same JSON."""
    body = example(type_)
    model = decode(type_, orjson.dumps(body), operation="")
    assert orjson.loads(encode(model)) == body
