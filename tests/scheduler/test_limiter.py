"""The scheduler as calls meet it. Time is trio's MockClock, so hours of pacing take milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import anyio
import attrs
import pytest
import trio
import trio.testing

from spapi_async.errors import (
    ArgumentError,
    AuthError,
    ClientClosedError,
    ConnectError,
    QueueFullError,
    QuotaExceededError,
    ReadTimeoutError,
    ThrottleTimeoutError,
)
from spapi_async.events import Event, RateLearned, Throttled, Waited
from spapi_async.operation import Call, Operation, Priority, Reply, UsagePlan
from spapi_async.scheduler import Account, Scheduler

ACCOUNT = Account("app", "seller", "https://eu")


class Amazon:
    """A server with its own bucket, at the other end of a way that takes `latency` seconds in all."""

    def __init__(self, bucket, latency: float = 0.04, header: str | None = None) -> None:
        self.bucket = bucket
        self.latency = latency
        self.header = header
        self.done: list[tuple[str, float]] = []

    async def __call__(self, call: Call) -> Reply:
        await anyio.sleep(self.latency / 2)
        accepted = self.bucket.arrive(anyio.current_time())
        await anyio.sleep(self.latency / 2)
        if not accepted:
            raise QuotaExceededError(operation=call.operation.key, status=429, is_retry_safe=True)
        self.done.append((call.path, anyio.current_time()))
        return Reply(
            status=200, headers={} if self.header is None else {"x-amzn-ratelimit-limit": self.header}, body=b""
        )


@pytest.fixture
def run() -> Callable[..., object]:
    def run(main) -> object:
        async def from_zero() -> object:
            return await main()

        return trio.run(from_zero, clock=trio.testing.MockClock(autojump_threshold=0))

    return run


@pytest.fixture
def events() -> list[Event]:
    return []


def elapsed_of(amazon: Amazon, began: float) -> float:
    return max(moment for _, moment in amazon.done) - began


async def all_at_once(operation: Operation, amazon: Amazon, calls: int, events: list[Event]) -> float:
    """Let so many calls begin at the same moment; the seconds until the last one is done."""
    throttle = Scheduler(emit=events.append).throttling(ACCOUNT)
    began = trio.current_time()
    amazon.bucket.at = began
    async with trio.open_nursery() as nursery:
        for _ in range(calls):
            nursery.start_soon(throttle, operation.call(), amazon)
    return elapsed_of(amazon, began)


def test_sixty_calls_at_five_per_second(run, events, make_operation, server_bucket) -> None:
    """60 calls at once on a plan of 5/s burst 10 end after 10 s, each sent once, without a 429."""
    operation, amazon = make_operation(5, 10), Amazon(server_bucket(5, 10))

    elapsed = run(partial(all_at_once, operation, amazon, 60, events))
    assert amazon.bucket.refused == 0
    assert len(amazon.done) == 60
    assert 10.0 <= elapsed <= 10.0 * 1.02


def test_slowest_plan_waits_minutes(run, events, make_operation, server_bucket) -> None:
    """One token in three minutes is waited for: nothing gives up, and no 429 comes."""
    operation, amazon = make_operation(0.0056, 1), Amazon(server_bucket(0.0056, 1))

    elapsed = run(partial(all_at_once, operation, amazon, 5, events))
    assert amazon.bucket.refused == 0
    assert elapsed == pytest.approx(4 / 0.0056, rel=0.03)


def test_an_empty_bucket_of_a_slow_plan_is_waited_for(run, events, make_operation, server_bucket) -> None:
    """5 reports at 1/min, burst 15, whose tokens somebody else has used up: all five are made, a minute apart."""
    operation, amazon = make_operation(1 / 60, 15), Amazon(server_bucket(1 / 60, 15))
    amazon.bucket.tokens = 0.0

    elapsed = run(partial(all_at_once, operation, amazon, 5, events))
    assert len(amazon.done) == 5
    assert elapsed <= 5 * 60 * 1.1


def test_a_higher_rate_is_used_at_once(run, events, make_operation, server_bucket) -> None:
    """When the first replies say 25/s instead of 5/s, 60 calls end as if that had been known."""
    operation, amazon = make_operation(5, 10), Amazon(server_bucket(25, 10), header="25.0")

    elapsed = run(partial(all_at_once, operation, amazon, 60, events))
    assert amazon.bucket.refused == 0
    assert elapsed <= (60 - 10) / 25 * 1.1


def test_the_header_replans_everybody_who_waits(run, events, make_operation, server_bucket) -> None:
    """When the first replies say 2/s instead of 5/s, those who wait already go at 2/s: at most one 429."""
    operation, amazon = make_operation(5, 10), Amazon(server_bucket(2, 10), header="2.0")

    elapsed = run(partial(all_at_once, operation, amazon, 60, events))
    assert amazon.bucket.refused <= 1
    assert elapsed == pytest.approx((60 - 10) / 2, rel=0.02)
    assert [event for event in events if isinstance(event, RateLearned)] == [
        RateLearned(operation=operation.key, old=5, new=2)
    ]


@pytest.mark.parametrize("header", ["", "0", "-1", "nan", "inf", "fast", "1,5", "1e-300", "0.000001"])
def test_a_garbled_header_changes_nothing(run, events, make_operation, server_bucket, header: str) -> None:
    """A rate header that is no finite number above 0, or below one call a day, is ignored: it is sent best-effort."""
    operation, amazon = make_operation(5, 10), Amazon(server_bucket(5, 10), header=header)

    async def main() -> None:
        await Scheduler(emit=events.append).throttling(ACCOUNT)(operation.call(), amazon)

    run(main)
    assert not [event for event in events if isinstance(event, RateLearned)]


def test_a_429_goes_to_the_head_and_never_surfaces(run, events, make_operation, server_bucket) -> None:
    """A throttled call keeps its place before all others and is repeated until Amazon takes it."""
    operation = make_operation(1, 3)
    amazon = Amazon(server_bucket(1, 3))

    async def main() -> None:
        amazon.bucket.at = trio.current_time()
        amazon.bucket.tokens = 0.0  # somebody else has used them up
        throttle = Scheduler(emit=events.append).throttling(ACCOUNT)
        async with trio.open_nursery() as nursery:
            for number in range(6):
                nursery.start_soon(throttle, attrs.evolve(operation.call(), path=str(number)), amazon)
                await trio.lowlevel.checkpoint()

    run(main)
    assert [path for path, _ in amazon.done] == ["0", "1", "2", "3", "4", "5"]
    assert [event for event in events if isinstance(event, Throttled)]


def test_the_wait_of_a_throttled_call_is_told(run, events, make_operation, server_bucket) -> None:
    """A throttled call is told its own wait at the head of the queue, however many wait behind it."""
    operation, amazon = make_operation(1, 1), Amazon(server_bucket(1, 1))

    async def main() -> None:
        amazon.bucket.at = trio.current_time()
        amazon.bucket.tokens = 0.0  # somebody else has used it up
        throttle = Scheduler(emit=events.append).throttling(ACCOUNT)
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(throttle, operation.call(), amazon)

    run(main)
    waits = [event.wait for event in events if isinstance(event, Throttled)]
    assert waits
    assert max(waits) < 2


def test_fifty_cancelled_waiters_cost_nothing(run, events, make_operation, server_bucket) -> None:
    """A caller behind 50 that were cancelled waits no longer than without them."""
    operation, amazon = make_operation(10, 1), Amazon(server_bucket(10, 1), latency=0.0)

    async def main() -> float:
        throttle = Scheduler(emit=events.append).throttling(ACCOUNT)
        await throttle(operation.call(), amazon)
        began = trio.current_time()
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                for _ in range(50):
                    nursery.start_soon(throttle, operation.call(), amazon)
                await trio.sleep(0.01)
                scope.cancel()
        await throttle(operation.call(), amazon)
        return trio.current_time() - began

    assert run(main) == pytest.approx(0.1 + 0.02, abs=0.001)


def test_a_cancelled_head_hands_over_its_timer(run, events, make_operation, server_bucket) -> None:
    """When the one who stands first is cancelled, the second goes at the moment that was the first one's."""
    operation, amazon = make_operation(0.1, 1), Amazon(server_bucket(0.1, 1), latency=0.0)

    async def main() -> float:
        throttle = Scheduler(emit=events.append).throttling(ACCOUNT)
        began = trio.current_time()
        await throttle(operation.call(), amazon)
        async with trio.open_nursery() as nursery:
            first = trio.CancelScope()

            async def cancelled_one() -> None:
                with first:
                    await throttle(operation.call(), amazon)

            nursery.start_soon(cancelled_one)
            await trio.sleep(1)
            nursery.start_soon(throttle, operation.call(), amazon)
            await trio.sleep(1)
            first.cancel()
        return elapsed_of(amazon, began)

    assert run(main) == pytest.approx(10.4)


