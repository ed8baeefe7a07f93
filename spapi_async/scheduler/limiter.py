"""The driver of the scheduler: it waits for a call's turn and learns from what comes back. asyncio and trio, by anyio.

How waiting works: whoever stands at the head of a bucket's queue is its timer. It sleeps until its token is there; all
others sleep without a timer until they are woken as the new head. So there is one timer a bucket, no background task
that could leak, and a changed rate re-plans everybody by waking one. A token is taken in the same step in which its
taker goes on, with no `await` between: a cancelled waiter never holds one.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from functools import partial

import anyio
import attrs

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
from .bucket import Bucket
from .keys import Account, BucketKey
from .queue import Queue, Ticket

__all__ = ["BucketState", "Scheduler", "current_time"]

# Seconds. The slowest plan grows a token in three minutes; whoever asks for much more is not to be believed.
_LONGEST_RETRY_AFTER = 300.0


# Seconds for which a bucket is kept at least when it is not used, and how many are looked at in one go: with a million
# of them a millisecond's work.
_KEPT = 60.0
_TIDIED = 50

_NOBODY = Queue()
"""The queue of a bucket that nobody ever waited for, as of most: an own one takes three thousand bytes."""


class _Lane:
    """One bucket, and the calls that wait for it."""

    __slots__ = ("bucket", "cancelled", "granted", "in_flight", "plan", "queue", "refused")

    def __init__(self, plan: UsagePlan) -> None:
        self.plan = plan
        self.in_flight = 0
        self.granted = self.refused = self.cancelled = 0
        self.bucket = Bucket(plan)
        self.queue = _NOBODY

    def is_idle(self, now: float) -> bool:
        """Whether a new one of the same plan would do as well."""
        return not self.in_flight and not self.queue.waiting_now and self.bucket.is_as_new(now)

    def own_queue(self) -> Queue:
        if self.queue is _NOBODY:
            self.queue = Queue()
        return self.queue

    def wake_head(self) -> None:
        head = self.queue.head()
        if head is not None and head.wake is not None:
            head.wake()


@attrs.frozen(kw_only=True)
class BucketState:
    """What a bucket looks like now.

    Args:
        operation: As in `orders_v0.get_orders`.
        selling_partner: Amazon's id, or a digest of the refresh token; "" for the application's own bucket.
        endpoint: The URL of the region's deployment.
        plan: The usage plan in force; its `source` is `header` where a reply has named the rate.
        rate: Requests/s in use: the plan's, or less while others use it too.
        tokens: What should be in Amazon's bucket now.
        headroom: Seconds for which a token is left to ripen, because the way to Amazon varies.
        waiting: How many calls wait, by priority.
        throttled: How many wait because Amazon answered them 429; they go first.
        wait: Seconds until a call of normal priority that came now would have its turn.
        in_flight: Calls under way.
        granted, refused, cancelled: Since the bucket was made: calls that got their turn, 429s, and calls that left the
            queue without a turn.
    """

    operation: str
    selling_partner: str
    endpoint: str
    plan: UsagePlan
    rate: float
    tokens: float
    headroom: float
    waiting: Mapping[Priority, int]
    throttled: int
    wait: float
    in_flight: int
    granted: int
    refused: int
    cancelled: int


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
        max_queue: How many calls may wait for one bucket before a further one raises `QueueFullError`.
    """

    def __init__(
        self,
        *,
        emit: Emit,
        clock: Callable[[], float] = current_time,
        plans: Mapping[str, UsagePlan] | None = None,
        max_queue: int = 100_000,
    ) -> None:
        self._clock = clock
        self._emit = emit
        self._plans = dict(plans or {})
        self._max_queue = max_queue
        # Idle buckets are forgotten bit by bit, as calls pass: those that were not used since the last round are aside.
        self._lanes: dict[BucketKey, _Lane] = {}
        self._aside: dict[BucketKey, _Lane] = {}
        self._tidy_at = -math.inf
        self._learned: dict[BucketKey, UsagePlan] = {}
        self._is_closed = False
        self._arrivals = 0

    def throttling(self, account: Account) -> Middleware:
        """Make the throttling stage for the calls of one account."""
        return partial(self._pass, account)

    def snapshot(self) -> list[BucketState]:
        """Return the state of every bucket that is in use, by selling partner and operation.

        A bucket that was full and not used for a minute or two may be forgotten; a call then begins a new one.
        """
        now = self._clock()
        lanes = {**self._aside, **self._lanes}
        return [_state(key, lane, now) for key, lane in sorted(lanes.items(), key=lambda item: item[0])]

    def close(self) -> None:
        """Admit nothing more: whoever waits, or comes later, gets a `ClientClosedError`."""
        self._is_closed = True
        for lane in (*self._lanes.values(), *self._aside.values()):
            for ticket in lane.queue.waiting():
                if ticket.wake is not None:
                    ticket.wake()

    async def _pass(self, account: Account, call: Call, next_: Next) -> Reply:
        lane = self._lane(account, call.operation)
        self._arrivals = number = self._arrivals + 1
        ticket: Ticket | None = None  # of a call that waits; most do not
        throttled = False
        while True:
            if self._is_closed:
                raise self._closed(call)
            granted_at = self._clock()
            if granted_at >= self._tidy_at:
                self._tidy(granted_at)
            if lane.queue.waiting_now or lane.bucket.take(granted_at) != 0.0:
                ticket = ticket or Ticket(number, call.priority)
                granted_at = await self._wait(lane, call, ticket, throttled=throttled)
            lane.in_flight += 1
            lane.granted += 1
            try:
                reply = await next_(call)
            except QuotaExceededError as error:
                # Amazon did not execute it, so it is as if it had never been sent: no backoff, no attempt counted.
                wait = min(error.retry_after or 0.0, _LONGEST_RETRY_AFTER)
                lane.refused += 1
                lane.bucket.refused(granted_at, self._clock(), wait)
                ticket = ticket or Ticket(number, call.priority)
                throttled = True
                self._emit(
                    Throttled(
                        operation=call.operation.key,
                        wait=lane.bucket.wait(self._clock(), lane.queue.ahead_of(ticket, throttled=True)),
                        request_id=error.request_id,
                    )
                )
                continue
            except (CallError, AuthError, ArgumentError) as error:
                self._learn_from_error(lane, call, error, granted_at)
                raise
            finally:
                lane.in_flight -= 1
            lane.bucket.succeeded(granted_at)
            self._learn(lane, call, reply.headers, granted_at)
            return reply

    async def _wait(self, lane: _Lane, call: Call, ticket: Ticket, *, throttled: bool) -> float:
        """Wait until the call has its token, and return when it got it."""
        queue, bucket = lane.own_queue(), lane.bucket
        now = self._clock()
        if not throttled:
            self._check_bounds(lane, call, ticket, now)
        came_at = now
        queue.join(ticket, throttled=throttled)
        granted = False
        try:
            while True:
                now = self._clock()
                wait: float | None = None
                if queue.head() is ticket:
                    wait = bucket.take(now)
                    if wait == 0.0:
                        granted = True
                        break
                if call.deadline is not None:
                    left = call.deadline - now
                    if left <= 0:
                        # As if it came anew, since that is what a repeat of the call would do.
                        ahead = 0 if queue.head() is ticket else queue.ahead_of(ticket) - 1
                        raise self._too_late(lane, call, bucket.wait(now, ahead))
                    wait = left if wait is None else min(wait, left)
                await _sleep(ticket, wait)
                if self._is_closed:
                    raise self._closed(call)
        finally:
            # Also on cancellation: the place is given up in the same step, and the new head takes over the timer.
            queue.leave(ticket, granted=granted)
            lane.cancelled += not granted
            lane.wake_head()
        self._emit(Waited(operation=call.operation.key, seconds=now - came_at, queue_length=len(queue)))
        return now

    def _check_bounds(self, lane: _Lane, call: Call, ticket: Ticket, now: float) -> None:
        if len(lane.queue) >= self._max_queue:
            raise QueueFullError(
                f"{len(lane.queue)} calls wait for its usage plan ({lane.plan}), the most that max_queue allows",
                operation=call.operation.key,
                attempt=call.attempt,
                predicted_wait=lane.bucket.wait(now, len(lane.queue)),
                plan=str(lane.plan),
                queue_length=len(lane.queue),
            )
        if call.deadline is not None:
            predicted = lane.bucket.wait(now, lane.queue.ahead_of(ticket))
            if now + predicted > call.deadline:
                raise self._too_late(lane, call, predicted)

    def _too_late(self, lane: _Lane, call: Call, predicted: float) -> ThrottleTimeoutError:
        return ThrottleTimeoutError(
            f"its turn would come after its deadline: in {round(predicted, 2):g} s by its usage plan ({lane.plan}), "
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

    def _learn_from_error(self, lane: _Lane, call: Call, error: SpapiError, granted_at: float) -> None:
        status_error = error if isinstance(error, StatusError) else error.__cause__
        if isinstance(status_error, StatusError):
            self._learn(lane, call, status_error.headers, granted_at)
        elif isinstance(error, AuthError | ArgumentError) or (
            isinstance(error, TransportError) and not error.had_begun
        ):
            lane.bucket.put_back()
            lane.wake_head()

    def _learn(self, lane: _Lane, call: Call, headers: Mapping[str, str], granted_at: float) -> None:
        now = self._clock()
        bucket = lane.bucket
        if bucket.observe(granted_at, now - granted_at):
            lane.wake_head()
        rate = read_rate_limit(headers)
        if rate is None:
            return
        old = bucket.rate
        bucket.learn(rate, now)
        if rate != old:
            lane.plan = UsagePlan(rate, bucket.burst, "header")
            self._emit(RateLearned(operation=call.operation.key, old=old, new=rate))
            lane.wake_head()

    def _lane(self, account: Account, operation: Operation) -> _Lane:
        key = BucketKey.of(account, operation)
        lane = self._lanes.get(key)
        if lane is None:
            if key in self._aside:
                lane = self._aside.pop(key)
            else:
                lane = _Lane(self._learned.get(key) or self._plans.get(operation.key, operation.plan))
            self._lanes[key] = lane
        return lane

    def _tidy(self, now: float) -> None:
        """Look at some of the buckets that were not used lately, and forget those that are full."""
        for _ in range(min(len(self._aside), _TIDIED + len(self._aside) // 1000)):
            key, lane = self._aside.popitem()
            if not lane.is_idle(now):
                self._lanes[key] = lane
            elif lane.plan.source == "header":
                self._learned[key] = lane.plan
        if not self._aside:
            self._aside, self._lanes = self._lanes, {}
            self._tidy_at = now + _KEPT


def _state(key: BucketKey, lane: _Lane, now: float) -> BucketState:
    bucket, queue = lane.bucket, lane.queue
    *waiting, throttled = queue.counts()
    return BucketState(
        operation=key.operation,
        selling_partner=key.selling_partner,
        endpoint=key.endpoint,
        plan=lane.plan,
        rate=bucket.share.rate(now, bucket.rate),
        tokens=bucket.tokens(now),
        headroom=bucket.headroom,
        waiting=dict(zip(Priority, waiting, strict=True)),
        throttled=throttled,
        wait=bucket.wait(now, sum(waiting[: Priority.NORMAL + 1]) + throttled),
        in_flight=lane.in_flight,
        granted=lane.granted,
        refused=lane.refused,
        cancelled=lane.cancelled,
    )


async def _sleep(ticket: Ticket, seconds: float | None) -> None:
    """Sleep until the ticket is woken, or for so many seconds."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        pass  # not asyncio
    else:
        # A future and a timer: a third of what an event in a cancel scope with a deadline costs.
        future = loop.create_future()
        ticket.wake = partial(_finish, future)
        timer = None if seconds is None else loop.call_later(seconds, _finish, future)
        try:
            await future
        finally:
            ticket.wake = None
            if timer is not None:
                timer.cancel()
        return
    event = anyio.Event()
    ticket.wake = event.set
    try:
        if seconds is None:
            await event.wait()
        else:
            with anyio.move_on_after(seconds):
                await event.wait()
    finally:
        ticket.wake = None


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
