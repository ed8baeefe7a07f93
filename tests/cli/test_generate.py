"""From newer models to packages of a user's own, which work with any client."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from spapi_async import ArgumentError, SellingPartner
from spapi_async.cli import generate as command, main
from spapi_async.sandbox import Sandbox

pytest.importorskip("ruff", reason="the generator needs ruff")

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "models"

MODEL: dict[str, Any] = {
    "swagger": "2.0",
    "info": {"title": "Shop", "version": "2027-01-01"},
    "paths": {
        "/shop/2027-01-01/orders": {
            "get": {
                "operationId": "listOrders",
                "description": "| Rate (requests per second) | Burst |\n| ---- | ---- |\n| 0.5 | 30 |\n",
                "parameters": [
                    {"name": "marketplaceIds", "in": "query", "type": "array", "items": {"type": "string"}},
                    {"name": "nextToken", "in": "query", "type": "string"},
                ],
                "responses": {"200": {"description": "", "schema": {"$ref": "#/definitions/Page"}}},
            },
            "post": {
                "operationId": "createOrder",
                "parameters": [
                    {"name": "body", "in": "body", "required": True, "schema": {"$ref": "#/definitions/Order"}}
                ],
                "responses": {"201": {"description": "", "schema": {"$ref": "#/definitions/Order"}}},
            },
        }
    },
    "definitions": {
        "Page": {
            "type": "object",
            "properties": {
                "orders": {"type": "array", "items": {"$ref": "#/definitions/Order"}},
                "nextToken": {"type": "string"},
            },
        },
        "Order": {
            "type": "object",
            "required": ["id"],
            "properties": {
                "id": {"type": "string"},
                "createdAt": {"type": "string", "format": "date-time"},
                "status": {"type": "string", "enum": ["NEW", "DONE"]},
            },
        },
    },
}
OVERRIDES = """
[modules]
"shop_2027-01-01.json" = "shop_2027_01_01"

[facts.shop_2027_01_01.operations.list_orders]
paging = { argument = "nextToken", token = "nextToken", items = "orders" }
"""
NEW = "+ the whole module: 2 operations, 2 classes"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's folder, on the path, with a model and what he knows about it."""
    (tmp_path / "models" / "deep").mkdir(parents=True)
    (tmp_path / "models" / "deep" / "shop_2027-01-01.json").write_text(json.dumps(MODEL))
    (tmp_path / "ours.toml").write_text(OVERRIDES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "myapis"]:
        del sys.modules[name]


def generate(*words: str) -> int:
    return main(["generate", "--models", "models", "--out", "myapis", *words])


def client(answer: Callable[[httpx.Request], httpx.Response] | httpx.AsyncBaseTransport) -> SellingPartner:
    transport = answer if isinstance(answer, httpx.AsyncBaseTransport) else httpx.MockTransport(_with_token(answer))
    return SellingPartner(
        client_id="id",
        client_secret="secret",
        refresh_token="Atzr|SELLER1",
        endpoint="http://amazon",
        lwa_endpoint="http://amazon/auth/o2/token",
        transport=transport,
    )


def _with_token(answer: Callable[[httpx.Request], httpx.Response]) -> Callable[[httpx.Request], httpx.Response]:
    token = httpx.Response(200, json={"access_token": "Atza|1", "expires_in": 3600})
    return lambda request: token if request.url.path == "/auth/o2/token" else answer(request)


@pytest.mark.asyncio
async def test_a_module_of_my_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A package for a new API is generated, imported, and called: arguments, bodies, replies and pages."""
    assert generate("--overrides", "ours.toml") == 0
    assert capsys.readouterr().out.splitlines() == ["shop_2027_01_01", f"  {NEW}", "written: myapis/shop_2027_01_01"]
    shop: Any = importlib.import_module("myapis.shop_2027_01_01")
    pages: Mapping[str | None, Any] = {
        None: {"orders": [{"id": "1", "createdAt": "2027-01-01T00:00:00Z"}], "nextToken": "t"},
        "t": {"orders": [{"id": "2"}]},
    }

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(201, content=request.content)
        return httpx.Response(200, json=pages[request.url.params.get("nextToken")])

    async with client(answer) as sp:
        api = sp.api(shop.Shop20270101)
        orders = [order async for order in api.list_orders(marketplace_ids=["A"])]
        assert orders[0] == shop.Order(id="1", created_at=orders[0].created_at)
        assert orders[0].created_at.year == 2027
        assert await api.create_order(body=shop.Order(id="3")) == shop.Order(id="3")
        assert await api.create_order(body={"id": "4"}) == shop.Order(id="4")
        with pytest.raises(ArgumentError, match=r"body\.id is required"):
            await api.create_order(body={"status": "NEW"})


@pytest.mark.asyncio
async def test_it_works_without_the_client_that_knows_it(folder: Path) -> None:
    """A generated class takes any `send`, and the plan it was generated with is kept."""
    generate("--overrides", "ours.toml")
    shop: Any = importlib.import_module("myapis.shop_2027_01_01.client")
    async with client(lambda _: httpx.Response(200, json={})) as sp:
        assert (await shop.Shop20270101(sp.send).list_orders()).orders is None
    assert str(shop.op.LIST_ORDERS.plan) == "0.5 requests/s, burst 30"


def test_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same command again changes nothing; `--check` tells what it would write and writes nothing."""
    words = ["--overrides", "ours.toml"]
    assert generate(*words, "--check") == 1
    assert capsys.readouterr().out.splitlines()[-1] == "to write: myapis/shop_2027_01_01"
    assert not (folder / "myapis").exists()
    generate(*words)
    (folder / "myapis" / "mine.py").write_text("")
    (folder / "myapis" / "shop_2027_01_01" / "old.py").write_text("")
    before = {path: path.read_bytes() for path in (folder / "myapis").rglob("*.py")}
    assert generate(*words) == 0
    old = folder / "myapis" / "shop_2027_01_01" / "old.py"
    assert {path: path.read_bytes() for path in (folder / "myapis").rglob("*.py")} | {old: b""} == before
    capsys.readouterr()
    assert generate(*words, "--check") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "nothing to write in myapis"


