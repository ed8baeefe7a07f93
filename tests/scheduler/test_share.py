"""Plans that are not all ours, or not what is published: found from 429s alone, in virtual time."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import mean
from typing import Any

import pytest

from spapi_async.operation import UsagePlan
from spapi_async.scheduler import Bucket
from spapi_async.scheduler.share import Share

SEEDS = range(8)


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
    ends, shares = [], []
    for seed in SEEDS:
        clients, _ = play((5, 10), (5, 10), 150, processes=2, jitter=jitter, seed=seed)
        refused = sum(client.refused for client in clients)
        ends.append(max(max(client.ends) for client in clients))
        shares.append(refused / (300 + refused))
    assert mean(ends) <= 58 * 1.05 + 0.5
    assert mean(shares) <= 0.12


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
        assert 299 / max(client.ends) >= 0.8


def test_a_plan_without_a_burst_that_is_too_high(play: Any) -> None:
    """Without a burst too, the true rate is found: one call in five seconds where one a second was believed."""
    for seed in SEEDS:
        [client], _ = play((1, 1), (0.2, 1), 30, jitter=0.05, seed=seed)
        assert client.refused <= 20
        assert max(client.ends) <= 2 * 29 / 0.2


def test_the_cut_is_the_estimate() -> None:
    """Between two 429s k successes in dt seconds say that about (k + 1/2) / dt is left; a little less is used."""
    share = Share()
    share.refused(0.0, 0.01, 5.0, 0.0, -math.inf)
    assert share.is_whole
    for number in range(1, 6):
        share.succeeded(number / 2)
    share.refused(3.0, 3.01, 5.0, 0.0, -math.inf)
    assert share.rate(3.01, 5.0) == pytest.approx(max(5.5 / 3 * 0.85, 5 * 0.45))


def test_news_of_the_same_429s_counts_once() -> None:
    """Calls that were under way when the first 429 came back say nothing new."""
    share = Share()
    for sent in (0.0, 0.1, 0.2):
        share.refused(sent, 0.5, 5.0, 0.0, -math.inf)
    assert share.is_whole


def test_jitter_explains_a_429() -> None:
    """A 429 that came because one call was late and the next one early changes no pace."""
    share = Share()
    share.refused(0.0, 0.01, 5.0, 0.1, -math.inf)
    share.succeeded(0.25)
    share.refused(0.45, 0.46, 5.0, 0.1, -math.inf)
    assert share.is_whole


def test_the_pace_grows_back_to_the_plan() -> None:
    """After a cut the pace grows by the cube of the time, and never above the plan."""
    share = Share()
    share.refused(0.0, 0.0, 4.0, 0.0, -math.inf)
    share.refused(10.0, 10.0, 4.0, 0.0, -math.inf)
    rates = [share.rate(10.0 + seconds, 4.0) for seconds in range(12)]
    assert rates == sorted(rates)
    assert rates[0] == pytest.approx(4 * 0.45)
    assert rates[1] - rates[0] < 0.02
    assert rates[-1] == 4.0
    assert 10.0 < share.whole_again_at(4.0) < 10.0 + 26 / 4


def test_waits_of_the_pace_come_true() -> None:
    """The predicted wait of the n-th call is when its turn comes, while the pace grows."""
    share = Share()
    share.refused(0.0, 0.0, 4.0, 0.0, -math.inf)
    share.refused(10.0, 10.0, 4.0, 0.0, -math.inf)
    predicted = [share.wait(10.0, 4.0, ahead) for ahead in range(30)]
    now, came = 10.0, []
    for _ in range(30):
        now += share.wait(now, 4.0)
        share.take(now, 4.0)
        came.append(now - 10.0)
    assert came == pytest.approx(predicted, abs=1e-6)
