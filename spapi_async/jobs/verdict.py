"""What an error of a call means for a row. Pure.

Amazon answers a message that it does not want to take with 403, the same status as for a token or a role it does not
accept. The two must not be mixed up: the first is an outcome of one row, the second says nothing about the row and
everything about the job (amzn/selling-partner-api-docs issues 193, 1662 and 1705 show the wordings).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum

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

__all__ = ["Verdict", "cure_of", "judge", "reason_of", "words_of"]


class Verdict(StrEnum):
    """What an error says about the message."""

    UNSENT = "unsent"
    """Amazon certainly did not take it, for a reason that is not the row's: it may be tried again."""
    REFUSED = "refused"
    """Amazon said no to this message; asking again unchanged cannot help."""
    IN_DOUBT = "in doubt"
    """Amazon may have taken it."""


# A role, a token or the selling partner's authorisation; not this order.
_ACCESS = re.compile(r"access (?:to (?:the )?requested resource|token|denied)|expired|security token|signature|role")


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


def words_of(problems: Sequence[Problem]) -> str:
    """Put Amazon's errors into a line."""
    return "; ".join(" ".join(filter(None, [problem.message or problem.code, problem.details])) for problem in problems)


def reason_of(error: BaseException) -> str:
    """Put an error into the words that stand in the report: Amazon's own where it gave some."""
    if isinstance(error, StatusError):
        return f"Amazon answered {error.status}: {words_of(error.errors) or 'no reason given'}"[:500]
    if isinstance(error, CallError):
        return error.message[:500]
    if isinstance(error, SpapiError):
        return str(error)[:500]
    return "the job was interrupted while the message was under way"


def cure_of(reason: str) -> str:
    """Say what helps against the reason for which Amazon refused a row."""
    if reason.startswith("Amazon answered 400"):
        return "mend the row and run it again"
    if reason.startswith("Amazon answered 404"):
        return "check order_id and marketplace_id, and run it again"
    return "wait until the order allows it, then run it again with --retry-refused"