def test_urgent_calls_overtake_bulk(run, events, make_operation, server_bucket) -> None:
    """An interactive call that comes late goes before bulk calls that wait, and takes over the timer."""
    operation, amazon = make_operation(1, 1), Amazon(server_bucket(1, 1), latency=0.0)

    async def main() -> None:
        throttle = Scheduler(emit=events.append).throttling(ACCOUNT)
        async with trio.open_nursery() as nursery:
            for number in range(4):
                bulk = attrs.evolve(operation.call(), path=f"bulk {number}", priority=Priority.BULK)
                nursery.start_soon(throttle, bulk, amazon)
            await trio.sleep(0.5)
            urgent = attrs.evolve(operation.call(), path="urgent", priority=Priority.INTERACTIVE)
            nursery.start_soon(throttle, urgent, amazon)

    run(main)
    assert [path for path, _ in amazon.done].index("urgent") == 1


def test_a_hopeless_deadline_is_refused_at_once(run, events, make_operation, server_bucket) -> None:
    """A call whose turn would come after its deadline is told so at once, with the wait, and costs no token."""
    operation, amazon = make_operation(1 / 60, 1), Amazon(server_bucket(1 / 60, 1), latency=0.0)

    async def main() -> tuple[float, ThrottleTimeoutError]:
        throttle = Scheduler(emit=events.append).throttling(ACCOUNT)
        await throttle(operation.call(), amazon)
        began = trio.current_time()
        with pytest.raises(ThrottleTimeoutError) as caught:
            await throttle(attrs.evolve(operation.call(), deadline=began + 30), amazon)
        return trio.current_time() - began, caught.value

    took, error = run(main)
    assert took == 0
    assert error.predicted_wait == pytest.approx(60, rel=0.05)
    assert error.is_retry_safe
    assert "0.0166667 requests/s, burst 1" in str(error)


