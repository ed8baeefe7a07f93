"""Marketplaces and regions."""

import re
from zoneinfo import ZoneInfo

import pytest

from spapi_async import Marketplace, Region
from spapi_async.marketplaces import CENTRAL_HOSTS, is_sandbox


def test_there_are_23_marketplaces() -> None:
    """Every marketplace of Amazon's page is there, once; GB is another name of UK."""
    assert len(Marketplace) == 23
    assert Marketplace["GB"] is Marketplace.UK


@pytest.mark.parametrize(
    ("country", "region"),
    [("US", Region.NA), ("BR", Region.NA), ("DE", Region.EU), ("IN", Region.EU), ("ZA", Region.EU), ("JP", Region.FE)],
)
def test_a_marketplace_implies_its_region(country: str, region: Region) -> None:
    """Brazil is served by North America, India and South Africa by Europe, Japan by the Far East."""
    assert Marketplace[country].region is region


def test_a_marketplace_stands_for_its_id() -> None:
    """A member can stand wherever an id can."""
    assert Marketplace.US == "ATVPDKIKX0DER"
    assert f"{Marketplace.US}" == ",".join([Marketplace.US]) == "ATVPDKIKX0DER"


def test_endpoints() -> None:
    """Each region has an endpoint for production and one for Amazon's sandbox."""
    assert Region.EU.endpoint == "https://sellingpartnerapi-eu.amazon.com"
    assert Region.FE.sandbox_endpoint == "https://sandbox.sellingpartnerapi-fe.amazon.com"


@pytest.mark.parametrize(
    ("url", "is_it"),
    [
        *((region.sandbox_endpoint, True) for region in Region),
        *((region.endpoint, False) for region in Region),
        ("HTTPS://Sandbox.SellingPartnerAPI-EU.amazon.com:443/", True),
        ("http://127.0.0.1:8900", False),
        ("https://sandbox.sellingpartnerapi-eu.amazon.com.example", False),
    ],
)
def test_amazons_sandbox_is_known_by_its_host(url: str, is_it: bool) -> None:
    """However the URL is written; and no other host is taken for it."""
    assert is_sandbox(url) is is_it
    assert [region.aws_region for region in Region] == ["us-east-1", "eu-west-1", "us-west-2"]


def test_where_sellers_and_vendors_sign_in() -> None:
    """Every marketplace has a Seller Central and a Vendor Central; five in Europe share the former."""
    assert Marketplace.DE.seller_central == Marketplace.UK.seller_central == "https://sellercentral-europe.amazon.com"
    assert Marketplace.JP.seller_central == "https://sellercentral.amazon.co.jp"
    assert Marketplace.EG.vendor_central == "https://vendorcentral.amazon.me"
    for marketplace in Marketplace:
        for url in (marketplace.seller_central, marketplace.vendor_central):
            assert url.removeprefix("https://") in CENTRAL_HOSTS


def test_every_host_of_a_central_is_amazons() -> None:
    """No host among those that a selling partner may be sent to is anybody else's."""
    pattern = r"((seller|vendor)central(-europe)?\.)?amazon\.[a-z.]+"
    assert {host for host in CENTRAL_HOSTS if not re.fullmatch(pattern, host)} == {"www.vendorcentral.in"}


def test_each_marketplace_has_one_time_zone() -> None:
    """That of most of its buyers, where its country has several."""
    for marketplace in Marketplace:
        assert ZoneInfo(marketplace.timezone).key == marketplace.timezone
    assert Marketplace.GB.timezone == "Europe/London"
    several = (Marketplace.US, Marketplace.CA, Marketplace.MX, Marketplace.BR, Marketplace.AU)
    assert [marketplace.timezone for marketplace in several] == [
        "America/New_York",
        "America/Toronto",
        "America/Mexico_City",
        "America/Sao_Paulo",
        "Australia/Sydney",
    ]
