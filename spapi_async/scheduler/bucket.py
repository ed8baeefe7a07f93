"""Amazon's token bucket as seen from here: pure arithmetic, `now` comes in.

Theory. The server has a bucket of `burst` tokens that refills at `rate` per second and looks at it when a request
*arrives*; we decide when a request *leaves*. If the way takes between d and d + J seconds, the requests that arrive in
a window of length T have left in a window of length T + J. Whoever sends at most `burst - rate * J + rate * T` requests
in every window of length T therefore never overruns the server. So we pace at the full rate, and only hold back
`rate * J` tokens of the burst; sustained throughput stays 100 %. (Proof and measurements: docs/explanation/pacing.md.)

The state is one number, as in the generic cell rate algorithm (GCRA): the time at which the bucket would be full again
if nothing were taken. Tokens now = burst - rate * (full_at - now).

What is known when:
- The rate comes from the plan, later from `x-amzn-RateLimit-Limit`. The burst is never transmitted: the plan's stays.
- J comes from observed round trips: the spread between the slowest and the fastest bounds the spread of the way out.
- A 429 says that the server's bucket was empty, whatever ours says. 429s that should not have come say that not the
  whole plan is ours (`share.py`).
"""

from __future__ import annotations

import math

from ..operation import UsagePlan
from .share import Share

__all__ = ["Bucket"]

# Held back in any case, in tokens: without it, floating point at exact boundaries alone causes 429s, and Amazon's
# refill is not perfectly linear (amzn/selling-partner-api-models#2422). Chosen after some testing.
_MARGIN = 0.02

# Seconds of jitter assumed until enough round trips were seen. The first calls open their connections, and a handshake
# takes some round trips more than a warm call.
_ASSUMED_JITTER = 0.2

# Tokens that are given up for the jitter at most where the burst has no room for them: each is lost on every call, so
# a 429 now and then is the lesser evil; after one, more is given.
_ALLOWANCE, _MORE_ALLOWANCE, _MOST_ALLOWANCE = 0.18, 0.04, 0.5

# Seconds that are allowed for in any case: under load, timers and the event loop are no more exact than that.
_LEAST_JITTER = 0.02
# The same where the round trip of the last call is known, since that includes its own delays.
_LEAST_WAIT = 0.01

# A slow round trip is remembered for so many to twice as many: enough to meet another, few enough to forget it soon.
_WINDOW = 32
_ENOUGH = 8
# The fastest is rarer than a slow one, and remembered longer; but when the way gets longer for good, it is forgotten.
_GENERATION = 256


