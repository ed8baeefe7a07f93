"""Writes docs/reference/operations.md from the operations of the package: `python docs/operations.py`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from spapi_async.apis import catalog
from spapi_async.operation import Operation

PAGE = Path(__file__).parent / "reference" / "operations.md"

HEAD = """\
# Operations

Written by `docs/operations.py` from the generated code; do not edit.

A method carries Amazon's operationId in snake_case.

- *rate, burst*: the usage plan that the scheduler begins with. A rate that Amazon's replies name takes its place, and
  `plans=` overrides it. Where Amazon limits all selling partners of an application together besides, that rate
  follows, and `application_rates=` overrides it.
- *source*: where these figures come from: Amazon's documentation page, its model, its SDK, or `default` where none of
  them has any.
- *repeatable*: whether sending it twice does no more than sending it once, so that it is retried when its fate is
  open. “By key” means that an idempotency header makes it so.
- *token*: `access` for a selling partner's own, a scope for a grantless operation, `restricted` where a restricted
  data token is fetched; `on request` where `restricted=` asks for one.
- *role*: what the application must have been granted, where Amazon's documentation says so; one of them is enough.
"""


def page() -> str:
    """Return the page's text."""
    parts = [HEAD]
    for module, group in groupby(sorted(catalog(), key=lambda each: each.module), lambda each: each.module):
        operations = list(group)
        parts.append(f"\n## {module}\n\n")
        parts.append("| method | HTTP | rate, burst | source | repeatable | token |\n|---|---|---|---|---|---|\n")
        parts.extend(_row(operation) for operation in operations)
        parts.extend(_roles(operations))
    return "".join(parts)


def _roles(operations: list[Operation]) -> Iterator[str]:
    """Say which roles open which operations; most modules have the same for all of theirs."""
    methods: dict[tuple[str, ...], list[str]] = {}
    for operation in operations:
        methods.setdefault(operation.roles, []).append(f"`{operation.name}`")
    known = {roles: names for roles, names in methods.items() if roles}
    for roles, names in known.items():
        which = "" if len(methods) == 1 else f" for {', '.join(names)}"
        yield f"\nRole{which}: {' or '.join(roles)}.\n"


def _row(operation: Operation) -> str:
    name = f"`{operation.name}`"
    if operation.docs:
        name = f"[{name}]({operation.docs})"
    if operation.deprecated:
        name += " (deprecated)"
    if operation.retired:
        name += f" ({operation.retired})"
    if operation.sandbox_only:
        name += " (Amazon's sandbox only)"
    repeatable = "by key" if operation.idempotency_header else "yes" if operation.repeatable else "no"
    tokens = {"never": "access", "optional": "access; restricted on request", "required": "restricted"}
    token = operation.grantless_scope or tokens[operation.restricted]
    plan = f"{operation.plan.rate:g}/s, {operation.plan.burst:g}"
    if operation.application_rate:
        plan += f"; all together {operation.application_rate:g}/s"
    http = f"`{operation.method} {operation.path}`"
    return f"| {name} | {http} | {plan} | {operation.plan.source} | {repeatable} | {token} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
