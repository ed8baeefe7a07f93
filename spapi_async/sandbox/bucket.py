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
    """What one application may still call of one operation for one selling partner.

    Args:
        plan: Rate in tokens/s and burst in tokens.
        now: Seconds on the sandbox's clock.
    """

    __slots__ = ("arrivals", "at", "plan", "refused", "tokens")

    def __init__(self, plan: UsagePlan, now: float) -> None:
        self.plan = plan
        self.tokens = float(plan.burst)
        self.at = now
        self.arrivals: deque[float] = deque(maxlen=_REMEMBERED)
        self.refused = 0

    def take(self, now: float) -> bool:
        """Take one token, or say that there is none.

        Args:
            now: Seconds on the sandbox's clock; an earlier time than the last one counts as no time passed.
        """
        if now > self.at:
            self.tokens = min(float(self.plan.burst), self.tokens + (now - self.at) * self.plan.rate)
            self.at = now
        if self.tokens < 1.0 - _TOLERANCE:
            self.refused += 1
            return False
        self.tokens -= 1.0
        self.arrivals.append(now)
        return True
