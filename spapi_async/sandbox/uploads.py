"""Upload destinations, and the storage behind them, which answers in XML as Amazon S3 does.

A destination is made for one resource, as in `messaging/v1/orders/{id}/messages/{kind}`; the bytes then go there in one
PUT with exactly the headers of the answer, within 900 seconds. Others of `x-amz-*`, as an access token, are refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from urllib.parse import parse_qs
from uuid import uuid4

from .exchange import Answer, Request, reply
from .state import State, Upload

__all__ = ["UPLOADS_PATH", "create", "put"]

UPLOADS_PATH = "/_sandbox/uploads/"
_LIFETIME = 900  # seconds that the URL is valid
_ENCRYPTION = "aws:kms"
_SIGNED = ("x-amz-server-side-encryption",)


def create(request: Request, state: State, now: float) -> Answer:
    """Make an upload destination at the sandbox itself."""
    upload_id, signature = str(uuid4()), secrets.token_hex(16)
    state.uploads[upload_id] = Upload(
        seller=request.grant.seller,
        resource=request.arguments["resource"].lstrip("/"),
        content_md5=request.first("contentMD5"),
        signature=signature,
        expires_at=now + _LIFETIME,
    )
    query = (
        "X-Amz-SignedHeaders=content-md5%3Bhost%3Bx-amz-server-side-encryption"
        f"&X-Amz-Expires={_LIFETIME}&X-Amz-Signature={signature}"
    )
    payload = {
        "uploadDestinationId": upload_id,
        # An encoded slash, as Amazon's URLs have: a client that encodes or decodes it again breaks the signature.
        "url": f"{request.origin}{UPLOADS_PATH}{upload_id}%2Fdata?{query}",
        "headers": {
            "Content-MD5": request.first("contentMD5"),
            "x-amz-server-side-encryption": _ENCRYPTION,
        },
    }
    return reply(201, {"payload": payload})


def put(method: str, path: str, query: str, headers: dict[str, str], body: bytes, state: State, now: float) -> Answer:
    """Take the bytes for a destination.

    Args:
        method: The verb; only PUT is right.
        path: The path as it came, which the signature covers.
        query: The query as it came.
        headers: With lower-case names.
        body: The bytes.
        state: What the sandbox remembers.
        now: Seconds on the sandbox's clock.
    """
    if method != "PUT":
        return _xml(405, "MethodNotAllowed")
    upload_id, _, rest = path.removeprefix(UPLOADS_PATH).partition("%2F")
    upload = state.uploads.get(upload_id)
    signature = parse_qs(query).get("X-Amz-Signature", [""])[0]
    if (
        upload is None
        or rest != "data"
        or signature != upload.signature
        or headers.get("content-md5") != upload.content_md5
        or headers.get("x-amz-server-side-encryption") != _ENCRYPTION
    ):
        return _xml(403, "SignatureDoesNotMatch")
    if any(name.startswith("x-amz-") and name not in _SIGNED for name in headers):
        return _xml(403, "AccessDenied", "There were headers present in the request which were not signed")
    if now >= upload.expires_at:
        return _xml(403, "AccessDenied", "Request has expired")
    try:
        digest = base64.b64decode(upload.content_md5, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != 16:
        return _xml(400, "InvalidDigest")
    if hashlib.md5(body, usedforsecurity=False).digest() != digest:
        return _xml(400, "BadDigest")
    upload.size = len(body)
    return Answer(200)


def _xml(status: int, code: str, message: str = "") -> Answer:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Answer(status, text.encode(), "application/xml")
