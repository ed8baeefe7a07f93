"""The way back: the callback, and the code for the refresh token, against the sandbox and scripted answers."""

from __future__ import annotations

import logging
import pickle
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlencode

import anyio
import attrs
import httpx
import pytest

from spapi_async import (
    AlteredCallbackError,
    Application,
    AuthError,
    ClientClosedError,
    CodeRefusedError,
    ConfigError,
    ConsentRefusedError,
    ExpiredStateError,
    LateCodeError,
    OutcomeUnknownError,
    ReplayedStateError,
    RetryPolicy,
    SpapiError,
    WrongStateError,
    oauth,
)
from spapi_async.sandbox import Registration, Sandbox

pytestmark = pytest.mark.anyio

SITE = "https://example.com"
BACK = SITE + "/amazon/callback"
APP = Registration(
    application_id="amzn1.sp.solution.1",
    client_id="app",
    redirect_uris=(BACK, SITE + "/other"),
    login_uri=SITE + "/amazon/login",
)


def callback_url(states: oauth.States, **changes: str | None) -> str:
    """A callback as Amazon's, with some parameters changed or left out."""
    fields: dict[str, str | None] = {"state": states.make("session"), "selling_partner_id": "A1"}
    fields |= {"spapi_oauth_code": "CODE"} | changes
    return f"{BACK}?{urlencode({name: value for name, value in fields.items() if value is not None})}"


# -- the callback


async def test_a_callback_is_read(states: oauth.States, clock: Any) -> None:
    """Code, selling partner, the token of a hybrid application, and when all that was."""
    url = callback_url(states, mws_auth_token="amzn.mws.1")
    clock.now += 7
    callback = await oauth.parse_callback(url, states=states, session="session")
    assert (callback.code, callback.selling_partner_id, callback.mws_auth_token) == ("CODE", "A1", "amzn.mws.1")
    assert callback.received_at - callback.issued_at == 7


async def test_a_callback_of_an_application_that_is_not_hybrid(states: oauth.States) -> None:
    """There is no MWS token, and what else Amazon may add is left alone."""
    callback = await oauth.parse_callback(callback_url(states, something_new="1"), states=states, session="session")
    assert callback.mws_auth_token is None


async def test_wrong_state(states: oauth.States) -> None:
    """A state of another session, of another site, or made up, is refused."""
    for state in [states.make("another"), oauth.States("K" * 32).make("session"), "made up", "ä"]:
        with pytest.raises(WrongStateError):
            await oauth.parse_callback(callback_url(states, state=state), states=states, session="session")


async def test_expired_state(states: oauth.States, clock: Any) -> None:
    """A selling partner who took longer than ten minutes begins anew."""
    url = callback_url(states)
    clock.now += 601
    with pytest.raises(ExpiredStateError):
        await oauth.parse_callback(url, states=states, session="session")


async def test_replayed_state(states: oauth.States) -> None:
    """The same callback counts once, however often it comes and with whatever code."""
    url = callback_url(states)
    await oauth.parse_callback(url, states=states, session="session")
    for again in (url, url.replace("CODE", "OTHER")):
        with pytest.raises(ReplayedStateError):
            await oauth.parse_callback(again, states=states, session="session")


async def test_a_callback_that_comes_twice_at_once(states: oauth.States) -> None:
    """Of a hundred at the same time, one counts."""
    url, counts = callback_url(states), {"taken": 0, "refused": 0}

    async def come() -> None:
        try:
            await oauth.parse_callback(url, states=states, session="session")
            counts["taken"] += 1
        except ReplayedStateError:
            counts["refused"] += 1

    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(come)
    assert counts == {"taken": 1, "refused": 99}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": None}, "state is missing"),
        ({"spapi_oauth_code": None}, "spapi_oauth_code is missing"),
        ({"spapi_oauth_code": ""}, "spapi_oauth_code is missing"),
        ({"spapi_oauth_code": "a\r\nb"}, "spapi_oauth_code is too long, or has characters"),
        ({"selling_partner_id": None}, "selling_partner_id is missing"),
        ({"selling_partner_id": "../A1"}, "selling_partner_id is no id"),
        ({"mws_auth_token": "a b"}, "mws_auth_token is too long, or has characters"),
    ],
)
async def test_altered_callback(states: oauth.States, changes: dict[str, str | None], words: str) -> None:
    """What Amazon does not send is refused, and the state can still be used by the callback that is Amazon's."""
    changes = {"state": states.make("session")} | changes
    with pytest.raises(AlteredCallbackError, match=words):
        await oauth.parse_callback(callback_url(states, **changes), states=states, session="session")
    if changes["state"]:
        url = callback_url(states, state=changes["state"])
        assert await oauth.parse_callback(url, states=states, session="session")


