"""Seller Central as the sandbox plays it."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from spapi_async.errors import ConfigError
from spapi_async.sandbox import Registration, Sandbox

pytestmark = pytest.mark.anyio

CONSENT = "/apps/authorize/consent"
BACK = "https://example.com/cb"
ID = "amzn1.sp.solution.1"
APP: dict[str, Any] = {"application_id": ID, "client_id": "app", "redirect_uris": [BACK, BACK + "?x=1"]}
LISTED = APP | {"login_uri": "https://example.com/login?from=amazon"}
STORE = f"/selling-partner-appstore/dp/{ID}"
ASK = {"application_id": ID, "state": "S+/&", "redirect_uri": BACK}


def sandbox(clock: Any = None, **changes: Any) -> Sandbox:
    options = {} if clock is None else {"clock": clock}
    return Sandbox(registrations=[Registration(**(APP | changes))], **options)


async def decide(caller: Any, page: httpx.Response, **changes: str) -> httpx.Response:
    """Press a button of the consent page."""
    assert page.status_code == 200, page.text
    visit = unescape(re.findall(r'name="visit" value="(.*?)"', page.text)[0])
    form = {"visit": visit, "selling_partner_id": "A1", "decision": "confirm"} | changes
    reply: httpx.Response = await caller.http.post(CONSENT, data=form)
    return reply


def fields(reply: httpx.Response, to: str) -> dict[str, str]:
    """Give the parameters of a redirect that must lead to a URL."""
    assert reply.status_code == 302, reply.text
    location = reply.headers["location"]
    assert location.startswith(to)
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query, strict_parsing=True).items()}


async def exchange(caller: Any, code: str, **changes: str) -> httpx.Response:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "client_id": "app"}
    reply: httpx.Response = await caller.http.post("/auth/o2/token", data=form | {"client_secret": "s"} | changes)
    return reply


async def new_code(caller: Any) -> str:
    return fields(await decide(caller, await caller.get(CONSENT, **ASK)), BACK)["spapi_oauth_code"]


async def test_confirm(connect: Any) -> None:
    """The redirect URI gets the state as it was, the selling partner and a code; the code buys a refresh token."""
    async with connect(sandbox()) as caller:
        back = fields(await decide(caller, await caller.get(CONSENT, **ASK)), BACK + "?")
        assert back == {"state": "S+/&", "selling_partner_id": "A1", "spapi_oauth_code": back["spapi_oauth_code"]}
        answer = (await exchange(caller, back["spapi_oauth_code"])).json()
        assert (answer["token_type"], answer["expires_in"]) == ("bearer", 3600)
        assert answer["access_token"].startswith("Atza|")
        assert (await caller.log_in(answer["refresh_token"])).status_code == 200
        assert (await caller.get("/sellers/v1/marketplaceParticipations")).status_code == 200


async def test_cancel(connect: Any) -> None:
    """Amazon sends nobody back who cancels; the page cannot be answered again."""
    async with connect(sandbox()) as caller:
        page = await caller.get(CONSENT, **ASK)
        reply = await decide(caller, page, decision="cancel")
        assert (reply.status_code, "Not authorised" in reply.text) == (200, True)
        assert (await decide(caller, page)).status_code == 400


async def test_no_page_is_told_where_one_came_from(connect: Any) -> None:
    """Pages, redirects and errors forbid the referrer, and to be kept or framed."""
    async with connect(sandbox()) as caller:
        page = await caller.get(CONSENT, **ASK)
        for reply in (page, await decide(caller, page), await caller.get(CONSENT)):
            assert reply.headers["referrer-policy"] == "no-referrer"
            assert reply.headers["cache-control"] == "no-store"
            assert reply.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    ("registration", "changes", "words"),
    [
        ({"is_draft": True}, {}, "MD1000"),
        ({"is_draft": True}, {"version": "alpha"}, "MD1000"),
        ({}, {"application_id": "amzn1.sp.solution.2"}, "MD1000"),
        ({}, {"redirect_uri": "https://example.com/other"}, "MD5101"),
        ({}, {"redirect_uri": BACK + "/"}, "MD5101"),
        ({}, {"redirect_uri": BACK + "#x"}, "MD5110"),
        ({}, {"state": ""}, "parameter state is missing"),
        ({}, {"application_id": ""}, "parameter application_id is missing"),
    ],
)
async def test_errors_at_consent(connect: Any, registration: Any, changes: dict[str, str], words: str) -> None:
    """A page with Amazon's code, and nobody is sent anywhere."""
    async with connect(sandbox(**registration)) as caller:
        reply = await caller.get(CONSENT, **(ASK | changes))
        assert (reply.status_code, words in reply.text) == (400, True)


