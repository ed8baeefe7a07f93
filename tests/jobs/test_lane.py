from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import anyio
import anyio.lowlevel
import attrs
import orjson
import pytest

from spapi_async.apis.messaging_v1.operations import GET_ATTRIBUTES
from spapi_async.errors import (
    AuthError,
    ClientClosedError,
    ConnectError,
    JobError,
    OutcomeUnknownError,
    Problem,
    ReadTimeoutError,
    SpapiError,
    StatusError,
    TransferError,
)
from spapi_async.events import Event, RowSettled
from spapi_async.jobs import lane as lanes
from spapi_async.jobs.attachments import AttachmentError
from spapi_async.jobs.journal import Identity, MemoryJournal, Run
from spapi_async.jobs.kinds import KINDS, Kind, Uploaded
from spapi_async.jobs.lane import Lane
from spapi_async.jobs.outcome import Outcome
from spapi_async.jobs.row import Move, Row, State
from spapi_async.middleware import Middleware, compose
from spapi_async.operation import Call, Reply

pytestmark = pytest.mark.anyio

KIND = KINDS["confirmOrderDetails"]
OFFER = Reply(status=200, headers={}, body=b'{"_links": {"actions": [{"name": "confirmOrderDetails"}]}}')
NO_OFFER = Reply(status=200, headers={}, body=b'{"_links": {"actions": [{"name": "warranty"}]}}')
CREATED = Reply(status=201, headers={"x-amzn-requestid": "id-1"}, body=b"{}")

Answer = Reply | BaseException | Callable[[], Awaitable[Reply]]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


def status(code: int, message: str = "") -> StatusError:
    return StatusError.of(code)(
        operation="messaging_v1.create_confirm_order_details",
        status=code,
        headers={"x-amzn-requestid": f"id-{code}"},
        errors=[Problem("X", message, "")],
    )


@attrs.define
class Amazon:
    """Stands for client and Amazon: answers as told, repeats a 429 as the client does, remembers what it took."""

    checks: dict[str, list[Answer]] = attrs.field(factory=dict)
    sends: dict[str, list[Answer]] = attrs.field(factory=dict)
    locales: dict[str, list[Answer]] = attrs.field(factory=dict)
    texts: dict[str, str] = attrs.field(factory=dict)
    taken: Counter[str] = attrs.field(factory=Counter)
    journal: MemoryJournal | None = None
    run: Run | None = None
    most_at_once: int = 0
    _at_once: int = 0

    async def send(self, call: Call, inner: Iterable[Middleware] = ()) -> Reply:
        order_id = call.path.split("/")[4]
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await anyio.lowlevel.checkpoint()
            if call.operation is GET_ATTRIBUTES:
                return await self._answer(self.locales.get(order_id, []), Reply(status=200, headers={}, body=b"{}"))
            if call.operation.method == "GET":
                return await self._answer(self.checks.get(order_id, []), OFFER)
            pipeline = compose(inner, self._wire)
            while True:
                try:
                    return await pipeline(call)
                except StatusError as error:
                    if error.status >= 500:
                        raise OutcomeUnknownError("5xx", operation=call.operation.key) from error
                    if error.status != 429:
                        raise
                    await anyio.lowlevel.checkpoint()
                except ReadTimeoutError as error:
                    raise OutcomeUnknownError("timeout", operation=call.operation.key) from error
        finally:
            self._at_once -= 1

    async def _wire(self, call: Call) -> Reply:
        order_id = call.path.split("/")[4]
        if self.journal and self.run:
            sending = await self.journal.rows(self.run, State.SENDING)
            assert order_id in [row.order_id for row in sending], (
                "the intent must be written before the wire is touched"
            )
        reply = await self._answer(self.sends.get(order_id, []), CREATED)
        self.taken[order_id] += 1
        self.texts[order_id] = orjson.loads(call.body or b"{}").get("text", "")
        return reply

    @staticmethod
    async def _answer(script: list[Answer], default: Reply) -> Reply:
        answer = script.pop(0) if script else default
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, Reply) else await answer()


@pytest.fixture
def journal() -> MemoryJournal:
    return MemoryJournal()


def rows(count: int) -> Sequence[Row]:
    return [
        KIND.row(n + 1, {"order_id": f"902-{n}", "marketplace_id": "A1PA6795UKMFR9", "text": "hi"})
        for n in range(1, count + 1)
    ]


