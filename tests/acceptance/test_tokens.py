"""Tokens through the whole client, against the sandbox in-process: what calls see of Login with Amazon."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
import trio
import trio.testing

from spapi_async import Application, AuthError, ClientClosedError, SellingPartner, UsagePlan
from spapi_async.auth import FileStore, MemoryStore
from spapi_async.events import Event, Retried, TokenFailed
from spapi_async.sandbox import Sandbox

pytestmark = pytest.mark.anyio
on_virtual_time = pytest.mark.parametrize(
    "anyio_backend", [("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)})], ids=["virtual"]
)
ORDER = "902-1845936-5435065"
PLANS = {"orders_v0.*": UsagePlan(10_000, 10_000), "tokens_2021_03_01.*": UsagePlan(10_000, 10_000)}
OURS = {
    f"orders_v0.{name}": UsagePlan(10_000, 10_000)
    for name in ("get_order", "get_order_address", "get_order_buyer_info")
} | {"tokens_2021_03_01.create_restricted_data_token": UsagePlan(10_000, 10_000)}


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


class Amazon(httpx.ASGITransport):
    """The sandbox, and a note of each request: its path, when it came, and what its token stands for."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(app=sandbox)
        self.sandbox = sandbox
        self.requests: list[tuple[str, float]] = []
        self.sellers: list[tuple[str, str]] = []
        self.before: Callable[[httpx.Request], Any] | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append((request.url.path, anyio.current_time()))
        if self.before is not None:
            await self.before(request)
        grant = self.sandbox._lwa.find(request.headers.get("x-amz-access-token", ""))
        self.sellers.append((request.url.path, "" if grant is None else grant.seller))
        return await super().handle_async_request(request)

    @property
    def asked(self) -> int:
        """How often Login with Amazon was asked."""
        return sum(path == "/auth/o2/token" for path, _ in self.requests)


@pytest.fixture
def amazon() -> Amazon:
    return Amazon(Sandbox(plans=PLANS, clock=anyio.current_time))


@pytest.fixture
def make(amazon: Amazon) -> Callable[..., Application]:
    def make(**options: Any) -> Application:
        given = {"client_id": "app", "client_secret": "s", "transport": amazon, "plans": OURS, "endpoint": "http://sb"}
        return Application(**given | {"lwa_endpoint": "http://sb/auth/o2/token"} | options)

    return make


def seller(app: Application, name: str = "SELLER1") -> SellingPartner:
    return app.selling_partner(refresh_token=f"Atzr|{name}", selling_partner_id=name)


async def test_a_thousand_first_calls(make: Callable[..., Application], amazon: Amazon) -> None:
    """1,000 first calls at once, through several clients of one application, cost one token request."""

    async def call(app: Application) -> None:
        await seller(app).orders_v0.get_order(order_id=ORDER)

    async with make() as app, anyio.create_task_group() as tasks:
        for _ in range(1000):
            tasks.start_soon(call, app)
    assert (amazon.asked, len(amazon.requests)) == (1, 1001)


@on_virtual_time
async def test_lwa_is_down_under_load(make: Callable[..., Application], amazon: Amazon) -> None:
    """Calls wait out half a minute without Login with Amazon, and all succeed; it is asked once a step and key."""
    events: list[Event] = []
    began = anyio.current_time()
    amazon.sandbox.fail_lwa(30)
    done: list[float] = []

    async def call(sp: SellingPartner, delay: float) -> None:
        await anyio.sleep(delay)
        await sp.with_options(deadline=60.0).orders_v0.get_order(order_id=ORDER)
        done.append(anyio.current_time() - began)

    async with make(on_event=events.append) as app, anyio.create_task_group() as tasks:
        for number in range(300):
            tasks.start_soon(call, seller(app, f"S{number % 3}"), number / 10)
    assert len(done) == 300
    assert max(done) < 60
    steps = [event for event in events if isinstance(event, Retried)]
    assert {event.operation for event in steps} == {"lwa"}
    assert amazon.asked == len(steps) + 3 <= 3 * 12


@on_virtual_time
async def test_a_deadline_is_kept_while_lwa_is_down(make: Callable[..., Application], amazon: Amazon) -> None:
    """A call that cannot wait so long fails at its deadline, and the others get the token all the same."""
    amazon.sandbox.fail_lwa(20)
    async with make() as app:
        sp = seller(app)
        began = anyio.current_time()
        with pytest.raises(AuthError, match="deadline"):
            await sp.with_options(deadline=5.0).orders_v0.get_order(order_id=ORDER)
        assert anyio.current_time() - began == pytest.approx(5.0)
        asked = amazon.asked
        await sp.orders_v0.get_order(order_id=ORDER)
        assert amazon.asked > asked


