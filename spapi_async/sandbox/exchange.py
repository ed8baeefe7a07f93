"""What passes between the parts of the sandbox: a request that has been routed, and the answer to it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs
import orjson

from ..operation import Operation
from .lwa import Grant

__all__ = ["JSON", "Answer", "Request", "refuse", "reply"]

JSON = "application/json"


@attrs.frozen
class Answer:
    """One HTTP answer. `error_type` becomes `x-amzn-ErrorType`."""

    status: int
    body: bytes = b""
    media_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    error_type: str = ""


@attrs.define(kw_only=True)
class Request:
    """One call that has reached its operation; names and values are decoded, `path` is as it came."""

    operation: Operation
    path: str
    arguments: dict[str, str]
    query: dict[str, list[str]]
    headers: dict[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    grant: Grant
    request_id: str
    time: datetime
    """When it arrived, in UTC."""
    origin: str
    """Scheme and host the caller used, for the links in answers."""
    is_example: bool = False
    """Whether it is one of the requests of Amazon's static sandbox, which name things that were never made."""

    def json(self) -> Any:
        """Decode the body; None when it is empty or no JSON (`checks` refuses that before it gets further)."""
        try:
            return orjson.loads(self.body) if self.body else None
        except orjson.JSONDecodeError:
            return None

    def values(self, name: str) -> list[str]:
        """Give an array of the query, written either way: joined by commas, or the name repeated."""
        return [item for text in self.query.get(name, ()) for item in text.split(",")]

    def first(self, name: str) -> str:
        """Give the first value of a name in the query; "" when there is none."""
        values = self.query.get(name)
        return values[0] if values else ""


def reply(status: int, value: Any, media_type: str = JSON) -> Answer:
    """Make an answer with a JSON body."""
    return Answer(status, orjson.dumps(value), media_type)


def refuse(status: int, code: str, message: str, details: str = "", error_type: str = "") -> Answer:
    """Make an error answer in Amazon's shape: a list of code, message and details."""
    body = orjson.dumps({"errors": [{"code": code, "message": message, "details": details}]})
    return Answer(status, body, JSON, (), error_type)
