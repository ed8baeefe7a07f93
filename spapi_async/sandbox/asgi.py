"""ASGI as the sandbox needs it: reading a request, sending an answer, and breaking a connection on purpose."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote_plus

from .exchange import Answer

__all__ = ["DROP", "LOST", "Receive", "Scope", "Send", "drop", "is_lost", "lifespan", "query", "read", "respond"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

DROP = "spapi_async.drop"
"""The ASGI extension by which a server lends us a function that cuts the caller's connection; `True` resets it."""

LOST = "spapi_async.lost"
"""The ASGI extension by which a server lends us a function that says whether the caller has gone away."""


async def lifespan(receive: Receive, send: Send) -> None:
    """Answer a server that tells when it starts and ends."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def read(receive: Receive) -> bytes | None:
    """Read a request's body; None when the caller went away before its end."""
    chunks = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


async def drop(scope: Scope, receive: Receive, *, is_reset: bool = False) -> None:
    """Break the caller's connection without a reply: close it, or reset it."""
    cut = scope.get("extensions", {}).get(DROP)
    if cut is None:
        import httpx  # on a port there is no use for it, and it is half of the time the sandbox takes to start

        # In-process: what httpx raises when a server resets the connection, or closes it without a reply.
        if is_reset:
            raise httpx.ReadError("the sandbox reset the connection on purpose")
        raise httpx.RemoteProtocolError("the sandbox dropped the connection on purpose")
    cut(is_reset)
    while (await receive())["type"] != "http.disconnect":
        pass


def is_lost(scope: Scope) -> bool:
    """Return whether the caller has gone away, as far as the server tells."""
    told = scope.get("extensions", {}).get(LOST)
    return told is not None and bool(told())


async def respond(send: Send, answer: Answer, request_id: str, rate: tuple[bytes, bytes] | None = None) -> None:
    """Send an answer.

    Args:
        send: Of the ASGI call.
        answer: What to send.
        request_id: Goes out as `x-amzn-RequestId`.
        rate: The header of the usage plan's rate; None for none.
    """
    headers = [
        (b"x-amzn-requestid", request_id.encode()),
        *((name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers),
    ]
    if answer.status != 204:  # which must not tell a length (RFC 9110, section 8.6)
        headers.append((b"content-length", str(len(answer.body)).encode()))
    if answer.body:
        headers.append((b"content-type", answer.media_type.encode()))
    if answer.error_type:
        headers.append((b"x-amzn-errortype", answer.error_type.encode()))
    if rate is not None:
        headers.append(rate)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def query(raw: bytes) -> dict[str, list[str]]:
    """Take a query apart: each name with its values, decoded."""
    values: dict[str, list[str]] = {}
    if raw:
        for pair in raw.decode("latin-1").split("&"):
            name, _, value = pair.partition("=")
            # A gateway reads "+" as a space, so a client that forgets to encode it is found out.
            values.setdefault(unquote_plus(name), []).append(unquote_plus(value))
    return values
