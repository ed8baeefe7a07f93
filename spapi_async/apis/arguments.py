"""Arguments to a call: checked against the facts of the operation before anything is sent, and written as they travel.

What can be known beforehand is worked out once per operation (`_Steps`), since calls are many: a call then costs a few
microseconds. All that is wrong is named at once. Amazon's limits are facts for checking; its lists of values are not,
since it adds some at any time. The limits drift too: with `validate=False` only what cannot be sent is refused.
"""

from __future__ import annotations

import re
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence, Set
from datetime import date, datetime
from decimal import Decimal
from functools import cache, partial
from importlib import import_module
from math import isfinite
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs

from ..codec import encode, write_time
from ..errors import ArgumentError
from ..operation import Call, Operation, Parameter

__all__ = ["make_call", "write_json"]

Problems = list[str]
Write = Callable[[Any, "_Draft"], str]  # Any: arguments may be anything until they are checked
Limits = Sequence[tuple[str, Any]]
"""Names of limits as in `Parameter`, each with its bound: a number or a pattern."""

_LIMITS = ("minimum", "maximum", "min_length", "max_length", "min_items", "max_items", "pattern")
_NUMBERS = (int, float, Decimal)


def make_call(operation: Operation, arguments: Mapping[str, Any], *, validate: bool = True) -> Call:
    """Check the arguments of a call and make it.

    Args:
        operation: What is called.
        arguments: By their names in Python, in the order in which they are to be sent; None is not sent. One that is
            not among the operation's parameters is `restricted`: what a restricted data token is asked for, where that
            is optional.
        validate: False sends also what breaks the operation's rules (a limit, a type, something required that is
            missing), as long as it can be written at all.

    Raises:
        ArgumentError: Some break the operation's rules, or cannot be sent; it names all of them.
    """
    steps = _steps(operation)
    draft = _Draft(validate)
    for name, value in arguments.items():
        if value is not None:
            steps.take[name](value, draft)
    for name in steps.required:
        if arguments.get(name) is None:
            # A path with a hole in it is another operation's, or nobody's.
            (draft.unsendable if name in steps.in_path else draft.problems).append(f"{name} is required")
    if draft.problems or draft.unsendable:
        problems = [*draft.unsendable, *draft.problems] if validate else draft.unsendable
        if problems:
            raise ArgumentError(operation.key, problems)
    try:
        call = operation.call(draft.path, draft.query, draft.headers, draft.body)
    except UnicodeEncodeError:  # half of a surrogate pair
        raise ArgumentError(operation.key, ["an argument holds characters that UTF-8 cannot write"]) from None
    if draft.restricted is not None:
        call = attrs.evolve(call, restricted=draft.restricted)
    if operation.idempotency_header and operation.idempotency_header not in draft.headers:
        # One key per call, not per attempt: it is what makes a second attempt harmless.
        key = str(uuid.uuid4())
        call = attrs.evolve(call.with_header(operation.idempotency_header, key), made_key=key)
    return call


class _Draft:
    """A call in the making, and what is wrong with it: what breaks Amazon's rules, and what cannot be sent at all."""

    __slots__ = ("body", "headers", "path", "problems", "query", "restricted", "unsendable", "validate")

    def __init__(self, validate: bool) -> None:
        self.validate = validate
        self.path: dict[str, str] = {}
        self.query: list[tuple[str, str]] = []
        self.headers: dict[str, str] = {}
        self.body = b""
        self.restricted: tuple[str, ...] | None = None
        self.problems: Problems = []
        self.unsendable: Problems = []


class _Steps:
    """What is done with each argument of one operation."""

    __slots__ = ("in_path", "required", "take")

    def __init__(self, operation: Operation) -> None:
        self.in_path = {parameter.argument for parameter in operation.parameters if parameter.location == "path"}
        self.required = tuple(parameter.argument for parameter in operation.parameters if parameter.required)
        self.take: dict[str, Callable[[Any, _Draft], None]] = {
            parameter.argument: _step(operation, parameter) for parameter in operation.parameters
        }
        if operation.restricted == "optional":
            self.take["restricted"] = partial(_take_restricted, operation)


