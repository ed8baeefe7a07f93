"""Sends the rows of a job: claim, check, send, settle; with a stop that leaves nothing open.

Every message goes through the client like any other call; the one thing added is a stage right before the wire that
writes to the journal. It decides nothing about pace: the check and the send each wait for their own usage plan inside
the client, and so many rows are in hand as calls may wait there at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

import anyio
from anyio import lowlevel

from ..codec import parse_errors
from ..errors import (
    AuthError,
    CallError,
    ClientClosedError,
    ConfigError,
    JobError,
    LeaseLostError,
    ServerError,
    SpapiError,
    StatusError,
)
from ..events import Emit, RowSettled
from ..middleware import Middleware, Next
from ..operation import Call, Reply
from .journal import Admitted, Journal, Run
from .kinds import Kind, Uploaded
from .kinds.attachments import COLUMN
from .row import Move, Row, State
from .summary import Tally
from .variants import localized, needs_locale
from .verdict import (
    Refusal,
    Verdict,
    cure_of,
    is_upload_missing,
    judge,
    not_offered,
    reason_of,
    refusal_of,
    words_of,
)

__all__ = ["Attach", "Job", "Refused", "Send"]

MOST_FAILURES = 5
"""Failures one after the other, each after the client's own retries, until the job stops by itself."""

_LOOK_AGAIN = 1.0
"""Seconds after which a process that has nothing left looks again what became of the rows that others have in hand."""

_CHUNK = 500
"""Rows that are added in one transaction."""


class Send(Protocol):
    """`SellingPartner.send`."""

    def __call__(self, call: Call, inner: Iterable[Middleware] = ()) -> Awaitable[Reply]:
        """Send a call through all stages, with further ones right before the wire."""


class Attach(Protocol):
    """`attachments.Uploader`."""

    def __call__(self, kind: Kind, row: Row, *, anew: bool = False) -> Awaitable[Sequence[Uploaded]]:
        """Upload the files of a row; `anew`: also those that were uploaded before."""


Refused = Callable[[Row, str, str], None]
"""Takes a row that Amazon refused, as it was before, with the reason and the cure."""


