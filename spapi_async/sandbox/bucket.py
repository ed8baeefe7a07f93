"""The sandbox's own token bucket, in the plainest form: refill, then take.

It shares no code with the client's scheduler on purpose: a server that counted as our client does would agree with
our mistakes. How a usage plan works is on Amazon's page “Usage Plans and Rate Limits in the SP-API”; that a bucket
starts full is what users measured, and that a refused call consumes nothing is what one may expect.
"""

from __future__ import annotations

from collections import deque

from ..operation import UsagePlan

__all__ = ["TokenBucket"]

_TOLERANCE = 1e-9  # tokens: one token after exactly 1/rate seconds must not fail by the last bit of a float
_REMEMBERED = 10_000  # arrival times kept for a bucket


class TokenBucket:
    """What may still be called of one operation: by an application for one selling partner, or for all of them.

    It can have an unseen consumer: a program that we are not told of and that uses the same plan. It takes one token at
    a time, evenly spaced, the first after 1/rate seconds; where it finds none, its call is refused and lost.

    Every `now` is in seconds on the sandbox's clock; an earlier time than the last one counts as no time passed.

    Args:
        plan: Rate in tokens/s and burst in tokens.
        now: When it begins.
        tokens: What it begins with, at most the burst; None for a full bucket.
        eaten: Tokens/s that the unseen consumer asks for; 0 for none.
    """

    __slots__ = ("_eating_since", "_meals", "arrivals", "at", "eaten", "eating", "plan", "refused", "tokens")

    def __init__(self, plan: UsagePlan, now: float, tokens: float | None = None, eaten: float = 0.0) -> None:
        self.plan = plan
        self.tokens = float(plan.burst) if tokens is None else min(float(tokens), float(plan.burst))
        self.at = now
        self.arrivals: deque[float] = deque(maxlen=_REMEMBERED)
        self.refused = 0
        self.eaten = 0
        self.eating = 0.0
        self.eat(eaten, now)

    def take(self, now: float) -> bool:
        """Take one token, or say that there is none."""
        self._settle(now)
        if not self._spend():
            self.refused += 1
            return False
        self.arrivals.append(now)
        return True

    def has_token(self, now: float) -> bool:
        """Whether `take` would take one."""
        self._settle(now)
        return self.tokens >= 1.0 - _TOLERANCE

    def change(self, plan: UsagePlan, now: float) -> None:
        """Follow another plan from now on. Tokens stay, as far as the new burst has room for them."""
        self._settle(now)
        self.plan = plan
        self.tokens = min(self.tokens, float(plan.burst))

    def put(self, tokens: float, now: float) -> None:
        """Hold so many tokens from now on, at most the burst."""
        self._settle(now)
        self.tokens = min(float(tokens), float(self.plan.burst))

    def eat(self, rate: float, now: float) -> None:
        """Let the unseen consumer ask for so many tokens/s from now on; 0 ends it."""
        self._settle(now)
        self.eating, self._eating_since, self._meals = rate, max(now, self.at), 0

    def _settle(self, now: float) -> None:
        while self.eating:
            # Counted from the beginning: a sum of intervals would drift.
            due = self._eating_since + (self._meals + 1) / self.eating
            if due > now:
                break
            self._meals += 1
            self._refill(due)
            self.eaten += self._spend()
        self._refill(now)

    def _refill(self, now: float) -> None:
        if now > self.at:
            self.tokens = min(float(self.plan.burst), self.tokens + (now - self.at) * self.plan.rate)
            self.at = now

    def _spend(self) -> bool:
        if self.tokens < 1.0 - _TOLERANCE:
            return False
        self.tokens -= 1.0
        return True
