"""Pages: what follows what, and when it ends."""

from __future__ import annotations

import attrs
import pytest

from spapi_async.errors import CallError
from spapi_async.paging import Pager

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@attrs.frozen
class Page:
    items: list[int] | None
    token: str | None = None


def make(pages: dict[str | None, Page]) -> tuple[Pager[Page, int], list[str | None]]:
    """Return a pager over pages by token, and the list of the tokens it asks for."""
    asked: list[str | None] = []

    async def fetch(token: str | None) -> Page:
        asked.append(token)
        return pages[token]

    return Pager("test_v0.get", fetch, lambda page, _: page.token, lambda page: page.items), asked


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

    async def fetch(token: str | None) -> Page:
        if token == "a" and failures:
            raise failures.pop()
        return Page([1], "a") if token is None else Page([2])

    walk = aiter(Pager("test_v0.get", fetch, lambda page, _: page.token, lambda page: page.items))
    assert await anext(walk) == 1
    with pytest.raises(CallError, match="no"):
        await anext(walk)
    assert [item async for item in walk] == [2]