def test_a_429_that_makes_a_deadline_hopeless_ends_the_call(run, events, make_operation, server_bucket) -> None:
    """A throttled call whose next turn would come after its deadline is told so at once too."""
    operation, amazon = make_operation(1 / 60, 15), Amazon(server_bucket(1 / 60, 15))
    amazon.bucket.tokens = 0.0

    async def main() -> tuple[float, ThrottleTimeoutError]:
        throttle = Scheduler(emit=events.append).throttling(ACCOUNT)
        amazon.bucket.at = began = trio.current_time()
        with pytest.raises(ThrottleTimeoutError) as caught:
            await throttle(attrs.evolve(operation.call(), deadline=began + 30), amazon)
        return trio.current_time() - began, caught.value

    took, error = run(main)
    assert took == pytest.approx(0.04)
    assert error.predicted_wait == pytest.approx(60, rel=0.05)


def test_cancelled_calls_do_not_count_against_a_deadline(run, events, make_operation, server_bucket) -> None:
    """Those who were cancelled while they waited are no reason to refuse a call whose turn comes in time."""
    operation, amazon = make_operation(1, 1), Amazon(server_bucket(1, 1), latency=0.0)

    async def main() -> None:
        throttle = Scheduler(emit=events.append).throttling(ACCOUNT)
        await throttle(operation.call(), amazon)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(throttle, operation.call(), amazon)
            await trio.sleep(0.1)  # it stands at the head, and stays there
            with trio.move_on_after(0.1):
                async with trio.open_nursery() as given_up:
                    for _ in range(50):
                        given_up.start_soon(throttle, operation.call(), amazon)
            await throttle(attrs.evolve(operation.call(), deadline=trio.current_time() + 3), amazon)

    run(main)
    assert len(amazon.done) == 3


