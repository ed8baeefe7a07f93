"""The command `spapi-async`. Each command is a module of this folder, imported when it is chosen.

A command module has `add_arguments(parser)` and `run(arguments) -> int` (the exit status).
"""

from __future__ import annotations

import argparse
import importlib
import io
import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from ..errors import SpapiError

__all__ = ["main"]

COMMANDS = {
    "call": "call an operation and print Amazon's reply",
    "plans": "list the operations with their usage plans",
    "jobs": "send many buyer messages from a file, at most once each, resumably",
    "estimate": "tell how long the messages of a file would take, without sending any",
    "sandbox": "run a local Selling Partner API that behaves as Amazon's does",
    "bench": "measure throughput against a sandbox on this machine",
    "generate": "generate modules from models that are newer than this release",
}
"""Module of this folder, and what it does in a line."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments without the program's name; None takes those of the process.

    Returns:
        The exit status: 2 for wrong usage or configuration, 130 when interrupted; else the command's own.
    """
    _prepare_output()
    # Without any handler Python would print each retry; what became of the calls is told by the command itself.
    logging.getLogger("spapi_async").addHandler(logging.NullHandler())
    try:
        status = _run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # The reader has had enough, as with `| head`. What is buffered has to go somewhere when the program ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (SpapiError, OSError) as error:
        print(f"spapi-async: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("spapi-async: interrupted", file=sys.stderr)
        return 130


def _run(argv: Sequence[str]) -> int:
    # httpx loads its own command line, with click and rich, where those are installed: a tenth of our start.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    # Only the chosen command is imported: `spapi-async jobs` must not pay for the sandbox.
    chosen = next((word for word in argv if word in COMMANDS), None)
    parser = _Parser(prog="spapi-async", description="A client for Amazon's Selling Partner API.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        subparser = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name == chosen:
            importlib.import_module(f".{name}", __name__).add_arguments(subparser)
    arguments = parser.parse_args(argv)
    status: int = importlib.import_module(f".{arguments.command}", __name__).run(arguments)
    return status


class _Parser(argparse.ArgumentParser):
    """Tells what is wrong with a command line in one line, where argparse would list all options above it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}; see {self.prog} --help\n")


class _Version(argparse.Action):
    """Prints the version, which is read from the package's metadata only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"spapi-async {version('spapi-async')}")
        parser.exit()


def _prepare_output() -> None:
    """See that no line can end a job: standard output may be closed, or know neither “→” nor a buyer's letters."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    elif isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
