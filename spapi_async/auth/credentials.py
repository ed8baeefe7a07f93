"""Who calls: the application's client id and secret, and the selling partner's refresh token."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import attrs

from ..errors import ConfigError

__all__ = ["Credentials", "digest"]

# Our names first, then those that users of other clients have already (python-amazon-sp-api).
_NAMES = {
    "client_id": ("SPAPI_CLIENT_ID", "LWA_APP_ID"),
    "client_secret": ("SPAPI_CLIENT_SECRET", "LWA_CLIENT_SECRET"),
    "refresh_token": ("SPAPI_REFRESH_TOKEN", "SP_API_REFRESH_TOKEN"),
}


def digest(secret: str) -> str:
    """Return a short name for a secret, from which the secret cannot be found: 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(secret.encode()).hexdigest()[:16]


@attrs.frozen(kw_only=True)
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
    def from_env(cls, environ: Mapping[str, str], *, also_missing: Sequence[str] = ()) -> Credentials:
        """Read the credentials from environment variables.

        `SPAPI_CLIENT_ID`, `SPAPI_CLIENT_SECRET` and `SPAPI_REFRESH_TOKEN`, else the names that other clients use:
        `LWA_APP_ID`, `LWA_CLIENT_SECRET` and `SP_API_REFRESH_TOKEN`.

        Args:
            environ: The environment.
            also_missing: What else the caller missed, to be named in the same error.

        Raises:
            ConfigError: Some are not set; it names all of them at once.
        """
        found = {
            field: next((environ[name] for name in names if environ.get(name)), None) for field, names in _NAMES.items()
        }
        missing = [" or ".join(_NAMES[field]) for field, value in found.items() if value is None]
        missing.extend(also_missing)
        if missing:
            raise ConfigError(f"missing from the environment: {', '.join(missing)}")
        return cls(**found)  # type: ignore[arg-type]
