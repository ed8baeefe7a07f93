"""The arithmetic of one usage plan."""

import random

import pytest
from hypothesis import given, settings, strategies as st

from spapi_async.operation import UsagePlan
from spapi_async.scheduler import Bucket


def run(bucket: Bucket, calls: int, now: float = 0.0) -> list[float]:
    """Take so many tokens one after the other, each at the earliest moment; the moments."""
    moments = []
    while len(moments) < calls:
        wait = bucket.take(now)
        if wait == 0.0:
            moments.append(now)
        now += wait
    return moments


def test_starts_full() -> None:
    """A new bucket holds its whole burst, as Amazon's do."""
    assert Bucket(UsagePlan(5, 10)).tokens(100.0) == 10


def test_burst_goes_at_once_but_for_the_headroom() -> None:
    """A full bucket lets burst - rate * jitter calls leave at once, and the others at the full rate after that."""
    bucket = Bucket(UsagePlan(5, 10))
    moments = run(bucket, 60)
    assert sum(moment == 0.0 for moment in moments) == 8
    assert moments[-1] == pytest.approx((60 - 10) / 5 + bucket.headroom)


def test_a_wait_reserves_nothing() -> None:
    """Asking twice gives the same wait: only a granted token counts."""
    bucket = Bucket(UsagePlan(1, 1))
    run(bucket, 1)
    assert bucket.take(0.5) == bucket.take(0.5) > 0


def test_an_earlier_time_takes_nothing_back() -> None:
    """A clock that steps back counts as no time passed."""
    bucket = Bucket(UsagePlan(1, 5))
    run(bucket, 2, now=100.0)
    assert bucket.tokens(99.0) <= bucket.tokens(100.0) == pytest.approx(3)


@pytest.mark.parametrize(("rate", "burst"), [(5, 10), (0.5, 1), (1, 1.5)])
def test_a_clock_that_begins_anew(rate: float, burst: float) -> None:
    """In another event loop the clock may show a much earlier time: then the bucket counts as empty, and goes on."""
    bucket = Bucket(UsagePlan(rate, burst))
    run(bucket, 20, now=1e6)
    moments = run(bucket, 5, now=7.0)
    assert moments[0] < 7.0 + (burst + 1) / rate
    assert moments[-1] - moments[0] < 5 * 1.25 / rate + 0.1
    bucket.learn(rate / 2, moments[-1])
    assert 0 <= bucket.tokens(moments[-1]) <= burst


def test_put_back_undoes_take() -> None:
    """A token whose request never left is there for the next call."""
    bucket = Bucket(UsagePlan(0.0056, 1))
    run(bucket, 1)
    bucket.put_back(0.0)
    assert bucket.tokens(0.0) == 1


def test_a_token_from_before_a_429_does_not_come_back() -> None:
    """The 429 said that Amazon's bucket is empty, so a token that was taken before is gone with the others."""
    bucket = Bucket(UsagePlan(1, 5))
    run(bucket, 3, now=7.0)
    bucket.drain(7.5)
    bucket.put_back(7.0)
    assert bucket.tokens(7.5) == 0


def test_put_back_undoes_take_of_a_pace() -> None:
    """That holds below the plan too: the pace of what is left for us has its token back."""
    bucket = Bucket(UsagePlan(5, 10))
    bucket.refused(0.0, 0.1)
    bucket.refused(4.0, 4.1)
    [moment] = run(bucket, 1, now=4.1)
    wait = bucket.take(moment)
    bucket.put_back(moment)
    assert wait > bucket.take(moment) == 0.0


def test_drain_empties() -> None:
    """After a 429 the bucket is empty, and the next call waits for one whole token."""
    bucket = Bucket(UsagePlan(2, 10))
    bucket.drain(7.0)
    assert bucket.tokens(7.0) == pytest.approx(0)
    assert bucket.take(7.0) == pytest.approx(1 / 2 + bucket.headroom)


def test_a_retry_after_is_waited_for() -> None:
    """When Amazon tells with a 429 how long to wait, the next call leaves no earlier."""
    bucket = Bucket(UsagePlan(2, 10))
    bucket.drain(7.0, wait=5.0)
    assert bucket.take(7.0) == pytest.approx(5.0)
    assert run(bucket, 1, now=7.0) == pytest.approx([12.0])


