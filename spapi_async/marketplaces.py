"""Marketplaces and regions: Amazon's ids, and which endpoint serves them.

Ids and regions are those of Amazon's pages “Marketplace IDs” and “SP-API Endpoints”, read 2026-11-20:
https://developer-docs.amazon.com/sp-api/docs/marketplace-ids and https://developer-docs.amazon.com/sp-api/docs/sp-api-endpoints.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Marketplace", "Region"]


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
