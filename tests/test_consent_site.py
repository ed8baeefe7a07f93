"""docs/examples/consent_site.py, the site of docs/how-to/authorise.md: in-process, and in a real browser.

The browser is a headless Chromium, spoken to over its DevTools protocol: aiohttp, which is here anyway, has the
websocket, and a click needs no more than a few commands. Where there is no Chromium, these tests are skipped.
"""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import itertools
import json
import os
import re
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import anyio
import httpx
import pytest
import pytest_asyncio
import uvicorn

from spapi_async import Marketplace, oauth
from spapi_async.sandbox import Registration, Sandbox, start_process

DOCS = Path(__file__).parents[1] / "docs"
ID = "amzn1.sp.solution.1"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("consent_site", DOCS / "examples" / "consent_site.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# -- in-process

SITE = "http://127.0.0.1:8000"


class Clock:
    """Seconds that pass when a test says so."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Visitor:
    """A browser without a screen: it keeps cookies, and follows a redirect when it is told to."""

    def __init__(self, site: Any, http: httpx.AsyncClient) -> None:
        self.site = site
        self.http = http

    async def get(self, url: str) -> httpx.Response:
        return await self.http.get(url)

    async def post(self, path: str, **form: str) -> httpx.Response:
        return await self.http.post(SITE + path, data=form)

    async def connect(self) -> str:
        """Press “Connect” and confirm at Amazon; give the URL of the callback."""
        reply = await self.post("/amazon/authorise", marketplace=Marketplace.DE.value)
        return await self.confirm(reply.headers["location"])

    async def confirm(self, url: str) -> str:
        html = (await self.get(url)).text
        visit = html.partition('name="visit" value="')[2].partition('"')[0].replace("&amp;", "&")
        form = {"visit": visit, "selling_partner_id": "A1", "decision": "confirm"}
        reply = await self.http.post("http://sandbox/apps/authorize/consent", data=form)
        return str(reply.headers["location"])


@asynccontextmanager
async def visiting(
    example: ModuleType, clock: Clock | None = None, *, is_draft: bool = False
) -> AsyncIterator[Visitor]:
    clock = clock or Clock()
    registration = Registration(
        application_id=ID,
        client_id="app",
        redirect_uris=[f"{SITE}/amazon/callback"],
        login_uri=f"{SITE}/amazon/login",
        is_draft=is_draft,
        asks_login=is_draft,
    )
    amazon = httpx.ASGITransport(app=Sandbox(registrations=[registration], clock=clock))
    states = oauth.States("k" * 32, clock=clock)
    site = example.Site(url=SITE, application_id=ID, states=states, draft=is_draft, central="http://sandbox")
    app = example.make_app(
        site,
        client_id="app",
        client_secret="secret",
        endpoint="http://sandbox",
        lwa_endpoint="http://sandbox/auth/o2/token",
        transport=amazon,
    )
    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), mounts={"http://sandbox": amazon}) as http,
        app.router.lifespan_context(app),
    ):
        yield Visitor(site, http)


@pytest.mark.asyncio
async def test_the_website_workflow(example: ModuleType) -> None:
    """Who connects is listed, and the token that is kept for the user opens the API."""
    async with visiting(example) as visitor:
        await visitor.post("/sign-in", user="alice")
        reply = await visitor.get(await visitor.connect())
        assert (reply.status_code, reply.headers["location"]) == (303, "/")
        assert "<li>A1</li>" in (await visitor.get(SITE + "/")).text
        sp = visitor.site.amazon.selling_partner(refresh_token=visitor.site.tokens.tokens["alice", "A1"])
        assert await sp.sellers_v1.get_marketplace_participations()


@pytest.mark.asyncio
@pytest.mark.parametrize("is_draft", [False, True])
async def test_by_the_login_uri(example: ModuleType, is_draft: bool) -> None:
    """From the Appstore, or as a draft from the site itself: after signing in and agreeing, the same in the end."""
    async with visiting(example, is_draft=is_draft) as visitor:
        if is_draft:
            await visitor.post("/sign-in", user="alice")
            reply = await visitor.get(await visitor.connect())
        else:
            url = await visitor.confirm(f"http://sandbox/selling-partner-appstore/dp/{ID}")
            reply = await visitor.get(url)
            assert "Your name" in reply.text
            reply = await visitor.post("/sign-in", user="alice")
        assert "Connect the selling partner <strong>A1</strong> with alice?" in reply.text
        reply = await visitor.get((await visitor.post("/amazon/resume")).headers["location"])
        await visitor.get(reply.headers["location"])
        assert list(visitor.site.tokens.tokens) == [("alice", "A1")]
        assert (await visitor.post("/amazon/resume")).headers["location"] == "/", "a login is used once"


@pytest.mark.asyncio
async def test_what_a_user_is_told(example: ModuleType) -> None:
    """Each refusal has its words, nothing is kept, and nothing of the request comes back in the page."""
    clock = Clock()
    async with visiting(example, clock) as visitor:
        await visitor.post("/sign-in", user="alice")
        url = await visitor.connect()
        code = parse_qs(urlsplit(url).query)["spapi_oauth_code"][0]
        replies = [await visitor.get(url.replace("state=", "state=x"))]
        replies.append(await visitor.get(url.partition("&spapi_oauth_code")[0]))
        replies.append(await visitor.get(f"{SITE}/amazon/login?amazon_callback_uri=https://evil.example"))
        replies.append(await visitor.get(url.replace(code, "another")))
        replies.append(await visitor.get(url))
        url = await visitor.connect()
        clock.now += 601
        replies.append(await visitor.get(url))
        words = [re.findall('<p id="error">(.*?)</p>', reply.text) for reply in replies]
        assert words[:4] == [["Amazon's answer does not fit what we asked. Nothing was connected."]] * 4
        assert words[4] == ["This was done already. If the selling partner is not connected, connect again."]
        assert words[5] == ["That took too long. Please connect again."]
        assert [reply.status_code for reply in replies] == [400] * 6
        assert not any(code in reply.text for reply in replies)
        assert visitor.site.tokens.tokens == {}


@pytest.mark.asyncio
async def test_a_strangers_callback(example: ModuleType) -> None:
    """A callback that somebody else began connects nothing to the user whose browser is made to bring it."""
    async with visiting(example) as visitor:
        await visitor.post("/sign-in", user="mallory")
        url = await visitor.connect()
        visitor.http.cookies.clear()
        await visitor.post("/sign-in", user="alice")
        assert (await visitor.get(url)).status_code == 400
        assert visitor.site.tokens.tokens == {}


@pytest.mark.asyncio
async def test_who_is_not_signed_in(example: ModuleType) -> None:
    """Only users connect, and a session begins anew when somebody signs in."""
    async with visiting(example) as visitor:
        assert (await visitor.post("/amazon/authorise", marketplace=Marketplace.DE.value)).status_code == 403
        await visitor.get(SITE + "/")
        before = visitor.http.cookies["session"]
        await visitor.post("/sign-in", user="alice")
        assert visitor.http.cookies["session"] != before
        assert list(visitor.site.sessions) == [visitor.http.cookies["session"]]


@pytest.mark.asyncio
async def test_no_page_tells_where_one_came_from(example: ModuleType) -> None:
    """States and codes are in URLs: each page and redirect forbids the referrer and a cache."""
    async with visiting(example) as visitor:
        replies = [await visitor.get(SITE + "/"), await visitor.post("/sign-in", user="alice")]
        replies.append(await visitor.post("/amazon/authorise", marketplace=Marketplace.DE.value))
        url = await visitor.connect()
        replies += [await visitor.get(url), await visitor.get(url)]
        assert [reply.status_code for reply in replies] == [200, 303, 303, 303, 400]
        assert {reply.headers["referrer-policy"] for reply in replies} == {"no-referrer"}
        assert {reply.headers["cache-control"] for reply in replies} == {"no-store"}


@pytest.mark.asyncio
async def test_it_is_set_up_from_the_environment(example: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """As uvicorn makes it: with the variables of the how-to, and nothing else."""
    for name, value in {
        "SPAPI_APPLICATION_ID": ID,
        "SPAPI_CLIENT_ID": "any",
        "SPAPI_CLIENT_SECRET": "any",
        "SPAPI_REGION": "eu",
        "SITE_URL": "https://example.com",
        "SITE_STATE_KEY": "k" * 32,
    }.items():
        monkeypatch.setenv(name, value)
    app = example.make_app()
    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="https://example.com") as http,
        app.router.lifespan_context(app),
    ):
        reply = await http.post("/sign-in", data={"user": "alice"})
        assert re.search("HttpOnly.*SameSite=lax; Secure", reply.headers["set-cookie"])
        reply = await http.post("/amazon/authorise", data={"marketplace": Marketplace.DE.value})
        assert reply.headers["location"].startswith(
            f"https://sellercentral-europe.amazon.com/apps/authorize/consent?application_id={ID}&state="
        )


def test_the_page_shows_the_file() -> None:
    """The parts of the code that the page quotes are in the file, letter by letter."""
    code = (DOCS / "examples" / "consent_site.py").read_text(encoding="utf-8")
    page = (DOCS / "how-to" / "authorise.md").read_text(encoding="utf-8")
    quotes = re.findall(r"a part of docs/examples/consent_site.py -->\n```python\n(.*?)```", page, re.DOTALL)
    assert quotes
    for quote in quotes:
        assert quote in code


# -- in a real browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE = 30.0  # seconds for anything that a browser does: it is slow to start on a busy machine

in_browser = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: `apt install chromium` to try it in a real browser"),
    pytest.mark.asyncio(loop_scope="module"),
]


class Browser:
    """A page of a headless Chromium.

    Attributes:
        visited: The URL of each document that was asked for, redirects among them, in order.
        referrers: What each of these requests told of the page before.
    """

    def __init__(self, socket_: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket_
        self._numbers = itertools.count()
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self.visited: list[str] = []
        self.referrers: list[str] = []

    async def listen(self) -> None:
        """Take what the browser sends, until it ends."""
        async for message in self._socket:
            event = json.loads(message.data)
            if "id" in event:
                self._answers.pop(event["id"]).set_result(event)
            elif event["method"] == "Page.loadEventFired":
                self._loaded.set()
            elif event["method"] == "Network.requestWillBeSent" and event["params"]["type"] == "Document":
                request = event["params"]["request"]
                self.visited.append(request["url"])
                self.referrers.append({n.lower(): v for n, v in request["headers"].items()}.get("referer", ""))

    async def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(PATIENCE):
            reply = await answer
        assert "error" not in reply, reply
        result: dict[str, Any] = reply["result"]
        return result

    async def evaluate(self, expression: str) -> Any:
        reply = await self.command("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in reply, f"{expression}: {reply}"
        return reply["result"].get("value")

    async def text(self) -> str:
        return str(await self.evaluate("document.body.innerText"))

    async def url(self) -> str:
        return str(await self.evaluate("location.href"))

    async def open(self, url: str) -> None:
        self._loaded.clear()
        await self.command("Page.navigate", url=url)
        await self._load()

    async def click(self, name: str) -> None:
        """Click the middle of an element, with the mouse, and wait for the page that it leads to."""
        box = await self.evaluate(f"document.getElementById({name!r}).getBoundingClientRect().toJSON()")
        place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        self._loaded.clear()
        for event in ("mousePressed", "mouseReleased"):
            await self.command("Input.dispatchMouseEvent", type=event, button="left", clickCount=1, **place)
        await self._load()

    async def forget(self) -> None:
        """Be another browser: without cookies, and nothing visited."""
        await self.command("Network.clearBrowserCookies")
        self.visited.clear()
        self.referrers.clear()

    async def photograph(self, name: str) -> None:
        """Save a picture, for people, where the environment says so."""
        if folder := os.environ.get("SCREENSHOTS"):
            picture = await self.command("Page.captureScreenshot")
            await anyio.Path(folder, f"{name}.png").write_bytes(base64.b64decode(picture["data"]))

    async def _load(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self._loaded.wait()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    assert CHROMIUM is not None
    folder = tmp_path_factory.mktemp("browser")
    options = ["--headless", f"--user-data-dir={folder}", "--remote-debugging-port=0", "--no-proxy-server"]
    options += ["--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run"]
    if os.geteuid() == 0:
        options.append("--no-sandbox")  # Chromium's own, which root cannot have
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(CHROMIUM, *options, "about:blank", stderr=pipe)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(PATIENCE):
            said = (await process.stderr.readuntil(b"/devtools/browser/")).decode()
        rest = asyncio.create_task(process.stderr.read())  # else it would wait for us to read on
        address = re.findall(r"ws://(.*?)/devtools", said)[-1]
        async with aiohttp.ClientSession() as http:
            async with http.get(f"http://{address}/json/list") as reply:
                [page] = [target for target in await reply.json() if target["type"] == "page"]
            async with http.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as socket_:
                found = Browser(socket_)
                listener = asyncio.create_task(found.listen())
                for domain in ("Page", "Network"):
                    await found.command(f"{domain}.enable")
                yield found
                await socket_.close()
                await listener
    finally:
        process.terminate()
        await process.wait()
    await rest


class Place:
    """Where the site and Amazon are, and the site itself."""

    def __init__(self, site: Any, url: str, amazon: str) -> None:
        self.site = site
        self.url = url
        self.amazon = amazon


class Server(uvicorn.Server):
    """A server that leaves the signals to pytest."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(example: ModuleType) -> AsyncIterator[Place]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # Another name than Amazon's, so that for the browser it is another site: cookies tell them apart.
        url = f"http://localhost:{listener.getsockname()[1]}"
        registration = Registration(
            application_id=ID,
            client_id="app",
            redirect_uris=[f"{url}/amazon/callback"],
            login_uri=f"{url}/amazon/login",
        )
        with start_process(registrations=[registration], applications={"app": "secret"}) as amazon:
            states = oauth.States("k" * 32)
            site = example.Site(url=url, application_id=ID, states=states, central=amazon.endpoint)
            app = example.make_app(
                site,
                client_id="app",
                client_secret="secret",
                endpoint=amazon.endpoint,
                lwa_endpoint=amazon.lwa_endpoint,
            )
            server = Server(uvicorn.Config(app, log_level="warning", ws="none", timeout_graceful_shutdown=1))
            task = asyncio.create_task(server.serve([listener]))
            yield Place(site, url, amazon.endpoint)
            server.should_exit = True
            await task


async def _sign_in(browser: Browser, place: Place) -> None:
    await browser.forget()
    place.site.tokens.tokens.clear()
    await browser.open(place.url)
    await browser.click("sign-in")
    assert "Welcome, alice" in await browser.text()


class TestInBrowser:
    pytestmark = in_browser

    async def test_the_website_workflow(self, browser: Browser, place: Place) -> None:
        """A seller connects, confirms at Amazon, and is back; the code is gone from the address bar."""
        await _sign_in(browser, place)
        await browser.photograph("1-home")
        await browser.click("connect")
        assert (await browser.url()).startswith(f"{place.amazon}/apps/authorize/consent?application_id={ID}&state=")
        await browser.photograph("2-amazon")
        await browser.click("confirm")
        assert await browser.url() == f"{place.url}/"
        assert "SELLER1" in await browser.text()
        await browser.photograph("3-connected")
        assert list(place.site.tokens.tokens) == [("alice", "SELLER1")]
        assert [url for url in browser.visited if "spapi_oauth_code=" in url]

        callback = next(url for url in browser.visited if "spapi_oauth_code=" in url)
        await browser.open(callback)
        assert "This was done already." in await browser.text()
        await browser.photograph("4-replayed")
        await browser.open(callback.replace("state=", "state=x"))
        assert "Amazon's answer does not fit what we asked." in await browser.text()
        assert set(browser.referrers) == {""}

    async def test_the_appstore_workflow(self, browser: Browser, place: Place) -> None:
        """Who comes from the Appstore signs in, goes back to Amazon, and ends as well connected."""
        await browser.forget()
        place.site.tokens.tokens.clear()
        await browser.open(f"{place.amazon}/selling-partner-appstore/dp/{ID}")
        await browser.click("confirm")
        assert (await browser.url()).startswith(f"{place.url}/amazon/login?amazon_callback_uri=")
        await browser.click("sign-in")
        await browser.photograph("5-from-the-appstore")
        assert "Connect the selling partner SELLER1 with alice?" in await browser.text()
        await browser.click("continue")
        assert await browser.url() == f"{place.url}/"
        assert list(place.site.tokens.tokens) == [("alice", "SELLER1")]
        assert set(browser.referrers) == {""}

    async def test_cancel(self, browser: Browser, place: Place) -> None:
        """Who cancels stays at Amazon, and nothing is connected."""
        await _sign_in(browser, place)
        await browser.click("connect")
        await browser.click("cancel")
        assert (await browser.url()).startswith(place.amazon)
        assert "Not authorised" in await browser.text()
        await browser.photograph("6-cancelled")
        assert place.site.tokens.tokens == {}

    async def test_another_browser(self, browser: Browser, place: Place) -> None:
        """A callback in a browser that did not begin it connects nothing, though the code is good."""
        await _sign_in(browser, place)
        await browser.click("connect")
        # What Amazon would send back, without the browser that it is for.
        html = str(await browser.evaluate("document.documentElement.outerHTML"))
        visit = re.findall(r'name="visit" value="(.*?)"', html)[0].replace("&amp;", "&")
        form = {"visit": visit, "selling_partner_id": "SELLER1", "decision": "confirm"}
        async with httpx.AsyncClient(trust_env=False) as http:
            reply = await http.post(f"{place.amazon}/apps/authorize/consent", data=form)
        await _sign_in(browser, place)
        await browser.open(reply.headers["location"])
        assert "Amazon's answer does not fit what we asked." in await browser.text()
        assert place.site.tokens.tokens == {}
