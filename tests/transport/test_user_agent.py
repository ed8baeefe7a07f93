"""The User-Agent that Amazon asks for."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import pytest

from spapi_async.errors import ConfigError
from spapi_async.transport import user_agent


@pytest.fixture(autouse=True)
def _machine(monkeypatch):
    monkeypatch.setattr(platform, "python_version", lambda: "3.11.7")
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "release", lambda: "6.1 (a;b)")


def test_its_form():
    """Name and version, then the language and the platform; what would end a value is quoted."""
    expected = r"My App/2.1 (Language=Python/3.11.7; Platform=Linux/6.1 (a\;b\))"
    assert user_agent("My App", "2.1") == expected


def test_the_default_is_this_library():
    """Without a name it is this library's, with its version."""
    assert user_agent().startswith(f"spapi_async/{version('spapi-async')} (Language=")


def test_without_metadata(monkeypatch):
    """A program bundled without package metadata still has a User-Agent."""
    monkeypatch.setattr("importlib.metadata.distribution", raise_not_found)
    assert user_agent().startswith("spapi_async/0 (")


def raise_not_found(name):
    raise PackageNotFoundError(name)


def test_a_name_without_a_version():
    """An application without a version of its own does not go by this library's."""
    assert user_agent("Shop").startswith("Shop/0 (")


def test_quoting():
    """A slash in the name, a parenthesis in the version and every backslash are quoted."""
    assert user_agent(r"A/B\C(", r"1(2\3/").startswith(r"A\/B\\C(/1\(2\\3/ (Language=")


def test_attributes():
    """Further attributes come behind the language, which stays first; what would end a part is quoted."""
    given = {"Host": "a;b", "X=Y/(": r"c\d)=/(", "Platform": "hidden"}
    expected = r"A/1 (Language=Python/3.11.7; Platform=hidden; Host=a\;b; X\=Y/(=c\\d\)=/()"
    assert user_agent("A", "1", given) == expected


@pytest.mark.parametrize("pair", [("", "x"), ("x", ""), ("x ", "y"), ("x", "a\r\nHost: b"), ("é", "x")])
def test_attributes_that_cannot_be(pair):
    """Their names and values keep the rules of all other parts."""
    with pytest.raises(ConfigError, match="user_agent_attributes must be printable ASCII"):
        user_agent("x", "1", dict([pair]))


@pytest.mark.parametrize("value", ["", " x", "x ", "a\r\nHost: b", "é", "a\tb"])
def test_what_cannot_be_a_header(value):
    """Empty parts, line breaks and characters other than ASCII are refused, and the option is named."""
    with pytest.raises(ConfigError, match="application_name"):
        user_agent(value, "1")
    with pytest.raises(ConfigError, match="application_version"):
        user_agent("x", value)


def test_its_longest():
    """Amazon refuses more than 500 characters, so making it is refused first."""
    longest = 500 - len(user_agent("x", "1")) + 1
    assert len(user_agent("x" * longest, "1")) == 500
    with pytest.raises(ConfigError, match="501"):
        user_agent("x" * (longest + 1), "1")
    with pytest.raises(ConfigError, match="501"):
        user_agent("x" * (longest - 4), "1", {"a": "b"})
