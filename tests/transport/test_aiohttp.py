"""Our engine by itself, as any user of httpx can use it: streams both ways, exact errors, nothing left behind."""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading

import httpx
import pytest
import pytest_asyncio

from spapi_async.transport.aiohttp import AiohttpTransport

pytestmark = pytest.mark.asyncio

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"


@pytest_asyncio.fixture
async def transport():
    """One place for connections, so that a leak is missed at once."""
    async with AiohttpTransport(max_connections=1) as transport:
        yield transport


@pytest_asyncio.fixture
async def client(transport):
    """httpx's client over our engine; it asks for gzip, sends its own headers and sets timeouts."""  # noqa: D403
    async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=5) as client:
        yield client


async def test_it_serves_httpx_s_client(client, server):
    """`httpx.AsyncClient` works over it: headers as it writes them, and bodies that it decodes itself."""
    body = gzip.compress(b"hello" * 100)

    def script(line):
        line.read()
        line.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    where = server(script)
    response = await client.get(f"{where.url}/a?b=c", headers={"X-Own": "1"})
    assert response.content == b"hello" * 100
    head = where.requests[0][0].decode()
    assert head.startswith("GET /a?b=c HTTP/1.1\r\n")
    assert "X-Own: 1" in head
    assert "aiohttp" not in head


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_it_adds_no_headers(method, transport, server):
    """A request goes out with the headers that it has, and no others."""
    where = server()
    request = httpx.Request(method, where.url, content=b"x")
    await transport.handle_async_request(request)
    assert where.requests[0][0].decode().split("\r\n")[1:] == [f"Host: 127.0.0.1:{where.port}", "Content-Length: 1"]


async def test_a_body_from_a_generator(client, server):
    """A body of unknown length goes out in chunks, as it is produced."""

    async def parts():
        yield b"hello "
        yield b"x" * 100_000

    where = server()
    await client.post(where.url, content=parts())
    head, body = where.requests[0]
    assert head.lower().count(b"transfer-encoding: chunked") == 1
    assert body == b"6\r\nhello \r\n10000\r\n" + b"x" * 65_536 + b"\r\n86a0\r\n" + b"x" * 34_464 + b"\r\n0\r\n\r\n"


async def test_a_body_from_a_generator_with_its_length(client, server):
    """With a length given, the body goes out as it is: S3 takes no chunks."""

    async def parts():
        yield b"hello"
        yield b"you"

    where = server()
    await client.put(where.url, content=parts(), headers={"Content-Length": "8"})
    head, body = where.requests[0]
    assert b"transfer-encoding" not in head.lower()
    assert body == b"helloyou"


async def test_a_generator_that_fails(client, server):
    """When the body cannot be produced the exchange ends, and its place is free again."""

    async def parts():
        yield b"x" * 100
        raise LookupError("no more")

    with pytest.raises(httpx.WriteError):
        await client.post(server(lambda line: line.read()).url, content=parts())
    assert (await client.get(server().url)).status_code == 200


async def test_a_response_as_it_comes(client, server):
    """A streamed response gives pieces before the whole is there; read to its end, its connection is used again."""
    go_on = threading.Event()

    def script(line):
        while True:
            line.read()
            line.send(LENGTH + b"he")
            go_on.wait(5)
            line.send(b"llo")

    where = server(script)
    for _ in range(2):
        go_on.clear()
        async with client.stream("GET", where.url) as response:
            pieces = response.aiter_bytes()
            assert await anext(pieces) == b"he"
            go_on.set()
            assert b"".join([piece async for piece in pieces]) == b"llo"
    assert len(where.lines) == 1


async def test_a_response_that_is_not_read(client, server):
    """Closing a response before its end closes its connection, and its place is free again."""
    closed = threading.Event()

    def script(line):
        line.read()
        line.send(LENGTH + b"he")
        line.hang()
        closed.set()

    async with client.stream("GET", server(script).url):
        pass
    assert (await client.get(server().url)).status_code == 200
    assert await asyncio.to_thread(closed.wait, 5)


async def test_an_answer_before_the_body_is_written(client, server):
    """A server may answer early, as with 413; its answer is read although the body is still under way."""

    def script(line):
        line.sock.recv(1000)
        line.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        line.server.over.wait(5)

    response = await client.post(server(script).url, content=bytes(20_000_000))
    assert response.status_code == 413
    assert (await client.get(server().url)).status_code == 200


async def test_a_target_that_cannot_be_kept_is_not_sent(transport, server):
    """What would be altered on the way is refused instead; nothing is sent."""
    where = server()
    request = httpx.Request("GET", where.url, extensions={"target": b"/a?"})
    with pytest.raises(httpx.LocalProtocolError):
        await transport.handle_async_request(request)
    assert where.lines == []


async def test_a_header_that_cannot_be_sent(transport, server):
    """A line break in a header is refused, and so is what is not ASCII."""
    where = server()
    for value in (b"a\r\nb: c", "é".encode()):
        with pytest.raises(httpx.LocalProtocolError):
            await transport.handle_async_request(httpx.Request("GET", where.url, headers=[(b"X-Own", value)]))
    assert where.requests == []


def hang(line):
    line.hang()


def stop_reading(line):
    line.sock.recv(1000)
    line.server.over.wait(5)


