"""A call that no generated method makes: what `SellingPartner.request` sends."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import attrs

from ..codec import write_time
from ..errors import ArgumentError
from ..operation import Call, Operation, UsagePlan
from .arguments import write_json, write_number

__all__ = ["make_custom_call"]

Problems = list[str]

# Amazon's default for operations without a plan of their own is not published; this is the most careful there is.
_CAREFUL = UsagePlan(rate=1.0, burst=1, source="default")

_RESTRICTED_METHODS = ("GET", "PUT", "POST", "DELETE")  # what the model of the Tokens API lists
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
# RFC 3986, section 3.3: what a path may hold; and placeholders.
_PATH = re.compile(r"/(?:[A-Za-z0-9_.~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2}|\{[A-Za-z0-9_]+\})*").fullmatch
_PLACEHOLDER = re.compile(r"\{([^}]*)\}")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+").fullmatch  # RFC 9110, section 5.6.2
_OURS = {"host", "content-length", "transfer-encoding", "connection", "x-amz-access-token", "user-agent"}


def make_custom_call(
    method: str,
    path: str,
    *,
    path_parameters: Mapping[str, str] | None = None,
    query: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None,
    body: Any = None,  # Any: a model, plain data, or bytes
    headers: Mapping[str, str] | None = None,
    plan: UsagePlan | None = None,
    repeatable: bool = False,
    restricted: bool | Iterable[str] = False,
    grantless_scope: str | None = None,
) -> Call:
    """Check what a call is made of, and make it. Arguments as of `SellingPartner.request`.

    Raises:
        ArgumentError: Something cannot be sent; it names everything that is wrong.
    """
    problems: Problems = []
    method = str(method).upper()
    if method not in _METHODS:
        problems.append(f"method must be one of {', '.join(_METHODS)}")
    values: dict[str, Any] = dict(path_parameters or {})  # Any: callers need not check types
    path = str(path)
    if not _PATH(path):
        problems.append(
            "path must begin with a slash and be percent-encoded, without host and query; values go to path_parameters"
        )
    names = set(_PLACEHOLDER.findall(path))
    problems += [f"path_parameters lacks {name}" for name in sorted(names - values.keys())]
    problems += [f"path_parameters has {name}, which the path does not" for name in sorted(values.keys() - names)]
    for name, value in values.items():
        if not isinstance(value, str) or value in ("", ".", ".."):
            problems.append(f"path_parameters[{name!r}] must be a str that can be a part of a path")
    if not {".", ".."}.isdisjoint(unquote(path).split("/")):
        problems.append("path must not hold '.' or '..' as a segment")
    pairs = _write_query(query, problems)
    fields: dict[Any, Any] = dict(headers or {})  # Any: likewise
    for name, text in fields.items():
        if str(name).lower() in _OURS:
            problems.append(f"header {name} is set by the client itself")
        elif not (isinstance(name, str) and _TOKEN(name)) or not (
            isinstance(text, str) and text.isascii() and text.isprintable()
        ):
            problems.append(f"header {name!r} cannot be sent: names are tokens, values printable ASCII")
    content = _write_body(body, problems)
    chosen: Any = plan or _CAREFUL
    if not isinstance(chosen, UsagePlan):
        problems.append("plan must be a UsagePlan, as in UsagePlan(rate=2, burst=10)")
    elements = _read_restricted(method, restricted, problems)
    operation = Operation(
        module="request",
        name=f"{method} {path}",
        operation_id=f"{method} {path}",
        method=method,
        path=path,
        plan=chosen,
        repeatable=repeatable,
        restricted="never" if elements is None else "required",
        grantless_scope=grantless_scope,
    )
    if problems:
        raise ArgumentError(operation.key, problems)
    try:
        call = operation.call(values, pairs, fields, content)
    except UnicodeEncodeError:  # half of a surrogate pair
        raise ArgumentError(operation.key, ["an argument holds characters that UTF-8 cannot write"]) from None
    return attrs.evolve(call, restricted=elements) if elements else call


def _read_restricted(method: str, restricted: Any, problems: Problems) -> tuple[str, ...] | None:
    """Return the data elements of the restricted data token that is asked for, if one is."""
    if isinstance(restricted, bool):
        elements: tuple[str, ...] | None = () if restricted else None
    elif isinstance(restricted, str) or not isinstance(restricted, Iterable):
        problems.append("restricted must be True, False, or names as in ['buyerInfo']")
        return None
    else:
        elements = tuple(sorted({str(each) for each in restricted}))
        if not elements:
            problems.append("restricted is an empty list, which says nothing: leave it out")
    if elements is not None and method not in _RESTRICTED_METHODS:
        problems.append(f"restricted is for {', '.join(_RESTRICTED_METHODS)}")
    return elements


def _write_query(
    query: Mapping[str, Any] | Iterable[tuple[str, Any]] | None, problems: Problems
) -> list[tuple[str, str]]:
    try:
        given = [(name, value) for name, value in (query.items() if isinstance(query, Mapping) else query or ())]
    except (TypeError, ValueError):
        problems.append("query must be a mapping, or pairs of a name and a value")
        return []
    pairs = []
    for name, value in given:
        if value is None:
            continue
        if not isinstance(name, str):
            problems.append(f"query {name}: a name must be a str")
            continue
        try:
            items = value if isinstance(value, list | tuple) else [value]
            if not items:
                raise ValueError("an empty list says nothing: leave it out")
            pairs.append((name, ",".join([_write_value(item) for item in items])))
        except (TypeError, ValueError) as error:
            problems.append(f"query {name}: {error}")
    return pairs


def _write_value(value: Any) -> str:
    if isinstance(value, str):
        return str.__str__(value)  # of a member of an enumeration, its value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return write_number(value)
    if isinstance(value, date):  # a datetime is one too
        return str(write_time(value))
    raise TypeError(f"a value of type {type(value).__name__} cannot be sent in a query")


def _write_body(body: Any, problems: Problems) -> bytes:
    if body is None:
        return b""
    if isinstance(body, bytes | bytearray):
        return bytes(body)
    if not isinstance(body, str):
        return write_json(body, problems)
    try:
        return body.encode()
    except UnicodeEncodeError as error:
        problems.append(f"body: {error}")
        return b""
