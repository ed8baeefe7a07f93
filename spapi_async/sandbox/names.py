"""Choosing operations by name, as in `plans=` of the client: `orders_v0.get_orders`, `messaging_v1.*` or `*`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from ..errors import ConfigError
from ..operation import Operation, UsagePlan

__all__ = ["plans_in_force", "select"]


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


def plans_in_force(operations: Iterable[Operation], plans: Mapping[str, UsagePlan]) -> dict[str, UsagePlan]:
    """Give each operation its plan: the one named most exactly in `plans`, else Amazon's.

    Raises:
        ConfigError: A name in `plans` means no operation.
    """
    operations = tuple(operations)
    result = {operation.key: operation.plan for operation in operations}
    # "*" sorts before any letter, so the more exact name has the last word.
    for name in sorted(plans):
        for key in select(name, operations):
            result[key] = plans[name]
    return result
