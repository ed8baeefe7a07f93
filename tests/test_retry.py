"""When a failed attempt is made again."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st

from spapi_async.errors import (
    AuthError,
    BadRequestError,
    CallError,
    ConnectError,
    ForbiddenError,
    OutcomeUnknownError,
    QueueFullError,
    QuotaExceededError,
    ReadTimeoutError,
    ServerError,
    SpapiError,
    StatusError,
    ThrottleTimeoutError,
)
from spapi_async.events import Event, Retried
from spapi_async.operation import Call, Operation, Reply, UsagePlan
from spapi_async.retry import RetryPolicy, retrying

OPERATION = Operation(
    module="test_v0", name="get", operation_id="get", method="GET", path="/", plan=UsagePlan(1, 1), repeatable=True
)
NAMED = {"operation": OPERATION.key}

NEVER_CONNECTED = ConnectError("refused", had_begun=False, **NAMED)
READ_SILENCE = ReadTimeoutError("silence", had_begun=True, is_retry_safe=True, **NAMED)
UNSAFE_SILENCE = ReadTimeoutError("silence", had_begun=True, is_retry_safe=False, **NAMED)
SERVER_FAULT = ServerError(status=500, is_retry_safe=True, **NAMED)


@pytest.mark.parametrize(
    ("error", "is_repeated"),
    [
        (NEVER_CONNECTED, True),
        (READ_SILENCE, True),
        (SERVER_FAULT, True),
        (StatusError(status=408, is_retry_safe=True, **NAMED), True),
        (UNSAFE_SILENCE, False),
        (ServerError(status=500, is_retry_safe=None, **NAMED), False),
        (OutcomeUnknownError("cut", **NAMED), False),
        (BadRequestError(status=400, is_retry_safe=False, **NAMED), False),
        (QuotaExceededError(status=429, is_retry_safe=True, **NAMED), False),
        (ThrottleTimeoutError("late", **NAMED), False),
        (QueueFullError("full", **NAMED), False),
    ],
)
def test_what_is_repeated(error: CallError, is_repeated: bool) -> None:
    """Only what is safe and may heal: never connected; for repeatable operations silence, broken connections, 5xx."""
    assert (RetryPolicy().delay(error, 1, 0.5) is not None) is is_repeated


def test_waits_double_up_to_the_cap() -> None:
    """The longest wait doubles with each attempt, up to max_delay seconds."""
    policy = RetryPolicy(max_attempts=10, base_delay=0.5, max_delay=3)
    waits = [policy.delay(NEVER_CONNECTED, attempt, 1.0) for attempt in range(1, 6)]
    assert waits == [0.5, 1, 2, 3, 3]


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_waits_stay_within_their_limits(attempt: int, random: float) -> None:
    """Full jitter: each wait lies between 0 and its limit, for any number of attempts."""
    policy = RetryPolicy(max_attempts=100_000)
    delay = policy.delay(NEVER_CONNECTED, attempt, random)
    assert delay is not None
    assert 0 <= delay <= min(20.0, 0.5 * 2 ** min(attempt - 1, 64))


def test_the_last_attempt_is_the_last() -> None:
    """After max_attempts there is no repeat."""
    assert RetryPolicy(max_attempts=3).delay(NEVER_CONNECTED, 2, 0.5) is not None
    assert RetryPolicy(max_attempts=3).delay(NEVER_CONNECTED, 3, 0.5) is None


def test_retry_after_is_waited_at_least() -> None:
    """A Retry-After of the reply is a lower bound of the wait."""
    error = ServerError(status=503, is_retry_safe=True, retry_after=7.0, **NAMED)
    assert RetryPolicy().delay(error, 1, 0.0) == 7.0


def test_an_endless_retry_after_ends_the_call() -> None:
    """Nobody waits for an hour unseen: the error is raised, and says when it may be tried again."""
    error = ServerError(status=503, is_retry_safe=True, retry_after=3600.0, **NAMED)
    assert RetryPolicy().delay(error, 1, 0.0) is None


@pytest.mark.parametrize(
    "wrong", [{"max_attempts": 0}, {"max_attempts": "3"}, {"max_attempts": 1.5}, {"base_delay": -1}, {"max_delay": -1}]
)
def test_a_policy_is_checked(wrong: dict[str, float]) -> None:
    """A policy that makes no sense is refused when it is made."""
    with pytest.raises((ValueError, TypeError), match=next(iter(wrong))):
        RetryPolicy(**wrong)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
class TestStage:
    async def call(self, outcomes: list[SpapiError | None], **facts: Any) -> tuple[object, list[float], list[Event]]:
        """Run one call whose attempts end as listed; its result, the waits, and the events."""
        waits: list[float] = []
        events: list[Event] = []
        attempts: list[int] = []

        async def next_(call: Call) -> Reply:
            attempts.append(call.attempt)
            outcome = outcomes[len(attempts) - 1]
            if outcome is not None:
                raise outcome
            return Reply(status=200, headers={}, body=b"")

        async def sleep(seconds: float) -> None:
            waits.append(seconds)

        stage = retrying(RetryPolicy(), sleep=sleep, random=lambda: 0.5, clock=lambda: 100.0, emit=events.append)
        try:
            result: object = await stage(attrs.evolve(OPERATION.call(), **facts), next_)
        except SpapiError as error:
            result = error
        assert attempts == list(range(1, len(attempts) + 1))
        return result, waits, events

    async def test_a_story(self, anyio_backend: str) -> None:
        """500, silence, 200: two waits, two events, and the reply."""
        result, waits, events = await self.call([SERVER_FAULT, READ_SILENCE, None])
        assert isinstance(result, Reply)
        assert waits == [0.25, 0.5]
        assert [(event.attempt, event.delay) for event in events if isinstance(event, Retried)] == [(1, 0.25), (2, 0.5)]

    async def test_gives_up_with_the_last_error(self, anyio_backend: str) -> None:
        """When no attempt is left, the error of the last one is raised."""
        result, waits, _ = await self.call([SERVER_FAULT] * 3 + [READ_SILENCE])
        assert result is READ_SILENCE
        assert len(waits) == 3

    async def test_never_past_the_deadline(self, anyio_backend: str) -> None:
        """A repeat that would begin after the call's deadline is not waited for."""
        result, waits, _ = await self.call([SERVER_FAULT, None], deadline=100.2)
        assert result is SERVER_FAULT
        assert waits == []

    @pytest.mark.parametrize(
        ("outcomes", "is_open"),
        [
            ([SERVER_FAULT] * 4, True),
            ([READ_SILENCE, NEVER_CONNECTED, NEVER_CONNECTED, NEVER_CONNECTED], True),
            ([READ_SILENCE, ThrottleTimeoutError("late", **NAMED)], True),
            ([READ_SILENCE, AuthError("refused", is_permanent=True)], True),
            ([READ_SILENCE, ForbiddenError(status=403, is_retry_safe=False, **NAMED)], True),
            ([NEVER_CONNECTED] * 4, False),
            ([AuthError("refused", is_permanent=True)], False),
            ([READ_SILENCE, BadRequestError(status=400, is_retry_safe=False, **NAMED)], False),
        ],
    )
    async def test_a_key_that_was_made_here(
        self, outcomes: list[SpapiError | None], is_open: bool, anyio_backend: str
    ) -> None:
        """A caller who gave no idempotency key cannot repeat safely once the call may have been done: he is told so."""
        result, *_ = await self.call(outcomes, made_key="key-1")
        if is_open:
            assert isinstance(result, OutcomeUnknownError)
            assert "key-1" in str(result)
            assert result.is_retry_safe is False
            assert result.__cause__ is outcomes[-1]
        else:
            assert result is outcomes[-1]
        assert (await self.call(outcomes))[0] is outcomes[-1]
