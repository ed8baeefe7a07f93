"""The User-Agent in the form that Amazon asks for."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from ..errors import ConfigError

__all__ = ["user_agent"]

# Amazon refuses requests with a longer one ("Include a User-Agent header", Selling Partner API developer guide).
MAX_LENGTH = 500


def user_agent(
    application_name: str | None = None,
    application_version: str | None = None,
    attributes: Mapping[str, str] | None = None,
) -> str:
    r"""Write the User-Agent, as in `My-App/2.1 (Language=Python/3.11.7; Platform=Linux/6.1)`.

    Amazon's rules (developer guide, "Include a User-Agent header in all requests"): what ends a part is quoted by a
    backslash inside it, and so is the backslash itself: `/` in the name, `(` in the version, `=` in the name of an
    attribute, `)` and `;` in its value.

    Args:
        application_name: Your application's; None for this library's, `spapi_async`.
        application_version: Its version. None: this library's version if the name is this library's too, else `0`.
        attributes: Further ones, behind the two that are always there and can be replaced, `Language` and `Platform`.

    Raises:
        ConfigError: It would be longer than 500 characters, a part is empty, or one has characters other than
            printable ASCII.
    """
    if application_version is None:
        application_version = _own_version() if application_name is None else "0"
    if application_name is None:
        application_name = "spapi_async"
    attributes = attributes or {}
    given = [("application_name", application_name), ("application_version", application_version)]
    given += [("user_agent_attributes", part) for pair in attributes.items() for part in pair]
    for option, value in given:
        # A line break would start a header of its own.
        if not re.fullmatch(r"[ -~]+", value) or value != value.strip():
            raise ConfigError(f"{option} must be printable ASCII with no space at its ends, not {value!r}")
    language, system = f"Python/{platform.python_version()}", f"{platform.system()}/{platform.release()}"
    pairs = {"Language": language, "Platform": system, **attributes}
    inside = "; ".join(f"{_quote(name, '=')}={_quote(value, ');')}" for name, value in pairs.items())
    text = f"{_quote(application_name, '/')}/{_quote(application_version, '(')} ({inside})"
    if len(text) > MAX_LENGTH:
        raise ConfigError(
            f"application_name, application_version and user_agent_attributes make a User-Agent of {len(text)} "
            f"characters; Amazon allows {MAX_LENGTH}"
        )
    return text


def _own_version() -> str:
    try:
        return version("spapi-async")
    except PackageNotFoundError:  # bundled into one file, or run from the sources
        return "0"


def _quote(text: str, special: str) -> str:
    return "".join("\\" + character if character in special or character == "\\" else character for character in text)
