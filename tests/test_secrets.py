"""No secret leaves: not in logs, events, errors, pickles, nor in the locals of a traceback, however a call ends."""

from __future__ import annotations

import copy
import io
import logging
import os
import pickle
import sys
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import httpx
import orjson
import pytest
from _pytest._io.saferepr import saferepr
from rich.console import Console
from rich.pretty import pretty_repr
from rich.traceback import Traceback

import spapi_async
from spapi_async import Application, AwsCredentials, SellingPartner, SpapiError
from spapi_async.apis.orders_v0.operations import GET_ORDERS
from spapi_async.auth import Credentials, FileStore, MemoryStore, Token
from spapi_async.auth.lwa import read_token
from spapi_async.hidden import bare, hide
from spapi_async.middleware import Next
from spapi_async.operation import Call, Reply
from spapi_async.sandbox import Sandbox

pytestmark = pytest.mark.anyio

# Long, as Amazon's are: tools that cut a long text show its beginning.
CLIENT_SECRET = "amzn1.oa2-cs.v1." + "5ecre7" * 30
REFRESH_TOKEN = "Atzr|SELLER1.5ecre7" + "c0ffee" * 50
ORDER = "902-1845936-5435065"
PACKAGE = str(Path(spapi_async.__file__).parent)


class Amazon(httpx.ASGITransport):
    """The sandbox; notes every access token that it gave out, and can fail in the middle of anything."""

    def __init__(self) -> None:
        self.sandbox = Sandbox()
        super().__init__(app=self.sandbox)
        self.failure: tuple[str, BaseException | httpx.Response] | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.failure is not None and request.url.path.startswith(self.failure[0]):
            outcome = self.failure[1]
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome
        return await super().handle_async_request(request)

    @property
    def secrets(self) -> list[str]:
        return [CLIENT_SECRET, REFRESH_TOKEN, *self.sandbox._lwa._grants]


def found(text: str, secrets: list[str]) -> list[str]:
    """Give the secrets of which a telling part is in the text, as it is or as in a URL or form."""
    # Its beginning tells nothing (`Atza|`), and a tool may have cut its end.
    return [secret for secret in secrets if secret[8:24] in text or secret[-16:] in text]


def frames(error: BaseException | None) -> list[FrameType]:
    """Give our own frames of an error and of what caused it."""
    ours: list[FrameType] = []
    while error is not None:
        trace: TracebackType | None = error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename.startswith((PACKAGE, "<attrs generated")):
                ours.append(trace.tb_frame)
            trace = trace.tb_next
        error = error.__cause__ or error.__context__
    return ours


def told(error: BaseException) -> str:
    """Give all that can be printed of an error, but for the locals of others' frames."""
    text = [str(error), repr(error)]
    for frame in frames(error):
        text += [f"{name} = {saferepr(value)} {pretty_repr(value)}" for name, value in frame.f_locals.items()]
    if isinstance(error, SpapiError):
        text.append(pickle.dumps(error).decode("latin-1"))
        attributes = {name: value for name, value in vars(error).items() if name not in ("body", "headers")}
        text.append(repr(attributes))
    return "\n".join(text)


def in_rich(error: BaseException) -> str:
    """Give the traceback as `rich.traceback.install(show_locals=True)` prints it."""
    console = Console(file=io.StringIO(), width=300)
    options: Any = {"show_locals": True, "locals_max_string": None, "locals_max_length": None}
    trace = Traceback.from_exception(
        type(error), error, error.__traceback__, suppress=[httpx, sys.modules[__name__]], **options
    )
    console.print(trace)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


@pytest.fixture
def amazon() -> Amazon:
    return Amazon()


def client(amazon: Amazon, **options: Any) -> SellingPartner:
    return SellingPartner(
        **{
            "client_id": "app",
            "client_secret": CLIENT_SECRET,
            "refresh_token": REFRESH_TOKEN,
            "endpoint": "http://sb",
            "lwa_endpoint": "http://sb/auth/o2/token",
            "transport": amazon,
            **options,
        }
    )


async def get_order(sp: SellingPartner) -> None:
    await sp.orders_v0.get_order(order_id=ORDER)


async def get_address(sp: SellingPartner) -> None:
    await sp.orders_v0.get_order_address(order_id=ORDER)


async def get_destinations(sp: SellingPartner) -> None:
    await sp.notifications_v1.get_destinations()


def odd(**content: object) -> httpx.Response:
    return httpx.Response(200, json=content)


