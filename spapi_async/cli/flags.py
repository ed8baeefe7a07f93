"""An operation's parameters as flags of the command line: described for `--help`, and read back as arguments."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

from ..operation import Operation, Parameter

__all__ = ["add_flags", "argument_of", "flag_of", "in_flags", "parameters_of", "read_flags"]

_MOST_VALUES = 12
"""Listed values that --help shows; some parameters have dozens."""

_METAVARS = {"integer": "N", "number": "N", "boolean": "true|false", "array": "TEXT", "object": "JSON"}


def flag_of(parameter: Parameter) -> str:
    """Return a parameter's flag, as in `--order-id`."""
    return "--" + parameter.argument.strip("_").replace("_", "-")


def add_flags(parser: argparse.ArgumentParser, operation: Operation) -> None:
    """Declare a flag for each parameter of an operation.

    None is required here, and all take text: what is missing or wrong is told by `read_flags`, all at once.
    """
    groups: dict[bool, Any] = {}  # Any: argparse keeps the class of a group to itself
    for parameter in parameters_of(operation):
        if parameter.required not in groups:
            title = "required arguments" if parameter.required else "other arguments"
            groups[parameter.required] = parser.add_argument_group(title)
        several: dict[str, Any] = (
            {"nargs": "+", "action": "extend"} if parameter.type == "array" and parameter.location != "body" else {}
        )
        groups[parameter.required].add_argument(
            flag_of(parameter),
            dest=_dest(parameter),
            metavar=_metavar(parameter),
            help=_describe(operation, parameter).replace("%", "%%"),
            **several,
        )


def parameters_of(operation: Operation) -> Iterator[Parameter]:
    """Yield the parameters, and what the method takes beside them: the data to ask for with a restricted data token."""
    yield from operation.parameters
    if operation.restricted == "optional":
        kind, elements = "array" if operation.data_elements else "boolean", operation.data_elements
        yield Parameter(name="restricted", argument="restricted", location="header", type=kind, values=elements)


def read_flags(operation: Operation, given: argparse.Namespace) -> tuple[dict[str, Any], dict[str, str]]:
    """Read the flags that were given.

    Args:
        operation: What is called.
        given: What the parser with these flags made of the command line.

    Returns:
        The arguments, by their names in Python and in the order of the method; and what is wrong with those that cannot
        be read, by the same names. Among the arguments these are the text that was given.
    """
    arguments: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for parameter in parameters_of(operation):
        name, text = parameter.argument, getattr(given, _dest(parameter))
        if text is None:
            continue
        arguments[name] = text
        try:
            arguments[name] = _READ[_kind(parameter)](text)
        except _WrongTextError as error:
            problems[name] = f"{flag_of(parameter)} {error}"
        except OSError as error:
            problems[name] = f"{flag_of(parameter)} cannot be read: {error}"
    return arguments, problems


def in_flags(operation: Operation, problem: str) -> str:
    """Return what is wrong with an argument, with the flag in the place of the name in Python."""
    name = argument_of(problem)
    for parameter in parameters_of(operation):
        if name == parameter.argument and problem[len(name) :].startswith((" ", ":")):
            return flag_of(parameter) + problem[len(name) :]
    return problem  # a place inside of a body, as in `body.text`


def argument_of(problem: str) -> str:
    """Return the name of the argument that a problem is about."""
    return re.split(r"\W", problem, maxsplit=1)[0]


class _WrongTextError(ValueError):
    """It can be told what was expected; the text itself stays out, since it may be a secret or a buyer's."""


def _dest(parameter: Parameter) -> str:
    # A name that no option of our own has: some of Amazon's parameters are called `operation`.
    return f"argument {parameter.argument}"


def _kind(parameter: Parameter) -> str:
    return "body" if parameter.location == "body" else parameter.type


# -- reading


def _integer(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,1000}", text):
        raise _WrongTextError("must be a whole number")
    return int(text)


def _number(text: str) -> Decimal:
    if not re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", text):
        raise _WrongTextError("must be a number, as in 12 or 1.5")
    return Decimal(text)


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise _WrongTextError("must be true or false")
    return text == "true"


def _body(text: str) -> Any:  # Any: what JSON may hold
    """Read a body: JSON itself, `@file`, or `-` for standard input."""
    try:
        if text == "-":
            text = sys.stdin.buffer.read().decode("utf-8-sig")
        elif text.startswith("@"):
            text = Path(text[1:]).read_bytes().decode("utf-8-sig")
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _WrongTextError(
            f"is no JSON: {error.msg} at {where}; give {{...}}, @FILE, or - for standard input"
        ) from None
    except UnicodeDecodeError:
        raise _WrongTextError("is no JSON: it is not written in UTF-8") from None
    except RecursionError:
        raise _WrongTextError("is nested too deeply") from None


def _refuse_constant(name: str) -> Any:
    raise _WrongTextError(f"is no JSON: it holds {name}")


_READ: Mapping[str, Callable[[Any], Any]] = {  # Any: text, or a list of texts for an array
    "string": lambda text: text,
    "array": lambda texts: texts,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "body": _body,
}


# -- describing


def _metavar(parameter: Parameter) -> str:
    if parameter.location == "body":
        return "JSON"
    formats = {"date-time": "TIME", "date": "DATE"}
    return formats.get(parameter.format or "", _METAVARS.get(parameter.type, "TEXT"))


def _describe(operation: Operation, parameter: Parameter) -> str:
    if parameter.location == "body":
        return _describe_body(operation, parameter)
    words = []
    if parameter.argument == "restricted" and operation.restricted == "optional":
        elements = ", ".join(operation.data_elements)
        return f"buyers' data to ask for: {elements}" if elements else "travel with a restricted data token"
    if parameter.format == "date-time":
        words.append("as in 2026-01-31T12:00:00Z")
    elif parameter.format == "date":
        words.append("as in 2026-01-31")
    elif parameter.type == "number":
        words.append("decimals are allowed")
    for low, high, unit in (
        (parameter.minimum, parameter.maximum, ""),
        (parameter.min_length, parameter.max_length, " character"),
        (parameter.min_items, parameter.max_items, " value"),
    ):
        if bounds := _bounds(low, high, unit):
            words.append(bounds)
    if parameter.pattern is not None:
        words.append(f"matches {parameter.pattern}")
    if parameter.values:
        shown = ", ".join(parameter.values[:_MOST_VALUES])
        more = len(parameter.values) - _MOST_VALUES
        words.append(f"one of {shown}" + (f" and {more} more" if more > 0 else "") + "; others are sent too")
    return "; ".join(words)


def _bounds(low: float | None, high: float | None, unit: str) -> str:
    if low is None and high is None:
        return ""
    if unit and (low if high is None else high) != 1:
        unit += "s"
    if low is None or high is None:
        return f"at least {low:g}{unit}" if high is None else f"at most {high:g}{unit}"
    return f"exactly {low:g}{unit}" if low == high else f"{low:g} to {high:g}{unit}"


def _describe_body(operation: Operation, parameter: Parameter) -> str:
    what = "a list of objects" if parameter.type == "array" else "an object"
    text = f"{what}, as JSON, @FILE, or - for standard input"
    if parameter.model is None:
        return text
    model = getattr(import_module(f"spapi_async.apis.{operation.module}.models"), parameter.model)
    required = getattr(model, "__required__", ())
    fields = [f"{wire} (required)" if name in required else wire for name, wire in model.__wire__.items()]
    return f"{text}: {parameter.model} with {', '.join(fields)}"
