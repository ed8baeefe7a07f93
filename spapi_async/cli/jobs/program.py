"""What `jobs run` and `jobs resume` share: how to send, the job and its progress, signals and the exit status."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from ...client import Application, SellingPartner
from ...config import Options
from ...errors import ConfigError, JobStoppedError
from ...jobs.job import Job
from ..options import add_credentials, add_windows, refresh_tokens_of, usage_plan, windows_of
from ..progress import Progress, duration
from ..target import SANDBOX_CREDENTIALS, add_target, application_of, check_target, client_of
from .telling import Telling

if TYPE_CHECKING:
    from ...sandbox import SandboxProcess

__all__ = [
    "EPILOG",
    "NOT_DONE",
    "SOME_IN_DOUBT",
    "Program",
    "add_sending",
    "add_who",
    "calm_collector",
    "client_of_job",
    "completed",
    "kept",
    "start_sandbox",
]

ALL_SENT, SOME_REFUSED, NOT_DONE, SOME_IN_DOUBT, INTERRUPTED = 0, 1, 2, 3, 130
"""The exit statuses; the one that asks most of the user wins."""

EPILOG = (
    "Exit status: 0 all sent, 1 rows refused, 2 usage, configuration or not done, 3 rows in doubt, 130 interrupted. "
    "Credentials come from SPAPI_CLIENT_ID, SPAPI_CLIENT_SECRET and SPAPI_REFRESH_TOKEN."
)

_MOST_IN_HAND = 10_000
"""Each row in hand is a task; many more would only fill the memory."""
_DEFAULTS: Mapping[str, Any] = {"concurrency": 16, "plan": [], "sandbox_plan": []}
_KEPT = (
    "selling_partner_id",
    *("sandbox", "region", "endpoint", "lwa_endpoint", "token_file", "credentials", "attachments_dir", "refused"),
    *("concurrency", "plan", "sandbox_plan", "between", "timezone", "max_per_day", "keep_bodies"),
)
_ETA_EVERY = 2.0
"""Seconds; it may take a look at a thousand selling partners."""


def add_who(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where to, and who sells; those that are not given are None, or False."""
    add_target(parser, sandbox="to a sandbox that runs on this machine for this job")
    who = parser.add_argument_group("who sells")
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
    add_credentials(who)


def add_sending(parser: argparse.ArgumentParser) -> None:
    """Add the options of `add_who`, and those that say how to send."""
    add_who(parser)
    how = parser.add_argument_group("how")
    how.add_argument(
        "--attachments-dir", type=Path, metavar="DIR", help="where attachments are; default: the folder of FILE"
    )
    how.add_argument(
        "--refused", type=Path, metavar="FILE.csv", help="where refused rows go; default: FILE.refused.csv beside FILE"
    )
    how.add_argument(
        "--concurrency", type=_positive, metavar="N", help="rows in hand at once, of each selling partner (default 16)"
    )
    how.add_argument("--keep-bodies", action="store_true", help="keep texts in the journal when they are sent")
    how.add_argument(
        "--plan",
        type=usage_plan,
        action="append",
        metavar="NAME=RATE/BURST",
        help="another usage plan, as in messaging_v1.create_confirm_order_details=5/10",
    )
    how.add_argument(
        "--sandbox-plan",
        type=usage_plan,
        action="append",
        metavar="NAME=RATE/BURST",
        help="a usage plan that the sandbox of --sandbox keeps",
    )
    add_windows(parser)


def kept(arguments: argparse.Namespace) -> Mapping[str, Any]:
    """Return what the journal keeps of the options, for `resume`: no secret, and paths that hold from anywhere."""
    return {name: _written(value) for name in _KEPT if (value := getattr(arguments, name, None))}


def _written(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value.resolve())
    if isinstance(value, list):
        return [f"{name}={plan.rate!r}/{plan.burst!r}" for name, plan in value]
    return value


