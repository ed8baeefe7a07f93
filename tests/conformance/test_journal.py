"""What every journal of bulk jobs must do: one suite, run on the one in memory and the one in SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest

from spapi_async.errors import JobError, LeaseLostError
from spapi_async.jobs.journal import Identity, Journal, MemoryJournal, PlanNote, Run
from spapi_async.jobs.row import Admission, Move, Row, State
from spapi_async.jobs.sqlite import SqliteJournal
from spapi_async.operation import UsagePlan

pytestmark = pytest.mark.anyio

WHO = Identity(refresh_token="Atzr|one")
KIND = "confirmOrderDetails"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


class Clock:
    """A wall clock, and one that nobody can set."""

    def __init__(self) -> None:
        self.wall = 1_800_000_000.0
        self.ticks = 0.0

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.ticks += seconds


class World:
    """One journal that several processes open, and their clock."""

    def __init__(self, path: Path | None) -> None:
        self.clock = Clock()
        self._path = path
        self._first: MemoryJournal | None = None
        self._stack = AsyncExitStack()
        self._counter = 0

    async def __aenter__(self) -> World:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def open(self, **options: Any) -> Journal:
        """Open the journal as one more process does."""
        clocks = {"clock": lambda: self.clock.wall, "ticks": lambda: self.clock.ticks}
        if self._path is not None:
            return await self._stack.enter_async_context(SqliteJournal(self._path, **clocks, **options))
        journal = MemoryJournal(self._first, **clocks, **options)
        self._first = self._first or journal
        return journal

    def kill(self, journal: Journal) -> None:
        """End a process without a word: its lock is gone, the rest is as it was."""
        if isinstance(journal, MemoryJournal):
            journal.kill()
        else:
            assert isinstance(journal, SqliteJournal)
            journal._lock.release()


@pytest.fixture(params=["memory", "sqlite"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path / "jobs.db" if request.param == "sqlite" else None) as world:
        yield world


@pytest.fixture
async def journal(world: World) -> Journal:
    return await world.open()


def row(number: int, order_id: str | None = None, text: str = "hello", key: str = "") -> Row:
    body = {"marketplace_id": "A1PA6795UKMFR9", "text": text}
    return Row(number=number, kind=KIND, order_id=order_id or f"902-{number}", key=key, body=body)


async def admissions(journal: Journal, run: Run, *rows: Row, retry: bool = False) -> list[Admission]:
    return [outcome.admission for outcome in await journal.add(run, rows, retry_refused=retry)]


async def settled(journal: Journal, run: Run, *moves: Move, text: str = "hello") -> Row:
    """Bring one row of order 902-1 to where the moves lead."""
    assert await admissions(journal, run, row(1, text=text)) == [Admission.NEW]
    [current] = await journal.claim(run, 1)
    for move in moves:
        current = await journal.move(current, move, reason="why", request_id="id-1")
    return current


async def test_a_row_is_added_once(journal: Journal) -> None:
    """A second line with the same order is refused, and the answer names the line that has it; a key makes another."""
    run = await journal.start(WHO, KIND)
    outcomes = await journal.add(run, [row(2), row(3), row(4, "902-2", text="other"), row(5, "902-2", key="b")])
    assert [o.admission for o in outcomes] == [Admission.NEW, Admission.NEW, Admission.REPEATED, Admission.NEW]
    assert outcomes[2].stored.number == 2


async def test_rows_are_claimed_in_order_and_once(journal: Journal) -> None:
    """Rows are handed out in the order of their lines; what is in somebody's hand is not handed out again."""
    run = await journal.start(WHO, KIND)
    await journal.add(run, [row(n) for n in (2, 3, 4, 5)])
    assert [r.number for r in await journal.claim(run, 2)] == [2, 3]
    assert [r.number for r in await journal.claim(run, 1)] == [4]
    assert [r.number for r in await journal.claim(run, 9)] == [5]
    assert await journal.claim(run, 9) == []
    assert dict(await journal.count(run)) == {State.CLAIMED: 4}
    await journal.release(run)
    assert dict(await journal.count(run)) == {State.READY: 4}


