from __future__ import annotations

import pytest

from spapi_async.jobs.report.words import amount, duration, share


@pytest.mark.parametrize(
    ("value", "words"), [(0, "0"), (0.0056, "0.0056"), (0.9812, "0.981"), (24.04, "24"), (16_700.4, "16,700")]
)
def test_amounts(value: float, words: str) -> None:
    """Three digits are enough for a pace."""
    assert amount(value) == words


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [(0, 0, "0.0 %"), (1, 3, "33.3 %"), (1, 4000, "<0.1 %"), (3999, 4000, "99.9 %"), (4000, 4000, "100.0 %")],
)
def test_shares(part: int, whole: int, words: str) -> None:
    """What is not nothing is not said to be 0 %, and what is not all not to be 100 %."""
    assert share(part, whole) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"), (59.7, "1 min"), (61, "1 min 1 s"), (3600, "1 h"), (7980, "2 h 13 min"), (86_400, "1 day"),
        (90_000, "1 day 1 h"), (2e8, "2,314 days 19 h"),
    ],
)  # fmt: skip
def test_durations(seconds: float, words: str) -> None:
    """The two largest units say it."""
    assert duration(seconds) == words
