"""Which encoding a file has, found out by one rule; and bytes that are no text, so that they cost their line only.

The rule, in this order. A byte order mark says it. A file that is UTF-8 throughout is UTF-8. If some of its lines with
letters beyond ASCII are UTF-8 and others are not, it is UTF-8 with faults, and each of those lines is one. If none is,
it is Windows-1252, which has the letters of Latin-1 too; unless it holds a byte that Windows-1252 has not, as text in
most other encodings does, or ends its lines as on an old Macintosh, which had letters of its own. Then somebody has to
say what it is, lest a buyer be sent nonsense.
"""

from __future__ import annotations

import codecs
import re
from typing import BinaryIO

import attrs

from ...errors import ConfigError

__all__ = ["MARK", "Encoding", "detect", "find_encoding", "marked", "readable", "undecodable"]

MARK = "spapi_async.mark"
"""The error handler that marks bytes that are no text, for `undecodable` to find them."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8", "UTF-8 with a byte order mark"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
_PIECE = 1 << 16
_NOT_IN_1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_HINT = "say its encoding, as in --encoding shift_jis"


@attrs.frozen
class Encoding:
    """An encoding.

    Args:
        name: Python's name for it.
        words: What to tell the user of it.
    """

    name: str
    words: str


def find_encoding(name: str) -> Encoding:
    """Return the encoding of a name.

    Raises:
        ConfigError: There is none.
    """
    try:
        found = codecs.lookup(name).name
        b"a".decode(found, MARK)  # not every codec is one of text
    except (LookupError, UnicodeError, ValueError):
        raise ConfigError(
            f"no encoding is called {name!r}; there are utf-8, windows-1252, shift_jis and others"
        ) from None
    return Encoding(found, name)


def detect(file: BinaryIO) -> Encoding:
    """Find out the encoding of a file by reading it to its end, in pieces of bounded size.

    Raises:
        ConfigError: It cannot be told.
    """
    head = file.read(4096)
    for mark, name, words in _MARKS:
        if head.startswith(mark):
            return Encoding(name, words)
    zeros = head.count(0)
    if zeros * 3 > len(head):
        likely = "utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"
        raise ConfigError(f"every other byte is zero, as in UTF-16 without a byte order mark; try --encoding {likely}")
    file.seek(0)
    found = _Scan()
    while piece := file.readline(_PIECE):
        found.add(piece)
    return found.verdict()


def marked(head: bytes) -> str | None:
    """Return Python's name of the encoding that a byte order mark says, if there is one."""
    return next((name for mark, name, _ in _MARKS if head.startswith(mark)), None)


class _Scan:
    """What the lines of a file are, taken together."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._number = 1
        self._has_utf8 = False
        self._has_macintosh = False
        self._first_other: int | None = None
        self._first_strange: tuple[int, int] | None = None  # line and byte
        self._is_inside = False  # a letter that a long line's last piece has cut

    def add(self, piece: bytes) -> None:
        """Look at a line, or at a piece of a long one."""
        is_whole = piece.endswith(b"\n")
        if self._is_inside or not piece.isascii():
            try:
                self._has_utf8 |= not self._decoder.decode(piece, final=is_whole).isascii()
            except UnicodeDecodeError:
                self._decoder.reset()
                self._first_other = self._first_other or self._number
            self._is_inside = bool(self._decoder.getstate()[0])
            if self._first_strange is None and (strange := _NOT_IN_1252.search(piece)):
                self._first_strange = self._number, strange[0][0]
        self._number += is_whole
        self._has_macintosh = self._number == 1 and (self._has_macintosh or b"\r" in piece)

    def verdict(self) -> Encoding:
        """Return what it is.

        Raises:
            ConfigError: It cannot be told.
        """
        if self._is_inside:
            self._first_other = self._first_other or self._number
        if self._first_other is None:
            return Encoding("utf-8", "UTF-8")
        other = f"line {self._first_other} is no UTF-8"
        if self._has_utf8:
            return Encoding("utf-8", f"UTF-8, though line {self._first_other} holds bytes that are none")
        if self._has_macintosh:
            raise ConfigError(f"it is no UTF-8, and its lines end as on an old Macintosh; {_HINT}, perhaps mac_roman")
        if self._first_strange is not None:
            line, byte = self._first_strange
            raise ConfigError(f"{other}, and the byte 0x{byte:02x} in line {line} no Windows-1252; {_HINT}")
        return Encoding("cp1252", f"Windows-1252, since {other}; if its letters come out wrong, {_HINT}")


def undecodable(text: str) -> str | None:
    """Say what in a text is no text: bytes that its encoding does not have, or half a character of JSON."""
    if text.isascii() or not (found := _SURROGATE.search(text)):
        return None
    byte = ord(found[0]) - 0xDC00
    return f"the byte 0x{byte:02x}" if 0 <= byte < 256 else "half a character"


def readable(text: str) -> str:
    """Return a text with a question mark for all in it that is none."""
    return text if text.isascii() else _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def _mark(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    # Lone surrogates, which no decoder makes of text.
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error(MARK, _mark)
