"""Calls that pass more than one bucket: the application's limit over all selling partners, quotas, Amazon's sandbox."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import anyio
import attrs
import pytest
import trio
import trio.testing
from hypothesis import given, settings, strategies as st

from spapi_async.errors import QuotaExceededError, ThrottleTimeoutError
from spapi_async.events import Event, RateLearned
from spapi_async.operation import Call, Operation, Priority, Quota, Reply, UsagePlan
from spapi_async.scheduler import Account, Scheduler

HERE = Account("app", "here", "https://eu")
THERE = HERE._replace(selling_partner="there")


class Amazon:
    """A server with a bucket for each selling partner, and one for the application: both must have a token."""

    def __init__(self, server_bucket: type, pair: tuple[float, float], application: tuple[float, float]) -> None:
        self.new = partial(server_bucket, *pair)
        self.pairs: dict[str, object] = {}
        self.application = server_bucket(*application)
        self.headers: dict[str, str] = {}
        self.refused = 0
        self.done: list[tuple[str, str, float]] = []

    def serving(self, account: Account) -> Callable[[Call], Reply]:
        return partial(self.serve, account.selling_partner)

    async def serve(self, seller: str, call: Call) -> Reply:
        await anyio.sleep(0.02)
        now = anyio.current_time()
        pair = self.pairs.setdefault(seller, self.new())
        for bucket in (pair, self.application):
            bucket.refill(now)
        await anyio.sleep(0.02)
        if min(pair.tokens, self.application.tokens) < 1:
            self.refused += 1
            raise QuotaExceededError(operation=call.operation.key, status=429, is_retry_safe=True)
        pair.tokens -= 1
        self.application.tokens -= 1
        self.done.append((seller, call.path, anyio.current_time()))
        return Reply(status=200, headers=self.headers, body=b"")

    def times(self, seller: str) -> list[float]:
        return [moment for who, _, moment in self.done if who == seller]


@pytest.fixture
def amazon(server_bucket: type) -> Callable[..., Amazon]:
    return partial(Amazon, server_bucket)


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def scheduler(events: list[Event]) -> Callable[..., Scheduler]:
    return partial(Scheduler, emit=events.append)


def virtually(main: Callable[..., object]) -> object:
    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def make(scheduler: Scheduler, amazon: Amazon, operation: Operation, calls: dict[Account, int]) -> None:
    """Let so many calls of each selling partner begin at once, those of one after those of the other."""
    async with trio.open_nursery() as nursery:
        for account, count in calls.items():
            for number in range(count):
                call = attrs.evolve(operation.call(), path=f"{account.selling_partner} {number}")
                nursery.start_soon(scheduler.throttling(account), call, amazon.serving(account))
            await trio.testing.wait_all_tasks_blocked()


async def make_in_turn(scheduler: Scheduler, amazon: Amazon, *groups: list[Call]) -> None:
    """Let all calls of a group begin at once, and those of the next when they wait or are under way."""
    async with trio.open_nursery() as nursery:
        for calls in groups:
            for call in calls:
                nursery.start_soon(scheduler.throttling(HERE), call, amazon.serving(HERE))
            await trio.testing.wait_all_tasks_blocked()


def test_the_application_has_a_limit_of_its_own(scheduler, amazon, make_operation) -> None:
    """Selling partners with 10/s each stay together below the 12/s of their application, without a 429."""
    server, operation = amazon((10, 10), (12, 12)), make_operation(10, 10, application_rate=12.0)

    async def main() -> float:
        await make(scheduler(), server, operation, {HERE: 60, THERE: 60})
        return trio.current_time()

    began, ended = 0.0, virtually(main)
    assert server.refused == 0
    assert len(server.done) == 120
    first = min(moment for *_, moment in server.done) - 0.04
    assert ended - first <= (120 - 12) / 12 * 1.03 + began


def test_selling_partners_take_turns_at_the_application(scheduler, amazon, make_operation) -> None:
    """The backlog of 1,000 calls of one selling partner delays the single call of another by one turn."""
    server, operation = amazon((50, 50), (5, 5)), make_operation(50, 50, application_rate=5.0)

    async def main() -> float:
        limits = scheduler()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(make, limits, server, operation, {HERE: 1_000})
            await trio.sleep(20)
            began = trio.current_time()
            await limits.throttling(THERE)(operation.call(), server.serving(THERE))
            took = trio.current_time() - began
            nursery.cancel_scope.cancel()
        return took

    assert virtually(main) <= 2 / 5 + 0.1
    assert server.refused == 0


def test_many_selling_partners_get_equal_shares(scheduler, amazon, make_operation) -> None:
    """Whoever has calls waiting gets the same share of the application's limit, however many they are."""
    accounts = [HERE._replace(selling_partner=str(number)) for number in range(5)]
    server, operation = amazon((10, 10), (5, 5)), make_operation(10, 10, application_rate=5.0)

    async def main() -> None:
        with trio.move_on_after(60):
            await make(scheduler(), server, operation, {account: 100 * 2**n for n, account in enumerate(accounts)})

    virtually(main)
    counts = [len(server.times(account.selling_partner)) for account in accounts]
    assert sum(counts) >= 295
    assert max(counts) - min(counts) <= 5


