"""Marketplaces and regions: Amazon's ids, which endpoint serves them, and where their sellers and vendors sign in.

Ids and regions are those of Amazon's pages “Marketplace IDs” and “SP-API Endpoints”, read 2026-11-20:
https://developer-docs.amazon.com/sp-api/docs/marketplace-ids and https://developer-docs.amazon.com/sp-api/docs/sp-api-endpoints.
Hosts of Seller and Vendor Central are those of Amazon's sample (amzn/selling-partner-api-samples,
use-cases/auth-lifecycle-management) and, where that has none, of the developer guide of 2021. Less certain ones say so.
"""

from __future__ import annotations

from enum import StrEnum
from urllib.parse import urlsplit

__all__ = ["CENTRAL_HOSTS", "Marketplace", "Region", "is_sandbox"]


class Region(StrEnum):
    """One of Amazon's three separate deployments; a selling partner's authorisation is valid in one of them."""

    NA = "na"
    EU = "eu"
    FE = "fe"

    @property
    def endpoint(self) -> str:
        """The URL for production."""
        return f"https://sellingpartnerapi-{self.value}.amazon.com"

    @property
    def sandbox_endpoint(self) -> str:
        """The URL of Amazon's own static sandbox."""
        return f"https://sandbox.sellingpartnerapi-{self.value}.amazon.com"

    @property
    def aws_region(self) -> str:
        """The AWS region behind the endpoint."""
        return {"na": "us-east-1", "eu": "eu-west-1", "fe": "us-west-2"}[self.value]


_SANDBOX_HOSTS = {urlsplit(region.sandbox_endpoint).hostname for region in Region}


def is_sandbox(url: str) -> bool:
    """Return whether a URL is that of Amazon's own static sandbox, in any region and spelling."""
    return urlsplit(url).hostname in _SANDBOX_HOSTS


class Marketplace(StrEnum):
    """A marketplace; its value is Amazon's marketplace id, so a member can stand wherever an id can."""

    CA = "A2EUQ1WTGCTBG2"
    US = "ATVPDKIKX0DER"
    MX = "A1AM78C64UM0Y8"
    BR = "A2Q3Y263D00KWC"
    IE = "A28R8C7NBKEWEA"
    ES = "A1RKKUPIHCS9HS"
    UK = "A1F83G8C2ARO7P"
    GB = "A1F83G8C2ARO7P"  # the ISO code; Amazon's pages say UK
    FR = "A13V1IB3VIYZZH"
    BE = "AMEN7PMS3EDWL"
    NL = "A1805IZSGTT6HS"
    DE = "A1PA6795UKMFR9"
    IT = "APJ6JRA9NG5V4"
    SE = "A2NODRKZP88ZB9"
    ZA = "AE08WJ6YKNBMC"
    PL = "A1C3SOZRARQ6R3"
    EG = "ARBP9OOSHTCHU"
    TR = "A33AVAJ2PDY3EV"
    SA = "A17E79C6D8DWNP"
    AE = "A2VIGQ35RCS4UG"
    IN = "A21TJRUUN4KGV"
    SG = "A19VAU5U5O7RUS"
    AU = "A39IBJ37TRP1C6"
    JP = "A1VC38T7YXB528"

    @property
    def region(self) -> Region:
        """The region whose endpoint serves the marketplace."""
        if self.name in {"CA", "US", "MX", "BR"}:
            return Region.NA
        return Region.FE if self.name in {"SG", "AU", "JP"} else Region.EU

    @property
    def seller_central(self) -> str:
        """The URL of the Seller Central where the marketplace's sellers sign in, without a slash at its end."""
        return f"https://{_CENTRAL[self.name][0]}"

    @property
    def vendor_central(self) -> str:
        """The URL of the Vendor Central where the marketplace's vendors sign in, without a slash at its end."""
        return f"https://{_CENTRAL[self.name][1]}"

    @property
    def timezone(self) -> str:
        """The time zone of most of its buyers, an IANA name as in `Europe/Berlin`. Amazon documents none.

        Where a country has several it is the one in which most people live: Eastern time for US and CA, Mexico City
        for MX, São Paulo (Brasília time) for BR, Sydney for AU. Others of the country may be hours away: in Los Angeles
        it is 6:00 when it is 9:00 in New York.
        """
        return _TIMEZONES[self.name]


