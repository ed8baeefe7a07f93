"""The rules for single columns of a row, each a function that lists what is wrong. Pure.

That a text may hold neither HTML nor an e-mail address is said in the description of Messaging's operations:
https://developer-docs.amazon.com/sp-api/docs/messaging-api-v1-reference.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo

import attrs

from ...marketplaces import Marketplace, Region

__all__ = [
    "Mistake",
    "check_key",
    "check_marketplace",
    "check_order_id",
    "check_period",
    "check_text",
    "instant",
    "local_instant",
    "read_not_before",
]


@attrs.frozen
class Mistake:
    """What is wrong with one field of a row, and what helps.

    Args:
        field: The column; "" when the whole line is meant.
        reason: What is wrong. It never repeats the text.
        cure: What helps.
    """

    field: str
    reason: str
    cure: str

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        return f"{where}{self.reason} ({self.cure})"


_MARKETPLACES = frozenset(member.value for member in Marketplace)
_ORDER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
# A tag, an opened comment or doctype, or an entity; "a < b", "<3" and "AT&T" are none.
_HTML = re.compile(
    r"</?[a-z][a-z0-9-]*\s*/?>|<[a-z][a-z0-9-]*\s[^<>]{0,200}=|<!(?:--|doctype)"
    r"|&(?:amp|lt|gt|quot|apos|nbsp|#[0-9]{1,7}|#x[0-9a-f]{1,6});",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"[^\s@][@＠]\w[\w-]*(?:\.\w[\w-]*)+")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def check_order_id(value: str) -> Sequence[Mistake]:
    """Check Amazon's order id."""
    value = value.strip()
    if not value:
        return [Mistake("order_id", "is missing", "give the order's id, as in 902-1845936-5435065")]
    if not _ORDER_ID.fullmatch(value):
        return [Mistake("order_id", f"{value[:70]!r} is no order id", "it looks like 902-1845936-5435065")]
    return []


def check_key(value: str, *, once: bool = False) -> Sequence[Mistake]:
    """Check what tells apart several rows of one order; `once`: Amazon takes one for an order and no more."""
    if once and value.strip():
        return [Mistake("key", "asks for another one, and Amazon takes one for each order", "leave it empty")]
    if len(value) > 100 or _CONTROL.search(value):
        return [Mistake("key", "is no plain text of up to 100 characters", "take a short word or a number")]
    return []


def check_marketplace(value: str, region: Region | None) -> Sequence[Mistake]:
    """Check the id of a marketplace, and that it is of the region, when that is known."""
    value = value.strip()
    if value in _MARKETPLACES:
        actual = Marketplace(value).region
        if region in (None, actual):
            return []
        reason = f"{value} belongs to the region {actual.value}, and the job sends to {region.value}"
        return [Mistake("marketplace_id", reason, f"send it by a job of its own, with --region {actual.value}")]
    if not value:
        return [Mistake("marketplace_id", "is missing", "give Amazon's id, as in A1PA6795UKMFR9 for Germany")]
    member = Marketplace.__members__.get(value.upper())
    cure = (
        f"the id of {value.upper()} is {member.value}"
        if member
        else "https://developer-docs.amazon.com/sp-api/docs/marketplace-ids lists them"
    )
    return [Mistake("marketplace_id", f"{value[:40]!r} is no marketplace id that Amazon lists", cure)]


def check_text(value: str, longest: int) -> Sequence[Mistake]:
    """Check what the buyer is to read; `longest` in characters."""
    if not value.strip():
        return [Mistake("text", "is empty", "write what the buyer is to read")]
    mistakes = []
    if len(value) > longest:
        mistakes.append(
            Mistake(
                "text",
                f"has {len(value)} characters, and Amazon takes {longest}",
                f"cut {len(value) - longest} characters",
            )
        )
    if _HTML.search(value):
        mistakes.append(Mistake("text", "holds HTML", "write plain text; Amazon refuses tags and entities"))
    if _EMAIL.search(value):
        mistakes.append(Mistake("text", "holds an e-mail address", "take it out; Amazon refuses it"))
    if _CONTROL.search(value):
        mistakes.append(Mistake("text", "holds a control character", "type the text anew in a plain editor"))
    return mistakes


def check_period(fields: Mapping[str, str], begin: str, end: str) -> Sequence[Mistake]:
    """Check two columns of times, each of which may be empty or missing."""
    mistakes = []
    times = []
    for column in (begin, end):
        value = fields.get(column, "").strip()
        try:
            times.append(instant(value) if value else None)
        except ValueError:
            reason = f"{value[:40]!r} is no time with a zone"
            mistakes.append(Mistake(column, reason, "write it as 2026-01-31T00:00:00+01:00 or 2026-01-31T00:00:00Z"))
    if not mistakes and times[0] and times[1] and times[1] < times[0]:
        mistakes.append(Mistake(end, f"is before {begin}", "exchange them, or mend the wrong one"))
    return mistakes


def instant(text: str) -> datetime:
    """Read a time with a zone.

    Raises:
        ValueError: It is none. A time without a zone would be hours off for most buyers.
    """
    time = datetime.fromisoformat(text.strip())
    if time.tzinfo is None:
        raise ValueError("it has no zone")
    return time


def local_instant(time: datetime, zone: tzinfo) -> datetime:
    """Return the moment at which clocks of a zone show a time.

    Of two it is the first. A time that the clocks skip, as when summer time begins, is the moment after the gap.

    Args:
        time: The time, without a zone.
        zone: The zone.

    Returns:
        The moment in UTC.

    Raises:
        OverflowError: It is at the very beginning or end of the calendar.
    """
    first, second = (time.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first <= second:
        return first
    # The first reads the time by the clock before the gap, so it lies behind it, and the second before it. Clocks
    # change at whole seconds.
    after = first.astimezone(zone).utcoffset()
    seconds = range(int(second.timestamp()), int(first.timestamp()) + 1)
    gap = bisect_left(seconds, True, key=lambda each: datetime.fromtimestamp(each, zone).utcoffset() == after)
    return datetime.fromtimestamp(seconds[gap], UTC)


def read_not_before(column: str, value: str, zone: tzinfo | None) -> tuple[float, Sequence[Mistake]]:
    """Read the moment before which a row is not to be sent.

    Args:
        column: The column it stands in.
        value: ISO 8601; a date alone is its midnight. Empty: at any time.
        zone: Where a time without a zone is local; None if such a time is a mistake.

    Returns:
        The moment in seconds since 1970, 0 for at any time; and what is wrong.
    """
    value = value.strip()
    if not value:
        return 0.0, ()
    cure = "write it as 2026-12-01T09:00:00+01:00, or leave it empty for at any time"
    try:
        time = datetime.fromisoformat(value)
        if time.tzinfo is None and zone is None:
            cure = "write one, as in 2026-12-01T09:00:00+01:00, or give --timezone, as in Europe/Berlin"
            return 0.0, [Mistake(column, f"{value[:40]!r} has no zone", cure)]
        # In UTC, since a moment whose UTC is beyond the calendar could not be shown again.
        moment = (local_instant(time, zone) if time.tzinfo is None and zone else time.astimezone(UTC)).timestamp()
    except (ValueError, OverflowError):
        return 0.0, [Mistake(column, f"{value[:40]!r} is no time", cure)]
    if moment <= 0:  # a slip of the year would send at once
        return 0.0, [Mistake(column, f"{value[:40]!r} is before 1970", cure)]
    return moment, ()
