"""Shared by the scheduler's tests: an operation, and Amazon's bucket written a second time, independently."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from spapi_async.operation import Operation, UsagePlan


class ServerBucket:
    """Amazon's side: refills first, then takes a token or refuses."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self.tokens = burst
        self.at = 0.0
        self.refused = 0

    def arrive(self, now: float) -> bool:
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens >= 1.0:
            self.tokens -= 1.0
            return True
        self.refused += 1
        return False


@pytest.fixture(scope="session")
def server_bucket() -> type[ServerBucket]:
    return ServerBucket


@pytest.fixture
def make_operation() -> Callable[..., Operation]:
    def make(rate: float = 5.0, burst: float = 10.0, name: str = "get_order", **facts: object) -> Operation:
        return Operation(
            module="test_v0",
            name=name,
            operation_id=name,
            method="GET",
            path="/test/v0/" + name,
            plan=UsagePlan(rate, burst, "model"),
            **{"repeatable": True, **facts},
        )

    return make
