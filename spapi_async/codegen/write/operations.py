"""`operations.py`: the facts about each operation as constants."""

from __future__ import annotations

import attrs

from ...operation import Operation, Parameter
from ..ir import ApiSpec
from .common import MARK, constant_name, title

__all__ = ["write_operations"]


def write_operations(api: ApiSpec) -> str:
    """Return the text of the file."""
    constants = "\n\n".join(f"{constant_name(spec)} = {_operation(spec.operation)}" for spec in api.operations)
    names = "\n".join(f"    {constant_name(spec)}," for spec in api.operations)
    exported = "\n".join(f'    "{name}",' for name in sorted(["OPERATIONS", *map(constant_name, api.operations)]))
    uses_parameter = any(spec.operation.parameters for spec in api.operations)
    return f'''"""{title(api)}: facts about its operations.

{MARK}
"""

from __future__ import annotations

from ...operation import Operation, {"Parameter, " if uses_parameter else ""}UsagePlan

__all__ = [
{exported}
]

{constants}

OPERATIONS = (
{names}
)
'''


def _operation(operation: Operation) -> str:
    plan = operation.plan
    arguments = []
    for field in attrs.fields(Operation):
        value = getattr(operation, field.name)
        if field.name == "plan":
            arguments.append(f"plan=UsagePlan({_number(plan.rate)}, {_number(plan.burst)}, {plan.source!r})")
        elif field.name == "parameters" and value:
            parameters = "".join(f"{_parameter(parameter)}," for parameter in value)
            arguments.append(f"parameters=({parameters})")
        elif field.name == "greedy" and value:
            arguments.append(f"greedy=frozenset({sorted(value)!r})")
        elif field.init and value != field.default:
            arguments.append(f"{field.name}={value!r}")
    return f"Operation({', '.join(arguments)},)"


def _number(value: float) -> str:
    return repr(int(value) if float(value).is_integer() else value)


def _parameter(parameter: Parameter) -> str:
    arguments = [
        f"{field.name}={getattr(parameter, field.name)!r}"
        for field in attrs.fields(Parameter)
        if getattr(parameter, field.name) != field.default
    ]
    return f"Parameter({', '.join(arguments)})"