def reset_while_reading(line):
    line.sock.recv(1000)
    line.reset()


def reset_after_reading(line):
    line.read()
    line.reset()


def close_after_reading(line):
    line.read()


def cut_in_the_body(line):
    line.read()
    line.send(LENGTH + b"he")


def reset_in_the_body(line):
    line.read()
    line.send(LENGTH + b"he")
    line.server.over.wait(0.02)
    line.reset()


def garbage(line):
    line.read()
    line.send(b"220 smtp.example ESMTP\r\n")


BIG = bytes(16_000_000)


@pytest.mark.parametrize(
    ("script", "timeout", "body", "error"),
    [
        (hang, {"read": 0.05}, b"", httpx.ReadTimeout),
        (hang, {"total": 0.05}, b"", httpx.ReadTimeout),
        (stop_reading, {"write": 0.05}, BIG, httpx.WriteTimeout),
        (stop_reading, {"total": 0.05}, BIG, httpx.WriteTimeout),
        (reset_while_reading, {}, BIG, httpx.WriteError),
        (reset_after_reading, {}, b"x", httpx.ReadError),
        (close_after_reading, {}, b"x", httpx.RemoteProtocolError),
        (cut_in_the_body, {}, b"", httpx.RemoteProtocolError),
        (reset_in_the_body, {}, b"", (httpx.ReadError, httpx.RemoteProtocolError)),
        (garbage, {}, b"", httpx.RemoteProtocolError),
    ],
)
async def test_errors_are_httpx_s(script, timeout, body, error, client, server):
    """Each kind of fault is the class that httpx's own engine raises for it."""
    with pytest.raises(error):
        await client.request("POST", server(script).url, content=body, extensions={"timeout": timeout})


async def test_errors_before_the_request(transport, client, server):
    """Refused is `ConnectError`; too slow to connect, or no place free in the pool, are timeouts of their own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(httpx.ConnectError):
        await client.get(f"http://127.0.0.1:{port}")
    with pytest.raises(httpx.ConnectTimeout):
        await client.get(
            server(hang).url.replace("http", "https"), extensions={"timeout": {"connect": 0.05, "pool": 5}}
        )
    where = server(hang)
    first = asyncio.create_task(client.get(where.url))
    await asyncio.to_thread(where.heard.wait, 5)
    with pytest.raises(httpx.PoolTimeout):
        await client.get(where.url, extensions={"timeout": {"connect": 0.03, "pool": 0.03}})
    first.cancel()
    await asyncio.wait([first])
    assert (await client.get(server().url)).status_code == 200


@pytest.mark.parametrize("moment", ["looking up", "waiting for a place"])
async def test_cancelled_before_the_request(moment, client, server, monkeypatch):
    """A request that is cancelled before it has a connection takes no place from others."""
    where = server(hang)
    over = threading.Event()
    first = asyncio.create_task(client.get(where.url))
    await asyncio.to_thread(where.heard.wait, 5)
    if moment == "looking up":
        first.cancel()
        await asyncio.wait([first])
        original = socket.getaddrinfo
        monkeypatch.setattr(
            socket,
            "getaddrinfo",
            lambda host, *args, **kwargs: over.wait(5) if host == "slow.invalid" else original(host, *args, **kwargs),
        )
    second = asyncio.create_task(client.get("http://slow.invalid"))
    await asyncio.sleep(0.02)
    second.cancel()
    first.cancel()
    await asyncio.wait([first, second])
    assert second.cancelled()
    over.set()
    assert (await client.get(server().url)).status_code == 200


async def test_closing_ends_what_is_under_way(transport, client, server):
    """Whoever waits for a place or a reply when the transport is closed gets an error, and is not cancelled."""
    where = server(hang)
    first = asyncio.create_task(client.get(where.url))
    await asyncio.to_thread(where.heard.wait, 5)
    second = asyncio.create_task(client.get(where.url))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await transport.aclose()
    with pytest.raises(httpx.RemoteProtocolError):
        await first
    with pytest.raises(httpx.ConnectError):
        await second
    assert len(where.lines) == 1


async def test_timeouts_are_always_there(transport):
    """A request that sets no timeouts, or None, gets those of the engine: nothing waits for ever."""
    from spapi_async.transport.aiohttp import DEFAULT_TIMEOUT, _Exchange

    for extensions in ({}, {"timeout": {}}, {"timeout": {"connect": None, "read": None, "write": None, "pool": None}}):
        exchange = _Exchange(extensions)
        assert exchange.connect == exchange.write == exchange.timeout.sock_read == DEFAULT_TIMEOUT
        assert exchange.timeout.connect == 2 * DEFAULT_TIMEOUT


async def test_it_opens_again_after_it_was_closed(transport, server):
    """Closing is no end: a further request opens a new session."""
    where = server()
    for _ in range(2):
        response = await transport.handle_async_request(httpx.Request("GET", where.url))
        assert await response.aread() == b"{}"
        await transport.aclose()
    assert len(where.lines) == 2


async def test_its_default_certificates_are_certifi_s(transport):
    """Without a context of your own, TLS trusts certifi's list and checks host names, whatever the environment says."""
    context = transport._tls()
    assert context.check_hostname
    assert context.cert_store_stats()["x509_ca"] > 50
    assert transport._tls() is context
