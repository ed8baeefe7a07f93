"""Upload destinations: a place at Amazon for some bytes, which go there in one PUT, and the id to name them by.

Two steps, and a rule between them: what to do when the second one fails. The URL of the first holds for 15 minutes;
when it has expired, or the storage refuses it, both steps are done anew. Both are harmless to repeat: what nobody names
is never seen by anybody.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Any, Protocol

import anyio
import attrs
import orjson

from .apis.uploads_2020_11_01.operations import CREATE_UPLOAD_DESTINATION_FOR_RESOURCE
from .errors import CallError, DecodeError, TransferError, TransportError
from .operation import Call, Priority, Reply
from .retry import RetryPolicy

__all__ = ["LIFETIME", "Again", "Destination", "Transfer", "after", "content_md5", "upload"]

LIFETIME = 900.0
"""Seconds that the URL of a destination holds (Amazon's Uploads API use case guide)."""

# Expiry is looked at before the request leaves, and must still be ahead when it arrives.
_MARGIN = 30.0


class Transfer(Protocol):
    """`SellingPartner.transfer`."""

    def __call__(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b"", *, attempt: int = 1
    ) -> Awaitable[Reply]:
        """Exchange bytes with the storage behind a presigned URL."""


class Again(StrEnum):
    """What to do after a PUT that failed."""

    SAME_URL = "same URL"
    NEW_URL = "new URL"
    NOT = "not again"


def after(error: CallError) -> Again:
    """Say what to do after a PUT that failed."""
    if isinstance(error, TransportError):
        return Again.SAME_URL
    if not isinstance(error, TransferError):
        return Again.NOT
    if error.status >= 500 or error.status in (408, 429) or error.code in ("RequestTimeout", "SlowDown"):
        return Again.SAME_URL
    # 403: it has expired, or its signature is refused; 404: the place is gone. What else is refused is wrong in itself.
    return Again.NEW_URL if error.status in (403, 404) else Again.NOT


@attrs.frozen(kw_only=True)
class Destination:
    """An upload destination.

    Args:
        id: By which a message names what is there.
        url: Presigned; whoever has it may use it.
        headers: What the PUT must have, exactly.
        expires_at: Seconds of the clock.
    """

    id: str
    url: str = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(repr=False)
    expires_at: float

    @classmethod
    def of(cls, reply: Reply, now: float) -> Destination:
        """Read Amazon's answer.

        Args:
            reply: The answer.
            now: When it was asked for, in seconds of the clock.

        Raises:
            DecodeError: It cannot be read.
        """
        try:
            payload: Any = orjson.loads(reply.body)["payload"]  # Any: JSON
            headers = payload.get("headers") or {}
            parts = [payload["uploadDestinationId"], payload["url"], *headers, *headers.values()]
            if not all(isinstance(part, str) for part in parts):
                raise TypeError("no strings")
        except (AttributeError, KeyError, TypeError, ValueError):
            # Without its cause and its body, which hold the URL.
            raise DecodeError(
                "the upload destination in Amazon's answer cannot be read",
                operation=CREATE_UPLOAD_DESTINATION_FOR_RESOURCE.key,
                body=b"",
                request_id=reply.request_id,
                is_retry_safe=True,
            ) from None
        return cls(id=parts[0], url=parts[1], headers=headers, expires_at=now + LIFETIME)


def content_md5(content: bytes) -> str:
    """Return the MD5 of some bytes as Amazon wants it: the 16 bytes in base64, not the hexadecimal digits."""
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode("ascii")


async def upload(
    send: Callable[[Call], Awaitable[Reply]],
    transfer: Transfer,
    *,
    resource: str,
    marketplace_id: str,
    md5: str,
    content: Callable[[], AbstractAsyncContextManager[bytes]],
    random: Callable[[], float],
    policy: RetryPolicy | None = None,
    priority: Priority = Priority.NORMAL,
    clock: Callable[[], float] = anyio.current_time,
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
) -> str:
    """Upload some bytes for a resource.

    Args:
        send: `SellingPartner.send`.
        transfer: `SellingPartner.transfer`.
        resource: What they are for: the path of the operation that will name them, without a slash in front.
        marketplace_id: Of that operation too.
        md5: Of the bytes, from `content_md5`.
        content: Gives the bytes for the time of a PUT; asked when the destination is there, so that nothing waits for
            a usage plan with megabytes in its hand.
        random: A number from 0 up to 1, drawn evenly, for the waits.
        policy: How often, and after which waits, a PUT that failed is made again. None for the default.
        priority: Who goes first at the usage plan.
        clock: Seconds.
        sleep: Waits seconds.

    Returns:
        The id of the upload destination.

    Raises:
        AuthError: There is no token.
        CallError: Amazon gave no destination, or its storage did not take the bytes.
        ConfigError: As of `send`.
    """
    policy = policy or RetryPolicy()
    call = CREATE_UPLOAD_DESTINATION_FOR_RESOURCE.call(
        path={"resource": resource}, query=[("marketplaceIds", marketplace_id), ("contentMD5", md5)]
    )
    call = attrs.evolve(call, priority=priority)
    destination: Destination | None = None
    attempt = 0
    while True:
        attempt += 1
        if destination is None or clock() >= destination.expires_at - _MARGIN:
            reply = await send(call)
            destination = Destination.of(reply, clock() - reply.elapsed)
        try:
            async with content() as body:
                await transfer("PUT", destination.url, destination.headers, body, attempt=attempt)
        except (TransferError, TransportError) as error:
            again = after(error)
            if again is Again.NOT or attempt >= policy.max_attempts:
                raise
            if again is Again.NEW_URL:
                destination = None
            await sleep(random() * policy.limit(attempt))
        else:
            return destination.id
