"""The shapes that travel."""

from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given, strategies as st

from spapi_async.operation import Operation, Timeouts, UsagePlan

SKU = Operation(
    module="test_v0", name="get", operation_id="get", method="GET", path="/items/{seller}/{sku}", plan=UsagePlan(1, 1)
)
GREEDY = Operation(
    module="test_v0",
    name="upload",
    operation_id="upload",
    method="POST",
    path="/destinations/{resource}",
    plan=UsagePlan(1, 1),
    greedy=frozenset({"resource"}),
)


def test_the_key_names_the_operation() -> None:
    """Plans, logs and errors name an operation by module and method."""
    assert SKU.key == "test_v0.get"


def test_a_slash_in_a_path_value_is_encoded() -> None:
    """A SKU may hold a slash, a blank or a percent sign; it must not make a new segment."""
    assert SKU.call({"seller": "A1", "sku": "a/b c%d"}).target == "/items/A1/a%2Fb%20c%25d"


def test_a_greedy_path_value_keeps_its_slashes() -> None:
    """The resource of an upload is a path itself."""
    call = GREEDY.call({"resource": "messaging/v1/orders/1 2/messages/legalDisclosure"})
    assert call.target == "/destinations/messaging/v1/orders/1%202/messages/legalDisclosure"


def test_a_value_that_looks_like_a_template_is_data() -> None:
    """Braces in a value are encoded, so a value cannot be taken for the next placeholder."""
    assert SKU.call({"seller": "{sku}", "sku": "x"}).target == "/items/%7Bsku%7D/x"


def test_the_query_keeps_its_order_and_encodes_plus() -> None:
    """Blanks are %20 and a plus is %2B: nothing depends on which of two readings a gateway has."""
    assert SKU.call({"seller": "a", "sku": "b"}, [("z", "1 2"), ("a", "x+y,z")]).query == "z=1%202&a=x%2By%2Cz"


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_the_way(sku: str, value: str) -> None:
    """Whatever stands in a path or query value, the server reads it as it was."""
    parts = urlsplit("https://host" + SKU.call({"seller": "s", "sku": sku}, [("q", value)]).target)
    assert unquote(parts.path.split("/")[3]) == sku
    assert parse_qsl(parts.query, keep_blank_values=True) == [("q", value)]


@pytest.mark.parametrize(
    ("rate", "burst"), [(0, 1), (-1, 1), (float("nan"), 1), (float("inf"), 1), (1, 0.5), (1, 0), ("1", 1), (1, None)]
)
def test_a_plan_that_cannot_be_is_refused(rate: float, burst: float) -> None:
    """A rate must be above 0, and a bucket must hold at least the one token that a call takes."""
    with pytest.raises(ValueError, match=r"(rate|burst) must be"):
        UsagePlan(rate, burst)


def test_timeouts_must_end() -> None:
    """No timeout can be switched off: every wait has an end."""
    with pytest.raises(ValueError, match="read"):
        Timeouts(read=float("inf"))


def test_a_call_does_not_show_its_headers_or_body() -> None:
    """The repr of a call holds neither its token nor what is said to the buyer."""
    call = SKU.call({"seller": "s", "sku": "x"}, headers={"x-amz-access-token": "Atza|s"}, body=b"Dear Jane")
    assert "Atza" not in repr(call)
    assert "Jane" not in repr(call)
