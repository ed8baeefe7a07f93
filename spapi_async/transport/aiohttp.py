"""The engine on asyncio: an httpx transport over an aiohttp session.

What it adds to aiohttp is certainty. It knows by itself when a request begins to leave, and raises httpx's errors by
that: `ConnectError`, `ConnectTimeout` and `PoolTimeout` only before, `ReadError` and its like only after. It sends the
URL byte for byte, once: aiohttp's own resending of GET, PUT and DELETE is off. It keeps no cookies, follows no
redirects, reads no environment, and has a timeout on everything.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import aiohttp
import httpx
import yarl
from aiohttp import payload
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from .request import OutgoingRequest
from .response import IncomingResponse

__all__ = ["AiohttpTransport"]

DEFAULT_TIMEOUT = 60.0
"""Seconds, for each phase that the request sets none for."""
PIECE = 65_536
"""Bytes that are written at a time, each within the write timeout."""
SMALL = 32_768
"""Bytes of body that fit into the socket's write buffer (64 KiB) together with the headers, so nothing can block."""

BEGIN_EVENT = "http11.send_request_headers.started"
"""What httpx's own engine tells its `trace` extension when a request begins to leave; this one does the same."""


class AiohttpTransport(httpx.AsyncBaseTransport):
    """An `httpx.AsyncBaseTransport` for asyncio.

    Its session opens with the first request and belongs to that event loop. In another event loop, as of a second
    `asyncio.run`, it opens a new one; the first is closed when its event loop ends.

    Args:
        max_connections: How many connections there may be at a time, to all hosts together.
        keepalive: Seconds after which an idle connection is not used again.
        ssl_context: For `https`; None verifies certificates against certifi's list, as httpx does.
    """

    reports_begin = True
    """The `trace` extension hears of the beginning of every request."""
    bounds_total = True
    """The `timeout` extension may have a `total`: seconds for the whole exchange, the body of the response included."""

    def __init__(
        self, *, max_connections: int = 100, keepalive: float = 15.0, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        self._max_connections = max_connections
        self._keepalive = keepalive
        self._ssl_context = ssl_context
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._keeper: AsyncIterator[None] | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, once.

        Raises:
            httpx.TransportError: There is no response; the class tells how far the request got.
        """
        session = self._session
        if session is None or session.closed or self._loop is not asyncio.get_running_loop():
            session = await self._open()
        extensions = request.extensions
        if isinstance(request, OutgoingRequest):
            origin, target = request.origin, request.target
        else:
            origin = f"{request.url.scheme}://{request.url.netloc.decode('ascii')}"
            target = extensions.get("target", request.url.raw_path).decode("ascii")
        exchange = _Exchange(extensions)
        try:
            url = yarl.URL(origin + target, encoded=True)
            if url.raw_path_qs != target:  # a question mark with nothing after it, for one
                raise httpx.LocalProtocolError("this target cannot be sent as it is")
            response = await session.request(
                request.method,
                url,
                headers=_headers(request),
                data=exchange.body(request),
                allow_redirects=False,
                timeout=exchange.timeout,
                middlewares=(exchange,),
                ssl=self._tls() if url.scheme == "https" else True,
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise exchange.translated(error) from error
        content = response.content
        stream: httpx.AsyncByteStream | httpx.ByteStream
        if content.is_eof() and content.exception() is None:
            # The whole body came with the headers, as with most replies: the connection is free again already.
            stream = httpx.ByteStream(content.read_nowait())
        else:
            stream = _Body(response, exchange)
        return IncomingResponse(response.status, response.raw_headers, stream)

    async def aclose(self) -> None:
        """Close all connections."""
        session, self._session, self._keeper = self._session, None, None
        if session is not None and self._loop is asyncio.get_running_loop():
            await session.close()

    async def _open(self) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(
            connector=_Connector(limit=self._max_connections, keepalive_timeout=self._keepalive),
            request_class=_Request,
            cookie_jar=aiohttp.DummyCookieJar(),
            # httpx's responses decode by themselves, so they must get the body as it came.
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        )
        self._session, self._loop = session, asyncio.get_running_loop()
        self._keeper = _keep(session)
        await anext(self._keeper)
        return session

    def _tls(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            self._ssl_context = httpx.create_ssl_context(trust_env=False)
            self._ssl_context.set_alpn_protocols(["http/1.1"])
        return self._ssl_context


async def _keep(session: aiohttp.ClientSession) -> AsyncIterator[None]:
    # Event loops finish the async generators that are still open before they end (`asyncio.run` and `asyncio.Runner`
    # do so by `shutdown_asyncgens`). That closes a session while its event loop can still do it; afterwards its
    # sockets could only be dropped, with a warning for each.
    try:
        yield
    finally:
        await session.close()


@lru_cache(maxsize=32)
def _timeout(connect: float, read: float, pool: float, total: float | None) -> aiohttp.ClientTimeout:
    # aiohttp's `connect` covers the wait for a free connection too; `_Connector` bounds the connecting alone. Where the
    # total ends that wait anyway, one timer less is one less to set for every request.
    is_bounded = total is not None and total <= pool + connect
    return aiohttp.ClientTimeout(total=total, connect=None if is_bounded else pool + connect, sock_read=read)


def _headers(request: httpx.Request) -> list[tuple[str, str]]:
    if isinstance(request, OutgoingRequest):
        return request.pairs()
    # aiohttp announces a chunked body by itself.
    return [
        (name.decode("ascii"), value.decode("ascii"))
        for name, value in request.headers.raw
        if name.lower() != b"transfer-encoding"
    ]


class _Exchange:
    """One request on its way: how far it got, and what a failure means there. It is its own aiohttp middleware."""

    __slots__ = ("begun", "connect", "connecting", "timeout", "trace", "write", "writing")

    def __init__(self, extensions: Mapping[str, Any]) -> None:
        given = extensions.get("timeout") or {}
        self.connect: float = given.get("connect") or DEFAULT_TIMEOUT
        self.write: float = given.get("write") or DEFAULT_TIMEOUT
        read, pool = given.get("read") or DEFAULT_TIMEOUT, given.get("pool") or DEFAULT_TIMEOUT
        self.timeout = _timeout(self.connect, read, pool, given.get("total"))
        self.trace: Callable[[str, dict[str, Any]], Awaitable[None]] | None = extensions.get("trace")
        self.connecting = False
        self.begun = False
        self.writing = False

    async def __call__(
        self,
        request: aiohttp.ClientRequest,
        handler: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]],
    ) -> aiohttp.ClientResponse:
        assert isinstance(request, _Request)
        request.exchange = self
        try:
            return await handler(request)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Translated here, below aiohttp's loop: it resends idempotent requests when it sees its own errors.
            raise self.translated(error) from error

    async def begin(self) -> None:
        """Note that from here on bytes of the request may leave this machine."""
        self.begun = True
        if self.trace is not None:
            await self.trace(BEGIN_EVENT, {})

    def body(self, request: httpx.Request) -> bytes | payload.Payload | None:
        """Give the body in the form that suits aiohttp; None for none."""
        stream = request.stream
        if not isinstance(stream, httpx.ByteStream):
            assert isinstance(stream, AsyncIterable)
            return _Upload(stream, self)
        content = request.read()
        return (content if len(content) <= SMALL else _Upload(stream, self)) or None

    def translated(self, error: Exception) -> httpx.TransportError:
        """Choose httpx's error by how far the request got; aiohttp's own class only refines it."""
        if not self.begun:
            if isinstance(error, TimeoutError):
                kind = httpx.ConnectTimeout if self.connecting else httpx.PoolTimeout
                return kind("its time was up before there was a connection")
            if isinstance(error, ValueError):
                return httpx.LocalProtocolError("a header or the target cannot be sent as it is")
            return httpx.ConnectError(str(error))
        # From here on aiohttp's texts stay away: some hold the URL, and with it ids and tokens.
        if isinstance(error, TimeoutError):
            return (
                httpx.WriteTimeout("the body could not be written")
                if self.writing
                else httpx.ReadTimeout("no whole response in time")
            )
        if isinstance(error, aiohttp.ServerDisconnectedError):
            return httpx.RemoteProtocolError("closed without a response")
        if isinstance(error, aiohttp.ClientResponseError):
            return httpx.RemoteProtocolError("not a response of HTTP/1.1")
        if isinstance(error, aiohttp.ClientPayloadError):
            return httpx.RemoteProtocolError("closed in the middle of the body")
        if isinstance(error, ValueError):
            return httpx.LocalProtocolError("a header cannot be sent")
        return httpx.WriteError("connection lost") if self.writing else httpx.ReadError("connection lost")


class _Request(aiohttp.ClientRequest):
    """aiohttp's request, with one more thing to do when it is sent."""

    exchange: _Exchange

    def update_auto_headers(self, skip_auto_headers: Iterable[str] | None) -> None:
        # A short cut: where no header is missing, none would be added, and finding that out takes a tenth of the call.
        has = self.headers.__contains__
        if (
            has("User-Agent")
            and has("Accept")
            and has("Accept-Encoding")
            and (has("Content-Type") or self.method == "GET")
        ):
            return
        super().update_auto_headers(skip_auto_headers)

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        protocol = conn.protocol
        if protocol is None or not protocol.is_connected():
            raise aiohttp.ClientConnectionError("the connection was closed before it was used")
        await self.exchange.begin()
        return await super().send(conn)


class _Connector(aiohttp.TCPConnector):
    """aiohttp's pool, which looks at an idle connection before it uses it, and has a timeout on connecting alone."""

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        assert isinstance(req, _Request)
        while True:
            try:
                conn = await super().connect(req, traces, timeout)
            except asyncio.CancelledError:
                # Closing the pool cancels what those who wait for a place wait for, though nobody cancelled them.
                task = asyncio.current_task()
                if self.closed and task is not None and not task.cancelling():
                    raise aiohttp.ClientConnectionError("the transport was closed") from None
                raise
            if req.exchange.connecting or not _has_news(conn):
                return conn
            conn.close()

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        # The method that every connector of aiohttp's has to define. Its own timeouts leave out the name look-up.
        assert isinstance(req, _Request)
        req.exchange.connecting = True
        seconds = req.exchange.connect
        try:
            async with asyncio.timeout(seconds):
                return await super()._create_connection(req, traces, timeout)
        except TimeoutError as error:
            raise httpx.ConnectTimeout(f"none within {seconds:g} s") from error


def _has_news(conn: Connection) -> bool:
    """Whether something came in on an idle connection: in practice that the server closed it.

    The event loop hears of it only when it comes round. A request sent before that is lost, and with an operation
    that is not safe to repeat nobody would know its outcome, for nothing. httpx's engine looks in the same way.
    """
    # aiohttp makes sure that the transport is there and open; every event loop's has its socket.
    assert conn.transport is not None
    socket = conn.transport.get_extra_info("socket")
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([socket], [], [], 0)[0])
    poll = select.poll()
    poll.register(socket, select.POLLIN)
    return bool(poll.poll(0))


class _Upload(payload.Payload):
    """A body that is written piece by piece, each within the write timeout; aiohttp itself has none for writing."""

    def __init__(self, source: AsyncIterable[bytes], exchange: _Exchange) -> None:
        super().__init__(source, content_type=None)
        self._source = source
        self._exchange = exchange
        exchange.writing = True

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        raise TypeError("a body under way cannot be read")

    async def write(self, writer: AbstractStreamWriter) -> None:
        seconds = self._exchange.write
        async for chunk in self._source:
            view = memoryview(chunk)
            for start in range(0, len(view), PIECE):
                async with asyncio.timeout(seconds):
                    await writer.write(view[start : start + PIECE])
        async with asyncio.timeout(seconds):
            await writer.drain()
        self._exchange.writing = False


class _Body(httpx.AsyncByteStream):
    """The rest of a reply, as it comes. Closing it before its end closes the connection."""

    def __init__(self, response: aiohttp.ClientResponse, exchange: _Exchange) -> None:
        self._response = response
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, OSError) as error:
            raise self._exchange.translated(error) from error

    async def aclose(self) -> None:
        # After the end the connection is back in the pool already, and this does nothing to it.
        self._response.close()
