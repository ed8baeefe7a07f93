from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from spapi_async.operation import UsagePlan
from spapi_async.sandbox.bucket import TokenBucket


def test_a_bucket_starts_full() -> None:
    """The whole burst can be called at once, and not one more."""
    bucket = TokenBucket(UsagePlan(1, 3), now=0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]


def test_a_refused_call_consumes_nothing() -> None:
    """However often one asks in vain, the next token comes at its time."""
    bucket = TokenBucket(UsagePlan(2, 1), now=0.0)
    bucket.take(0.0)
    assert not any(bucket.take(0.1) for _ in range(100))
    assert bucket.take(0.5)


def test_whether_there_is_a_token() -> None:
    """One can ask without taking; asking in vain counts as no refusal."""
    bucket = TokenBucket(UsagePlan(2, 1), now=0.0)
    assert bucket.has_token(0.0)
    assert bucket.take(0.0)
    assert [bucket.has_token(now) for now in (0.0, 0.4, 0.5)] == [False, False, True]
    assert (bucket.refused, len(bucket.arrivals)) == (0, 1)


def test_a_clock_that_goes_back_refills_nothing() -> None:
    """An earlier time counts as no time passed."""
    bucket = TokenBucket(UsagePlan(1, 1), now=10.0)
    bucket.take(10.0)
    assert not bucket.take(9.0)
    assert not bucket.take(10.5)


def test_another_plan_keeps_the_tokens() -> None:
    """What was refilled until then counts by the old rate; a smaller burst cuts tokens off, a bigger one adds none."""
    bucket = TokenBucket(UsagePlan(1, 10), now=0.0, tokens=0)
    bucket.change(UsagePlan(5, 20), now=4.0)
    assert bucket.tokens == 4.0
    assert [bucket.take(4.2) for _ in range(6)] == [True] * 5 + [False]
    bucket.put(20, now=4.2)
    bucket.change(UsagePlan(5, 3), now=4.2)
    assert [bucket.take(4.2) for _ in range(4)] == [True] * 3 + [False]


@pytest.mark.parametrize(("tokens", "passed"), [(None, 3), (0, 0), (2, 2), (2.5, 2), (99, 3)])
def test_what_a_bucket_begins_with(tokens: float | None, passed: int) -> None:
    """It can begin with fewer tokens than its burst, never with more; `put` does the same to one that is in use."""
    bucket = TokenBucket(UsagePlan(1, 3), 0.0, tokens)
    assert sum(bucket.take(0.0) for _ in range(5)) == passed
    bucket.put(3 if tokens is None else tokens, 0.0)
    assert sum(bucket.take(0.0) for _ in range(5)) == passed


def test_an_unseen_consumer_takes_its_tokens_evenly() -> None:
    """One token every 1/rate seconds from when it begins, until it ends; its calls are not ours."""
    bucket = TokenBucket(UsagePlan(1e-6, 10), 0.0)
    bucket.eat(0.5, 1.0)
    for now, left in [(2.9, 10), (3.0, 9), (4.9, 9), (5.0, 8)]:
        bucket.change(bucket.plan, now)
        assert bucket.tokens == pytest.approx(left, abs=1e-3)
    bucket.eat(0, 6.9)
    assert sum(bucket.take(1000.0) for _ in range(20)) == 8
    assert (bucket.eaten, bucket.refused, len(bucket.arrivals)) == (2, 12, 8)


def test_what_an_unseen_consumer_is_refused_is_lost() -> None:
    """It does not ask again: after a time without tokens it takes no more than before."""
    bucket = TokenBucket(UsagePlan(1, 5), 0.0, tokens=0, eaten=10)
    assert not bucket.take(0.95)
    bucket.change(UsagePlan(1000, 5), 1.05)
    assert [bucket.take(1.08) for _ in range(6)] == [True] * 5 + [False]
    assert bucket.eaten == 1  # of the ten for which it asked


@given(
    rate=st.floats(0.1, 20),
    burst=st.integers(1, 20),
    eaten=st.floats(0.1, 30),
    gaps=st.lists(st.floats(0, 3), min_size=1, max_size=60),
)
def test_an_unseen_consumer_is_a_caller_like_any_other(
    rate: float, burst: int, eaten: float, gaps: list[float]
) -> None:
    """Where it asks makes no difference: a bucket at which somebody calls at just those times does the same."""
    secret, plain = TokenBucket(UsagePlan(rate, burst), 0.0, eaten=eaten), TokenBucket(UsagePlan(rate, burst), 0.0)
    now, meals = 0.0, 0
    for gap in gaps:
        now += gap
        while (meals + 1) / eaten <= now:
            meals += 1
            plain.take(meals / eaten)
        assert secret.take(now) == plain.take(now)


@given(
    rate=st.floats(0.01, 100),
    burst=st.integers(1, 50),
    gaps=st.lists(st.floats(0, 10), min_size=1, max_size=200),
)
def test_never_more_than_burst_and_refill(rate: float, burst: int, gaps: list[float]) -> None:
    """In any time T at most burst + rate * T calls pass."""
    bucket, now, passed = TokenBucket(UsagePlan(rate, burst), now=0.0), 0.0, 0
    for gap in gaps:
        now += gap
        passed += bucket.take(now)
        assert passed <= burst + rate * now + 1e-6


@given(rate=st.floats(0.01, 100), count=st.integers(1, 300))
def test_exact_pace_is_never_refused(rate: float, count: int) -> None:
    """Calls that come exactly 1/rate apart all pass, whatever floating point makes of the times."""
    bucket = TokenBucket(UsagePlan(rate, 1), now=0.0)
    assert all(bucket.take(number / rate) for number in range(count))
