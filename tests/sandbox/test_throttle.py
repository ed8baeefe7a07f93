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
ITEM, NOW = "catalog_items_2022_04_01.get_catalog_item", 1000.0


def _throttle(clock: Any, **given: Any) -> Throttle:
    return Throttle(
        catalog(), clock, **{"plans": None, "tokens": None, "eat": None, "application_rates": None, **given}
    )


def _rate(throttle: Throttle, seller: str, key: str = ORDER) -> float:
    return throttle.bucket(key, Grant(client_id="app", seller=seller, expires_at=0.0), 1000.0).plan.rate


def _take(throttle: Throttle, sellers: str, key: str = ITEM, client_id: str = "app") -> str:
    """Call once for each selling partner; tell who passed."""
    grants = [Grant(client_id=client_id, seller=seller, expires_at=0.0) for seller in sellers]
    return "".join(grant.seller for grant in grants if throttle.take(key, grant, NOW)[0])


def _limits(throttle: Throttle, limit: str = "application") -> dict[str | None, tuple[float, int, int]]:
    return {
        bucket["seller"]: (bucket["rate"], len(bucket["arrivals"]), bucket["throttled"])
        for bucket in throttle.report()
        if bucket["limit"] == limit
    }


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


def test_all_selling_partners_of_an_application_share_a_limit(clock: Any) -> None:
    """They have a bucket of one second's calls together, beside that of each of them; another application has its."""
    throttle = _throttle(clock, application_rates={ITEM: 3})
    assert _take(throttle, "ABCDE") == "ABC"
    assert _take(throttle, "A", client_id="other") == "A"
    assert _take(throttle, "A", ORDER) == "A"


def test_a_refused_call_takes_a_token_of_neither_bucket(clock: Any) -> None:
    """Whichever of the two is empty, the other keeps its tokens, and the empty one counts the refusal."""
    throttle = _throttle(clock, plans={ITEM: UsagePlan(1, 2)}, application_rates={ITEM: 3})
    assert _take(throttle, "AAAAABB") == "AAB"
    assert _limits(throttle) == {None: (3, 3, 1)}
    assert _limits(throttle, "usage plan") == {"A": (1, 2, 3), "B": (1, 1, 0)}
    throttle.set_application_rate(ITEM, None)
    assert _take(throttle, "BB") == "B"


def test_which_operations_have_a_limit_of_the_application(clock: Any) -> None:
    """Those for which Amazon names one; given ones replace it, and None takes it away. A slow one has a burst of 1."""
    throttle = _throttle(clock)
    assert (_take(throttle, "A"), _take(throttle, "A", ORDER)) == ("A", "A")
    [bucket] = [bucket for bucket in throttle.report() if bucket["limit"] == "application"]
    assert (bucket["operation"], bucket["seller"], bucket["rate"], bucket["burst"]) == (ITEM, None, 250, 250)
    throttle = _throttle(clock, application_rates={"*": None, ORDER: 0.5})
    assert (_take(throttle, "AB"), _take(throttle, "AB", ORDER)) == ("AB", "A")
    assert _limits(throttle) == {None: (0.5, 1, 1)}


def test_the_limit_of_an_application_can_change(clock: Any) -> None:
    """Tokens stay as far as the new burst has room for them; a new limit begins full; a restart brings back the old."""
    throttle = _throttle(clock, application_rates={ITEM: 4})
    assert _take(throttle, "A") == "A"
    throttle.set_application_rate("catalog_items_2022_04_01.*", 2)
    assert _take(throttle, "BCD") == "BC"
    throttle.set_application_rate(ITEM, 8)
    assert _take(throttle, "D") == ""
    throttle.set_application_rate(ITEM, None)
    assert (_take(throttle, "D"), _limits(throttle)) == ("D", {})
    throttle.set_application_rate("*", 1)
    assert (_take(throttle, "EF"), _take(throttle, "AB", ORDER)) == ("E", "A")
    throttle.restart()
    assert _take(throttle, "ABCDE") == "ABCD"


@pytest.mark.parametrize("number", [0, -1, math.nan, math.inf])
def test_rates_that_no_application_can_have(clock: Any, number: float) -> None:
    """It is finite and above 0, or None; refused from the start, and later without any effect."""
    with pytest.raises(ConfigError, match="above 0, or none"):
        _throttle(clock, application_rates={ITEM: number})
    throttle = _throttle(clock, application_rates={ITEM: 1})
    with pytest.raises(ConfigError, match="above 0, or none"):
        throttle.set_application_rate(ITEM, number)
    assert _take(throttle, "AB") == "A"


def test_an_unseen_consumer_has_a_limit(clock: Any) -> None:
    """Its calls are counted one by one, so that more than 1000 a second would slow all others down."""
    with pytest.raises(ConfigError, match="0 to 1000, not 1001"):
        _throttle(clock, eat={"*": 1001})


@pytest.mark.parametrize("what", ["plans", "tokens", "eat", "application_rates"])
def test_an_unknown_name(clock: Any, what: str) -> None:
    """A mistyped name is an error that tells what was probably meant."""
    value: Any = UsagePlan(1, 1) if what == "plans" else 1.0
    with pytest.raises(ConfigError, match=r"orders_v0\.get_order"):
        _throttle(clock, **{what: {"orders_v0.get_ordr": value}})
    throttle = _throttle(clock)
    change: Any = {
        "plans": throttle.set_plan,
        "tokens": throttle.set_tokens,
        "eat": throttle.eat,
        "application_rates": throttle.set_application_rate,
    }[what]
    of_all = {} if what == "application_rates" else {"seller": None}
    with pytest.raises(ConfigError, match=r"orders_v0\.get_order"):
        change("orders_v0.get_ordr", value, **of_all)