@cache
def _steps(operation: Operation) -> _Steps:
    return _Steps(operation)


def _take_restricted(operation: Operation, value: Any, draft: _Draft) -> None:
    """Note for which personal data a restricted data token is asked."""
    known = operation.data_elements
    if not known:
        if not isinstance(value, bool):
            draft.unsendable.append(f"restricted must be True or False, not of type {type(value).__name__}")
        draft.restricted = () if value else None
        return
    if not isinstance(value, Sequence | Set) or isinstance(value, str) or not all(isinstance(v, str) for v in value):
        draft.unsendable.append(f"restricted must be a list of some of {', '.join(known)}")
        return
    draft.restricted = tuple(sorted({str.__str__(each) for each in value}))  # of a member of an enumeration, its value
    if not value:
        draft.unsendable.append(f"restricted must name at least one of {', '.join(known)}; leave it out for none")
    strangers = [each for each in draft.restricted if each not in known]
    if strangers:
        draft.problems.append(f"restricted holds {', '.join(map(repr, strangers))}; allowed are {', '.join(known)}")


def _step(operation: Operation, parameter: Parameter) -> Callable[[Any, _Draft], None]:
    name, argument = parameter.name, parameter.argument
    match parameter.location:
        case "body":

            def take(value: Any, draft: _Draft) -> None:
                draft.body = _write_body(operation, parameter, value, draft)

        case "path":
            write = _writer(parameter)

            def take(value: Any, draft: _Draft) -> None:
                draft.path[name] = text = write(value, draft)
                # Either would name another path than the operation's.
                if value == "" or not {".", ".."}.isdisjoint(text.split("/")):
                    draft.unsendable.append(f"{argument} is {value!r}, which is no part of a path")

        case "header":
            write = _writer(parameter)

            def take(value: Any, draft: _Draft) -> None:
                draft.headers[name] = text = write(value, draft)
                if not (text.isascii() and text.isprintable()):
                    draft.unsendable.append(f"{argument} holds characters that a header cannot")

        case "query" if parameter.collection == "multi":
            items = _items_of(parameter)

            def take(value: Any, draft: _Draft) -> None:
                draft.query += [(name, item) for item in items(value, draft)]

        case "query":
            write = _writer(parameter)

            def take(value: Any, draft: _Draft) -> None:
                draft.query.append((name, write(value, draft)))

    return take


def _writer(parameter: Parameter) -> Write:
    """Return the function that checks one argument and writes it as text."""
    argument = parameter.argument
    limits = [(name, bound) for name in _LIMITS if (bound := getattr(parameter, name)) is not None]
    match parameter.type:
        case "array":
            items = _items_of(parameter)
            return lambda value, draft: ",".join(items(value, draft))
        case "string" if parameter.format in {"date-time", "date"}:
            return _moment_writer(parameter)
        case "string":

            def write(value: Any, draft: _Draft) -> str:
                if not isinstance(value, str):
                    return _wrong(argument, "a str", value, draft)
                if limits:
                    check_limits(argument, value, limits, draft.problems)
                return str.__str__(value)  # of a member of an enumeration, its value

        case "boolean":

            def write(value: Any, draft: _Draft) -> str:
                if value.__class__ is bool:
                    return "true" if value else "false"
                # Some are strings on the wire, with these two values.
                return value if value in ("true", "false") else _wrong(argument, "a bool", value, draft)

        case "integer" | "number":
            types, words = ((int,), "an int") if parameter.type == "integer" else (_NUMBERS, "a number")

            def write(value: Any, draft: _Draft) -> str:
                if not isinstance(value, types) or isinstance(value, bool):  # a bool is an int in Python, not in JSON
                    return _wrong(argument, words, value, draft)
                if limits:
                    check_limits(argument, value, limits, draft.problems)
                try:
                    return write_number(value)
                except ValueError as error:
                    draft.unsendable.append(f"{argument}: {error}")
                    return ""

        case other:
            raise ValueError(f"{argument}: no argument of type {other} is known")
    return write


