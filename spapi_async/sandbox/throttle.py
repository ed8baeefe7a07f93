"""Which usage plan holds for whom, and the buckets that follow from it; both can be changed while the sandbox runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import attrs

from ..errors import ConfigError
from ..operation import Operation, UsagePlan
from .bucket import TokenBucket
from .lwa import Grant
from .names import by_operation, select

__all__ = ["Throttle", "amount"]

_HUNGRIEST = 1000.0  # tokens/s of an unseen consumer: each is counted one by one


@attrs.frozen
class _Terms:
    """What holds for a bucket: its plan, the tokens it begins with (None: full), what an unseen consumer asks for."""

    plan: UsagePlan
    tokens: float | None = None
    eaten: float = 0.0


class Throttle:
    """One bucket for each application, selling partner and operation, made at its first call.

    Args:
        operations: What is served.
        clock: Seconds.
        plans: Plans that hold instead of Amazon's, by name.
        tokens: What buckets begin with instead of being full, by name.
        eat: Tokens/s that an unseen consumer asks of each bucket, by name.

    Raises:
        ConfigError: A name means no operation, or an amount is out of range.
    """

    def __init__(
        self,
        operations: Iterable[Operation],
        clock: Callable[[], float],
        *,
        plans: Mapping[str, UsagePlan] | None,
        tokens: Mapping[str, float] | None,
        eat: Mapping[str, float] | None,
    ) -> None:
        self._operations = tuple(operations)
        self._clock = clock
        begin = by_operation({name: _tokens(n) for name, n in (tokens or {}).items()}, self._operations)
        eaten = by_operation({name: _eaten(rate) for name, rate in (eat or {}).items()}, self._operations)
        plan = {o.key: o.plan for o in self._operations} | by_operation(plans or {}, self._operations)
        self._given: dict[tuple[str | None, str], _Terms] = {
            (None, key): _Terms(plan[key], begin.get(key), eaten.get(key, 0.0)) for key in plan
        }
        self.restart()

    def restart(self) -> None:
        """Forget all buckets and all changes."""
        # By selling partner and operation; None for those of whom nothing else is said.
        self._terms = dict(self._given)
        self._buckets: dict[tuple[str, str, str], TokenBucket] = {}

    def bucket(self, key: str, grant: Grant, now: float) -> TokenBucket:
        """Give the bucket that a call of an operation meets."""
        # A grantless token has no seller, so its bucket is the application's.
        owner = grant.client_id, grant.seller, key
        bucket = self._buckets.get(owner)
        if bucket is None:
            terms = self._terms_of(grant.seller, key)
            bucket = self._buckets[owner] = TokenBucket(terms.plan, now, terms.tokens, terms.eaten)
        return bucket

    def set_plan(self, name: str, plan: UsagePlan, seller: str | None) -> None:
        """See `Sandbox.set_plan`."""
        for bucket in self._change(name, seller, plan=plan):
            bucket.change(plan, self._clock())

    def set_tokens(self, name: str, tokens: float, seller: str | None) -> None:
        """See `Sandbox.set_tokens`."""
        for bucket in self._change(name, seller, tokens=_tokens(tokens)):
            bucket.put(tokens, self._clock())

    def eat(self, name: str, rate: float, seller: str | None) -> None:
        """See `Sandbox.eat`."""
        for bucket in self._change(name, seller, eaten=_eaten(rate)):
            bucket.eat(rate, self._clock())

    def report(self) -> list[dict[str, Any]]:
        """Tell of each bucket what it accepted and refused; see `Sandbox.requests`."""
        return [
            {
                "client_id": client_id,
                "seller": seller,
                "operation": key,
                "rate": bucket.plan.rate,
                "burst": bucket.plan.burst,
                "arrivals": list(bucket.arrivals),
                "throttled": bucket.refused,
                "eaten": bucket.eaten,
            }
            for (client_id, seller, key), bucket in self._buckets.items()
        ]

    def _terms_of(self, seller: str, key: str) -> _Terms:
        return self._terms.get((seller, key)) or self._terms[None, key]

    # Any: attrs names the fields only to mypy's plugin, not to a signature of ours.
    def _change(self, name: str, seller: str | None, **changes: Any) -> Iterator[TokenBucket]:
        """Change the terms of some operations, for one selling partner or all; give the buckets they hold for."""
        keys = set(select(name, self._operations))
        if seller is None:
            for owner, terms in self._terms.items():
                if owner[1] in keys:
                    self._terms[owner] = attrs.evolve(terms, **changes)
        else:
            for key in keys:
                self._terms[seller, key] = attrs.evolve(self._terms_of(seller, key), **changes)
        return (b for (_, s, key), b in self._buckets.items() if key in keys and seller in (None, s))


def amount(what: str, value: float, most: float = math.inf) -> float:
    """Give a number back that is one.

    Raises:
        ConfigError: It is negative, more than `most`, or not finite.
    """
    if not 0 <= value <= most or math.isinf(value):
        limits = "a finite number of at least 0" if math.isinf(most) else f"0 to {most:g}"
        raise ConfigError(f"{what} must be {limits}, not {value:g}")
    return float(value)


def _tokens(value: float) -> float:
    return amount("the tokens of a bucket", value)


def _eaten(rate: float) -> float:
    return amount("the tokens/s of an unseen consumer", rate, _HUNGRIEST)