def test_the_code_is_the_users_own(folder: Path) -> None:
    """It imports `spapi_async` by its name, says which command made it, and is a typed package."""
    generate("--overrides", "ours.toml")
    texts = {path.name: path.read_text() for path in (folder / "myapis").rglob("*.py")}
    assert not [name for name, text in texts.items() if "from .." in text or "codegen" in text]
    assert "from spapi_async.operation import Operation, Parameter, UsagePlan" in texts["operations.py"]
    assert "`spapi-async generate`" in texts["models.py"]
    mypy = pytest.importorskip("mypy.api", reason="mypy is not installed")
    use = "from myapis.shop_2027_01_01 import Order, Shop20270101\n\nreveal_type(Shop20270101.list_orders)\n"
    (folder / "use.py").write_text(use)
    out, _, status = mypy.run(["--strict", "--cache-dir", str(folder / "cache"), "use.py"])
    assert status == 0, out
    assert "Pager[" in out


def test_files_without_a_module(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that nobody knows needs a name for its module; the error is the text to put into --overrides."""
    (folder / "models" / "schema.json").write_text('{"$schema": "not Swagger"}')
    assert generate() == 2
    out, err = capsys.readouterr()
    assert '--overrides:\n[modules]\n"shop_2027-01-01.json" = "shop_2027_01_01"\n' in err
    assert not out
    assert not (folder / "myapis").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[modules", "it is no TOML"),
        ("commit = 'x'", "commit: only [modules] and [facts] belong here"),
        ('[modules]\n"shop_2027-01-01.json" = "../x"', "small letters, digits and underscores"),
        (f"{OVERRIDES}plan = [0, 1, 'me']", "rate must be a finite number above 0"),
        (OVERRIDES.replace("list_orders", "list_oders"), "list_oders: there is no such operation"),
        (OVERRIDES.replace("nextToken", "token"), "there is no argument token"),
    ],
)
def test_overrides_that_are_wrong(text: str, words: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistake in a user's own facts is told, and nothing is written."""
    (folder / "ours.toml").write_text(text)
    assert generate("--overrides", "ours.toml") == 2
    assert words in capsys.readouterr().err
    assert not (folder / "myapis").exists()


def test_models_that_are_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What has not been seen before is told for all files at once, with the place."""
    for name in ("orders_2026-01-01.json", "shop_2027-01-01.json"):
        model = json.loads(json.dumps(MODEL))
        del model["paths"]["/shop/2027-01-01/orders"]["get"]
        model["paths"]["/shop/2027-01-01/orders"]["post"]["x-new"] = 1
        (folder / "models" / "deep" / name).write_text(json.dumps(model))
    (folder / "ours.toml").write_text(OVERRIDES.partition("[facts")[0])
    assert generate("--overrides", "ours.toml") == 2
    err = capsys.readouterr().err
    assert "orders_2026-01-01.json: paths./shop/2027-01-01/orders.post.x-new: a key not seen before" in err
    assert "shop_2027-01-01.json: paths./shop/2027-01-01/orders.post.x-new: a key not seen before" in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--only", "orders_v0"], "orders_v0: none of the files"),
        (["--models", "nowhere"], "nowhere is no folder"),
        (["--supplement", "nowhere"], "nowhere is no folder"),
        (["--models", "empty"], "there are no models"),
        (["--overrides", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_what_is_not_there(words: list[str], told: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Folders, files and modules that are not there are told in one line."""
    (folder / "empty").mkdir()
    assert generate(*words) == 2
    err = capsys.readouterr().err
    assert told in err
    assert err.count("\n") == 1


def test_without_ruff(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra that brings it is named."""
    monkeypatch.setattr(command, "find_spec", lambda _: None)
    assert generate("--overrides", "ours.toml") == 2
    assert "pip install 'spapi-async[generate]'" in capsys.readouterr().err


def test_what_others_wrote_stays(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that this command did not make is not replaced."""
    (folder / "myapis" / "shop_2027_01_01").mkdir(parents=True)
    (folder / "myapis" / "shop_2027_01_01" / "mine.py").write_text("x = 1\n")
    assert generate("--overrides", "ours.toml") == 2
    assert "was not made by this command" in capsys.readouterr().err
    assert (folder / "myapis" / "shop_2027_01_01" / "mine.py").read_text() == "x = 1\n"


@pytest.mark.skipif(not SHARED.is_dir(), reason="Amazon's models are not in ../shared/models")
class TestAmazonsModels:
    @pytest.fixture
    def orders(self, folder: Path) -> Path:
        """Amazon's orders and sellers, as if a newer release had changed the first of them."""
        for model in ("orders-api-model/ordersV0.json", "sellers-api-model/sellers.json"):
            (folder / "models" / Path(model).name).write_bytes((SHARED / model).read_bytes())
        (folder / "models" / "deep" / "shop_2027-01-01.json").unlink()
        path = folder / "models" / "ordersV0.json"
        model = json.loads(path.read_text())
        get_order = model["paths"]["/orders/v0/orders/{orderId}"]["get"]
        get_order["description"] = get_order["description"].replace("0.5", "0.75")
        history = json.loads(json.dumps(get_order).replace("getOrder", "getOrderHistory"))
        history["responses"] = {"200": {"description": "", "schema": {"$ref": "#/definitions/GetOrderResponse"}}}
        model["paths"]["/orders/v0/orders/{orderId}/history"] = {"get": history}
        del model["paths"]["/orders/v0/orders/{orderId}/address"]
        order = model["definitions"]["Order"]
        order["properties"]["GiftMessage"] = {"type": "string"}
        order["required"].remove("PurchaseDate")
        order["properties"]["OrderStatus"]["enum"].append("Teleported")
        shipment = model["definitions"]["ConfirmShipmentRequest"]
        shipment["properties"]["droneId"] = {"type": "string"}
        shipment["required"].append("droneId")
        path.write_text(json.dumps(model))
        return path

    def test_the_report(self, orders: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """It tells operations, plans, fields and values that differ from this release, and only these."""
        assert generate("--changed") == 0
        out = capsys.readouterr().out.splitlines()
        assert out[0] == "orders_v0"
        assert {line.strip() for line in out[1:-1]} >= {
            "+ operation get_order_history: GET /orders/v0/orders/{orderId}/history, 0.75/s, burst 30 (model)",
            "- operation get_order_address: GET /orders/v0/orders/{orderId}/address",
            "~ operation get_order, plan: 0.5/s, burst 30 (model) -> 0.75/s, burst 30 (model)",
            "+ Order.gift_message: str",
            "~ Order.purchase_date: no longer required",
            "+ value OrderOrderStatus: Teleported",
            "+ ConfirmShipmentRequest.drone_id: str, required",
            "- class GetOrderAddressResponse",
        }
        assert out[-1] == "written: myapis/orders_v0"

    @pytest.mark.asyncio
    async def test_both_side_by_side(self, orders: Path) -> None:
        """The package with newer models and the one of this release can be used together, each with its own rules."""
        generate()
        newer: Any = importlib.import_module("myapis.orders_v0")
        async with client(httpx.ASGITransport(app=Sandbox())) as sp:
            mine = sp.api(newer.OrdersV0)
            reply = await mine.get_order(order_id="902-1845936-5435065")
            assert type(reply.payload) is newer.Order
            assert reply.payload.gift_message is None
            assert type((await sp.orders_v0.get_order(order_id="902-1845936-5435065")).payload) is not newer.Order
            body = {"marketplaceId": "A1PA6795UKMFR9", "packageDetail": {}}
            arguments: dict[str, Any] = {"order_id": "902-1845936-5435065", "body": body}
            with pytest.raises(ArgumentError, match=r"body\.droneId is required"):
                await mine.confirm_shipment(**arguments)
            with pytest.raises(ArgumentError) as caught:
                await sp.orders_v0.confirm_shipment(**arguments)
            assert "droneId" not in str(caught.value)

    def test_everything(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Of the models of this release, without the supplement, what the supplement adds is missing, and no more."""
        assert main(["generate", "--models", str(SHARED), "--out", "myapis", "--changed", "--check"]) == 1
        changes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
        assert changes
        assert all(line.startswith("  - ") for line in changes)
        command_line = [sys.executable, "-m", "spapi_async", "generate", "--models", str(SHARED), "--out", "myapis"]
        supplement = ["--supplement", str(SHARED.with_name("models-supplement")), "--check"]
        done = subprocess.run([*command_line, *supplement], capture_output=True, text=True)
        assert done.stdout.splitlines()[0] == "nothing differs from this release"
