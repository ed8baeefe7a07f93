"""Where a selling partner is sent."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, strategies as st

from spapi_async import AlteredCallbackError, ConfigError, Marketplace, oauth
from spapi_async.marketplaces import CENTRAL_HOSTS

APP = "amzn1.sp.solution.1"
BACK = "https://example.com/amazon/callback"


def test_the_consent_url() -> None:
    """It is Amazon's, with each value encoded once."""
    url = oauth.consent_url(APP, marketplace=Marketplace.US, state="s.t-a_te", redirect_uri=BACK, draft=True)
    assert url == (
        "https://sellercentral.amazon.com/apps/authorize/consent?application_id=amzn1.sp.solution.1&state=s.t-a_te"
        "&redirect_uri=https%3A%2F%2Fexample.com%2Famazon%2Fcallback&version=beta"
    )


@pytest.mark.parametrize("marketplace", Marketplace)
@pytest.mark.parametrize("vendor", [False, True])
def test_every_marketplace_has_its_consent_page(marketplace: Marketplace, vendor: bool) -> None:
    """Sellers consent at the marketplace's Seller Central, vendors at its Vendor Central; redirect_uri can be left."""
    url = urlsplit(oauth.consent_url(APP, marketplace=marketplace.value, vendor=vendor, state="s"))
    expected = marketplace.vendor_central if vendor else marketplace.seller_central
    assert (f"{url.scheme}://{url.netloc}", url.path) == (expected, "/apps/authorize/consent")
    assert parse_qs(url.query) == {"application_id": [APP], "state": ["s"]}


def test_another_central() -> None:
    """The sandbox stands in for Seller Central."""
    url = oauth.consent_url(APP, central="http://127.0.0.1:8900/", state="s")
    assert url.startswith("http://127.0.0.1:8900/apps/authorize/consent?")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"application_id": "amzn1.application-oa2-client.1"}, "is a client id"),
        ({"application_id": ""}, "application_id is empty"),
        ({"application_id": "a b"}, "application_id is empty or has characters"),
        ({"state": ""}, "state is empty"),
        ({"marketplace": None}, "marketplace= is needed"),
        ({"marketplace": "XX"}, "'XX' is not known"),
        ({"redirect_uri": BACK + "#top"}, "MD5110"),
        ({"redirect_uri": BACK + "#"}, "MD5110"),
        ({"redirect_uri": "http://example.com/cb"}, "must be https"),
        ({"redirect_uri": "/amazon/callback"}, "must be a full URL"),
        ({"redirect_uri": "https://user:pw@example.com/"}, "must be a full URL"),
        ({"redirect_uri": "https://example.com/a b"}, "must be a full URL"),
        ({"redirect_uri": "https://[example.com/"}, "must be a full URL"),
        ({"redirect_uri": "ftp://example.com/"}, "must be a full URL"),
        ({"central": "sellercentral.amazon.com"}, "central must be a URL"),
        ({"central": "https://sellercentral.amazon.com?x=1"}, "central must be a URL"),
    ],
)
def test_what_amazon_would_refuse(changes: dict[str, Any], words: str) -> None:
    """A mistake shows here, not on a page of Amazon's that a selling partner sees."""
    arguments: dict[str, Any] = {"application_id": APP, "state": "s", "marketplace": Marketplace.US}
    arguments |= {"redirect_uri": BACK} | changes
    with pytest.raises(ConfigError, match=words):
        oauth.consent_url(arguments.pop("application_id"), **arguments)


@pytest.mark.parametrize("uri", ["http://localhost:8000/cb", "http://127.0.0.1/cb", "http://[::1]:1/cb", BACK + "?a=1"])
def test_redirect_uris_that_will_do(uri: str) -> None:
    """On this machine http will do, and a query is no fragment."""
    url = oauth.consent_url(APP, marketplace=Marketplace.US, state="s", redirect_uri=uri)
    assert parse_qs(urlsplit(url).query)["redirect_uri"] == [uri]


# -- the Appstore workflow

LOGIN = {
    "amazon_callback_uri": "https://amazon.com/apps/authorize/confirm/amzn1.sp.solution.1",
    "amazon_state": "MTY+/=&%",
    "selling_partner_id": "A3FHEXAMPLEYWS",
}


def test_an_appstore_login_is_read() -> None:
    """Whom Amazon brings, and what it wants back."""
    login = oauth.parse_login(LOGIN)
    assert login.callback_uri == LOGIN["amazon_callback_uri"]
    assert (login.amazon_state, login.selling_partner_id, login.is_draft) == ("MTY+/=&%", "A3FHEXAMPLEYWS", False)
    assert "MTY" not in repr(login)


