"""Decoding: JSON to models, beside pydantic's `model_validate_json` and bare `orjson.loads`, in one run.

    python benchmarks/bench_codec.py

The bodies are made up here in the shapes that Amazon sends: a page of 100 orders in all states, a catalog search of 20
items with and without their attributes, and the rates that a shipment can be sent at. The pydantic models are made from
ours, field by field: the same names with Amazon's as aliases, the same types, required where ours are, in pydantic's
default configuration. Before anything is measured both sides must have read the same.

The contenders take turns, each decoding the body for a slice of time, with the garbage collector on; a ratio is that of
the medians over all rounds.
"""

from __future__ import annotations

import argparse
import datetime as dt
import gc
import random
import statistics
import time
from collections.abc import Callable, Sequence
from types import UnionType
from typing import Any, ForwardRef, Literal, Optional, Union, get_args, get_origin, get_type_hints

import attrs
import orjson
from pydantic import BaseModel, Field, create_model

from spapi_async.apis.catalog_items_2022_04_01.models import ItemSearchResults
from spapi_async.apis.orders_v0.models import GetOrdersResponse
from spapi_async.apis.shipping_v2.models import GetRatesResponse
from spapi_async.cli.bench import machine
from spapi_async.codec import decode

Json = dict[str, Any]  # Any: what JSON may hold
ROUNDS, SLICE = 31, 0.02  # seconds of work per contender and round


# -- what Amazon sends


def at(day: random.Random) -> str:
    """Return a point in time as Amazon writes it."""
    moment = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=day.randrange(180 * 86_400))
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def thinned(chance: random.Random, content: Json, **shares: float) -> Json:
    """Return an object without some of the fields that not every object has; `shares` says how many have them."""
    return {name: value for name, value in content.items() if name not in shares or chance.random() < shares[name]}


