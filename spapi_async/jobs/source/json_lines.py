"""JSON Lines: one object a line -> entries."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from ...errors import ConfigError
from .columns import Columns, Entry, column_of_header
from .lines import LONGEST_LINE, Lines
from .mappings import TOO_DEEP, Pairs, entry_of_pairs, type_of

__all__ = ["read_json_lines"]

_CURE = 'write one object a line, as in {"order_id": "902-1845936-5435065", …}'


def _refuse(word: str) -> object:
    raise ValueError(f"{word} is no JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=Pairs, parse_constant=_refuse)


def read_json_lines(lines: Lines, columns: Columns) -> tuple[Sequence[str], Iterator[Entry]]:
    """Make ready to read the objects of a file.

    Returns:
        The columns that the file of refused rows has at least, and the entries.

    Raises:
        ConfigError: There is nothing in it, or the first object has an unknown name, as then most likely all have; the
            message has no name of a file.
    """
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        raise ConfigError(f"it is empty; each of its lines is an object with {', '.join(columns.required)}")
    records = _Records(lines, columns)
    for name in records.names_of(first):
        if not columns.knows(name):
            raise ConfigError(f"line {lines.number}: {columns.unknown(name).reason}; {columns.takes()}")
    lines.give_back([first])
    return columns.required, records.read()


class _Records:
    def __init__(self, lines: Lines, columns: Columns) -> None:
        self._lines = lines
        self._columns = columns

    def names_of(self, line: str) -> Sequence[str]:
        pairs = _parse(line)
        return [] if isinstance(pairs, str) else [column_of_header(name) for name, _ in pairs]

    def read(self) -> Iterator[Entry]:
        for line in self._lines:
            if line.strip():
                yield self._entry(self._lines.number, line)

    def _entry(self, number: int, line: str) -> Entry:
        columns = self._columns
        if not line.isascii() and (mistake := columns.undecodable("", line)):
            return columns.broken(number, line, mistake.reason, mistake.cure)
        pairs = _parse(line)
        if isinstance(pairs, str):
            return columns.broken(number, line, pairs, _CURE)
        try:
            return entry_of_pairs(number, pairs, columns)
        except RecursionError:
            return columns.broken(number, line, TOO_DEEP, _CURE)


def _parse(line: str) -> Pairs | str:
    """Read an object; what is none is told in words, which repeat nothing of it."""
    if len(line) >= LONGEST_LINE:
        return f"has more than {LONGEST_LINE} characters"
    try:
        value = _DECODER.decode(line.strip())
    except json.JSONDecodeError as error:
        return f"is no JSON: {error.msg.removesuffix(' at')} in column {error.colno}"
    except RecursionError:
        return TOO_DEEP
    except ValueError:  # NaN, or a number of thousands of digits
        return "is no JSON: it holds a number that is none"
    return value if isinstance(value, Pairs) else f"holds {type_of(value)} and no object"
