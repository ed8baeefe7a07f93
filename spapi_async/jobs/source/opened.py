"""Opens a source: a file or standard input, packed or not, in the format that its name or its content says."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import stat
import tempfile
import zlib
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import tzinfo
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, cast

import attrs

from ...errors import ConfigError
from ...marketplaces import Region
from ..kinds import Kind
from ..template import Templates
from .columns import Columns, Entry
from .delimited import DELIMITERS, read_delimited
from .encoding import MARK, Encoding, detect, find_encoding, marked
from .json_lines import read_json_lines
from .lines import Lines

__all__ = ["Format", "Source", "open_source", "read_text"]


class Format(StrEnum):
    """How a source is written."""

    CSV = "csv"
    TSV = "tsv"
    JSONL = "jsonl"


_BY_SUFFIX = {
    ".csv": Format.CSV,
    ".tsv": Format.TSV,
    ".tab": Format.TSV,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
}
# What is no text, by its first bytes. Read as text, each would be thousands of bad lines.
_NO_TEXT = {
    b"PK\x03\x04": "a workbook or a ZIP archive; save it as “CSV UTF-8”, or unpack it",
    b"\xd0\xcf\x11\xe0": "a workbook; save it as “CSV UTF-8”",
    b"%PDF": "a PDF",
    b"BZh": "packed by bzip2; unpack it, or pack it by gzip",
    b"\xfd7zXZ": "packed by xz; unpack it, or pack it by gzip",
    b"\x28\xb5\x2f\xfd": "packed by zstd; unpack it, or pack it by gzip",
}
_GZIP = b"\x1f\x8b"
_IN_MEMORY = 1 << 20
"""Bytes of standard input that are kept in the memory; more of them go to a temporary file."""
_LONGEST_TEXT = 1 << 20


@attrs.frozen(eq=False)
class Source:
    """An open source. It can be read once.

    Args:
        name: Its name as it is shown.
        format: How it is written.
        encoding: Python's name of its encoding.
        columns: The columns that it has, or for JSON Lines those it must have.
        knows: Whether it may have a column.
        not_before: The column of the moments before which rows are not sent; "" when there is none.
        words: What it was found to be, in one line.
        entries: Its records, read while they are taken. Taking them raises `ConfigError` when the file cannot be read
            on.
    """

    name: str
    format: Format
    encoding: str
    columns: Sequence[str]
    knows: Callable[[str], bool] = attrs.field(repr=False)
    not_before: str
    words: str
    entries: Iterator[Entry] = attrs.field(repr=False)


@contextmanager
def open_source(
    path: str | Path,
    kind: Kind,
    *,
    region: Region | None = None,
    format: Format | None = None,  # noqa: A002 - it is what everybody calls it
    encoding: str | None = None,
    templates: Templates | None = None,
    selling_partners: Container[str] | None = None,
    not_before: str | None = None,
    zone: tzinfo | None = None,
    stdin: BinaryIO | None = None,
) -> Iterator[Source]:
    """Open a source and read it up to its first record; its size does not matter.

    A file is read through once before, to find out its encoding. What can be read only once, as a pipe, is therefore
    copied to a temporary file first, which has no name and goes with the program.

    Args:
        path: A file; "-" is standard input.
        kind: What its rows are.
        region: The region the job sends to, when it is known; rows of others are mistakes.
        format: How it is written. Default: what its name says, else its content.
        encoding: Its encoding, as in `shift_jis`. Default: found out.
        templates: What the texts are made of. Default: the source has a column `text`.
        selling_partners: The names that its column `selling_partner` may have. Default: it has no such column.
        not_before: Its column of the moments before which rows are not sent. Default: it has none.
        zone: Where the times without a zone in that column are local. Default: such a time is a mistake.
        stdin: What "-" stands for.

    Raises:
        ConfigError: It cannot be used as a whole, the templates do not fit the kind, or `not_before` names a column
            that holds something else; the message says why.
    """
    is_stdin = str(path) == "-"
    name = "standard input" if is_stdin else str(path)
    columns = Columns(kind, region, templates, selling_partners=selling_partners, not_before=not_before, zone=zone)
    with ExitStack() as stack:
        with _faults(name):
            if is_stdin:
                if stdin is None:
                    raise ConfigError("it is closed")
                file = stack.enter_context(_copied(stdin))
            else:
                file = stack.enter_context(open(path, "rb"))
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    file = stack.enter_context(_copied(file))
            is_packed = file.read(2) == _GZIP
            file.seek(0)
            if is_packed:
                file = stack.enter_context(_unpacked(file))
            head = file.read(4096)
            for start, words in _NO_TEXT.items():
                if head.startswith(start):
                    raise ConfigError(f"it is {words}")
            file.seek(0)
            found = find_encoding(encoding) if encoding else detect(file)
            file.seek(0)
            format_ = format or _format_of(name, head, found)
            # Line ends stay as they are: those within a quoted text are the text's.
            text = stack.enter_context(io.TextIOWrapper(file, encoding=found.name, errors=MARK, newline=""))
            columns.encoding = _short(found)
            source = _source(name, Lines(text), format_, found, columns)
        yield source


def read_text(path: Path) -> str:
    """Read a small text file, as a template. Line ends at its end are cut.

    Every buyer reads it, so its encoding must be certain: UTF-8, or what a byte order mark says.

    Raises:
        ConfigError: It cannot be read or is no such text.
    """
    with _faults(str(path)), path.open("rb") as file:
        content = file.read(_LONGEST_TEXT + 1)
        if len(content) > _LONGEST_TEXT:
            raise ConfigError(f"it has more than {_LONGEST_TEXT} bytes")
        try:
            return content.decode(marked(content) or "utf-8").removeprefix("\ufeff").rstrip("\r\n")
        except UnicodeDecodeError:
            raise ConfigError("it is no UTF-8; save it as that") from None


@contextmanager
def _faults(name: str) -> Iterator[None]:
    """Put the name of the source before what is wrong with it."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ConfigError(f"{name} is packed by gzip and damaged: {error}") from error
    except OSError as error:
        raise ConfigError(f"{name} cannot be read: {error.strerror or error}") from error
    except UnicodeError:  # which holds what stands in the file
        raise ConfigError(f"{name} is no text of its encoding; say which it is by --encoding") from None


