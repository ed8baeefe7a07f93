from __future__ import annotations

import pytest

from spapi_async.jobs.lease import BEAT, LEASE, is_over, needs_renewal

NOW = 1_000_000.0


@pytest.mark.parametrize(
    ("left", "unchanged", "over"),
    [
        (LEASE, 0.0, False),
        (-1.0, 0.0, False),  # by the wall clock alone: it may have been set a moment ago
        (-3600.0, LEASE / 2 - 1, False),
        (-1.0, LEASE / 2, True),
        (1.0, LEASE / 2, False),
        (3600.0, LEASE - 1, False),
        (3600.0, LEASE, True),  # the wall clock was set back an hour, and nobody renewed it since
    ],
)
def test_a_lease_is_over_when_nobody_renews_it(left: float, unchanged: float, over: bool) -> None:
    """It takes both: an end that is past by the wall clock, and half a lease without a renewal; or a whole lease."""
    assert over is is_over(NOW + left, NOW, unchanged)


@pytest.mark.parametrize(("left", "due"), [(LEASE, False), (LEASE - BEAT / 2, False), (LEASE - BEAT, True), (-1, True)])
def test_a_lease_is_renewed_in_time(left: float, due: bool) -> None:
    """It is renewed several times before half of it has gone, and as long as it takes after it has."""
    assert due is needs_renewal(NOW + left, NOW)
    assert LEASE / 2 > 2 * BEAT


def test_a_clock_that_was_set_back_is_mended() -> None:
    """An end that lies further away than a lease lasts is renewed too."""
    assert needs_renewal(NOW + 3600, NOW)
