"""The six kinds of buyer message that are made of a text alone: one table, and what is the same for all of them.

Limits are those of Amazon's Messaging model; that a text may hold neither HTML nor an e-mail address is said in the
description of its operations: https://developer-docs.amazon.com/sp-api/docs/messaging-api-v1-reference. Pure.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

import attrs
import orjson

from ...apis.messaging_v1.operations import (
    CONFIRM_CUSTOMIZATION_DETAILS,
    CREATE_CONFIRM_DELIVERY_DETAILS,
    CREATE_CONFIRM_ORDER_DETAILS,
    CREATE_CONFIRM_SERVICE_DETAILS,
    CREATE_DIGITAL_ACCESS_KEY,
    CREATE_UNEXPECTED_PROBLEM,
    GET_MESSAGING_ACTIONS_FOR_ORDER,
)
from ...errors import ConfigError
from ...marketplaces import Marketplace, Region
from ...operation import Call, Operation, Priority, Reply
from ..row import Row

__all__ = ["KINDS", "Kind", "Mistake", "find_kind"]


@attrs.frozen
class Mistake:
    """What is wrong with one field of a row, and what helps.

    Args:
        field: The column; "" when the whole line is meant.
        reason: What is wrong. It never repeats the text.
        cure: What helps.
    """

    field: str
    reason: str
    cure: str

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        return f"{where}{self.reason} ({self.cure})"


@attrs.frozen(kw_only=True)
class Kind:
    """One kind of message.

    Args:
        name: Amazon's name for it, as the actions of an order give it.
        operation: The operation that sends it.
        longest: The most characters its text may have.
    """

    name: str
    operation: Operation
    longest: int

    check: Operation = GET_MESSAGING_ACTIONS_FOR_ORDER
    """The operation that tells whether it may be sent for an order now."""
    columns: tuple[str, ...] = ("order_id", "marketplace_id", "text")
    """The columns a source must have."""

    def mistakes(self, fields: Mapping[str, str], region: Region | None = None) -> Sequence[Mistake]:
        """List everything that is wrong with the columns of one row.

        Args:
            fields: The columns by name.
            region: The region the job sends to; None when that is not known, so marketplaces of all are right.
        """
        return [
            *_order_id(fields["order_id"]),
            *_key(fields.get("key", "")),
            *_marketplace(fields["marketplace_id"], region),
            *_text(fields["text"], self.longest),
        ]

    def row(self, number: int, fields: Mapping[str, str]) -> Row:
        """Make a row of columns that have no mistakes. The text stays as it is, to the last blank."""
        return Row(
            number=number,
            kind=self.name,
            order_id=fields["order_id"].strip(),
            key=fields.get("key", "").strip(),
            body={"marketplace_id": fields["marketplace_id"].strip(), "text": fields["text"]},
        )

    def call(self, row: Row) -> Call:
        """Make the call that sends the row's message."""
        body = orjson.dumps({"text": row.body["text"]})
        return self._call(self.operation, row, body)

    def check_call(self, row: Row) -> Call:
        """Make the call that asks what may be sent for the row's order."""
        return self._call(self.check, row)

    def is_offered(self, reply: Reply) -> bool:
        """Whether Amazon's answer to the check offers this kind for the order now.

        The names stand under `_links.actions`; an empty or missing list means that nothing can be sent.

        Raises:
            ValueError: The answer cannot be read.
        """
        try:
            actions = orjson.loads(reply.body)["_links"].get("actions") or ()
            return any(action["name"] == self.name for action in actions)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ValueError(f"Amazon's answer to {self.check.operation_id} cannot be read") from None

    @staticmethod
    def _call(operation: Operation, row: Row, body: bytes = b"") -> Call:
        call = operation.call(
            path={"amazonOrderId": row.order_id}, query=[("marketplaceIds", row.body["marketplace_id"])], body=body
        )
        # A service's own calls for the same usage plan go first.
        return attrs.evolve(call, priority=Priority.BULK)


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(name="confirmCustomizationDetails", operation=CONFIRM_CUSTOMIZATION_DETAILS, longest=800),
        Kind(name="confirmDeliveryDetails", operation=CREATE_CONFIRM_DELIVERY_DETAILS, longest=2000),
        Kind(name="confirmOrderDetails", operation=CREATE_CONFIRM_ORDER_DETAILS, longest=2000),
        Kind(name="confirmServiceDetails", operation=CREATE_CONFIRM_SERVICE_DETAILS, longest=2000),
        Kind(name="digitalAccessKey", operation=CREATE_DIGITAL_ACCESS_KEY, longest=400),
        Kind(name="unexpectedProblem", operation=CREATE_UNEXPECTED_PROBLEM, longest=2000),
    )
}
"""Every kind by its name."""


