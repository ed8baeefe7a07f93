"""The driver of the scheduler: it waits for a call's turn and learns from what comes back. asyncio and trio, by anyio.

How waiting works: whoever stands at the head of a bucket's queue is its timer. It sleeps until its token is there; all
others sleep without a timer until they are woken as the new head. So there is one timer a bucket, no background task
that could leak, and a changed rate re-plans everybody by waking one. A token is taken in the same step in which its
taker goes on, with no `await` between: a cancelled waiter never holds one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import anyio

from ..errors import (
    ArgumentError,
    AuthError,
    CallError,
    ClientClosedError,
    QueueFullError,
    QuotaExceededError,
    SpapiError,
    StatusError,
    ThrottleTimeoutError,
    TransportError,
)
from ..events import Emit, RateLearned, Throttled, Waited
from ..middleware import Middleware, Next
from ..operation import Call, Operation, Priority, Reply, UsagePlan, read_rate_limit
from .keys import Account
from .lanes import KEPT, Lane, Lanes, emptiest, note, predict
from .queue import Ticket
from .state import BucketState, state_of

__all__ = ["Scheduler", "current_time"]

# Seconds. The slowest plan grows a token in three minutes; whoever asks for much more is not to be believed.
_LONGEST_RETRY_AFTER = 300.0

# With how many 429s before this one a call of several buckets is a reason to doubt which of them is empty.
_DOUBTED = 2


def current_time() -> float:
    """Return the event loop's clock, in seconds. It is asked several times a call."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:  # not asyncio; anyio knows, but takes twenty times as long to find out
        return anyio.current_time()


