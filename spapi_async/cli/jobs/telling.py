"""Tells what becomes of the rows of a job: bad ones line by line as they come up, and all of them in the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

from ...jobs.outcome import Outcome, Rejection
from ...jobs.refused import RefusedRows
from ...jobs.row import Row, State
from ...jobs.summary import Tally
from ..progress import duration

__all__ = ["Telling"]

_MOST_LISTED = 20
"""Rows that are listed one by one; the file of refused rows, or the report, has all of them."""


class Telling:
    """Lists refused rows, on the screen and in a file, and sums up.

    Args:
        name: Of the source, or of the job.
        refused: The file for refused rows.
        knows: Whether the source may have a column. What it may not have is left out of that file: run again, a
            template makes it anew.
        say: Prints a line.
        not_before: What the source calls the column of moments; "" if it has none.
        is_dry: Whether nothing is sent.
    """

    def __init__(
        self,
        name: str,
        refused: RefusedRows,
        knows: Callable[[str], bool],
        say: Callable[[str], None],
        *,
        not_before: str = "",
        is_dry: bool = False,
    ) -> None:
        self._name = name
        self._refused = refused
        self._knows = knows
        self._say = say
        self._not_before = not_before
        self._is_dry = is_dry
        self._listed = 0
        self._elsewhere = ""
        """What tells of refused rows that the file lacks."""

    def rejected(self, rejection: Rejection) -> None:
        """List a row that is not sent."""
        fields = dict(rejection.fields)
        if self._not_before and "not_before" in fields:
            fields[self._not_before] = fields.pop("not_before")
        fields = {name: value for name, value in fields.items() if self._knows(name)}
        self._refused.add(rejection.number, fields, rejection.reason, rejection.cure)
        self._listed += 1
        if self._listed <= _MOST_LISTED:
            self._say(f"line {rejection.number}: {rejection.reason} → {rejection.cure}")
        elif self._listed == _MOST_LISTED + 1:
            self._say(f"more such lines: see {self._refused.path} in the end")

    def outcome(self, outcome: Outcome) -> None:
        """List a row that Amazon refused."""
        if outcome.state is State.REFUSED:
            self.rejected(Rejection.of_outcome(outcome))

    def tell(self, tally: Tally, in_doubt: Sequence[Row], seconds: float, job: str) -> None:
        """Sum up: the counts, and every row that is in doubt.

        Args:
            tally: The counts.
            in_doubt: The rows in doubt.
            seconds: How long it took.
            job: The journal and the number of the job, as the commands take them.
        """
        parts = [
            f"{tally.sent} {'would be sent' if self._is_dry else 'sent'}",
            *([f"{tally.already_sent} sent before"] if tally.already_sent else []),
            f"{tally.refused} refused by Amazon",
            f"{tally.invalid} invalid",
            f"{tally.duplicates} duplicate",
            f"{tally.in_doubt} in doubt",
        ]
        if tally.elsewhere:
            parts.append(f"{tally.elsewhere} sent by another process")
        if waiting := tally.left:
            parts.append(f"{waiting} still waiting")
        lines = "1 line" if tally.total == 1 else f"{tally.total} lines"
        if tally.total:
            self._say(f"{self._name}, {lines} in {duration(seconds)}: {', '.join(parts)}.")
        else:
            self._say(f"{self._name}: no rows were read, so nothing was sent.")
        if (missing := tally.refused + tally.invalid + tally.duplicates - self._refused.count) > 0:
            self._elsewhere = (
                f"; {missing} more, refused in an earlier run or by another process: `spapi-async jobs report {job}`"
            )
        if in_doubt:
            self._say(
                "In doubt: the buyer may have got these messages, so they are not sent again. Look for them in Seller "
                "Central, and decide by "
                f"`spapi-async jobs doubt {job}`."
            )
        for row in in_doubt[:_MOST_LISTED]:
            key = f", key {row.key}" if row.key else ""
            self._say(f"  line {row.number}: order {row.order_id}{key}: {row.reason}")
        if len(in_doubt) > _MOST_LISTED:
            self._say(f"  and {len(in_doubt) - _MOST_LISTED} more")

    def save(self) -> None:
        """Write what the source had to refuse, lest a kill takes it; that it cannot be written is told in the end."""
        with suppress(OSError):
            self._refused.write()

    def write(self) -> None:
        """Write the file of refused rows; that it cannot be written is told, since the job is done by then."""
        try:
            self._refused.write()
        except OSError as error:
            print(f"spapi-async: {self._refused.path} cannot be written: {error.strerror or error}", file=sys.stderr)
            return
        if self._refused.count:
            self._say(f"Lines to mend, with reason and cure: {self._refused.path}{self._elsewhere}")

    def close(self) -> None:
        """Drop what was collected."""
        self._refused.close()