def test_a_deadline_ends_a_wait_that_grew(run, events, make_operation, server_bucket) -> None:
    """A call that was to be in time, but whose plan got slower while it waited, is let go at its deadline."""
    operation, amazon = make_operation(1, 1), Amazon(server_bucket(1, 1), header="0.01", latency=0.3)

    async def main() -> float:
        throttle = Scheduler(emit=events.append).throttling(ACCOUNT)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(throttle, operation.call(), amazon)
            await trio.sleep(0.1)
            with pytest.raises(ThrottleTimeoutError):
                await throttle(attrs.evolve(operation.call(), deadline=began + 5), amazon)
        return trio.current_time() - began

    assert run(main) == pytest.approx(5)


def test_a_call_let_go_is_told_of_those_before_it(run, events, make_operation, server_bucket) -> None:
    """The wait that a `ThrottleTimeoutError` tells counts those before the call too, not only the next token."""
    operation, amazon = make_operation(1, 1), Amazon(server_bucket(1, 1), header="0.01", latency=0.3)

    async def main() -> ThrottleTimeoutError:
        throttle = Scheduler(emit=events.append).throttling(ACCOUNT)
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(throttle, operation.call(), amazon)
            await trio.sleep(0.1)
            with pytest.raises(ThrottleTimeoutError) as caught:
                await throttle(attrs.evolve(operation.call(), deadline=trio.current_time() + 5), amazon)
            nursery.cancel_scope.cancel()
        return caught.value

    assert run(main).retry_after == pytest.approx(400, rel=0.2)


def test_the_queue_is_bounded(run, events, make_operation, server_bucket) -> None:
    """Beyond `max_queue` waiting calls, a further one is refused at once and told how many wait."""
    operation, amazon = make_operation(1, 1), Amazon(server_bucket(1, 1))

    async def main() -> QueueFullError:
        throttle = Scheduler(emit=events.append, max_queue=3).throttling(ACCOUNT)
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(throttle, operation.call(), amazon)
            await trio.sleep(0.01)
            with pytest.raises(QueueFullError) as caught:
                await throttle(operation.call(), amazon)
        return caught.value

    assert run(main).queue_length == 3


def test_close_ends_every_wait(run, events, make_operation, server_bucket) -> None:
    """Closing the scheduler gives each waiting call an error that says that nothing was sent."""
    operation, amazon = make_operation(0.001, 1), Amazon(server_bucket(0.001, 1))
    ended: list[ClientClosedError] = []

    async def main() -> None:
        scheduler = Scheduler(emit=events.append)
        throttle = scheduler.throttling(ACCOUNT)

        async def call() -> None:
            try:
                await throttle(operation.call(), amazon)
            except ClientClosedError as error:
                ended.append(error)

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(call)
            await trio.sleep(1)
            scheduler.close()

    run(main)
    assert len(ended) == 4
    assert all(error.is_retry_safe for error in ended)
    assert len(amazon.done) == 1


def test_reopened_after_a_close(run, events, make_operation, server_bucket) -> None:
    """A closed scheduler can admit calls again; with another clock its buckets are new, and what it learned stays."""
    operation = make_operation(5, 10)
    scheduler = Scheduler(emit=events.append)
    throttle = scheduler.throttling(ACCOUNT)

    async def main() -> float:
        amazon = Amazon(server_bucket(0.5, 10), header="0.5")
        amazon.bucket.at = began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(throttle, operation.call(), amazon)
        scheduler.close()
        with pytest.raises(ClientClosedError):
            await throttle(operation.call(), amazon)
        return trio.current_time() - began

    run(main)
    scheduler.reopen(is_same_clock=False)
    assert run(main) < 1
    assert scheduler.learned_plans(ACCOUNT) == {operation.key: UsagePlan(0.5, 10, "header")}


