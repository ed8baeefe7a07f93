"""The public API as a user writes it: read by the type-checker only (`nox -s types`), never run."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, assert_type
from zoneinfo import ZoneInfo

import httpx
from starlette.datastructures import QueryParams

from spapi_async import (
    Application,
    AuthError,
    AwsCredentials,
    AwsRole,
    CallError,
    JobStoppedError,
    Marketplace,
    Priority,
    RawResponse,
    Region,
    RetryPolicy,
    SellingPartner,
    StatusError,
    Timeouts,
    UsagePlan,
    oauth,
)
from spapi_async.apis.messaging_v1 import CreateConfirmOrderDetailsRequest, CreateConfirmOrderDetailsResponse
from spapi_async.apis.orders_v0 import GetOrderResponse, GetOrdersResponse, Order, OrdersV0
from spapi_async.auth import FileStore, MemoryStore, TokenStore
from spapi_async.errors import Problem
from spapi_async.events import Event
from spapi_async.jobs import (
    Added,
    Admission,
    Job,
    MemoryJournal,
    Outcome,
    Rejection,
    Row,
    SqliteJournal,
    State,
    Tally,
    Windows,
)
from spapi_async.middleware import Next
from spapi_async.operation import Call, Reply
from spapi_async.sandbox import Registration, Sandbox, start_process


async def stage(call: Call, next_: Next) -> Reply:
    return await next_(call)


async def load() -> str:
    return ""


def listen(event: Event) -> None:
    assert_type(event, Event)


async def one_selling_partner() -> None:
    async with SellingPartner(
        client_id="",
        client_secret="",
        refresh_token="",
        region=Region.NA,
        marketplace=Marketplace.US,
        sandbox=False,
        endpoint=None,
        lwa_endpoint=None,
        transport=httpx.AsyncHTTPTransport(),
        timeout=Timeouts(connect=5, read=60),
        retry=RetryPolicy(max_attempts=2),
        middleware=(stage,),
        on_event=listen,
        plans={"orders_v0.get_orders": UsagePlan(rate=0.5, burst=30)},
        validate=True,
        strict=False,
        application_name="",
        application_version="",
        token_store=FileStore("tokens.json"),
        client_secret_created=date(2026, 1, 1),
        load_client_secret=load,
        user_agent_attributes={"Host": ""},
        aws=AwsRole(
            role_arn="", credentials=AwsCredentials(access_key_id="", secret_access_key="", session_token=None)
        ),
        aws_region="",
    ) as sp:
        sp.set_client_secret("", created=datetime(2026, 1, 1, tzinfo=UTC))
        assert_type(sp, SellingPartner)
        reply = await sp.orders_v0.get_orders(
            marketplace_ids=[Marketplace.US, "A1PA6795UKMFR9"], created_after=datetime(2026, 1, 1, tzinfo=UTC)
        )
        assert_type(reply, GetOrdersResponse)
        assert_type(reply.payload.orders[0], Order)
        assert_type(reply.payload.orders[0].amazon_order_id, str)
        async for order in sp.orders_v0.get_orders(marketplace_ids=[Marketplace.US]):
            assert_type(order, Order)
        async for page in sp.orders_v0.get_orders(marketplace_ids=[Marketplace.US]).pages():
            assert_type(page, GetOrdersResponse)
        assert_type(await sp.orders_v0.get_order(order_id=""), GetOrderResponse)

        await sp.orders_v0.get_order("positional")  # type: ignore[call-arg]
        await sp.orders_v0.get_order(order_id=1)  # type: ignore[arg-type]
        await sp.orders_v0.get_order(order_id="", unknown="")  # type: ignore[call-arg]


async def many_selling_partners() -> None:
    async with Application(client_id="", client_secret="", region="eu") as app:
        sp = app.selling_partner(refresh_token="", selling_partner_id="")
        assert_type(sp, SellingPartner)
        sent = await sp.messaging_v1.create_confirm_order_details(
            amazon_order_id="", marketplace_ids=[""], body=CreateConfirmOrderDetailsRequest(text="")
        )
        assert_type(sent, CreateConfirmOrderDetailsResponse)
    Application(client_id="", client_secret="", regoin="eu")  # type: ignore[call-arg]


async def errors(sp: SellingPartner) -> None:
    try:
        await sp.orders_v0.get_order(order_id="")
    except AuthError as error:
        assert_type(error.is_permanent, bool)
    except StatusError as error:
        assert_type(error.status, int)
        assert_type(error.errors, tuple[Problem, ...])
    except CallError as error:
        assert_type(error.is_retry_safe, bool | None)
        assert_type(error.retry_after, float | None)


def sandbox() -> None:
    httpx.ASGITransport(app=Sandbox())
    with start_process(plans={"*": UsagePlan(rate=5, burst=10)}) as running:
        SellingPartner.from_env(endpoint=running.endpoint, lwa_endpoint=running.lwa_endpoint)


async def raw_replies(sp: SellingPartner) -> None:
    raw = sp.with_raw_response
    reply = await raw.orders_v0.get_orders(marketplace_ids=[Marketplace.US])
    assert_type(reply, RawResponse[GetOrdersResponse])
    assert_type(reply.parse().payload.orders, list[Order])
    assert_type(reply.rate_limit, float | None)
    assert_type(await raw.orders_v0.confirm_shipment(order_id="1", body={}), RawResponse[None])
    await raw.orders_v0.get_order(orderId="1")  # type: ignore[call-arg]
    await raw.orders_v0.get_orders(marketplace_ids=5)  # type: ignore[arg-type]


async def requests(sp: SellingPartner) -> None:
    reply = await sp.request("GET", "/x/{id}", path_parameters={"id": "1"}, query={"a": [1]}, plan=UsagePlan(1, 1))
    assert_type(reply, RawResponse[Any])
    assert_type(sp.api(OrdersV0), OrdersV0)


async def views(sp: SellingPartner) -> None:
    assert_type(sp.with_options(priority=Priority.BULK, deadline=1, timeout=Timeouts(), validate=False), SellingPartner)


def stores() -> list[TokenStore]:
    return [FileStore("tokens.json"), MemoryStore()]


class Shared:
    """A store of states, as a user writes one."""

    async def use(self, name: str, *, expires_in: float) -> bool:
        return True


async def a_consent(application: Application, parameters: QueryParams) -> None:
    states = oauth.States(b"", store=Shared(), lifetime=60)
    url = oauth.consent_url("", state=states.make(""), marketplace=Marketplace.DE, vendor=True, draft=True)
    login = oauth.parse_login(url)
    assert_type(oauth.appstore_callback_url(login, state=states.make("", selling_partner_id="")), str)
    callback = await oauth.parse_callback(parameters, states=states, session=None)
    callback = await oauth.parse_callback({"state": ["a"], "spapi_oauth_code": ["b"]}, states=states, session="")
    authorisation = await oauth.exchange_code(application, callback, redirect_uri="")
    assert_type(authorisation.refresh_token, str)
    assert_type(authorisation.mws_auth_token, str | None)
    Sandbox(registrations=[Registration(application_id="", redirect_uris=[""], login_uri="", is_draft=True)])


async def some_rows() -> AsyncIterator[Mapping[str, object]]:
    yield {"order_id": "", "marketplace_id": Marketplace.DE, "text": "", "not_before": datetime(2026, 1, 1, tzinfo=UTC)}


def more_rows() -> Iterator[dict[str, str | None]]:
    yield {"order_id": "", "key": None}


def note(outcome: Outcome) -> None:
    assert_type(outcome, Outcome)


def mend(rejection: Rejection) -> None:
    assert_type(rejection.fields, Mapping[str, str])


async def a_job(sp: SellingPartner) -> None:
    windows = Windows(between=(time(9), time(20)), zone=ZoneInfo("Europe/Berlin"), max_per_day=500)
    assert_type(Windows.parse("09:00-20:00", "marketplace", None), Windows)
    async with Job(
        sp,
        kind="confirmOrderDetails",
        journal=Path("messages.db"),
        name="",
        source="",
        options={"a": [1]},
        template={"": "", "de": ""},
        attachments=Path("."),
        windows=windows,
        concurrency=16,
        grace=10,
        keep_bodies=False,
        dry_run=False,
        same_selling_partner=False,
        on_outcome=note,
        now=lambda: datetime.now(UTC),
    ) as job:
        assert_type(job, Job)
        added = await job.add(some_rows(), retry_refused=True, on_rejected=mend)
        assert_type(added, Added)
        assert_type(added.waiting, int)
        assert_type(added.admissions, Counter[Admission])
        assert_type(added.rejections, list[Rejection])
        await job.add(more_rows())
        await job.add([{"order_id": "", "marketplace_id": Marketplace.DE}])
        await job.loaded()
        async for outcome in job.run():
            assert_type(outcome, Outcome)
            assert_type(outcome.state, State)
            assert_type(outcome.number, int)
            assert_type(outcome.retry_from, datetime | None)
            assert_type(outcome.request_id, str | None)
        tally = await job.run()
        assert_type(tally, Tally)
        assert_type(tally.sent, int)
        assert_type(job.tally, Tally)
        assert_type(job.pace, float)
        assert_type(job.number, int | None)
        assert_type(job.waits_until, datetime | None)
        assert_type(job.stopped, Mapping[str, Exception])
        assert_type(job.seconds_left(), float)
        for row in await job.doubts():
            assert_type(row, Row)
            assert_type(await job.ask(row), State)
            await job.decide(row, sent=False)
        job.pause()
        job.resume()
        job.drain()
        job.abort()

        await job.add("messages.csv")  # type: ignore[arg-type]
        await job.add(None)  # type: ignore[arg-type]
        await job.add({"order_id": ""})  # type: ignore[dict-item]
        await job.decide(outcome.row)  # type: ignore[call-arg]
        for _ in job.run():  # type: ignore[attr-defined]
            pass
    Job(sp, kind="invoice")  # type: ignore[call-arg]
    Job(sp, kind="invoice", journal=None)  # type: ignore[arg-type]
    Job(sp, kind="invoice", journal="", windows="09:00-20:00")  # type: ignore[arg-type]


async def jobs_of_many(app: Application, tokens: dict[str, str]) -> None:
    async def of_a_database(name: str) -> str:
        return name

    async with SqliteJournal("messages.db") as journal:
        Job(app, journal=journal, number=1, selling_partners=tokens)
    Job(app, kind="invoice", journal=MemoryJournal(), selling_partners=of_a_database)
    Job(app, kind="invoice", journal=MemoryJournal(), selling_partners=tokens.__getitem__)
    Job(app, kind="invoice", journal=MemoryJournal(), selling_partners=tokens.get)
    try:
        await Job(app, kind="invoice", journal="", selling_partners=tokens).run()
    except JobStoppedError as error:
        assert_type(error.stopped, dict[str, Exception])
        assert_type(error.waiting, int)
