"""Errors made of failures: what `Retry-After` says, and why there was no connection."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import attrs
import pytest

from spapi_async.apis import catalog
from spapi_async.errors import ForbiddenError
from spapi_async.transport.failures import no_reply, status_error

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "Sat, 21 Nov 2026 12:00:30 GMT", "date": "Sat, 21 Nov 2026 12:00:00 GMT"}, 30.0),
        ({"retry-after": "Sat, 21 Nov 2026 11:00:00 GMT", "date": "Sat, 21 Nov 2026 12:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "²"}, None),
        ({"retry-after": "Sat, 21 Nov 2026 12:00:30 GMT", "date": "noon"}, None),
    ],
)
def test_retry_after(headers, expected, tools):
    """Seconds, or a date that counts from the server's own; what cannot be read counts as not said."""
    assert status_error(tools.read.call(), 503, headers, b"").retry_after == expected


def test_retry_after_without_a_date_of_the_reply(tools):
    """A server that does not tell its time is taken by ours."""
    until = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    assert 3500 < status_error(tools.read.call(), 503, {"retry-after": until}, b"").retry_after <= 3600


def reason(error: BaseException) -> str:
    made = no_reply(error, operation="m.n", attempt=1, begun=False, repeatable=False, host="h:1", status=None)
    return made.message.removeprefix("no connection to h:1: ")


def test_the_reason_is_that_of_the_lowest_cause():
    """Libraries wrap errors; the words of the system say most."""
    error = RuntimeError("it failed")
    error.__cause__ = OSError("more of it")
    error.__cause__.__cause__ = ConnectionRefusedError(111, "Connect call failed ('10.0.0.1', 1)")
    assert reason(error) == "Connection refused"


def test_the_reason_of_several_addresses():
    """Of several addresses that failed, the first one's reason is told."""
    error = OSError("all failed")
    error.__cause__ = ExceptionGroup("both", [ConnectionRefusedError(111, "a"), OSError(113, "b")])
    assert reason(error) == "Connection refused"


def test_the_reason_where_there_are_no_words():
    """An exception without a text tells its class."""
    assert reason(EOFError()) == "EOFError"


def test_causes_that_go_round_in_circles():
    """A broken chain of causes does not hang the error."""
    error, other = ValueError("a"), ValueError("b")
    error.__cause__, other.__cause__ = other, error
    assert reason(error) == "a"


def test_a_403_for_a_missing_role_names_those_of_the_operation():
    """The roles are a fact of the operation; neither the class nor whether a repeat is safe depends on them."""
    operation = next(each for each in catalog() if each.key == "messaging_v1.create_warranty")
    body = (
        b'{"errors": [{"code": "Unauthorized", "message": "Access to requested resource is denied.", "details": ""}]}'
    )
    call = operation.call({"amazonOrderId": "1"})
    error = status_error(call, 403, {}, body)
    assert isinstance(error, ForbiddenError)
    assert (error.roles, error.is_retry_safe) == (("Buyer Communication",), False)
    without = status_error(attrs.evolve(call, operation=attrs.evolve(operation, roles=())), 403, {}, body)
    assert (type(without), without.is_retry_safe) == (type(error), error.is_retry_safe)
