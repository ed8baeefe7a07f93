"""What a journal of bulk jobs must do, and a journal in memory.

A journal remembers every row and its state. It must hold each change durably before the method that makes it returns,
and it finishes a change that was begun: a cancellation of the caller arrives afterwards, never in the middle.

Several processes may have a journal open. Each is an owner with a lease on the rows in its hand: nobody else moves them
while the lease holds, and when it is over what was merely claimed is READY and what may be under way is IN_DOUBT.
"""

from __future__ import annotations

import sqlite3
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from anyio import lowlevel

from ..errors import JobError
from ..operation import UsagePlan
from .identity import Identity, body_bytes, digest, digests
from .ledger import (
    Admitted,
    Claim,
    Count,
    JobRecord,
    Ledger,
    Outcomes,
    Owner,
    PlanNote,
    ReasonCount,
    Run,
    Step,
    create,
)
from .row import Move, Row, State

__all__ = [
    "Admitted",
    "Count",
    "Identity",
    "JobRecord",
    "Journal",
    "LedgerJournal",
    "MemoryJournal",
    "Outcomes",
    "PlanNote",
    "ReasonCount",
    "Run",
    "body_bytes",
    "digest",
    "digests",
]

_T = TypeVar("_T")


class Journal(Protocol):
    """Remembers the rows of bulk jobs, for one owner."""

    async def recover(self) -> int:
        """Take back what dead owners left, and return how many those were.

        CLAIMED becomes READY, SENDING becomes IN_DOUBT. An owner is dead when its lock is gone or its lease is over by
        time. `start`, `claim` and `held` do it too, at most once a second.
        """

    async def start(
        self,
        identity: Identity,
        kind: str,
        *,
        same_selling_partner: bool = False,
        job: int | None = None,
        name: str = "",
        source: str = "",
        options: Mapping[str, Any] | None = None,
        label: str = "",
    ) -> Run:
        """Begin a selling partner's part of a job.

        Args:
            identity: Who sells.
            kind: The kind of the rows.
            same_selling_partner: A person says that the rows under another refresh token are this one's too.
            job: The number of a job to go on with, or to add a further selling partner or kind to. None makes a new
                one; unless another process has a job of the same source open: then the two share it.
            name: A name for a new job.
            source: Where the rows of a new job come from, as in the path of a file.
            options: What it takes to go on with a new job; anything that JSON has, and no secret.
            label: What people see for the selling partner; no secret. The last one given counts.

        Raises:
            JobError: There is no such job. Or the journal was begun by a selling partner that may be another or the
                same: nobody can tell.
        """

    async def add(self, run: Run, rows: Sequence[Row], *, retry_refused: bool = False) -> Sequence[Admitted]:
        """Add rows of the job's source, and say of each what becomes of it. See `row.admit`.

        A row is of `run`'s kind, and of its selling partner unless the row names another one that was started.
        """

    async def loaded(self, run: Run, rejected: int) -> None:
        """Note that the job's source was read to its end, and how many of its lines never became rows."""

    async def note_plan(self, run: Run, plan: UsagePlan) -> None:
        """Note the usage plan of the sending operation from now on, unless it is the one noted last."""

    async def claim(self, run: Run, limit: int, *, most: int | None = None, since: float = 0.0) -> Sequence[Row]:
        """Take up to so many READY rows of the run, those that may go out now.

        Those without a moment come first, then by their moments, each in the order of their lines. A row that this
        owner gave back with `Move.RELEASE` is left to other owners, and to a later start.

        Args:
            run: The run.
            limit: How many at most.
            most: No more than leave so many rows of the run's selling partner and kind, of whatever job, that may have
                reached a buyer since `since`, or that are in anybody's hand. None: without such a limit.
            since: A moment in seconds since 1970.
        """

    async def defer(self, rows: Sequence[Row], until: float) -> None:
        """Give rows back that this owner has merely claimed; from a moment on anybody may claim them, it too.

        A row that is not in this owner's hand any more stays as it is.

        Args:
            rows: As they stood after the last move.
            until: The moment, in seconds since 1970.
        """

    async def move(
        self, row: Row, move: Move, *, reason: str = "", request_id: str | None = None, not_before: float = 0.0
    ) -> Row:
        """Make a move, durably.

        Args:
            row: As it stood after the last move.
            move: What happened.
            reason: Why, in words.
            request_id: Amazon's request id, if there was a reply.
            not_before: With `Move.RELEASE`: the moment before which nobody claims it, in seconds since 1970.

        Returns:
            The row as it stands now. If the lease was lost while the exchange was under way it may stand elsewhere
            than the table says: see `row.LATE`.

        Raises:
            LeaseLostError: Somebody else moved it, so it is not in this owner's hand. Nothing changed.
            JobError: The row's state does not allow it, or it cannot be written. Nothing changed.
        """

    def holds(self) -> bool:
        """Return whether this owner's lease surely holds, to be asked right before the wire; it costs nothing."""

    async def release(self, run: Run) -> None:
        """Make every row of the run that this owner has merely claimed READY again, and end the job if none waits."""

    async def held(self, run: Run) -> int:
        """Return how many rows of the run other owners have in hand."""

    async def in_hand(self, run: Run) -> int:
        """Return how many rows of the run's selling partner and kind, of whatever job, are in anybody's hand."""

    async def next_attempt(self, run: Run) -> float | None:
        """Return the moment from which the next waiting row may go out; None if none waits for a moment."""

    async def count(self, run: Run) -> Mapping[State, int]:
        """Count the rows of the run by state."""

    async def rows(self, run: Run, state: State) -> Sequence[Row]:
        """Return the rows of the run that are in a state, in the order of their lines."""

    async def jobs(self) -> Sequence[JobRecord]:
        """Return all jobs, in the order of their beginnings."""

    async def counts(self, job: int) -> Sequence[Count]:
        """Count the rows of a job by selling partner, kind and state."""

    async def reasons(self, job: int) -> Sequence[ReasonCount]:
        """Count the REFUSED and IN_DOUBT rows of a job by selling partner, kind, state and reason."""

    async def plans(self, job: int) -> Sequence[PlanNote]:
        """Return the usage plans that were noted for a job, in the order of time."""

    async def doubts(self, job: int) -> Sequence[Row]:
        """Return the rows of a job that are IN_DOUBT, in the order of their lines."""

    async def outcomes(self, job: int, width: float) -> Sequence[Outcomes]:
        """Count the outcomes of a job in intervals of so many seconds, in the order of time."""

    async def sent_since(self, run: Run, moment: float) -> int:
        """Count the rows that may have reached a buyer since a moment, in seconds since 1970.

        Those of the run's selling partner and kind, of whatever job.
        """


