"""`spapi-async plans`: every operation with its usage plan, and what is special about it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from ..operation import Operation
from .catalogue import find_operations, marks_of, plan_of
from .styled import styled_printer

__all__ = ["add_arguments", "run"]

_COLUMNS = ("operation", "method", "path", "rate", "burst", "source", "marks")
_WIDEST_NAME = 36
"""Characters: with it nearly all lines fit into 80. The few names that are longer push their plan to the right."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = (
        "On a terminal, each operation has a line with its plan and one with its path and marks; elsewhere, a line of "
        "columns separated by tabs. Rates are requests/s for each selling partner and application; the burst is how "
        "many can be sent at once after a pause. The source says where the figures come from: Amazon's documentation, "
        "its model, its SDK, or default where none of them has any."
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="only these, as in orders_v0, orders_v0.get_order or orders_v0.getOrder; default: all",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON array, an object for each operation")


def run(arguments: argparse.Namespace) -> int:
    """Print the operations; return 0.

    Raises:
        ConfigError: A name means nothing.
    """
    operations = find_operations(arguments.names)
    if arguments.json:
        print(json.dumps([_facts(operation) for operation in operations], indent=2))
    elif sys.stdout.isatty():
        say = styled_printer()
        for text, style in _lines(operations):
            say(text, style)
    else:
        print(*_COLUMNS, sep="\t")
        for operation in operations:
            print(*_cells(operation), sep="\t")
    return 0


def _lines(operations: Sequence[Operation]) -> Iterator[tuple[str, str]]:
    """Yield lines and their styles: a heading for each module, and two lines for each operation."""
    width = min(max(len(operation.name) for operation in operations), _WIDEST_NAME)
    for number, (module, group) in enumerate(groupby(operations, lambda operation: operation.module)):
        yield f"{chr(10) if number else ''}{module}", "bold"
        for operation in group:
            yield f"  {operation.name:<{width}}  {plan_of(operation.plan)}", ""
            marks = "".join(f" · {mark}" for mark in marks_of(operation, most_roles=2))
            yield f"    {operation.method} {operation.path}{marks}", "dim"


def _cells(operation: Operation) -> Iterator[str]:
    plan = operation.plan
    yield from (operation.key, operation.method, operation.path)
    yield from (f"{plan.rate:g}", f"{plan.burst:g}", plan.source, "; ".join(marks_of(operation)))


def _facts(operation: Operation) -> dict[str, Any]:  # Any: JSON
    plan = operation.plan
    return {
        "operation": operation.key,
        "operation_id": operation.operation_id,
        "method": operation.method,
        "path": operation.path,
        "rate": plan.rate,
        "burst": plan.burst,
        "source": plan.source,
        "application_rate": operation.application_rate,
        "restricted": operation.restricted,
        "grantless_scope": operation.grantless_scope,
        "repeatable": operation.repeatable,
        "idempotency_header": operation.idempotency_header,
        "deprecated": operation.deprecated,
        "retired": operation.retired,
        "sandbox_only": operation.sandbox_only,
        "roles": list(operation.roles),
        "docs": operation.docs,
    }
