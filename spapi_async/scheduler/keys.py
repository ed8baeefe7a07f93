"""Which calls share a bucket.

Amazon counts per operation, selling partner account and application; all processes, hosts and refresh tokens of the
same pair share one bucket, and the marketplaces of one regional account do too (developer-docs: “Usage Plans and Rate
Limits”; amzn/selling-partner-api-docs#3519). Regions are separate deployments. A grantless operation has no selling
partner, so its bucket can only be the application's. On Amazon's own sandbox, one bucket serves everything
(developer-docs, on the sandbox).
"""

from __future__ import annotations

from typing import NamedTuple

from ..marketplaces import is_sandbox
from ..operation import Operation, UsagePlan

__all__ = ["ANY", "APPLICATION", "SANDBOX_PLAN", "Account", "BucketKey"]

ANY = "*"
"""Stands for all operations."""

APPLICATION = "application"
"""Names the limit of an application over all its selling partners."""

SANDBOX_PLAN = UsagePlan(5.0, 15, "documentation")
"""Of Amazon's own sandbox."""


class Account(NamedTuple):
    """Who calls whom: an application, for a selling partner, at an endpoint."""

    application: str
    """The application's client id."""
    selling_partner: str
    """The selling partner's id, or a digest of the refresh token: never the token itself; "" for none."""
    endpoint: str
    """The URL of the region's deployment."""

    @property
    def own(self) -> Account:
        """The application itself, at the same endpoint."""
        return self._replace(selling_partner="")


class BucketKey(NamedTuple):
    """What Amazon counts separately; calls with equal keys share one bucket."""

    account: Account
    operation: str
    limit: str = ""
    """"" for the usage plan, `application` for the application's limit over all selling partners, or a quota's name."""

    @classmethod
    def of(cls, account: Account, operation: Operation) -> BucketKey:
        """Return the key of the usage plan that a call on behalf of the account is counted by."""
        if is_sandbox(account.endpoint):
            return cls(account.own, ANY)
        return cls(account.own if operation.grantless_scope else account, operation.key)

    @property
    def is_shared(self) -> bool:
        """Whether calls of several selling partners share it."""
        return not self.account.selling_partner
