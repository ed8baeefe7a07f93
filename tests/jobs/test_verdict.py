from __future__ import annotations

import asyncio

import pytest

from spapi_async.errors import (
    AuthError,
    ClientClosedError,
    ConnectError,
    ConnectionLostError,
    OutcomeUnknownError,
    Problem,
    QueueFullError,
    ReadTimeoutError,
    StatusError,
)
from spapi_async.jobs.verdict import Verdict, cure_of, judge, reason_of

OPERATION = "messaging_v1.create_confirm_order_details"


def answer(status: int, *problems: Problem) -> StatusError:
    return StatusError.of(status)(operation=OPERATION, status=status, errors=problems)


def forbidden(message: str, details: str = "", code: str = "Unauthorized") -> StatusError:
    return answer(403, Problem(code, message, details))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectError("refused", operation=OPERATION, had_begun=False), Verdict.UNSENT),
        (ConnectionLostError("idle connection", operation=OPERATION, had_begun=False), Verdict.UNSENT),
        (ConnectionLostError("reset", operation=OPERATION, had_begun=True), Verdict.IN_DOUBT),
        (ReadTimeoutError("no reply", operation=OPERATION, had_begun=True), Verdict.IN_DOUBT),
        (OutcomeUnknownError("cut", operation=OPERATION), Verdict.IN_DOUBT),
        (answer(429, Problem("QuotaExceeded", "", "")), Verdict.UNSENT),
        (answer(401), Verdict.UNSENT),
        *[(answer(status), Verdict.REFUSED) for status in (400, 404, 409, 413, 415, 422)],
        *[(answer(status), Verdict.IN_DOUBT) for status in (302, 408, 500, 502, 503, 504)],
        (forbidden("Invalid amazonOrderId and template combination"), Verdict.REFUSED),
        (forbidden("The requested solicitation is not available for this order"), Verdict.REFUSED),
        (forbidden("Outside the allowed range after delivery"), Verdict.REFUSED),
        (forbidden("Access to requested resource is denied."), Verdict.UNSENT),
        (forbidden("Access to the resource is forbidden", "The access token has expired"), Verdict.UNSENT),
        (forbidden("Missing Authentication Token", code="MissingAuthenticationToken"), Verdict.UNSENT),
        (answer(403), Verdict.UNSENT),
        (AuthError("no longer valid", code="invalid_grant", is_permanent=True), Verdict.UNSENT),
        (QueueFullError("full", operation=OPERATION), Verdict.UNSENT),
        (ClientClosedError("closed", operation=OPERATION), Verdict.UNSENT),
        (asyncio.CancelledError(), Verdict.IN_DOUBT),
        (KeyboardInterrupt(), Verdict.IN_DOUBT),
        (RuntimeError("a fault of ours"), Verdict.IN_DOUBT),
    ],
    ids=str,
)
def test_what_an_error_says_about_the_message(error: BaseException, expected: Verdict) -> None:
    """Only what Amazon certainly did not execute may be sent again; only its own no is a refusal."""
    assert expected is judge(error)


def test_the_reason_is_amazons_own() -> None:
    """A refusal is told in Amazon's words, as far as it gave some."""
    error = answer(400, Problem("InvalidInput", "Invalid Input", "text"), Problem("Other", "", ""))
    assert reason_of(error) == "Amazon answered 400: Invalid Input text; Other"
    assert reason_of(answer(500)) == "Amazon answered 500: no reason given"
    assert reason_of(ReadTimeoutError("no reply in 60 s", operation=OPERATION, had_begun=True)) == "no reply in 60 s"
    assert "interrupted" in reason_of(asyncio.CancelledError())


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Amazon answered 400: x", "mend the row"),
        ("Amazon answered 404: x", "check order_id"),
        ("Amazon answered 403: x", "--retry-refused"),
        ("Amazon does not offer it", "--retry-refused"),
    ],
)
def test_every_refusal_has_a_cure(reason: str, words: str) -> None:
    """What the buyer's order does not allow now may be tried later; what is wrong in the row has to be mended."""
    assert words in cure_of(reason)