def test_a_retry_after_outlasts_later_429s() -> None:
    """A 429 of a call that was under way does not shorten the wait that another asked for."""
    bucket = Bucket(UsagePlan(2, 10))
    bucket.drain(7.0, wait=5.0)
    bucket.drain(7.1)
    assert bucket.take(7.1) == pytest.approx(4.9)


@pytest.mark.parametrize(("rate", "burst"), [(2, 10), (1, 1), (0.01, 3)])
def test_a_predicted_wait_knows_of_a_retry_after(rate: float, burst: float) -> None:
    """What grows until then is used at once after it, and no call is predicted before it."""
    bucket = Bucket(UsagePlan(rate, burst))
    bucket.drain(0.0, wait=60.0)
    predicted = [bucket.wait(0.0, ahead) for ahead in range(20)]
    assert predicted[0] >= 60.0
    assert run(bucket, 20) == pytest.approx(predicted)


def test_a_new_rate_keeps_the_tokens() -> None:
    """Another rate moves the waits, not the tokens: nobody goes out early. What covers the jitter stays too."""
    bucket = Bucket(UsagePlan(5, 10))
    run(bucket, 9)
    before = bucket.tokens(0.0)
    bucket.learn(2.0, now=0.0)
    assert bucket.tokens(0.0) == pytest.approx(before - (5 - 2) * bucket.jitter)
    assert bucket.burst == 10
    assert run(bucket, 3)[-1] == pytest.approx(1.0 + bucket.headroom + (5 - 2) * bucket.jitter / 2)
    higher = Bucket(UsagePlan(5, 10))
    run(higher, 9)
    higher.learn(20.0, now=0.0)
    assert higher.tokens(0.0) == pytest.approx(before)


def test_a_lower_rate_takes_off_what_was_never_there() -> None:
    """Tokens that only the old, higher rate would have added since Amazon last confirmed it are not counted."""
    bucket = Bucket(UsagePlan(5, 10))
    run(bucket, 9, now=0.0)
    bucket.learn(5.0, now=0.2)
    assert bucket.tokens(0.6) == pytest.approx(4.0)
    bucket.learn(2.0, now=0.6)
    assert bucket.tokens(0.6) == pytest.approx(4.0 - (5 - 2) * (0.6 - 0.2) - (5 - 2) * bucket.jitter)


def test_jitter_is_the_spread_of_round_trips() -> None:
    """Once enough round trips were seen, the headroom is their spread, not an assumption."""
    bucket = Bucket(UsagePlan(5, 10))
    assumed = bucket.jitter
    for _ in range(4):
        bucket.observe(-1.0, 0.08)
        bucket.observe(-1.0, 0.10)
    assert bucket.jitter == pytest.approx(0.02) != assumed


def test_less_jitter_is_news_for_who_waits() -> None:
    """When round trips turn out to vary less than was assumed, the next call may leave earlier than was said."""
    bucket = Bucket(UsagePlan(1, 5))
    assert [bucket.observe(-1.0, 0.1) for _ in range(9)] == [False] * 7 + [True, False]


def test_one_slow_reply_does_not_lower_the_pace() -> None:
    """With room in the burst, even a reply of half a minute leaves the sustained rate at 100 %."""
    bucket = Bucket(UsagePlan(5, 10))
    for _ in range(8):
        bucket.observe(-1.0, 0.05)
    bucket.observe(-1.0, 30.0)
    moments = run(bucket, 200)
    assert moments[-1] - moments[-101] == pytest.approx(100 / 5)


def test_a_burst_of_one_gives_more_after_a_429() -> None:
    """What is given up for the jitter is little where each bit is lost on every call; 429s make it more."""
    bucket = Bucket(UsagePlan(1, 1))
    for round_trip in (0.1, 0.9) * 4:
        bucket.observe(-1.0, round_trip)
    before = bucket.headroom
    assert before < 0.25
    [late, sent] = run(bucket, 2, now=10.0)
    bucket.succeeded(late)
    bucket.refused(sent, sent + 0.1)
    assert bucket.share.is_whole
    assert bucket.headroom == pytest.approx(before + 0.04)


