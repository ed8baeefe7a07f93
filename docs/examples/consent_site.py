"""A site where selling partners give your application their consent: `uvicorn --factory consent_site:make_app`.

docs/how-to/authorise.md explains it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import escape
from typing import Any
from urllib.parse import parse_qs

import attrs
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from spapi_async import (
    Application,
    AuthError,
    ClientClosedError,
    ConsentError,
    ExpiredStateError,
    LateCodeError,
    Marketplace,
    OutcomeUnknownError,
    ReplayedStateError,
    oauth,
)

COOKIE = "session"

# The URLs of these pages hold states and codes: no page that they lead to is told, and no cache keeps them.
HEADERS = {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Frame-Options": "DENY"}


@attrs.define
class Session:
    """What the site knows of a browser: who signed in, and an Appstore login that waits for that."""

    user: str | None = None
    login: oauth.AppstoreLogin | None = None


@attrs.define
class TokenStore:
    """Refresh tokens by user and selling partner. Yours is a database, where they are encrypted.

    The user is a part of the key: the id of the selling partner came through a browser, and under it alone one user
    could put a token in another one's place.
    """

    tokens: dict[tuple[str, str], str] = attrs.field(factory=dict, repr=False)

    def put(self, user: str, authorisation: oauth.Authorisation) -> None:
        """Keep a refresh token, in the place of an older one."""
        self.tokens[user, authorisation.selling_partner_id] = authorisation.refresh_token

    def partners(self, user: str) -> list[str]:
        """List the selling partners of a user."""
        return [partner for owner, partner in self.tokens if owner == user]


class Site:
    """The pages, and what they need.

    Args:
        url: Of the site, as browsers know it.
        application_id: As in `amzn1.sp.solution.…`.
        states: Makes and checks what goes to Amazon and back.
        draft: Whether the application is a draft.
        central: Seller Central in place of Amazon's: the sandbox's endpoint.
    """

    def __init__(
        self, *, url: str, application_id: str, states: oauth.States, draft: bool = False, central: str | None = None
    ) -> None:
        self.redirect_uri = f"{url}/amazon/callback"
        self.is_https = url.startswith("https://")
        self.application_id = application_id
        self.states = states
        self.draft = draft
        self.central = central
        self.sessions: dict[str, Session] = {}
        self.tokens = TokenStore()
        self.amazon: Application  # while the server runs

    # -- The website workflow

    async def authorise(self, request: Request) -> Response:
        """Send a user who clicked “Connect” to Amazon's consent page."""
        key, session = self.session(request)
        if session.user is None:
            return page("Sign in first", SIGN_IN, status=403)
        url = oauth.consent_url(
            self.application_id,
            marketplace=(await form(request)).get("marketplace"),
            state=self.states.make(key),
            redirect_uri=self.redirect_uri,
            draft=self.draft,
            central=self.central,
        )
        return redirect(url)

    async def callback(self, request: Request) -> Response:
        """Take what Amazon brings, in both workflows, and keep the refresh token."""
        key, session = self.session(request)
        callback = await oauth.parse_callback(str(request.url), states=self.states, session=key)
        if session.user is None:
            return page("Sign in first", SIGN_IN, status=403)
        authorisation = await oauth.exchange_code(self.amazon, callback, redirect_uri=self.redirect_uri)
        self.tokens.put(session.user, authorisation)
        return redirect("/")  # the code does not stay in the address bar

    # -- The Appstore workflow, which begins at Amazon

    async def login(self, request: Request) -> Response:
        """Take a selling partner who comes from the Appstore, to be signed in here first."""
        login = oauth.parse_login(str(request.url), central=self.central)
        key, session = self.session(request)
        session.login = login
        content = self.asks_to_continue(session) if session.user else SIGN_IN
        return self.keep(key, session, page("Connect from the Appstore", content))

    async def resume(self, request: Request) -> Response:
        """Send the selling partner, who is signed in and agreed to go on, back to Amazon."""
        key, session = self.session(request)
        if session.user is None or session.login is None:
            return redirect("/")
        login, session.login = session.login, None
        state = self.states.make(key, selling_partner_id=login.selling_partner_id)
        return redirect(oauth.appstore_callback_url(login, state=state, redirect_uri=self.redirect_uri))

    @staticmethod
    def asks_to_continue(session: Session) -> str:
        """Ask rather than go on at once: the link that led here may be from somebody else."""
        assert session.user is not None
        assert session.login is not None
        partner = escape(session.login.selling_partner_id)
        return (
            f"<p>Connect the selling partner <strong>{partner}</strong> with {escape(session.user)}?</p>"
            '<form method="post" action="/amazon/resume"><button id="continue">Continue at Amazon</button></form>'
        )

    # -- What your site has already: a home page, and users who sign in

    async def home(self, request: Request) -> Response:
        """Show who is connected, and offer to connect more."""
        key, session = self.session(request)
        if session.user is None:
            return self.keep(key, session, page("Sign in", SIGN_IN))
        connected = "".join(f"<li>{escape(partner)}</li>" for partner in self.tokens.partners(session.user))
        options = "".join(f'<option value="{m.value}">{m.name}</option>' for m in Marketplace)
        return page(
            f"Welcome, {escape(session.user)}",
            f'<p>Connected selling partners:</p><ul id="connected">{connected or "<li>none</li>"}</ul>'
            '<form method="post" action="/amazon/authorise"><label>Marketplace '
            f'<select name="marketplace">{options}</select></label> <button id="connect">Connect</button></form>',
        )

    async def sign_in(self, request: Request) -> Response:
        """Let anybody in under any name. Yours asks for a password."""
        old, session = self.session(request)
        self.sessions.pop(old, None)
        session = Session(user=(await form(request)).get("user", "somebody"), login=session.login)
        answer = page("Connect from the Appstore", self.asks_to_continue(session)) if session.login else redirect("/")
        return self.keep(secrets.token_urlsafe(32), session, answer)  # a new key, lest somebody knows the old one

    def session(self, request: Request) -> tuple[str, Session]:
        """Give the session of a browser, and its key; a new one if it has none."""
        key = request.cookies.get(COOKIE, "")
        found = self.sessions.get(key)
        return (key, found) if found else (secrets.token_urlsafe(32), Session())

    def keep(self, key: str, session: Session, response: Response) -> Response:
        """Keep a session, by a cookie that is `lax`: with `strict`, the browser would return from Amazon without it."""
        self.sessions[key] = session  # yours are kept elsewhere, and end
        response.set_cookie(COOKIE, key, httponly=True, samesite="lax", secure=self.is_https)
        return response


