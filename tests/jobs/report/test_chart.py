from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from spapi_async.jobs.report.chart import legend, pace_chart, share_bar
from spapi_async.jobs.report.pace import Bin, Pace
from spapi_async.jobs.row import State


def pace(*bins: tuple[int, int, int, float | None], width: float = 10.0) -> Pace:
    return Pace(
        width=width,
        bins=[
            Bin(since=1_800_000_000 + n * width, sent=sent, refused=refused, in_doubt=in_doubt, plan=plan)
            for n, (sent, refused, in_doubt, plan) in enumerate(bins)
        ],
    )


def numbers(svg: str, pattern: str) -> list[float]:
    return [float(found) for found in re.findall(pattern, svg)]


def test_bars_and_the_plan_have_one_scale() -> None:
    """Outcomes a second are stacked from the bottom, and the plan is a line at its height; the scale is round."""
    svg = pace_chart(pace((10, 5, 5, 1.0), (0, 0, 0, 1.0), (40, 0, 0, 4.0)))
    ElementTree.fromstring(svg)
    assert re.findall(r'class="y".*?>(.*?)<', svg) == ["0", "2", "4"]
    assert numbers(svg, r'<rect .*?y="([\d.]+)%"') == [75, 62.5, 50, 0]
    assert numbers(svg, r'<rect .*?height="([\d.]+)%"') == [25, 12.5, 12.5, 100]
    lines = re.findall(r'class="plan" x1="(.*?)%" x2="(.*?)%" y1="(.*?)%" y2="(.*?)%"', svg)
    assert [tuple(float(place) for place in line) for line in lines] == [
        (0, 66.667, 75, 75),
        (66.667, 66.667, 75, 0),
        (66.667, 100, 0, 0),
    ]
    assert "<title>2027-01-15 08:00:00: 2 a second, 10 sent, 5 refused, 5 in doubt</title>" in svg


def test_a_chart_is_told_in_words() -> None:
    """Who cannot see it hears the sum, the average, the peak and the plan."""
    svg = pace_chart(pace((10, 0, 0, 1.0), (30, 0, 0, 2.0)))
    assert 'role="img"' in svg
    assert (
        "40 outcomes, 2 a second on average, at most 3 a second at 2027-01-15 08:00:10 UTC. The plan allowed 1 to 2 a "
        "second." in svg
    )
    assert "No plan was noted." in pace_chart(pace((1, 0, 0, None)))


@pytest.mark.parametrize("count", [1, 7, 13, 99, 1000, 123_456, 10**7])
@pytest.mark.parametrize("width", [1.0, 30.0, 86_400.0])
def test_nothing_is_higher_than_the_chart(count: int, width: float) -> None:
    """Whatever the figures, the highest bar fits, and takes half of the height at least."""
    svg = pace_chart(pace((count, 0, 0, None), width=width))
    [height] = numbers(svg, r'<rect .*?height="([\d.]+)%"')
    assert 50 <= height <= 100


def test_outcomes_are_told_apart_without_colours() -> None:
    """Refused rows are hatched, rows in doubt are dotted, in bars and legend alike."""
    assert 'fill="url(#p-refused)"' in share_bar(State.REFUSED, 1, 2)
    assert 'fill="url(#p-doubt)"' in share_bar(State.IN_DOUBT, 1, 2)
    assert "url(#p-refused)" in legend()
    assert "url(#p-doubt)" in legend()


def test_a_small_share_is_seen() -> None:
    """One row of a million still has a bar, and none has none."""
    assert 'width="0.3%"' in share_bar(State.SENT, 1, 10**6)
    assert 'width="0%"' in share_bar(None, 0, 0)