# By a buyer's clock, so that nobody is written to at night. It need not be where Amazon counts its days: models that
# speak of "the marketplace's local time zone" name none, and its advertising reports of US and CA are said to go by
# Pacific time.
_TIMEZONES = {
    "CA": "America/Toronto",
    "US": "America/New_York",
    "MX": "America/Mexico_City",
    "BR": "America/Sao_Paulo",
    "IE": "Europe/Dublin",
    "ES": "Europe/Madrid",
    "UK": "Europe/London",
    "FR": "Europe/Paris",
    "BE": "Europe/Brussels",
    "NL": "Europe/Amsterdam",
    "DE": "Europe/Berlin",
    "IT": "Europe/Rome",
    "SE": "Europe/Stockholm",
    "ZA": "Africa/Johannesburg",
    "PL": "Europe/Warsaw",
    "EG": "Africa/Cairo",
    "TR": "Europe/Istanbul",
    "SA": "Asia/Riyadh",
    "AE": "Asia/Dubai",
    "IN": "Asia/Kolkata",
    "SG": "Asia/Singapore",
    "AU": "Australia/Sydney",
    "JP": "Asia/Tokyo",
}


_EUROPE = "sellercentral-europe.amazon.com"
_CENTRAL = {  # Seller Central, Vendor Central
    "CA": ("sellercentral.amazon.ca", "vendorcentral.amazon.ca"),
    "US": ("sellercentral.amazon.com", "vendorcentral.amazon.com"),
    "MX": ("sellercentral.amazon.com.mx", "vendorcentral.amazon.com.mx"),
    "BR": ("sellercentral.amazon.com.br", "vendorcentral.amazon.com.br"),
    # Neither source has IE and ZA: their hosts are those of several public repositories, and for vendors a guess by
    # the pattern of the others.
    "IE": ("sellercentral.amazon.ie", "vendorcentral.amazon.ie"),
    "ES": (_EUROPE, "vendorcentral.amazon.es"),
    "UK": (_EUROPE, "vendorcentral.amazon.co.uk"),
    "FR": (_EUROPE, "vendorcentral.amazon.fr"),
    "BE": ("sellercentral.amazon.com.be", "vendorcentral.amazon.com.be"),
    "NL": ("sellercentral.amazon.nl", "vendorcentral.amazon.nl"),
    "DE": (_EUROPE, "vendorcentral.amazon.de"),
    "IT": (_EUROPE, "vendorcentral.amazon.it"),
    "SE": ("sellercentral.amazon.se", "vendorcentral.amazon.se"),
    "ZA": ("sellercentral.amazon.co.za", "vendorcentral.amazon.co.za"),
    "PL": ("sellercentral.amazon.pl", "vendorcentral.amazon.pl"),
    # EG, SA and AE share one Vendor Central.
    "EG": ("sellercentral.amazon.eg", "vendorcentral.amazon.me"),
    "TR": ("sellercentral.amazon.com.tr", "vendorcentral.amazon.com.tr"),
    "SA": ("sellercentral.amazon.sa", "vendorcentral.amazon.me"),
    "AE": ("sellercentral.amazon.ae", "vendorcentral.amazon.me"),
    # The sample and the guide differ: the guide has vendorcentral.amazon.in.
    "IN": ("sellercentral.amazon.in", "www.vendorcentral.in"),
    "SG": ("sellercentral.amazon.sg", "vendorcentral.amazon.com.sg"),
    "AU": ("sellercentral.amazon.com.au", "vendorcentral.amazon.com.au"),
    "JP": ("sellercentral.amazon.co.jp", "vendorcentral.amazon.co.jp"),
}

CENTRAL_HOSTS = frozenset(host for hosts in _CENTRAL.values() for host in hosts) | {
    "amazon.com",  # of the `amazon_callback_uri` in Amazon's own example
    "vendorcentral.amazon.in",
    # The five markets behind sellercentral-europe answer under hosts of their own as well.
    *(f"sellercentral.amazon.{country}" for country in ("es", "co.uk", "fr", "de", "it")),
}
"""Every host that Seller and Vendor Central are known to have: where a selling partner may be sent back to."""
