"""Models to JSON and back, and Amazon's errors in all the shapes they come in.

Models are filled by functions that the generator emits (`apis/<module>/decode.py`). They are 1.6 to 2.2 times as fast
as pydantic (see `benchmarks/`), where cattrs by itself is slower than it. The same functions are hooks of `converter`,
so that cattrs can be used on every model.

Nothing that Amazon sends inside a reply fails: an unknown field is skipped, a missing one is None, an unlisted value
of an enumeration stays a string, and a value of another type than the model's stays what it is.
"""

from __future__ import annotations

import gc
import importlib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any, TypeVar, cast

import orjson

from .errors import DecodeError, Problem

__all__ = ["decode", "decode_list", "decode_object", "encode", "load", "parse_errors"]

T = TypeVar("T")

Decoder = Callable[[Any], Any]
Encoder = Callable[[Any], Any]

# Filled by the generated modules when they are imported, each at the first use of one of its classes.
_decoders: dict[type, Decoder] = {}
_encoders: dict[type, Encoder] = {}


def register(decoders: Mapping[type, Decoder], encoders: Mapping[type, Encoder]) -> None:
    """Take in the functions of a generated module."""
    _decoders.update(decoders)
    _encoders.update(encoders)


def _import_functions(type_: type) -> None:
    """Import the generated module that registers the functions of a model."""
    importlib.import_module(type_.__module__.removesuffix(".models") + ".decode")


def decoder_of(type_: type) -> Decoder:
    """Return the function that fills a model; its module is imported at the first use."""
    decoder = _decoders.get(type_)
    if decoder is None:
        _import_functions(type_)
        decoder = _decoders[type_]
    return decoder


def encoder_of(type_: type) -> Encoder:
    """Return the function that makes JSON of a model; its module is imported at the first use."""
    encoder = _encoders.get(type_)
    if encoder is None:
        _import_functions(type_)
        encoder = _encoders[type_]
    return encoder


def decode(type_: type[T], body: bytes, *, operation: str, request_id: str | None = None) -> T:
    """Read a reply's body into a model.

    Args:
        type_: The model.
        body: The reply's body. An empty one counts as `{}`: some operations send nothing where their model says an
            object.
        operation: Named in the error, as in `orders_v0.get_orders`.
        request_id: Likewise.

    Raises:
        DecodeError: The body is no JSON, or no object.
    """
    with _Uncollected(len(body)):
        content = decode_object(body, operation=operation, request_id=request_id)
        try:
            return cast(T, decoder_of(type_)(content))
        except RecursionError:
            raise _too_deep(operation, request_id, body) from None


def decode_object(body: bytes, *, operation: str, request_id: str | None = None) -> dict[str, Any]:
    """Read a reply's body that has no model: any JSON object. Else as `decode`."""
    content = {} if not body or body.isspace() else _load(body, operation, request_id)
    if content.__class__ is not dict:
        raise _unexpected("object", content, operation, request_id, body)
    return cast("dict[str, Any]", content)


def decode_list(type_: type[T], body: bytes, *, operation: str, request_id: str | None = None) -> list[T]:
    """Read a reply's body into a list of models; an empty one is an empty list. Else as `decode`."""
    with _Uncollected(len(body)):
        content = [] if not body or body.isspace() else _load(body, operation, request_id)
        if content.__class__ is not list:
            raise _unexpected("array", content, operation, request_id, body)
        decoder = decoder_of(type_)
        try:
            return [decoder(item) for item in content]
        except RecursionError:
            raise _too_deep(operation, request_id, body) from None


# Bytes. Up to here a reply makes fewer objects than make Python look for garbage at all.
_SMALL = 16_384


class _Uncollected:
    """Keeps Python from looking for garbage while a large reply is read.

    None can be found in what is being built, and many new objects make Python look again and again: that took 5 to 20 %
    of the time. What has then come together is looked through right afterwards, when half of it is gone already.

    The switch is the process's: a program that has turned it off finds it so, and threads that read at the same time
    may end the pause early for each other. No other task runs meanwhile, since nothing is awaited.
    """

    __slots__ = ("_is_paused",)

    def __init__(self, size: int) -> None:
        self._is_paused = size > _SMALL and gc.isenabled()

    def __enter__(self) -> None:
        if self._is_paused:
            gc.disable()

    def __exit__(self, *_: object) -> None:
        if self._is_paused:
            gc.enable()


def load(body: bytes, *, operation: str, request_id: str | None = None) -> Any:  # Any: what JSON may hold
    """Read a reply's body as plain data; an empty one is None. Raises as `decode`, but any JSON will do."""
    return None if not body or body.isspace() else _load(body, operation, request_id)


def _load(body: bytes, operation: str, request_id: str | None) -> Any:  # Any: what JSON may hold
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # The parser's message tells a place and a reason, nothing of the content, which is kept but not shown.
        why = f"its body is no JSON: {error.msg} at {error.pos}"
        raise DecodeError(why, operation=operation, body=body, request_id=request_id) from None


def _unexpected(wanted: str, content: object, operation: str, request_id: str | None, body: bytes) -> DecodeError:
    why = f"its body is no JSON {wanted}, but of the type {type(content).__name__}"
    return DecodeError(why, operation=operation, body=body, request_id=request_id)


def _too_deep(operation: str, request_id: str | None, body: bytes) -> DecodeError:
    # Some models hold themselves, and JSON that can still be parsed may be deeper than Python calls functions.
    return DecodeError("its body is nested too deeply", operation=operation, body=body, request_id=request_id)