# What of Amazon a call passes.
WAYS = {
    get_order: ("/auth", "/orders"),
    get_address: ("/auth", "/orders", "/tokens"),
    get_destinations: ("/auth", "/notifications"),
}
FAILURES: list[tuple[Callable[[SellingPartner], Awaitable[None]], tuple[str, BaseException | httpx.Response]]] = [
    (call, failure)
    for call in (get_order, get_address, get_destinations)
    for failure in (
        ("/auth", httpx.ReadError("cut")),
        ("/auth", ZeroDivisionError("a fault of the transport")),
        ("/auth", httpx.Response(400, json={"error": "invalid_grant", "error_description": "revoked"})),
        ("/auth", httpx.Response(401, json={"error": "invalid_client", "error_description": CLIENT_SECRET})),
        ("/auth", odd(refresh_token=REFRESH_TOKEN)),
        ("/auth", httpx.Response(200, content=b"<" + REFRESH_TOKEN.encode())),
        ("/orders", httpx.ReadError("cut")),
        ("/orders", ZeroDivisionError("a fault of the transport")),
        ("/orders", KeyboardInterrupt("^C")),
        (
            "/orders",
            httpx.Response(403, json={"errors": [{"code": "Unauthorized", "message": "access token expired"}]}),
        ),
        ("/orders", httpx.Response(500)),
        ("/orders", httpx.Response(200, content=b"<")),
        ("/tokens", httpx.Response(500)),
        ("/tokens", odd(restrictedDataToken=REFRESH_TOKEN)),
        ("/tokens", odd(payload=REFRESH_TOKEN)),
        ("/notifications", httpx.Response(403)),
    )
    if failure[0] in WAYS[call]
]


