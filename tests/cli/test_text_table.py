from __future__ import annotations

import io

import pytest
from rich.console import Console

from spapi_async.cli.jobs.text_table import Column, plain_table, rich_table

COLUMNS = (Column("Name"), Column("Kind"), Column("Sent", is_number=True), Column("Left", is_number=True))
LINES = [["ACME Sporting Goods", "confirmOrderDetails", "1,000", "3:20"], ["Bolt", "warranty", "0", "–"]]


def drawn(width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(rich_table(COLUMNS, LINES, width))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_plain_table() -> None:
    """Words stand at the left, figures at the right, and nothing is cut."""
    assert plain_table(COLUMNS, LINES) == [
        "Name                 Kind                  Sent  Left",
        "ACME Sporting Goods  confirmOrderDetails  1,000  3:20",
        "Bolt                 warranty                 0     –",
    ]


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (80, "ACME Sporting Goods  confirmOrderDetails  1,000  3:20"),
        (40, "ACME Sporti…  confirmOrder…  1,000  3:20"),
        (26, "ACME Sp…  confirmO…  1,000"),
        (5, "ACME…"),
    ],
)
def test_a_table_fits_the_terminal(width: int, line: str) -> None:
    """Words are cut, then the last columns are left out; half a figure would be a wrong one."""
    assert drawn(width)[1] == line


def test_wide_letters_take_two_places() -> None:
    """Names in Chinese, Japanese or Korean keep the columns in line."""
    lines = [["東京商店", "warranty", "1", "0:01"], LINES[1]]
    assert plain_table(COLUMNS, lines)[1] == "東京商店  warranty     1  0:01"
    console = Console(file=io.StringIO(), width=40)
    console.print(rich_table(COLUMNS, lines, 40))
    assert "東京商店  warranty     1  0:01" in console.file.getvalue()
