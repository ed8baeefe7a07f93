from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from spapi_async.errors import ConfigError
from spapi_async.operation import UsagePlan
from spapi_async.sandbox import Sandbox
from spapi_async.sandbox.messaging import KINDS

pytestmark = pytest.mark.anyio

US = "ATVPDKIKX0DER"
ORDER = "902-1845936-5435065"
PLENTY = {"*": UsagePlan(1000, 1000)}
SOLICITATION = "productReviewAndSellerFeedback"


def _sandbox() -> Sandbox:
    return Sandbox(plans=PLENTY)


async def _actions(caller: Any, order_id: str = ORDER, api: str = "messaging") -> list[str]:
    reply = await caller.get(f"/{api}/v1/orders/{order_id}", marketplaceIds=US)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/hal+json"
    return [action["name"] for action in reply.json()["_links"]["actions"]]


async def _send(caller: Any, kind: str = "confirmOrderDetails", order_id: str = ORDER, **body: Any) -> Any:
    body = body or {"text": "Which size did you mean?"}
    return await caller.post(f"/messaging/v1/orders/{order_id}/messages/{kind}", body, marketplaceIds=US)


async def _solicit(caller: Any, order_id: str = ORDER) -> Any:
    path = f"/solicitations/v1/orders/{order_id}/solicitations/{SOLICITATION}"
    return await caller.post(path, marketplaceIds=US)


async def test_the_actions_of_an_order(connect: Any) -> None:
    """All kinds that Amazon still has are offered, as HAL: links that can be followed, and the same embedded."""
    async with connect(_sandbox()) as caller:
        hal = (await caller.get(f"/messaging/v1/orders/{ORDER}", marketplaceIds=US)).json()
    assert [action["name"] for action in hal["_links"]["actions"]] == list(KINDS)
    assert hal["_links"]["self"]["href"] == f"/messaging/v1/orders/{ORDER}?marketplaceIds={US}"
    [first, *_] = hal["_embedded"]["actions"]
    assert first["_links"]["self"] == hal["_links"]["actions"][0]
    assert first["_links"]["self"]["href"].startswith(f"/messaging/v1/orders/{ORDER}/messages/")


async def test_the_buyers_language(connect: Any) -> None:
    """The attributes of an order tell the buyer's locale; here it is that of the marketplace."""
    async with connect(_sandbox()) as caller:
        for marketplace, locale in ((US, "en-US"), ("A1PA6795UKMFR9", "de-DE")):
            reply = await caller.get(f"/messaging/v1/orders/{ORDER}/attributes", marketplaceIds=marketplace)
            assert reply.json() == {"buyer": {"locale": locale}}


async def test_a_message_is_remembered(connect: Any) -> None:
    """A send is answered with 201 and an empty object; what the buyer received can be looked up."""
    async with connect(_sandbox()) as caller:
        reply = await _send(caller)
        assert (reply.status_code, reply.json()) == (201, {})
        [message] = (await caller.get("/_sandbox/messages")).json()
    assert message.pop("time").endswith("+00:00")
    assert message == {
        "order_id": ORDER,
        "seller": "SELLER1",
        "kind": "confirmOrderDetails",
        "marketplace_id": US,
        "text": "Which size did you mean?",
        "attachments": [],
        "coverage": ["", ""],
        "request_id": reply.headers["x-amzn-requestid"],
    }


