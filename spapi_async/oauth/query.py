"""The parameters that a browser brings. Anybody could have written them, so each is there once or it is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from ..errors import AlteredCallbackError

__all__ = ["Parameters", "Query"]

Query = str | Mapping[str, str | Sequence[str]]
"""A URL or its query as text, or its parameters: a mapping of names to a value or to a list of values.

The `request.query_params` of Starlette, the `request.GET` of Django, the `request.args` of Flask and the
`request.query` of aiohttp will do: their way to give all values of a name is used.
"""

_LONGEST = 16_384  # characters of a URL; Amazon's codes, states and tokens have at most some 2,000 each
_ALL_OF = ("getlist", "getall")  # Starlette, Django, Werkzeug; aiohttp
_VISIBLE = re.compile(r"[!-~]{1,4096}").fullmatch


class Parameters:
    """The parameters of a request. A repr shows none of them: a code or a token may be among them.

    Raises:
        AlteredCallbackError: They cannot be read.
    """

    def __init__(self, query: Query) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in _pairs(query):
            self._values.setdefault(name, []).append(value)

    def one(self, name: str) -> str:
        """Give the value of a parameter that must be there.

        Raises:
            AlteredCallbackError: It is missing, empty or repeated.
        """
        values = self._values.get(name, [])
        if len(values) > 1:
            raise AlteredCallbackError(f"the parameter {name} is there more than once")
        if not values or not values[0]:
            raise AlteredCallbackError(f"the parameter {name} is missing")
        return values[0]

    def visible(self, name: str) -> str:
        """As `one`, of characters that all can be seen, as Amazon's are: no space, no line break."""
        value = self.one(name)
        if not _VISIBLE(value):
            raise AlteredCallbackError(f"the parameter {name} is too long, or has characters that Amazon's has not")
        return value

    def maybe(self, name: str) -> str | None:
        """As `visible`, or None when it is missing or empty."""
        return self.visible(name) if any(self._values.get(name, ())) else None

    def text(self, name: str) -> str:
        """Give the first value of a parameter that only people read, whatever it is, or ""."""
        return next(iter(self._values.get(name, ())), "")[:_LONGEST]


def _pairs(query: Query) -> list[tuple[str, str]]:
    if isinstance(query, str):
        text = query.partition("#")[0]
        if len(text) > _LONGEST:
            raise AlteredCallbackError("the URL is longer than any of Amazon's")
        try:
            return parse_qsl(text.partition("?")[2] if "?" in text else text, keep_blank_values=True, errors="strict")
        except ValueError:
            pass  # raised below: the reason would show a part of it
        raise AlteredCallbackError("the query of the URL cannot be read")
    values_of: Any = next((getattr(query, name) for name in _ALL_OF if hasattr(query, name)), query.get)
    pairs = []
    for name in query:
        values = values_of(name)
        pairs.extend([(name, value) for value in ([values] if isinstance(values, str) else values)])
    if not all(isinstance(text, str) for pair in pairs for text in pair):
        raise AlteredCallbackError("the parameters are not text")
    return pairs
