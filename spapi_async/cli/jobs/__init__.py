"""`spapi-async jobs`: bulk jobs. Each command is a module of this folder, imported when it is chosen.

`run` and `resume` send, by `program`; `doubt` settles; `status`, `report` and `list` only read the journal.
"""

from __future__ import annotations

import argparse
import importlib

__all__ = ["add_arguments", "run"]

COMMANDS = {
    "run": "send the messages of a file, at most one for each row",
    "resume": "go on with a job of a journal, without its file",
    "doubt": "list the messages in doubt, and settle what can be settled",
}
"""Module of this folder, and what it does in a line."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    commands = parser.add_subparsers(dest="job_command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        subparser = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        importlib.import_module(f".{name}", __name__).add_arguments(subparser)


def run(arguments: argparse.Namespace) -> int:
    """Run the chosen command and return its exit status."""
    status: int = importlib.import_module(f".{arguments.job_command}", __name__).run(arguments)
    return status
