"""Options of jobs that `jobs run` and `estimate` read alike."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import cast

from ..errors import ConfigError
from ..jobs.credentials import is_readable_by_others, read_refresh_tokens
from ..jobs.kinds import KINDS, Kind
from ..jobs.source import Entry, Format, Source, open_source
from ..jobs.source.opened import read_text
from ..jobs.template import Templates
from ..jobs.variants import locale_of
from ..jobs.windows import Windows
from ..marketplaces import Region
from ..operation import UsagePlan

__all__ = [
    "add_credentials",
    "add_job",
    "add_source",
    "add_windows",
    "counted",
    "refresh_tokens_of",
    "region_of",
    "source_of",
    "usage_plan",
    "windows_of",
]


def add_source(parser: argparse.ArgumentParser) -> None:
    """Add what says which rows a job has."""
    parser.add_argument(
        "source", metavar="FILE", help="CSV, TSV or JSON Lines, perhaps packed by gzip; - is standard input"
    )
    parser.add_argument("--kind", required=True, help=f"kind of message: {', '.join(KINDS)}")
    rows = parser.add_argument_group("what the rows are")
    add = rows.add_argument
    add("--format", choices=list(Format), help="how the file is written; default: by its name, else by its content")
    add("--encoding", metavar="NAME", help="its encoding, as in shift_jis; default: found out, and told")
    add("--template", metavar="TEXT", help="make the texts of this one, in which {column} is that column of the row")
    add(
        "--template-file",
        action="append",
        default=[],
        metavar="[LOCALE=]FILE",
        help="the same from a file; with a locale, as in de=text.de.txt, for buyers of that language; repeatable",
    )
    add("--not-before", metavar="COLUMN", help="the column of the time before which a row is not sent")


def add_credentials(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add where the refresh tokens of several selling partners are."""
    parser.add_argument(
        "--credentials",
        type=Path,
        metavar="FILE",
        help="TOML or JSON: refresh tokens by the names that stand in the column selling_partner",
    )


def refresh_tokens_of(arguments: argparse.Namespace) -> Mapping[str, str] | None:
    """Return the refresh tokens of --credentials by name, with a warning if others can read them; None without it.

    The file is read once, since it may be a pipe.

    Raises:
        ConfigError: The file cannot be used.
    """
    path: Path | None = arguments.credentials
    if path is None:
        return None
    if (known := getattr(arguments, "refresh_tokens", None)) is not None:
        return cast(Mapping[str, str], known)
    tokens = read_refresh_tokens(path)
    if is_readable_by_others(path):
        print(f"spapi-async: others can read the refresh tokens in {path}; chmod 600 {path}", file=sys.stderr)
    arguments.refresh_tokens = tokens
    return tokens


def source_of(
    arguments: argparse.Namespace, kind: Kind, region: Region | None, selling_partners: Container[str] | None = None
) -> AbstractContextManager[Source]:
    """Open what the options of `add_source` say.

    Args:
        arguments: The command line.
        kind: What the rows are.
        region: The region the job sends to, when it is known.
        selling_partners: As of `refresh_tokens_of`.

    Raises:
        ConfigError: A template or the time zone cannot be used. What is wrong with the source itself shows when it is
            opened.
    """
    return open_source(
        arguments.source,
        kind,
        region=region,
        format=arguments.format and Format(arguments.format),
        encoding=arguments.encoding,
        templates=_templates(arguments),
        selling_partners=selling_partners,
        not_before=arguments.not_before,
        zone=windows_of(arguments).zone,
        stdin=getattr(sys.stdin, "buffer", None),
    )


def add_job(parser: argparse.ArgumentParser) -> None:
    """Add what names a job of a journal."""
    parser.add_argument("journal", type=Path, metavar="JOURNAL", help="the journal's file")
    parser.add_argument("job", type=int, nargs="?", metavar="JOB", help="its number; default: the latest job")


def counted(source: Source, read: Callable[[int], None]) -> Iterator[Entry]:
    """Yield the records of a source, and tell with each how many they are by now."""
    for lines, entry in enumerate(source.entries, 1):
        read(lines)
        yield entry


def add_windows(parser: argparse.ArgumentParser) -> None:
    """Add what says when messages may go out."""
    add = parser.add_argument_group("when messages may go out").add_argument
    add("--between", metavar="HH:MM-HH:MM", help="only then by a local clock, as in 09:00-20:00; default: at any time")
    add(
        "--timezone",
        metavar="ZONE",
        help="whose clock: an IANA name as in Europe/Berlin, or marketplace, which is the default: each row's own",
    )
    add(
        "--max-per-day",
        type=int,
        metavar="N",
        help="the most messages of a selling partner and kind in a day, from midnight in ZONE; in UTC without one",
    )


def windows_of(arguments: argparse.Namespace) -> Windows:
    """Return what the options of `add_windows` say.

    Raises:
        ConfigError: One of them cannot be used.
    """
    return Windows.parse(arguments.between, arguments.timezone or "marketplace", arguments.max_per_day)


def _templates(arguments: argparse.Namespace) -> Templates | None:
    texts: dict[str, str] = {} if arguments.template is None else {"": arguments.template}
    for option in arguments.template_file:
        before, is_split, after = option.partition("=")
        locale = locale_of(before) if is_split else None
        if (locale or "") in texts:
            raise ConfigError(f"two templates are given for {locale or 'all buyers'}; leave one of them")
        texts[locale or ""] = read_text(Path(after if locale else option))
    return Templates.of(texts) if texts else None


def usage_plan(text: str) -> tuple[str, UsagePlan]:
    """Read NAME=RATE/BURST, for argparse."""
    name, _, figures = text.partition("=")
    rate, _, burst = figures.partition("/")
    try:
        return name, UsagePlan(rate=float(rate), burst=float(burst))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no plan as in messaging_v1.create_confirm_order_details=5/10: requests/s and burst"
        ) from None


def region_of(option: str | None, *, is_elsewhere: bool = False) -> Region | None:
    """Return the region whose marketplaces alone can be right; None when it is not known.

    Args:
        option: The value of --region.
        is_elsewhere: Whether another option names an endpoint; it goes before the environment.

    Raises:
        ConfigError: SPAPI_REGION is none.
    """
    name = os.environ.get("SPAPI_REGION", "").strip().lower()
    if option is None and (is_elsewhere or not name or os.environ.get("SPAPI_ENDPOINT")):
        return None
    try:
        return Region(option or name)
    except ValueError:
        raise ConfigError(f"SPAPI_REGION must be one of {', '.join(Region)}, not {name!r}") from None
