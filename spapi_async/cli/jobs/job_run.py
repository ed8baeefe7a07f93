"""`spapi-async jobs run`: send the messages of a file, at most once each; the same command again goes on."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

import anyio

from ...errors import ConfigError
from ...jobs.job import Job
from ...jobs.kinds import find_kind
from ...jobs.refused import RefusedRows, refused_path
from ...jobs.source import REPORT_COLUMNS, Source
from ..options import add_source, counted, refresh_tokens_of, region_of, source_of
from ..progress import progress_on
from .program import EPILOG, Program, add_sending, completed, kept, start_sandbox
from .telling import Telling

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.description = "Send the messages of a file, at most one for each row. The same command again goes on."
    parser.epilog = EPILOG
    add_source(parser)
    parser.add_argument("--journal", type=Path, required=True, metavar="FILE.db", help="remembers what was sent")
    parser.add_argument("--name", default="", help="a name for the job, shown by `jobs list`")
    parser.add_argument(
        "--withdrawn", action="store_true", help="try a kind that Amazon has withdrawn, if an order still offers it"
    )
    parser.add_argument("--retry-refused", action="store_true", help="try rows again that Amazon refused before")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="do everything but sending: Amazon is asked for each order, no buyer gets anything, no journal is written",
    )
    add_sending(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the job and return the exit status.

    Raises:
        ConfigError: A credential, an option or the file is wrong. Nothing was sent.
        JobError: The journal cannot be used. Nothing was sent.
    """
    kind = find_kind(arguments.kind, withdrawn=arguments.withdrawn)
    if arguments.source != "-" and Path(arguments.source).is_dir():
        raise ConfigError(f"{arguments.source} is a folder; name a file, or - for standard input")
    if arguments.attachments_dir and not arguments.attachments_dir.is_dir():
        raise ConfigError(f"--attachments-dir: there is no folder {arguments.attachments_dir}")
    arguments.refused = arguments.refused or refused_path(arguments.source)
    arguments.attachments_dir = arguments.attachments_dir or Path(arguments.source).parent
    completed(arguments, {})
    for path in Path(arguments.source), arguments.journal:
        if arguments.refused.resolve() == path.resolve():
            raise ConfigError(f"--refused would replace {path}; name another file")
    region = region_of(arguments.region, is_elsewhere=bool(arguments.sandbox or arguments.endpoint))
    with ExitStack() as stack:
        source = stack.enter_context(source_of(arguments, kind, region, refresh_tokens_of(arguments)))
        sandbox = stack.enter_context(start_sandbox(arguments)) if arguments.sandbox else None
        progress = progress_on(sys.stdout, time.monotonic, is_dry=arguments.dry_run)
        columns = [column for column in source.columns if column not in REPORT_COLUMNS]
        refused = RefusedRows(arguments.refused, columns)
        refused.check()
        telling = Telling(Path(source.name).name, refused, source.knows, progress.say, is_dry=arguments.dry_run)
        program = Program(arguments, sandbox, progress, telling, "run the same command again")
        return anyio.run(
            lambda: program.run(
                _loading(arguments, source, progress.read, telling),
                source.words,
                kind=kind,
                name=arguments.name,
                # The same file in another process shares the job; what comes by a pipe is another one each time.
                source="" if arguments.source == "-" else str(Path(arguments.source).resolve()),
                options={**kept(arguments), "columns": columns, "not_before": source.not_before},
            )
        )


def _loading(
    arguments: argparse.Namespace, source: Source, read: Callable[[int], None], telling: Telling
) -> Callable[[Job], Awaitable[None]]:
    async def load(job: Job) -> None:
        await job.add(counted(source, read), retry_refused=arguments.retry_refused, on_rejected=telling.rejected)
        telling.save()
        await job.loaded()

    return load
