from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pytest

from spapi_async.errors import ConfigError
from spapi_async.jobs.kinds import KINDS
from spapi_async.jobs.source import Entry, open_source
from spapi_async.jobs.source.encoding import detect, find_encoding

KIND = KINDS["confirmOrderDetails"]
DE = "A1PA6795UKMFR9"
TEXT = f"order_id,marketplace_id,text\n902-1,{DE},Größe für “Müller” – 5 €?\n"


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-8", "UTF-8"),
        ("utf-8-sig", "UTF-8 with a byte order mark"),
        ("utf-16", "UTF-16"),
        ("utf-32", "UTF-32"),
        ("cp1252", "Windows-1252"),
    ],
)
def test_an_encoding_is_found_out_and_told(tmp_path: Path, encoding: str, name: str) -> None:
    """By the byte order mark, else by whether all of it is UTF-8."""
    path = tmp_path / "messages.csv"
    path.write_bytes(TEXT.encode(encoding))
    with open_source(path, KIND) as source:
        [entry] = source.entries
    assert entry.row
    assert entry.row.body["text"] == "Größe für “Müller” – 5 €?"
    assert f"CSV separated by commas, {name}" in source.words


def test_both_byte_orders_of_utf_16(tmp_path: Path) -> None:
    """The mark says which."""
    for order in "utf-16-le", "utf-16-be":
        assert detect(io.BytesIO(("\ufeff" + TEXT).encode(order))).name == "utf-16"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (TEXT.encode("utf-16-le"), "try --encoding utf-16-le"),
        (TEXT.encode("utf-16-be"), "try --encoding utf-16-be"),
        (
            "サイズを教えてください。".encode("shift_jis"),
            "line 1 is no UTF-8, and the byte 0x83 in line 1 no Windows-1252",
        ),
        ("Größe\rfür".encode("mac_roman"), "old Macintosh; say its encoding, as in --encoding shift_jis, perhaps mac"),
    ],
)
def test_what_cannot_be_told_must_be_said(content: bytes, words: str) -> None:
    """An encoding is never guessed where the guess could send nonsense to buyers."""
    with pytest.raises(ConfigError) as caught:
        detect(io.BytesIO(content))
    assert words.replace("0x83", "0x81") in str(caught.value)


def test_a_letter_that_a_long_line_cuts(tmp_path: Path) -> None:
    """A file is read in pieces, and a letter that lies across two of them is one."""
    for shift in range(3):
        assert detect(io.BytesIO(b"x" * shift + "é".encode() * 70_000 + b"\n")).name == "utf-8"
    assert detect(io.BytesIO(b"x" * 100_000 + b"\xc3")).name == "cp1252"


def read(path: Path, content: bytes, encoding: str | None = None) -> Sequence[Entry]:
    path.write_bytes(content)
    with open_source(path, KIND, encoding=encoding) as source:
        return list(source.entries)


@pytest.mark.parametrize("name", ["messages.csv", "messages.jsonl"])
def test_a_wrong_byte_in_utf_8_costs_its_line(tmp_path: Path, name: str) -> None:
    """Where other lines are UTF-8, a byte that is none is a fault of its line, which is told with it."""
    if name.endswith("csv"):
        lines = ["order_id,marketplace_id,text", *(f"902-{n},{DE},gr%n" for n in range(2, 5))]
    else:
        lines = [f'{{"order_id": "902-{n}", "marketplace_id": "{DE}", "text": "gr%n"}}' for n in range(1, 5)]
    content = b"\n".join(line.encode().replace(b"%", "ü".encode()) for line in lines)
    content = content.replace("ü".encode(), b"\xfc", 1) if name.endswith("csv") else content
    if not name.endswith("csv"):
        content = content.replace(b"902-2", b"902-2\xfc")
    entries = read(tmp_path / name, content)
    [bad] = [entry for entry in entries if not entry.row]
    assert bad.number == 2
    assert bad.mistakes[0].reason == "holds the byte 0xfc, which is no UTF-8"
    assert any("\N{REPLACEMENT CHARACTER}" in value for value in bad.fields.values())


def test_an_encoding_that_is_said_goes_before(tmp_path: Path) -> None:
    """`--encoding` is taken as it is; bytes that it does not have cost their lines."""
    content = TEXT.encode("cp1252") + f"902-2,{DE},".encode() + b"\x81\n"
    first, second = read(tmp_path / "messages.csv", content, "windows-1252")
    assert first.row
    assert second.mistakes[0].reason == "holds the byte 0x81, which is no Windows-1252"
    [entry] = read(tmp_path / "messages.csv", TEXT.replace("“Müller” – 5 €", "サイズ").encode("utf-16-le"), "utf-16-le")
    assert entry.row


@pytest.mark.parametrize("name", ["nonsense", "base64", "rot13", "zlib", "undefined", ""])
def test_an_encoding_that_is_none(name: str) -> None:
    """Only encodings of text are taken."""
    with pytest.raises(ConfigError, match="no encoding is called"):
        find_encoding(name)