def test_an_urgent_call_takes_its_selling_partners_place(scheduler, amazon, make_operation) -> None:
    """An interactive call goes before bulk calls also where its application's limit is what they wait for."""
    server, operation = amazon((10, 10), (1, 1)), make_operation(10, 10, application_rate=1.0)

    async def main() -> None:
        limits = scheduler()
        async with trio.open_nursery() as nursery:
            for account in (HERE, THERE):
                for number in range(4):
                    bulk = attrs.evolve(operation.call(), path=f"bulk {number}", priority=Priority.BULK)
                    nursery.start_soon(limits.throttling(account), bulk, server.serving(account))
            await trio.sleep(1.5)
            urgent = attrs.evolve(operation.call(), path="urgent", priority=Priority.INTERACTIVE)
            nursery.start_soon(limits.throttling(THERE), urgent, server.serving(THERE))

    virtually(main)
    assert [path for _, path, _ in server.done].index("urgent") == 2
    assert len(server.done) == 9
    assert server.refused == 0


def test_a_cancelled_call_gives_up_its_place_at_the_application(scheduler, amazon, make_operation) -> None:
    """When the call that is next at the application's limit is cancelled, the next one goes at that moment."""
    server, operation = amazon((10, 10), (0.1, 1)), make_operation(10, 10, application_rate=0.1)

    async def main() -> float:
        limits = scheduler()
        began = trio.current_time()
        await limits.throttling(HERE)(operation.call(), server.serving(HERE))
        async with trio.open_nursery() as nursery:
            cancelled = trio.CancelScope()

            async def first() -> None:
                with cancelled:
                    await limits.throttling(HERE)(operation.call(), server.serving(HERE))

            nursery.start_soon(first)
            await trio.sleep(1)
            nursery.start_soon(limits.throttling(THERE), operation.call(), server.serving(THERE))
            await trio.sleep(1)
            cancelled.cancel()
        return trio.current_time() - began

    assert virtually(main) == pytest.approx(10.4, abs=0.1)


def test_a_429_of_the_application_is_not_held_against_the_selling_partner(scheduler, amazon, make_operation) -> None:
    """Where another process uses the application's limit too, the selling partner's own plan stays whole."""
    server, operation = amazon((10, 10), (6, 6)), make_operation(10, 10, application_rate=12.0)

    async def main() -> list:
        limits = scheduler()
        began = trio.current_time()
        await make(limits, server, operation, {HERE._replace(selling_partner=str(n)): 12 for n in range(10)})
        return [trio.current_time() - began, *limits.snapshot()]

    took, *states = virtually(main)
    assert took <= (120 - 6) / 6 * 1.05
    [application] = [state for state in states if state.limit == "application"]
    own = [state for state in states if not state.limit]
    assert application.refused > 0
    assert application.rate < 10
    assert sum(state.refused for state in own) <= 0.1 * application.refused
    assert server.refused <= 0.12 * (120 + server.refused)


def test_one_selling_partners_429s_do_not_slow_the_others(scheduler, amazon, make_operation, server_bucket) -> None:
    """Where one usage plan is lower than believed, its 429s are not held against the application's limit for long."""
    slow, others = HERE, [HERE._replace(selling_partner=str(number)) for number in range(2)]
    server, operation = amazon((10, 10), (30, 30)), make_operation(10, 10, application_rate=30.0)
    ends: dict[Account, float] = {}

    async def main() -> list:
        limits = scheduler()
        began = trio.current_time()
        server.pairs[slow.selling_partner] = server_bucket(2, 10)
        server.pairs[slow.selling_partner].at = began

        async def calls(account: Account, count: int) -> None:
            await make(limits, server, operation, {account: count})
            ends[account] = trio.current_time() - began

        async with trio.open_nursery() as nursery:
            for account, count in ((slow, 100), *((other, 800) for other in others)):
                nursery.start_soon(calls, account, count)
        return limits.snapshot(slow)

    states = virtually(main)
    assert ends[slow] <= (100 - 10) / 2 * 1.05
    assert max(ends[other] for other in others) <= (800 - 10) / 10 * 1.05
    refused = {state.limit: state.refused for state in states}
    assert refused[""] > refused["application"]


