"""When the lease of a process on its rows is over, and when to renew it. Pure: times come in as arguments.

A process that works on a journal has one lease for all rows in its hand. Two clocks decide. The wall clock says until
when the lease was given, but it can be set, and it goes on while a laptop sleeps. So nobody's lease is over by the wall
clock alone: whoever wants to take over must also have looked at it for a while, by a clock that nobody can set, and
seen no renewal. A step of the wall clock, forward or back, so costs a living process nothing.
"""

from __future__ import annotations

__all__ = ["BEAT", "LEASE", "is_over", "needs_renewal"]

LEASE = 60.0
"""Seconds that a lease is given for. An exchange may take longer: the lease is renewed meanwhile."""

BEAT = LEASE / 6
"""Seconds after which a renewal is due."""


def needs_renewal(until: float, now: float) -> bool:
    """Say whether a lease should be renewed now.

    Args:
        until: Its end by the wall clock, in seconds since 1970.
        now: The wall clock. When it was set back the end lies too far away, which is mended too.
    """
    return not now + LEASE - BEAT < until <= now + LEASE


def is_over(until: float, now: float, unchanged: float) -> bool:
    """Say whether the lease of another process is over by time.

    Args:
        until: Its end by the wall clock, in seconds since 1970.
        now: The wall clock.
        unchanged: Seconds for which we have seen that it was not renewed, by a clock that cannot be set.
    """
    return unchanged >= LEASE or (now >= until and unchanged >= LEASE / 2)