def order(chance: random.Random) -> Json:
    """Return an order; what it has depends on how far it got and on who ships it."""
    status = chance.choices(["Pending", "Unshipped", "Shipped", "Canceled"], [8, 17, 68, 7])[0]
    by_amazon, is_pending = chance.random() < 0.45, status == "Pending"
    content: Json = {
        "AmazonOrderId": f"{chance.randrange(900, 1000)}-{chance.randrange(10**7):07}-{chance.randrange(10**7):07}",
        "SellerOrderId": f"S-{chance.randrange(10**8)}",
        "PurchaseDate": at(chance),
        "LastUpdateDate": at(chance),
        "OrderStatus": status,
        "FulfillmentChannel": "AFN" if by_amazon else "MFN",
        "SalesChannel": "Amazon.de",
        "ShipServiceLevel": chance.choice(["Expedited", "Std DE Dom", "SecondDay"]),
        "OrderTotal": {"CurrencyCode": "EUR", "Amount": f"{chance.randrange(500, 20_000) / 100:.2f}"},
        "NumberOfItemsShipped": chance.randrange(4),
        "NumberOfItemsUnshipped": 0,
        "PaymentMethod": "Other",
        "PaymentMethodDetails": chance.choice([["Standard"], ["CreditCard", "GiftCertificate"]]),
        "MarketplaceId": "A1PA6795UKMFR9",
        "ShipmentServiceLevelCategory": chance.choice(["Standard", "Expedited"]),
        "OrderType": "StandardOrder",
        "EarliestShipDate": at(chance),
        "LatestShipDate": at(chance),
        "EarliestDeliveryDate": at(chance),
        "LatestDeliveryDate": at(chance),
        "IsBusinessOrder": chance.random() < 0.1,
        "IsPrime": by_amazon,
        "IsPremiumOrder": False,
        "IsGlobalExpressEnabled": False,
        "ReplacedOrderId": f"902-{chance.randrange(10**7):07}-{chance.randrange(10**7):07}",
        "IsReplacementOrder": False,
        "PromiseResponseDueDate": at(chance),
        "IsSoldByAB": False,
        "IsIBA": False,
        "DefaultShipFromLocationAddress": {
            "Name": "Example GmbH",
            "AddressLine1": "Industriestr. 7",
            "City": "Leipzig",
            "StateOrRegion": "Sachsen",
            "PostalCode": "04347",
            "CountryCode": "DE",
            "Phone": "+49 341 5550100",
            "AddressType": "Commercial",
        },
        "BuyerInvoicePreference": "INDIVIDUAL",
        "BuyerTaxInformation": {
            "BuyerLegalCompanyName": "Muster AG",
            "BuyerBusinessAddress": "Hauptstr. 1, Köln",
            "BuyerTaxRegistrationId": "DE123456789",
            "BuyerTaxOffice": "Köln-Mitte",
        },
        "FulfillmentInstruction": {"FulfillmentSupplySourceId": f"{chance.randrange(10**12):012}"},
        "IsISPU": False,
        "IsAccessPointOrder": False,
        "MarketplaceTaxInfo": {"TaxClassifications": [{"Name": "VATNumber", "Value": "DE987654321"}]},
        "SellerDisplayName": "Example",
        "ShippingAddress": thinned(
            chance,
            {
                "Name": "E. Mustermann",
                "AddressLine1": f"Ringstr. {chance.randrange(1, 120)}",
                "AddressLine2": "Hinterhaus",
                "City": chance.choice(["Berlin", "Hamburg", "München", "Köln"]),
                "StateOrRegion": "Bayern",
                "PostalCode": f"{chance.randrange(10_000, 99_999)}",
                "CountryCode": "DE",
                "AddressType": "Residential",
            },
            AddressLine2=0.2,
            StateOrRegion=0.6,
            AddressType=0.8,
        ),
        "BuyerInfo": thinned(
            chance,
            {
                "BuyerEmail": f"{chance.randrange(16**14):014x}@marketplace.amazon.de",
                "BuyerName": "E. Mustermann",
                "PurchaseOrderNumber": f"PO-{chance.randrange(10**6)}",
            },
            PurchaseOrderNumber=0.1,
        ),
        "AutomatedShippingSettings": {"HasAutomatedShippingSettings": False},
        "HasRegulatedItems": False,
        "ElectronicInvoiceStatus": "NotRequired",
    }
    return thinned(
        chance,
        content,
        SellerOrderId=0.6,
        OrderTotal=0 if is_pending else 1,
        ShippingAddress=0 if is_pending else 0.95,
        EarliestDeliveryDate=0 if is_pending or by_amazon else 0.9,
        LatestDeliveryDate=0 if is_pending or by_amazon else 1,
        ReplacedOrderId=0.03,
        PromiseResponseDueDate=0.03,
        DefaultShipFromLocationAddress=0 if by_amazon else 1,
        BuyerInvoicePreference=0.1,
        BuyerTaxInformation=0.05,
        FulfillmentInstruction=0 if by_amazon else 0.5,
        MarketplaceTaxInfo=0.3,
        SellerDisplayName=0.3,
        AutomatedShippingSettings=0 if by_amazon else 1,
        ElectronicInvoiceStatus=0.2,
    )


def orders_page(chance: random.Random) -> Json:
    """Return a page of `orders_v0.get_orders`."""
    orders = [order(chance) for _ in range(100)]
    return {
        "payload": {"Orders": orders, "NextToken": "2YgYW55IGNhcm5hbCBwbGVhc3VyZS4" * 8, "CreatedBefore": at(chance)}
    }


def size(chance: random.Random) -> Json:
    """Return the measures of a parcel."""
    sides = {
        side: {"unit": "inches", "value": chance.randrange(10, 900) / 10} for side in ("height", "length", "width")
    }
    return sides | {"weight": {"unit": "pounds", "value": chance.randrange(10, 900) / 10}}


def attributes(chance: random.Random) -> Json:
    """Return the free part of an item, whose fields depend on the type of the product."""
    place = {"marketplace_id": "ATVPDKIKX0DER"}
    told = ["brand", "color", "style", "manufacturer", "item_name", "material", "bullet_point", "special_feature"]
    content: Json = {
        name: [
            {"language_tag": "en_US", "value": "A text of a few words", **place} for _ in range(chance.randrange(1, 4))
        ]
        for name in told
    }
    for name in ("number_of_items", "model_year", "total_usb_ports", "number_of_boxes"):
        content[name] = [{"value": chance.randrange(1, 30), **place}]
    for name in ("batteries_required", "batteries_included", "includes_remote"):
        content[name] = [{"value": chance.random() < 0.5, **place}]
    for name in ("item_weight", "item_package_weight", "max_resolution"):
        content[name] = [{"unit": "pounds", "value": chance.randrange(10, 900) / 10, **place}]
    content["item_dimensions"] = [size(chance) | place]
    return thinned(chance, content, **dict.fromkeys(content, 0.7))


