"""How much of a usage plan is left for us, found from 429s that should not have come: pure arithmetic.

Amazon counts all processes of an application together, plans are sometimes lower than published, and the header that
would say so is missing on a 429. What a 429 does tell is that the bucket held less than one token. So between one 429
and the next, k successes in dt seconds bound the rate that is left for us: it is below (k + 1) / dt. If that is less
than the plan allows, somebody else takes the rest, or the plan is wrong.

The control law:
- *Estimate.* (k + 1/2) / dt over all such intervals, each counting half as much as the next.
- *Down.* Such a 429 sets the pace to 0.78 of the estimate. A 429 that the jitter of the way explains changes nothing.
- *Up.* From there the pace grows with the third power of the time: hardly at first, then fast, by the whole plan within
  35 times the plan's 1/rate. The cube finds a rate that is a little higher within a few requests, and one that is much
  higher soon, as TCP CUBIC does (RFC 9438).
- *Beyond.* The pace grows on above the plan, so that what gathered in Amazon's bucket meanwhile is used. The bucket
  here bounds that: it is empty at each 429, and fills at the plan's rate. At three times the plan only the bucket
  counts again.
- *A plan that is wrong.* What others take varies. If all successes and 429s of a long time (250 times the plan's
  1/rate) fit one rate to within a token, the plan is not what we believe, and trying for it costs a 429 each time.
  Then the growth takes as long as the fit has lasted, up to 35 times that rate's 1/rate.

It was tuned by simulation; docs/explanation/pacing.md has the figures and the limits.
"""

from __future__ import annotations

import math

__all__ = ["Share"]

_CAUTION = 0.78
_MEMORY = 0.5
_SPAN = 35.0  # times 1/rate, likewise _TRUSTED
_TOP = 3.0
_TRUSTED = 250.0


