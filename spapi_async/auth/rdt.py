"""Restricted data tokens (RDT): they replace the access token where a reply holds buyers' personal data.

Amazon's page “Tokens API”, https://developer-docs.amazon.com/sp-api/docs/tokens-api: one token may name a path template
(`/orders/v0/orders/{orderId}/address`), and then serves all ids of that selling partner until it expires.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import orjson

from ..errors import AuthError, CallError, ClientClosedError
from ..operation import Call, Priority, Reply, Timeouts
from .tokens import Token

__all__ = ["CreateRdt", "Resource", "fetch_rdt", "read_rdt"]

CreateRdt = Callable[[bytes, Priority, Timeouts | None], Awaitable[Reply]]
"""Calls createRestrictedDataToken with this body, through all stages, paced by its own usage plan.

It has the priority and the timeouts of the call that needs the token, but not its deadline: calls with other deadlines
wait for the same token, each for as long as its own allows, and a renewal has no call.
"""


@attrs.frozen
class Resource:
    """What one token opens.

    Args:
        method: The HTTP verb.
        path: As called, or the template for all ids.
        elements: The data elements, in alphabetical order.
    """

    method: str
    path: str
    elements: tuple[str, ...] = ()

    @classmethod
    def of(cls, call: Call) -> Resource:
        """Return what a token for this call names: the path template, for all ids, where Amazon allows."""
        path = call.operation.path if call.operation.restricted_path else call.path
        return cls(call.operation.method, path, call.restricted or ())

    @property
    def key(self) -> tuple[str, ...]:
        """What tells its token from those for other resources."""
        return (self.method, self.path, *self.elements)

    @property
    def body(self) -> bytes:
        """The body of createRestrictedDataToken."""
        told: dict[str, Any] = {"method": self.method, "path": self.path}  # Any: a list too
        if self.elements:
            told["dataElements"] = list(self.elements)
        return orjson.dumps({"restrictedResources": [told]})


async def fetch_rdt(create: CreateRdt, resource: Resource, priority: Priority, timeout: Timeouts | None) -> Token:
    """Fetch a token for one resource.

    Raises:
        AuthError: Amazon refused it, or its reply cannot be read.
        ClientClosedError: The client was closed before there was one.
    """
    try:
        reply = await create(resource.body, priority, timeout)
    except ClientClosedError:
        raise
    except CallError as error:
        raise AuthError(
            f"no restricted data token for {resource.method} {resource.path}: {error.message}",
            request_id=error.request_id,
            is_permanent=False,
        ) from error
    token = read_rdt(reply.body)
    if token is None:
        raise AuthError(
            f"the reply to the request for a restricted data token for {resource.method} {resource.path} cannot be "
            "read",
            request_id=reply.request_id,
        )
    return token


def read_rdt(body: bytes) -> Token | None:
    """Read a reply; None for one that is none. No error leaves here: its frame would show the token."""
    try:
        answer: Any = orjson.loads(body)
        answer = answer.get("payload", answer)  # the older guide wraps the answer, the model does not
        value, expires_in = answer["restrictedDataToken"], float(answer["expiresIn"])
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError):
        return None
    return Token(value=value, expires_in=expires_in) if isinstance(value, str) and value else None