def item(chance: random.Random, *, has_attributes: bool) -> Json:
    """Return an item with all that `includedData` may ask for, the vendor's part aside."""
    asin, place = f"B0{chance.randrange(16**8):08X}", {"marketplaceId": "ATVPDKIKX0DER"}
    leaf: Json = {"displayName": "Electronics", "classificationId": "172282"}
    for name in ("Television & Video", "Televisions", "QLED TVs")[: chance.randrange(1, 4)]:
        leaf = {"displayName": name, "classificationId": str(chance.randrange(10**10)), "parent": leaf}
    images = [
        {
            "variant": variant,
            "link": f"https://m.media-amazon.com/images/I/{asin}{side}L.jpg",
            "height": side,
            "width": side,
        }
        for variant in ["MAIN", *(f"PT{number:02}" for number in range(1, chance.randrange(3, 9)))]
        for side in (500, 1500)
    ]
    summary = {
        **place,
        "adultProduct": False,
        "autographed": False,
        "brand": "SAMPLE",
        "browseClassification": {"displayName": "QLED TVs", "classificationId": "21489946011"},
        "color": "Black",
        "itemClassification": "BASE_PRODUCT",
        "itemName": "A sample with a name that is about as long as the names of things in a shop are, in black",
        "manufacturer": "Sample",
        "memorabilia": False,
        "modelNumber": f"QN{chance.randrange(100)}Q",
        "packageQuantity": 1,
        "partNumber": f"QN{chance.randrange(100)}QXZA",
        "releaseDate": at(chance)[:10],
        "size": "82-Inch",
        "style": "TV only",
        "tradeInEligible": False,
        "websiteDisplayGroup": "home_theater_display_on_website",
        "websiteDisplayGroupName": "Home Theater",
    }
    content: Json = {
        "asin": asin,
        "attributes": attributes(chance),
        "classifications": [{**place, "classifications": [leaf]}],
        "dimensions": [{**place, "item": size(chance), "package": size(chance)}],
        "identifiers": [
            {
                **place,
                "identifiers": [
                    {"identifier": f"{chance.randrange(10**13):013}", "identifierType": kind}
                    for kind in ("EAN", "GTIN", "UPC")[: chance.randrange(1, 4)]
                ],
            }
        ],
        "images": [{**place, "images": images}],
        "productTypes": [{**place, "productType": "TELEVISION"}],
        "salesRanks": [
            {
                **place,
                "classificationRanks": [
                    {
                        "classificationId": str(chance.randrange(10**10)),
                        "title": "QLED TVs",
                        "link": "http://www.amazon.com/gp/bestsellers/electronics/21489946011",
                        "rank": chance.randrange(1, 10**5),
                    }
                    for _ in range(chance.randrange(1, 4))
                ],
                "displayGroupRanks": [
                    {
                        "websiteDisplayGroup": "ce_display_on_website",
                        "title": "Electronics",
                        "link": "http://www.amazon.com/gp/bestsellers/electronics",
                        "rank": chance.randrange(1, 10**6),
                    }
                ],
            }
        ],
        "summaries": [
            thinned(chance, summary, color=0.8, modelNumber=0.7, partNumber=0.7, releaseDate=0.4, size=0.7, style=0.5)
        ],
        "relationships": [
            {
                **place,
                "relationships": [
                    {
                        "type": "VARIATION",
                        "parentAsins": [f"B0{chance.randrange(16**8):08X}"],
                        "variationTheme": {"attributes": ["color", "size"], "theme": "SIZE_NAME/COLOR_NAME"},
                    }
                ]
                * chance.randrange(2),
            }
        ],
    }
    return thinned(chance, content, attributes=has_attributes, relationships=0.7, dimensions=0.9, salesRanks=0.9)


