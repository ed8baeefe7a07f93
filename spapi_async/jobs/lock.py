"""A lock that the operating system takes back when its owner dies, however it dies.

So a run that starts right after a kill knows at once that the other one is gone, with no lease to wait for.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ..errors import JobError

__all__ = ["FileLock"]

_OFFSET = 1 << 30
"""Where Windows locks its byte: far behind the content, which others can then still read."""


class FileLock:
    """An exclusive lock on a file beside the journal; the file holds the owner's process id, for the message.

    The file stays when the lock goes: a file that is removed while another process waits for it would be two locks.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def acquire(self) -> None:
        """Take the lock, or say who has it.

        Raises:
            JobError: Another process has it, or the file cannot be written.
        """
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise JobError(f"{self._path} cannot be written: {error.strerror or error}") from error
        try:
            _lock(handle)
        except OSError as error:
            owner = os.read(handle, 20).decode("ascii", "replace").strip()
            os.close(handle)
            who = f"process {owner}" if owner else "another process"
            raise JobError(f"{self._path.with_suffix('')} is in use by {who}; wait until that has ended") from error
        try:
            os.truncate(handle, 0)
            os.write(handle, f"{os.getpid()}\n".encode())
        except OSError as error:
            os.close(handle)
            raise JobError(f"{self._path} cannot be written: {error.strerror or error}; make room first") from error
        self._handle = handle

    def release(self) -> None:
        """Give the lock back."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        os.lseek(handle, _OFFSET, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        os.lseek(handle, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
