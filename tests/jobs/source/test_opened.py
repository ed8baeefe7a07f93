from __future__ import annotations

import bz2
import gzip
import io
import json
import os
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest

from spapi_async.errors import ConfigError
from spapi_async.jobs.kinds import KINDS
from spapi_async.jobs.source import Format, open_source
from spapi_async.jobs.source.opened import read_text
from spapi_async.marketplaces import Region

KIND = KINDS["confirmOrderDetails"]
DE = "A1PA6795UKMFR9"
CSV = f"order_id,marketplace_id,text\n902-1,{DE},hello\n".encode()
TSV = CSV.replace(b",", b"\t")
JSONL = json.dumps({"order_id": "902-1", "marketplace_id": DE, "text": "hello"}).encode() + b"\n"


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", CSV, Format.CSV),
        ("a.CSV", TSV, Format.CSV),
        ("a.tsv", TSV, Format.TSV),
        ("a.jsonl", JSONL, Format.JSONL),
        ("a.ndjson", JSONL, Format.JSONL),
        ("a.txt", TSV, Format.CSV),
        ("a.json", JSONL, Format.JSONL),
        ("a", b"\xef\xbb\xbf\n" + JSONL, Format.JSONL),
        ("a", JSONL.decode().encode("utf-16"), Format.JSONL),
    ],
)
def test_the_format_is_that_of_the_name_else_of_the_content(
    tmp_path: Path, name: str, content: bytes, expected: Format, is_packed: bool
) -> None:
    """A packed file is known by its first bytes, whatever its name."""
    path = tmp_path / (name + ".gz" if is_packed and expected is not Format.TSV else name)
    path.write_bytes(gzip.compress(content) if is_packed else content)
    with open_source(path, KIND) as source:
        [entry] = source.entries
    assert source.format is expected
    assert entry.row


def test_a_format_that_is_said_goes_before(tmp_path: Path) -> None:
    """`--format` is taken whatever the name says."""
    path = tmp_path / "a.csv"
    path.write_bytes(JSONL)
    with open_source(path, KIND, format=Format.JSONL) as source:
        assert [entry.number for entry in source.entries] == [1]


@pytest.mark.parametrize("content", [CSV, TSV, JSONL, gzip.compress(CSV)])
def test_standard_input_is_read_once(content: bytes) -> None:
    """It cannot be gone back in, so it is copied; it stays open."""

    class Once(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise AssertionError("it cannot be gone back in")

    stdin = Once(content)
    with open_source("-", KIND, stdin=stdin) as source:
        [entry] = source.entries
    assert entry.row
    assert source.name == "standard input"
    assert not stdin.closed


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes are POSIX's")
def test_a_pipe_is_a_file_like_any_other(tmp_path: Path) -> None:
    """As of a shell's `<(command)`, which can be read only once."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(CSV,))
    writer.start()
    with open_source(path, KIND) as source:
        assert len(list(source.entries)) == 1
    writer.join()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04....", "it is a workbook or a ZIP archive; save it as “CSV UTF-8”"),
        (bz2.compress(CSV), "it is packed by bzip2"),
        (gzip.compress(b"PK\x03\x04...."), "it is a workbook"),
        (gzip.compress(CSV)[:-9], "is packed by gzip and damaged: Compressed file ended"),
        (gzip.compress(CSV)[:30] + b"\xff" * 20, "is packed by gzip and damaged"),
        (b"\x1f\x8b", "is packed by gzip and damaged"),
        (b"[" + JSONL + b"]", "it is a JSON array; write its objects one a line"),
        (b"", "it is empty"),
    ],
)
def test_what_cannot_be_read_is_one_clear_error(tmp_path: Path, content: bytes, words: str) -> None:
    """Each with the name of the file, before any row."""
    path = tmp_path / "messages"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught, open_source(path, KIND):
        pass
    assert str(caught.value).startswith(str(path))
    assert words in str(caught.value)


def test_what_is_not_there(tmp_path: Path) -> None:
    """A missing file, a folder, and a standard input that is closed are told by their names."""
    with (
        pytest.raises(ConfigError, match=r"messages\.csv cannot be read: No such file"),
        open_source("messages.csv", KIND),
    ):
        pass
    with pytest.raises(ConfigError, match="cannot be read"), open_source(tmp_path, KIND):
        pass
    with pytest.raises(ConfigError, match="standard input: it is closed"), open_source("-", KIND):
        pass


def test_rows_of_another_region_are_mistakes(tmp_path: Path) -> None:
    """When the region is known."""
    path = tmp_path / "a.csv"
    path.write_bytes(CSV)
    with open_source(path, KIND, region=Region.NA) as source:
        assert [entry.row for entry in source.entries] == [None]


@pytest.mark.parametrize("content", ["Größe?".encode("cp1252"), "Größe?".encode("utf-16-le"), b"x" * 2_000_000])
def test_a_template_file_that_may_not_be_what_it_seems(tmp_path: Path, content: bytes) -> None:
    """Every buyer would read what was guessed wrong, so nothing is guessed."""
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"text\.txt: it (is no UTF-8; save it as that|has more than)"):
        read_text(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_template_file_is_unicode(tmp_path: Path, encoding: str) -> None:
    """With a byte order mark or without; the line end that editors leave at its end is none of its text."""
    path = tmp_path / "text.txt"
    path.write_bytes("Größe?\r\n\r\nBitte\r\n".encode(encoding))
    assert read_text(path) == "Größe?\r\n\r\nBitte"


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.csv.gz", "-"])
def test_the_size_of_a_source_does_not_matter(tmp_path: Path, name: str) -> None:
    """Ten times the rows take no more memory, packed or not, from a file or standard input."""
    peaks = []
    head, line = (b"", JSONL) if "json" in name else CSV.split(b"\n", 1)
    head += b"\n" if head else b""
    for count in 400, 4000:
        content = head + line * count
        path = tmp_path / name
        path.write_bytes(gzip.compress(content, 1) if name.endswith("gz") else content)
        del content
        with path.open("rb") as stdin:
            tracemalloc.start()
            with open_source("-" if name == "-" else path, KIND, stdin=stdin) as source:
                assert sum(1 for entry in source.entries if entry.row) == count
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < peaks[0] + 1_200_000 * (name == "-") + 100_000