class LedgerJournal:
    """A journal whose rows are in a `Ledger`; a subclass says where that is, and how a change is made in it."""

    _ledger: Ledger

    async def _write(self, work: Callable[[], _T], *, needs_room: bool = True) -> _T:
        """Make a change, wholly and durably or not at all, and never leave it in the middle.

        Args:
            work: Makes it.
            needs_room: Whether it shall be refused while there is room for outcomes only.
        """
        raise NotImplementedError

    async def _claim(self, claim: Claim) -> Sequence[Row]:
        """Make a claim, together with others."""
        raise NotImplementedError

    async def _move(self, step: Step) -> Row:
        """Make a move, together with others."""
        raise NotImplementedError

    async def recover(self) -> int:
        """See `Journal.recover`."""
        return await self._write(self._ledger.recover)

    async def start(
        self,
        identity: Identity,
        kind: str,
        *,
        same_selling_partner: bool = False,
        job: int | None = None,
        name: str = "",
        source: str = "",
        options: Mapping[str, Any] | None = None,
        label: str = "",
    ) -> Run:
        """See `Journal.start`."""

        def work() -> Run:
            return self._ledger.start(
                identity,
                kind,
                same_selling_partner=same_selling_partner,
                job=job,
                name=name,
                source=source,
                options=options or {},
                label=label,
            )

        return await self._write(work)

    async def add(self, run: Run, rows: Sequence[Row], *, retry_refused: bool = False) -> Sequence[Admitted]:
        """See `Journal.add`."""
        return await self._write(lambda: self._ledger.add(run, rows, retry_refused))

    async def loaded(self, run: Run, rejected: int) -> None:
        """See `Journal.loaded`."""
        await self._write(lambda: self._ledger.loaded(run, rejected))

    async def note_plan(self, run: Run, plan: UsagePlan) -> None:
        """See `Journal.note_plan`."""
        await self._write(lambda: self._ledger.note_plan(run, plan))

    async def claim(self, run: Run, limit: int, *, most: int | None = None, since: float = 0.0) -> Sequence[Row]:
        """See `Journal.claim`."""
        return await self._claim(Claim(run, limit, most, since))

    async def defer(self, rows: Sequence[Row], until: float) -> None:
        """See `Journal.defer`."""
        await self._write(lambda: self._ledger.defer(rows, until), needs_room=False)

    async def move(
        self, row: Row, move: Move, *, reason: str = "", request_id: str | None = None, not_before: float = 0.0
    ) -> Row:
        """See `Journal.move`."""
        return await self._move(Step(row, move, reason, request_id, not_before))

    def holds(self) -> bool:
        """See `Journal.holds`."""
        return self._ledger.holds()

    async def release(self, run: Run) -> None:
        """See `Journal.release`."""
        await self._write(lambda: self._ledger.release(run), needs_room=False)

    async def held(self, run: Run) -> int:
        """See `Journal.held`."""
        return await self._write(lambda: self._ledger.held(run), needs_room=False)

    async def in_hand(self, run: Run) -> int:
        """See `Journal.in_hand`."""
        return await self._write(lambda: self._ledger.in_hand(run), needs_room=False)

    async def next_attempt(self, run: Run) -> float | None:
        """See `Journal.next_attempt`."""
        return await self._write(lambda: self._ledger.next_attempt(run), needs_room=False)

    async def count(self, run: Run) -> Mapping[State, int]:
        """See `Journal.count`."""
        return await self._write(lambda: self._ledger.count(run), needs_room=False)

    async def rows(self, run: Run, state: State) -> Sequence[Row]:
        """See `Journal.rows`."""
        return await self._write(lambda: self._ledger.rows(run, state), needs_room=False)

    async def jobs(self) -> Sequence[JobRecord]:
        """See `Journal.jobs`."""
        return await self._write(self._ledger.jobs, needs_room=False)

    async def counts(self, job: int) -> Sequence[Count]:
        """See `Journal.counts`."""
        return await self._write(lambda: self._ledger.counts(job), needs_room=False)

    async def reasons(self, job: int) -> Sequence[ReasonCount]:
        """See `Journal.reasons`."""
        return await self._write(lambda: self._ledger.reasons(job), needs_room=False)

    async def plans(self, job: int) -> Sequence[PlanNote]:
        """See `Journal.plans`."""
        return await self._write(lambda: self._ledger.plans(job), needs_room=False)

    async def doubts(self, job: int) -> Sequence[Row]:
        """See `Journal.doubts`."""
        return await self._write(lambda: self._ledger.doubts(job), needs_room=False)

    async def outcomes(self, job: int, width: float) -> Sequence[Outcomes]:
        """See `Journal.outcomes`."""
        return await self._write(lambda: self._ledger.outcomes(job, width), needs_room=False)

    async def sent_since(self, run: Run, moment: float) -> int:
        """See `Journal.sent_since`."""
        return await self._write(lambda: self._ledger.sent_since(run, moment), needs_room=False)