@pytest.mark.parametrize(
    ("failure", "wait"),
    [
        (ConnectError("refused", operation="x", had_begun=False), 2.2),
        (AuthError("no token"), 2.2),
        (ArgumentError("x", ["a header that cannot be sent"]), 2.2),
        (ReadTimeoutError("silence", operation="x", had_begun=True), 102.2),
    ],
)
def test_a_token_comes_back_when_nothing_left(run, events, make_operation, failure: Exception, wait: float) -> None:
    """A call that never left this machine gives its token to the next one; one that may have left does not."""
    operation = make_operation(0.01, 1)

    async def fail(call: Call) -> Reply:
        raise failure

    async def succeed(call: Call) -> Reply:
        return Reply(status=200, headers={}, body=b"")

    async def main() -> float:
        throttle = Scheduler(emit=events.append).throttling(ACCOUNT)
        with pytest.raises(type(failure)):
            await throttle(operation.call(), fail)
        began = trio.current_time()
        await throttle(operation.call(), succeed)
        return trio.current_time() - began

    assert run(main) == pytest.approx(wait)


def test_an_overridden_plan_counts(run, events, make_operation, server_bucket) -> None:
    """A plan given by the user goes before the built-in one."""
    operation, amazon = make_operation(0.001, 1), Amazon(server_bucket(10, 5), latency=0.0)

    async def main() -> float:
        scheduler = Scheduler(emit=events.append, plans={operation.key: UsagePlan(10, 5)})
        throttle = scheduler.throttling(ACCOUNT)
        began = trio.current_time()
        for _ in range(5):
            await throttle(operation.call(), amazon)
        return trio.current_time() - began

    assert run(main) < 1


def test_waiting_is_told(run, events, make_operation, server_bucket) -> None:
    """A call that had to wait emits how long; one that did not emits nothing."""
    operation, amazon = make_operation(1, 1), Amazon(server_bucket(1, 1), latency=0.0)

    async def main() -> None:
        throttle = Scheduler(emit=events.append).throttling(ACCOUNT)
        await throttle(operation.call(), amazon)
        await throttle(operation.call(), amazon)

    run(main)
    [waited] = events
    assert isinstance(waited, Waited)
    assert waited.seconds == pytest.approx(1.2)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_runs_on_both_back_ends(anyio_backend, events, make_operation: Callable[..., Operation]) -> None:
    """The driver is anyio's: it waits and wakes on asyncio and trio alike."""
    operation = make_operation(200, 1)
    arrived = []

    async def next_(call: Call) -> Reply:
        arrived.append(call.path)
        return Reply(status=200, headers={}, body=b"")

    throttle = Scheduler(emit=events.append).throttling(ACCOUNT)
    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(throttle, attrs.evolve(operation.call(), path=str(number)), next_)
    assert sorted(arrived) == ["0", "1", "2", "3", "4"]


def test_a_plan_that_is_too_high_without_any_header(run, events, make_operation, server_bucket) -> None:
    """2/s where 5/s was believed, and no header: all calls end nearly as soon as if it had been known, few 429s."""
    operation, amazon = make_operation(5, 10), Amazon(server_bucket(2, 10))

    elapsed = run(partial(all_at_once, operation, amazon, 60, events))
    assert len(amazon.done) == 60
    assert elapsed <= 25 * 1.05 + 0.5
    assert amazon.bucket.refused <= 0.12 * (60 + amazon.bucket.refused)


def test_idle_buckets_are_forgotten(run, events, make_operation, server_bucket) -> None:
    """A bucket that is full again and not in use is dropped as others pass; what was learned of its plan stays."""
    busy, idle, learned = (make_operation(1, 5, name) for name in ("busy", "idle", "learned"))

    async def main() -> object:
        scheduler = Scheduler(emit=events.append)
        throttle = scheduler.throttling(ACCOUNT)
        for operation, header in ((idle, None), (learned, "2.0")):
            amazon = Amazon(server_bucket(5, 10), header=header)
            amazon.bucket.at = trio.current_time()
            await throttle(operation.call(), amazon)
        amazon = Amazon(server_bucket(5, 10))
        for _ in range(4):
            await trio.sleep(61)
            amazon.bucket.at = trio.current_time()
            await throttle(busy.call(), amazon)
        return scheduler.snapshot(), scheduler.learned_plans(ACCOUNT)

    states, plans = run(main)
    assert [state.operation for state in states] == [busy.key]
    assert plans == {learned.key: UsagePlan(2.0, 5, "header")}


