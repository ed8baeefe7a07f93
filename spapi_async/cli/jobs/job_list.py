"""`spapi-async jobs list`: the jobs of a journal, and how their rows stand."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ...jobs.report.overview import Overview, title_of
from ...jobs.report.reading import Reader
from ...jobs.report.table import iso
from ..styled import styled_printer
from .text_table import Column, plain_table

__all__ = ["add_arguments", "run"]

_COLUMNS = (
    Column("Job", is_number=True),
    Column("Name"),
    Column("Begun"),
    Column("Ended"),
    Column("Sent", is_number=True),
    Column("Refused", is_number=True),
    Column("In doubt", is_number=True),
    Column("Waiting", is_number=True),
    Column("Selling partners", is_number=True),
    Column("Kinds"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = "The journal is only read; that can be done while jobs run. Times are those of this machine."
    parser.add_argument("journal", type=Path, metavar="JOURNAL", help="what `jobs run --journal` was given")
    parser.add_argument("--json", action="store_true", help="print a JSON array, an object for each job")


def run(arguments: argparse.Namespace) -> int:
    """Print the jobs; return 0.

    Raises:
        ConfigError: There is no such file.
        JobError: The journal cannot be read.
    """
    jobs = Reader(arguments.journal).jobs(time.time())
    if arguments.json:
        print(json.dumps([_facts(job) for job in jobs], indent=2))
    elif not jobs:
        print(f"{arguments.journal} has no jobs yet.")
    elif sys.stdout.isatty():
        say = styled_printer()
        for job in jobs:
            say(f"{job.job.number:>4}  {title_of(job.job)}", "bold")
            for words in _in_words(job):
                say(f"      {words}", "")
    else:
        print("\n".join(plain_table(_COLUMNS, [_line(job) for job in jobs])))
    return 0


def _in_words(overview: Overview) -> Sequence[str]:
    job, whole, sellers = overview.job, overview.whole, _sellers(overview)
    end = overview.standing if job.ended is None else f"ended {_local(job.ended)}"
    counts = f"{whole.sent:,} sent, {whole.refused:,} refused, {whole.in_doubt:,} in doubt, {whole.unsettled:,} waiting"
    return [
        f"begun {_local(job.begun)}, {end}",
        counts,
        f"{', '.join(_kinds(overview))}; {sellers:,} selling partner{'s' * (sellers != 1)}",
    ]


def _line(overview: Overview) -> Sequence[str]:
    job, whole = overview.job, overview.whole
    return [
        str(job.number),
        title_of(job),
        _local(job.begun),
        overview.standing if job.ended is None else _local(job.ended),
        *(f"{count:,}" for count in (whole.sent, whole.refused, whole.in_doubt, whole.unsettled)),
        f"{_sellers(overview):,}",
        ", ".join(_kinds(overview)),
    ]


def _facts(overview: Overview) -> dict[str, Any]:  # Any: JSON
    job, whole = overview.job, overview.whole
    return {
        "job": job.number,
        "name": job.name,
        "source": job.source,
        "kinds": _kinds(overview),
        "selling_partners": _sellers(overview),
        "standing": overview.standing,
        "begun": iso(job.begun),
        "ended": None if job.ended is None else iso(job.ended),
        "rejected": job.rejected,
        "sent": whole.sent,
        "refused": whole.refused,
        "in_doubt": whole.in_doubt,
        "waiting": whole.waiting,
        "in_hand": whole.in_hand,
    }


def _kinds(overview: Overview) -> Sequence[str]:
    return sorted({run.kind for run in overview.job.runs})


def _sellers(overview: Overview) -> int:
    return len({run.selling_partner for run in overview.job.runs})


def _local(moment: float) -> str:
    return datetime.fromtimestamp(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")
