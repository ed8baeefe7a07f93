from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

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
from spapi_async.jobs.kinds import KINDS
from spapi_async.jobs.row import Row
from spapi_async.jobs.verdict import (
    Verdict,
    Why,
    cure_of,
    is_upload_missing,
    judge,
    not_offered,
    reason_of,
    refusal_of,
    retry_from,
    without_private,
)

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
        ("x; it may be tried again from 2026-05-06T00:00:00+00:00", "from 2026-05-06T00:00:00+00:00 on"),
        ("x; its time was over at 2026-05-31T00:00:00+00:00", "take the line out"),
        ("Amazon answered 403: The requested solicitation is not available", "an order takes one"),
    ],
)
def test_every_refusal_has_a_cure(reason: str, words: str) -> None:
    """What the buyer's order does not allow now may be tried later; what is wrong in the row has to be mended."""
    assert words in cure_of(reason)


WINDOW = "You can't use this feature to request a review outside the 5-30 day range after the order delivery date."
GONE = "The requested solicitation is not available for this amazonOrderId."
REVIEW = KINDS["productReviewAndSellerFeedback"]
DELIVERED = datetime(2026, 5, 1, tzinfo=UTC)


def solicitation(**delivery: str) -> Row:
    return REVIEW.row(2, {"order_id": "902-1", "marketplace_id": "A1PA6795UKMFR9", **delivery})


DATED = solicitation(earliest_delivery_date="2026-05-01T00:00:00Z", latest_delivery_date="2026-05-03T02:00:00+02:00")


@pytest.mark.parametrize(
    ("words", "row", "day", "why", "moment"),
    [
        (WINDOW, solicitation(), 3, Why.OUTSIDE_WINDOW, None),
        (WINDOW, DATED, 3, Why.TOO_EARLY, DELIVERED + timedelta(days=5)),
        (WINDOW, DATED, 31, Why.OUTSIDE_WINDOW, None),
        (WINDOW, DATED, 32, Why.TOO_LATE, None),
        (WINDOW, solicitation(latest_delivery_date="2026-05-01T00:00Z"), 3, Why.TOO_EARLY, DELIVERED + timedelta(5)),
        (WINDOW, solicitation(earliest_delivery_date="2026-05-01T00:00Z"), 30, Why.TOO_LATE, None),
        (WINDOW, solicitation(latest_delivery_date="9999-12-31T00:00Z"), 3, Why.OUTSIDE_WINDOW, None),
        (GONE, solicitation(), 10, Why.ALREADY_SENT, None),
        (GONE, DATED, 4, Why.TOO_EARLY, DELIVERED + timedelta(days=5)),
        (GONE, DATED, 10, Why.ALREADY_SENT, None),
        ("Invalid amazonOrderId and template combination.", DATED, 10, Why.NOT_AVAILABLE, None),
        ("Something else", DATED, 3, Why.OTHER, None),
    ],
)
def test_what_a_403_means(words: str, row: Row, day: int, why: Why, moment: datetime | None) -> None:
    """Amazon's words and the row's delivery dates tell why, and from when on it may be tried again."""
    refusal = refusal_of(forbidden(words), row, DELIVERED + timedelta(days=day))
    assert (refusal.why, refusal.retry_from) == (why, moment)
    assert refusal.reason.startswith(f"Amazon answered 403: {words}")
    assert retry_from(refusal.reason) == moment


def test_what_it_means_that_a_kind_is_not_offered() -> None:
    """A kind that Amazon does not offer is judged by the delivery dates too, which say when it opens and closes."""
    early, open_, late = (not_offered(REVIEW, DATED, DELIVERED + timedelta(days=day)) for day in (1, 9, 60))
    assert early.reason.endswith("for this order now; it may be tried again from 2026-05-06T00:00:00+00:00")
    assert (early.why, open_.why, late.why) == (Why.TOO_EARLY, Why.ALREADY_SENT, Why.TOO_LATE)
    assert late.reason.endswith("its time was over at 2026-06-02T02:00:00+02:00")
    plain = KINDS["confirmOrderDetails"]
    row = plain.row(2, {"order_id": "902-1", "marketplace_id": "A1PA6795UKMFR9", "text": "hi"})
    assert not_offered(plain, row, DELIVERED).why is Why.NOT_AVAILABLE


def test_other_statuses_are_amazons_words() -> None:
    """Only a 403 is looked at for a business reason."""
    refusal = refusal_of(answer(400, Problem("InvalidInput", "not available", "")), DATED, DELIVERED)
    assert (refusal.why, refusal.retry_from) == (Why.OTHER, None)


@pytest.mark.parametrize("reason", ["", "x", "it may be tried again from ", "it may be tried again from now"])
def test_most_reasons_name_no_moment(reason: str) -> None:
    """A reason without a moment that can be read names none."""
    assert retry_from(reason) is None


@pytest.mark.parametrize(
    ("message", "status", "expected"),
    [
        ("The attachment with the ID 9f-1 does not exist.", 400, True),
        ("Attachment amzn1.x doesn't exist", 400, True),
        ("The attachment with the ID 9f-1 does not exist.", 403, False),
        ("Invalid Input", 400, False),
    ],
)
def test_an_attachment_that_amazon_does_not_have(message: str, status: int, expected: bool) -> None:
    """That an attachment does not exist is said by a 400 in words; no other refusal is helped by a new upload."""
    assert is_upload_missing(answer(status, Problem("InvalidInput", message, ""))) is expected


TEXT = "Dear Mrs Miller of 12 Elm Street, which size do you want?"


@pytest.mark.parametrize(
    ("words", "private", "expected"),
    [
        ("Invalid Input", TEXT, "Invalid Input"),
        (f"Value '{TEXT}' at 'text' is wrong", TEXT, "Value '(text)' at 'text' is wrong"),
        ("Value 'Dear Mrs Miller of 12 Elm…' is wrong", TEXT, "Value '(text)…' is wrong"),
        ("write to jane.doe+1@mail.example.com.", "", "write to (e-mail address)."),
        ("Value 'Jane Doe' is wrong", "Jane Doe", "Value '(text)' is wrong"),
        ("a b c", "a b", "a b c"),
    ],
)
def test_reasons_hold_no_data_of_buyers(words: str, private: str, expected: str) -> None:
    """What Amazon repeats of the text, whole or in part, and any e-mail address, is taken out of its words."""
    assert without_private(words, private) == expected
    assert reason_of(answer(400, Problem("InvalidInput", words, "")), private) == f"Amazon answered 400: {expected}"
