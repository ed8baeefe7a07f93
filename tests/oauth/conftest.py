"""A clock to hand in, and states that go by it."""

from __future__ import annotations

import pytest

from spapi_async import oauth

KEY = "k" * 32


class FakeClock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Each test runs on both back ends."""
    return str(request.param)


@pytest.fixture
def clock() -> FakeClock:
    """A clock to hand in."""
    return FakeClock()


@pytest.fixture
def states(clock: FakeClock) -> oauth.States:
    """States that go by the clock."""
    return oauth.States(KEY, clock=clock)
