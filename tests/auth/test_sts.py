"""Assuming a role through aiobotocore, at an AWS STS on this machine."""

from __future__ import annotations

import asyncio
import logging
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import httpx
import pytest
import pytest_asyncio
from aiobotocore.session import get_session

from spapi_async import RetryPolicy, SellingPartner, UsagePlan
from spapi_async.auth.aws import AwsCredentials, AwsRole, RoleKeys
from spapi_async.auth.sts import Sts
from spapi_async.errors import AuthError, ConfigError
from spapi_async.sandbox import Sandbox

pytestmark = pytest.mark.asyncio

ROLE = "arn:aws:iam::123456789012:role/spapi"
BASE = AwsCredentials(access_key_id="AKIDBASE", secret_access_key="base-secret-key", session_token="base-session-token")
SESSION = get_session()
SECRETS = ("base-secret-key", "base-session-token", "new-secret-key", "new-session-token", "the-external-id")
GIVEN = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ASIANEW</AccessKeyId><SecretAccessKey>new-secret-key</SecretAccessKey>
<SessionToken>new-session-token</SessionToken><Expiration>2026-01-01T01:00:00Z</Expiration></Credentials>
</AssumeRoleResult><ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></AssumeRoleResponse>"""


def refusal(code: str, message: str) -> str:
    return (
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
        f"<Code>{code}</Code><Message>{message}</Message></Error><RequestId>id-2</RequestId></ErrorResponse>"
    )


class LocalSts:
    """Answers every request with one status and body, or cuts the connection; keeps heads and forms."""

    def __init__(self) -> None:
        self.status, self.body = 200, GIVEN
        self.answer: Callable[[], tuple[int, str]] = lambda: (self.status, self.body)
        self.heads: list[str] = []
        self.forms: list[dict[str, list[str]]] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(line.split(":")[1] for line in head.splitlines() if line.lower().startswith("content-length"))
        self.heads.append(head)
        self.forms.append(parse_qs((await reader.readexactly(int(length))).decode()))
        status, text = self.answer()
        if status:
            body = text.encode()
            writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode())
            writer.write(body)
        writer.close()
        await writer.wait_closed()


@pytest_asyncio.fixture
async def sts() -> AsyncIterator[LocalSts]:
    local = LocalSts()
    server = await asyncio.start_server(local.serve, "127.0.0.1", 0)
    local.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield local
    server.close()
    await server.wait_closed()


def ask(role: AwsRole) -> Sts:
    """Make one that does not read botocore's description of STS again, which takes 0.2 s."""
    asking = Sts(role, "eu-west-1")
    asking._session = SESSION
    return asking


def role(sts: LocalSts, **options: object) -> AwsRole:
    return AwsRole(**{"role_arn": ROLE, "credentials": BASE, "endpoint": sts.url, **options})


async def test_the_keys_of_a_role(sts: LocalSts) -> None:
    """The role is assumed with the given keys, name, duration and external id; back come keys and their expiry."""
    asking = Sts(role(sts, external_id="the-external-id", duration=900, session_name="here"), "eu-west-1")
    keys, expires_at = await asking.assume()
    assert (keys.access_key_id, keys.secret_access_key, keys.session_token) == (
        "ASIANEW",
        "new-secret-key",
        "new-session-token",
    )
    assert expires_at == datetime(2026, 1, 1, 1, tzinfo=UTC)
    [form] = sts.forms
    assert form == {
        "Action": ["AssumeRole"],
        "Version": ["2011-06-15"],
        "RoleArn": [ROLE],
        "RoleSessionName": ["here"],
        "DurationSeconds": ["900"],
        "ExternalId": ["the-external-id"],
    }
    assert "Credential=AKIDBASE/" in sts.heads[0]
    assert "/eu-west-1/sts/aws4_request" in sts.heads[0]
    assert "base-session-token" in sts.heads[0]


