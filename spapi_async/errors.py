"""Every error this library raises.

A leaf: it imports nothing of ours, so every module may import it.

    SpapiError
    ├── ConfigError                  the client, a credential or a file is set up wrongly; nothing was sent
    ├── ArgumentError                the arguments of a call break the operation's rules; nothing was sent
    ├── AuthError                    Login with Amazon refused a token, or could not be reached
    ├── ConsentError                 a selling partner's consent did not arrive; it has to be given anew
    │   ├── WrongStateError          the state is not ours, or of another session
    │   ├── ExpiredStateError        the state is too old
    │   ├── ReplayedStateError       the state was used before
    │   ├── AlteredCallbackError     what came back is not what Amazon sends
    │   ├── ConsentRefusedError      the callback says that there is no consent
    │   └── CodeRefusedError         Login with Amazon takes the code for invalid
    │       └── LateCodeError        the code is older than its five minutes
    ├── JobError                     a bulk job or its journal cannot go on
    │   ├── LeaseLostError           another process has taken over a row
    │   └── JobStoppedError          all rows of a selling partner would meet the same; they wait
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
        ├── TransferError            Amazon's storage behind a presigned URL refused a transfer
        └── DecodeError              a 2xx reply that cannot be read; `body` holds it

Errors carry the facts that decide what to do next, so nothing above the transport looks at HTTP: may the same
request be sent again (`is_retry_safe`), when (`retry_after`), and which request id to give to Amazon's support.

The text of an error is one line for a log. It holds no secret, no header and no body; what is Amazon's in it are the
words of its own errors, cut where they are long.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

__all__ = [
    "AlteredCallbackError",
    "ArgumentError",
    "AuthError",
    "BadRequestError",
    "CallError",
    "ClientClosedError",
    "CodeRefusedError",
    "ConfigError",
    "ConflictError",
    "ConnectError",
    "ConnectTimeoutError",
    "ConnectionLostError",
    "ConsentError",
    "ConsentRefusedError",
    "DecodeError",
    "ExpiredStateError",
    "ForbiddenError",
    "JobError",
    "JobStoppedError",
    "LateCodeError",
    "LeaseLostError",
    "NotFoundError",
    "OutcomeUnknownError",
    "Problem",
    "QueueFullError",
    "QuotaExceededError",
    "ReadTimeoutError",
    "ReplayedStateError",
    "ServerError",
    "SpapiError",
    "StatusError",
    "ThrottleTimeoutError",
    "TransferError",
    "TransportError",
    "UnauthorizedError",
    "WrongStateError",
]


# In characters: a text; a code or an id of Amazon's; a message of Amazon's.
_LONGEST, _LONGEST_WORD, _LONGEST_WORDS = 1500, 100, 300
_MOST_PROBLEMS = 10


def _one_line(text: str, longest: int) -> str:
    """Fit a text of others into a line: nothing that breaks it, hides in it or cannot be written; cut if it is long."""
    if len(text) <= longest and text.isprintable():
        return text
    start = text[: 2 * longest]  # of megabytes, no more is looked at
    line = " ".join("".join(char if char.isprintable() else " " for char in start).split())
    return line if len(line) <= longest and start == text else line[: longest - 1] + "…"


def _with_facts(text: str, facts: Sequence[str], is_retry_safe: bool | None) -> str:
    """Add to a text what to know when it is read."""
    safe = {True: "yes", False: "no", None: "unknown"}[is_retry_safe]
    return f"{text} ({', '.join([*facts, f'safe to repeat: {safe}'])})"


def _restore(
    cls: type[SpapiError], args: tuple[Any, ...], state: dict[str, Any], cause: SpapiError | None
) -> SpapiError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    if cause is not None:
        error.__cause__ = cause
    return error


class SpapiError(Exception):
    """The root of all errors of this library.

    Attributes:
        is_retry_safe: True: doing the same again cannot do anything twice. False: do not do it again unchanged. None:
            not known.
    """

    is_retry_safe: bool | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions with keyword-only arguments do not survive pickling (process pools, task queues) by themselves,
        # and no exception's cause does. One of a library goes: it may hold a connection.
        cause = self.__cause__ if isinstance(self.__cause__, SpapiError) else None
        return _restore, (type(self), self.args, self.__dict__.copy(), cause)


class ConfigError(SpapiError, ValueError):
    """The client, a credential or a file is set up wrongly. Nothing was sent."""

    is_retry_safe = False


class ArgumentError(SpapiError, ValueError):
    """The arguments of a call break the operation's rules. Nothing was sent and no token was spent.

    Attributes:
        operation: The operation, as in `orders_v0.get_orders`.
        problems: One sentence for each argument that is wrong.
    """

    is_retry_safe = False

    def __init__(self, operation: str, problems: Sequence[str]) -> None:
        named = [_one_line(problem, _LONGEST_WORDS) for problem in problems[:_MOST_PROBLEMS]]
        if len(problems) > _MOST_PROBLEMS:
            named.append(f"and {len(problems) - _MOST_PROBLEMS} more")
        super().__init__(f"{operation}: " + "; ".join(named))
        self.operation = operation
        self.problems = tuple(problems)


class AuthError(SpapiError):
    """Login with Amazon (LWA) refused a token, or could not be reached. The call itself was not sent.

    With `aws=AwsRole(...)` it may be AWS STS instead, that gave no keys to sign the call with.

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
        missing: str = "access token",
    ) -> None:
        text = f"{_one_line(code, _LONGEST_WORD)}: {description}" if code else description
        if operation:
            text = f"{operation}: no {missing}: {text}"
        facts = [f"status {status}"] if status is not None else []
        if request_id:
            facts.append(f"request id {_one_line(request_id, _LONGEST_WORD)}")
        super().__init__(_with_facts(_one_line(text, _LONGEST), facts, not is_permanent))
        self.code = code
        self.description = description
        self.is_permanent = is_permanent
        self.is_retry_safe = not is_permanent
        self.status = status
        self.request_id = request_id
        self.operation = operation
        self._missing = missing

    def for_operation(self, operation: str | None) -> AuthError:
        """Give a copy that names the operation: each of the calls that wait for one token raises its own."""
        return AuthError(
            self.description,
            code=self.code,
            is_permanent=self.is_permanent,
            status=self.status,
            request_id=self.request_id,
            operation=operation,
            missing=self._missing,
        )


