"""Which calls share a bucket.

Amazon counts per operation, selling partner account and application; all processes, hosts and refresh tokens of the
same pair share one bucket, and the marketplaces of one regional account do too (developer-docs: “Usage Plans and Rate
Limits”; amzn/selling-partner-api-docs#3519). Regions are separate deployments. A grantless operation has no selling
partner, so its bucket can only be the application's.
"""

from __future__ import annotations

from typing import NamedTuple

from ..operation import Operation

__all__ = ["Account", "BucketKey"]


class Account(NamedTuple):
    """Who calls whom: an application, for a selling partner, at an endpoint."""

    application: str
    """The application's client id."""
    selling_partner: str
    """The selling partner's id, or a digest of the refresh token: never the token itself."""
    endpoint: str
    """The URL of the region's deployment."""


class BucketKey(NamedTuple):
    """What Amazon counts separately; calls with equal keys share one bucket."""

    application: str
    selling_partner: str
    """"" for the application's own bucket."""
    endpoint: str
    operation: str

    @classmethod
    def of(cls, account: Account, operation: Operation) -> BucketKey:
        """Return the key of a call of the operation on behalf of the account."""
        partner = "" if operation.grantless_scope else account.selling_partner
        return cls(account.application, partner, account.endpoint, operation.key)
