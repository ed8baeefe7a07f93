"""Who calls: the application's client id and secret, and the selling partner's refresh token.

Plain text is turned into `Secret` before anything else is done with it: a traceback may show any frame's variables.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import anyio
import attrs

from ..errors import AuthError, ConfigError
from ..events import ClientSecretExpires, Emit
from ..hidden import hide

__all__ = ["ClientSecret", "Credentials", "digest"]

# Our names first, then those that users of other clients have already (python-amazon-sp-api).
_NAMES = {
    "client_id": ("SPAPI_CLIENT_ID", "LWA_APP_ID"),
    "client_secret": ("SPAPI_CLIENT_SECRET", "LWA_CLIENT_SECRET"),
    "refresh_token": ("SPAPI_REFRESH_TOKEN", "SP_API_REFRESH_TOKEN"),
}


def digest(secret: str) -> str:
    """Return a short name for a secret, from which the secret cannot be found: 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(secret.encode()).hexdigest()[:16]


@attrs.frozen(kw_only=True, init=False)
class Credentials:
    """An application's Login with Amazon credentials, and a selling partner's refresh token.

    Args:
        client_id: As in `amzn1.application-oa2-client.…`.
        client_secret: Never shown in a repr.
        refresh_token: As in `Atzr|…`; never shown in a repr. None: only grantless operations can be called.

    Raises:
        ConfigError: One of them is empty or has white space at an end, as copying from a page leaves it.
    """

    client_id: str
    client_secret: str = attrs.field(repr=False)
    refresh_token: str | None = attrs.field(default=None, repr=False)

    def __init__(self, *, client_id: str, client_secret: str, refresh_token: str | None = None) -> None:
        client_secret = hide(client_secret)
        refresh_token = hide(refresh_token)
        self.__attrs_init__(client_id=client_id, client_secret=client_secret, refresh_token=refresh_token)

    def __attrs_post_init__(self) -> None:
        for name in _NAMES:
            value = getattr(self, name)
            if value is None and name == "refresh_token":
                continue
            if value is None or value == "":
                raise ConfigError(f"{name} is missing: give it as an argument or set {_NAMES[name][0]}")
            if not isinstance(value, str):
                raise ConfigError(f"{name} must be text, not of type {type(value).__name__}")
            if value != value.strip():
                raise ConfigError(f"{name} begins or ends with white space: copy it again without")

    @classmethod
    def from_env(
        cls, environ: Mapping[str, str], *, also_missing: Sequence[str] = (), of_application: bool = False
    ) -> Credentials:
        """Read the credentials from environment variables.

        `SPAPI_CLIENT_ID`, `SPAPI_CLIENT_SECRET` and `SPAPI_REFRESH_TOKEN`, else the names that other clients use:
        `LWA_APP_ID`, `LWA_CLIENT_SECRET` and `SP_API_REFRESH_TOKEN`.

        Args:
            environ: The environment.
            also_missing: What else the caller missed, to be named in the same error.
            of_application: Leave out the refresh token, whose selling partners come by themselves.

        Raises:
            ConfigError: Some are not set; it names all of them at once.
        """
        environ = {name: hide(value) for name, value in environ.items()}
        found: dict[str, str | None] = {
            field: next((environ[name] for name in names if environ.get(name)), None)
            for field, names in _NAMES.items()
            if not (of_application and field == "refresh_token")
        }
        missing = [" or ".join(_NAMES[field]) for field, value in found.items() if value is None]
        missing.extend(also_missing)
        if missing:
            raise ConfigError(f"missing from the environment: {', '.join(missing)}")
        return cls(**found | {"client_id": str(found["client_id"])})  # type: ignore[arg-type]


_LIFETIME = timedelta(days=180)  # of a client secret (Amazon's page "LWA Credentials FAQ")
_WARNED_BEFORE = timedelta(days=21)
_WARNED_EVERY = timedelta(days=1)


class ClientSecret:
    """The application's client secret in use, which can be swapped while calls are under way.

    Args:
        value: The secret.
        created: When it was made, if that is known: then its end is told in time.
        load: Gives the secret anew, as from where secrets are kept. It is asked once when Login with Amazon refuses
            the one in use, since that may have been rotated.
        emit: Is told when the secret is about to expire.
        now: What time it is.

    Raises:
        ConfigError: The secret is empty or has white space at an end.
    """

    def __init__(
        self,
        value: str,
        *,
        emit: Emit,
        created: date | datetime | None = None,
        load: Callable[[], Awaitable[str]] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        value = hide(value)
        self._emit = emit
        self._load = load
        self._now = now
        self._warned_at: datetime | None = None
        self._loading: anyio.Event | None = None
        self.swap(value, created)

    def swap(self, value: str, created: date | datetime | None) -> None:
        """Use another secret from now on."""
        value = hide(value)
        Credentials(client_id="-", client_secret=value)  # the same checks
        self.created = None if created is None else _in_utc(created)
        self.value = value
        self.refusal: AuthError | None = None
        """Login with Amazon's `invalid_client`, once it has refused this secret."""
        self._is_loaded = False

    async def renew(self, used: str) -> bool:
        """Return whether there is another secret than the one that was used, asking once where secrets are kept."""
        while self._loading is not None:
            await self._loading.wait()
        if self.value != used or self._load is None or self._is_loaded:
            return self.value != used
        self._is_loaded = True
        self._loading = anyio.Event()
        try:
            loaded = hide(await self._load())
            if loaded != used:
                self.swap(loaded, self._now() if self.created else None)
        except Exception as error:  # then the refusal stands
            logging.getLogger("spapi_async").warning("load_client_secret failed: %s", type(error).__name__)
        finally:
            self._loading.set()
            self._loading = None
        return self.value != used

    def check_age(self) -> None:
        """Tell that the secret is about to expire: from three weeks before, at most once a day."""
        if self.created is None:
            return
        now, expires_at = self._now(), self.created + _LIFETIME
        if now < expires_at - _WARNED_BEFORE or (self._warned_at is not None and now < self._warned_at + _WARNED_EVERY):
            return
        self._warned_at = now
        days = (expires_at - now) / timedelta(days=1)
        self._emit(ClientSecretExpires(expires_at=expires_at, days_left=days))


def _in_utc(moment: date | datetime) -> datetime:
    if isinstance(moment, datetime):
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    elif isinstance(moment, date):
        return datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    raise ConfigError("when a client secret was created must be a date, or a datetime with a time zone")
