"""Choosing operations by name, as in `plans=` of the client: `orders_v0.get_orders`, `messaging_v1.*` or `*`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from ..errors import ConfigError
from ..operation import Operation

__all__ = ["by_operation", "select"]

T = TypeVar("T")


def select(name: str, operations: Iterable[Operation]) -> list[str]:
    """Give the keys that a name means.

    Raises:
        ConfigError: It means none; the message names what comes near.
    """
    keys = [operation.key for operation in operations]
    if name == "*":
        return keys
    if name.endswith(".*"):
        found = [key for key in keys if key.startswith(name[:-1])]
        candidates = sorted({key.split(".")[0] + ".*" for key in keys})
    else:
        found = [name] if name in keys else []
        candidates = keys
    if not found:
        near = get_close_matches(name, candidates, n=3)
        raise ConfigError(f"no operation is named {name!r}" + (f"; did you mean {' or '.join(near)}?" if near else ""))
    return found


def by_operation(named: Mapping[str, T], operations: Iterable[Operation]) -> dict[str, T]:
    """Give what is said of operations to each of them; the name that means one most exactly has the last word.

    Raises:
        ConfigError: A name means no operation.
    """
    operations = tuple(operations)
    # "*" sorts before any letter, so the more exact name comes later.
    return {key: named[name] for name in sorted(named) for key in select(name, operations)}
