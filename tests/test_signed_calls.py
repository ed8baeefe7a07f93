"""The client with `aws=`, against a sandbox that checks every signature by code of its own; most of it on a socket."""

from __future__ import annotations

import io
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime

import anyio
import httpx
import pytest
from rich.console import Console
from rich.traceback import Traceback
from trio.testing import MockClock

from spapi_async import (
    AwsCredentials,
    AwsRole,
    ConfigError,
    ForbiddenError,
    Marketplace,
    RetryPolicy,
    SellingPartner,
    UsagePlan,
)
from spapi_async.apis.orders_v0.operations import GET_ORDER
from spapi_async.operation import Call, Reply
from spapi_async.sandbox import Sandbox, SandboxProcess, start_process

pytestmark = pytest.mark.anyio

SECRET, TOKEN = "the/secret+key", "the/session+token=="
LASTING = AwsCredentials(access_key_id="AKIDEXAMPLE", secret_access_key=SECRET)
TEMPORARY = AwsCredentials(access_key_id="ASIAEXAMPLE", secret_access_key=SECRET, session_token=TOKEN)
ORDER = "902-1845936-5435065"
FAST = {"*": UsagePlan(1000, 1000)}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with start_process(aws={"AKIDEXAMPLE": SECRET, "ASIAEXAMPLE": SECRET}, plans=FAST) as running:
        yield running


