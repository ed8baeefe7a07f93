"""Amazon's names in Python."""

from __future__ import annotations

import pytest

from spapi_async.codegen.names import class_name, constant, pascal, snake


@pytest.mark.parametrize(
    ("wire", "python"),
    [
        ("marketplaceIds", "marketplace_ids"),
        ("MarketplaceIds", "marketplace_ids"),
        ("SellerSKU", "seller_sku"),
        ("SKUIdentifier", "sku_identifier"),
        ("FnSKU", "fn_sku"),
        ("ASIN", "asin"),
        ("IsISPU", "is_ispu"),
        ("isCODCapable", "is_cod_capable"),
        ("contentMD5", "content_md5"),
        ("fulfillmentNetworkIDType", "fulfillment_network_id_type"),
        ("supportedDPIs", "supported_dpis"),
        ("SellerSKUs", "seller_skus"),
        ("next30DayShippedSubscriptionUnits", "next30_day_shipped_subscription_units"),
        ("carrierTracking.trackingNumber", "carrier_tracking_tracking_number"),
        ("Accept-Language", "accept_language"),
        ("x-amzn-shipping-business-id", "shipping_business_id"),
        ("x-amzn-IdempotencyKey", "idempotency_key"),
        ("_links", "links"),
        ("_embedded", "embedded"),
        ("self", "self_"),
        ("from", "from_"),
        ("format", "format"),
        ("GetAttributes", "get_attributes"),
        ("getMyFeesEstimateForASIN", "get_my_fees_estimate_for_asin"),
    ],
)
def test_snake(wire: str, python: str) -> None:
    """Arguments, fields and methods carry Amazon's names in snake_case, acronyms as one word."""
    assert snake(wire) == python


@pytest.mark.parametrize(
    ("wire", "python"),
    [("orderedQuantity", "OrderedQuantity"), ("_links", "Links"), ("SKU", "SKU"), ("carrier.code", "CarrierCode")],
)
def test_pascal(wire: str, python: str) -> None:
    """A class that is invented is called after its owner and its property."""
    assert pascal(wire) == python


def test_class_name() -> None:
    """A class keeps its definition's name; only the first letter is made a capital."""
    assert class_name("buyerCustomizedInfoDetail") == "BuyerCustomizedInfoDetail"
    assert class_name("FBAItem") == "FBAItem"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("Unshipped", "UNSHIPPED"),
        ("PartiallyShipped", "PARTIALLY_SHIPPED"),
        ("ALL_CAPS", "ALL_CAPS"),
        ("2D_BARCODE", "V_2D_BARCODE"),
        ("4x6", "V_4X6"),
        ("3P", "V_3P"),
        ("None", "NONE"),
        ("application/pdf", "APPLICATION_PDF"),
        ("Amazon Services, Inc.", "AMAZON_SERVICES_INC"),
        ("MwSt.", "MW_ST"),
        ("I", "V_I"),
        ("", "V_"),
    ],
)
def test_constant(value: str, name: str) -> None:
    """Values that are no identifiers become some."""
    assert constant(value) == name
    assert name.isidentifier()
