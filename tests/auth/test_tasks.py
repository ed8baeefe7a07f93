"""Background tasks without a task group: they end with the client, and at the latest with their event loop."""

from __future__ import annotations

import asyncio
import logging
from contextvars import Context, ContextVar

import anyio
import pytest

from spapi_async.auth.tasks import Tasks

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])]


async def test_closing_ends_them(anyio_backend: str) -> None:
    """Closing cancels what runs and waits until it has ended, its cleaning up included."""
    tasks, ended = Tasks(), []

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.01)
            ended.append(1)

    for _ in range(3):
        tasks.start(work)
    await anyio.wait_all_tasks_blocked()
    await tasks.aclose()
    assert (ended, len(tasks._tasks)) == ([1, 1, 1], 0)
    await tasks.aclose()


async def test_one_that_fails_is_logged(anyio_backend: str, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody waits for a background task, so its error is logged; on trio it would end the program."""
    tasks = Tasks()

    async def fail() -> None:
        raise ZeroDivisionError

    tasks.start(fail)
    await anyio.wait_all_tasks_blocked()
    assert "a background task failed" in caplog.text
    assert caplog.records[0].levelno == logging.ERROR
    assert not tasks._tasks


async def test_context(anyio_backend: str) -> None:
    """A task sees the context variables of who started it, or those that it is given."""
    variable: ContextVar[int] = ContextVar("variable", default=0)
    variable.set(1)
    tasks, seen = Tasks(), []

    async def look() -> None:
        seen.append(variable.get())

    tasks.start(look)
    tasks.start(look, context=Context())
    await anyio.wait_all_tasks_blocked()
    assert sorted(seen) == [0, 1]


def test_the_end_of_the_event_loop_ends_them(anyio_backend: str) -> None:
    """A client that is never closed leaves no task behind when its event loop ends."""
    tasks, ended = Tasks(), []

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(1)

    async def main() -> None:
        tasks.start(work)
        await anyio.wait_all_tasks_blocked()

    anyio.run(main, backend=anyio_backend)
    assert (ended, len(tasks._tasks)) == ([1], 0)


def test_those_of_a_dead_event_loop_are_forgotten(anyio_backend: str) -> None:
    """An event loop that was closed with tasks in it does not hold up closing in another one."""
    tasks = Tasks()
    loop = asyncio.new_event_loop()

    async def main() -> None:
        tasks.start(anyio.sleep_forever)
        await asyncio.sleep(0)

    loop.run_until_complete(main())
    handle = next(iter(tasks._tasks)).handle
    loop.close()
    anyio.run(tasks.aclose, backend=anyio_backend)
    assert not tasks._tasks
    assert isinstance(handle, asyncio.Task)
    handle._log_destroy_pending = False  # type: ignore[attr-defined]
    handle.get_coro().close()  # type: ignore[union-attr]