@given(amazon_state=st.text(min_size=1, alphabet=st.characters(codec="utf-8")))
def test_amazon_state_goes_back_unchanged(amazon_state: str) -> None:
    """Whatever characters it has."""
    login = oauth.parse_login(LOGIN | {"amazon_state": amazon_state})
    url = oauth.appstore_callback_url(login, state="s", redirect_uri=BACK)
    assert url.startswith(LOGIN["amazon_callback_uri"] + "?")
    expected = {"redirect_uri": [BACK], "amazon_state": [amazon_state], "state": ["s"]}
    assert parse_qs(urlsplit(url).query, strict_parsing=True) == expected


def test_a_draft_stays_a_draft() -> None:
    """`version=beta` came from Amazon and goes back; the redirect URI can be left out."""
    url = oauth.appstore_callback_url(oauth.parse_login(LOGIN | {"version": "beta"}), state="s")
    assert url.endswith("/amzn1.sp.solution.1?amazon_state=MTY%2B%2F%3D%26%25&state=s&version=beta")


@pytest.mark.parametrize("host", sorted(CENTRAL_HOSTS))
def test_every_central_is_amazons(host: str) -> None:
    """A callback URI of any known Seller or Vendor Central is followed, and one that has a query of its own."""
    uri = f"https://{host}/apps/authorize/confirm/x?locale=de"
    url = oauth.appstore_callback_url(oauth.parse_login(LOGIN | {"amazon_callback_uri": uri}), state="s")
    assert url.startswith(uri + "&amazon_state=")


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/apps/authorize/confirm/x",
        "http://sellercentral.amazon.com/apps/authorize/confirm/x",
        "https://sellercentral.amazon.com.evil.example/",
        "https://sellercentral.amazon.com@evil.example/",
        "https://evil.example\\@sellercentral.amazon.com/",
        "https://sellercentral.amazon.com\\.evil.example/",
        "https://sellercentral.amazon.com:8443/",
        "https://user@sellercentral.amazon.com/",
        "https://evilsellercentral.amazon.com/",
        "https://sellercentral.amazon.com/#/x",
        "https://s3.amazon.com/",
        "//sellercentral.amazon.com/apps",
        "/apps/authorize/confirm/x",
        "https:/evil.example/",
        "https:evil.example",
        "https:///evil.example",
        "javascript:alert(1)//https://sellercentral.amazon.com/",
        "data:text/html,x",
        " https://sellercentral.amazon.com/",
        "https://sellercentral.amazon.com/\r\nSet-Cookie: a=b",
        "https://sellercentral.аmazon.com/",
        "https://sellercentral.amazon.com/x?redirect_uri=https://evil.example",
        "https://sellercentral.amazon.com/x?state=theirs",
        "https://sellercentral.amazon.com:x/",
        "http://127.0.0.1:8901/",
    ],
)
def test_a_strangers_callback_uri(uri: str) -> None:
    """A callback URI that is not Amazon's is not followed, however it looks, nor in a login put together by hand."""
    with pytest.raises(AlteredCallbackError, match="amazon_callback_uri"):
        oauth.parse_login(LOGIN | {"amazon_callback_uri": uri}, central="http://127.0.0.1:8900")
    with pytest.raises(AlteredCallbackError):
        oauth.AppstoreLogin(callback_uri=uri, amazon_state="s", selling_partner_id="A")


def test_the_sandboxes_callback_uri() -> None:
    """With `central`, that one is followed too, and no other of its scheme, host or port."""
    uri = "http://127.0.0.1:8900/apps/authorize/confirm/x"
    assert oauth.parse_login(LOGIN | {"amazon_callback_uri": uri}, central="http://127.0.0.1:8900").callback_uri == uri
    with pytest.raises(AlteredCallbackError, match="of no Seller or Vendor Central"):
        oauth.parse_login(LOGIN | {"amazon_callback_uri": uri})


@pytest.mark.parametrize("name", LOGIN)
def test_a_login_that_lacks_something(name: str) -> None:
    """Each of the three parameters must be there, once."""
    with pytest.raises(AlteredCallbackError, match=f"{name} is missing"):
        oauth.parse_login({key: value for key, value in LOGIN.items() if key != name})
    with pytest.raises(AlteredCallbackError, match=f"{name} is there more than once"):
        oauth.parse_login({key: [value, value] if key == name else value for key, value in LOGIN.items()})


@pytest.mark.parametrize("seller", ["<script>", "A/../B", "A B", "A" * 101])
def test_a_selling_partner_that_is_none(seller: str) -> None:
    """An id is letters, digits and a few signs: it ends in pages, logs and keys."""
    with pytest.raises(AlteredCallbackError, match="selling_partner_id is no id"):
        oauth.parse_login(LOGIN | {"selling_partner_id": seller})