@pytest.mark.parametrize("given", [20.0, None])
def test_the_applications_limit_can_be_overridden(scheduler, make_operation, given: float | None) -> None:
    """A rate that is given goes before the built-in one, and None means that there is no such limit."""
    operation = make_operation(10, 10, application_rate=12.0)
    limits = scheduler(clock=lambda: 0.0, application_rates={operation.key: given})
    limits.estimate(HERE, operation.call(), 1)
    plans = [state.plan for state in limits.snapshot() if state.limit == "application"]
    assert plans == ([] if given is None else [UsagePlan(20.0, 20.0, "override")])


def test_a_slow_applications_limit_lets_one_call_through(scheduler, make_operation) -> None:
    """The burst of such a limit is what a second grows, and at least one call."""
    operation = make_operation(10, 10, application_rate=0.2)
    limits = scheduler(clock=lambda: 0.0)
    assert limits.estimate(HERE, operation.call(), 1) == 0.0
    assert limits.estimate(HERE, operation.call(), 3) == pytest.approx(10, rel=0.1)


def test_a_quota_delays_only_the_calls_that_declare_it(scheduler, amazon, make_operation) -> None:
    """Calls that wait for a quota of theirs are not in the way of others of the same operation."""
    server, operation = amazon((1, 5), (1e6, 1e6)), make_operation(1, 5)
    feed = attrs.evolve(operation.call(), path="quota", quotas=(Quota("feed", UsagePlan(0.01, 1)),))

    virtually(partial(make_in_turn, scheduler(), server, [feed] * 3, [operation.call()] * 10))
    began = min(moment for *_, moment in server.done) - 0.04
    of_quota = [moment - began for _, path, moment in server.done if path == "quota"]
    others = [moment - began for _, path, moment in server.done if path != "quota"]
    assert of_quota == pytest.approx([0.04, 100.04, 200.04], abs=5)  # 0.02 tokens each
    assert max(others) <= 6.4
    assert server.refused == 0


def test_a_call_keeps_its_place_while_it_waits_for_its_quota(scheduler, amazon, make_operation) -> None:
    """At the usage plan a call stands where it came, not where its quota let it go on."""
    server, operation = amazon((0.1, 1), (1e6, 1e6)), make_operation(0.1, 1)
    feed = attrs.evolve(operation.call(), path="quota", quotas=(Quota("feed", UsagePlan(0.08, 1)),))

    virtually(partial(make_in_turn, scheduler(), server, [feed] * 2, [operation.call()] * 6))
    assert [path for _, path, _ in server.done].index("quota", 1) == 2


def test_a_usage_plan_is_kept_for_who_waits_for_a_quota(scheduler, amazon, make_operation) -> None:
    """Its bucket is not forgotten meanwhile, so that there are never two of one plan."""
    server, operation, busy = amazon((1, 5), (1e6, 1e6)), make_operation(1, 5), make_operation(1, 5, "busy")
    call = attrs.evolve(operation.call(), quotas=(Quota("feed", UsagePlan(1 / 300, 1)),))

    async def main() -> list:
        limits = scheduler()
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(limits.throttling(HERE), call, server.serving(HERE))
            for _ in range(4):
                await trio.sleep(61)
                await limits.throttling(HERE)(busy.call(), server.serving(HERE))
        return limits.snapshot()

    plans = {state.operation: state for state in virtually(main) if not state.limit}
    assert plans[operation.key].granted == 2


def test_a_quota_that_is_declared_twice_counts_once(scheduler, amazon, make_operation) -> None:
    """A call takes one token of a quota, however often it names it."""
    server, operation = amazon((10, 10), (1e6, 1e6)), make_operation(10, 10)
    quota = Quota("feed", UsagePlan(1, 2))
    call = attrs.evolve(operation.call(), quotas=(quota, attrs.evolve(quota)))

    async def main() -> float:
        limits = scheduler()
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(limits.throttling(HERE), call, server.serving(HERE))
        return trio.current_time() - began

    assert virtually(main) == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize(("scope", "took"), [("selling_partner", 10), ("application", 30)])