async def test_a_claimed_row_has_its_text_and_a_settled_one_has_none(journal: Journal) -> None:
    """The text is there as long as it is needed, and no longer."""
    run = await journal.start(WHO, KIND)
    await settled(journal, run)
    assert (await journal.rows(run, State.CLAIMED))[0].body == {"marketplace_id": "A1PA6795UKMFR9", "text": "hello"}
    [claimed] = await journal.rows(run, State.CLAIMED)
    await journal.move(await journal.move(claimed, Move.BEGIN), Move.ACCEPT)
    assert (await journal.rows(run, State.SENT))[0].body == {}


async def test_an_outcome_is_kept_with_reason_and_request_id(journal: Journal) -> None:
    """What Amazon answered can be looked up later."""
    run = await journal.start(WHO, KIND)
    moved = await settled(journal, run, Move.BEGIN, Move.REFUSE)
    [kept] = await journal.rows(run, State.REFUSED)
    assert moved == kept
    assert (kept.reason, kept.request_id, kept.attempts) == ("why", "id-1", 1)


async def test_an_illegal_move_changes_nothing(journal: Journal) -> None:
    """A move that the state does not allow raises, and so does one that somebody else made first."""
    run = await journal.start(WHO, KIND)
    claimed = await settled(journal, run)
    with pytest.raises(JobError, match="cannot accept"):
        await journal.move(claimed, Move.ACCEPT)
    await journal.move(claimed, Move.BEGIN)
    with pytest.raises(JobError, match="moved the row first"):
        await journal.move(claimed, Move.BEGIN)
    assert dict(await journal.count(run)) == {State.SENDING: 1}


async def test_a_dead_process_leaves_nothing_to_be_sent_twice(world: World, journal: Journal) -> None:
    """What was merely claimed is ready again; what may have been under way is in doubt, and says why. At once."""
    run = await journal.start(WHO, KIND)
    await settled(journal, run, Move.BEGIN)
    await journal.add(run, [row(2)])
    await journal.claim(run, 1)
    other = await world.open()
    assert await other.held(run) == 2
    world.kill(journal)
    assert await other.recover() == 1
    [doubtful] = await other.rows(run, State.IN_DOUBT)
    assert (doubtful.number, doubtful.reason) == (1, "the program ended, or slept, while the message was under way")
    assert doubtful.settled == world.clock.wall
    assert [r.number for r in await other.rows(run, State.READY)] == [2]
    assert await other.held(run) == 0


@pytest.mark.parametrize(
    ("moves", "same", "changed", "retried"),
    [
        ([Move.RELEASE], Admission.RESUMED, Admission.RESUMED, Admission.RESUMED),
        ([Move.BEGIN, Move.ACCEPT], Admission.ALREADY_SENT, Admission.CHANGED, Admission.ALREADY_SENT),
        ([Move.BEGIN, Move.LOSE], Admission.IN_DOUBT, Admission.IN_DOUBT, Admission.IN_DOUBT),
        ([Move.REFUSE], Admission.ALREADY_REFUSED, Admission.REOPENED, Admission.REOPENED),
    ],
)
async def test_the_same_file_again(
    journal: Journal, moves: list[Move], same: Admission, changed: Admission, retried: Admission
) -> None:
    """In a later run only rows for which nothing was sent are sent, however their text was changed."""
    await settled(journal, await journal.start(WHO, KIND), *moves)
    assert [same] == await admissions(journal, await journal.start(WHO, KIND), row(9, "902-1"))
    if same is Admission.ALREADY_REFUSED:
        run = await journal.start(WHO, KIND)
        assert [retried] == await admissions(journal, run, row(9, "902-1"), retry=True)
        [current] = await journal.claim(run, 1)
        await journal.move(current, Move.REFUSE)
    run = await journal.start(WHO, KIND)
    assert [changed] == await admissions(journal, run, row(5, "902-1", text="another"))
    waiting = await journal.claim(run, 9)
    assert (["another"] if changed.is_waiting else []) == [r.body["text"] for r in waiting]


async def test_a_run_takes_only_the_rows_of_its_own_source(journal: Journal) -> None:
    """Rows that an interrupted run of another file left are not sent by this one."""
    await journal.add(await journal.start(WHO, KIND), [row(2)])
    run = await journal.start(WHO, KIND)
    await journal.add(run, [row(2, "902-7")])
    assert [r.order_id for r in await journal.claim(run, 9)] == ["902-7"]


