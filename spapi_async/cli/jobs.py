"""`spapi-async jobs run`: send the messages of a file, at most once each; the same command again goes on."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from ..auth import Credentials
from ..client import SellingPartner
from ..config import Options
from ..errors import ConfigError, SpapiError
from ..events import Event, RateLearned
from ..jobs.attachments import AttachmentFiles, Uploader
from ..jobs.journal import Identity
from ..jobs.kinds import Kind, find_kind
from ..jobs.refused import refused_path
from ..jobs.row import Row, State
from ..jobs.runner import Job
from ..jobs.source import Source
from ..jobs.sqlite import SqliteJournal
from ..operation import UsagePlan
from . import job_list, job_pages, job_status
from .job_report import JobReport
from .options import add_source, region_of, source_of, usage_plan
from .progress import Progress, progress_on
from .target import SANDBOX_CREDENTIALS, add_target, check_target, client_of

if TYPE_CHECKING:
    from ..sandbox import SandboxProcess

__all__ = ["add_arguments", "run"]

ALL_SENT, SOME_REFUSED, NOT_DONE, SOME_IN_DOUBT, INTERRUPTED = 0, 1, 2, 3, 130
"""The exit statuses; the one that asks most of the user wins."""

_MOST_IN_HAND = 10_000
"""Each row in hand is a task; many more would only fill the memory."""

_ON_JOURNAL = {
    "status": (job_status, "tell how far a job is, once or on a live screen"),
    "report": (job_pages, "write what became of every row, as a CSV and an HTML page"),
    "list": (job_list, "list the jobs of a journal"),
}
"""Commands that only read one."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    commands = parser.add_subparsers(dest="job_command", metavar="COMMAND", required=True)
    run = commands.add_parser(
        "run",
        help="send the messages of a file",
        description="Send the messages of a file, at most one for each order. The same command again goes on.",
        epilog="Exit status: 0 all sent, 1 rows refused, 2 usage, configuration or not done, 3 rows in doubt, "
        "130 interrupted. Credentials come from SPAPI_CLIENT_ID, SPAPI_CLIENT_SECRET and SPAPI_REFRESH_TOKEN.",
    )
    for name, (module, help_) in _ON_JOURNAL.items():
        reading = commands.add_parser(name, help=help_, description=f"{help_[0].upper()}{help_[1:]}.")
        module.add_arguments(reading)
    add_source(run)
    run.add_argument("--journal", type=Path, required=True, metavar="FILE.db", help="remembers what was sent")
    add_target(run, sandbox="to a sandbox that runs on this machine for this job")
    who = run.add_argument_group("who sells")
    who.add_argument(
        "--selling-partner-id",
        metavar="ID",
        help="so that a new refresh token is not taken for somebody else; default $SPAPI_SELLING_PARTNER_ID",
    )
    who.add_argument(
        "--same-selling-partner",
        action="store_true",
        help="the journal was begun with an earlier refresh token of the same selling partner",
    )
    how = run.add_argument_group("how")
    how.add_argument(
        "--attachments-dir", type=Path, metavar="DIR", help="where attachments are; default: the folder of FILE"
    )
    how.add_argument(
        "--withdrawn", action="store_true", help="try a kind that Amazon has withdrawn, if an order still offers it"
    )
    how.add_argument(
        "--refused", type=Path, metavar="FILE.csv", help="where refused rows go; default: FILE.refused.csv beside FILE"
    )
    how.add_argument("--retry-refused", action="store_true", help="try rows again that Amazon refused before")
    how.add_argument("--concurrency", type=_positive, default=16, metavar="N", help="rows in hand at once (default 16)")
    how.add_argument(
        "--plan",
        type=usage_plan,
        action="append",
        default=[],
        metavar="NAME=RATE/BURST",
        help="another usage plan, as in messaging_v1.create_confirm_order_details=5/10",
    )
    how.add_argument(
        "--sandbox-plan",
        type=usage_plan,
        action="append",
        default=[],
        metavar="NAME=RATE/BURST",
        help="a usage plan that the sandbox of --sandbox keeps",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the job and return the exit status.

    Raises:
        ConfigError: A credential, an option or the file is wrong. Nothing was sent.
        JobError: The journal cannot be used. Nothing was sent.
    """
    if arguments.job_command in _ON_JOURNAL:
        status: int = _ON_JOURNAL[arguments.job_command][0].run(arguments)
        return status
    kind = find_kind(arguments.kind, withdrawn=arguments.withdrawn)
    check_target(arguments)
    if arguments.sandbox_plan and not arguments.sandbox:
        raise ConfigError("--sandbox-plan needs --sandbox; --plan is for the client")
    for path in Path(arguments.source), arguments.journal:
        if arguments.refused and arguments.refused.resolve() == path.resolve():
            raise ConfigError(f"--refused would replace {path}; name another file")
    region = region_of(arguments.region, is_elsewhere=bool(arguments.sandbox or arguments.endpoint))
    with ExitStack() as stack:
        source = stack.enter_context(source_of(arguments, kind, region))
        sandbox = stack.enter_context(_start_sandbox(arguments)) if arguments.sandbox else None
        return anyio.run(_Program(arguments, kind, source, sandbox).run)


def _start_sandbox(arguments: argparse.Namespace) -> SandboxProcess:
    from ..sandbox import start_process  # most jobs have no use for it

    return start_process(plans=dict(arguments.sandbox_plan))


class _Program:
    """One run of the command."""

    def __init__(
        self, arguments: argparse.Namespace, kind: Kind, source: Source, sandbox: SandboxProcess | None
    ) -> None:
        self._arguments = arguments
        self._kind = kind
        self._sandbox = sandbox
        self._source = source
        self._progress: Progress = progress_on(sys.stdout, time.monotonic)
        refused = arguments.refused or refused_path(arguments.source)
        self._report = JobReport(source, refused, self._progress.say)
        self._files = AttachmentFiles(arguments.attachments_dir or Path(arguments.source).parent)
        # The same file in another process shares the job; what comes by a pipe is another one each time.
        self._source_name = "" if arguments.source == "-" else str(Path(arguments.source).resolve())
        self._is_loaded = False
        self._is_interrupted = False
        plans: Mapping[str, UsagePlan] = dict(arguments.plan)
        self._rates = {
            operation.key: plans.get(operation.key, operation.plan).rate for operation in (kind.check, kind.operation)
        }

    async def run(self) -> int:
        arguments = self._arguments
        started = time.monotonic()
        try:
            self._report.check()
            client, identity = self._client()
            async with client, SqliteJournal(arguments.journal) as journal:
                run = await journal.start(
                    identity,
                    self._kind.name,
                    same_selling_partner=arguments.same_selling_partner,
                    source=self._source_name,
                )
                job = Job(
                    client.send,
                    self._kind,
                    journal,
                    run,
                    concurrency=arguments.concurrency,
                    on_refused=self._report.refused,
                    attach=Uploader(client.send, client.transfer, self._files),
                )
                with self._progress:
                    self._progress.say(self._source.words)
                    await self._run(job)
                in_doubt = await journal.rows(run, State.IN_DOUBT)
            self._report.tell(job.tally, in_doubt, time.monotonic() - started)
            if self._is_loaded:  # else it would replace a whole file by a part
                self._report.write()
            return self._status(job)
        finally:
            self._report.close()

    def _client(self) -> tuple[SellingPartner, Identity]:
        arguments = self._arguments
        options: Options = {"plans": dict(arguments.plan), "on_event": self._on_event}
        if self._sandbox is not None:
            options["endpoint"] = self._sandbox.endpoint
            options["lwa_endpoint"] = self._sandbox.lwa_endpoint
            # Never under a real selling partner's name: what only the sandbox got would count as sent.
            identity = Identity(
                refresh_token=SANDBOX_CREDENTIALS["refresh_token"], selling_partner_id="sandbox of --sandbox"
            )
            return SellingPartner(**SANDBOX_CREDENTIALS, **options), identity
        client = client_of(arguments, options)
        name = arguments.selling_partner_id or os.environ.get("SPAPI_SELLING_PARTNER_ID") or None
        token = Credentials.from_env(os.environ).refresh_token or ""
        return client, Identity(refresh_token=token, selling_partner_id=name)

    async def _run(self, job: Job) -> None:
        loading = anyio.CancelScope()
        failure: SpapiError | None = None
        async with anyio.create_task_group() as group:
            if sys.platform != "win32":  # there, Ctrl-C ends the program as a cancellation
                group.start_soon(self._heed_signals, job, loading)
            try:
                with loading:
                    retry_refused = self._arguments.retry_refused
                    await job.add(self._rows(job), self._report.admitted, retry_refused=retry_refused)
                    self._is_loaded = True
                group.start_soon(self._show, job)
                await job.run()
            except SpapiError as error:  # kept out of the group, which would wrap it up
                failure = error
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure
        self._progress.show(job.tally, min(self._rates.values()))

    def _rows(self, job: Job) -> Iterator[Row]:
        for entry in map(self._files.checked, self._source.entries):
            self._progress.read(job.tally)
            if entry.row is not None:
                yield entry.row
                continue
            job.tally.invalid += 1
            self._report.invalid(entry)

    async def _show(self, job: Job) -> None:
        while True:
            self._progress.show(job.tally, min(self._rates.values()))
            await anyio.sleep(0.2)

    async def _heed_signals(self, job: Job, loading: anyio.CancelScope) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                if not self._is_interrupted:
                    self._is_interrupted = True
                    self._progress.say(
                        "Interrupted: no further rows are taken, and messages under way get up to 10 s. Press Ctrl-C "
                        "again to end those too, as in doubt. The same command goes on where this run ends."
                    )
                    loading.cancel()
                    job.drain()
                else:
                    self._progress.say(
                        "Interrupted again: messages still under way are in doubt now. The same command sends the rest."
                    )
                    job.abort()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, RateLearned) and event.operation in self._rates:
            self._rates[event.operation] = event.new

    def _status(self, job: Job) -> int:
        tally = job.tally
        waiting = tally.waiting + tally.unsent
        if self._is_interrupted:
            print("spapi-async: interrupted; run the same command again to go on", file=sys.stderr)
            return INTERRUPTED
        if job.stopped_by:
            print(f"spapi-async: stopped: {job.stopped_by}; {_how_to_go_on(waiting)}", file=sys.stderr)
            return NOT_DONE
        if waiting:
            print(f"spapi-async: not every row got an answer; {_how_to_go_on(waiting)}", file=sys.stderr)
            return NOT_DONE
        if tally.in_doubt:
            return SOME_IN_DOUBT
        return SOME_REFUSED if tally.refused + tally.invalid + tally.duplicates else ALL_SENT


def _how_to_go_on(waiting: int) -> str:
    rows = "1 row waits" if waiting == 1 else f"{waiting} rows wait"
    return f"{rows}; when that is mended, run the same command again"


def _positive(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_IN_HAND:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {_MOST_IN_HAND}")
    return int(text)
