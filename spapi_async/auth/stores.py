"""Where tokens can be kept beyond one client: a small protocol, a store in memory and one in a file."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import anyio
import anyio.to_thread

__all__ = ["FileStore", "MemoryStore", "TokenStore"]


class TokenStore(Protocol):
    """Keeps texts by key until they expire, as a Redis server does; make one for yours with these three methods.

    A key holds the application's client id and a digest of the refresh token, and no secret. A value holds an access
    token: who reads it can act for the selling partner until it expires.

    A store may fail or hang: calls then go on without it, and a `TokenStoreFailed` event tells.
    """

    async def get(self, key: str) -> str | None:
        """Return the value; None when there is none, or it has expired."""

    async def set(self, key: str, value: str, expires_in: float) -> None:
        """Keep a value for so many seconds."""

    async def delete(self, key: str) -> None:
        """Forget a value, if there is one."""


class MemoryStore:
    """A `TokenStore` in memory: lets several `Application` objects of one process share tokens.

    Args:
        clock: Gives seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._values: dict[str, tuple[str, float]] = {}
        self._tidy_at = 100

    def __repr__(self) -> str:
        return f"<MemoryStore of {len(self._values)} tokens>"

    async def get(self, key: str) -> str | None:
        """Return the value; None when there is none, or it has expired."""
        value, expires_at = self._values.get(key, ("", 0.0))
        return value if self._clock() < expires_at else None

    async def set(self, key: str, value: str, expires_in: float) -> None:
        """Keep a value for so many seconds."""
        now = self._clock()
        if len(self._values) >= self._tidy_at:  # not each time, which would take long with ten thousand of them
            self._values = {key: kept for key, kept in self._values.items() if now < kept[1]}
            self._tidy_at = 100 + 2 * len(self._values)
        self._values[key] = value, now + expires_in

    async def delete(self, key: str) -> None:
        """Forget a value, if there is one."""
        self._values.pop(key, None)


class FileStore:
    """A `TokenStore` in a file, for programs that run often and shortly, as the command line does.

    Only its owner can read the file (mode 0600), but whoever reads it can act for the selling partners in it until the
    tokens expire, within an hour. It is replaced as a whole, so that it is never half written, and several processes
    can use it at once. A file that cannot be read as what it should be counts as empty, and is written anew.

    Args:
        path: The file. It is made when there is a token to keep, with its folder (mode 0700).
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path).expanduser()

    def __repr__(self) -> str:
        return f"FileStore({str(self._path)!r})"

    async def get(self, key: str) -> str | None:
        """Return the value; None when there is none, or it has expired.

        Raises:
            OSError: The file is there and cannot be read.
        """
        kept = (await anyio.to_thread.run_sync(self._read)).get(key)
        return None if kept is None else kept["value"]

    async def set(self, key: str, value: str, expires_in: float) -> None:
        """Keep a value for so many seconds.

        Raises:
            OSError: The file cannot be written.
        """
        entry = {"value": value, "expires_at": time.time() + expires_in}
        await anyio.to_thread.run_sync(self._change, key, entry)

    async def delete(self, key: str) -> None:
        """Forget a value, if there is one.

        Raises:
            OSError: The file cannot be written.
        """
        await anyio.to_thread.run_sync(self._change, key, None)

    def _read(self) -> dict[str, dict[str, Any]]:  # Any: a text and a number
        try:
            entries = json.loads(self._path.read_bytes())
        except (FileNotFoundError, ValueError, RecursionError):
            return {}
        now = time.time()
        return {
            key: entry
            for key, entry in (entries.items() if isinstance(entries, dict) else ())
            if isinstance(entry, dict)
            and isinstance(entry.get("value"), str)
            and isinstance(entry.get("expires_at"), int | float)
            and entry["expires_at"] > now
        }

    def _change(self, key: str, entry: dict[str, Any] | None) -> None:
        folder = self._path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A file of its own: the other one is replaced, and a lock on what is no longer there would keep nobody out. It
        # stays, since a lock file that is removed while another process waits for it would be two locks.
        lock = os.open(self._path.with_name(self._path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(lock)
            entries = self._read()
            if entry is None and key not in entries:
                return
            entries.pop(key, None)
            if entry is not None:
                entries[key] = entry
            # Mode 0600, in the same folder, so that replacing is one step.
            handle, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=folder)
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(entries, file)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(name, self._path)
            except BaseException:
                os.unlink(name)
                raise
        finally:
            os.close(lock)  # which gives the lock back


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_LOCK, 1)  # tries for ten seconds

else:
    import fcntl

    def _lock(handle: int) -> None:
        until = time.monotonic() + 3.0
        while True:
            try:
                return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.01)  # another process is writing; this is a thread of its own
