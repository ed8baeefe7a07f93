"""The only place that wires: one application, its selling partners, and the stages that their calls pass.

your middleware -> retry -> prepare a token -> throttling -> attach the token -> inner stages -> wire (signs, if asked)
"""

from __future__ import annotations

import logging
import math
import os
import random
import re
import time
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from datetime import UTC, date, datetime
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

import anyio
import attrs

from .apis.arguments import make_call
from .apis.custom import make_custom_call
from .apis.namespace import AnyApi, Apis, ApisWithRawResponse
from .apis.raw import RawResponse
from .auth import (
    LWA_ENDPOINT,
    LWA_POLICY,
    TOKEN_HEADER,
    Authorising,
    AwsCredentials,
    ClientSecret,
    Credentials,
    LwaClient,
    Token,
    TokenCache,
    digest,
    read_rdt,
)
from .auth.aws import RoleKeys, Signing, utc_now
from .config import ClientConfig, Options, check_kind, find_operation
from .errors import AuthError, ClientClosedError, ConfigError
from .events import Event, ReplyDeviated
from .hidden import hide
from .logs import log
from .middleware import Middleware, compose
from .operation import Call, Operation, Priority, Quota, Reply, Timeouts, UsagePlan
from .retry import retrying
from .scheduler import Account, Scheduler, SellingPartnerScheduler, current_time
from .transport import Wire, default_transport, user_agent

if TYPE_CHECKING:
    from .apis.tokens_2021_03_01 import RestrictedResource

__all__ = ["Application", "SellingPartner"]

_Answer = TypeVar("_Answer")


