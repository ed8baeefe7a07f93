"""The parameters that a browser brings."""

from __future__ import annotations

from typing import Any

import pytest
from multidict import MultiDict
from starlette.datastructures import QueryParams

from spapi_async.errors import AlteredCallbackError
from spapi_async.oauth.query import Parameters


class Werkzeugs(dict[str, list[str]]):
    """As Flask and Django have it: indexing gives one value, `getlist` all."""

    def getlist(self, name: str) -> list[str]:
        return self[name]


@pytest.mark.parametrize(
    "query",
    [
        "https://example.com/cb?a=1%2B%26&b=2#c",
        "a=1%2B%26&b=2",
        "?a=1%2B%26&b=2",
        {"a": "1+&", "b": "2"},
        {"a": ["1+&"], "b": ("2",)},
        QueryParams("a=1%2B%26&b=2"),
        MultiDict([("a", "1+&"), ("b", "2")]),
        Werkzeugs(a=["1+&"], b=["2"]),
    ],
)
def test_a_url_a_query_and_what_frameworks_have(query: Any) -> None:
    """They are read alike; values are decoded once."""
    parameters = Parameters(query)
    assert [parameters.one("a"), parameters.visible("b"), parameters.maybe("c")] == ["1+&", "2", None]


@pytest.mark.parametrize(
    "query",
    [
        "https://example.com/cb?a=1&a=1",
        {"a": ["1", "1"]},
        QueryParams("a=1&a=2"),
        MultiDict([("a", "1"), ("a", "2")]),
        Werkzeugs(a=["1", "2"]),
    ],
)
def test_a_parameter_that_is_repeated(query: Any) -> None:
    """Twice is refused, whichever of both a framework would take."""
    for read in (Parameters(query).one, Parameters(query).maybe):
        with pytest.raises(AlteredCallbackError, match="a is there more than once"):
            read("a")


@pytest.mark.parametrize("query", ["", "https://example.com/cb", "a", "a=", "b=1", {}, {"a": ""}, {"a": []}])
def test_a_parameter_that_is_missing(query: Any) -> None:
    """Empty is missing."""
    with pytest.raises(AlteredCallbackError, match="a is missing"):
        Parameters(query).one("a")
    assert Parameters(query).maybe("a") is None


@pytest.mark.parametrize("value", ["a%20b", "%0d%0aSet-Cookie:x", "%00", "%C3%A4", "x" * 5000])
def test_characters_that_amazon_does_not_send(value: str) -> None:
    """A line break, a space or an endless value is refused, and not shown."""
    with pytest.raises(AlteredCallbackError) as caught:
        Parameters(f"a={value}").visible("a")
    assert str(caught.value) == "the parameter a is too long, or has characters that Amazon's has not"


@pytest.mark.parametrize("query", ["a=%ff", "a=" + "x" * 20_000, {"a": 1}, {"a": [b"1"]}, {1: "a"}])
def test_what_cannot_be_read(query: Any) -> None:
    """Bytes that are no text, an endless URL, and values of other types are refused."""
    with pytest.raises((AlteredCallbackError, TypeError)):
        Parameters(query)


def test_it_shows_nothing() -> None:
    """A code is among the parameters."""
    assert "secret" not in repr(Parameters("spapi_oauth_code=secret"))
