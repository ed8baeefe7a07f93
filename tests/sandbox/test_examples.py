from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spapi_async.errors import ConfigError
from spapi_async.operation import UsagePlan
from spapi_async.sandbox import Sandbox

pytestmark = pytest.mark.anyio

US = "ATVPDKIKX0DER"
ORDERS = "/orders/v0/orders"
SEND = "/messaging/v1/orders/{amazonOrderId}/messages/confirmOrderDetails"
SOLICIT = "/solicitations/v1/orders/{amazonOrderId}/solicitations/productReviewAndSellerFeedback"
SHIPMENT = "/orders/v0/orders/{orderId}/shipment"
RESTRICTIONS = "/listings/2021-08-01/restrictions"
RDT = "/tokens/2021-03-01/restrictedDataToken"
PLENTY = {"*": UsagePlan(1000, 1000)}


def _pair(response: Any, **parameters: Any) -> dict[str, Any]:
    return {"request": {"parameters": {name: {"value": v} for name, v in parameters.items()}}, "response": response}


def _responses(**pairs: list[Any]) -> dict[str, Any]:
    return {"responses": {code[1:]: {"x-amzn-api-sandbox": {"static": listed}} for code, listed in pairs.items()}}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with one model, made by hand in the form of Amazon's."""
    orders = _responses(
        _200=[
            _pair({"it": "is general"}, MarketplaceIds=[US]),
            _pair({"it": "is special"}, MarketplaceIds=[US], MaxResultsPerPage=7),
            _pair({"it": "is first"}, CreatedAfter="SAME"),
        ],
        _400=[
            _pair({"errors": []}, MarketplaceIds=[US], MaxResultsPerPage=8),
            _pair({"errors": [{"code": "E", "message": "bad"}]}, CreatedAfter="BAD"),
            _pair({}, CreatedAfter="SAME"),
        ],
        _429=[_pair({"errors": []}, CreatedAfter="BUSY")],
    )
    send = _responses(_201=[_pair({}, amazonOrderId="123-1234567-1234567", body={"attachments": [{"fileName": "a"}]})])
    restrictions = _responses(_200=[{"request": {"parameters": {"body": {}}}, "response": {"it": "lists nothing"}}])
    shipment = _responses(
        _204=[_pair({}, orderId="123-1234567-1234567")],
        _400=[_pair({"errors": []}, payload={}), _pair({"errors": [{"code": "E"}]}, payload={"orderItems": []})],
    )
    rdt = _responses(
        _200=[
            _pair(
                {"restrictedDataToken": "Atz.sprdt|canned", "expiresIn": 3600},
                body={"restrictedResources": [{"path": f"{ORDERS}/902-1845936-5435065/address"}]},
            )
        ]
    )
    empty = {"responses": {"204": {"x-amazon-spds-sandbox-behaviors": [{"request": {"parameters": {}}}]}}}
    paths = {
        ORDERS: {"get": orders},
        SHIPMENT: {"post": shipment},
        RESTRICTIONS: {"get": restrictions},
        SEND: {"post": send},
        SOLICIT: {"post": _responses(_201=[_pair({}, amazonOrderId="123-1234567-1234567")])},
        RDT: {"post": rdt},
        "/appIntegrations/2024-04-01/notifications/deletion": {"post": empty},
        "/unknown": {"get": orders},
    }
    folder = tmp_path / "some-api-model"
    folder.mkdir()
    (folder / "model.json").write_text(json.dumps({"swagger": "2.0", "paths": paths}))
    return tmp_path


@pytest.mark.parametrize(
    ("query", "status", "body"),
    [
        ({"MarketplaceIds": US}, 200, {"it": "is general"}),
        ({"MarketplaceIds": US, "MaxResultsPerPage": "7"}, 200, {"it": "is special"}),
        ({"MarketplaceIds": US, "MaxResultsPerPage": "8"}, 400, {"errors": []}),
        ({"MarketplaceIds": US, "MaxResultsPerPage": "9"}, 200, {"it": "is general"}),
        ({"MarketplaceIds": US, "CreatedAfter": "SAME"}, 200, {"it": "is general"}),
        ({"MarketplaceIds": "A1PA6795UKMFR9", "CreatedAfter": "SAME"}, 200, {"it": "is first"}),
        ({"CreatedAfter": "BAD"}, 400, {"errors": [{"code": "E", "message": "bad"}]}),
        ({"CreatedAfter": "BUSY"}, 429, {"errors": []}),
    ],
)
async def test_the_pair_that_fits_best(connect: Any, models: Path, query: Any, status: int, body: Any) -> None:
    """What is listed must be equal; more listed goes first, then success, then the order in the file."""
    async with connect(Sandbox(models=models, plans=PLENTY)) as caller:
        reply = await caller.get(ORDERS, **query)
    assert (reply.status_code, reply.json()) == (status, body)


