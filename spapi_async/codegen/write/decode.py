"""`decode.py`: a function per class that fills it from JSON, and one that writes it as JSON.

`object.__new__` and one assignment per field is the fastest that plain Python can do; the objects that there are most
of are the small ones, so these are filled within the function of what holds them, and the call is saved. `d.get(...)`
is written out each time: kept in a variable it would first be made, which costs as much as two calls of it. Nothing
that Amazon sends fails here: what is not as the model says stays as it came.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from ..ir import ApiSpec, ModelSpec, TypeSpec
from ..names import snake
from .common import MARK, title

__all__ = ["write_decode"]

_SMALL = 8  # fields; for a class with more the call is next to nothing


def write_decode(api: ApiSpec) -> str:
    """Return the text of the file."""
    small = {model.name: model for model in api.models if _is_small(model)}
    # Requests are read too, and replies written: by cattrs, from and to what its user keeps.
    functions = "\n\n".join([*(_decoder(model, small) for model in api.models), *map(_encoder, api.models)])
    helpers = [name for name in ("read_date", "read_datetime", "read_number", "write_time") if f"{name}(" in functions]
    return f'''"""{title(api)}: JSON to its models and back.

{MARK}
"""

from __future__ import annotations

from typing import Any

from ...codec import {", ".join([*helpers, "register"])}
from . import models as m

_new = object.__new__

{functions}

register(
    {{{", ".join(f"m.{model.name}: {_reader(model.name)}" for model in api.models)}}},
    {{{", ".join(f"m.{model.name}: {_writer(model.name)}" for model in api.models)}}},
)
'''


def _is_small(model: ModelSpec) -> bool:
    """Whether a class is filled within the function of what holds it."""
    kinds = {field.type.kind for field in model.fields if not field.type.is_plain}
    return len(model.fields) <= _SMALL and kinds <= {"number", "datetime", "date"}


def _reader(name: str) -> str:
    return f"_read_{snake(name)}"


def _writer(name: str) -> str:
    return f"_write_{snake(name)}"


def _decoder(model: ModelSpec, small: Mapping[str, ModelSpec]) -> str:
    body = textwrap.indent("\n".join(_fill(model, "d", "o", small)), "    ")
    declared = "".join(f"    {name}: Any\n" for name in ("items", "p") if f" {name} = " in body)
    return f"""
def {_reader(model.name)}(d: Any) -> Any:
    if d.__class__ is not dict:
        return d
{declared}    o: Any = _new(m.{model.name})
{body}
    return o
"""


def _fill(model: ModelSpec, source: str, target: str, small: Mapping[str, ModelSpec]) -> list[str]:
    """Return the lines that fill the object `target` from the dictionary `source`."""
    value = "v" if source == "d" else "w"
    lines = []
    for field in model.fields:
        place, got = f"{target}.{field.name}", f"{source}.get({field.wire!r})"
        if field.type.is_plain:
            lines.append(f"{place} = {got}")
            continue
        lines.append(f"{value} = {got}")
        inner = _model_of(field.type)
        if inner not in small:
            lines.append(f"{place} = {_read(field.type, value)}")
        elif field.type.kind == "model":
            lines += _unless(f"{value} is None or {value}.__class__ is not dict", f"{place} = {value}")
            lines.append(f"    {place} = p = _new(m.{inner})")
            lines += _indented(_fill(small[inner], value, "p", {}))
        else:
            lines += _unless(f"{value} is None or {value}.__class__ is not list", f"{place} = {value}")
            lines += [f"    {place} = items = []", f"    for i in {value}:"]
            lines += _indented(_unless("i.__class__ is not dict", "items.append(i)"), 2)
            lines.append(f"            p = _new(m.{inner})")
            lines += _indented([*_fill(small[inner], "i", "p", {}), "items.append(p)"], 3)
    return lines


def _model_of(type_: TypeSpec) -> str:
    """Return the class that a field holds, by itself or in a list; "" for none."""
    inner = type_.of if type_.kind == "list" and type_.of is not None else type_
    return inner.name if inner.kind == "model" else ""


def _unless(condition: str, line: str) -> list[str]:
    return [f"if {condition}:", f"    {line}", "else:"]


def _indented(lines: list[str], depth: int = 1) -> list[str]:
    return ["    " * depth + line for line in lines]


def _read(type_: TypeSpec, name: str) -> str:
    """Return the expression that reads a value; None and what is of another type stay what they are."""
    if type_.is_plain:
        return name
    match type_.kind:
        case "number":
            return f"read_number({name}) if {name}.__class__ is str else {name}"
        case "datetime" | "date":
            return f"{name} if {name} is None else read_{type_.kind}({name})"
        case "model":
            return f"{name} if {name} is None else {_reader(type_.name)}({name})"
        case "list" | "map" if type_.of is not None:
            inner = "i" if name in {"v", "w"} else name + "i"
            # None is rare among parts, and the function of a class gives it back by itself.
            part = f"{_reader(type_.of.name)}({inner})" if type_.of.kind == "model" else _read(type_.of, inner)
            parts = f"[{part} for {inner} in {name}]"
            if type_.kind == "map":
                parts = f"{{k: {part} for k, {inner} in {name}.items()}}"
            class_ = "list" if type_.kind == "list" else "dict"
            return f"{name} if {name} is None or {name}.__class__ is not {class_} else {parts}"
    raise AssertionError(type_)


def _encoder(model: ModelSpec) -> str:
    lines = []
    for index, field in enumerate(model.fields):
        lines.append(f"v{': Any' if index == 0 else ''} = o.{field.name}")
        lines.append("if v is not None:")
        lines.append(f"    d[{field.wire!r}] = {_write(field.type, 'v')}")
    body = textwrap.indent("\n".join(lines), "    ")
    return f"""
def {_writer(model.name)}(o: Any) -> Any:
    if o.__class__ is not m.{model.name}:
        return o
    d: dict[str, Any] = {{}}
{body}
    return d
"""


def _write(type_: TypeSpec, name: str) -> str:
    match type_.kind:
        case "datetime" | "date":
            return f"write_time({name})"
        case "model":
            return f"{_writer(type_.name)}({name})"
        case "list" if type_.of is not None and _write(type_.of, "i") != "i":
            inner = "i" if name == "v" else name + "i"
            return f"[{_write(type_.of, inner)} for {inner} in {name}] if {name}.__class__ is list else {name}"
        case "map" if type_.of is not None and _write(type_.of, "i") != "i":
            inner = "i" if name == "v" else name + "i"
            each = f"{{k: {_write(type_.of, inner)} for k, {inner} in {name}.items()}}"
            return f"{each} if {name}.__class__ is dict else {name}"
    return name