def test_whose_quota_it_is(scheduler, amazon, make_operation, scope: str, took: float) -> None:
    """A quota counts for each selling partner, or for all of the application together."""
    server, operation = amazon((100, 100), (1e6, 1e6)), make_operation(100, 100)
    quota = Quota("data", UsagePlan(0.1, 1), scope)

    async def main() -> float:
        limits = scheduler()
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for account in (HERE, THERE) * 2:
                call = attrs.evolve(operation.call(), quotas=(quota,))
                nursery.start_soon(limits.throttling(account), call, server.serving(account))
        return trio.current_time() - began

    assert virtually(main) == pytest.approx(took, rel=0.1)


@pytest.mark.parametrize("name", ["", "application"])
def test_a_quota_has_a_name_of_its_own(name: str) -> None:
    """Neither an empty name nor that of Amazon's own limit."""
    with pytest.raises(ValueError, match="name"):
        Quota(name, UsagePlan(1, 1))


def test_a_deadline_knows_all_limits(scheduler, amazon, make_operation) -> None:
    """A call whose turn would come too late by any of its limits is refused at once, and told by which."""
    server, operation = amazon((10, 10), (0.1, 1)), make_operation(10, 10, application_rate=0.1)

    async def main() -> ThrottleTimeoutError:
        limits = scheduler()
        await limits.throttling(HERE)(operation.call(), server.serving(HERE))
        call = attrs.evolve(operation.call(), deadline=trio.current_time() + 2)
        with pytest.raises(ThrottleTimeoutError, match="the application's limit") as caught:
            await limits.throttling(THERE)(call, server.serving(THERE))
        return caught.value

    assert virtually(main).predicted_wait == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize("limit", ["application", "quota", "shared quota"])
def test_predictions_count_who_has_to_pass_the_next_limit_too(scheduler, amazon, make_operation, limit: str) -> None:
    """Where a limit behind the usage plan is the slower one, those before a call wait for it as well."""
    facts = {"application_rate": 2.0} if limit == "application" else {}
    quotas = {"quota": (Quota("q", UsagePlan(2, 2)),), "shared quota": (Quota("q", UsagePlan(2, 2), "application"),)}
    server, operation = amazon((10, 10), (2, 2)), make_operation(10, 10, **facts)
    call = attrs.evolve(operation.call(), quotas=quotas.get(limit, ()))

    async def main() -> None:
        limits = scheduler()
        async with trio.open_nursery() as nursery:
            for _ in range(102):
                nursery.start_soon(limits.throttling(HERE), call, server.serving(HERE))
            await trio.sleep(0.1)
            assert limits.estimate(HERE, call, 1) == pytest.approx(50, rel=0.05)
            assert limits.estimate(HERE, call, 100) == pytest.approx(99.5, rel=0.05)
            urgent = attrs.evolve(call, priority=Priority.INTERACTIVE)
            assert limits.estimate(HERE, urgent, 1) <= 1.2
            began = trio.current_time()
            with pytest.raises(ThrottleTimeoutError) as caught:
                await limits.throttling(HERE)(attrs.evolve(call, deadline=began + 25), server.serving(HERE))
            assert trio.current_time() == began
            assert caught.value.predicted_wait == pytest.approx(50, rel=0.05)
            if limit == "application":
                [plan] = [state for state in limits.snapshot() if not state.limit]
                assert plan.wait == pytest.approx(50, rel=0.05)
            nursery.cancel_scope.cancel()

    virtually(main)


def test_a_prediction_counts_only_who_declares_the_quota(scheduler, amazon, make_operation) -> None:
    """Calls without it that wait for the same usage plan take none of its tokens."""
    server, operation = amazon((1, 1), (1e6, 1e6)), make_operation(1, 1)
    call = attrs.evolve(operation.call(), quotas=(Quota("q", UsagePlan(0.1, 1), "application"),))

    async def main() -> float:
        limits = scheduler()
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(limits.throttling(HERE), operation.call(), server.serving(HERE))
            await trio.sleep(0.1)
            predicted = limits.estimate(HERE, call, 1)
            nursery.cancel_scope.cancel()
        return predicted

    assert virtually(main) == pytest.approx(24, rel=0.05)


