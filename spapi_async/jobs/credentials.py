"""The file of credentials: the refresh tokens of several selling partners by name, for a job with rows of each.

Nothing that stands in the file is in an error but names, and only those that cannot be a refresh token: tokens and
names are easily exchanged. A function that has the content in its hands raises nothing, since its frame shows it.
"""

from __future__ import annotations

import difflib
import json
import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

from ..errors import ConfigError
from ..hidden import Secret

__all__ = ["is_readable_by_others", "read_refresh_tokens"]

_KEY = "refresh_token"
_MOST_BYTES = 1 << 26
"""More than a hundred thousand selling partners take."""
_TOKEN = re.compile(r"[!-~]+")
_CURE = 'write NAME = "refresh token" on a line for each selling partner, or the same as an object of JSON'


class _Pairs(list[tuple[str, object]]):
    """A table as it stands there, with names that come twice."""


def read_refresh_tokens(path: str | Path) -> Mapping[str, str]:
    """Read the refresh tokens of several selling partners.

    Args:
        path: A file in UTF-8: JSON if its name ends in `.json`, TOML if in `.toml`, and else what it looks like. It has
            for each selling partner its name (best: its id) with the refresh token, or with a table that has the token
            as `refresh_token`.

    Returns:
        The refresh tokens, hidden from every repr, by name, in the order of the file.

    Raises:
        ConfigError: It cannot be used; the message has the line or the name, and what helps, and never a token.
    """
    found = _load(Path(path))
    tokens = found if isinstance(found, str) else _tokens(found)
    if isinstance(tokens, str):
        raise ConfigError(f"{path}: {tokens}")
    return tokens


def is_readable_by_others(path: str | Path) -> bool:
    """Whether others than its owner may read or write a file; False where its mode does not tell, as on Windows.

    Raises:
        OSError: It is not there.
    """
    return sys.platform != "win32" and bool(Path(path).stat().st_mode & 0o077)


def _load(path: Path) -> _Pairs | str:
    """Return what a file holds, its texts hidden; or what is wrong with it."""
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}"
    if len(content) > _MOST_BYTES:
        return f"it has more than {_MOST_BYTES >> 20} MB; name another file"
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "it is no UTF-8; save it as that"
    suffix = path.suffix.lower()
    is_json = suffix == ".json" or (suffix != ".toml" and text.lstrip().startswith("{"))
    try:
        # The words of the parsers are not repeated: they may hold what they stumbled over.
        found = _hidden(json.loads(text, object_pairs_hook=_Pairs) if is_json else tomllib.loads(text))
    except json.JSONDecodeError as error:
        return f"line {error.lineno} is no JSON; {_CURE}"
    except tomllib.TOMLDecodeError as error:
        if line := re.search(r"at line (\d+)", str(error)):
            return f"line {line[1]} is no TOML, or has a name for the second time; {_CURE}"
        return f"it ends too early, perhaps since a quote is not closed; {_CURE}"
    except (ValueError, RecursionError):  # numbers of thousands of digits, thousands of brackets
        return f"it holds something else than names and refresh tokens; {_CURE}"
    return found if isinstance(found, _Pairs) else f"it is no object; {_CURE}"


def _hidden(value: object) -> object:
    """Return a value with its names and texts as secrets; of a list, which nothing takes, none of its items."""
    match value:
        case str():
            return Secret(value)
        case dict():
            return _Pairs((Secret(name), _hidden(inner)) for name, inner in value.items())
        case _Pairs():
            return _Pairs((Secret(name), _hidden(inner)) for name, inner in value)
        case list():
            return []
        case _:
            return value


def _tokens(pairs: _Pairs) -> dict[str, str] | str:
    """Return the refresh tokens by name; or what is wrong."""
    tokens: dict[str, str] = {}
    owners: dict[str, str] = {}
    for number, (secret, value) in enumerate(pairs, 1):
        if not _is_name(secret):
            return (
                f"entry {number} has a name that is empty, begins or ends with a blank, is longer than 100 characters, "
                f"cannot be printed, or is a refresh token; {_CURE}"
            )
        name = str(secret)
        if name == _KEY:
            return f"entry {number} does not say whose refresh token it is; {_CURE}"
        if name in tokens:
            return f"{name} stands there twice; leave one of them"
        if fault := _fault_of_table(value) if isinstance(value, _Pairs) else "":
            return f"{name}: {fault}"
        token = value[0][1] if isinstance(value, _Pairs) else value
        if not isinstance(token, Secret):
            return f"{name}: its refresh token is no text; put it in double quotes"
        if not token:
            return f"{name}: its refresh token is empty; copy it, or take the name away"
        if not _TOKEN.fullmatch(token):
            return f"{name}: its refresh token holds a blank or a letter that no token has; copy it again"
        if token in owners:
            # Each of its buyers would be written to under either name.
            return f"{owners[token]} and {name} have the same refresh token; leave one of them"
        tokens[name] = token
        owners[token] = name
    return tokens or f"it names no selling partner; {_CURE}"


def _is_name(text: str) -> bool:
    return 0 < len(text) <= 100 and text == text.strip() and text.isprintable() and "|" not in text


def _fault_of_table(table: _Pairs) -> str:
    """Say what is wrong with the table of a selling partner; "" when nothing is."""
    for key, _ in table:
        if key != _KEY:
            near = f", did you mean {_KEY}?" if difflib.get_close_matches(key.lower(), [_KEY]) else ""
            which = str(key) if _is_name(key) else "one of its keys"
            return (
                f"{which} is unknown{near}; a table takes {_KEY} and nothing else, and in TOML a name with a dot "
                "stands in double quotes"
            )
    if not table:
        return f'{_KEY} is missing; add it, as in {_KEY} = "Atzr|…"'
    if len(table) > 1:
        return f"{_KEY} stands there twice; leave one of them"
    return ""
