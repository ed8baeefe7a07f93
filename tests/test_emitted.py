"""The functions that the generator emits for every class: against anything that may come, and against plain cattrs."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from inspect import isclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs
import cattrs
import orjson
import pytest
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override
from hypothesis import given, settings, strategies as st

from spapi_async.apis import base, catalog
from spapi_async.apis.namespace import MODULES
from spapi_async.codec import converter, decode, encode
from spapi_async.errors import DecodeError, StatusError
from spapi_async.operation import Operation, Reply

OPERATIONS = list(catalog())


@cache
def classes_of(module: str) -> list[type]:
    models = import_module(f"spapi_async.apis.{module}.models")
    return [found for name in models.__all__ if hasattr(found := getattr(models, name), "__wire__")]


def core(hint: Any) -> Any:
    """Return what a hint says beside None and listed values."""
    if get_origin(hint) in (Union, UnionType):
        return next(part for part in get_args(hint) if part is not type(None) and get_origin(part) is not Literal)
    return hint


@cache
def shape_of(class_: Any) -> list[tuple[str, Any, bool]]:
    """Return each field: its name on the wire, its type, and whether it is required."""
    hints = get_type_hints(class_)
    return [
        (class_.__wire__[field.name], core(hints[field.name]), field.default is attrs.NOTHING)
        for field in attrs.fields(class_)
    ]


PLAIN = {str: "text", int: 7, float: 7.5, bool: True, dt.datetime: "2026-01-02T03:04:05Z", dt.date: "2026-01-02"}


def example(hint: Any, depth: int, scalars: Mapping[Any, Any] = PLAIN, drop: int = 0) -> Any:
    """Return JSON for a type.

    Args:
        hint: The type.
        depth: How many objects within objects; deeper ones have only what is required.
        scalars: A value for each type of a scalar.
        drop: Bits that say which of the optional fields are left out.
    """
    hint = core(hint)
    if hint in scalars:
        return scalars[hint]
    if get_origin(hint) is list:
        return [example(get_args(hint)[0], depth, scalars, drop)] * 2
    if get_origin(hint) is dict:
        return {"key": example(get_args(hint)[1], depth, scalars, drop)}
    if not hasattr(hint, "__wire__"):
        return {"free": ["form"]}
    return {
        wire: example(inner, depth - 1, scalars, drop >> 1)
        for number, (wire, inner, is_required) in enumerate(shape_of(hint))
        if is_required or (depth > 0 and not drop >> number % 16 & 1)
    }


# -- whatever comes

JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["2026-01-02T03:04", "0001-01-01T00:00:00+23:59", "20260102", "NaN", "1e999", "x" * 10_000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
CHANGES = st.lists(
    st.tuples(st.sampled_from(["drop", "rename", "retype", "nest", "double"]), st.integers(0, 2**16), JUNK), max_size=6
)
DAMAGE = st.one_of(
    st.just(lambda body: body),
    st.integers(0, 2**16).map(lambda cut: lambda body: body[: cut % (len(body) + 1)]),
    st.tuples(st.integers(0, 2**16), st.binary(max_size=4)).map(
        lambda told: lambda body: body[: told[0] % (len(body) + 1)] + told[1] + body[told[0] % (len(body) + 1) :]
    ),
    st.integers(1, 5000).map(lambda depth: lambda body: b"[" * depth + body + b"]" * depth),
    JUNK.map(lambda junk: lambda body: json.dumps(junk).encode()),
    st.binary(max_size=30).map(lambda junk: lambda body: junk),
)


def change(value: Any, changes: list[tuple[str, int, Any]]) -> Any:
    """Change a few places of a JSON value."""
    value = orjson.loads(orjson.dumps(value))  # lists in it may be one and the same
    places = [(None, None), *places_of(value)]
    for kind, number, junk in changes:
        parent, key = places[number % len(places)]
        if parent is None or (key not in parent if isinstance(parent, dict) else key >= len(parent)):
            continue
        match kind:
            case "drop":
                del parent[key]
            case "rename" if isinstance(parent, dict):
                parent[str(junk)] = parent.pop(key)
            case "nest":
                parent[key] = [parent[key]] if number % 2 else {"key": parent[key]}
            case "double" if isinstance(parent, list):
                parent.append(parent[key])
            case _:
                parent[key] = junk
    return value


def places_of(value: Any) -> list[tuple[Any, Any]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, part in inner for place in ((value, key), *places_of(part))]


def attempt(function: Any, *arguments: Any, **named: Any) -> Any:
    """Return what a function returns, or the error it may raise."""
    try:
        return function(*arguments, **named)
    except (DecodeError, StatusError) as error:
        return error


@pytest.mark.parametrize("module", MODULES)
@settings(max_examples=5)
@given(changes=CHANGES, damage=DAMAGE)
def test_whatever_comes_is_a_model_or_a_decode_error(module: str, changes: Any, damage: Any) -> None:
    """Each class is filled from a body that was changed and damaged, or the error holds the body's bytes."""
    for class_ in classes_of(module):
        body = damage(json.dumps(change(example(class_, 2), changes)).encode())
        found = attempt(decode, class_, body, operation="a.b")
        if isinstance(found, DecodeError):
            assert found.body == body
        else:
            assert type(found) is class_
            assert isinstance(encode(found), bytes)


