"""Who goes next among the calls that wait for one bucket: pure, no clock and no event loop.

Rules:
1. A call that Amazon throttled goes before all others; several of them in the order in which they first came.
2. Else the most urgent priority goes first, and within a priority who came first (FIFO).
3. Every tenth turn goes to whoever waits longest, whatever its priority, so that nobody starves.

A call that comes late to a queue, because it waited for something else before, takes the place of its arrival.

A cancelled call is only marked, and falls out when it reaches the front: removing it at once would cost a search.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from ..operation import Priority

__all__ = ["Queue", "Ticket"]

_PATIENCE = 10
_THROTTLED = len(Priority)


class Ticket:
    """One call's place.

    Attributes:
        number: Counts arrivals; lower came earlier.
        priority: The call's priority.
        is_waiting: False once it has gone or was cancelled.
        was_throttled: Whether it waits because Amazon throttled its call.
        wake: What the driver wants called when the ticket should look again; None while it is not asleep.
    """

    __slots__ = ("is_waiting", "number", "priority", "wake", "was_throttled")

    def __init__(self, number: int, priority: Priority) -> None:
        self.number = number
        self.priority = priority
        self.is_waiting = False
        self.was_throttled = False
        self.wake: Callable[[], object] | None = None

    def __lt__(self, other: Ticket) -> bool:
        # A heap asks only where numbers are equal: one call's tickets, of which all but the last wait no more.
        return False


class Queue:
    """The calls that wait for one bucket."""

    def __init__(self) -> None:
        # A heap by arrival for each priority, and last one for those that were throttled.
        self._lines: tuple[list[tuple[int, Ticket]], ...] = tuple([] for _ in range(len(Priority) + 1))
        self._waiting = [0] * len(self._lines)  # how many wait in each; the heaps hold cancelled ones too
        self.waiting_now = 0
        """How many wait; as `len`, which costs a call."""
        self._turns = 0

    def __len__(self) -> int:
        return self.waiting_now

    def join(self, ticket: Ticket, *, throttled: bool = False) -> None:
        """Let the ticket wait: at the end of its class, or before all others if Amazon throttled its call."""
        ticket.is_waiting = True
        ticket.was_throttled = throttled
        heapq.heappush(self._lines[self._count(ticket, 1)], (ticket.number, ticket))

    def leave(self, ticket: Ticket, *, granted: bool) -> None:
        """Let the ticket wait no more, because it got its turn or because its call was cancelled."""
        ticket.is_waiting = False
        number = self._count(ticket, -1)
        self._turns += granted
        if not granted:
            self._compact(number)
        self.head()  # forgets it now if it stands in front: a throttled call may come back with the same ticket

    def head(self) -> Ticket | None:
        """Return whose turn is next; None when nobody waits."""
        *classes, throttled = (_first(line) for line in self._lines)
        if throttled is not None:
            return throttled
        heads = [ticket for ticket in classes if ticket is not None]
        if not heads:
            return None
        if self._turns % _PATIENCE == _PATIENCE - 1:
            return min(heads, key=lambda ticket: ticket.number)
        return heads[0]

    def ahead_of(self, priority: Priority) -> int:
        """Return how many would go before a call that came now."""
        return self._waiting[_THROTTLED] + sum(self._waiting[: priority + 1])

    def throttled_before(self, number: int) -> int:
        """Return how many would go before a call that came as this number if it were throttled now."""
        return sum(other.is_waiting and before < number for before, other in self._lines[_THROTTLED])

    def counts(self) -> list[int]:
        """Return how many wait, for each priority, and last of those that Amazon throttled."""
        return list(self._waiting)

    def waiting(self) -> list[Ticket]:
        """Return all tickets that wait, in no particular order."""
        return [ticket for line in self._lines for _, ticket in line if ticket.is_waiting]

    def _compact(self, number: int) -> None:
        """Drop cancelled tickets once they are most of what is kept: behind a patient head they would pile up."""
        line = self._lines[number]
        if len(line) > 2 * self._waiting[number] + 64:
            line[:] = [place for place in line if place[1].is_waiting]
            heapq.heapify(line)

    def _count(self, ticket: Ticket, change: int) -> int:
        """Count the ticket in or out; the number of its line."""
        number = _THROTTLED if ticket.was_throttled else ticket.priority
        self.waiting_now += change
        self._waiting[number] += change
        return number


def _first(line: list[tuple[int, Ticket]]) -> Ticket | None:
    while line:
        ticket = line[0][1]
        if ticket.is_waiting:
            return ticket
        heapq.heappop(line)
    return None
