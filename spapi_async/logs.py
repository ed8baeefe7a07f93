"""Events as lines of the logger `spapi_async`. Nothing here configures logging: levels and handlers are yours.

A retry, a reply that is not as its model says, and what goes wrong with tokens, their store and the client secret's age
is a WARNING; a 429, a learned rate and a fetched token are INFO; the rest is DEBUG.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from .events import (
    Attempted,
    ClientSecretExpires,
    Event,
    RateLearned,
    ReplyDeviated,
    Retried,
    RowSettled,
    Throttled,
    TokenFailed,
    TokenRefreshed,
    TokenStoreFailed,
    Waited,
)

__all__ = ["log"]

_logger = logging.getLogger("spapi_async")
_SHOWN = 5  # deviations of one reply in one line; the event has all


def log(event: Event) -> None:
    """Write the event's line."""
    write = _LINES.get(type(event))
    if write is not None:
        write(event)


def _retried(event: Retried) -> None:
    _logger.warning(
        "%s: attempt %d failed (%s), next one in %.2f s", event.operation, event.attempt, event.reason, event.delay
    )


def _throttled(event: Throttled) -> None:
    _logger.info(
        "%s: throttled (429, request id %s), its turn comes again in %.2f s",
        event.operation,
        event.request_id,
        event.wait,
    )


def _rate_learned(event: RateLearned) -> None:
    _logger.info("%s: Amazon's rate is %g/s, not %g/s", event.operation, event.new, event.old)


def _reply_deviated(event: ReplyDeviated) -> None:
    shown = "; ".join(event.deviations[:_SHOWN])
    more = len(event.deviations) - _SHOWN
    _logger.warning(
        "%s: the reply is not as the model says (request id %s): %s%s",
        event.operation,
        event.request_id,
        shown,
        f"; and {more} more" if more > 0 else "",
    )


def _token_refreshed(event: TokenRefreshed) -> None:
    _logger.info("fetched a new %s token in %.2f s, valid for %.0f s", event.kind, event.elapsed, event.expires_in)


def _token_failed(event: TokenFailed) -> None:
    _logger.warning(
        "no new %s token (%s)%s%s",
        event.kind,
        event.reason,
        f", the old one can be used for {event.usable_for:.0f} s" if event.usable_for else "",
        "; it is not asked for again" if event.is_permanent else "",
    )


def _token_store_failed(event: TokenStoreFailed) -> None:
    _logger.warning("the token store failed to %s: %s", event.action, event.reason)


def _client_secret_expires(event: ClientSecretExpires) -> None:
    _logger.warning(
        "the client secret expires at %s, in %.1f days: rotate it", event.expires_at.isoformat(), event.days_left
    )


def _waited(event: Waited) -> None:
    _logger.debug("%s: waited %.3f s for its usage plan", event.operation, event.seconds)


def _attempted(event: Attempted) -> None:
    _logger.debug(
        "%s: attempt %d: %s in %.3f s (request id %s)",
        event.operation,
        event.attempt,
        event.status or "no reply",
        event.elapsed,
        event.request_id,
    )


def _row_settled(event: RowSettled) -> None:
    _logger.debug("%s: line %d: %s %s", event.kind, event.number, event.state, event.reason)


# A table and no chain of cases: every call passes here, mostly for nothing.
_LINES: dict[type[Event], Callable[[Any], None]] = {
    Retried: _retried,
    Throttled: _throttled,
    RateLearned: _rate_learned,
    ReplyDeviated: _reply_deviated,
    TokenRefreshed: _token_refreshed,
    TokenFailed: _token_failed,
    TokenStoreFailed: _token_store_failed,
    ClientSecretExpires: _client_secret_expires,
    Waited: _waited,
    Attempted: _attempted,
    RowSettled: _row_settled,
}
