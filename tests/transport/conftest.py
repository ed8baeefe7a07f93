"""A server of bare sockets that does what a test tells it to, and the engines to try on it."""

from __future__ import annotations

import contextlib
import re
import select
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import NamedTuple

import httpx
import pytest
import trustme

from spapi_async.events import Event
from spapi_async.operation import Operation, Timeouts, UsagePlan
from spapi_async.transport import Wire
from spapi_async.transport.aiohttp import AiohttpTransport

PLAN = UsagePlan(rate=1, burst=1)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Amzn-RequestId: id-1\r\n\r\n{}"


class Line:
    """One connection, as the server has it."""

    def __init__(self, server: Server, sock: socket.socket) -> None:
        self.server = server
        self.sock = sock
        self._rest = b""

    def arrived(self) -> None:
        """Wait until bytes of a request are there, and leave them unread."""
        select.select([self.sock], [], [], 5)

    def read(self) -> tuple[bytes, bytes]:
        """Read one request; raises EOFError when the client closes instead."""
        data = self._rest
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, rest = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        chunked = re.search(rb"(?i)\r\ntransfer-encoding: chunked", head)
        while (chunked and not rest.endswith(b"0\r\n\r\n")) or len(rest) < int(length[1] if length else 0):
            rest += self._more()
        end = len(rest) if chunked else int(length[1] if length else 0)
        self._rest = rest[end:]
        self.server.requests.append((head, rest[:end]))
        return head, rest[:end]

    def _more(self) -> bytes:
        data = self.sock.recv(65536)
        if not data:
            raise EOFError
        return data

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def reset(self) -> None:
        """Close with a reset instead of an orderly end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def hang(self) -> None:
        """Say nothing until the client gives up or the test ends."""
        with contextlib.suppress(OSError):
            while self.sock.recv(65536):
                self.server.heard.set()


Script = Callable[[Line], None]


def serve(line: Line) -> None:
    """Answer every request, as a healthy server does."""
    while True:
        line.read()
        line.send(OK)


class Server:
    """Runs a script for each connection, each in a thread; `requests` has head and body of all that it read."""

    def __init__(self, script: Script = serve, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[tuple[bytes, bytes]] = []
        self.lines: list[Line] = []
        self.heard = threading.Event()
        """Bytes of a request came in and a script hangs: the client has its connection, which `accept` cannot tell."""
        self.over = threading.Event()
        self._script = script
        self._tls = tls
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    @property
    def url(self) -> str:
        return f"http{'s' * bool(self._tls)}://127.0.0.1:{self.port}"

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self._start(lambda sock=sock: self._run(sock))

    def _run(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError):
            if self._tls is not None:
                try:
                    sock = self._tls.wrap_socket(sock, server_side=True)
                except OSError:
                    sock.close()
                    raise
            line = Line(self, sock)
            self.lines.append(line)
            with sock:
                self._script(line)

    def close(self) -> None:
        self.over.set()
        # Closing a socket does not wake a thread that waits on it; shutting it down does.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for line in self.lines:
            with contextlib.suppress(OSError):
                line.sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()


@pytest.fixture
def server() -> Iterator[Callable[..., Server]]:
    """Give a function that starts servers."""
    with contextlib.ExitStack() as stack:

        def start(script: Script = serve, tls: ssl.SSLContext | None = None) -> Server:
            return stack.enter_context(contextlib.closing(Server(script, tls)))

        yield start


class Engine(NamedTuple):
    name: str
    backend: str

    def open(self, ssl_context: ssl.SSLContext | None = None, max_connections: int = 1) -> httpx.AsyncBaseTransport:
        """Make a transport with one place for connections, so that one that leaks is missed at once."""
        if self.name == "ours":
            return AiohttpTransport(max_connections=max_connections, ssl_context=ssl_context)
        limits = httpx.Limits(max_connections=max_connections, max_keepalive_connections=max_connections)
        return httpx.AsyncHTTPTransport(verify=ssl_context or True, trust_env=False, limits=limits)


@pytest.fixture(
    params=[Engine("ours", "asyncio"), Engine("httpx", "asyncio"), Engine("httpx", "trio")],
    ids=lambda engine: f"{engine.name}-{engine.backend}",
)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Every engine on every event loop it runs on."""
    return request.param


@pytest.fixture
def anyio_backend(engine: Engine) -> str:
    """Run a test on the event loop of its engine."""
    return engine.backend


@pytest.fixture
async def transport(engine: Engine, anyio_backend: str) -> AsyncIterator[httpx.AsyncBaseTransport]:
    """A transport with one place for connections."""
    transport = engine.open(TRUSTED)
    yield transport
    await transport.aclose()


AUTHORITY = trustme.CA()
TRUSTED = ssl.create_default_context()
AUTHORITY.configure_trust(TRUSTED)


def certified(authority: trustme.CA = AUTHORITY) -> ssl.SSLContext:
    """Make a server's TLS context with a certificate for 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


READ = Operation(module="m", name="read", operation_id="read", method="GET", path="/r", plan=PLAN, repeatable=True)
WRITE = Operation(module="m", name="write", operation_id="write", method="POST", path="/w", plan=PLAN)


class Tools(NamedTuple):
    """What tests need of this file; test modules cannot import it by name."""

    wire: Callable[..., Wire]
    events: list[Event]
    read: Operation = READ
    write: Operation = WRITE
    ok: bytes = OK
    certified: Callable[..., ssl.SSLContext] = certified
    authority: trustme.CA = AUTHORITY


@pytest.fixture
def tools() -> Tools:
    """Give the operations of the tests, and a function that makes a `Wire`."""
    events: list[Event] = []

    def wire(transport: httpx.AsyncBaseTransport, endpoint: str, timeouts: Timeouts | None = None) -> Wire:
        ticks = iter(range(1_000_000))
        timeouts = timeouts or Timeouts()
        return Wire(
            transport, endpoint, timeouts, "tests/1 (Language=Python)", events.append, lambda: float(next(ticks))
        )

    return Tools(wire, events)