async def add(journal: MemoryJournal, lane: Lane, added: Sequence[Row]) -> None:
    for outcome in await journal.add(lane.part, added):
        lane.tally.admit(outcome.admission)


async def lane_of(journal: MemoryJournal, amazon: Amazon, count: int, **options: Any) -> tuple[Lane, Run]:
    run = await journal.start(Identity(refresh_token="Atzr|x"), KIND.name)
    amazon.journal, amazon.run = journal, run
    lane = Lane(amazon.send, KIND, journal, run, **options)
    await add(journal, lane, rows(count))
    return lane, run


async def numbers(journal: MemoryJournal, run: Run, state: State) -> list[str]:
    return [row.order_id for row in await journal.rows(run, state)]


async def test_every_row_is_checked_and_sent_once(journal: MemoryJournal) -> None:
    """Each row gets one message, and each is told as an event with its line and Amazon's request id."""
    events: list[Event] = []
    amazon = Amazon()
    lane, run = await lane_of(journal, amazon, 40, emit=events.append)
    await lane.run()
    assert amazon.taken == {f"902-{n}": 1 for n in range(1, 41)}
    assert dict(await journal.count(run)) == {State.SENT: 40}
    assert (lane.tally.sent, lane.tally.waiting, lane.tally.total) == (40, 0, 40)
    assert events[0] == RowSettled(kind=KIND.name, number=2, state="SENT", reason="", request_id="id-1")


async def test_no_more_rows_are_in_hand_than_told(journal: MemoryJournal) -> None:
    """However many rows there are, only so many wait in the client at once."""
    amazon = Amazon()
    lane, _ = await lane_of(journal, amazon, 50, concurrency=3)
    await lane.run()
    assert amazon.most_at_once == 3


async def test_a_message_that_is_not_offered_is_not_sent(journal: MemoryJournal) -> None:
    """When the order does not offer the kind, the row is refused without being sent."""
    outcomes: list[Outcome] = []
    amazon = Amazon(checks={"902-2": [NO_OFFER], "902-3": [status(404, "no such order")]})
    lane, run = await lane_of(journal, amazon, 3, on_outcome=outcomes.append)
    await lane.run()
    assert set(amazon.taken) == {"902-1"}
    assert await numbers(journal, run, State.REFUSED) == ["902-2", "902-3"]
    refused = {each.order_id: each for each in outcomes if each.state is State.REFUSED}
    assert refused["902-2"].reason == "Amazon does not offer confirmOrderDetails for this order now"
    assert refused["902-3"].reason == "Amazon answered 404: no such order"


@pytest.mark.parametrize(
    ("answers", "state", "taken"),
    [
        ([status(429), status(429)], State.SENT, 1),
        ([status(400, "bad")], State.REFUSED, 0),
        ([status(403, "Invalid amazonOrderId and template combination")], State.REFUSED, 0),
        ([status(500)], State.IN_DOUBT, 0),
        ([status(429), status(503)], State.IN_DOUBT, 0),
        ([ReadTimeoutError("silence", operation="x", had_begun=True)], State.IN_DOUBT, 0),
        ([Reply(status=201, headers={}, body=b'{"errors": [{"code": "X", "message": "no"}]}')], State.IN_DOUBT, 1),
    ],
    ids=str,
)
async def test_what_becomes_of_a_row(journal: MemoryJournal, answers: list[Answer], state: State, taken: int) -> None:
    """A 429 is waited out; Amazon's no settles the row; an answer that never came leaves it in doubt."""
    amazon = Amazon(sends={"902-2": [*answers]})
    lane, run = await lane_of(journal, amazon, 3)
    await lane.run()
    assert "902-2" in await numbers(journal, run, state)
    assert amazon.taken["902-2"] == taken
    assert amazon.taken["902-1"] == amazon.taken["902-3"] == 1
    assert lane.stopped is None


@pytest.mark.parametrize(
    "error",
    [
        AuthError("gone", code="invalid_grant", is_permanent=True),
        ConnectError("refused", operation="x", had_begun=False),
        status(403, "Access to requested resource is denied."),
        ClientClosedError("closed", operation="x"),
        status(500),
    ],
    ids=str,
)
async def test_a_fault_of_all_rows_stops_the_job(journal: MemoryJournal, error: SpapiError) -> None:
    """What every row would meet stops the lane when nothing has worked yet; all rows wait for the next run."""
    amazon = Amazon(checks={f"902-{n}": [error] for n in range(1, 31)})
    lane, run = await lane_of(journal, amazon, 30)
    await lane.run()
    assert lane.stopped is error
    assert dict(await journal.count(run)) == {State.READY: 30}
    assert not amazon.taken


