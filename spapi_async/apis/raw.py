"""A reply as it came, with its status and headers; and the methods that give it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Generic, ParamSpec, TypeVar, cast

import attrs

from ..codec import load
from ..operation import Operation, Reply

__all__ = ["RawResponse", "raw"]

T = TypeVar("T")
P = ParamSpec("P")


@attrs.frozen(repr=False)
class RawResponse(Generic[T]):
    """A 2xx reply as it came. Other statuses are raised, as without it.

    reply = await sp.with_raw_response.orders_v0.get_orders(marketplace_ids=[...])
    reply.rate_limit, reply.json()["payload"]
    orders = reply.parse().payload.orders
    """

    _operation: Operation
    _reply: Reply
    _read: Callable[[Reply], T]

    def __repr__(self) -> str:
        return f"<RawResponse {self.status} of {self._operation.key}, request id {self.request_id}>"

    @classmethod
    def plain(cls, operation: Operation, reply: Reply) -> RawResponse[Any]:
        """Make one of a reply without a model: `parse` gives what `json` gives."""
        return RawResponse(
            operation, reply, lambda reply: load(reply.body, operation=operation.key, request_id=reply.request_id)
        )

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._reply.status

    @property
    def headers(self) -> Mapping[str, str]:
        """With lower-case names."""
        return self._reply.headers

    @property
    def request_id(self) -> str | None:
        """Amazon's `x-amzn-RequestId`, the id its support asks for; None without one."""
        return self._reply.request_id

    @property
    def rate_limit(self) -> float | None:
        """Requests/s, from `x-amzn-RateLimit-Limit`; None without it, or where it is no number above 0."""
        return self._reply.rate_limit

    @property
    def elapsed(self) -> float:
        """Seconds from the start of the exchange to the last byte."""
        return self._reply.elapsed

    @property
    def content(self) -> bytes:
        """The body, after content decoding (gzip and its like)."""
        return self._reply.body

    def json(self) -> Any:  # Any: what JSON may hold
        """Return the body as plain data, fields that the model does not have included; None for an empty body.

        Raises:
            DecodeError: It is no JSON.
        """
        return load(self.content, operation=self._operation.key, request_id=self.request_id)

    def parse(self) -> T:
        """Return what the method returns without `with_raw_response`; of a paginated one, this page.

        Raises:
            DecodeError: The body is not what the operation sends.
            StatusError: It holds errors and nothing else: some older operations fail with a 2xx status.
        """
        return self._read(self._reply)


def raw(method: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, RawResponse[T]]]:
    """Tell the type checker what a method of an `Api` gives that was made by `Api.as_raw`."""
    return cast("Callable[P, Coroutine[Any, Any, RawResponse[T]]]", method)
