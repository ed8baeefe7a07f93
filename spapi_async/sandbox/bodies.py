"""Whether a request's body has the shape of its model: required fields, JSON types, lengths, counts, patterns."""

from __future__ import annotations

import importlib
import re
import types
from collections.abc import Iterator
from datetime import date
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs

from ..operation import Operation, Parameter

__all__ = ["model_of", "problems", "shape"]


@cache
def model_of(operation: Operation, name: str) -> Any:
    """Give a class of an operation's module by its name in the facts."""
    return getattr(importlib.import_module(f"spapi_async.apis.{operation.module}.models"), name)


@cache
def shape(class_: type) -> tuple[tuple[str, Any, bool, dict[str, Any]], ...]:
    """Give each field of a generated class: name on the wire, type, whether it is required, and its limits."""
    hints = get_type_hints(class_)
    wire: dict[str, str] = getattr(class_, "__wire__", {})
    required: frozenset[str] = getattr(class_, "__required__", frozenset())
    limits: dict[str, tuple[tuple[str, Any], ...]] = getattr(class_, "__limits__", {})
    return tuple(
        (wire.get(f.name, f.name), hints[f.name], f.name in required, dict(limits.get(f.name, ())))
        for f in attrs.fields(class_)
    )


def problems(operation: Operation, parameter: Parameter, body: Any) -> Iterator[str]:
    """Name every rule that a decoded body breaks."""
    hint = dict if parameter.model is None else model_of(operation, parameter.model)
    if parameter.type != "array":
        yield from _problems(hint, body, parameter.name, {})
    elif not isinstance(body, list):
        yield f"{parameter.name} has the wrong JSON type"
    else:
        for number, item in enumerate(body):
            yield from _problems(hint, item, f"{parameter.name}[{number}]", {})


def _problems(hint: Any, value: Any, where: str, limits: dict[str, Any]) -> Iterator[str]:
    hint = _core(hint)
    origin = get_origin(hint) or hint
    if not isinstance(origin, type):
        return  # Any, or an open set of values
    if not _is_kind(origin, value):
        yield f"{where} has the wrong JSON type"
    elif attrs.has(origin):
        for name, inner, is_required, inner_limits in shape(origin):
            if value.get(name) is not None:
                yield from _problems(inner, value[name], f"{where}.{name}", inner_limits)
            elif is_required:
                yield f"{where}.{name} is required"
    elif origin is list:
        yield from _count_problems(len(value), where, "values", limits.get("min_items"), limits.get("max_items"))
        for number, item in enumerate(value):
            yield from _problems(get_args(hint)[0], item, f"{where}[{number}]", {})
    elif isinstance(value, str):
        yield from _count_problems(len(value), where, "characters", limits.get("min_length"), limits.get("max_length"))
        if "pattern" in limits and not re.search(limits["pattern"], value):
            yield f"{where} does not match {limits['pattern']}"
    elif isinstance(value, int | float) and not limits.get("minimum", value) <= value <= limits.get("maximum", value):
        yield f"{where} is out of range"


def _core(hint: Any) -> Any:
    """Take `None` and listed values away from a union: the rest is the JSON type."""
    if get_origin(hint) in (Union, types.UnionType):
        kept = [a for a in get_args(hint) if a is not type(None) and get_origin(a) is not Literal]
        return kept[0] if len(kept) == 1 else Any
    return hint


def _is_kind(origin: type, value: Any) -> bool:
    if attrs.has(origin) or origin is dict:
        return isinstance(value, dict)
    if issubclass(origin, str | date):  # a datetime is a date
        return isinstance(value, str)
    if origin is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if origin is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, origin)


def _count_problems(count: int, where: str, what: str, least: int | None, most: int | None) -> Iterator[str]:
    if least is not None and count < least:
        yield f"{where} takes at least {least} {what}"
    if most is not None and count > most:
        yield f"{where} takes at most {most} {what}"
