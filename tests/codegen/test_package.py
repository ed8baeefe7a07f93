"""The code that the generator writes, at work: calls out, replies in, pages one after the other."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import orjson
import pytest

from spapi_async.errors import ArgumentError, DecodeError, StatusError
from spapi_async.operation import Call, Reply

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("packages")]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Wire:
    """Takes calls, and answers with scripted replies: (status, body)."""

    def __init__(self, *replies: Any) -> None:
        self.replies = list(replies)
        self.calls: list[Call] = []

    async def send(self, call: Call) -> Reply:
        self.calls.append(call)
        answer = self.replies.pop(0)
        status, body = answer if isinstance(answer, tuple) else (200, answer)
        return Reply(status=status, headers={}, body=body if isinstance(body, bytes) else orjson.dumps(body))

    @property
    def targets(self) -> list[str]:
        return [call.target for call in self.calls]


def odd(wire: Wire) -> Any:
    return import_module("spapi_async.apis.odd_v1.client").OddV1(wire.send)


def paged(wire: Wire) -> Any:
    return import_module("spapi_async.apis.paged_v0.client").PagedV0(wire.send)


async def test_arguments_on_the_wire() -> None:
    """Only what is given is sent: arrays joined or repeated, times in UTC, booleans in small letters, all encoded."""
    wire = Wire({})
    await odd(wire).get_thing(
        thing_id="a/b c",
        seller_skus=["A 1", "B"],
        mskus=["x%y", "p+q,r"],
        created_after=datetime(2026, 1, 1, 12, tzinfo=UTC),
        include_details=False,
        is_gift=True,
        page_size=5,
        operation="CONFIRM",
        shipping_business_id="AmazonShipping_UK",
    )
    [call] = wire.calls
    assert call.path == "/odd/v1/things/a%2Fb%20c"
    assert call.query.split("&") == [
        "SellerSKUs=A%201%2CB",
        "mskus=x%2525y",  # these are decoded twice
        "mskus=p%252Bq%252Cr",
        "createdAfter=2026-01-01T12%3A00%3A00Z",
        "includeDetails=false",
        "isGift=true",
        "pageSize=5",
        "operation=CONFIRM",
    ]
    assert dict(call.headers) == {"x-amzn-shipping-business-id": "AmazonShipping_UK"}
    assert call.body == b""


async def test_a_greedy_path_keeps_its_slashes() -> None:
    """The resource of an upload is a path; all else in it is encoded."""
    wire = Wire({"a": 1})
    assert await odd(wire).get_file(resource="messaging/v1/a b") == {"a": 1}
    assert wire.targets == ["/odd/v1/files/messaging/v1/a%20b"]


async def test_an_idempotency_key_is_made() -> None:
    """One for each call, unless the user gives his own."""
    wire = Wire({}, {}, {})
    client = odd(wire)
    await client.link_thing(thing_id="1", body={"text": "a"})
    await client.link_thing(thing_id="1", body={"text": "a"})
    await client.link_thing(thing_id="1", body={"text": "a"}, idempotency_token="mine")
    first, second, third = [call.headers["x-amzn-idempotency-token"] for call in wire.calls]
    assert uuid.UUID(first) != uuid.UUID(second)
    assert third == "mine"


async def test_replies_by_status() -> None:
    """Each status has its class, nothing is None, and a list is a list."""
    models = import_module("spapi_async.apis.odd_v1")
    wire = Wire(
        (200, {"id": "1"}), (202, {"requestId": "2"}), (204, b""), (200, {}), (204, b""), (200, [{"ASIN": "B0"}])
    )
    client = odd(wire)
    body = models.ThingRequest(text="a")
    assert await client.link_thing(thing_id="1", body=body) == models.Made(id="1")
    assert await client.link_thing(thing_id="1", body=body) == models.Accepted(request_id="2")
    assert await client.get_trends() is None
    assert await client.get_trends() == models.Made()
    assert await client.delete_thing(thing_id="1") is None
    [thing] = await client.replace_things(thing_id="1", body=[body, {"text": "b"}])
    assert thing.asin == "B0"
    assert wire.calls[-1].body == b'[{"text":"a"},{"text":"b"}]'


async def test_a_reply_loses_nothing() -> None:
    """Odd values stay, missing ones are None, unknown fields do no harm; what is well-formed gets its type."""
    wire = Wire(
        {
            "SellerSKU": None,
            "supportedDPIs": ["300"],
            "_links": {"self": {"code": "c", "status": 7}},
            "self": "s",
            "size": "5x7",
            "children": [{"ASIN": "1"}, "odd"],
            "byName": {"x": {"code": "1"}},
            "attributes": {"free": [1]},
            "weight": "2.50",
            "createdAt": "2026-01-02T03:04:05",
            "updatedAt": "Mon Oct 28 18:49:32 UTC 2019",
            "DateOfBirth": "1990-02-30",
            "moments": ["2026-01-02T03:04Z", 5],
            "context": "odd",
            "brandNew": 1,
        }
    )
    thing = await odd(wire).get_thing(thing_id="1")
    assert (thing.seller_sku, thing.asin, thing.parent) == (None, None, None)
    assert thing.supported_dpis == ["300"]
    assert (thing.links.self_.code, thing.links.self_.status, thing.self_) == ("c", 7, "s")
    assert thing.size == "5x7"
    assert [thing.children[0].asin, thing.children[1]] == ["1", "odd"]
    assert thing.by_name["x"].code == "1"
    assert thing.attributes == {"free": [1]}
    assert thing.weight == 2.5
    assert thing.created_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert thing.updated_at == "Mon Oct 28 18:49:32 UTC 2019"
    assert thing.date_of_birth == "1990-02-30"
    assert thing.moments == [datetime(2026, 1, 2, 3, 4, tzinfo=UTC), 5]
    assert thing.context == "odd"


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("get_thing", b"[]"),
        ("get_thing", b"<html>"),
        ("get_file", b"3"),
        ("replace_things", b"{}"),
        ("get_thing", b"{"),
    ],
)
async def test_replies_that_cannot_be_read(method: str, body: bytes) -> None:
    """Another top level than the model's, or no JSON, is a `DecodeError` that holds the bytes."""
    argument = "resource" if method == "get_file" else "thing_id"
    with pytest.raises(DecodeError) as caught:
        await getattr(odd(Wire((200, body))), method)(**{argument: "1"})
    assert caught.value.body == body
    assert caught.value.operation == f"odd_v1.{method}"


