"""JSON as text: parts of it, and its white space, without reading a number or a string and writing it another way."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

__all__ = ["indented", "joined", "parts_at"]

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_SPACE = re.compile(r"[ \t\n\r]*")
_skip = json.JSONDecoder().raw_decode


def joined(text: str) -> str:
    """Return valid JSON without white space between its tokens."""
    return "".join(_TOKEN.findall(text))


def indented(text: str) -> str:
    """Return valid JSON with a line for each member and item, indented by two spaces a level."""
    depth = 0
    parts: list[str] = []
    before = ""
    for token in _TOKEN.findall(text):
        if token in "]}":
            depth -= 1
            if before not in ("[", "{"):  # an empty one stays on its line
                parts.append("\n" + "  " * depth)
        elif before in ("[", "{", ","):
            parts.append("\n" + "  " * depth)
        parts.append(": " if token == ":" else token)
        if token in "[{":
            depth += 1
        before = token
    return "".join(parts)


def parts_at(text: str, path: Sequence[str]) -> Iterator[str]:
    """Yield the items of the array at a path of valid JSON; nothing where there is none.

    Args:
        text: The JSON.
        path: Names of members that lead from the outermost object to the array.
    """
    place = _after(text, 0)
    for name in path:
        found = None
        for member, here in _members(text, place):
            if member == name:
                found = here  # the last one counts, as when JSON is decoded
        if found is None:
            return
        place = found
    if text[place] == "[":
        for start, end in _items(text, place):
            yield text[start:end]


def _after(text: str, place: int) -> int:
    """Return where the next token is."""
    return _SPACE.match(text, place).end()  # type: ignore[union-attr]  # it always matches


def _members(text: str, place: int) -> Iterator[tuple[str, int]]:
    """Yield the names of an object's members, and where their values begin."""
    if text[place] != "{":
        return
    place = _after(text, place + 1)
    while text[place] != "}":
        name, place = _skip(text, place)
        place = _after(text, _after(text, place) + 1)
        yield name, place
        place = _after(text, _skip(text, place)[1])
        if text[place] == ",":
            place = _after(text, place + 1)


def _items(text: str, place: int) -> Iterator[tuple[int, int]]:
    """Yield where an array's items begin and end."""
    place = _after(text, place + 1)
    while text[place] != "]":
        end = _skip(text, place)[1]
        yield place, end
        place = _after(text, end)
        if text[place] == ",":
            place = _after(text, place + 1)