@pytest.mark.parametrize("unlucky", ["902-1", "902-5"])
async def test_one_unlucky_row_does_not_stop_the_job(journal: MemoryJournal, unlucky: str) -> None:
    """A row whose check Amazon answers with 5xx is left for the next run and the rest is sent, the first one too."""
    amazon = Amazon(checks={unlucky: [status(500)]})
    lane, run = await lane_of(journal, amazon, 9, concurrency=1)
    await lane.run()
    assert await numbers(journal, run, State.READY) == [unlucky]
    assert (lane.tally.sent, lane.tally.unsent, lane.stopped) == (8, 1, None)
    [left] = await journal.rows(run, State.READY)
    assert (left.reason, left.request_id) == ("Amazon answered 500: X", "id-500")


async def test_fewer_rows_in_hand_from_now_on(journal: MemoryJournal) -> None:
    """When `concurrency` is lowered in mid-run no further rows are taken until so few are in hand; all go out."""
    outcomes: list[Outcome] = []
    amazon = Amazon()

    def note(outcome: Outcome) -> None:
        outcomes.append(outcome)
        if len(outcomes) == 10:
            lane.concurrency = 2
        if len(outcomes) == 20:
            amazon.most_at_once = 0

    lane, run = await lane_of(journal, amazon, 40, concurrency=5, on_outcome=note)
    await lane.run()
    assert amazon.most_at_once == 2
    assert dict(await journal.count(run)) == {State.SENT: 40}


async def test_the_job_stops_before_every_row_is_in_doubt(journal: MemoryJournal) -> None:
    """When Amazon fails message after message, the job stops after a few, though the checks go well."""
    amazon = Amazon(sends={f"902-{n}": [status(500)] for n in range(4, 31)})
    lane, run = await lane_of(journal, amazon, 30, concurrency=1)
    await lane.run()
    assert dict(await journal.count(run)) == {State.SENT: 3, State.IN_DOUBT: 5, State.READY: 22}
    assert lane.stopped is not None


async def test_a_fault_of_the_send_that_is_not_the_rows_leaves_it_ready(journal: MemoryJournal) -> None:
    """A row whose send met a lost role was not sent, and is ready for the next run."""
    denied = status(403, "Access to requested resource is denied.")
    amazon = Amazon(sends={f"902-{n}": [denied] for n in range(1, 31)})
    lane, run = await lane_of(journal, amazon, 30, concurrency=1)
    await lane.run()
    assert dict(await journal.count(run)) == {State.READY: 30}
    assert lane.tally.unsent == 5


class Gate:
    """An exchange that takes until it is let go."""

    def __init__(self) -> None:
        self.entered = anyio.Event()
        self.release = anyio.Event()

    async def __call__(self) -> Reply:
        self.entered.set()
        await self.release.wait()
        return CREATED


async def test_drain_lets_exchanges_end(journal: MemoryJournal) -> None:
    """After a drain nothing new begins; the message under way may arrive, and all other rows are ready."""
    gate, waiting = Gate(), Gate()
    amazon = Amazon(sends={"902-1": [gate]}, checks={"902-2": [waiting]})
    lane, run = await lane_of(journal, amazon, 9, concurrency=2)
    async with anyio.create_task_group() as group:
        group.start_soon(lane.run)
        await gate.entered.wait()
        await waiting.entered.wait()
        lane.drain()
        gate.release.set()
    assert dict(await journal.count(run)) == {State.SENT: 1, State.READY: 8}
    assert amazon.taken == {"902-1": 1}


async def test_the_grace_has_an_end(journal: MemoryJournal) -> None:
    """An exchange that does not end within the grace is ended, and its row is in doubt."""
    gate = Gate()
    amazon = Amazon(sends={"902-1": [gate]})
    lane, run = await lane_of(journal, amazon, 3, concurrency=1, grace=0.0)
    async with anyio.create_task_group() as group:
        group.start_soon(lane.run)
        await gate.entered.wait()
        lane.drain()
    [doubtful] = await journal.rows(run, State.IN_DOUBT)
    assert doubtful.reason == "the job was interrupted while the message was under way"
    assert dict(await journal.count(run)) == {State.IN_DOUBT: 1, State.READY: 2}