async def test_no_pair_fits(connect: Any, models: Path) -> None:
    """What Amazon's static sandbox does not know is answered as without models, arguments checked."""
    async with connect(Sandbox(models=models, plans=PLENTY)) as caller:
        reply = await caller.get(ORDERS, MarketplaceIds="A1PA6795UKMFR9")
        assert reply.json()["payload"]["Orders"]
        assert (await caller.get(ORDERS, CreatedAfter="SAME")).status_code == 400


async def test_a_pair_without_reply(connect: Any, models: Path) -> None:
    """The other spelling of the mark is read too, and a 204 has no body; a required body must be there all the same."""
    async with connect(Sandbox(models=models, plans=PLENTY)) as caller:
        path = "/appIntegrations/2024-04-01/notifications/deletion"
        reply = await caller.post(path, {"any": "thing"})
        assert (reply.status_code, reply.content) == (204, b"")
        assert "content-length" not in reply.headers
        assert (await caller.post(path)).status_code == 400


async def test_a_204_with_an_object(connect: Any, models: Path) -> None:
    """Amazon writes `{}` beside some 204s; it is not sent, since it would be read as the start of the next reply."""
    async with connect(Sandbox(models=models, plans=PLENTY)) as caller:
        path = SHIPMENT.replace("{orderId}", "123-1234567-1234567")
        reply = await caller.post(path, {"marketplaceId": US, "shipmentStatus": "ReadyForPickup"})
    assert (reply.status_code, reply.content) == (204, b"")


async def test_an_entry_that_lists_nothing(connect: Any, models: Path) -> None:
    """An empty entry for the body asks for no body, not even where the operation takes one."""
    async with connect(Sandbox(models=models, plans=PLENTY)) as caller:
        reply = await caller.get(RESTRICTIONS, asin="A", sellerId="S", marketplaceIds=US)
    assert (reply.status_code, reply.json()) == (200, {"it": "lists nothing"})


async def test_an_empty_list_lists_more_than_nothing(connect: Any, models: Path) -> None:
    """The pair that asks for an empty list goes before the one that asks for no more than a body."""
    async with connect(Sandbox(models=models, plans=PLENTY)) as caller:
        path = SHIPMENT.replace("{orderId}", "902-1845936-5435065")
        replies = [await caller.post(path, body) for body in ({"orderItems": []}, {"orderItems": [{}]})]
    assert [reply.json() for reply in replies] == [{"errors": [{"code": "E"}]}, {"errors": []}]


async def test_a_message_of_the_static_sandbox_is_remembered(connect: Any, models: Path) -> None:
    """Also when it names an attachment that was never uploaded; a second solicitation is still refused."""
    app = Sandbox(models=models, plans=PLENTY)
    async with connect(app) as caller:
        body = {"text": "x", "attachments": [{"fileName": "a", "uploadDestinationId": "1"}]}
        path = SEND.replace("{amazonOrderId}", "123-1234567-1234567")
        assert (await caller.post(path, body, marketplaceIds=US)).status_code == 201
        path = SOLICIT.replace("{amazonOrderId}", "123-1234567-1234567")
        replies = [await caller.post(path, marketplaceIds=US) for _ in range(2)]
    assert [reply.status_code for reply in replies] == [201, 403]
    assert [[file.file_name for file in message.attachments] for message in app.state.messages] == [["a"], []]


async def test_a_canned_restricted_data_token_works(connect: Any, models: Path) -> None:
    """The token of Amazon's example opens what the request asked for."""
    async with connect(Sandbox(models=models)) as caller:
        address = f"{ORDERS}/902-1845936-5435065/address"
        await caller.post(RDT, {"restrictedResources": [{"method": "GET", "path": address}]})
        reply = await caller.http.get(address, headers={"x-amz-access-token": "Atz.sprdt|canned"})
    assert reply.status_code == 200


async def test_a_folder_without_models(tmp_path: Path) -> None:
    """No folder, no files, or files that are no models are told at the start."""
    for folder in [tmp_path / "nowhere", tmp_path]:
        with pytest.raises(ConfigError, match="Swagger"):
            Sandbox(models=folder)
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(ConfigError, match=r"a\.json"):
        Sandbox(models=tmp_path)
