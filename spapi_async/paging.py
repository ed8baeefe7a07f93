"""Pages: following Amazon's tokens from one reply to the next."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from typing import Any, Generic, TypeVar

from .errors import CallError, DecodeError, SpapiError
from .operation import Reply

__all__ = ["Pager"]

Page = TypeVar("Page")
Item = TypeVar("Item")

Fetch = Callable[[str | None], Awaitable[tuple[Page, Reply]]]
"""Gets the page of a token, and the reply that it was read from; None for the first page."""


class Pager(Generic[Page, Item]):
    """The result of an operation that comes in pages. Nothing is sent before it is awaited or iterated.

        page = await sp.orders_v0.get_orders(...)             # the first page
        async for order in sp.orders_v0.get_orders(...): ...  # the items of all pages
        async for page in sp.orders_v0.get_orders(...).pages(): ...

    Each page is a call of its own and waits for its turn. An empty page does not end it, only a missing token does.
    Iterating again begins again.

    Args:
        operation: Named in errors, as in `orders_v0.get_orders`.
        fetch: Gets the page of a token, and the reply that it was read from; None for the first.
        token_of: Reads the token of the next page from a page and the token it was got with; None or "" when it is the
            last one. Raises ValueError where there is no telling.
        items_of: Reads the items of a page; None when it has none. Raises ValueError where they are no list. Where they
            lie in several lists side by side, a page is its own only item.
        is_eager: Whether its tokens expire so soon that all pages are fetched before the first is given. If one fails,
            those before it are given first.
    """

    def __init__(
        self,
        operation: str,
        fetch: Fetch[Page],
        token_of: Callable[[Page, str | None], str | None],
        items_of: Callable[[Page], Iterable[Item] | None],
        *,
        is_eager: bool = False,
    ) -> None:
        self._operation = operation
        self._fetch = fetch
        self._token_of = token_of
        self._items_of = items_of
        self._is_eager = is_eager

    def __await__(self) -> Generator[Any, None, Page]:
        """Get the first page."""
        return self._first().__await__()

    async def _first(self) -> Page:
        page, _ = await self._fetch(None)
        return page

    def pages(self) -> AsyncIterator[Page]:
        """Iterate over the pages.

        Raises:
            CallError: A page failed, or Amazon sent a token that was followed before, which would go on for ever.
            DecodeError: The token of the next page, or the items when these are iterated, are of another type than the
                model's.
        """
        return self._pages()

    def _pages(self) -> _Pages[Page]:
        return _Pages(self._operation, self._fetch, self._token_of, is_eager=self._is_eager)

    def __aiter__(self) -> AsyncIterator[Item]:
        """Iterate over the items of all pages. Raises as `pages` does."""
        return _Items(self._pages(), self._items_of)


# Classes, not generators: an asynchronous generator that a `break` leaves half-way has to be closed by its user (trio
# warns if it is not), while these hold nothing that needs closing.


class _Pages(Generic[Page]):
    def __init__(
        self,
        operation: str,
        fetch: Fetch[Page],
        token_of: Callable[[Page, str | None], str | None],
        *,
        is_eager: bool,
    ) -> None:
        self._operation = operation
        self._fetch = fetch
        self._token_of = token_of
        self._is_eager = is_eager
        self._ahead: deque[tuple[Page, Reply]] = deque()
        self._failure: SpapiError | None = None
        self._followed: set[str] = set()
        self._token: str | None = None
        self._is_last = False
        self._reply: Reply | None = None

    def __aiter__(self) -> _Pages[Page]:
        return self

    async def __anext__(self) -> Page:
        if self._is_eager:
            await self._fetch_rest()
            if not self._ahead and self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
        if self._ahead:
            page, self._reply = self._ahead.popleft()
        elif self._is_last:
            raise StopAsyncIteration
        else:
            page, self._reply = await self._next()
        return page

    async def _fetch_rest(self) -> None:
        while not self._is_last and self._failure is None:
            try:
                self._ahead.append(await self._next())
            except SpapiError as error:
                self._failure = error

    async def _next(self) -> tuple[Page, Reply]:
        if self._token in self._followed:
            raise CallError(
                "the token of the next page was followed before: the pages would never end",
                operation=self._operation,
                is_retry_safe=False,
            )
        page, reply = await self._fetch(self._token)
        try:
            token = self._token_of(page, self._token) or None
        except ValueError as error:
            self._reply = reply
            raise self.unreadable(error) from None
        if self._token is not None:
            self._followed.add(self._token)  # only now: who goes on after an error gets the page that failed
        self._token = token
        self._is_last = token is None
        return page, reply

    def unreadable(self, why: ValueError) -> DecodeError:
        """Make the error for the last page: its model holds what Amazon sent, and that cannot be followed."""
        reply = self._reply
        assert reply is not None
        return DecodeError(
            str(why),
            operation=self._operation,
            body=reply.body,
            request_id=reply.request_id,
            is_retry_safe=True,  # what comes in pages is only read
        )


class _Items(Generic[Page, Item]):
    def __init__(self, pages: _Pages[Page], items_of: Callable[[Page], Iterable[Item] | None]) -> None:
        self._pages = pages
        self._items_of = items_of
        self._items: Iterator[Item] = iter(())

    def __aiter__(self) -> _Items[Page, Item]:
        return self

    async def __anext__(self) -> Item:
        while True:
            for item in self._items:
                return item
            page = await anext(self._pages)
            try:
                self._items = iter(self._items_of(page) or ())
            except ValueError as error:
                raise self._pages.unreadable(error) from None
