"""The table of wire faults: what each looks like to a caller, on every engine.

Each fault happens to a request that is safe to repeat and to one that is not. Whatever the library below says, the
server counts: no request is ever sent twice, and afterwards the one place in the pool is free again.
"""

from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator

import anyio
import attrs
import httpx
import pytest
import trustme

from spapi_async.errors import (
    CallError,
    ConnectError,
    ConnectionLostError,
    ConnectTimeoutError,
    OutcomeUnknownError,
    ReadTimeoutError,
    TransportError,
)
from spapi_async.operation import Call, Timeouts

pytestmark = pytest.mark.anyio

NORMAL = Timeouts(connect=5, read=5, total=10)
QUICK = Timeouts(connect=0.1, read=5, total=10)  # to connect
SHORT = Timeouts(connect=5, read=0.1, total=10)
BODY = gzip.compress(b'{"payload": "' + bytes(range(256)).hex().encode() * 20 + b'"}')


def close_unread(line):
    line.arrived()


def reset_unread(line):
    line.arrived()
    line.reset()


def close_read(line):
    line.read()


def reset_read(line):
    line.read()
    line.reset()


def answer(data: bytes, then: Callable = lambda line: None) -> Callable:
    """Read a request, answer it with these bytes, then go on or close."""

    def script(line):
        line.read()
        line.send(data)
        then(line)

    return script


def hang(line):
    line.hang()


def drip(line):
    with contextlib.suppress(OSError):
        while True:
            line.send(b"x")
            time.sleep(0.02)


def hang_on_handshake(line):
    line.arrived()
    line.hang()


@attrs.frozen
class Fault:
    name: str
    script: Callable
    error: type[TransportError]
    timeouts: Timeouts = NORMAL
    seen: int = 1
    """Requests that the server read whole."""


LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
FAULTS = [
    Fault("closed before reading", close_unread, ConnectionLostError, seen=0),
    Fault("reset before reading", reset_unread, ConnectionLostError, seen=0),
    Fault("closed after reading", close_read, ConnectionLostError),
    Fault("reset after reading", reset_read, ConnectionLostError),
    Fault("cut in the status line", answer(b"HTTP/1.1 20"), ConnectionLostError),
    Fault("cut in the headers", answer(b"HTTP/1.1 200 OK\r\nContent-Le"), ConnectionLostError),
    Fault("reset in the headers", answer(b"HTTP/1.1 200 OK\r\n", lambda line: line.reset()), ConnectionLostError),
    Fault("cut in the body", answer(LENGTH + b"{"), ConnectionLostError),
    Fault("reset in the body", answer(LENGTH + b"{", lambda line: line.reset()), ConnectionLostError),
    Fault(
        "cut in a chunk",
        answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe"),
        ConnectionLostError,
    ),
    Fault(
        "cut between chunks",
        answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
        ConnectionLostError,
    ),
    Fault(
        "gzip cut off",
        answer(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n" + BODY[:-20]),
        ConnectionLostError,
    ),
    Fault(
        "gzip broken",
        answer(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\nContent-Length: 20\r\n\r\n" + b"{" * 20
        ),
        ConnectionLostError,
    ),
    Fault("garbage", answer(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), ConnectionLostError),
    Fault("hangs before the reply", answer(b"", hang), ReadTimeoutError, SHORT),
    Fault("hangs in the headers", answer(b"HTTP/1.1 200 OK\r\n", hang), ReadTimeoutError, SHORT),
    Fault("hangs in the body", answer(LENGTH, hang), ReadTimeoutError, SHORT),
    Fault("drips", answer(LENGTH, drip), ReadTimeoutError, Timeouts(connect=5, read=5, total=0.1)),
    Fault("takes longer than the whole may", answer(b"", hang), ReadTimeoutError, Timeouts(read=5, total=0.1)),
]


async def failure(tools, wire, call: Call) -> CallError:
    with pytest.raises(CallError) as caught:
        await wire.exchange(call)
    return caught.value


async def check_pool(tools, transport, server) -> None:
    """A transport with one place can still make an exchange."""
    healthy = server()
    reply = await tools.wire(transport, healthy.url).exchange(tools.read.call())
    assert reply.body == b"{}"
    assert len(healthy.requests) == 1


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_a_fault_after_the_request_began(fault, tools, transport, server):
    """A repeatable request gets the kind of fault and may be repeated; an unsafe one gets an unknown outcome."""
    where = server(fault.script)
    wire = tools.wire(transport, where.url, fault.timeouts)
    for call in (tools.read.call(), tools.write.call(body=b'{"text": "hello"}')):
        where.requests.clear()
        error = await failure(tools, wire, call)
        if call.operation.repeatable:
            assert fault.error is type(error)
            assert error.is_retry_safe is True
            cause = error
        else:
            assert OutcomeUnknownError is type(error)
            assert error.is_retry_safe is False
            cause = error.__cause__
            assert fault.error is type(cause)
        assert cause.had_begun is True
        assert fault.seen == len(where.requests)
    assert len(where.lines) == 2, "something connected once more"
    await check_pool(tools, transport, server)


@contextlib.contextmanager
def refused(**_) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def unknown_host(monkeypatch, **_) -> Iterator[str]:
    def nobody(host, *args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", nobody)
        yield "http://nobody.invalid:80"


@contextlib.contextmanager
def slow_look_up(monkeypatch, **_) -> Iterator[str]:
    over = threading.Event()

    def slow(host, port, family=0, type=0, proto=0, flags=0):  # noqa: A002 - the original's names
        if not flags & socket.AI_NUMERICHOST:  # trio looks first whether it is a number, in the event loop itself
            over.wait(5)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure")
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", slow)
        yield "http://slow.invalid:80"
        over.set()


@contextlib.contextmanager
def full_backlog(**_) -> Iterator[str]:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):  # fills the queue that nobody empties; further connections get no answer
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def plain_server_for_tls(server, **_) -> Iterator[str]:
    yield server(lambda line: (line.arrived(), line.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"))).url.replace(
        "http", "https"
    )


@contextlib.contextmanager
def hangs_in_tls(server, **_) -> Iterator[str]:
    yield server(hang_on_handshake).url.replace("http", "https")


@contextlib.contextmanager
def closes_in_tls(server, **_) -> Iterator[str]:
    yield server(close_unread).url.replace("http", "https")


@contextlib.contextmanager
def self_signed(server, tools, **_) -> Iterator[str]:
    yield server(tls=tools.certified(trustme.CA())).url


@contextlib.contextmanager
def other_name(server, tools, **_) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tools.authority.issue_cert("elsewhere.example").configure_cert(context)
    yield server(tls=context).url


UNREACHABLE = [
    (refused, ConnectError, NORMAL, "Connection refused"),
    (unknown_host, ConnectError, NORMAL, "host name not found"),
    (plain_server_for_tls, ConnectError, NORMAL, "TLS failed"),
    (closes_in_tls, ConnectError, NORMAL, ""),
    (self_signed, ConnectError, NORMAL, "certificate was refused: "),
    (other_name, ConnectError, NORMAL, "certificate was refused: "),
    (slow_look_up, ConnectTimeoutError, QUICK, ""),
    (full_backlog, ConnectTimeoutError, QUICK, ""),
    (hangs_in_tls, ConnectTimeoutError, QUICK, ""),
    (full_backlog, ConnectTimeoutError, Timeouts(connect=5, read=5, total=0.1), ""),
]


@pytest.mark.parametrize(
    ("fault", "kind", "timeouts", "words"), UNREACHABLE, ids=lambda value: getattr(value, "__name__", "")
)
async def test_a_fault_before_the_request_began(fault, kind, timeouts, words, tools, transport, server, monkeypatch):
    """Where there is no connection nothing was sent, so even an unsafe request may be repeated."""
    with fault(tools=tools, server=server, monkeypatch=monkeypatch) as url:
        wire = tools.wire(transport, url, timeouts)
        for call in (tools.read.call(), tools.write.call(body=b'{"text": "hello"}')):
            error = await failure(tools, wire, call)
            assert kind is type(error)
            assert error.had_begun is False
            assert error.is_retry_safe is True
            assert words in str(error)
            assert url.partition("://")[2] in str(error)
    await check_pool(tools, transport, server)


async def test_a_server_that_closes_as_soon_as_it_accepts(tools, transport, server):
    """Whether bytes left is a race then, but the error and `had_begun` never contradict each other."""
    where = server(lambda line: None)
    wire = tools.wire(transport, where.url, NORMAL)
    for _ in range(5):
        error = await failure(tools, wire, tools.write.call(body=b"{}"))
        cause = error.__cause__ if isinstance(error, OutcomeUnknownError) else error
        assert cause.had_begun is isinstance(error, OutcomeUnknownError)
        assert (ConnectionLostError if cause.had_begun else ConnectError) is type(cause)
    assert where.requests == []
    assert len(where.lines) == 5


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_reused_connection_that_breaks_under_the_request(end, tools, transport, server):
    """A request on a kept connection is sent once: also a GET, which HTTP libraries like to send again."""

    def once(line):
        line.read()
        line.send(tools.ok)
        line.read()
        if end == "reset":
            line.reset()

    for call, kind in ((tools.read.call(), ConnectionLostError), (tools.write.call(body=b"{}"), OutcomeUnknownError)):
        where = server(once)
        wire = tools.wire(transport, where.url, NORMAL)
        await wire.exchange(tools.read.call())
        assert kind is type(await failure(tools, wire, call))
        assert len(where.requests) == 2
        assert len(where.lines) == 1
    await check_pool(tools, transport, server)


async def test_an_idle_connection_that_the_server_has_closed(tools, transport, server):
    """A new connection is made, even if the event loop had no time to hear of the end: nothing was sent on the old."""

    def one_each(line):
        line.read()
        line.send(tools.ok)

    where = server(one_each)
    wire = tools.wire(transport, where.url, NORMAL)
    for number in range(1, 4):
        assert (await wire.exchange(tools.write.call(body=b"{}"))).status == 200
        assert number == len(where.requests)
        time.sleep(0.03)  # noqa: ASYNC251 - the event loop must not come round before the next exchange
    assert len(where.lines) == 3


async def test_a_server_that_closes_while_a_large_body_is_written(tools, transport, server):
    """The request had begun, so its outcome is unknown, however little of it was read."""

    def quits(line):
        line.sock.recv(1000)
        line.reset()

    where = server(quits)
    error = await failure(tools, tools.wire(transport, where.url, NORMAL), tools.write.call(body=bytes(8_000_000)))
    assert OutcomeUnknownError is type(error)
    assert ConnectionLostError is type(error.__cause__)
    assert len(where.lines) == 1
    await check_pool(tools, transport, server)


async def test_a_server_that_stops_reading_a_large_body(tools, transport, server):
    """Writing has an end too: the read timeout of the call bounds how long nothing moves."""

    def stops(line):
        line.sock.recv(1000)
        line.server.over.wait(5)

    where = server(stops)
    error = await failure(tools, tools.wire(transport, where.url, SHORT), tools.write.call(body=bytes(16_000_000)))
    assert OutcomeUnknownError is type(error)
    assert ReadTimeoutError is type(error.__cause__)
    await check_pool(tools, transport, server)


async def test_a_busy_pool_within_the_total_time(tools, transport, server, anyio_backend):
    """A call that finds no free connection in its whole time was not sent."""
    where = server(hang)
    wire = tools.wire(transport, where.url, NORMAL)
    call = attrs.evolve(tools.write.call(body=b"{}"), timeout=Timeouts(connect=5, read=5, total=0.1))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wire.exchange, tools.read.call())
        await anyio.to_thread.run_sync(where.heard.wait, 5)
        error = await failure(tools, wire, call)
        tasks.cancel_scope.cancel()
    assert ConnectTimeoutError is type(error)
    assert error.had_begun is False
    assert len(where.lines) == 1
    await check_pool(tools, transport, server)


def test_both_engines_are_really_tried(engine, transport_type):
    """The fixtures hand out the engine that they name."""
    assert isinstance(engine.open(), transport_type)


@pytest.fixture
def transport_type(engine):
    from spapi_async.transport.aiohttp import AiohttpTransport

    return AiohttpTransport if engine.name == "ours" else httpx.AsyncHTTPTransport
