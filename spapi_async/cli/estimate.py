"""`spapi-async estimate`: how long the messages of a file would take, told beforehand; nothing is sent or asked."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from ..apis.messaging_v1.operations import GET_ATTRIBUTES
from ..apis.uploads_2020_11_01.operations import CREATE_UPLOAD_DESTINATION_FOR_RESOURCE
from ..errors import ConfigError
from ..jobs.attachments import AttachmentFiles
from ..jobs.journal import Identity
from ..jobs.kinds import Kind, find_kind
from ..jobs.kinds.attachments import COLUMN, read
from ..jobs.preview import JournalView, preview
from ..jobs.row import Row
from ..jobs.source import Source
from ..jobs.summary import Tally
from ..jobs.variants import needs_locale
from ..jobs.windows import Windows
from ..marketplaces import Region
from ..operation import Operation, UsagePlan
from .options import (
    add_credentials,
    add_source,
    add_windows,
    counted,
    refresh_tokens_of,
    region_of,
    source_of,
    usage_plan,
    windows_of,
)
from .progress import progress_on

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.description = (
        "Read a file as `jobs run` does, and tell how many of its rows would be sent and how long that takes by "
        "the usage plan, from a full bucket. No network and no credentials."
    )
    add = parser.add_argument
    add_source(parser)
    add_credentials(parser)
    add_windows(parser)
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
    windows = windows_of(arguments)
    region = region_of(arguments.region)
    tokens = refresh_tokens_of(arguments)
    needs = _Sellers(kind)
    with source_of(arguments, kind, region, tokens) as source, _view(arguments, tokens) or nullcontext() as journal:
        files = AttachmentFiles(arguments.attachments_dir or Path(arguments.source).parent)
        with progress_on(sys.stderr, time.monotonic) as progress:
            entries = map(files.checked, counted(source, progress.read))
            tally = preview(entries, journal, retry_refused=arguments.retry_refused, on_waiting=needs.add)
    now = datetime.now(UTC)
    seller, operation, finish, is_exact = _slowest(needs, plans, windows, now)
    estimate = _Estimate(
        source, kind.name, tally, needs, seller, operation, plans[operation], windows, now, finish, is_exact
    )
    print(json.dumps(estimate.facts(), indent=2) if arguments.json else estimate.in_words())
    return 0


class _Needs:
    """What the rows of one selling partner need.

    Attributes:
        rows: How many there are.
        calls: Of each operation, by its key; each operation has a usage plan of its own.
        marketplaces: Theirs.
        latest: The latest moment before which one of them is not sent, in seconds since 1970.
    """

    def __init__(self, kind: Kind) -> None:
        self.rows = 0
        self.latest = 0.0
        self.calls = Counter({operation.key: 0 for operation in _operations(kind)})
        self.marketplaces: set[str] = set()
        self._kind = kind

    def add(self, row: Row) -> None:
        """Count what a row needs."""
        self.rows += 1
        self.latest = max(self.latest, row.not_before)
        self.marketplaces.add(row.body["marketplace_id"])
        self.calls[self._kind.operation.key] += 1
        self.calls[self._kind.check.key] += 1
        if needs_locale(row):
            self.calls[GET_ATTRIBUTES.key] += 1
        if COLUMN in row.body:
            self.calls[CREATE_UPLOAD_DESTINATION_FOR_RESOURCE.key] += len(read(row.body[COLUMN]))


class _Sellers(dict[str, _Needs]):
    """What the rows of each selling partner need; "" where a source has one. They are served side by side."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self[""] = _Needs(kind)

    def add(self, row: Row) -> None:
        """Count what a row needs."""
        if row.selling_partner not in self:
            self[row.selling_partner] = _Needs(self._kind)
        self[row.selling_partner].add(row)

    @property
    def calls(self) -> Counter[str]:
        """Of each operation, for all of them together."""
        calls: Counter[str] = Counter()
        for needs in self.values():
            calls.update(needs.calls)
        return calls