async def test_sending_twice_delivers_twice(connect: Any) -> None:
    """Nothing protects a buyer from a second message but the client; the action is still offered after the first."""
    app = _sandbox()
    async with connect(app) as caller:
        assert [(await _send(caller)).status_code for _ in range(2)] == [201, 201]
        assert "confirmOrderDetails" in await _actions(caller)
    assert len(app.state.messages) == 2


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        ("confirmOrderDetails", {"text": ""}, "at least 1"),
        ("confirmOrderDetails", {"text": "x" * 2001}, "at most 2000"),
        ("confirmCustomizationDetails", {"text": "x" * 801}, "at most 800"),
        ("digitalAccessKey", {"text": "x" * 401}, "at most 400"),
        ("confirmOrderDetails", {"attachments": []}, "1 to 2000"),
        (
            "confirmOrderDetails",
            {"text": "x", "attachments": [{"uploadDestinationId": "1", "fileName": "a"}]},
            "0 to 0",
        ),
        ("legalDisclosure", {"text": "x"}, "no text"),
        ("invoice", {"attachments": []}, "at least 1"),
        (
            "digitalAccessKey",
            {"text": "x", "attachments": [{"uploadDestinationId": "1", "fileName": "a"}]},
            "not exist",
        ),
    ],
)
async def test_a_body_that_does_not_suit_the_kind(connect: Any, kind: str, body: Any, words: str) -> None:
    """Text and attachments have the limits of their kind; what breaks them is a 400 and reaches nobody."""
    app = _sandbox()
    async with connect(app) as caller:
        reply = await _send(caller, kind, **body)
        [error] = reply.json()["errors"]
    assert (reply.status_code, error["code"]) == (400, "InvalidInput")
    assert words in error["message"] + error["details"]
    assert not app.state.messages


async def test_an_order_that_does_not_exist(connect: Any) -> None:
    """`000-0000404-*` is unknown to every operation on orders."""
    async with connect(_sandbox()) as caller:
        replies = [
            await _send(caller, order_id="000-0000404-1234567"),
            await caller.get("/orders/v0/orders/000-0000404-1234567"),
        ]
    assert [(r.status_code, r.json()["errors"][0]["code"]) for r in replies] == [(404, "NotFound")] * 2


async def test_an_order_that_offers_nothing(connect: Any) -> None:
    """`000-0000403-*` has an empty list of actions, and a send is a 403 that speaks of the template, not of a token."""
    app = _sandbox()
    async with connect(app) as caller:
        assert await _actions(caller, "000-0000403-0000001") == []
        assert await _actions(caller, "000-0000403-0000001", "solicitations") == []
        reply = await _send(caller, order_id="000-0000403-0000001")
        [error] = reply.json()["errors"]
        assert (reply.status_code, error["code"]) == (403, "Unauthorized")
        assert "template" in error["message"]
        assert "token" not in reply.text
        assert (await _solicit(caller, "000-0000403-0000001")).status_code == 403
    assert not app.state.messages


async def test_an_order_that_offers_some_kinds(connect: Any) -> None:
    """`000-0000405-*` takes two kinds and refuses the others."""
    async with connect(_sandbox()) as caller:
        assert await _actions(caller, "000-0000405-0000001") == ["confirmDeliveryDetails", "unexpectedProblem"]
        kinds = ["confirmDeliveryDetails", "confirmOrderDetails"]
        statuses = [(await _send(caller, kind, "000-0000405-0000001")).status_code for kind in kinds]
    assert statuses == [201, 403]


async def test_an_order_that_takes_each_kind_once(connect: Any) -> None:
    """`000-0000409-*` no longer offers a kind that was sent, but the others, and all of them to another seller."""
    async with connect(_sandbox()) as caller:
        statuses = [(await _send(caller, order_id="000-0000409-0000001")).status_code for _ in range(2)]
        assert statuses == [201, 403]
        assert "confirmOrderDetails" not in await _actions(caller, "000-0000409-0000001")
        assert len(await _actions(caller, "000-0000409-0000001")) == len(KINDS) - 1
        await caller.log_in("Atzr|SELLER2")
        assert "confirmOrderDetails" in await _actions(caller, "000-0000409-0000001")


async def test_an_order_that_changes_in_between(connect: Any) -> None:
    """`000-0000410-*` offers everything, and refuses every send: its state changed after the question."""
    async with connect(_sandbox()) as caller:
        assert await _actions(caller, "000-0000410-0000001") == list(KINDS)
        assert (await _send(caller, order_id="000-0000410-0000001")).status_code == 403
        assert (await _solicit(caller, "000-0000410-0000001")).status_code == 403


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_an_order_that_fails(connect: Any, status: int) -> None:
    """`000-00005NN-*` answers with that status, and nobody receives anything."""
    app = _sandbox()
    async with connect(app) as caller:
        assert (await _send(caller, order_id=f"000-0000{status}-0000001")).status_code == status
    assert not app.state.messages


