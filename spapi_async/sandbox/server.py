"""The sandbox on a port, served by uvicorn (extra `sandbox`)."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from .app import Sandbox
from .asgi import DROP, LOST, Receive, Scope, Send

if TYPE_CHECKING:
    import uvicorn

__all__ = ["bind", "serve"]

_BACKLOG = 2048  # connections waiting to be accepted
_KEEP_ALIVE = 60  # seconds an idle connection stays open
_RESET = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)  # SO_LINGER of no time: closing sends RST instead of FIN


def bind(host: str, port: int) -> socket.socket:
    """Open the port, so that one in use is found out before anything else happens.

    Args:
        host: Name or address; loopback unless other machines shall reach it.
        port: 0 for any free one.

    Raises:
        ConfigError: The port is in use, may not be used, or the host is no name of this machine.
    """
    if not 0 <= port <= 65535:
        raise ConfigError(f"there is no port {port}: it must be 0 to 65535")
    listener = None
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        family, kind, protocol, _, address = found[0]
        # The protocol must be named: asyncio turns Nagle's algorithm off only then, and with it on each reply on a
        # kept connection takes 40 ms.
        listener = socket.socket(family, kind, protocol)
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        return listener
    except OSError as error:
        if listener is not None:
            listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(f"port {port} of {host} is in use; choose another one with --port") from None
        raise ConfigError(f"cannot listen on port {port} of {host}: {error.strerror or error}") from None


def serve(
    app: Sandbox, listener: socket.socket, *, announce: Callable[[], None] | None = None, is_child: bool = False
) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        app: The sandbox.
        listener: The socket of `bind`; it is closed at the end.
        announce: Called when nothing can go wrong any more and signals are heeded.
        is_child: The process that started this one decides: Ctrl-C is ignored, and the end of standard input, which
            comes however the parent ends, ends the server.

    Raises:
        ConfigError: uvicorn is not installed.
    """
    server = _server(app)
    if is_child:
        threading.Thread(target=_await_parent, args=(server,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN if is_child else server.handle_exit)
    signal.signal(signal.SIGTERM, server.handle_exit)
    if announce is not None:
        announce()
    with listener:
        asyncio.run(server.serve([listener]))


def _server(app: Sandbox) -> uvicorn.Server:
    try:
        import uvicorn
        from uvicorn.protocols.http.auto import AutoHTTPProtocol
    except ImportError as error:
        raise ConfigError("the sandbox on a port needs uvicorn: pip install 'spapi-async[sandbox]'") from error

    chosen: Any = AutoHTTPProtocol  # h11, or httptools where that is installed

    class Protocol(chosen):  # type: ignore[misc]
        """Lends the sandbox two functions, as ASGI extensions: to cut the connection, and to see whether it is lost."""

        app: Any

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            inner = self.app

            def cut(is_reset: bool) -> None:
                if is_reset:
                    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                transport.abort()

            async def lend(scope: Scope, receive: Receive, send: Send) -> None:
                scope.setdefault("extensions", {}).update({DROP: cut, LOST: transport.is_closing})
                await inner(scope, receive, send)

            self.app = lend

    class Server(uvicorn.Server):
        def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
            return nullcontext()  # `serve` has said what signals do

    return Server(
        uvicorn.Config(
            app,
            http=Protocol,
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=1,
        )
    )


def _await_parent(server: uvicorn.Server) -> None:
    # os.read takes no lock of sys.stdin, which a daemon thread would hold at the interpreter's end.
    while os.read(0, 1024):
        pass
    server.should_exit = server.force_exit = True
