"""Seller Central as the sandbox plays it: the pages on which a selling partner consents to an application.

Parameters and order as on Amazon's pages “Website Authorization Workflow” and “Selling Partner Appstore Authorization
Workflow”, error codes as on “Authorization Errors” (https://developer-docs.amazon.com/sp-api/docs/authorization-errors).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from html import escape
from typing import Self
from urllib.parse import parse_qs, quote, unquote, urlencode

import attrs

from ..errors import ConfigError
from .exchange import Answer
from .lwa import Lwa

__all__ = ["Consents", "Registration"]

_CONSENT = "/apps/authorize/consent"
_CONFIRM = "/apps/authorize/confirm/"
_APPSTORE = "/selling-partner-appstore/dp/"
_FLOW = 600.0  # seconds that a selling partner has for all of it
_SELLER = re.compile(r"[A-Za-z0-9]{1,50}").fullmatch
# Of every page and redirect here: a referrer would hand the state, and on your pages the code, to whoever is next.
_HEADERS = (
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
    ("x-frame-options", "DENY"),
    ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'"),
)
_STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:34em;margin:3em auto;padding:0 1em;color:#222}"
    "small{color:#666}button{font:inherit;padding:.4em 1.2em;margin-right:.6em}code{overflow-wrap:anywhere}"
    "input{font:inherit;padding:.2em .4em}"
)


def _tuple(uris: Iterable[str]) -> tuple[str, ...]:
    return tuple(uris)


@attrs.frozen(kw_only=True)
class Registration:
    """An application as it is registered with Amazon.

    Args:
        application_id: As in `amzn1.sp.solution.…`.
        client_id: Whose authorisation codes these are; None: of any application.
        redirect_uris: Where selling partners may come back to; without a choice, to the first.
        login_uri: Where the Appstore sends selling partners; None: the application is not in it.
        is_draft: Whether it is a draft: then consent needs `version=beta`.
        asks_login: Whether who comes from your site is sent to `login_uri` as well before coming back. Amazon's
            newest description of the website workflow has it so, older ones and many clients have not.
        is_hybrid: Whether callbacks have an `mws_auth_token`.

    Raises:
        ConfigError: There is no redirect URI, or one has a fragment.
    """

    application_id: str
    client_id: str | None = None
    redirect_uris: tuple[str, ...] = attrs.field(converter=_tuple)
    login_uri: str | None = None
    is_draft: bool = False
    asks_login: bool = False
    is_hybrid: bool = False

    def __attrs_post_init__(self) -> None:
        if not self.application_id or not self.redirect_uris:
            raise ConfigError("a registration needs application_id and redirect_uri")
        if any("#" in uri for uri in (*self.redirect_uris, self.login_uri or "")):
            raise ConfigError("a redirect or login URI of a registration must not have a fragment (#…)")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one of the command line, written as a query: `application_id=…&redirect_uri=…&is_draft=1`.

        Raises:
            ConfigError: A name is unknown or repeated; only `redirect_uri` may be.
        """
        try:
            fields = parse_qs(text, strict_parsing=True)
        except ValueError:
            raise ConfigError(f"{text!r} is no query as in application_id=…&redirect_uri=…") from None
        uris = fields.pop("redirect_uri", [])
        texts, flags = {"application_id", "client_id", "login_uri"}, {"is_draft", "asks_login", "is_hybrid"}
        wrong = [name for name, values in fields.items() if name not in texts | flags or len(values) > 1]
        if wrong or "application_id" not in fields:
            raise ConfigError(f"{text!r}: give application_id and redirect_uri; {', '.join(wrong) or 'one'} is wrong")
        return cls(
            redirect_uris=tuple(uris),
            **{name: fields[name][0] for name in texts & fields.keys()},  # type: ignore[arg-type]
            **{name: fields[name][0] in {"1", "true"} for name in flags & fields.keys()},  # type: ignore[arg-type]
        )

    def __str__(self) -> str:
        fields = [("application_id", self.application_id), ("client_id", self.client_id), ("login_uri", self.login_uri)]
        fields += [("redirect_uri", uri) for uri in self.redirect_uris]
        fields += [(name, "1") for name in ("is_draft", "asks_login", "is_hybrid") if getattr(self, name)]
        return urlencode([(name, value) for name, value in fields if value])