async def test_kinds_are_kept_apart(journal: Journal) -> None:
    """One order may get one message of each kind."""
    await journal.add(await journal.start(WHO, KIND), [row(2)])
    assert await admissions(journal, await journal.start(WHO, "unexpectedProblem"), row(2)) == [Admission.NEW]


async def test_selling_partners_with_ids_are_kept_apart(journal: Journal) -> None:
    """With ids, one journal serves several selling partners; each has rows of its own."""
    for name in ("A1", "A2"):
        run = await journal.start(Identity(refresh_token=f"Atzr|{name}", selling_partner_id=name), KIND)
        assert await admissions(journal, run, row(2)) == [Admission.NEW]


async def test_an_id_outlives_the_refresh_token(journal: Journal) -> None:
    """A selling partner with an id keeps its rows when it authorises the application anew."""
    await journal.add(await journal.start(Identity(refresh_token="old", selling_partner_id="A1"), KIND), [row(2)])
    run = await journal.start(Identity(refresh_token="new", selling_partner_id="A1"), KIND)
    assert await admissions(journal, run, row(2)) == [Admission.RESUMED]


async def test_a_strange_refresh_token_is_a_question(journal: Journal) -> None:
    """A refresh token that the journal does not know stops the run, until a person says whose it is."""
    await settled(journal, await journal.start(WHO, KIND), Move.BEGIN, Move.ACCEPT)
    new = Identity(refresh_token="Atzr|two")
    with pytest.raises(JobError, match="--same-selling-partner"):
        await journal.start(new, KIND)
    run = await journal.start(new, KIND, same_selling_partner=True)
    assert await admissions(journal, run, row(1)) == [Admission.ALREADY_SENT]
    run = await journal.start(new, KIND)
    assert await admissions(journal, run, row(1)) == [Admission.ALREADY_SENT]


@pytest.mark.parametrize("name", ["A1SELLER", None], ids=["another", "none"])
async def test_a_selling_partner_under_another_name_is_no_stranger(journal: Journal, name: str | None) -> None:
    """Who has the refresh token that a selling partner had last is that one, whatever its name."""
    old = Identity(refresh_token="Atzr|one", selling_partner_id="my shop")
    await settled(journal, await journal.start(old, KIND), Move.BEGIN, Move.ACCEPT)
    run = await journal.start(Identity(refresh_token="Atzr|one", selling_partner_id=name), KIND)
    assert await admissions(journal, run, row(9, "902-1")) == [Admission.ALREADY_SENT]
    other = Identity(refresh_token="Atzr|two", selling_partner_id="A2SELLER")
    assert await admissions(journal, await journal.start(other, KIND), row(9, "902-1")) == [Admission.NEW]


async def test_a_refresh_token_that_never_worked_binds_nobody(journal: Journal) -> None:
    """When nothing was sent under a refresh token, another one may take its place: it may have been mistyped."""
    run = await journal.start(WHO, KIND)
    await journal.add(run, [row(1)])
    await journal.claim(run, 9)
    await journal.release(run)
    run = await journal.start(Identity(refresh_token="Atzr|two"), KIND)
    assert await admissions(journal, run, row(1)) == [Admission.NEW]


async def test_a_selling_partner_may_get_its_id_later(journal: Journal) -> None:
    """The same refresh token with an id for the first time is the same selling partner."""
    await settled(journal, await journal.start(WHO, KIND), Move.BEGIN, Move.ACCEPT)
    run = await journal.start(Identity(refresh_token=WHO.refresh_token, selling_partner_id="A1"), KIND)
    assert await admissions(journal, run, row(1)) == [Admission.ALREADY_SENT]


async def test_a_write_that_was_begun_is_made(journal: Journal) -> None:
    """A cancelled caller's write is made and its result told all the same, so nobody has to guess whether it was."""
    run = await journal.start(WHO, KIND)
    claimed = await settled(journal, run)
    moved = None
    with anyio.CancelScope() as scope:
        scope.cancel()
        moved = await journal.move(claimed, Move.BEGIN)
    assert moved is not None
    assert dict(await journal.count(run)) == {State.SENDING: 1}


