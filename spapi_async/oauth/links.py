"""The URLs that a selling partner is sent to, in both of Amazon's workflows. Pure.

Parameters and rules are those of Amazon's pages “Website Authorization Workflow” and “Selling Partner Appstore
Authorization Workflow” (https://developer-docs.amazon.com/sp-api/docs/website-authorization-workflow and
https://developer-docs.amazon.com/sp-api/docs/selling-partner-appstore-authorization-workflow).
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import attrs

from ..errors import AlteredCallbackError, ConfigError
from ..marketplaces import CENTRAL_HOSTS, Marketplace
from .query import Parameters, Query

__all__ = [
    "AppstoreLogin",
    "appstore_callback_url",
    "check_partner",
    "check_redirect_uri",
    "consent_url",
    "parse_login",
]

_CONSENT = "/apps/authorize/consent"
_BETA = ("version", "beta")
# What browsers and we read alike: without a backslash, which they take for a slash.
_PLAIN = re.compile(r"[!-\[\]-~]+").fullmatch
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def consent_url(
    application_id: str,
    *,
    state: str,
    redirect_uri: str | None = None,
    marketplace: Marketplace | str | None = None,
    vendor: bool = False,
    draft: bool = False,
    central: str | None = None,
) -> str:
    """Give the URL of Amazon's consent page, where your “Authorise” button sends a selling partner.

    Args:
        application_id: Of the application, as in `amzn1.sp.solution.…` or `amzn1.sellerapps.app.…`. That is not its
            client id.
        state: Of `States.make`; comes back in the callback.
        redirect_uri: Where Amazon sends the selling partner afterwards: one of those that the application is registered
            with. None: the first of them.
        marketplace: The selling partner's, a `Marketplace` or its id: its Seller Central has the page. A consent is for
            the region of the marketplace.
        vendor: True for the marketplace's Vendor Central.
        draft: True while the application is a draft, which Amazon calls `version=beta`.
        central: URL of a Seller or Vendor Central in place of the marketplace's, as the endpoint of the sandbox.

    Raises:
        ConfigError: An argument is wrong, or neither `marketplace` nor `central` is given.
    """
    if not _PLAIN(application_id):
        raise ConfigError("application_id is empty or has characters that no application id has")
    if application_id.startswith("amzn1.application-oa2-client."):
        raise ConfigError(
            "application_id is a client id: give the application's own id, as in amzn1.sp.solution.… or "
            "amzn1.sellerapps.app.…"
        )
    parameters = [("application_id", application_id), ("state", _check_state(state))]
    if redirect_uri is not None:
        parameters.append(("redirect_uri", check_redirect_uri(redirect_uri)))
    if draft:
        parameters.append(_BETA)
    return f"{_central(marketplace, vendor, central)}{_CONSENT}?{_encode(parameters)}"


@attrs.frozen(kw_only=True)
class AppstoreLogin:
    """What Amazon brings to your login URI: a selling partner who has agreed and is to sign in with you.

    However it is made, `callback_uri` is Amazon's, so you can keep its fields while the selling partner signs in and
    make it anew. `amazon_state` is not shown in a repr.

    Args:
        callback_uri: Where to send the selling partner next: Amazon's `amazon_callback_uri`.
        amazon_state: Goes back to Amazon unchanged.
        selling_partner_id: Who it is, as the browser says.
        is_draft: Whether the application is a draft.
        central: The URL of a Seller Central that is accepted in `callback_uri` besides Amazon's, as the sandbox's.

    Raises:
        AlteredCallbackError: `callback_uri` is not of a Seller or Vendor Central of Amazon's.
    """

    callback_uri: str
    amazon_state: str = attrs.field(repr=False)
    selling_partner_id: str
    is_draft: bool = False
    central: str | None = None

    def __attrs_post_init__(self) -> None:
        _check_callback_uri(self.callback_uri, self.central)


def parse_login(query: Query, *, central: str | None = None) -> AppstoreLogin:
    """Read a request to your login URI, with which Amazon's Appstore workflow begins at your site.

    Args:
        query: The URL of the request or its parameters.
        central: The URL of a Seller Central that is accepted besides Amazon's, as the sandbox's.

    Raises:
        AlteredCallbackError: A parameter is missing, repeated or odd, or `amazon_callback_uri` is not Amazon's, so that
            following it would send the selling partner to a stranger.
    """
    parameters = Parameters(query)
    del query  # a traceback that shows locals shall not show it
    return AppstoreLogin(
        callback_uri=parameters.visible("amazon_callback_uri"),
        amazon_state=parameters.one("amazon_state"),
        selling_partner_id=check_partner(parameters.one("selling_partner_id")),
        is_draft=parameters.maybe("version") == "beta",
        central=central,
    )


def appstore_callback_url(login: AppstoreLogin, *, state: str, redirect_uri: str | None = None) -> str:
    """Give the URL that takes a selling partner, who has signed in with you, back to Amazon.

    Args:
        login: Of `parse_login`.
        state: Of `States.make`, with the login's `selling_partner_id`; comes back in the callback.
        redirect_uri: As of `consent_url`.

    Raises:
        ConfigError: An argument is wrong.
    """
    parameters = [("amazon_state", login.amazon_state), ("state", _check_state(state))]
    if redirect_uri is not None:
        parameters.insert(0, ("redirect_uri", check_redirect_uri(redirect_uri)))
    if login.is_draft:
        parameters.append(_BETA)
    joint = "&" if "?" in login.callback_uri else "?"
    return f"{login.callback_uri}{joint}{_encode(parameters)}"


def check_redirect_uri(uri: str) -> str:
    """Give a redirect URI back.

    Raises:
        ConfigError: Amazon takes no such one.
    """
    parts = _split(uri)
    if parts is None or "@" in parts.netloc:
        raise ConfigError("redirect_uri must be a full URL, as in https://example.com/amazon/callback")
    if "#" in uri:
        raise ConfigError("redirect_uri has a fragment (#…): Amazon refuses that with MD5110")
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise ConfigError("redirect_uri must be https; only on this machine, with the sandbox, http will do")
    return uri


def check_partner(selling_partner_id: str) -> str:
    """Give the id of a selling partner back.

    Raises:
        AlteredCallbackError: No id looks like that.
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", selling_partner_id):
        raise AlteredCallbackError("selling_partner_id is no id of a selling partner")
    return selling_partner_id


