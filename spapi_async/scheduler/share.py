"""How much of a usage plan is left for us, found from 429s that should not have come: pure arithmetic.

Amazon counts all processes of an application together, plans are sometimes lower than published, and the header that
would say so is missing on a 429. What a 429 does tell is that the bucket held less than one token. So between one 429
and the next, k successes in dt seconds bound the rate that is left for us: it is below (k + 1) / dt. If that is less
than the plan allows, somebody else takes the rest, or the plan is wrong.

The control law:
- *Down.* Such a 429 sets the pace to 0.85 of the estimate (k + 1/2) / dt, or to 0.45 of the pace before, whichever is
  more. A 429 that the jitter of the way explains changes nothing.
- *Up.* From there the pace grows with the third power of the time: hardly at first, then fast, by the whole plan within
  26 times the plan's 1/rate (up to 38 while estimates agree). The cube finds a rate that is a little higher within a
  few requests, and one that is much higher soon, as TCP CUBIC does (RFC 9438).
- The pace never goes above the plan. When it gets there the plan counts again, with two tokens at the most, since what
  the others left of the burst is not known.

It was tuned by simulation; docs/explanation/pacing.md has the figures and the limits.
"""

from __future__ import annotations

import math

__all__ = ["Share"]

_CAUTION = 0.85
_DEEPEST_CUT = 0.45
_LEAST_SPAN, _MOST_SPAN, _SPAN_GROWTH = 26.0, 38.0, 1.4
_AGREEMENT = 0.25
_TOKENS_AT_RETURN = 2.0


class Share:
    """The pace below the plan's rate, while others use the plan too.

    Times are in seconds on the scheduler's clock, rates in requests/s; `limit` is the plan's rate.
    """

    __slots__ = (
        "_base",
        "_began_at",
        "_credit",
        "_credit_at",
        "_estimate",
        "_heard_at",
        "_passed",
        "_passed_at",
        "_refused_at",
        "_span",
    )

    def __init__(self) -> None:
        self._base: float | None = None  # the pace after the last cut; None while the whole plan is ours
        self._began_at = 0.0  # of the growth since then
        self._span = _LEAST_SPAN
        self._estimate = 0.0
        self._credit = 0.0  # tokens of the pace, at most one
        self._credit_at = 0.0
        self._refused_at = math.nan  # when the call left that met an empty bucket last
        self._heard_at = -math.inf  # when we learned of it
        self._passed = 0  # successes of calls that left after it
        self._passed_at = -math.inf  # when the last of them left

    @property
    def began_at(self) -> float:
        """When the pace was cut last."""
        return self._began_at

    @property
    def is_whole(self) -> bool:
        """Whether the whole plan is in use."""
        return self._base is None

    def succeeded(self, sent: float) -> None:
        """Note that a call which left at `sent` found a token."""
        if sent > self._refused_at:
            self._passed += 1
            self._passed_at = max(self._passed_at, sent)

    def refused(self, sent: float, now: float, limit: float, jitter: float, full_at: float) -> None:
        """Note that a call which left at `sent` was answered 429.

        Args:
            sent: When it left.
            now: When the answer came.
            limit: The plan's rate.
            jitter: Seconds by which the way varies.
            full_at: When the bucket was full last if the plan holds.
        """
        if sent <= self._heard_at:
            return  # on its way with one that was refused: the same news
        if not math.isnan(self._refused_at):
            since, passed = self._refused_at, self._passed
            if self.is_whole and passed and full_at > since:
                # A full bucket took no more, so successes since then do not tell what came in. The last one does.
                since, passed = self._passed_at, 0
            seconds = sent - since
            if (passed + 1) / max(seconds - jitter, 1e-9) <= limit * 1.0001:
                self._cut((passed + 0.5) / seconds, now, limit)
        self._refused_at, self._passed, self._heard_at = sent, 0, now

    def rate(self, now: float, limit: float) -> float:
        """Return the pace now."""
        if self._base is None:
            return limit
        return min(limit, self._base + limit * (limit / self._span * max(0.0, now - self._began_at)) ** 3)

    def whole_again_at(self, limit: float) -> float:
        """Return when the pace reaches the plan, unless a 429 comes before."""
        if self._base is None:
            return -math.inf
        return self._began_at + self._span / limit * math.cbrt(max(0.0, 1.0 - self._base / limit))

    def tokens_at_return(self, burst: float) -> float:
        """Return how many tokens of the plan may be counted on when the pace has reached it."""
        return min(burst, _TOKENS_AT_RETURN)

    def end(self) -> None:
        """Use the whole plan again."""
        self._base = None

    def wait(self, now: float, limit: float, ahead: int = 0) -> float:
        """Return the seconds until the pace lets a call go when `ahead` others go before it."""
        if self._base is None:
            return 0.0
        missing = 1.0 + ahead - self._credit_now(now, limit)
        if missing <= 1e-9:
            return 0.0
        # Newton's method from the right: the pace only grows, so it comes down to the time from above.
        start = self._grown(now, limit)
        until = now + missing / self.rate(now, limit)
        for _ in range(20):
            step = (self._grown(until, limit) - start - missing) / self.rate(until, limit)
            until -= step
            if step < 1e-9:
                break
        return max(until - now, 1e-9)

    def take(self, now: float, limit: float) -> None:
        """Take one token of the pace; `wait` said that there is one."""
        if self._base is not None:
            self._credit = self._credit_now(now, limit) - 1.0
            self._credit_at = now

    def _cut(self, estimate: float, now: float, limit: float) -> None:
        agrees = abs(estimate - self._estimate) <= _AGREEMENT * self._estimate
        self._span = min(self._span * _SPAN_GROWTH, _MOST_SPAN) if agrees else _LEAST_SPAN
        self._estimate = estimate
        before = self.rate(now, limit)
        self._base = min(before, max(estimate * _CAUTION, before * _DEEPEST_CUT))
        self._began_at = self._credit_at = now
        self._credit = 0.0

    def _credit_now(self, now: float, limit: float) -> float:
        return min(1.0, self._credit + self._grown(now, limit) - self._grown(self._credit_at, limit))

    def _grown(self, now: float, limit: float) -> float:
        """Return the tokens that the pace has given since the last cut."""
        assert self._base is not None
        seconds = max(0.0, now - self._began_at)
        rising = min(seconds, max(0.0, self.whole_again_at(limit) - self._began_at))
        tokens = self._base * rising + limit * (limit / self._span) ** 3 * rising**4 / 4
        return tokens + limit * (seconds - rising)