async def test_writes_at_the_same_time_do_not_mix(journal: Journal) -> None:
    """Of many writers at once each gets its own answer, also when one of them is refused."""
    run = await journal.start(WHO, KIND)
    await journal.add(run, [row(n) for n in range(1, 31)])
    claimed = await journal.claim(run, 30)
    refused = []

    async def move(one: Row) -> None:
        if one.number % 10:
            assert one.number == (await journal.move(one, Move.BEGIN)).number
        else:
            stale = await journal.move(one, Move.RELEASE)
            assert stale.state is State.READY
            try:
                await journal.move(one, Move.BEGIN)
            except JobError:
                refused.append(one.number)

    async with anyio.create_task_group() as group:
        for one in claimed:
            group.start_soon(move, one)
    assert sorted(refused) == [10, 20, 30]
    assert dict(await journal.count(run)) == {State.SENDING: 27, State.READY: 3}


async def test_what_one_process_has_in_hand_no_other_takes(world: World, journal: Journal) -> None:
    """Two processes claim different rows, and neither moves the other's: the row stays as it is."""
    run = await journal.start(WHO, KIND)
    await journal.add(run, [row(n) for n in (1, 2, 3)])
    other = await world.open()
    [mine] = await journal.claim(run, 1)
    assert [r.number for r in await other.claim(run, 9)] == [2, 3]
    for move in (Move.BEGIN, Move.RELEASE, Move.REFUSE):
        with pytest.raises(LeaseLostError, match="not in this process's hand"):
            await other.move(mine, move)
    sending = await journal.move(mine, Move.BEGIN)
    await other.release(run)
    assert dict(await journal.count(run)) == {State.SENDING: 1, State.READY: 2}
    assert (await journal.move(sending, Move.ACCEPT)).state is State.SENT


async def test_a_process_that_slept_notices_before_it_sends(world: World, journal: Journal) -> None:
    """Whose lease was over, and taken, cannot begin an exchange with rows from before; it can claim new ones."""
    run = await journal.start(WHO, KIND)
    await journal.add(run, [row(1), row(2)])
    claimed = await journal.claim(run, 2)
    other = await world.open()
    await other.recover()
    world.clock.pass_by(3600)
    assert not journal.holds()
    assert await other.recover() == 1
    with pytest.raises(LeaseLostError):
        await journal.move(claimed[0], Move.BEGIN)
    assert journal.holds()
    again = await journal.claim(run, 1)
    assert (await journal.move(again[0], Move.BEGIN)).attempts == 1
    with pytest.raises(LeaseLostError):  # the row that it had in hand once, from that time
        await journal.move(claimed[0], Move.BEGIN)


async def test_a_lease_that_nobody_took_is_still_ones_own(world: World, journal: Journal) -> None:
    """A process that slept alone goes on with what it has: nobody else can have sent it."""
    run = await journal.start(WHO, KIND)
    await journal.add(run, [row(1)])
    [claimed] = await journal.claim(run, 1)
    world.clock.pass_by(3600)
    assert (await journal.move(claimed, Move.BEGIN)).state is State.SENDING
    assert journal.holds()


async def test_a_step_of_the_wall_clock_costs_nobody_its_lease(world: World, journal: Journal) -> None:
    """Whether the clock is set forward or back an hour: a process that renews its lease keeps its rows."""
    run = await journal.start(WHO, KIND)
    await journal.add(run, [row(1)])
    [claimed] = await journal.claim(run, 1)
    other = await world.open()
    for step in (3600.0, -7200.0):
        world.clock.wall += step
        for _ in range(12):
            assert await other.recover() == 0
            world.clock.pass_by(15)
            await journal.count(run)  # any write renews
    assert (await journal.move(claimed, Move.BEGIN)).state is State.SENDING


async def test_a_sleeper_under_a_clock_that_was_set_back_is_found(world: World, journal: Journal) -> None:
    """A lease that ends in the far future by a wrong clock is over when it was not renewed for as long as one lasts."""
    run = await journal.start(WHO, KIND)
    await journal.add(run, [row(1)])
    await journal.claim(run, 1)
    world.clock.wall -= 86400
    other = await world.open()
    await other.recover()
    world.clock.pass_by(59)
    assert await other.recover() == 0
    world.clock.pass_by(2)
    assert await other.recover() == 1