async def test_what_botocore_finds(sts: LocalSts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `credentials` the role is assumed with what the environment has; `region` is that of STS."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDHERE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    await Sts(role(sts, credentials=None, region="eu-central-1"), "eu-west-1").assume()
    assert "Credential=AKIDHERE/" in sts.heads[0]
    assert "/eu-central-1/sts/" in sts.heads[0]


@pytest.mark.parametrize(
    ("status", "code", "message", "is_permanent", "words"),
    [
        (403, "AccessDenied", "User is not authorized", True, "User is not authorized; allow the user or role"),
        (403, "InvalidClientTokenId", "invalid", True, "AWS does not know the access key id"),
        (403, "SignatureDoesNotMatch", "sign base-session-token", True, "this machine's clock is wrong"),
        (403, "ExpiredTokenException", "expired", True, "give newer keys"),
        (400, "ValidationError", "DurationSeconds exceeds", True, "DurationSeconds exceeds; check role_arn"),
        (400, "Odd", "base-secret-key", True, f"Odd: AWS STS gave none for {ROLE} "),
        (400, "Throttling", "Rate exceeded", False, "Rate exceeded"),
        (503, "ServiceUnavailable", "later", False, "later"),
        (500, "", "", False, "gave none"),
    ],
)
async def test_a_refusal(sts: LocalSts, status: int, code: str, message: str, is_permanent: bool, words: str) -> None:
    """STS's own words and what to do about them; whether a repeat may help; never a secret."""
    sts.status, sts.body = status, refusal(code, message)
    with pytest.raises(AuthError) as caught:
        await ask(role(sts)).assume()
    error = caught.value
    assert words in str(error)
    assert (error.is_permanent, error.status) == (is_permanent, status)
    assert len(sts.heads) == 1
    shown = "".join(traceback.format_exception(error))
    assert not any(secret in shown for secret in SECRETS)
    assert error.__cause__ is error.__context__ is None


@pytest.mark.parametrize(
    "body", ["", "<html>", "<a/>", GIVEN.replace("ASIANEW", ""), GIVEN.replace("SessionToken", "X")]
)
async def test_an_answer_that_is_not_sts(sts: LocalSts, body: str) -> None:
    """A proxy's page, or half an answer, is a fault that may pass."""
    sts.body = body
    with pytest.raises(AuthError, match="gave none") as caught:
        await ask(role(sts)).assume()
    assert not caught.value.is_permanent


async def test_no_answer(sts: LocalSts) -> None:
    """A broken connection, or none, may pass."""
    sts.status = 0
    for asking in (ask(role(sts)), ask(role(sts, endpoint="http://127.0.0.1:9"))):
        with pytest.raises(AuthError, match="gave none") as caught:
            await asking.assume()
        assert not caught.value.is_permanent


async def test_no_keys_anywhere(sts: LocalSts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where botocore finds no keys, the error says so, and where it looked."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    with pytest.raises(AuthError, match="NoCredentialsError; give credentials=") as caught:
        await Sts(role(sts, credentials=None), "eu-west-1").assume()
    assert caught.value.is_permanent


async def test_nothing_is_logged(sts: LocalSts, caplog: pytest.LogCaptureFixture) -> None:
    """Botocore shows requests and replies whole at DEBUG: for our calls it must not. For others it still does."""
    caplog.set_level(logging.DEBUG)
    await ask(role(sts, external_id="the-external-id")).assume()
    sts.status, sts.body = 403, refusal("SignatureDoesNotMatch", "base-session-token")
    with pytest.raises(AuthError):
        await ask(role(sts)).assume()
    assert not any(secret in caplog.text for secret in SECRETS)
    logging.getLogger("botocore.parsers").debug("somebody else's")
    assert "somebody else's" in caplog.text


async def test_without_aiobotocore(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the extra is not installed, making the client says which one it is."""
    monkeypatch.setitem(sys.modules, "aiobotocore", None)
    monkeypatch.setitem(sys.modules, "aiobotocore.config", None)
    with pytest.raises(ConfigError, match=r"pip install 'spapi-async\[aws\]'"):
        SellingPartner(client_id="a", client_secret="b", region="eu", aws=AwsRole(role_arn=ROLE))


async def test_calls_signed_by_a_role(sts: LocalSts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hours of calls: keys are renewed before they expire, and an outage of STS just then is not felt."""
    clock = 0.0
    valid: dict[str, str] = {}
    expiries: dict[str, float] = {}
    sandbox = Sandbox(aws=valid, clock=lambda: clock, plans={"*": UsagePlan(1000, 1000)})
    start = sandbox._date(clock)

    def give() -> tuple[int, str]:
        if any(clock < expiry - 300 for expiry in expiries.values()):
            return 503, refusal("ServiceUnavailable", "later")
        name = f"ASIA{len(expiries)}"
        valid[name], expiries[name] = "new-secret-key", clock + 3600
        expiry = start + timedelta(seconds=expiries[name])
        return 200, GIVEN.replace("ASIANEW", name).replace("2026-01-01T01:00:00Z", f"{expiry:%Y-%m-%dT%H:%M:%SZ}")

    sts.answer = give
    monkeypatch.setattr("aiobotocore.session.get_session", lambda: SESSION)
    async with SellingPartner(
        client_id="app",
        client_secret="s",
        refresh_token="Atzr|SELLER1",
        endpoint="http://sandbox",
        lwa_endpoint="http://sandbox/auth/o2/token",
        aws=role(sts),
        aws_region="eu-west-1",
        transport=httpx.ASGITransport(app=sandbox),
        retry=RetryPolicy(max_attempts=1),
    ) as sp:
        signing = sp._application._signing
        assert signing is not None
        keys = signing._keys
        assert isinstance(keys, RoleKeys)
        signing._now = keys._now = lambda: start + timedelta(seconds=clock)
        for minute in range(130):
            clock = minute * 60.0
            for name in [name for name, expiry in expiries.items() if clock >= expiry]:
                valid.pop(name, None)
            await sp.orders_v0.get_order(order_id="902-1845936-5435065")
            assert keys._task is not None
            await asyncio.wait([keys._task])
    assert (len(expiries), len(sts.forms)) == (3, 3 + 2 * 5)  # in five of ten minutes it did not answer
