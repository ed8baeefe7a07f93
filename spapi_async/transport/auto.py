"""The default transport: our engine on asyncio, httpx's on trio, chosen when the first request is made."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import httpx

__all__ = ["AutoTransport", "default_transport"]

MAX_CONNECTIONS = 100
KEEPALIVE = 15.0
"""Seconds. Amazon promises no idle time; its load balancers close after 60 s by default (Elastic Load Balancing,
"connection idle timeout"). A connection that is closed while a request goes out costs a certain outcome, a new one
only a handshake."""


def default_transport() -> AutoTransport:
    """Make the transport that a client uses when it is given none."""
    return AutoTransport()


class AutoTransport(httpx.AsyncBaseTransport):
    """Passes requests to the engine that suits the event loop of the first one.

    A client is often made before there is an event loop, so only the first request tells which one it will be.
    """

    reports_begin = True

    def __init__(self) -> None:
        self._engine: httpx.AsyncBaseTransport | None = None

    # Not a coroutine function of its own: this is passed for every request, and only hands on.
    def handle_async_request(self, request: httpx.Request) -> Coroutine[Any, Any, httpx.Response]:
        """Send a request with the engine of this event loop."""
        return self._chosen().handle_async_request(request)

    @property
    def bounds_total(self) -> bool:
        """Whether the engine of this event loop ends an exchange by itself when its total time is up."""
        return getattr(self._chosen(), "bounds_total", False)

    def _chosen(self) -> httpx.AsyncBaseTransport:
        if self._engine is None:
            self._engine = _on_trio() if _library() == "trio" else _on_asyncio()
        return self._engine

    async def aclose(self) -> None:
        """Close all connections."""
        # Forgotten: a client that is opened again may be in another event loop, of another kind.
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.aclose()


def _library() -> str:
    try:
        # As anyio does: trio brings sniffio; where it is missing there can be no trio.
        import sniffio
    except ImportError:
        return "asyncio"
    return sniffio.current_async_library()


def _on_asyncio() -> httpx.AsyncBaseTransport:
    from .aiohttp import AiohttpTransport  # aiohttp takes long to import, and trio has no use for it

    return AiohttpTransport(max_connections=MAX_CONNECTIONS, keepalive=KEEPALIVE)


def _on_trio() -> httpx.AsyncBaseTransport:
    return httpx.AsyncHTTPTransport(
        trust_env=False,
        # httpcore counts connections in use as kept alive too: a lower limit would close them after each request.
        limits=httpx.Limits(
            max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS, keepalive_expiry=KEEPALIVE
        ),
    )
