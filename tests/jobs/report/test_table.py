from __future__ import annotations

import csv
import io

import pytest

from spapi_async.jobs.report.table import COLUMNS, harmless, write_rows
from spapi_async.jobs.row import Row, State


def row(number: int, state: State = State.SENT, **more: object) -> Row:
    values = {"kind": "confirmOrderDetails", "order_id": f"902-{number}", "selling_partner": "a" * 64, "attempts": 1}
    return Row(number=number, state=state, **{**values, **more})


def written(*rows: Row) -> list[dict[str, str]]:
    file = io.StringIO(newline="")
    write_rows(file, rows, {"a" * 64: "ACME"}, lambda row: None)
    return list(csv.DictReader(io.StringIO(file.getvalue(), newline="")))


def test_a_row_of_the_table() -> None:
    """Each row has a line with its state, the moment of its outcome in UTC, the reason, and what helps."""
    reason = "Amazon answered 403: too early; it may be tried again from 2026-05-06T00:00:00+00:00"
    sent, refused, doubt, ready, tried = written(
        row(2, settled=1_800_000_000.5, request_id="r-2"),
        row(3, State.REFUSED, settled=1_800_000_001.0, reason=reason, key="k"),
        row(4, State.IN_DOUBT, settled=1_800_000_002.0, reason="no answer"),
        row(5, State.READY, attempts=0),
        row(6, State.READY, attempts=0, reason="Amazon answered 503"),
    )
    assert list(sent) == list(COLUMNS)
    assert list(sent.values()) == [
        "2", "ACME", "confirmOrderDetails", "902-2", "", "SENT", "1", "2027-01-15T08:00:00Z", "", "", "", "r-2"
    ]  # fmt: skip
    assert (refused["key"], refused["reason"]) == ("k", reason)
    assert refused["cure"] == "run it again from 2026-05-06T00:00:00+00:00 on, with --retry-refused"
    assert refused["retry_from"] == "2026-05-06T00:00:00+00:00"
    assert "Seller Central" in doubt["cure"]
    assert (ready["state"], ready["settled"], ready["cure"]) == ("READY", "", "")
    assert (tried["reason"], tried["cure"]) == ("Amazon answered 503", "run it again: it was not sent, and waits")


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1"])
def test_no_cell_is_a_formula(cell: str) -> None:
    """Words from outside that a spreadsheet would calculate have an apostrophe before them."""
    assert harmless(cell) == f"'{cell}"
    [found] = written(row(2, State.REFUSED, settled=0.0, reason=cell, key=cell, request_id=cell, order_id=cell))
    assert [found[name] for name in ("reason", "key", "request_id", "order_id")] == [f"'{cell}"] * 4


def test_other_cells_stay_as_they_are() -> None:
    """Only the beginning of a cell makes it a formula; line ends and quotes are quoted."""
    words = 'a=b, "c"\nd'
    [found] = written(row(2, State.REFUSED, settled=0.0, reason=words))
    assert found["reason"] == words