async def asleep_while_sending(world: World, journal: Journal) -> tuple[Run, Row, Journal]:
    """Let a process sleep with a message under way until another one has put the row in doubt."""
    run = await journal.start(WHO, KIND)
    sending = await settled(journal, run, Move.BEGIN)
    other = await world.open()
    await other.recover()
    world.clock.pass_by(3600)
    assert await other.recover() == 1
    assert dict(await other.count(run)) == {State.IN_DOUBT: 1}
    return run, sending, other


@pytest.mark.parametrize(
    ("move", "state"),
    [
        (Move.ACCEPT, State.SENT),
        (Move.REFUSE, State.REFUSED),
        (Move.LOSE, State.IN_DOUBT),
        (Move.UNSENT, State.READY),
    ],
)
async def test_an_answer_that_comes_late_is_the_truth(world: World, journal: Journal, move: Move, state: State) -> None:
    """What Amazon said to a process that had lost its lease settles the row that others hold in doubt."""
    run, sending, other = await asleep_while_sending(world, journal)
    moved = await journal.move(sending, move, reason="late", request_id="id-9")
    assert (moved.state, moved.reason, moved.request_id) == (state, "late", "id-9")
    assert dict(await other.count(run)) == {state: 1}
    assert await other.held(run) == 0


@pytest.mark.parametrize("has_claimed", [False, True])
async def test_a_message_that_arrived_late_is_not_sent_again(world: World, journal: Journal, has_claimed: bool) -> None:
    """A person wants it resent, and then the first answer comes: the row is sent, and the second one never leaves."""
    run, sending, other = await asleep_while_sending(world, journal)
    [doubtful] = await other.doubts(run.number)
    resent = await other.move(doubtful, Move.RESEND)
    assert resent.body == {"marketplace_id": "A1PA6795UKMFR9", "text": "hello"}
    if has_claimed:
        [resent] = await other.claim(run, 1)
    assert (await journal.move(sending, Move.ACCEPT)).state is State.SENT
    with pytest.raises(JobError):
        await other.move(resent, Move.BEGIN)
    assert dict(await other.count(run)) == {State.SENT: 1}


async def test_a_late_answer_of_an_earlier_exchange_says_nothing_about_the_next(world: World, journal: Journal) -> None:
    """When a person's resend is under way by then, it keeps its own outcome; and what is no news changes nothing."""
    run, sending, other = await asleep_while_sending(world, journal)
    [doubtful] = await other.doubts(run.number)
    resent = await other.move(doubtful, Move.RESEND)
    assert (await journal.move(sending, Move.LOSE)).state is State.READY
    [resent] = await other.claim(run, 1)
    resent = await other.move(resent, Move.BEGIN)
    with pytest.raises(LeaseLostError):
        await journal.move(sending, Move.REFUSE)
    assert (await other.move(resent, Move.ACCEPT)).attempts == 2
    assert dict(await other.count(run)) == {State.SENT: 1}


async def test_two_processes_share_a_job_of_one_source(world: World, journal: Journal) -> None:
    """The same source in another process joins the job while it is open; both claim from the same rows."""
    run = await journal.start(WHO, KIND, source="messages.csv")
    await journal.add(run, [row(n) for n in (1, 2, 3, 4)])
    first, second, third = await journal.claim(run, 3)
    await journal.move(await journal.move(first, Move.BEGIN), Move.ACCEPT)
    await journal.move(second, Move.BEGIN)
    other = await world.open()
    joined = await other.start(WHO, KIND, source="messages.csv")
    assert joined == run
    assert await admissions(other, joined, *[row(n) for n in (1, 2, 3, 4)]) == [
        Admission.ALREADY_SENT,
        Admission.IN_HAND,
        Admission.IN_HAND,
        Admission.RESUMED,
    ]
    assert await admissions(other, joined, row(5, "902-4")) == [Admission.REPEATED]
    assert [r.number for r in await other.claim(joined, 9)] == [4]
    assert third.number == 3
    later = await world.open()
    world.kill(journal)
    world.kill(other)
    assert (await later.start(WHO, KIND, source="messages.csv")).number == run.number + 1


