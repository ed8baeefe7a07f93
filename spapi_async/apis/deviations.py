"""Where a reply is not as Amazon's model says: what `strict=True` reports.

Decoding never needs to know this, so it is worked out from the classes' annotations here, when somebody asks.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs

from ..codec import read_date, read_datetime
from .arguments import check_limits

__all__ = ["Deviation", "deviations"]

Check = Callable[[Any, str], "Iterator[Deviation]"]  # Any: what JSON may hold

# Names of fields and values look like this; what does not may be a buyer's words in the wrong place, and is not shown.
_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,64}").fullmatch


@attrs.frozen
class Deviation:
    """One place in a reply that is not as the model says. It holds no value of the reply but unlisted codes.

    Args:
        path: Names as on the wire, as in `payload.Orders[3].OrderTotal.Amount`; "" for the reply itself.
        problem: What is wrong there, in words.
    """

    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path or 'the reply'}: {self.problem}"


def deviations(type_: Any, content: Any) -> list[Deviation]:  # Any: an annotation, and what JSON may hold
    """Compare a reply with its model.

    Args:
        type_: The model, or another annotation of a generated method's result, as in `list[Label]`.
        content: The reply, as plain data.

    Returns:
        Every field that the model requires and that is missing; every field that it does not have; every value that is
        null, of another type, no date where one is declared, not listed, or outside its limits.
    """
    return list(_check_of(type_)(content, ""))


@cache
def _check_of(type_: Any) -> Check:
    """Return the function that compares a value with an annotation."""
    if hasattr(type_, "__wire__"):
        return _check_of_model(type_)
    match get_origin(type_):
        case None:
            return _SIMPLE[type_]
        case origin if origin in (Union, UnionType):
            # `X | None` is a field that may be missing, `Literal[...] | str` a string with values that are known.
            inner = [argument for argument in get_args(type_) if argument is not NoneType]
            listed = [argument for argument in inner if get_origin(argument) is Literal]
            return _check_of_code(get_args(listed[0])) if listed else _check_of(inner[0])
        case origin if origin is list:
            each = _check_of_later(get_args(type_)[0])

            def check_list(value: Any, path: str) -> Iterator[Deviation]:
                if not isinstance(value, list):
                    yield _mistyped(value, path, "an array")
                    return
                for index, item in enumerate(value):
                    yield from each(item, f"{path}[{index}]")

            return check_list
        case origin if origin is dict:
            each = _check_of_later(get_args(type_)[1])

            def check_map(value: Any, path: str) -> Iterator[Deviation]:
                if not isinstance(value, dict):
                    yield _mistyped(value, path, "an object")
                    return
                for name, item in value.items():
                    yield from each(item, _join(path, name))

            return check_map
    raise TypeError(f"no field of type {type_} is known")


def _check_of_later(type_: Any) -> Check:
    # Models may hold themselves, so what checks one cannot be made before it is needed.
    return lambda value, path: _check_of(type_)(value, path)


def _check_of_model(model: Any) -> Check:
    hints = get_type_hints(model)
    limits = getattr(model, "__limits__", {})
    required = [wire for name, wire in model.__wire__.items() if name in getattr(model, "__required__", ())]
    checks = {wire: (_check_of_later(hints[name]), limits.get(name, ())) for name, wire in model.__wire__.items()}

    def check_model(value: Any, path: str) -> Iterator[Deviation]:
        if not isinstance(value, dict):
            yield _mistyped(value, path, "an object")
            return
        for wire in required:
            if wire not in value:
                yield Deviation(_join(path, wire), "is required, and missing")
        for name, item in value.items():
            inner = _join(path, name)
            if name not in checks:
                yield Deviation(inner, "is not in the model")
                continue
            check, bounds = checks[name]
            found = list(check(item, inner))
            yield from found
            if bounds and not found:
                broken: list[str] = []
                check_limits("it", item, bounds, broken)
                yield from (Deviation(inner, problem.removeprefix("it ")) for problem in broken)

    return check_model


def _check_of_code(listed: tuple[str, ...]) -> Check:
    def check(value: Any, path: str) -> Iterator[Deviation]:
        if not isinstance(value, str):
            yield _mistyped(value, path, "a string")
        elif value not in listed:
            shown = repr(value) if _CODE(value) else "its value"
            yield Deviation(path, f"{shown} is not among the {len(listed)} values that the model lists")

    return check


def _check_of_type(types: tuple[type, ...], words: str) -> Check:
    def check(value: Any, path: str) -> Iterator[Deviation]:
        # A bool is an int in Python, not in JSON.
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            yield _mistyped(value, path, words)

    return check


def _check_of_time(read: Callable[[Any], Any], type_: type, words: str) -> Check:
    def check(value: Any, path: str) -> Iterator[Deviation]:
        if not isinstance(value, str):
            yield _mistyped(value, path, words)
        elif type(read(value)) is not type_:
            yield Deviation(path, f"is a string, but not {words}")

    return check


def _anything(value: Any, path: str) -> Iterator[Deviation]:
    return iter(())


_SIMPLE: dict[Any, Check] = {
    Any: _anything,
    str: _check_of_type((str,), "a string"),
    int: _check_of_type((int,), "an integer"),
    float: _check_of_type((int, float), "a number"),
    bool: _check_of_type((bool,), "a boolean"),
    dt.datetime: _check_of_time(read_datetime, dt.datetime, "a date-time"),
    dt.date: _check_of_time(read_date, dt.date, "a date"),
}

_JSON_TYPES = {
    NoneType: "null", bool: "a boolean", int: "an integer", float: "a number", str: "a string", list: "an array",
    dict: "an object",
}  # fmt: skip


def _mistyped(value: Any, path: str, words: str) -> Deviation:
    return Deviation(path, f"is {_JSON_TYPES[type(value)]}, not {words}")


def _join(path: str, name: str) -> str:
    shown = name if _CODE(name) else "(a name not shown)"
    return f"{path}.{shown}" if path else shown