def completed(arguments: argparse.Namespace, options: Mapping[str, Any]) -> argparse.Namespace:
    """Fill up what was not given by what was kept, else by the defaults; and see that it fits together.

    Raises:
        ConfigError: It does not.
    """
    for name in _KEPT:
        given = getattr(arguments, name, None)
        if given is None or given is False:
            value = options.get(name, _DEFAULTS.get(name))
            if name in ("credentials", "attachments_dir", "refused") and value:
                value = Path(value)
            elif name in ("plan", "sandbox_plan") and value:
                value = [usage_plan(text) for text in value]
            setattr(arguments, name, value)
    check_target(arguments)
    if arguments.credentials and arguments.selling_partner_id:
        raise ConfigError("--selling-partner-id is for one selling partner; those of --credentials have their names")
    if arguments.sandbox_plan and not arguments.sandbox:
        raise ConfigError("--sandbox-plan needs --sandbox; --plan is for the client")
    if arguments.sandbox and arguments.credentials:
        raise ConfigError(
            "--sandbox has one selling partner; to try many, start `spapi-async sandbox` and name it by --endpoint"
        )
    return arguments


def start_sandbox(arguments: argparse.Namespace) -> SandboxProcess:
    """Start the sandbox of --sandbox."""
    from ...sandbox import start_process  # most jobs have no use for it

    return start_process(plans=dict(arguments.sandbox_plan))


def client_of_job(
    arguments: argparse.Namespace, sandbox: SandboxProcess | None = None
) -> tuple[SellingPartner | Application, Mapping[str, str] | None]:
    """Make the client, and read the refresh tokens if there are several selling partners.

    Raises:
        ConfigError: A credential or an option is missing or wrong.
    """
    options: Options = {"plans": dict(arguments.plan)}
    if sandbox is not None:
        options["endpoint"] = sandbox.endpoint
        options["lwa_endpoint"] = sandbox.lwa_endpoint
        # Never under a real selling partner's name: what only the sandbox got would count as sent.
        return SellingPartner(**SANDBOX_CREDENTIALS, selling_partner_id="sandbox of --sandbox", **options), None
    if arguments.credentials is None:
        name = arguments.selling_partner_id or os.environ.get("SPAPI_SELLING_PARTNER_ID") or None
        return client_of(arguments, options, selling_partner_id=name), None
    return application_of(arguments, options), refresh_tokens_of(arguments)


