"""CSV and TSV, as spreadsheets and programs write them: lines -> entries."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence

from ...errors import ConfigError
from ...marketplaces import Marketplace
from ..kinds import Mistake
from .columns import Columns, Entry, column_of_header, plain
from .lines import LONGEST_LINE, Lines

__all__ = ["DELIMITERS", "read_delimited"]

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
"""What spreadsheets put between columns."""

_BLANK = ' ",;\t\r\n'
"""What a line of a spreadsheet without any content is made of."""
_SEP = re.compile(r'"?sep=(.+?)"?[\r\n]*', re.IGNORECASE)
_MARKETPLACE = re.compile("|".join(member.value for member in Marketplace))
_STRANGE = re.compile("[^ -~]")
"""What no id has; where a byte of the file is damaged, it may stand in one."""
_LONGEST_RECORD = 50_000
"""Characters after which a quoted field that runs on over more lines is taken for one whose quote is never closed."""


def read_delimited(lines: Lines, columns: Columns, delimiter: str | None) -> tuple[Sequence[str], str, Iterator[Entry]]:
    """Read the first line of a CSV, which names the columns, and make ready to read the others.

    Args:
        lines: Of the file.
        columns: What they may be.
        delimiter: What stands between columns; None to find out.

    Returns:
        The names of the columns, the delimiter, and the entries.

    Raises:
        ConfigError: The first line is not one; the message has no name of a file.
    """
    first = _next_filled(lines)
    if first is not None and (said := _SEP.fullmatch(first)):
        delimiter = said[1]
        if len(delimiter) > 1 or delimiter in '" ':
            raise ConfigError(f"its first line says that {delimiter[:10]!r} separates columns, and that cannot be")
        first = _next_filled(lines)
    if first is None:
        raise ConfigError(f"it is empty; its first line must name the columns: {', '.join(columns.required)}")
    try:
        names, delimiter = _names(first, columns, delimiter)
    except csv.Error as error:
        raise ConfigError(f"its first line is no line of a CSV: {error}") from error
    is_padded = names[-1] == ""  # unnamed columns at the right, which a spreadsheet wrote because they once were filled
    while names and names[-1] == "":
        names.pop()
    if "" in names:
        raise ConfigError(f"the column {names.index('') + 1} has no name; give it one, or remove it")
    if fault := columns.fault_of(names):
        raise ConfigError(fault)
    return names, delimiter, _Records(lines, columns, names, delimiter, is_padded).read()


def _next_filled(lines: Lines) -> str | None:
    return next((line for line in lines if line.strip(_BLANK)), None)


def _names(line: str, columns: Columns, delimiter: str | None) -> tuple[list[str], str]:
    """Read the names of the columns. The delimiter is the one by which most of them are known."""
    if len(line) >= LONGEST_LINE:
        raise csv.Error("it is too long")
    found = {}
    for each in [delimiter] if delimiter else DELIMITERS:
        found[each] = [column_of_header(name) for name in next(csv.reader([line], delimiter=each))]
    best = max(found, key=lambda each: (sum(map(columns.knows, found[each])), line.count(each)))
    return found[best], best


class _Records:
    """The records of a file, whose lines are given back when one of them went wrong."""

    def __init__(self, lines: Lines, columns: Columns, names: Sequence[str], delimiter: str, is_padded: bool) -> None:
        self._lines = lines
        self._columns = columns
        self._names = names
        self._delimiter = delimiter
        # Where the header has no empty columns, what follows a text may be a part of it.
        self._may_pad = is_padded or not names[-1].startswith("text")
        self._record: list[str] = []
        self._length = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._length > _LONGEST_RECORD:
            raise csv.Error("a quote is opened and not closed")
        line = next(self._lines)
        self._record.append(line)
        self._length += len(line)
        if len(line) >= LONGEST_LINE:
            raise csv.Error(f"it has more than {LONGEST_LINE} characters")
        return line

    def read(self) -> Iterator[Entry]:
        reader = csv.reader(self, delimiter=self._delimiter, strict=True)
        while True:
            number = self._lines.number + 1
            self._record.clear()
            self._length = 0
            try:
                values = next(reader)
                if self._has_swallowed():
                    raise csv.Error("it runs into a line that looks like a row of its own: is a quote not closed?")
            except StopIteration:
                return
            except csv.Error as error:
                # Only the first line counts as read: one bad quote must not swallow those after it.
                first, *rest = self._record
                self._lines.give_back(rest)
                cure = 'put the text in double quotes, and write each double quote inside it twice: ""'
                yield self._columns.broken(number, first, f"is no line of a CSV: {error}", cure)
                continue
            if any(map(str.strip, values)):  # a line without content, as spreadsheets leave them at the end, is none
                yield self._entry(number, values)

    def _has_swallowed(self) -> bool:
        """Whether a later line of the present record holds a marketplace id, which no buyer's text does.

        Two stray quotes some lines apart make one legal field of all that stands between; sent, it would show one
        buyer the orders of others.
        """
        return any(_MARKETPLACE.search(_STRANGE.sub("", line)) for line in self._record[1:])

    def _entry(self, number: int, values: list[str]) -> Entry:
        names, count = self._names, len(self._names)
        if len(values) > count and self._may_pad and not any(map(str.strip, values[count:])):
            del values[count:]
        elif len(values) < count and not any(map(self._columns.needs, names[len(values) :])):
            values += [""] * (count - len(values))  # some spreadsheets leave out empty cells at the right
        if len(values) != count:
            return self._uneven(number, values)
        fields = dict(zip(names, values, strict=True))
        return self._columns.entry(number, fields, {name: plain(name, value) for name, value in fields.items()})

    def _uneven(self, number: int, values: list[str]) -> Entry:
        names, last = self._names, len(self._names) - 1
        has_more = len(values) > len(names)
        # What is too much stays in the last column, so that the file of refused rows has all that came in.
        kept = [*values[:last], self._delimiter.join(values[last:])] if has_more else values
        cure = f"put a text that holds “{self._delimiter}” in double quotes" if has_more else "add the others"
        reason = f"has {len(values)} field{'s' * (len(values) != 1)} instead of {len(names)}"
        return self._columns.refused(number, dict(zip(names, kept, strict=False)), [Mistake("", reason, cure)])
