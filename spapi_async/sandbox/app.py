"""The sandbox as an ASGI program: a Selling Partner API on this machine that behaves as Amazon's does.

A request passes the stages of Amazon's gateway in order: route, token, usage plan, arguments, and only then what the
operation does. Pure ASGI 3, on asyncio and trio alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import anyio
import attrs
import orjson

from ..apis import catalog
from ..operation import Operation, UsagePlan
from . import asgi, checks, examples, messaging, notifications, tokens, uploads
from .answers import Typed
from .asgi import Receive, Scope, Send
from .bucket import TokenBucket
from .exchange import Answer, Request, refuse, reply
from .faults import Fault, Faults
from .lwa import SCOPES, TOKEN_PATH, Grant, Lwa, LwaError
from .names import plans_in_force
from .routing import Router
from .state import State

__all__ = ["Sandbox"]

Handler = Callable[[Request, State], Answer]

_ADMIN = "/_sandbox/"
_UNKNOWN = "unknown"
_RATE_STATUSES = (400, 404)  # besides 2xx, the statuses that carry the rate (Amazon's page on usage plans)
_NOTIFICATIONS = "/notifications/v1"
_SUBSCRIPTION = _NOTIFICATIONS + "/subscriptions/{notificationType}"
_SOLICITATIONS = "/solicitations/v1/orders/{amazonOrderId}"
_MESSAGING = "/messaging/v1/orders/{amazonOrderId}"

_HANDLERS: dict[tuple[str, str], Handler] = {
    ("GET", _MESSAGING): messaging.actions,
    ("GET", _MESSAGING + "/attributes"): messaging.attributes,
    **{("POST", f"{_MESSAGING}/messages/{kind}"): messaging.send for kind in messaging.KINDS},
    ("GET", _SOLICITATIONS): messaging.solicitations,
    ("POST", f"{_SOLICITATIONS}/solicitations/{messaging.SOLICITATION}"): messaging.solicit,
    ("POST", _NOTIFICATIONS + "/destinations"): notifications.create_destination,
    ("GET", _NOTIFICATIONS + "/destinations"): notifications.get_destinations,
    ("GET", _NOTIFICATIONS + "/destinations/{destinationId}"): notifications.get_destination,
    ("DELETE", _NOTIFICATIONS + "/destinations/{destinationId}"): notifications.delete_destination,
    ("GET", _NOTIFICATIONS + "/subscriptions"): notifications.get_subscriptions,
    ("POST", _SUBSCRIPTION): notifications.create_subscription,
    ("GET", _SUBSCRIPTION): notifications.get_subscription,
    ("GET", _SUBSCRIPTION + "/{subscriptionId}"): notifications.get_subscription_by_id,
    ("DELETE", _SUBSCRIPTION + "/{subscriptionId}"): notifications.delete_subscription,
    ("POST", _SUBSCRIPTION + "/testNotification"): notifications.send_test_notification,
}
"""The operations that remember something, by verb and path template: Amazon's own names, not our generator's."""


class Sandbox:
    """A pretend Amazon. Hand it to `httpx.ASGITransport(app=...)`, or to a server such as uvicorn.

    Args:
        plans: Usage plans that are enforced instead of Amazon's: `orders_v0.get_orders`, `messaging_v1.*` or `*`.
        models: A folder of Amazon's Swagger models (a checkout of amzn/selling-partner-api-models): requests that its
            static sandbox knows get that sandbox's replies. None: all replies are made here.
        applications: Client id -> client secret of the applications that exist. None: any, but a secret with
            `wrong` or `invalid` in it.
        clock: Seconds, for usage plans and the ages of tokens.
        token_lifetime: Seconds until an access token expires.
        rate_header: Whether replies carry `x-amzn-RateLimit-Limit`; Amazon leaves it out at times.
        faults: Calls that fail on purpose.
        latency: Seconds a round trip takes at least, half of it on each way.
        jitter: Seconds it takes longer at most, by chance, half of it on each way.
        operations: What is served. Default: every generated operation.

    Raises:
        ConfigError: A name in `plans` or `faults` means no operation, or `models` holds no models.
    """

    def __init__(
        self,
        *,
        plans: Mapping[str, UsagePlan] | None = None,
        models: str | Path | None = None,
        applications: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        token_lifetime: float = 3600.0,
        rate_header: bool = True,
        faults: Faults | None = None,
        latency: float = 0.0,
        jitter: float = 0.0,
        operations: Iterable[Operation] | None = None,
    ) -> None:
        served = tuple(catalog() if operations is None else operations)
        # Amazon's gateway no longer knows an operation that was withdrawn.
        live = [operation for operation in served if operation.retired is None]
        self._plans = plans_in_force(live, plans or {})
        self._rates = {key: (b"x-amzn-ratelimit-limit", _decimal(p.rate)) for key, p in self._plans.items()}
        self._router = Router(live)
        self._examples = examples.load(models, live) if models is not None else {}
        self._clock = clock
        scopes = SCOPES.union(o.grantless_scope for o in live if o.grantless_scope)
        self._lwa = Lwa(applications, scopes, token_lifetime)
        self._rate_header = rate_header
        self._faults = faults or Faults()
        self._faults.aim(live)
        self._latency, self._jitter, self._random = latency, jitter, Random(self._faults.seed)
        self._typed = Typed()
        self._handlers: dict[tuple[str, str], Handler] = {
            **_HANDLERS,
            ("POST", tokens.RDT_PATH): self._create_rdt,
            ("POST", "/uploads/2020-11-01/uploadDestinations/{resource}"): self._create_upload,
        }
        self.reset()

    def reset(self) -> None:
        """Forget what was called and sent, fill all buckets, and begin the faults anew. Tokens stay valid."""
        self.state = State()
        self._buckets: dict[tuple[str, str, str], TokenBucket] = {}
        self._faults.restart()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "lifespan":
            await asgi.lifespan(receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"the sandbox serves http, not {scope['type']}")
        path = scope.get("raw_path", b"").decode("latin-1") or scope["path"]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        has_body = "content-length" in headers or "transfer-encoding" in headers
        body = await asgi.read(receive) if has_body else b""
        if body is None:
            return  # the caller went away in the middle of its request
        if path.startswith(_ADMIN):
            await asgi.respond(send, self._administer(scope, path, headers, body), str(uuid4()))
            return
        await self._travel()
        request_id = str(uuid4())
        key, answer, fault = self._serve(scope, path, headers, body, request_id)
        is_dropped = fault is not None and fault.kind.startswith("drop")
        self.state.statuses[key, "dropped" if is_dropped else str(answer.status)] += 1
        await self._travel()
        if fault is not None and fault.kind == "slow":
            await anyio.sleep(fault.seconds)
        if is_dropped:
            await asgi.drop(scope, receive)
            return
        has_rate = self._rate_header and (answer.status < 300 or answer.status in _RATE_STATUSES)
        await asgi.respond(send, answer, request_id, self._rates.get(key) if has_rate else None)

    async def _travel(self) -> None:
        # One way of a round trip. On the way out it decides when a request reaches its usage plan.
        if self._latency or self._jitter:
            await anyio.sleep((self._latency + self._random.uniform(0.0, self._jitter)) / 2)

    def _serve(
        self, scope: Scope, path: str, headers: dict[str, str], body: bytes, request_id: str
    ) -> tuple[str, Answer, Fault | None]:
        """Pass the gateway's stages; give the operation's key, the answer, and the fault that befalls it."""
        if path == TOKEN_PATH:
            return TOKEN_PATH, self._exchange_token(scope["method"], headers, body), None
        found = self._router.find(scope["method"], path)
        if found is None:
            message = "There is no such operation: check host, path and verb."
            error_type = "MissingAuthenticationTokenException"
            return _UNKNOWN, refuse(403, "MissingAuthenticationToken", message, "", error_type), None
        operation, arguments = found
        key, now = operation.key, self._clock()
        grant = tokens.find_grant(self._lwa, headers.get("x-amz-access-token"), operation, path, now)
        if isinstance(grant, Answer):
            return key, grant, None
        if not self._bucket(key, grant, now).take(now):
            return key, _throttled(), None
        fault = self._faults.draw(key)
        kind = "" if fault is None else fault.kind
        if kind == "throttle":
            return key, _throttled(), fault
        if fault is not None and kind == "error-before":
            return key, _failed(fault), fault
        if kind == "drop-before":
            return key, Answer(0), fault
        request = Request(
            operation=operation,
            path=path,
            arguments=arguments,
            query=asgi.query(scope["query_string"]),
            headers=headers,
            body=body,
            grant=grant,
            request_id=request_id,
            origin=f"{scope['scheme']}://{headers.get('host', '')}",
        )
        answer = self._answer(request)
        if fault is not None and kind == "error-after":
            answer = _failed(fault)
        elif kind == "bad-json":
            answer = attrs.evolve(answer, body=answer.body[: len(answer.body) // 2] or b"{")
        elif kind == "html":
            answer = attrs.evolve(answer, body=b"<html><body>It works!</body></html>", media_type="text/html")
        return key, answer, fault

    def _bucket(self, key: str, grant: Grant, now: float) -> TokenBucket:
        # A grantless token has no seller, so its bucket is the application's.
        owner = grant.client_id, grant.seller, key
        bucket = self._buckets.get(owner)
        if bucket is None:
            bucket = self._buckets[owner] = TokenBucket(self._plans[key], now)
        return bucket

    def _answer(self, request: Request) -> Answer:
        operation = request.operation
        example = examples.find(self._examples.get(operation.key, ()), request)
        if example is not None and example.answer.status >= 400:
            return example.answer
        request.is_example = example is not None
        problem = checks.check(request)
        if problem is not None:
            return problem
        handler = self._handlers.get((operation.method, operation.path))
        if example is not None:
            return self._answer_example(request, example, handler)
        if operation.module in checks.ORDER_APIS:
            order_id = request.arguments.get("amazonOrderId") or request.arguments.get("orderId", "")
            trouble = messaging.order_trouble(order_id)
            if trouble is not None:
                return trouble
        return self._typed.answer(request) if handler is None else handler(request, self.state)

    def _answer_example(self, request: Request, example: examples.Example, handler: Handler | None) -> Answer:
        # What a buyer receives is remembered, and a refusal because of it stands; else Amazon's reply goes out.
        if handler in (messaging.send, messaging.solicit):
            answer = handler(request, self.state)
            return answer if answer.status == 403 else example.answer
        if handler == self._create_rdt:
            answer = handler(request, self.state)
            if answer.status == 200:
                made, canned = (orjson.loads(a.body)["restrictedDataToken"] for a in (answer, example.answer))
                self._lwa.rename(made, canned)
        return example.answer

    def _create_rdt(self, request: Request, _state: State) -> Answer:
        return tokens.create_restricted_data_token(request, self._lwa, self._router, self._clock())

    def _create_upload(self, request: Request, state: State) -> Answer:
        return uploads.create(request, state, self._clock())

    def _exchange_token(self, method: str, headers: dict[str, str], body: bytes) -> Answer:
        try:
            if method != "POST":
                raise LwaError("invalid_request", "The token endpoint takes POST.", 405)
            return reply(200, self._lwa.exchange(body, headers.get("content-type", ""), self._clock()))
        except LwaError as error:
            return reply(error.status, {"error": error.code, "error_description": str(error)})

    def _administer(self, scope: Scope, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """Serve what Amazon does not have: looking inside, and the storage behind upload destinations."""
        if path.startswith(uploads.UPLOADS_PATH):
            query = scope["query_string"].decode("latin-1")
            return uploads.put(scope["method"], path, query, headers, body, self.state, self._clock())
        match scope["method"], path.removeprefix(_ADMIN):
            case "GET", "health":
                return reply(200, {"status": "ok"})
            case "GET", "messages":
                return reply(200, [attrs.asdict(message) for message in self.state.messages])
            case "GET", "requests":
                return reply(200, self.requests())
            case "POST", "reset":
                self.reset()
                return reply(200, {})
        return refuse(404, "NotFound", "The sandbox has no such page.")

    def requests(self) -> dict[str, Any]:
        """Tell what was called: statuses by operation, and for each usage plan what it accepted and refused."""
        operations: dict[str, dict[str, int]] = {}
        for (key, status), count in sorted(self.state.statuses.items()):
            operations.setdefault(key, {})[status] = count
        buckets = [
            {
                "client_id": client_id,
                "seller": seller,
                "operation": key,
                "rate": bucket.plan.rate,
                "burst": bucket.plan.burst,
                "throttled": bucket.refused,
                "arrivals": list(bucket.arrivals),
            }
            for (client_id, seller, key), bucket in self._buckets.items()
        ]
        return {"operations": operations, "buckets": buckets}


def _decimal(rate: float) -> bytes:
    text = repr(rate)
    return (f"{rate:.12f}".rstrip("0") if "e" in text else text).encode()


def _throttled() -> Answer:
    # As Amazon's gateway sends it: neither the rate nor Retry-After.
    message = "The quota for the requested resource is used up."
    answer = refuse(429, "QuotaExceeded", message, "", "TooManyRequestsException")
    return attrs.evolve(answer, headers=(("x-amz-apigw-id", uuid4().hex[:16]),))


def _failed(fault: Fault) -> Answer:
    code = messaging.ERRORS.get(fault.status, "InternalFailure")
    return refuse(fault.status, code, "The service failed.", "", f"{code}Exception")
