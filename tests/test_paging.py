"""Pages: what follows what, and when it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import attrs
import httpx
import orjson
import pytest

from spapi_async import SellingPartner, UsagePlan
from spapi_async.apis.orders_v0 import GetOrdersResponse, Order
from spapi_async.errors import CallError, DecodeError
from spapi_async.operation import Reply
from spapi_async.paging import Pager

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


REPLY = Reply(status=200, headers={"x-amzn-requestid": "R1"}, body=b"{}")


@attrs.frozen
class Page:
    items: list[int] | None
    token: str | None = None


def make(pages: dict[str | None, Page], *, is_eager: bool = False) -> tuple[Pager[Page, int], list[str | None]]:
    """Return a pager over pages by token, and the list of the tokens it asks for."""
    asked: list[str | None] = []

    async def fetch(token: str | None) -> tuple[Page, Reply]:
        asked.append(token)
        return pages[token], REPLY

    return Pager("test_v0.get", fetch, lambda page, _: page.token, lambda page: page.items, is_eager=is_eager), asked


async def test_awaiting_gets_the_first_page_only() -> None:
    """`await` is one call, whatever follows."""
    pager, asked = make({None: Page([1], "a"), "a": Page([2])})
    assert (await pager).items == [1]
    assert asked == [None]


async def test_items_of_all_pages() -> None:
    """`async for` gives the items of every page, in order."""
    pager, asked = make({None: Page([1, 2], "a"), "a": Page([3], "b"), "b": Page([4])})
    assert [item async for item in pager] == [1, 2, 3, 4]
    assert asked == [None, "a", "b"]


async def test_tokens_that_expire_soon_are_used_at_once() -> None:
    """Where a token lives for 30 seconds, all pages are fetched before the first is given; `await` still gets one."""
    pages: dict[str | None, Page] = {None: Page([1], "a"), "a": Page([2], "b"), "b": Page([3])}
    pager, asked = make(pages, is_eager=True)
    given = []
    async for page in pager.pages():
        assert asked == [None, "a", "b"]
        given.append(page.items)
    assert given == [[1], [2], [3]]
    assert [item async for item in pager] == [1, 2, 3]
    pager, asked = make(pages, is_eager=True)
    await pager
    assert asked == [None]


async def test_a_page_that_fails_loses_none_before_it() -> None:
    """Of pages that are fetched ahead, those before a failure are given first; who goes on gets the one that failed."""
    tokens: list[str | None] = []

    async def fetch(token: str | None) -> tuple[Page, Reply]:
        tokens.append(token)
        if token == "b" and tokens.count("b") == 1:
            raise CallError("failed", operation="test_v0.get")
        return {None: Page([1], "a"), "a": Page([2], "b"), "b": Page([3])}[token], REPLY

    pages = Pager("test_v0.get", fetch, lambda page, _: page.token, lambda page: page.items, is_eager=True).pages()
    assert [(await anext(pages)).items for _ in range(2)] == [[1], [2]]
    with pytest.raises(CallError, match="failed"):
        await anext(pages)
    assert [page.items async for page in pages] == [[3]]
    assert tokens == [None, "a", "b", "b"]


async def test_pages() -> None:
    """`.pages()` gives the pages themselves."""
    pager, _ = make({None: Page([1], "a"), "a": Page([2])})
    assert [page.items async for page in pager.pages()] == [[1], [2]]


@pytest.mark.parametrize("empty", [[], None])
async def test_an_empty_page_does_not_end_it(empty: list[int] | None) -> None:
    """Amazon announces empty pages before the last one; only the token tells the end."""
    pager, _ = make({None: Page(empty, "a"), "a": Page([1], "b"), "b": Page(empty)})
    assert [item async for item in pager] == [1]


@pytest.mark.parametrize("end", [None, ""])
async def test_a_missing_or_empty_token_ends_it(end: str | None) -> None:
    """Null, absent and empty tokens all mean that this was the last page."""
    pager, asked = make({None: Page([1], end)})
    assert [item async for item in pager] == [1]
    assert asked == [None]


async def test_a_repeated_token_is_an_error() -> None:
    """A reply whose next page is itself would go on for ever, and use up the plan."""
    pager, asked = make({None: Page([1], "a"), "a": Page([2], "a")})
    walk = aiter(pager)
    assert [await anext(walk), await anext(walk)] == [1, 2]
    with pytest.raises(CallError, match=r"^test_v0\.get: .* would never end") as caught:
        await anext(walk)
    assert asked == [None, "a"]
    assert caught.value.is_retry_safe is False


async def test_a_cycle_of_tokens_is_an_error() -> None:
    """A token that was followed before leads round in a circle, however long the circle is."""
    pager, asked = make({None: Page([1], "a"), "a": Page([2], "b"), "b": Page([3], "a")})
    with pytest.raises(CallError):
        [item async for item in pager]
    assert asked == [None, "a", "b"]


async def test_iterating_again_begins_again() -> None:
    """A pager keeps no place: two loops over it are two walks."""
    pager, asked = make({None: Page([1], "a"), "a": Page([2])})
    assert [item async for item in pager] == [item async for item in pager] == [1, 2]
    assert asked == [None, "a", None, "a"]


async def test_nothing_is_fetched_before_it_is_wanted() -> None:
    """Making a pager sends nothing, and the next page is fetched only when the last item of this one is taken."""
    pager, asked = make({None: Page([1, 2], "a"), "a": Page([3])})
    assert asked == []
    async for item in pager:
        if item == 2:
            break
    assert asked == [None]


async def test_after_an_error_it_can_go_on() -> None:
    """A page that fails raises its error; who asks again gets that page, and no page twice."""
    failures = [CallError("no", operation="test_v0.get")]

    async def fetch(token: str | None) -> tuple[Page, Reply]:
        if token == "a" and failures:
            raise failures.pop()
        return Page([1], "a") if token is None else Page([2]), REPLY

    walk = aiter(Pager("test_v0.get", fetch, lambda page, _: page.token, lambda page: page.items))
    assert await anext(walk) == 1
    with pytest.raises(CallError, match="no"):
        await anext(walk)
    assert [item async for item in walk] == [2]


# -- pages that are not as the model says


def client_of(*bodies: dict[str, Any]) -> SellingPartner:
    """Return a client that gets these bodies as its replies, one after the other."""
    waiting = list(bodies)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "api.amazon.com":
            return httpx.Response(200, json={"access_token": "Atza|1", "expires_in": 3600})
        return httpx.Response(200, json=waiting.pop(0), headers={"x-amzn-RequestId": "R1"})

    return SellingPartner(
        client_id="c",
        client_secret="s",
        refresh_token="r",
        region="eu",
        transport=httpx.MockTransport(answer),
        plans={
            name: UsagePlan(1000, 1000) for name in ("orders_v0.get_orders", "replenishment_2022_11_07.list_offers")
        },
    )


def orders(sp: SellingPartner) -> Pager[GetOrdersResponse, Order]:
    return sp.orders_v0.get_orders(marketplace_ids=["A1"], created_after="2026-01-01T00:00:00Z")


def check(error: DecodeError, words: str, body: dict[str, Any], operation: str = "orders_v0.get_orders") -> None:
    assert str(error) == f"{operation}: {words} (request id R1, safe to repeat: yes)"
    assert (orjson.loads(error.body), error.request_id, error.is_retry_safe) == (body, "R1", True)


@pytest.mark.parametrize(
    ("items", "type_"), [({"AmazonOrderId": "1"}, "dict"), ("902-1845936", "str"), (5, "int"), (True, "bool")]
)
async def test_items_that_are_no_list(items: Any, type_: str) -> None:
    """An object would be walked by its keys and a text by its letters: iterating is an error that holds the reply."""
    body = {"payload": {"Orders": items, "NextToken": "a"}}
    async with client_of(body, body, body) as sp:
        with pytest.raises(DecodeError) as caught:
            [order async for order in orders(sp)]
        check(caught.value, f"the items of its page are no list, but of the type {type_}", body)
        # Who does not iterate them sees what came, as in every other field.
        assert (await orders(sp)).payload.orders == items
        assert [page.payload.orders async for page in aiter_one(orders(sp).pages())] == [items]


async def aiter_one(pages: AsyncIterator[GetOrdersResponse]) -> AsyncIterator[GetOrdersResponse]:
    yield await anext(pages)


@pytest.mark.parametrize(("token", "type_"), [({}, "dict"), (["a"], "list"), (1.5, "float")])
async def test_a_token_that_is_no_text(token: Any, type_: str) -> None:
    """It cannot be sent, and pages that end silently would be taken for all there are."""
    body = {"payload": {"Orders": [{"AmazonOrderId": "1"}], "NextToken": token}}
    async with client_of(body) as sp:
        with pytest.raises(DecodeError) as caught:
            [page async for page in orders(sp).pages()]
        check(caught.value, f"the token of its next page is no text, but of the type {type_}", body)


async def test_a_token_that_is_a_number() -> None:
    """A number is a token as good as its text."""
    first = {"payload": {"Orders": [{"AmazonOrderId": "1"}], "NextToken": 5}}
    async with client_of(first, {"payload": {"Orders": [{"AmazonOrderId": "2"}]}}) as sp:
        assert [order.amazon_order_id async for order in orders(sp)] == ["1", "2"]


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"offers": "none"}, "the items of its page are no list, but of the type str"),
        ({"pagination": {"totalResults": [3]}}, "the number of all items is no number, but of the type list"),
    ],
)
async def test_an_offset_that_cannot_be_counted(part: dict[str, Any], words: str) -> None:
    """Where the token is an offset, it takes a list of items and a number of all to go on."""
    body: dict[str, Any] = {"offers": [{"asin": "B1"}], "pagination": {"totalResults": 3}, **part}
    async with client_of(body) as sp:
        with pytest.raises(DecodeError) as caught:
            [page async for page in sp.replenishment_2022_11_07.list_offers(body=OFFERS).pages()]
        check(caught.value, words, body, "replenishment_2022_11_07.list_offers")


async def test_a_number_of_all_items_that_is_a_text() -> None:
    """A number may come as a text, here as everywhere; the pages go on."""
    bodies = [{"offers": [{"asin": asin}], "pagination": {"totalResults": "2"}} for asin in ("B1", "B2")]
    async with client_of(*bodies) as sp:
        offers = sp.replenishment_2022_11_07.list_offers(body=OFFERS)
        assert [offer.asin async for offer in offers] == ["B1", "B2"]


OFFERS = {
    "pagination": {"limit": 1, "offset": 0},
    "filters": {"marketplaceId": "A1", "programTypes": ["SUBSCRIBE_AND_SAVE"]},
}


async def test_a_page_that_cannot_be_followed_can_be_asked_for_again() -> None:
    """As after any error of a page, who goes on gets the same page again."""

    def token_of(page: Page, _: str | None) -> str | None:
        if page.token == "odd":
            raise ValueError("it is odd")
        return page.token

    pages = {None: Page([1], "a"), "a": Page([2], "odd")}

    async def fetch(token: str | None) -> tuple[Page, Reply]:
        return pages[token], REPLY

    walk = aiter(Pager("test_v0.get", fetch, token_of, lambda page: page.items))
    assert await anext(walk) == 1
    with pytest.raises(DecodeError, match="it is odd"):
        await anext(walk)
    pages["a"] = Page([2])
    assert [item async for item in walk] == [2]