@pytest.mark.parametrize("name", ["state", "spapi_oauth_code", "selling_partner_id", "mws_auth_token", "error"])
async def test_a_parameter_twice(states: oauth.States, name: str) -> None:
    """Whichever of both the site would take, another may take the other."""
    url = callback_url(states, mws_auth_token="T")
    twice = [(name, values[0]) for name, values in parse_qs(url.partition("?")[2]).items()]
    twice += [(name, dict(twice).get(name, "x"))] * (2 if name == "error" else 1)
    with pytest.raises(AlteredCallbackError, match=f"{name} is there more than once"):
        await oauth.parse_callback(f"{BACK}?{urlencode(twice)}", states=states, session="session")


async def test_another_selling_partner(states: oauth.States) -> None:
    """In the Appstore workflow Amazon has said before who it is: nobody else may come back."""
    state = states.make("session", selling_partner_id="A1")
    with pytest.raises(AlteredCallbackError, match="selling_partner_id is not the one"):
        await oauth.parse_callback(
            callback_url(states, state=state, selling_partner_id="A2"), states=states, session="session"
        )
    assert await oauth.parse_callback(callback_url(states, state=state), states=states, session="session")


async def test_a_refusal(states: oauth.States) -> None:
    """An error callback of OAuth's has an error of its own; a stranger's words are kept out of its text."""
    url = callback_url(states, error="access_denied", error_description="forged\nline", spapi_oauth_code=None)
    with pytest.raises(ConsentRefusedError) as caught:
        await oauth.parse_callback(url, states=states, session="session")
    assert (caught.value.code, caught.value.description) == ("access_denied", "forged\nline")
    assert str(caught.value) == "there is no consent: access_denied"
    with pytest.raises(ReplayedStateError):
        await oauth.parse_callback(url, states=states, session="session")
    with pytest.raises(WrongStateError):
        await oauth.parse_callback(callback_url(states, error="x"), states=states, session="another")


# -- with the sandbox


@asynccontextmanager
async def playing(sandbox: Sandbox, **options: Any) -> AsyncIterator[tuple[httpx.AsyncClient, Application]]:
    """A browser, and the site's application."""
    transport = httpx.ASGITransport(app=sandbox)
    settings: dict[str, Any] = {
        "client_id": "app",
        "client_secret": "the-client-secret",
        "endpoint": "http://sandbox",
        "lwa_endpoint": "http://sandbox/auth/o2/token",
        "transport": transport,
        "retry": RetryPolicy(base_delay=0.001),
    }
    async with httpx.AsyncClient(transport=transport) as browser, Application(**(settings | options)) as application:
        yield browser, application


async def confirm(browser: httpx.AsyncClient, url: str, seller: str = "A1") -> str:
    """Confirm on the consent page; give where it leads."""
    html = (await browser.get(url)).text
    visit = html.partition('name="visit" value="')[2].partition('"')[0].replace("&amp;", "&")
    form = {"visit": visit, "selling_partner_id": seller, "decision": "confirm"}
    reply = await browser.post("http://sandbox/apps/authorize/consent", data=form)
    assert reply.status_code == 302, reply.text
    return reply.headers["location"]


def link(states: oauth.States, **changes: Any) -> str:
    return oauth.consent_url(
        APP.application_id,
        **({"state": states.make("session"), "redirect_uri": BACK, "central": "http://sandbox"} | changes),
    )


async def test_the_website_workflow(states: oauth.States, clock: Any) -> None:
    """From the link to a call of the API with the new refresh token."""
    sandbox = Sandbox(registrations=[APP], clock=clock)
    async with playing(sandbox) as (browser, application):
        url = await confirm(browser, link(states))
        assert url.startswith(BACK + "?")
        callback = await oauth.parse_callback(url, states=states, session="session")
        authorisation = await oauth.exchange_code(application, callback, redirect_uri=BACK)
        assert authorisation.selling_partner_id == "A1"
        assert authorisation.mws_auth_token is None
        sp = application.selling_partner(refresh_token=authorisation.refresh_token, selling_partner_id="A1")
        reply = await sp.sellers_v1.get_marketplace_participations()
    assert reply.payload


