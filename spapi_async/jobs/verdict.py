"""What an error of a call means for a row, and what Amazon's no means: why, and when it may be tried again. Pure.

Amazon answers a message that it does not want to take with 403, the same status as for a token or a role it does not
accept. The two must not be mixed up: the first is an outcome of one row, the second says nothing about the row and
everything about the job (amzn/selling-partner-api-docs issues 121, 193, 1662 and 1705, and
amzn/selling-partner-api-models issue 19 show the wordings).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import attrs

from ..errors import (
    AuthError,
    CallError,
    Problem,
    QuotaExceededError,
    ServerError,
    SpapiError,
    StatusError,
    TransportError,
)
from .kinds import Kind
from .kinds.columns import instant
from .row import Row

__all__ = [
    "Refusal",
    "Verdict",
    "Why",
    "cure_of",
    "is_upload_missing",
    "judge",
    "not_offered",
    "reason_of",
    "refusal_of",
    "retry_from",
    "window",
    "without_private",
    "words_of",
]


class Verdict(StrEnum):
    """What an error says about the message."""

    UNSENT = "unsent"
    """Amazon certainly did not take it, for a reason that is not the row's: it may be tried again."""
    REFUSED = "refused"
    """Amazon said no to this message; asking again unchanged cannot help."""
    IN_DOUBT = "in doubt"
    """Amazon may have taken it."""


# A role, a token or the selling partner's authorisation; not this order.
_ACCESS = re.compile(
    r"access (?:to (?:the )?requested resource|token|denied)|expired|security token|signature|\broles?\b"
)


def judge(error: BaseException) -> Verdict:
    """Say what an error of one exchange, or of the whole call, means for the message that it carried.

    Anything that is not known to be harmless, a cancellation or a fault of ours included, leaves the row in doubt.
    """
    match error:
        case TransportError():
            return Verdict.IN_DOUBT if error.had_begun else Verdict.UNSENT
        case QuotaExceededError() | AuthError():
            return Verdict.UNSENT
        case ServerError():
            return Verdict.IN_DOUBT
        case StatusError(status=401):
            return Verdict.UNSENT
        case StatusError(status=403):
            return Verdict.UNSENT if _is_about_access(error) else Verdict.REFUSED
        case StatusError(status=status) if 400 <= status < 500 and status != 408:  # 408: Amazon's own time ran out
            return Verdict.REFUSED
        case CallError(is_retry_safe=True):
            return Verdict.UNSENT
        case _:
            return Verdict.IN_DOUBT


def _is_about_access(error: StatusError) -> bool:
    if not error.errors:
        return True
    words = " ".join(f"{problem.message} {problem.details}" for problem in error.errors).lower()
    codes = {problem.code for problem in error.errors}
    return bool(_ACCESS.search(words)) or bool(codes & {"MissingAuthenticationToken", "ACCESS_DENIED", "AccessDenied"})


# "The attachment with ID ... does not exist": its bytes never arrived, or it was uploaded for another message
# (amzn/selling-partner-api-models issue 325).
_MISSING = re.compile(r"attachment.{0,200}(?:does not|doesn.t) exist", re.IGNORECASE | re.DOTALL)


def is_upload_missing(error: BaseException) -> bool:
    """Whether Amazon refused a message because it does not have an attachment: a new upload helps."""
    return isinstance(error, StatusError) and error.status == 400 and bool(_MISSING.search(words_of(error.errors)))


class Why(StrEnum):
    """Why Amazon refused a row, as far as its words tell."""

    NOT_AVAILABLE = "not available now"
    """The order's state does not allow it, or it was sent as often as Amazon allows."""
    ALREADY_SENT = "already sent, or not eligible"
    """Amazon takes one for an order, and uses the same words for an order that it leaves out."""
    TOO_EARLY = "too early"
    TOO_LATE = "too late"
    OUTSIDE_WINDOW = "outside the window"
    """Before it or after it: the row does not say when the order was delivered."""
    OTHER = "other"
    """Amazon's words say it."""


@attrs.frozen(kw_only=True)
class Refusal:
    """Amazon's no to a row.

    Args:
        why: What sort of no it is.
        reason: In words, Amazon's own where it gave some.
        retry_from: When it may be tried again at the earliest; None when that is never or not known.
    """

    why: Why
    reason: str
    retry_from: datetime | None = None


OPENS, CLOSES = timedelta(days=5), timedelta(days=30)
"""A solicitation may be sent from 5 days after the earliest delivery date of the order to 30 days after its latest one
(https://developer-docs.amazon.com/sp-api/docs/set-up-the-solicitations-api)."""


def window(body: Mapping[str, str]) -> tuple[datetime, datetime] | None:
    """Return from when until when a solicitation may be sent, by the delivery dates of its row; None without any."""
    earliest, latest = (body.get(f"{which}_delivery_date") for which in ("earliest", "latest"))
    if not (earliest or latest):
        return None
    try:
        return instant(earliest or latest or "") + OPENS, instant(latest or earliest or "") + CLOSES
    except OverflowError:  # the last days of the year 9999
        return None


