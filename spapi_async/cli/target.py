"""Where calls go and who makes them: the options that commands share, and the client made from them."""

from __future__ import annotations

import argparse
from typing import Any

from ..client import SellingPartner
from ..config import Options
from ..errors import ConfigError
from ..marketplaces import Region

__all__ = ["SANDBOX_CREDENTIALS", "add_target", "check_target", "client_of"]

SANDBOX_CREDENTIALS: dict[str, Any] = {  # Any: some options of a client are no text
    "client_id": "amzn1.application-oa2-client.sandbox",
    "client_secret": "sandbox",
    "refresh_token": "Atzr|SANDBOX",
}
"""The sandbox takes any; a refresh token in this form says whose it is."""


def add_target(parser: argparse.ArgumentParser, sandbox: str) -> None:
    """Declare the options that say where to.

    Args:
        parser: Of the command.
        sandbox: What --sandbox does, in words.
    """
    where = parser.add_argument_group("where to")
    where.add_argument("--sandbox", action="store_true", help=sandbox)
    where.add_argument(
        "--region", choices=[region.value for region in Region], help="na, eu or fe; default $SPAPI_REGION"
    )
    where.add_argument("--endpoint", metavar="URL", help="instead of Amazon's; default $SPAPI_ENDPOINT")
    where.add_argument("--lwa-endpoint", metavar="URL", help="of the token; default $SPAPI_LWA_ENDPOINT")


def check_target(arguments: argparse.Namespace) -> None:
    """See that the options fit together.

    Raises:
        ConfigError: They do not.
    """
    if arguments.sandbox and (arguments.endpoint or arguments.lwa_endpoint):
        raise ConfigError("--sandbox brings its own endpoints; leave out --endpoint and --lwa-endpoint")


def client_of(arguments: argparse.Namespace, options: Options) -> SellingPartner:
    """Make a client of the options, and of the environment where they are silent.

    Raises:
        ConfigError: A credential or an option is missing or wrong.
    """
    if arguments.region:
        options["region"] = arguments.region
    if arguments.endpoint:
        options["endpoint"] = arguments.endpoint
    if arguments.lwa_endpoint:
        options["lwa_endpoint"] = arguments.lwa_endpoint
    return SellingPartner.from_env(**options)