def test_a_burst_of_one_gives_no_more_after_a_429_that_it_did_not_cause() -> None:
    """A call that left when the reply to the last one said so was not sent early for want of an allowance."""
    bucket = Bucket(UsagePlan(1, 1))
    for round_trip in (0.1, 0.9) * 4:
        bucket.observe(-1.0, round_trip)
    [first] = run(bucket, 1, now=10.0)
    bucket.succeeded(first)
    bucket.observe(first, 0.1)
    before = bucket.headroom
    [sent] = run(bucket, 1, now=10.5)
    bucket.refused(sent, sent + 0.1)
    assert bucket.headroom == before


def test_a_late_call_is_repeated_when_the_jitter_is_over() -> None:
    """What a 429 that the jitter explains lacked of a token is there after the jitter, not after a whole token."""
    bucket = Bucket(UsagePlan(0.1, 1))
    for round_trip in (0.1, 0.4) * 4:
        bucket.observe(-1.0, round_trip)
    [late, sent] = run(bucket, 2, now=10.0)
    bucket.succeeded(late)
    bucket.refused(sent, sent + 0.1)
    [again] = run(bucket, 1, now=sent + 0.1)
    assert again < sent + 1.0
    bucket.refused(again, again + 0.1)
    assert bucket.take(again + 0.1) >= 10.0


def test_a_burst_of_one_waits_for_what_the_reply_tells() -> None:
    """Without a burst each call leaves when the last one must have arrived, not when it may have at the latest."""
    bucket = Bucket(UsagePlan(1, 1))
    for round_trip in (0.1, 0.3) * 4:
        bucket.observe(-1.0, round_trip)
    [first] = run(bucket, 1, now=10.0)
    late = bucket.take(10.5)
    bucket.observe(first, 0.15)
    assert 10.5 + bucket.take(10.5) == pytest.approx(first + 1.0 + (0.15 - 0.1) + 0.01 + 2 * 0.2 / 9)
    assert bucket.take(10.5) < late


@pytest.mark.parametrize(("rate", "burst"), [(5, 10), (1, 1), (0.0167, 20), (0.5, 2), (25, 30), (1, 1.5)])
def test_predicted_waits_come_true(rate: float, burst: float) -> None:
    """`wait(now, ahead)` tells when the call behind `ahead` others will leave."""
    bucket = Bucket(UsagePlan(rate, burst))
    predicted = [bucket.wait(0.0, ahead) for ahead in range(40)]
    assert run(bucket, 40) == pytest.approx(predicted)


@settings(max_examples=200, deadline=None)
@given(
    rate=st.floats(0.005, 50),
    burst=st.integers(1, 40),
    jitter=st.floats(0, 0.5),
    seed=st.integers(0, 2**32),
    gaps=st.lists(st.floats(0, 5), max_size=4),
)
def test_no_429_when_the_jitter_is_known(
    server_bucket: type, rate: float, burst: int, jitter: float, seed: int, gaps: list[float]
) -> None:
    """With the jitter known and headroom for it, Amazon's bucket never refuses, whatever the delays and the pauses."""
    jitter = min(jitter, max((burst - 1.03), 0.18) / rate)
    bucket, server = Bucket(UsagePlan(rate, burst)), server_bucket(rate, burst)
    for _ in range(4):
        bucket.observe(-1.0, 0.1)
        bucket.observe(-1.0, 0.1 + jitter)
    draw = random.Random(seed)
    now, arrivals = 0.0, []
    for gap in [*gaps, 0.0]:
        now += gap / rate
        for _ in range(burst + 20):
            while wait := bucket.take(now):
                now += wait
            out, back = draw.uniform(0, jitter), draw.uniform(0, jitter)
            arrivals.append(now + out)
            if burst == 1 and out + back < 1 / rate:  # its reply is there before the next one leaves
                bucket.observe(now, 0.1 + min(out + back, jitter))
                bucket.observe(-1.0, 0.1 + jitter)  # so that it stays known
    assert all(server.arrive(arrival) for arrival in sorted(arrivals))


@settings(max_examples=100, deadline=None)
@given(rate=st.floats(0.005, 50), burst=st.integers(2, 40))
def test_the_sustained_rate_is_the_plan(rate: float, burst: int) -> None:
    """Headroom delays a line of calls once; it never lowers the rate while the burst has room for it."""
    moments = run(Bucket(UsagePlan(rate, burst)), burst + 100)
    assert moments[-1] - moments[-51] == pytest.approx(50 / rate)
