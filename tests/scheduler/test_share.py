"""Plans that are not all ours, or not what is published: found from 429s alone, in virtual time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from spapi_async.operation import UsagePlan
from spapi_async.scheduler import Bucket
from spapi_async.scheduler.share import Share

SEEDS = range(16)


@pytest.fixture
def play(simulation: Any, server_bucket: Any) -> Callable[..., tuple[list[Any], list[float]]]:
    """Return a function that plays clients against a server; the clients, and when each call was let through."""
    client_type, simulate = simulation

    def play(
        believed: tuple[float, float],
        truth: tuple[float, float],
        calls: int,
        *,
        processes: int = 1,
        later: tuple[int, float] | None = None,
        **facts: Any,
    ) -> tuple[list[Any], list[float]]:
        server = server_bucket(*truth)
        clients = [client_type(Bucket(UsagePlan(*believed)), calls) for _ in range(processes)]

        def change(count: int) -> None:
            if later is not None and count == later[0]:
                server.rate = later[1]

        passed = simulate(clients, server, arrived=change, **facts)
        assert [len(client.ends) for client in clients] == [calls] * processes
        return clients, passed

    return play


@pytest.mark.parametrize("jitter", [0.0, 0.02, 0.15])
@pytest.mark.parametrize(
    ("believed", "truth", "calls"), [((5, 10), (2, 10), 60), ((10, 20), (4, 20), 120), ((2, 5), (0.7, 5), 60)]
)
def test_a_plan_that_is_too_high(play: Any, believed: Any, truth: Any, calls: int, jitter: float) -> None:
    """Without any header the true rate is found: few 429s, and hardly later than who knew it."""
    ideal = (calls - truth[1]) / truth[0]
    for seed in SEEDS:
        [client], _ = play(believed, truth, calls, jitter=jitter, seed=seed)
        assert max(client.ends) <= ideal * 1.05 + 0.5
        assert client.refused / (calls + client.refused) <= 0.12


@pytest.mark.parametrize("jitter", [0.02, 0.1])
def test_two_processes(play: Any, jitter: float) -> None:
    """Two processes that know nothing of each other use the plan up together, and neither starves."""
    for seed in SEEDS:
        clients, _ = play((5, 10), (5, 10), 150, processes=2, jitter=jitter, seed=seed)
        refused = sum(client.refused for client in clients)
        assert max(max(client.ends) for client in clients) <= 58 * 1.05 + 0.5
        assert refused / (300 + refused) <= 0.12


@pytest.mark.parametrize("jitter", [0.0, 0.02, 0.1])
def test_an_unseen_consumer(play: Any, jitter: float) -> None:
    """What others take is left to them; when they stop, the whole plan is used again within a hundred calls."""
    left = 3 - 1.33
    for seed in SEEDS:
        [client], passed = play((3, 10), (left, 10), 260, later=(60, 3.0), jitter=jitter, seed=seed)
        assert passed[59] <= 50 / left * 1.05 + 0.5
        assert client.refused / (260 + client.refused) <= 0.12
        assert 100 / (passed[259] - passed[159]) >= 0.98 * 3


@pytest.mark.parametrize("jitter", [0.05, 0.2])
def test_a_burst_of_one(play: Any, jitter: float) -> None:
    """A late call is not taken for a lower plan, though a plan without a burst has no room for it."""
    for seed in SEEDS:
        [client], _ = play((1, 1), (1, 1), 300, jitter=jitter, seed=seed)
        assert client.refused <= 4
        assert 299 / max(client.ends) >= 0.85


def test_a_plan_without_a_burst_that_is_too_high(play: Any) -> None:
    """Without a burst too, the true rate is found: one call in five seconds where one a second was believed."""
    for seed in SEEDS:
        [client], _ = play((1, 1), (0.2, 1), 30, jitter=0.05, seed=seed)
        assert client.refused <= 20
        assert max(client.ends) <= 2.1 * 29 / 0.2


@pytest.mark.parametrize(("believed", "truth"), [((20, 20), (2, 20)), ((1, 1), (0.0055, 20))])
def test_a_plan_that_is_many_times_too_high_settles(play: Any, believed: Any, truth: Any) -> None:
    """Without any header, a rate that is a tenth or less of what was believed is kept to after a while."""
    [few], _ = play(believed, truth, 150, jitter=0.02)
    [many], _ = play(believed, truth, 250, jitter=0.02)
    assert (many.refused - few.refused) / (100 + many.refused - few.refused) <= 0.15
    assert max(many.ends) <= 1.05 * (250 - truth[1]) / truth[0]


def test_the_cut_is_the_estimate() -> None:
    """Between two 429s k successes in dt seconds say that about (k + 1/2) / dt is left; a little less is used."""
    share = Share()
    share.refused(0.0, 0.01, 5.0, 0.0, -math.inf)
    assert share.is_whole
    for number in range(1, 6):
        share.succeeded(number / 2)
    share.refused(3.0, 3.01, 5.0, 0.0, -math.inf)
    assert share.rate(3.01, 5.0) == pytest.approx(5.5 / 3 * 0.78)


def test_news_of_the_same_429s_counts_once() -> None:
    """Calls that were under way when the first 429 came back say nothing new."""
    share = Share()
    for sent in (0.0, 0.1, 0.2):
        share.refused(sent, 0.5, 5.0, 0.0, -math.inf)
    assert share.is_whole


@pytest.mark.parametrize(("heard", "is_whole"), [(0.01, False), (0.1, True)])
def test_jitter_explains_a_429(heard: float, is_whole: bool) -> None:
    """A 429 changes no pace if the calls may have arrived so close together that the plan gave no token between."""
    share = Share()
    share.refused(0.0, heard, 5.0, 0.0, -math.inf)
    share.succeeded(0.25)
    share.refused(0.45, 0.46, 5.0, 0.0, -math.inf)
    assert share.is_whole is is_whole


def test_an_idle_time_says_nothing() -> None:
    """Few successes since a 429 of long ago do not tell what is left, if the bucket was full in between."""
    share = Share()
    share.refused(0.0, 0.1, 5.0, 0.0, -math.inf)
    share.succeeded(100.0)
    share.refused(100.1, 100.2, 5.0, 0.0, 100.0)
    assert share.is_whole


def test_what_fits_one_rate_for_long_slows_the_growth() -> None:
    """Once everything fits one rate for as long as 250 tokens of the plan take, trying for the plan becomes rare."""
    share, now = Share(), 0.0
    share.refused(0.0, 0.0, 5.0, 0.0, -math.inf)
    spans = []
    for _ in range(12):  # 1/s, exactly
        for _ in range(5):
            now += 1.0
            share.succeeded(now)
        share.refused(now + 0.5, now + 0.5, 5.0, 0.0, -math.inf)
        spans.append(share.whole_again_at(5.0) - now - 0.5)
    assert max(spans[:8]) < 2 * 35 / 5
    assert min(spans[-2:]) > 35.0


def test_what_fits_no_rate_slows_nothing() -> None:
    """Where others take more and less by turns, the whole plan is tried for again as soon as ever."""
    share, now = Share(), 0.0
    share.refused(0.0, 0.0, 5.0, 0.0, -math.inf)
    for number in range(40):
        for _ in range(10):
            now += (0.5, 0.3)[number % 2]
            share.succeeded(now)
        share.refused(now + 0.1, now + 0.1, 5.0, 0.0, -math.inf)
        assert share.whole_again_at(5.0) - now < 2 * 35 / 5


def test_the_pace_grows_back_to_the_plan() -> None:
    """After a cut the pace grows by the cube of the time, and never above the plan."""
    share = Share()
    share.refused(0.0, 0.0, 4.0, 0.0, -math.inf)
    share.refused(10.0, 10.0, 4.0, 0.0, -math.inf)
    rates = [share.rate(10.0 + seconds, 4.0) for seconds in range(12)]
    assert rates == sorted(rates)
    assert rates[0] == pytest.approx(0.5 / 10 * 0.78)
    assert rates[1] - rates[0] < 0.02
    assert rates[-1] == 4.0
    assert share.rate(10.0 + 35 / 4, 4.0) == 4.0


@pytest.mark.parametrize("gap", [0.3, 10.0, 1e5])
def test_waits_of_the_pace_come_true(gap: float) -> None:
    """The predicted wait of the n-th call is when its turn comes, while the pace grows."""
    share = Share()
    share.refused(10.0 - gap, 10.0 - gap, 4.0, 0.0, -math.inf)
    share.refused(10.0, 10.0, 4.0, 0.0, -math.inf)
    predicted = [share.wait(10.0, 4.0, ahead) for ahead in range(30)]
    now, came = 10.0, []
    for _ in range(30):
        now += share.wait(now, 4.0)
        share.take(now, 4.0)
        came.append(now - 10.0)
    assert came == pytest.approx(predicted, abs=1e-6)