async def test_what_was_given_back_is_left_to_others(world: World, journal: Journal) -> None:
    """A row that was tried without an answer is not claimed again by the same process; another one may."""
    run = await journal.start(WHO, KIND)
    await settled(journal, run, Move.RELEASE)
    assert await journal.claim(run, 9) == []
    other = await world.open()
    assert [r.number for r in await other.claim(run, 9)] == [1]


async def test_a_row_waits_for_its_moment(world: World, journal: Journal) -> None:
    """Rows are not claimed before their moment, and the journal tells when the next one is due."""
    run = await journal.start(WHO, KIND)
    now = world.clock.wall
    await journal.add(
        run, [attrs.evolve(row(1), not_before=now + 60), attrs.evolve(row(2), not_before=now - 1), row(3)]
    )
    assert await journal.next_attempt(run) == now + 60
    claimed = await journal.claim(run, 9)
    assert [r.number for r in claimed] == [3, 2]
    await journal.move(claimed[0], Move.RELEASE, not_before=now + 30)
    assert await journal.next_attempt(run) == now + 30
    world.clock.pass_by(61)
    assert [r.number for r in await (await world.open()).claim(run, 9)] == [3, 1]


async def test_one_job_serves_many_selling_partners_and_kinds(journal: Journal) -> None:
    """Each selling partner's part of a job is claimed and counted by itself; the job knows them all."""
    one = await journal.start(Identity(refresh_token="t1", selling_partner_id="A1"), KIND, source="x.csv", name="trial")
    two = await journal.start(Identity(refresh_token="t2", selling_partner_id="A2"), KIND, job=one.number)
    kind = await journal.start(
        Identity(refresh_token="t2", selling_partner_id="A2"), "unexpectedProblem", job=one.number
    )
    await journal.add(one, [row(1), attrs.evolve(row(2, "902-1"), selling_partner=two.selling_partner)])
    assert await admissions(journal, kind, row(3, "902-1")) == [Admission.NEW]
    assert [(r.number, r.selling_partner) for r in await journal.claim(two, 9)] == [(2, two.selling_partner)]
    assert {(c.selling_partner, c.kind, c.state): c.count for c in await journal.counts(one.number)} == {
        (one.selling_partner, KIND, State.READY): 1,
        (two.selling_partner, KIND, State.CLAIMED): 1,
        (two.selling_partner, "unexpectedProblem", State.READY): 1,
    }
    [job] = await journal.jobs()
    assert (job.number, job.name, job.source, job.runs) == (one.number, "trial", "x.csv", [one, two, kind])
    with pytest.raises(JobError, match="has no job 7"):
        await journal.start(WHO, KIND, job=7)


async def test_a_job_ends_when_nothing_of_it_waits(world: World, journal: Journal) -> None:
    """A job that was interrupted has no end; going on with it needs no source."""
    options = {"kind": KIND, "concurrency": 3}
    run = await journal.start(WHO, KIND, options=options)
    await journal.add(run, [row(1), row(2)])
    [claimed] = await journal.claim(run, 1)
    await journal.move(await journal.move(claimed, Move.BEGIN), Move.ACCEPT)
    await journal.release(run)
    [job] = await journal.jobs()
    assert (job.begun, job.ended, job.options, job.is_open) == (world.clock.wall, None, options, True)
    run = await journal.start(WHO, KIND, job=job.number)
    [claimed] = await journal.claim(run, 9)
    await journal.move(claimed, Move.REFUSE)
    world.clock.pass_by(5)
    await journal.release(run)
    assert [j.ended for j in await journal.jobs()] == [world.clock.wall]


