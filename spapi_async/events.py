"""What happened, as frozen classes. Each stage tells it through the `emit` it was given; nothing listens by default.

`on_event=` of the client gets every event, in the task that caused it (those of tokens come from background tasks);
what it raises is logged and changes nothing. No event holds a secret or a buyer's data.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import attrs

__all__ = [
    "Attempted",
    "ClientSecretExpires",
    "Emit",
    "Event",
    "RateLearned",
    "ReplyDeviated",
    "Retried",
    "RowSettled",
    "Throttled",
    "TokenFailed",
    "TokenRefreshed",
    "TokenStoreFailed",
    "Waited",
]


@attrs.frozen(kw_only=True)
class Event:
    """The root of all events."""


@attrs.frozen(kw_only=True)
class Waited(Event):
    """A call got its turn after waiting for its usage plan."""

    operation: str
    seconds: float
    queue_length: int
    """Calls that still waited when it got its turn."""


@attrs.frozen(kw_only=True)
class Attempted(Event):
    """One HTTP exchange ended, well or not."""

    operation: str
    attempt: int
    status: int | None
    """None without a reply."""
    elapsed: float
    """Seconds from the start of the exchange."""
    request_id: str | None


@attrs.frozen(kw_only=True)
class Throttled(Event):
    """Amazon answered 429; the call goes back to the head of its queue."""

    operation: str
    wait: float
    """Seconds until its next turn, as planned now."""
    request_id: str | None


@attrs.frozen(kw_only=True)
class RateLearned(Event):
    """`x-amzn-RateLimit-Limit` said another rate; all who wait were planned anew."""

    operation: str
    old: float
    new: float
    """Requests/s, like `old`."""


@attrs.frozen(kw_only=True)
class Retried(Event):
    """An attempt failed and the call will be sent again."""

    operation: str
    attempt: int
    """The attempt that failed."""
    delay: float
    """Seconds of backoff before the next one."""
    reason: str


@attrs.frozen(kw_only=True)
class ReplyDeviated(Event):
    """A reply is not as Amazon's model says. Only with `strict=True`."""

    operation: str
    deviations: tuple[str, ...]
    """Each a path and what is wrong there, as in `payload.Orders[3].OrderTotal.Amount: is a number, not a string`."""
    request_id: str | None


@attrs.frozen(kw_only=True)
class TokenRefreshed(Event):
    """A new token was fetched, or new AWS keys."""

    kind: str
    """`access`, `grantless` or `restricted`; `aws` for the keys of a role that signs."""
    expires_in: float
    """Seconds, as Amazon said."""
    elapsed: float
    """Seconds that fetching it took."""


@attrs.frozen(kw_only=True)
class TokenFailed(Event):
    """A token, or AWS keys, could not be fetched, after all repeats."""

    kind: str
    """As in `TokenRefreshed`."""
    reason: str
    is_permanent: bool
    """Whether it is not asked for again: the credential itself must change."""
    usable_for: float
    """Seconds for which calls can go on with the old token; 0 when there is none."""


@attrs.frozen(kw_only=True)
class TokenStoreFailed(Event):
    """The `token_store` failed, or took too long; calls went on without it."""

    action: str
    """`get`, `set` or `delete`."""
    reason: str
    """The error's class; its words stay out, since they may hold what was to be stored."""


@attrs.frozen(kw_only=True)
class ClientSecretExpires(Event):
    """The client secret ends within three weeks; told at most once a day. Only with `client_secret_created=`."""

    expires_at: datetime
    """UTC."""
    days_left: float
    """Negative when it has expired."""


@attrs.frozen(kw_only=True)
class RowSettled(Event):
    """A row of a bulk job has its outcome."""

    kind: str
    number: int
    """The row's line in its source."""
    state: str
    reason: str
    request_id: str | None
    why: str = ""
    """Of a refused row, which sort of no it is, as in `not available now`."""
    retry_from: datetime | None = None
    """Of a refused row, when it may be tried again at the earliest, if that is known."""


Emit = Callable[[Event], None]
"""Takes an event. It must return soon and not raise: it runs in the middle of the call."""