class ConsentError(SpapiError):
    """A selling partner's consent did not arrive, and this attempt is over: let the selling partner begin anew.

    Nothing was lost by it. A consent that was given anew replaces nothing and does no harm.
    """

    is_retry_safe = False

    def __init__(self, message: str) -> None:
        super().__init__(_one_line(message, _LONGEST))


class WrongStateError(ConsentError):
    """The state of a callback was not made here, was changed, or belongs to another session.

    It may be an attack: somebody makes a user's browser bring a consent that is not the user's.
    """


class ExpiredStateError(ConsentError):
    """The state of a callback was made here, for this session, but longer ago than it is valid."""


class ReplayedStateError(ConsentError):
    """The state of a callback was used before: the callback came twice, as when a page is loaded anew."""


class AlteredCallbackError(ConsentError):
    """What the browser brought is not what Amazon sends: a parameter is missing, repeated, unreadable or foreign."""


class ConsentRefusedError(ConsentError):
    """The callback says that there is no consent.

    Attributes:
        code: OAuth's error code, as in `access_denied`.
        description: The words that came with it, or "". They came through a browser: anybody could have written them.
    """

    def __init__(self, code: str, description: str = "") -> None:
        self.code = code
        self.description = description
        # Words of a stranger are not put into a log as if they were ours.
        super().__init__(f"there is no consent: {_one_line(code, _LONGEST_WORD)}")


class CodeRefusedError(ConsentError):
    """Login with Amazon takes the authorisation code for invalid.

    It was used before, or it belongs to another application or redirect URI.
    """


class LateCodeError(CodeRefusedError):
    """The authorisation code is older than the five minutes that it is valid for, or was used before."""


class JobError(SpapiError):
    """A bulk job or its journal cannot go on; the message says why and what helps."""


class LeaseLostError(JobError):
    """A row of a bulk job is not in this process's hand any more, so it may not be sent by it."""


class JobStoppedError(JobError):
    """Parts of a bulk job stopped by themselves, since all their rows would meet the same; the others went on.

    Attributes:
        stopped: Why, by selling partner; "" where the client is of one.
        waiting: Rows that were not sent. They wait in the journal, unless it was a dry run: mend what is wrong, and go
            on with the job.
    """

    def __init__(self, stopped: Mapping[str, Exception], *, waiting: int, dry_run: bool = False) -> None:
        self.stopped = dict(stopped)
        self.waiting = waiting
        alike: dict[str, list[str]] = {}
        for name, error in self.stopped.items():
            # Many that meet the same are told once: the words of one of them, but for what is its own.
            own = getattr(error, "code", None) or getattr(error, "status", None)
            alike.setdefault(f"{type(error).__name__} {own}" if own else str(error), []).append(name)
        told = [f"{_some(names)}{self.stopped[names[0]]}" for names in alike.values()]
        more = f"; and {len(told) - 3} more reasons" if len(told) > 3 else ""
        rows = "1 row waits" if waiting == 1 else f"{waiting} rows wait"
        where = "" if dry_run else " in the journal"
        super().__init__(f"{'; '.join(told[:3])}{more}; {rows}{where}")


def _some(names: Sequence[str]) -> str:
    if len(names) > 3:
        return f"{len(names)} selling partners ({', '.join(names[:3])}, …): "
    return f"{', '.join(names)}: " if names[0] else ""


