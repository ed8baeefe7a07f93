"""Every error this library raises.

A leaf: it imports nothing of ours, so every module may import it.

    SpapiError
    ├── ConfigError                  the client, a credential or a file is set up wrongly; nothing was sent
    ├── ArgumentError                the arguments of a call break the operation's rules; nothing was sent
    ├── AuthError                    Login with Amazon refused a token, or could not be reached
    ├── JobError                     a bulk job or its journal cannot go on
    └── CallError                    one call of one operation failed
        ├── ThrottleTimeoutError     its turn would come after its deadline; nothing was sent
        ├── QueueFullError           too many calls wait for the same usage plan; nothing was sent
        ├── ClientClosedError        the client was closed while the call waited; nothing was sent
        ├── TransportError           no reply; `had_begun` says whether the request had begun to leave
        │   ├── ConnectError         no connection: refused, name not found, TLS refused
        │   ├── ConnectTimeoutError  no connection in time
        │   ├── ReadTimeoutError     sent, but no whole reply in time
        │   └── ConnectionLostError  the connection broke while the request or the reply was under way
        ├── OutcomeUnknownError      it may have been done; sending it again could do it twice
        ├── StatusError              Amazon answered with an error status
        │   ├── BadRequestError      400
        │   ├── UnauthorizedError    401
        │   ├── ForbiddenError       403: of the token, of a role, or a business answer: read `errors`
        │   ├── NotFoundError        404
        │   ├── ConflictError        409
        │   ├── QuotaExceededError   429: not executed, so safe to repeat
        │   └── ServerError          5xx
        └── DecodeError              a 2xx reply that cannot be read; `body` holds it

Errors carry the facts that decide what to do next, so nothing above the transport looks at HTTP: may the same
request be sent again (`is_retry_safe`), when (`retry_after`), and which request id to give to Amazon's support.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

__all__ = [
    "ArgumentError",
    "AuthError",
    "BadRequestError",
    "CallError",
    "ClientClosedError",
    "ConfigError",
    "ConflictError",
    "ConnectError",
    "ConnectTimeoutError",
    "ConnectionLostError",
    "DecodeError",
    "ForbiddenError",
    "JobError",
    "NotFoundError",
    "OutcomeUnknownError",
    "Problem",
    "QueueFullError",
    "QuotaExceededError",
    "ReadTimeoutError",
    "ServerError",
    "SpapiError",
    "StatusError",
    "ThrottleTimeoutError",
    "TransportError",
    "UnauthorizedError",
]


def _restore(cls: type[SpapiError], args: tuple[Any, ...], state: dict[str, Any]) -> SpapiError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class SpapiError(Exception):
    """The root of all errors of this library."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions with keyword-only arguments do not survive pickling (process pools, task queues) by themselves.
        return _restore, (type(self), self.args, self.__dict__.copy())


class ConfigError(SpapiError, ValueError):
    """The client, a credential or a file is set up wrongly. Nothing was sent."""


class ArgumentError(SpapiError, ValueError):
    """The arguments of a call break the operation's rules. Nothing was sent and no token was spent.

    Attributes:
        operation: The operation, as in `orders_v0.get_orders`.
        problems: One sentence for each argument that is wrong.
    """

    def __init__(self, operation: str, problems: Sequence[str]) -> None:
        super().__init__(f"{operation}: " + "; ".join(problems))
        self.operation = operation
        self.problems = tuple(problems)


