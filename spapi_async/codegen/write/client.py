"""`client.py`: the class with a method per operation."""

from __future__ import annotations

import textwrap

from ...operation import Operation, Parameter
from ..ir import ApiSpec, OperationSpec, TypeSpec
from ..source import RefusedError
from .common import MARK, constant_name, title, type_text

__all__ = ["class_names", "write_client"]

_WIDTH = 104  # of docstring lines, inside of a class and a method

_RESTRICTED = {
    True: "buyers' data is left out unless `restricted` asks for it",
    False: "some of what it gives needs a restricted data token",
}
_WHETHER_RESTRICTED = "True to travel with a restricted data token."


def class_names(api: ApiSpec) -> tuple[str, str]:
    """Return the names of the two classes that have a method per operation."""
    return api.class_name, f"{api.class_name}WithRawResponse"


def write_client(api: ApiSpec) -> str:
    """Return the text of the file."""
    methods = "\n".join(_method(spec) for spec in api.operations)
    pagings = "\n".join(_paging(spec) for spec in api.operations if spec.paging)
    base = ["Api", "Paging"] if pagings else ["Api"]
    name, raw_name = class_names(api)
    raws = "\n".join(f"        self.{spec.operation.name} = raw(api.{spec.operation.name})" for spec in api.operations)
    return f'''"""{title(api)}: its methods.

{MARK}
"""

from __future__ import annotations

{"import datetime as dt" if " dt." in methods else ""}
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from typing_extensions import deprecated

from ...paging import Pager
from ..base import {", ".join(base)}
from ..raw import raw
from . import models as m, operations as op

__all__ = ["{name}", "{raw_name}"]

{pagings}


class {name}(Api):
    """{_class_doc(api)}"""

{methods}


class {raw_name}:
    """The methods of `{name}`, each of which gives the reply as a `RawResponse`; of pages, the first."""

    def __init__(self, api: {name}) -> None:
        api = api.as_raw()
{raws}
'''


def _class_doc(api: ApiSpec) -> str:
    return f"The operations of `{api.module}`, version {api.version}."


def _paging(spec: OperationSpec) -> str:
    paging = spec.paging
    assert paging is not None
    facts = [repr(paging.argument), repr(paging.token)]
    if paging.items:
        facts.append(repr(paging.items))
    if paging.keep is not None:
        facts.append(f"keep={paging.keep!r}")
    if paging.is_eager:
        facts.append("is_eager=True")
    if paging.is_total:
        facts.append("is_total=True")
    if paging.follow:
        facts.append(f"follow=op.{paging.follow.upper()}")
    if paging.switch:
        facts.append(f"switch={dict(paging.switch)!r}")
    return f"_{constant_name(spec)}_PAGES = Paging({', '.join(facts)})"


def _method(spec: OperationSpec) -> str:
    operation = spec.operation
    signature = "".join(f"{_argument(parameter, spec)}, " for parameter in operation.parameters)
    if operation.restricted == "optional":
        signature += f"{_restricted(operation)}, "
    signature = f"self, *, {signature}" if signature else "self"
    given = "".join(f", {parameter.argument}={parameter.argument}" for parameter in operation.parameters)
    given += ", restricted=restricted" if operation.restricted == "optional" else ""
    result, way, first = _reply(spec)
    head = f"async def {operation.name}({signature}) -> {result}"
    body = f"return await self.{way}(op.{constant_name(spec)}{first}{given})"
    if spec.paging is not None:
        if way != "_call":
            raise RefusedError(f"{operation.key}: pages of {result} have not been seen before")
        # Where items lie in several lists side by side, a page is its own only item.
        item = type_text(spec.paging.item, "m.") if spec.paging.item else result
        head = f"def {operation.name}({signature}) -> Pager[{result}, {item}]"
        body = f"return self._pages(op.{constant_name(spec)}{first}, {item}, _{constant_name(spec)}_PAGES{given})"
    doc = textwrap.indent(_method_doc(spec), "        ").strip()
    warning = f"{operation.key}: {operation.retired}"
    return f'''
    {f"@deprecated({warning!r})" if operation.retired else ""}
    {head}:
        """{doc}
        """
        {body}
'''


def _reply(spec: OperationSpec) -> tuple[str, str, str]:
    """Return the type of the reply, the method of `Api` that reads it, and what that is told."""
    types = list(dict.fromkeys(type_ for _, type_ in spec.results if type_ is not None))
    can_be_empty = any(type_ is None for _, type_ in spec.results)
    texts = [type_text(type_, "m.") for type_ in types]
    if not types:
        return "None", "_call_without_reply", ""
    if len(types) == 1 and types[0].kind == "model":
        if can_be_empty:
            return f"{texts[0]} | None", "_call_or_none", f", {texts[0]}"
        return texts[0], "_call", f", {texts[0]}"
    if len(types) == 1 and types[0].of is not None and types[0].kind == "list" and types[0].of.kind == "model":
        return texts[0], "_call_list", f", {type_text(types[0].of, 'm.')}"
    if types == [TypeSpec("map", of=TypeSpec("any"))] and not can_be_empty:
        return texts[0], "_call_object", ""
    if all(type_.kind == "model" for type_ in types) and not can_be_empty:
        by_status = ", ".join(f"{status}: {type_text(type_, 'm.')}" for status, type_ in spec.results if type_)
        return " | ".join(texts), "_call_by_status", f", {{{by_status}}}"
    raise RefusedError(f"{spec.operation.key}: a reply of {' or '.join(texts)} has not been seen before")