async def test_the_appstore_workflow(states: oauth.States, clock: Any) -> None:
    """From the Appstore's page by the login URI and back, with Amazon's own state unchanged."""
    async with playing(Sandbox(registrations=[APP], clock=clock)) as (browser, application):
        url = await confirm(browser, f"http://sandbox/selling-partner-appstore/dp/{APP.application_id}")
        assert url.startswith(f"{APP.login_uri}?")
        login = oauth.parse_login(url, central="http://sandbox")
        state = states.make("session", selling_partner_id=login.selling_partner_id)
        reply = await browser.get(oauth.appstore_callback_url(login, state=state, redirect_uri=SITE + "/other"))
        url = reply.headers["location"]
        callback = await oauth.parse_callback(url, states=states, session="session")
        with pytest.raises(CodeRefusedError):
            await oauth.exchange_code(application, callback, redirect_uri=BACK)
        authorisation = await oauth.exchange_code(application, callback, redirect_uri=SITE + "/other")
    assert authorisation.refresh_token.startswith("Atzr|A1.")


async def test_a_draft_and_a_hybrid_application(states: oauth.States, clock: Any) -> None:
    """A draft is authorised with `draft=True`; the MWS token of a hybrid application is handed on."""
    registration = Registration(application_id=APP.application_id, redirect_uris=[BACK], is_draft=True, is_hybrid=True)
    async with playing(Sandbox(registrations=[registration], clock=clock)) as (browser, application):
        assert "MD1000" in (await browser.get(link(states))).text
        url = await confirm(browser, link(states, draft=True))
        callback = await oauth.parse_callback(url, states=states, session="session")
        authorisation = await oauth.exchange_code(application, callback, redirect_uri=BACK)
    assert (authorisation.mws_auth_token or "").startswith("amzn.mws.")


async def test_late_code(states: oauth.States, clock: Any) -> None:
    """After five minutes a code is not sent any more, nor does Login with Amazon take it; both are one error."""
    sandbox = Sandbox(registrations=[APP], clock=clock)
    async with playing(sandbox) as (browser, application):
        url = await confirm(browser, link(states))
        callback = await oauth.parse_callback(url, states=states, session="session")
        clock.now += 300.5
        with pytest.raises(LateCodeError, match="more than 300 s ago"):
            await oauth.exchange_code(application, callback, redirect_uri=BACK)
        assert sandbox.requests()["operations"].get("/auth/o2/token") is None

        url = await confirm(browser, link(states))
        clock.now += 301  # the browser took so long
        callback = await oauth.parse_callback(url, states=states, session="session")
        with pytest.raises(LateCodeError, match="older than 300 s, or was used"):
            await oauth.exchange_code(application, callback, redirect_uri=BACK)


async def test_a_code_that_was_used_or_is_anothers(states: oauth.States, clock: Any) -> None:
    """A code that cannot be late was used, or is of another application: another error, but a relative."""
    async with playing(Sandbox(registrations=[APP], clock=clock)) as (browser, application):
        url = await confirm(browser, link(states))
        callback = await oauth.parse_callback(url, states=states, session="session")
        await oauth.exchange_code(application, callback, redirect_uri=BACK)
        with pytest.raises(CodeRefusedError, match="used before") as caught:
            await oauth.exchange_code(application, callback, redirect_uri=BACK)
    assert not isinstance(caught.value, LateCodeError)
    assert isinstance(caught.value.__cause__, AuthError)
    async with playing(Sandbox(registrations=[APP], clock=clock), client_id="other") as (browser, application):
        url = await confirm(browser, link(states))
        callback = await oauth.parse_callback(url, states=states, session="session")
        with pytest.raises(CodeRefusedError):
            await oauth.exchange_code(application, callback, redirect_uri=BACK)


# -- when Login with Amazon fails

TOKENS = {"access_token": "Atza|x", "refresh_token": "Atzr|the-refresh-token", "token_type": "bearer"}


def scripted(*answers: httpx.Response | Exception) -> tuple[httpx.MockTransport, list[bytes]]:
    """A Login with Amazon that gives these answers; and what it was sent."""
    left, bodies = list(answers), []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(request.content)
        reply = left.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    return httpx.MockTransport(answer), bodies


