"""What the tests here share: the pairs of Amazon's static sandbox, from its model files, and when JSON is equal."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from inspect import isclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs
import pytest

from spapi_async.apis import catalog
from spapi_async.apis.base import Api
from spapi_async.operation import Operation, Parameter

MODELS = Path(__file__).parents[3] / "shared" / "models"


@attrs.frozen(kw_only=True)
class Pair:
    """One request and its reply.

    Args:
        id: Operation, status and place among the operation's pairs of that status.
        operation: What is called.
        status: Of the reply.
        parameters: What the request lists, by name on the wire; the body under the name of the body's parameter.
        body: Of the reply; None for none, "" for an empty one.
        headers: Of the reply, as far as the pair names them, with lower-case names.
        breaks: How the body breaks its schema in the model; None where there is none.
    """

    id: str
    operation: Operation
    status: int
    parameters: Mapping[str, Any]
    body: Any
    headers: Mapping[str, str]
    breaks: tuple[str, ...] | None


def read_pairs() -> Iterator[Pair]:
    operations = {(operation.method, operation.path): operation for operation in catalog()}
    for file in sorted(MODELS.rglob("*.json")):
        content = json.loads(file.read_bytes())
        for path, item in content["paths"].items():
            for verb in ("get", "post", "put", "patch", "delete"):
                operation = operations.get((verb.upper(), path))
                if verb in item and operation is not None:
                    for status, response in item[verb]["responses"].items():
                        for number, entry in enumerate(entries(response), 1):
                            name = f"{operation.key} {status} {number}"
                            yield read_pair(name, operation, int(status), entry, response, content)


def entries(response: Mapping[str, Any]) -> list[Any]:
    """Return the pairs of a response; Amazon has two spellings for where they stand."""
    found = response.get("x-amzn-api-sandbox", {}).get("static") or response.get("x-amazon-spds-sandbox-behaviors")
    return found or []


def read_pair(name: str, operation: Operation, status: int, entry: Any, response: Any, content: Any) -> Pair:
    parameters = {}
    bodies = [parameter.name for parameter in operation.parameters if parameter.location == "body"]
    for listed, given in entry.get("request", {}).get("parameters", {}).items():
        value = given["value"] if isinstance(given, dict) and "value" in given else given
        # `{}` instead of a value: left out by Amazon. Bodies are called `body`, whatever their parameter's name.
        if given != {} and (listed != "body" or bodies):
            parameters[bodies[0] if listed == "body" else listed] = value
    body = entry.get("response")
    return Pair(
        id=name,
        operation=operation,
        status=status,
        parameters=parameters,
        body=body,
        headers={key.lower(): str(header["value"]) for key, header in entry.get("responseHeaders", {}).items()},
        breaks=tuple(breaks(response["schema"], body, content)) if body is not None and "schema" in response else None,
    )


def breaks(schema: Any, value: Any, content: Any) -> Iterator[str]:
    """Name what in a body is not as its schema says, as far as Amazon's bodies have anything of the kind."""
    if "$ref" in schema:
        yield from breaks(content["definitions"][schema["$ref"].rpartition("/")[2]], value, content)
        return
    for part in schema.get("allOf", ()):
        yield from breaks(part, value, content)
    if isinstance(value, dict):
        yield from (f"{name} is missing" for name in schema.get("required", ()) if name not in value)
        for name, inner in value.items():
            yield from breaks(schema.get("properties", {}).get(name, {}), inner, content)
    elif isinstance(value, list):
        for inner in value:
            yield from breaks(schema.get("items", {}), inner, content)
    elif isinstance(value, str):
        if value not in schema.get("enum", [value]):
            yield f"{value!r} is not listed"
        if schema.get("format") == "date-time" and not is_time(value):
            yield f"{value!r} is no time"
        if not re.search(schema.get("pattern", ""), value):
            yield f"{value!r} does not match {schema['pattern']}"


def is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


read_all = cache(lambda: list(read_pairs()))  # each of them is read once, whoever asks


@pytest.fixture
def pairs() -> list[Pair]:
    """All pairs, in the order of the files."""
    if not MODELS.is_dir():
        pytest.skip("Amazon's models are not in ../shared/models")
    return read_all()


def normal(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: normal(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [normal(inner) for inner in value]
    if isinstance(value, str) and len(value) >= 16:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return value
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return value


@pytest.fixture
def is_same() -> Callable[[Any, Any], bool]:
    """Whether two JSON values are equal: times as instants, and null as nothing, as the models keep them."""
    return lambda one, other: normal(one) == normal(other)


@cache
def class_of(module: str) -> type[Api]:
    package = import_module(f"spapi_async.apis.{module}")
    [found] = [value for name in package.__all__ if isclass(value := getattr(package, name)) and issubclass(value, Api)]
    return found


@pytest.fixture
def api_of() -> Callable[[str], type[Api]]:
    """From a module's name to its class."""
    return class_of


def made_up(operation: Operation, parameter: Parameter) -> Any:
    """Return a value for an argument that a pair leaves out although it is required."""
    if parameter.location == "body" and parameter.model is not None:
        value = example(getattr(import_module(f"spapi_async.apis.{operation.module}.models"), parameter.model))
    elif parameter.values:
        value = parameter.values[0]
    elif "marketplace" in parameter.name.lower():
        value = "ATVPDKIKX0DER"
    elif "orderid" in parameter.name.lower():
        value = "902-1845936-5435065"
    elif parameter.format == "date-time":
        value = "2026-01-15T10:00:00Z"
    else:
        kinds = {"integer": 1, "number": 1.0, "boolean": True, "object": {}}
        value = kinds.get(parameter.type, "EXAMPLE1")
    return [value] if parameter.type == "array" else value


def example(hint: Any) -> Any:
    """Return JSON for a type: of a model, the fields that are required."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return arguments[0]
    if origin in (Union, UnionType):
        return example(arguments[0])
    if origin is list:
        return [example(arguments[0])]
    if hasattr(hint, "__wire__"):
        hints, required = get_type_hints(hint), getattr(hint, "__required__", ())
        return {wire: example(hints[name]) for name, wire in hint.__wire__.items() if name in required}
    return {str: "EXAMPLE1", int: 1, float: 1.0, bool: True, datetime: "2026-01-15T10:00:00Z"}.get(hint, {})


@pytest.fixture
def complete() -> Callable[[Pair], dict[str, Any]]:
    """From a pair to its parameters, with those made up that are required and not listed.

    Of a pair that is meant to fail, only those of the path: that another is missing may be why it fails.
    """
    return lambda pair: {
        **{
            parameter.name: made_up(pair.operation, parameter)
            for parameter in pair.operation.parameters
            if parameter.required and (pair.status < 400 or parameter.location == "path")
        },
        **pair.parameters,
    }
