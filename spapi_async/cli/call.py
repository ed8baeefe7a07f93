"""`spapi-async call`: call one operation from the shell, and print Amazon's reply as it came."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from typing import Any

import anyio
import orjson

from ..apis.arguments import make_call
from ..apis.base import Paging
from ..client import SellingPartner
from ..config import Options
from ..errors import ArgumentError, AuthError, CallError, ConfigError, DecodeError, StatusError
from ..events import Event, Retried, Throttled, Waited
from ..operation import Call, Operation, Reply
from .catalogue import find_operation, marks_of, plan_of
from .flags import add_flags, argument_of, flag_of, in_flags, parameters_of, read_flags
from .json_text import indented, joined, parts_at
from .target import SANDBOX_CREDENTIALS, add_target, check_target, client_of

__all__ = ["add_arguments", "run"]

DONE, FAILED, NOT_SENT = 0, 1, 2
"""The exit statuses."""

_LONG = 5.0
"""Seconds of waiting for the usage plan that are told."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.usage = "%(prog)s OPERATION [arguments of the operation] [options]"
    parser.epilog = (
        "`spapi-async call OPERATION --help` lists the arguments of an operation, `spapi-async plans` the operations. "
        "An array takes several values, or its flag repeated; a body is JSON, @FILE, or - for standard input. "
        "The reply goes to standard output as Amazon sent it: indented on a terminal, compact elsewhere. All else goes "
        "to standard error. Exit status: 0 done, 1 Amazon refused or what became of the call is not known, 2 usage or "
        "configuration (nothing was sent), 130 interrupted. Credentials come from SPAPI_CLIENT_ID, "
        "SPAPI_CLIENT_SECRET and SPAPI_REFRESH_TOKEN."
    )
    _add_options(parser, has_pages=True)
    parser.add_argument("operation", metavar="OPERATION", help="as in orders_v0.get_order or orders_v0.getOrder")
    # Which flags there are depends on the operation, so what follows its name is read by a parser of its own.
    parser.add_argument("rest", nargs=argparse.REMAINDER, action=_Rest, metavar="...", help=argparse.SUPPRESS)


def _add_options(parser: argparse.ArgumentParser, *, has_pages: bool) -> None:
    how = parser.add_argument_group("how")
    pages = "follow the pages; print each item on a line of its own" if has_pages else argparse.SUPPRESS
    how.add_argument("--all-pages", action="store_true", help=pages)
    how.add_argument("--include", action="store_true", help="tell status, request id and rate limit on standard error")
    how.add_argument("--no-validate", action="store_true", help="send also what breaks the operation's rules")
    how.add_argument("--no-rdt", action="store_true", help="send the access token, never a restricted data token")
    add_target(parser, sandbox="to a sandbox that runs on this machine for this call")


class _Rest(argparse.Action):
    """Reads what follows the operation's name into the same namespace."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: object) -> None:
        operation = namespace.operation = find_operation(namespace.operation)
        own = argparse.ArgumentParser(
            prog=f"{parser.prog} {operation.key}",
            usage="%(prog)s [arguments] [options]",
            description="\n".join(_summary(operation)).replace("%", "%%"),
            formatter_class=partial(argparse.RawDescriptionHelpFormatter, max_help_position=38),
            allow_abbrev=False,
        )
        add_flags(own, operation)
        _add_options(own, has_pages=_paging(operation) is not None)
        strays = own.parse_known_args(values, namespace)[1]
        if strays:
            flag = strays[0].partition("=")[0]
            near = get_close_matches(flag, map(flag_of, parameters_of(operation)))
            hint = f"did you mean {' or '.join(near)}?" if near else "--help lists what there is"
            own.error(f"there is no {flag}; {hint}" if flag.startswith("-") else f"{flag} belongs to no flag; {hint}")


def _summary(operation: Operation) -> Iterator[str]:
    yield f"{operation.method} {operation.path}"
    yield f"usage plan: {plan_of(operation.plan)}"
    if marks := marks_of(operation, most_roles=2):
        yield " · ".join(marks)
    if operation.docs:
        yield operation.docs


def run(arguments: argparse.Namespace) -> int:
    """Call the operation and return the exit status.

    Raises:
        ConfigError: A credential or an option is wrong. Nothing was sent.
    """
    operation: Operation = arguments.operation
    check_target(arguments)
    paging = _paging(operation)
    if arguments.all_pages and paging is None:
        raise ConfigError(f"{operation.key} has no pages; leave out --all-pages")
    given, problems = _read(operation, arguments)
    if problems:
        print(f"spapi-async: {operation.key} was not called:", *problems, sep="\n  ", file=sys.stderr)
        return NOT_SENT
    if operation.retired or operation.deprecated:
        _say(f"{operation.key} is {operation.retired or 'deprecated by Amazon'}")
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", DeprecationWarning)  # it has just been told
        client = _client(arguments, stack)
        try:
            anyio.run(_Program(operation, client, arguments).run, given, paging)
        except (AuthError, CallError) as error:
            _tell_failure(error)
            return FAILED
        except KeyboardInterrupt:
            if not operation.repeatable:
                _say("the call may have been under way: ask Amazon for the state before you repeat it")
            raise
    return DONE


def _read(operation: Operation, arguments: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Return the operation's arguments, and all that is wrong with them, by flag."""
    given, unread = read_flags(operation, arguments)
    validate = not arguments.no_validate
    # Text that is no number can be sent as it is; a body that is no JSON cannot.
    problems = [problem for name, problem in unread.items() if validate or name == "body"]
    try:
        make_call(operation, given, validate=validate)
    except ArgumentError as error:
        problems += [in_flags(operation, each) for each in error.problems if argument_of(each) not in unread]
    return given, problems


