"""The sandbox's own look at signatures; botocore signs what it is shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import botocore.auth
import orjson
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, strategies as st

from spapi_async.sandbox import Sandbox
from spapi_async.sandbox.exchange import Answer
from spapi_async.sandbox.sigv4 import check

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEYS = {"AKIDEXAMPLE": "secret", "ASIATEMPORARY": "other"}
SIGNED = {"Host": "h", "User-Agent": "u", "x-amz-access-token": "t"}


class Signer(botocore.auth.SigV4Auth):
    """botocore's, which otherwise leaves the User-Agent out."""

    def headers_to_sign(self, request: Any) -> Any:
        headers = super().headers_to_sign(request)
        headers["user-agent"] = request.headers.get("User-Agent", "")
        return headers


def sign(
    target: str = "/a?b=c",
    *,
    method: str = "GET",
    body: bytes = b"",
    key: str = "AKIDEXAMPLE",
    secret: str = "secret",
    token: str | None = None,
    service: str = "execute-api",
    headers: dict[str, str] = SIGNED,
    now: datetime = NOW,
) -> dict[str, str]:
    request = AWSRequest(method, f"https://h{target}", dict(headers), body)
    with mock.patch.object(botocore.auth, "get_current_datetime", return_value=now):
        Signer(Credentials(key, secret, token), service, "eu-west-1").add_auth(request)
    return dict(request.headers.items())


def look(
    headers: dict[str, str], target: str = "/a?b=c", *, method: str = "GET", body: bytes = b"", now: datetime = NOW
) -> Answer | None:
    path, _, query = target.partition("?")
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return check(KEYS, method, path.encode(), query.encode(), raw, body, now)


def code(answer: Answer | None) -> str:
    assert answer is not None
    assert answer.status == 403
    return str(orjson.loads(answer.body)["errors"][0]["code"])


visible = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#?"), max_size=20)


@given(path=visible, query=visible, body=st.binary(max_size=20), temporary=st.booleans())
def test_what_botocore_signs_is_accepted(path: str, query: str, body: bytes, temporary: bool) -> None:
    """Whatever path, query and body, by lasting and by temporary keys; and not when the body is another."""
    target = f"/{path}?{query}"
    keys = {"key": "ASIATEMPORARY", "secret": "other", "token": "x"} if temporary else {}
    headers = sign(target, method="POST", body=body, **keys)
    assert look(headers, target, method="POST", body=body) is None
    assert code(look(headers, target, method="POST", body=body + b"!")) == "InvalidSignature"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (SIGNED, "MissingAuthenticationToken"),
        ({**sign(), "Authorization": "Basic abc"}, "IncompleteSignature"),
        ({**sign(), "X-Amz-Date": "2019-04-30T12:36:00Z"}, "IncompleteSignature"),
        ({**sign(), "X-Amz-Date": "2019430T123600Z"}, "IncompleteSignature"),
        (sign(key="AKIDOTHER"), "InvalidInput"),
        (sign(token="x"), "InvalidInput"),
        (sign(key="ASIATEMPORARY", secret="other"), "InvalidInput"),
        (sign(secret="wrong"), "InvalidSignature"),
        (sign(service="sts"), "InvalidSignature"),
        (sign("/b?b=c"), "InvalidSignature"),
        (sign("/a?b=d"), "InvalidSignature"),
        (sign(method="DELETE"), "InvalidSignature"),
        ({**sign(), "User-Agent": "v"}, "InvalidSignature"),
        ({**sign(), "x-amz-access-token": "s"}, "InvalidSignature"),
        (sign(headers={"Host": "h", "User-Agent": "u"}), "InvalidSignature"),
    ],
)
def test_what_is_refused(headers: dict[str, str], expected: str) -> None:
    """A signature that is missing, of another form, of unknown keys, or not over all that it must cover."""
    assert code(look(headers)) == expected


@pytest.mark.parametrize("minutes", [-6, 6])
def test_an_old_signature(minutes: int) -> None:
    """Five minutes are allowed between x-amz-date and the sandbox's clock."""
    assert code(look(sign(), now=NOW + timedelta(minutes=minutes))) == "InvalidSignature"


def test_another_day() -> None:
    """The scope's date must be that of x-amz-date."""
    headers = sign()
    day = headers["X-Amz-Date"][:8]
    other = f"{NOW - timedelta(days=1):%Y%m%d}"
    headers["Authorization"] = headers["Authorization"].replace(f"/{day}/", f"/{other}/")
    assert code(look(headers)) == "InvalidSignature"


@pytest.mark.anyio
async def test_it_comes_before_the_token(connect: Any) -> None:
    """With `aws` every operation wants a signature, also of those without a token; the token endpoint wants none."""
    keys: dict[str, str] = {}
    async with connect(Sandbox(aws=keys)) as caller:
        reply = await caller.get("/orders/v0/orders/902-1845936-5435065")
        assert (reply.status_code, reply.json()["errors"][0]["code"]) == (403, "MissingAuthenticationToken")
        assert reply.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"
        keys.update(KEYS)
        headers = {"Host": "sandbox", "User-Agent": "u", **caller.headers}
        path = "/orders/v0/orders/902-1845936-5435065"
        signed = sign(path, headers=headers, now=datetime.now(UTC))  # the sandbox's calendar begins at this one
        assert (await caller.http.get(path, headers=signed)).status_code == 200