class CallError(SpapiError):
    """One call of one operation failed.

    Attributes:
        operation: The operation, as in `orders_v0.get_orders`.
        message: What happened, in one line.
        attempt: Which HTTP exchange of the call failed, from 1; 1 too where that is not known, as for a 2xx reply.
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
        message = _one_line(message, _LONGEST)
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
        facts = []
        if self.request_id:
            facts.append(f"request id {_one_line(self.request_id, _LONGEST_WORD)}")
        if self.attempt > 1:
            facts.append(f"attempt {self.attempt}")
        text = _with_facts(f"{self.operation}: {self.message}", facts, self.is_retry_safe)
        if self.retry_after is not None:
            text = f"{text[:-1]}, retry after {round(self.retry_after, 2):g} s)"
        return text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


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


# For a missing role Amazon says "Access to requested resource is denied." with the code Unauthorized and no details
# (amzn/selling-partner-api-models issue 1167). For a bad token it says the same, and the details speak of the token.
_ACCESS = re.compile(r"requested resource is denied|\broles?\b", re.IGNORECASE)
_CREDENTIAL = re.compile(r"token|secret|credential|signature", re.IGNORECASE)


class StatusError(CallError):
    """Amazon answered with an error status.

    Attributes:
        status: The HTTP status.
        errors: Amazon's errors: code, message and details of each. Empty when the reply held none that can be read.
        roles: Roles any one of which lets an application call the operation, where Amazon denies access as it does for
            a missing role and there is a source for them; else empty.
        headers: The reply's headers, with lower-case names.
        body: The reply's body as it came.
    """

    def __init__(
        self,
        *,
        operation: str,
        status: int,
        errors: Sequence[Problem] = (),
        roles: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        attempt: int = 1,
        is_retry_safe: bool | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.status = status
        self.errors = tuple(errors)
        self.roles = tuple(roles) if self.is_access_denied else ()
        self.headers: Mapping[str, str] = headers or {}
        self.body = body
        super().__init__(
            self._text(),
            operation=operation,
            attempt=attempt,
            request_id=self.headers.get("x-amzn-requestid"),
            is_retry_safe=is_retry_safe,
            retry_after=retry_after,
        )

    def _text(self) -> str:
        # A few older operations fail with a 2xx: read as a mere "200 InvalidInput", that would look like a mistake.
        status = f"{self.status} with errors in place of a result:" if self.status < 300 else f"{self.status}"
        parts = [status, _one_line(self.code, _LONGEST_WORD), self._words()]
        return " ".join(filter(None, parts)) + self._advice()

    def _words(self) -> str:
        if not self.errors:
            return "without a readable error"
        message, details = (_one_line(part, _LONGEST_WORDS) for part in self.errors[0][1:])
        if message and details and message != details:
            message += f" {details}" if message.endswith((".", "!", "?", ":")) else f": {details}"
        words = f"“{message or details}”" if message or details else ""
        return f"{words} (and {len(self.errors) - 1} more)" if len(self.errors) > 1 else words

    def _advice(self) -> str:
        if not self.is_access_denied:
            return ""
        role = "the role for this operation"
        if self.roles:
            role = f"{'the role' if len(self.roles) == 1 else 'one of the roles'} {', '.join(self.roles)}"
        # A role counts from the next consent on (Amazon's page "Selling Partner API Roles").
        return (
            f"; the application needs {role}, and a consent of the selling partner newer than the role; "
            "if it has both, check the region"
        )

    @property
    def code(self) -> str:
        """The code of Amazon's first error, as in `InvalidInput`; "" when there is none."""
        return self.errors[0].code if self.errors else ""

    @property
    def is_throttled(self) -> bool:
        """Whether Amazon refused the call because the usage plan was used up."""
        return self.status == 429

    @property
    def is_access_denied(self) -> bool:
        """Whether Amazon denies access as such (403): for want of a role, of a consent, or in the wrong region.

        That is neither about the token, which was renewed before this error came up, nor about what the call asks for.
        """
        if self.status != 403:
            return False
        words = " ".join(f"{problem.message[:_LONGEST]} {problem.details[:_LONGEST]}" for problem in self.errors)
        return bool(_ACCESS.search(words)) and not _CREDENTIAL.search(words)

    @staticmethod
    def leaves_open(status: int) -> bool:
        """Whether the call may have been done all the same: after a 5xx, or a 408 (the server's own timeout)."""
        return status >= 500 or status == 408

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


class TransferError(CallError):
    """Amazon's storage, behind a presigned URL, did not take or give what was to be transferred.

    Its text holds neither the URL, which is as good as a password, nor the reply, which repeats parts of it.

    Attributes:
        status: The HTTP status.
        code: The storage's error code, as in `SignatureDoesNotMatch`; "" when it gave none.
    """

    def __init__(
        self,
        *,
        status: int,
        code: str = "",
        operation: str = "transfer",
        attempt: int = 1,
        is_retry_safe: bool | None = None,
    ) -> None:
        super().__init__(
            f"Amazon's storage answered {' '.join(filter(None, [str(status), _one_line(code, _LONGEST_WORD)]))}",
            operation=operation,
            attempt=attempt,
            is_retry_safe=is_retry_safe,
        )
        self.status = status
        self.code = code


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
