"""Who goes next among the calls that wait for one bucket: pure, no clock and no event loop.

Rules:
1. A call that Amazon throttled goes before all others; several of them in the order in which they first came.
2. Else the most urgent priority goes first, and within a priority who came first (FIFO).
3. Every tenth turn goes to whoever waits longest, whatever its priority, so that nobody starves.

A cancelled call is only marked, and falls out when it reaches the front: removing it at once would cost a search.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable

from ..operation import Priority

__all__ = ["Queue", "Ticket"]

_PATIENCE = 10


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


class Queue:
    """The calls that wait for one bucket."""

    def __init__(self) -> None:
        self._classes: tuple[deque[Ticket], ...] = tuple(deque() for _ in Priority)
        self._throttled: list[tuple[int, Ticket]] = []  # a heap: mostly empty, rarely more than a few
        self.waiting_now = 0
        """How many wait; as `len`, which costs a call."""
        self._waiting_by_class = [0] * (len(Priority) + 1)  # the last counts those that were throttled
        self._turns = 0

    def __len__(self) -> int:
        return self.waiting_now

    def join(self, ticket: Ticket, *, throttled: bool = False) -> None:
        """Let the ticket wait: at the end of its class, or before all others if Amazon throttled its call."""
        ticket.is_waiting = True
        ticket.was_throttled = throttled
        self._count(ticket, 1)
        if throttled:
            heapq.heappush(self._throttled, (ticket.number, ticket))
        else:
            self._classes[ticket.priority].append(ticket)

    def leave(self, ticket: Ticket, *, granted: bool) -> None:
        """Let the ticket wait no more, because it got its turn or because its call was cancelled."""
        ticket.is_waiting = False
        self._count(ticket, -1)
        self._turns += granted
        if not granted:
            self._compact()
        self.head()  # forgets it now if it stands in front: a throttled call may come back with the same ticket

    def head(self) -> Ticket | None:
        """Return whose turn is next; None when nobody waits."""
        while self._throttled:
            ticket = self._throttled[0][1]
            if ticket.is_waiting:
                return ticket
            heapq.heappop(self._throttled)
        heads = []
        for tickets in self._classes:
            while tickets and not tickets[0].is_waiting:
                tickets.popleft()
            if tickets:
                heads.append(tickets[0])
        if not heads:
            return None
        if self._turns % _PATIENCE == _PATIENCE - 1:
            return min(heads, key=lambda ticket: ticket.number)
        return heads[0]

    def ahead_of(self, ticket: Ticket, *, throttled: bool = False) -> int:
        """Return how many would go before this ticket if it joined now."""
        if throttled:
            return sum(other.is_waiting and number < ticket.number for number, other in self._throttled)
        return self._waiting_by_class[-1] + sum(self._waiting_by_class[: ticket.priority + 1])

    def counts(self) -> list[int]:
        """Return how many wait, for each priority, and last of those that Amazon throttled."""
        return list(self._waiting_by_class)

    def waiting(self) -> list[Ticket]:
        """Return all tickets that wait, in no particular order."""
        everybody = [ticket for _, ticket in self._throttled]
        for tickets in self._classes:
            everybody.extend(tickets)
        return [ticket for ticket in everybody if ticket.is_waiting]

    def _compact(self) -> None:
        """Drop cancelled tickets once they are most of what is kept: behind a patient head they would pile up."""
        for number, tickets in enumerate(self._classes):
            if len(tickets) > 2 * self._waiting_by_class[number] + 64:
                alive = [ticket for ticket in tickets if ticket.is_waiting]
                tickets.clear()
                tickets.extend(alive)

    def _count(self, ticket: Ticket, change: int) -> None:
        self.waiting_now += change
        self._waiting_by_class[-1 if ticket.was_throttled else ticket.priority] += change