class Application:
    """One registered application: its transport, its tokens and its usage plans, shared by all its selling partners.

        async with Application(client_id=..., client_secret=..., region=Region.EU) as app:
            sp = app.selling_partner(refresh_token=...)

    Args:
        client_id: Of the application's Login with Amazon credentials.
        client_secret: Likewise; never shown.
        options: As described in `ClientConfig`; one of `region`, `marketplace` and `endpoint` is needed.

    Attributes:
        scheduler: Keeps every call within its usage plan.

    Raises:
        ConfigError: A credential or an option is missing or wrong.
    """

    def __init__(self, *, client_id: str, client_secret: str, **options: Unpack[Options]) -> None:
        client_secret = hide(client_secret)  # first of all: a traceback may show this frame
        self._credentials = Credentials(client_id=client_id, client_secret=client_secret)
        self._config = config = ClientConfig(**options)
        for option in ("plans", "application_rates"):
            for name in getattr(config, option):
                _find_operation(name, option)
        self._opened = default_transport() if config.transport is None else None
        transport = config.transport or self._opened
        assert transport is not None
        clock = current_time
        self._signing = self._make_signing()
        self._wire = Wire(
            transport,
            endpoint=config.url,
            timeouts=config.timeout,
            user_agent=user_agent(config.application_name, config.application_version, config.user_agent_attributes),
            emit=self._emit,
            clock=clock,
            signer=self._signing.signer if self._signing else None,
        )
        self.scheduler = Scheduler(
            emit=self._emit,
            clock=clock,
            plans=config.plans,
            application_rates=config.application_rates,
            max_queue=config.max_queue,
        )
        lwa_endpoint = config.lwa_endpoint or LWA_ENDPOINT
        self._tokens = TokenCache(
            emit=self._emit,
            clock=clock,
            random=random.random,
            store=config.token_store,
            namespace=digest(f"{config.url} {lwa_endpoint}"),
        )
        self._secret = ClientSecret(
            client_secret, created=config.client_secret_created, load=config.load_client_secret, emit=self._emit
        )
        self._lwa = LwaClient(
            self._post_form,
            endpoint=lwa_endpoint,
            policy=config.retry if config.retry.max_attempts == 1 else LWA_POLICY,
            sleep=anyio.sleep,
            random=random.random,
            secret=self._secret,
            emit=self._emit,
        )
        self._retrying = retrying(config.retry, sleep=anyio.sleep, random=random.random, clock=clock, emit=self._emit)
        self._is_closed = False
        self._in_flight = 0
        self._idle: anyio.Event | None = None
        self._clock_at_close = 0.0

    def __repr__(self) -> str:
        return f"{type(self).__name__}(client_id={self._credentials.client_id!r}, endpoint={self._config.url!r})"

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **options: Unpack[Options]) -> Self:
        """Make an application from environment variables; options given here go before them.

        The variables of `SellingPartner.from_env`, without that of the refresh token.

        Args:
            environ: The environment; None takes the process's.
            options: As described in `ClientConfig`.

        Raises:
            ConfigError: Variables are missing; it names all of them.
        """
        environ = _hidden(environ)  # first of all: a traceback may show this frame
        credentials = _read_environment(environ, options, of_application=True)
        return cls(client_id=credentials.client_id, client_secret=credentials.client_secret, **options)

    def selling_partner(
        self,
        *,
        refresh_token: str | None = None,
        selling_partner_id: str | None = None,
        learned_plans: Mapping[str, UsagePlan] | None = None,
    ) -> SellingPartner:
        """Return a client for one selling partner: a light object that shares all that this application has.

        Args:
            refresh_token: The selling partner's; without one, only grantless operations can be called.
            selling_partner_id: Amazon's id of the selling partner. Refresh tokens of the same id share their usage
                plans, as they do at Amazon; without it each refresh token counts as a selling partner of its own.
            learned_plans: What Amazon told of its usage plans earlier, from `sp.scheduler.learned_plans()`. What it has
                told this application since goes before them.

        Raises:
            ConfigError: The refresh token is empty or has white space at an end, or a plan is no `UsagePlan`.
        """
        refresh_token = hide(refresh_token)
        partner = SellingPartner.__new__(SellingPartner)
        partner._attach(self, refresh_token, selling_partner_id, learned_plans, owns=False)
        return partner

    def set_client_secret(self, client_secret: str, *, created: date | datetime | None = None) -> None:
        """Use another client secret from now on, as after a rotation. No call notices.

        Access tokens stay valid, and what is being fetched with the old secret is fetched with this one if Login with
        Amazon refuses the old. What was refused because of the old secret is asked again.

        Args:
            client_secret: The new one; never shown.
            created: When it was made. None means now, if the client was made with `client_secret_created`.

        Raises:
            ConfigError: It is empty or has white space at an end, or `created` is no date and has no time zone.
        """
        client_secret = hide(client_secret)
        if created is None and self._secret.created is not None:
            created = datetime.now(UTC)
        self._secret.swap(client_secret, created)
        self._tokens.forgive()

    async def aclose(self, *, grace: float = 10.0) -> None:
        """Close the client.

        Calls that wait for their turn, for a token or for AWS keys get a `ClientClosedError`; exchanges under way may
        end first.

        Args:
            grace: Seconds that exchanges under way are given; after that their connections are cut.
        """
        self._is_closed = True
        self._clock_at_close = current_time() - time.monotonic()
        self.scheduler.close()
        self._tokens.close()
        if self._signing is not None:
            self._signing.close()
        try:
            if self._in_flight:
                self._idle = self._idle or anyio.Event()
                with anyio.move_on_after(grace):
                    await self._idle.wait()
        finally:
            await self._tokens.aclose()
            with anyio.CancelScope(shield=True):  # connections are closed also when the wait was cancelled
                if self._signing is not None:
                    await self._signing.aclose()
                if self._opened is not None:
                    await self._opened.aclose()

    async def __aenter__(self) -> Self:
        if self._is_closed:
            self._reopen()
        return self

    def _reopen(self) -> None:
        """Begin anew after a close, perhaps in another event loop."""
        # On asyncio all event loops have the same clock; each run of trio has one of its own.
        is_same_clock = abs(current_time() - time.monotonic() - self._clock_at_close) < 1.0
        self._is_closed, self._idle = False, None
        self.scheduler.reopen(is_same_clock=is_same_clock)
        if self._signing is not None:
            self._signing.reopen()
        self._tokens.reopen(is_same_clock=is_same_clock)

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Also when the block was cancelled, connections are closed in order.
        with anyio.CancelScope(shield=True):
            await self.aclose(grace=0.0 if exc_type else 10.0)

    async def _post_form(
        self, url: str, form: Mapping[str, str], timeouts: Timeouts
    ) -> tuple[int, Mapping[str, str], bytes]:
        if self._is_closed:  # else a repeat would open connections that nobody closes
            raise ClientClosedError("the client was closed before there was an access token", operation="lwa")
        self._secret.check_age()
        return await self._wire.post_form(url, form, timeouts)

    async def _ask_lwa(
        self,
        form: Callable[[Credentials], Mapping[str, str]],
        read: Callable[[int, Mapping[str, str], bytes], _Answer],
    ) -> _Answer:
        """Post a form of this application to Login with Amazon, and read the answer. Closing waits for it.

        Once; but if its client secret is refused, and there is another by now, also with that.
        """
        if self._is_closed:  # before there is a form, which the traceback would show
            raise ClientClosedError("the client is closed", operation="lwa")
        endpoint = self._config.lwa_endpoint or LWA_ENDPOINT
        self._in_flight += 1
        try:
            while True:
                credentials = attrs.evolve(self._credentials, client_secret=self._secret.value)
                try:
                    return read(*await self._post_form(endpoint, form(credentials), LwaClient.timeouts))
                except AuthError as error:
                    if error.code != "invalid_client" or not await self._secret.renew(credentials.client_secret):
                        raise
        finally:
            self._land()

    def _land(self) -> None:
        self._in_flight -= 1
        if not self._in_flight and self._idle is not None:
            self._idle.set()

    def _make_signing(self) -> Signing | None:
        aws = self._config.aws
        if aws is None:
            return None
        region = self._config.signing_region
        if isinstance(aws, AwsCredentials):
            return Signing(aws, region=region)
        from .auth.sts import Sts

        keys = RoleKeys(
            Sts(aws, region).assume,
            policy=self._config.retry,
            now=utc_now,
            sleep=anyio.sleep,
            random=random.random,
            emit=self._emit,
        )
        return Signing(keys, region=region)

    def _emit(self, event: Event) -> None:
        log(event)
        if self._config.on_event is not None:
            try:
                self._config.on_event(event)
            except Exception:
                # It must not decide how a call ends: after a sent message it would look as if that had failed.
                logging.getLogger("spapi_async").exception("on_event raised")

    def _stages(self, credentials: Credentials, account: Account, partner: SellingPartner) -> _Stages:
        auth = Authorising(credentials, self._lwa, self._tokens, partner._create_rdt)
        return (
            *self._config.middleware,
            self._retrying,
            auth.prepare,
            *([self._signing.prepare] if self._signing else []),
            self.scheduler.throttling(account),
            auth.attach,
        )


