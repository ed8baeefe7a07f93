"""The pictures of a report, as SVG that stands in the page. Pure.

Places are in percent and sizes in pixels, so a picture fits any width and its words stay legible. Colours come from the
page's style sheet, and none of them says anything alone: outcomes have patterns too, and the plan is a line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape

from ..row import State
from .pace import Bin, Pace
from .words import amount

__all__ = ["PATTERNS", "legend", "pace_chart", "share_bar"]

_HEIGHT = 220

_CLASSES = {State.SENT: "sent", State.REFUSED: "refused", State.IN_DOUBT: "doubt"}
_NAMES = {State.SENT: "sent", State.REFUSED: "refused", State.IN_DOUBT: "in doubt"}

PATTERNS = """<svg class="defs" aria-hidden="true" focusable="false"><defs>
<pattern id="p-refused" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">\
<rect width="6" height="6" class="refused"/><rect width="2" height="6" class="ink"/></pattern>
<pattern id="p-doubt" width="6" height="6" patternUnits="userSpaceOnUse">\
<rect width="6" height="6" class="doubt"/><circle cx="3" cy="3" r="1.3" class="ink"/></pattern>
</defs></svg>"""
"""What the pictures of a page share; it has to stand in the page once, before them."""


def pace_chart(pace: Pace) -> str:
    """Draw the outcomes a second as stacked bars over time, with the plan as a step line.

    Args:
        pace: It has bins.
    """
    highest = _ceiling(max(max(each.count / pace.width, each.plan or 0.0) for each in pace.bins))
    parts = [
        f'<svg class="pace" height="{_HEIGHT}" role="img" aria-labelledby="pace-title pace-desc">',
        '<title id="pace-title">Pace over time against the usage plan</title>',
        f'<desc id="pace-desc">{escape(_in_words(pace))}</desc>',
        *_grid(highest),
        *_bars(pace, highest),
        *_steps(pace.bins, highest),
        *_times(pace),
        "</svg>",
    ]
    return "\n".join(parts)


def share_bar(state: State | None, count: int, most: int) -> str:
    """Draw a count as a bar.

    Args:
        state: The outcome; None for rows without one.
        count: It.
        most: The count whose bar has the full width.
    """
    width = max(100 * count / most if most else 0.0, 0.3 if count else 0.0)
    return (
        f'<svg class="bar" height="12" aria-hidden="true"><rect {_fill(state)} width="{width:.4g}%" height="12"/></svg>'
    )


def legend() -> str:
    """Explain what the bars and the line mean."""
    samples = [
        f'<li><svg width="14" height="14" aria-hidden="true"><rect {_fill(state)} width="14" height="14"/></svg> '
        f"{_NAMES[state]}</li>"
        for state in _CLASSES
    ]
    line = (
        '<li><svg width="22" height="14" aria-hidden="true"><line class="plan" x1="0" x2="22" y1="7" y2="7"/></svg> '
        "what the usage plan allowed</li>"
    )
    return f'<ul class="legend">{"".join(samples)}{line}</ul>'


def _fill(state: State | None) -> str:
    name = _CLASSES.get(state, "open") if state is not None else "open"
    return f'class="{name}" fill="url(#p-{name})"' if name in ("refused", "doubt") else f'class="{name}"'


def _in_words(pace: Pace) -> str:
    peak = max(pace.bins, key=lambda each: each.count)
    plans = [each.plan for each in pace.bins if each.plan is not None]
    allowed = "No plan was noted." if not plans else f"The plan allowed {_span(min(plans), max(plans))} a second."
    return (
        f"{pace.count:,} outcomes, {pace.average:.3g} a second on average, at most {peak.count / pace.width:.3g} a "
        f"second at {_time(peak.since, 'seconds')} UTC. {allowed} The table below has the figures."
    )


def _span(least: float, most: float) -> str:
    return f"{most:.4g}" if least == most else f"{least:.4g} to {most:.4g}"


def _ceiling(value: float) -> float:
    """Return a round figure that is not below the value."""
    unit = 10.0 ** (len(f"{value:.0f}") - 1) if value >= 1 else 10.0 ** -_zeros(value)
    return next(step * unit for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20) if step * unit >= value)


def _zeros(value: float) -> int:
    """Return how many places behind the point a value below 1 begins."""
    return -int(f"{value:e}".partition("e")[2]) if value else 0


def _grid(highest: float) -> Iterator[str]:
    for quarter in (0, 2, 4):
        y = 100 - 25 * quarter
        yield f'<line class="grid" x1="0" x2="100%" y1="{y}%" y2="{y}%"/>'
        yield f'<text class="y" x="-8" y="{y}%" dy="4">{amount(highest * quarter / 4)}</text>'


def _bars(pace: Pace, highest: float) -> Iterator[str]:
    width = 100 / len(pace.bins)
    for number, each in enumerate(pace.bins):
        if not each.count:
            continue
        words = [f"{_time(each.since, 'seconds')}: {each.count / pace.width:.3g} a second"]
        rects = []
        top = 100.0
        for state, count in ((State.SENT, each.sent), (State.REFUSED, each.refused), (State.IN_DOUBT, each.in_doubt)):
            if count:
                height = 100 * count / pace.width / highest
                top -= height
                place = f'x="{number * width:.5g}%" y="{top:.5g}%" width="{width * 0.94:.5g}%" height="{height:.5g}%"'
                rects.append(f"<rect {_fill(state)} {place}/>")
                words.append(f"{count:,} {_NAMES[state]}")
        yield f"<g><title>{', '.join(words)}</title>{''.join(rects)}</g>"


def _steps(bins: Sequence[Bin], highest: float) -> Iterator[str]:
    """Draw the plan: a level line for each run of bins with the same one, and what joins them."""
    width = 100 / len(bins)
    begin = 0
    before: float | None = None
    for number in range(1, len(bins) + 1):
        plan = bins[begin].plan
        if number < len(bins) and bins[number].plan == plan:
            continue
        y = None if plan is None else 100 - 100 * plan / highest
        if y is not None:
            if before is not None:
                yield _line(begin * width, begin * width, before, y)
            yield _line(begin * width, number * width, y, y)
        before, begin = y, number


def _line(x1: float, x2: float, y1: float, y2: float) -> str:
    return f'<line class="plan" x1="{x1:.5g}%" x2="{x2:.5g}%" y1="{y1:.5g}%" y2="{y2:.5g}%"/>'


def _times(pace: Pace) -> Iterator[str]:
    """Write the time below the beginning, the quarters and the end."""
    begin = pace.bins[0].since
    span = pace.width * len(pace.bins)
    days = span > 86_400
    for quarter in range(5):
        moment = datetime.fromtimestamp(begin + span * quarter / 4, UTC)
        words = f"{moment:%m-%d %H:%M}" if days else f"{moment:%H:%M}" if span >= 1200 else f"{moment:%H:%M:%S}"
        # On a narrow screen there is room for three of them.
        names = " ".join([("first", "x minor", "x", "x minor", "last")[quarter]])
        yield f'<text class="{names}" x="{25 * quarter}%" y="100%" dy="18">{words}</text>'


def _time(moment: float, timespec: str) -> str:
    return datetime.fromtimestamp(moment, UTC).replace(tzinfo=None).isoformat(" ", timespec)