async def test_abort_ends_exchanges_at_once(journal: MemoryJournal) -> None:
    """An abort waits for nobody: what was under way is in doubt."""
    gate = Gate()
    amazon = Amazon(sends={"902-1": [gate]})
    lane, run = await lane_of(journal, amazon, 3, concurrency=1, grace=3600.0)
    async with anyio.create_task_group() as group:
        group.start_soon(lane.run)
        await gate.entered.wait()
        lane.drain()
        lane.abort()
    assert dict(await journal.count(run)) == {State.IN_DOUBT: 1, State.READY: 2}


async def test_a_throttled_row_is_ready_after_a_drain(journal: MemoryJournal) -> None:
    """A message that Amazon answered with 429 during a drain was not taken: it does not wait, and is not in doubt."""
    gate = Gate()

    async def throttled() -> Reply:
        await gate()
        raise status(429)

    amazon = Amazon(sends={"902-1": [throttled]})
    lane, run = await lane_of(journal, amazon, 2, concurrency=1)
    async with anyio.create_task_group() as group:
        group.start_soon(lane.run)
        await gate.entered.wait()
        lane.drain()
        gate.release.set()
    assert dict(await journal.count(run)) == {State.READY: 2}
    assert not amazon.taken


async def test_being_cancelled_leaves_nothing_open(journal: MemoryJournal) -> None:
    """A job whose task is cancelled from outside writes what became of its rows all the same."""
    gate = Gate()
    amazon = Amazon(sends={"902-1": [gate]})
    lane, run = await lane_of(journal, amazon, 5, concurrency=2)
    async with anyio.create_task_group() as group:
        group.start_soon(lane.run)
        await gate.entered.wait()
        await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    counts = await journal.count(run)
    assert set(counts) <= {State.IN_DOUBT, State.READY, State.SENT}
    assert counts[State.IN_DOUBT] == 1
    assert amazon.taken["902-1"] == 0