ERRORS = [{"code": "InvalidInput", "message": "no"}]


async def test_errors_in_a_2xx_reply() -> None:
    """Errors without the payload, or with nothing beside them, are raised; beside a payload they stay in the model."""
    beside = {"pagination": "p", "errors": ERRORS}
    whole = {"payload": {"Orders": []}, "errors": ERRORS}
    client = paged(Wire({"errors": ERRORS}, (201, {"errors": ERRORS}), beside, whole))
    arguments = {"query_type": "RANGE", "marketplace_id": "A"}
    for call in (lambda: client.get_orders(**arguments), client.write, lambda: client.get_orders(**arguments)):
        with pytest.raises(StatusError) as caught:
            await call()
        assert (caught.value.code, caught.value.errors[0].message) == ("InvalidInput", "no")
    page = await client.get_orders(**arguments)
    assert page.errors[0].code == "InvalidInput"


async def test_errors_that_were_asked_for() -> None:
    """A validation's errors are its result."""
    reply = await paged(Wire({"errors": ERRORS})).validate()
    assert [error.code for error in reply.errors] == ["InvalidInput"]


async def test_success_without_content() -> None:
    """`{}`, nothing at all and an empty list of errors are success."""
    client = paged(Wire((201, {}), (201, b""), (201, {"errors": []})))
    for _ in range(3):
        await client.write()


async def test_withdrawn_operations_warn() -> None:
    """The warning tells when, points at the user's line also where a task awaits it, and the call is made."""
    wire = Wire({})
    with pytest.warns(DeprecationWarning, match=r"paged_v0\.get_gone: withdrawn on 2025-08-04") as caught:
        pending = paged(wire).get_gone()
    await pending
    assert caught[0].filename == __file__
    assert len(wire.calls) == 1


async def test_a_pager_repeats_the_arguments() -> None:
    """The next page is asked for with the same arguments and the token, and with what the operation wants changed."""
    wire = Wire({"payload": {"Orders": [{"Id": "1"}], "NextToken": "t="}}, {"payload": {"Orders": [{"Id": "2"}]}})
    pager = paged(wire).get_orders(query_type="RANGE", marketplace_id="A")
    assert [order.id async for order in pager] == ["1", "2"]
    assert [target.partition("?")[2] for target in wire.targets] == [
        "QueryType=RANGE&MarketplaceId=A",
        "QueryType=NEXT_TOKEN&MarketplaceId=A&NextToken=t%3D",
    ]


