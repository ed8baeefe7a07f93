"""From what went wrong on the wire to our errors: the class, whether it may be repeated, and why it failed in words.

No text here holds a URL's path, a header or a body: they may hold tokens, ids and buyers' data.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from ..codec import parse_errors
from ..errors import (
    CallError,
    ConnectError,
    ConnectionLostError,
    ConnectTimeoutError,
    OutcomeUnknownError,
    ReadTimeoutError,
    StatusError,
    TransportError,
)
from ..operation import Call

__all__ = ["BEFORE_BEGIN", "is_repeatable", "no_reply", "outcome_unknown", "status_error"]

BEFORE_BEGIN = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
"""What a transport raises when no byte of the request can have left."""


def is_repeatable(call: Call) -> bool:
    """Whether sending the call twice does no more than sending it once."""
    operation = call.operation
    if operation.repeatable:
        return True
    if operation.idempotency_header is None:
        return False
    wanted = operation.idempotency_header.lower()
    return any(name.lower() == wanted and value for name, value in call.headers.items())


def no_reply(
    error: Exception, *, operation: str, attempt: int, begun: bool, repeatable: bool, host: str, status: int | None
) -> TransportError:
    """Make the error for an exchange without a whole reply.

    Args:
        error: What the transport raised; a `TimeoutError` when the total time was up.
        operation: As in `orders_v0.get_orders`.
        attempt: Which exchange of the call this was.
        begun: Whether any byte of the request may have left.
        repeatable: Whether the request may be sent again even so.
        host: Host and port, for the text.
        status: Of the reply, if it came that far.
    """
    late = isinstance(error, httpx.TimeoutException | TimeoutError)
    reason = _reason(error)
    kind: type[TransportError]
    if not begun:
        kind = ConnectTimeoutError if late else ConnectError
        text = f"no connection to {host}"
    else:
        kind = ReadTimeoutError if late else ConnectionLostError
        text = f"no whole reply from {host}" + (f" after its status {status}" if status else "")
        # Libraries quote, after a colon, the bytes of the reply that they stumbled over.
        reason = reason.partition(": ")[0]
    result = kind(
        f"{text}: {reason}",
        operation=operation,
        attempt=attempt,
        had_begun=begun,
        is_retry_safe=not begun or repeatable,
    )
    result.__cause__ = error
    return result


def status_error(call: Call, status: int, headers: Mapping[str, str], body: bytes) -> CallError:
    """Make the error for a reply with a status other than 2xx.

    A 429 was not executed (SP-API documentation, "Usage Plans and Rate Limits"), whatever the operation. After a 5xx,
    or a 408 (the server's own timeout), an operation that is not safe to repeat may have been done or not: the result
    is an `OutcomeUnknownError` caused by the status error. All other statuses are answers: the same request would get
    the same again.
    """
    repeatable = is_repeatable(call)
    is_open = StatusError.leaves_open(status)
    error = StatusError.of(status)(
        operation=call.operation.key,
        status=status,
        errors=parse_errors(body),
        roles=call.operation.roles,
        headers=headers,
        body=body,
        attempt=call.attempt,
        is_retry_safe=status == 429 or (is_open and repeatable),
        retry_after=_retry_after(headers),
    )
    return outcome_unknown(call, error) if is_open and not repeatable else error


def outcome_unknown(call: Call, cause: CallError) -> OutcomeUnknownError:
    """Make the error for a call that may have been done."""
    error = OutcomeUnknownError(
        f"it may have been done or not: {cause.message}",
        operation=call.operation.key,
        attempt=call.attempt,
        request_id=cause.request_id,
    )
    error.__cause__ = cause
    return error


def _reason(error: BaseException) -> str:
    """Say why, in the words of the lowest cause that has some."""
    words = str(error) or type(error).__name__
    cause: BaseException | None = error
    for _ in range(10):  # causes should not go round in circles, but nothing forbids it
        # aiohttp's errors are of the ssl module's classes too, without what those know.
        if isinstance(cause, ssl.SSLCertVerificationError) and hasattr(cause, "verify_message"):
            return f"its certificate was refused: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError) and hasattr(cause, "reason"):
            return f"TLS failed: {cause.reason or cause}"
        if isinstance(cause, socket.gaierror):
            return f"host name not found: {cause.strerror}"
        if isinstance(cause, OSError) and cause.errno:
            words = os.strerror(cause.errno)
        if isinstance(cause, BaseExceptionGroup):  # one for each address that was tried
            cause = cause.exceptions[0]
        elif cause is not None:
            cause = cause.__cause__ or cause.__context__
    return words


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After (RFC 9110, section 10.2.3): seconds, or a date that counts from the reply's own date."""
    value = headers.get("retry-after")
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
        # By the server's clock where it tells its time: ours may be off by more than the wait.
        now = parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.now(UTC)
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError):
        return None
