"""`spapi-async estimate`: how long the messages of a file would take, told beforehand; nothing is sent or asked."""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs

from ..errors import ConfigError
from ..jobs.attachments import AttachmentFiles
from ..jobs.journal import Identity
from ..jobs.kinds import Kind, find_kind
from ..jobs.preview import JournalView, preview
from ..jobs.source import Source
from ..jobs.summary import Tally
from ..marketplaces import Region
from ..operation import UsagePlan
from .options import add_source, refresh_tokens_of, region_of, source_of, usage_plan

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.description = (
        "Read a file as `jobs run` does, and tell how many of its rows would be sent and how long that takes by "
        "the usage plan, from a full bucket. No network and no credentials."
    )
    add = parser.add_argument
    add_source(parser)
    add("--journal", type=Path, metavar="FILE.db", help="do not count rows that it knows as settled; it is only read")
    add("--selling-partner-id", metavar="ID", help="whose rows of the journal; default $SPAPI_SELLING_PARTNER_ID")
    add("--retry-refused", action="store_true", help="count rows again that Amazon refused before")
    add("--region", choices=[region.value for region in Region], help="na, eu or fe; default $SPAPI_REGION")
    add(
        "--plan",
        type=usage_plan,
        action="append",
        default=[],
        metavar="NAME=RATE/BURST",
        help="another usage plan, as in messaging_v1.create_confirm_order_details=5/10; repeatable",
    )
    add("--attachments-dir", type=Path, metavar="DIR", help="where attachments are; default: the folder of FILE")
    add("--json", action="store_true", help="print a JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Print the estimate; return 0.

    Raises:
        ConfigError: An option or the file is wrong.
        JobError: The journal cannot be read.
    """
    kind = find_kind(arguments.kind, withdrawn=True)  # nothing is sent
    plans = _plans(kind, dict(arguments.plan))
    region = region_of(arguments.region)
    tokens = refresh_tokens_of(arguments)
    with source_of(arguments, kind, region, tokens) as source, _view(arguments) or nullcontext() as journal:
        files = AttachmentFiles(arguments.attachments_dir or Path(arguments.source).parent)
        tally = preview(map(files.checked, source.entries), journal, retry_refused=arguments.retry_refused)
    # Each row calls both operations, and each of them keeps its plan: the slower one sets the pace.
    operation = max(plans, key=lambda key: _seconds(tally.waiting, plans[key]))
    estimate = _Estimate(source, kind.name, tally, operation, plans[operation], datetime.now(UTC))
    print(json.dumps(estimate.facts(), indent=2) if arguments.json else estimate.in_words())
    return 0


@attrs.frozen
class _Estimate:
    source: Source
    kind: str
    tally: Tally
    operation: str
    plan: UsagePlan
    now: datetime

    @property
    def seconds(self) -> float:
        """From the first message to the last."""
        return _seconds(self.tally.waiting, self.plan)

    @property
    def finish(self) -> datetime | None:
        """The time on this machine's clock; None when no calendar goes so far."""
        try:
            return (self.now + timedelta(seconds=self.seconds)).astimezone()
        except (OverflowError, ValueError):
            return None

    def facts(self) -> dict[str, Any]:  # Any: JSON
        tally = self.tally
        return {
            "file": self.source.name,
            "format": str(self.source.format),
            "encoding": self.source.encoding,
            "kind": self.kind,
            "rows": tally.total,
            "good": tally.waiting,
            "refused": tally.invalid + tally.duplicates,
            "invalid": tally.invalid,
            "duplicates": tally.duplicates,
            "settled": _settled(tally),
            "operation": self.operation,
            "rate": self.plan.rate,
            "burst": self.plan.burst,
            "seconds": round(self.seconds, 3),
            "finish": self.finish and self.finish.isoformat(timespec="seconds"),
        }

    def in_words(self) -> str:
        tally, plan = self.tally, self.plan
        counts = [f"{tally.waiting} good"]
        counts += [f"{_settled(tally)} settled before"] if _settled(tally) else []
        if refused := tally.invalid + tally.duplicates:
            counts.append(f"{refused} would be refused ({tally.invalid} invalid, {tally.duplicates} duplicate)")
        lines = [
            self.source.words,
            f"{Path(self.source.name).name}, {_number(tally.total, 'row')}: {', '.join(counts)}.",
        ]
        if not tally.waiting:
            lines.append("There is nothing to send.")
        elif not self.seconds:
            lines.append(f"They can go out at once: the usage plan of {self.operation} has a burst of {plan.burst:g}.")
        else:
            pace = f"{plan.rate:g} a second" if plan.rate >= 1 else f"one in {_duration(1 / plan.rate)}"
            lines.append(
                f"The good ones take {_duration(self.seconds)}: {plan.burst:g} at once, then {pace}, "
                f"by the usage plan of {self.operation}."
            )
            lines.append(f"Begun now, the last one goes out {self._when()}.")
        return "\n".join(lines)

    def _when(self) -> str:
        finish = self.finish
        if finish is None:
            return "after the year 9999"
        day = "" if finish.date() == self.now.astimezone().date() else f"on {finish:%A}, {finish.date()}, "
        return f"{day}at {finish:%H:%M:%S}"


def _plans(kind: Kind, given: dict[str, UsagePlan]) -> dict[str, UsagePlan]:
    """Return the usage plan of each operation that a row calls."""
    plans = {operation.key: operation.plan for operation in (kind.operation, kind.check)}
    for name in given:
        if name not in plans:  # a misspelt name would silently change nothing
            raise ConfigError(f"--plan {name}: {kind.name} calls only {' and '.join(plans)}")
    return plans | given


def _seconds(calls: int, plan: UsagePlan) -> float:
    """Return the time from the first to the last of so many calls, from a full bucket and at the plan's full rate."""
    return max(0.0, (calls - plan.burst) / plan.rate)


def _view(arguments: argparse.Namespace) -> JournalView | None:
    if arguments.journal is None:
        return None
    if not arguments.journal.exists():  # a job would make it
        print(f"spapi-async: {arguments.journal} is not there yet, so no row counts as settled", file=sys.stderr)
        return None
    identity = Identity(
        refresh_token=os.environ.get("SPAPI_REFRESH_TOKEN") or os.environ.get("SP_API_REFRESH_TOKEN") or "",
        selling_partner_id=arguments.selling_partner_id or os.environ.get("SPAPI_SELLING_PARTNER_ID") or None,
    )
    return JournalView(arguments.journal, identity)


def _settled(tally: Tally) -> int:
    return tally.already_sent + tally.refused + tally.in_doubt


def _duration(seconds: float) -> str:
    """Say a duration in words by its two largest units, as in `2 h 13 min`."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = [(_number(days, "day"), days), (f"{hours} h", hours), (f"{minutes} min", minutes), (f"{rest} s", rest)]
    while not units[0][1]:
        units.pop(0)
    return " ".join(text for text, count in units[:2] if count)


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