async def test_a_token_that_must_be_alone() -> None:
    """The other arguments are left out with it."""
    wire = Wire({"feeds": [], "nextToken": "t"}, {"feeds": [{"Id": "1"}]})
    assert [feed.id async for feed in paged(wire).get_feeds(feed_types=["A"])] == ["1"]
    assert wire.targets == ["/paged/v0/feeds?feedTypes=A", "/paged/v0/feeds?nextToken=t"]


async def test_pages_of_another_operation() -> None:
    """An operation that gives a token and takes none is followed up by the one that takes it."""
    wire = Wire({"payload": {"Orders": [], "NextToken": "t"}}, {"payload": {"Orders": [{"Id": "2"}]}})
    assert [order.id async for order in paged(wire).get_orders_by_id(id="5", marketplace_id="A")] == ["2"]
    assert wire.targets == [
        "/paged/v0/orders/5?MarketplaceId=A",
        "/paged/v0/orders?MarketplaceId=A&QueryType=NEXT_TOKEN&NextToken=t",
    ]
    assert wire.calls[1].operation.name == "get_orders"


async def test_pages_of_parallel_lists() -> None:
    """Where items lie in several lists, `async for` gives the pages."""
    wire = Wire({"a": [{"Id": "1"}], "b": ["x"], "nextToken": "t"}, {"b": ["y"]})
    assert [page.b async for page in paged(wire).list_events()] == [["x"], ["y"]]


@pytest.mark.parametrize("as_model", [True, False])
async def test_pages_by_offset(as_model: bool) -> None:
    """The offset in the body goes on by what a page held, until all are seen; the user's body is left as it was."""
    models = import_module("spapi_async.apis.paged_v0")
    wire = Wire(
        {"offers": [{"Id": "1"}, {"Id": "2"}], "total": 3},
        {"offers": [{"Id": "3"}], "total": 3},
    )
    body: Any = {"pagination": {"limit": 2}, "name": "n"}
    if as_model:
        body = models.ListOffersRequest(pagination=models.Pagination(limit=2), name="n")
    pager = paged(wire).list_offers(body=body)
    assert [offer.id async for offer in pager] == ["1", "2", "3"]
    assert [orjson.loads(call.body) for call in wire.calls] == [
        {"pagination": {"limit": 2}, "name": "n"},
        {"pagination": {"limit": 2, "offset": 2}, "name": "n"},
    ]


async def test_pages_by_offset_end() -> None:
    """An empty page or a missing total ends it: neither could ever be followed."""
    for last in ({"offers": [], "total": 9}, {"offers": [{"Id": "1"}]}):
        wire = Wire(last)
        assert len([offer async for offer in paged(wire).list_offers(body={})]) == len(last["offers"])
        assert len(wire.calls) == 1


async def test_a_token_in_the_body() -> None:
    """The body is sent again with the token in its place."""
    wire = Wire({"feeds": [], "nextToken": "t"}, {"feeds": [{"Id": "1"}]})
    assert [case.id async for case in paged(wire).list_cases(body={"name": "n"})] == ["1"]
    assert [orjson.loads(call.body) for call in wire.calls] == [{"name": "n"}, {"name": "n", "nextToken": "t"}]


async def test_wrong_arguments_send_nothing() -> None:
    """All that is wrong is named at once, in Amazon's and Python's own words for it."""
    wire = Wire()
    with pytest.raises(ArgumentError) as caught:
        await odd(wire).get_thing(thing_id="", seller_skus="ABC", page_size=0, created_after=datetime(2026, 1, 1))
    assert len(caught.value.problems) == 4
    assert wire.calls == []


Made = Callable[[Mapping[str, Any]], Any]


async def test_models_and_back() -> None:
    """What a model was made from is what it is written as, by its own function and by cattrs."""
    from spapi_async.codec import converter, encode

    models = import_module("spapi_async.apis.odd_v1")
    wire: dict[str, Any] = {
        "SellerSKU": "1",
        "parent": {"children": [{"moments": ["2026-01-02T03:04:05Z"]}]},
        "DateOfBirth": "1990-02-03",
        "price": {"CurrencyCode": "EUR", "Amount": "1.20"},
        "byName": {"a": {"code": "1"}},
    }
    thing = converter.structure(wire, models.Thing)
    assert thing.parent.children[0].moments == [datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)]
    assert converter.unstructure(thing) == wire
    assert orjson.loads(encode(thing)) == wire
    request = models.ThingRequest(text="a", attachments=(models.Attachment(file_name="f"),))
    assert encode(request) == b'{"text":"a","attachments":[{"fileName":"f"}]}'