def _central(marketplace: Marketplace | str | None, vendor: bool, central: str | None) -> str:
    if central is not None:
        parts = _split(central)
        if parts is None or parts.query or "#" in central:
            raise ConfigError("central must be a URL as in https://sellercentral.amazon.com")
        return central.rstrip("/")
    if marketplace is None:
        raise ConfigError("marketplace= is needed: the consent page is that of its Seller or Vendor Central")
    try:
        found = Marketplace(marketplace)
    except ValueError:
        raise ConfigError(f"marketplace {marketplace!r} is not known; give central= instead") from None
    return found.vendor_central if vendor else found.seller_central


def _check_callback_uri(uri: str, central: str | None) -> None:
    parts = _split(uri)
    if parts is None or "#" in uri:
        # Amazon has sent the path alone at times (amzn/selling-partner-api-models issue 1838): of which host is unsaid.
        raise AlteredCallbackError("amazon_callback_uri is no full URL: let the selling partner begin anew")
    is_amazons = parts.scheme == "https" and parts.netloc.lower() in CENTRAL_HOSTS
    if not is_amazons and (central is None or f"{parts.scheme}://{parts.netloc}" != _central(None, False, central)):
        raise AlteredCallbackError("amazon_callback_uri is of no Seller or Vendor Central of Amazon's")
    # Said twice, and it would be Amazon's choice which one counts.
    ours = {"redirect_uri", "amazon_state", "state", "version"}
    if any(name in ours for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        raise AlteredCallbackError("amazon_callback_uri has parameters that are ours to add")


def _split(url: str) -> _Parts | None:
    """Split a URL that can be read in one way only; None for any other."""
    if not _PLAIN(url):
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    return _Parts(parts.scheme, parts.netloc, parts.hostname, parts.query)


@attrs.frozen
class _Parts:
    scheme: str
    netloc: str
    hostname: str
    query: str


def _check_state(state: str) -> str:
    if not state:
        raise ConfigError("state is empty: make one with States.make")
    return state


def _encode(parameters: list[tuple[str, str]]) -> str:
    return urlencode(parameters, quote_via=quote, safe="")
