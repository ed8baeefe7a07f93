"""One operation of each API version as a user writes it: read by the type-checker only (`nox -s types`), never run.

`tests/test_typing.py` sees to it that no module is left out.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, assert_type

from spapi_async import Marketplace, SellingPartner
from spapi_async.apis import (
    aplus_content_2020_11_01,
    awd_2024_05_09,
    catalog_items_2020_12_01,
    catalog_items_2022_04_01,
    catalog_items_v0,
    customer_feedback_2024_06_01,
    data_kiosk_2023_11_15,
    delivery_shipment_invoicing_2022_07_01,
    easy_ship_2022_03_23,
    external_fulfillment_inventory_2024_09_11,
    external_fulfillment_location_2026_07_30,
    external_fulfillment_returns_2024_09_11,
    external_fulfillment_shipments_2024_09_11,
    fba_inventory_v1,
    finance_remittance_2026_03_17,
    finances_2024_06_19,
    finances_invoices_2026_06_25,
    finances_transfers_2024_06_01,
    finances_v0,
    fulfillment_inbound_2024_03_20,
    fulfillment_inbound_v0,
    fulfillment_outbound_2020_07_01,
    listings_items_2020_09_01,
    listings_items_2021_08_01,
    listings_restrictions_2021_08_01,
    merchant_fulfillment_v0,
    notifications_v1,
    orders_2026_01_01,
    orders_v0,
    product_fees_v0,
    product_pricing_2022_05_01,
    product_pricing_v0,
    promotions_2025_12_01,
    replenishment_2022_11_07,
    reports_2021_06_30,
    sales_v1,
    seller_wallet_2024_03_01,
    sellers_v1,
    services_v1,
    shipment_invoicing_v0,
    shipping_v1,
    shipping_v2,
    solicitations_v1,
    supply_sources_2020_07_01,
    support_2025_02_01,
    tax_invoices_2024_06_19,
    tokens_2021_03_01,
    tracking_2026_01_30,
    vehicles_2024_11_01,
    vendor_direct_fulfillment_inventory_v1,
    vendor_direct_fulfillment_orders_2021_12_28,
    vendor_direct_fulfillment_orders_v1,
    vendor_direct_fulfillment_payments_v1,
    vendor_direct_fulfillment_sandbox_2021_10_28,
    vendor_direct_fulfillment_shipping_2021_12_28,
    vendor_direct_fulfillment_shipping_v1,
    vendor_direct_fulfillment_transactions_2021_12_28,
    vendor_direct_fulfillment_transactions_v1,
    vendor_invoices_v1,
    vendor_orders_v1,
    vendor_shipments_v1,
    vendor_transaction_status_v1,
)
from spapi_async.paging import Pager

NOW = datetime.now(UTC)
LAST_WEEK = NOW - timedelta(days=7)
IDS = [Marketplace.DE, "A13V1IB3VIYZZH"]


async def catalog(sp: SellingPartner) -> None:
    items = sp.catalog_items_2022_04_01.search_catalog_items(
        marketplace_ids=IDS, keywords=["kettle"], included_data=["summaries", "salesRanks"], page_size=20
    )
    assert_type(items, Pager[catalog_items_2022_04_01.ItemSearchResults, catalog_items_2022_04_01.Item])
    async for item in items:
        assert_type(item.asin, str)
        assert_type(item.attributes, dict[str, Any] | None)
        for summary in item.summaries or []:
            assert_type(summary.release_date, date | None)
            assert_type(summary.package_quantity, int | None)

    old = await sp.catalog_items_2020_12_01.search_catalog_items(keywords=["kettle"], marketplace_ids=IDS)
    assert_type(old, catalog_items_2020_12_01.ItemSearchResults)
    assert_type(old.refinements.brands, list[catalog_items_2020_12_01.BrandRefinement])

    categories = await sp.catalog_items_v0.list_catalog_categories(marketplace_id=Marketplace.DE, asin="B000000001")
    assert_type(categories.payload, list[catalog_items_v0.Categories])
    assert_type(categories.payload[0].parent, dict[str, Any] | None)

    vehicles = sp.vehicles_2024_11_01.get_vehicles(marketplace_id=Marketplace.DE, vehicle_type="CAR")
    async for vehicle in vehicles:
        assert_type(vehicle, vehicles_2024_11_01.Vehicle)
        assert_type(vehicle.last_processed_date, datetime | None)

    definition = await sp.product_type_definitions_2020_09_01.get_definitions_product_type(
        product_type="LUGGAGE", marketplace_ids=IDS, locale="de_DE"
    )
    assert_type(definition.schema.checksum, str)
    assert_type(definition.marketplace_ids, list[str])

    topics = await sp.customer_feedback_2024_06_01.get_item_review_topics(
        asin="B000000001", marketplace_id=Marketplace.DE, sort_by="MENTIONS"
    )
    # There may be nothing to tell: 204.
    assert_type(topics, customer_feedback_2024_06_01.ItemReviewTopicsResponse | None)
    if topics is not None:
        assert_type(topics.topics.positive_topics, list[customer_feedback_2024_06_01.ItemReviewTopic] | None)


async def listings(sp: SellingPartner) -> None:
    patched = await sp.listings_items_2021_08_01.patch_listings_item(
        seller_id="A1",
        sku="SKU/1",
        marketplace_ids=IDS,
        body=listings_items_2021_08_01.ListingsItemPatchRequest(
            product_type="LUGGAGE",
            patches=[
                listings_items_2021_08_01.PatchOperation(
                    op="replace", path="/attributes/item_name", value=[{"value": "Case"}]
                )
            ],
        ),
        mode="VALIDATION_PREVIEW",
    )
    assert_type(patched.issues, list[listings_items_2021_08_01.Issue] | None)

    deleted = await sp.listings_items_2020_09_01.delete_listings_item(seller_id="A1", sku="1", marketplace_ids=IDS)
    assert_type(deleted, listings_items_2020_09_01.ListingsItemSubmissionResponse)
    assert_type(deleted.submission_id, str)

    restricted = await sp.listings_restrictions_2021_08_01.get_listings_restrictions(
        asin="B000000001", seller_id="A1", marketplace_ids=IDS, condition_type="new_new"
    )
    assert_type(restricted.restrictions, list[listings_restrictions_2021_08_01.Restriction])

    async for content in sp.aplus_content_2020_11_01.search_content_documents(marketplace_id=Marketplace.DE):
        assert_type(content, aplus_content_2020_11_01.ContentMetadataRecord)
        assert_type(content.content_reference_key, str)

    upload = await sp.uploads_2020_11_01.create_upload_destination_for_resource(
        resource="aplus/2020-11-01/contentDocuments", marketplace_ids=IDS, content_md5="", content_type="image/png"
    )
    assert_type(upload.payload.headers, dict[str, Any] | None)

    promotions = sp.promotions_2025_12_01.search_promotions(
        marketplace_ids=IDS, locale="de_DE", asins=["B000000001"], skus=["1"], limit=10
    )
    async for promotion in promotions:
        assert_type(promotion, promotions_2025_12_01.PromotionSummary)
        assert_type(promotion.created_date, datetime)


async def prices(sp: SellingPartner) -> None:
    offers = await sp.product_pricing_v0.get_item_offers(
        marketplace_id=Marketplace.DE, item_condition="New", asin="B000000001"
    )
    assert_type(offers.payload.summary.total_offer_count, int)
    assert_type(offers.payload.summary.list_price, product_pricing_v0.MoneyType | None)

    competitive = await sp.product_pricing_2022_05_01.get_competitive_summary(
        body=product_pricing_2022_05_01.CompetitiveSummaryBatchRequest(
            requests=[
                product_pricing_2022_05_01.CompetitiveSummaryRequest(
                    asin="B000000001",
                    marketplace_id=Marketplace.DE,
                    included_data=["featuredBuyingOptions"],
                    method="GET",
                    uri="/products/pricing/2022-05-01/items/competitiveSummary",
                )
            ]
        )
    )
    assert_type(competitive.responses, list[product_pricing_2022_05_01.CompetitiveSummaryResponse])

    estimates = await sp.product_fees_v0.get_my_fees_estimates(
        body=[
            product_fees_v0.FeesEstimateByIdRequest(
                id_type="ASIN",
                id_value="B000000001",
                fees_estimate_request=product_fees_v0.FeesEstimateRequest(
                    marketplace_id=Marketplace.DE,
                    identifier="1",
                    price_to_estimate_fees=product_fees_v0.PriceToEstimateFees(
                        listing_price=product_fees_v0.MoneyType(currency_code="EUR", amount=19.9)
                    ),
                ),
            ),
            {"IdType": "SellerSKU", "IdValue": "1"},
        ]
    )
    # A list, not an object that holds one.
    assert_type(estimates, list[product_fees_v0.FeesEstimateResult])
    if (fees := estimates[0].fees_estimate) is not None and fees.total_fees_estimate is not None:
        assert_type(fees.total_fees_estimate.decimal, Decimal | None)


async def orders(sp: SellingPartner) -> None:
    async for order in sp.orders_v0.get_orders(marketplace_ids=IDS, created_after=LAST_WEEK):
        assert_type(order, orders_v0.Order)
        assert_type(order.purchase_date, datetime)

    found = sp.orders_2026_01_01.search_orders(created_after=LAST_WEEK, marketplace_ids=IDS, included_data=["BUYER"])
    async for page in found.pages():
        assert_type(page.orders, list[orders_2026_01_01.Order])
        assert_type(page.orders[0].order_items[0].quantity_ordered, int)

    assert_type(
        await sp.solicitations_v1.create_product_review_and_seller_feedback_solicitation(
            amazon_order_id="902-1845936-5435065", marketplace_ids=[Marketplace.DE]
        ),
        solicitations_v1.CreateProductReviewAndSellerFeedbackSolicitationResponse,
    )
    attributes = await sp.messaging_v1.get_attributes(amazon_order_id="1", marketplace_ids=[Marketplace.DE])
    if attributes.buyer is not None:
        assert_type(attributes.buyer.locale, str | None)

    metrics = await sp.sales_v1.get_order_metrics(
        marketplace_ids=IDS, interval="2026-11-01T00:00:00Z--2026-11-08T00:00:00Z", granularity="Day"
    )
    assert_type(metrics.payload, list[sales_v1.OrderMetricsInterval])
    assert_type(metrics.payload[0].total_sales.decimal, Decimal | None)

    async for offer in sp.replenishment_2022_11_07.list_offers(
        body=replenishment_2022_11_07.ListOffersRequest(
            pagination=replenishment_2022_11_07.ListOffersRequestPagination(limit=100, offset=0),
            filters=replenishment_2022_11_07.ListOffersRequestFilters(
                marketplace_id=Marketplace.DE, program_types=["SUBSCRIBE_AND_SAVE"]
            ),
        )
    ):
        assert_type(offer.price, float | None)

    job = await sp.services_v1.get_service_job_by_service_job_id(service_job_id="1")
    assert_type(job.payload, services_v1.ServiceJob)


async def money(sp: SellingPartner) -> None:
    async for transaction in sp.finances_2024_06_19.list_transactions(posted_after=LAST_WEEK):
        assert_type(transaction, finances_2024_06_19.Transaction)
        assert_type(transaction.posted_date, datetime | None)
    # Events lie in many lists side by side, so what is iterated are the pages.
    async for events in sp.finances_v0.list_financial_events(posted_after=LAST_WEEK):
        assert_type(events, finances_v0.ListFinancialEventsResponse)
        assert_type(events.payload.financial_events, finances_v0.FinancialEvents | None)
    async for invoice in sp.finances_invoices_2026_06_25.get_invoice_headers(marketplace_id=Marketplace.DE):
        assert_type(invoice.invoice_amount, finances_invoices_2026_06_25.Currency)
    async for remittance in sp.finance_remittance_2026_03_17.get_remittance_headers(marketplace_id=Marketplace.DE):
        assert_type(remittance, finance_remittance_2026_03_17.RemittanceHeader)
    methods = await sp.finances_transfers_2024_06_01.get_payment_methods(marketplace_id=Marketplace.DE)
    assert_type(methods.payment_methods, list[finances_transfers_2024_06_01.PaymentMethodDetails] | None)
    preview = await sp.seller_wallet_2024_03_01.get_transfer_preview(
        source_country_code="DE",
        source_currency_code="EUR",
        destination_country_code="US",
        destination_currency_code="USD",
        base_amount=100.5,
        marketplace_id=Marketplace.DE,
    )
    assert_type(preview.fees, list[seller_wallet_2024_03_01.Fee])
    async for export in sp.tax_invoices_2024_06_19.get_invoices_exports(marketplace_id=Marketplace.BR):
        assert_type(export, tax_invoices_2024_06_19.Export)
    status = await sp.shipment_invoicing_v0.get_invoice_status(shipment_id="1")
    assert_type(status.payload.shipments, shipment_invoicing_v0.ShipmentInvoiceStatusInfo | None)
    submitted = await sp.delivery_shipment_invoicing_2022_07_01.submit_invoice(
        body=delivery_shipment_invoicing_2022_07_01.SubmitInvoiceRequest(
            invoice_content="PGEvPg==",
            marketplace_id=Marketplace.BR,
            content_md5_value="",
            invoice_type="Outbound",
            program_type="FbaOnSite",
        )
    )
    assert_type(submitted.errors, list[delivery_shipment_invoicing_2022_07_01.Error] | None)


async def documents(sp: SellingPartner) -> None:
    created = await sp.reports_2021_06_30.create_report(
        body=reports_2021_06_30.CreateReportSpecification(
            report_type="GET_MERCHANT_LISTINGS_ALL_DATA", marketplace_ids=["A1"], data_start_time=LAST_WEEK
        )
    )
    assert_type(created.report_id, str)
    # No body in the reply: nothing to use.
    assert_type(await sp.feeds_2021_06_30.cancel_feed(feed_id="1"), None)
    async for query in sp.data_kiosk_2023_11_15.get_queries(processing_statuses=["DONE"], created_since=LAST_WEEK):
        assert_type(query, data_kiosk_2023_11_15.Query)
        assert_type(query.created_time, datetime)


async def fulfillment_by_amazon(sp: SellingPartner) -> None:
    stock = sp.fba_inventory_v1.get_inventory_summaries(
        granularity_type="Marketplace", granularity_id="A1", marketplace_ids=[Marketplace.DE], details=True
    )
    assert_type(stock, Pager[fba_inventory_v1.GetInventorySummariesResponse, fba_inventory_v1.InventorySummary])
    assert_type((await stock).payload.inventory_summaries[0].total_quantity, int | None)

    eligible = await sp.fba_inbound_eligibility_v1.get_item_eligibility_preview(asin="B000000001", program="INBOUND")
    assert_type(eligible.payload.is_eligible_for_program, bool)
    async for plan in sp.fulfillment_inbound_2024_03_20.list_inbound_plans(status="ACTIVE", page_size=30):
        assert_type(plan, fulfillment_inbound_2024_03_20.InboundPlanSummary)
    async for shipment in sp.fulfillment_inbound_v0.get_shipments(
        query_type="SHIPMENT", marketplace_id=Marketplace.DE, shipment_status_list=["WORKING"]
    ):
        assert_type(shipment, fulfillment_inbound_v0.InboundShipmentInfo)
        assert_type(shipment.confirmed_need_by_date, date | None)
    inbound = await sp.awd_2024_05_09.get_inbound(order_id="1")
    assert_type(inbound.origin_address, awd_2024_05_09.Address)

    preview = await sp.fulfillment_outbound_2020_07_01.get_fulfillment_preview(
        body=fulfillment_outbound_2020_07_01.GetFulfillmentPreviewRequest(
            address=fulfillment_outbound_2020_07_01.Address(
                name="A", address_line1="B 1", postal_code="10115", country_code="DE"
            ),
            items=[
                fulfillment_outbound_2020_07_01.GetFulfillmentPreviewItem(
                    seller_sku="1", quantity=1, seller_fulfillment_order_item_id="1"
                )
            ],
        )
    )
    assert_type(preview.payload.fulfillment_previews, list[fulfillment_outbound_2020_07_01.FulfillmentPreview] | None)
    # An object without a model.
    assert_type(await sp.fulfillment_outbound_2026_07_04.cancel_order(order_id="1"), dict[str, Any])


async def shipping(sp: SellingPartner) -> None:
    label = await sp.merchant_fulfillment_v0.get_shipment(shipment_id="1")
    assert_type(label.payload.shipping_service.rate, merchant_fulfillment_v0.CurrencyAmount)
    rates = await sp.shipping_v1.get_account()
    assert_type(rates.payload, shipping_v1.Account)
    tracking = await sp.shipping_v2.get_tracking(
        tracking_id="1", carrier_id="2", shipping_business_id="AmazonShipping_UK"
    )
    assert_type(tracking.payload.event_history, list[shipping_v2.Event])
    tracked = await sp.tracking_2026_01_30.get_shipment_tracking(id="1")
    assert_type(tracked.tracking_detail.milestone_history, list[tracking_2026_01_30.TrackingMilestone])

    slots = await sp.easy_ship_2022_03_23.list_handover_slots(
        body=easy_ship_2022_03_23.ListHandoverSlotsRequest(
            marketplace_id=Marketplace.IN,
            amazon_order_id="1",
            package_dimensions=easy_ship_2022_03_23.Dimensions(length=15.0, width=10.0, height=12.0, unit="cm"),
            package_weight=easy_ship_2022_03_23.Weight(value=50.0, unit="g"),
        )
    )
    assert_type(slots.time_slots[0].start_time, datetime | None)

    batch = await sp.external_fulfillment_inventory_2024_09_11.batch_inventory(
        body={"requests": [{"uri": "/inventories", "method": "POST"}]}
    )
    assert_type(batch.responses, list[external_fulfillment_inventory_2024_09_11.InventoryResponse] | None)
    location = await sp.external_fulfillment_location_2026_07_30.create_sandbox_location(
        body=external_fulfillment_location_2026_07_30.CreateSandboxLocationRequest(
            merchant_ids=["A1"], marketplace_id=Marketplace.DE, location_name="Berlin"
        )
    )
    assert_type(location.location_ids, external_fulfillment_location_2026_07_30.LocationIdMap | None)
    async for returned in sp.external_fulfillment_returns_2024_09_11.list_returns(created_since=LAST_WEEK):
        assert_type(returned, external_fulfillment_returns_2024_09_11.Return)
        assert_type(returned.last_updated_date_time, datetime)
    async for to_ship in sp.external_fulfillment_shipments_2024_09_11.get_shipments(status="CONFIRMED"):
        assert_type(to_ship.charges, list[external_fulfillment_shipments_2024_09_11.Charge])
    async for source in sp.supply_sources_2020_07_01.get_supply_sources(page_size=10):
        assert_type(source, supply_sources_2020_07_01.SupplySourceListItem)


async def account(sp: SellingPartner) -> None:
    participations = await sp.sellers_v1.get_marketplace_participations()
    assert_type(participations.payload, list[sellers_v1.MarketplaceParticipation])
    assert_type(participations.payload[0].marketplace.country_code, str)
    async for case in sp.support_2025_02_01.list_cases(body=support_2025_02_01.ListCasesRequest(max_results=10)):
        assert_type(case.resolved_date, datetime | None)

    subscribed = await sp.notifications_v1.create_subscription(
        notification_type="ORDER_CHANGE",
        body=notifications_v1.CreateSubscriptionRequest(payload_version="1.0", destination_id="1"),
    )
    assert_type(subscribed.payload.subscription_id, str)
    assert_type(
        await sp.app_integrations_2024_04_01.record_action_feedback(
            notification_id="1", body={"feedbackActionCode": "SELLER_ACTION_COMPLETED"}
        ),
        None,
    )
    assert_type(await sp.application_management_2023_11_30.rotate_application_client_secret(), None)
    token = await sp.tokens_2021_03_01.create_restricted_data_token(
        body=tokens_2021_03_01.CreateRestrictedDataTokenRequest(
            restricted_resources=[
                tokens_2021_03_01.RestrictedResource(
                    method="GET", path="/orders/v0/orders/{orderId}", data_elements=["buyerInfo"]
                )
            ]
        )
    )
    assert_type(token.restricted_data_token, str | None)
    handed_over = await sp.create_restricted_data_token(
        [{"method": "GET", "path": "/orders/v0/orders"}], target_application="amzn1.sellerapps.app.1"
    )
    assert_type(handed_over.value, str)
    view = sp.with_options(restricted_data_token=handed_over.value, rdt=False)
    order = await view.orders_v0.get_order(order_id="1", restricted=["buyerInfo", "anotherOfTomorrow"])
    assert_type(order.payload.buyer_info, orders_v0.BuyerInfo | None)
    raw = await sp.with_raw_response.orders_v0.get_order(order_id="1", restricted=["buyerInfo"])
    assert_type(raw.parse().payload.amazon_order_id, str)
    await sp.orders_v0.get_order(order_id="1", restricted=True)  # type: ignore[arg-type]
    await sp.reports_2021_06_30.get_report_document(report_document_id="1", restricted=True)
    code = await sp.authorization_v1.get_authorization_code(
        selling_partner_id="A1", developer_id="1", mws_auth_token="amzn.mws.1"
    )
    assert_type(code.payload.authorization_code, str | None)


async def vendor(sp: SellingPartner) -> None:
    async for order in sp.vendor_orders_v1.get_purchase_orders(created_after=LAST_WEEK, limit=54):
        assert_type(order, vendor_orders_v1.Order)
    async for shipment in sp.vendor_shipments_v1.get_shipment_details(created_after=LAST_WEEK):
        assert_type(shipment.selling_party, vendor_shipments_v1.PartyIdentification)
    invoices = await sp.vendor_invoices_v1.submit_invoices(body={"invoices": []})
    assert_type(invoices.payload, vendor_invoices_v1.TransactionId)
    done = await sp.vendor_transaction_status_v1.get_transaction(transaction_id="1")
    assert_type(done.payload.transaction_status, vendor_transaction_status_v1.Transaction | None)


async def vendor_direct_fulfillment(sp: SellingPartner) -> None:
    updated = await sp.vendor_direct_fulfillment_inventory_v1.submit_inventory_update(
        warehouse_id="1",
        body=vendor_direct_fulfillment_inventory_v1.SubmitInventoryUpdateRequest(
            inventory=vendor_direct_fulfillment_inventory_v1.InventoryUpdate(
                selling_party=vendor_direct_fulfillment_inventory_v1.PartyIdentification(party_id="1"),
                is_full_update=False,
                items=[],
            )
        ),
    )
    assert_type(updated.payload, vendor_direct_fulfillment_inventory_v1.TransactionReference)

    orders = sp.vendor_direct_fulfillment_orders_2021_12_28.get_orders(created_after=LAST_WEEK, created_before=NOW)
    async for order in orders:
        assert_type(order, vendor_direct_fulfillment_orders_2021_12_28.Order)
        assert_type(order.order_details, vendor_direct_fulfillment_orders_2021_12_28.OrderDetails | None)
    old = await sp.vendor_direct_fulfillment_orders_v1.get_order(purchase_order_number="1")
    assert_type(old.payload, vendor_direct_fulfillment_orders_v1.Order)

    paid = await sp.vendor_direct_fulfillment_payments_v1.submit_invoice(body={"invoices": []})
    assert_type(paid.payload, vendor_direct_fulfillment_payments_v1.TransactionReference)
    made = await sp.vendor_direct_fulfillment_sandbox_2021_10_28.generate_order_scenarios(
        body=vendor_direct_fulfillment_sandbox_2021_10_28.GenerateOrderScenarioRequest(orders=[])
    )
    assert_type(made.transaction_id, str | None)

    label = await sp.vendor_direct_fulfillment_shipping_2021_12_28.get_shipping_label(purchase_order_number="1")
    assert_type(label.label_data, list[vendor_direct_fulfillment_shipping_2021_12_28.LabelData])
    labels = sp.vendor_direct_fulfillment_shipping_v1.get_shipping_labels(created_after=LAST_WEEK, created_before=NOW)
    async for each in labels:
        assert_type(each.label_data[0], vendor_direct_fulfillment_shipping_v1.LabelData)

    status = await sp.vendor_direct_fulfillment_transactions_2021_12_28.get_transaction_status(transaction_id="1")
    assert_type(status.transaction_status, vendor_direct_fulfillment_transactions_2021_12_28.Transaction | None)
    before = await sp.vendor_direct_fulfillment_transactions_v1.get_transaction_status(transaction_id="1")
    assert_type(before.payload, vendor_direct_fulfillment_transactions_v1.TransactionStatus)