@pytest.fixture(params=[("ours", "asyncio"), ("httpx", "asyncio"), ("httpx", "trio")], ids="-".join)
def engine(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param


@pytest.fixture
def anyio_backend(engine: tuple[str, str]) -> str:
    return engine[1]


@pytest.fixture
async def make(
    sandbox: SandboxProcess, engine: tuple[str, str], anyio_backend: str
) -> AsyncIterator[Callable[..., SellingPartner]]:
    transport = httpx.AsyncHTTPTransport(trust_env=False) if engine == ("httpx", "asyncio") else None

    def make(**options: object) -> SellingPartner:
        return SellingPartner(
            **{
                "client_id": "app",
                "client_secret": "s",
                "refresh_token": "Atzr|SELLER1",
                "endpoint": sandbox.endpoint,
                "lwa_endpoint": sandbox.lwa_endpoint,
                "aws": LASTING,
                "aws_region": "eu-west-1",
                "transport": transport,
                "retry": RetryPolicy(max_attempts=1),
                "application_name": r"My  App/\(",
                "user_agent_attributes": {"Host": "a;b"},
                **options,
            }
        )

    yield make
    if transport is not None:
        await transport.aclose()


@pytest.mark.parametrize("aws", [LASTING, TEMPORARY], ids=["lasting", "temporary"])
async def test_every_kind_of_call_is_signed(make: Callable[..., SellingPartner], aws: AwsCredentials) -> None:
    """GET with a query, POST with a body, odd paths, restricted and grantless: each signature is right."""
    async with make(aws=aws) as sp:
        await sp.orders_v0.get_orders(marketplace_ids=[Marketplace.US, Marketplace.MX], created_after="2026-01-01")
        body = {"text": "Thank you, Grüße & 你好"}
        await sp.messaging_v1.create_confirm_order_details(
            amazon_order_id=ORDER, marketplace_ids=[Marketplace.US], body=body
        )
        await sp.orders_v0.get_order_address(order_id=ORDER)  # and with it createRestrictedDataToken
        await sp.notifications_v1.get_destinations()
        for sku in ("A/B", "a b", "a+b%2F", "ä/你好", "a//b", "x'(!)*~;:@&=,$?#[]", '"<>^`{|}\\'):
            await sp.listings_items_2021_08_01.get_listings_item(
                seller_id="SELLER1", sku=sku, marketplace_ids=[Marketplace.US], issue_locale="a+b c"
            )
        await sp.request("GET", "/orders/v0/orders", query=[("b", "2"), ("MarketplaceIds", Marketplace.US), ("b", "1")])


async def test_a_signature_that_is_wrong_or_missing(make: Callable[..., SellingPartner]) -> None:
    """It is a 403 that says so, at once and without another token; the tokens that the answer quotes are not shown."""
    wrong = AwsCredentials(access_key_id="ASIAEXAMPLE", secret_access_key="wrong", session_token=TOKEN)
    seen: list[str] = []

    async def watch(call: Call, next_: Callable[..., object]) -> Reply:
        seen.append(call.headers["x-amz-access-token"])
        return await next_(call)

    for aws, code in ((wrong, "InvalidSignature"), (None, "MissingAuthenticationToken")):
        async with make(aws=aws) as sp:
            with pytest.raises(ForbiddenError) as caught:
                await sp.send(GET_ORDER.call({"orderId": ORDER}), inner=[watch])
        assert caught.value.code == code
        assert not any(secret in f"{caught.value} {caught.value.body!r}" for secret in (*seen, TOKEN))
    assert len(seen) == 2


@pytest.mark.parametrize("engine", [("ours", "asyncio")], ids=["ours"])
async def test_nothing_shows_the_keys(make: Callable[..., SellingPartner], caplog: pytest.LogCaptureFixture) -> None:
    """Neither reprs, logs at DEBUG nor tracebacks with the variables of their frames, of calls that fail or succeed."""
    caplog.set_level(logging.DEBUG)
    shown = io.StringIO()
    async with make(aws=TEMPORARY) as sp:
        await sp.orders_v0.get_order(order_id=ORDER)
        shown.write(repr(sp) + repr(sp._application._config))
        for call in (sp.orders_v0.get_order(order_id="000-0000404-0000000"), sp.orders_v0.get_order(order_id="x" * 9)):
            try:
                await call
            except Exception as error:
                trace = Traceback.from_exception(type(error), error, error.__traceback__, show_locals=True)
                Console(file=shown, width=500).print(trace)
    text = shown.getvalue() + caplog.text
    assert "exchange" in text
    assert SECRET not in text
    assert TOKEN not in text


@pytest.mark.parametrize("engine", [("asgi", ("trio", {"clock": MockClock(autojump_threshold=0)}))], ids=["virtual"])
async def test_the_signature_is_of_the_moment_of_sending(engine: object) -> None:
    """A call that waited an hour for its usage plan is signed when its turn comes: AWS takes five minutes."""
    plans = {"orders_v0.get_order": UsagePlan(1 / 3600, 1)}
    sandbox = Sandbox(aws={"AKIDEXAMPLE": SECRET}, plans=plans, clock=anyio.current_time, token_lifetime=600)

    def now() -> datetime:
        return sandbox._date(anyio.current_time())

    async with SellingPartner(
        client_id="app",
        client_secret="s",
        refresh_token="Atzr|SELLER1",
        endpoint="http://sandbox",
        lwa_endpoint="http://sandbox/auth/o2/token",
        aws=LASTING,
        aws_region="eu-west-1",
        plans=plans,
        transport=httpx.ASGITransport(app=sandbox),
    ) as sp:
        assert sp._application._signing is not None
        sp._application._signing._now = now
        for _ in range(3):
            await sp.orders_v0.get_order(order_id=ORDER)
    assert anyio.current_time() > 7000


@pytest.mark.parametrize("engine", [("httpx", "trio")], ids=["trio"])
async def test_a_role_on_trio(make: Callable[..., SellingPartner]) -> None:
    """It says so before the call takes its turn, and what to do instead."""
    async with make(aws=AwsRole(role_arn="arn:aws:iam::123456789012:role/spapi", credentials=LASTING)) as sp:
        with pytest.raises(ConfigError, match="asyncio only"):
            await sp.orders_v0.get_order(order_id=ORDER)
        assert [bucket.granted for bucket in sp.scheduler.snapshot()] == []
