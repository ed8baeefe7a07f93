"""Amazon's static sandbox: the pairs of request and reply in its model files, and the rule that chooses among them.

The rule: a pair fits when every argument it lists is in the request and equal (a body: everything it lists is there;
lists of the same length; scalars compared as text). Of those that fit, the one that lists most goes first, then a
success before an error, then the order in the file. Tried over all 926 pairs of Amazon's 66 models: 924 find
themselves, and the other two are the same request with two answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
import orjson

from ..errors import ConfigError
from ..operation import Operation
from .exchange import JSON, Answer, Request

__all__ = ["Example", "find", "load"]

_MARK = "x-amzn-api-sandbox"
_OTHER_MARK = "x-amazon-spds-sandbox-behaviors"  # vendorShipments and vendorTransactionStatus


@attrs.frozen
class Example:
    """One pair; `leaves` counts the scalars that its request lists."""

    parameters: dict[str, Any]
    leaves: int
    answer: Answer


def load(folder: str | Path, operations: Iterable[Operation]) -> dict[str, list[Example]]:
    """Read the pairs of the operations from a folder of Amazon's Swagger models.

    Returns:
        By the operation's key, the best first.

    Raises:
        ConfigError: The folder does not exist, holds no model, or a file in it is no JSON.
    """
    wanted = {(operation.method, operation.path): operation for operation in operations}
    files = sorted(Path(folder).rglob("*.json"))
    if not files:
        raise ConfigError(f"no Swagger models in {folder}: give a checkout of amzn/selling-partner-api-models")
    found: dict[str, list[Example]] = {}
    for file in files:
        try:
            paths = orjson.loads(file.read_bytes()).get("paths", {})
        except (orjson.JSONDecodeError, AttributeError) as error:
            raise ConfigError(f"{file} is no Swagger model: {error}") from None
        for path, item in paths.items():
            for method, described in item.items():
                operation = wanted.get((method.upper(), path))
                if operation is not None:
                    found.setdefault(operation.key, []).extend(_examples(described, operation))
    for examples in found.values():
        # The sort is stable, so the order in the file decides last.
        examples.sort(key=lambda example: (-example.leaves, example.answer.status >= 400))
    return found


def _examples(described: dict[str, Any], operation: Operation) -> Iterable[Example]:
    for status, response in described.get("responses", {}).items():
        behaviours = response.get(_MARK, {}).get("static") or response.get(_OTHER_MARK) or []
        for entry in behaviours:
            listed = entry.get("request", {}).get("parameters", {})
            # Three of Amazon's bodies lack the wrapper `value`; fourteen entries are empty, and so list nothing.
            parameters = {
                name: given["value"] if isinstance(given, dict) and "value" in given else given
                for name, given in listed.items()
                if given != {}
            }
            body = entry.get("response")
            success = int(status) < 400
            answer = Answer(
                int(status),
                # Some give `{}` for a 204, which has no body (RFC 9110, section 15.3.5): it would break the connection.
                b"" if body in (None, "") or status == "204" else orjson.dumps(body),
                operation.accept if success else JSON,
                tuple((name.lower(), str(v["value"])) for name, v in entry.get("responseHeaders", {}).items()),
            )
            yield Example(parameters, sum(map(_leaves, parameters.values())), answer)


def find(examples: Iterable[Example], request: Request) -> Example | None:
    """Give the pair that fits a request best; None when none fits."""
    body = request.json()
    names = {parameter.name: parameter for parameter in request.operation.parameters}
    for example in examples:
        if all(_fits(name, value, request, body, names) for name, value in example.parameters.items()):
            return example
    return None


def _fits(name: str, expected: Any, request: Request, body: Any, names: dict[str, Any]) -> bool:
    parameter = names.get(name)
    # Amazon's pairs call the body `body`, also where the model has another name for it.
    if name == "body" or (parameter is not None and parameter.location == "body"):
        return _within(expected, body)
    if isinstance(expected, list):
        return _within(expected, request.values(name))
    for values in (request.arguments.get(name), request.headers.get(name.lower())):
        if values is not None:
            return _text(expected) == values
    return name in request.query and _text(expected) == ",".join(request.query[name])


def _within(expected: Any, given: Any) -> bool:
    if isinstance(expected, dict):
        return isinstance(given, dict) and all(k in given and _within(v, given[k]) for k, v in expected.items())
    if isinstance(expected, list):
        same = isinstance(given, list) and len(given) == len(expected)
        return same and all(map(_within, expected, given))
    return not isinstance(given, (dict, list)) and _text(expected) == _text(given)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _leaves(value: Any) -> int:
    if isinstance(value, dict):
        return sum(map(_leaves, value.values()))
    # An empty list lists something: that there is nothing in it.
    return sum(map(_leaves, value)) if isinstance(value, list) and value else 1