def _client(arguments: argparse.Namespace, stack: ExitStack) -> SellingPartner:
    options: Options = {"on_event": _tell}
    if arguments.no_rdt:
        options["rdt"] = False
    if not arguments.sandbox:
        return client_of(arguments, options)
    from ..sandbox import start_process  # few calls have a use for it

    sandbox = stack.enter_context(start_process())
    options["endpoint"], options["lwa_endpoint"] = sandbox.endpoint, sandbox.lwa_endpoint
    return SellingPartner(**SANDBOX_CREDENTIALS, **options)


def _paging(operation: Operation) -> Paging | None:
    """Return how the operation's pages follow each other; None where it has none."""
    client = import_module(f"spapi_async.apis.{operation.module}.client")
    paging: Paging | None = getattr(client, f"_{operation.name.upper()}_PAGES", None)
    return paging


class _Program:
    """One run of the command: the generated method makes the call, and what came is printed."""

    def __init__(self, operation: Operation, client: SellingPartner, arguments: argparse.Namespace) -> None:
        self._operation = operation
        self._client = client
        self._all_pages = arguments.all_pages
        self._include = arguments.include
        self._validate = not arguments.no_validate
        self._body = b""

    async def run(self, given: dict[str, Any], paging: Paging | None) -> None:
        async with self._client:
            # The method reads the reply, so that what looks like success and is none is an error here too.
            api = type(getattr(self._client, self._operation.module))(self._send, validate=self._validate)
            called = getattr(api, self._operation.name)(**given)
            if self._all_pages and paging is not None:
                async for page in called.pages():
                    self._print_items(page, paging)
                return
            try:
                await called
            except DecodeError:
                _print_reply(self._body)
                raise
            _print_reply(self._body)

    async def _send(self, call: Call) -> Reply:
        try:
            reply = await self._client.send(call)
        except StatusError as error:
            self._tell_head(error.status, error.headers)
            raise
        self._tell_head(reply.status, reply.headers)
        self._body = reply.body
        return reply

    def _print_items(self, page: Any, paging: Paging) -> None:  # Any: a generated class
        text = self._body.decode()
        place = []
        for name in paging.items:
            if not hasattr(type(page), "__wire__"):  # a page without items
                return
            place.append(type(page).__wire__[name])
            page = getattr(page, name)
        # Where items lie in several lists side by side, a page is its own only item.
        for item in parts_at(text, place) if paging.items else [text]:
            _print(joined(item).encode())

    def _tell_head(self, status: int, headers: Mapping[str, str]) -> None:
        if self._include:
            print(f"HTTP {status}", file=sys.stderr)
            for name in ("x-amzn-RequestId", "x-amzn-RateLimit-Limit"):
                if name.lower() in headers:
                    print(f"{name}: {headers[name.lower()]}", file=sys.stderr)


def _print_reply(body: bytes) -> None:
    """Print a reply's body: JSON with other white space, anything else as it is."""
    if not body or body.isspace():
        return
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        _print(body)
    else:
        text = body.decode()
        _print((indented(text) if sys.stdout.isatty() else joined(text)).encode())


def _print(line: bytes) -> None:
    # Bytes: JSON is UTF-8, whatever the locale says.
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def _say(words: str) -> None:
    print(f"spapi-async: {words}", file=sys.stderr)


def _tell(event: Event) -> None:
    """Say why it takes long."""
    if isinstance(event, Retried):
        _say(f"attempt {event.attempt} failed ({event.reason}); the next one follows in {event.delay:.1f} s")
    elif isinstance(event, Throttled):
        _say(f"Amazon throttled the call; its next turn comes in {event.wait:.0f} s")
    elif isinstance(event, Waited) and event.seconds >= _LONG:
        _say(f"the usage plan let the call wait for {event.seconds:.0f} s")


def _tell_failure(error: AuthError | CallError) -> None:
    _say(str(error))
    if isinstance(error, StatusError):  # its own words are those of the first
        for problem in error.errors[1:]:
            details = f" ({problem.details})" if problem.details else ""
            print(f"  {problem.code}: {problem.message}{details}", file=sys.stderr)
