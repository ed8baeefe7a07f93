"""Login with Amazon as the sandbox plays it: the token endpoint, and which tokens it gave out.

Grants, answers and error codes as Amazon documents them for Login with Amazon; statuses as clients see them
(401 for `invalid_client`, 400 for the rest).
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import parse_qsl

import attrs
import orjson

__all__ = ["SCOPES", "TOKEN_PATH", "Grant", "Lwa", "LwaError", "Resource"]

TOKEN_PATH = "/auth/o2/token"

_CODE_LIFETIME = 300.0  # seconds an authorisation code is valid

SCOPES = frozenset(
    {
        "sellingpartnerapi::notifications",
        "sellingpartnerapi::client_credential:rotation",
        "sellingpartnerapi::shipments:track",
    }
)
"""The live scopes of Amazon's page “Grantless Operations”."""


@attrs.frozen
class Resource:
    """One operation that a restricted data token opens.

    Args:
        operation: As in `orders_v0.get_order`.
        path: As called; None when the token opens it for all ids.
        elements: The data elements that it may show.
    """

    operation: str
    path: str | None
    elements: frozenset[str] = frozenset()

    def opens(self, operation: str, path: str) -> bool:
        """Whether a call is one that it is for."""
        return self.operation == operation and self.path in (None, path)


@attrs.frozen(kw_only=True)
class Grant:
    """What a token stands for.

    Args:
        client_id: The application.
        seller: The selling partner; "" for a grantless token.
        scopes: The scopes of a grantless token.
        resources: What a restricted data token opens; None for the other tokens.
        expires_at: Seconds on the sandbox's clock.
    """

    client_id: str
    seller: str
    expires_at: float
    scopes: frozenset[str] = frozenset()
    resources: frozenset[Resource] | None = None


@attrs.frozen(kw_only=True)
class _Code:
    """What an authorisation code stands for; `client_id` is None for a code of any application."""

    client_id: str | None
    seller: str
    redirect_uri: str
    expires_at: float


