"""`spapi-async jobs resume`: go on with a job by what its journal knows, without the file."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import ExitStack

import anyio

from ...errors import JobError
from ...jobs.refused import RefusedRows
from ...jobs.report.reading import Reader
from ..options import add_job
from ..progress import progress_on
from .program import EPILOG, Program, add_sending, completed, start_sandbox
from .telling import Telling

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.description = (
        "Send what waits in a job of a journal. The file is not needed; options that are not given are those of the "
        "first run."
    )
    parser.epilog = EPILOG
    add_job(parser)
    add_sending(parser)


def run(arguments: argparse.Namespace) -> int:
    """Go on with the job and return the exit status of `jobs run`.

    Raises:
        ConfigError: A credential or an option is wrong. Nothing was sent.
        JobError: The journal cannot be used, or its job was interrupted while its source was read. Nothing was sent.
    """
    record = Reader(arguments.journal).job(arguments.job)
    if record.options and record.loaded is None:
        source = record.source or "its source"
        raise JobError(
            f"not all rows of job {record.number} are in the journal: {source} is read by another process at this "
            "moment, or that was interrupted; then run the command again that began it"
        )
    completed(arguments, record.options)
    name = f"job {record.number}" + (f" ({record.name})" if record.name else "")
    columns = record.options.get("columns", ["order_id", "marketplace_id"])
    with ExitStack() as stack:
        sandbox = stack.enter_context(start_sandbox(arguments)) if arguments.sandbox else None
        progress = progress_on(sys.stdout, time.monotonic)
        path = arguments.refused or arguments.journal.with_suffix(f".job-{record.number}.refused.csv")
        refused = RefusedRows(path, columns)
        refused.check()
        refused.take_over()
        not_before = record.options.get("not_before", "")
        telling = Telling(name, refused, columns.__contains__, progress.say, not_before=not_before)
        again = f"spapi-async jobs resume {arguments.journal} {record.number}"
        program = Program(arguments, sandbox, progress, telling, again)
        begun = time.strftime("%Y-%m-%d %H:%M", time.localtime(record.begun))
        told = f"{name} of {arguments.journal}, begun {begun}"
        return anyio.run(lambda: program.run(None, told, number=record.number))