def encode(content: Any) -> bytes:  # Any: a model, a mapping, or a list of them
    """Return a model, a mapping or a list as JSON.

    A model's fields that are None are left out. Times are written in UTC, wherever they stand.

    Raises:
        TypeError: It holds something that is no JSON, or a time without a zone; `__cause__` may tell more.
    """
    return orjson.dumps(content, default=_simplify, option=orjson.OPT_PASSTHROUGH_DATETIME)


def _simplify(value: Any) -> Any:  # Any: whatever orjson does not know
    if hasattr(type(value), "__wire__"):
        return encoder_of(type(value))(value)
    if isinstance(value, date):  # a datetime is one too
        return write_time(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON")


# What the generated functions call for values that are not plain.

_from_iso = datetime.fromisoformat


def read_number(value: Any) -> Any:  # Any: numbers also come as strings
    """Read a number; what is none stays what it is."""
    if value.__class__ is str:
        try:
            number = float(value)
        except ValueError:
            return value
        return number if isfinite(number) else value  # neither NaN nor infinity could be written again
    return value


def read_datetime(value: Any) -> Any:  # Any: odd dates stay strings
    """Read a point in time; one without a zone is UTC, a mere date is one, and what cannot be read stays what it is."""
    try:
        moment = _from_iso(value)
    except (ValueError, TypeError):
        return value
    if moment.tzinfo is not None:
        return moment
    if len(value) < len("2026-01-02T03:04"):
        return read_date(value)  # midnight would be invented, and written when the model is
    return moment.replace(tzinfo=UTC)


def read_date(value: Any) -> Any:  # Any: odd dates stay strings
    """Read a date; what cannot be read stays what it is."""
    if value.__class__ is not str:
        return value
    try:
        day = date.fromisoformat(value)
    except ValueError:
        return value
    return day if day.isoformat() == value else value  # Python also reads 20260102 and 2026-W01-5


def read_decimal(value: Any) -> Decimal | None:  # Any: an amount is a string in some models, a number in others
    """Read an amount of money exactly as it is written; None where there is none, or none that is a number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        amount = Decimal(value if isinstance(value, str) else repr(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def write_time(value: Any) -> Any:  # Any: strings and odd values pass
    """Write a point in time as Amazon wants it, `2026-01-02T03:04:05Z`, with fractions only where there are any.

    Raises:
        ValueError: It has no zone.
    """
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a datetime without a time zone is ambiguous; give it one, as in tzinfo=UTC")
        try:
            moment = value if value.tzinfo is UTC else value.astimezone(UTC)
        except OverflowError:  # on the first or the last day there is, UTC may have none
            return value.isoformat()
        return moment.isoformat()[: -len("+00:00")] + "Z"
    if isinstance(value, date):
        return value.isoformat()
    return value


def __getattr__(name: str) -> Any:  # Any: a module attribute can be anything
    if name == "converter":
        converter = globals()["converter"] = _make_converter()
        return converter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _make_converter() -> Any:  # Any: cattrs is imported only for who uses it
    """Make a cattrs converter whose hooks for our models are the generated functions."""
    from cattrs.preconf.orjson import make_converter

    converter = make_converter()
    converter.register_structure_hook_factory(
        lambda type_: hasattr(type_, "__wire__"), lambda type_: lambda value, _: decoder_of(type_)(value)
    )
    converter.register_unstructure_hook_factory(lambda type_: hasattr(type_, "__wire__"), encoder_of)
    return converter


def parse_errors(body: bytes) -> tuple[Problem, ...]:
    """Read the errors of a reply, whatever shape they have; never raises.

    Shapes met in Amazon's models, its sandbox data and users' reports: an object with `errors`, that list nested once
    more, a bare array, a single error object, the same inside `payload`, Login with Amazon's `error` and
    `error_description`, a gateway's `message`, S3's XML; and bodies that hold none: empty, HTML from a proxy, garbage.

    Args:
        body: The reply's body.

    Returns:
        What could be read; empty when there is nothing.
    """
    try:
        content: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _from_xml(body)
    return tuple(_problems(content, depth=0))


_DEEPEST = 8  # lists and objects within each other; the deepest that was met has four


def _problems(content: Any, depth: int) -> list[Problem]:  # Any: what JSON may hold
    if depth > _DEEPEST:
        return []
    if isinstance(content, list):
        return [problem for entry in content for problem in _problems(entry, depth + 1)]
    if not isinstance(content, dict):
        return []
    for name in ("errors", "Errors", "error", "payload"):
        if isinstance(content.get(name), list | dict) and (found := _problems(content[name], depth + 1)):
            return found
    if isinstance(content.get("error"), str):
        return [Problem(content["error"], _text(content.get("error_description")), "")]
    code, message = (
        _text(content.get("code", content.get("Code"))),
        _text(content.get("message", content.get("Message"))),
    )
    if code or message:
        return [Problem(code, message, _text(content.get("details")))]
    return []


def _text(value: Any) -> str:  # Any: what JSON may hold
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
        return ""


_XML_CODE = re.compile(rb"<Code>([^<]*)</Code>")
_XML_MESSAGE = re.compile(rb"<Message>([^<]*)</Message>")


def _from_xml(body: bytes) -> tuple[Problem, ...]:
    """Read S3's error document, which is flat: an XML parser would only add ways to fail."""
    code, message = _XML_CODE.search(body), _XML_MESSAGE.search(body)
    if not body.lstrip().startswith(b"<") or code is None:
        return ()
    words = message.group(1).decode("utf-8", "replace") if message else ""
    return (Problem(code.group(1).decode("utf-8", "replace"), words, ""),)
