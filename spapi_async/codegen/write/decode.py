"""`decode.py`: a function per class that fills it from JSON, and one that writes it as JSON.

`object.__new__` and one assignment per field is the fastest that plain Python can do. Nothing that Amazon sends fails
here: what is not as the model says stays as it came.
"""

from __future__ import annotations

import textwrap

from ..ir import ApiSpec, ModelSpec, TypeSpec
from ..names import snake
from .common import MARK, title

__all__ = ["write_decode"]


def write_decode(api: ApiSpec) -> str:
    """Return the text of the file."""
    # Requests are read too, and replies written: by cattrs, from and to what its user keeps.
    functions = "\n\n".join([*map(_decoder, api.models), *map(_encoder, api.models)])
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


def _reader(name: str) -> str:
    return f"_read_{snake(name)}"


def _writer(name: str) -> str:
    return f"_write_{snake(name)}"


def _decoder(model: ModelSpec) -> str:
    lines = []
    for field in model.fields:
        got = f"g({field.wire!r})"
        if field.type.is_plain:
            lines.append(f"o.{field.name} = {got}")
        else:
            lines.append(f"v = {got}")
            lines.append(f"o.{field.name} = None if v is None else {_read(field.type, 'v')}")
    body = textwrap.indent("\n".join(lines), "    ")
    return f"""
def {_reader(model.name)}(d: Any) -> Any:
    if d.__class__ is not dict:
        return d
{"    g = d.get" if lines else ""}
    o: Any = _new(m.{model.name})
{body}
    return o
"""


def _read(type_: TypeSpec, name: str) -> str:
    if type_.is_plain:
        return name
    match type_.kind:
        case "number":
            return f"{name} if {name}.__class__ is float else read_number({name})"
        case "datetime":
            return f"read_datetime({name})"
        case "date":
            return f"read_date({name})"
        case "model":
            return f"{_reader(type_.name)}({name})"
        case "list" if type_.of is not None:
            inner = "i" if name == "v" else name + "i"
            return f"[{_read(type_.of, inner)} for {inner} in {name}] if {name}.__class__ is list else {name}"
        case "map" if type_.of is not None:
            inner = "i" if name == "v" else name + "i"
            each = f"{{k: {_read(type_.of, inner)} for k, {inner} in {name}.items()}}"
            return f"{each} if {name}.__class__ is dict else {name}"
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