class _PageError(Exception):
    """A page that ends it, with Amazon's error code where one is known."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


@attrs.frozen(kw_only=True)
class _Visit:
    """A selling partner before a consent page, or on the way by the application's login URI."""

    registration: Registration
    redirect_uri: str
    state: str
    by_login: bool
    expires_at: float
    seller: str = ""


class Consents:
    """The consent pages and their memory.

    Args:
        registrations: The applications that exist. None: any, a draft if its id has `draft` in it, with whatever
            redirect URI it names, and not in the Appstore.
        lwa: Gives out the codes.
    """

    def __init__(self, registrations: Iterable[Registration] | None, lwa: Lwa) -> None:
        self._registrations = None if registrations is None else {r.application_id: r for r in registrations}
        self._lwa = lwa
        self._visits: dict[str, _Visit] = {}

    @staticmethod
    def serves(path: str) -> bool:
        """Whether a path is one of these pages."""
        return path == _CONSENT or path.startswith((_CONFIRM, _APPSTORE))

    def answer(
        self, method: str, path: str, query: Mapping[str, list[str]], body: bytes, origin: str, now: float
    ) -> Answer:
        """Serve one request.

        Args:
            method: The verb.
            path: Of the request.
            query: Names with their values, decoded.
            body: A form.
            origin: Scheme and host that the browser used.
            now: Seconds on the sandbox's clock.
        """
        fields = {name: values[0] for name, values in query.items()}
        self._visits = {key: visit for key, visit in self._visits.items() if now < visit.expires_at}
        try:
            if method == "POST" and path == _CONSENT:
                form = {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
                return self._decide(form, origin, now)
            if method != "GET":
                raise _PageError("", "There is no such page.")
            if path == _CONSENT:
                return self._ask(self._website_visit(fields, now))
            if path.startswith(_APPSTORE):
                return self._ask(self._appstore_visit(unquote(path.removeprefix(_APPSTORE)), now))
            return self._confirm(unquote(path.removeprefix(_CONFIRM)), fields, now)
        except _PageError as error:
            code = f"<p>Error code: <strong>{error.code}</strong></p>" if error.code else ""
            return _page(400, "Something went wrong", f"<p>{escape(str(error))}</p>{code}")

    def _website_visit(self, fields: Mapping[str, str], now: float) -> _Visit:
        registration = self._find(fields.get("application_id", ""), fields.get("redirect_uri"))
        _check_stage(registration, fields)
        state = fields.get("state") or _missing("state")
        return _Visit(
            registration=registration,
            redirect_uri=_redirect_uri(registration, fields),
            state=state,
            by_login=registration.asks_login,
            expires_at=now + _FLOW,
        )

    def _appstore_visit(self, application_id: str, now: float) -> _Visit:
        registration = self._find(application_id, None)
        if registration.is_draft:
            raise _PageError("MD1000", "The application is a draft: it is not in the Appstore yet.")
        if registration.login_uri is None:
            raise _PageError("MD9100", "The application has no login URI.")
        return _Visit(registration=registration, redirect_uri="", state="", by_login=True, expires_at=now + _FLOW)

    def _find(self, application_id: str, redirect_uri: str | None) -> Registration:
        if not application_id:
            _missing("application_id")
        if self._registrations is not None:
            found = self._registrations.get(application_id)
            if found is None:
                raise _PageError("MD1000", "There is no such application.")
            return found
        if not redirect_uri:
            raise _PageError("MD9100", "The application has no redirect URI.")
        return Registration(
            application_id=application_id,
            redirect_uris=(redirect_uri.partition("#")[0],),
            is_draft="draft" in application_id,
        )

    def _ask(self, visit: _Visit) -> Answer:
        key = self._keep(visit)
        application_id = escape(visit.registration.application_id)
        return _page(
            200,
            "Authorise an application",
            f"<p>The application <code>{application_id}</code> asks for access to your selling data.</p>"
            f'<form method="post" action="{_CONSENT}"><input type="hidden" name="visit" value="{escape(key)}">'
            '<p><label>Sign in as <input name="selling_partner_id" value="SELLER1"></label></p>'
            '<p><button id="confirm" name="decision" value="confirm">Confirm</button>'
            '<button id="cancel" name="decision" value="cancel">Cancel</button></p></form>',
        )

    def _decide(self, form: Mapping[str, str], origin: str, now: float) -> Answer:
        visit = self._visits.pop(form.get("visit", ""), None)
        if visit is None:
            raise _PageError("", "This page has expired, or was answered before. Begin anew.")
        if form.get("decision") != "confirm":
            # Amazon sends nobody back (amzn/selling-partner-api-models issue 1542).
            return _page(200, "Not authorised", "<p>The application gets no access. You can close this page.</p>")
        seller = form.get("selling_partner_id", "")
        if not _SELLER(seller):
            raise _PageError("", "There is no such selling partner: use letters and digits.")
        registration = visit.registration
        if not visit.by_login:
            return self._send_back(visit, seller, now)
        if registration.login_uri is None:
            raise _PageError("MD9100", "The application has no login URI.")
        # Amazon knows by its own state, when the selling partner comes back, what was confirmed.
        amazon_state = self._keep(attrs.evolve(visit, seller=seller))
        fields = {
            "amazon_callback_uri": f"{origin}{_CONFIRM}{quote(registration.application_id)}",
            "amazon_state": amazon_state,
            "selling_partner_id": seller,
        }
        if registration.is_draft:
            fields["version"] = "beta"
        return _redirect(registration.login_uri, fields)

    def _confirm(self, application_id: str, fields: Mapping[str, str], now: float) -> Answer:
        visit = self._visits.get(fields.get("amazon_state") or _missing("amazon_state"))
        if visit is None or not visit.seller or visit.registration.application_id != application_id:
            raise _PageError("", "The amazon_state is unknown, too old, was used, or is another application's.")
        _check_stage(visit.registration, fields)
        state = fields.get("state") or _missing("state")
        redirect_uri = _redirect_uri(visit.registration, fields)
        del self._visits[fields["amazon_state"]]
        return self._send_back(attrs.evolve(visit, redirect_uri=redirect_uri, state=state), visit.seller, now)

    def _send_back(self, visit: _Visit, seller: str, now: float) -> Answer:
        fields = {"state": visit.state, "selling_partner_id": seller}
        if visit.registration.is_hybrid:
            fields["mws_auth_token"] = f"amzn.mws.{secrets.token_hex(8)}"
        code = self._lwa.issue_code(visit.registration.client_id, seller, visit.redirect_uri, now)
        return _redirect(visit.redirect_uri, {**fields, "spapi_oauth_code": code})

    def _keep(self, visit: _Visit) -> str:
        # With all that a query must encode, so that a client which hands it back otherwise is found out.
        key = f"{secrets.token_urlsafe(24)}+/=&%"
        self._visits[key] = visit
        return key


def _missing(name: str) -> str:
    raise _PageError("", f"The parameter {name} is missing.")


def _check_stage(registration: Registration, fields: Mapping[str, str]) -> None:
    if registration.is_draft and fields.get("version") != "beta":
        raise _PageError("MD1000", "The application is a draft: version=beta is missing.")


def _redirect_uri(registration: Registration, fields: Mapping[str, str]) -> str:
    uri = fields.get("redirect_uri") or registration.redirect_uris[0]
    if "#" in uri:
        raise _PageError("MD5110", "The redirect URI has a fragment.")
    if uri not in registration.redirect_uris:
        raise _PageError("MD5101", "The redirect URI is not one of the application's.")
    return uri


def _page(status: int, title: str, content: str) -> Answer:
    html = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"</head><body><h1>{title}</h1>{content}<p><small>This is the sandbox of spapi_async, not Amazon.</small></p>"
        "</body></html>"
    )
    return Answer(status, html.encode(), "text/html; charset=utf-8", _HEADERS)


def _redirect(uri: str, fields: Mapping[str, str]) -> Answer:
    location = f"{uri}{'&' if '?' in uri else '?'}{urlencode(fields)}"
    return Answer(302, b"", headers=(("location", location), *_HEADERS))