async def test_a_journal_that_fails_stops_the_job_before_the_wire(
    journal: MemoryJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the intent cannot be written, nothing is sent."""
    amazon = Amazon()
    lane, _ = await lane_of(journal, amazon, 9)

    class Full(MemoryJournal):
        async def move(self, *args: Any, **kwargs: Any) -> Row:
            raise JobError("the disk is full")

    monkeypatch.setattr(journal, "move", Full().move)
    await lane.run()
    assert str(lane.stopped) == "the disk is full"
    assert not amazon.taken


async def test_errors_in_a_2xx_reply_are_told_without_the_text(journal: MemoryJournal) -> None:
    """What Amazon repeats of a text to a buyer stands in no reason, in whatever reply it comes."""
    body = orjson.dumps({"errors": [{"code": "X", "message": "not this: Dear Mrs Doe, your table", "details": ""}]})
    amazon = Amazon(sends={"902-1": [Reply(status=201, headers={}, body=body)]})
    lane, run = await lane_of(journal, amazon, 0)
    dear = KIND.row(2, {"order_id": "902-1", "marketplace_id": "A1PA6795UKMFR9", "text": "Dear Mrs Doe, your table"})
    await add(journal, lane, [dear])
    await lane.run()
    [doubt] = await journal.rows(run, State.IN_DOUBT)
    assert doubt.reason == "Amazon answered 201, but with errors: not this: (text)"


@pytest.mark.parametrize("answer", [CREATED, status(429)], ids=["sent", "throttled"])
async def test_an_outcome_that_could_not_be_written_is_written_later(journal: MemoryJournal, answer: Answer) -> None:
    """When the journal fails right after an exchange the job stops, and before it ends it writes what it knows."""
    amazon = Amazon(sends={"902-1": [answer]})
    lane, run = await lane_of(journal, amazon, 1)
    move, failed = journal.move, []

    async def fails_once(row: Row, how: Move, **more: Any) -> Row:
        if how in (Move.ACCEPT, Move.UNSENT) and not failed:
            failed.append(how)
            raise JobError("another program has it locked")
        return await move(row, how, **more)

    journal.move = fails_once  # type: ignore[method-assign]
    await lane.run()
    assert isinstance(lane.stopped, JobError)
    state = State.SENT if answer is CREATED else State.READY
    assert await numbers(journal, run, state) == ["902-1"]
    assert (lane.tally.sent, lane.tally.waiting) == ((1, 0) if answer is CREATED else (0, 1))


async def test_the_same_rows_again_send_nothing(journal: MemoryJournal) -> None:
    """A second run of the same rows sends nothing and counts them as sent before."""
    amazon = Amazon()
    for _ in range(2):
        lane, _ = await lane_of(journal, amazon, 5)
        await lane.run()
    assert sum(amazon.taken.values()) == 5
    assert (lane.tally.sent, lane.tally.already_sent) == (0, 5)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> MemoryJournal:
    """A journal that looks around whenever it is asked; the jobs ask at once."""
    monkeypatch.setattr(lanes, "_LOOK_AGAIN", 0.0)
    return MemoryJournal(ticks=itertools.count().__next__)


async def test_two_processes_send_each_row_once(impatient: MemoryJournal) -> None:
    """Both work on the same job; what the other one did is counted apart, and refused and doubtful rows as such."""
    journal = impatient
    amazon = Amazon(sends={"902-2": [status(400)], "902-4": [status(500)]})
    lane, run = await lane_of(journal, amazon, 12, concurrency=3)
    beside = MemoryJournal(journal)
    joined = await beside.start(Identity(refresh_token="Atzr|x"), KIND.name, job=run.number)
    other = Lane(amazon.send, KIND, beside, joined, concurrency=2)
    await add(beside, other, rows(12))
    async with anyio.create_task_group() as group:
        group.start_soon(lane.run)
        group.start_soon(other.run)
    assert set(amazon.taken.values()) == {1}
    assert dict(await journal.count(run)) == {State.SENT: 10, State.REFUSED: 1, State.IN_DOUBT: 1}
    for tally in (lane.tally, other.tally):
        assert (tally.refused, tally.in_doubt, tally.waiting, tally.total) == (1, 1, 0, 12)
        assert tally.sent + tally.elsewhere == 10
    assert lane.tally.sent + other.tally.sent == 10


async def test_the_last_rows_of_a_dead_process_are_sent(impatient: MemoryJournal) -> None:
    """A process that has nothing left waits for the rows that another one has in hand, and takes them when it dies."""
    journal = impatient
    amazon = Amazon()
    lane, run = await lane_of(journal, amazon, 6, concurrency=2)
    beside = MemoryJournal(journal)
    await beside.claim(run, 3)
    async with anyio.create_task_group() as group:
        group.start_soon(lane.run)
        while sum(amazon.taken.values()) < 3:
            await anyio.lowlevel.checkpoint()
        beside.kill()
    assert dict(await journal.count(run)) == {State.SENT: 6}
    assert lane.tally.sent == 6


async def test_rows_of_a_process_that_dies_at_the_last_moment_are_sent(
    impatient: MemoryJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies after this one found nothing to claim and before it looks who has rows in hand: they are claimed then."""
    journal = impatient
    lane, run = await lane_of(journal, Amazon(), 6, concurrency=2)
    beside, held = MemoryJournal(journal), journal.held
    await beside.claim(run, 3)

    async def held_by_the_dead(run: Run) -> int:
        beside.kill()
        return await held(run)

    monkeypatch.setattr(journal, "held", held_by_the_dead)
    await lane.run()
    assert dict(await journal.count(run)) == {State.SENT: 6}


async def test_a_row_that_was_taken_over_is_not_sent(journal: MemoryJournal) -> None:
    """When the lease is lost between the check and the send, the row is left to whoever has it, and the job goes on."""
    gate = Gate()
    amazon = Amazon(checks={"902-1": [gate]})
    lane, run = await lane_of(journal, amazon, 3, concurrency=1)
    beside = MemoryJournal(journal)
    async with anyio.create_task_group() as group:
        group.start_soon(lane.run)
        await gate.entered.wait()
        journal.kill()  # the process sleeps, and counts as dead
        await beside.recover()
        [taken] = await beside.claim(run, 1)
        await beside.move(taken, Move.REFUSE)
        gate.release.set()
    assert lane.stopped is None
    assert amazon.taken == {"902-2": 1, "902-3": 1}
    assert (lane.tally.sent, lane.tally.refused, lane.tally.waiting) == (2, 1, 0)


async def test_a_machine_that_slept_after_the_intent_was_written_does_not_send(journal: MemoryJournal) -> None:
    """Right before the wire the lease is looked at once more: what was not sent then is ready, and goes out later."""
    amazon = Amazon()
    lane, run = await lane_of(journal, amazon, 2, concurrency=1)
    lane._journal = Asleep(journal, then=lane.drain)  # type: ignore[assignment]
    await lane.run()
    assert not amazon.taken
    assert dict(await journal.count(run)) == {State.READY: 2}


async def test_what_a_machine_that_slept_did_not_send_is_sent_by_the_same_run(journal: MemoryJournal) -> None:
    """A run ends when no row waits any more, also after the lease was over for a moment: nothing is left behind."""
    amazon = Amazon()
    lane, run = await lane_of(journal, amazon, 4, concurrency=2)
    lane._journal = Asleep(journal, times=3)  # type: ignore[assignment]
    await lane.run()
    assert set(amazon.taken.values()) == {1}
    assert dict(await journal.count(run)) == {State.SENT: 4}
    assert (lane.tally.sent, lane.tally.total) == (4, 4)


class Asleep:
    """A journal whose lease is over the first times that it is asked."""

    def __init__(self, journal: MemoryJournal, times: int = 1, then: Callable[[], None] = lambda: None) -> None:
        self._journal = journal
        self._times = times
        self._then = then

    def holds(self) -> bool:
        self._then()
        self._times -= 1
        return self._times < 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


async def test_an_answer_that_cannot_be_read_is_the_reason_of_its_row(journal: MemoryJournal) -> None:
    """A row whose check could not be read waits with that as its reason: nothing of it was under way."""
    amazon = Amazon(checks={"902-1": [Reply(status=200, headers={}, body=b"<html>")]})
    lane, run = await lane_of(journal, amazon, 1)
    await lane.run()
    [left] = await journal.rows(run, State.READY)
    assert left.reason == "Amazon's answer to getMessagingActionsForOrder cannot be read"


INVOICE = KINDS["invoice"]
INVOICE_OFFER = Reply(status=200, headers={}, body=b'{"_links": {"actions": [{"name": "invoice"}]}}')
NOT_THERE = status(400, "The attachment with the ID id-1 does not exist.")


@attrs.define
class Attaching:
    """Stands for the uploader: takes the files of rows, or fails as told."""

    amazon: Amazon
    failures: list[SpapiError] = attrs.field(factory=list)
    calls: list[tuple[str, bool, str]] = attrs.field(factory=list)

    async def __call__(self, kind: Kind, row: Row, *, anew: bool = False) -> Sequence[Uploaded]:
        await anyio.lowlevel.checkpoint()
        assert self.amazon.journal
        assert self.amazon.run
        assert not await self.amazon.journal.rows(self.amazon.run, State.SENDING)
        self.calls.append((row.order_id, anew, row.state))
        if self.failures:
            raise self.failures.pop(0)
        return [Uploaded("id-1", "a.pdf")]


async def invoices(journal: MemoryJournal, amazon: Amazon, count: int, **options: Any) -> tuple[Lane, Run]:
    run = await journal.start(Identity(refresh_token="Atzr|x"), INVOICE.name)
    amazon.journal, amazon.run = journal, run
    amazon.checks |= {f"902-{n}": [INVOICE_OFFER] for n in range(1, count + 1)}
    lane = Lane(amazon.send, INVOICE, journal, run, concurrency=1, **options)
    fields = {"marketplace_id": "A1PA6795UKMFR9", "attachments": "a.pdf"}
    await add(journal, lane, [INVOICE.row(n + 1, {"order_id": f"902-{n}", **fields}) for n in range(1, count + 1)])
    return lane, run


async def test_attachments_are_uploaded_before_the_intent_is_written(journal: MemoryJournal) -> None:
    """A row is uploaded for while it is CLAIMED: an upload that is cut short leaves nothing in doubt."""
    amazon = Amazon()
    attaching = Attaching(amazon)
    lane, run = await invoices(journal, amazon, 2, attach=attaching)
    await lane.run()
    assert attaching.calls == [("902-1", False, "CLAIMED"), ("902-2", False, "CLAIMED")]
    assert await numbers(journal, run, State.SENT) == ["902-1", "902-2"]


@pytest.mark.parametrize(("times", "state"), [(1, State.SENT), (2, State.REFUSED)])
async def test_a_missing_attachment_is_uploaded_once_more(journal: MemoryJournal, times: int, state: State) -> None:
    """When Amazon does not know an attachment it is uploaded anew, once; the second time its no counts."""
    amazon = Amazon(sends={"902-1": [NOT_THERE] * times})
    attaching = Attaching(amazon)
    lane, run = await invoices(journal, amazon, 1, attach=attaching)
    await lane.run()
    assert [anew for _, anew, _ in attaching.calls] == [False, True]
    [row] = await journal.rows(run, state)
    assert row.attempts == 2


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (ReadTimeoutError("silence", operation="x", had_begun=True), State.READY),
        (TransferError(status=500), State.READY),
        (TransferError(status=400, code="BadDigest"), State.READY),
        (AttachmentError("attachment 1 was changed"), State.READY),
        (status(403, "Access to requested resource is denied."), State.READY),
        (status(500), State.READY),
        (status(400, "no such resource"), State.REFUSED),
    ],
    ids=str,
)
async def test_an_upload_that_failed_leaves_nothing_in_doubt(
    journal: MemoryJournal, error: SpapiError, state: State
) -> None:
    """Whatever happens before the message, the buyer got nothing; only Amazon's own no to it is a refusal."""
    amazon = Amazon()
    lane, run = await invoices(journal, amazon, 2, attach=Attaching(amazon, failures=[error]))
    await lane.run()
    assert await numbers(journal, run, state) == ["902-1"]
    assert await numbers(journal, run, State.SENT) == ["902-2"]


