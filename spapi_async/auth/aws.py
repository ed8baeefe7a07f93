"""Which AWS keys sign a call: those that were given, or those of a role, renewed ahead of their expiry."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import attrs

from ..errors import AuthError, ClientClosedError, ConfigError
from ..events import Emit, TokenFailed, TokenRefreshed
from ..hidden import hide
from ..middleware import Next
from ..operation import Call, Reply
from ..retry import RetryPolicy
from .sigv4 import sign

__all__ = ["AwsCredentials", "AwsRole", "RoleKeys", "Signing", "utc_now"]

_KEY_ID = re.compile(r"[A-Za-z0-9_]{1,128}").fullmatch
_SECRET = re.compile(r"[!-~]+").fullmatch
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[!-~]+").fullmatch
_SESSION_NAME = re.compile(r"[A-Za-z0-9_=,.@-]{2,64}").fullmatch  # AssumeRole's own rule


@attrs.frozen(kw_only=True, init=False)
class AwsCredentials:
    """AWS keys that sign every call. They cannot be pickled.

    Args:
        access_key_id: As in `AKIA…`, or `ASIA…` for temporary keys.
        secret_access_key: Never shown in a repr.
        session_token: Of temporary keys; never shown in a repr.

    Raises:
        ConfigError: One of them is empty or holds characters that no key has, as white space from copying.
    """

    access_key_id: str
    secret_access_key: str = attrs.field(repr=False)
    session_token: str | None = attrs.field(default=None, repr=False)

    def __init__(self, *, access_key_id: str, secret_access_key: str, session_token: str | None = None) -> None:
        secret_access_key, session_token = hide(secret_access_key), hide(session_token)
        self.__attrs_init__(
            access_key_id=access_key_id, secret_access_key=secret_access_key, session_token=session_token
        )

    def __attrs_post_init__(self) -> None:
        _check("access_key_id", self.access_key_id, _KEY_ID, "letters and digits, as in AKIA…")
        _check("secret_access_key", self.secret_access_key, _SECRET, "printable ASCII without white space")
        if self.session_token is not None:
            _check("session_token", self.session_token, _SECRET, "printable ASCII without white space")


@attrs.frozen(kw_only=True)
class AwsRole:
    """A role whose temporary keys sign every call: AWS STS gives them out. Needs the extra `aws`, and asyncio.

    Args:
        role_arn: As in `arn:aws:iam::123456789012:role/spapi`.
        credentials: Keys of a user or role that may assume it. None: what botocore finds on this machine, as in the
            environment, in `~/.aws` or from the instance.
        session_name: Names the session in AWS's logs. Default `spapi_async`.
        external_id: What the role's trust policy asks for, if it does; never shown in a repr.
        duration: Seconds that keys are valid for: 900 to 43200, and at most what the role allows. Default 3600.
        region: AWS region whose STS is asked. Default: the region that calls are signed for.
        endpoint: URL of STS, as of a VPC endpoint. Default: AWS's own.

    Raises:
        ConfigError: One of them is not of that form.
    """

    role_arn: str
    credentials: AwsCredentials | None = None
    session_name: str = "spapi_async"
    external_id: str | None = attrs.field(default=None, repr=False)
    duration: int = 3600
    region: str | None = None
    endpoint: str | None = None

    def __attrs_post_init__(self) -> None:
        _check("role_arn", self.role_arn, _ROLE, "as in arn:aws:iam::123456789012:role/NAME")
        _check("session_name", self.session_name, _SESSION_NAME, "2 to 64 of letters, digits and _=,.@-")
        if not isinstance(self.credentials, AwsCredentials | None):
            raise ConfigError(f"credentials must be AwsCredentials, not of type {type(self.credentials).__name__}")
        if self.duration not in range(900, 43201):
            raise ConfigError("duration must be 900 to 43200 whole seconds")
        for name in ("external_id", "region", "endpoint"):
            if getattr(self, name) is not None:
                _check(name, getattr(self, name), _SECRET, "printable ASCII without white space")
        if self.endpoint is not None and urlsplit(self.endpoint).scheme not in {"http", "https"}:
            raise ConfigError("endpoint must be a URL as in https://sts.eu-west-1.amazonaws.com")


def _check(name: str, value: Any, is_right: Callable[[str], object], words: str) -> None:  # Any: users need no types
    # The value is never in the text: it may be a secret, or one given in the wrong place.
    if not isinstance(value, str) or not is_right(value):
        raise ConfigError(f"{name} must be {words}" if value else f"{name} is missing")


def utc_now() -> datetime:
    """Tell what time it is by this machine's calendar."""
    return datetime.now(UTC)