async def test_a_draft_with_beta(connect: Any) -> None:
    """A draft is confirmed with `version=beta`, which does no harm to a published application either."""
    for is_draft in (True, False):
        async with connect(sandbox(is_draft=is_draft)) as caller:
            assert (await caller.get(CONSENT, **ASK, version="beta")).status_code == 200


async def test_the_first_redirect_uri_is_the_default(connect: Any) -> None:
    """Without one, the first that is registered; one that has a query keeps it."""
    async with connect(sandbox()) as caller:
        fields(await decide(caller, await caller.get(CONSENT, application_id=ID, state="S")), BACK + "?state=")
        page = await caller.get(CONSENT, **(ASK | {"redirect_uri": BACK + "?x=1"}))
        assert fields(await decide(caller, page), BACK + "?x=1&state=")["x"] == "1"


async def test_nothing_of_the_request_gets_into_the_page_as_html(connect: Any) -> None:
    """A page that anybody can fill is still only text."""
    async with connect(Sandbox()) as caller:
        page = await caller.get(CONSENT, **(ASK | {"application_id": "<script>alert(1)</script>"}))
        assert "<script>" not in page.text
        assert "&lt;script&gt;" in page.text


async def test_who_consents(connect: Any) -> None:
    """The selling partner is chosen on the page, by letters and digits."""
    async with connect(sandbox()) as caller:
        reply = await decide(caller, await caller.get(CONSENT, **ASK), selling_partner_id="B2")
        assert fields(reply, BACK)["selling_partner_id"] == "B2"
        for odd in ("", "A|B", "A.B", "<b>"):
            assert (await decide(caller, await caller.get(CONSENT, **ASK), selling_partner_id=odd)).status_code == 400


async def test_a_page_expires(connect: Any, clock: Any) -> None:
    """The whole of it must be done within ten minutes."""
    async with connect(sandbox(clock)) as caller:
        page = await caller.get(CONSENT, **ASK)
        clock.now += 600
        assert (await decide(caller, page)).status_code == 400


async def test_without_registrations_any_application_will_do(connect: Any) -> None:
    """Any id and redirect URI; a draft by its name; the code is for any client."""
    async with connect(Sandbox()) as caller:
        ask = ASK | {"application_id": "amzn1.sellerapps.app.x"}
        assert (await exchange(caller, await new_code(caller), client_id="whoever")).status_code == 200
        assert "MD1000" in (await caller.get(CONSENT, **(ask | {"application_id": "my-draft"}))).text
        assert "MD5110" in (await caller.get(CONSENT, **(ask | {"redirect_uri": BACK + "#x"}))).text
        assert "MD9100" in (await caller.get(CONSENT, application_id=ID, state="S")).text


async def test_a_hybrid_application(connect: Any) -> None:
    """Its callback has an MWS token."""
    async with connect(sandbox(is_hybrid=True)) as caller:
        assert fields(await decide(caller, await caller.get(CONSENT, **ASK)), BACK)["mws_auth_token"]


# -- codes


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code": "made-up"}, "invalid_grant"),
        ({"client_id": "other"}, "invalid_grant"),
        ({"redirect_uri": BACK + "?x=1"}, "invalid_grant"),
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"redirect_uri": ""}, "invalid_request"),
        ({"code": ""}, "invalid_request"),
    ],
)
async def test_a_code_is_bound(connect: Any, changes: dict[str, str], error: str) -> None:
    """To the client and the redirect URI; a refused exchange does not use it up."""
    async with connect(sandbox()) as caller:
        code = await new_code(caller)
        assert (await exchange(caller, **({"code": code} | changes))).json()["error"] == error
        assert (await exchange(caller, code)).status_code == 200


