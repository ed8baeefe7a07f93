"""Sends the rows of a job that are of one selling partner: claim, check, send, settle; a stop leaves nothing open.

Every message goes through the client like any other call; the one thing added is a stage right before the wire that
writes to the journal. It decides nothing about pace: the check and the send each wait for their own usage plan inside
the client, and so many rows are in hand as calls may wait there at once.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

import anyio
import attrs
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
from ..marketplaces import Region
from ..middleware import Middleware, Next
from ..operation import Call, Reply, UsagePlan
from .journal import Journal, Run
from .kinds import Kind, Uploaded
from .kinds.attachments import COLUMN
from .outcome import Outcome
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
    without_private,
    words_of,
)
from .windows import Windows

__all__ = ["Attach", "Lane", "Send"]

MOST_FAILURES = 5
"""Failures one after the other, each after the client's own retries, until the lane stops by itself."""

_LOOK_AGAIN = 1.0
"""Seconds after which a process that has nothing left looks again what became of the rows that others have in hand."""

_LONGEST_NAP = 60.0
"""Seconds; the clock on the wall is looked at again then, since it may be set, or the machine may have slept."""


_AT_ONCE = datetime.fromtimestamp(0, UTC)


def _set_event() -> anyio.Event:
    event = anyio.Event()
    event.set()
    return event


class Send(Protocol):
    """`SellingPartner.send`."""

    def __call__(self, call: Call, inner: Iterable[Middleware] = ()) -> Awaitable[Reply]:
        """Send a call through all stages, with further ones right before the wire."""


class Attach(Protocol):
    """`attachments.Uploader`."""

    def __call__(self, kind: Kind, row: Row, *, anew: bool = False) -> Awaitable[Sequence[Uploaded]]:
        """Upload the files of a row; `anew`: also those that were uploaded before."""


class _NotNow(Exception):  # noqa: N818 - no error: it passes the stages as one
    """Its window closed while a row waited for its turn, or the lease came to its end right before it was sent."""

    def __init__(self, opens: datetime) -> None:
        super().__init__(opens)
        self.opens = opens


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


