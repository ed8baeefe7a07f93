"""Text that no repr and no pickle shows: tools that print the local variables of a traceback go by the repr."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn, Self, SupportsIndex, TypeVar

__all__ = ["Secret", "bare", "hide"]

_Error = TypeVar("_Error", bound=BaseException)
_Given = TypeVar("_Given", str, str | None)


class Secret(str):
    """A secret as text: usable wherever a `str` is, but its repr does not hold it, and it is not pickled.

    `rich.traceback` with `show_locals=True`, `pytest -l` and `traceback.TracebackException(capture_locals=True)` all
    print the repr of what a frame holds, so our frames hold secrets only as this. A task queue or a cache would keep a
    pickle in plain text; who wants that takes it by `str()`.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(…)"

    def __rich_repr__(self) -> Iterator[str]:
        # Without this rich shows the beginning of a long text, whatever its repr is.
        yield "…"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("it holds a secret and is not pickled: take the plain text by str()")

    def __copy__(self) -> Self:
        return self  # `copy` goes by what makes a pickle too

    def __deepcopy__(self, memo: object) -> Self:
        return self


def hide(text: _Given) -> _Given:
    """Return the text as a `Secret`; None, and what is no text, stays as it is, for a check that says so."""
    return Secret(text) if isinstance(text, str) else text  # type: ignore[redundant-expr]


def bare(error: _Error) -> _Error:
    """Take the tracebacks off an error and what caused it: kept, they keep frames alive, and all that is in them."""
    link: BaseException | None = error
    for _ in range(20):  # causes should not go round in circles, but nothing forbids it
        if link is None:
            break
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error