@contextmanager
def calm_collector() -> Iterator[None]:
    """Let Python's garbage collector look more seldom: with thousands of rows in hand it takes a third of the time.

    What a row makes is let go of when its last reference goes; only cycles wait for the collector. This is for a
    program that is nothing but a job: the library leaves the collector as it is.
    """
    before = gc.get_threshold()
    gc.freeze()  # modules, and what every selling partner has, stay to the end
    gc.set_threshold(50_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


class Program:
    """One run of the command.

    Args:
        arguments: After `completed`.
        sandbox: If there is one.
        progress: Shows how far it is.
        telling: Tells what becomes of the rows.
        again: What to do to go on, in words.
    """

    def __init__(
        self,
        arguments: argparse.Namespace,
        sandbox: SandboxProcess | None,
        progress: Progress,
        telling: Telling,
        again: str,
    ) -> None:
        self._arguments = arguments
        self._sandbox = sandbox
        self._progress = progress
        self._telling = telling
        self._again = again
        self._is_dry: bool = getattr(arguments, "dry_run", False)
        self._is_interrupted = False
        self._stopped = ""
        self._left = 0.0
        self._left_at = float("-inf")

    async def run(self, load: Callable[[Job], Awaitable[None]] | None, first_line: str, **job_options: Any) -> int:
        """Run the job and return the exit status.

        Args:
            load: Adds its rows. None: they are in the journal.
            first_line: What is sent, in words.
            job_options: Of `Job`.
        """
        arguments = self._arguments
        started = time.monotonic()
        try:
            async with AsyncExitStack() as stack:
                client, tokens = client_of_job(arguments, self._sandbox)
                await stack.enter_async_context(client)
                windows = windows_of(arguments)
                job = Job(
                    client,
                    journal=arguments.journal,
                    keep_bodies=arguments.keep_bodies or False,
                    selling_partners=tokens,
                    windows=windows if windows.between or windows.max_per_day else None,
                    concurrency=arguments.concurrency,
                    attachments=arguments.attachments_dir,
                    same_selling_partner=arguments.same_selling_partner,
                    dry_run=self._is_dry,
                    on_outcome=self._telling.outcome,
                    **job_options,
                )
                await stack.enter_async_context(job)
                with self._progress:
                    self._progress.say(f"{first_line}; to {job.host}")
                    is_loaded = await self._run(job, load)
                tally, in_doubt, left = job.tally, await job.doubts(), job.seconds_left()
            self._telling.tell(tally, in_doubt, time.monotonic() - started, f"{arguments.journal} {job.number}")
            if self._is_dry and tally.sent:
                self._progress.say(f"To send them would take {duration(left)} by the usage plan.")
            if is_loaded:  # else it would replace a whole file by a part
                self._telling.write()
            return self._status(job)
        finally:
            self._telling.close()

    async def _run(self, job: Job, load: Callable[[Job], Awaitable[None]] | None) -> bool:
        """Run it, with an eye on signals; return whether all rows were added."""
        is_loaded = load is None
        failure: Exception | None = None
        loading = anyio.CancelScope()
        async with anyio.create_task_group() as group:
            if sys.platform != "win32":  # there, Ctrl-C ends the program as a cancellation
                group.start_soon(self._heed_signals, job, loading)
            try:
                if load is not None:
                    with loading:
                        await load(job)
                        is_loaded = True
                group.start_soon(self._show, job)
                with calm_collector():
                    await job.run()
            except JobStoppedError as error:
                self._stopped = str(error)
            except Exception as error:  # kept out of the group, which would wrap it up
                failure = error
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure
        self._progress.show(job.tally, job.pace, job.seconds_left())
        return is_loaded

    async def _show(self, job: Job) -> None:
        while True:
            now = time.monotonic()
            if now >= self._left_at + _ETA_EVERY:
                self._left_at, self._left = now, job.seconds_left()
                if (pace := job.pace) > 0:  # with a fast plan, replies or this machine set the pace
                    self._left = max(self._left, job.tally.waiting / pace)
            self._progress.show(job.tally, job.pace, self._left, job.waits_until)
            await anyio.sleep(self._progress.every)

    async def _heed_signals(self, job: Job, loading: anyio.CancelScope) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                if not self._is_interrupted:
                    self._is_interrupted = True
                    self._progress.say(
                        "Interrupted: no further rows are taken, and messages under way get up to 10 s. Press Ctrl-C "
                        f"again to end those too, as in doubt. To go on: {self._again}."
                    )
                    loading.cancel()
                    job.drain()
                else:
                    self._progress.say("Interrupted again: messages still under way are in doubt now.")
                    job.abort()

    def _status(self, job: Job) -> int:
        tally = job.tally
        if self._is_interrupted:
            print(f"spapi-async: interrupted; to go on: {self._again}", file=sys.stderr)
            return INTERRUPTED
        if self._stopped:
            print(f"spapi-async: stopped: {self._stopped}; when that is mended: {self._again}", file=sys.stderr)
            return NOT_DONE
        if tally.left:
            number, error = job.unanswered or (0, None)
            why = f", as line {number}: {error}" if error else ""
            what = f"not every row got an answer{why}; {tally.left} still waiting"
            print(f"spapi-async: {what}: {self._again}", file=sys.stderr)
            return NOT_DONE
        if tally.in_doubt:
            return SOME_IN_DOUBT
        return SOME_REFUSED if tally.refused + tally.invalid + tally.duplicates else ALL_SENT


def _positive(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_IN_HAND:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {_MOST_IN_HAND}")
    return int(text)