def _moment_writer(parameter: Parameter) -> Write:
    argument = parameter.argument
    is_date = parameter.format == "date"
    words = "a date or a str" if is_date else "a datetime or a str"

    def write(value: Any, draft: _Draft) -> str:
        if isinstance(value, str):
            return value
        if not isinstance(value, date) or isinstance(value, datetime) == is_date:
            return _wrong(argument, words, value, draft)
        try:
            return str(write_time(value))
        except ValueError as error:
            draft.unsendable.append(f"{argument}: {error}")  # without a zone nobody knows what is meant
            return ""

    return write


def _items_of(parameter: Parameter) -> Callable[[Any, _Draft], list[str]]:
    """Return the function that checks an array and writes each of its items."""
    argument, double = parameter.argument, parameter.double_encoded
    is_joined = parameter.collection != "multi" and not double
    limits = [(name, bound) for name in ("min_items", "max_items") if (bound := getattr(parameter, name)) is not None]

    def items(value: Any, draft: _Draft) -> list[str]:
        if not isinstance(value, list | tuple):
            # A str is a sequence of letters: taken for a list, it would ask for marketplaces "A", "T", "V" ...
            return [_wrong(argument, "a list of str", value, draft)]
        if not value:
            draft.problems.append(f"{argument} is empty: leave it out, or give at least one")
        elif limits:
            check_limits(argument, value, limits, draft.problems)
        if is_joined and any(isinstance(item, str) and "," in item for item in value):
            draft.problems.append(f"{argument} holds a comma within an item: Amazon would read two")
        texts = [
            str.__str__(item) if isinstance(item, str) else _wrong(argument, "a list of str", item, draft, "holds")
            for item in value
        ]
        return [_encode_once_more(text) for text in texts] if double else texts

    return items


def write_number(value: float | Decimal) -> str:
    """Write a number as JSON would have it: no exponent of a Decimal's, which not every server reads.

    Raises:
        ValueError: It is infinite, or none at all.
    """
    if not isinstance(value, int) and not isfinite(value):
        raise ValueError(f"{value} is no number that can be sent")
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _encode_once_more(text: str) -> str:
    """Encode what the two operations that name MSKUs in the query decode twice; the rest is encoded once, as always."""
    return text.replace("%", "%25").replace("+", "%2B").replace(",", "%2C")


def _wrong(argument: str, words: str, value: object, draft: _Draft, verb: str = "is") -> str:
    """Note a wrong type, and return the value as it is sent all the same where nothing is checked."""
    _note_type(argument, words, value, draft.problems, verb)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float | Decimal):
        return str.__str__(value) if isinstance(value, str) else str(value)
    if not draft.validate:
        _note_type(argument, words, value, draft.unsendable, verb)
    return ""


def _a(name: str) -> str:
    return f"{'an' if name[0] in 'aeioAEIO' else 'a'} {name}"


def check_limits(label: str, value: Any, limits: Limits, problems: Problems) -> None:
    """Note every limit that the value breaks.

    Args:
        label: What to call the value.
        value: A string, a number or a list; for a limit that is none of its kind, that is what is noted.
        limits: As in `Parameter`.
        problems: Takes what is wrong.
    """
    for limit, bound in limits:
        match limit:
            case "min_length" | "max_length" | "pattern":
                if not isinstance(value, str):
                    return _note_type(label, "a str", value, problems)
                if limit == "pattern":
                    if not re.search(bound, value):
                        problems.append(f"{label} does not match {bound}")
                elif _breaks(limit, len(value), bound):
                    problems.append(f"{label} has {len(value)} characters, and {_needs(limit, bound)}")
            case "min_items" | "max_items":
                if not isinstance(value, list | tuple):
                    return _note_type(label, "a list", value, problems)
                if _breaks(limit, len(value), bound):
                    problems.append(f"{label} has {len(value)} items, and {_needs(limit, bound)}")
            case _:
                if not isinstance(value, _NUMBERS) or isinstance(value, bool):
                    return _note_type(label, "a number", value, problems)
                if _breaks(limit, value, bound):
                    problems.append(f"{label} is {value}, and must be {_at(limit)} {bound:g}")
    return None