CALLBACK = oauth.Callback(
    code="the-code",
    selling_partner_id="A1",
    mws_auth_token="the-mws-token",
    issued_at=1000,
    received_at=1010,
    clock=lambda: 1011,
)


async def exchange(transport: httpx.MockTransport, **options: Any) -> oauth.Authorisation:
    async with playing(Sandbox(), transport=transport, **options) as (_, application):
        return await oauth.exchange_code(application, CALLBACK, redirect_uri=BACK)


async def test_what_is_sent() -> None:
    """A form with the code, the redirect URI, and the application's credentials."""
    transport, bodies = scripted(httpx.Response(200, json=TOKENS))
    assert (await exchange(transport)).refresh_token == "Atzr|the-refresh-token"
    assert {name: values[0] for name, values in parse_qs(bodies[0].decode()).items()} == {
        "grant_type": "authorization_code",
        "code": "the-code",
        "redirect_uri": BACK,
        "client_id": "app",
        "client_secret": "the-client-secret",
    }


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
        httpx.Response(429),
        httpx.Response(503, json={"error": "temporarily_unavailable"}),
    ],
)
async def test_it_is_repeated_while_the_code_is_untouched(failure: Any) -> None:
    """Without a connection, and when refused for load, the code is as good as before."""
    transport, bodies = scripted(failure, failure, httpx.Response(200, json=TOKENS))
    assert await exchange(transport)
    assert len(bodies) == 3
    transport, bodies = scripted(*[failure] * 9)
    with pytest.raises(AuthError) as caught:
        await exchange(transport, retry=RetryPolicy(max_attempts=2, base_delay=0.001))
    assert caught.value.is_retry_safe
    assert len(bodies) == 2


async def test_it_is_not_repeated_beyond_the_five_minutes() -> None:
    """A repeat that comes too late is not sent."""
    transport, bodies = scripted(httpx.Response(429), httpx.Response(200, json=TOKENS))
    callback = attrs.evolve(CALLBACK, clock=iter([1011.0, 1310.1]).__next__)
    async with playing(Sandbox(), transport=transport) as (_, application):
        with pytest.raises(LateCodeError):
            await oauth.exchange_code(application, callback, redirect_uri=BACK)
    assert len(bodies) == 1


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ReadTimeout("slow"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("closed"),
        httpx.Response(500, json={"error": "ServerError"}),
        httpx.Response(502, text="<html>"),
        httpx.Response(408),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json={"access_token": "Atza|x"}),
    ],
)
async def test_it_is_not_repeated_when_nobody_knows(failure: Any) -> None:
    """The code may be used up: a repeat could only be refused. The error says what to do: consent anew."""
    transport, bodies = scripted(failure)
    with pytest.raises(OutcomeUnknownError, match="let the selling partner consent anew") as caught:
        await exchange(transport)
    assert len(bodies) == 1
    assert caught.value.operation == "oauth.exchange_code"
    assert isinstance(caught.value.__cause__, SpapiError)


@pytest.mark.parametrize(
    ("status", "code", "is_permanent"),
    [(401, "invalid_client", True), (400, "unauthorized_client", True), (403, None, False)],
)
async def test_a_refusal_that_is_not_about_the_code(status: int, code: str | None, is_permanent: bool) -> None:
    """The application's own trouble is an `AuthError`, as with any other token."""
    transport, bodies = scripted(httpx.Response(status, json={"error": code} if code else {}))
    with pytest.raises(AuthError) as caught:
        await exchange(transport)
    assert (caught.value.code, caught.value.is_permanent, len(bodies)) == (code, is_permanent, 1)


async def test_the_client_secret_was_rotated() -> None:
    """A refusal of the old client secret leaves the code untouched: it is sent again with the one that is loaded."""

    async def load() -> str:
        return "the-new-secret"

    transport, bodies = scripted(
        httpx.Response(401, json={"error": "invalid_client"}), httpx.Response(200, json=TOKENS)
    )
    assert await exchange(transport, load_client_secret=load)
    assert [parse_qs(body.decode())["client_secret"] for body in bodies] == [["the-client-secret"], ["the-new-secret"]]


