"""The row of a bulk job and the states it goes through, as a table. Pure: no clock, no file, no network.

Three rules that the table keeps:

- A row enters SENDING before the wire is touched, durably, so a row that is not SENDING has nothing under way.
- Out of SENDING a row goes back to CLAIMED only when Amazon certainly did not execute the request.
- Nothing leads out of SENT or IN_DOUBT: whoever may have got a message never gets a second one from the same row.

    READY ──claim──> CLAIMED ──begin──> SENDING ──accept──> SENT
      ^                │  │  <──unsent──  │  │
      └────release─────┘  └────refuse──┐  │  └─lose──> IN_DOUBT
      ^                                v  │
      └───────────reopen──────────── REFUSED <─refuse
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import attrs

from ..errors import JobError

__all__ = ["TRANSITIONS", "Admission", "Move", "Row", "State", "Stored", "admit"]


class State(StrEnum):
    """Where a row stands."""

    READY = "READY"
    CLAIMED = "CLAIMED"
    """A run has it in hand; nothing is under way."""
    SENDING = "SENDING"
    """It may be under way this very moment."""
    SENT = "SENT"
    REFUSED = "REFUSED"
    IN_DOUBT = "IN_DOUBT"
    """It may have been sent. It is not sent again."""

    @property
    def is_settled(self) -> bool:
        """Whether the row has its outcome."""
        return self in (State.SENT, State.REFUSED, State.IN_DOUBT)


class Move(StrEnum):
    """What can happen to a row."""

    CLAIM = "claim"
    RELEASE = "release"
    BEGIN = "begin"
    UNSENT = "unsent"
    """The exchange ended, and Amazon certainly did not execute the request."""
    ACCEPT = "accept"
    REFUSE = "refuse"
    LOSE = "lose"
    """The exchange ended, and nobody knows whether Amazon executed the request."""
    ABANDON = "abandon"
    """The run that had the row is dead."""
    REOPEN = "reopen"
    """Nothing was sent, and a person wants it tried again."""


TRANSITIONS: Mapping[tuple[State, Move], State] = {
    (State.READY, Move.CLAIM): State.CLAIMED,
    (State.CLAIMED, Move.RELEASE): State.READY,
    (State.CLAIMED, Move.BEGIN): State.SENDING,
    (State.CLAIMED, Move.REFUSE): State.REFUSED,
    (State.CLAIMED, Move.ABANDON): State.READY,
    (State.SENDING, Move.UNSENT): State.CLAIMED,
    (State.SENDING, Move.ACCEPT): State.SENT,
    (State.SENDING, Move.REFUSE): State.REFUSED,
    (State.SENDING, Move.LOSE): State.IN_DOUBT,
    (State.SENDING, Move.ABANDON): State.IN_DOUBT,
    (State.REFUSED, Move.REOPEN): State.READY,
}
"""Every legal move; whatever is not here is refused."""


@attrs.frozen(kw_only=True)
class Row:
    """One message to one buyer.

    Args:
        number: The line in the source where it begins, from 1.
        kind: The name of its kind, as in `confirmOrderDetails`.
        order_id: Amazon's order id.
        key: Tells apart several messages of one kind for one order; "" for the first.
        body: The other columns. Empty once the row is settled, since a buyer's text is kept no longer than needed.
        state: Where it stands.
        attempts: How often an exchange with Amazon was begun.
        reason: Why it was refused or is in doubt, in words.
        request_id: Amazon's request id of the last reply.
        id: The journal's number for it; 0 before it is in one.
    """

    number: int
    kind: str
    order_id: str
    key: str = ""
    body: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    state: State = State.READY
    attempts: int = 0
    reason: str = ""
    request_id: str | None = None
    id: int = 0

    def after(self, move: Move, *, reason: str = "", request_id: str | None = None) -> Row:
        """Return the row as it stands after a move.

        Raises:
            JobError: The row's state does not allow the move. Nothing changed.
        """
        state = TRANSITIONS.get((self.state, move))
        if state is None:
            raise JobError(f"line {self.number}: a row that is {self.state} cannot {move}")
        return attrs.evolve(
            self,
            state=state,
            attempts=self.attempts + (move is Move.BEGIN),
            reason=reason,
            request_id=request_id or self.request_id,
            body={} if state.is_settled else self.body,
        )


class Admission(StrEnum):
    """What becomes of a row that a source brings, given what the journal knows of it."""

    NEW = "new"
    RESUMED = "resumed"
    """It is in the journal and nothing was sent: it will be, with the text that the source has now."""
    REOPENED = "reopened"
    """It was refused; it was mended since, or a person wants it tried again."""
    ALREADY_SENT = "already sent"
    ALREADY_REFUSED = "already refused"
    IN_DOUBT = "in doubt"
    REPEATED = "repeated"
    """An earlier line of the same source is the same row."""
    CHANGED = "changed"
    """It was sent before, with another text."""

    @property
    def is_waiting(self) -> bool:
        """Whether the row will be sent by this run."""
        return self in (Admission.NEW, Admission.RESUMED, Admission.REOPENED)


@attrs.frozen(kw_only=True)
class Stored:
    """What the journal knows of a row that a source brings again.

    Args:
        row: The row.
        digest: Tells whether its content is the same, without the content.
        run: The number of the run whose source had it last.
    """

    row: Row
    digest: bytes
    run: int


def admit(stored: Stored | None, digest: bytes, run: int, retry_refused: bool) -> Admission:
    """Decide what becomes of a row that a source brings.

    Args:
        stored: What the journal knows under the same selling partner, kind, order id and key.
        digest: The digest of the content that the source has now.
        run: The number of the present run.
        retry_refused: A person wants refused rows tried again.
    """
    if stored is None:
        return Admission.NEW
    if stored.run == run:
        return Admission.REPEATED
    same = stored.digest == digest
    match stored.row.state:
        case State.SENT:
            return Admission.ALREADY_SENT if same else Admission.CHANGED
        case State.REFUSED:
            return Admission.ALREADY_REFUSED if same and not retry_refused else Admission.REOPENED
        case State.IN_DOUBT | State.SENDING:
            # Whatever the text is now: the buyer may have the first one.
            return Admission.IN_DOUBT
        case _:
            return Admission.RESUMED
