from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from spapi_async.operation import UsagePlan
from spapi_async.sandbox import Sandbox

pytestmark = pytest.mark.anyio

ROOT = "/notifications/v1"
SQS = {"name": "queue", "resourceSpecification": {"sqs": {"arn": "arn:aws:sqs:us-east-1:1:queue"}}}
BRIDGE = {"name": "bus", "resourceSpecification": {"eventBridge": {"region": "us-east-1", "accountId": "1"}}}
KIND = f"{ROOT}/subscriptions/ORDER_CHANGE"


@asynccontextmanager
async def _parties(connect: Any) -> AsyncIterator[tuple[Any, Any]]:
    """Give the application, and a selling partner, of one sandbox."""
    app = Sandbox(plans={"*": UsagePlan(1000, 1000)})
    async with connect(app) as application, connect(app) as seller:
        await application.log_in(grant_type="client_credentials", scope="sellingpartnerapi::notifications")
        yield application, seller


async def test_destinations(connect: Any) -> None:
    """A destination is made, listed, found and removed."""
    async with _parties(connect) as (application, _):
        sqs, bridge = [(await application.post(f"{ROOT}/destinations", b)).json()["payload"] for b in (SQS, BRIDGE)]
        assert sqs["resource"] == SQS["resourceSpecification"]
        assert bridge["resource"]["eventBridge"]["name"].startswith("aws.partner/sellingpartnerapi.amazon.com/1/")
        assert (await application.get(f"{ROOT}/destinations")).json()["payload"] == [sqs, bridge]
        one = f"{ROOT}/destinations/{sqs['destinationId']}"
        assert (await application.get(one)).json()["payload"] == sqs
        assert [(await application.delete(one)).status_code for _ in range(2)] == [200, 404]
        assert (await application.get(one)).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (SQS, 409),
        (SQS | {"name": "other"}, 409),
        (BRIDGE | {"name": "queue"}, 409),
        (BRIDGE | {"name": "other"}, 409),
        ({"name": "x", "resourceSpecification": {}}, 400),
        ({"name": "x", "resourceSpecification": {"sqs": {}}}, 400),
        ({"name": "x", "resourceSpecification": SQS["resourceSpecification"] | BRIDGE["resourceSpecification"]}, 400),
        ({"name": "x" * 257, "resourceSpecification": BRIDGE["resourceSpecification"]}, 400),
        ({"resourceSpecification": BRIDGE["resourceSpecification"]}, 400),
    ],
)
async def test_a_destination_that_cannot_be(connect: Any, body: Any, status: int) -> None:
    """The same name or resource again is a conflict; no resource, or two, is a 400."""
    async with _parties(connect) as (application, _):
        for made in [SQS, BRIDGE]:
            await application.post(f"{ROOT}/destinations", made)
        assert (await application.post(f"{ROOT}/destinations", body)).status_code == status


async def test_subscriptions(connect: Any) -> None:
    """A selling partner subscribes by type and version; the application sees and removes it by its id."""
    async with _parties(connect) as (application, seller):
        destination = (await application.post(f"{ROOT}/destinations", SQS)).json()["payload"]["destinationId"]
        assert (await seller.get(KIND)).status_code == 404
        made = []
        for version in ["1.0", "2.0"]:
            body = {"payloadVersion": version, "destinationId": destination}
            made.append((await seller.post(KIND, body)).json()["payload"])
        assert (await seller.post(KIND, body)).status_code == 409
        assert (await seller.get(KIND)).json()["payload"] == made[1]
        assert (await seller.get(KIND, payloadVersion="1.0")).json()["payload"] == made[0]
        listed = await seller.get(f"{ROOT}/subscriptions", notificationTypes="ORDER_CHANGE")
        assert listed.json()["payload"]["subscriptions"] == made
        one = f"{KIND}/{made[0]['subscriptionId']}"
        assert (await application.get(one)).json()["payload"] == made[0]
        assert (await application.get(one.replace("ORDER_CHANGE", "PRICING_HEALTH"))).status_code == 404
        assert [(await application.delete(one)).status_code for _ in range(2)] == [200, 404]


async def test_a_subscription_needs_a_destination(connect: Any) -> None:
    """A destination that the application does not have is a 400."""
    async with _parties(connect) as (_, seller):
        body = {"payloadVersion": "1.0", "destinationId": "nowhere"}
        assert (await seller.post(KIND, body)).status_code == 400


async def test_a_test_notification(connect: Any) -> None:
    """It is accepted for a destination that exists, and 404 for another."""
    async with _parties(connect) as (application, _):
        destination = (await application.post(f"{ROOT}/destinations", SQS)).json()["payload"]["destinationId"]
        statuses = [
            (await application.post(f"{KIND}/testNotification", {"destinationId": name})).status_code
            for name in [destination, "nowhere"]
        ]
    assert statuses == [200, 404]