def catalog_search(chance: random.Random, *, has_attributes: bool) -> Json:
    """Return a page of `catalog_items_2022_04_01.search_catalog_items`."""
    return {
        "numberOfResults": 4711,
        "pagination": {"nextToken": "xsdflkj324lkjsdlkj3423klkjsdfkljlk2j34klj2l3k4j", "previousToken": "ilkjsdflkj"},
        "refinements": {
            "brands": [{"numberOfResults": 10 * number, "brandName": f"Brand {number}"} for number in range(1, 6)],
            "classifications": [
                {"numberOfResults": 5, "displayName": "Electronics", "classificationId": str(chance.randrange(10**6))}
                for _ in range(5)
            ],
        },
        "items": [item(chance, has_attributes=has_attributes) for _ in range(20)],
    }


def rate(chance: random.Random) -> Json:
    """Return what it costs to ship with one service."""
    carrier = chance.choice(["Sample Post", "Sample Express", "Sample Freight"])

    def charge(top: int) -> Json:
        return {"value": chance.randrange(10, top) / 100, "unit": "GBP"}

    def window() -> Json:
        return {"start": at(chance)[:-1] + ".737Z", "end": at(chance)[:-1] + ".737Z"}

    content: Json = {
        "rateId": f"{chance.randrange(16**29):029X}",
        "carrierId": carrier.upper().replace(" ", "-"),
        "carrierName": carrier,
        "billedWeight": {"value": chance.randrange(1, 3000), "unit": "GRAM"},
        "totalCharge": charge(3000),
        "serviceId": f"SVC-{chance.randrange(10**6)}",
        "serviceName": f"{carrier} {chance.choice(['24', '48', 'Tracked', 'Signed'])}",
        "promise": thinned(chance, {"deliveryWindow": window(), "pickupWindow": window()}, pickupWindow=0.7),
        "supportedDocumentSpecifications": [
            {
                "format": file_format,
                "size": {"length": 6, "width": 4, "unit": "INCH"},
                "printOptions": [
                    {
                        "supportedDPIs": [300, 203],
                        "supportedPageLayouts": ["LEFT", "RIGHT"],
                        "supportedFileJoiningOptions": [True, False],
                        "supportedDocumentDetails": [
                            {"name": "LABEL", "isMandatory": True},
                            {"name": "PACKSLIP", "isMandatory": False},
                        ][: chance.randrange(1, 3)],
                    }
                ],
            }
            for file_format in ("PNG", "PDF", "ZPL")[: chance.randrange(1, 4)]
        ],
        "availableValueAddedServiceGroups": [
            {
                "groupId": "SIG_VERIFICATION",
                "groupDescription": "Signature Verification",
                "isRequired": False,
                "valueAddedServices": [
                    {"id": name.upper(), "name": name, "cost": charge(300)} for name in ("Signature", "Adult_Signature")
                ],
            }
        ],
        "requiresAdditionalInputs": False,
        "rateItemList": [
            {
                "rateItemID": name,
                "rateItemType": "MANDATORY",
                "rateItemCharge": charge(900),
                "rateItemNameLocalization": name,
            }
            for name in ("BASE_RATE", "FUEL_SURCHARGE", "VAT")[: chance.randrange(1, 4)]
        ],
        "paymentType": "PAY_THROUGH_AMAZON",
        "benefits": {
            "includedBenefits": ["CLAIMS_PROTECTED"],
            "excludedBenefits": [{"benefit": "LATE_SHIPMENT_WAIVER", "reasonCodes": ["LATE_DELIVERY_RISK"]}]
            * chance.randrange(2),
        },
    }
    return thinned(
        chance, content, billedWeight=0.8, availableValueAddedServiceGroups=0.6, rateItemList=0.7, benefits=0.8
    )


def shipping_rates(chance: random.Random) -> Json:
    """Return a reply of `shipping_v2.get_rates`."""
    ineligible = [
        {
            "carrierId": "SAMPLE-FREIGHT",
            "serviceId": f"SVC-{chance.randrange(10**6)}",
            "carrierName": "Sample Freight",
            "serviceName": "Sample Freight Pallet",
            "ineligibilityReasons": [{"code": "NO_COVERAGE", "message": "The service does not reach the address"}],
        }
        for _ in range(10)
    ]
    rates = [rate(chance) for _ in range(54)]
    return {"payload": {"requestToken": "6DCCEDD3FF961C15", "rates": rates, "ineligibleRates": ineligible}}


# -- the rival's models


