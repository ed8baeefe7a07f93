"""The counts of a run, and how long the rest will take."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Self

import attrs

from .row import Admission, State

__all__ = ["Pace", "Tally"]

_WINDOW = 10.0
"""Seconds over which the pace is measured."""


class Pace:
    """How many rows get their outcome in a second."""

    def __init__(self) -> None:
        self._settled: deque[float] = deque()

    def note(self, now: float) -> None:
        """Count a row."""
        self._settled.append(now)
        self._forget(now)

    def per_second(self, now: float) -> float:
        """Return the rows per second over the last seconds."""
        self._forget(now)
        if len(self._settled) < 2:
            return 0.0
        return len(self._settled) / max(now - self._settled[0], 1.0)

    def _forget(self, now: float) -> None:
        while self._settled and self._settled[0] < now - _WINDOW:
            self._settled.popleft()


@attrs.define
class Tally:
    """What became of the rows of one run, or of several together. Plain counts; who shows them looks when he likes.

    Args:
        sent: By this run.
        already_sent: By an earlier one, or in doubt until it was settled as sent.
        invalid: Lines that broke a rule, so nothing was asked of Amazon.
        duplicates: Lines whose row stands in an earlier line, or was sent with another text.
        refused: By Amazon, in this run or an earlier one.
        in_doubt: May have been sent, in this run or an earlier one.
        unsent: Tried without an answer and ready for the next run.
        waiting: Neither settled nor tried yet.
        elsewhere: Sent meanwhile by another process that works on the same journal.
    """

    sent: int = 0
    already_sent: int = 0
    invalid: int = 0
    duplicates: int = 0
    refused: int = 0
    in_doubt: int = 0
    unsent: int = 0
    waiting: int = 0
    elsewhere: int = 0

    @classmethod
    def sum(cls, tallies: Iterable[Tally]) -> Self:
        """Add up."""
        columns = zip(*map(attrs.astuple, tallies), strict=True)
        return cls(*map(sum, columns))

    @property
    def left(self) -> int:
        """Rows that have no outcome: for a later run, when this one is over."""
        return self.waiting + self.unsent

    @property
    def total(self) -> int:
        """All lines of the source."""
        return (
            self.sent
            + self.already_sent
            + self.invalid
            + self.duplicates
            + self.refused
            + self.in_doubt
            + self.unsent
            + self.waiting
            + self.elsewhere
        )

    def resume(self, counts: Mapping[State, int]) -> None:
        """Count the rows that an earlier run left, by their states in the journal."""
        self.already_sent += counts.get(State.SENT, 0)
        self.refused += counts.get(State.REFUSED, 0)
        self.in_doubt += counts.get(State.IN_DOUBT, 0)
        self.waiting += sum(count for state, count in counts.items() if not state.is_settled)

    def readmit(self, admission: Admission) -> None:
        """Count a row that a source brought again, and that is counted already."""
        match admission:
            case Admission.REPEATED:
                self.duplicates += 1
            case Admission.REOPENED:
                self.refused -= 1
                self.waiting += 1

    def resolve(self, state: State) -> None:
        """Count a row in doubt that was settled as sent, or waits again; one of another process may not be counted."""
        if not self.in_doubt or state is State.IN_DOUBT:
            return
        self.in_doubt -= 1
        if state is State.SENT:
            self.already_sent += 1
        else:
            self.waiting += 1

    def admit(self, admission: Admission) -> None:
        """Count a row that a source brought."""
        match admission:
            case Admission.ALREADY_SENT:
                self.already_sent += 1
            case Admission.ALREADY_REFUSED:
                self.refused += 1
            case Admission.IN_DOUBT:
                self.in_doubt += 1
            case Admission.REPEATED | Admission.CHANGED:
                self.duplicates += 1
            case _:
                self.waiting += 1
