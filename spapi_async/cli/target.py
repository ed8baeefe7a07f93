"""Where calls go and who makes them: the options that commands share, and the client made from them."""

from __future__ import annotations

import argparse
import os
from typing import Any

from ..auth import FileStore
from ..client import Application, SellingPartner
from ..config import Options
from ..errors import ConfigError
from ..marketplaces import Region

__all__ = ["SANDBOX_CREDENTIALS", "add_target", "application_of", "check_target", "client_of"]

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
    where.add_argument(
        "--token-file",
        metavar="FILE",
        help="keep access tokens there (mode 0600) for the next runs; default $SPAPI_TOKEN_FILE, else nowhere",
    )


def check_target(arguments: argparse.Namespace) -> None:
    """See that the options fit together.

    Raises:
        ConfigError: They do not.
    """
    if arguments.sandbox and (arguments.endpoint or arguments.lwa_endpoint):
        raise ConfigError("--sandbox brings its own endpoints; leave out --endpoint and --lwa-endpoint")
    if arguments.sandbox and arguments.token_file:
        raise ConfigError("the tokens of --sandbox end with it; leave out --token-file")


def client_of(
    arguments: argparse.Namespace, options: Options, *, selling_partner_id: str | None = None
) -> SellingPartner:
    """Make a client of the options, and of the environment where they are silent.

    Raises:
        ConfigError: A credential or an option is missing or wrong.
    """
    return SellingPartner.from_env(selling_partner_id=selling_partner_id, **_where(arguments, options))


def application_of(arguments: argparse.Namespace, options: Options) -> Application:
    """The same for an application, whose selling partners come by themselves.

    Raises:
        ConfigError: A credential or an option is missing or wrong.
    """
    return Application.from_env(**_where(arguments, options))


def _where(arguments: argparse.Namespace, options: Options) -> Options:
    if arguments.region:
        options["region"] = arguments.region
    if arguments.endpoint:
        options["endpoint"] = arguments.endpoint
    if arguments.lwa_endpoint:
        options["lwa_endpoint"] = arguments.lwa_endpoint
    # Only where it is asked for: whether a token may lie on a disk is the user's decision.
    token_file = arguments.token_file or os.environ.get("SPAPI_TOKEN_FILE")
    if token_file:
        options["token_store"] = FileStore(token_file)
    return options
