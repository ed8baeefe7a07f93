"""A kind of row: what columns it has, how they are checked, and which calls a row of it becomes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import orjson

from ...apis.messaging_v1.operations import GET_ATTRIBUTES, GET_MESSAGING_ACTIONS_FOR_ORDER
from ...marketplaces import Region
from ...operation import Call, Operation, Priority, Reply
from ..row import Row
from . import attachments
from .columns import Mistake, check_key, check_marketplace, check_order_id, check_period, check_text, instant

__all__ = ["Kind", "Uploaded"]


@attrs.frozen
class Uploaded:
    """An attachment that Amazon has: the id of its upload destination, and the name for the buyer."""

    upload_id: str
    name: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Kind:
    """One kind of message, or of solicitation.

    Args:
        name: Amazon's name for it, as the actions of an order give it.
        operation: The operation that sends it.
        longest: The most characters its text may have; 0 when it takes none.
        attachments: The fewest and the most files it takes.
        period: Two columns of times, the earlier first, each with its name in the request; "" for one that is not sent.
        once: Whether Amazon takes one for an order and never another.
        check: The operation that tells whether it may be sent for an order now.
    """

    name: str
    operation: Operation
    longest: int = 0
    attachments: tuple[int, int] = (0, 0)
    period: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    once: bool = False
    check: Operation = GET_MESSAGING_ACTIONS_FOR_ORDER

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns a source must have."""
        fewest, _ = self.attachments
        text = ("text",) if self.longest else ()
        return ("order_id", "marketplace_id", *text, *((attachments.COLUMN,) if fewest else ()))

    @property
    def optional(self) -> tuple[str, ...]:
        """The columns a source may have besides, of this kind alone."""
        fewest, most = self.attachments
        return (*((attachments.COLUMN,) if most and not fewest else ()), *self.period)

    def mistakes(self, fields: Mapping[str, str], region: Region | None = None) -> Sequence[Mistake]:
        """List everything that is wrong with the columns of one row; files are not looked at.

        Args:
            fields: The columns by name.
            region: The region the job sends to; None when that is not known, so marketplaces of all are right.
        """
        return [
            *check_order_id(fields["order_id"]),
            *check_key(fields.get("key", ""), once=self.once),
            *check_marketplace(fields["marketplace_id"], region),
            *(check_text(fields["text"], self.longest) if self.longest else ()),
            *self._attachment_mistakes(fields),
            *(check_period(fields, *self.period) if self.period else ()),
        ]

    def _attachment_mistakes(self, fields: Mapping[str, str]) -> Sequence[Mistake]:
        try:
            count = len(attachments.read(fields.get(attachments.COLUMN, "")))
        except ValueError as error:
            cure = "separate paths by “;”, and put the name for the buyer behind a “|”"
            return [Mistake(attachments.COLUMN, str(error), cure)]
        return attachments.check_count(count, *self.attachments)

    def row(self, number: int, fields: Mapping[str, str]) -> Row:
        """Make a row of columns that have no mistakes. The text stays as it is, to the last blank."""
        body = {"marketplace_id": fields["marketplace_id"].strip()}
        if self.longest:
            body["text"] = fields["text"]
        for column in (attachments.COLUMN, *self.period):
            if value := fields.get(column, "").strip():
                body[column] = value
        return Row(
            number=number,
            kind=self.name,
            order_id=fields["order_id"].strip(),
            key=fields.get("key", "").strip(),
            body=body,
        )

    def call(self, row: Row, uploaded: Sequence[Uploaded] = ()) -> Call:
        """Make the call that sends the row.

        Args:
            row: The row.
            uploaded: Its attachments, which Amazon must have by now.
        """
        content: dict[str, object] = {"text": row.body["text"]} if self.longest else {}
        for column, name in self.period.items():
            if name and column in row.body:
                content[name] = instant(row.body[column]).isoformat()
        if uploaded:
            content["attachments"] = [{"uploadDestinationId": one.upload_id, "fileName": one.name} for one in uploaded]
        return self._call(self.operation, row, orjson.dumps(content) if content else b"")

    def resource(self, row: Row) -> str:
        """Return what its attachments are uploaded for: the path of the operation that will send them."""
        return self._call(self.operation, row).path.lstrip("/")

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

    def locale_call(self, row: Row) -> Call:
        """Make the call that asks for the language of the row's buyer."""
        return self._call(GET_ATTRIBUTES, row)

    def locale_in(self, reply: Reply) -> str | None:
        """Return the buyer's locale of Amazon's answer to that, as in `de-DE`; None if there is none in it.

        Raises:
            ValueError: The answer cannot be read.
        """
        try:
            locale = (orjson.loads(reply.body).get("buyer") or {}).get("locale")
        except (AttributeError, ValueError):
            raise ValueError(f"Amazon's answer to {GET_ATTRIBUTES.operation_id} cannot be read") from None
        return locale if isinstance(locale, str) else None

    @staticmethod
    def _call(operation: Operation, row: Row, body: bytes = b"") -> Call:
        call = operation.call(
            path={"amazonOrderId": row.order_id}, query=[("marketplaceIds", row.body["marketplace_id"])], body=body
        )
        # A service's own calls for the same usage plan go first.
        return attrs.evolve(call, priority=Priority.BULK)