def find_kind(name: str) -> Kind:
    """Return the kind of a name.

    Raises:
        ConfigError: There is none; the message lists them and names the nearest.
    """
    if name in KINDS:
        return KINDS[name]
    by_lower = {known.lower(): known for known in KINDS}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    hint = f" Did you mean {by_lower[near[0]]}?" if near else ""
    raise ConfigError(f"no kind is called {name!r}.{hint} There are: {', '.join(KINDS)}")


_MARKETPLACES = frozenset(member.value for member in Marketplace)
_ORDER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
# A tag, an opened comment or doctype, or an entity; "a < b", "<3" and "AT&T" are none.
_HTML = re.compile(
    r"</?[a-z][a-z0-9-]*\s*/?>|<[a-z][a-z0-9-]*\s[^<>]{0,200}=|<!(?:--|doctype)"
    r"|&(?:amp|lt|gt|quot|apos|nbsp|#[0-9]{1,7}|#x[0-9a-f]{1,6});",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"[^\s@][@＠]\w[\w-]*(?:\.\w[\w-]*)+")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def _order_id(value: str) -> Sequence[Mistake]:
    value = value.strip()
    if not value:
        return [Mistake("order_id", "is missing", "give the order's id, as in 902-1845936-5435065")]
    if not _ORDER_ID.fullmatch(value):
        return [Mistake("order_id", f"{value[:70]!r} is no order id", "it looks like 902-1845936-5435065")]
    return []


def _key(value: str) -> Sequence[Mistake]:
    if len(value) > 100 or _CONTROL.search(value):
        return [Mistake("key", "is no plain text of up to 100 characters", "take a short word or a number")]
    return []


def _marketplace(value: str, region: Region | None) -> Sequence[Mistake]:
    value = value.strip()
    if value in _MARKETPLACES:
        actual = Marketplace(value).region
        if region in (None, actual):
            return []
        reason = f"{value} belongs to the region {actual.value}, and the job sends to {region.value}"
        return [Mistake("marketplace_id", reason, f"send it by a job of its own, with --region {actual.value}")]
    if not value:
        return [Mistake("marketplace_id", "is missing", "give Amazon's id, as in A1PA6795UKMFR9 for Germany")]
    member = Marketplace.__members__.get(value.upper())
    cure = (
        f"the id of {value.upper()} is {member.value}"
        if member
        else "https://developer-docs.amazon.com/sp-api/docs/marketplace-ids lists them"
    )
    return [Mistake("marketplace_id", f"{value[:40]!r} is no marketplace id that Amazon lists", cure)]


def _text(value: str, longest: int) -> Sequence[Mistake]:
    if not value.strip():
        return [Mistake("text", "is empty", "write what the buyer is to read")]
    mistakes = []
    if len(value) > longest:
        mistakes.append(
            Mistake(
                "text",
                f"has {len(value)} characters, and Amazon takes {longest}",
                f"cut {len(value) - longest} characters",
            )
        )
    if _HTML.search(value):
        mistakes.append(Mistake("text", "holds HTML", "write plain text; Amazon refuses tags and entities"))
    if _EMAIL.search(value):
        mistakes.append(Mistake("text", "holds an e-mail address", "take it out; Amazon refuses it"))
    if _CONTROL.search(value):
        mistakes.append(Mistake("text", "holds a control character", "type the text anew in a plain editor"))
    return mistakes