def _note_type(label: str, words: str, value: object, problems: Problems, verb: str = "is") -> None:
    # The value itself stays out: it may be a secret or a buyer's.
    problems.append(f"{label} must be {words}, and {verb} {_a(type(value).__name__)}")


def _breaks(limit: str, value: Any, bound: Any) -> bool:
    return bool(value < bound if limit.startswith("min") else value > bound)


def _at(limit: str) -> str:
    return "at least" if limit.startswith("min") else "at most"


def _needs(limit: str, bound: Any) -> str:
    return f"{'needs' if limit.startswith('min') else 'may have'} {_at(limit)} {bound}"


def _write_body(operation: Operation, parameter: Parameter, value: Any, draft: _Draft) -> bytes:
    """Check a body, given as models or as plain data, and encode it."""
    if draft.validate:
        _check_body(operation, parameter, value, draft.problems)
        if draft.problems:
            return b""
    return write_json(value, draft.unsendable)


def write_json(body: Any, problems: Problems) -> bytes:
    """Encode a body, or note why that cannot be."""
    try:
        content = encode(body)
    except (TypeError, ValueError) as error:  # orjson wraps what a function of ours raised
        problems.append(f"body: {error.__cause__ or error}")
        return b""
    if b"null" in content and _holds_nan(body):  # orjson writes null for it: a price would be taken away
        problems.append("body holds a number that JSON cannot write: NaN or an infinity")
    return content


def _holds_nan(value: Any) -> bool:
    if isinstance(value, float):
        return not isfinite(value)
    if isinstance(value, Mapping):
        return any(map(_holds_nan, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_holds_nan, value))
    return any(_holds_nan(getattr(value, name)) for name in getattr(type(value), "__wire__", ()))


def _check_body(operation: Operation, parameter: Parameter, value: Any, problems: Problems) -> None:
    words = f"{_a(parameter.model)} or a dict" if parameter.model else "a dict"
    values = [value]
    if parameter.type == "array":
        if not isinstance(value, list | tuple):
            return _note_type("body", f"a list, each item {words}", value, problems)
        values = list(value)
    model = _model(operation, parameter.model) if parameter.model else None
    for index, item in enumerate(values):
        label = f"body[{index}]" if parameter.type == "array" else "body"
        if isinstance(item, Mapping) or (model is not None and isinstance(item, model)):
            if model is not None:
                _check_fields(model, item, label, problems)
        else:
            _note_type(label, words, item, problems)
    return None


def get(operation: Operation, body: Any, place: Sequence[str]) -> Any:  # Any: models or plain data, down to any value
    """Return what stands at a place in a body, given as attributes; None where there is nothing."""
    model = _body_model(operation)
    for depth, name in enumerate(place):
        if body is None:
            return None
        body = body.get(model.__wire__[name]) if isinstance(body, Mapping) else getattr(body, name, None)
        if depth < len(place) - 1:
            model = _part(model, name)
    return body


def put(operation: Operation, body: Any, place: Sequence[str], value: Any) -> Any:  # Any: as above
    """Return a copy of a body with a value at a place, given as attributes."""
    return _put(_body_model(operation), body, place, value)


def _body_model(operation: Operation) -> Any:
    [name] = [parameter.model for parameter in operation.parameters if parameter.location == "body"]
    return _model(operation, name or "")


def _put(model: Any, body: Any, place: Sequence[str], value: Any) -> Any:
    name, *rest = place
    wire = model.__wire__[name]
    if body is None:  # Amazon's models do not require every body, nor every part of one
        body = {}
    is_mapping = isinstance(body, Mapping)
    if rest:
        value = _put(_part(model, name), body.get(wire) if is_mapping else getattr(body, name), rest, value)
    return {**body, wire: value} if is_mapping else attrs.evolve(body, **{name: value})


def _part(model: Any, name: str) -> Any:
    return getattr(import_module(model.__module__), model.__parts__[name])


