"""All rows of a job with what became of them, as a CSV for spreadsheets and programs. Pure."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TextIO

from ..row import Row, State
from ..verdict import cure_of, retry_from

__all__ = ["COLUMNS", "cure", "harmless", "iso", "tried_again", "write_rows"]

COLUMNS = (
    "line",
    "selling_partner",
    "kind",
    "order_id",
    "key",
    "state",
    "attempts",
    "settled",
    "reason",
    "cure",
    "retry_from",
    "request_id",
)

_DOUBT = "look for the message in Seller Central; `jobs doubt` lists such rows and settles them"

_TRIED = "run it again: it was not sent, and waits"

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a spreadsheet takes for the beginning of a formula, or strips and then does."""


def write_rows(file: TextIO, rows: Iterable[Row], names: Mapping[str, str], count: Callable[[Row], None]) -> None:
    """Write rows one by one.

    Args:
        file: Opened with `newline=""`.
        rows: The rows, in any order.
        names: What people see for a selling partner, by digest.
        count: Called with each row that was written.
    """
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(
            [
                row.number,
                harmless(names.get(row.selling_partner, row.selling_partner[:8])),
                row.kind,
                harmless(row.order_id),
                harmless(row.key),
                row.state.value,
                row.attempts,
                "" if row.settled is None else iso(row.settled),
                harmless(row.reason),
                cure(row),
                tried_again(row),
                harmless(row.request_id or ""),
            ]
        )
        count(row)


def harmless(cell: str) -> str:
    """Put an apostrophe before what a spreadsheet would take for a formula: these words come from outside."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def cure(row: Row) -> str:
    """Say what helps a row that was not sent; "" where nothing has to."""
    if row.state is State.REFUSED:
        return cure_of(row.reason)
    if row.state is State.READY and row.reason:
        return _TRIED
    return _DOUBT if row.state is State.IN_DOUBT else ""


def tried_again(row: Row) -> str:
    """Return from when on it may be tried again, in ISO 8601; "" when that is never or not known."""
    moment = retry_from(row.reason) if row.state is State.REFUSED else None
    return moment.isoformat(timespec="seconds") if moment else ""


def iso(moment: float) -> str:
    """Write a moment, in seconds since 1970, in ISO 8601 and UTC."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
