from __future__ import annotations

import math
from typing import Any

import pytest

from spapi_async.apis import catalog
from spapi_async.errors import ConfigError
from spapi_async.operation import UsagePlan
from spapi_async.sandbox.lwa import Grant
from spapi_async.sandbox.throttle import Throttle

ORDER, ORDERS = "orders_v0.get_order", "orders_v0.get_orders"


def _throttle(clock: Any, **given: Any) -> Throttle:
    return Throttle(catalog(), clock, **{"plans": None, "tokens": None, "eat": None, **given})


def _rate(throttle: Throttle, seller: str, key: str = ORDER) -> float:
    return throttle.bucket(key, Grant(client_id="app", seller=seller, expires_at=0.0), 1000.0).plan.rate


def test_the_last_change_counts(clock: Any) -> None:
    """Whether it names an operation or all, one selling partner or none, and whether they have called or not."""
    throttle = _throttle(clock, plans={"*": UsagePlan(1, 1)})
    assert (_rate(throttle, "A"), _rate(throttle, "A", ORDERS)) == (1, 1)
    throttle.set_plan(ORDER, UsagePlan(2, 1), seller="A")
    throttle.set_plan(ORDER, UsagePlan(3, 1), seller="B")
    assert [_rate(throttle, seller) for seller in "ABC"] == [2, 3, 1]
    throttle.set_plan("orders_v0.*", UsagePlan(4, 1), seller=None)
    assert [_rate(throttle, seller) for seller in "ABCD"] == [4, 4, 4, 4]
    throttle.set_plan("*", UsagePlan(5, 1), seller="D")
    assert [_rate(throttle, seller, ORDERS) for seller in "AD"] == [4, 5]
    throttle.restart()
    assert [_rate(throttle, seller) for seller in "ABD"] == [1, 1, 1]


def test_tokens_and_eaters_of_one_selling_partner(clock: Any) -> None:
    """They too hold for one selling partner alone, and for a bucket that comes later as for one that is there."""
    throttle = _throttle(clock)
    for seller in "A", "B":
        _rate(throttle, seller)
    for seller in "A", "C":
        throttle.set_tokens(ORDER, 0, seller=seller)
        throttle.eat(ORDER, 3.0, seller=seller)
    for seller in "C", "D":
        _rate(throttle, seller)
    found = {key[1]: (bucket.tokens, bucket.eating) for key, bucket in throttle._buckets.items()}
    assert found == {"A": (0, 3), "B": (30, 0), "C": (0, 3), "D": (30, 0)}


def test_what_is_given_by_name(clock: Any) -> None:
    """Among what is given from the start the more exact name wins, for tokens and eaters as for plans."""
    throttle = _throttle(clock, tokens={ORDER: 5, "*": 1}, eat={"orders_v0.*": 2, ORDERS: 0})
    for key in ORDER, ORDERS:
        _rate(throttle, "A", key)
    assert [(b.tokens, b.eating) for b in throttle._buckets.values()] == [(5, 2), (1, 0)]


@pytest.mark.parametrize("number", [-1, math.nan, math.inf, -math.inf])
def test_numbers_that_cannot_be(clock: Any, number: float) -> None:
    """Tokens and rates are finite and not negative; refused from the start, and later without any effect."""
    throttle = _throttle(clock)
    for given in {"tokens": {ORDER: number}}, {"eat": {ORDER: number}}:
        with pytest.raises(ConfigError, match="must be"):
            _throttle(clock, **given)
    for change in throttle.set_tokens, throttle.eat:
        with pytest.raises(ConfigError, match="must be"):
            change(ORDER, number, seller=None)
    _rate(throttle, "A")
    assert [(b.tokens, b.eating) for b in throttle._buckets.values()] == [(30, 0)]


def test_an_unseen_consumer_has_a_limit(clock: Any) -> None:
    """Its calls are counted one by one, so that more than 1000 a second would slow all others down."""
    with pytest.raises(ConfigError, match="0 to 1000, not 1001"):
        _throttle(clock, eat={"*": 1001})


@pytest.mark.parametrize("what", ["plans", "tokens", "eat"])
def test_an_unknown_name(clock: Any, what: str) -> None:
    """A mistyped name is an error that tells what was probably meant."""
    value: Any = UsagePlan(1, 1) if what == "plans" else 1.0
    with pytest.raises(ConfigError, match=r"orders_v0\.get_order"):
        _throttle(clock, **{what: {"orders_v0.get_ordr": value}})
    throttle = _throttle(clock)
    change: Any = {"plans": throttle.set_plan, "tokens": throttle.set_tokens, "eat": throttle.eat}[what]
    with pytest.raises(ConfigError, match=r"orders_v0\.get_order"):
        change("orders_v0.get_ordr", value, seller=None)
