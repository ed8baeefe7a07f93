"""What became of a row, as a job tells it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime

import attrs

from .kinds import find_kind
from .row import Admission, Row, State
from .source import Entry
from .verdict import cure_of

__all__ = ["Added", "Outcome", "Rejection"]

_KEPT = 100
"""Rejections that `Added` keeps; `on_rejected` gets all of them."""


@attrs.frozen(kw_only=True)
class Outcome:
    """What became of one row that was sent, or was to be sent.

    Args:
        row: The row, with its text, which no repr shows. One in doubt may be handed to `Job.ask` and `Job.decide`.
        selling_partner: Who sells, as the rows or the client name it; "" where nobody did.
        state: `SENT`, `REFUSED` or `IN_DOUBT`.
        reason: Why it was refused or is in doubt, in words: Amazon's own where it gave some.
        cure: What helps against a refusal.
        why: What sort of refusal it is; a `verdict.Why`, or "".
        retry_from: When a refused row may be tried again at the earliest, where that is known.
        request_id: Amazon's `x-amzn-RequestId` of the last reply.
    """

    row: Row = attrs.field(repr=lambda row: f"<{row.kind} {row.number} for order {row.order_id}>")
    selling_partner: str = ""
    state: State
    reason: str = ""
    cure: str = ""
    why: str = ""
    retry_from: datetime | None = None
    request_id: str | None = None

    @property
    def number(self) -> int:
        """The line of the row in its source, or its place among the rows that were handed in, from 1."""
        return self.row.number

    @property
    def kind(self) -> str:
        """The name of its kind."""
        return self.row.kind

    @property
    def order_id(self) -> str:
        """Amazon's order id."""
        return self.row.order_id

    @property
    def key(self) -> str:
        """Tells apart several messages of one kind for one order."""
        return self.row.key


@attrs.frozen(kw_only=True)
class Rejection:
    """A row that a job did not take, or that needs not be sent again.

    Args:
        number: Its line, or its place among the rows that were handed in.
        reason: What is wrong with it.
        cure: What helps.
        fields: Its columns; no repr shows them.
    """

    number: int
    reason: str
    cure: str
    fields: Mapping[str, str] = attrs.field(repr=False)

    @classmethod
    def of_entry(cls, entry: Entry) -> Rejection:
        """Tell what is wrong with a record: every field, with what helps."""
        reasons = [f"{each.field}: {each.reason}" if each.field else each.reason for each in entry.mistakes]
        cures = dict.fromkeys(each.cure for each in entry.mistakes)
        return cls(number=entry.number, reason="; ".join(reasons), cure="; ".join(cures), fields=entry.fields)

    @classmethod
    def of_row(cls, row: Row, reason: str, cure: str) -> Rejection:
        """Tell of a row that is not sent."""
        return cls(number=row.number, reason=reason, cure=cure, fields=fields_of(row))

    @classmethod
    def of_outcome(cls, outcome: Outcome) -> Rejection:
        """Tell of a row that Amazon refused."""
        row = attrs.evolve(outcome.row, selling_partner=outcome.selling_partner)
        return cls.of_row(row, outcome.reason, outcome.cure)

    @classmethod
    def of_admission(cls, row: Row, admission: Admission, stored: Row) -> Rejection | None:
        """Tell why the journal does not let a row pass; None if it does, or knows it as sent or in doubt."""
        another = "remove the line"
        if not find_kind(row.kind, withdrawn=True).once:
            another += "; if another message is wanted, give it a value in the column key"
        match admission:
            case Admission.REPEATED:
                return cls.of_row(row, f"line {stored.number} is for the same order already", another)
            case Admission.CHANGED:
                reason = "a message of this kind was sent for this order already, with another text"
                return cls.of_row(row, reason, another)
            case Admission.ALREADY_REFUSED:
                return cls.of_row(row, stored.reason, cure_of(stored.reason))
            case _:
                return None


def fields_of(row: Row) -> Mapping[str, str]:
    """Return the columns that a row was made of, as far as it still has them."""
    fields = {"order_id": row.order_id, "key": row.key}
    if row.selling_partner:
        fields["selling_partner"] = row.selling_partner
    if row.not_before:
        fields["not_before"] = datetime.fromtimestamp(row.not_before, UTC).isoformat()
    return {**fields, **row.body}


@attrs.define(kw_only=True)
class Added:
    """What became of rows that were added to a job. Plain counts.

    Args:
        admissions: How many rows met which `row.Admission`.
        rejected: Rows that break a rule; nothing is asked of Amazon for them.
        rejections: The first hundred rows that are not sent for something that can be mended.
    """

    admissions: Counter[Admission] = attrs.field(factory=Counter)
    rejected: int = 0
    rejections: list[Rejection] = attrs.field(factory=list)

    @property
    def waiting(self) -> int:
        """Rows that will be sent."""
        return sum(count for admission, count in self.admissions.items() if admission.is_waiting)

    @property
    def total(self) -> int:
        """All of them."""
        return self.admissions.total() + self.rejected

    def note(self, rejection: Rejection) -> None:
        """Keep a rejection, if there are not too many yet."""
        if len(self.rejections) < _KEPT:
            self.rejections.append(rejection)
