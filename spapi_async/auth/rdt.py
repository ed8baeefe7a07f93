"""Restricted data tokens (RDT): they replace the access token where a reply holds buyers' personal data.

Amazon's page “Tokens API”, https://developer-docs.amazon.com/sp-api/docs/tokens-api: one token may name a path template
(`/orders/v0/orders/{orderId}/address`), and then serves all ids of that selling partner until it expires.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from ..errors import AuthError, CallError, ClientClosedError
from ..operation import Call, Reply
from .tokens import Token

__all__ = ["CreateRdt", "fetch_rdt", "resource"]

CreateRdt = Callable[[bytes], Awaitable[Reply]]
"""Calls createRestrictedDataToken with this body, through all stages, paced by its own usage plan."""


def resource(call: Call) -> tuple[str, str]:
    """Return the method and path that a token for this call names: the template, for all ids, where Amazon allows."""
    return call.operation.method, call.operation.path if call.operation.restricted_path else call.path


async def fetch_rdt(create: CreateRdt, method: str, path: str) -> Token:
    """Fetch a token for one resource.

    Raises:
        AuthError: Amazon refused it, or its reply cannot be read.
        ClientClosedError: The client was closed before there was one.
    """
    body = orjson.dumps({"restrictedResources": [{"method": method, "path": path}]})
    try:
        reply = await create(body)
    except ClientClosedError:
        raise
    except CallError as error:
        raise AuthError(
            f"no restricted data token for {method} {path}: {error.message}",
            request_id=error.request_id,
            is_permanent=False,
        ) from error
    token = _read(reply.body)
    if token is None:
        raise AuthError(
            f"the reply to the request for a restricted data token for {method} {path} cannot be read",
            request_id=reply.request_id,
        )
    return token


def _read(body: bytes) -> Token | None:
    """Read a reply; None for one that is none. No error leaves here: its frame would show the token."""
    try:
        answer: Any = orjson.loads(body)
        answer = answer.get("payload", answer)  # the older guide wraps the answer, the model does not
        value, expires_in = answer["restrictedDataToken"], float(answer["expiresIn"])
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError):
        return None
    return Token(value=value, expires_in=expires_in) if isinstance(value, str) and value else None
