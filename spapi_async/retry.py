"""When a failed attempt is made again: a pure policy, and the stage that follows it.

What may be sent again is not decided here: each error says it of itself (`is_retry_safe`), from what the transport saw.
A 429 never gets here, the scheduler repeats it in its turn. Neither does a refused access token: the auth stage renews
it. So what is left is: never connected, and for operations that are safe to repeat also time-outs (408 too), broken
connections and 5xx.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
from attrs.validators import ge, instance_of

from .errors import CallError, OutcomeUnknownError, SpapiError, StatusError, TransportError
from .events import Emit, Retried
from .middleware import Middleware, Next
from .operation import Call, Reply

__all__ = ["RetryPolicy", "retrying"]

# Seconds. A caller who is told to wait longer should know, and can decide: the error says when.
_LONGEST_RETRY_AFTER = 300.0


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often, and after which waits, a failed attempt is made again.

    The n-th wait is drawn evenly between 0 and min(`max_delay`, `base_delay` * 2 ** (n - 1)) seconds (“full jitter”,
    see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), so that clients which failed
    together do not come back together. A Retry-After of the reply is waited at least; one above 300 s ends the call.

    Args:
        max_attempts: HTTP exchanges per call, the first included. 1 means no repeats. 429s do not count. Default 4.
        base_delay: Seconds; the upper end of the first wait. Default 0.5.
        max_delay: Seconds; the upper end of every wait. Default 20.
    """

    max_attempts: int = attrs.field(default=4, validator=[instance_of(int), ge(1)])
    base_delay: float = attrs.field(default=0.5, validator=[instance_of((int, float)), ge(0)])
    max_delay: float = attrs.field(default=20.0, validator=[instance_of((int, float)), ge(0)])

    def delay(self, error: CallError, attempt: int, random: float) -> float | None:
        """Return the seconds to wait before the next attempt; None when there is to be none.

        Args:
            error: How the attempt failed.
            attempt: Which attempt it was, from 1.
            random: A number from 0 up to 1, drawn evenly.
        """
        # Refusals of the queue and 429s are safe to repeat too, but the scheduler has dealt with them.
        if not error.is_retry_safe or not isinstance(error, TransportError | StatusError) or error.is_throttled:
            return None
        if attempt >= self.max_attempts or (error.retry_after or 0.0) > _LONGEST_RETRY_AFTER:
            return None
        return max(random * self.limit(attempt), error.retry_after or 0.0)

    def limit(self, attempt: int) -> float:
        """Return the longest wait after this attempt, in seconds."""
        # The exponent is bounded, since 2.0 ** 1100 is an OverflowError.
        return min(self.max_delay, self.base_delay * 2.0 ** min(attempt - 1, 64))


def retrying(
    policy: RetryPolicy,
    *,
    sleep: Callable[[float], Awaitable[None]],
    random: Callable[[], float],
    clock: Callable[[], float],
    emit: Emit,
) -> Middleware:
    """Make the retry stage: it repeats a call as the policy says, but never past the call's deadline."""

    async def retry(call: Call, next_: Next) -> Reply:
        open_error: CallError | None = None  # of the attempt that may have been done, if any
        while True:
            try:
                return await next_(call)
            except CallError as error:
                open_error = error if _is_open(error) else None if _is_settled(error) else open_error
                delay = policy.delay(error, call.attempt, random())
                if delay is None or (call.deadline is not None and clock() + delay > call.deadline):
                    if call.made_key is not None and open_error is not None:
                        raise _outcome_unknown(call, call.made_key, open_error) from error
                    raise
                reason = f"{type(error).__name__}: {error.message}"
                emit(Retried(operation=call.operation.key, attempt=call.attempt, delay=delay, reason=reason))
            except SpapiError as error:  # no token for a further attempt
                if call.made_key is not None and open_error is not None:
                    raise _outcome_unknown(call, call.made_key, open_error) from error
                raise
            await sleep(delay)
            call = attrs.evolve(call, attempt=call.attempt + 1)

    return retry


def _is_open(error: CallError) -> bool:
    """Whether Amazon may have done the call all the same."""
    if isinstance(error, TransportError):
        return error.had_begun
    return isinstance(error, StatusError) and StatusError.leaves_open(error.status)


def _is_settled(error: CallError) -> bool:
    """Whether Amazon answered the request itself, so that an earlier attempt had not been done either."""
    return isinstance(error, StatusError) and 400 <= error.status < 500 and error.status not in (401, 403, 408, 429)


def _outcome_unknown(call: Call, key: str, error: CallError) -> OutcomeUnknownError:
    """Say that the caller's own repeat could do it twice: he does not have the key that makes one harmless."""
    return OutcomeUnknownError(
        f"it may have been done or not, and only a repeat with the idempotency key {key} is safe: {error.message}",
        operation=error.operation,
        attempt=call.attempt,
        request_id=error.request_id,
    )
