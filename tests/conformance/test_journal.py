"""What every journal of bulk jobs must do: one suite, run on the one in memory and the one in SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from spapi_async.errors import JobError
from spapi_async.jobs.journal import Identity, Journal, MemoryJournal, Run
from spapi_async.jobs.row import Admission, Move, Row, State
from spapi_async.jobs.sqlite import SqliteJournal

pytestmark = pytest.mark.anyio

WHO = Identity(refresh_token="Atzr|one")
KIND = "confirmOrderDetails"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=["memory", "sqlite"])
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Journal]:
    if request.param == "memory":
        yield MemoryJournal()
    else:
        async with SqliteJournal(tmp_path / "jobs.db") as journal:
            yield journal


def row(number: int, order_id: str | None = None, text: str = "hello", key: str = "") -> Row:
    body = {"marketplace_id": "A1PA6795UKMFR9", "text": text}
    return Row(number=number, kind=KIND, order_id=order_id or f"902-{number}", key=key, body=body)


async def admissions(journal: Journal, run: Run, *rows: Row, retry: bool = False) -> list[Admission]:
    return [outcome.admission for outcome in await journal.add(run, rows, retry_refused=retry)]


async def settled(journal: Journal, run: Run, *moves: Move, text: str = "hello") -> Row:
    """Bring one row of order 902-1 to where the moves lead."""
    assert await admissions(journal, run, row(1, text=text)) == [Admission.NEW]
    [current] = await journal.claim(run, 0, 1)
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
    assert [r.number for r in await journal.claim(run, 0, 2)] == [2, 3]
    assert [r.number for r in await journal.claim(run, 0, 1)] == [4]
    assert await journal.claim(run, 5, 9) == []
    assert dict(await journal.count(run)) == {State.CLAIMED: 3, State.READY: 1}
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


async def test_a_dead_run_leaves_nothing_to_be_sent_twice(journal: Journal) -> None:
    """What was merely claimed is ready again; what may have been under way is in doubt, and says why."""
    run = await journal.start(WHO, KIND)
    await settled(journal, run, Move.BEGIN)
    await journal.add(run, [row(2)])
    await journal.claim(run, 1, 1)
    await journal.recover()
    [doubtful] = await journal.rows(run, State.IN_DOUBT)
    assert (doubtful.number, doubtful.reason) == (1, "the program ended while the message was under way")
    assert [r.number for r in await journal.rows(run, State.READY)] == [2]


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
    await journal.recover()
    if same is Admission.ALREADY_REFUSED:
        run = await journal.start(WHO, KIND)
        assert [retried] == await admissions(journal, run, row(9, "902-1"), retry=True)
        [current] = await journal.claim(run, 0, 1)
        await journal.move(current, Move.REFUSE)
    run = await journal.start(WHO, KIND)
    assert [changed] == await admissions(journal, run, row(5, "902-1", text="another"))
    waiting = await journal.claim(run, 0, 9)
    assert (["another"] if changed.is_waiting else []) == [r.body["text"] for r in waiting]


async def test_a_run_takes_only_the_rows_of_its_own_source(journal: Journal) -> None:
    """Rows that an interrupted run of another file left are not sent by this one."""
    await journal.add(await journal.start(WHO, KIND), [row(2)])
    run = await journal.start(WHO, KIND)
    await journal.add(run, [row(2, "902-7")])
    assert [r.order_id for r in await journal.claim(run, 0, 9)] == ["902-7"]


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


async def test_a_refresh_token_that_never_worked_binds_nobody(journal: Journal) -> None:
    """When nothing was sent under a refresh token, another one may take its place: it may have been mistyped."""
    run = await journal.start(WHO, KIND)
    await journal.add(run, [row(1)])
    await journal.claim(run, 0, 9)
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
    claimed = await journal.claim(run, 0, 30)
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