def not_offered(kind: Kind, row: Row, now: datetime) -> Refusal:
    """Say what it means that Amazon does not offer a kind for the row's order.

    Args:
        kind: The kind.
        row: The row.
        now: With a zone.
    """
    reason = f"Amazon does not offer {kind.name} for this order now"
    return _dated(Why.ALREADY_SENT if kind.once else Why.NOT_AVAILABLE, reason, row, now)


def refusal_of(error: StatusError, row: Row, now: datetime) -> Refusal:
    """Say what Amazon's no to a message means.

    Args:
        error: It, for which `judge` says REFUSED.
        row: The row.
        now: With a zone.
    """
    words = words_of(error.errors).lower()
    why = Why.OTHER
    if error.status == 403:
        why = next((why for pattern, why in _BUSINESS if pattern.search(words)), Why.OTHER)
    reason = reason_of(error, row.body.get("text", ""))
    return _dated(why, reason, row, now) if why is not Why.OTHER else Refusal(why=why, reason=reason)


_BUSINESS = (
    (re.compile(r"\d+\D{1,5}\d+ day|outside.*(?:range|window)|(?:range|days) after .*delivery"), Why.OUTSIDE_WINDOW),
    (re.compile(r"solicitation.*not available|already (?:been )?(?:sent|requested)"), Why.ALREADY_SENT),
    (re.compile(r"template|combination|not available"), Why.NOT_AVAILABLE),
)


_FROM, _OVER = "it may be tried again from", "its time was over at"


def _dated(why: Why, reason: str, row: Row, now: datetime) -> Refusal:
    """Add to a no what the delivery dates of the row tell."""
    between = window(row.body)
    if between is None:
        return Refusal(why=why, reason=reason)
    opens, closes = between
    if now < opens:
        text = f"{reason}; {_FROM} {opens.isoformat(timespec='seconds')}"
        return Refusal(why=Why.TOO_EARLY, reason=text, retry_from=opens)
    if now >= closes:
        return Refusal(why=Why.TOO_LATE, reason=f"{reason}; {_OVER} {closes.isoformat(timespec='seconds')}")
    return Refusal(why=why, reason=reason)


def retry_from(reason: str) -> datetime | None:
    """Return the moment that a reason names, before which it is useless to try the row again; None if it names none."""
    _, found, rest = reason.rpartition(f"{_FROM} ")
    try:
        return instant(rest.split()[0]) if found else None
    except (IndexError, ValueError):
        return None


def words_of(problems: Sequence[Problem]) -> str:
    """Put Amazon's errors into a line."""
    return "; ".join(" ".join(filter(None, [problem.message or problem.code, problem.details])) for problem in problems)


_EMAIL = re.compile(r"[^\s@<>(),;:\"']{1,64}@[\w-]+(?:\.[\w-]+)+")
_RUN = 16  # characters that a text and Amazon's words may have in common by chance


def without_private(words: str, private: str) -> str:
    """Take out of Amazon's words what they repeat of a buyer's data.

    Args:
        words: Amazon's.
        private: The text to the buyer; e-mail addresses are taken out whatever it is.
    """
    words = _EMAIL.sub("(e-mail address)", words)
    run = min(_RUN, len(private.strip()))
    if run < 4:
        return words
    pieces = {private[start : start + run] for start in range(len(private) - run + 1)}
    hidden = [False] * len(words)
    for start in range(len(words) - run + 1):
        if words[start : start + run] in pieces:
            hidden[start : start + run] = [True] * run
    kept = [
        "" if is_hidden and start and hidden[start - 1] else "(text)" if is_hidden else words[start]
        for start, is_hidden in enumerate(hidden)
    ]
    return "".join(kept)


def reason_of(error: BaseException, private: str = "") -> str:
    """Put an error into the words that stand in the report: Amazon's own where it gave some.

    Args:
        error: It.
        private: The text to the buyer, which no report repeats.
    """
    if isinstance(error, StatusError):
        words = without_private(words_of(error.errors)[:2000], private)
        return f"Amazon answered {error.status}: {words or 'no reason given'}"[:400]
    if isinstance(error, CallError):
        return without_private(error.message, private)[:500]  # it may repeat Amazon's words
    if isinstance(error, SpapiError):
        return str(error)[:500]
    return "the job was interrupted while the message was under way"


_SOLICITATION = re.compile(r"solicitation|SellerFeedback|request a review")


def cure_of(reason: str) -> str:
    """Say what helps against the reason for which Amazon refused a row."""
    if reason.startswith("Amazon answered 400"):
        return "mend the row and run it again"
    if reason.startswith("Amazon answered 404"):
        return "check order_id and marketplace_id, and run it again"
    if (moment := retry_from(reason)) is not None:
        return f"run it again from {moment.isoformat(timespec='seconds')} on, with --retry-refused"
    if _OVER in reason:
        return "take the line out; it can no longer be sent"
    if _SOLICITATION.search(reason):
        return (
            "an order takes one, from 5 to 30 days after its delivery: if none was sent and it is too early, run it "
            "again with --retry-refused"
        )
    return "wait until the order allows it, then run it again with --retry-refused"
