"""Calls that no generated method makes: what they are made of, and what is refused before anything is sent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from spapi_async.apis.custom import make_custom_call
from spapi_async.apis.messaging_v1 import CreateWarrantyRequest
from spapi_async.errors import ArgumentError
from spapi_async.marketplaces import Marketplace
from spapi_async.operation import UsagePlan


def problems(method: str = "GET", path: str = "/x", **facts: Any) -> list[str]:
    with pytest.raises(ArgumentError) as caught:
        make_custom_call(method, path, **facts)
    return list(caught.value.problems)


def test_what_a_call_is_made_of() -> None:
    """The path is filled and encoded, and the usage plan is that of the method and the path with its placeholders."""
    call = make_custom_call(
        "get",
        "/things/v1/{kind}/{id}",
        path_parameters={"kind": "a b", "id": "1/2"},
        plan=UsagePlan(2, 10),
        headers={"X-Trace": "1"},
    )
    assert call.path == "/things/v1/a%20b/1%2F2"
    assert call.operation.key == "request.GET /things/v1/{kind}/{id}"
    assert call.operation.method == "GET"
    assert call.operation.plan == UsagePlan(2, 10)
    assert call.headers == {"X-Trace": "1"}
    assert not call.operation.repeatable


def test_a_placeholder_that_repeats() -> None:
    """It is filled everywhere."""
    assert make_custom_call("GET", "/a/{id}/b/{id}", path_parameters={"id": "1"}).path == "/a/1/b/1"


def test_what_is_of_another_type() -> None:
    """What a type checker would have refused is an error of the arguments too."""
    anything: Any = 5
    assert problems(anything)[0].startswith("method must be one of")
    assert problems("GET", anything)[0].startswith("path must begin with a slash")
    assert problems(headers={anything: "x"})[0].startswith("header 5 cannot be sent")
    assert problems(plan=anything) == ["plan must be a UsagePlan, as in UsagePlan(rate=2, burst=10)"]
    assert problems(query=anything) == ["query must be a mapping, or pairs of a name and a value"]
    assert problems(query="a=1") == ["query must be a mapping, or pairs of a name and a value"]
    assert problems(query={anything: 1}) == ["query 5: a name must be a str"]


def test_without_a_plan() -> None:
    """Without a plan of yours, one call a second is assumed, as for generated operations that have none."""
    assert make_custom_call("GET", "/x").operation.plan == UsagePlan(1, 1, "default")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (None, ""),
        ({"a": "x y", "b": 1, "c": True, "d": None, "e": 1.5}, "a=x%20y&b=1&c=true&e=1.5"),
        ({"ids": [Marketplace.US, "B"]}, "ids=ATVPDKIKX0DER%2CB"),
        ([("id", "1"), ("id", "2")], "id=1&id=2"),
        ({"after": datetime(2026, 1, 1, tzinfo=UTC)}, "after=2026-01-01T00%3A00%3A00Z"),
    ],
)
def test_queries(query: Any, expected: str) -> None:
    """Values are written as the generated methods write them; lists are joined by commas, pairs repeat a name."""
    assert make_custom_call("GET", "/x", query=query).query == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (None, b""),
        (b"\x00", b"\x00"),
        ('{"a": 1}', b'{"a": 1}'),
        ({"a": [1]}, b'{"a":[1]}'),
        (CreateWarrantyRequest(), b"{}"),
    ],
)
def test_bodies(body: Any, expected: bytes) -> None:
    """A body is a model, plain data, or text and bytes as they are."""
    assert make_custom_call("POST", "/x", body=body).body == expected


def test_everything_is_named_at_once() -> None:
    """Every fault stands in one error."""
    found = problems(
        "FETCH",
        "/{a}/x?y",
        path_parameters={"b": ""},
        query={"q": object(), "t": datetime(2026, 1, 1)},
        headers={"Host": "x", "X": "a\nb"},
        body={"x": object()},
    )
    for words in (
        "method must be", "path must begin", "lacks a", "has b,", "path_parameters['b']", "query q", "query t",
        "header Host", "header 'X'", "body:",
    ):  # fmt: skip
        assert sum(words in problem for problem in found) == 1, words
    assert len(found) == 10


@pytest.mark.parametrize(
    "path",
    [
        "x", "", "https://example.com/x", "/a b", "/a?b=1", "/a#b", "/a/../b", "/a/./b", "/%2e./b", "/ä", "/%zz", "/{a",
        "/a\n",
    ],
)  # fmt: skip
def test_paths_that_cannot_be_sent(path: str) -> None:
    """A path is a path: no host, no query, nothing unencoded, and nothing that leads elsewhere."""
    assert any(problem.startswith("path ") for problem in problems(path=path))


@pytest.mark.parametrize("value", ["", ".", "..", 5])
def test_values_that_are_no_part_of_a_path(value: Any) -> None:
    """A placeholder takes a str that cannot lead to another path."""
    assert len(problems(path="/x/{id}", path_parameters={"id": value})) == 1


@pytest.mark.parametrize("name", ["x-amz-access-token", "Host", "Content-Length", "User-Agent", "Transfer-Encoding"])
def test_headers_that_are_ours(name: str) -> None:
    """What the client sets itself cannot be set, however it is spelt."""
    assert problems(headers={name: "x"}) == [f"header {name} is set by the client itself"]


def test_characters_that_utf_8_cannot_write() -> None:
    """Half of a surrogate pair is refused, wherever it stands."""
    assert problems(query={"q": "\ud800"})
    assert problems(body="\ud800")


def test_a_restricted_call() -> None:
    """`restricted=True` asks for a restricted data token for the path."""
    assert make_custom_call("GET", "/x", restricted=True).operation.restricted == "required"
    assert make_custom_call("GET", "/x").operation.restricted == "never"
    assert make_custom_call("GET", "/x", restricted=True).restricted == ()
    assert make_custom_call("GET", "/x", restricted=["b", "a"]).restricted == ("a", "b")
    assert make_custom_call("GET", "/x").restricted is None
    assert problems(restricted="buyerInfo") == ["restricted must be True, False, or names as in ['buyerInfo']"]
    assert problems(restricted=[]) == ["restricted is an empty list, which says nothing: leave it out"]
    with pytest.raises(ArgumentError, match="restricted is for GET, PUT, POST, DELETE"):
        make_custom_call("PATCH", "/x", restricted=True)


def test_an_empty_list_is_refused() -> None:
    """Sent as nothing, it would mean something else to each operation."""
    assert problems(query={"ids": []}) == ["query ids: an empty list says nothing: leave it out"]