def mirror(model: type, mirrors: dict[type, Any]) -> Any:
    """Return a pydantic model with the fields of one of ours; `mirrors` takes it in, and those within it."""
    if model not in mirrors:
        mirrors[model] = ForwardRef(model.__name__)  # until it is made: some hold themselves
        hints = get_type_hints(model)
        fields: dict[str, Any] = {}
        for field in attrs.fields(model):
            default = ... if field.default is attrs.NOTHING else None
            wire = getattr(model, "__wire__")[field.name]  # noqa: B009 (a plain `type` has none)
            fields[field.name] = (mirrored(hints[field.name], mirrors), Field(default, alias=wire))
        mirrors[model] = create_model(model.__name__, **fields)
    return mirrors[model]


def mirrored(hint: Any, mirrors: dict[type, Any]) -> Any:  # Any: a type or a special form
    """Return the type of a field for pydantic; listed values, which are open, are strings."""
    if hasattr(hint, "__wire__"):
        return mirror(hint, mirrors)
    parts = [mirrored(part, mirrors) for part in get_args(hint) if get_origin(part) is not Literal]
    if get_origin(hint) in (Union, UnionType):
        inner = next(part for part in parts if part is not type(None))
        return Optional[inner] if type(None) in parts else inner  # noqa: UP045 (a forward reference has no `|`)
    return get_origin(hint)[tuple(parts)] if parts else hint


def pydantic_model(model: type) -> type[BaseModel]:
    """Return the pydantic model that is equivalent to ours, with all that it holds."""
    mirrors: dict[type, Any] = {}
    made: type[BaseModel] = mirror(model, mirrors)
    names = {inner.__name__: mirrors[inner] for inner in mirrors}
    for inner in mirrors.values():
        inner.model_rebuild(force=True, _types_namespace=names)
    return made


# -- measuring


def measure(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median seconds per call of each contender; they take turns."""
    counts = {}
    for name, call in calls.items():
        for _ in range(20):
            call()
        began = time.perf_counter()
        for _ in range(20):
            call()
        counts[name] = max(1, round(SLICE * 20 / (time.perf_counter() - began)))
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            count = range(counts[name])
            began = time.process_time()
            for _ in count:
                reply = [call()]  # the list lets the garbage collector take its turn after each call too
            times[name].append((time.process_time() - began) / len(count))
            del reply
    return {name: statistics.median(values) for name, values in times.items()}


def contenders(model: type, body: bytes) -> dict[str, Callable[[], object]]:
    """Return what is compared, after a check that both sides read the same."""
    rival = pydantic_model(model)
    ours = attrs.asdict(decode(model, body, operation=""))
    assert ours == rival.model_validate_json(body).model_dump(), model
    return {
        "pydantic": lambda: rival.model_validate_json(body),
        "spapi_async": lambda: decode(model, body, operation=""),
        "orjson.loads": lambda: orjson.loads(body),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds per body (default {ROUNDS})")
    parser.add_argument("--no-gc", action="store_true", help="without the garbage collector, for all of them")
    arguments = parser.parse_args(argv)
    rounds = arguments.rounds
    chance = random.Random(2026)
    bodies: dict[str, tuple[type, Json]] = {
        "orders page": (GetOrdersResponse, orders_page(chance)),
        "catalog search": (ItemSearchResults, catalog_search(chance, has_attributes=False)),
        "the same with attributes": (ItemSearchResults, catalog_search(chance, has_attributes=True)),
        "shipping rates": (GetRatesResponse, shipping_rates(chance)),
    }
    cases = {
        name: (len(body := orjson.dumps(content)), contenders(model, body)) for name, (model, content) in bodies.items()
    }
    del bodies
    gc.collect()
    gc.freeze()
    if arguments.no_gc:
        gc.disable()
    print(machine())
    print(f"CPU per body, medians of {rounds} rounds; in brackets how many times as fast as pydantic:")
    ratios = []
    for name, (length, calls) in cases.items():
        times = measure(calls, rounds)
        ratios.append(times["pydantic"] / times["spapi_async"])
        shown = (f"{who} {spent * 1e6:.0f} us ({times['pydantic'] / spent:.2f}x)" for who, spent in times.items())
        print(f"  {name:24} {length / 1000:4.0f} KB   " + "   ".join(shown))
    print(f"  spapi_async: geometric mean {statistics.geometric_mean(ratios):.2f}x, least {min(ratios):.2f}x")


if __name__ == "__main__":
    main()
