"""2xx replies that are no results, as the methods raise them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from spapi_async import DecodeError, SellingPartner, StatusError

pytestmark = pytest.mark.anyio

ERRORS = {"errors": [{"code": "InvalidInput", "message": "It is wrong.", "details": "Too late"}]}
ORDER = {"amazon_order_id": "902-1845936-5435065", "marketplace_ids": ["A1"]}


def client_of(body: Any, status: int = 200) -> SellingPartner:
    """Return a client that gets this body as its reply, whatever it calls."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "api.amazon.com":
            return httpx.Response(200, json={"access_token": "Atza|1", "expires_in": 3600})
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        return httpx.Response(status, headers={"x-amzn-RequestId": "R1"}, **content)

    return SellingPartner(
        client_id="c", client_secret="s", refresh_token="r", region="eu", transport=httpx.MockTransport(answer)
    )


@pytest.mark.parametrize("body", [ERRORS, {**ERRORS, "payload": None}])
async def test_errors_in_place_of_a_result(body: dict[str, Any]) -> None:
    """It is the error that Amazon's status should have been; of an operation that only reads, a repeat is safe."""
    async with client_of(body) as sp:
        with pytest.raises(StatusError) as caught:
            await sp.orders_v0.get_order(order_id="1")
    assert type(caught.value) is StatusError
    assert (caught.value.status, caught.value.code, caught.value.is_throttled) == (200, "InvalidInput", False)
    assert str(caught.value) == (
        "orders_v0.get_order: 200 with errors in place of a result: InvalidInput “It is wrong. Too late” "
        "(request id R1, safe to repeat: yes)"
    )


async def test_errors_in_place_of_the_result_of_a_write() -> None:
    """What was done all the same is not known, so a write is not to be repeated."""
    async with client_of(ERRORS, 201) as sp:
        with pytest.raises(StatusError) as caught:
            await sp.messaging_v1.create_warranty(**ORDER, body={})
    assert (caught.value.status, caught.value.is_retry_safe) == (201, False)


async def test_errors_beside_a_result() -> None:
    """They are a part of the reply, and the call did not fail."""
    async with client_of({**ERRORS, "payload": {"AmazonOrderId": "1"}}) as sp:
        reply = await sp.orders_v0.get_order(order_id="1")
    assert reply.payload.amazon_order_id == "1"
    assert reply.errors is not None
    assert reply.errors[0].code == "InvalidInput"


async def test_a_reply_that_cannot_be_read() -> None:
    """The call was done: the error says whether doing it twice would matter, and holds what came."""
    async with client_of(b"<html>") as sp:
        with pytest.raises(DecodeError) as caught:
            await sp.orders_v0.get_order(order_id="1")
        assert (caught.value.is_retry_safe, caught.value.body, caught.value.request_id) == (True, b"<html>", "R1")
        with pytest.raises(DecodeError) as caught:
            await sp.messaging_v1.create_warranty(**ORDER, body={})
        assert caught.value.is_retry_safe is False
        with pytest.raises(DecodeError) as caught:
            await sp.product_fees_v0.get_my_fees_estimates(body=[{"IdType": "ASIN", "IdValue": "B1"}])
        assert caught.value.is_retry_safe is True


async def test_errors_where_the_model_has_no_place_for_them() -> None:
    """Nothing, a list or a plain model is what these reply with; errors alone are the error all the same."""
    async with client_of(ERRORS) as sp:
        for pending in (
            sp.services_v1.cancel_reservation(reservation_id="x" * 100, marketplace_ids=["A1"]),
            sp.product_fees_v0.get_my_fees_estimates(body=[{"IdType": "ASIN", "IdValue": "B1"}]),
            sp.reports_2021_06_30.get_report(report_id="1"),
        ):
            with pytest.raises(StatusError, match="InvalidInput"):
                await pending


@pytest.mark.parametrize("body", [b"", b"OK", b"[]", {"code": "Done", "message": "It is."}, {"errors": []}])
async def test_a_body_that_nobody_asked_for(body: Any) -> None:
    """Where nothing comes back, a body without errors changes nothing."""
    async with client_of(body) as sp:
        await sp.feeds_2021_06_30.cancel_feed(feed_id="1")
