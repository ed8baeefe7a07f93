from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from spapi_async.jobs.doubt import can_tell
from spapi_async.jobs.kinds import KINDS
from spapi_async.jobs.row import Row, State

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
REVIEW, MESSAGE = KINDS["productReviewAndSellerFeedback"], KINDS["confirmOrderDetails"]


def row(kind: str, ago: timedelta, **columns: str) -> Row:
    body = {"marketplace_id": "A1PA6795UKMFR9", **columns}
    settled = (NOW - ago).timestamp()
    return Row(number=2, kind=kind, order_id="902-1", body=body, state=State.IN_DOUBT, settled=settled)


@pytest.mark.parametrize(
    ("ago", "columns", "expected"),
    [
        (timedelta(hours=1), {}, True),
        (timedelta(hours=25), {}, False),
        (timedelta(hours=25), {"latest_delivery_date": "2026-05-01T00:00Z"}, True),
        (timedelta(hours=1), {"latest_delivery_date": "2026-04-20T11:59Z"}, False),
    ],
    ids=["just now", "a day later", "within its dates", "its time is over"],
)
def test_amazon_can_tell_of_a_solicitation_until_its_time_is_over(
    ago: timedelta, columns: dict[str, str], expected: bool
) -> None:
    """What an order takes once vanishes from Amazon's list when it was sent, and also when its time is over."""
    assert can_tell(REVIEW, row(REVIEW.name, ago, **columns), NOW) is expected


def test_amazon_cannot_tell_of_a_message() -> None:
    """Of messages that may be repeated no list says whether one was sent."""
    assert not can_tell(MESSAGE, row(MESSAGE.name, timedelta(hours=1)), NOW)
