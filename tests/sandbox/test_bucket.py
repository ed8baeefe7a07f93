from __future__ import annotations

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


def test_a_clock_that_goes_back_refills_nothing() -> None:
    """An earlier time counts as no time passed."""
    bucket = TokenBucket(UsagePlan(1, 1), now=10.0)
    bucket.take(10.0)
    assert not bucket.take(9.0)
    assert not bucket.take(10.5)


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
