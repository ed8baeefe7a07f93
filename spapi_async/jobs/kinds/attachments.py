"""What Amazon takes as attachments: how the column is read, how many there may be, of which types and sizes. Pure.

The types and the size are those of the schema that Amazon sends with the actions of an order (Messaging use case guide,
2020: text, PDF, Word, jpg, gif, png; all together under 10 MB).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import attrs
import orjson

from .columns import Mistake

__all__ = ["COLUMN", "HEAD", "MOST_BYTES", "Attachment", "check_count", "check_file", "check_total", "read"]

COLUMN = "attachments"
MOST_BYTES = 10_000_000
"""All attachments of a message together must stay below it. Whether Amazon's MB are larger is not known."""
HEAD = 1024
"""Bytes at the beginning of a file that tell its type."""
_LONGEST_NAME = 255


@attrs.frozen
class Attachment:
    """One file, and the name under which the buyer sees it.

    Args:
        path: As the source has it; relative to the folder of the attachments.
        name: With the extension.
    """

    path: str = attrs.field(repr=False)
    name: str = attrs.field(repr=False)


def read(text: str) -> Sequence[Attachment]:
    """Read the column `attachments`.

    Args:
        text: Paths separated by `;`, each with the name for the buyer behind a `|` if that is to be another; or a JSON
            array of such strings, or of objects with `path` and perhaps `name`, in which a path may hold any character.

    Raises:
        ValueError: It is neither; the message says what is wrong.
    """
    if not text.lstrip().startswith("["):
        return [_one(part) for part in text.split(";") if part.strip()]
    try:
        items: Any = orjson.loads(text)  # Any: JSON
    except orjson.JSONDecodeError:
        raise ValueError("begins with “[” and is no JSON") from None
    return [_of_json(item) for item in items]


def _one(text: str) -> Attachment:
    path, bar, name = (part.strip() for part in text.partition("|"))
    if not path or (bar and not name):
        raise ValueError("holds an attachment without a path or, behind a “|”, without a name")
    return _named(path, name)


def _of_json(item: Any) -> Attachment:
    if isinstance(item, str):
        return _one(item)
    if isinstance(item, dict) and item.keys() <= {"path", "name"}:
        path, name = item.get("path"), item.get("name", "")
        if isinstance(path, str) and path and isinstance(name, str):
            return _named(path, name)
    raise ValueError("must hold paths, or objects with path and perhaps name")


def _named(path: str, name: str) -> Attachment:
    # Of either system: the file may have been written on another one.
    return Attachment(path, name or re.split(r"[/\\]", path)[-1])


def check_count(count: int, fewest: int, most: int) -> Sequence[Mistake]:
    """Check how many attachments a row has."""
    if count < fewest:
        return [Mistake(COLUMN, "is empty, and this kind needs at least one", "give the path of a file")]
    if count > most:
        return [Mistake(COLUMN, f"has {count} files, and Amazon takes {most}", f"take {count - most} out")]
    return []


def check_file(number: int, attachment: Attachment, size: int, head: bytes) -> Sequence[Mistake]:
    """Check one file. What is said names it by its number: a file name may hold a buyer's.

    Args:
        number: Which of the row's files it is, from 1.
        attachment: The file.
        size: In bytes.
        head: The first `HEAD` bytes.
    """
    endings = [_ending(attachment.path), _ending(attachment.name)]
    unknown = [ending for ending in endings if ending not in _TYPES]
    if unknown:
        reason = f"file {number} ends in {unknown[0][:10]!r}" if unknown[0] else f"file {number} has no extension"
        return [Mistake(COLUMN, reason, f"Amazon takes {', '.join(_TYPES)}")]
    path_type, name_type = (_TYPES[ending] for ending in endings)
    if path_type is not name_type:
        reason = f"file {number} is a {endings[0]} and is to be shown as a {endings[1]}"
        return [Mistake(COLUMN, reason, "give the name the extension of the file")]
    if not size:
        return [Mistake(COLUMN, f"file {number} is empty", "name another file")]
    if not path_type(head):
        return [Mistake(COLUMN, f"file {number} is no {endings[0]} inside", "name it by what it is, or save it anew")]
    if len(attachment.name) > _LONGEST_NAME or _BAD_NAME.search(attachment.name):
        return [Mistake(COLUMN, f"file {number} has a name that cannot be shown", "give it a plain one behind a “|”")]
    return []


def check_total(sizes: Sequence[int]) -> Sequence[Mistake]:
    """Check the size of a row's files together, in bytes."""
    total = sum(sizes)
    if total < MOST_BYTES:
        return []
    reason = f"the files have {total / 1e6:.1f} MB together, and Amazon takes less than {MOST_BYTES / 1e6:.0f}"
    return [Mistake(COLUMN, reason, "take smaller ones, or fewer")]


def _ending(path: str) -> str:
    return PurePath(path).suffix.lower().removeprefix(".")


def _begins(*beginnings: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(beginnings)


def _is_text(head: bytes) -> bool:
    # UTF-16 has zeros, and says what it is by its first two bytes; any other text has none.
    return head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" not in head


_JPEG = _begins(b"\xff\xd8\xff")
_TYPES: Mapping[str, Callable[[bytes], bool]] = {
    "txt": _is_text,
    "pdf": lambda head: b"%PDF-" in head,  # readers allow some bytes before it
    "doc": _begins(bytes.fromhex("d0cf11e0a1b11ae1")),
    "docx": _begins(b"PK\x03\x04"),
    "jpg": _JPEG,
    "jpeg": _JPEG,
    "gif": _begins(b"GIF87a", b"GIF89a"),
    "png": _begins(b"\x89PNG\r\n\x1a\n"),
}
"""By extension, what the first bytes of such a file must be."""
_BAD_NAME = re.compile(r"[\x00-\x1f\x7f/\\]")
