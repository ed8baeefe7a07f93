"""`spapi-async jobs doubt`: list the rows in doubt, settle what Amazon can tell, and do what a person decides."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import anyio

from ...errors import ConfigError, SpapiError
from ...jobs.doubt import SEEN, can_tell
from ...jobs.job import Job
from ...jobs.journal import JobRecord
from ...jobs.kinds import find_kind
from ...jobs.report.reading import Reader
from ...jobs.row import Move, Row, State
from ...jobs.sqlite import SqliteJournal
from ..options import add_job
from .program import NOT_DONE, SOME_IN_DOUBT, add_who, client_of_job, completed

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.description = (
        "List the rows of a job that are in doubt: their buyers may have got the message. Of a solicitation Amazon can "
        "tell, and is asked. What is left is for you to decide."
    )
    parser.epilog = "Exit status: 0 nothing is in doubt any more, 2 usage, configuration or not done, 3 rows in doubt."
    add_job(parser)
    decide = parser.add_mutually_exclusive_group()
    decide.add_argument(
        "--resend", action="store_true", help="send them again, though a buyer may get a second one: `jobs resume` does"
    )
    decide.add_argument("--sent", action="store_true", help="they were sent, as Seller Central shows")
    parser.add_argument(
        "--order", action="append", default=[], metavar="ORDER_ID", help="of this order only; repeatable"
    )
    parser.add_argument("--no-ask", action="store_true", help="do not ask Amazon")
    add_who(parser)


def run(arguments: argparse.Namespace) -> int:
    """Do it and return the exit status.

    Raises:
        ConfigError: A credential or an option is wrong.
        JobError: The journal cannot be used.
    """
    reader = Reader(arguments.journal)
    standing = reader.overview(arguments.job, time.time(), has_reasons=False)
    if standing.whole.in_hand and not standing.job.is_open:
        anyio.run(_take_back, arguments.journal)
    record = reader.job(standing.job.number)
    completed(arguments, record.options)
    rows = reader.doubts(record.number)
    labels = {part.selling_partner: part.label for part in record.runs}
    if unknown := set(arguments.order) - {row.order_id for row in rows}:
        raise ConfigError(f"no row in doubt is of order {', '.join(sorted(unknown))}")
    rows = [row for row in rows if not arguments.order or row.order_id in arguments.order]
    print(f"{len(rows)} {'row is' if len(rows) == 1 else 'rows are'} in doubt in job {record.number}.")
    for row in rows:
        print(_words(row, labels.get(row.selling_partner, "")))
    if not rows:
        return 0
    return anyio.run(_settle, arguments, record, rows)


async def _take_back(path: Path) -> None:
    """Put in doubt what a process had under way that was killed; to open the journal does so."""
    async with SqliteJournal(path):
        pass


def _words(row: Row, label: str) -> str:
    who = f"{label}, " if label else ""
    key = f", key {row.key}" if row.key else ""
    since = datetime.fromtimestamp(row.settled or 0.0).astimezone().isoformat(sep=" ", timespec="seconds")
    request = f"; request id {row.request_id}" if row.request_id else ""
    return f"  line {row.number}: {who}order {row.order_id}{key}: {row.reason} (since {since}{request})"


async def _settle(arguments: argparse.Namespace, record: JobRecord, rows: Sequence[Row]) -> int:
    left, failure = rows, ""
    now = datetime.now(UTC)
    if not arguments.no_ask and any(can_tell(find_kind(row.kind, withdrawn=True), row, now) for row in rows):
        left, failure = await _ask(arguments, record, rows)
    if left and (arguments.resend or arguments.sent):
        async with SqliteJournal(arguments.journal) as journal:
            for row in left:
                reason = SEEN if arguments.sent else ""
                await journal.move(row, Move.CONFIRM if arguments.sent else Move.RESEND, reason=reason)
        is_one = len(left) == 1
        words = f"{'counts' if is_one else 'count'} as sent now"
        if arguments.resend:
            sends = f"`{_again(arguments, record)}` sends {'it' if is_one else 'them'}"
            words = f"{'waits' if is_one else 'wait'} now: {sends}"
        print(f"{_rows(left)} {words}.")
        left = []
    elif left:
        print(
            f"{_rows(left)} left for you to decide: look for the messages in Seller Central, then take --sent for "
            "those that are there and --resend for those that are missing, each with --order."
        )
    if failure:
        print(f"spapi-async: {failure}", file=sys.stderr)
        return NOT_DONE
    return SOME_IN_DOUBT if left else 0


async def _ask(arguments: argparse.Namespace, record: JobRecord, rows: Sequence[Row]) -> tuple[Sequence[Row], str]:
    """Ask Amazon; return the rows that are in doubt still, and what went wrong."""
    left, failure, waiting = [], "", 0
    try:
        client, tokens = client_of_job(arguments)
        async with (
            client,
            Job(client, journal=arguments.journal, number=record.number, selling_partners=tokens) as job,
        ):
            for row in rows:
                state = State.IN_DOUBT
                if not failure:
                    try:
                        state = await job.ask(row)
                    except (SpapiError, ValueError) as error:
                        failure = str(error)
                if state is State.IN_DOUBT:
                    left.append(row)
                    continue
                waiting += state is State.READY
                words = "it was sent" if state is State.SENT else "it was not sent, and waits"
                print(f"  line {row.number}: asked, Amazon tells that {words}")
    except ConfigError as error:
        return rows, f"Amazon was not asked: {error}"
    if waiting:
        print(f"`{_again(arguments, record)}` sends what waits.")
    return left, failure


def _rows(rows: Sequence[Row]) -> str:
    return "1 row" if len(rows) == 1 else f"{len(rows)} rows"


def _again(arguments: argparse.Namespace, record: JobRecord) -> str:
    return f"spapi-async jobs resume {arguments.journal} {record.number}"
