"""`models.py`: the classes, and the lists of values that Amazon publishes."""

from __future__ import annotations

from ..ir import ApiSpec, EnumSpec, FieldSpec, ModelSpec, TypeSpec
from ..names import constant
from ..source import RefusedError
from .common import MARK, title, type_text

__all__ = ["write_models"]


def write_models(api: ApiSpec) -> str:
    """Return the text of the file."""
    body = "\n\n".join([*map(_enum, api.enums), *(_model(model, model.name in api.encoded) for model in api.models)])
    exported = "\n".join(
        f'    "{name}",' for name in sorted([*(model.name for model in api.models), *(enum.name for enum in api.enums)])
    )
    aliases = "\n".join(_enum_alias(enum) for enum in api.enums)
    return (
        f'''"""{title(api)}: its models.

{MARK}
"""

from __future__ import annotations

{"import datetime as dt" if " dt." in body else ""}
from collections.abc import Mapping
{"from decimal import Decimal" if "Decimal | None" in body else ""}
from typing import Any, ClassVar{", Final, Literal" if api.enums else ""}

from attrs import define{", field" if "field(" in body else ""}

{"from ...codec import read_decimal" if "read_decimal(" in body else ""}

__all__ = [
{exported}
]
'''
        + (f"\n{aliases}\n" if aliases else "")
        + f"\n\n{body}\n"
    )


def _enum_alias(enum: EnumSpec) -> str:
    return f"{enum.name}Literal = Literal[{', '.join(map(repr, enum.values))}]"


def _enum(enum: EnumSpec) -> str:
    names: dict[str, str] = {}
    for value in enum.values:
        if names.setdefault(constant(value), value) != value:
            raise RefusedError(f"{enum.name}: {value!r} and {names[constant(value)]!r} would be the same constant")
    values = "\n".join(f"    {name}: Final = {value!r}" for name, value in names.items())
    return f'''
class {enum.name}:
    """The values that Amazon lists; it may send others at any time."""

{values}
'''


def _model(model: ModelSpec, is_sent: bool) -> str:
    fields = "\n".join(f"    {field.name}: {_field_type(field)}" for field in model.fields)
    wire = ", ".join(f"{field.name!r}: {field.wire!r}" for field in model.fields)
    required = [field.name for field in model.fields if field.required]
    parts = {field.name: part for field in model.fields if (part := _part(field.type))}
    limits = {field.name: field.limits for field in model.fields if field.limits}
    facts = [f"    __wire__: ClassVar[Mapping[str, str]] = {{{wire}}}"]
    if required:
        facts.append(f"    __required__: ClassVar[frozenset[str]] = frozenset({{{', '.join(map(repr, required))}}})")
    if limits and is_sent:  # what Amazon sends is not checked
        facts.append(f"    __limits__: ClassVar[Mapping[str, tuple[tuple[str, Any], ...]]] = {limits!r}")
    if parts and is_sent:
        facts.append(f"    __parts__: ClassVar[Mapping[str, str]] = {parts!r}")
    amount = _amount(model)
    if amount:
        facts.append(f'''
    @property
    def decimal(self) -> Decimal | None:
        """The amount as a decimal number; None where there is none."""
        return read_decimal(self.{amount})''')
    return f'''
@define(kw_only=True)
class {model.name}:
    """`{model.name}` in Amazon's model."""

{fields}

{chr(10).join(facts)}
'''


def _amount(model: ModelSpec) -> str:
    """Return the field that holds the amount if the class is money: an amount and a currency; else ""."""
    kinds = {field.name: field.type.kind for field in model.fields}
    for amount in ("amount", "value", "currency_amount"):
        # An amount with a `unit` may be a weight; only the name of the class tells.
        for currency in ("currency_code", "currency", *(["unit", "code"] if model.name == "Currency" else [])):
            # A price may be one per unit of weight; only its name tells it from what has an amount among other things.
            is_money = {amount, currency} == set(kinds) or (model.name == "Money" and {amount, currency} < set(kinds))
            if is_money and kinds[amount] in {"string", "number"}:
                return amount
    return ""


def _part(type_: TypeSpec) -> str:
    """Return the class that a field holds, by itself or in a list; "" for none."""
    inner = type_.of if type_.kind == "list" and type_.of is not None else type_
    return inner.name if inner.kind == "model" else ""


def _field_type(field: FieldSpec) -> str:
    text = type_text(field.type)
    if field.is_secret:
        return f"{text} = field(repr=False)" if field.required else f"{text} | None = field(default=None, repr=False)"
    return text if field.required else f"{text} | None = None"
