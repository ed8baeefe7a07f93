"""AWS Signature Version 4, as the Selling Partner API took it until 2023-10-02: a pure function over what is sent.

Amazon's pages: “Create a signed AWS API request” in the IAM user guide,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html, and for which headers are
signed the Selling Partner API developer guide of 2021. Where the page leaves room, botocore decides: the tests compare
with its signer byte by byte.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

__all__ = ["SIGNED_HEADERS", "sign"]

SIGNED_HEADERS = frozenset({"host", "user-agent", "x-amz-access-token", "x-amz-date", "x-amz-security-token"})
"""What the developer guide wants signed; a proxy may change any other header."""

_ALGORITHM = "AWS4-HMAC-SHA256"


def sign(
    *,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
    access_key_id: str,
    secret_access_key: str,
    session_token: str | None,
    region: str,
    now: datetime,
    service: str = "execute-api",
) -> dict[str, str]:
    """Return the headers that sign a request: `x-amz-date`, `authorization`, and of temporary keys their token.

    Args:
        method: The HTTP verb.
        target: Path and query, percent-encoded, byte for byte as sent.
        headers: All that are sent, `Host` among them; which of them are signed is the developer guide's choice.
        body: The bytes that are sent.
        access_key_id: Of the AWS keys.
        secret_access_key: Likewise.
        session_token: Of temporary keys; None for others.
        region: The AWS region, as in `eu-west-1`.
        now: An aware instant. AWS refuses a signature that is five minutes old.
        service: The AWS service's name.
    """
    instant = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{instant[:8]}/{region}/{service}/aws4_request"
    added = {"x-amz-date": instant}
    if session_token is not None:
        added["x-amz-security-token"] = session_token
    sent = {name.lower(): value for name, value in headers.items()} | added
    # Any white space counts as one blank, since a proxy may fold it.
    signed = {name: " ".join(sent[name].split()) for name in sorted(SIGNED_HEADERS & sent.keys())}
    names = ";".join(signed)
    path, _, query = target.partition("?")
    request = "\n".join(
        [
            method,
            _canonical_path(path),
            _canonical_query(query),
            *(f"{name}:{value}" for name, value in signed.items()),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    digest = hashlib.sha256(request.encode("ascii")).hexdigest()
    key = f"AWS4{secret_access_key}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    signature = _hmac(key, f"{_ALGORITHM}\n{instant}\n{scope}\n{digest}").hex()
    added["authorization"] = (
        f"{_ALGORITHM} Credential={access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return added


def _canonical_path(path: str) -> str:
    """Resolve dots, drop empty segments, and encode what is encoded already once more: so for all services but S3."""
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in {"", "."}:
            segments.append(segment)
    end = "/" if segments and path.endswith("/") else ""
    return quote("/" + "/".join(segments) + end, safe="/~")


def _canonical_query(query: str) -> str:
    """Sort by name, then value, as they are encoded; a name without a value gets an equals sign."""
    pairs = [pair.partition("=") for pair in query.split("&")] if query else []
    return "&".join([f"{name}={value}" for name, _, value in sorted(pairs)])


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
