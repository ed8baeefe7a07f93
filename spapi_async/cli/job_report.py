"""Tells what became of the rows of a job: bad ones line by line as they come up, and all of them in the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from ..jobs.journal import Admitted
from ..jobs.refused import RefusedRows
from ..jobs.row import Admission, Row
from ..jobs.source import REPORT_COLUMNS, Entry, Source
from ..jobs.summary import Tally
from ..jobs.verdict import cure_of
from .progress import duration

__all__ = ["JobReport"]

_MOST_LISTED = 20
"""Rows that are listed one by one; the file of refused rows has all of them."""


class JobReport:
    """Lists refused rows, on the screen and in a file beside the source, and sums up.

    Args:
        source: What is run.
        refused: The file for refused rows.
        say: Prints a line.
    """

    def __init__(self, source: Source, refused: Path, say: Callable[[str], None]) -> None:
        self._source = source
        self._say = say
        self._refused = RefusedRows(refused, [column for column in source.columns if column not in REPORT_COLUMNS])

    def check(self) -> None:
        """See that the file of refused rows can be written, before anything is sent.

        Raises:
            JobError: It cannot.
        """
        self._refused.check()

    def invalid(self, entry: Entry) -> None:
        """List a line that breaks rules: every field, with what is wrong and what helps."""
        reasons = [
            f"{mistake.field}: {mistake.reason}" if mistake.field else mistake.reason for mistake in entry.mistakes
        ]
        self._list(
            entry.number, entry.fields, "; ".join(reasons), "; ".join(mistake.cure for mistake in entry.mistakes)
        )

    def admitted(self, row: Row, admitted: Admitted) -> None:
        """List a row that the journal does not let pass."""
        another = "remove the line; if another message is wanted, give it a value in the column key"
        match admitted.admission:
            case Admission.REPEATED:
                self.refused(row, f"line {admitted.stored.number} is for the same order already", another)
            case Admission.CHANGED:
                reason = "a message of this kind was sent for this order already, with another text"
                self.refused(row, reason, another)
            case Admission.ALREADY_REFUSED:
                self.refused(row, admitted.stored.reason, cure_of(admitted.stored.reason))
            case _:
                pass

    def refused(self, row: Row, reason: str, cure: str) -> None:
        """List a row that is not sent; its `selling_partner` is the name that the source has."""
        fields = {"order_id": row.order_id, "key": row.key, "selling_partner": row.selling_partner}
        if self._source.not_before and row.not_before:
            moment = datetime.fromtimestamp(row.not_before, UTC)
            fields[self._source.not_before] = moment.isoformat()
        fields |= row.body
        # A text that a template made is none of the source's columns: run again, the template makes it anew.
        self._list(
            row.number, {name: value for name, value in fields.items() if self._source.knows(name)}, reason, cure
        )

    def tell(self, tally: Tally, in_doubt: Sequence[Row], seconds: float) -> None:
        """Sum up: the counts, and every row that is in doubt."""
        parts = [
            f"{tally.sent} sent",
            *([f"{tally.already_sent} sent before"] if tally.already_sent else []),
            f"{tally.refused} refused by Amazon",
            f"{tally.invalid} invalid",
            f"{tally.duplicates} duplicate",
            f"{tally.in_doubt} in doubt",
        ]
        if tally.elsewhere:
            parts.append(f"{tally.elsewhere} sent by another process")
        if waiting := tally.waiting + tally.unsent:
            parts.append(f"{waiting} still waiting")
        name = Path(self._source.name).name
        lines = "1 line" if tally.total == 1 else f"{tally.total} lines"
        if tally.total:
            self._say(f"{name}, {lines} in {duration(seconds)}: {', '.join(parts)}.")
        else:
            self._say(f"{name}: no rows were read, so nothing was sent.")
        if in_doubt:
            self._say(
                "In doubt: the buyer may have got these messages, so they are not sent again. Look for them in Seller "
                "Central; where one is missing, send it under a new value in the column key."
            )
        for row in in_doubt:
            key = f", key {row.key}" if row.key else ""
            self._say(f"  line {row.number}: order {row.order_id}{key}: {row.reason}")

    def write(self) -> None:
        """Write the file of refused rows; that it cannot be written is told, since the job is done by then."""
        try:
            self._refused.write()
        except OSError as error:
            print(f"spapi-async: {self._refused.path} cannot be written: {error.strerror or error}", file=sys.stderr)
            return
        if self._refused.count:
            self._say(f"Lines to mend, with reason and cure: {self._refused.path}")

    def close(self) -> None:
        """Drop what was collected."""
        self._refused.close()

    def _list(self, number: int, fields: Mapping[str, str], reason: str, cure: str) -> None:
        self._refused.add(number, fields, reason, cure)
        if self._refused.count <= _MOST_LISTED:
            self._say(f"line {number}: {reason} → {cure}")
        elif self._refused.count == _MOST_LISTED + 1:
            self._say(f"more such lines: see {self._refused.path} in the end")
