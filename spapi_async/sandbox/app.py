"""The sandbox as an ASGI program: a Selling Partner API on this machine that behaves as Amazon's does.

A request passes the stages of Amazon's gateway in order: route, signature if wanted, token, usage plan, arguments, and
only then what the operation does. Pure ASGI 3, on asyncio and trio alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import anyio
import attrs
import orjson

from ..apis import catalog
from ..errors import ConfigError
from ..operation import Operation, UsagePlan
from . import asgi, checks, examples, messaging, notifications, sigv4, tokens, uploads
from .answers import Typed
from .asgi import Receive, Scope, Send
from .consent import Consents, Registration
from .exchange import Answer, Request, refuse, reply
from .faults import Fault, Faults
from .lwa import SCOPES, TOKEN_PATH, Lwa, LwaError
from .routing import Router
from .state import Call, State
from .throttle import Throttle, amount
from .tokens import RDT_PATH

__all__ = ["Sandbox"]

Handler = Callable[[Request, State], Answer]

_ADMIN = "/_sandbox/"
_CHANGES = {"plans": ("rate", "burst"), "tokens": ("tokens",), "eat": ("rate",), "application-rates": ("rate",)}
_LWA_CHANGES = {
    "revoke": '{}, {"seller": "SELLER1"} or {"seller": "SELLER1", "refresh_tokens": true}',
    "lwa": '{"down": 30}',
    "secret": '{"client_id": "app", "secret": "new"}',
}
_RATE_HEADER = b"x-amzn-ratelimit-limit"
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
        tokens: What buckets hold at their first call, by such names; at most the burst. Default: all are full.
        eat: Tokens/s that an unseen consumer of the same plan asks of each bucket, by such names; see `eat`.
        application_rates: Requests/s for all selling partners of an application together, by such names, instead of
            the limits that Amazon names for some operations; None for no limit.
        models: A folder of Amazon's Swagger models (a checkout of amzn/selling-partner-api-models): requests that its
            static sandbox knows get that sandbox's replies. None: all replies are made here.
        applications: Client id -> client secret of the applications that exist. None: any, but a secret with
            `wrong` or `invalid` in it.
        registrations: The applications that selling partners can consent to; None: any. See `Registration`.
        aws: Access key id -> secret access key: requests must be signed with one of them, as Amazon wanted it until
            2023-10-02. Keys may come and go later. None: signatures are not looked at, as Amazon does today.
        owners: Order id -> the selling partner whose order it is: for others there is no such order. An order that is
            not named is anybody's.
        clock: Gives seconds; all that the sandbox knows of time, but the time of messages is the calendar's at the
            first one. On virtual time: `anyio.current_time`, which is read only while the event loop runs.
        token_lifetime: Seconds until an access token expires.
        rate_header: Whether replies carry `x-amzn-RateLimit-Limit`; Amazon leaves it out at times.
        faults: Calls that fail on purpose.
        latency: Seconds a round trip takes at least, half of it on each way.
        jitter: Seconds that each way takes longer at most: drawn evenly from 0 to `jitter` for the way in, and again
            for the way out, by the seed of `faults`. Requests so meet their usage plan late and out of order.
        operations: What is served. Default: every generated operation.

    Raises:
        ConfigError: A name in `plans`, `tokens`, `eat`, `application_rates` or `faults` means no operation, a number
            is out of range, or `models` holds no models.
    """

    def __init__(
        self,
        *,
        plans: Mapping[str, UsagePlan] | None = None,
        tokens: Mapping[str, float] | None = None,
        eat: Mapping[str, float] | None = None,
        application_rates: Mapping[str, float | None] | None = None,
        models: str | Path | None = None,
        applications: Mapping[str, str] | None = None,
        registrations: Iterable[Registration] | None = None,
        aws: Mapping[str, str] | None = None,
        owners: Mapping[str, str] | None = None,
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
        self._throttle = Throttle(live, clock, plans=plans, tokens=tokens, eat=eat, application_rates=application_rates)
        self._router = Router(live)
        self._examples = examples.load(models, live) if models is not None else {}
        self._aws = aws
        self._clock = clock
        self._epoch: datetime | None = None  # when the clock was at 0
        scopes = SCOPES.union(o.grantless_scope for o in live if o.grantless_scope)
        self._lwa = Lwa(applications, scopes, token_lifetime)
        self._consents = Consents(registrations, self._lwa)
        self._rate_header = rate_header
        self._faults = faults or Faults()
        self._faults.aim(live)
        self._latency, self._jitter = amount("latency", latency), amount("jitter", jitter)
        self._owners = dict(owners or {})
        self._typed = Typed()
        self._handlers: dict[tuple[str, str], Handler] = {
            **_HANDLERS,
            ("POST", RDT_PATH): self._create_rdt,
            ("POST", "/uploads/2020-11-01/uploadDestinations/{resource}"): self._create_upload,
        }
        self.reset()

    def reset(self) -> None:
        """Forget what was called and sent, and begin anew with faults, usage plans, buckets and unseen consumers.

        What was changed by `set_plan`, `set_tokens`, `eat` and `set_application_rate` is forgotten too. Access tokens
        stay valid.
        """
        self.state = State()
        self._throttle.restart()
        self._faults.restart()
        # Of its own, so that jitter changes no fault; and not the faults' numbers again, which would go with them.
        self._random = Random(f"jitter {self._faults.seed}")

    def set_plan(self, name: str, plan: UsagePlan, *, seller: str | None = None) -> None:
        """Enforce another usage plan from now on. The next reply tells its rate.

        Each bucket keeps its tokens, as far as the new burst has room for them. The last call for an operation and a
        selling partner counts, whatever its name was.

        Args:
            name: `orders_v0.get_orders`, `messaging_v1.*` or `*`.
            plan: Rate in requests/s, and burst.
            seller: The selling partner it holds for; None for all. Grantless operations have none.

        Raises:
            ConfigError: `name` means no operation.
        """
        self._throttle.set_plan(name, plan, seller)

    def set_tokens(self, name: str, tokens: float, *, seller: str | None = None) -> None:
        """Let buckets hold so many tokens now, and others as many at their first call.

        Args:
            name: As of `set_plan`.
            tokens: 0 for an empty bucket; never more than the burst.
            seller: As of `set_plan`.

        Raises:
            ConfigError: `name` means no operation, or `tokens` is out of range.
        """
        self._throttle.set_tokens(name, tokens, seller)

    def eat(self, name: str, rate: float, *, seller: str | None = None) -> None:
        """Let an unseen consumer use each bucket too, as another program of the same application would.

        It asks for one token every 1/rate seconds: the first 1/rate seconds from now, or from the bucket's first call.
        What is refused to it is lost: it does not ask again.

        Args:
            name: As of `set_plan`.
            rate: Tokens/s, up to 1000; 0 ends it.
            seller: As of `set_plan`.

        Raises:
            ConfigError: `name` means no operation, or `rate` is out of range.
        """
        self._throttle.eat(name, rate, seller)

    def set_application_rate(self, name: str, rate: float | None) -> None:
        """Enforce another limit from now on for all selling partners of an application together. No reply tells it.

        A call needs a token of this limit and one of its selling partner's usage plan; a refused one takes neither.
        The burst is what `rate` brings in a second, at least 1. Each bucket keeps its tokens, as far as the new burst
        has room for them; one that had no limit begins full.

        Args:
            name: As of `set_plan`.
            rate: Requests/s; None for no limit.

        Raises:
            ConfigError: `name` means no operation, or `rate` is not above 0.
        """
        self._throttle.set_application_rate(name, rate)

    def revoke(self, seller: str | None = None, *, refresh_tokens: bool = False) -> int:
        """Let the access tokens and restricted data tokens that were given out so far open nothing any more.

        Args:
            seller: The selling partner whose they are; "" for grantless ones, None for all.
            refresh_tokens: Refuse the refresh tokens that were used so far, too: the authorisation was taken back. One
                that was not used yet, as after a new consent, is good.

        Returns:
            How many there were.
        """
        return self._lwa.revoke(seller, refresh_tokens)

    def fail_lwa(self, seconds: float) -> None:
        """Let the token endpoint answer 503 `temporarily_unavailable` for so many seconds from now; 0 ends it.

        Raises:
            ConfigError: `seconds` is out of range.
        """
        self._lwa.fail_until(self._clock() + amount("seconds", seconds))

    def set_client_secret(self, client_id: str, secret: str) -> None:
        """Let an application have this client secret from now on: the old one is refused. Access tokens stay valid."""
        self._lwa.set_secret(client_id, secret)

    def set_delivery(self, order_id: str, delivered: datetime) -> None:
        """Say when an order was delivered, which decides when a solicitation may be sent; until `reset`.

        Args:
            order_id: The order, of all selling partners.
            delivered: With a zone. An order of which nothing was said was delivered 10 days ago.

        Raises:
            ConfigError: The time has no zone.
        """
        if delivered.tzinfo is None:
            raise ConfigError("the time of a delivery needs a zone")
        self.state.deliveries[order_id] = delivered

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
        there, back = self._ways()
        call = Call(request_id=str(uuid4()), arrived=self._clock())
        self.state.calls.append(call)
        # Before its usage plan sees it, so that requests come late and out of order there.
        await _travel(there)
        call.served = self._clock()
        answer, fault, plan = self._serve(scope, path, headers, body, call)
        call.fault = kind = "" if fault is None else fault.kind
        is_cut = kind.startswith(("drop", "reset"))
        self.state.statuses[call.operation, "dropped" if is_cut else str(answer.status)] += 1
        await _travel(back)
        if fault is not None and kind == "slow":
            await anyio.sleep(fault.seconds)
        call.is_lost, call.ended = asgi.is_lost(scope), self._clock()
        if is_cut:
            await asgi.drop(scope, receive, is_reset=kind.startswith("reset"))
            return
        call.status = answer.status
        has_rate = self._rate_header and (answer.status < 300 or answer.status in _RATE_STATUSES)
        rate = (_RATE_HEADER, _decimal(plan.rate)) if has_rate and plan is not None else None
        await asgi.respond(send, answer, call.request_id, rate)

    def _ways(self) -> tuple[float, float]:
        """Draw how many seconds a call takes on its way in and out, both at once: chance so goes by who calls first."""
        if not self._jitter:
            return self._latency / 2, self._latency / 2
        there, back = (self._latency / 2 + self._random.uniform(0.0, self._jitter) for _ in range(2))
        return there, back

    def _serve(
        self, scope: Scope, path: str, headers: dict[str, str], body: bytes, call: Call
    ) -> tuple[Answer, Fault | None, UsagePlan | None]:
        """Pass the gateway's stages; note in `call` what it is, and give its answer, its fault and its plan."""
        if path == TOKEN_PATH:
            call.operation = TOKEN_PATH
            return self._exchange_token(scope["method"], headers, body), None, None
        if self._consents.serves(path):
            query, origin = asgi.query(scope["query_string"]), f"{scope['scheme']}://{headers.get('host', '')}"
            answer = self._consents.answer(scope["method"], path, query, body, origin, self._clock())
            call.operation = "consent"
            return answer, None, None
        found = self._router.find(scope["method"], path)
        if found is None:
            message = "There is no such operation: check host, path and verb."
            error_type = "MissingAuthenticationTokenException"
            return refuse(403, "MissingAuthenticationToken", message, "", error_type), None, None
        operation, arguments = found
        call.operation, now = operation.key, self._clock()
        call.order_id = _order_in(arguments)
        if self._aws is not None:
            arrived = scope["method"], path.encode("latin-1"), scope["query_string"], scope["headers"], body
            refusal = sigv4.check(self._aws, *arrived, self._date(now))
            if refusal is not None:
                return refusal, None, None
        grant = tokens.find_grant(self._lwa, headers.get("x-amz-access-token"), operation, path, now)
        if isinstance(grant, Answer):
            return grant, None, None
        call.seller = grant.seller
        may_pass, plan = self._throttle.take(operation.key, grant, now)
        if not may_pass:
            return _throttled(), None, plan
        fault = self._faults.draw(operation.key)
        kind = "" if fault is None else fault.kind
        if kind == "throttle":
            return _throttled(), fault, plan
        if fault is not None and kind == "error-before":
            return _failed(fault), fault, plan
        if kind in ("drop-before", "reset-before"):
            return Answer(0), fault, plan
        request = Request(
            operation=operation,
            path=path,
            arguments=arguments,
            query=asgi.query(scope["query_string"]),
            headers=headers,
            body=body,
            grant=grant,
            request_id=call.request_id,
            time=self._date(now),
            origin=f"{scope['scheme']}://{headers.get('host', '')}",
        )
        answer = self._answer(request)
        if fault is not None and kind == "error-after":
            answer = _failed(fault)
        elif kind == "bad-json":
            answer = attrs.evolve(answer, body=answer.body[: len(answer.body) // 2] or b"{")
        elif kind == "html":
            answer = attrs.evolve(answer, body=b"<html><body>It works!</body></html>", media_type="text/html")
        return answer, fault, plan

    def _date(self, now: float) -> datetime:
        if self._epoch is None:
            self._epoch = datetime.now(UTC) - timedelta(seconds=now)
        return self._epoch + timedelta(seconds=now)

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
            order_id = _order_in(request.arguments)
            is_theirs = self._owners.get(order_id, request.grant.seller) == request.grant.seller
            trouble = messaging.order_trouble(order_id) if is_theirs else messaging.no_order()
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
            case "GET", "calls":
                return reply(200, [attrs.asdict(call) for call in self.state.calls])
            case "GET", "requests":
                return reply(200, self.requests())
            case "POST", "deliveries":
                return self._deliver(body)
            case "POST", "reset":
                self.reset()
                return reply(200, {})
            case "POST", page if page in _CHANGES:
                return self._change(page, body)
            case "POST", page if page in _LWA_CHANGES:
                return self._change_lwa(page, body)
        return refuse(404, "NotFound", "The sandbox has no such page.")

    def _change(self, page: str, body: bytes) -> Answer:
        """Do for another process what `set_plan` and its like do for this one."""
        names = _CHANGES[page]
        may_name_seller = page != "application-rates"
        try:
            fields = orjson.loads(body)
            known = {"operation", *names}
            most = known | {"seller"} if may_name_seller else known
            if not isinstance(fields, dict) or not known <= fields.keys() <= most:
                seller_too = " and, if it is for one, seller" if may_name_seller else ""
                raise ValueError(f"give a JSON object of operation, {', '.join(names)}{seller_too}")
            name, seller, figures = fields["operation"], fields.get("seller"), [fields[n] for n in names]
            if not (isinstance(name, str) and isinstance(seller, str | None)):
                raise ValueError("operation and seller must be strings")
            is_unlimited = not may_name_seller and figures == [None]
            if not is_unlimited and not all(isinstance(figure, float | int) for figure in figures):
                raise ValueError(f"{' and '.join(names)} must be numbers")
            match page:
                case "plans":
                    self.set_plan(name, UsagePlan(*figures), seller=seller)
                case "tokens":
                    self.set_tokens(name, *figures, seller=seller)
                case "eat":
                    self.eat(name, *figures, seller=seller)
                case _:
                    self.set_application_rate(name, *figures)
        except ValueError as error:  # a ConfigError is one too
            return refuse(400, "InvalidInput", str(error))
        return reply(200, {})

    def _change_lwa(self, page: str, body: bytes) -> Answer:
        """Do for another process what `revoke`, `fail_lwa` and `set_client_secret` do for this one."""
        try:
            match page, orjson.loads(body or b"{}"):
                case "revoke", {**fields} if fields.keys() <= {"seller", "refresh_tokens"}:
                    seller, too = fields.get("seller"), fields.get("refresh_tokens", False)
                    if isinstance(seller, str | None) and isinstance(too, bool):
                        return reply(200, {"revoked": self.revoke(seller, refresh_tokens=too)})
                case "lwa", {"down": int() | float() as seconds, **rest} if not rest:
                    self.fail_lwa(seconds)
                    return reply(200, {})
                case "secret", {"client_id": str(client_id), "secret": str(secret), **rest} if not rest:
                    self.set_client_secret(client_id, secret)
                    return reply(200, {})
            raise ValueError(f"give a JSON object as in {_LWA_CHANGES[page]}")
        except ValueError as error:  # a ConfigError is one too
            return refuse(400, "InvalidInput", str(error))

    def _deliver(self, body: bytes) -> Answer:
        try:
            fields = orjson.loads(body)
            if not isinstance(fields, dict) or fields.keys() != {"order_id", "delivered"}:
                raise ValueError("give a JSON object of order_id and delivered")
            if not all(isinstance(value, str) for value in fields.values()):
                raise ValueError("order_id and delivered must be strings")
            self.set_delivery(fields["order_id"], datetime.fromisoformat(fields["delivered"]))
        except ValueError as error:
            return refuse(400, "InvalidInput", str(error))
        return reply(200, {})

    def requests(self) -> dict[str, Any]:
        """Tell what was called: statuses by operation, and for each bucket what it accepted and refused.

        `limit` says what a bucket counts: `usage plan` the calls of an application for one selling partner ("" where
        an operation has none), `application` those for all of them, and then `seller` is None.
        """
        operations: dict[str, dict[str, int]] = {}
        for (key, status), count in sorted(self.state.statuses.items()):
            operations.setdefault(key, {})[status] = count
        return {"operations": operations, "buckets": self._throttle.report()}


def _order_in(arguments: Mapping[str, str]) -> str:
    return arguments.get("amazonOrderId") or arguments.get("orderId", "")


async def _travel(seconds: float) -> None:
    if seconds:
        await anyio.sleep(seconds)


@lru_cache(maxsize=1024)  # plans are few, and the same in every reply
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