class MemoryJournal(LedgerJournal):
    """A journal that is gone with the process: for tests, and for jobs that need not survive.

    Args:
        beside: Another one, to share its rows as a second process would share a file.
        clock: The wall clock, in seconds since 1970.
        ticks: A clock that nobody can set, in seconds.
        keep_bodies: Keep the texts of rows that are settled.
    """

    def __init__(
        self,
        beside: MemoryJournal | None = None,
        *,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
        keep_bodies: bool = False,
    ) -> None:
        self._memory: _Memory = beside._memory if beside else _Memory()
        self._lock = str(self._memory.owners)
        self._memory.owners += 1
        self._ledger = Ledger(
            self._memory.connection, clock=clock, ticks=ticks, is_gone=self._is_gone, keep_bodies=keep_bodies
        )
        self._ledger.enter(host="", pid=0, lock=self._lock)

    def kill(self) -> None:
        """Let go of the lock, as a process does that is killed; what is in hand stays as it is."""
        self._memory.dead.add(self._lock)

    def _is_gone(self, owner: Owner) -> bool:
        return owner.lock in self._memory.dead

    async def _write(self, work: Callable[[], _T], *, needs_room: bool = True) -> _T:
        await lowlevel.cancel_shielded_checkpoint()
        self._ledger.renew()
        return work()

    async def _claim(self, claim: Claim) -> Sequence[Row]:
        await lowlevel.cancel_shielded_checkpoint()
        self._ledger.renew()
        [claimed] = self._ledger.claim_all([claim])
        if isinstance(claimed, JobError):
            raise claimed
        return claimed

    async def _move(self, step: Step) -> Row:
        await lowlevel.cancel_shielded_checkpoint()
        self._ledger.renew()
        [moved] = self._ledger.move_all([step])
        if isinstance(moved, JobError):
            raise moved
        return moved


class _Memory:
    """What the journals beside each other share."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self.connection.row_factory = sqlite3.Row
        create(self.connection)
        self.dead: set[str | None] = set()
        self.owners = 0
        weakref.finalize(self, self.connection.close)
