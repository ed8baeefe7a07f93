"""Names with values -> entries: the rows that a program hands in, by the rules that objects of JSON Lines follow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import PurePath

import attrs

from ..kinds import Mistake
from ..kinds.attachments import COLUMN as ATTACHMENTS
from .columns import REPORT_COLUMNS, Columns, Entry, column_of_header

__all__ = ["TOO_DEEP", "Pairs", "entry_of", "entry_of_pairs", "type_of"]

TOO_DEEP = "is nested too deeply"
_CURE = 'hand in a mapping of its columns, as in {"order_id": "902-1845936-5435065", …}'
_LONGEST_NUMBER = 4096
"""Bits of a whole number; Python refuses to write one of more than 4,300 digits."""


class Pairs(list[tuple[str, object]]):
    """An object of JSON as it stands there, with names that come twice."""


@attrs.frozen
class _Other:
    """A value of Python that JSON does not have; nothing but its type is looked at."""

    words: str


def entry_of(number: int, mapping: Mapping[str, object], columns: Columns) -> Entry:
    """Make the entry of a row that a program hands in.

    Args:
        number: Its number, which stands for the line of a file; from 1.
        mapping: Its columns, with the values that JSON Lines may have, and in columns of times dates and datetimes, and
            in attachments paths. Whatever it holds ends as a row or as mistakes, and no value of another type is
            shown.
        columns: Which there may be.
    """
    try:
        if not _is(mapping, Mapping):
            return columns.broken(number, "", f"holds {type_of(_plain(mapping))} and no object", _CURE)
        pairs = Pairs()
        for written, value in mapping.items():
            if not _is(written, str):
                words = f"has a name that is {type_of(_plain(written))}"
                return columns.broken(number, "", words, "names of columns are strings")
            pairs.append((str.__str__(written), _plain_in(column_of_header(written), value, columns)))
        return entry_of_pairs(number, pairs, columns)
    except RecursionError:
        return columns.broken(number, "", TOO_DEEP, _CURE)


def entry_of_pairs(number: int, pairs: Pairs, columns: Columns) -> Entry:
    """Make the entry of an object.

    Raises:
        RecursionError: It is nested too deeply.
    """
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
        elif isinstance(value, int) and not isinstance(value, bool) and name in columns.numbers:
            fields[name] = str(value)
        else:
            fields[name] = "" if isinstance(value, _Other) else _written(value)
            if name == ATTACHMENTS and type(value) is list:  # the kind reads it
                if any(isinstance(item, Pairs) and len(dict(item)) < len(item) for item in value):
                    mistakes.append(Mistake(name, "has a name twice in an object", "leave one of them"))
            else:
                mistakes.append(Mistake(name, f"holds {type_of(value)}", "write a string in double quotes"))
    if not mistakes:
        return columns.entry(number, fields, dict.fromkeys(columns.required, "") | fields)
    return columns.refused(number, fields, mistakes)


def type_of(value: object) -> str:
    """Say in words which type of JSON a value has."""
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case Pairs():
            return "an object"
        case list():
            return "a list"
        case None:
            return "null"
        case _Other():
            return value.words
        case _:
            return "a string"


def _written(value: object) -> str:
    """Write a value as it stood there, on one line. Of a name that comes twice in an object, the last stays."""
    if isinstance(value, Pairs):
        return f"{{{', '.join(f'{json.dumps(name)}: {_written(inner)}' for name, inner in dict(value).items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    return json.dumps(None if isinstance(value, _Other) else value)


def _plain_in(column: str, value: object, columns: Columns) -> object:
    """Return a value of a column as JSON would have it."""
    if column in columns.times and isinstance(value, date):
        try:
            return value.isoformat()
        except Exception:  # its zone may be of anybody's class
            return _Other("a time that cannot be written")
    return _plain([value] if column == ATTACHMENTS and _is(value, PurePath) else value)


def _plain(value: object) -> object:
    """Return a value as JSON would have it: strings, numbers and containers of the very types, all others by name."""
    match value:
        case None | bool() | float():
            return value
        case str():
            return str.__str__(value)
        case int():
            return int(value) if value.bit_length() < _LONGEST_NUMBER else _Other("a number of thousands of digits")
        case PurePath():
            return str(value)
        case list() | tuple():
            # As objects, since in a string some letters have a meaning that they have not in a path.
            return [Pairs([("path", str(each))]) if _is(each, PurePath) else _plain(each) for each in value]
        case Mapping() if all(_is(name, str) for name in value):
            return Pairs((str.__str__(name), _plain(inner)) for name, inner in value.items())
        case _:
            return _Other(f"a value of type {type(value).__name__}")


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind)
