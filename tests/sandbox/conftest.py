"""Calling the sandbox in-process, as any client would: httpx over ASGI, on both back ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest

from spapi_async.sandbox import Sandbox


class FakeClock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Caller:
    """A client of the sandbox with an access token of one selling partner."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.headers: dict[str, str] = {}

    async def log_in(
        self, refresh_token: str = "Atzr|SELLER1", client_id: str = "app", **fields: str
    ) -> httpx.Response:
        """Fetch a token and use it from now on."""
        form = {"client_id": client_id, "client_secret": "secret"}
        form |= fields or {"grant_type": "refresh_token", "refresh_token": refresh_token}
        reply = await self.http.post("/auth/o2/token", data=form)
        if reply.status_code == 200:
            self.headers = {"x-amz-access-token": reply.json()["access_token"]}
        return reply

    async def get(self, path: str, **query: str) -> httpx.Response:
        return await self.http.get(path, params=query or None, headers=self.headers)

    async def post(self, path: str, body: Any = None, **query: str) -> httpx.Response:
        return await self.http.post(path, json=body, params=query or None, headers=self.headers)

    async def delete(self, path: str) -> httpx.Response:
        return await self.http.delete(path, headers=self.headers)


Connect = Callable[[Sandbox], AbstractAsyncContextManager[Caller]]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Each test runs on both back ends."""
    return str(request.param)


@pytest.fixture
def clock() -> FakeClock:
    """A clock to hand in."""
    return FakeClock()


@pytest.fixture
def connect() -> Connect:
    """Call a sandbox as SELLER1, with `async with`."""

    @asynccontextmanager
    async def connected(app: Sandbox) -> AsyncIterator[Caller]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as http:
            caller = Caller(http)
            await caller.log_in()
            yield caller

    return connected
