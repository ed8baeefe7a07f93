"""Token stores: what is kept until when, and a file that survives everything but shows little."""

# ruff: noqa: ASYNC220, ASYNC240 - nothing else runs meanwhile

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from spapi_async.auth import FileStore, MemoryStore, TokenStore

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])]


@pytest.mark.parametrize("kind", ["memory", "file"])
async def test_what_a_store_does(kind: str, tmp_path: Path) -> None:
    """It keeps a value by its key until it expires or is deleted; the last one counts."""
    store: TokenStore = MemoryStore() if kind == "memory" else FileStore(tmp_path / "tokens.json")
    assert await store.get("a") is None
    await store.delete("a")
    await store.set("a", "1", 100)
    await store.set("a", "2", 100)
    await store.set("b", "3", -1)
    assert [await store.get(key) for key in "abc"] == ["2", None, None]
    await store.delete("a")
    assert await store.get("a") is None


async def test_memory_is_bounded_by_time() -> None:
    """What has expired goes, now and then: a store does not grow for ever."""
    now = [0.0]
    store = MemoryStore(clock=lambda: now[0])
    for number in range(10_000):
        now[0] += 1
        await store.set(str(number), "v", 50)
    assert len(store._values) < 250
    assert "v" not in repr(store).replace("MemoryStore of", "")


class TestFileStore:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "folder" / "tokens.json"

    async def test_only_its_owner_can_read_it(self, path: Path) -> None:
        """File and folder are made for the owner alone; a file that others could read is so no longer once written."""
        store = FileStore(path)
        await store.set("a", "1", 100)
        assert [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent)] == [0o600, 0o700]
        path.chmod(0o644)
        await store.set("b", "2", 100)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    @pytest.mark.parametrize(
        "content",
        [b"", b"{", b"[]", b"3", b"\xff\xfe", b'{"a": 1}', b'{"a": {"value": 1, "expires_at": 9e9}}', b"[" * 100_000],
    )
    async def test_a_corrupted_file_counts_as_empty(self, path: Path, content: bytes) -> None:
        """It is no error, and is written anew."""
        path.parent.mkdir()
        path.write_bytes(content)
        store = FileStore(path)
        assert await store.get("a") is None
        await store.set("a", "1", 100)
        assert await store.get("a") == "1"

    async def test_what_expired_goes(self, path: Path) -> None:
        """Each write leaves out what has expired, so the file does not grow."""
        store = FileStore(path)
        await store.set("old", "value-1", -1)
        await store.set("new", "value-2", 100)
        assert "value-1" not in path.read_text()

    async def test_a_write_that_fails_leaves_the_file_as_it_was(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The old content stays whole, and no half-written file lies beside it."""
        store = FileStore(path)
        await store.set("a", "1", 100)

        def fail(*_: object) -> None:
            raise OSError("disk full")

        with monkeypatch.context() as patched:
            patched.setattr(os, "replace", fail)
            with pytest.raises(OSError, match="disk full"):
                await store.set("a", "2", 100)
        assert await store.get("a") == "1"
        assert sorted(each.name for each in path.parent.iterdir()) == ["tokens.json", "tokens.json.lock"]

    async def test_several_at_once(self, path: Path) -> None:
        """Writers of one file do not lose each other's values."""
        stores = [FileStore(path) for _ in range(4)]
        async with anyio.create_task_group() as tasks:
            for number in range(40):
                tasks.start_soon(stores[number % 4].set, str(number), str(number), 100)
        assert [await stores[0].get(str(number)) for number in range(40)] == [str(number) for number in range(40)]


_WRITER = """
import asyncio, sys
from spapi_async.auth import FileStore
async def main():
    store = FileStore(sys.argv[1])
    for number in range(25):
        await store.set(f"{sys.argv[2]}-{number}", "v", 100)
asyncio.run(main())
"""


async def test_two_processes(tmp_path: Path) -> None:
    """Two processes that write the same file lose nothing of each other's."""
    path = tmp_path / "tokens.json"
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, str(path), name]) for name in "ab"]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    store = FileStore(path)
    assert [await store.get(f"{name}-{number}") for name in "ab" for number in range(25)] == ["v"] * 50
