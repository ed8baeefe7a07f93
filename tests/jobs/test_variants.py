from __future__ import annotations

from collections.abc import Mapping

import pytest

from spapi_async.jobs.row import Row
from spapi_async.jobs.variants import choose, column_of, is_variant, locale_of, localized, needs_locale

VARIANTS = {"": "default", "de": "German", "de_at": "Austrian", "pt_br": "Brazilian", "zh_hans": "simplified"}


@pytest.mark.parametrize(
    ("locale", "expected"),
    [
        ("de-AT", "Austrian"),
        ("de_at", "Austrian"),
        ("de-CH", "German"),
        ("de", "German"),
        ("DE", "German"),
        ("pt-BR", "Brazilian"),
        ("pt-PT", "default"),
        ("pt", "default"),
        ("zh-Hans-CN", "simplified"),
        ("zh-CN", "default"),
        ("en-US", "default"),
        ("", "default"),
        (None, "default"),
        ("nonsense!", "default"),
        ("../..", "default"),
    ],
)
def test_the_very_locale_then_its_language_then_the_default(locale: str | None, expected: str) -> None:
    """Another region's text is never chosen, and what is no locale gets the default."""
    assert choose(VARIANTS, locale) == expected


def row(body: Mapping[str, str]) -> Row:
    return Row(number=1, kind="confirmOrderDetails", order_id="902-1", body={"marketplace_id": "M", **body})


def test_a_row_is_sent_with_one_text() -> None:
    """What makes the call has the chosen text and no other; the row itself is not changed."""
    several = row({"text": "hello", "text.de": "hallo", "name": "Ann"})
    assert needs_locale(several)
    assert localized(several, "de-DE").body == {"marketplace_id": "M", "text": "hallo", "name": "Ann"}
    assert localized(several, None).body == {"marketplace_id": "M", "text": "hello", "name": "Ann"}
    assert several.body["text.de"] == "hallo"


def test_a_row_with_one_text_needs_no_locale() -> None:
    """Nobody has to be asked then, and it is sent as it is."""
    single = row({"text": "hello"})
    assert not needs_locale(single)
    assert localized(single, "de-DE") is single
    assert not needs_locale(row({}))


@pytest.mark.parametrize("name", ["text.de", "text.de_at", "text.zh_hans_cn", "text.ast"])
def test_columns_of_variants(name: str) -> None:
    """They are called `text.` and the locale."""
    assert is_variant(name)
    assert column_of(locale_of(name.removeprefix("text.")) or "") == name


@pytest.mark.parametrize("name", ["text", "text.", "text.d", "text.1", "text.de_", "text.german", "de", "text.de-de"])
def test_columns_that_are_none(name: str) -> None:
    """A misspelt one is not taken for a language."""
    assert not is_variant(name)
