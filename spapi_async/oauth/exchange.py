"""The way back: the callback is read and checked, and its code exchanged for the refresh token, once."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio
import attrs
from attrs.converters import optional

from ..auth.lwa import code_form, read_refresh_token
from ..errors import (
    AuthError,
    CodeRefusedError,
    ConsentRefusedError,
    LateCodeError,
    OutcomeUnknownError,
    StatusError,
    TransportError,
)
from ..hidden import bare, hide
from .links import check_partner, check_redirect_uri
from .query import Parameters, Query
from .states import States

if TYPE_CHECKING:
    from ..client import Application

__all__ = ["CODE_LIFETIME", "Authorisation", "Callback", "exchange_code", "parse_callback"]

CODE_LIFETIME = 300.0
"""Seconds that an authorisation code is valid (Amazon's developer guide)."""

_NAME = "oauth.exchange_code"
# Where this stands, LWA has not looked at the code.
_UNTOUCHED = "temporarily_unavailable"


@attrs.frozen(kw_only=True)
class Callback:
    """A callback of Amazon's that was checked. It shows neither its code nor its token.

    Args:
        code: The authorisation code: for one exchange within five minutes.
        selling_partner_id: Who agreed, as the browser says. The code itself says nothing of it, so keep the refresh
            token under your own user, not under this id alone: else one could put a token in another one's place.
        mws_auth_token: Of hybrid applications, which have MWS as well; else None.
        issued_at: When the state was made, in seconds since 1970: the code is younger than that.
        received_at: When the callback came, likewise.
        clock: Gives seconds since 1970: that of `States`.
    """

    code: str = attrs.field(repr=False, converter=hide)
    selling_partner_id: str
    mws_auth_token: str | None = attrs.field(default=None, repr=False, converter=optional(hide))
    issued_at: float
    received_at: float
    clock: Callable[[], float] = attrs.field(default=time.time, repr=False, eq=False)


@attrs.frozen(kw_only=True)
class Authorisation:
    """A selling partner's consent. It does not show its tokens.

    Args:
        refresh_token: For `Application.selling_partner`. Keep it as you keep passwords.
        selling_partner_id: As of `Callback`.
        mws_auth_token: As of `Callback`.
    """

    refresh_token: str = attrs.field(repr=False, converter=hide)
    selling_partner_id: str
    mws_auth_token: str | None = attrs.field(default=None, repr=False, converter=optional(hide))


async def parse_callback(query: Query, *, states: States, session: str | None) -> Callback:
    """Read and check a request to your redirect URI. Its state is used up by it.

    Args:
        query: The URL of the request or its parameters.
        states: What made the state.
        session: The value that this user's session has, as it was given to `States.make`; None if there is none.

    Raises:
        AlteredCallbackError: A parameter is missing, repeated or odd, or another selling partner came back.
        WrongStateError: The state is not ours, or of another session.
        ExpiredStateError: The state is too old.
        ReplayedStateError: The state was used before.
        ConsentRefusedError: There is no consent.
    """
    signer = states.signer(session)
    parameters = Parameters(query)
    del query, session  # a traceback that shows locals shall not show the code
    state = states.check(parameters.one("state"), signer)
    if refusal := parameters.maybe("error"):
        # Amazon's pages name no such callback, and its “Cancel” sends nobody back; it is what OAuth has for it.
        await states.use(state)
        raise ConsentRefusedError(refusal, parameters.text("error_description"))
    callback = Callback(
        code=parameters.visible("spapi_oauth_code"),
        selling_partner_id=check_partner(parameters.one("selling_partner_id")),
        mws_auth_token=parameters.maybe("mws_auth_token"),
        issued_at=state.issued_at,
        received_at=states.clock(),
        clock=states.clock,
    )
    state.check_partner(callback.selling_partner_id)
    # Last, so that nobody uses up a state by a callback that is refused anyway.
    await states.use(state)
    return callback


async def exchange_code(
    application: Application,
    callback: Callback,
    *,
    redirect_uri: str,
) -> Authorisation:
    """Exchange a callback's code for the selling partner's refresh token.

    Login with Amazon takes a code once. So this is repeated only after a failure that leaves the code untouched: no
    connection, a refusal for load, or one of a client secret that was rotated meanwhile.

    Args:
        application: Whose consent it is: its client id and secret, transport and retry policy are used.
        callback: Of `parse_callback`.
        redirect_uri: The one that the selling partner came back to, as it went to Amazon or is registered there.

    Raises:
        LateCodeError: The code is older than five minutes.
        CodeRefusedError: Login with Amazon takes the code for invalid for another reason.
        OutcomeUnknownError: The code may be used up, and there is no token: let the selling partner consent anew. That
            does no harm.
        AuthError: Login with Amazon refuses the application, or was not reached. Unless `is_permanent`, the same
            exchange may be made again while the code is valid.
        ClientClosedError: The application is closed.
        ConfigError: Amazon takes no such redirect URI.
    """
    check_redirect_uri(redirect_uri)
    policy, attempt = application._config.retry, 1
    while True:
        if callback.clock() - callback.received_at > CODE_LIFETIME:
            raise LateCodeError(f"the authorisation code came more than {CODE_LIFETIME:g} s ago")
        try:
            refresh_token = await application._ask_lwa(
                lambda credentials: code_form(credentials, callback.code, redirect_uri), read_refresh_token
            )
        except TransportError as error:
            bare(error)  # the frames on the way to the wire hold the form
            if error.had_begun:
                raise _unknown(error.message) from error
            failure = AuthError(f"Login with Amazon could not be reached: {error.message}", operation=_NAME)
            failure.__cause__ = error
        except AuthError as error:
            bare(error)
            failure = _judge(error, callback)
        else:
            return Authorisation(
                refresh_token=refresh_token,
                selling_partner_id=callback.selling_partner_id,
                mws_auth_token=callback.mws_auth_token,
            )
        if attempt >= policy.max_attempts:
            raise failure
        await anyio.sleep(random.random() * policy.limit(attempt))
        attempt += 1


def _judge(error: AuthError, callback: Callback) -> AuthError:
    """Give the refusal back if the exchange may be repeated, else raise what it means."""
    if error.status == 429 or (error.code or "").lower() == _UNTOUCHED:
        return error.for_operation(_NAME)
    if error.code == "invalid_grant":
        if callback.clock() - callback.issued_at > CODE_LIFETIME:
            raise LateCodeError(f"the authorisation code is older than {CODE_LIFETIME:g} s, or was used") from error
        # Younger than its state, it is not late.
        raise CodeRefusedError(
            "Login with Amazon takes the authorisation code for invalid: it was used before, or belongs to another "
            "application or redirect URI"
        ) from error
    if error.status is not None and (error.status == 200 or StatusError.leaves_open(error.status)):
        raise _unknown(error.description) from error
    raise error.for_operation(_NAME) from error


def _unknown(why: str) -> OutcomeUnknownError:
    return OutcomeUnknownError(
        f"the code may be used up, and no refresh token came: {why}; let the selling partner consent anew",
        operation=_NAME,
    )
