"""Figures as people read them. Pure."""

from __future__ import annotations

__all__ = ["amount", "duration", "share"]


def amount(value: float) -> str:
    """Write a figure with three digits, as in 0.0056, 0.98 or 16,700."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def share(part: int, whole: int) -> str:
    """Write a part in percent; one that is not nothing is not said to be 0, and one that is not all not to be 100."""
    percent = 100 * part / whole if whole else 0.0
    if 0 < percent < 0.1:
        return "<0.1 %"
    return f"{min(percent, 99.9) if part < whole else percent:.1f} %"


def duration(seconds: float) -> str:
    """Write a duration as in 45 s, 4 min 5 s, 2 h 13 min or 3 days 4 h."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days:,} day{'s' * (days != 1)}" + (f" {hours} h" if hours else "")
