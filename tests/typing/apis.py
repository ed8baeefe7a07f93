"""The generated APIs as a user writes them: read by the type-checker only (`nox -s types`), never run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, assert_type

from spapi_async import SellingPartner
from spapi_async.apis import (
    app_integrations_2024_04_01,
    catalog,
    messaging_v1,
    notifications_v1,
    orders_v0,
    solicitations_v1,
)
from spapi_async.apis.orders_v0.operations import GET_ORDERS, OPERATIONS
from spapi_async.apis.tokens_2021_03_01 import CreateRestrictedDataTokenRequest, RestrictedResource
from spapi_async.codec import encode
from spapi_async.operation import Operation
from spapi_async.paging import Pager


async def orders(sp: SellingPartner) -> None:
    assert_type(sp.orders_v0, orders_v0.OrdersV0)
    reply = await sp.orders_v0.get_orders(
        marketplace_ids=("A", "B"), created_after="2026-01-01T00:00:00Z", last_updated_after=datetime.now(UTC)
    )
    # The payload is there without asking: a reply without one is raised as an error.
    assert_type(reply.payload.orders[0].amazon_order_id, str)
    assert_type(reply.payload.orders[0].purchase_date, datetime)
    assert_type(reply.payload.orders[0].latest_ship_date, datetime | None)
    assert_type(reply.payload.next_token, str | None)
    if (total := reply.payload.orders[0].order_total) is not None:
        assert_type(total.amount, str | None)
        assert_type(total.decimal, Decimal | None)

    pager = sp.orders_v0.get_order_items(order_id="1")
    assert_type(pager, Pager[orders_v0.GetOrderItemsResponse, orders_v0.OrderItem])
    async for item in pager:
        assert_type(item.asin, str)
    async for page in pager.pages():
        assert_type(page.payload.order_items, list[orders_v0.OrderItem])

    assert_type(
        await sp.orders_v0.update_shipment_status(
            order_id="1",
            body={"marketplaceId": "A", "shipmentStatus": "ReadyForPickup"},
        ),
        None,
    )
    sp.orders_v0.get_orders()  # type: ignore[call-arg]
    sp.orders_v0.get_orders(marketplace_ids=["A"], created_after=5)  # type: ignore[arg-type]
    sp.orders_v0.get_orders(marketplace_ids=["A"], createdAfter="")  # type: ignore[call-arg]
    sp.orders_v0.get_odrers()  # type: ignore[attr-defined]


async def others(sp: SellingPartner) -> None:
    order: Mapping[str, Any] = {"amazon_order_id": "1", "marketplace_ids": ["A"]}
    actions = await sp.messaging_v1.get_messaging_actions_for_order(**order)
    assert_type(actions, messaging_v1.GetMessagingActionsForOrderResponse)
    if actions.links is not None:
        assert_type(actions.links.actions[0].href, str)
    sent = await sp.messaging_v1.create_warranty(
        amazon_order_id="1",
        marketplace_ids=["A"],
        body=messaging_v1.CreateWarrantyRequest(coverage_start_date=datetime.now(UTC)),
    )
    assert_type(sent, messaging_v1.CreateWarrantyResponse)
    messaging_v1.Attachment(file_name="a")  # type: ignore[call-arg]

    solicitations = await sp.solicitations_v1.get_solicitation_actions_for_order(**order)
    assert_type(solicitations.errors, list[solicitations_v1.Error] | None)

    destinations = await sp.notifications_v1.get_destinations()
    assert_type(destinations.payload, list[notifications_v1.Destination])
    async for subscription in sp.notifications_v1.get_subscriptions(notification_types=["ORDER_CHANGE"]):
        assert_type(subscription, notifications_v1.Subscription)

    made = await sp.app_integrations_2024_04_01.create_notification(
        body=app_integrations_2024_04_01.CreateNotificationRequest(template_id="t", notification_parameters={"a": 1})
    )
    assert_type(made.notification_id, str | None)

    upload = await sp.uploads_2020_11_01.create_upload_destination_for_resource(
        resource="messaging/v1/orders/1/messages/legalDisclosure", marketplace_ids=["A"], content_md5=""
    )
    assert_type(upload.payload.url, str | None)

    token = await sp.tokens_2021_03_01.create_restricted_data_token(
        body=CreateRestrictedDataTokenRequest(
            restricted_resources=[RestrictedResource(method="GET", path="/orders/v0/orders")]
        )
    )
    assert_type(token.expires_in, int | None)
    assert_type(encode(token), bytes)


def facts() -> None:
    assert_type(GET_ORDERS, Operation)
    assert_type(OPERATIONS[0].plan.rate, float)
    assert_type(next(catalog()).key, str)