@on_virtual_time
async def test_lwa_is_down_for_good(make: Callable[..., Application], amazon: Amazon) -> None:
    """A call without a deadline gives up in the second minute; all who wait get the same error once."""
    events: list[Event] = []
    errors: list[AuthError] = []
    amazon.sandbox.fail_lwa(1e6)
    began = anyio.current_time()

    async def call(sp: SellingPartner) -> None:
        try:
            await sp.orders_v0.get_order(order_id=ORDER)
        except AuthError as error:
            errors.append(error)

    async with make(on_event=events.append) as app, anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(call, seller(app))
    assert 30 < anyio.current_time() - began < 65
    assert [error.code for error in errors] == ["temporarily_unavailable"] * 20
    assert amazon.asked == 12
    assert len([event for event in events if isinstance(event, TokenFailed)]) == 1


async def test_revoked_in_mid_flight(make: Callable[..., Application], amazon: Amazon) -> None:
    """A token revoked at Amazon while 200 calls are on their way: one refresh, all 200 answered."""
    came, go = anyio.Event(), anyio.Event()
    waiting = 0

    async def hold(request: httpx.Request) -> None:
        nonlocal waiting
        if request.url.path.startswith("/orders") and not go.is_set():
            waiting += 1
            if waiting == 200:
                came.set()
            await go.wait()

    replies: list[object] = []

    async def call(sp: SellingPartner, number: int) -> None:
        replies.append(await sp.orders_v0.get_order(order_id=f"902-1845936-{number:07}"))

    async with make() as app:
        sp = seller(app)
        await sp.orders_v0.get_order(order_id=ORDER)
        amazon.before = hold
        async with anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(call, sp, number)
            await came.wait()
            assert amazon.sandbox.revoke("SELLER1") == 1
            go.set()
    assert (len(replies), amazon.asked) == (200, 2)


async def test_a_message_is_repeated_after_a_refused_token(make: Callable[..., Application], amazon: Amazon) -> None:
    """A POST whose token was refused was not processed: it is sent again with a new one, and delivered once."""
    from spapi_async.apis.messaging_v1 import CreateConfirmOrderDetailsRequest

    async with make() as app:
        sp = seller(app)
        await sp.orders_v0.get_order(order_id=ORDER)
        amazon.sandbox.revoke()
        await sp.messaging_v1.create_confirm_order_details(
            amazon_order_id=ORDER,
            marketplace_ids=["ATVPDKIKX0DER"],
            body=CreateConfirmOrderDetailsRequest(text="Which size?"),
        )
    assert (len(amazon.sandbox.state.messages), amazon.asked) == (1, 2)


async def test_two_sellers_over_one_store(make: Callable[..., Application], amazon: Amazon) -> None:
    """Two applications' worth of clients over one store, 1,000 restricted calls interleaved: no token ever crosses."""
    store = MemoryStore()
    async with make(token_store=store) as one, make(token_store=store) as two, anyio.create_task_group() as tasks:

        async def work(app: Application, name: str, digit: int) -> None:
            sp = seller(app, name)
            for number in range(250):
                order = f"90{digit}-1845936-{number:07}"
                if number % 2:
                    await sp.orders_v0.get_order_address(order_id=order)
                else:
                    await sp.orders_v0.get_order_buyer_info(order_id=order)

        for app in (one, two):
            tasks.start_soon(work, app, "SELLER1", 1)
            tasks.start_soon(work, app, "SELLER2", 2)
    owners = Counter((path[:21], name) for path, name in amazon.sellers if path.startswith("/orders"))
    assert owners == {("/orders/v0/orders/901", "SELLER1"): 500, ("/orders/v0/orders/902", "SELLER2"): 500}
    assert len(store._values) == 6  # an access token and two restricted ones each
    assert all("SELLER" not in key and "Atz" not in key for key in store._values)


def test_two_event_loops(make: Callable[..., Application], amazon: Amazon, anyio_backend: str) -> None:
    """One client object is opened again in a second run, also of the other kind; on asyncio its token serves on."""
    amazon.sandbox._clock = lambda: 0.0
    app = make()

    async def run() -> None:
        async with app:
            await seller(app).orders_v0.get_order(order_id=ORDER)
        with pytest.raises(ClientClosedError):
            await seller(app).orders_v0.get_order(order_id=ORDER)

    if anyio_backend == "asyncio":
        asyncio.run(run())
        asyncio.run(run())
        assert amazon.asked == 1
    anyio.run(run, backend="trio")
    anyio.run(run, backend="trio")
    anyio.run(run, backend="asyncio")


