from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from spapi_async.errors import ConfigError
from spapi_async.jobs.kinds import KINDS
from spapi_async.jobs.source import Entry, open_source
from spapi_async.jobs.template import Template, Templates

KIND = KINDS["digitalAccessKey"]  # 400 characters
DE = "A1PA6795UKMFR9"
HEAD = "order_id,marketplace_id,name"


def read(folder: Path, content: str, **templates: str) -> Sequence[Entry]:
    path = folder / "messages.csv"
    path.write_text(content, encoding="utf-8")
    texts = {name.removeprefix("default"): text for name, text in templates.items()}
    with open_source(path, KIND, templates=Templates.of(texts)) as source:
        return list(source.entries)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello {name}!", "Hello Ann!"),
        ("{NAME}{ first name }", "AnnAnn of {it}"),
        ("{{name}}", "{name}"),
        ("{{{name}}}", "{Ann}"),
        ("no field", "no field"),
        ("{a.b!r:>9}", "x"),
    ],
)
def test_fields_are_filled_from_columns(text: str, expected: str) -> None:
    """Whatever stands between braces is the name of a column, in any case; nothing is evaluated, in values neither."""
    values = {"name": " Ann ", "first name": "Ann of {it}", "a.b!r:>9": "x"}
    assert Template.parse(text).fill(values) == expected


@given(st.text(alphabet="{}ab\n ", max_size=12))
def test_any_template_is_read_or_is_one_clear_error(text: str) -> None:
    """A text with all its braces doubled is itself."""
    try:
        template = Template.parse(text)
    except ConfigError:
        pass
    else:
        template.fill(dict.fromkeys(template.fields, "x"))
    if text.strip():
        doubled = Template.parse(text.replace("{", "{{").replace("}", "}}"))
        assert doubled.fill({}) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("one\ntwo {name", "line 2 has a { alone"),
        ("name}", "line 1 has a } alone"),
        ("{a{b}c}", "line 1 has a { alone"),
        ("Hello { }", "a field is empty"),
        (" \n", "the template is empty"),
        ("{text}", "names {text}, which a column of yours cannot be called"),
        ("{text.de}", "names {text.de}, which"),
        ("{Line}", "names {line}, which"),
        ("{name} <b>", "the template holds HTML"),
        ("{name} mail a@example.com", "the template holds an e-mail address"),
        ("{name}" + "x" * 401, "the template has 401 characters, and Amazon takes 400"),
    ],
)
def test_a_template_that_cannot_be_used_shows_at_once(tmp_path: Path, text: str, words: str) -> None:
    """Before any row is read, since it would spoil them all."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, f"{HEAD}\n", default=text)
    assert words in str(caught.value)


def test_there_is_one_for_all_other_buyers(tmp_path: Path) -> None:
    """Templates for some languages alone would leave a buyer without a text."""
    with pytest.raises(ConfigError, match="another one for all other buyers"):
        read(tmp_path, HEAD, de="Hallo {name}")


def test_a_row_holds_all_that_may_be_sent(tmp_path: Path) -> None:
    """The texts of all locales, and the columns they were made of: with those a refused row can be run again."""
    [entry] = read(tmp_path, f"{HEAD},key\n902-1,{DE},Ann,k", default="Hello {name}", de_at="Servus {name}, {order_id}")
    assert entry.row
    assert entry.row.key == "k"
    assert entry.row.body == {
        "marketplace_id": DE,
        "text": "Hello Ann",
        "text.de_at": "Servus Ann, 902-1",
        "name": "Ann",
        "order_id": "902-1",
    }


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "name: is empty, and the template puts it into the text (give it a value"),
        (" ", "name: is empty, and the template puts it into the text (give it a value"),
        ("<b>", "name: holds HTML (write plain text"),
        ("a@example.com", "name: holds an e-mail address (take it out"),
        ("a\x00", "name: holds a control character"),
        ("x" * 388, "template: has 401 characters, and Amazon takes 400 (cut 1 characters)"),
        ("x" * 385, "template de: has 401 characters, and Amazon takes 400 (cut 1 characters)"),
        ("g@x.de", "name: holds an e-mail address"),
    ],
)
def test_a_text_that_cannot_be_sent_is_a_mistake_of_its_row(tmp_path: Path, name: str, words: str) -> None:
    """With the column that brings it, or the template that is too long with it; the other rows go on."""
    content = f"{HEAD}\n902-1,{DE},Ann\n902-2,{DE},{name}\n902-3,{DE},Bob\n"
    before, bad, after = read(tmp_path, content, default="Dear {name}, ok? ..", de="Liebe {name}, gut? ...")
    assert before.row
    assert after.row
    assert (bad.number, bad.row) == (3, None)
    assert any(str(mistake).startswith(words) for mistake in bad.mistakes), bad.mistakes


def test_other_columns_are_unknown(tmp_path: Path) -> None:
    """A column that no template names is an error of the file, and so is a text that a template makes."""
    for head, words in (
        (f"{HEAD},nmae", r"the column 'nmae' is unknown \(did you mean name\?\)"),
        ("order_id,marketplace_id,nam", "the column name is missing"),
        (f"{HEAD},text", "has a column text, and the template makes the text"),
        (f"{HEAD},text.de", "has a column text.de, and the template makes the text"),
    ):
        with pytest.raises(ConfigError, match=words):
            read(tmp_path, head, default="Hello {name}")
