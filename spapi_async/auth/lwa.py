"""Login with Amazon (LWA): the exchange of credentials for an access token. Pure but for `LwaClient`, which drives it.

Facts from the developer guide, https://developer-docs.amazon.com/sp-api/docs/connecting-to-the-selling-partner-api, and
from the error codes of Amazon's own SDKs (LWAExceptionErrorCode): the body is form-encoded, tokens are valid for
`expires_in` seconds, and a refresh token is not rotated by use.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from ..errors import AuthError, TransportError
from ..events import Emit, Retried
from ..hidden import Secret, bare
from ..operation import Timeouts
from ..retry import RetryPolicy
from .credentials import ClientSecret, Credentials
from .tokens import Token

__all__ = [
    "LWA_ENDPOINT",
    "LWA_POLICY",
    "LwaClient",
    "PostForm",
    "code_form",
    "grantless_form",
    "read_refresh_token",
    "read_token",
    "refresh_form",
]

LWA_ENDPOINT = "https://api.amazon.com/auth/o2/token"
"""One host for all regions."""

LWA_POLICY = RetryPolicy(max_attempts=12, base_delay=0.5, max_delay=8.0)
"""The waits between twelve attempts come to 32 to 64 s: an outage of half a minute fails no call that can wait."""

# What a repeat may heal. All other codes say that a credential, a grant or a scope is wrong, and stay wrong.
_PASSING = {"server_error", "servererror", "temporarily_unavailable"}

PostForm = Callable[[str, Mapping[str, str], Timeouts], Awaitable[tuple[int, Mapping[str, str], bytes]]]
"""Posts a form to a URL and gives status, headers (lower-case names) and body, whatever the status."""


def refresh_form(credentials: Credentials) -> dict[str, str]:
    """Build the form for a selling partner's access token."""
    return {
        "grant_type": "refresh_token",
        "refresh_token": credentials.refresh_token or "",
        "client_id": credentials.client_id,
        "client_secret": credentials.client_secret,
    }


def grantless_form(credentials: Credentials, scope: str) -> dict[str, str]:
    """Build the form for a token that acts for the application itself."""
    return {
        "grant_type": "client_credentials",
        "scope": scope,
        "client_id": credentials.client_id,
        "client_secret": credentials.client_secret,
    }


def code_form(credentials: Credentials, code: str, redirect_uri: str) -> dict[str, str]:
    """Build the form for the refresh token of a selling partner who has just consented."""
    return {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "client_id": credentials.client_id,
        "client_secret": credentials.client_secret,
    }


def read_token(status: int, headers: Mapping[str, str], body: bytes) -> Token:
    """Read LWA's answer.

    Raises:
        AuthError: It is a refusal, or no answer that can be read. Its text never holds a part of the body but LWA's
            error code and description.
    """
    answer = _read(body)
    body = b""  # what is raised below shows this frame, and with it a token that came in an odd answer
    request_id = headers.get("x-amzn-requestid")
    if status == 200 and isinstance(answer.get("access_token"), str) and answer["access_token"]:
        expires_in = answer.get("expires_in")
        # A missing or odd lifetime: what all of Amazon's tokens have.
        lifetime = float(expires_in) if isinstance(expires_in, int | float) else 3600.0
        return Token(value=answer["access_token"], expires_in=lifetime)
    code, description = answer.get("error"), answer.get("error_description")
    answer = {}
    code = code if isinstance(code, str) else None
    if not isinstance(description, str):
        description = f"Login with Amazon answered {status} without a readable error"
    # Without a code of OAuth's it was not LWA that answered but something on the way, and that may be mended.
    is_passing = code is None or code.lower() in _PASSING or status >= 500 or status in {200, 408, 429}
    raise AuthError(description, code=code, status=status, request_id=request_id, is_permanent=not is_passing)


def read_refresh_token(status: int, headers: Mapping[str, str], body: bytes) -> str:
    """Read LWA's answer to `code_form`.

    Raises:
        AuthError: As `read_token`; with status 200 also for an answer without a refresh token.
    """
    try:
        read_token(status, headers, body)
        refresh_token = _read(body).get("refresh_token")
    finally:
        body = b""  # a traceback that shows locals shall not show a token in it
    if isinstance(refresh_token, str) and refresh_token:
        return Secret(refresh_token)
    raise AuthError(
        "Login with Amazon answered without a refresh token",
        status=status,
        request_id=headers.get("x-amzn-requestid"),
    )


def _read(body: bytes) -> dict[str, Any]:  # Any: JSON
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}


class LwaClient:
    """Fetches tokens, repeating what a repeat may heal: no reply, 5xx, throttling, an answer that is not LWA's.

    Repeating is always safe here: fetching a token twice changes nothing.

    Args:
        post_form: Makes the HTTP exchange.
        endpoint: The full URL of the token endpoint.
        policy: How often, and after which waits: each is between half its limit and the whole.
        sleep: Waits some seconds.
        random: Draws a number from 0 up to 1.
        secret: The application's, which may be swapped at any time; it goes before the one in the form.
        emit: Is told of each repeat.
    """

    # Shorter than for calls: the endpoint answers in well under a second, and everybody waits for it.
    timeouts = Timeouts(connect=5.0, read=10.0, total=15.0)

    def __init__(
        self,
        post_form: PostForm,
        *,
        endpoint: str,
        policy: RetryPolicy,
        sleep: Callable[[float], Awaitable[None]],
        random: Callable[[], float],
        secret: ClientSecret,
        emit: Emit = lambda event: None,
    ) -> None:
        self._post_form = post_form
        self._endpoint = endpoint
        self._policy = policy
        self._sleep = sleep
        self._random = random
        self._secret = secret
        self._emit = emit

    async def fetch(self, form: Mapping[str, str]) -> Token:
        """Exchange a form for a token.

        Raises:
            AuthError: LWA refused, or could not be reached.
        """
        attempt = 1
        while True:
            used = self._secret.value
            try:
                return await self._ask({**form, "client_secret": used})
            except AuthError as error:
                failure = error
            if failure.code == "invalid_client" and await self._is_another(used, failure):
                continue
            if failure.is_permanent or attempt >= self._policy.max_attempts:
                raise failure
            # Not from zero on, as elsewhere: the waits have to come to a certain time at least. What keeps clients
            # apart is that each began at another moment, and drew another half.
            delay = (0.5 + self._random() / 2) * self._policy.limit(attempt)
            self._emit(Retried(operation="lwa", attempt=attempt, delay=delay, reason=failure.description))
            await self._sleep(delay)
            attempt += 1

    async def _ask(self, form: Mapping[str, str]) -> Token:
        if self._secret.refusal is not None:
            raise self._secret.refusal.for_operation(None)
        try:
            return read_token(*await self._post_form(self._endpoint, form, self.timeouts))
        except TransportError as error:
            # Without its frames: those of the HTTP library hold the form.
            raise AuthError(f"{self._endpoint} could not be reached: {error.message}") from bare(error)

    async def _is_another(self, used: str, refusal: AuthError) -> bool:
        """Whether there is another client secret than the one that was refused; else nobody need ask with it again."""
        if await self._secret.renew(used):
            return True
        self._secret.refusal = bare(refusal)
        return False
