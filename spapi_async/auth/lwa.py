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
from ..operation import Timeouts
from ..retry import RetryPolicy
from .credentials import Credentials
from .tokens import Token

__all__ = [
    "LWA_ENDPOINT",
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
    try:
        answer: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        answer = {}
    request_id = headers.get("x-amzn-requestid")
    value, expires_in = answer.get("access_token"), answer.get("expires_in")
    if status == 200 and isinstance(value, str) and value:
        # A missing or odd lifetime: what all of Amazon's tokens have.
        return Token(value=value, expires_in=float(expires_in) if isinstance(expires_in, int | float) else 3600.0)
    code = answer.get("error")
    code = code if isinstance(code, str) else None
    description = answer.get("error_description")
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
    read_token(status, headers, body)
    refresh_token = orjson.loads(body).get("refresh_token")
    if isinstance(refresh_token, str) and refresh_token:
        return refresh_token
    del body  # a traceback that shows locals shall not show the access token in it
    raise AuthError(
        "Login with Amazon answered without a refresh token",
        status=status,
        request_id=headers.get("x-amzn-requestid"),
    )


class LwaClient:
    """Fetches tokens, repeating what a repeat may heal: no reply, 5xx, throttling, an answer that is not LWA's.

    Repeating is always safe here: fetching a token twice changes nothing.

    Args:
        post_form: Makes the HTTP exchange.
        endpoint: The full URL of the token endpoint.
        policy: How often, and after which waits.
        sleep: Waits some seconds.
        random: Draws a number from 0 up to 1.
    """

    # Shorter than for calls: the endpoint answers in well under a second, and everybody waits for it.
    timeouts = Timeouts(connect=5.0, read=15.0, total=30.0)

    def __init__(
        self,
        post_form: PostForm,
        *,
        endpoint: str,
        policy: RetryPolicy,
        sleep: Callable[[float], Awaitable[None]],
        random: Callable[[], float],
    ) -> None:
        self._post_form = post_form
        self._endpoint = endpoint
        self._policy = policy
        self._sleep = sleep
        self._random = random

    async def fetch(self, form: Mapping[str, str]) -> Token:
        """Exchange a form for a token.

        Raises:
            AuthError: LWA refused, or could not be reached.
        """
        attempt = 1
        while True:
            try:
                return read_token(*await self._post_form(self._endpoint, form, self.timeouts))
            except TransportError as error:
                failure = AuthError(f"{self._endpoint} could not be reached: {error.message}")
                failure.__cause__ = error
            except AuthError as error:
                failure = error
            if failure.is_permanent or attempt >= self._policy.max_attempts:
                raise failure
            await self._sleep(self._random() * self._policy.limit(attempt))
            attempt += 1
