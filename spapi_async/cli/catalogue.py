"""Names of operations as a user types them, and what to say of the operations found."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from ..apis import catalog
from ..apis.namespace import MODULES
from ..errors import ConfigError
from ..operation import Operation, UsagePlan

__all__ = ["find_operation", "find_operations", "marks_of", "plan_of"]


def find_operation(name: str) -> Operation:
    """Return the operation of a name, as in `orders_v0.get_order` or `orders_v0.getOrder`.

    Raises:
        ConfigError: There is none, or Amazon gives several that name; it tells what comes near.
    """
    found = _named(name)
    if len(found) > 1:
        keys = " or ".join(operation.key for operation in found)
        raise ConfigError(f"{name} is the name of several operations: give {keys}")
    if name in MODULES:
        raise ConfigError(f"{name} is a module; `spapi-async plans {name}` lists its operations")
    if not found:
        raise _unknown(name)
    return found[0]


def find_operations(names: Sequence[str]) -> list[Operation]:
    """Return the operations of these modules and operations, each once and in the order of the names; all for none.

    Args:
        names: As in `orders_v0`, `orders_v0.*`, `orders_v0.get_order` or `orders_v0.getOrder`.

    Raises:
        ConfigError: A name means nothing; it tells what comes near.
    """
    if not names:
        return list(catalog())
    found: dict[str, Operation] = {}
    for name in names:
        module = name.removesuffix(".*")
        operations = list(catalog(module)) or _named(name)
        if not operations:
            raise _unknown(name)
        found.update((operation.key, operation) for operation in operations)
    return list(found.values())


def plan_of(plan: UsagePlan) -> str:
    """Say a usage plan in a few words; a slow rate also as an interval, as in `0.0222/s, burst 10, 1 per 45 s`."""
    seconds = 1 / plan.rate
    if seconds <= 1:
        pace = ""
    elif round(seconds) == 60:
        pace = ", 1 per min"
    else:
        pace = f", 1 per {seconds:.0f} s" if seconds < 90 else f", 1 per {seconds / 60:.2g} min"
    return f"{plan.rate:g}/s, burst {plan.burst:g}{pace} ({plan.source})"


def marks_of(operation: Operation, *, most_roles: int | None = None) -> list[str]:
    """Say in a few words each what is special about an operation.

    Args:
        operation: What is marked.
        most_roles: If it has more roles than that, they are counted, not named.
    """
    marks = []
    if operation.restricted != "never":
        marks.append("restricted" if operation.restricted == "required" else "restricted: optional")
    if operation.grantless_scope:
        marks.append(f"grantless: {operation.grantless_scope}")
    if operation.idempotency_header:
        marks.append("repeatable by key")
    elif not operation.repeatable:
        marks.append("not repeatable")
    if operation.application_rate:
        marks.append(f"{operation.application_rate:g} per s for the application")
    if operation.deprecated:
        marks.append("deprecated")
    if operation.retired:
        marks.append(f"retired: {operation.retired}")
    if operation.sandbox_only:
        marks.append("Amazon's sandbox only")
    if operation.roles:
        count = len(operation.roles)
        is_long = most_roles is not None and count > most_roles
        marks.append(f"any of {count} roles" if is_long else f"role: {_or(operation.roles)}")
    return marks


def _named(name: str) -> list[Operation]:
    module, _, last = name.partition(".")
    operations = list(catalog(module))
    # A method's own name goes first: Amazon gives two operations of shipping_v2 the same operationId.
    return [each for each in operations if each.name == last] or [
        each for each in operations if each.operation_id == last
    ]


def _unknown(name: str) -> ConfigError:
    everything = list(catalog())
    if "." not in name:
        # Perhaps the module was left out.
        near = [each.key for each in everything if name in (each.name, each.operation_id)]
        near = near or get_close_matches(name, MODULES, cutoff=0.5)
    else:
        module, _, last = name.partition(".")
        last = next((each.name for each in everything if each.operation_id == last), last)
        near = get_close_matches(f"{module}.{last}", [each.key for each in everything])
    kind = "operation" if "." in name else "module or operation"
    hint = f"; did you mean {_or(near)}?" if near else "; `spapi-async plans` lists them all"
    return ConfigError(f"there is no {kind} {name}{hint}")


def _or(words: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