def _hidden(environ: Mapping[str, str] | None) -> Mapping[str, str]:
    return {name: hide(value) for name, value in (os.environ if environ is None else environ).items()}


def _read_environment(environ: Mapping[str, str], options: Options, *, of_application: bool = False) -> Credentials:
    """Fill up the options from environment variables, and return the credentials."""
    in_region = any(options.get(name) is not None for name in ("region", "marketplace"))
    if not in_region and options.get("endpoint") is None:
        options["region"] = str(environ.get("SPAPI_REGION", "")) or None
        options["endpoint"] = str(environ.get("SPAPI_ENDPOINT", "")) or None
    # The two endpoints of the environment go together: a sandbox's token is worth nothing at Amazon.
    if options.get("lwa_endpoint") is None and not (in_region and environ.get("SPAPI_ENDPOINT")):
        options["lwa_endpoint"] = str(environ.get("SPAPI_LWA_ENDPOINT", "")) or None
    where = options.get("region") or options.get("marketplace") or options.get("endpoint")
    missing = () if where else ("SPAPI_REGION or SPAPI_ENDPOINT",)
    return Credentials.from_env(environ, also_missing=missing, of_application=of_application)


def _find_operation(name: str, what: str = "operation") -> Operation:
    from .apis import catalog

    nearest = catalog(name.partition(".")[0])
    try:
        return find_operation(name, nearest, what)
    except ConfigError:
        return find_operation(name, catalog(), what)  # a misspelt module is near to another's operation