class _Active:
    """A row in hand."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.scope = anyio.CancelScope()
        self.is_on_wire = False
        self.uploads = 0
        """How often its attachments were uploaded."""
        self.locale: str | None = None

    @property
    def localized(self) -> Row:
        """The row with the text in its buyer's language; the journal's keeps all of them."""
        return localized(self.row, self.locale)


class Job:
    """Sends the rows of one run, at most once each.

    Args:
        send: `SellingPartner.send`.
        kind: The kind of the rows.
        journal: Remembers them.
        run: From `Journal.start`.
        concurrency: Rows in hand at once. It should be somewhat above the burst of the usage plan. Default 16.
        grace: Seconds that exchanges under way get after `drain`. Default 10.
        on_refused: Is called with each row that Amazon refuses.
        emit: Takes a `RowSettled` for each row that gets its outcome.
        attach: Uploads the files of rows that have attachments. None if no row has.
        now: The time, with a zone.

    Attributes:
        tally: The counts so far.
        stopped_by: Why the job stopped by itself, in words; "" while it did not.
        is_draining: Whether it takes no further rows.
    """

    def __init__(
        self,
        send: Send,
        kind: Kind,
        journal: Journal,
        run: Run,
        *,
        concurrency: int = 16,
        grace: float = 10.0,
        on_refused: Refused | None = None,
        emit: Emit | None = None,
        attach: Attach | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.tally = Tally()
        self.stopped_by = ""
        self.is_draining = False
        self._send = send
        self._kind = kind
        self._journal = journal
        self._run = run
        self._concurrency = concurrency
        self._grace = grace
        self._on_refused = on_refused
        self._emit = emit
        self._attach = attach
        self._now = now
        self._claimed: list[Row] = []
        self._claiming = anyio.Lock()
        self._is_exhausted = False
        self._drained = anyio.Event()
        self._active: set[_Active] = set()
        self._failures = {"check": 0, "locale": 0, "upload": 0, "send": 0}
        self._has_worked = False

    async def add(
        self, rows: Iterable[Row], admitted: Callable[[Row, Admitted], None], *, retry_refused: bool = False
    ) -> None:
        """Add the rows of the source. All of them, before the first is sent.

        Args:
            rows: In the order of their lines.
            admitted: Is called with each row and what became of it.
            retry_refused: Try rows again that Amazon refused in an earlier run.

        Raises:
            JobError: The journal cannot be written.
        """
        chunk: list[Row] = []
        for row in rows:
            chunk.append(row)
            if len(chunk) == _CHUNK:
                await self._add(chunk, admitted, retry_refused)
                chunk = []
        await self._add(chunk, admitted, retry_refused)

    async def run(self) -> None:
        """Send all rows that wait. Returns when they are settled, or after `drain`, `abort` or a stop by itself."""
        self._is_exhausted = False
        try:
            async with anyio.create_task_group() as watch:
                watch.start_soon(self._end_drain)
                async with anyio.create_task_group() as workers:
                    for _ in range(self._concurrency):
                        workers.start_soon(self._work)
                watch.cancel_scope.cancel()
        finally:
            try:
                await self._journal.release(self._run)
                await self._count_elsewhere()
            except JobError as error:  # they stay CLAIMED until somebody finds that this process is gone
                self._stop(error)

    def drain(self) -> None:
        """Take no further rows. Rows that wait for their turn stay READY; exchanges under way get the grace."""
        self.is_draining = True
        self._drained.set()
        for active in self._active:
            if not active.is_on_wire:
                active.scope.cancel()

    def abort(self) -> None:
        """End the exchanges under way too; their rows are IN_DOUBT then."""
        self.drain()
        for active in self._active:
            active.scope.cancel()

    async def _add(self, rows: Sequence[Row], admitted: Callable[[Row, Admitted], None], retry_refused: bool) -> None:
        outcomes = await self._journal.add(self._run, rows, retry_refused=retry_refused)
        for row, outcome in zip(rows, outcomes, strict=True):
            self.tally.admit(outcome.admission)
            admitted(row, outcome)

    async def _end_drain(self) -> None:
        await self._drained.wait()
        await anyio.sleep(self._grace)
        self.abort()

    async def _work(self) -> None:
        try:
            while (row := await self._next()) is not None:
                active = _Active(row)
                self._active.add(active)
                try:
                    with active.scope, suppress(LeaseLostError):  # it is another process's now, and settled there
                        await self._process(active)
                finally:
                    self._active.discard(active)
        except JobError as error:  # the journal: nothing may be sent without it
            self._stop(error)

    async def _count_elsewhere(self) -> None:
        """Count what other processes did of the rows that waited here."""
        tally, counts = self.tally, await self._journal.count(self._run)
        left = sum(count for state, count in counts.items() if not state.is_settled)
        elsewhere = tally.waiting + tally.unsent - left
        tally.waiting -= elsewhere
        refused = max(counts.get(State.REFUSED, 0) - tally.refused, 0)
        in_doubt = max(counts.get(State.IN_DOUBT, 0) - tally.in_doubt, 0)
        tally.refused += refused
        tally.in_doubt += in_doubt
        tally.elsewhere += elsewhere - refused - in_doubt

    async def _next(self) -> Row | None:
        if not self._claimed:
            async with self._claiming:
                await self._claim()
        # Without the lock while there are some: a thousand workers would queue up for it.
        return self._claimed.pop() if self._claimed and not self.is_draining else None

    async def _claim(self) -> None:
        is_last = False
        while not (self._claimed or self.is_draining or self._is_exhausted):
            self._claimed = list(await self._journal.claim(self._run, self._concurrency))
            self._claimed.reverse()
            if self._claimed:
                return
            if is_last:
                self._is_exhausted = True
                return
            # Another process may have the last rows in hand. Should it die, they are ours. Asking takes back what the
            # dead left, so nothing in hand is no reason to end before one more claim.
            is_last = not await self._journal.held(self._run)
            if not is_last:
                with anyio.move_on_after(_LOOK_AGAIN):
                    await self._drained.wait()

    async def _process(self, active: _Active) -> None:
        row = active.row
        try:
            reply = await self._send(self._kind.check_call(row))
            is_offered = self._kind.is_offered(reply)
        except (SpapiError, ValueError) as error:
            await self._preparation_failed(active, "check", error)
            return
        self._worked("check")
        if not is_offered:
            await self._refuse(active, not_offered(self._kind, row, self._now()), reply.request_id)
            return
        if needs_locale(row):
            try:
                active.locale = self._kind.locale_in(await self._send(self._kind.locale_call(row)))
            except (SpapiError, ValueError) as error:
                await self._preparation_failed(active, "locale", error)
                return
            self._worked("locale")
        while True:
            try:
                uploaded = await self._uploaded(active)
            except SpapiError as error:
                if isinstance(error, JobError):
                    raise
                await self._preparation_failed(active, "upload", error)
                return
            try:
                await self._send(self._kind.call(active.localized, uploaded), inner=[partial(self._journalled, active)])
            except SpapiError as error:
                if isinstance(error, JobError):
                    raise
                match active.row.state:
                    case State.CLAIMED:
                        if active.uploads == 1 and is_upload_missing(error):
                            continue
                        await self._unsent(active, "send", error)
                    case State.IN_DOUBT:
                        self._failed("send", error)
                    case _:
                        self._worked("send")
            else:
                self._worked("send")
            return

    async def _uploaded(self, active: _Active) -> Sequence[Uploaded]:
        if COLUMN not in active.row.body:
            return ()
        if self._attach is None:
            raise ConfigError("a job whose rows have attachments needs attach=")
        uploaded = await self._attach(self._kind, active.row, anew=active.uploads > 0)
        active.uploads += 1
        self._worked("upload")
        return uploaded

    async def _journalled(self, active: _Active, call: Call, next_: Next) -> Reply:
        """Write the intent before the wire is touched, and the outcome of the exchange after it: the inner stage."""
        if active.row.state is not State.CLAIMED:
            raise LeaseLostError(f"line {active.row.number}: the row is not in this process's hand any more")
        active.row = await self._journal.move(active.row, Move.BEGIN)
        active.is_on_wire = True
        try:
            if self.is_draining:
                active.scope.cancel()
            try:
                await lowlevel.checkpoint_if_cancelled()
                if not self._journal.holds():  # the machine slept just now; others may have taken the row for lost
                    raise LeaseLostError(f"line {active.row.number}: the lease came to its end before it was sent")
            except BaseException:
                active.row = await self._journal.move(active.row, Move.UNSENT)
                raise
            try:
                reply = await next_(call)
            except BaseException as error:
                await self._exchange_failed(active, error)
                raise
            if problems := parse_errors(reply.body):
                # Amazon's models allow errors in a 2xx reply, and do not say whether the message went out then.
                reason = f"Amazon answered {reply.status}, but with errors: {words_of(problems)}"
                await self._settle(active, Move.LOSE, reason[:500], reply.request_id)
            else:
                await self._settle(active, Move.ACCEPT, "", reply.request_id)
            return reply
        finally:
            active.is_on_wire = False

    async def _exchange_failed(self, active: _Active, error: BaseException) -> None:
        request_id = error.request_id if isinstance(error, CallError) else None
        verdict = judge(error)
        if active.uploads == 1 and is_upload_missing(error):
            verdict = Verdict.UNSENT  # once more, with new uploads
        match verdict:
            case Verdict.UNSENT:
                active.row = await self._journal.move(active.row, Move.UNSENT, request_id=request_id)
                if self.is_draining:
                    active.scope.cancel()  # it is about to wait for its next turn
            case Verdict.REFUSED:
                assert isinstance(error, StatusError)
                await self._refuse(active, refusal_of(error, active.localized, self._now()), request_id)
            case Verdict.IN_DOUBT:
                reason = reason_of(error, active.localized.body.get("text", ""))
                await self._settle(active, Move.LOSE, reason, request_id)

    async def _preparation_failed(self, active: _Active, stage: str, error: SpapiError | ValueError) -> None:
        """Deal with an error of what comes before a send: nothing was sent to the buyer."""
        if isinstance(error, StatusError) and judge(error) is Verdict.REFUSED:
            self._worked(stage)
            await self._refuse(active, refusal_of(error, active.row, self._now()), error.request_id)
        else:
            await self._unsent(active, stage, error)

    async def _unsent(self, active: _Active, stage: str, error: SpapiError | ValueError) -> None:
        active.row = await self._journal.move(active.row, Move.RELEASE)
        self.tally.waiting -= 1
        self.tally.unsent += 1
        self._failed(stage, error)

    async def _refuse(self, active: _Active, refusal: Refusal, request_id: str | None) -> None:
        await self._settle(active, Move.REFUSE, refusal.reason, request_id, refusal)

    async def _settle(
        self, active: _Active, move: Move, reason: str, request_id: str | None, refusal: Refusal | None = None
    ) -> None:
        before = active.row
        active.row = row = await self._journal.move(before, move, reason=reason, request_id=request_id)
        self.tally.settle(anyio.current_time())
        match row.state:
            case State.SENT:
                self.tally.sent += 1
            case State.REFUSED:
                self.tally.refused += 1
                if self._on_refused:
                    self._on_refused(before, reason, cure_of(reason))
            case State.IN_DOUBT:
                self.tally.in_doubt += 1
            case _:  # the lease was lost meanwhile, and it goes out elsewhere
                self.tally.elsewhere += 1
        if self._emit:
            self._emit(
                RowSettled(
                    kind=row.kind,
                    number=row.number,
                    state=row.state,
                    reason=reason,
                    request_id=row.request_id,
                    why=refusal.why if refusal else "",
                    retry_from=refusal.retry_from if refusal else None,
                )
            )

    def _worked(self, stage: str) -> None:
        self._failures[stage] = 0
        self._has_worked = True

    def _failed(self, stage: str, error: SpapiError | ValueError) -> None:
        """Count a failure that says nothing about its row; stop when the next rows would meet the same."""
        self._failures[stage] += 1
        is_permanent = isinstance(error, ConfigError | ClientClosedError) or (
            isinstance(error, AuthError) and error.is_permanent
        )
        # A 5xx may be about one order: taken for everybody's, one at the top of the file would stop every run there.
        is_everybodys = not self._has_worked and not isinstance(error, ServerError)
        if is_permanent or is_everybodys or self._failures[stage] >= MOST_FAILURES:
            self._stop(error)

    def _stop(self, error: SpapiError | ValueError) -> None:
        if not self.is_draining:
            self.stopped_by = str(error)
        self.drain()
