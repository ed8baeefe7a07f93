"""An async client for Amazon's Selling Partner API, with a rate-limit scheduler.

    from spapi_async import Marketplace, SellingPartner

    async with SellingPartner.from_env() as sp:
        reply = await sp.orders_v0.get_orders(marketplace_ids=[Marketplace.US], created_after=yesterday)

`SellingPartner` is the client for one selling partner, `Application` shares one application among many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import (
    ArgumentError,
    AuthError,
    BadRequestError,
    CallError,
    ClientClosedError,
    ConfigError,
    ConflictError,
    ConnectError,
    ConnectionLostError,
    ConnectTimeoutError,
    DecodeError,
    ForbiddenError,
    JobError,
    NotFoundError,
    OutcomeUnknownError,
    QueueFullError,
    QuotaExceededError,
    ReadTimeoutError,
    ServerError,
    SpapiError,
    StatusError,
    ThrottleTimeoutError,
    TransportError,
    UnauthorizedError,
)
from .marketplaces import Marketplace, Region
from .operation import JSON_LISTINGS_FEED, Priority, Quota, Timeouts, UsagePlan
from .retry import RetryPolicy

if TYPE_CHECKING:
    from .apis.raw import RawResponse
    from .client import Application, SellingPartner

__all__ = [
    "JSON_LISTINGS_FEED",
    "Application",
    "ArgumentError",
    "AuthError",
    "BadRequestError",
    "CallError",
    "ClientClosedError",
    "ConfigError",
    "ConflictError",
    "ConnectError",
    "ConnectTimeoutError",
    "ConnectionLostError",
    "DecodeError",
    "ForbiddenError",
    "JobError",
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
    "RetryPolicy",
    "SellingPartner",
    "ServerError",
    "SpapiError",
    "StatusError",
    "ThrottleTimeoutError",
    "Timeouts",
    "TransportError",
    "UnauthorizedError",
    "UsagePlan",
]


def __getattr__(name: str) -> Any:  # Any: a module attribute can be anything
    if name in {"Application", "SellingPartner"}:
        # The client brings httpx and aiohttp; whoever imports an error or a marketplace need not pay for them.
        from . import client

        return getattr(client, name)
    if name == "RawResponse":
        from .apis.raw import RawResponse

        return RawResponse
    if name == "__version__":
        from importlib.metadata import version

        return version("spapi-async")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
