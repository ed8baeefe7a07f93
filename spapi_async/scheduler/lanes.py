"""Every bucket there is, with the calls that wait for it; made at the first call, forgotten when it tells nothing more.

A call passes some of them in this order, and goes when all of them have a token for it:

1. Quotas of its own that count per selling partner. Before the usage plan, so that a call which waits five minutes for
   such a quota is not in the way of others.
2. The usage plan of its operation, for the selling partner.
3. Quotas of its own that count for the whole application.
4. The application's limit over all its selling partners, where the operation has one.

Of each selling partner only the call whose turn is next comes as far as 3 and 4. So selling partners take turns there,
and the backlog of one does not delay the others.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..operation import Call, Operation, Priority, Quota, UsagePlan
from .bucket import Bucket
from .keys import ANY, APPLICATION, SANDBOX_PLAN, Account, BucketKey
from .queue import Queue, Ticket

__all__ = ["KEPT", "Lane", "Lanes", "emptiest", "note", "predict"]

# Seconds for which a bucket is kept at least when it is not used, and how many are looked at in one go: with a million
# of them a millisecond's work.
KEPT = 60.0
_TIDIED = 50

_SHARE_OF_ONE = 1 / 8  # how much one call counts in `Lane.misses`

_NOBODY = Queue()
"""The queue of a bucket that nobody ever waited for, as of most: an own one takes three thousand bytes."""


class Lane:
    """One bucket, and the calls that wait for it.

    Attributes:
        above: The buckets that calls of this one pass afterwards, because of their operation.
        is_shared: Whether calls of several selling partners pass it.
        is_told: Whether the rate that Amazon tells with its replies is this bucket's, if it is a usage plan.
        awaited: How many calls wait that are to pass it, here or for another bucket.
        misses: The share of 429s among the latest calls that passed it and others.
        limit: "" for a usage plan, `application`, or the name of a quota.
    """

    __slots__ = (
        "above",
        "awaited",
        "bucket",
        "cancelled",
        "granted",
        "in_flight",
        "is_shared",
        "is_told",
        "limit",
        "misses",
        "plan",
        "queue",
        "refused",
    )

    def __init__(
        self,
        plan: UsagePlan,
        *,
        limit: str = "",
        is_shared: bool = False,
        is_told: bool = True,
        above: tuple[Lane, ...] = (),
    ) -> None:
        self.plan = plan
        self.limit = limit
        self.is_shared = is_shared
        self.is_told = is_told
        self.above = above
        self.awaited = self.in_flight = 0
        self.granted = self.refused = self.cancelled = 0
        self.misses = 0.0
        self.bucket = Bucket(plan)
        self.queue = _NOBODY

    @property
    def name(self) -> str:
        """What the bucket stands for, in words."""
        if not self.limit:
            return f"its usage plan ({self.plan})"
        if self.limit == APPLICATION:
            return f"the application's limit ({self.plan})"
        return f"the quota {self.limit!r} ({self.plan})"

    def is_idle(self, now: float) -> bool:
        """Whether a new one of the same plan would do as well."""
        return not self.in_flight and not self.awaited and self.bucket.is_as_new(now)

    def join(self, ticket: Ticket, *, throttled: bool) -> None:
        """Let a call wait."""
        if self.queue is _NOBODY:
            self.queue = Queue()
        self.queue.join(ticket, throttled=throttled)

    def leave(self, ticket: Ticket, *, granted: bool) -> None:
        """Let a call wait no more; whoever is next takes over the timer."""
        self.queue.leave(ticket, granted=granted)
        self.wake_head()

    def wake_head(self) -> None:
        """Let the call that is next look again."""
        head = self.queue.head()
        if head is not None and head.wake is not None:
            head.wake()


def predict(lanes: Sequence[Lane], priority: Priority, now: float, calls: int = 1) -> list[float]:
    """Return after how many seconds each bucket would let the last of so many calls go that came now.

    Args:
        lanes: All that they pass, in this order.
        priority: Of these calls.
        now: Seconds on the scheduler's clock.
        calls: How many.
    """
    waits = []
    ahead = 0
    for lane in lanes:
        ahead += lane.queue.ahead_of(priority)  # who waits before this bucket passes those after it too, but for quotas
        waits.append(lane.bucket.wait(now, min(ahead, lane.awaited) + calls - 1))
        head = lane.queue.head()
        if head is not None and lane.bucket.wait(now) == 0.0 and (head.was_throttled or head.priority <= priority):
            ahead -= 1  # since it has a token here, it waits for the next one, and is counted there
    return waits


def note(lanes: Iterable[Lane], *, refused: bool) -> None:
    """Count whether a call of several buckets was answered 429."""
    for lane in lanes:
        lane.misses += (refused - lane.misses) * _SHARE_OF_ONE


def emptiest(lanes: Sequence[Lane], now: float) -> Lane:
    """Say which of several buckets was empty when Amazon answered a call 429; it does not say so in a fixed form.

    By our own account the emptiest. But if that is one that others pass too, and they are refused more seldom, it is
    not that one.
    """
    lane = min(lanes, key=lambda lane: lane.bucket.fullness(now))
    if lane.is_shared:
        own = max((each for each in lanes if not each.is_shared), key=lambda each: each.misses, default=lane)
        if own.misses > 1.5 * lane.misses:
            return own
    return lane


class Lanes:
    """All buckets of an application.

    Args:
        plans: Usage plans that override the built-in ones, by operation.
        application_rates: Likewise the application's limits in requests/s; None for none.

    Attributes:
        tidy_at: When to call `tidy` next.
    """

    def __init__(self, plans: Mapping[str, UsagePlan], application_rates: Mapping[str, float | None]) -> None:
        self._plans = dict(plans)
        self._application_rates = dict(application_rates)
        # By account, operation and quota, as calls ask. Idle ones are forgotten bit by bit, as calls pass: those that
        # were not used since the last round are aside.
        self._lanes: dict[tuple[Account, str, str], Lane] = {}
        self._aside: dict[tuple[Account, str, str], Lane] = {}
        self.tidy_at = -math.inf
        self._shared: dict[BucketKey, Lane] = {}  # few, and never forgotten
        self._learned: dict[BucketKey, UsagePlan] = {}

    def __iter__(self) -> Iterator[tuple[BucketKey, Lane]]:
        """Go through all buckets, in no particular order."""
        yield from self._shared.items()
        for lanes in (self._lanes, self._aside):
            for key, lane in lanes.items():
                if not lane.is_shared:
                    yield BucketKey(*key), lane

    def path(self, account: Account, call: Call) -> tuple[Lane, tuple[Lane, ...]]:
        """Return the bucket of the usage plan, and all that a call passes, in this order."""
        operation = call.operation
        lane = self._lanes.get((account, operation.key, "")) or self._plan(account, operation)
        if not call.quotas:
            return lane, (lane, *lane.above) if lane.above else (lane,)
        before: list[Lane] = []
        after: list[Lane] = []
        for quota in call.quotas:
            level = after if quota.scope == "application" else before
            if (found := self._quota(account, operation, quota)) not in level:  # it may be named twice
                level.append(found)
        return lane, (*before, lane, *after, *lane.above)

    def learn(self, account: Account, operation: Operation, plan: UsagePlan) -> None:
        """Remember a plan that Amazon told."""
        self._learned[BucketKey.of(account, operation)] = plan

    def restore(self, account: Account, plans: Mapping[str, UsagePlan]) -> None:
        """Begin with plans that Amazon told earlier, by operation; what it has told since goes before them."""
        for operation, plan in plans.items():
            self._learned.setdefault(BucketKey(account, operation), plan)

    def learned(self, account: Account) -> dict[str, UsagePlan]:
        """Return the plans that Amazon told, by operation."""
        found = {key.operation: plan for key, plan in self._learned.items() if key.account == account}
        found |= {key.operation: plan for key, plan in self._learned.items() if key.account == account.own}
        return dict(sorted(found.items()))

    def restart(self) -> None:
        """Forget all buckets, and keep the plans that Amazon told."""
        self._lanes, self._aside, self._shared = {}, {}, {}
        self.tidy_at = -math.inf

    def tidy(self, now: float) -> None:
        """Look at some of the buckets that were not used lately, and forget those that are full."""
        for _ in range(min(len(self._aside), _TIDIED + len(self._aside) // 1000)):
            key, lane = self._aside.popitem()
            if not lane.is_idle(now):
                self._lanes[key] = lane
        if not self._aside:
            self._aside, self._lanes = self._lanes, {}
            self.tidy_at = now + KEPT

    def _plan(self, account: Account, operation: Operation) -> Lane:
        asked = (account, operation.key, "")
        lane = self._aside.pop(asked, None)
        if lane is None:
            key = BucketKey.of(account, operation)
            lane = self._shared.get(key) if key.is_shared else None
            if lane is None:
                lane = self._make(key, operation, account)
        self._lanes[asked] = lane
        return lane

    def _make(self, key: BucketKey, operation: Operation, account: Account) -> Lane:
        if key.operation == ANY:
            lane = self._shared[key] = Lane(SANDBOX_PLAN, is_shared=True, is_told=False)
            return lane
        # Restored ones are known by the account they were restored for, also where the application's own is meant.
        learned = self._learned.get(key) or self._learned.get(BucketKey(account, operation.key))
        plan = learned or self._plans.get(operation.key, operation.plan)
        lane = Lane(plan, is_shared=key.is_shared, above=self._above(key.account, operation))
        if key.is_shared:
            self._shared[key] = lane
        return lane

    def _above(self, account: Account, operation: Operation) -> tuple[Lane, ...]:
        is_given = operation.key in self._application_rates
        rate = self._application_rates[operation.key] if is_given else operation.application_rate
        if rate is None:
            return ()
        key = BucketKey(account.own, operation.key, APPLICATION)
        lane = self._shared.get(key)
        if lane is None:
            # Amazon names no burst of these limits: what a second grows.
            plan = UsagePlan(rate, max(1.0, rate), "override" if is_given else operation.plan.source)
            lane = self._shared[key] = Lane(plan, limit=APPLICATION, is_shared=True)
        return (lane,)

    def _quota(self, account: Account, operation: Operation, quota: Quota) -> Lane:
        if quota.scope == "application":
            key = BucketKey(account.own, operation.key, quota.name)
            lane = self._shared.get(key)
            if lane is None:
                lane = self._shared[key] = Lane(quota.plan, limit=quota.name, is_shared=True)
            return lane
        key = BucketKey(account, operation.key, quota.name)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._aside.pop(key) if key in self._aside else Lane(quota.plan, limit=quota.name)
            self._lanes[key] = lane
        return lane