class Share:
    """The pace that is ours while others use the plan too.

    Times are in seconds on the scheduler's clock, rates in requests/s; `limit` is the plan's rate.

    Attributes:
        is_whole: Whether the whole plan is in use.
    """

    __slots__ = (
        "_base",
        "_began_at",
        "_credit",
        "_credit_at",
        "_fit_heard",
        "_fit_least",
        "_fit_most",
        "_fit_passed",
        "_fit_since",
        "_heard_at",
        "_passed",
        "_passed_at",
        "_refused_at",
        "_seconds",
        "_span",
        "_tokens",
        "is_whole",
    )

    def __init__(self) -> None:
        self.is_whole = True
        self._base = math.inf  # the pace after the last cut
        self._began_at = 0.0  # of the growth since then
        self._tokens = self._seconds = 0.0  # of the intervals that the estimate is made from
        self._span = 0.0  # seconds in which the pace grows by the whole plan
        self._fit_since = self._fit_heard = math.nan  # the 429 from which on everything fits one rate
        self._fit_passed = 0  # successes since then
        self._fit_least, self._fit_most = 0.0, math.inf  # the bounds of that rate
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

    def succeeded(self, sent: float) -> None:
        """Note that a call which left at `sent` found a token."""
        if not sent <= self._refused_at:
            self._passed += 1
            self._passed_at = max(self._passed_at, sent)

    def refused(self, sent: float, now: float, limit: float, jitter: float, full_at: float) -> bool:
        """Note that a call which left at `sent` was answered 429.

        Args:
            sent: When it left.
            now: When the answer came.
            limit: The plan's rate.
            jitter: Seconds by which the way varies; infinite if not known.
            full_at: When the bucket was full last if the plan holds.

        Returns:
            Whether nothing is known against the whole plan, so that the call before may just have been late.
        """
        if sent <= self._heard_at:
            return False  # on its way with one that was refused: the same news
        was_late = self.is_whole and self._passed > 0
        if not math.isnan(self._refused_at):
            # When the one before left, until when it must have arrived, and how many found a token since.
            since, arrived, passed = self._refused_at, self._heard_at, self._passed
            if self.is_whole and passed and full_at > since:
                # A full bucket took no more, so successes since then do not tell what came in. The last one does.
                since, arrived, passed = self._passed_at, self._passed_at + jitter, 0
            if passed + 1 <= (sent - arrived) * limit * 1.0001:
                was_late = False
                self._fit(since, arrived, passed, sent, jitter)
                self._cut(passed, sent - since, now, limit)
        self._refused_at, self._passed, self._heard_at = sent, 0, now
        return was_late

    def rate(self, now: float, limit: float) -> float:
        """Return the pace now, up to the plan's rate."""
        return limit if self.is_whole else min(limit, self._pace(now, limit))

    def whole_again_at(self, limit: float) -> float:
        """Return when the plan counts alone again, unless a 429 comes before."""
        if self.is_whole:
            return -math.inf
        return self._began_at + self._span * math.cbrt(_TOP - self._base / limit)

    def end(self) -> None:
        """Use the whole plan again."""
        self.is_whole = True
        self._tokens = self._seconds = 0.0
        self._fit_since = math.nan

    def wait(self, now: float, limit: float, ahead: int = 0) -> float:
        """Return the seconds until the pace lets a call go when `ahead` others go before it."""
        if self.is_whole:
            return 0.0
        missing = 1.0 + ahead - self._credit_now(now, limit)
        if missing <= 1e-9:
            return 0.0
        # Newton's method from the right: the pace only grows, so it comes down to the time from above. Either part of
        # the pace alone would take longer than both.
        tokens = self._grown(now, limit) + missing
        until = self._began_at + min(tokens / self._base, math.sqrt(math.sqrt(4.0 * tokens / limit * self._span**3)))
        for _ in range(20):
            step = (self._grown(until, limit) - tokens) / self._pace(until, limit)
            until -= step
            if step < 1e-9:
                break
        return max(until - now, 1e-9)

    def take(self, now: float, limit: float) -> None:
        """Take one token of the pace; `wait` said that there is one."""
        if not self.is_whole:
            self._credit = self._credit_now(now, limit) - 1.0
            self._credit_at = now

    def put_back(self) -> None:
        """Return a token of the pace that was taken for a request that never left."""
        self._credit += 1.0

    def _fit(self, since: float, arrived: float, passed: int, sent: float, jitter: float) -> None:
        """Note whether what happened up to this 429 fits the rate that all before it fits."""
        if passed:
            # When the last of them was let through, there was a token for it.
            least = (self._fit_passed + passed - 1) / (self._passed_at + jitter - self._fit_since)
            self._fit_least = max(self._fit_least, least)
        self._fit_passed += passed
        self._fit_most = min(self._fit_most, (self._fit_passed + 1) / (sent - self._fit_heard))
        if math.isnan(self._fit_since) or self._fit_least > self._fit_most:
            self._fit_since, self._fit_heard, self._fit_passed = since, arrived, passed
            self._fit_least, self._fit_most = 0.0, math.inf

    def _cut(self, passed: int, seconds: float, now: float, limit: float) -> None:
        self._tokens = self._tokens * _MEMORY + passed + 0.5
        self._seconds = self._seconds * _MEMORY + seconds
        self._base = min(self.rate(now, limit), self._tokens / self._seconds * _CAUTION)
        self.is_whole = False
        self._began_at = self._credit_at = now
        self._credit = 0.0
        self._span = _SPAN / limit
        lasted = now - self._fit_since
        if lasted * limit >= _TRUSTED and self._fit_passed >= 2:
            self._span = max(self._span, min(lasted, _SPAN / self._fit_most))

    def _credit_now(self, now: float, limit: float) -> float:
        return min(1.0, self._credit + self._grown(now, limit) - self._grown(self._credit_at, limit))

    def _pace(self, now: float, limit: float) -> float:
        return self._base + limit * (max(0.0, now - self._began_at) / self._span) ** 3

    def _grown(self, now: float, limit: float) -> float:
        """Return the tokens that the pace has given since the last cut."""
        seconds = max(0.0, now - self._began_at)
        return self._base * seconds + limit * (seconds / self._span) ** 3 * seconds / 4
