"""Writes a file that stands there as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

__all__ = ["partial_of", "replaced"]


def partial_of(path: Path) -> Path:
    """Return where this process writes what shall take the place of a file; two may be at the same one."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


@contextmanager
def replaced(path: Path) -> Iterator[TextIO]:
    """Open a file that takes the place of another one when it is whole.

    Args:
        path: Of the other one, which need not be there.

    Raises:
        OSError: It cannot be written.
    """
    partial = partial_of(path)
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            yield file
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)  # it may hold buyers' texts
        raise
