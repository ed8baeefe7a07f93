"""An async client for Amazon's Selling Partner API, with a rate-limit scheduler.

    from spapi_async import Marketplace, SellingPartner

    async with SellingPartner.from_env() as sp:
        reply = await sp.orders_v0.get_orders(marketplace_ids=[Marketplace.US], created_after=yesterday)

`SellingPartner` is the client for one selling partner, `Application` shares one application among many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import (
    AlteredCallbackError,
    ArgumentError,
    AuthError,
    BadRequestError,
    CallError,
    ClientClosedError,
    CodeRefusedError,
    ConfigError,
    ConflictError,
    ConnectError,
    ConnectionLostError,
    ConnectTimeoutError,
    ConsentError,
    ConsentRefusedError,
    DecodeError,
    ExpiredStateError,
    ForbiddenError,
    JobError,
    JobStoppedError,
    LateCodeError,
    NotFoundError,
    OutcomeUnknownError,
    QueueFullError,
    QuotaExceededError,
    ReadTimeoutError,
    ReplayedStateError,
    ServerError,
    SpapiError,
    StatusError,
    ThrottleTimeoutError,
    TransferError,
    TransportError,
    UnauthorizedError,
    WrongStateError,
)
from .marketplaces import Marketplace, Region
from .operation import JSON_LISTINGS_FEED, RESTRICTED_REPORT_TYPES, Priority, Quota, Timeouts, UsagePlan
from .retry import RetryPolicy

if TYPE_CHECKING:
    from .apis.raw import RawResponse
    from .auth import AwsCredentials, AwsRole
    from .client import Application, SellingPartner

__all__ = [
    "JSON_LISTINGS_FEED",
    "RESTRICTED_REPORT_TYPES",
    "AlteredCallbackError",
    "Application",
    "ArgumentError",
    "AuthError",
    "AwsCredentials",
    "AwsRole",
    "BadRequestError",
    "CallError",
    "ClientClosedError",
    "CodeRefusedError",
    "ConfigError",
    "ConflictError",
    "ConnectError",
    "ConnectTimeoutError",
    "ConnectionLostError",
    "ConsentError",
    "ConsentRefusedError",
    "DecodeError",
    "ExpiredStateError",
    "ForbiddenError",
    "JobError",
    "JobStoppedError",
    "LateCodeError",
    "Marketplace",
    "NotFoundError",
    "OutcomeUnknownError",
    "Priority",
    "QueueFullError",
    "Quota",
    "QuotaExceededError",
    "RawResponse",
    "ReadTimeoutError",
    "Region",
    "ReplayedStateError",
    "RetryPolicy",
    "SellingPartner",
    "ServerError",
    "SpapiError",
    "StatusError",
    "ThrottleTimeoutError",
    "Timeouts",
    "TransferError",
    "TransportError",
    "UnauthorizedError",
    "UsagePlan",
    "WrongStateError",
]


def __getattr__(name: str) -> Any:  # Any: a module attribute can be anything
    if name in {"Application", "SellingPartner"}:
        # The client brings httpx and aiohttp; whoever imports an error or a marketplace need not pay for them.
        from . import client

        return getattr(client, name)
    if name in {"AwsCredentials", "AwsRole"}:
        from . import auth

        return getattr(auth, name)
    if name == "RawResponse":
        from .apis.raw import RawResponse

        return RawResponse
    if name == "__version__":
        from importlib.metadata import version

        return version("spapi-async")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
