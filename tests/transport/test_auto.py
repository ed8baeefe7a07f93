"""The default transport: which engine, from when, for how long."""

from __future__ import annotations

import asyncio
import sys

import httpx
import pytest
import trio

from spapi_async.transport import default_transport
from spapi_async.transport.aiohttp import AiohttpTransport


async def exchange(tools, transport, url):
    return (await tools.wire(transport, url).exchange(tools.write.call(body=b"{}"))).body


def test_on_asyncio_it_is_ours(tools, server):
    """The first request in an asyncio event loop brings our engine."""
    transport = default_transport()

    async def main():
        assert await exchange(tools, transport, server().url) == b"{}"
        assert isinstance(transport._engine, AiohttpTransport)
        await transport.aclose()

    asyncio.run(main())


def test_on_trio_it_is_httpx_s(tools, server):
    """The first request in trio brings httpx's engine, with as many connections kept as there may be."""
    transport = default_transport()

    async def main():
        assert await exchange(tools, transport, server().url) == b"{}"
        assert isinstance(transport._engine, httpx.AsyncHTTPTransport)
        await transport.aclose()

    trio.run(main)


def test_without_sniffio_it_is_asyncio(tools, server, monkeypatch):
    """An installation without trio has no sniffio either, and needs none."""
    monkeypatch.setitem(sys.modules, "sniffio", None)
    transport = default_transport()

    async def main():
        await exchange(tools, transport, server().url)
        assert isinstance(transport._engine, AiohttpTransport)
        await transport.aclose()

    asyncio.run(main())


def test_it_is_made_without_an_event_loop():
    """Making and closing one that was never used needs nothing, and touches no network."""
    transport = default_transport()
    asyncio.run(transport.aclose())
    assert transport._engine is None


@pytest.mark.parametrize("closed", [True, False])
def test_two_event_loops_one_after_the_other(closed, tools, server):
    """It outlives `asyncio.run`: the next one gets new connections, and the old are closed, asked for or not."""
    where = server()
    transport = default_transport()

    async def main():
        assert await exchange(tools, transport, where.url) == b"{}"
        assert await exchange(tools, transport, where.url) == b"{}"
        if closed:
            await transport.aclose()

    asyncio.run(main())
    asyncio.run(main())
    assert len(where.lines) == 2
    assert all(line.sock.fileno() == -1 or line.sock.recv(1) == b"" for line in where.lines)


def test_it_can_be_closed_in_another_event_loop(tools, server):
    """Closing after the event loop of the connections is gone finds them closed already."""
    transport = default_transport()
    asyncio.run(exchange(tools, transport, server().url))
    asyncio.run(transport.aclose())