def test_a_learned_plan_of_the_application_is_restored(scheduler, amazon, make_operation) -> None:
    """That of a grantless operation too, which is the application's own; what it learns then goes before it."""
    operation = make_operation(5, 10, grantless_scope="scope")
    server = amazon((3, 10), (1e6, 1e6))

    async def main() -> None:
        limits = scheduler()
        for account in (HERE, THERE):
            limits.restore(account, {operation.key: UsagePlan(2.0, 10, "header")})
        assert limits.estimate(HERE, operation.call(), 30) == pytest.approx(10, rel=0.1)
        assert limits.learned_plans(THERE)[operation.key].rate == 2.0
        server.headers = {"x-amzn-ratelimit-limit": "3.0"}
        await limits.throttling(HERE)(operation.call(), server.serving(HERE))
        assert [limits.learned_plans(account)[operation.key].rate for account in (HERE, THERE)] == [3.0, 3.0]

    virtually(main)


def test_amazons_sandbox_has_one_bucket_for_everything(scheduler, events, amazon, make_operation) -> None:
    """On Amazon's own sandbox all operations share 5/s burst 15, whatever their plans and the rates in replies."""
    sandbox = HERE._replace(endpoint="https://sandbox.sellingpartnerapi-eu.amazon.com")
    server = amazon((1e6, 1e6), (5, 15))
    server.headers = {"x-amzn-ratelimit-limit": "0.0167"}
    slow, fast = make_operation(0.001, 1, "slow"), make_operation(50, 50, "fast")

    async def main() -> tuple[float, list]:
        limits = scheduler()
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for operation in (slow, fast):
                nursery.start_soon(make, limits, server, operation, {sandbox: 20})
        return trio.current_time() - began, limits.snapshot(sandbox)

    took, [state] = virtually(main)
    assert server.refused == 0
    assert took == pytest.approx((40 - 15) / 5, rel=0.04)
    assert (state.operation, state.plan) == ("*", UsagePlan(5, 15, "documentation"))
    assert not [event for event in events if isinstance(event, RateLearned)]


@attrs.frozen
class Planned:
    """A call of a random schedule."""

    seller: int
    priority: Priority
    at: float
    patience: float | None
    """Seconds after which it is cancelled."""


planned = st.builds(
    Planned,
    seller=st.integers(0, 2),
    priority=st.sampled_from(Priority),
    at=st.integers(0, 40).map(lambda tenths: tenths / 10),
    patience=st.none() | st.integers(0, 60).map(lambda tenths: tenths / 10 + 0.03),
)


@settings(max_examples=60, deadline=None)
@given(schedule=st.lists(planned, min_size=1, max_size=40), application_rate=st.sampled_from([None, 2.0, 30.0]))
def test_the_cancelled_cost_nobody_anything(
    server_bucket: type, schedule: list[Planned], application_rate: float | None
) -> None:
    """Every call that is not cancelled gets its turn, and no later for those who were cancelled while they waited."""
    operation = Operation(
        module="test_v0",
        name="get_order",
        operation_id="getOrder",
        method="GET",
        path="/",
        plan=UsagePlan(1, 2),
        application_rate=application_rate,
    )

    def run(indices: list[int]) -> tuple[dict[int, float], int]:
        server = Amazon(server_bucket, (1, 2), (application_rate or 1e6, max(1.0, application_rate or 1e6)))
        turns: dict[int, float] = {}

        async def main() -> None:
            limits = Scheduler(emit=lambda event: None)
            began = trio.current_time()

            async def one(index: int) -> None:
                each = schedule[index]
                await trio.sleep_until(began + each.at + index * 1e-4)

                async def send(call: Call) -> Reply:
                    turns[index] = trio.current_time() - began
                    with trio.CancelScope(shield=True):  # what got its turn is sent
                        return await server.serve(str(each.seller), call)

                call = attrs.evolve(operation.call(), priority=each.priority)
                with trio.move_on_after(each.patience if each.patience is not None else float("inf")):
                    await limits.throttling(HERE._replace(selling_partner=str(each.seller)))(call, send)

            async with trio.open_nursery() as nursery:
                for index in indices:
                    nursery.start_soon(one, index)

        virtually(main)
        return turns, server.refused

    everybody = list(range(len(schedule)))
    turns, refused = run(everybody)
    assert refused == 0
    assert turns.keys() >= {index for index in everybody if schedule[index].patience is None}
    if application_rate is None:  # else selling partners that come at the same moment may go in either order
        again, _ = run(sorted(turns))
        assert again == pytest.approx(turns, abs=1e-6)
