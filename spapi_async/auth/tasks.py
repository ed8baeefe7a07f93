"""Background tasks of a client, on asyncio and trio.

A client can be used without `async with`, so there is no task group that could own them. They belong to the client: it
cancels them when it is closed. If it never is, they end with their event loop: `asyncio.run` cancels what is left, and
trio its system tasks. Whatever they do has an end of its own too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context

import anyio

__all__ = ["Tasks", "current_loop"]

_GRACE = 10.0  # seconds that cancelled tasks are given; one that ignores its cancellation must not hold up closing


def current_loop() -> object:
    """Return what stands for the event loop that runs now."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        import trio

        return trio.lowlevel.current_trio_token()


class _Task:
    __slots__ = ("done", "handle", "loop", "scope")

    def __init__(self, loop: object) -> None:
        self.loop = loop
        self.scope = anyio.CancelScope()
        self.done = anyio.Event()
        self.handle: object = None  # asyncio itself keeps no strong reference to its tasks


class Tasks:
    """Starts background tasks and ends them."""

    def __init__(self) -> None:
        self._tasks: set[_Task] = set()

    def start(self, function: Callable[[], Awaitable[None]], *, context: Context | None = None) -> None:
        """Run a function in a task of its own, in the event loop that runs now.

        Args:
            function: What it raises is logged: nobody waits for it.
            context: Its context variables; a copy of the caller's without.
        """
        loop = current_loop()
        task = _Task(loop)
        self._tasks.add(task)
        context = copy_context() if context is None else context
        if isinstance(loop, asyncio.AbstractEventLoop):
            task.handle = loop.create_task(self._run(task, function), context=context)
            return
        import trio

        trio.lowlevel.spawn_system_task(self._run, task, function, name=function, context=context)

    def cancel(self) -> None:
        """Cancel all of them. Those of an event loop that has ended are forgotten."""
        loop = current_loop()
        for task in list(self._tasks):
            if task.loop is loop:
                task.scope.cancel()
            else:
                self._tasks.discard(task)

    async def aclose(self) -> None:
        """Cancel all of them, and wait until they have ended."""
        self.cancel()
        with anyio.move_on_after(_GRACE, shield=True):
            for task in list(self._tasks):
                await task.done.wait()

    async def _run(self, task: _Task, function: Callable[[], Awaitable[None]]) -> None:
        try:
            with task.scope:
                await function()
        except Exception:  # on trio it would end the whole program
            logging.getLogger("spapi_async").exception("a background task failed")
        finally:
            self._tasks.discard(task)
            task.done.set()