async def test_a_job_without_an_uploader_sends_no_invoice(journal: MemoryJournal) -> None:
    """Rows with attachments stop a job that was not told how to upload them; nothing is sent without its files."""
    amazon = Amazon()
    lane, run = await invoices(journal, amazon, 2)
    await lane.run()
    assert "attach=" in str(lane.stopped)
    assert len(await numbers(journal, run, State.READY)) == 2


async def test_a_refusal_tells_why_and_when(journal: MemoryJournal) -> None:
    """The event of a refused row has what sort of no it is, and when it may be tried again, if the row's dates tell."""
    kind = KINDS["productReviewAndSellerFeedback"]
    events: list[RowSettled] = []
    run = await journal.start(Identity(refresh_token="Atzr|x"), kind.name)
    amazon = Amazon(journal=journal, run=run)
    now = datetime(2026, 5, 2, tzinfo=UTC)
    lane = Lane(amazon.send, kind, journal, run, emit=events.append, now=lambda: now)  # type: ignore[arg-type]
    fields = {"order_id": "902-1", "marketplace_id": "A1PA6795UKMFR9", "earliest_delivery_date": "2026-05-01T00:00Z"}
    await add(journal, lane, [kind.row(2, fields)])
    await lane.run()
    [event] = events
    assert (event.state, event.why, event.retry_from) == ("REFUSED", "too early", datetime(2026, 5, 6, tzinfo=UTC))
    assert event.reason.endswith("tried again from 2026-05-06T00:00:00+00:00")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Reply(status=200, headers={}, body=b'{"buyer": {"locale": "de-AT"}}'), "Hallo"),
        (Reply(status=200, headers={}, body=b'{"buyer": {"locale": "fr-FR"}}'), "hello"),
        (Reply(status=200, headers={}, body=b'{"buyer": {}}'), "hello"),
        (status(404), None),
        (ConnectError("no", operation="messaging_v1.get_attributes", had_begun=False), None),
        (Reply(status=200, headers={}, body=b"<html>"), None),
    ],
)
async def test_a_buyer_gets_the_text_in_its_language(journal: MemoryJournal, answer: Answer, text: str | None) -> None:
    """Where a row has texts in several languages, Amazon is asked for the buyer's; unless it answers, none is sent."""
    amazon = Amazon(locales={"902-1": [answer]})
    run = await journal.start(Identity(refresh_token="Atzr|x"), KIND.name)
    lane = Lane(amazon.send, KIND, journal, run)
    [row] = rows(1)
    texts = attrs.evolve(row, body=row.body | {"text": "hello", "text.de": "Hallo"})
    await add(journal, lane, [texts])
    await lane.run()
    assert amazon.texts.get("902-1") == text
    assert (await journal.count(run)).get(State.SENT, 0) == (text is not None)
    assert not (await journal.count(run)).get(State.IN_DOUBT)