async def test_the_client_secret_is_rotated_meanwhile() -> None:
    """An exchange that is under way with the old client secret goes on with the new one."""
    applications: list[Application] = []
    left = [httpx.Response(401, json={"error": "invalid_client"}), httpx.Response(200, json=TOKENS)]

    def answer(request: httpx.Request) -> httpx.Response:
        applications[0].set_client_secret("the-new-secret")
        return left.pop(0)

    async with playing(Sandbox(), transport=httpx.MockTransport(answer)) as (_, application):
        applications.append(application)
        assert await oauth.exchange_code(application, CALLBACK, redirect_uri=BACK)


async def test_a_wrong_redirect_uri() -> None:
    """What Amazon would not take is not sent."""
    transport, bodies = scripted()
    async with playing(Sandbox(), transport=transport) as (_, application):
        with pytest.raises(ConfigError, match="MD5110"):
            await oauth.exchange_code(application, CALLBACK, redirect_uri=BACK + "#x")
    assert not bodies


async def test_a_closed_application() -> None:
    """Nothing is sent; the code is as good as before."""
    transport, bodies = scripted()
    async with playing(Sandbox(), transport=transport) as (_, application):
        pass
    with pytest.raises(ClientClosedError):
        await oauth.exchange_code(application, CALLBACK, redirect_uri=BACK)
    assert not bodies


async def test_closing_waits_for_an_exchange() -> None:
    """Its answer would be lost, and with it the code."""
    asked, go = anyio.Event(), anyio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        asked.set()
        await go.wait()
        return httpx.Response(200, json=TOKENS)

    found: list[oauth.Authorisation] = []

    async def run(application: Application) -> None:
        found.append(await oauth.exchange_code(application, CALLBACK, redirect_uri=BACK))

    async with (
        anyio.create_task_group() as tasks,
        playing(Sandbox(), transport=httpx.MockTransport(answer)) as (_, application),
    ):
        tasks.start_soon(run, application)
        await asked.wait()
        tasks.start_soon(application.aclose)
        await anyio.wait_all_tasks_blocked()
        go.set()
    assert found


# -- nothing leaks

SECRETS = ("the-code", "the-client-secret", "the-refresh-token", "the-mws-token", "kkkkkkkk")


@pytest.mark.parametrize(
    "make",
    [
        lambda: httpx.Response(200, json=TOKENS),
        lambda: httpx.Response(400, json={"error": "invalid_grant", "error_description": "no"}),
        lambda: httpx.Response(500),
        lambda: httpx.Response(200, json={"access_token": "the-refresh-token"}),
        lambda: httpx.ReadError("reset"),
        lambda: httpx.ConnectError("refused"),
        lambda: httpx.Response(401, json={"error": "invalid_client"}),
    ],
)
async def test_secrets_stay_secret(make: Callable[[], Any], caplog: pytest.LogCaptureFixture, states: Any) -> None:
    """No repr, log line, exception text or local variable of our frames has a code, a token or the key in it."""
    caplog.set_level(logging.DEBUG)
    shown = [repr(CALLBACK), repr(states)]
    try:
        shown.append(repr(await exchange(scripted(make())[0], retry=RetryPolicy(max_attempts=1))))
    except SpapiError as error:
        link: Any = traceback.TracebackException.from_exception(error, capture_locals=True)
        ours = []
        while link is not None:
            ours += [frame for frame in link.stack if "/spapi_async/" in frame.filename]
            link = link.__cause__ or link.__context__
        assert ours
        shown += [str(error), repr(error), repr(error.__cause__), *[str(frame.locals) for frame in ours]]
    shown += [record.getMessage() for record in caplog.records]
    text = "\n".join(shown)
    assert [secret for secret in SECRETS if secret in text] == []


async def test_a_refused_callback_shows_nothing(states: oauth.States) -> None:
    """Not even in the local variables of our frames, as some tools show them."""
    for query in (callback_url(states, state="x", spapi_oauth_code="the-code"), "selling_partner_id=x"):
        with pytest.raises(SpapiError) as caught:
            await oauth.parse_callback(query, states=states, session="the-session")
        frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
        ours = str([frame.locals for frame in frames if "/spapi_async/oauth/" in frame.filename])
        assert "Signer()" in ours
        assert [secret for secret in (*SECRETS, "the-session") if secret in ours] == []


@pytest.mark.parametrize("value", [CALLBACK, oauth.Authorisation(refresh_token="Atzr|x", selling_partner_id="A1")])
def test_secrets_are_not_pickled(value: object) -> None:
    """A task queue or a cache would keep them in plain text."""
    with pytest.raises(TypeError, match="holds a secret"):
        pickle.dumps(value)