class Bucket:
    """The tokens of one usage plan.

    Args:
        plan: Rate and burst to begin with. The bucket starts full, as Amazon's do.

    Attributes:
        rate: Requests/s of the plan in force.
        share: How much of it is ours.
        burst: The most calls at once from a full bucket.
        jitter: Seconds by which the way to Amazon is assumed to vary.
    """

    __slots__ = (
        "_allowance",
        "_busy_since",
        "_confirmed_at",
        "_early",
        "_fastest",
        "_fastest_before",
        "_full_at",
        "_late",
        "_left_at",
        "_not_before",
        "_seen",
        "_slowest",
        "_slowest_before",
        "_was_bound",
        "burst",
        "jitter",
        "rate",
        "share",
    )

    def __init__(self, plan: UsagePlan) -> None:
        self.rate = plan.rate
        self.burst = plan.burst
        self._full_at = -math.inf  # full, and has been for as long as anybody remembers
        self._busy_since = -math.inf  # when it was full last
        self._confirmed_at = -math.inf  # when Amazon last said that the rate is this one
        self._not_before = -math.inf  # until when Amazon asked to wait
        self._left_at = -math.inf  # when the last call left
        self._was_bound = False  # whether the last call left no later because of the allowance
        self._late: float | None = None  # by how much its round trip was longer than the fastest, once its reply came
        self._seen = 0  # round trips
        self._slowest = self._slowest_before = -math.inf  # of this generation of them and the one before
        self._fastest = self._fastest_before = math.inf  # likewise
        self.jitter = _ASSUMED_JITTER
        self.share = Share()
        self._allowance = _ALLOWANCE
        self._plan_anew()

    @property
    def headroom(self) -> float:
        """Seconds by which a token is left to ripen before it is used, because of the jitter."""
        # One slow reply must not slow the pace down: while the burst has room for it, headroom costs nothing in the
        # long run; beyond that (burst 1, mostly) each second of it is lost on every call, so a 429 is the lesser evil.
        most = max(self.burst - 1.0 - _MARGIN, self._allowance)
        return (min(self.rate * self.jitter, most) + _MARGIN) / self.rate

    def tokens(self, now: float) -> float:
        """Return the tokens that Amazon's bucket should hold now, between 0 and burst."""
        return self.burst - self.rate * max(0.0, self._full_at - now)

    def fullness(self, now: float) -> float:
        """Return how sure it is that Amazon's bucket was not empty, from 0 to 1; others that use it may empty it."""
        return self.tokens(now) / self.burst if self.share.is_whole else 0.0

    def is_as_new(self, now: float) -> bool:
        """Whether it is full, and all of the plan is ours."""
        return self._full_at <= now >= self._not_before and self.share.is_whole

    def wait(self, now: float, ahead: int = 0) -> float:
        """Return the seconds until a call may leave when `ahead` others go before it; 0.0 if it may at once."""
        return max(self._wait_for_token(now, ahead), self.share.wait(now, self.rate, ahead))

    def _wait_for_token(self, now: float, ahead: int = 0) -> float:
        early, start = self._early, max(now, self._not_before)
        if early >= 0.0:  # a line of calls leaves at the full rate
            return max(start, max(self._full_at, start) + ahead / self.rate - early) - now
        # No room for a burst: each call leaves some time after the bucket is full, and the next one counts from there.
        return max(self._full_at - self._early_now(), start) + ahead * (1.0 / self.rate - early) - now

    def _early_now(self) -> float:
        """Return how long before the bucket is full a call may leave; below 0: how long after."""
        if self._early >= 0.0 or self._late is None:
            return self._early
        # How late the last call arrived at most is known from its reply, and mostly less than the headroom. A faster
        # one than the fastest of n so far is to be expected: by J / n if only one way varies.
        return max(self._early, -self._late - _LEAST_WAIT - 2.0 * self.jitter / self._seen)

    def take(self, now: float) -> float:
        """Take one token, or say how long until there is one.

        Args:
            now: Seconds on the scheduler's clock.

        Returns:
            0.0 if a token was taken, else the wait in seconds. Nothing is reserved: ask again when the wait is over.
        """
        wait = self.ask(now)
        if wait == 0.0:
            self.spend(now)
        return wait

    def ask(self, now: float) -> float:
        """Return 0.0 if there is a token to spend, else the seconds until there is one; as `take`, but takes none."""
        if not self.share.is_whole:
            self._end_share(now)
            if (wait := self.share.wait(now, self.rate)) > 0.0:
                return max(wait, self._wait_for_token(now))
        wait = self._full_at - (self._early if self._early >= 0.0 else self._early_now()) - now
        # A timer may fire a hair early; without this, the caller would ask again for the rest of a nanosecond.
        if wait > 1e-9:
            empty = now + self.burst / self.rate
            if self._full_at > empty + 1e-3:
                # No bucket is emptier than empty: this clock is not the one from before. (trio's begins anew, at
                # random, with each `trio.run`.) How much time passed is not known, so none is assumed.
                self._full_at = empty
                self._busy_since = self._confirmed_at = self._not_before = now
                self.share = Share()
                return self.wait(now)
            return max(wait, self._not_before - now)
        return self._not_before - now if self._not_before > now else 0.0

    def spend(self, now: float) -> None:
        """Take the token that `ask` has just said is there."""
        if not self.share.is_whole:
            self.share.take(now, self.rate)
        if self._full_at <= now:
            self._full_at = self._busy_since = now
        self._full_at += 1.0 / self.rate
        self._was_bound = self._early < 0.0 and self._early_now() <= self._early
        self._left_at, self._late = now, None

    def _end_share(self, now: float) -> None:
        """Use the whole plan again once the pace has grown to it."""
        if now >= self.share.whole_again_at(self.rate):
            self.share.end()
        elif now < self.share.began_at - 1e-3:
            self.share = Share()  # another clock, as below

    def put_back(self, sent: float) -> None:
        """Return a token that was taken at `sent` for a request that never left this machine."""
        if sent >= self._not_before:  # else the bucket was emptied since, and this token with it
            self._full_at -= 1.0 / self.rate
            self.share.put_back()

    def succeeded(self, sent: float) -> None:
        """Note that a call which left at `sent` found a token."""
        self.share.succeeded(sent)

    def refused(self, sent: float, now: float, wait: float = 0.0) -> None:
        """Take note of a 429: Amazon's bucket was empty, and perhaps not the whole plan is ours.

        Args:
            sent: When the call left.
            now: Seconds on the scheduler's clock.
            wait: Seconds that Amazon asked to wait (Retry-After). It is not known to send any with a 429.
        """
        jitter = self.jitter if self._seen >= _ENOUGH else math.inf
        was_late = self.share.refused(sent, now, self.rate, jitter, self._busy_since)
        self.drain(now, wait)
        if was_late and self._early < 0.0 and jitter < 1.0 / self.rate:
            self._full_at = now + jitter  # by more than that the call before cannot have been late
            if self._was_bound:
                self._allowance = min(self._allowance + _MORE_ALLOWANCE, _MOST_ALLOWANCE)
                self._plan_anew()
        self.observe(sent, now - sent)

    def observe(self, sent: float, round_trip: float) -> bool:
        """Note how long a call that left at `sent` took to its reply, in seconds.

        Returns:
            Whether the next call may leave earlier than was said before.
        """
        self._seen = seen = self._seen + 1
        is_news = seen == _ENOUGH
        # Of two generations each, rather than of all round trips one by one: every reply comes here.
        if seen % _WINDOW == 0:
            self._slowest_before, self._slowest = self._slowest, round_trip
            if seen % _GENERATION == 0:
                self._fastest_before, self._fastest = self._fastest, round_trip
            is_news = True
        if round_trip > self._slowest:
            self._slowest = round_trip
            is_news = True
        if round_trip < self._fastest:
            self._fastest = round_trip
            is_news = True
        if seen < _ENOUGH:
            return False
        is_sooner = is_news and self._learn_jitter()
        if self._early < 0.0 and sent == self._left_at:
            self._late = round_trip - min(self._fastest, self._fastest_before)
            return True
        return is_sooner

    def _learn_jitter(self) -> bool:
        """Work out the jitter anew; whether it is less than before."""
        fastest = min(self._fastest, self._fastest_before)
        before = self.jitter
        self.jitter = max(self._slowest - fastest, self._slowest_before - fastest, _LEAST_JITTER)
        if self.jitter != before:
            self._plan_anew()
        return self.jitter < before

    def learn(self, rate: float, now: float) -> None:
        """Go on at the rate that Amazon says is in force.

        The tokens stay what they are and the times move: if the times stayed instead, a bucket that was ahead by 10
        tokens at 5/s would be ahead by 4 at 2/s, and everybody who waits would go out at once.

        A lower rate may have been in force since Amazon last said otherwise. What the higher one added to the tokens in
        that time was never there, so it is taken off.
        """
        if rate != self.rate:
            self.share = Share()
            missing = self.burst - self.tokens(now)
            if rate < self.rate:
                if missing > 0.0:
                    missing += (self.rate - rate) * (now - max(self._confirmed_at, self._busy_since))
                # What left lately may arrive late: until then Amazon's bucket may have been full, and have grown
                # nothing. The headroom of the higher rate covered that; that of the lower one covers less.
                missing += max(
                    0.0, self.rate * min(self.jitter, self._full_at + self.jitter - now) - rate * self.jitter
                )
            self.rate = rate
            self._full_at = now + min(missing, self.burst) / rate
            self._plan_anew()
        self._confirmed_at = now

    def drain(self, now: float, wait: float = 0.0) -> None:
        """Empty the bucket, and take nothing from it for `wait` seconds."""
        self._full_at = max(self._full_at, now + self.burst / self.rate)
        self._not_before = max(self._not_before, now + wait)

    def _plan_anew(self) -> None:
        """Work out how long before the bucket is full a call may leave; below 0: how long after. Every call asks."""
        self._early = (self.burst - 1.0) / self.rate - self.headroom
