"""The row of a bulk job and the states it goes through, as a table. Pure: no clock, no file, no network.

Four rules that the table keeps:

- A row enters SENDING before the wire is touched, durably, so a row that is not SENDING has nothing under way.
- Out of SENDING a row goes back to CLAIMED only when Amazon certainly did not execute the request.
- Nothing leads out of SENT: whoever got a message never gets a second one from the same row.
- Out of IN_DOUBT leads only what somebody knows: Amazon's own answer, or a person.

    READY ──claim──> CLAIMED ──begin──> SENDING ──accept──> SENT <───────────┐
      ^                │  │  <──unsent──  │  │                               │
      └────release─────┘  └────refuse──┐  │  └─lose, abandon──> IN_DOUBT ──confirm
      ^                                v  │                      │
      ├───────────reopen──────────── REFUSED <─refuse            │
      └───────────resend, refute─────────────────────────────────┘
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import attrs

from ..errors import JobError

__all__ = ["LATE", "TRANSITIONS", "Admission", "Move", "Row", "State", "Stored", "admit"]


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
    """It may have been sent. It is not sent again by itself."""

    @property
    def is_settled(self) -> bool:
        """Whether the row has its outcome."""
        return self in (State.SENT, State.REFUSED, State.IN_DOUBT)

    @property
    def is_held(self) -> bool:
        """Whether a process has the row in hand, by a lease."""
        return self in (State.CLAIMED, State.SENDING)

    @property
    def needs_body(self) -> bool:
        """Whether the text may still have to be sent: in doubt too, since a person may decide so."""
        return self not in (State.SENT, State.REFUSED)


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
    """The lease of the process that had the row is over."""
    REOPEN = "reopen"
    """Nothing was sent, and a person wants it tried again."""
    CONFIRM = "confirm"
    """Asked later, Amazon or a person knows that it was sent."""
    REFUTE = "refute"
    """Asked later, Amazon or a person knows that it was not sent."""
    RESEND = "resend"
    """Nobody knows, and a person takes upon himself that the buyer may get it twice."""


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
    (State.IN_DOUBT, Move.CONFIRM): State.SENT,
    (State.IN_DOUBT, Move.REFUTE): State.READY,
    (State.IN_DOUBT, Move.RESEND): State.READY,
}
"""Every legal move; whatever is not here is refused."""


LATE: Mapping[tuple[State, Move], State] = {
    (State.IN_DOUBT, Move.ACCEPT): State.SENT,
    (State.IN_DOUBT, Move.REFUSE): State.REFUSED,
    (State.IN_DOUBT, Move.UNSENT): State.READY,
    (State.IN_DOUBT, Move.LOSE): State.IN_DOUBT,
    (State.READY, Move.ACCEPT): State.SENT,
    (State.CLAIMED, Move.ACCEPT): State.SENT,
    (State.REFUSED, Move.ACCEPT): State.SENT,
}
"""What the end of an exchange still says when the lease of the process that began it is over: a suspended laptop.

Somebody else has put the row IN_DOUBT by then, truthfully, and nobody has sent it again: nothing but a person's RESEND
leads on from there. So the answer, when it comes after all, is the better knowledge. After a RESEND only one thing
matters: if the first message did arrive, the row must not go out again, whoever has it in hand by now; his BEGIN is
refused then. It counts only while no other exchange has begun since, which the number of attempts tells. All other
late answers change nothing.
"""


@attrs.frozen(kw_only=True)
class Row:
    """One message to one buyer.

    Args:
        number: The line in the source where it begins, from 1.
        kind: The name of its kind, as in `confirmOrderDetails`.
        order_id: Amazon's order id.
        key: Tells apart several messages of one kind for one order; "" for the first.
        body: The other columns. Empty once the row is SENT or REFUSED, since a buyer's text is kept no longer than
            needed; unless the journal was told to keep it.
        state: Where it stands.
        attempts: How often an exchange with Amazon was begun.
        reason: Why it was refused or is in doubt, or got no answer when it was tried last; in words.
        request_id: Amazon's request id of the last reply.
        id: The journal's number for it; 0 before it is in one.
        selling_partner: The digest under which the journal knows who sells; "" for that of the run.
        not_before: It is not claimed before this moment, in seconds since 1970; 0 for at any time.
        settled: The moment of its outcome, in seconds since 1970; None while it has none.
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
    selling_partner: str = ""
    not_before: float = 0.0
    settled: float | None = None

    def after(
        self,
        move: Move,
        *,
        reason: str = "",
        request_id: str | None = None,
        at: float | None = None,
        is_late: bool = False,
        keep_body: bool = False,
    ) -> Row:
        """Return the row as it stands after a move.

        Args:
            move: What happened.
            reason: Why, in words.
            request_id: Amazon's request id, if there was a reply.
            at: The moment, in seconds since 1970; it is kept with an outcome.
            is_late: By the table `LATE`: of an exchange whose process has lost its lease since.
            keep_body: Keep the text of a row that is SENT or REFUSED.

        Raises:
            JobError: The row's state does not allow the move. Nothing changed.
        """
        state = (LATE if is_late else TRANSITIONS).get((self.state, move))
        if state is None:
            raise JobError(f"line {self.number}: a row that is {self.state} cannot {move}")
        # Spelt out: this runs several times for each row, and attrs.evolve takes thrice as long.
        return Row(
            number=self.number,
            kind=self.kind,
            order_id=self.order_id,
            key=self.key,
            body=self.body if keep_body or state.needs_body else {},
            state=state,
            attempts=self.attempts + (move is Move.BEGIN),
            reason=reason,
            request_id=request_id or self.request_id,
            id=self.id,
            selling_partner=self.selling_partner,
            not_before=self.not_before,
            settled=at if state.is_settled else None,
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
    IN_HAND = "in hand"
    """A process has it in hand this moment, and settles it."""

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
        run: The number of the job whose source had it last.
    """

    row: Row
    digest: bytes
    run: int


def admit(stored: Stored | None, digest: bytes, run: int, number: int, retry_refused: bool) -> Admission:
    """Decide what becomes of a row that a source brings.

    Args:
        stored: What the journal knows under the same selling partner, kind, order id and key.
        digest: The digest of the content that the source has now.
        run: The number of the present job.
        number: The line in the source. The same line of the same job comes again when the source is read again.
        retry_refused: A person wants refused rows tried again.
    """
    if stored is None:
        return Admission.NEW
    is_tried_again = retry_refused and stored.row.state is State.REFUSED
    if stored.run == run and stored.row.number != number and not is_tried_again:
        return Admission.REPEATED
    same = stored.digest == digest
    match stored.row.state:
        case State.SENT:
            return Admission.ALREADY_SENT if same else Admission.CHANGED
        case State.REFUSED:
            return Admission.ALREADY_REFUSED if same and not is_tried_again else Admission.REOPENED
        case State.IN_DOUBT:
            # Whatever the text is now: the buyer may have the first one.
            return Admission.IN_DOUBT
        case State.CLAIMED | State.SENDING:
            return Admission.IN_HAND
        case _:
            return Admission.RESUMED
