from __future__ import annotations

import json
import os
import sys
import traceback
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

import spapi_async
from spapi_async.errors import ConfigError
from spapi_async.jobs.credentials import is_readable_by_others, read_refresh_tokens

TOKEN = "Atzr|5ecre7" + "c0ffee" * 50
OTHER = "Atzr|0ther5ecre7" + "decade" * 50


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sellers.toml"


def refusal(path: Path, content: str | bytes) -> str:
    """Give the words of the error, when nothing that can be printed of it has a token."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ConfigError) as caught:
        read_refresh_tokens(path)
    words = str(caught.value)
    ours = os.path.dirname(spapi_async.__file__)
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    shown = [line for frame in told.stack if frame.filename.startswith(ours) for line in (frame.locals or {}).values()]
    for text in words, repr(caught.value), *shown:
        assert "5ecre7" not in text
        assert "c0ffee" not in text
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert words.startswith(f"{path}: ")
    return words.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.toml", f'A1SELLER = "{TOKEN}"\r\n\r\n["shop.de"]\r\nrefresh_token = "{OTHER}"\r\n'),
        ("a.json", json.dumps({"A1SELLER": TOKEN, "shop.de": {"refresh_token": OTHER}}, indent=2)),
        ("a.JSON", "\ufeff" + json.dumps({"A1SELLER": {"refresh_token": TOKEN}, "shop.de": OTHER})),
        ("63", json.dumps({"A1SELLER": TOKEN, "shop.de": OTHER})),
        ("63", f"# of a pipe\nA1SELLER = '{TOKEN}'\n'shop.de'.refresh_token = '{OTHER}'"),
    ],
)
def test_tokens_by_name(tmp_path: Path, name: str, content: str) -> None:
    """TOML or JSON, a token or a table for each name; without an ending that says which, it is what it looks like."""
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    tokens = read_refresh_tokens(path)
    assert tokens == {"A1SELLER": TOKEN, "shop.de": OTHER}
    assert "5ecre7" not in repr(tokens)
    assert all(type(name) is str for name in tokens)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "it names no selling partner; write NAME = "),
        (f'A1 = "{TOKEN}"\nA2 = {OTHER}\n', "line 2 is no TOML, or has a name for the second time; write NAME ="),
        (f'A1 = "{TOKEN}"\nA1 = "{OTHER}"\n', "line 2 is no TOML, or has a name for the second time; write NAME ="),
        (f'A1 = """{TOKEN}', "it ends too early, perhaps since a quote is not closed; write"),
        (f'A1 = "{TOKEN}"\nA2 = "{TOKEN}"', "A1 and A2 have the same refresh token; leave one of them"),
        (f'A1 = "{TOKEN}"\n[A2]\nrefresh_token = "{TOKEN}"', "A1 and A2 have the same refresh token"),
        (f'[A1]\nrefreshtoken = "{TOKEN}"', "A1: refreshtoken is unknown, did you mean refresh_token?; a table takes"),
        (f'[A1]\nrefresh_token = "{TOKEN}"\nregion = "eu"', "A1: region is unknown; a table takes refresh_token and"),
        (f'shop.de = "{TOKEN}"', "shop: de is unknown; a table takes refresh_token and nothing else, and in TOML a"),
        (f'[A1]\n"{TOKEN}" = ""', "A1: one of its keys is unknown"),
        (f'"{TOKEN}" = "A1"', "entry 1 has a name that is empty, begins or ends with a blank, is longer than 100"),
        (f'A1 = "{TOKEN}"\n" A2" = "{OTHER}"', "entry 2 has a name that is empty, begins or ends with a blank"),
        (f'refresh_token = "{TOKEN}"', "entry 1 does not say whose refresh token it is; write NAME ="),
        ("[A1]", "A1: refresh_token is missing; add it"),
        ('A1 = ""', "A1: its refresh token is empty"),
        (f'A1 = "{TOKEN} "', "A1: its refresh token holds a blank or a letter that no token has; copy it again"),
        (f'A1 = """\n{TOKEN}\n"""', "A1: its refresh token holds a blank or a letter that no token has"),
        ('A1 = "Atzr|…"', "A1: its refresh token holds a blank or a letter that no token has"),
        ("A1 = 7", "A1: its refresh token is no text; put it in double quotes"),
        (f'A1 = ["{TOKEN}"]', "A1: its refresh token is no text"),
        (f'[[A1]]\nrefresh_token = "{TOKEN}"', "A1: its refresh token is no text"),
        (f'[A1.refresh_token]\nx = "{TOKEN}"', "A1: its refresh token is no text"),
        (f'A1 = "{TOKEN}"\nA2 = {"9" * 5000}', "it holds something else than names and refresh tokens"),
        (f'A1 = "{TOKEN}"\nA2 = {"[" * 100_000}', "it holds something else than names and refresh tokens"),
        (f'A1 = "{TOKEN}"'.encode("utf-16"), "it is no UTF-8; save it as that"),
    ],
)
def test_what_is_wrong_in_toml(path: Path, content: str | bytes, words: str) -> None:
    """The line or the name, and what helps; and no part of a token, also where name and token are exchanged."""
    assert refusal(path, content).startswith(words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (f'{{"A1": "{TOKEN}",\n"A1": "{OTHER}"}}', "A1 stands there twice; leave one of them"),
        (f'{{"A1": {{"refresh_token": "{TOKEN}", "refresh_token": "{OTHER}"}}}}', "A1: refresh_token stands there"),
        (f'{{"A1": "{TOKEN}",\nA2}}', "line 2 is no JSON; write NAME ="),
        (f'{{"A1": "{TOKEN}\n', "line 1 is no JSON"),
        (f'["{TOKEN}"]', "it is no object; write NAME ="),
        (f'"{TOKEN}"', "it is no object"),
        (f'{{"A1": null, "A2": "{TOKEN}"}}', "A1: its refresh token is no text"),
        (f'{{"A\\ud800": "{TOKEN}"}}', "entry 1 has a name that is empty, begins or ends with a blank, is longer"),
        ("[" * 100_000, "it holds something else than names and refresh tokens"),
    ],
)
def test_what_is_wrong_in_json(tmp_path: Path, content: str, words: str) -> None:
    """The same, and names that come twice, which JSON itself allows."""
    assert refusal(tmp_path / "sellers.json", content).startswith(words)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """A file that is not there, and a folder."""
    for path in tmp_path / "sellers.toml", tmp_path:
        with pytest.raises(ConfigError, match="it cannot be read: "):
            read_refresh_tokens(path)


@given(
    content=st.one_of(
        st.text(max_size=40),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4), st.just(TOKEN)),
            lambda inner: st.one_of(
                st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["A1", "", "refresh_token", TOKEN]), inner)
            ),
            max_leaves=6,
        ).map(json.dumps),
    ).map(lambda text: text.encode("utf-8", "surrogatepass")),
    name=st.sampled_from(["hostile.json", "hostile.toml", "hostile"]),
)
def test_any_content_is_tokens_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    """Whatever stands in the file."""
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(content)
    tokens = None
    with suppress(ConfigError):
        tokens = read_refresh_tokens(path)
    if tokens is None:
        assert refusal(path, content).isprintable()
    else:
        assert tokens
        assert all(tokens.values())


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX's")
@pytest.mark.parametrize(("mode", "expected"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)])
def test_who_may_read_it(path: Path, mode: int, expected: bool) -> None:
    """A file that others than its owner may read is a risk that can be told."""
    path.touch()
    path.chmod(mode)
    assert is_readable_by_others(path) is expected