@cache
def client_of(module: str) -> type[base.Api]:
    package = import_module(f"spapi_async.apis.{module}")
    [client] = [
        found for name in package.__all__ if isclass(found := getattr(package, name)) and issubclass(found, base.Api)
    ]
    return client


def run(coroutine: Any) -> Any:
    """Run what waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits")


@pytest.mark.parametrize("module", MODULES)
@settings(max_examples=5)
@given(changes=CHANGES, damage=DAMAGE)
def test_whatever_comes_a_method_returns_or_raises_what_it_says(module: str, changes: Any, damage: Any) -> None:
    """A method gives its model, or one of our errors: also where replies are lists, or differ by status."""
    client = client_of(module)
    for operation in OPERATIONS:
        if operation.module == module and operation.retired is None:
            body = damage(json.dumps(change(example(result_of(operation), 2), changes)).encode())
            reply = Reply(status=operation.success[0], headers={}, body=body)

            async def send(_: Any, reply: Reply = reply) -> Reply:
                return reply

            method = getattr(client(send, validate=False), operation.name)
            in_path = {parameter.argument for parameter in operation.parameters if parameter.location == "path"}
            arguments = {parameter.argument: None for parameter in operation.parameters} | dict.fromkeys(in_path, "x")
            found = attempt(run, wait(method(**arguments)))
            if isinstance(found, DecodeError | StatusError):
                assert found.body == body
                assert isinstance(found, DecodeError) or found.errors


async def wait(awaitable: Any) -> Any:
    return await awaitable


def result_of(operation: Operation) -> Any:
    if operation.result is None:
        return str
    return getattr(import_module(f"spapi_async.apis.{operation.module}.models"), operation.result)


RECURSIVE = [
    (class_, wire, get_origin(hint) is list)
    for module in MODULES
    for class_ in classes_of(module)
    for wire, hint, _ in shape_of(class_)
    if class_ in (hint, *get_args(hint))
]


@pytest.mark.parametrize(("class_", "wire", "is_list"), RECURSIVE)
def test_a_model_within_itself_without_end(class_: Any, wire: str, is_list: bool) -> None:
    """However deep it goes: a model, or a DecodeError where Python or the parser cannot follow."""
    opened = b'{"%s":%s' % (wire.encode(), b"[" if is_list else b"")
    closed = b"]}" if is_list else b"}"
    outcomes = []
    for depth in (10, 1000 // len(closed), 5000):
        body = opened * depth + b"{}" + closed * depth
        found = attempt(decode, class_, body, operation="a.b")
        assert not isinstance(found, DecodeError) or found.body == body
        outcomes.append(type(found))
    assert outcomes[0] is class_
    assert outcomes[1] in (class_, DecodeError)  # Python 3.12 calls fewer functions for a list
    assert outcomes[2] is DecodeError


# -- the same by plain cattrs


def make_plain() -> cattrs.Converter:
    """Make a converter that knows names and times, and none of our functions."""
    plain = cattrs.Converter()
    for type_ in (str, int, float, bool):
        plain.register_structure_hook(type_, lambda value, _: value)
    plain.register_structure_hook(dt.datetime, lambda value, _: dt.datetime.fromisoformat(value))
    plain.register_structure_hook(dt.date, lambda value, _: dt.date.fromisoformat(value))
    plain.register_unstructure_hook(
        dt.datetime, lambda value: value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    )
    plain.register_unstructure_hook(dt.date, lambda value: value.isoformat())
    # A listed value, or any other string.
    plain.register_structure_hook_func(
        lambda type_: any(get_origin(part) is Literal for part in get_args(type_)), lambda value, _: value
    )
    plain.register_unstructure_hook_func(
        lambda type_: any(get_origin(part) is Literal for part in get_args(type_)), lambda value: value
    )

    def named(class_: Any) -> dict[str, Any]:
        return {name: override(rename=wire, omit_if_default=True) for name, wire in class_.__wire__.items()}

    def is_model(type_: Any) -> bool:
        return hasattr(type_, "__wire__")

    plain.register_structure_hook_factory(is_model, lambda type_: make_dict_structure_fn(type_, plain, **named(type_)))
    plain.register_unstructure_hook_factory(
        is_model, lambda type_: make_dict_unstructure_fn(type_, plain, **named(type_))
    )
    return plain


PLAIN_CATTRS = make_plain()
SCALARS = st.fixed_dictionaries(
    {
        str: st.text(max_size=5),
        int: st.integers(-(2**53), 2**53),
        float: st.floats(allow_nan=False, allow_infinity=False),
        bool: st.booleans(),
        dt.datetime: st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2100, 1, 1), timezones=st.just(dt.UTC)).map(
            lambda moment: moment.isoformat()
        ),
        dt.date: st.dates().map(dt.date.isoformat),
    }
)


@pytest.mark.parametrize("module", MODULES)
@settings(max_examples=5)
@given(scalars=SCALARS, drop=st.integers(0, 2**18))
def test_plain_cattrs_gives_the_same(module: str, scalars: Any, drop: int) -> None:
    """Our functions, our converter and a converter without our functions agree about every class."""
    for class_ in classes_of(module):
        value = example(class_, 2, scalars, drop)
        model = PLAIN_CATTRS.structure(value, class_)
        assert converter.structure(value, class_) == model
        assert decode(class_, orjson.dumps(value), operation="a.b") == model
        written = PLAIN_CATTRS.unstructure(model)
        assert converter.unstructure(model) == written
        assert orjson.loads(encode(model)) == written
