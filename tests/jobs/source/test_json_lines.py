from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from spapi_async.errors import ConfigError
from spapi_async.jobs.kinds import KINDS
from spapi_async.jobs.source import Entry, open_source
from spapi_async.jobs.template import Templates

KIND = KINDS["confirmOrderDetails"]
DE = "A1PA6795UKMFR9"
GOOD = json.dumps({"order_id": "902-1", "marketplace_id": DE, "text": "hello"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "messages.jsonl"


def read(path: Path, *lines: str, template: str | None = None) -> Sequence[Entry]:
    path.write_text("\n".join(lines), encoding="utf-8")
    with open_source(path, KIND, templates=Templates.of({"": template}) if template else None) as source:
        return list(source.entries)


def test_each_line_is_an_object(path: Path) -> None:
    """Names in any case; empty lines are none; `null` is an empty value; what a report adds is ignored."""
    other = json.dumps({"Order_ID": "902-2", "marketplace_id ": DE, "text": "a\nb", "key": None, "line": 7})
    first, second = read(path, GOOD, "", other)
    assert first.row
    assert first.row.body == {"marketplace_id": DE, "text": "hello"}
    assert second.row
    assert (second.number, second.row.order_id, second.row.body["text"]) == (3, "902-2", "a\nb")


@pytest.fixture
def ordinary_depth() -> Iterator[None]:
    """Python's own limit of nested calls, and no garbage collection while it is reached.

    Hypothesis, which other tests load, raises the limit at times and is told of each collection: down there, that
    would be one call too many.
    """
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    gc.disable()
    yield
    gc.enable()
    sys.setrecursionlimit(limit)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("hello", "is no JSON: Expecting value in column 1"),
        (GOOD[:-3], "is no JSON: Unterminated string"),
        (GOOD + GOOD, "is no JSON: Extra data"),
        ('["902-1"]', "holds a list and no object"),
        ("7", "holds a number and no object"),
        ('{"order_id": NaN}', "is no JSON: it holds a number that is none"),
        ('{"order_id": ' + "9" * 5000 + "}", "is no JSON: it holds a number that is none"),
        ("[" * 100_000, "is nested too deeply"),
        ('{"text": ' + "[" * 990 + "]" * 990 + "}", "is nested too deeply"),
        ('{"text": "' + "x" * 140_000 + '"}', "has more than 131072 characters"),
        ('{"text": ["a"]}', "text: holds a list (write a string in double quotes)"),
        ('{"text": {"a": 1}}', "text: holds an object (write"),
        ('{"text": 7}', "text: holds a number (write"),
        ('{"text": true}', "text: holds true or false (write"),
        ('{"key": 7.5}', "key: holds a number (write"),
        ('{"text": "a", "Text": "b"}', "text: stands there twice (leave one of them)"),
        ('{"txt": "a"}', "the column 'txt' is unknown (did you mean text?)"),
        ('{"order_id": "902-1"}', "marketplace_id: is missing"),
        ('{"text": "\\ud800"}', "text: holds half a character, written as an escape"),
    ],
)
@pytest.mark.usefixtures("ordinary_depth")
def test_a_bad_line_is_told_and_the_rest_goes_on(path: Path, line: str, words: str) -> None:
    """Each is one entry with its line, its field and what helps."""
    before, bad, after = read(path, GOOD, line, GOOD)
    assert before.row
    assert after.row
    assert bad.number == 2
    assert bad.row is None
    assert any(str(mistake).startswith(words) for mistake in bad.mistakes), bad.mistakes


def test_whole_numbers_are_taken_where_they_can_only_be_text(path: Path) -> None:
    """In the key and in the fields of a template, where 7 cannot mean anything but "7"."""
    line = json.dumps({"order_id": "902-1", "marketplace_id": DE, "count": 7, "key": 3})
    [entry] = read(path, line, template="You bought {count}.")
    assert entry.row
    assert (entry.row.key, entry.row.body["text"]) == ("3", "You bought 7.")


def test_attachments_may_be_a_list(path: Path) -> None:
    """Of paths, or of objects with path and name; what else it may hold is the kind's to say."""
    files = ["a.pdf", {"path": "b;c.pdf", "name": "Größe.pdf"}]
    line = {"order_id": "902-1", "marketplace_id": DE, "attachments": files}
    path.write_text("\n".join([json.dumps(line), json.dumps(line | {"attachments": [[[7]]]})]), encoding="utf-8")
    with open_source(path, KINDS["invoice"]) as source:
        first, second = source.entries
    assert first.row
    assert json.loads(first.row.body["attachments"]) == files
    assert str(second.mistakes[0]).startswith("attachments: must hold paths")
    path.write_text(json.dumps(line).replace('"name"', '"path"'), encoding="utf-8")
    with open_source(path, KINDS["invoice"]) as source:
        [entry] = source.entries
    assert str(entry.mistakes[0]).startswith("attachments: has a name twice")


def test_an_unknown_name_in_the_first_object_is_a_fault_of_the_file(path: Path) -> None:
    """Most likely all objects have it, so it is told once and at once."""
    with pytest.raises(
        ConfigError, match=r"messages\.jsonl: line 2: the column 'txt' is unknown \(did you mean text\?\)"
    ):
        read(path, "", GOOD.replace("text", "txt"))


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_a_file_without_objects(path: Path, content: str) -> None:
    """An empty file is an error, as an empty CSV is."""
    with pytest.raises(ConfigError, match=r"it is empty; each of its lines is an object with order_id"):
        read(path, content)