SIGN_IN = (
    '<form method="post" action="/sign-in"><label>Your name <input name="user" value="alice"></label> '
    '<button id="sign-in">Sign in</button></form>'
)


async def explain(request: Request, error: Exception) -> Response:
    """Tell a user what went wrong, in words that say what to do, and nothing of what came with the request."""
    match error:
        case ExpiredStateError() | LateCodeError():
            status, words = 400, "That took too long. Please connect again."
        case ReplayedStateError():
            status, words = 400, "This was done already. If the selling partner is not connected, connect again."
        case ConsentError():
            status, words = 400, "Amazon's answer does not fit what we asked. Nothing was connected."
        case OutcomeUnknownError():
            status, words = 502, "Amazon did not answer. Please connect again; that does no harm."
        case _:
            status, words = 502, "We cannot reach Amazon. Please connect again later."
    return page("Not connected", f'<p id="error">{words}</p><p><a href="/">Back</a></p>', status=status)


def page(title: str, content: str, status: int = 200) -> Response:
    """Make a page."""
    html = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    return HTMLResponse(f"{html}<h1>{title}</h1>{content}</html>", status, HEADERS)


STYLE = "body{font:16px/1.5 sans-serif;max-width:34em;margin:3em auto;padding:0 1em}button,input,select{font:inherit}"


def redirect(url: str) -> Response:
    """Send the browser on with a GET."""
    return RedirectResponse(url, 303, HEADERS)


async def form(request: Request) -> dict[str, str]:
    """Read a form."""
    return {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}


def make_app(site: Site | None = None, **options: Any) -> Starlette:
    """Make the program. Options are those of `Application`; without them all comes from the environment."""
    if site is None:
        site = Site(
            url=os.environ.get("SITE_URL", "http://127.0.0.1:8000"),
            application_id=os.environ["SPAPI_APPLICATION_ID"],
            states=oauth.States(os.environ["SITE_STATE_KEY"]),
            draft=os.environ.get("SITE_DRAFT") == "1",
            central=os.environ.get("SITE_CENTRAL"),
        )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        settings = {
            "client_id": os.environ.get("SPAPI_CLIENT_ID"),
            "client_secret": os.environ.get("SPAPI_CLIENT_SECRET"),
            "region": os.environ.get("SPAPI_REGION"),
            "endpoint": os.environ.get("SPAPI_ENDPOINT"),
            "lwa_endpoint": os.environ.get("SPAPI_LWA_ENDPOINT"),
        }
        async with Application(**(settings | options)) as site.amazon:
            yield

    return Starlette(
        routes=[
            Route("/", site.home),
            Route("/sign-in", site.sign_in, methods=["POST"]),
            Route("/amazon/authorise", site.authorise, methods=["POST"]),
            Route("/amazon/callback", site.callback),
            Route("/amazon/login", site.login),
            Route("/amazon/resume", site.resume, methods=["POST"]),
        ],
        exception_handlers=dict.fromkeys([ConsentError, OutcomeUnknownError, AuthError, ClientClosedError], explain),
        lifespan=lifespan,
    )
