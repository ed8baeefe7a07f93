"""`spapi-async jobs`: bulk jobs. Each command is a module of this folder, imported when it is chosen.

`job_run` and `job_resume` send, by `program`; `job_doubt` settles; `job_status`, `job_report` and `job_list` read.
"""

from __future__ import annotations

import argparse
import importlib

__all__ = ["add_arguments", "run"]

COMMANDS = {
    "run": "send the messages of a file, at most one for each row",
    "resume": "go on with a job of a journal, without its file",
    "status": "tell how far a job is, once or on a live screen",
    "doubt": "list the messages in doubt, and settle what can be settled",
    "report": "write what became of every row, as a CSV and an HTML page",
    "list": "list the jobs of a journal",
}
"""What each command does in a line; its module is called `job_` and its name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    commands = parser.add_subparsers(dest="job_command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        subparser = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        importlib.import_module(f".job_{name}", __name__).add_arguments(subparser)


def run(arguments: argparse.Namespace) -> int:
    """Run the chosen command and return its exit status."""
    status: int = importlib.import_module(f".job_{arguments.job_command}", __name__).run(arguments)
    return status
