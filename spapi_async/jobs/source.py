"""A CSV file -> rows. A bad line is reported with its number, and the rest goes on.

Two sorts of fault are kept apart. A fault of a line (a field that breaks a rule, too many fields, a quote that is never
closed) is an `Entry` with mistakes. A fault of the file (a column missing or unknown, nothing in it, bytes that are no
text) is a `ConfigError`: nothing can be said about any of its lines.

Line numbers are those of an editor: a quoted field may run over several lines, and the row's number is its first.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import attrs

from ..errors import ConfigError
from ..marketplaces import Marketplace, Region
from .kinds import Kind, Mistake
from .row import Row

__all__ = ["REPORT_COLUMNS", "Entry", "read_columns", "read_csv"]

REPORT_COLUMNS = ("line", "reason", "cure")
"""The columns that the file of refused rows adds. They are ignored on the way in, so that file can be run again."""

_OPTIONAL = ("key", *REPORT_COLUMNS)
_MARKETPLACE = re.compile("|".join(member.value for member in Marketplace))
_LONGEST_RECORD = 50_000
"""Characters after which a quoted field that runs on over more lines is taken for one whose quote is never closed."""


@attrs.frozen(kw_only=True)
class Entry:
    """One record of a file.

    Args:
        number: The line where it begins, from 1.
        fields: What stands in its columns, as it came. Empty when it cannot be divided into columns.
        row: The row it makes; None when it has mistakes.
        mistakes: What is wrong with it.
    """

    number: int
    fields: Mapping[str, str] = attrs.field(repr=False)
    row: Row | None = None
    mistakes: Sequence[Mistake] = ()


def read_columns(path: Path, kind: Kind) -> Sequence[str]:
    """Read which columns a CSV file has, in their order; a file that cannot be used shows here.

    Raises:
        ConfigError: As `read_csv`.
    """
    with _opened(path) as file:
        return _header(_Lines(file), path, kind)[0]


def read_csv(path: Path, kind: Kind, region: Region | None = None) -> Iterator[Entry]:
    """Read a CSV file record by record, so that its size does not matter.

    The file is UTF-8, with or without a byte order mark, and separated by commas, semicolons or tabs.

    Args:
        path: The file.
        kind: What its rows are.
        region: The region the job sends to, when it is known; rows of others are mistakes.

    Raises:
        ConfigError: The file as a whole cannot be used; the message says why.
    """
    with _opened(path) as file:
        lines = _Lines(file)
        names, delimiter = _header(lines, path, kind)
        yield from _entries(lines, names, delimiter, kind, region)


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield file
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: {_where_undecodable(path)}; save the file as “CSV UTF-8”") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error


class _Lines:
    """The physical lines of a file, counted, with the way back to the second line of a record that went wrong."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._again: list[str] = []
        self._record: list[str] = []
        self._length = 0
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._length > _LONGEST_RECORD:
            raise csv.Error("a quote is opened and not closed")
        line = self._again.pop() if self._again else next(self._file)
        self._record.append(line)
        self._length += len(line)
        self.number += 1
        return line

    def begin_record(self) -> int:
        """Forget the lines of the last record; return the number of the line that comes next."""
        self._record.clear()
        self._length = 0
        return self.number + 1

    def has_swallowed(self) -> bool:
        """Whether a later line of the present record holds a marketplace id, which no buyer's text does.

        Two stray quotes some lines apart make one legal field of all that stands between; sent, it would show one
        buyer the orders of others.
        """
        return any(_MARKETPLACE.search(line) for line in self._record[1:])

    def give_back(self) -> str:
        """Take only the first line of the present record as read: one bad quote must not swallow those after it.

        Returns:
            That line.
        """
        first, *rest = self._record
        self._again.extend(reversed(rest))
        self.number -= len(rest)
        return first


def _header(lines: _Lines, path: Path, kind: Kind) -> tuple[Sequence[str], str]:
    """Read the names of the columns, and which character separates them."""
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        raise ConfigError(f"{path} is empty; its first line must name the columns: {', '.join(kind.columns)}")
    delimiter = max(",;\t", key=first.count)
    try:
        names = [name.strip().lower() for name in next(csv.reader([first], delimiter=delimiter))]
    except csv.Error as error:
        raise ConfigError(f"{path}: its first line is no line of a CSV: {error}") from error
    known = (*kind.columns, *kind.optional, *_OPTIONAL)
    missing = [name for name in kind.columns if name not in names]
    unknown = [name for name in names if name not in known]
    if missing or unknown:
        faults = [f"the column {name} is missing" for name in missing]
        for name in unknown[:3]:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            faults.append(f"the column {name[:40]!r} is unknown{hint}")
        takes = f"{kind.name} takes {', '.join(kind.columns)} and, if you like, {', '.join((*kind.optional, 'key'))}"
        raise ConfigError(f"{path}: {', '.join(faults)}; {takes}")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"{path}: the column {twice} stands there twice; leave one of them")
    return names, delimiter


def _entries(lines: _Lines, names: Sequence[str], delimiter: str, kind: Kind, region: Region | None) -> Iterator[Entry]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        number = lines.begin_record()
        try:
            values = next(reader)
            if lines.has_swallowed():
                raise csv.Error("it runs into a line that looks like a row of its own: is a quote not closed?")
        except StopIteration:
            return
        except csv.Error as error:
            fields = {names[0]: lines.give_back().rstrip("\r\n")}
            cure = 'put the text in double quotes, and write each double quote inside it twice: ""'
            yield Entry(number=number, fields=fields, mistakes=[Mistake("", f"is no line of a CSV: {error}", cure)])
            continue
        if values:  # an empty line, as many editors leave at the end, is none
            yield _entry(number, names, values, delimiter, kind, region)


def _entry(
    number: int, names: Sequence[str], values: Sequence[str], delimiter: str, kind: Kind, region: Region | None
) -> Entry:
    if len(values) != len(names):
        last = len(names) - 1
        # What is too much stays in the last column, so that the file of refused rows has all that came in.
        kept = [*values[:last], delimiter.join(values[last:])] if len(values) > len(names) else values
        cure = f"put a text that holds “{delimiter}” in double quotes" if len(values) > len(names) else "add the others"
        mistake = Mistake("", f"has {len(values)} fields instead of {len(names)}", cure)
        return Entry(number=number, fields=dict(zip(names, kept, strict=False)), mistakes=[mistake])
    fields = dict(zip(names, values, strict=True))
    mistakes = kind.mistakes(fields, region)
    if mistakes:
        return Entry(number=number, fields=fields, mistakes=mistakes)
    return Entry(number=number, fields=fields, row=kind.row(number, fields))


def _where_undecodable(path: Path) -> str:
    """Say on which line the first bytes stand that are no UTF-8: a decoder that reads ahead cannot."""
    with path.open("rb") as file:
        if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            return "the file is UTF-16, not UTF-8"
        file.seek(0)
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return f"line {number} holds the byte 0x{line[error.start]:02x}, which is no UTF-8"
    return "the file is no UTF-8"
