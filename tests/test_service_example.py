"""docs/examples/service.py, the service of docs/how-to/services.md, run in-process against the sandbox."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import httpx
import pytest

from spapi_async import UsagePlan
from spapi_async.sandbox import Sandbox

DOCS = Path(__file__).parents[1] / "docs"
ORDER = "902-1845936-5435065"

Serve = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture(scope="module")
def service() -> ModuleType:
    spec = importlib.util.spec_from_file_location("service", DOCS / "examples" / "service.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def serve(service: ModuleType) -> Serve:
    """Start the service as a server would: lifespan, then requests; leaving the block is its shutdown."""

    @asynccontextmanager
    async def start(sandbox: Sandbox, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
        app = service.make_app(
            client_id="amzn1.application-oa2-client.service",
            client_secret="secret",
            endpoint="http://sandbox",
            lwa_endpoint="http://sandbox/auth/o2/token",
            transport=httpx.ASGITransport(app=sandbox),
            **options,
        )
        async with (
            httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://service") as client,
            app.router.lifespan_context(app),
        ):
            yield client

    return start


@pytest.mark.asyncio
async def test_handlers_call_amazon(serve: Serve) -> None:
    """A handler's call goes out for the selling partner that the request names."""
    async with serve(Sandbox()) as client:
        reply = await client.get(f"/SELLER1/orders/{ORDER}")
        assert reply.status_code == 200, reply.text
        assert reply.json()["order"] == ORDER


@pytest.mark.asyncio
async def test_a_message_reaches_the_buyer_once(serve: Serve) -> None:
    """A question that the service is asked to send is what the buyer gets."""
    sandbox = Sandbox()
    async with serve(sandbox) as client:
        reply = await client.post(f"/SELLER2/orders/{ORDER}/question", json={"text": "Which size did you mean?"})
        assert reply.status_code == 201, reply.text
    assert [(message.seller, message.order_id) for message in sandbox.state.messages] == [("SELLER2", ORDER)]


@pytest.mark.asyncio
async def test_a_refusal_is_answered_with_its_status(serve: Serve) -> None:
    """What Amazon refuses comes back with Amazon's status and request id."""
    async with serve(Sandbox()) as client:
        reply = await client.get("/SELLER1/orders/no-order-id")
        assert reply.status_code == 400
        assert reply.json()["request_id"]


@pytest.mark.asyncio
async def test_a_wait_that_is_too_long_fails_at_once(serve: Serve) -> None:
    """A call whose turn would come after 20 s does not wait; the caller is told when to come again."""
    plans = {"orders_v0.get_order": UsagePlan(rate=0.001, burst=1)}
    async with serve(Sandbox(plans=plans), plans=plans) as client:
        assert (await client.get(f"/SELLER1/orders/{ORDER}")).status_code == 200
        reply = await client.get(f"/SELLER1/orders/{ORDER}")
        assert reply.status_code == 503
        assert int(reply.headers["retry-after"]) > 900
        assert (await client.get(f"/SELLER2/orders/{ORDER}")).status_code == 200, "another seller has another bucket"


@pytest.mark.asyncio
async def test_shutdown_ends_the_calls_that_wait(serve: Serve) -> None:
    """At shutdown a call that waits for its turn ends with a 503 that says that nothing was sent."""
    answers: list[httpx.Response] = []
    plans = {"orders_v0.get_order": UsagePlan(rate=0.1, burst=1)}  # the second call would wait for more than 10 s

    async def ask(client: httpx.AsyncClient) -> None:
        answers.append(await client.get(f"/SELLER1/orders/{ORDER}"))

    with anyio.fail_after(5):
        async with (
            anyio.create_task_group() as tasks,
            serve(Sandbox(plans=plans), plans=plans) as client,
        ):
            await ask(client)
            tasks.start_soon(ask, client)
            await anyio.wait_all_tasks_blocked()
    assert [answer.status_code for answer in answers] == [200, 503]
    assert "nothing was sent" in answers[1].json()["error"]


def test_the_page_shows_the_file() -> None:
    """The parts of the code that the page quotes are in the file, letter by letter."""
    code = (DOCS / "examples" / "service.py").read_text(encoding="utf-8")
    page = (DOCS / "how-to" / "services.md").read_text(encoding="utf-8")
    quotes = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert quotes
    for quote in quotes:
        assert quote in code