async def test_a_code_is_taken_once(connect: Any) -> None:
    """Its second exchange is `invalid_grant`."""
    async with connect(sandbox()) as caller:
        code = await new_code(caller)
        assert [(await exchange(caller, code)).status_code for _ in range(2)] == [200, 400]


async def test_a_code_lives_five_minutes(connect: Any, clock: Any) -> None:
    """Until then and no longer."""
    async with connect(sandbox(clock)) as caller:
        codes = [await new_code(caller) for _ in range(2)]
        clock.now += 299.9
        assert (await exchange(caller, codes[0])).status_code == 200
        clock.now += 0.1
        assert (await exchange(caller, codes[1])).json()["error"] == "invalid_grant"


# -- by the login URI


async def test_the_appstore(connect: Any) -> None:
    """From the application's page to its login URI, to Amazon's callback URI, and back; both states stay the same."""
    async with connect(sandbox(**LISTED)) as caller:
        login = fields(await decide(caller, await caller.get(STORE)), "https://example.com/login?from=amazon&")
        uri = login["amazon_callback_uri"]
        assert login == {
            "from": "amazon",
            "amazon_callback_uri": f"http://sandbox/apps/authorize/confirm/{ID}",
            "amazon_state": login["amazon_state"],
            "selling_partner_id": "A1",
        }
        answer = {"amazon_state": login["amazon_state"], "state": "S", "redirect_uri": BACK}
        for wrong in ({"amazon_state": "x"}, {"amazon_state": ""}, {"state": ""}):
            assert (await caller.get(uri, **(answer | wrong))).status_code == 400
        assert (await caller.get(uri + "2", **answer)).status_code == 400
        assert "MD5101" in (await caller.get(uri, **(answer | {"redirect_uri": "https://x.example"}))).text
        back = fields(await caller.get(uri, **answer), BACK)
        assert (back["state"], back["selling_partner_id"]) == ("S", "A1")
        assert (await exchange(caller, back["spapi_oauth_code"])).status_code == 200
        assert (await caller.get(uri, **answer)).status_code == 400, "amazon_state was used"


@pytest.mark.parametrize(("changes", "code"), [({}, "MD9100"), (LISTED | {"is_draft": True}, "MD1000")])
async def test_who_is_not_in_the_appstore(connect: Any, changes: dict[str, Any], code: str) -> None:
    """An application without a login URI, and a draft."""
    async with connect(sandbox(**changes)) as caller:
        assert code in (await caller.get(STORE)).text


async def test_a_draft_by_its_login_uri(connect: Any) -> None:
    """With `asks_login` the website workflow passes by the login URI; a draft says `version=beta` on each way."""
    async with connect(sandbox(**LISTED, is_draft=True, asks_login=True)) as caller:
        login = fields(await decide(caller, await caller.get(CONSENT, **ASK, version="beta")), LISTED["login_uri"])
        assert login["version"] == "beta"
        answer = {"amazon_state": login["amazon_state"], "state": "S2"}
        assert "MD1000" in (await caller.get(login["amazon_callback_uri"], **answer)).text
        reply = await caller.get(login["amazon_callback_uri"], **answer, version="beta")
        assert fields(reply, BACK)["state"] == "S2"


async def test_a_page_that_is_none(connect: Any) -> None:
    """Other verbs find nothing."""
    async with connect(sandbox()) as caller:
        assert (await caller.http.put(CONSENT)).status_code == 400
        assert (await caller.http.post(STORE)).status_code == 400


# -- registrations


@pytest.mark.parametrize(
    "registration", [Registration(**APP), Registration(**LISTED, is_draft=True, asks_login=True, is_hybrid=True)]
)
async def test_a_registration_as_text(registration: Registration) -> None:
    """What goes to the sandbox's own process comes out there as it was."""
    assert Registration.parse(str(registration)) == registration


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "redirect_uri=https://a",
        "application_id=1",
        "application_id=1&application_id=2&redirect_uri=https://a",
        "application_id=1&redirect_uri=https://a&colour=red",
        "application_id=1&redirect_uri=https://a%23x",
        "application_id=1&redirect_uri=https://a&login_uri=https://a%23x",
    ],
)
async def test_a_text_that_is_no_registration(text: str) -> None:
    """It is refused when the sandbox starts."""
    with pytest.raises(ConfigError):
        Registration.parse(text)