def test_a_bucket_that_is_not_full_is_not_forgotten(run, events, make_operation, server_bucket) -> None:
    """Neither one whose tokens are still growing, nor one with a call under way, nor one that somebody waits for."""
    slow, busy = make_operation(0.001, 1, "slow"), make_operation(1, 5, "busy")
    hung = make_operation(1, 5, "hung")

    async def hang(call: Call) -> Reply:
        await trio.sleep(1_000)
        return Reply(status=200, headers={}, body=b"")

    async def main() -> object:
        scheduler = Scheduler(emit=events.append)
        throttle = scheduler.throttling(ACCOUNT)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(throttle, hung.call(), hang)
            amazon = Amazon(server_bucket(5, 10))
            amazon.bucket.at = trio.current_time()
            await throttle(slow.call(), amazon)
            for _ in range(6):
                await trio.sleep(61)
                await throttle(busy.call(), amazon)
            kept = {state.operation for state in scheduler.snapshot()}
            nursery.cancel_scope.cancel()
        return kept

    assert run(main) == {slow.key, busy.key, hung.key}


def test_a_snapshot(run, events, make_operation, server_bucket) -> None:
    """What each bucket looks like: plan, pace, tokens, who waits, for how long, and what has happened."""
    operation, other = make_operation(1, 5), make_operation(0.01, 1, "other")

    async def main() -> object:
        scheduler = Scheduler(emit=events.append)
        throttle = scheduler.throttling(ACCOUNT)
        amazon = Amazon(server_bucket(2, 5), header="2.0")
        amazon.bucket.at = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                await throttle(operation.call(), amazon)
            with trio.move_on_after(0.01):
                await throttle(operation.call(), amazon)
            for priority in (Priority.NORMAL, Priority.NORMAL, Priority.BULK, Priority.INTERACTIVE):
                nursery.start_soon(throttle, attrs.evolve(operation.call(), priority=priority), amazon)
            await trio.testing.wait_all_tasks_blocked()
            [state] = scheduler.snapshot()
        await throttle(other.call(), Amazon(server_bucket(1, 1)))
        return state, scheduler.snapshot()

    state, after = run(main)
    assert (state.operation, state.selling_partner, state.endpoint) == (operation.key, "seller", "https://eu")
    assert (state.plan, state.rate) == (UsagePlan(2, 5, "header"), 2)
    assert state.waiting == {Priority.INTERACTIVE: 1, Priority.NORMAL: 2, Priority.BULK: 1}
    assert (state.granted, state.throttled, state.refused, state.cancelled) == (5, 0, 0, 1)
    assert 0 <= state.tokens < 2
    assert state.headroom > 0
    assert 1.5 < state.wait < 2.2  # three at 2/s go before a newcomer: all but the bulk call
    assert [each.operation for each in after] == [operation.key, other.key]
    assert (after[0].granted, after[0].in_flight, sum(after[0].waiting.values())) == (9, 0, 0)


def test_a_snapshot_counts_429s(run, events, make_operation, server_bucket) -> None:
    """The pace in use is below the plan's once 429s said that not all of it is ours."""
    operation, amazon = make_operation(5, 10), Amazon(server_bucket(2, 10))

    async def main() -> object:
        scheduler = Scheduler(emit=events.append)
        amazon.bucket.at = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(30):
                nursery.start_soon(scheduler.throttling(ACCOUNT), operation.call(), amazon)
            await trio.sleep(3)
            [state] = scheduler.snapshot()
        return state

    state = run(main)
    assert state.refused > 0
    assert state.rate < state.plan.rate == 5
