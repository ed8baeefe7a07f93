"""The one mechanism for the way through: retry, throttling, auth and the job journal are middlewares, nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from .operation import Call, Reply

__all__ = ["Middleware", "Next", "compose"]

Next = Callable[[Call], Awaitable[Reply]]
"""The rest of the way: takes the call on, gives the reply back or raises."""

Middleware = Callable[[Call, Next], Awaitable[Reply]]
"""One stage: `async (call, next_) -> Reply`. It may change the call, repeat `next_`, or raise."""


def compose(middlewares: Iterable[Middleware], last: Next) -> Next:
    """Nest middlewares around the last step; the first in the list is the outermost."""
    for middleware in reversed(tuple(middlewares)):
        last = partial(_enter, middleware, last)
    return last


def _enter(middleware: Middleware, next_: Next, call: Call) -> Awaitable[Reply]:
    return middleware(call, next_)
