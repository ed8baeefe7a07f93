"""Replies made from the generated types: every field filled with something plausible, ids from the path echoed.

Used where nothing better answers: no state and no pair of Amazon's static sandbox. Fields that would lead a client on,
such as next tokens and errors, stay out.
"""

from __future__ import annotations

import re
import types
from collections.abc import Set
from datetime import date, datetime
from typing import Any, Literal, Union, get_args, get_origin

import attrs
import orjson

from ..operation import Operation
from .bodies import model_of, shape
from .exchange import Answer, Request

__all__ = ["Typed"]

_DEEPEST = 8  # objects within objects; Amazon's deepest model is recursive
_LEFT_OUT = re.compile(r"errors|warnings|.*(next|previous)_?(page_?)?token.*|pagination", re.IGNORECASE)
_PERSONAL = {
    # Field -> the data element that a restricted data token must have been asked for.
    "ShippingAddress": "shippingAddress",
    "BuyerInfo": "buyerInfo",
    "BuyerTaxInfo": "buyerInfo",
    "BuyerTaxInformation": "buyerTaxInformation",
}
_PLAUSIBLE = (
    # By the field's name: what it ends with -> a value. The first that fits.
    (re.compile(r"orderid$", re.IGNORECASE), "902-1845936-5435065"),
    (re.compile(r"marketplaceids?$", re.IGNORECASE), "ATVPDKIKX0DER"),
    (re.compile(r"asin$", re.IGNORECASE), "B000EXAMPL"),
    (re.compile(r"sku$", re.IGNORECASE), "EXAMPLE-SKU"),
    (re.compile(r"currency(code)?$", re.IGNORECASE), "USD"),
    (re.compile(r"country(code)?$", re.IGNORECASE), "US"),
    (re.compile(r"email$", re.IGNORECASE), "buyer@example.com"),
    (re.compile(r"phone(number)?$", re.IGNORECASE), "+1 555 0100"),
    (re.compile(r"(amount|price|value)$", re.IGNORECASE), "25.99"),
    (re.compile(r"(date|time|before|after)$", re.IGNORECASE), "2026-01-15T10:00:00Z"),
    (re.compile(r"url$", re.IGNORECASE), "https://example.com/"),
)


class Typed:
    """Makes replies from the classes that the generator wrote. One answer an operation is made, then kept."""

    def __init__(self) -> None:
        self._templates: dict[tuple[str, frozenset[str]], bytes] = {}

    def answer(self, request: Request) -> Answer:
        """Make the 2xx reply of an operation."""
        operation = request.operation
        status = operation.success[0]
        if operation.result is None or status == 204:
            return Answer(status)
        shown = _shown(request)
        template = self._templates.get((operation.key, shown))
        if template is None:
            value = _example(model_of(operation, operation.result), "", (), _echoes(operation))
            template = orjson.dumps(_without(value, _PERSONAL.keys() - shown))
            self._templates[operation.key, shown] = template
        for name, value in request.arguments.items():
            template = template.replace(orjson.dumps(_mark(name)), orjson.dumps(value))
        return Answer(status, template, operation.accept)


def _mark(name: str) -> str:
    return f"\ue000{name}\ue000"  # private use: no example holds it


def _echoes(operation: Operation) -> dict[str, str]:
    marks = {p.name.lower(): _mark(p.name) for p in operation.parameters if p.location == "path"}
    if "orderid" in marks:
        marks["amazonorderid"] = marks["orderid"]  # orders_v0 asks for orderId and answers AmazonOrderId
    return marks


def _example(hint: Any, name: str, above: tuple[type, ...], echoes: dict[str, str]) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        literal = next((a for a in arguments if get_origin(a) is Literal), None)
        return _example(arguments[0] if literal is None else literal, name, above, echoes)
    if origin is Literal:
        return arguments[0]
    if origin is not None and issubclass(origin, list | tuple):
        return [_example(arguments[0], name.removesuffix("s").removesuffix("List"), above, echoes)]
    if (origin is not None and issubclass(origin, dict)) or not isinstance(hint, type):
        return {}
    if attrs.has(hint):
        return _object(hint, above, echoes)
    if name.lower() in echoes and issubclass(hint, str):
        return echoes[name.lower()]
    return _scalar(hint, name)


def _object(class_: type, above: tuple[type, ...], echoes: dict[str, str]) -> dict[str, Any]:
    filled = {}
    for name, hint, is_required, _ in shape(class_):
        inner = _class_in(hint)
        if not is_required and (_LEFT_OUT.fullmatch(name) or inner in above or len(above) >= _DEEPEST):
            continue
        filled[name] = _example(hint, name, (*above, class_), echoes)
    return filled


def _class_in(hint: Any) -> Any:
    while get_args(hint) and get_origin(hint) is not Literal:
        hint = get_args(hint)[0]
    return hint


def _scalar(hint: type, name: str) -> Any:
    if issubclass(hint, bool):
        return False
    if issubclass(hint, int):
        return 1
    if issubclass(hint, float):
        return 25.99
    if issubclass(hint, datetime):
        return "2026-01-15T10:00:00Z"
    if issubclass(hint, date):
        return "2026-01-15"
    return next((value for pattern, value in _PLAUSIBLE if pattern.search(name)), "Example")


def _shown(request: Request) -> frozenset[str]:
    """Name the personal fields that the caller may see.

    Orders come without them, but for those that the restricted data token was asked for (Amazon's page “Tokens API”).
    """
    if request.operation.restricted != "optional":
        return frozenset(_PERSONAL)
    elements: set[str] = set()
    for resource in request.grant.resources or ():
        if resource.opens(request.operation.key, request.path):
            elements |= resource.elements
    return frozenset(name for name, element in _PERSONAL.items() if element in elements)


def _without(value: Any, names: Set[str]) -> Any:
    if isinstance(value, dict):
        return {name: _without(inner, names) for name, inner in value.items() if name not in names}
    return [_without(inner, names) for inner in value] if isinstance(value, list) else value
