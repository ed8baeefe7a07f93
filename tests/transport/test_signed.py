"""Signed requests as a server sees them: botocore signs the bytes that came in, and gets the same signature."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs
import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from spapi_async.auth.aws import AwsCredentials, Signing
from spapi_async.errors import AuthError, ForbiddenError
from spapi_async.operation import Timeouts
from spapi_async.transport import Wire

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET, TOKEN = "the/secret+key", "the/session+token=="
ACCESS_TOKEN = "Atza|the/access-token"


def wire(transport, endpoint, session_token=None, now=NOW) -> Wire:
    keys = AwsCredentials(access_key_id="AKIDEXAMPLE", secret_access_key=SECRET, session_token=session_token)
    signing = Signing(keys, region="eu-west-1", now=lambda: now)
    agent = "My  App/1 (Language=Python;  X=\ty)"
    return Wire(transport, endpoint, Timeouts(), agent, lambda event: None, lambda: 0.0, signing.signer)


@pytest.fixture
def expect(monkeypatch):
    """Check a request as it arrived."""
    unsigned = [name for name in botocore.auth.SIGNED_HEADERS_BLACKLIST if name != "user-agent"]
    monkeypatch.setattr(botocore.auth, "SIGNED_HEADERS_BLACKLIST", unsigned)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: NOW)

    def check(head: bytes, body: bytes, session_token: str | None) -> None:
        line, *rest = head.decode("ascii").split("\r\n")
        method, target, _ = line.split(" ")
        headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in rest)}
        names = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
        sent = {name: headers[name] for name in names if name not in {"x-amz-date", "x-amz-security-token"}}
        request = AWSRequest(method, f"http://{headers['host']}{target}", sent, body)
        credentials = Credentials("AKIDEXAMPLE", SECRET, session_token)
        botocore.auth.SigV4Auth(credentials, "execute-api", "eu-west-1").add_auth(request)
        assert headers["authorization"] == request.headers["Authorization"]
        assert headers["x-amz-date"] == "20260301T120000Z"
        assert headers.get("x-amz-security-token") == session_token

    return check


@pytest.mark.parametrize(
    ("prefix", "path", "query", "body", "session_token"),
    [
        ("", "/a%2Fb/%20x~y!z", "b=2&a=1", b"", None),
        ("/stage", "/listings/A%2F%2B%C3%A4%20", "x=%2B%20%C3%A4&x=&X=1&y", b"", TOKEN),
        ("", "//a/./b/../c//", "", b'{"n": "\xc3\xa4"}', None),
        ("", "/a+b:c@d/$&'()*,;=", "q=a+b&q=%2F&&", b"x" * 100_000, TOKEN),
    ],
)
async def test_the_bytes_that_arrive_are_signed(
    prefix, path, query, body, session_token, tools, transport, server, expect
):
    """Path, query, headers and body, odd ones too, an endpoint's own path included, with every engine."""
    where = server()
    operation = tools.write if body else tools.read
    call = attrs.evolve(operation.call(headers={"x-amz-access-token": ACCESS_TOKEN}, body=body), path=path, query=query)
    await wire(transport, where.url + prefix, session_token).exchange(call)
    [(head, arrived)] = where.requests
    expect(head, arrived, session_token)


async def test_headers_of_the_call(tools, transport, server, expect):
    """A call's own User-Agent is the one that is signed; a signature of its own gives way."""
    where = server()
    headers = {"USER-AGENT": "other", "X-AMZ-Access-Token": "t", "Authorization": "x", "X-Amz-Date": "y"}
    await wire(transport, where.url).exchange(tools.read.call(headers=headers))
    [(head, body)] = where.requests
    assert head.lower().count(b"\r\nauthorization:") == head.lower().count(b"\r\nx-amz-date:") == 1
    assert b": other\r\n" in head
    expect(head, body, None)


async def test_login_with_amazon_is_not_signed(transport, server):
    """The token endpoint knows no AWS keys."""
    where = server()
    await wire(transport, where.url, TOKEN).post_form(where.url + "/auth/o2/token", {"a": "b"})
    [(head, _)] = where.requests
    assert b"authorization" not in head.lower()
    assert b"x-amz-" not in head.lower()


async def test_without_keys_nothing_is_sent(tools, transport, server):
    """Where the keys cannot be had, the error is theirs, and no connection is opened."""

    async def refuse(operation):
        raise AuthError("no", operation=operation)

    where = server()
    signing = Wire(transport, where.url, Timeouts(), "t", lambda event: None, lambda: 0.0, refuse)
    with pytest.raises(AuthError, match=r"m\.read"):
        await signing.exchange(tools.read.call())
    assert where.lines == []


@pytest.mark.parametrize("slash", ["/", r"\/"])
async def test_a_refusal_that_quotes_the_request(slash, tools, transport, server):
    """Amazon's answer to a wrong signature shows the tokens that it would have signed; the error must not."""
    quoted = f"x-amz-access-token:{ACCESS_TOKEN} x-amz-security-token:{TOKEN}".replace("/", slash)
    body = b'{"errors": [{"code": "InvalidSignature", "message": "should be %s", "details": ""}]}' % quoted.encode()

    def script(line):
        line.read()
        line.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    where = server(script)
    with pytest.raises(ForbiddenError) as caught:
        await wire(transport, where.url, TOKEN).exchange(tools.read.call(headers={"x-amz-access-token": ACCESS_TOKEN}))
    error = caught.value
    shown = f"{error} {error.errors} {error.body!r}"
    assert "InvalidSignature" in shown
    assert "x-amz-access-token:(secret) x-amz-security-token:(secret)" in shown
    assert "access-token" not in shown.replace("x-amz-access-token", "")
    assert "session+token" not in shown