class AuthError(SpapiError):
    """Login with Amazon (LWA) refused a token, or could not be reached. The call itself was not sent.

    Attributes:
        code: LWA's error code, as in `invalid_grant`; None when LWA gave none or was not reached.
        description: LWA's own words, or what went wrong on the way.
        is_permanent: True when repeating cannot help: the credential itself must change.
        status: The HTTP status; None when there was no reply.
        request_id: LWA's request id, if it sent one.
        operation: The operation that needed the token, as in `orders_v0.get_orders`.
    """

    def __init__(
        self,
        description: str,
        *,
        code: str | None = None,
        is_permanent: bool = False,
        status: int | None = None,
        request_id: str | None = None,
        operation: str | None = None,
    ) -> None:
        text = f"{code}: {description}" if code else description
        if operation:
            text = f"{operation}: no access token: {text}"
        super().__init__(text)
        self.code = code
        self.description = description
        self.is_permanent = is_permanent
        self.status = status
        self.request_id = request_id
        self.operation = operation

    def for_operation(self, operation: str | None) -> AuthError:
        """Give a copy that names the operation: each of the calls that wait for one token raises its own."""
        return AuthError(
            self.description,
            code=self.code,
            is_permanent=self.is_permanent,
            status=self.status,
            request_id=self.request_id,
            operation=operation,
        )


class JobError(SpapiError):
    """A bulk job or its journal cannot go on; the message says why and what helps."""