def _model(operation: Operation, name: str) -> Any:  # Any: a generated class, with its facts in class variables
    return getattr(import_module(f"{_package(operation)}.models"), name)


@cache
def _package(operation: Operation) -> str:
    """Name the package that an operation is of: one of ours, or one that a user generated from newer models.

    A user's `orders_v0` has models of its own, so the name of the module does not tell; who made the operation does.
    """
    name = f"{operation.module}.operations"
    for found, module in list(sys.modules.items()):
        if (found == name or found.endswith(f".{name}")) and operation in getattr(module, "OPERATIONS", ()):
            return found.removesuffix(".operations")
    return f"{__package__}.{operation.module}"


def _check_fields(model: Any, value: Any, label: str, problems: Problems) -> None:
    """Note what is required and missing, of another type, or outside its limits, in all parts of a body."""
    is_mapping = isinstance(value, Mapping)
    required, limits = getattr(model, "__required__", ()), getattr(model, "__limits__", {})
    parts, kinds = getattr(model, "__parts__", {}), _kinds(model)
    for name, wire in model.__wire__.items():
        field = value.get(wire) if is_mapping else getattr(value, name)
        path = f"{label}.{wire if is_mapping else name}"
        if field is None:
            if name in required:
                problems.append(f"{path} is required")
            continue
        if name in kinds and not _check_kind(kinds[name], field, path, problems):
            continue
        if name in limits:
            check_limits(path, field, limits[name], problems)
        if name in parts:
            part = _part(model, name)
            if name in kinds:  # a list of them
                for index, item in enumerate(field):
                    _check_part(part, item, f"{path}[{index}]", problems)
            else:
                _check_part(part, field, path, problems)


@attrs.frozen
class _Kind:
    """What a field may hold: its types, in words too; for an array, what each item may be; None for another class."""

    types: tuple[type, ...]
    words: str
    item: _Kind | None = None


_KINDS: dict[Any, _Kind] = {
    str: _Kind((str,), "a str"),
    int: _Kind((int,), "an int"),
    float: _Kind((int, float), "a number"),
    bool: _Kind((bool,), "a bool"),
    # Amazon sends mere dates where its models say date-time, and what was read may be sent again.
    datetime: _Kind((date, str), "a datetime or a str"),
    date: _Kind((date, str), "a date or a str"),
}


@cache
def _kinds(model: Any) -> Mapping[str, _Kind]:
    """Return what the fields of a class may hold, except those that hold another class, or anything."""
    hints = get_type_hints(model)
    return {name: kind for name in model.__wire__ if (kind := _kind(hints[name])) is not None}


def _kind(hint: Any) -> _Kind | None:
    if get_origin(hint) in (Union, UnionType):
        inner = [argument for argument in get_args(hint) if argument is not NoneType]
        hint = inner[0] if len(inner) == 1 else str  # `Literal[...] | str`: values that Amazon lists, and others
    if get_origin(hint) is list:
        return _Kind((list, tuple), "a list", _kind(get_args(hint)[0]))
    return _Kind((Mapping,), "a dict") if get_origin(hint) is dict else _KINDS.get(hint)


def _check_kind(kind: _Kind, value: Any, label: str, problems: Problems) -> bool:
    """Note a value of another type, and return whether it is of the right one."""
    if not isinstance(value, kind.types) or (isinstance(value, bool) and bool not in kind.types):
        _note_type(label, kind.words, value, problems)
        return False
    if isinstance(value, datetime):
        try:
            write_time(value)
        except ValueError as error:
            problems.append(f"{label}: {error}")  # without a zone nobody knows what is meant
            return False
    is_right = True
    if kind.item is not None:
        items: Any = value  # Any: of a list or tuple, as was just seen
        for index, item in enumerate(items):
            is_right = _check_kind(kind.item, item, f"{label}[{index}]", problems) and is_right
    return is_right


def _check_part(part: Any, value: Any, label: str, problems: Problems) -> None:
    if isinstance(value, Mapping | part):
        _check_fields(part, value, label, problems)
    else:
        _note_type(label, f"{_a(part.__name__)} or a dict", value, problems)
