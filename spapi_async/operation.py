"""The shapes that travel: an operation, its usage plan, one call of it, and the reply.

Read from top to bottom: `UsagePlan`, `Parameter` and `Operation` are facts about Amazon's API and are made once, by the
generator. `Call` goes down through the stages, `Reply` comes up. All are frozen; no stage keeps a request's state.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from enum import IntEnum
from functools import lru_cache
from typing import Literal
from urllib.parse import quote

import attrs

__all__ = [
    "JSON_LISTINGS_FEED",
    "RESTRICTED_REPORT_TYPES",
    "Call",
    "Operation",
    "Parameter",
    "Priority",
    "Quota",
    "Reply",
    "Timeouts",
    "UsagePlan",
]


_LEAST_RATE = 1 / 86_400  # requests/s; the slowest plan has 0.0056

# RFC 3986, section 2.3: what needs no encoding anywhere; and the colon, which a time holds.
_NEARLY_SAFE = re.compile(r"[A-Za-z0-9_.~:-]*").fullmatch


def _positive(_: object, attribute: attrs.Attribute[float], value: object) -> None:
    if not (isinstance(value, int | float) and value > 0 and math.isfinite(value)):
        raise ValueError(f"{attribute.name} must be a finite number above 0, not {value!r}")


def _at_least_one(_: object, attribute: attrs.Attribute[float], value: object) -> None:
    if not (isinstance(value, int | float) and value >= 1 and math.isfinite(value)):
        raise ValueError(f"{attribute.name} must be a finite number of at least 1, not {value!r}")


@lru_cache(maxsize=2048)  # names are few, and the same in every call
def _quoted_name(name: str) -> str:
    return quote(name, safe="")


@attrs.frozen
class UsagePlan:
    """How often an operation may be called: Amazon's token bucket.

    Args:
        rate: Tokens added per second; may be far below 1 (0.0056 is one token in three minutes).
        burst: Size of the bucket: the most calls that can be made at once from a full one.
        source: Where the figures come from: `documentation` (Amazon's page), `model` (its Swagger model), `sdk` (its
            official SDK), `default` (no source has any, so 1/s burst 1 is assumed), `override` (given by you) or
            `header` (learned from `x-amzn-RateLimit-Limit`).

    Raises:
        ValueError: `rate` is not above 0, or `burst` is below 1.
    """

    rate: float = attrs.field(validator=_positive)
    burst: float = attrs.field(validator=_at_least_one)
    source: str = "override"

    def __str__(self) -> str:
        return f"{self.rate:g} requests/s, burst {self.burst:g}"


@attrs.frozen
class Quota:
    """A further limit that some calls of an operation count against, beside its usage plan; declared with a call.

    Args:
        name: Yours to choose; calls of one operation with the same name share the quota.
        plan: Its token bucket. The one that was declared first counts.
        scope: `selling_partner` if each has a quota of its own, `application` if all of them share it.

    Raises:
        ValueError: The name is empty or `application`, which means Amazon's own, or the scope is neither.
    """

    name: str = attrs.field(validator=attrs.validators.not_(attrs.validators.in_(("", "application"))))
    plan: UsagePlan = attrs.field(validator=attrs.validators.instance_of(UsagePlan))
    scope: Literal["selling_partner", "application"] = attrs.field(
        default="selling_partner", validator=attrs.validators.in_(("selling_partner", "application"))
    )


JSON_LISTINGS_FEED = Quota("JSON_LISTINGS_FEED", UsagePlan(5 / 300, 5, "documentation"))
"""For `createFeed` with this feed type: 5 submissions in 5 minutes (Amazon's changelog of 2025-05-06)."""

RESTRICTED_REPORT_TYPES = frozenset(
    {
        "GET_AMAZON_FULFILLED_SHIPMENTS_DATA_INVOICING",
        "GET_AMAZON_FULFILLED_SHIPMENTS_DATA_TAX",
        "GET_EASYSHIP_DOCUMENTS",
        "GET_FLAT_FILE_ACTIONABLE_ORDER_DATA_SHIPPING",
        "GET_FLAT_FILE_ORDERS_RECONCILIATION_DATA_INVOICING",
        "GET_FLAT_FILE_ORDERS_RECONCILIATION_DATA_SHIPPING",
        "GET_FLAT_FILE_ORDERS_RECONCILIATION_DATA_TAX",
        "GET_FLAT_FILE_ORDER_REPORT_DATA_INVOICING",
        "GET_FLAT_FILE_ORDER_REPORT_DATA_SHIPPING",
        "GET_FLAT_FILE_ORDER_REPORT_DATA_TAX",
        "GET_GST_MTR_B2B_CUSTOM",
        "GET_ORDER_REPORT_DATA_INVOICING",
        "GET_ORDER_REPORT_DATA_SHIPPING",
        "GET_ORDER_REPORT_DATA_TAX",
        "GET_VAT_TRANSACTION_DATA",
        "SC_VAT_TAX_REPORT",
    }
)
"""Report types that hold buyers' data: `get_report_document` of one needs `restricted=True` (Amazon's guide of the
Tokens API)."""


class Priority(IntEnum):
    """Who goes first when calls wait for the same usage plan; a lower number goes first."""

    INTERACTIVE = 0
    NORMAL = 1
    BULK = 2


@attrs.frozen(kw_only=True)
class Parameter:
    """One argument of an operation, with the limits that Amazon's model states.

    Limits are facts for checking, not promises: Amazon's own examples break some.

    Args:
        name: The name on the wire, as in `MarketplaceIds`.
        argument: The name in Python, as in `marketplace_ids`.
        location: Where it travels.
        type: The JSON type: `string`, `integer`, `number`, `boolean`, `array` or `object`.
        format: `date-time`, `date` or None.
        collection: How an array is written in the query: `csv` (joined by commas) or `multi` (the name repeated).
        minimum, maximum: Bounds of a number.
        min_length, max_length: Bounds of a string's length, in characters.
        min_items, max_items: Bounds of an array's length.
        pattern: A regular expression that a string must contain a match of.
        values: The values Amazon's model lists. An unlisted value is not refused, since Amazon adds some at any time.
        model: For a body, the name of its class in the module's `models`.
        double_encoded: Whether `%`, `+` and `,` inside an item are percent-encoded once more than usual.
    """

    name: str
    argument: str
    location: Literal["path", "query", "header", "body"]
    type: str = "string"
    format: str | None = None
    required: bool = False
    collection: Literal["csv", "multi"] | None = None
    minimum: float | None = None
    maximum: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    min_items: int | None = None
    max_items: int | None = None
    pattern: str | None = None
    values: tuple[str, ...] = ()
    model: str | None = None
    double_encoded: bool = False


@attrs.frozen(kw_only=True, eq=False)
class Operation:
    """One operation of one API version, with every fact about it that the stages need.

    Args:
        module: The API version's module, as in `orders_v0`.
        name: The method's name, as in `get_orders`.
        operation_id: Amazon's name, as in `getOrders`.
        method: The HTTP verb.
        path: The path template, as in `/orders/v0/orders/{orderId}`.
        plan: The usage plan per selling partner and application.
        application_rate: Requests/s summed over all selling partners of one application, where Amazon names such
            a limit.
        parameters: The arguments, in the order of the method's signature.
        result: The class of the 2xx reply in the module's `models`; None when the reply has no body.
        success: The success statuses that the model declares, ascending.
        accept: The media type of the reply.
        repeatable: Whether sending it twice does no more than sending it once.
        idempotency_header: The header that makes a repeat safe, where the operation has one.
        grantless_scope: The scope of a grantless operation's token; None for one that acts for a selling partner.
        restricted: Whether it needs a restricted data token: `never`, `optional` (more data with one) or `required`.
        restricted_path: Whether one restricted data token may name the path template for all ids.
        data_elements: What a restricted data token can be asked for, where it must say so, as in `buyerInfo`.
        greedy: Names of path parameters whose slashes stay as they are.
        deprecated: Amazon's model marks it as deprecated.
        retired: When it was withdrawn, or that it was, in words; None while it is live.
        sandbox_only: It exists on Amazon's sandbox endpoint only.
        roles: Roles any one of which lets an application call it, where there is a source for them.
        docs: A link to Amazon's reference page.
    """

    module: str
    name: str
    operation_id: str
    method: str
    path: str
    plan: UsagePlan
    application_rate: float | None = None
    parameters: tuple[Parameter, ...] = ()
    result: str | None = None
    success: tuple[int, ...] = (200,)
    accept: str = "application/json"
    repeatable: bool = False
    idempotency_header: str | None = None
    grantless_scope: str | None = None
    restricted: Literal["never", "optional", "required"] = "never"
    restricted_path: bool = False
    data_elements: tuple[str, ...] = ()
    greedy: frozenset[str] = frozenset()
    deprecated: bool = False
    retired: str | None = None
    sandbox_only: bool = False
    roles: tuple[str, ...] = ()
    docs: str | None = None
    key: str = attrs.field(init=False)
    """`module.name`, as in `orders_v0.get_orders`: how plans, logs and errors name the operation."""

    @key.default
    def _key(self) -> str:
        return f"{self.module}.{self.name}"

    def call(
        self,
        path: Mapping[str, str] | None = None,
        query: Iterable[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Call:
        """Make one call: fill the path template and encode the query, byte for byte as they will be sent.

        Args:
            path: A value for each name in the path template.
            query: Names and values, in the order they are to be sent. Arrays are already joined or repeated.
            headers: Headers of the operation itself.
            body: The encoded body.
        """
        filled = self.path
        for name, value in (path or {}).items():
            # A slash inside a SKU or an id must not start a new segment; only a greedy parameter keeps it.
            encoded = quote(value, safe="/") if name in self.greedy else _quote(value)
            filled = filled.replace("{" + name + "}", encoded)
        # Spaces as %20, never "+": a gateway that follows RFC 3986 reads "+" as itself.
        pairs = "&".join([f"{_quote(name)}={_quote(value)}" for name, value in query])
        return Call(operation=self, path=filled, query=pairs, headers=headers or {}, body=body)


def _quote(text: str) -> str:
    # Most names and values are ids or times; looking at them is several times cheaper than quoting.
    return text.replace(":", "%3A") if _NEARLY_SAFE(text) else quote(text, safe="")


@attrs.frozen(kw_only=True)
class Timeouts:
    """How long one HTTP exchange may take; waiting for the usage plan does not count.

    Args:
        connect: Seconds to get a connection: name look-up, TCP and TLS together. Default 5.
        read: Longest silence in seconds while the request is written or the reply awaited. Default 60.
        total: Seconds for the whole exchange, so that a reply that drips for ever has an end too. Default 300.

    Raises:
        ValueError: One of them is not a finite number above 0.
    """

    connect: float = attrs.field(default=5.0, validator=_positive)
    read: float = attrs.field(default=60.0, validator=_positive)
    total: float = attrs.field(default=300.0, validator=_positive)


@attrs.frozen(kw_only=True)
class Call:
    """One use of an operation; `attempt` counts its HTTP exchanges.

    Args:
        operation: What is called.
        path: The filled path, percent-encoded, byte for byte as sent.
        query: The query without its question mark, percent-encoded; "" for none.
        headers: Headers to send; each stage may add its own.
        body: The encoded body; b"" for none.
        priority: Who goes first when calls wait for the same plan.
        attempt: Which HTTP exchange of the call this is, from 1.
        deadline: Until when it may wait for its turn, in seconds of the scheduler's clock; None for no end.
        timeout: Overrides the client's timeouts for this call.
        quotas: What it counts against beside its operation's usage plan.
        restricted: The data elements for which it needs a restricted data token, in alphabetical order; () for a token
            that names none, None for the access token. Default: () where the operation requires one, else None.
        made_key: The idempotency key that was made for it because its caller gave none. Our own repeats carry it and
            are harmless; those of the caller would carry another.
    """

    operation: Operation
    path: str
    query: str = ""
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)  # holds the token on the way down
    body: bytes = attrs.field(default=b"", repr=False)  # may hold a buyer's data
    priority: Priority = Priority.NORMAL
    attempt: int = 1
    deadline: float | None = None
    timeout: Timeouts | None = None
    quotas: tuple[Quota, ...] = ()
    restricted: tuple[str, ...] | None = attrs.field()
    made_key: str | None = None

    @restricted.default
    def _restricted(self) -> tuple[str, ...] | None:
        return () if self.operation.restricted == "required" else None

    def with_header(self, name: str, value: str) -> Call:
        """Return the call with one more header."""
        # Not attrs.evolve: every call passes here, and this is several times cheaper.
        return Call(
            operation=self.operation,
            path=self.path,
            query=self.query,
            headers={**self.headers, name: value},
            body=self.body,
            priority=self.priority,
            attempt=self.attempt,
            deadline=self.deadline,
            timeout=self.timeout,
            quotas=self.quotas,
            restricted=self.restricted,
            made_key=self.made_key,
        )

    @property
    def target(self) -> str:
        """Path and query as they stand in the request line."""
        return f"{self.path}?{self.query}" if self.query else self.path


@attrs.frozen(kw_only=True)
class Reply:
    """A 2xx reply.

    Args:
        status: The HTTP status.
        headers: With lower-case names.
        body: As it came, after content decoding.
        elapsed: Seconds from the start of the exchange to the last byte.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    elapsed: float = 0.0

    @property
    def request_id(self) -> str | None:
        """Amazon's `x-amzn-RequestId`, the id its support asks for."""
        return self.headers.get("x-amzn-requestid")

    @property
    def rate_limit(self) -> float | None:
        """As `read_rate_limit`."""
        return read_rate_limit(self.headers)


def read_rate_limit(headers: Mapping[str, str]) -> float | None:
    """Read `x-amzn-RateLimit-Limit`: requests/s, never the burst.

    Args:
        headers: Of a reply or an error, with lower-case names.

    Returns:
        None unless it is there, which it need not be, and a finite number of at least one request a day: what is below
        that is garbage, and to believe it would stop the operation for good.
    """
    try:
        rate = float(headers["x-amzn-ratelimit-limit"])
    except (KeyError, ValueError):
        return None
    return rate if rate >= _LEAST_RATE and math.isfinite(rate) else None
