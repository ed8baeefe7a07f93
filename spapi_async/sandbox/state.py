"""What the pretend Amazon remembers: messages, uploads, destinations, subscriptions, and the calls it had."""

from __future__ import annotations

from collections import Counter, deque
from datetime import datetime
from typing import Any

import attrs

__all__ = ["Attachment", "Call", "Message", "State", "Upload"]

_MOST_CALLS = 10_000


@attrs.frozen(kw_only=True)
class Attachment:
    """A file as a buyer received it."""

    file_name: str
    content_md5: str
    """In base64."""
    size: int
    """In bytes."""


@attrs.frozen(kw_only=True)
class Message:
    """Something a buyer received: a message, or a solicitation (whose kind is its name and whose text is "")."""

    order_id: str
    seller: str
    kind: str
    marketplace_id: str
    text: str
    attachments: tuple[Attachment, ...]
    coverage: tuple[str, str]
    """Of a warranty, its start and its end, as they came; else empty texts."""
    time: str
    """UTC, ISO 8601."""
    request_id: str


@attrs.define(kw_only=True)
class Call:
    """A call as the sandbox saw it. Moments are seconds of the sandbox's clock."""

    operation: str = "unknown"
    """As in `orders_v0.get_order`; the path of the token endpoint, `consent`, or `unknown` when there is none."""
    order_id: str = ""
    """The order in its path; "" for none."""
    seller: str = ""
    """Whose token it had; "" when it had none that counts, or one of no selling partner."""
    request_id: str
    arrived: float
    """When all of it had come, before the way in."""
    served: float | None = None
    """When it was decided, and done if that was the answer; None while it is on its way in."""
    ended: float | None = None
    """When its answer was written, or its connection cut; None while it is under way."""
    status: int = 0
    """Of its answer; 0 while there is none, and for a connection that was cut."""
    fault: str = ""
    """What was let go wrong on purpose, as in `drop-after`; "" for nothing."""
    is_lost: bool = False
    """Whether the caller had gone away before its answer. In-process nobody can tell."""


@attrs.define(kw_only=True)
class Upload:
    """An upload destination."""

    seller: str
    resource: str
    content_md5: str
    signature: str
    expires_at: float
    """Seconds on the sandbox's clock."""
    size: int | None = None
    """In bytes; None until they have arrived."""


@attrs.define
class State:
    """Everything that calls change, but tokens and usage plans.

    Attributes:
        messages: In the order they were sent.
        sent: How often each kind went to an order of a seller.
        uploads: By upload destination id.
        deliveries: When orders were delivered, by order id, for those of which it was said.
        destinations: Of notifications: client id -> destination id -> destination.
        subscriptions: Of notifications: subscription id -> owner's seller, client id, type and the subscription.
        statuses: How often each operation answered with each status; "dropped" for a connection cut on purpose.
        calls: The last 10,000, in the order in which they came.
    """

    messages: list[Message] = attrs.field(factory=list)
    sent: Counter[tuple[str, str, str]] = attrs.field(factory=Counter)
    uploads: dict[str, Upload] = attrs.field(factory=dict)
    deliveries: dict[str, datetime] = attrs.field(factory=dict)
    destinations: dict[str, dict[str, dict[str, Any]]] = attrs.field(factory=dict)
    subscriptions: dict[str, tuple[str, str, str, dict[str, Any]]] = attrs.field(factory=dict)
    statuses: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    calls: deque[Call] = attrs.field(factory=lambda: deque(maxlen=_MOST_CALLS))

    def deliver(self, message: Message) -> None:
        """Remember what a buyer received."""
        self.messages.append(message)
        self.sent[message.seller, message.order_id, message.kind] += 1
