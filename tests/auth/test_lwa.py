"""Login with Amazon: forms, answers, and what is worth repeating."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import orjson
import pytest

from spapi_async.auth import LWA_POLICY, ClientSecret, Credentials, LwaClient
from spapi_async.auth.lwa import grantless_form, read_token, refresh_form
from spapi_async.errors import AuthError, ConnectError
from spapi_async.events import Event, Retried
from spapi_async.operation import Timeouts
from spapi_async.retry import RetryPolicy

CREDENTIALS = Credentials(client_id="app", client_secret="the-secret", refresh_token="Atzr|token")


def answer(status: int = 200, **content: object) -> tuple[int, Mapping[str, str], bytes]:
    return status, {"x-amzn-requestid": "R1"}, orjson.dumps(content)


def test_the_forms() -> None:
    """A seller's token is asked for with the refresh token and no scope, a grantless one the other way round."""
    assert refresh_form(CREDENTIALS) == {
        "grant_type": "refresh_token",
        "refresh_token": "Atzr|token",
        "client_id": "app",
        "client_secret": "the-secret",
    }
    assert grantless_form(CREDENTIALS, "sellingpartnerapi::notifications") == {
        "grant_type": "client_credentials",
        "scope": "sellingpartnerapi::notifications",
        "client_id": "app",
        "client_secret": "the-secret",
    }


def test_a_token_is_read() -> None:
    """The answer gives the token and its lifetime in seconds."""
    token = read_token(*answer(access_token="Atza|x", token_type="bearer", expires_in=1234))
    assert (token.value, token.expires_in) == ("Atza|x", 1234.0)


@pytest.mark.parametrize(
    ("status", "content", "code", "is_permanent"),
    [
        (400, {"error": "invalid_grant", "error_description": "revoked"}, "invalid_grant", True),
        (401, {"error": "invalid_client", "error_description": "failed"}, "invalid_client", True),
        (400, {"error": "invalid_scope"}, "invalid_scope", True),
        (400, {"error": "unauthorized_client"}, "unauthorized_client", True),
        (503, {"error": "temporarily_unavailable"}, "temporarily_unavailable", False),
        (500, {"error": "ServerError"}, "ServerError", False),
        (429, {}, None, False),
        (502, {"error": 7}, None, False),
        (408, {"error": "timeout"}, "timeout", False),
        (403, {"message": "blocked by the proxy"}, None, False),
        (302, {}, None, False),
        (200, {}, None, False),
        (200, {"access_token": ""}, None, False),
    ],
)
def test_refusals(status: int, content: dict[str, object], code: str | None, is_permanent: bool) -> None:
    """Each refusal keeps LWA's code, and says whether repeating could ever help."""
    with pytest.raises(AuthError) as caught:
        read_token(*answer(status, **content))
    assert (caught.value.code, caught.value.is_permanent) == (code, is_permanent)
    assert caught.value.request_id == "R1"


@pytest.mark.parametrize("body", [b"", b"<html>busy</html>", b"[1]", b'"text"', b"\xff\xfe"])
def test_an_unreadable_answer(body: bytes) -> None:
    """An answer that is no JSON object is an error that tells the status and nothing of the body."""
    with pytest.raises(AuthError, match="answered 503") as caught:
        read_token(503, {}, body)
    assert not caught.value.is_permanent


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
class TestLwaClient:
    @staticmethod
    def client(answers: list[object], waits: list[float], **options: Any) -> LwaClient:
        async def post_form(url: str, form: Mapping[str, str], timeouts: Timeouts) -> object:
            assert url == "https://lwa/token"
            reply = answers.pop(0)
            if isinstance(reply, Exception):
                raise reply
            return reply

        async def sleep(seconds: float) -> None:
            waits.append(seconds)

        return LwaClient(
            post_form,
            endpoint="https://lwa/token",
            sleep=sleep,
            secret=ClientSecret("the-secret", emit=lambda event: None),
            **{"policy": RetryPolicy(max_attempts=4, base_delay=0.5), "random": lambda: 0.5, **options},
        )

    async def test_repeats_what_may_heal(self, anyio_backend: str) -> None:
        """No connection, 5xx and throttling are repeated with growing waits."""
        waits: list[float] = []
        refused = ConnectError("refused", operation="lwa", had_begun=False)
        client = self.client([refused, answer(503), answer(429), answer(access_token="T", expires_in=1)], waits)
        assert (await client.fetch({})).value == "T"
        assert waits == [0.375, 0.75, 1.5]

    async def test_does_not_repeat_a_refusal(self, anyio_backend: str) -> None:
        """`invalid_grant` stays `invalid_grant`: it is raised at once."""
        waits: list[float] = []
        with pytest.raises(AuthError, match="invalid_grant"):
            await self.client([answer(400, error="invalid_grant")], waits).fetch({})
        assert waits == []

    async def test_an_outage_of_half_a_minute_is_waited_out(self, anyio_backend: str) -> None:
        """The waits come to more than 30 s and to little more than a minute, whatever is drawn; each is told."""
        for draw, total in ((0.0, 31.75), (1.0, 63.5)):
            waits: list[float] = []
            events: list[Event] = []
            client = self.client(
                [answer(503)] * 12, waits, random=partial(float, draw), policy=LWA_POLICY, emit=events.append
            )
            with pytest.raises(AuthError):
                await client.fetch({})
            assert sum(waits) == total
            assert [event.delay for event in events if isinstance(event, Retried)] == waits

    async def test_gives_up(self, anyio_backend: str) -> None:
        """After as many attempts as the policy allows, the last failure is raised; it names the endpoint."""
        waits: list[float] = []
        refused = [ConnectError("connection refused", operation="lwa", had_begun=False) for _ in range(4)]
        with pytest.raises(AuthError, match="https://lwa/token could not be reached: connection refused"):
            await self.client(list(refused), waits).fetch({})
        assert len(waits) == 3