class Scheduler:
    """Keeps every call within its usage plan; one for all selling partners of an application.

    Args:
        clock: Gives seconds; the default is the event loop's clock.
        emit: Is told what happens.
        plans: Usage plans that override the built-in ones, by operation as in `orders_v0.get_orders`.
        application_rates: Limits of the application over all its selling partners, in requests/s, that override the
            built-in ones, by operation; None for no such limit.
        max_queue: How many calls may wait for one bucket before a further one raises `QueueFullError`.
    """

    def __init__(
        self,
        *,
        emit: Emit,
        clock: Callable[[], float] = current_time,
        plans: Mapping[str, UsagePlan] | None = None,
        application_rates: Mapping[str, float | None] | None = None,
        max_queue: int = 100_000,
    ) -> None:
        self._clock = clock
        self._emit = emit
        self._lanes = Lanes(plans or {}, application_rates or {})
        self._max_queue = max_queue
        self._is_closed = False
        self._arrivals = 0

    def throttling(self, account: Account) -> Middleware:
        """Make the throttling stage for the calls of one account."""
        return partial(self._pass, account)

    def snapshot(self, account: Account | None = None) -> list[BucketState]:
        """Return the state of every bucket that is in use, by selling partner and operation.

        A bucket that was full and not used for a minute or two may be forgotten; a call then begins a new one.

        Args:
            account: Only of those that its calls pass.
        """
        now = self._clock()
        accounts = None if account is None else {account, account.own}
        lanes = sorted(self._lanes, key=lambda item: item[0])
        return [state_of(key, lane, now) for key, lane in lanes if accounts is None or key.account in accounts]

    def estimate(self, account: Account, call: Call, calls: int) -> float:
        """Return the seconds until so many further calls would all have their turn, if nothing else came."""
        now = self._clock()
        _, lanes = self._lanes.path(account, call)
        return max(predict(lanes, call.priority, now, calls))

    def plan(self, account: Account, operation: Operation) -> UsagePlan:
        """Return the usage plan in use for an operation."""
        lane, _ = self._lanes.path(account, Call(operation=operation, path=""))
        return lane.plan

    def learned_plans(self, account: Account) -> dict[str, UsagePlan]:
        """Return the usage plans whose rate Amazon told, by operation."""
        return self._lanes.learned(account)

    def restore(self, account: Account, plans: Mapping[str, UsagePlan]) -> None:
        """Begin with plans that Amazon told earlier; what it has told since goes before them."""
        self._lanes.restore(account, plans)

    def close(self) -> None:
        """Admit nothing more: whoever waits, or comes later, gets a `ClientClosedError`."""
        self._is_closed = True
        for _, lane in self._lanes:
            for ticket in lane.queue.waiting():
                if ticket.wake is not None:
                    ticket.wake()

    def reopen(self, *, is_same_clock: bool) -> None:
        """Admit calls again after `close`.

        Args:
            is_same_clock: False begins with new buckets, since nothing tells how much time has passed. The plans that
                Amazon told are kept.
        """
        self._is_closed = False
        if not is_same_clock:
            self._lanes.restart()

    async def _pass(self, account: Account, call: Call, next_: Next) -> Reply:
        granted_at = self._clock()
        if not 0.0 < self._lanes.tidy_at - granted_at <= KEPT:  # more: the clock is another one
            self._lanes.tidy(granted_at)
        plan, lanes = self._lanes.path(account, call)
        self._arrivals = number = self._arrivals + 1
        throttled = 0
        while True:
            if self._is_closed:
                raise self._closed(call)
            if not _take(lanes, granted_at):
                granted_at = await self._wait(plan, lanes, call, number, throttled=throttled > 0)
            for lane in lanes:
                lane.in_flight += 1
                lane.granted += 1
            try:
                reply = await next_(call)
            except QuotaExceededError as error:
                # Amazon did not execute it, so it is as if it had never been sent: no backoff, no attempt counted.
                wait = self._refused(lanes, call, error, number, granted_at, throttled)
                throttled += 1
                granted_at = self._clock()
                if call.deadline is not None and granted_at + wait > call.deadline:
                    raise self._too_late(lanes, call, granted_at) from error
                continue
            except (CallError, AuthError, ArgumentError) as error:
                self._learn_from_error(account, plan, lanes, call, error, granted_at)
                raise
            finally:
                for lane in lanes:
                    lane.in_flight -= 1
            for lane in lanes:
                lane.bucket.succeeded(granted_at)
            if len(lanes) > 1:
                note(lanes, refused=False)
            self._learn(account, plan, lanes, call.operation, reply.headers, granted_at)
            return reply

    async def _wait(self, plan: Lane, lanes: Sequence[Lane], call: Call, number: int, *, throttled: bool) -> float:
        """Wait until the call has its tokens, and return when it got them."""
        now = came_at = self._clock()
        if not throttled:
            self._check_bounds(lanes, call, now)
        tickets: list[Ticket] = []
        granted = False
        for lane in lanes:
            lane.awaited += 1
        try:
            while True:
                now = self._clock()
                wait = self._advance(lanes, tickets, call.priority, number, now, throttled=throttled)
                if wait == 0.0:
                    granted = True
                    break
                if call.deadline is not None:
                    left = call.deadline - now
                    if left <= 0:
                        break
                    wait = left if wait is None else min(wait, left)
                await _sleep(tickets, wait)
                if self._is_closed:
                    raise self._closed(call)
        finally:
            # Also on cancellation: the places are given up in the same step, and who is next takes over the timer.
            for lane in lanes:
                lane.awaited -= 1
            for lane, ticket in zip(lanes, tickets, strict=False):
                lane.cancelled += not granted
                lane.leave(ticket, granted=granted)
        if not granted:  # with the wait of a call that came now: that is what a repeat would be
            raise self._too_late(lanes, call, now)
        self._emit(Waited(operation=call.operation.key, seconds=now - came_at, queue_length=len(plan.queue)))
        return now

    def _advance(
        self,
        lanes: Sequence[Lane],
        tickets: list[Ticket],
        priority: Priority,
        number: int,
        now: float,
        *,
        throttled: bool,
    ) -> float | None:
        """Let a call wait for one bucket after the other, and take a token of each once all have one for it.

        Nothing is taken before: a token that waited for another bucket's would leave later than its bucket believes.

        Returns:
            0.0 if they were taken, the seconds after which to look again, or None if it will be woken.
        """
        wait: float | None
        for level, lane in enumerate(lanes):
            if level == len(tickets):
                if level and lane.is_shared:
                    # Selling partners take turns: each time the place is a new one.
                    self._arrivals = number = self._arrivals + 1
                tickets.append(Ticket(number, priority))
                lane.join(tickets[level], throttled=throttled)
            wait = lane.bucket.ask(now) if lane.queue.head() is tickets[level] else None
            if wait != 0.0:
                break
        else:
            for lane in lanes:
                lane.bucket.spend(now)
            return 0.0
        # Where it stood higher up before, because there was a token here then, it is in the way of others.
        while len(tickets) > level + 1:
            lanes[len(tickets) - 1].leave(tickets.pop(), granted=False)
        return wait

    def _refused(
        self,
        lanes: Sequence[Lane],
        call: Call,
        error: QuotaExceededError,
        number: int,
        sent: float,
        attempts: int,
    ) -> float:
        """Learn from a 429; `attempts` counts those that the call has met before.

        Returns:
            The seconds until the call's next turn.
        """
        now = self._clock()
        # Which one is a guess. If the call comes back a third time it may be wrong, and all are held to be empty.
        empty = lanes
        if len(lanes) > 1:
            note(lanes, refused=True)
            if attempts < _DOUBTED:
                empty = [emptiest(lanes, now)]
        for lane in lanes:
            if lane in empty:
                lane.refused += 1
                lane.bucket.refused(sent, now, min(error.retry_after or 0.0, _LONGEST_RETRY_AFTER))
            else:
                lane.bucket.put_back(sent)
                lane.wake_head()
        wait = max(lane.bucket.wait(now, lane.queue.throttled_before(number)) for lane in lanes)
        self._emit(Throttled(operation=call.operation.key, wait=wait, request_id=error.request_id))
        return wait

    def _check_bounds(self, lanes: Sequence[Lane], call: Call, now: float) -> None:
        lane = lanes[0]  # further up, of each selling partner only one call waits
        if len(lane.queue) >= self._max_queue:
            raise QueueFullError(
                f"{len(lane.queue)} calls wait for {lane.name}, the most that max_queue allows",
                operation=call.operation.key,
                attempt=call.attempt,
                predicted_wait=max(predict(lanes, call.priority, now)),
                plan=str(lane.plan),
                queue_length=len(lane.queue),
            )
        if call.deadline is not None and now + max(predict(lanes, call.priority, now)) > call.deadline:
            raise self._too_late(lanes, call, now)

    def _too_late(self, lanes: Sequence[Lane], call: Call, now: float) -> ThrottleTimeoutError:
        waits = predict(lanes, call.priority, now)
        predicted = max(waits)
        lane = lanes[waits.index(predicted)]
        return ThrottleTimeoutError(
            f"its turn would come after its deadline: in {round(predicted, 2):g} s by {lane.name}, "
            f"with {len(lane.queue)} calls waiting",
            operation=call.operation.key,
            attempt=call.attempt,
            predicted_wait=predicted,
            plan=str(lane.plan),
            queue_length=len(lane.queue),
        )

    def _closed(self, call: Call) -> ClientClosedError:
        return ClientClosedError(
            "the client was closed before the call's turn came", operation=call.operation.key, attempt=call.attempt
        )

    def _learn_from_error(
        self, account: Account, plan: Lane, lanes: Sequence[Lane], call: Call, error: SpapiError, sent: float
    ) -> None:
        status_error = error if isinstance(error, StatusError) else error.__cause__
        if isinstance(status_error, StatusError):
            self._learn(account, plan, lanes, call.operation, status_error.headers, sent)
        elif isinstance(error, AuthError | ArgumentError) or (
            isinstance(error, TransportError) and not error.had_begun
        ):
            for lane in lanes:
                lane.bucket.put_back(sent)
                lane.wake_head()

    def _learn(
        self,
        account: Account,
        plan: Lane,
        lanes: Sequence[Lane],
        operation: Operation,
        headers: Mapping[str, str],
        sent: float,
    ) -> None:
        now = self._clock()
        for lane in lanes:
            if lane.bucket.observe(sent, now - sent):
                lane.wake_head()
        rate = read_rate_limit(headers)
        # Amazon tells the rate of the usage plan, never that of another limit.
        if rate is None or not plan.is_told:
            return
        bucket = plan.bucket
        old = bucket.rate
        bucket.learn(rate, now)
        if rate != old:
            plan.plan = UsagePlan(rate, bucket.burst, "header")
            self._lanes.learn(account, operation, plan.plan)
            self._emit(RateLearned(operation=operation.key, old=old, new=rate))
            plan.wake_head()


def _take(lanes: Sequence[Lane], now: float) -> bool:
    """Take a token of each bucket if all have one and nobody waits for it."""
    for lane in lanes:
        if lane.queue.waiting_now or lane.bucket.ask(now) != 0.0:
            return False
    for lane in lanes:
        lane.bucket.spend(now)
    return True


async def _sleep(tickets: Sequence[Ticket], seconds: float | None) -> None:
    """Sleep until one of a call's tickets is woken, or for so many seconds."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        pass  # not asyncio
    else:
        # A future and a timer: a third of what an event in a cancel scope with a deadline costs.
        future = loop.create_future()
        _wake_by(tickets, partial(_finish, future))
        timer = None if seconds is None else loop.call_later(seconds, _finish, future)
        try:
            await future
        finally:
            _wake_by(tickets, None)
            if timer is not None:
                timer.cancel()
        return
    event = anyio.Event()
    _wake_by(tickets, event.set)
    try:
        if seconds is None:
            await event.wait()
        else:
            with anyio.move_on_after(seconds):
                await event.wait()
    finally:
        _wake_by(tickets, None)


def _wake_by(tickets: Sequence[Ticket], wake: Callable[[], object] | None) -> None:
    for ticket in tickets:
        ticket.wake = wake


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
