from __future__ import annotations

from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import pytest

from spapi_async.apis import catalog
from spapi_async.codec import decode
from spapi_async.operation import Operation, UsagePlan
from spapi_async.sandbox import Sandbox
from spapi_async.sandbox.answers import Typed
from spapi_async.sandbox.exchange import Request
from spapi_async.sandbox.lwa import Grant

OPERATIONS = [operation for operation in catalog() if operation.retired is None]


def _request(operation: Operation) -> Request:
    return Request(
        operation=operation,
        path="",
        arguments={p.name: "the-id" for p in operation.parameters if p.location == "path"},
        query={},
        headers={},
        body=b"",
        grant=Grant(client_id="app", seller="S", expires_at=0.0),
        request_id="",
        time=datetime(2026, 1, 15, tzinfo=UTC),
        origin="",
    )


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.key)
def test_an_answer_of_every_operation(operation: Operation) -> None:
    """Each answer has the model's status and can be read into the model's class."""
    answer = Typed().answer(_request(operation))
    assert answer.status in operation.success
    if operation.result is None:
        assert answer.body == b""
    else:
        models = import_module(f"spapi_async.apis.{operation.module}.models")
        decode(getattr(models, operation.result), answer.body, operation=operation.key)


@pytest.mark.anyio
async def test_one_order(connect: Any) -> None:
    """The list holds one well-formed order and no next token, so that a client does not page for ever."""
    async with connect(Sandbox()) as caller:
        payload = (await caller.get("/orders/v0/orders", MarketplaceIds="ATVPDKIKX0DER")).json()["payload"]
    [order] = payload["Orders"]
    assert order["AmazonOrderId"] == "902-1845936-5435065"
    assert order["PurchaseDate"] == "2026-01-15T10:00:00Z"
    assert "NextToken" not in payload


@pytest.mark.anyio
async def test_ids_are_echoed(connect: Any) -> None:
    """What the path names comes back, quoted as JSON needs it."""
    async with connect(Sandbox(plans={"*": UsagePlan(9, 9)})) as caller:
        for order_id in ["902-1111111-2222222", "902-3333333-4444444"]:
            reply = await caller.get(f"/orders/v0/orders/{order_id}")
            assert reply.json()["payload"]["AmazonOrderId"] == order_id
