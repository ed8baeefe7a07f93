from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st

from spapi_async.cli.json_text import indented, joined, parts_at

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_only_white_space_changes(value: object) -> None:
    """Indented or joined, JSON says the same, in the form that `json` gives it."""
    text = json.dumps(value)
    assert joined(indented(text)) == joined(text) == json.dumps(value, separators=(",", ":"))
    assert indented(text) == json.dumps(value, indent=2)


def test_what_is_between_white_space_stays_as_it_came() -> None:
    """Numbers and strings keep their digits and escapes; nothing is read and written again."""
    text = '{ "a" : 1.10, "b": 2e400,"c" :"\\u00e9\\/\\"] ,", "a": 123456789012345678901234567890 }'
    assert joined(text) == '{"a":1.10,"b":2e400,"c":"\\u00e9\\/\\"] ,","a":123456789012345678901234567890}'


@pytest.mark.parametrize(
    ("text", "path", "parts"),
    [
        ('[1, {"x": [2]}]', [], ["1", '{"x": [2]}']),
        (' { "p" : { "x" : [ 1.10 , "]" ] , "y" : [3] } }', ["p", "x"], ["1.10", '"]"']),
        ('{"x": [1], "x": [2]}', ["x"], ["2"]),  # the last one counts, as when it is decoded
        ('{"x": []}', ["x"], []),
        ('{"x": null}', ["x"], []),
        ('{"x": {}}', ["x", "y"], []),
        ('{"x": 5}', ["x", "y"], []),
        ("{}", ["x"], []),
    ],
)
def test_parts(text: str, path: list[str], parts: list[str]) -> None:
    """The items of an array inside of a reply are cut out as they stand there."""
    assert list(parts_at(text, path)) == parts


@given(st.lists(JSON), st.text())
def test_parts_are_the_items(items: list[object], name: str) -> None:
    """Whatever the items are, they are found."""
    text = json.dumps({"other": [[]], name: {"list": items}})
    assert [json.loads(part) for part in parts_at(text, [name, "list"])] == items
