from __future__ import annotations

import pytest

from spapi_async.apis import catalog
from spapi_async.errors import ConfigError
from spapi_async.operation import UsagePlan
from spapi_async.sandbox.names import by_operation


def test_the_more_exact_name_wins() -> None:
    """A full name goes before `module.*`, and that before `*`, in whatever order they are given."""
    exact, module, all_ = UsagePlan(1, 1), UsagePlan(2, 2), UsagePlan(3, 3)
    plans = by_operation({"orders_v0.get_order": exact, "*": all_, "orders_v0.*": module}, catalog())
    assert exact == plans["orders_v0.get_order"]
    assert module == plans["orders_v0.get_orders"]
    assert all_ == plans["messaging_v1.get_attributes"]


@pytest.mark.parametrize(
    ("name", "near"), [("orders_v0.get_ordr", "orders_v0.get_order"), ("order_v0.*", "orders_v0.*")]
)
def test_an_unknown_name_is_refused(name: str, near: str) -> None:
    """A mistyped name is an error that tells what was probably meant."""
    with pytest.raises(ConfigError, match=near.replace("*", r"\*")):
        by_operation({name: UsagePlan(1, 1)}, catalog())