def test_without_a_block(make: Callable[..., Application], amazon: Amazon, anyio_backend: str) -> None:
    """A client that is neither opened nor closed works too, and leaves nothing running when its event loop ends."""
    app = make()

    async def run() -> None:
        await seller(app).orders_v0.get_order(order_id=ORDER)
        assert len(app._tokens._tasks._tasks) == 1

    anyio.run(run, backend=anyio_backend)
    assert not app._tokens._tasks._tasks


@on_virtual_time
async def test_closing_while_lwa_is_down(make: Callable[..., Application], amazon: Amazon) -> None:
    """Closing does not wait for the next attempt to get a token: calls that wait end at once."""
    amazon.sandbox.fail_lwa(1000)
    app = make()
    errors: list[ClientClosedError] = []

    async def call() -> None:
        try:
            await seller(app).orders_v0.get_order(order_id=ORDER)
        except ClientClosedError as error:
            errors.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await anyio.sleep(10)
        began = anyio.current_time()
        await app.aclose(grace=60)
        assert anyio.current_time() == began
    assert len(errors) == 1


class TestSecret:
    @pytest.fixture
    def amazon(self) -> Amazon:
        return Amazon(Sandbox(plans=PLANS, clock=anyio.current_time, applications={"app": "old"}))

    @on_virtual_time
    async def test_swapped_with_calls_in_flight(self, make: Callable[..., Application], amazon: Amazon) -> None:
        """The secret is swapped while calls of ten selling partners go on: none fails, old tokens are used on."""
        done: list[str] = []

        async def work(sp: SellingPartner, name: str) -> None:
            for _ in range(120):
                await sp.orders_v0.get_order(order_id=ORDER)
                done.append(name)
                await anyio.sleep(60)

        async with make(client_secret="old") as app, anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(work, seller(app, f"S{number}"), f"S{number}")
            await anyio.sleep(1000)
            before = amazon.asked
            app.set_client_secret("new")
            amazon.sandbox.set_client_secret("app", "new")
            await anyio.sleep(60)
            assert amazon.asked == before == 10
        assert len(done) == 1200

    async def test_swapped_while_a_token_is_fetched(self, make: Callable[..., Application], amazon: Amazon) -> None:
        """A fetch that is refused because the secret was swapped meanwhile is made again with the new one."""

        async def swap(request: httpx.Request) -> None:
            if request.url.path == "/auth/o2/token" and amazon.asked == 1:
                amazon.sandbox.set_client_secret("app", "new")
                app.set_client_secret("new")

        amazon.before = swap
        async with make(client_secret="old") as app:
            await seller(app).orders_v0.get_order(order_id=ORDER)
        assert amazon.asked == 2

    async def test_refused_for_the_whole_application(self, make: Callable[..., Application], amazon: Amazon) -> None:
        """`invalid_client` is asked once for all selling partners, until there is another secret."""
        async with make(client_secret="wrong") as app:
            for number in range(5):
                with pytest.raises(AuthError, match="invalid_client") as caught:
                    await seller(app, f"S{number}").orders_v0.get_order(order_id=ORDER)
                assert caught.value.is_permanent
            assert amazon.asked == 1
            app.set_client_secret("old")
            for number in range(5):
                await seller(app, f"S{number}").orders_v0.get_order(order_id=ORDER)

    async def test_loaded_anew_once(self, make: Callable[..., Application], amazon: Amazon) -> None:
        """A refused secret is read again from where it is kept, once for all who found it refused."""
        loads: list[str] = []

        async def load() -> str:
            loads.append("")
            await anyio.lowlevel.checkpoint()
            return "new"

        amazon.sandbox.set_client_secret("app", "new")
        async with make(client_secret="old", load_client_secret=load) as app, anyio.create_task_group() as tasks:
            for number in range(5):

                async def call(number: int = number) -> None:
                    await seller(app, f"S{number}").orders_v0.get_order(order_id=ORDER)

                tasks.start_soon(call)
        assert len(loads) == 1


async def test_a_file_store(make: Callable[..., Application], amazon: Amazon, tmp_path: Any) -> None:
    """With a file store, a second program run uses the token of the first."""
    for _ in range(2):
        async with make(token_store=FileStore(tmp_path / "tokens.json")) as app:
            await seller(app).orders_v0.get_order(order_id=ORDER)
    assert amazon.asked == 1
