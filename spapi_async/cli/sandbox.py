"""`spapi-async sandbox`: a local Selling Partner API on a port."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from ..errors import ConfigError
from ..operation import UsagePlan
from ..sandbox import Faults, Registration, Sandbox
from ..sandbox.faults import KINDS
from ..sandbox.lwa import TOKEN_PATH
from ..sandbox.server import bind, serve

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--port", type=int, default=8900, help="default 8900; 0 takes any free one")
    add("--host", default="127.0.0.1", help="address to listen on; default 127.0.0.1, this machine only")
    add("--models", type=Path, metavar="DIR", help="Amazon's Swagger models: answer what its static sandbox answers")
    add(
        "--plan",
        action="append",
        default=[],
        metavar="NAME=RATE/BURST",
        help="another usage plan, as in orders_v0.get_orders=2/10, messaging_v1.*=5/10 or *=100/100; repeatable",
    )
    add(
        "--tokens",
        action="append",
        default=[],
        metavar="NAME=N",
        help="tokens that a bucket holds at its first call; default: as many as its burst. Repeatable",
    )
    add(
        "--eat",
        action="append",
        default=[],
        metavar="NAME=RATE",
        help="let an unseen consumer ask for RATE tokens/s of each selling partner's bucket, evenly spaced; repeatable",
    )
    add(
        "--application-rate",
        action="append",
        default=[],
        metavar="NAME=RATE",
        help="requests/s for all selling partners of an application together, or none for no limit; default: Amazon's, "
        "which few operations have. Repeatable",
    )
    add(
        "--application",
        action="append",
        default=[],
        metavar="ID=SECRET",
        help="accept this application only; repeatable. Default: any, but a secret with 'wrong' or 'invalid' in it",
    )
    add(
        "--registration",
        action="append",
        default=[],
        metavar="QUERY",
        help="an application that selling partners can consent to, as in "
        "'application_id=amzn1.sp.solution.1&redirect_uri=http://127.0.0.1:8000/amazon/callback', with client_id, "
        "login_uri, is_draft=1, asks_login=1; repeatable. Default: any",
    )
    add(
        "--aws",
        action="append",
        default=[],
        metavar="ID=SECRET",
        help="refuse requests that are not signed (AWS Signature Version 4) with one of these keys; repeatable",
    )
    add(
        "--fault",
        action="append",
        default=[],
        metavar="KIND=CHANCE,...",
        help=f"let calls fail by chance, as in drop-after=0.03,slow=0.01:20 (seconds late). Kinds: {', '.join(KINDS)}",
    )
    add(
        "--fault-on",
        action="append",
        default=[],
        metavar="NAME",
        help="which operations --fault hits, as in orders_v0.* ; repeatable. Default: those that send to buyers",
    )
    add(
        "--script",
        action="append",
        default=[],
        metavar="NAME=WORD,...",
        help="what happens to an operation's calls in turn, as in messaging_v1.create_warranty=drop-after,ok,slow:2",
    )
    add("--seed", type=int, default=0, help="of chance; default 0")
    add("--latency", type=float, default=0.0, metavar="S", help="seconds a round trip takes at least; default 0")
    add(
        "--jitter",
        type=float,
        default=0.0,
        metavar="S",
        help="seconds that each way, in and out, takes longer at most, by chance; default 0",
    )
    add("--token-lifetime", type=float, default=3600.0, metavar="S", help="seconds of an access token; default 3600")
    add("--no-rate-header", action="store_true", help="never send x-amzn-RateLimit-Limit")
    add("--quiet", action="store_true", help="print the two URLs only")
    add("--child", action="store_true", help=argparse.SUPPRESS)  # started by start_process


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C; return 0.

    Raises:
        ConfigError: An option cannot be read, the port is in use, or uvicorn is missing.
    """
    applications = dict(_pair(text, "--application", "ID=SECRET") for text in arguments.application)
    app = Sandbox(
        plans=_plans(arguments.plan),
        tokens=_amounts(arguments.tokens, "--tokens", "NAME=N"),
        eat=_amounts(arguments.eat, "--eat", "NAME=RATE"),
        application_rates=_rates(arguments.application_rate),
        models=arguments.models,
        applications=applications or None,
        registrations=[Registration.parse(text) for text in arguments.registration] or None,
        aws=dict(_pair(text, "--aws", "ID=SECRET") for text in arguments.aws) or None,
        token_lifetime=arguments.token_lifetime,
        rate_header=not arguments.no_rate_header,
        faults=Faults.parse(arguments.fault, arguments.fault_on, arguments.script, arguments.seed),
        latency=arguments.latency,
        jitter=arguments.jitter,
    )
    with bind(arguments.host, arguments.port) as listener:
        host = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
        endpoint = f"http://{host}:{listener.getsockname()[1]}"
        is_brief = arguments.quiet or arguments.child
        serve(app, listener, announce=partial(_announce, endpoint, applications, is_brief), is_child=arguments.child)
    return 0


def _announce(endpoint: str, applications: dict[str, str], is_brief: bool) -> None:
    print(f"SPAPI_ENDPOINT={endpoint}")
    print(f"SPAPI_LWA_ENDPOINT={endpoint}{TOKEN_PATH}", flush=True)
    if is_brief:
        return
    client_id, secret = next(iter(applications.items()), ("local-app", "local-secret"))
    print(f"SPAPI_CLIENT_ID={shlex.quote(client_id)}")
    print(f"SPAPI_CLIENT_SECRET={shlex.quote(secret)}")
    print("SPAPI_REFRESH_TOKEN='Atzr|SELLER1'")
    accepted = f"{len(applications)} application(s)" if applications else "any client id and secret"
    print()
    print(f"Accepts {accepted}; the refresh token Atzr|NAME belongs to the selling partner NAME.")
    print(f"Selling partners consent at {endpoint}/apps/authorize/consent.")
    print("What buyers received: /_sandbox/messages; what was called: /_sandbox/requests. Ctrl-C ends it.", flush=True)


def _plans(texts: Iterable[str]) -> dict[str, UsagePlan]:
    plans = {}
    for text in texts:
        name, figures = _pair(text, "--plan", "NAME=RATE/BURST")
        try:
            rate, burst = map(float, figures.split("/"))
            plans[name] = UsagePlan(rate, burst)
        except ValueError as error:
            raise ConfigError(f"--plan {text}: {figures!r} is no RATE/BURST as in 0.5/30 ({error})") from None
    return plans


def _amounts(texts: Iterable[str], option: str, form: str) -> dict[str, float]:
    amounts = {}
    for text in texts:
        name, figure = _pair(text, option, form)
        amounts[name] = _number(figure, f"{option} {text}")
    return amounts


def _number(figure: str, where: str) -> float:
    try:
        return float(figure)
    except ValueError:
        raise ConfigError(f"{where}: {figure!r} is no number") from None


def _rates(texts: Iterable[str]) -> dict[str, float | None]:
    rates: dict[str, float | None] = {}
    for text in texts:
        name, figure = _pair(text, "--application-rate", "NAME=RATE")
        rates[name] = None if figure == "none" else _number(figure, f"--application-rate {text}")
    return rates


def _pair(text: str, option: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise ConfigError(f"{option} {text}: give {form}")
    return name, value