def _copied(file: BinaryIO) -> BinaryIO:
    copy = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - the caller closes it
    try:
        shutil.copyfileobj(file, copy, 1 << 16)
        copy.seek(0)
    except BaseException:
        copy.close()
        raise
    return cast("BinaryIO", copy)


def _unpacked(file: BinaryIO) -> BinaryIO:
    return cast("BinaryIO", io.BufferedReader(gzip.GzipFile(fileobj=file, mode="rb")))


def _format_of(name: str, head: bytes, encoding: Encoding) -> Format:
    suffix = Path(name.lower().removesuffix(".gz")).suffix
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    start = head.decode(encoding.name, "ignore").lstrip("\ufeff \t\r\n")
    if start.startswith("["):
        raise ConfigError("it is a JSON array; write its objects one a line")
    return Format.JSONL if start.startswith("{") else Format.CSV


def _short(encoding: Encoding) -> str:
    return {"utf-8": "UTF-8", "cp1252": "Windows-1252"}.get(encoding.name, encoding.name)


def _source(name: str, lines: Lines, format_: Format, encoding: Encoding, columns: Columns) -> Source:
    if format_ is Format.JSONL:
        names, entries = read_json_lines(lines, columns)
        kind_of_file = "JSON Lines"
    else:
        names, delimiter, entries = read_delimited(lines, columns, "\t" if format_ is Format.TSV else None)
        kind_of_file = f"{format_.upper()} separated by {DELIMITERS.get(delimiter, repr(delimiter))}"
    words = f"{name}: {kind_of_file}, {encoding.words}"
    entries = _guarded(name, entries)
    return Source(name, format_, encoding.name, names, columns.knows, columns.not_before, words, entries)


def _guarded(name: str, entries: Iterator[Entry]) -> Iterator[Entry]:
    with _faults(name):
        yield from entries
