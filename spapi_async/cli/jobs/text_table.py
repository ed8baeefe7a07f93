"""Tables on a terminal: by rich where that is installed, else in plain text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from unicodedata import east_asian_width

import attrs

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Column", "plain_table", "rich_table"]

_BETWEEN = 2
_LEAST = 8
"""Characters of a column of words, however narrow the terminal."""


@attrs.frozen
class Column:
    """A column of a table.

    Args:
        title: Its heading.
        is_number: Put to the right, and never cut.
        style: How rich writes its cells, but for those that are "0" or "–".
    """

    title: str
    is_number: bool = False
    style: str = ""


def plain_table(columns: Sequence[Column], lines: Sequence[Sequence[str]]) -> Sequence[str]:
    """Return the lines of a table, the headings first."""
    widths = _widths(columns, lines)

    def line(cells: Sequence[str]) -> str:
        padded = []
        for cell, width, column in zip(cells, widths, columns, strict=True):
            blanks = " " * (width - _width(cell))
            padded.append(blanks + cell if column.is_number else cell + blanks)
        return (" " * _BETWEEN).join(padded).rstrip()

    return [line([column.title for column in columns]), *map(line, lines)]


def rich_table(columns: Sequence[Column], lines: Sequence[Sequence[str]], width: int) -> Table:
    """Return the same for rich, no wider than so many characters: words are cut, then the last columns left out.

    Raises:
        ImportError: rich is not installed.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, _BETWEEN, 0, 0), pad_edge=False, header_style="bold")
    widths = _fit(columns, _widths(columns, lines), width)
    columns = columns[: len(widths)]
    for column, most in zip(columns, widths, strict=True):
        table.add_column(
            Text(column.title),
            justify="right" if column.is_number else "left",
            width=most,
            no_wrap=True,
            overflow="ellipsis",
        )
    for line in lines:
        cells = zip(line, columns, strict=False)
        table.add_row(*(Text(cell, style="dim" if cell in ("0", "–") else column.style) for cell, column in cells))
    return table


def _widths(columns: Sequence[Column], lines: Sequence[Sequence[str]]) -> Sequence[int]:
    return [max(map(_width, cells)) for cells in zip([column.title for column in columns], *lines, strict=True)]


def _width(text: str) -> int:
    """Return how many places a text takes on a terminal: Chinese, Japanese and Korean letters take two."""
    return len(text) + sum(east_asian_width(letter) in "WF" for letter in text)


def _fit(columns: Sequence[Column], widths: Sequence[int], width: int) -> Sequence[int]:
    """Return the widths of the columns that have room, with what is too much taken from the widest ones of words."""
    least = [most if column.is_number else min(most, _LEAST) for column, most in zip(columns, widths, strict=True)]
    while len(least) > 1 and _sum(least) > width:  # half a figure would be a wrong one
        least.pop()
    fitted = list(widths[: len(least)])
    while (spare := [index for index in range(len(least)) if fitted[index] > least[index]]) and _sum(fitted) > width:
        fitted[max(spare, key=lambda index: fitted[index])] -= 1
    return fitted


def _sum(widths: Sequence[int]) -> int:
    return sum(widths) + _BETWEEN * (len(widths) - 1)
