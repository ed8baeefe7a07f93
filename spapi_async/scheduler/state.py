"""What a bucket looks like from outside."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from ..operation import Priority, UsagePlan
from .keys import BucketKey
from .lanes import Lane, predict

__all__ = ["BucketState", "state_of"]


@attrs.frozen(kw_only=True)
class BucketState:
    """What a bucket looks like now.

    Args:
        operation: As in `orders_v0.get_orders`; `*` on Amazon's own sandbox, where one bucket serves everything.
        selling_partner: Amazon's id, or a digest of the refresh token; "" for the application's own bucket.
        endpoint: The URL of the region's deployment.
        limit: "" for the usage plan, `application` for the application's limit over all its selling partners, or the
            name of a quota that was declared with a call.
        plan: The rate and burst in force; its `source` is `header` where a reply has named the rate.
        rate: Requests/s in use: the plan's, or less while others use it too.
        tokens: What should be in Amazon's bucket now.
        headroom: Seconds for which a token is left to ripen, because the way to Amazon varies.
        waiting: How many calls wait, by priority. For an application's limit, at most one of each selling partner.
        throttled: How many wait because Amazon answered them 429; they go first.
        wait: Seconds until a call of normal priority that came now would have its turn, by this bucket and, for a usage
            plan, the application's limit.
        in_flight: Calls under way.
        granted, refused, cancelled: Since the bucket was made: calls that got their turn, 429s, and calls that left the
            queue without a turn.
    """

    operation: str
    selling_partner: str
    endpoint: str
    limit: str
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


def state_of(key: BucketKey, lane: Lane, now: float) -> BucketState:
    """Describe a bucket."""
    *waiting, throttled = lane.queue.counts()
    return BucketState(
        operation=key.operation,
        selling_partner=key.account.selling_partner,
        endpoint=key.account.endpoint,
        limit=key.limit,
        plan=lane.plan,
        rate=lane.bucket.share.rate(now, lane.bucket.rate),
        tokens=lane.bucket.tokens(now),
        headroom=lane.bucket.headroom,
        waiting=dict(zip(Priority, waiting, strict=True)),
        throttled=throttled,
        wait=max(predict((lane, *lane.above), Priority.NORMAL, now)),
        in_flight=lane.in_flight,
        granted=lane.granted,
        refused=lane.refused,
        cancelled=lane.cancelled,
    )
