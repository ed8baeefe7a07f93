"""What a client is set up with: checked when it is made, so that a mistake shows before the first call."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from difflib import get_close_matches
from types import UnionType
from typing import TYPE_CHECKING, TypedDict
from urllib.parse import urlsplit

import attrs

from .auth import AwsCredentials, AwsRole, TokenStore
from .errors import ConfigError
from .events import Event
from .marketplaces import Marketplace, Region, is_sandbox
from .middleware import Middleware
from .operation import Operation, Timeouts, UsagePlan
from .retry import RetryPolicy

if TYPE_CHECKING:
    import httpx

__all__ = ["ClientConfig", "Options", "check_kind", "find_operation"]


class Options(TypedDict, total=False):
    """The options of `Application` and `SellingPartner`, for type checkers; `ClientConfig` describes them."""

    region: Region | str | None
    marketplace: Marketplace | str | None
    sandbox: bool
    endpoint: str | None
    lwa_endpoint: str | None
    transport: httpx.AsyncBaseTransport | None
    timeout: Timeouts
    retry: RetryPolicy
    middleware: Sequence[Middleware]
    on_event: Callable[[Event], None] | None
    plans: Mapping[str, UsagePlan]
    application_rates: Mapping[str, float | None]
    max_queue: int
    rdt: bool | None
    validate: bool
    strict: bool
    application_name: str | None
    application_version: str | None
    user_agent_attributes: Mapping[str, str]
    aws: AwsCredentials | AwsRole | None
    aws_region: str | None
    token_store: TokenStore | None
    client_secret_created: date | datetime | None
    load_client_secret: Callable[[], Awaitable[str]] | None


@attrs.frozen(kw_only=True)
class ClientConfig:
    """The options of a client. One of `region`, `marketplace` and `endpoint` is needed.

    Args:
        region: One of Amazon's three: `Region.NA`, `Region.EU` or `Region.FE`, or its name.
        marketplace: A marketplace, which implies the region.
        sandbox: True for Amazon's own static sandbox of the region.
        endpoint: URL that calls go to instead, as of a local sandbox or a proxy.
        lwa_endpoint: Full URL of the token endpoint instead of Login with Amazon's.
        transport: Any `httpx.AsyncBaseTransport`. Default: our own engine on asyncio, httpx's on trio. One that is
            handed in is not closed with the client.
        timeout: How long one HTTP exchange may take. Waiting for the usage plan does not count.
        retry: How often, and after which waits, a failed attempt is made again.
        middleware: Stages of your own, outermost first; each sees a call once, before retries.
        on_event: Is called with every event. It must be quick; what it raises is logged and changes nothing.
        plans: Usage plans that override the built-in ones, by operation as in `orders_v0.get_orders`.
        application_rates: Limits of the application over all its selling partners, in requests/s, that override the
            built-in ones, by operation likewise; None for no such limit. The burst is what a second grows.
        max_queue: How many calls may wait for one usage plan; a further one raises `QueueFullError`.
        rdt: False: calls go with the access token also where a restricted data token (RDT) would be fetched, as an
            operation that requires one, or `restricted=`, has it. None: only on Amazon's own sandbox, whose replies,
            RDTs included, are fixed texts. For some calls only: `sp.with_options(rdt=False)`.
        validate: False sends also arguments that break Amazon's limits, which drift, as long as they can be written at
            all. For some calls only: `sp.with_options(validate=False)`.
        strict: True compares every reply with Amazon's model and reports what differs as a `ReplyDeviated` event, which
            is logged as a WARNING. It changes no result, and costs about five times as much as decoding.
        application_name: Your application's name for the User-Agent that Amazon requires. Default `spapi_async`.
        application_version: Its version.
        user_agent_attributes: Further attributes of the User-Agent, as in `{"Host": "worker-7"}`; `Language` and
            `Platform`, which are there by themselves, can be replaced.
        aws: Sign every call by AWS Signature Version 4, for gateways and proxies that check it: Amazon has ignored it
            since 2023-10-02. Keys, or a role that aiobotocore assumes (extra `aws`, on asyncio only). Default: no
            signature.
        aws_region: The AWS region that calls are signed for. Default: that of `region`, `marketplace` or Amazon's own
            `endpoint`.
        token_store: Keeps access tokens beyond this client: `FileStore`, `MemoryStore`, or any with their three
            methods. None keeps them in the client's own memory.
        client_secret_created: When the client secret was made: a `ClientSecretExpires` event then tells its end, from
            three weeks before its 180 days are over.
        load_client_secret: Gives the client secret anew, as from where you keep it. It is called once when Login with
            Amazon refuses the one in use, which may have been rotated meanwhile.

    Raises:
        ConfigError: An option is wrong, or two contradict each other.
    """

    region: Region | str | None = None
    marketplace: Marketplace | str | None = None
    sandbox: bool = False
    endpoint: str | None = None
    lwa_endpoint: str | None = None
    transport: httpx.AsyncBaseTransport | None = None
    timeout: Timeouts = attrs.field(factory=Timeouts)
    retry: RetryPolicy = attrs.field(factory=RetryPolicy)
    middleware: Sequence[Middleware] = ()
    on_event: Callable[[Event], None] | None = None
    plans: Mapping[str, UsagePlan] = attrs.field(factory=dict)
    application_rates: Mapping[str, float | None] = attrs.field(factory=dict)
    max_queue: int = 100_000
    rdt: bool | None = None
    validate: bool = True
    strict: bool = False
    application_name: str | None = None
    application_version: str | None = None
    user_agent_attributes: Mapping[str, str] = attrs.field(factory=dict)
    aws: AwsCredentials | AwsRole | None = None
    aws_region: str | None = None
    token_store: TokenStore | None = None
    client_secret_created: date | datetime | None = None
    load_client_secret: Callable[[], Awaitable[str]] | None = None
    url: str = attrs.field(init=False)
    """The URL that calls go to, without a slash at its end."""

    @url.default
    def _url(self) -> str:
        region = self.known_region
        if self.endpoint is not None:
            if self.sandbox:
                raise ConfigError("sandbox=True means Amazon's own sandbox; it cannot go with endpoint=")
            return _check_url("endpoint", self.endpoint).rstrip("/")
        if region is None:
            raise ConfigError("one of region=, marketplace= or endpoint= is needed")
        return region.sandbox_endpoint if self.sandbox else region.endpoint

    @property
    def known_region(self) -> Region | None:
        """The region that `region` or `marketplace` says; None when only the endpoint is known."""
        region = None if self.region is None else _read_region(self.region)
        if self.marketplace is not None:
            implied = _read_marketplace(self.marketplace).region
            if region not in {None, implied}:
                raise ConfigError(f"the marketplace is in region {implied!s}, but region is {region!s}")
            region = implied
        return region

    @property
    def signing_region(self) -> str:
        """The AWS region that calls are signed for.

        Raises:
            ConfigError: Nothing tells it.
        """
        if self.aws_region is not None:
            return self.aws_region
        region = self.known_region
        if region is None:
            regions = [each for each in Region if self.url in {each.endpoint, each.sandbox_endpoint}]
            if not regions:
                raise ConfigError("aws= with an endpoint= that is not Amazon's needs aws_region=, as in 'eu-west-1'")
            [region] = regions
        return region.aws_region

    @property
    def fetches_rdt(self) -> bool:
        """Whether restricted data tokens are fetched."""
        if self.rdt is None:
            return not is_sandbox(self.url)
        return self.rdt

    def __attrs_post_init__(self) -> None:
        if self.lwa_endpoint is not None:
            _check_url("lwa_endpoint", self.lwa_endpoint)
        for name, (kind, words) in _KINDS.items():
            check_kind(name, isinstance(getattr(self, name), kind), words, getattr(self, name))
        check_kind("on_event", self.on_event is None or callable(self.on_event), "a function", self.on_event)
        for part in (part for pair in self.user_agent_attributes.items() for part in pair):
            check_kind("user_agent_attributes", isinstance(part, str), "a mapping from text to text", part)
        if self.aws_region is not None and not re.fullmatch("[a-z0-9-]+", self.aws_region):
            raise ConfigError("aws_region must be the name of an AWS region, as in 'eu-west-1'")
        if self.aws is not None:
            _ = self.signing_region
        loader = self.load_client_secret
        check_kind("load_client_secret", loader is None or callable(loader), "an async function", loader)
        is_store = all(callable(getattr(self.token_store, name, None)) for name in ("get", "set", "delete"))
        is_store = is_store and not isinstance(self.token_store, Mapping)  # a dict has a `get` of another kind
        check_kind("token_store", self.token_store is None or is_store, "a TokenStore", self.token_store)
        for stage in self.middleware:
            check_kind("middleware", callable(stage), "a sequence of functions", stage)
        for key, plan in self.plans.items():
            check_kind(f"plans[{key!r}]", isinstance(plan, UsagePlan), "a UsagePlan", plan)
        for key, rate in self.application_rates.items():
            check_kind(f"application_rates[{key!r}]", isinstance(rate, int | float | None), "requests/s or None", rate)
            if rate is not None and not 0 < rate < math.inf:
                raise ConfigError(f"application_rates[{key!r}] must be a finite number above 0, or None, not {rate!r}")
        if self.max_queue < 1:
            raise ConfigError(f"max_queue must be at least 1, not {self.max_queue}")
        if self.transport is not None:
            is_one = hasattr(self.transport, "handle_async_request")
            check_kind("transport", is_one, "an httpx.AsyncBaseTransport", self.transport)


def find_operation(name: str, known: Iterable[Operation], what: str) -> Operation:
    """Find an operation by its name, as in `orders_v0.get_orders`: a misspelt one would silently change nothing.

    Args:
        name: Its name.
        known: All there are, or those of its module at least.
        what: What the name was given for, for the error.

    Raises:
        ConfigError: There is none; it names the nearest.
    """
    names = {operation.key: operation for operation in known}
    if name not in names:
        near = get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else " (names are as in 'orders_v0.get_orders')"
        raise ConfigError(f"{what}: there is no operation {name!r}{hint}")
    return names[name]


_KINDS: dict[str, tuple[type | UnionType, str]] = {
    "sandbox": (bool, "True or False"),
    "timeout": (Timeouts, "a Timeouts, as in Timeouts(read=30)"),
    "retry": (RetryPolicy, "a RetryPolicy, as in RetryPolicy(max_attempts=2)"),
    "middleware": (Sequence, "a sequence of functions"),
    "plans": (Mapping, "a mapping from the names of operations to UsagePlan"),
    "application_rates": (Mapping, "a mapping from the names of operations to requests/s"),
    "max_queue": (int, "a number of calls"),
    "rdt": (bool | None, "True or False"),
    "validate": (bool, "True or False"),
    "strict": (bool, "True or False"),
    "application_name": (str | None, "text"),
    "application_version": (str | None, "text"),
    "user_agent_attributes": (Mapping, "a mapping from names of attributes to values"),
    "aws": (AwsCredentials | AwsRole | None, "AwsCredentials or an AwsRole"),
    "aws_region": (str | None, "text"),
    "client_secret_created": (date | None, "a date or a datetime"),
}


def check_kind(name: str, is_right: bool, words: str, value: object) -> None:
    """Refuse an option of the wrong type.

    Raises:
        ConfigError: It is not right; the text tells what was expected, and the type that came instead of it.
    """
    if not is_right:
        raise ConfigError(f"{name} must be {words}, not of type {type(value).__name__}")


def _read_region(name: str) -> Region:
    check_kind("region", isinstance(name, str), "a Region or its name", name)
    try:
        return Region(name.strip().lower())
    except ValueError:
        raise ConfigError(f"region must be one of {', '.join(Region)}, not {name!r}") from None


def _read_marketplace(name: str) -> Marketplace:
    try:
        return Marketplace(name)
    except ValueError:
        raise ConfigError(f"marketplace {name!r} is not known; give region= or endpoint= instead") from None


def _check_url(name: str, url: str) -> str:
    check_kind(name, isinstance(url, str), "a URL", url)
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    is_where = parts.scheme in {"http", "https"} and parts.hostname and not re.search(r"\s", url)
    if not is_where or parts.query or parts.fragment or "@" in parts.netloc:
        # Not shown: it could hold a password.
        raise ConfigError(f"{name} must be a URL as in https://sellingpartnerapi-eu.amazon.com")
    return url