_Stages = tuple[Middleware, ...]


@attrs.frozen(kw_only=True)
class _CallOptions:
    """What a view of the client gives every call made through it; None leaves it as it is."""

    priority: Priority | None = None
    deadline: float | None = None
    timeout: Timeouts | None = None
    validate: bool | None = None
    quotas: tuple[Quota, ...] | None = None
    rdt: bool = True
    restricted_data_token: str | None = attrs.field(default=None, repr=False)

    def applied(self, call: Call) -> Call:
        changes: dict[str, Any] = {}  # Any: each field has its own type
        if self.priority is not None:
            changes["priority"] = self.priority
        if self.deadline is not None:
            changes["deadline"] = current_time() + self.deadline
        if self.timeout is not None:
            changes["timeout"] = self.timeout
        if self.quotas is not None:
            changes["quotas"] = self.quotas
        if call.restricted is not None and not self.rdt:
            changes["restricted"] = None
        if self.restricted_data_token is not None and call.operation.restricted != "never":
            changes["headers"] = {TOKEN_HEADER: self.restricted_data_token, **call.headers}
        return attrs.evolve(call, **changes) if changes else call


class SellingPartner(Apis):
    """A client for one selling partner. Each API version is an attribute, each operation a method of it.

        async with SellingPartner(client_id=..., client_secret=..., refresh_token=..., region=Region.NA) as sp:
            reply = await sp.orders_v0.get_orders(marketplace_ids=[Marketplace.US], created_after=...)

    Made this way it has an `Application` of its own and closes it; for many selling partners of one application make
    them with `Application.selling_partner`, so that they share connections, tokens and usage plans.

    Args:
        client_id: Of the application's Login with Amazon credentials.
        client_secret: Likewise; never shown.
        refresh_token: The selling partner's; never shown. Without one, only grantless operations can be called.
        selling_partner_id: Amazon's id of the selling partner, if you know it.
        learned_plans: What Amazon told of its usage plans earlier, from `sp.scheduler.learned_plans()`.
        options: As described in `ClientConfig`; one of `region`, `marketplace` and `endpoint` is needed.

    Raises:
        ConfigError: A credential or an option is missing or wrong.
    """

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str,
        refresh_token: str | None = None,
        selling_partner_id: str | None = None,
        learned_plans: Mapping[str, UsagePlan] | None = None,
        **options: Unpack[Options],
    ) -> None:
        client_secret = hide(client_secret)  # first of all: a traceback may show this frame
        refresh_token = hide(refresh_token)
        application = Application(client_id=client_id, client_secret=client_secret, **options)
        self._attach(application, refresh_token, selling_partner_id, learned_plans, owns=True)

    def _attach(
        self,
        application: Application,
        refresh_token: str | None,
        selling_partner_id: str | None,
        learned_plans: Mapping[str, UsagePlan] | None,
        *,
        owns: bool,
    ) -> None:
        self._application = application
        self._owns_application = owns
        self._selling_partner_id = selling_partner_id
        self._options = _CallOptions(rdt=application._config.fetches_rdt)
        self._credentials = Credentials(
            client_id=application._credentials.client_id,
            client_secret=application._credentials.client_secret,
            refresh_token=refresh_token,
        )
        name = selling_partner_id or (f"token-{digest(refresh_token)}" if refresh_token else "")
        account = Account(self._credentials.client_id, name, application._config.url)
        self._scheduler = SellingPartnerScheduler(application.scheduler, account, _find_operation)
        for key, plan in (learned_plans or {}).items():
            check_kind(f"learned_plans[{key!r}]", isinstance(plan, UsagePlan), "a UsagePlan", plan)
        if learned_plans:
            application.scheduler.restore(account, learned_plans)
        self._stages = application._stages(self._credentials, account, self)
        self._pipeline = compose(self._stages, application._wire.exchange)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._application!r})"

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        selling_partner_id: str | None = None,
        learned_plans: Mapping[str, UsagePlan] | None = None,
        **options: Unpack[Options],
    ) -> Self:
        """Make a client from environment variables; options given here go before them.

        `SPAPI_CLIENT_ID`, `SPAPI_CLIENT_SECRET`, `SPAPI_REFRESH_TOKEN`, `SPAPI_REGION`, `SPAPI_ENDPOINT`,
        `SPAPI_LWA_ENDPOINT`; for the first three also the names other clients use: `LWA_APP_ID`, `LWA_CLIENT_SECRET`,
        `SP_API_REFRESH_TOKEN`.

        Args:
            environ: The environment; None takes the process's.
            selling_partner_id: Amazon's id of the selling partner, if you know it.
            learned_plans: What Amazon told of its usage plans earlier, from `sp.scheduler.learned_plans()`.
            options: As described in `ClientConfig`.

        Raises:
            ConfigError: Variables are missing; it names all of them.
        """
        environ = _hidden(environ)  # first of all: a traceback may show this frame
        credentials = _read_environment(environ, options)
        return cls(
            client_id=credentials.client_id,
            client_secret=credentials.client_secret,
            refresh_token=credentials.refresh_token,
            selling_partner_id=selling_partner_id,
            learned_plans=learned_plans,
            **options,
        )

    @property
    def selling_partner_id(self) -> str | None:
        """Amazon's id of the selling partner, if it was given."""
        return self._selling_partner_id

    @property
    def scheduler(self) -> SellingPartnerScheduler:
        """Keeps every call within its usage plan: tells how the buckets stand, and how long calls will take."""
        return self._scheduler

    @cached_property
    def with_raw_response(self) -> ApisWithRawResponse:
        """The same operations, each of which gives a `RawResponse`: status, headers, the body as it came, `parse()`.

            reply = await sp.with_raw_response.orders_v0.get_orders(marketplace_ids=[...])

        Of a paginated operation, it is the first page.
        """
        return ApisWithRawResponse(self)

    def api(self, kind: type[AnyApi]) -> AnyApi:
        """Return an API version whose calls this client sends; for modules that you generated yourself.

            await sp.api(Orders20270101).get_order(order_id=...)

        Args:
            kind: The generated class.
        """
        validate, config = self._options.validate, self._application._config
        return kind(
            self.send,
            validate=config.validate if validate is None else validate,
            report=self._report_deviations if config.strict else None,
        )

    def with_options(
        self,
        *,
        priority: Priority | None = None,
        deadline: float | None = None,
        timeout: Timeouts | None = None,
        validate: bool | None = None,
        quotas: Iterable[Quota] | None = None,
        rdt: bool | None = None,
        restricted_data_token: str | None = None,
    ) -> Self:
        """Return a light view of this client, with other options for the calls made through it.

            await sp.with_options(priority=Priority.INTERACTIVE, deadline=2.0).orders_v0.get_order(order_id=...)

        It shares everything with this client; closing it does nothing. Of a view, the options that are not given stay.

        Args:
            priority: Who goes first when calls wait for the same usage plan.
            deadline: Seconds from each call on, within which its turn must come; a call that would wait longer is
                refused at once with `ThrottleTimeoutError`.
            timeout: How long one HTTP exchange may take.
            validate: Whether arguments are checked before they are sent.
            quotas: What the calls count against beside their usage plans, as `JSON_LISTINGS_FEED`.
            rdt: False: no restricted data token is fetched for them, as the client's option.
            restricted_data_token: One that another application has handed over: calls of operations that require a
                restricted data token, or can have one, go with this. It is never renewed, and never shown.

        Raises:
            ConfigError: One of them is of the wrong type, the deadline is NaN, or the token cannot be one.
        """
        restricted_data_token = hide(restricted_data_token)
        quotas = None if quotas is None else tuple(quotas)
        given = {
            "priority": priority,
            "deadline": deadline,
            "timeout": timeout,
            "validate": validate,
            "quotas": quotas,
            "rdt": rdt,
            "restricted_data_token": restricted_data_token,
        }
        check_kind("priority", isinstance(priority, Priority | None), "a Priority", priority)
        check_kind("deadline", isinstance(deadline, int | float | None), "seconds", deadline)
        check_kind("timeout", isinstance(timeout, Timeouts | None), "a Timeouts, as in Timeouts(read=30)", timeout)
        check_kind("validate", isinstance(validate, bool | None), "True or False", validate)
        if deadline is not None and math.isnan(deadline):
            raise ConfigError("deadline must be a number of seconds, not nan")
        for quota in quotas or ():
            check_kind("quotas", isinstance(quota, Quota), "Quotas", quota)
        check_kind("rdt", isinstance(rdt, bool | None), "True or False", rdt)
        is_text = isinstance(restricted_data_token, str | None)
        check_kind("restricted_data_token", is_text, "text", restricted_data_token)
        if restricted_data_token is not None and not re.fullmatch(r"[!-~]+", restricted_data_token):
            raise ConfigError("restricted_data_token must be printable ASCII without white space, and not empty")
        view = copy(self)
        for name in tuple(vars(view)):
            # Of subclasses too: what they keep is bound to the client that it was first asked of.
            if isinstance(getattr(type(view), name, None), cached_property):
                del vars(view)[name]
        view._owns_application = False
        changes = {name: value for name, value in given.items() if value is not None}
        view._options = attrs.evolve(self._options, **changes)  # type: ignore[arg-type]
        return view

    async def request(
        self,
        method: str,
        path: str,
        *,
        path_parameters: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None,
        body: Any = None,  # Any: a model, plain data, or bytes
        headers: Mapping[str, str] | None = None,
        plan: UsagePlan | None = None,
        repeatable: bool = False,
        restricted: bool | Iterable[str] = False,
        grantless_scope: str | None = None,
    ) -> RawResponse[Any]:
        """Call what no generated method calls yet, through all stages: token, usage plan, retries, errors.

            reply = await sp.request("GET", "/things/v1/{id}", path_parameters={"id": "1"}, plan=UsagePlan(2, 10))
            reply.json()

        Args:
            method: The HTTP verb.
            path: As in Amazon's reference, with placeholders: calls with the same method and path share one usage plan.
            path_parameters: A value for each placeholder; encoded here.
            query: Names and values. A list is joined by commas; for a name that repeats, give pairs. Times need a zone.
                None is not sent.
            body: A model, plain data to be written as JSON, or bytes or text as they are.
            headers: Further headers.
            plan: The usage plan, of which the first call's counts; a rate that Amazon sends goes before it. Default:
                1/s, burst 1.
            repeatable: True if sending it twice does no more than sending it once. Only then is it sent again after a
                failure that leaves open whether it was done.
            restricted: True for data that needs a restricted data token: one is fetched for this path. Where Amazon
                wants to know for which data, their names, as in `["buyerInfo"]`.
            grantless_scope: Of a grantless operation, the scope of its token.

        Raises:
            ArgumentError: Something cannot be sent; it names everything that is wrong.
            CallError: As `send`, which may raise others too.
        """
        call = make_custom_call(
            method,
            path,
            path_parameters=path_parameters,
            query=query,
            body=body,
            headers=headers,
            plan=plan,
            repeatable=repeatable,
            restricted=restricted,
            grantless_scope=grantless_scope,
        )
        return RawResponse.plain(call.operation, await self.send(call))

    async def create_restricted_data_token(
        self, resources: Iterable[RestrictedResource | Mapping[str, Any]], *, target_application: str | None = None
    ) -> Token:
        """Get a restricted data token to hand over to another application; our own calls get theirs by themselves.

            token = await sp.create_restricted_data_token(
                [{"method": "GET", "path": "/orders/v0/orders/{orderId}/address"}], target_application="amzn1.…"
            )

        It is asked for each time, so that whoever gets it has it for its whole lifetime. The other application uses it
        by `with_options(restricted_data_token=...)`.

        Args:
            resources: 1 to 50 of what it opens: `method`, `path` (the template for all ids, where Amazon allows) and,
                where Amazon wants them, `dataElements`; plain data or models of `spapi_async.apis.tokens_2021_03_01`.
            target_application: The id of the application that is to use it; None for this one.

        Returns:
            The token: `value`, which no repr shows, and `expires_in` in seconds.

        Raises:
            ArgumentError: The resources are not as they must be.
            AuthError: The reply cannot be read.
            CallError: As `send`.
        """
        from .apis.tokens_2021_03_01.operations import CREATE_RESTRICTED_DATA_TOKEN

        body: dict[str, Any] = {"restrictedResources": list(resources)}
        if target_application is not None:
            body["targetApplication"] = target_application
        reply = await self.send(make_call(CREATE_RESTRICTED_DATA_TOKEN, {"body": body}))
        token = read_rdt(reply.body)
        if token is None:
            raise AuthError(
                "the reply cannot be read", operation=CREATE_RESTRICTED_DATA_TOKEN.key, request_id=reply.request_id
            )
        return token

    async def send(self, call: Call, inner: Iterable[Middleware] = ()) -> Reply:
        """Send a call through all stages.

        Args:
            call: Made by `Operation.call`.
            inner: Further stages for this call, run last before the wire: on every attempt, when the call has its turn
                and its token.

        Returns:
            The 2xx reply.

        Raises:
            AuthError: There is no token for it.
            CallError: It failed; the class and its attributes tell how, and whether it is safe to repeat.
            ConfigError: It needs a refresh token and there is none.
        """
        application = self._application
        if application._is_closed:
            raise ClientClosedError("the client is closed", operation=call.operation.key)
        call = self._options.applied(call)
        inner = tuple(inner)
        pipeline = compose((*self._stages, *inner), application._wire.exchange) if inner else self._pipeline
        application._in_flight += 1
        try:
            return await pipeline(call)
        finally:
            application._land()

    def set_client_secret(self, client_secret: str, *, created: date | datetime | None = None) -> None:
        """Use another client secret from now on, for the whole application; as `Application.set_client_secret`."""
        client_secret = hide(client_secret)
        self._application.set_client_secret(client_secret, created=created)

    async def transfer(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b"", *, attempt: int = 1
    ) -> Reply:
        """Exchange bytes with Amazon's storage behind a presigned URL: with no token, no usage plan and no repeats.

        Args:
            method: As the URL is for: PUT of an upload destination.
            url: As Amazon gave it; it is in no error, no event and no log.
            headers: Those that Amazon gave with the URL, and no others.
            body: The bytes to store.
            attempt: Which exchange of this transfer it is, for errors.

        Returns:
            The 2xx reply.

        Raises:
            TransferError: The storage answered with another status.
            TransportError: There was no whole reply. To send the same again does nothing twice.
        """
        application = self._application
        if application._is_closed:
            raise ClientClosedError("the client is closed", operation="transfer")
        application._in_flight += 1
        try:
            return await application._wire.transfer(method, url, headers or {}, body, self._options.timeout, attempt)
        finally:
            application._land()

    async def aclose(self, *, grace: float = 10.0) -> None:
        """Close the client, if it was not made by an `Application`; as `Application.aclose`."""
        if self._owns_application:
            await self._application.aclose(grace=grace)

    async def __aenter__(self) -> Self:
        if self._owns_application:
            await self._application.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._owns_application:
            await self._application.__aexit__(exc_type, exc, traceback)

    def _report_deviations(self, operation: Operation, reply: Reply, found: Iterable[object]) -> None:
        deviations = tuple(str(deviation) for deviation in found)
        self._application._emit(
            ReplyDeviated(operation=operation.key, deviations=deviations, request_id=reply.request_id)
        )

    async def _create_rdt(self, body: bytes, priority: Priority, timeout: Timeouts | None) -> Reply:
        from .apis.tokens_2021_03_01.operations import CREATE_RESTRICTED_DATA_TOKEN

        call = CREATE_RESTRICTED_DATA_TOKEN.call(body=body)
        # By the client itself, whatever view the call was made through: its quotas are none of the token's.
        return await self.send(attrs.evolve(call, priority=priority, timeout=timeout))