async def test_outcomes_can_be_seen_over_time(world: World, journal: Journal) -> None:
    """The moment of each outcome is kept, so that a report can show the pace; and a day's limit can be counted."""
    run = await journal.start(WHO, KIND)
    await journal.add(run, [row(n) for n in range(1, 6)])
    begun = world.clock.wall
    ends = (Move.ACCEPT, Move.ACCEPT, Move.REFUSE, Move.ACCEPT, Move.LOSE)
    for claimed, end in zip(await journal.claim(run, 9), ends, strict=True):
        await journal.move(await journal.move(claimed, Move.BEGIN), end)
        world.clock.pass_by(4)
    found = [(o.since - begun, o.state, o.count) for o in await journal.outcomes(run.number, 10.0)]
    assert sorted(found) == [(0, State.REFUSED, 1), (0, State.SENT, 2), (10, State.IN_DOUBT, 1), (10, State.SENT, 1)]
    assert await journal.sent_since(run, begun) == 4
    assert await journal.sent_since(run, begun + 5) == 2
    assert [r.number for r in await journal.doubts(run.number)] == [5]


@pytest.mark.parametrize(
    ("move", "state"), [(Move.CONFIRM, State.SENT), (Move.REFUTE, State.READY), (Move.RESEND, State.READY)]
)
async def test_a_doubt_can_be_settled_later(journal: Journal, move: Move, state: State) -> None:
    """Amazon, asked later, or a person takes a row out of doubt; its text was kept for that."""
    run = await journal.start(WHO, KIND)
    doubtful = await settled(journal, run, Move.BEGIN, Move.LOSE)
    moved = await journal.move(doubtful, move, reason="asked")
    assert (moved.state, moved.body == {}) == (state, state is State.SENT)
    assert [r.body != {} for r in await journal.claim(run, 9)] == ([True] if state is State.READY else [])


async def test_texts_can_be_kept(world: World) -> None:
    """With `keep_bodies` the text of a settled row stays."""
    journal = await world.open(keep_bodies=True)
    run = await journal.start(WHO, KIND)
    sent = await settled(journal, run, Move.BEGIN, Move.ACCEPT)
    assert sent.body["text"] == "hello"
    assert await journal.rows(run, State.SENT) == [sent]


async def test_rows_of_both_names_become_one(journal: Journal) -> None:
    """A selling partner that used its id before it was told that the token's rows are its own keeps each row once."""
    named = Identity(refresh_token="new", selling_partner_id="A1")
    await journal.add(await journal.start(named, KIND), [row(1), row(2)])
    await settled(journal, await journal.start(WHO, KIND), Move.BEGIN, Move.ACCEPT)
    run = await journal.start(attrs.evolve(named, refresh_token=WHO.refresh_token), KIND)
    assert await admissions(journal, run, row(1), row(2)) == [Admission.ALREADY_SENT, Admission.RESUMED]


async def test_a_selling_partner_is_shown_by_its_label(journal: Journal) -> None:
    """The last label that was given stays, whoever goes on with the job; it does not make another run."""
    run = await journal.start(WHO, KIND)
    assert run.label == ""
    named = await journal.start(WHO, KIND, job=run.number, label="Shop one")
    assert (named, named.label) == (run, "Shop one")
    assert (await journal.start(WHO, KIND, job=run.number)).label == "Shop one"
    await journal.start(WHO, KIND, label="Shop 1")
    assert [[r.label for r in job.runs] for job in await journal.jobs()] == [["Shop 1"], ["Shop 1"]]


async def test_a_job_knows_whether_its_source_was_read_to_the_end(world: World, journal: Journal) -> None:
    """A resume can tell whether rows are missing, and a report how many lines were none."""
    run = await journal.start(WHO, KIND)
    assert [(j.loaded, j.rejected) for j in await journal.jobs()] == [(None, 0)]
    world.clock.pass_by(3)
    await journal.loaded(run, 2)
    assert [(j.loaded, j.rejected) for j in await journal.jobs()] == [(world.clock.wall, 2)]


async def test_a_job_that_ended_waits_again(journal: Journal) -> None:
    """Rows that are added later, and a doubt that a person has resent, make a job that was done one that is not."""
    run = await journal.start(WHO, KIND)
    doubtful = await settled(journal, run, Move.BEGIN, Move.LOSE)
    await journal.release(run)
    assert [j.ended is None for j in await journal.jobs()] == [False]
    await journal.move(doubtful, Move.RESEND)
    assert [j.ended is None for j in await journal.jobs()] == [True]
    [claimed] = await journal.claim(run, 1)
    await journal.move(claimed, Move.REFUSE)
    await journal.release(run)
    assert await admissions(journal, run, row(2)) == [Admission.NEW]
    assert [j.ended is None for j in await journal.jobs()] == [True]


