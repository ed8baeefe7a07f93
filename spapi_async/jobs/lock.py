"""Locks by the operating system, which takes them back at once when a process dies, however it dies."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Container
from contextlib import suppress
from pathlib import Path

from ..errors import JobError

__all__ = ["FileLock", "OwnerLock"]

_OFFSET = 1 << 30
"""Where Windows locks its byte: far behind the content, which others can then still read."""

_MOST_SWEPT = 100
"""Stale files that are looked at when a journal is opened."""


class FileLock:
    """An exclusive lock on a file beside the journal; the file holds the holder's process id, for the message.

    The file stays when the lock goes: a file that is removed while another process waits for it would be two locks.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def acquire(self, patience: float = 0.0) -> None:
        """Take the lock, or say who has it.

        Args:
            patience: Seconds to wait for it; the thread is blocked meanwhile.

        Raises:
            JobError: Another process has it, or the file cannot be written.
        """
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise JobError(f"{self._path} cannot be written: {error.strerror or error}") from error
        try:
            _lock_within(handle, patience)
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


class OwnerLock:
    """A lock that says no more than that its process lives: on a file of its own, with a name that is never used again.

    Args:
        journal: The file of the journal; `jobs.db` gets a `jobs.db.f00d….lock` beside it.

    Attributes:
        name: The name of the locked file; None where files cannot be locked, as on some network file systems.
    """

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._handle: int | None = None
        self.name: str | None = None

    def acquire(self) -> None:
        """Make the file and lock it.

        Raises:
            OSError: It cannot be made.
        """
        while True:
            path = self._journal.with_name(f"{self._journal.name}.{secrets.token_hex(8)}.lock")
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                _lock(handle)
            except OSError:
                os.close(handle)
                path.unlink(missing_ok=True)
                return
            if path.exists():  # else somebody has swept it away before it was locked
                self._handle, self.name = handle, path.name
                return
            os.close(handle)

    def release(self) -> None:
        """Give the lock back and remove the file."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        if self.name is not None:
            with suppress(OSError):
                self._journal.with_name(self.name).unlink(missing_ok=True)

    def is_gone(self, name: str) -> bool:
        """Return whether the process that locked a file is certainly gone."""
        return _is_free(self._journal.with_name(name))

    def sweep(self, known: Container[str]) -> None:
        """Remove the files of processes that died, but for those that the journal still knows."""
        pattern = f"{self._journal.name}.{'[0-9a-f]' * 16}.lock"
        for path in sorted(self._journal.parent.glob(pattern))[:_MOST_SWEPT]:
            if path.name not in known and _is_free(path):
                with suppress(OSError):
                    path.unlink(missing_ok=True)


def _is_free(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return True
    except OSError:
        return False  # nobody can tell
    try:
        _lock(handle)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def _lock_within(handle: int, patience: float) -> None:
    end = time.monotonic() + patience
    while True:
        try:
            _lock(handle)
        except OSError:
            if time.monotonic() >= end:
                raise
            time.sleep(0.02)
        else:
            return


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
