"""Who goes next."""

from hypothesis import given, settings, strategies as st

from spapi_async.operation import Priority
from spapi_async.scheduler import Queue, Ticket


class Line(Queue):
    """A queue that numbers those who come to it."""

    arrivals = 0

    def ticket(self, priority: Priority) -> Ticket:
        self.arrivals += 1
        return Ticket(self.arrivals, priority)


def joined(queue: Line, priority: Priority = Priority.NORMAL) -> Ticket:
    ticket = queue.ticket(priority)
    queue.join(ticket)
    return ticket


def serve(queue: Queue) -> list[int]:
    """Give everybody a turn; the arrival numbers in the order of their turns."""
    order = []
    while head := queue.head():
        queue.leave(head, granted=True)
        order.append(head.number)
    return order


def test_first_come_first_served() -> None:
    """Within a priority, calls go in the order they came."""
    queue = Line()
    for _ in range(20):
        joined(queue)
    assert serve(queue) == list(range(1, 21))


def test_urgent_goes_first() -> None:
    """An interactive call goes before normal ones, those before bulk ones."""
    queue = Line()
    for priority in (Priority.BULK, Priority.NORMAL, Priority.INTERACTIVE):
        joined(queue, priority)
    assert serve(queue) == [3, 2, 1]


def test_throttled_goes_before_all() -> None:
    """What Amazon throttled goes before all others, in the order in which it first came."""
    queue = Line()
    first, second = (queue.ticket(Priority.BULK) for _ in range(2))
    joined(queue, Priority.INTERACTIVE)
    queue.join(second, throttled=True)
    queue.join(first, throttled=True)
    assert serve(queue) == [1, 2, 3]


def test_a_call_can_come_back_to_its_place() -> None:
    """A call that leaves from behind others, to wait for another bucket first, can join again where it stood."""
    queue = Line()
    for _ in range(6):
        joined(queue)
    for _ in range(2):
        again = Ticket(4, Priority.NORMAL)
        queue.join(again)
        queue.leave(again, granted=False)
    assert serve(queue) == [1, 2, 3, 4, 5, 6]


def test_a_cancelled_ticket_falls_out() -> None:
    """A call that left the queue is skipped, wherever it stood, and does not count as waiting."""
    queue = Line()
    tickets = [joined(queue) for _ in range(5)]
    for index in (0, 2, 4):
        queue.leave(tickets[index], granted=False)
    assert len(queue) == 2
    assert serve(queue) == [2, 4]


def test_how_many_go_before() -> None:
    """Before a newcomer go those of its class, of more urgent ones, and the throttled; nobody who was cancelled."""
    queue = Line()
    late, throttled = queue.ticket(Priority.NORMAL), queue.ticket(Priority.BULK)
    queue.join(throttled, throttled=True)
    tickets = [joined(queue, priority) for priority in Priority for _ in range(3)]
    queue.leave(tickets[4], granted=False)
    new = {priority: queue.ahead_of(priority) for priority in Priority}
    assert new == {Priority.INTERACTIVE: 4, Priority.NORMAL: 6, Priority.BULK: 9}
    assert queue.throttled_before(late.number) == 0
    assert queue.throttled_before(tickets[0].number) == 1
    queue.leave(throttled, granted=True)
    assert queue.throttled_before(tickets[0].number) == 0


def test_the_same_ticket_may_come_back() -> None:
    """A call that had its turn and was throttled waits again with its old place, and only once."""
    queue = Line()
    ticket = joined(queue)
    joined(queue)
    queue.leave(ticket, granted=True)
    queue.join(ticket, throttled=True)
    assert serve(queue) == [1, 2]


def test_bulk_does_not_starve() -> None:
    """However many urgent calls keep coming, every tenth turn goes to whoever waits longest."""
    queue = Line()
    bulk = joined(queue, Priority.BULK)
    turns = 0
    while bulk.is_waiting:
        joined(queue, Priority.INTERACTIVE)
        head = queue.head()
        assert head is not None
        queue.leave(head, granted=True)
        turns += 1
    assert turns == 10


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["join", "serve", "cancel"]), st.integers(0, 2), st.integers(0, 50))))
def test_nobody_is_lost_and_nobody_goes_twice(steps: list[tuple[str, int, int]]) -> None:
    """Whatever joins, leaves and turns come, each call that is not cancelled gets exactly one turn."""
    queue, waiting, served = Line(), [], []
    for step, priority, index in steps:
        if step == "join":
            waiting.append(joined(queue, Priority(priority)))
        elif step == "serve" and (head := queue.head()):
            queue.leave(head, granted=True)
            waiting.remove(head)
            served.append(head.number)
        elif step == "cancel" and waiting:
            queue.leave(waiting.pop(index % len(waiting)), granted=False)
        assert len(queue) == len(waiting) == len(queue.waiting())
    rest = serve(queue)
    assert sorted(rest) == sorted(ticket.number for ticket in waiting)
    assert not set(rest) & set(served)


def test_cancelled_tickets_do_not_pile_up() -> None:
    """Behind a head that waits long, thousands may come and be cancelled; hardly any of them is kept."""
    queue = Line()
    joined(queue)
    for _ in range(5_000):
        queue.leave(joined(queue), granted=False)
    assert sum(map(len, queue._lines)) < 200
    assert serve(queue) == [1]
