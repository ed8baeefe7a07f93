"""Transports that a user hands in: mocks, apps in the same process, and engines that we do not know."""

from __future__ import annotations

import anyio
import httpx
import pytest
import respx

from spapi_async.errors import (
    ConnectError,
    ConnectionLostError,
    ConnectTimeoutError,
    OutcomeUnknownError,
    ReadTimeoutError,
)
from spapi_async.operation import Timeouts

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    """Nothing here depends on an engine, only on the event loop."""
    return request.param


@pytest.fixture
def no_sockets(monkeypatch):
    """Fail when something connects."""

    def refuse(*args, **kwargs):
        raise AssertionError("something reached for a socket")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)


async def test_a_mock_transport(tools, no_sockets):
    """`httpx.MockTransport` stands in for the network: its handler sees URL, headers and body of each request."""

    def handler(request):
        assert request.url == "https://api.example/r?a=b%2Fc"
        assert request.url.params["a"] == "b/c"
        assert request.headers["user-agent"] == "tests/1 (Language=Python)"
        assert request.content == b""
        return httpx.Response(200, json={"ok": True}, headers={"X-Amzn-RequestId": "id-4"})

    wire = tools.wire(httpx.MockTransport(handler), "https://api.example")
    reply = await wire.exchange(tools.read.call(query=[("a", "b/c")]))
    assert (reply.body, reply.request_id) == (b'{"ok":true}', "id-4")


async def test_respx(tools, no_sockets):
    """A respx router answers through `httpx.MockTransport(router.async_handler)`, and nothing reaches a socket."""
    router = respx.Router()
    route = router.post("https://api.example/w", json={"text": "hi"}).respond(201, json={"done": 1})
    wire = tools.wire(httpx.MockTransport(router.async_handler), "https://api.example")
    assert (await wire.exchange(tools.write.call(body=b'{"text": "hi"}'))).body == b'{"done":1}'
    assert route.call_count == 1
    assert route.calls.last.request.headers["content-length"] == "14"


async def test_an_asgi_app(tools, no_sockets):
    """`httpx.ASGITransport` calls an app in the same process, which sees the encoded path."""

    async def app(scope, receive, send):
        body = (await receive())["body"]
        assert (scope["method"], scope["raw_path"], body) == ("POST", b"/w", b"{}")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-amzn-requestid", b"id-5")]})
        await send({"type": "http.response.body", "body": b"[]"})

    wire = tools.wire(httpx.ASGITransport(app), "http://app")
    reply = await wire.exchange(tools.write.call(body=b"{}"))
    assert (reply.body, reply.request_id) == (b"[]", "id-5")


@pytest.mark.parametrize(
    ("raised", "kind", "had_begun"),
    [
        (httpx.ConnectError, ConnectError, False),
        (httpx.ProxyError, ConnectError, False),
        (httpx.UnsupportedProtocol, ConnectError, False),
        (httpx.ConnectTimeout, ConnectTimeoutError, False),
        (httpx.PoolTimeout, ConnectTimeoutError, False),
        (httpx.ReadTimeout, ReadTimeoutError, True),
        (httpx.WriteTimeout, ReadTimeoutError, True),
        (httpx.ReadError, ConnectionLostError, True),
        (httpx.WriteError, ConnectionLostError, True),
        (httpx.CloseError, ConnectionLostError, True),
        (httpx.RemoteProtocolError, ConnectionLostError, True),
        (httpx.LocalProtocolError, ConnectionLostError, True),
        (ConnectionResetError, ConnectionLostError, True),
        (httpx.DecodingError, ConnectionLostError, True),
    ],
)
async def test_failures_of_a_transport_handed_in(raised, kind, had_begun, tools):
    """A transport that does not tell when a request begins is believed about the time before; else it had begun."""

    def handler(request):
        raise raised("oh")

    wire = tools.wire(httpx.MockTransport(handler), "https://api.example")
    with pytest.raises(kind) as caught:
        await wire.exchange(tools.read.call())
    assert caught.value.had_begun is had_begun
    with pytest.raises(OutcomeUnknownError if had_begun else kind):
        await wire.exchange(tools.write.call())


async def test_an_engine_that_contradicts_itself(tools):
    """A connect error is no proof that nothing was sent once the engine has told that the request began."""

    async def handler(request):
        await request.extensions["trace"]("http11.send_request_headers.started", {})
        raise httpx.ConnectError("not at all")

    wire = tools.wire(httpx.MockTransport(handler), "https://api.example")
    with pytest.raises(OutcomeUnknownError):
        await wire.exchange(tools.write.call())


async def test_a_tunnel_is_not_the_request(tools):
    """Asking a proxy for a tunnel sends nothing to Amazon yet."""

    class Proxied(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request):
            info = {"request": httpx.Request("CONNECT", "http://proxy")}
            info["request"].method = b"CONNECT"
            await request.extensions["trace"]("http11.send_request_headers.started", info)
            raise httpx.ReadTimeout("the proxy is silent")

    with pytest.raises(ConnectTimeoutError) as caught:
        await tools.wire(Proxied(), "https://api.example").exchange(tools.write.call())
    assert caught.value.had_begun is False


async def test_the_total_time_bounds_any_transport(tools):
    """A transport that knows no timeouts is cut off when the whole time is up."""

    async def handler(request):
        await anyio.sleep(60)

    wire = tools.wire(httpx.MockTransport(handler), "https://api.example", Timeouts(total=0.02))
    with pytest.raises(ReadTimeoutError, match=r"longer than 0\.02 s") as caught:
        await wire.exchange(tools.read.call())
    assert caught.value.had_begun is True


async def test_a_bug_in_a_handler_is_not_hidden(tools):
    """What is no failure of the network goes through as it is, as a failed assertion in a test's own handler."""

    def handler(request):
        raise AssertionError("the test says no")

    with pytest.raises(AssertionError, match="the test says no"):
        await tools.wire(httpx.MockTransport(handler), "https://api.example").exchange(tools.read.call())
