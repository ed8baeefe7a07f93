"""Rows in doubt: what Amazon can tell of them, and what a person decides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from ..operation import Call, Reply
from .journal import Journal
from .kinds import Kind
from .row import Move, Row, State
from .verdict import window

__all__ = ["SEEN", "ask", "can_tell"]

SEEN = "a person saw that it was sent"

_BELIEVED = 24 * 3600.0
"""Seconds; of the 25 days for a solicitation the last may be the one on which it was sent, but seldom."""
_VANISHED = "Amazon does not offer it any more, so it was sent"


def can_tell(kind: Kind, row: Row, now: datetime) -> bool:
    """Whether Amazon can tell what became of a row.

    Of what an order takes once, Amazon's list of what it takes now says whether it was sent; until the time for it is
    over, when it is in no list. Where the row has no dates of delivery, nobody knows when that is, and Amazon's list is
    believed for a day. Of messages that may be repeated no list says anything.

    Args:
        kind: The row's.
        row: The row.
        now: With a zone.
    """
    between = window(row.body)
    until = between[1].timestamp() if between else (row.settled or 0.0) + _BELIEVED
    return kind.once and "marketplace_id" in row.body and now.timestamp() < until


async def ask(send: Callable[[Call], Awaitable[Reply]], kind: Kind, journal: Journal, row: Row) -> State:
    """Ask Amazon what became of a row, and note it: SENT if it offers the kind no more, READY if it still does.

    That it still does is no risk: of what an order takes once, Amazon refuses the second one.

    Args:
        send: `SellingPartner.send`.
        kind: The row's, of which Amazon can tell.
        journal: Where the row is.
        row: The row, IN_DOUBT.

    Returns:
        Where the row stands now.

    Raises:
        CallError: Amazon did not answer; the row stays in doubt.
        ValueError: Its answer cannot be read; the row stays in doubt.
        JobError: Somebody else settled the row meanwhile, or the journal cannot be written.
    """
    reply = await send(kind.check_call(row))
    if kind.is_offered(reply):
        moved = await journal.move(row, Move.REFUTE, request_id=reply.request_id)
    else:
        moved = await journal.move(row, Move.CONFIRM, reason=_VANISHED, request_id=reply.request_id)
    return moved.state