class LwaError(Exception):
    """The token endpoint refuses: LWA's error code, its description and the HTTP status."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.code = code
        self.status = status


class Lwa:
    """The token endpoint and its memory.

    Args:
        applications: Client id -> client secret of those that may ask. None: any client id with any secret, except
            a secret that contains `wrong` or `invalid`.
        scopes: The scopes that exist.
        lifetime: Seconds until an access token expires.
    """

    def __init__(self, applications: Mapping[str, str] | None, scopes: frozenset[str], lifetime: float) -> None:
        self._applications = None if applications is None else dict(applications)
        self._scopes = scopes
        self._lifetime = lifetime
        self._grants: dict[str, Grant] = {}
        self._new_secrets: dict[str, str] = {}
        self._down_until = -math.inf
        self._codes: dict[str, _Code] = {}
        self._used: set[str] = set()
        self._refused: set[str] = set()

    def find(self, token: str) -> Grant | None:
        """Give what a token stands for, expired or not; None when it was never given out."""
        return self._grants.get(token)

    def issue(self, prefix: str, grant: Grant) -> str:
        """Give out a new token for a grant."""
        token = f"{prefix}|{secrets.token_urlsafe(48)}"
        self._grants[token] = grant
        return token

    def revoke(self, seller: str | None, refresh_tokens: bool) -> int:
        """Forget the access tokens and restricted data tokens of a selling partner, or all; give how many.

        Args:
            seller: None for all.
            refresh_tokens: Refuse the refresh tokens that were used so far, too.
        """
        if refresh_tokens:
            self._refused |= {token for token in self._used if seller in (None, _seller(token))}
        gone = [token for token, grant in self._grants.items() if seller is None or grant.seller == seller]
        for token in gone:
            del self._grants[token]
        return len(gone)

    def set_secret(self, client_id: str, secret: str) -> None:
        """Let an application have this secret, and no other."""
        self._new_secrets[client_id] = secret

    def fail_until(self, when: float) -> None:
        """Answer 503 until then, in seconds on the sandbox's clock."""
        self._down_until = when

    def rename(self, token: str, name: str) -> None:
        """Let a token that was just given out be known by another string."""
        self._grants[name] = self._grants.pop(token)

    def issue_code(self, client_id: str | None, seller: str, redirect_uri: str, now: float) -> str:
        """Give out an authorisation code: for one exchange, by that client, with that redirect URI.

        Args:
            client_id: None for any.
            seller: The selling partner who consented.
            redirect_uri: Where the code is sent.
            now: Seconds on the sandbox's clock.
        """
        code = secrets.token_urlsafe(15)
        self._codes[code] = _Code(
            client_id=client_id, seller=seller, redirect_uri=redirect_uri, expires_at=now + _CODE_LIFETIME
        )
        return code

    def exchange(self, body: bytes, content_type: str, now: float) -> dict[str, Any]:
        """Answer one POST to the token endpoint.

        Args:
            body: Form or JSON, as `content_type` says.
            content_type: The request's header.
            now: Seconds on the sandbox's clock.

        Raises:
            LwaError: It is refused.
        """
        if now < self._down_until:
            raise LwaError("temporarily_unavailable", "The service is down.", 503)
        fields = _fields(body, content_type)
        grant_type = fields.get("grant_type", "")
        if not grant_type:
            _missing("grant_type")
        if grant_type not in ("refresh_token", "client_credentials", "authorization_code"):
            raise LwaError("unsupported_grant_type", "This token endpoint does not know the grant_type.")
        client_id = self._client(fields)
        expires_at = now + self._lifetime
        answer: dict[str, Any]
        if grant_type == "refresh_token":
            refresh_token = fields.get("refresh_token") or _missing("refresh_token")
            grant = Grant(client_id=client_id, seller=self._seller(refresh_token), expires_at=expires_at)
            # The same refresh token comes back: Amazon does not rotate it.
            answer = {"refresh_token": refresh_token}
        elif grant_type == "authorization_code":
            seller = self._redeem(fields, client_id, now)
            grant = Grant(client_id=client_id, seller=seller, expires_at=expires_at)
            answer = {"refresh_token": f"Atzr|{seller}.{secrets.token_urlsafe(48)}"}
        else:
            scopes = frozenset((fields.get("scope") or _missing("scope")).split())
            if not scopes <= self._scopes:
                raise LwaError("invalid_scope", "A scope is unknown, or the application may not ask for it.")
            grant = Grant(client_id=client_id, seller="", scopes=scopes, expires_at=expires_at)
            answer = {"scope": " ".join(sorted(scopes))}
        token = self.issue("Atza", grant)
        seconds = int(self._lifetime) if self._lifetime == int(self._lifetime) else self._lifetime
        return {"access_token": token, "token_type": "bearer", "expires_in": seconds, **answer}

    def _redeem(self, fields: Mapping[str, str], client_id: str, now: float) -> str:
        """Take an authorisation code, once, and give the selling partner."""
        name = fields.get("code") or _missing("code")
        redirect_uri = fields.get("redirect_uri") or _missing("redirect_uri")
        code = self._codes.get(name)
        is_right = (
            code is not None
            and code.client_id in (None, client_id)
            and code.redirect_uri == redirect_uri
            and now < code.expires_at
        )
        if code is None or not is_right:
            words = "The authorization code is invalid, expired, used, or of another client or redirect URI."
            raise LwaError("invalid_grant", words)
        del self._codes[name]
        return code.seller

    def _seller(self, refresh_token: str) -> str:
        if refresh_token in self._refused:
            raise _invalid_token()
        seller = _seller(refresh_token)
        self._used.add(refresh_token)
        return seller

    def _client(self, fields: Mapping[str, str]) -> str:
        client_id = fields.get("client_id") or _missing("client_id")
        secret = fields.get("client_secret") or _missing("client_secret")
        if client_id in self._new_secrets:
            is_known = self._new_secrets[client_id] == secret
        elif self._applications is None:
            is_known = "wrong" not in secret.lower() and "invalid" not in secret.lower()
        else:
            is_known = self._applications.get(client_id) == secret
        if not is_known:
            raise LwaError("invalid_client", "The client could not be authenticated.", 401)
        return client_id


def _missing(name: str) -> NoReturn:
    raise LwaError("invalid_request", f"The request lacks the parameter {name}.")


def _fields(body: bytes, content_type: str) -> dict[str, str]:
    if "json" in content_type.lower():
        try:
            decoded = orjson.loads(body)
        except orjson.JSONDecodeError:
            decoded = None
        if not isinstance(decoded, dict):
            raise LwaError("invalid_request", "The body is no JSON object.")
        return {name: value for name, value in decoded.items() if isinstance(value, str)}
    return dict(parse_qsl(body.decode("utf-8", "replace")))


def _seller(refresh_token: str) -> str:
    prefix, _, rest = refresh_token.partition("|")
    seller = rest.split(".")[0].split("|")[0]
    if prefix != "Atzr" or not seller or "revoked" in rest.lower() or "invalid" in rest.lower():
        raise _invalid_token()
    return seller


def _invalid_token() -> LwaError:
    return LwaError("invalid_grant", "The refresh token is invalid, expired, revoked or of another client.")