class Lane:
    """Sends the rows of one run, at most once each.

    Args:
        send: `SellingPartner.send`.
        kind: The kind of the rows.
        journal: Remembers them.
        run: From `Journal.start`.
        concurrency: Rows in hand at once. It should be somewhat above the burst of the usage plan. Default 16.
        grace: Seconds that exchanges under way get after `drain`. Default 10.
        windows: When rows may go out, and how many a day. None: at any time.
        region: The region of the marketplaces, when it is known.
        on_outcome: Is called with each outcome. It must not raise.
        room: Waits until there is room for further outcomes.
        attach: Uploads the files of rows that have attachments. None if no row has.
        plan: Tells the usage plan in use for the kind's operation; the journal keeps it for who asks about the pace.
        now: The time, with a zone.

    Attributes:
        send: As given.
        kind: The kind of its rows.
        part: What the journal knows it by.
        concurrency: As given. A smaller one counts as soon as rows in hand are settled, a greater one from the next
            run on.
        tally: The counts so far.
        marketplaces: Of the rows that it has seen.
        stopped: Why it stopped by itself; None while it did not.
        unanswered: The line of the first row that got no answer, and why.
        is_draining: Whether it takes no further rows.
        arriving: How many are at adding rows, which the journal may have already and the counts have not.
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
        windows: Windows | None = None,
        region: Region | None = None,
        on_outcome: Callable[[Outcome], None] | None = None,
        room: Callable[[], Awaitable[None]] | None = None,
        emit: Emit | None = None,
        attach: Attach | None = None,
        plan: Callable[[], UsagePlan] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.kind = kind
        self.part = run
        self.concurrency = concurrency
        self.tally = Tally()
        self.marketplaces: set[str] = set()
        self.stopped: SpapiError | ValueError | None = None
        self.unanswered: tuple[int, SpapiError | ValueError] | None = None
        self.is_draining = False
        self.arriving = 0
        self._waits_until: datetime | None = None
        self.send = send
        self._journal = journal
        self._grace = grace
        self._windows = windows
        self._region = region
        self._on_outcome = on_outcome
        self._room = room
        self._emit = emit
        self._attach = attach
        self._plan = plan
        self._noted: UsagePlan | None = None
        self._now = now
        self._claimed: list[Row] = []
        self._claiming = anyio.Lock()
        self._is_exhausted = False
        self._is_woken = False
        self._resumed = _set_event()
        self._nudged = anyio.Event()
        self._drained = anyio.Event()
        self._active: set[_Active] = set()
        self._workers = 0
        self._failures = {"check": 0, "locale": 0, "upload": 0, "send": 0}
        self._has_worked = False
        self._unwritten: list[Callable[[], Awaitable[None]]] = []
        """How exchanges ended that the journal could not write."""

    async def run(self) -> None:
        """Send all rows that wait. Returns when they are settled, or after `drain`, `abort` or a stop by itself."""
        self._is_woken = True
        while self._is_woken and not self.is_draining:
            self._is_woken = False
            await self._send_all()

    async def _send_all(self) -> None:
        self._is_exhausted = False
        try:
            if self.tally.waiting:
                await self._note_plan()
            async with anyio.create_task_group() as watch:
                watch.start_soon(self._end_drain)
                async with anyio.create_task_group() as workers:
                    for _ in range(self.concurrency):
                        workers.start_soon(self._work)
                watch.cancel_scope.cancel()
        except JobError as error:
            self._stop(error)
        finally:
            try:
                while self._unwritten:  # else the row would be SENDING for as long as this process lives
                    with suppress(LeaseLostError):
                        await self._unwritten.pop()()
                await self._journal.release(self.part)
                await self._count_elsewhere()
            except JobError as error:  # they stay CLAIMED until somebody finds that this process is gone
                self._stop(error)

    def wake(self) -> None:
        """There are new rows; also when it has just found that there are none."""
        self._is_woken = True
        self._is_exhausted = False
        self._nudge()

    def seconds_for(self, rows: int, windows: Windows | None) -> float:
        """Return how long so many rows take from a full bucket on, by the usage plan in use and in some windows.

        If they go by the clocks of several marketplaces, it is the longest that it can be.
        """
        if not rows:
            return 0.0
        plan = self._plan() if self._plan else self.kind.operation.plan
        clocks = self.marketplaces if windows and windows.between and windows.zone is None else {""}
        if not windows or not clocks:  # a moment later a row is in hand, and tells whose clock counts
            return max(rows - plan.burst, 0.0) / plan.rate
        now = self._now()
        try:
            ends = max(windows.ends(now, rows, plan.rate, plan.burst, clock) for clock in clocks)
        except OverflowError:
            return math.inf
        return (ends - now).total_seconds()

    def pause(self) -> None:
        """Take no further rows for now. Rows that wait for their turn stay in hand; exchanges under way go on."""
        if self._resumed.is_set() and not self.is_draining:
            self._resumed = anyio.Event()
            self._let_go()

    def resume(self) -> None:
        """Go on after `pause`."""
        self._resumed.set()

    def drain(self) -> None:
        """Take no further rows. Rows that wait for their turn stay READY; exchanges under way get the grace."""
        self.is_draining = True
        self._drained.set()
        self._resumed.set()
        self._nudge()
        self._let_go()

    def abort(self) -> None:
        """End the exchanges under way too; their rows are IN_DOUBT then."""
        self.drain()
        for active in self._active:
            active.scope.cancel()

    @property
    def waits_until(self) -> datetime | None:
        """When it looks for rows again, if all that are left wait for a window or for their own moment."""
        return None if self._active else self._waits_until

    @property
    def _takes_rows(self) -> bool:
        return self._resumed.is_set() and not self.is_draining

    def _let_go(self) -> None:
        for active in self._active:
            if not active.is_on_wire:
                active.scope.cancel()

    def _nudge(self) -> None:
        self._nudged.set()
        self._nudged = anyio.Event()

    async def _end_drain(self) -> None:
        await self._drained.wait()
        await anyio.sleep(self._grace)
        self.abort()

    async def _work(self) -> None:
        self._workers += 1
        try:
            while (self._claimed or self._workers <= self.concurrency) and (row := await self._next()) is not None:
                active = _Active(row)
                self._active.add(active)
                try:
                    with active.scope, suppress(LeaseLostError):  # it is another process's now, and settled there
                        await self._process(active)
                        await self._note_plan()
                finally:
                    self._active.discard(active)
                if active.scope.cancelled_caught and active.row.state is State.CLAIMED and not self.is_draining:
                    self._claimed.append(active.row)  # of a pause
        except JobError as error:  # the journal: nothing may be sent without it
            self._stop(error)
        finally:
            self._workers -= 1

    async def _count_elsewhere(self) -> None:
        """Count what other processes did of the rows that waited here."""
        tally, counts = self.tally, await self._journal.count(self.part)
        if self.arriving or self._is_woken:  # new rows may be in one of the two only; it counts again after them
            return
        left = sum(count for state, count in counts.items() if not state.is_settled)
        elsewhere = tally.left - left
        tally.waiting -= elsewhere
        refused = max(counts.get(State.REFUSED, 0) - tally.refused, 0)
        in_doubt = max(counts.get(State.IN_DOUBT, 0) - tally.in_doubt, 0)
        tally.refused += refused
        tally.in_doubt += in_doubt
        tally.elsewhere += max(elsewhere - refused - in_doubt, 0)  # less: another process has added rows

    async def _next(self) -> Row | None:
        while not self.is_draining:
            if not self._resumed.is_set():
                await self._resumed.wait()
            if self._room is not None:
                await self._room()
            if not self._takes_rows:
                continue
            if self._claimed:  # without the lock while there are some: a thousand workers would queue up for it
                return self._claimed.pop()
            async with self._claiming:
                await self._claim()
            if self._is_exhausted:
                return None
        return None

    async def _claim(self) -> None:
        """Claim rows, or wait until there may be some; both end early when no rows are to be taken."""
        is_last = False
        while self._takes_rows and not (self._claimed or self._is_exhausted):
            now = self._now()
            opens = self._windows.first(now, self._region) if self._windows else None
            if opens is not None:
                await self._wait_until(opens)
                continue
            if await self._claim_some(now):
                continue
            # Another process may have the last rows in hand. Should it die, they are ours. Asking takes back what the
            # dead left, so nothing in hand is no reason to end before one more claim.
            moment = await self._next_moment(now)
            if moment is not None:
                is_last = False
                await self._wait_until(moment)
            elif is_last:
                self._is_exhausted = True
            else:
                is_last = True

    async def _claim_some(self, now: datetime) -> bool:
        """Claim rows; return whether there were any. Those whose marketplace sleeps are put off."""
        windows = self._windows
        if windows is None:
            rows = await self._journal.claim(self.part, self.concurrency)
        else:
            begin, _ = windows.day(now)
            rows = await self._journal.claim(
                self.part, self.concurrency, most=windows.max_per_day, since=begin.timestamp()
            )
        closed: dict[datetime, list[Row]] = {}
        for row in rows:
            self.marketplaces.add(row.body["marketplace_id"])
            opens = windows.opens(now, row.body["marketplace_id"]) if windows else None
            if opens is None:
                self._claimed.append(row)
            else:
                closed.setdefault(opens, []).append(row)
        self._claimed.reverse()
        for opens, put_off in closed.items():
            await self._journal.defer(put_off, opens.timestamp())
        return bool(rows)

    async def _next_moment(self, now: datetime) -> datetime | None:
        """Return when there may be rows to claim, though there are none now; None if that is never."""
        soon = now + timedelta(seconds=_LOOK_AGAIN)
        moments: list[datetime] = []
        if await self._journal.held(self.part):
            moments.append(soon)
        if (later := await self._journal.next_attempt(self.part)) is not None:
            moments.append(datetime.fromtimestamp(later, UTC))
        most = self._windows.max_per_day if self._windows else None
        if self._windows and most is not None:
            ready = (await self._journal.count(self.part)).get(State.READY, 0)
            if ready > self.tally.unsent:  # those that were tried are for a later run
                begin, end = self._windows.day(now)
                if await self._journal.sent_since(self.part, begin.timestamp()) >= most:
                    moments.append(end)
                elif later is None or await self._journal.in_hand(self.part):  # else all of them have a moment
                    moments.append(soon)
        return min(moments, default=None)

    async def _wait_until(self, moment: datetime) -> None:
        seconds = (moment - self._now()).total_seconds()
        if seconds > _LOOK_AGAIN:
            self._waits_until = moment
        with anyio.move_on_after(min(max(seconds, 0.0), _LONGEST_NAP)):
            await self._nudged.wait()
        self._waits_until = None

    async def _process(self, active: _Active) -> None:
        row = active.row
        try:
            reply = await self.send(self.kind.check_call(row))
            is_offered = self.kind.is_offered(reply)
        except (SpapiError, ValueError) as error:
            await self._preparation_failed(active, "check", error)
            return
        self._worked("check")
        if not is_offered:
            await self._refuse(active, not_offered(self.kind, row, self._now()), reply.request_id)
            return
        if needs_locale(row):
            try:
                active.locale = self.kind.locale_in(await self.send(self.kind.locale_call(row)))
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
                await self.send(self.kind.call(active.localized, uploaded), inner=[partial(self._journalled, active)])
            except _NotNow as later:
                await self._journal.defer([active.row], later.opens.timestamp())
                self._is_exhausted = False
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
        uploaded = await self._attach(self.kind, active.row, anew=active.uploads > 0)
        active.uploads += 1
        self._worked("upload")
        return uploaded

    async def _journalled(self, active: _Active, call: Call, next_: Next) -> Reply:
        """Write the intent before the wire is touched, and the outcome of the exchange after it: the inner stage."""
        if active.row.state is not State.CLAIMED:
            raise LeaseLostError(f"line {active.row.number}: the row is not in this process's hand any more")
        if self._windows and (opens := self._windows.opens(self._now(), active.row.body["marketplace_id"])):
            raise _NotNow(opens)
        active.row = await self._journal.move(active.row, Move.BEGIN)
        active.is_on_wire = True
        try:
            if self.is_draining:
                active.scope.cancel()
            try:
                await lowlevel.checkpoint_if_cancelled()
                if not self._journal.holds():  # the machine slept just now; others may have taken the row for lost
                    raise _NotNow(_AT_ONCE)
            except BaseException:
                await self._unsend(active)
                raise
            try:
                reply = await next_(call)
            except BaseException as error:
                await self._exchange_failed(active, error)
                raise
            if problems := parse_errors(reply.body):
                # Amazon's models allow errors in a 2xx reply, and do not say whether the message went out then.
                words = without_private(words_of(problems)[:2000], active.localized.body.get("text", ""))
                reason = f"Amazon answered {reply.status}, but with errors: {words}"
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
                await self._unsend(active, request_id)
                if not self._takes_rows:
                    active.scope.cancel()  # it is about to wait for its next turn
            case Verdict.REFUSED:
                assert isinstance(error, StatusError)
                await self._refuse(active, refusal_of(error, active.localized, self._now()), request_id)
            case Verdict.IN_DOUBT:
                reason = reason_of(error, active.localized.body.get("text", ""))
                await self._settle(active, Move.LOSE, reason, request_id)

    async def _unsend(self, active: _Active, request_id: str | None = None) -> None:
        try:
            active.row = await self._journal.move(active.row, Move.UNSENT, request_id=request_id)
        except LeaseLostError:
            raise
        except JobError:
            self._unwritten.append(partial(self._unsend, active, request_id))
            raise

    async def _preparation_failed(self, active: _Active, stage: str, error: SpapiError | ValueError) -> None:
        """Deal with an error of what comes before a send: nothing was sent to the buyer."""
        if isinstance(error, StatusError) and judge(error) is Verdict.REFUSED:
            self._worked(stage)
            await self._refuse(active, refusal_of(error, active.row, self._now()), error.request_id)
        else:
            await self._unsent(active, stage, error)

    async def _unsent(self, active: _Active, stage: str, error: SpapiError | ValueError) -> None:
        private = active.localized.body.get("text", "")
        # A ValueError is an answer that cannot be read: nothing was under way, which `reason_of` would say of it.
        is_ours = isinstance(error, SpapiError)
        reason = reason_of(error, private) if is_ours else without_private(str(error), private)[:500]
        request_id = error.request_id if isinstance(error, CallError) else None
        active.row = await self._journal.move(active.row, Move.RELEASE, reason=reason, request_id=request_id)
        self._answered()
        self.tally.unsent += 1
        self.unanswered = self.unanswered or (active.row.number, error)
        self._failed(stage, error)

    async def _refuse(self, active: _Active, refusal: Refusal, request_id: str | None) -> None:
        await self._settle(active, Move.REFUSE, refusal.reason, request_id, refusal)

    async def _settle(
        self, active: _Active, move: Move, reason: str, request_id: str | None, refusal: Refusal | None = None
    ) -> None:
        before = active.row
        try:
            active.row = row = await self._journal.move(before, move, reason=reason, request_id=request_id)
        except LeaseLostError:
            raise
        except JobError:
            if before.state is State.SENDING:
                self._unwritten.append(partial(self._settle, active, move, reason, request_id, refusal))
            raise
        self._answered()
        match row.state:
            case State.SENT:
                self.tally.sent += 1
            case State.REFUSED:
                self.tally.refused += 1
            case State.IN_DOUBT:
                self.tally.in_doubt += 1
            case _:  # the lease was lost meanwhile, and it goes out elsewhere
                self.tally.elsewhere += 1
                return
        why, retry_from = (refusal.why, refusal.retry_from) if refusal else ("", None)
        if self._on_outcome:
            self._on_outcome(
                Outcome(
                    row=attrs.evolve(before, state=row.state),
                    selling_partner=self.part.label,
                    state=row.state,
                    reason=reason,
                    cure=cure_of(reason) if row.state is State.REFUSED else "",
                    why=why,
                    retry_from=retry_from,
                    request_id=row.request_id,
                )
            )
        if self._emit:
            self._emit(
                RowSettled(
                    kind=row.kind,
                    number=row.number,
                    state=row.state,
                    reason=reason,
                    request_id=row.request_id,
                    why=why,
                    retry_from=retry_from,
                )
            )

    def _answered(self) -> None:
        # It may be a row that another process has added since.
        self.tally.waiting = max(self.tally.waiting - 1, 0)

    async def _note_plan(self) -> None:
        if self._plan is not None and (plan := self._plan()) != self._noted:
            self._noted = plan
            await self._journal.note_plan(self.part, plan)

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
            self.stopped = error
        self.drain()
