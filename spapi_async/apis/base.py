"""What every generated class builds on: making the call, reading the reply, following the pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

import attrs

from ..codec import decode, decode_list, decode_object, load, parse_errors, read_number
from ..errors import DecodeError, StatusError
from ..operation import Call, Operation, Reply
from ..paging import Pager
from .arguments import get, make_call, put
from .raw import RawResponse

if TYPE_CHECKING:
    from .deviations import Deviation

    Report = Callable[[Operation, Reply, list[Deviation]], None]

__all__ = ["Api", "Paging"]

T = TypeVar("T")
Page = TypeVar("Page")
Item = TypeVar("Item")


@attrs.frozen
class Paging:
    """How the pages of an operation follow each other.

    Args:
        argument: The argument that takes the token, or attributes that lead to its place in the body.
        token: Attributes that lead from a page to the token of the next one.
        items: Attributes that lead from a page to its items; none where they lie in several lists side by side.
        keep: The arguments that are sent with the token; None for all.
        is_eager: Whether the token expires so soon that all pages are fetched before the first is given.
        is_total: Whether `token` leads to the number of all items, and the token is an offset.
        switch: Arguments that have another value when a token is sent.
        follow: The operation that gets the pages after the first, where it is another one.
    """

    argument: tuple[str, ...]
    token: tuple[str, ...]
    items: tuple[str, ...] = ()
    keep: tuple[str, ...] | None = None
    is_eager: bool = False
    is_total: bool = False
    switch: Mapping[str, str] = attrs.field(factory=dict)
    follow: Operation | None = None

    def arguments(self, operation: Operation, given: Mapping[str, Any], token: str) -> dict[str, Any]:
        """Return the arguments of a page after the first."""
        known = {parameter.argument for parameter in operation.parameters}
        known = known if self.keep is None else known & set(self.keep)
        if operation.restricted == "optional":
            known.add("restricted")  # no parameter: it asks for a token, for each page
        kept = {name: value for name, value in given.items() if name in known}
        name, *place = self.argument
        value: Any = token if not place else put(operation, given[name], place, int(token) if self.is_total else token)
        return {**kept, **self.switch, name: value}

    def token_of(self, operation: Operation, given: Mapping[str, Any], page: Any, token: str | None) -> str | None:
        """Return the token of the page after this one.

        Raises:
            ValueError: It, or what it is counted from, is of another type than the model's.
        """
        found = _follow(self.token, page)
        if not self.is_total:
            if found is not None and (isinstance(found, bool) or not isinstance(found, str | int)):
                raise ValueError(f"the token of its next page is no text, but of the type {type(found).__name__}")
            return found if found is None else str(found)
        name, *place = self.argument
        here = int(token) if token is not None else get(operation, given[name], place) or 0
        items = self.items_of(page)
        total = read_number(found)
        if total is not None and not isinstance(total, int | float):
            raise ValueError(f"the number of all items is no number, but of the type {type(found).__name__}")
        if not total or not items or here + len(items) >= total:
            return None
        return str(here + len(items))

    def items_of(self, page: Any) -> list[Any] | None:
        """Return the items of a page.

        Raises:
            ValueError: They are no list.
        """
        items = _follow(self.items, page)
        if items is not None and not isinstance(items, list):
            # A model keeps a value of another type as it is, and some of these can be iterated: a text by its letters.
            raise ValueError(f"the items of its page are no list, but of the type {type(items).__name__}")
        return items


class Api:
    """One API version of Amazon's.

    Args:
        send: Sends a call through all stages.
        validate: False sends also arguments that break the operation's rules, as long as they can be written at all.
        report: Is told where replies are not as their model says; None does not compare them.
    """

    def __init__(
        self, send: Callable[[Call], Awaitable[Reply]], *, validate: bool = True, report: Report | None = None
    ) -> None:
        self._send = send
        self._validate = validate
        self._report = report
        self._is_raw = False

    def as_raw(self) -> Self:
        """Return a copy whose methods give a `RawResponse`; the generated `...WithRawResponse` types them so."""
        other = copy(self)
        other._is_raw = True
        return other

    # The arguments are Any here: the generated methods have typed them, and `make_call` checks what they really are.
    # Some are called `operation` too, hence the slash.

    async def _call(self, operation: Operation, result: type[T], /, **arguments: Any) -> T:
        """Make a call whose reply is a model."""
        reply = await self._exchange(operation, arguments)
        return self._result(operation, reply, result, partial(_read_model, operation, result))

    async def _call_or_none(self, operation: Operation, result: type[T], /, **arguments: Any) -> T | None:
        """Make a call whose reply is a model, or nothing (204)."""
        reply = await self._exchange(operation, arguments)
        wanted = None if reply.status == 204 else result
        return self._result(operation, reply, wanted, partial(_read_model_or_none, operation, wanted))

    async def _call_list(self, operation: Operation, item: type[T], /, **arguments: Any) -> list[T]:
        """Make a call whose reply is a list of models."""
        reply = await self._exchange(operation, arguments)
        return self._result(operation, reply, list[item], partial(_read_list, operation, item))  # type: ignore[valid-type]

    async def _call_object(self, operation: Operation, /, **arguments: Any) -> dict[str, Any]:
        """Make a call whose reply is an object without a model."""
        reply = await self._exchange(operation, arguments)
        return self._result(operation, reply, dict[str, Any], partial(_read_object, operation))

    async def _call_by_status(self, operation: Operation, results: Mapping[int, type[T]], /, **arguments: Any) -> T:
        """Make a call whose reply is another model for each status; an unknown status is read as the first."""
        reply = await self._exchange(operation, arguments)
        result = results.get(reply.status) or next(iter(results.values()))
        return self._result(operation, reply, result, partial(_read_model, operation, result))

    async def _call_without_reply(self, operation: Operation, /, **arguments: Any) -> None:
        """Make a call whose reply has no body, or none that its model tells of."""
        reply = await self._exchange(operation, arguments)
        return self._result(operation, reply, None, partial(_read_nothing, operation))

    def _exchange(self, operation: Operation, arguments: Mapping[str, Any]) -> Awaitable[Reply]:
        return self._send(make_call(operation, arguments, validate=self._validate))

    def _pages(
        self, operation: Operation, result: type[Page], item: type[Item], paging: Paging, /, **arguments: Any
    ) -> Pager[Page, Item]:
        """Make a pager; the first call is made when it is awaited or iterated."""

        async def fetch(token: str | None) -> tuple[Page, Reply]:
            follow, given = operation, arguments
            if token is not None:
                follow = paging.follow or operation
                given = paging.arguments(follow, arguments, token)
            reply = await self._exchange(follow, given)
            return self._result(follow, reply, result, partial(_read_model, follow, result)), reply

        async def first() -> Page:
            page, _ = await fetch(None)
            return page

        if self._is_raw:
            return cast("Pager[Page, Item]", first())  # one page: there are no items to iterate over in raw replies
        items_of = paging.items_of if paging.items else cast("Callable[[Page], list[Item]]", _alone)
        token_of = partial(paging.token_of, operation, arguments)
        return Pager(operation.key, fetch, token_of, items_of, is_eager=paging.is_eager)

    def _result(self, operation: Operation, reply: Reply, type_: Any, read: Callable[[Reply], T]) -> T:
        if self._report is not None:
            self._compare(operation, reply, type_)
        if self._is_raw:
            return cast("T", RawResponse(operation, reply, read))
        return read(reply)

    def _compare(self, operation: Operation, reply: Reply, type_: Any) -> None:
        from .deviations import deviations

        assert self._report is not None
        try:
            content = load(reply.body, operation=operation.key, request_id=reply.request_id)
            if content is None and hasattr(type_, "__wire__"):
                content = {}  # as which an empty body is read
            found = deviations(type_, content) if type_ is not None and content is not None else []
        except (DecodeError, RecursionError):
            return  # reading it raises that, where the caller sees it
        if found:
            self._report(operation, reply, found)


def _follow(path: tuple[str, ...], value: Any) -> Any:  # Any: a step may be missing in a reply
    for name in path:
        value = getattr(value, name, None)
    return value


def _alone(page: Page) -> list[Page]:
    return [page]


def _read_list(operation: Operation, item: type[T], reply: Reply) -> list[T]:
    _refuse_errors(operation, reply)
    return _decoded(partial(decode_list, item), operation, reply)


def _read_object(operation: Operation, reply: Reply) -> dict[str, Any]:
    _refuse_errors(operation, reply)
    return _decoded(decode_object, operation, reply)


def _read_nothing(operation: Operation, reply: Reply) -> None:
    _refuse_errors(operation, reply)


def _read_model_or_none(operation: Operation, result: type[T] | None, reply: Reply) -> T | None:
    return None if result is None else _read_model(operation, result, reply)


def _read_model(operation: Operation, result: type[T], reply: Reply) -> T:
    """Read a reply into a model.

    Raises:
        DecodeError: It is no JSON object.
        StatusError: It holds errors and nothing else: some older operations fail with a 2xx status.
    """
    model = _decoded(partial(decode, result), operation, reply)
    others = _beside_errors(cast("Any", result))
    # `errors` alone is a failure; beside a payload it is a part of the reply, and stays in the model.
    if others is None:
        if "errors" not in cast("Any", result).__wire__:
            _refuse_errors(operation, reply)
    elif all(getattr(model, name) is None for name in others):
        _raise_errors(operation, reply)
    return model


def _refuse_errors(operation: Operation, reply: Reply) -> None:
    """Raise the errors of a reply that holds nothing else, though its model has no place for any.

    Raises:
        StatusError: It does.
    """
    if b'"errors"' not in reply.body[:32]:  # where it is the only name, it comes first
        return
    try:
        content = load(reply.body, operation=operation.key)
    except DecodeError:
        return  # reading it raises that, if anybody reads it
    if isinstance(content, dict) and content.keys() == {"errors"}:
        _raise_errors(operation, reply)


def _raise_errors(operation: Operation, reply: Reply) -> None:
    problems = parse_errors(reply.body)
    if problems:
        raise StatusError(
            operation=operation.key,
            status=reply.status,
            errors=problems,
            headers=reply.headers,
            body=reply.body,
            is_retry_safe=operation.repeatable,
        )


def _decoded(read: Callable[..., T], operation: Operation, reply: Reply) -> T:
    try:
        return read(reply.body, operation=operation.key, request_id=reply.request_id)
    except DecodeError as error:
        error.is_retry_safe = operation.repeatable  # the codec knows operations by their names only
        raise


@cache
def _beside_errors(result: Any) -> tuple[str, ...] | None:  # Any: a generated class, with its facts in class variables
    """Name the attributes without which `errors` are all there is; None where errors are what was asked for."""
    names = tuple(result.__wire__)
    if "errors" not in names or "errors" in getattr(result, "__required__", ()):
        return None
    return ("payload",) if "payload" in names else tuple(name for name in names if name != "errors")