@attrs.frozen
class _Estimate:
    source: Source
    kind: str
    tally: Tally
    sellers: _Sellers
    seller: str
    """Who takes longest."""
    operation: str
    plan: UsagePlan
    windows: Windows
    now: datetime
    finish: datetime | None
    """When the last message goes out; None when it is too far off."""
    is_exact: bool
    """Whether that is when, and not only the latest that it can be."""

    @property
    def seconds(self) -> float | None:
        """From now to the last message."""
        return None if self.finish is None else (self.finish - self.now).total_seconds()

    @property
    def opens(self) -> datetime | None:
        """When the first message goes out; None when that is at once."""
        marketplaces = {marketplace for needs in self.sellers.values() for marketplace in needs.marketplaces}
        opens = [self.windows.opens(self.now, marketplace) for marketplace in marketplaces]
        return min(filter(None, opens), default=None) if all(opens) else None

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
            "calls": dict(self.sellers.calls),
            "selling_partner": self.seller,
            "rate": self.plan.rate,
            "burst": self.plan.burst,
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "opens": self.opens and _local(self.opens),
            "finish": self.finish and _local(self.finish),
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
        elif self.seconds == 0.0:
            lines.append(f"They can go out at once: the usage plan of {self.operation} has a burst of {plan.burst:g}.")
        else:
            pace = f"{plan.rate:g} a second" if plan.rate >= 1 else f"one in {_duration(1 / plan.rate)}"
            needs = self.sellers[self.seller]
            calls = needs.calls[self.operation]
            whose = f" for {self.seller}, who takes longest with {_number(needs.rows, 'row')}" if self.seller else ""
            lines.append(
                f"The good ones take {'more than a century' if self.seconds is None else _duration(self.seconds)}: "
                f"{plan.burst:g} at once, then {pace}, by the usage plan of {self.operation}{whose}"
                + ("." if calls == needs.rows else f", of which they need {_number(calls, 'call')}.")
            )
            lines += self._windows_in_words()
            if self.finish is not None:
                first = f"the first one goes out {self._when(self.opens)} and " if self.opens else ""
                latest = "" if self.is_exact else "at the latest "
                lines.append(f"Begun now, {first}the last one goes out {latest}{self._when(self.finish)}.")
        return "\n".join(lines)

    def _windows_in_words(self) -> list[str]:
        between, most = self.windows.between, self.windows.max_per_day
        words = []
        if between:
            whose = self.windows.zone.key if self.windows.zone else "each marketplace"
            words.append(f"between {between[0]:%H:%M} and {between[1]:%H:%M} by the clock of {whose}")
        if most:
            words.append(f"at most {most} a day")
        return [f"They go out {', '.join(words)}."] if words else []

    def _when(self, moment: datetime) -> str:
        moment, now = moment.astimezone(), self.now.astimezone()
        day = "" if moment.date() == now.date() else f"on {moment:%A}, {moment.date()}, "
        return f"{day}at {moment:%H:%M:%S}"


def _operations(kind: Kind) -> list[Operation]:
    """List the operations that a row may need a call of; the one that sends it is the first."""
    operations = [kind.operation, kind.check]
    if kind.longest:
        operations.append(GET_ATTRIBUTES)
    _, most = kind.attachments
    if most:
        operations.append(CREATE_UPLOAD_DESTINATION_FOR_RESOURCE)
    return operations


def _plans(kind: Kind, given: dict[str, UsagePlan]) -> dict[str, UsagePlan]:
    """Return the usage plan of each operation that a row may call."""
    plans = {operation.key: operation.plan for operation in _operations(kind)}
    for name in given:
        if name not in plans:  # a misspelt name would silently change nothing
            *others, last = plans
            raise ConfigError(f"--plan {name}: {kind.name} calls only {', '.join(others)} and {last}")
    return plans | given


def _slowest(
    sellers: _Sellers, plans: dict[str, UsagePlan], windows: Windows, now: datetime
) -> tuple[str, str, datetime | None, bool]:
    """Find who takes longest, with what `_pace` returns for it."""
    paces = {seller: _pace(needs, plans, windows, now) for seller, needs in sellers.items()}
    slowest = max(paces, key=lambda seller: paces[seller][1] or datetime.max.replace(tzinfo=UTC))
    return slowest, *paces[slowest]


def _pace(
    needs: _Needs, plans: dict[str, UsagePlan], windows: Windows, now: datetime
) -> tuple[str, datetime | None, bool]:
    """Find the operation that sets the pace, since each keeps its own plan, from a full bucket and at its full rate.

    Returns:
        The operation, when the last row goes out (None when it is too far off), and whether it cannot be earlier.
    """
    slowest, finish, is_exact = next(iter(plans)), now, True
    for operation, calls in needs.calls.items():
        if not calls:
            continue
        plan, each = plans[operation], calls / needs.rows
        try:
            # All rows by the clock of one marketplace, and of the next: no mixture ends later than the worst of them.
            ends = [
                windows.ends(now, needs.rows, plan.rate / each, plan.burst / each, marketplace)
                for marketplace in needs.marketplaces
            ]
        except OverflowError:
            return operation, None, True
        if max(ends) > finish:
            slowest, finish, is_exact = operation, max(ends), min(ends) == max(ends)
    latest = datetime.fromtimestamp(needs.latest, UTC)
    if latest > finish:
        latest = max(windows.opens(latest, marketplace) or latest for marketplace in needs.marketplaces)
    return (slowest, finish, is_exact) if latest <= finish else (slowest, latest, False)


def _view(arguments: argparse.Namespace, tokens: Mapping[str, str] | None) -> JournalView | None:
    if arguments.journal is None:
        return None
    if not arguments.journal.exists():  # a job would make it
        print(f"spapi-async: {arguments.journal} is not there yet, so no row counts as settled", file=sys.stderr)
        return None
    if tokens is not None:
        names = {name: Identity(refresh_token=token, selling_partner_id=name) for name, token in tokens.items()}
        return JournalView(arguments.journal, names)
    identity = Identity(
        refresh_token=os.environ.get("SPAPI_REFRESH_TOKEN") or os.environ.get("SP_API_REFRESH_TOKEN") or "",
        selling_partner_id=arguments.selling_partner_id or os.environ.get("SPAPI_SELLING_PARTNER_ID") or None,
    )
    return JournalView(arguments.journal, identity)


def _settled(tally: Tally) -> int:
    return tally.already_sent + tally.refused + tally.in_doubt


def _local(moment: datetime) -> str:
    """Write a time with the offset of this machine."""
    return moment.astimezone().isoformat(timespec="seconds")


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