class CallError(SpapiError):
    """One call of one operation failed.

    Attributes:
        operation: The operation, as in `orders_v0.get_orders`.
        attempt: Which HTTP exchange of the call failed, from 1.
        request_id: Amazon's `x-amzn-RequestId`, the id its support asks for; None without a reply.
        is_retry_safe: True: sending the same request again cannot do it twice. False: do not send it again
            unchanged. None: not known.
        retry_after: Seconds to wait before a repeat, when that is known.
    """

    def __init__(
        self,
        message: str,
        *,
        operation: str,
        attempt: int = 1,
        request_id: str | None = None,
        is_retry_safe: bool | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.operation = operation
        self.attempt = attempt
        self.request_id = request_id
        self.is_retry_safe = is_retry_safe
        self.retry_after = retry_after

    @property
    def is_throttled(self) -> bool:
        """Whether Amazon refused the call because the usage plan was used up."""
        return False

    def __str__(self) -> str:
        safe = {True: "yes", False: "no", None: "unknown"}[self.is_retry_safe]
        facts = [f"attempt {self.attempt}", f"safe to repeat: {safe}"]
        if self.request_id:
            facts.insert(0, f"request id {self.request_id}")
        if self.retry_after is not None:
            facts.append(f"retry after {self.retry_after:.3g} s")
        return f"{self.operation}: {self.message} ({', '.join(facts)})"


class _NotSentError(CallError):
    """The shared part of the refusals in the queue: nothing was sent, so a repeat is always safe."""

    def __init__(
        self,
        message: str,
        *,
        operation: str,
        attempt: int = 1,
        predicted_wait: float | None = None,
        plan: str | None = None,
        queue_length: int | None = None,
    ) -> None:
        super().__init__(message, operation=operation, attempt=attempt, is_retry_safe=True, retry_after=predicted_wait)
        self.predicted_wait = predicted_wait
        self.plan = plan
        self.queue_length = queue_length


class ThrottleTimeoutError(_NotSentError):
    """The call's turn would come after its deadline. Nothing was sent.

    Attributes:
        predicted_wait: Seconds until the call's turn, as far as the plan tells.
        plan: The usage plan in force, in words.
        queue_length: Calls that wait for the same plan.
    """


class QueueFullError(_NotSentError):
    """Too many calls wait for the same usage plan. Nothing was sent. Attributes as in `ThrottleTimeoutError`."""


class ClientClosedError(_NotSentError):
    """The client was closed while the call waited for its turn. Nothing was sent."""


class TransportError(CallError):
    """There was no reply.

    Attributes:
        had_begun: Whether any byte of the request may have left this machine. False: Amazon cannot have seen it.
    """

    def __init__(
        self, message: str, *, operation: str, attempt: int = 1, had_begun: bool, is_retry_safe: bool | None = None
    ) -> None:
        if is_retry_safe is None and not had_begun:
            is_retry_safe = True
        super().__init__(message, operation=operation, attempt=attempt, is_retry_safe=is_retry_safe)
        self.had_begun = had_begun


class ConnectError(TransportError):
    """There was no connection: refused, name not found, or TLS refused. Nothing was sent."""


class ConnectTimeoutError(TransportError):
    """There was no connection in time. Nothing was sent."""


class ReadTimeoutError(TransportError):
    """The request was sent, or was being sent, and no whole reply came in time."""


class ConnectionLostError(TransportError):
    """The connection broke while the request or the reply was under way."""


class OutcomeUnknownError(CallError):
    """The call may have been done: its request had begun to leave, and no certain answer came back.

    It was not sent again, since that could do it twice. Ask Amazon for the state before you repeat it.
    `__cause__` is the `TransportError` or `ServerError` that left the outcome open.
    """

    def __init__(self, message: str, *, operation: str, attempt: int = 1, request_id: str | None = None) -> None:
        super().__init__(message, operation=operation, attempt=attempt, request_id=request_id, is_retry_safe=False)


class Problem(NamedTuple):
    """One entry of the `errors` of Amazon's reply; each part is "" when the reply left it out."""

    code: str
    message: str
    details: str


class StatusError(CallError):
    """Amazon answered with an error status.

    Attributes:
        status: The HTTP status.
        errors: Amazon's errors: code, message and details of each. Empty when the reply held none that can be read.
        headers: The reply's headers, with lower-case names.
        body: The reply's body as it came.
    """

    def __init__(
        self,
        *,
        operation: str,
        status: int,
        errors: Sequence[Problem] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        attempt: int = 1,
        is_retry_safe: bool | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.status = status
        self.errors = tuple(errors)
        self.headers: Mapping[str, str] = headers or {}
        self.body = body
        super().__init__(
            " ".join(filter(None, (str(status), self.code, self._words()))),
            operation=operation,
            attempt=attempt,
            request_id=self.headers.get("x-amzn-requestid"),
            is_retry_safe=is_retry_safe,
            retry_after=retry_after,
        )

    def _words(self) -> str:
        if self.errors and self.errors[0].message:
            more = f" (and {len(self.errors) - 1} more)" if len(self.errors) > 1 else ""
            return f"“{self.errors[0].message}”{more}"
        return "" if self.errors else "without a readable error"

    @property
    def code(self) -> str:
        """The code of Amazon's first error, as in `InvalidInput`; "" when there is none."""
        return self.errors[0].code if self.errors else ""

    @property
    def is_throttled(self) -> bool:
        """Whether Amazon refused the call because the usage plan was used up."""
        return self.status == 429

    @classmethod
    def of(cls, status: int) -> type[Self]:
        """Return the class for a status: the most specific one there is, else `StatusError` itself."""
        return _BY_STATUS.get(status, ServerError if status >= 500 else StatusError)  # type: ignore[return-value]


class BadRequestError(StatusError):
    """400: the request is malformed or invalid; repeating it unchanged cannot help."""


class UnauthorizedError(StatusError):
    """401: the access token is missing or garbled."""


class ForbiddenError(StatusError):
    """403: the token, a role, the region, or a business rule of the operation forbids it; `errors` tells which."""


class NotFoundError(StatusError):
    """404: absent, not owned by this selling partner, or not yet visible."""


class ConflictError(StatusError):
    """409: it exists already, or its state does not allow the change."""


class QuotaExceededError(StatusError):
    """429: the usage plan is used up. Amazon did not execute the request."""


class ServerError(StatusError):
    """5xx: Amazon failed. Unless the operation is safe to repeat, whether the call was done is not known."""


_BY_STATUS: dict[int, type[StatusError]] = {
    400: BadRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    429: QuotaExceededError,
}


class DecodeError(CallError):
    """Amazon answered 2xx, but the body cannot be read. The call was done.

    Attributes:
        body: The reply's body as it came.
    """

    def __init__(
        self,
        message: str,
        *,
        operation: str,
        body: bytes,
        attempt: int = 1,
        request_id: str | None = None,
        is_retry_safe: bool | None = None,
    ) -> None:
        super().__init__(
            message, operation=operation, attempt=attempt, request_id=request_id, is_retry_safe=is_retry_safe
        )
        self.body = body
