"""The response that our engine gives."""

from __future__ import annotations

import httpx
import pytest

from spapi_async.transport.response import IncomingResponse

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

PAIRS = [(b"Content-Type", b"application/json"), (b"X-A", b"1"), (b"x-a", b"2")]


async def test_it_is_an_httpx_response(anyio_backend: str) -> None:
    """Whoever uses the engine with httpx's own client finds what httpx promises."""
    response = IncomingResponse(200, PAIRS, httpx.ByteStream(b'{"a": 1}'))
    assert await response.aread() == b'{"a": 1}'
    assert response.json() == {"a": 1}
    assert (response.status_code, response.is_closed, response.headers["X-a"]) == (200, True, "1, 2")
    assert repr(response) == "<Response [200 OK]>"


async def test_it_has_all_that_httpx_sets(anyio_backend: str) -> None:
    """Nothing is missing that httpx's own `__init__` would have set, as a new version of it may do."""
    ours = IncomingResponse(200, PAIRS, httpx.ByteStream(b""))
    theirs = httpx.Response(200, headers=PAIRS, stream=httpx.ByteStream(b""))
    assert set(vars(theirs)) - {"headers"} <= set(vars(ours))


async def test_headers_can_be_replaced(anyio_backend: str) -> None:
    """A transport that wraps the engine may put other headers in their place."""
    response = IncomingResponse(200, PAIRS, httpx.ByteStream(b""))
    response.headers = httpx.Headers({"A": "1"})
    assert response.pairs == [(b"A", b"1")]
