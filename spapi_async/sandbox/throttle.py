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

__all__ = ["Throttle", "amount", "application_plan"]

_HUNGRIEST = 1000.0  # tokens/s of an unseen consumer: each is counted one by one


@attrs.frozen
class _Terms:
    """What holds for a bucket: its plan, the tokens it begins with (None: full), what an unseen consumer asks for."""

    plan: UsagePlan
    tokens: float | None = None
    eaten: float = 0.0


class Throttle:
    """The buckets that a call meets, made at its first call, of which it needs a token each.

    One is of the application, the selling partner and the operation. Where Amazon names a limit for all selling
    partners of an application together, there is a second one of the application and the operation.

    Args:
        operations: What is served.
        clock: Seconds.
        plans: Plans that hold instead of Amazon's, by name.
        tokens: What buckets begin with instead of being full, by name.
        eat: Tokens/s that an unseen consumer asks of each bucket of a selling partner, by name.
        application_rates: Requests/s of all selling partners together, instead of Amazon's, by name; None for no limit.

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
        application_rates: Mapping[str, float | None] | None,
    ) -> None:
        self._operations = tuple(operations)
        self._clock = clock
        begin = by_operation({name: _tokens(n) for name, n in (tokens or {}).items()}, self._operations)
        eaten = by_operation({name: _eaten(rate) for name, rate in (eat or {}).items()}, self._operations)
        plan = {o.key: o.plan for o in self._operations} | by_operation(plans or {}, self._operations)
        self._given: dict[tuple[str | None, str], _Terms] = {
            (None, key): _Terms(plan[key], begin.get(key), eaten.get(key, 0.0)) for key in plan
        }
        rates = {o.key: o.application_rate for o in self._operations}
        rates |= by_operation(application_rates or {}, self._operations)
        self._given_to_applications = {key: application_plan(rate) for key, rate in rates.items()}
        self.restart()

    def restart(self) -> None:
        """Forget all buckets and all changes."""
        # By selling partner and operation; None for those of whom nothing else is said.
        self._terms = dict(self._given)
        self._buckets: dict[tuple[str, str, str], TokenBucket] = {}
        self._application_plans = dict(self._given_to_applications)
        self._application_buckets: dict[tuple[str, str], TokenBucket] = {}

    def take(self, key: str, grant: Grant, now: float) -> tuple[bool, UsagePlan]:
        """Take a token of each bucket that a call meets, or none at all.

        Returns:
            Whether the call may pass; and the usage plan of the selling partner, whose rate the reply tells.
        """
        own = self.bucket(key, grant, now)
        shared = self._application_bucket(key, grant.client_id, now)
        met = [own] if shared is None else [own, shared]
        empty = [bucket for bucket in met if not bucket.has_token(now)]
        for bucket in empty or met:  # an empty one counts the refusal, and the other never hears of the call
            bucket.take(now)
        return not empty, own.plan

    def bucket(self, key: str, grant: Grant, now: float) -> TokenBucket:
        """Give the bucket of a selling partner that a call of an operation meets."""
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

    def set_application_rate(self, name: str, rate: float | None) -> None:
        """See `Sandbox.set_application_rate`."""
        plan, now = application_plan(rate), self._clock()
        for key in select(name, self._operations):
            self._application_plans[key] = plan
            for owner in [owner for owner in self._application_buckets if owner[1] == key]:
                if plan is None:
                    del self._application_buckets[owner]
                else:
                    self._application_buckets[owner].change(plan, now)

    def report(self) -> list[dict[str, Any]]:
        """Tell of each bucket what it accepted and refused; see `Sandbox.requests`."""
        own = [
            _facts("usage plan", client_id, seller, key, bucket)
            for (client_id, seller, key), bucket in self._buckets.items()
        ]
        shared = [
            _facts("application", client_id, None, key, bucket)
            for (client_id, key), bucket in self._application_buckets.items()
        ]
        return own + shared

    def _application_bucket(self, key: str, client_id: str, now: float) -> TokenBucket | None:
        plan = self._application_plans[key]
        if plan is None:
            return None
        owner = client_id, key
        bucket = self._application_buckets.get(owner)
        if bucket is None:
            bucket = self._application_buckets[owner] = TokenBucket(plan, now)
        return bucket

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


# Any: JSON.
def _facts(limit: str, client_id: str, seller: str | None, key: str, bucket: TokenBucket) -> dict[str, Any]:
    return {
        "limit": limit,
        "client_id": client_id,
        "seller": seller,
        "operation": key,
        "rate": bucket.plan.rate,
        "burst": bucket.plan.burst,
        "arrivals": list(bucket.arrivals),
        "throttled": bucket.refused,
        "eaten": bucket.eaten,
    }


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


def application_plan(rate: float | None) -> UsagePlan | None:
    """Give the plan of an application's bucket; None for no limit.

    Raises:
        ConfigError: The rate, in requests/s, is not finite and above 0.
    """
    if rate is None:
        return None
    try:
        # Amazon tells no burst of such a limit: what one second brings is the least that uses the rate up.
        return UsagePlan(rate, max(rate, 1.0))
    except ValueError:
        raise ConfigError(f"the rate of an application must be finite and above 0, or none; not {rate:g}") from None