@pytest.mark.parametrize(
    ("anyio_backend", "call", "failure"),
    # The way of a restricted call holds that of the others.
    [(loop, *case) for case in FAILURES for loop in ("asyncio", "trio") if loop == "asyncio" or case[0] is get_address],
)
async def test_a_run_tells_no_secret(
    amazon: Amazon,
    call: Callable[[SellingPartner], Awaitable[None]],
    failure: tuple[str, BaseException | httpx.Response],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a failing and a succeeding run emit at DEBUG, and what can be made of its errors, holds no secret."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("anyio.sleep", _no_sleep)
    told_of: list[object] = []
    store = MemoryStore()
    sp = client(amazon, on_event=told_of.append, token_store=store)
    error: BaseException | None = None
    try:
        await call(sp)
        amazon.sandbox.revoke("")  # so that the token is refused in the middle of what follows
        await call(sp)
        amazon.failure = failure
        sp._application._tokens._entries.clear()
        store._values.clear()
        try:
            await call(sp)
        except BaseException as caught:
            error = caught
        amazon.failure = None
    finally:
        await sp.aclose()
    assert error is not None
    things = [sp, sp._application, sp._credentials, sp._application._secret, sp._application._config, *told_of]
    text = "\n".join(f"{thing!s} {thing!r} {pretty_repr(thing)}" for thing in things)
    text += (
        "".join(pickle.dumps(event).decode("latin-1") for event in told_of) + caplog.text + "".join(capfd.readouterr())
    )
    text += told(error)
    if isinstance(error, ZeroDivisionError) and call is get_order:  # slow, and shows no more than the locals above
        text += in_rich(error)
    assert not found(text, amazon.secrets)


async def _no_sleep(seconds: float) -> None:
    return None


@pytest.mark.parametrize(
    "wrong",
    [
        {"region": "mars", "endpoint": None},
        {"client_secret": CLIENT_SECRET + " "},
        {"refresh_token": REFRESH_TOKEN + " "},
        {"client_id": ""},
        {"timeout": 3},
        {"plans": {"orders_v0.get_ordr": spapi_async.UsagePlan(1, 1)}},
    ],
)
async def test_a_client_that_cannot_be_made_tells_no_secret(amazon: Amazon, wrong: dict[str, Any]) -> None:
    """Neither the error nor the locals of our frames hold what the client was to be made of."""
    with pytest.raises(SpapiError) as caught:
        client(amazon, **wrong)
    assert frames(caught.value)
    assert not found(told(caught.value), amazon.secrets)


async def test_an_environment_that_lacks_something_tells_no_secret(amazon: Amazon) -> None:
    """`from_env` names what is missing, and shows nothing of what is there."""
    for read in (SellingPartner.from_env, Application.from_env, Credentials.from_env):
        with pytest.raises(SpapiError) as caught:
            read({"SPAPI_CLIENT_SECRET": CLIENT_SECRET, "SPAPI_REFRESH_TOKEN": REFRESH_TOKEN})
        assert not found(told(caught.value), amazon.secrets)


@pytest.mark.parametrize(("status", "name"), [(200, "refresh_token"), (500, "access_token")])
async def test_an_odd_answer_of_lwa_is_not_told(amazon: Amazon, status: int, name: str) -> None:
    """An answer that holds a token and is none all the same shows nothing of it."""
    with pytest.raises(SpapiError) as caught:
        read_token(status, {}, orjson.dumps({name: REFRESH_TOKEN}))
    assert not found(told(caught.value), amazon.secrets)


async def test_a_wrong_new_secret_is_not_told(amazon: Amazon) -> None:
    """Swapping the client secret for one that cannot be right shows neither of them."""
    sp = client(amazon)
    for swap in (sp.set_client_secret, sp._application.set_client_secret):
        with pytest.raises(SpapiError) as caught:
            swap(CLIENT_SECRET + "\n")
        assert not found(told(caught.value), amazon.secrets)
    await sp.aclose()


async def test_a_stage_of_the_user_that_fails(amazon: Amazon) -> None:
    """A middleware or inner stage that raises sees a call whose repr holds no token, and our frames hold none."""

    async def fail(call: Call, next_: Next) -> Reply:
        assert call.headers["x-amz-access-token"]
        raise ZeroDivisionError(repr(call))

    sp = client(amazon)
    with pytest.raises(ZeroDivisionError) as caught:
        await sp.send(GET_ORDERS.call(), inner=[fail])
    assert not found(told(caught.value), amazon.secrets)
    await sp.aclose()


async def test_a_secret_is_text_that_does_not_show(anyio_backend: str) -> None:
    """`Secret` is a `str` in every use, and hides from repr, rich and tracebacks with locals."""
    secret = hide(CLIENT_SECRET)
    assert secret == CLIENT_SECRET
    assert f"{secret}" == "".join([secret]) == CLIENT_SECRET
    assert "5ecre7" not in repr(secret) + repr({"a": secret}) + pretty_repr([secret], max_string=80)
    try:
        raise ValueError
    except ValueError as error:
        text = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "Secret(…)" in text
    assert copy.copy(secret) is copy.deepcopy(secret) is secret
    assert hide(None) is None
    assert hide(3) == 3  # type: ignore[type-var]


async def test_what_holds_a_secret_is_not_pickled(amazon: Amazon) -> None:
    """A task queue or a cache would keep it in plain text."""
    store = MemoryStore()
    async with client(amazon, token_store=store) as sp:
        await get_order(sp)
        for thing in (
            hide(CLIENT_SECRET),
            sp._credentials,
            Token(value=REFRESH_TOKEN, expires_in=3600.0),
            GET_ORDERS.call().with_header("x-amz-access-token", hide(REFRESH_TOKEN)),
            store,
        ):
            with pytest.raises(TypeError, match="holds a secret"):
                pickle.dumps(thing)


@pytest.mark.parametrize("wrong", [{"access_key_id": "A B"}, {"secret_access_key": " "}, {"session_token": "\n"}])
async def test_wrong_aws_keys_are_not_told(wrong: dict[str, str], anyio_backend: str) -> None:
    """Neither the error nor the locals of our frames hold the keys, the wrong ones among them."""
    secrets = {"secret_access_key": CLIENT_SECRET, "session_token": REFRESH_TOKEN}
    given = {"access_key_id": "AKIDEXAMPLE", **secrets}
    with pytest.raises(SpapiError) as caught:
        AwsCredentials(**{name: value + wrong.get(name, "") for name, value in given.items()})
    assert frames(caught.value)
    assert not found(told(caught.value), list(secrets.values()))


async def test_bare_errors_hold_no_frames(anyio_backend: str) -> None:
    """`bare` takes the tracebacks off an error and all that caused it, also when causes go round in circles."""
    one, two = ValueError("one"), ValueError("two")
    for error in (one, two):
        try:
            raise error
        except ValueError:
            pass
    one.__cause__, two.__cause__ = two, one
    assert bare(one) is one
    assert one.__traceback__ is two.__traceback__ is None


async def test_a_file_store_names_no_secret(anyio_backend: str, tmp_path: Path) -> None:
    """Neither names of files nor keys in them hold a secret; a credential never gets there at all."""
    amazon = Amazon()
    async with client(amazon, token_store=FileStore(tmp_path / "tokens.json")) as sp:
        await get_address(sp)
    text = (tmp_path / "tokens.json").read_text()
    assert not found(text, [CLIENT_SECRET, REFRESH_TOKEN])
    assert found(text, amazon.secrets)
    assert not found(repr(os.listdir(tmp_path)), amazon.secrets)
