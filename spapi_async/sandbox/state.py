"""What the pretend Amazon remembers: messages, uploads, destinations, subscriptions, and counts of calls."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

import attrs

__all__ = ["Attachment", "Message", "State", "Upload"]


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
    """

    messages: list[Message] = attrs.field(factory=list)
    sent: Counter[tuple[str, str, str]] = attrs.field(factory=Counter)
    uploads: dict[str, Upload] = attrs.field(factory=dict)
    deliveries: dict[str, datetime] = attrs.field(factory=dict)
    destinations: dict[str, dict[str, dict[str, Any]]] = attrs.field(factory=dict)
    subscriptions: dict[str, tuple[str, str, str, dict[str, Any]]] = attrs.field(factory=dict)
    statuses: Counter[tuple[str, str]] = attrs.field(factory=Counter)

    def deliver(self, message: Message) -> None:
        """Remember what a buyer received."""
        self.messages.append(message)
        self.sent[message.seller, message.order_id, message.kind] += 1
