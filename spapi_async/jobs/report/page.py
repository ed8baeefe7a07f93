"""A job as one HTML page that needs nothing else: no script, no other file, no network. Pure.

Words from outside are escaped, cut to a length and kept apart from the page's own direction of writing; a policy in the
page forbids scripts besides. What is listed is bounded, so that the page stays below 10 MB whatever the job.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib import resources

from ..row import Row, State
from .chart import PATTERNS, legend, pace_chart, share_bar
from .overview import Figures, Overview, Part, Reason, Standing, fold, plain, title_of
from .pace import Pace
from .table import cure, iso
from .words import amount, duration, share

__all__ = ["MOST_DOUBTS", "MOST_REFUSED", "page_of"]

MOST_REFUSED, MOST_DOUBTS = 1000, 300
"""Rows that the page lists; the CSV has all of them."""

_MOST_PARTS = 1000
_LONGEST, _LONGEST_NAME = 500, 64
_LONGEST_IN_PART, _MOST_IN_PART = 80, 2
"""Characters of a reason beside a part, and how many of its reasons are shown there."""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page_of(
    overview: Overview,
    pace: Pace,
    refused: Sequence[Row],
    doubts: Sequence[Row],
    names: Mapping[str, str],
    table: str,
) -> str:
    """Write the page of a job.

    Args:
        overview: The job.
        pace: Its outcomes over time.
        refused: Refused rows, in the order of their lines; the first `MOST_REFUSED` are shown.
        doubts: Rows in doubt, in the order of their lines; the first `MOST_DOUBTS` are shown.
        names: What people see for a selling partner, by digest.
        table: The name of the CSV that has all rows.

    Returns:
        HTML, to be written as UTF-8.
    """
    title = _words(title_of(overview.job), _LONGEST)
    style = resources.files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">',
        '<link rel="icon" href="data:,">',
        f"<title>{escape(plain(title_of(overview.job))[:_LONGEST], quote=False)}: report</title>",
        f"<style>\n{style}</style>\n</head>\n<body>",
        PATTERNS,
        "<header>",
        f"<h1>{title}</h1>",
        f'<p class="dim">{_subtitle(overview)}</p>',
        "</header>\n<main>",
        *_sums(overview),
        *_pace(overview, pace),
        *_reasons(overview.whole),
        *_parts(overview),
        *_rows("in-doubt", "Rows in doubt", doubts[:MOST_DOUBTS], overview.whole.in_doubt, overview, names),
        *_rows("refused", "Refused rows", refused[:MOST_REFUSED], overview.whole.refused, overview, names),
        "</main>\n<footer>",
        f"<p>Times are UTC. All rows are in <bdi>{escape(plain(table), quote=False)}</bdi>. "
        f"Written by spapi-async at {_moment(overview.now)} from the job's journal.</p>",
        "</footer>\n</body>\n</html>\n",
    ]
    return "\n".join(parts)


def _words(text: str, most: int) -> str:
    text = plain(text)
    return f"<bdi>{escape(text if len(text) <= most else text[: most - 1] + '…', quote=False)}</bdi>"


def _kind(kind: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "<wbr>", _words(kind, _LONGEST_NAME))


def _moment(moment: float) -> str:
    return f'<time datetime="{iso(moment)}">{iso(moment)[:-1].replace("T", " ")}</time>'


def _subtitle(overview: Overview) -> str:
    job = overview.job
    kinds = sorted({part.kind for part in overview.parts})
    sellers = {part.selling_partner for part in overview.parts}
    who = _words(next(iter(sellers)), _LONGEST_NAME) if len(sellers) == 1 else f"{len(sellers):,} selling partners"
    end = f"ended {_moment(job.ended)}" if job.ended is not None else f"as of {_moment(overview.now)}"
    return " · ".join(
        [
            f"Job {job.number}, {overview.standing}",
            _words(", ".join(kinds), _LONGEST),
            who,
            f"begun {_moment(job.begun)}, {end} ({duration(overview.elapsed)})",
        ]
    )


def _sums(overview: Overview) -> Iterator[str]:
    whole = overview.whole
    figures = [
        ("", "Rows", whole.total, ""),
        ("sent", "Sent", whole.sent, share(whole.sent, whole.total)),
        ("refused", "Refused by Amazon", whole.refused, share(whole.refused, whole.total)),
        ("doubt", "In doubt", whole.in_doubt, share(whole.in_doubt, whole.total)),
        ("", "Waiting", whole.unsettled, share(whole.unsettled, whole.total)),
        ("", "Rejected lines", overview.job.rejected, ""),
    ]
    yield '<dl class="sums">'
    for class_, name, count, note in figures:
        yield f'<div class="{class_}"><dt>{name}</dt><dd>{count:,} <small>{note}</small></dd></div>'
    yield "</dl>"
    if overview.standing != Standing.ENDED and whole.left:
        yield f"<p>By the usage plan the rest takes {duration(whole.left)}.</p>"


def _pace(overview: Overview, pace: Pace) -> Iterator[str]:
    yield '<section aria-labelledby="pace">\n<h2 id="pace">Pace over time</h2>'
    earlier = ""
    if pace.earlier:
        had = "row, which had its" if pace.earlier == 1 else "rows, which had their"
        earlier = f" Without {pace.earlier:,} {had} outcome before this job began."
    if not pace.bins:
        yield f"<p>No row has got an outcome in this job yet.{earlier}</p>\n</section>"
        return
    yield f'<figure>\n{legend()}\n<div class="plot">\n{pace_chart(pace)}\n</div>'
    yield (
        f"<figcaption>Outcomes a second, {amount(pace.average)} on average; each bar is {duration(pace.width)} long. "
        f"A plan's burst lets the first ones go above it.{earlier}</figcaption>\n</figure>"
    )
    yield "<details>\n<summary>The figures of the chart</summary>"
    heads = ["Since", "Sent", "Refused", "In doubt", "A second", "Plan, a second"]
    cells = (
        [
            _moment(each.since),
            f"{each.sent:,}",
            f"{each.refused:,}",
            f"{each.in_doubt:,}",
            amount(each.count / pace.width),
            "–" if each.plan is None else amount(each.plan),
        ]
        for each in pace.bins
    )
    yield from _table("figures", f"Outcomes in each {duration(pace.width)}", heads, ("id", *["n"] * 5), cells)
    yield "</details>\n</section>"


def _reasons(whole: Figures) -> Iterator[str]:
    yield '<section aria-labelledby="reasons">\n<h2 id="reasons">Outcomes by reason</h2>'
    lines: list[tuple[str, State | None, str, int]] = [("Sent", State.SENT, "–", whole.sent)]
    lines += [
        (_outcome(reason), reason.state, _words(reason.words, _LONGEST), reason.count) for reason in whole.reasons
    ]
    if whole.unsettled:
        lines.append(("Waiting", None, "–", whole.unsettled))
    most = max(count for *_, count in lines)
    cells = (
        [outcome, words, f"{count:,}", share(count, whole.total), share_bar(state, count, most)]
        for outcome, state, words, count in lines
    )
    heads = ["Outcome", "Reason", "Rows", "Share", "<span aria-hidden='true'></span>"]
    caption = "What became of the rows; reasons that differ only in dates, ids and numbers (“…”) are one"
    yield from _table("reasons-table", caption, heads, ("id", "words", "n", "n", "share"), cells)
    yield "</section>"


def _outcome(reason: Reason) -> str:
    return "Refused" if reason.state is State.REFUSED else "In doubt"


def _parts(overview: Overview) -> Iterator[str]:
    if len(overview.parts) < 2:
        return
    yield '<section aria-labelledby="parts">\n<h2 id="parts">Selling partners and kinds</h2>'
    shown, others = overview.parts[:_MOST_PARTS], overview.parts[_MOST_PARTS:]
    cells = [_part_cells(_words(part.selling_partner, _LONGEST_NAME), _kind(part.kind), part) for part in shown]
    if others:
        cells.append(_part_cells(f"{len(others):,} others", "", fold(others)))
    heads = [
        "Selling partner",
        "Kind",
        "Rows",
        "Sent",
        "Refused",
        "In doubt",
        "Waiting",
        "Plan",
        "Most frequent reasons",
    ]
    caption = (
        "Those with rows in doubt first, then those with most refused rows, then those with most to do; "
        "plans in requests a second"
    )
    yield from _table("parts-table", caption, heads, ("name", "id", *["n"] * 6, "words"), cells)
    yield "</section>"


def _part_cells(name: str, kind: str, part: Part | Figures) -> list[str]:
    figures = [part.total, part.sent, part.refused, part.in_doubt, part.unsettled]
    reasons = (
        f"{reason.count:,} {_outcome(reason).lower()}: {_words(reason.words, _LONGEST_IN_PART)}"
        for reason in part.reasons[:_MOST_IN_PART]
    )
    plan = "–" if part.rate is None else amount(part.rate)
    return [name, kind, *(f"{figure:,}" for figure in figures), plan, "<br>".join(reasons)]


def _rows(
    id_: str, title: str, rows: Sequence[Row], count: int, overview: Overview, names: Mapping[str, str]
) -> Iterator[str]:
    if not rows:
        return
    yield f'<section aria-labelledby="{id_}">\n<h2 id="{id_}">{title}</h2>'
    has_sellers = len({part.selling_partner for part in overview.parts}) > 1
    has_kinds = len({part.kind for part in overview.parts}) > 1
    heads = [
        "Line",
        *["Selling partner"] * has_sellers,
        *["Kind"] * has_kinds,
        "Order",
        "Reason",
        "What helps",
        "Request id",
    ]
    classes = ("n", *["name"] * has_sellers, *["name"] * has_kinds, "id", "words", "words", "name")
    cells = (
        [
            f"{row.number}",
            *[_words(names.get(row.selling_partner, row.selling_partner[:8]), _LONGEST_NAME)] * has_sellers,
            *[_kind(row.kind)] * has_kinds,
            _words(row.order_id, _LONGEST_NAME) + (f"<br>key {_words(row.key, _LONGEST_NAME)}" if row.key else ""),
            _words(row.reason, _LONGEST),
            escape(cure(row), quote=False),
            _words(row.request_id or "–", _LONGEST_NAME),
        ]
        for row in rows
    )
    caption = "All of them" if len(rows) >= count else f"The first {len(rows):,} of {count:,}"
    yield from _table(f"{id_}-table", f"{caption}, in the order of their lines", heads, classes, cells)
    yield "</section>"


def _table(
    id_: str, caption: str, heads: Sequence[str], classes: Sequence[str], lines: Iterable[Sequence[str]]
) -> Iterator[str]:
    """Write a table; it scrolls in a frame of its own, which a keyboard reaches, where the screen is too narrow."""
    yield f'<div class="scroll" role="region" tabindex="0" aria-labelledby="{id_}">\n<table>'
    yield f'<caption id="{id_}">{caption}</caption>\n<thead><tr>'
    yield "".join(f'<th scope="col" class="{class_}">{head}</th>' for head, class_ in zip(heads, classes, strict=True))
    yield "</tr></thead>\n<tbody>"
    for first, *rest in lines:
        cells = (f'<td class="{class_}">{cell}</td>' for cell, class_ in zip(rest, classes[1:], strict=True))
        yield f'<tr><th scope="row" class="{classes[0]}">{first}</th>{"".join(cells)}</tr>'
    yield "</tbody>\n</table>\n</div>"
