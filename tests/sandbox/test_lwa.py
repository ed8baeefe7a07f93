from __future__ import annotations

from typing import Any

import pytest

from spapi_async.sandbox import Sandbox

pytestmark = pytest.mark.anyio

APP = {"client_id": "app", "client_secret": "secret"}
REFRESH = {"grant_type": "refresh_token", "refresh_token": "Atzr|SELLER1"}
GRANTLESS = {"grant_type": "client_credentials", "scope": "sellingpartnerapi::notifications"}


@pytest.mark.parametrize("encoding", ["data", "json"])
async def test_a_refresh_token_buys_an_access_token(connect: Any, encoding: str) -> None:
    """Form and JSON are both taken; the refresh token comes back unchanged."""
    async with connect(Sandbox()) as caller:
        reply = await caller.http.post("/auth/o2/token", **{encoding: APP | REFRESH})
    answer = reply.json()
    assert reply.status_code == 200
    assert answer.pop("access_token").startswith("Atza|")
    assert answer == {"token_type": "bearer", "expires_in": 3600, "refresh_token": "Atzr|SELLER1"}


async def test_a_grantless_token_comes_without_refresh_token(connect: Any) -> None:
    """Client credentials buy a token for a scope."""
    async with connect(Sandbox()) as caller:
        reply = await caller.http.post("/auth/o2/token", data=APP | GRANTLESS)
    assert reply.status_code == 200
    assert "refresh_token" not in reply.json()


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        (APP, 400, "invalid_request"),
        (APP | {"grant_type": "password"}, 400, "unsupported_grant_type"),
        (APP | {"grant_type": "refresh_token"}, 400, "invalid_request"),
        (REFRESH | {"client_id": "app"}, 400, "invalid_request"),
        (REFRESH | {"client_secret": "secret"}, 400, "invalid_request"),
        (APP | {"grant_type": "client_credentials"}, 400, "invalid_request"),
        (APP | GRANTLESS | {"scope": "sellingpartnerapi::nothing"}, 400, "invalid_scope"),
        (REFRESH | {"client_id": "app", "client_secret": "a-wrong-one"}, 401, "invalid_client"),
        (APP | REFRESH | {"refresh_token": "Atzr|revoked"}, 400, "invalid_grant"),
        (APP | REFRESH | {"refresh_token": "Atza|SELLER1"}, 400, "invalid_grant"),
        (APP | REFRESH | {"refresh_token": "Atzr|"}, 400, "invalid_grant"),
    ],
)
async def test_refusals(connect: Any, fields: dict[str, str], status: int, code: str) -> None:
    """What is wrong has LWA's code for it, a description, and a request id."""
    async with connect(Sandbox()) as caller:
        reply = await caller.http.post("/auth/o2/token", data=fields)
    assert (status, code) == (reply.status_code, reply.json()["error"])
    assert reply.json()["error_description"]
    assert reply.headers["x-amzn-requestid"]


async def test_only_the_applications_named(connect: Any) -> None:
    """With `applications`, only those, each with its own secret, get tokens."""
    async with connect(Sandbox(applications={"one": "1", "two": "2"})) as caller:
        statuses = []
        for client_id, secret in [("one", "1"), ("one", "2"), ("three", "3")]:
            form = REFRESH | {"client_id": client_id, "client_secret": secret}
            statuses.append((await caller.http.post("/auth/o2/token", data=form)).status_code)
    assert statuses == [200, 401, 401]


async def test_the_lifetime_of_a_token(connect: Any, clock: Any) -> None:
    """A token works until its last second; then it is refused with 403, and a new one works."""
    async with connect(Sandbox(clock=clock, token_lifetime=60)) as caller:
        assert (await caller.log_in()).json()["expires_in"] == 60
        clock.now += 59.9
        assert (await caller.get("/orders/v0/orders/902-1845936-5435065")).status_code == 200
        clock.now += 0.1
        reply = await caller.get("/orders/v0/orders/902-1845936-5435065")
        assert (reply.status_code, reply.json()["errors"][0]["code"]) == (403, "Unauthorized")
        assert "access token has expired" in reply.json()["errors"][0]["details"]
        await caller.log_in()
        assert (await caller.get("/orders/v0/orders/902-1845936-5435065")).status_code == 200


@pytest.mark.parametrize("refresh_token", ["Atzr|S9", "Atzr|S9.whatever", "Atzr|S9|what.ever"])
async def test_the_seller_of_a_refresh_token(connect: Any, refresh_token: str) -> None:
    """The selling partner's name stands after the bar, up to the next dot or bar."""
    app = Sandbox()
    async with connect(app) as caller:
        await caller.log_in(refresh_token)
        path = "/messaging/v1/orders/902-1845936-5435065/messages/confirmOrderDetails"
        await caller.post(path, {"text": "Hello"}, marketplaceIds="ATVPDKIKX0DER")
    assert [message.seller for message in app.state.messages] == ["S9"]


async def test_tokens_are_revoked(connect: Any) -> None:
    """What was given out so far opens nothing any more: for one selling partner, or all."""
    sandbox = Sandbox()
    async with connect(sandbox) as one, connect(sandbox) as two:
        for caller, name in ((one, "ONE"), (two, "TWO")):
            await caller.log_in(f"Atzr|{name}")
        assert (await one.http.post("/_sandbox/revoke", json={"seller": "ONE"})).json() == {"revoked": 1}
        path = "/sellers/v1/account"
        assert [(await caller.get(path)).status_code for caller in (one, two)] == [403, 200]
        assert sandbox.revoke() == 3  # two of the selling partner that each caller begins as
        assert (await two.get(path)).json()["errors"][0]["details"] == (
            "The access token is malformed, revoked or invalid."
        )


async def test_the_token_endpoint_is_down(connect: Any, clock: Any) -> None:
    """For some seconds it answers 503, and then as before."""
    async with connect(Sandbox(clock=clock)) as caller:
        assert (await caller.http.post("/_sandbox/lwa", json={"down": 30})).status_code == 200
        clock.now += 29.9
        refusal = await caller.log_in()
        assert (refusal.status_code, refusal.json()["error"]) == (503, "temporarily_unavailable")
        clock.now += 0.1
        assert (await caller.log_in()).status_code == 200


async def test_another_client_secret(connect: Any) -> None:
    """A new secret ends the old one; access tokens stay valid."""
    sandbox = Sandbox(applications={"app": "secret", "other": "secret"})
    async with connect(sandbox) as caller:
        await caller.log_in()
        await caller.http.post("/_sandbox/secret", json={"client_id": "app", "secret": "new"})
        assert (await caller.log_in()).json()["error"] == "invalid_client"
        assert (await caller.get("/sellers/v1/account")).status_code == 200
        assert (await caller.log_in(client_id="other")).status_code == 200
        new = APP | REFRESH | {"client_secret": "new"}
        assert (await caller.http.post("/auth/o2/token", data=new)).status_code == 200


@pytest.mark.parametrize(
    ("page", "body"),
    [("revoke", {"seller": 1}), ("lwa", {"down": -1}), ("lwa", {}), ("secret", {"client_id": "app"}), ("lwa", [])],
)
async def test_a_wrong_change_is_refused(connect: Any, page: str, body: object) -> None:
    """What cannot be read is 400, and says what was expected."""
    async with connect(Sandbox()) as caller:
        answer = await caller.http.post(f"/_sandbox/{page}", json=body)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "InvalidInput")
