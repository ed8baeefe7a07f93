"""The three ways of docs/how-to/testing.md to test one's own code: nothing of them reaches a socket."""

from __future__ import annotations

import socket
from typing import Any, NoReturn

import httpx
import pytest
import respx

from spapi_async import SellingPartner
from spapi_async.sandbox import Sandbox

ORDER = "902-1845936-5435065"
TOKEN = {"access_token": "Atza|test", "token_type": "bearer", "expires_in": 3600}
REPLY = {"payload": {"AmazonOrderId": ORDER, "OrderStatus": "Shipped"}}


def _mock() -> httpx.AsyncBaseTransport:
    def amazon(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=TOKEN if request.url.path == "/auth/o2/token" else REPLY)

    return httpx.MockTransport(amazon)


def _respx() -> httpx.AsyncBaseTransport:
    router = respx.Router()
    router.post(path="/auth/o2/token").respond(json=TOKEN)
    router.get(path=f"/orders/v0/orders/{ORDER}").respond(json=REPLY)
    return httpx.MockTransport(router.async_handler)


def _sandbox() -> httpx.AsyncBaseTransport:
    return httpx.ASGITransport(app=Sandbox())


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("something tried to reach the network")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.anyio
@pytest.mark.usefixtures("no_sockets")
@pytest.mark.parametrize("make", [_mock, _respx, _sandbox])
async def test_a_transport_that_is_handed_in_is_the_only_way_out(make: Any) -> None:
    """With MockTransport, respx or the sandbox as `transport=`, token and call go through it and nowhere else."""
    async with SellingPartner(
        client_id="any",
        client_secret="any",
        refresh_token="Atzr|SELLER1",
        endpoint="http://sandbox",
        lwa_endpoint="http://sandbox/auth/o2/token",
        transport=make(),
    ) as sp:
        reply = await sp.orders_v0.get_order(order_id=ORDER)
    assert reply.payload is not None
    assert reply.payload.amazon_order_id == ORDER


@pytest.mark.anyio
@pytest.mark.usefixtures("no_sockets")
async def test_without_one_the_call_would_reach_a_socket() -> None:
    """The test above would see a client that went its own way."""
    async with SellingPartner(
        client_id="any", client_secret="any", refresh_token="any", endpoint="http://127.0.0.1:9"
    ) as sp:
        with pytest.raises(AssertionError, match="reach the network"):
            await sp.orders_v0.get_order(order_id=ORDER)