def _argument(parameter: Parameter, spec: OperationSpec) -> str:
    if parameter.location == "body":
        text = _body(spec.body)
    elif parameter.format == "date-time":
        text = "dt.datetime | str"
    elif parameter.format == "date":
        text = "dt.date | str"
    else:
        element = f"Literal[{', '.join(map(repr, parameter.values))}] | str" if parameter.values else "str"
        plain = {"string": element, "integer": "int", "number": "float", "boolean": "bool"}
        text = f"Sequence[{element}]" if parameter.type == "array" else plain[parameter.type]
    return f"{parameter.argument}: {text}" if parameter.required else f"{parameter.argument}: {text} | None = None"


def _restricted(operation: Operation) -> str:
    if not operation.data_elements:
        return "restricted: bool = False"
    return f"restricted: Sequence[Literal[{', '.join(map(repr, operation.data_elements))}] | str] | None = None"


def _body(type_: TypeSpec | None) -> str:
    if type_ is not None and type_.kind == "list":
        return f"Sequence[{_body(type_.of)}]"
    # Plain data does as well as a model.
    return (
        f"{type_text(type_, 'm.')} | Mapping[str, Any]"
        if type_ is not None and type_.kind == "model"
        else "Mapping[str, Any]"
    )


def _method_doc(spec: OperationSpec) -> str:
    operation, plan = spec.operation, spec.operation.plan
    paragraphs = [f"Call `{operation.operation_id}`.", f"{operation.method} {operation.path}"]
    paragraphs.append(f"Usage plan: {plan} ({plan.source}).")
    if operation.application_rate:
        paragraphs.append(
            f"All selling partners of an application together: {operation.application_rate:g} requests/s."
        )
    if operation.grantless_scope:
        paragraphs.append(f"Grantless: scope `{operation.grantless_scope}`.")
    if operation.idempotency_header:
        paragraphs.append("A key that makes a repeat harmless is made when none is given.")
    if operation.restricted == "required":
        paragraphs.append("Restricted: it travels with a restricted data token, fetched by itself.")
    if operation.restricted == "optional":
        paragraphs.append(f"Restricted: {_RESTRICTED[bool(operation.data_elements)]}.")
    if spec.paging is not None and spec.paging.is_eager:
        paragraphs.append("Its tokens expire soon, so all pages are fetched before the first is given.")
    if operation.deprecated:
        paragraphs.append("Deprecated by Amazon.")
    if operation.retired:
        paragraphs.append(f"Retired: {operation.retired}.")
    if operation.sandbox_only:
        paragraphs.append("On Amazon's sandbox endpoint only.")
    if operation.roles:
        roles = ("any of " if len(operation.roles) > 1 else "") + ", ".join(operation.roles)
        paragraphs.append(textwrap.fill(f"Role: {roles}.", _WIDTH))
    paragraphs.append(operation.docs or "")
    described = [(p.argument, _describe(p, spec)) for p in operation.parameters]
    if operation.restricted == "optional":
        elements = ", ".join(operation.data_elements)
        described.append(("restricted", f"Data to ask for: {elements}." if elements else _WHETHER_RESTRICTED))
    described = [(name, words) for name, words in described if words]
    if described:
        lines = []
        for name, words in described:
            lines += textwrap.wrap(f"{name}: {words}", _WIDTH, initial_indent="    ", subsequent_indent="        ")
        paragraphs.append("Args:\n" + "\n".join(lines))
    return "\n\n".join(paragraphs) + "\n"


def _describe(parameter: Parameter, spec: OperationSpec) -> str:
    words = []
    if parameter.format == "date-time":
        words.append("with a time zone")
    for low, high, unit in (
        (parameter.minimum, parameter.maximum, ""),
        (parameter.min_length, parameter.max_length, " characters"),
        (parameter.min_items, parameter.max_items, " items"),
    ):
        if low is not None and high is not None:
            words.append(f"{low:g} to {high:g}{unit}" if low != high else f"exactly {low:g}{unit}")
        elif high is not None:
            words.append(f"at most {high:g}{unit}")
        elif low is not None:
            words.append(f"at least {low:g}{unit}")
    text = ", ".join(words)
    return text[0].upper() + text[1:] + "." if text else ""
