"""Which token a call travels with, and the stage that gives it one."""

from __future__ import annotations

from functools import partial

from ..errors import ConfigError, ForbiddenError, StatusError, UnauthorizedError
from ..middleware import Next
from ..operation import Call, Reply
from .credentials import Credentials, digest
from .lwa import LwaClient, grantless_form, refresh_form
from .rdt import CreateRdt, Resource, fetch_rdt
from .tokens import Fetch, Key, TokenCache

__all__ = ["TOKEN_HEADER", "Authorising"]

TOKEN_HEADER = "x-amz-access-token"

_Source = tuple[Key, Fetch, str]
"""Key of a token, how it is fetched, and its kind: what `TokenCache.get` takes."""


class Authorising:
    """The auth stages of one selling partner.

    There are two, around the throttling stage. `prepare` fetches a token before the call waits for its turn, so that a
    first fetch does not make granted calls leave late and together. `attach` stands behind it, so that no token ages in
    the queue; normally it finds the token in the cache.

    Args:
        credentials: The application's, with the selling partner's refresh token if there is one.
        lwa: Fetches tokens.
        cache: Keeps them; shared by all selling partners of an application.
        create_rdt: Calls createRestrictedDataToken for this selling partner.
    """

    def __init__(self, credentials: Credentials, lwa: LwaClient, cache: TokenCache, create_rdt: CreateRdt) -> None:
        self._credentials = credentials
        self._lwa = lwa
        self._cache = cache
        self._create_rdt = create_rdt
        # The refresh token itself would do as a key, but then a look at the cache or its store would show it. The
        # client secret is in none: the tokens stay valid when it is changed.
        self._application = (credentials.client_id,)
        self._partner = digest(credentials.refresh_token) if credentials.refresh_token else None
        # What nearly all calls travel with; made once.
        self._access: _Source = (
            (*self._application, "partner", self._partner or ""),
            partial(lwa.fetch, refresh_form(credentials)),
            "access",
        )

    async def prepare(self, call: Call, next_: Next) -> Reply:
        """See that there is a token before the call waits for its turn."""
        if TOKEN_HEADER not in call.headers:
            source = self._source(call)
            if self._cache.fresh(source[0]) is None:
                await self._cache.get(*source, call)
        return await next_(call)

    async def attach(self, call: Call, next_: Next) -> Reply:
        """Give the call its token; once more with a new one if Amazon says that the token is at fault.

        A refused token was refused before anything was processed, so the repeat is safe for a POST too.
        """
        if TOKEN_HEADER in call.headers:  # the caller brought one, as for a delegated restricted data token
            return await next_(call)
        source = self._source(call)
        token = self._cache.fresh(source[0]) or await self._cache.get(*source, call)
        try:
            return await next_(call.with_header(TOKEN_HEADER, token))
        except (ForbiddenError, UnauthorizedError) as error:
            if not is_about_token(error):
                raise
            self._cache.refuse(source[0], token)
        return await next_(call.with_header(TOKEN_HEADER, await self._cache.get(*source, call)))

    def _source(self, call: Call) -> _Source:
        operation = call.operation
        if operation.grantless_scope:
            form = grantless_form(self._credentials, operation.grantless_scope)
            return (*self._application, "scope", operation.grantless_scope), partial(self._lwa.fetch, form), "grantless"
        if self._partner is None:
            raise ConfigError(f"{operation.key} acts for a selling partner: a refresh_token is needed")
        if call.restricted is not None:
            resource = Resource.of(call)
            # Not the call itself, which may hold a buyer's data: the cache keeps this for renewals.
            fetch = partial(fetch_rdt, self._create_rdt, resource, call.priority, call.timeout)
            return (*self._application, "rdt", self._partner, *resource.key), fetch, "restricted"
        return self._access


def is_about_token(error: StatusError) -> bool:
    """Whether a 401 or 403 says that the token is expired, revoked or missing: then a new one may help.

    A 403 has many meanings: a role that is missing, an order for which a message is not allowed. Amazon tells a bad
    token in `details` or `message`, in words; the code is `Unauthorized` for all of them.
    """
    if error.status == 401:
        return True
    words = " ".join(f"{problem.message} {problem.details}" for problem in error.errors).lower()
    return ("access token" in words or "restricted data token" in words) and any(
        word in words for word in ("expired", "revoked", "invalid", "missing", "malformed")
    )