async def test_usage_plans_are_noted_when_they_change(world: World, journal: Journal) -> None:
    """A report can draw the pace beside the plan of its time; the same plan again is no news."""
    run = await journal.start(WHO, KIND)
    begun = world.clock.wall
    for plan in (UsagePlan(1, 5), UsagePlan(1, 5, "header"), UsagePlan(0.5, 5), UsagePlan(1, 5)):
        await journal.note_plan(run, plan)
        world.clock.pass_by(60)
    notes = [(0, 1.0), (120, 0.5), (180, 1.0)]
    who = {"selling_partner": run.selling_partner, "kind": KIND, "burst": 5.0}
    assert await journal.plans(run.number) == [PlanNote(moment=begun + at, rate=rate, **who) for at, rate in notes]
    assert await journal.plans(7) == []


async def test_a_limit_counts_what_is_in_anybodys_hand(world: World, journal: Journal) -> None:
    """With `most`, sent, doubtful and in hand stay within it, whichever process has them; refused ones do not count."""
    run = await journal.start(WHO, KIND)
    await journal.add(run, [row(n) for n in range(1, 12)])
    for one, move in zip(await journal.claim(run, 3), (Move.ACCEPT, Move.LOSE, Move.REFUSE), strict=True):
        await journal.move(await journal.move(one, Move.BEGIN), move)
    other = await world.open()
    claims: list[int] = []

    async def claim(who: Journal) -> None:
        claims.extend(r.number for r in await who.claim(run, 3, most=7))

    async with anyio.create_task_group() as group:
        for who in (journal, other) * 3:
            group.start_soon(claim, who)
    assert sorted(claims) == [4, 5, 6, 7, 8]
    assert await other.claim(run, 9, most=5) == []
    world.clock.pass_by(10)
    assert [r.number for r in await other.claim(run, 9, most=6, since=world.clock.wall)] == [9]
    assert [r.number for r in await other.claim(run, 9)] == [10, 11]


async def test_rows_can_be_given_back_for_later(world: World, journal: Journal) -> None:
    """From that moment on they are claimed again, by the same process too; what is not merely claimed stays."""
    run = await journal.start(WHO, KIND)
    await journal.add(run, [row(n) for n in (1, 2, 3, 4)])
    other = await world.open()
    [theirs] = await other.claim(run, 1)
    first, second, third = await journal.claim(run, 3)
    sending = await journal.move(third, Move.BEGIN)
    until = world.clock.wall + 60
    await journal.defer([theirs, first, second, third], until)
    assert dict(await journal.count(run)) == {State.READY: 2, State.CLAIMED: 1, State.SENDING: 1}
    assert await journal.claim(run, 9) == []
    assert await journal.next_attempt(run) == until
    world.clock.pass_by(60)
    assert [(r.number, r.not_before) for r in await journal.claim(run, 9)] == [(2, until), (3, until)]
    assert (await journal.move(sending, Move.ACCEPT)).state is State.SENT
    with pytest.raises(LeaseLostError):
        await other.move(first, Move.BEGIN)


async def test_reasons_are_counted(journal: Journal) -> None:
    """Of refused rows and of those in doubt, the most frequent first."""
    run = await journal.start(WHO, KIND)
    await journal.add(run, [row(n) for n in range(1, 7)])
    ends = [(Move.REFUSE, "bad"), (Move.REFUSE, "late"), (Move.REFUSE, "late"), (Move.LOSE, "late"), (Move.ACCEPT, "")]
    for one, (move, reason) in zip(await journal.claim(run, 5), ends, strict=True):
        await journal.move(await journal.move(one, Move.BEGIN), move, reason=reason)
    assert [(r.state, r.reason, r.count) for r in await journal.reasons(run.number)] == [
        (State.IN_DOUBT, "late", 1),
        (State.REFUSED, "late", 2),
        (State.REFUSED, "bad", 1),
    ]
    assert {(r.selling_partner, r.kind) for r in await journal.reasons(run.number)} == {(run.selling_partner, KIND)}