Assume = Callable[[], Awaitable[tuple[AwsCredentials, datetime]]]
"""Asks for a role's keys once; gives them with the instant of their expiry, or raises `AuthError`."""

_NEVER = datetime.fromtimestamp(0, UTC)


class RoleKeys:
    """The keys of a role: fetched once for all who wait, and renewed in the background while they are in use.

    While keys are still good no call waits for new ones or fails for want of them. A refusal for good is not asked for
    again until `pause` has gone by: somebody may have mended the role.

    Args:
        assume: Asks for keys once.
        policy: How often a passing fault is met with another try, and after which waits.
        now: Tells the time by the calendar, as STS does.
        sleep: Waits some seconds.
        random: Draws a number from 0 up to 1.
        emit: Is told when there are new keys, and when there are none.
    """

    ahead = timedelta(seconds=600)
    """Renewal begins this long before expiry, or a fifth of the lifetime if that is less."""
    margin = timedelta(seconds=60)
    """Keys with less left than this are not used: they could expire on the way."""
    pause = timedelta(seconds=30)

    def __init__(
        self,
        assume: Assume,
        *,
        policy: RetryPolicy,
        now: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]],
        random: Callable[[], float],
        emit: Emit,
    ) -> None:
        self._assume = assume
        self._policy = policy
        self._now = now
        self._sleep = sleep
        self._random = random
        self._emit = emit
        self._keys: AwsCredentials | None = None
        self._refresh_at = self._expires_at = self._retry_at = _NEVER
        self._error: AuthError | None = None
        self._task: asyncio.Task[AuthError | None] | None = None
        self._is_closed = False

    async def get(self, call: Call) -> AwsCredentials:
        """Return keys that are valid now.

        Args:
            call: What they are needed for; it waits until its deadline at most.

        Raises:
            AuthError: There are none, and STS gives none, or not before the call's deadline.
            ClientClosedError: The client was closed before there were any.
            ConfigError: This is not asyncio.
        """
        operation = call.operation.key
        while True:
            now, keys = self._now(), self._keys
            if keys is not None and now < self._refresh_at:
                return keys
            is_usable = keys is not None and now < self._expires_at
            error: AuthError | ClientClosedError | None = self._error
            if self._is_closed:
                error = ClientClosedError("the client was closed before there were AWS keys", operation=operation)
            # The lower bound is for a clock that was set back meanwhile.
            elif not self._retry_at - self.pause <= now < self._retry_at:
                task = self._renew()
                if not is_usable:
                    # Unlike `await task`, this leaves the task to the others when this call goes away.
                    timeout = None if call.deadline is None else call.deadline - task.get_loop().time()
                    if not (await asyncio.wait([task], timeout=timeout))[0]:
                        raise AuthError(
                            "they did not come before the call's deadline; they are still being fetched, for later "
                            "calls",
                            operation=operation,
                            missing="AWS keys",
                        )
                    error = None if task.cancelled() else task.result()
            if is_usable:
                assert keys is not None
                return keys
            if isinstance(error, AuthError):
                raise error.for_operation(operation)
            if error is not None:
                raise error

    def close(self) -> None:
        """End a renewal that is under way: who waits for keys gets a `ClientClosedError`."""
        self._is_closed = True
        if self._task is not None and not self._task.done() and self._task.get_loop() is asyncio.get_running_loop():
            self._task.cancel()

    async def aclose(self) -> None:
        """Close, and wait until the renewal has ended."""
        self.close()
        task, self._task = self._task, None
        if task is not None and not task.done() and task.get_loop() is asyncio.get_running_loop():
            await asyncio.wait([task])

    def reopen(self) -> None:
        """Serve again after a close."""
        self._is_closed = False

    def _renew(self) -> asyncio.Task[AuthError | None]:
        """Start a renewal, unless one is under way in this event loop."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigError(
                "aws=AwsRole(...) works on asyncio only; on trio assume the role yourself and give its AwsCredentials"
            ) from None
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            self._task = loop.create_task(self._fetch())
        return self._task

    async def _fetch(self) -> AuthError | None:
        """Ask until there are keys; return why there are none, for everybody who waits."""
        began = self._now()
        attempt = 1
        while True:
            try:
                keys, expires_at = await self._assume()
                break
            except AuthError as error:
                failure = error
            if failure.is_permanent or attempt >= self._policy.max_attempts:
                return self._failed(failure)
            await self._sleep(self._random() * self._policy.limit(attempt))
            attempt += 1
        now = self._now()
        lifetime = expires_at - now
        if lifetime <= timedelta(0):
            words = "the keys that AWS STS gave have expired by this machine's clock: set it right"
            return self._failed(AuthError(words, is_permanent=True, missing="AWS keys"))
        self._keys = keys
        self._expires_at = expires_at - min(self.margin, lifetime / 5)
        self._refresh_at = min(expires_at - min(self.ahead, lifetime / 5), self._expires_at)
        elapsed = (now - began).total_seconds()
        self._emit(TokenRefreshed(kind="aws", expires_in=lifetime.total_seconds(), elapsed=elapsed))
        return None

    def _failed(self, error: AuthError) -> AuthError:
        now = self._now()
        is_usable = now < self._expires_at
        left = max(self._expires_at - now, timedelta(0)).total_seconds()
        # Never for good: STS is asked again after `pause`.
        self._emit(TokenFailed(kind="aws", reason=str(error), is_permanent=False, usable_for=left))
        if is_usable or error.is_permanent:
            self._error, self._retry_at = error, now + self.pause
            if is_usable:  # then it is worth a try at once
                self._retry_at = min(self._retry_at, self._expires_at)
        return error


class Signing:
    """Signs calls: gives the wire a function that makes the headers, and the pipeline a stage that sees to the keys.

    Args:
        keys: Those that sign, or where they come from.
        region: The AWS region of the endpoint.
        now: Tells the time by the calendar.
    """

    def __init__(self, keys: AwsCredentials | RoleKeys, *, region: str, now: Callable[[], datetime] = utc_now) -> None:
        self._keys = keys
        self._region = region
        self._now = now

    async def prepare(self, call: Call, next_: Next) -> Reply:
        """See that there are keys before the call waits for its turn, as it is done for tokens."""
        await self._valid(call)
        return await next_(call)

    async def signer(self, call: Call) -> Callable[[str, str, Mapping[str, str], bytes], dict[str, str]]:
        """Return what makes the headers of one request of a call, from its method, target, headers and body.

        In two steps, so that no frame of an error that comes up here holds the request's secrets.

        Raises:
            AuthError: There are no keys.
            ClientClosedError: The client was closed before there were any.
        """
        return partial(self._sign, await self._valid(call))

    def close(self) -> None:
        """Let nobody wait for keys any more."""
        if isinstance(self._keys, RoleKeys):
            self._keys.close()

    async def aclose(self) -> None:
        """Close, and wait until what was under way has ended."""
        if isinstance(self._keys, RoleKeys):
            await self._keys.aclose()

    def reopen(self) -> None:
        """Serve again after a close."""
        if isinstance(self._keys, RoleKeys):
            self._keys.reopen()

    async def _valid(self, call: Call) -> AwsCredentials:
        return self._keys if isinstance(self._keys, AwsCredentials) else await self._keys.get(call)

    def _sign(
        self, keys: AwsCredentials, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, str]:
        return sign(
            method=method,
            target=target,
            headers=headers,
            body=body,
            access_key_id=keys.access_key_id,
            secret_access_key=keys.secret_access_key,
            session_token=keys.session_token,
            region=self._region,
            now=self._now(),
        )
