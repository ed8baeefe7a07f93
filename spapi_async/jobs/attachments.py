"""The files of rows with attachments: looked at before anything is sent, uploaded right before their row is.

The rules are in `kinds.attachments`, the two steps of an upload in `uploads`. Here is what touches the disk, and what
keeps one upload for the same content, order and kind.
"""

from __future__ import annotations

import random
import stat
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import anyio
import attrs
from anyio import to_thread

from ..errors import JobError, SpapiError
from ..operation import Call, Priority, Reply
from ..uploads import LIFETIME, Transfer, content_md5, upload
from .kinds import Kind, Mistake, Uploaded
from .kinds.attachments import COLUMN, HEAD, MOST_BYTES, check_file, check_total, read
from .row import Row
from .source import Entry

__all__ = ["AttachmentError", "AttachmentFiles", "InMemory", "Uploader"]

_MD5 = "attachments_md5"
"""Where a row's body has the sums of its files, in their order: what was looked at is what will be sent, and a row
whose file was mended since counts as changed."""
_AT_ONCE = 16
"""Files in the memory at a time, each below 10 MB."""
_MOST_KEPT = 4000
"""Uploads that are remembered for all selling partners of a job, each with some 1,300 bytes; those of rows in hand."""


class AttachmentError(SpapiError):
    """A file is not what it was when it was looked at. Nothing was sent."""

    is_retry_safe = True


class AttachmentFiles:
    """Looks at the files of rows.

    Args:
        folder: Where relative paths begin.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, path: str) -> Path:
        """Return where a file of a row is."""
        return self._folder / path

    def checked(self, entry: Entry) -> Entry:
        """Look at the files of a row: they must be there, readable, of a type and a size that Amazon takes.

        Returns:
            The entry, with a row that knows the sums of its files; or with the mistakes that were found.
        """
        row = entry.row
        if row is None or COLUMN not in row.body:
            return entry
        mistakes: list[Mistake] = []
        files: list[_File] = []
        for number, attachment in enumerate(read(row.body[COLUMN]), 1):
            try:
                file = _look(self.path(attachment.path))
            except (OSError, ValueError) as error:  # ValueError: a NUL in the path
                reason = f"file {number} cannot be read: {getattr(error, 'strerror', None) or error}"
                mistakes.append(
                    Mistake(COLUMN, reason, f"mend the path; relative ones begin at {self._folder.absolute()}")
                )
                continue
            mistakes += check_file(number, attachment, file.size, file.head)
            files.append(file)
        if not mistakes:
            mistakes += check_total([file.size for file in files])
        if mistakes:
            return attrs.evolve(entry, row=None, mistakes=mistakes)
        body = {**row.body, _MD5: " ".join(file.md5 for file in files)}
        return attrs.evolve(entry, row=attrs.evolve(row, body=body))


class _File(NamedTuple):
    size: int
    head: bytes
    md5: str


def _look(path: Path) -> _File:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for
        raise ValueError("it is no file")
    return _read(path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=256)  # the same sheet for every buyer is read once
def _read(path: Path, size: int, _changed: int) -> _File:
    content = _content(path)
    return _File(size, content[:HEAD], content_md5(content))


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MOST_BYTES)  # what is larger is refused


class _Upload:
    """One upload, under way or done."""

    def __init__(self) -> None:
        self.turn = anyio.Lock()
        self.id: str | None = None
        self.until = 0.0


class InMemory:
    """What the uploaders of a job share, so that its memory does not grow with its selling partners."""

    def __init__(self) -> None:
        self.files = anyio.CapacityLimiter(_AT_ONCE)
        self.uploads: OrderedDict[tuple[Uploader, str, str, str], _Upload] = OrderedDict()


class Uploader:
    """Uploads the files of rows, each content once for an order and a kind.

    Args:
        send: `SellingPartner.send`.
        transfer: `SellingPartner.transfer`.
        files: Where the files are.
        in_memory: Shared by uploaders that belong together. None: one's own.
    """

    def __init__(
        self,
        send: Callable[[Call], Awaitable[Reply]],
        transfer: Transfer,
        files: AttachmentFiles,
        in_memory: InMemory | None = None,
    ) -> None:
        self._send = send
        self._transfer = transfer
        self._files = files
        self._in_memory = in_memory or InMemory()

    async def __call__(self, kind: Kind, row: Row, *, anew: bool = False) -> Sequence[Uploaded]:
        """Upload the files of a row that was checked.

        Args:
            kind: The row's.
            row: The row.
            anew: Amazon does not know the last upload: do not use it again.

        Raises:
            AttachmentError: A file has changed since it was looked at, or is gone.
            CallError: Amazon did not take one.
        """
        uploaded = []
        sums = row.body.get(_MD5, "").split()
        attachments = read(row.body.get(COLUMN, ""))
        if len(sums) != len(attachments):
            raise JobError("a row with attachments was added without looking at its files")
        for number, (attachment, md5) in enumerate(zip(attachments, sums, strict=True), 1):
            content = partial(self._content, number, self._files.path(attachment.path), md5)
            uploaded.append(Uploaded(await self._once(kind, row, md5, content, anew), attachment.name))
        return uploaded

    async def _once(
        self, kind: Kind, row: Row, md5: str, content: Callable[[], AbstractAsyncContextManager[bytes]], anew: bool
    ) -> str:
        resource, marketplace_id = kind.resource(row), row.body["marketplace_id"]
        key, uploads = (self, resource, marketplace_id, md5), self._in_memory.uploads
        found = uploads.setdefault(key, _Upload())
        uploads.move_to_end(key)
        while len(uploads) > _MOST_KEPT:
            uploads.popitem(last=False)
        seen = found.id
        async with found.turn:
            # Another row may have done it while this one waited.
            if found.id is None or anyio.current_time() >= found.until or (anew and found.id == seen):
                found.id = await upload(
                    self._send,
                    self._transfer,
                    resource=resource,
                    marketplace_id=marketplace_id,
                    md5=md5,
                    content=content,
                    random=random.random,
                    priority=Priority.BULK,
                )
                # How long Amazon keeps it is not known; so no longer than its URL.
                found.until = anyio.current_time() + LIFETIME
            return found.id

    @asynccontextmanager
    async def _content(self, number: int, path: Path, md5: str) -> AsyncIterator[bytes]:
        async with self._in_memory.files:
            try:
                content = await to_thread.run_sync(_content, path)
            except OSError as error:
                raise AttachmentError(f"attachment {number} cannot be read: {error.strerror or error}") from None
            if content_md5(content) != md5:
                raise AttachmentError(f"attachment {number} was changed while the job ran; run it again")
            yield content