@pytest.mark.parametrize("order_id", ["403-0000403-0000403", "404-1234567-1234567", "000-0000001-0000404"])
async def test_ordinary_order_ids_are_ordinary(connect: Any, order_id: str) -> None:
    """Amazon gives out ids that begin with 403 or 404: only `000-0000...` is special."""
    async with connect(_sandbox()) as caller:
        assert (await _send(caller, order_id=order_id)).status_code == 201


async def test_one_solicitation_an_order(connect: Any) -> None:
    """The first is a 201, and the action disappears; the second is a 403 and reaches nobody."""
    app = _sandbox()
    async with connect(app) as caller:
        assert await _actions(caller, api="solicitations") == [SOLICITATION]
        replies = [await _solicit(caller) for _ in range(2)]
        assert await _actions(caller, api="solicitations") == []
    assert [reply.status_code for reply in replies] == [201, 403]
    assert replies[1].json()["errors"][0]["code"] == "Unauthorized"
    assert [(message.kind, message.text) for message in app.state.messages] == [(SOLICITATION, "")]


@pytest.mark.parametrize(
    ("order_id", "is_open"),
    [("000-0000406-0000001", False), ("000-0000407-0000001", False), (ORDER, True)],
)
async def test_a_solicitation_has_its_time(connect: Any, order_id: str, is_open: bool) -> None:
    """It is offered and taken from 5 to 30 days after delivery; at other times its 403 speaks of that range."""
    app = _sandbox()
    async with connect(app) as caller:
        assert await _actions(caller, order_id, "solicitations") == [SOLICITATION] * is_open
        reply = await _solicit(caller, order_id)
    if is_open:
        assert reply.status_code == 201
    else:
        assert (reply.status_code, reply.json()["errors"][0]["code"]) == (403, "Unauthorized")
        assert "5-30 day range" in reply.json()["errors"][0]["message"]
    assert len(app.state.messages) == is_open


async def test_deliveries_can_be_set(connect: Any, clock: Any) -> None:
    """When an order was delivered can be said, from Python and by a POST; the sandbox's clock then opens and closes."""
    app = Sandbox(plans=PLENTY, clock=clock)
    delivered = datetime.now(UTC)
    async with connect(app) as caller:
        body = {"order_id": ORDER, "delivered": delivered.isoformat()}
        assert (await caller.post("/_sandbox/deliveries", body)).status_code == 200
        offered = []
        for days in (0, 4, 2, 23, 2):  # since the last look
            clock.now += days * 86_400
            await caller.log_in()
            offered.append(await _actions(caller, api="solicitations"))
        assert offered == [[], [], [SOLICITATION], [SOLICITATION], []]
        app.set_delivery(ORDER, delivered + timedelta(days=20))
        assert (await _solicit(caller)).status_code == 201
    with pytest.raises(ConfigError, match="needs a zone"):
        app.set_delivery(ORDER, datetime(2026, 1, 1))


@pytest.mark.parametrize(
    "body", ["{", [], {"order_id": ORDER}, {"order_id": ORDER, "delivered": 1}, {"order_id": ORDER, "delivered": "x"}]
)
async def test_a_delivery_that_cannot_be_read(connect: Any, body: Any) -> None:
    """It is a 400, and nothing is changed."""
    app = _sandbox()
    async with connect(app) as caller:
        assert (await caller.post("/_sandbox/deliveries", body)).status_code == 400
    assert not app.state.deliveries


@pytest.mark.parametrize(
    ("dates", "words"),
    [
        ({"coverageStartDate": "2026-01-01T00:00:00"}, "need a zone"),
        ({"coverageEndDate": "soon"}, "coverageEndDate is no time"),
        (
            {"coverageStartDate": "2026-01-02T00:00:00Z", "coverageEndDate": "2026-01-01T00:00:00Z"},
            "before coverageStartDate",
        ),
    ],
)
async def test_a_warranty_has_times_with_a_zone(connect: Any, dates: dict[str, str], words: str) -> None:
    """The dates of a coverage have a zone and are in order."""
    async with connect(_sandbox()) as caller:
        attachments = [{"uploadDestinationId": "1", "fileName": "a.pdf"}]
        reply = await _send(caller, "warranty", attachments=attachments, **dates)
    assert reply.status_code == 400
    assert words in reply.text
