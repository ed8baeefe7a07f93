"""Whether a request keeps the rules its operation states: required arguments, types, lengths, counts, patterns.

Checked from the facts in `Operation.parameters`, before anything is done. Values outside a listed set are let pass,
as the models' lists run behind Amazon's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime

from ..marketplaces import Marketplace
from ..operation import Parameter
from . import bodies
from .exchange import JSON, Answer, Request, refuse

__all__ = ["ORDER_APIS", "check"]

_MAX_BODY = 10 * 1024 * 1024  # bytes; what Amazon's API gateway takes
_MAX_USER_AGENT = 500  # characters; a longer one is rejected (Selling Partner API Developer Guide)
_MARKETPLACES = frozenset(Marketplace)
_ORDER_ID = re.compile(r"\d{3}-\d{7}-\d{7}")
ORDER_APIS = ("orders_v0", "messaging_v1", "solicitations_v1")


def check(request: Request) -> Answer | None:
    """Refuse a request that breaks a rule of its operation, naming every rule it breaks; None when it keeps all.

    A request of Amazon's static sandbox must only have what is required: some of its pairs break the other rules.
    """
    # How it must be written is in the guide too, but Amazon takes its own SDK's, which is not written so.
    if not 0 < len(request.headers.get("user-agent", "")) <= _MAX_USER_AGENT:
        return refuse(400, "InvalidInput", f"The request needs a User-Agent of at most {_MAX_USER_AGENT} characters.")
    if len(request.body) > _MAX_BODY:
        return refuse(413, "InvalidRequest", f"The body is larger than {_MAX_BODY} bytes.")
    media_type = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if request.body and media_type != JSON:
        return refuse(415, "InvalidRequest", f"The content type must be {JSON}.")
    found = [
        problem
        for parameter in request.operation.parameters
        # Most arguments are optional and absent; the sandbox is also what benchmarks run against.
        if parameter.required or parameter.location != "query" or parameter.name in request.query
        for problem in _check(parameter, request)
    ]
    if found:
        return refuse(400, "InvalidInput", "The request has missing or invalid parameters.", "; ".join(found))
    return None


def _check(parameter: Parameter, request: Request) -> Iterator[str]:
    name = parameter.name
    texts: list[str]
    if parameter.location == "path":
        texts = [request.arguments.get(name, "")]
    elif parameter.location == "header":
        texts = [request.headers.get(name.lower(), "")]
    else:
        texts = request.query.get(name, [])
    if not (request.body if parameter.location == "body" else any(texts)):
        if parameter.required:
            yield f"{name} is required"
    elif request.is_example:
        return
    elif parameter.location == "body":
        body = request.json()
        yield from [f"{name} is no JSON"] if body is None else bodies.problems(request.operation, parameter, body)
    else:
        yield from _check_texts(parameter, texts, request.operation.module)


def _check_texts(parameter: Parameter, texts: list[str], module: str) -> Iterator[str]:
    name = parameter.name
    if parameter.type == "array":
        items = texts if parameter.collection == "multi" else [item for text in texts for item in text.split(",")]
        if parameter.min_items is not None and len(items) < parameter.min_items:
            yield f"{name} takes at least {parameter.min_items} values"
        if parameter.max_items is not None and len(items) > parameter.max_items:
            yield f"{name} takes at most {parameter.max_items} values"
    else:
        items = texts[:1]
        yield from _check_value(parameter, items[0])
    lowered = name.lower()
    if lowered in ("marketplaceids", "marketplaceid"):
        yield from (f"{name}: there is no marketplace {item!r}" for item in items if item not in _MARKETPLACES)
    elif lowered in ("amazonorderid", "orderid") and module in ORDER_APIS:
        yield from (f"{name}: {item!r} is no order id" for item in items if not _ORDER_ID.fullmatch(item))


def _check_value(parameter: Parameter, text: str) -> Iterator[str]:
    name = parameter.name
    if parameter.type in ("integer", "number"):
        try:
            number = int(text) if parameter.type == "integer" else float(text)
        except ValueError:
            yield f"{name} is no {parameter.type}"
            return
        if parameter.minimum is not None and number < parameter.minimum:
            yield f"{name} is below {parameter.minimum:g}"
        if parameter.maximum is not None and number > parameter.maximum:
            yield f"{name} is above {parameter.maximum:g}"
        return
    if parameter.type == "boolean":
        if text not in ("true", "false"):
            yield f"{name} is neither true nor false"
        return
    if parameter.min_length is not None and len(text) < parameter.min_length:
        yield f"{name} is shorter than {parameter.min_length} characters"
    if parameter.max_length is not None and len(text) > parameter.max_length:
        yield f"{name} is longer than {parameter.max_length} characters"
    if parameter.pattern is not None and not re.search(parameter.pattern, text):
        yield f"{name} does not match {parameter.pattern}"
    try:
        if parameter.format == "date-time":
            datetime.fromisoformat(text)
        elif parameter.format == "date":
            date.fromisoformat(text)
    except ValueError:
        yield f"{name} is no {parameter.format}"
