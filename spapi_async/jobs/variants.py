"""Texts in several languages, one of which a buyer gets. Pure.

A row's body holds all of them: `text` for everybody, and beside it perhaps `text.de` or `text.de_at`. Which one is sent
is decided when the buyer's locale is known, right before the message goes out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from .row import Row

__all__ = ["choose", "column_of", "is_variant", "locale_of", "localized", "needs_locale"]

_PREFIX = "text."
_LOCALE = re.compile(r"[a-z]{2,3}(?:_[a-z0-9]{2,8})*")


def locale_of(name: str) -> str | None:
    """Return a locale as it is compared, `de_de` for `de-DE`; None if it is none."""
    name = name.strip().lower().replace("-", "_")
    return name if _LOCALE.fullmatch(name) else None


def column_of(locale: str) -> str:
    """Return the column of the text for a locale; "" is the default."""
    return f"{_PREFIX}{locale}" if locale else "text"


def is_variant(column: str) -> bool:
    """Whether a column holds the text for a locale."""
    return column.startswith(_PREFIX) and _LOCALE.fullmatch(column, len(_PREFIX)) is not None


def choose(variants: Mapping[str, str], locale: str | None) -> str:
    """Choose the text for a buyer.

    The one for the very locale goes first, then the one for its language alone, then the default: a buyer of `de_AT`
    gets `de_at`, else `de`, else "". Another region's text is never chosen.

    Args:
        variants: The texts by locale as of `locale_of`; "" is the default and must be there.
        locale: The buyer's, as Amazon gives it (`de-DE`); None when it is not known.
    """
    wanted = locale_of(locale or "") or ""
    while wanted:
        if wanted in variants:
            return variants[wanted]
        wanted = wanted.rpartition("_")[0]
    return variants[""]


def needs_locale(row: Row) -> bool:
    """Whether the buyer's locale decides about a row's text, so that it is worth asking for."""
    return any(is_variant(column) for column in row.body)


def localized(row: Row, locale: str | None) -> Row:
    """Return a row with the one text that the buyer gets. It makes the call; the journal keeps the row as it was."""
    if not needs_locale(row):
        return row
    variants = {column[len(_PREFIX) :]: text for column, text in row.body.items() if is_variant(column)}
    variants[""] = row.body["text"]
    body = {column: value for column, value in row.body.items() if not is_variant(column)}
    return attrs.evolve(row, body=body | {"text": choose(variants, locale)})
