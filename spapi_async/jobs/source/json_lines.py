"""JSON Lines: one object a line -> entries."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from ...errors import ConfigError
from ..kinds import Mistake
from ..kinds.attachments import COLUMN as ATTACHMENTS
from .columns import REPORT_COLUMNS, Columns, Entry, column_of_header
from .lines import LONGEST_LINE, Lines

__all__ = ["read_json_lines"]

_TOO_DEEP = "is nested too deeply"
_CURE = 'write one object a line, as in {"order_id": "902-1845936-5435065", …}'


class _Pairs(list[tuple[str, object]]):
    """An object as it stands there, with names that come twice."""


def _refuse(word: str) -> object:
    raise ValueError(f"{word} is no JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_Pairs, parse_constant=_refuse)


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
        self._numbers = {"key", *columns.fields}

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
            fields, mistakes = self._fields(pairs)
        except RecursionError:
            return columns.broken(number, line, _TOO_DEEP, _CURE)
        if mistakes:
            return columns.refused(number, fields, mistakes)
        return columns.entry(number, fields, dict.fromkeys(columns.required, "") | fields)

    def _fields(self, pairs: _Pairs) -> tuple[dict[str, str], list[Mistake]]:
        columns = self._columns
        fields: dict[str, str] = {}
        mistakes: list[Mistake] = []
        for written, value in pairs:
            name = column_of_header(written)
            if not columns.knows(name):
                mistakes.append(columns.unknown(name))
            elif name in REPORT_COLUMNS:
                continue
            elif name in fields:
                mistakes.append(Mistake(name, "stands there twice", "leave one of them"))
            elif isinstance(value, str):
                fields[name] = value
            elif value is None:
                fields[name] = ""
            elif isinstance(value, int) and not isinstance(value, bool) and name in self._numbers:
                fields[name] = str(value)
            else:
                fields[name] = _written(value)
                if name == ATTACHMENTS and type(value) is list:  # the kind reads it
                    if any(isinstance(item, _Pairs) and len(dict(item)) < len(item) for item in value):
                        mistakes.append(Mistake(name, "has a name twice in an object", "leave one of them"))
                else:
                    mistakes.append(Mistake(name, f"holds {_type_of(value)}", "write a string in double quotes"))
        return fields, mistakes


def _parse(line: str) -> _Pairs | str:
    """Read an object; what is none is told in words, which repeat nothing of it."""
    if len(line) >= LONGEST_LINE:
        return f"has more than {LONGEST_LINE} characters"
    try:
        value = _DECODER.decode(line.strip())
    except json.JSONDecodeError as error:
        return f"is no JSON: {error.msg.removesuffix(' at')} in column {error.colno}"
    except RecursionError:
        return _TOO_DEEP
    except ValueError:  # NaN, or a number of thousands of digits
        return "is no JSON: it holds a number that is none"
    return value if isinstance(value, _Pairs) else f"holds {_type_of(value)} and no object"


def _written(value: object) -> str:
    """Write a value as it stood there, on one line. Of a name that comes twice in an object, the last stays."""
    if isinstance(value, _Pairs):
        return f"{{{', '.join(f'{json.dumps(name)}: {_written(inner)}' for name, inner in dict(value).items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    return json.dumps(value)


def _type_of(value: object) -> str:
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case _Pairs():
            return "an object"
        case list():
            return "a list"
        case None:
            return "null"
        case _:
            return "a string"
