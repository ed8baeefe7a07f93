"""Whether a request is signed as Amazon wanted it until 2023-10-02: AWS Signature Version 4, from the bytes that came.

Rules of the Selling Partner API developer guide of 2021, and of AWS's page “Create a signed AWS API request”; codes as
callers reported them at the time (amzn/selling-partner-api-models issues 1101 and 2595).
"""

from __future__ import annotations

import hashlib
import hmac
import posixpath
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from .exchange import Answer, refuse

__all__ = ["check"]

_FORM = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<id>[^/, ]+)/(?P<day>\d{8})/(?P<region>[a-z0-9-]+)/(?P<service>[^/, ]+)/"
    r"aws4_request, ?SignedHeaders=(?P<names>[a-z0-9;-]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
_DATE = "%Y%m%dT%H%M%SZ"
_MAX_AGE = timedelta(minutes=5)
_SIGNED = {"host", "user-agent", "x-amz-access-token", "x-amz-date"}
_TOKEN = "x-amz-security-token"
_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")


def check(
    keys: Mapping[str, str],
    method: str,
    path: bytes,
    query: bytes,
    headers: Iterable[tuple[bytes, bytes]],
    body: bytes,
    now: datetime,
) -> Answer | None:
    """Refuse a request whose signature is missing, malformed, old or wrong; None when it is right.

    Args:
        keys: Access key id -> secret access key. Those of ids that begin with `ASIA` are temporary: requests must carry
            and sign a session token, and others must not.
        method: The HTTP verb.
        path: As it came.
        query: Likewise, without its question mark.
        headers: Likewise, with names in lower case.
        body: Likewise.
        now: What time it is, in UTC.
    """
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.decode("latin-1"), []).append(" ".join(value.decode("latin-1").split()))
    values = {name: ",".join(each) for name, each in found.items()}
    authorization = values.get("authorization")
    if authorization is None:
        return _refuse("MissingAuthenticationToken", "The request is not signed.")
    form, date = _FORM.fullmatch(authorization), _date(values.get("x-amz-date", ""))
    if form is None:
        return _refuse("IncompleteSignature", "The Authorization header is not of the form of AWS4-HMAC-SHA256.")
    if date is None:
        return _refuse("IncompleteSignature", "The header x-amz-date must be there, as in 20190430T123600Z.")
    secret = keys.get(form["id"])
    if secret is None or form["id"].startswith("ASIA") != (_TOKEN in values):
        return _refuse("UnrecognizedClient", "The security token of the request is invalid.", "InvalidInput")
    if form["day"] != f"{date:%Y%m%d}" or form["service"] != "execute-api":
        return _invalid("The credential must be scoped to execute-api and to the date of x-amz-date.")
    if abs(now - date) > _MAX_AGE:
        return _invalid(f"The signature is of {date:{_DATE}}; it is {now:{_DATE}} now, and 5 minutes are allowed.")
    names = form["names"].split(";")
    wanted = _SIGNED | ({_TOKEN} & values.keys())
    if names != sorted(set(names)) or not wanted <= set(names) <= values.keys():
        return _invalid(f"SignedHeaders must be sorted and name {', '.join(sorted(wanted))}.")
    lines = [method, _path(path), _query(query), *(f"{name}:{values[name]}" for name in names), "", form["names"]]
    request = "\n".join([*lines, hashlib.sha256(body).hexdigest()])
    scope = "/".join([form["day"], form["region"], form["service"], "aws4_request"])
    text = "\n".join(["AWS4-HMAC-SHA256", f"{date:{_DATE}}", scope, hashlib.sha256(request.encode()).hexdigest()])
    if not hmac.compare_digest(_signature(secret, scope, text), form["signature"]):
        # Amazon's quoted what it had signed, the access token among it; a client must not hand that on.
        return _invalid(f"The signature does not match. The canonical string should have been\n'{request}'")
    return None


def _refuse(error_type: str, message: str, code: str = "") -> Answer:
    return refuse(403, code or error_type, message, "", f"{error_type}Exception")


def _invalid(message: str) -> Answer:
    return _refuse("InvalidSignature", message)


def _date(text: str) -> datetime | None:
    try:
        date = datetime.strptime(text, _DATE).replace(tzinfo=UTC)
    except ValueError:
        return None
    return date if f"{date:{_DATE}}" == text else None  # strptime takes one digit for two


def _path(raw: bytes) -> str:
    folded = re.sub(b"/+", b"/", raw or b"/")
    resolved = posixpath.normpath(folded)
    if folded.endswith(b"/") and resolved != b"/":
        resolved += b"/"
    return "".join(chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in resolved)


def _query(raw: bytes) -> str:
    pairs = [tuple((part + b"=").split(b"=", 1)) for part in raw.split(b"&")] if raw else []
    texts = sorted((name, value[:-1]) for name, value in pairs)
    return b"&".join(name + b"=" + value for name, value in texts).decode("latin-1")


def _signature(secret: str, scope: str, text: str) -> str:
    key = b"AWS4" + secret.encode()
    for part in (*scope.split("/"), text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()
