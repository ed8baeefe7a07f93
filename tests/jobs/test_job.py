"""The job as a program uses it, against the sandbox in-process."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import anyio.lowlevel
import attrs
import httpx
import pytest
import trio.testing

from spapi_async import (
    Application,
    ConfigError,
    JobError,
    JobStoppedError,
    Marketplace,
    RetryPolicy,
    SellingPartner,
    UsagePlan,
)
from spapi_async.events import Event, RowSettled
from spapi_async.jobs.job import Job, Running
from spapi_async.jobs.journal import MemoryJournal, Run
from spapi_async.jobs.outcome import Outcome, Rejection
from spapi_async.jobs.row import Admission, Move, Row, State
from spapi_async.jobs.sqlite import SqliteJournal
from spapi_async.jobs.windows import Windows
from spapi_async.sandbox import Faults, Sandbox

pytestmark = pytest.mark.anyio
on_virtual_time = pytest.mark.parametrize(
    "anyio_backend", [("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)})], ids=["virtual"]
)
FAST = UsagePlan(10_000, 10_000)
CHECK, SEND = "messaging_v1.get_messaging_actions_for_order", "messaging_v1.create_confirm_order_details"
PLANS = {
    CHECK: FAST,
    SEND: FAST,
    "solicitations_v1.get_solicitation_actions_for_order": FAST,
    "solicitations_v1.create_product_review_and_seller_feedback_solicitation": FAST,
}
KIND = "confirmOrderDetails"
REVIEW = "productReviewAndSellerFeedback"
NOT_OFFERED = "000-0000403-0000001"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(plans=PLANS, clock=anyio.current_time)


def given(sandbox: Sandbox, **options: Any) -> dict[str, Any]:
    where = {"endpoint": "http://sandbox", "lwa_endpoint": "http://sandbox/auth/o2/token"}
    transport = httpx.ASGITransport(app=sandbox)
    return {"client_id": "app", "client_secret": "s", "transport": transport, "plans": PLANS, **where, **options}


@pytest.fixture
def sp(sandbox: Sandbox) -> SellingPartner:
    return SellingPartner(refresh_token="Atzr|SELLER1", **given(sandbox))


@pytest.fixture
def app(sandbox: Sandbox) -> Application:
    return Application(**given(sandbox))


def row(number: int, **columns: Any) -> dict[str, Any]:
    order_id = f"902-0000001-{number:07}"
    return {"order_id": order_id, "marketplace_id": Marketplace.DE, "text": f"message {number}"} | columns


def rows(count: int, **columns: Any) -> list[dict[str, Any]]:
    return [row(number, **columns) for number in range(1, count + 1)]


def delivered(sandbox: Sandbox) -> Counter[str]:
    return Counter(message.order_id for message in sandbox.state.messages)


async def outcomes_of(job: Job) -> list[Outcome]:
    return [outcome async for outcome in job.run()]


async def test_every_row_has_one_outcome(sandbox: Sandbox, sp: SellingPartner, tmp_path: Path) -> None:
    """Rows go in as mappings, and of each comes what became of it, with Amazon's request id."""
    async with sp, Job(sp, kind=KIND, journal=tmp_path / "jobs.db") as job:
        added = await job.add([*rows(5), row(6, order_id=NOT_OFFERED)])
        outcomes = await outcomes_of(job)
    assert (added.waiting, added.rejected, added.total) == (6, 0, 6)
    assert sorted((outcome.number, outcome.state) for outcome in outcomes) == [
        *((number, State.SENT) for number in range(1, 6)),
        (6, State.REFUSED),
    ]
    assert all(outcome.request_id for outcome in outcomes)
    refused = next(outcome for outcome in outcomes if outcome.state is State.REFUSED)
    assert (refused.order_id, refused.why) == (NOT_OFFERED, "not available now")
    assert "does not offer" in refused.reason
    assert refused.cure
    assert refused.row.body["text"] == "message 6"
    assert "message 6" not in repr(refused)
    assert delivered(sandbox) == {row(number)["order_id"]: 1 for number in range(1, 6)}


def one_by_one() -> Iterator[Mapping[str, Any]]:
    yield from rows(3)


async def over_time() -> AsyncIterator[Mapping[str, Any]]:
    for each in rows(3):
        await anyio.lowlevel.checkpoint()
        yield each


@pytest.mark.parametrize("source", [lambda: rows(3), one_by_one, over_time], ids=["list", "generator", "async"])
async def test_rows_come_from_anywhere(sp: SellingPartner, source: Callable[[], Any]) -> None:
    """Any iterable will do, and any async one."""
    async with sp, Job(sp, kind=KIND, journal=MemoryJournal()) as job:
        await job.add(source())
        tally = await job.run()
    assert tally.sent == 3


async def test_outcomes_by_callback(sandbox: Sandbox) -> None:
    """`on_outcome` gets each outcome, the client's `on_event` each as a RowSettled; a fault there changes nothing."""
    outcomes: list[Outcome] = []
    events: list[Event] = []

    def note(outcome: Outcome) -> None:
        outcomes.append(outcome)
        raise RuntimeError("a fault of the user's")

    sp = SellingPartner(refresh_token="Atzr|SELLER1", **given(sandbox, on_event=events.append))
    async with sp, Job(sp, kind=KIND, journal=MemoryJournal(), on_outcome=note) as job:
        await job.add(rows(3))
        tally = await job.run()
    assert [outcome.state for outcome in outcomes] == [State.SENT] * 3
    assert sum(isinstance(event, RowSettled) for event in events) == 3
    assert tally.sent == 3


async def test_bad_rows_are_told_and_the_rest_goes_on(sandbox: Sandbox, sp: SellingPartner) -> None:
    """A row that breaks a rule is told with field, reason and cure; nothing is asked of Amazon for it."""
    told: list[Rejection] = []
    bad = [row(7, text="<b>hi</b>"), row(8, marketplace_id="nowhere"), row(1), {"order_id": 5}]
    async with sp, Job(sp, kind=KIND, journal=MemoryJournal()) as job:
        added = await job.add([*rows(2), *bad], on_rejected=told.append)
        tally = await job.run()
    assert [rejection.number for rejection in told] == [3, 4, 6, 5]  # what the journal says comes after each chunk
    assert told[0].reason == "text: holds HTML"
    assert told[0].cure
    assert told[0].fields["text"] == "<b>hi</b>"
    assert "<b>" not in repr(told[0])
    assert told == added.rejections
    assert (added.rejected, added.admissions) == (3, Counter({Admission.NEW: 2, Admission.REPEATED: 1}))
    assert (tally.sent, tally.invalid, tally.duplicates, tally.total) == (2, 3, 1, 6)
    assert len(delivered(sandbox)) == 2


async def test_the_same_rows_again_send_nothing(sandbox: Sandbox, sp: SellingPartner, tmp_path: Path) -> None:
    """A job over the same rows in the same journal sends only what was not sent."""
    for count in (3, 5):
        async with sp, Job(sp, kind=KIND, journal=tmp_path / "jobs.db") as job:
            added = await job.add(rows(count))
            await job.run()
    assert added.admissions == {Admission.ALREADY_SENT: 3, Admission.NEW: 2}
    assert set(delivered(sandbox).values()) == {1}


async def test_rows_may_come_while_it_runs(sandbox: Sandbox, sp: SellingPartner) -> None:
    """Rows that are added to a job that runs are sent by it, also by whoever has just got its last outcome."""
    async with sp, Job(sp, kind=KIND, journal=MemoryJournal()) as job:
        await job.add(rows(2))
        seen = 0
        async for _ in job.run():
            seen += 1
            if seen == 2:
                await job.add([row(3)])
    assert seen == 3
    assert len(delivered(sandbox)) == 3


async def test_an_idle_job_ends_at_once(sp: SellingPartner) -> None:
    """A job without rows has no outcomes, no number, and nothing in doubt."""
    async with sp, Job(sp, kind=KIND, journal=MemoryJournal()) as job:
        assert await outcomes_of(job) == []
        assert job.number is None
        assert not await job.doubts()
        assert (await job.run()).total == 0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"kind": "confirmOrderDetail"}, "Did you mean confirmOrderDetails"),
        ({"kind": None}, "kind= is missing"),
        ({"source": "\udcff.csv"}, "source= must be text in UTF-8"),
        ({"options": {"from": Path("x")}}, "options= must be what JSON has"),
        ({"concurrency": 0}, "concurrency"),
        ({"selling_partners": {}}, "selling_partners"),
        ({"dry_run": True}, "dry_run"),
        ({"dry_run": True, "number": 1, "journal": "jobs.db"}, "number= out"),
        ({"template": "{"}, "has a { alone"),
        ({"client": None}, "client"),
        ({"kind": 3}, "kind must be the name of a kind, not of type int"),
        ({"journal": None}, "journal must be the path of a file"),
        ({"windows": "09:00-20:00"}, r"windows must be Windows\(...\) or Windows.parse"),
        ({"concurrency": "4"}, "concurrency must be a number from 1, not of type str"),
        ({"grace": -1}, "grace must be a number from 0, not -1"),
        ({"grace": float("nan")}, "grace must be a number from 0"),
        ({"template": 7}, "template must be text"),
        ({"selling_partners": "Atzr|SELLER1"}, "selling_partners must be a mapping"),
        ({"on_outcome": anyio.lowlevel.checkpoint}, "on_outcome is called and not awaited"),
    ],
)
async def test_wrong_arguments(sp: SellingPartner, wrong: dict[str, Any], words: str) -> None:
    """What cannot work is said before anything is opened."""
    arguments: dict[str, Any] = {"client": sp, "kind": KIND, "journal": MemoryJournal()} | wrong
    with pytest.raises(ConfigError, match=words):
        Job(arguments.pop("client"), **arguments)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "rows must be an iterable or async iterable of rows, not of type NoneType"),
        (row(1), "put a single one into a list"),
        ("messages.csv", "not text; the rows of a file are sent by"),
        (Path("messages.csv"), "not text; the rows of a file are sent by"),
        (lambda: rows(1), "not a function; call it"),
    ],
)
async def test_what_is_no_rows(sp: SellingPartner, given: Any, words: str) -> None:
    """What `add` cannot take is said with what helps, before a row is taken."""
    async with sp, Job(sp, kind=KIND, journal=MemoryJournal()) as job:
        with pytest.raises(ConfigError, match=words):
            await job.add(given)


async def test_a_coroutine_is_no_rows(sp: SellingPartner) -> None:
    """Who forgot to await what gives the rows is told so."""

    async def query() -> list[dict[str, Any]]:
        return rows(1)

    coroutine = query()
    async with sp, Job(sp, kind=KIND, journal=MemoryJournal()) as job:
        with pytest.raises(ConfigError, match="not an awaitable; await it"):
            await job.add(coroutine)  # type: ignore[arg-type]
    coroutine.close()


async def test_what_is_no_mapping_is_a_bad_row(sandbox: Sandbox, sp: SellingPartner) -> None:
    """A row of another type is one bad row, and the others are sent."""
    mixed: list[Any] = [("902-0000001-0000001", "hello"), None, row(3)]
    async with sp, Job(sp, kind=KIND, journal=MemoryJournal()) as job:
        added = await job.add(mixed)
        await job.run()
    assert [(each.number, each.reason) for each in added.rejections] == [
        (1, "holds a list and no object"),
        (2, "holds null and no object"),
    ]
    assert job.tally.sent == 1


async def test_rows_whose_source_fails(sandbox: Sandbox, sp: SellingPartner) -> None:
    """What the rows' own iterator raises comes out of `add`; all of them added again are sent once each."""

    def failing() -> Iterator[dict[str, Any]]:
        yield from rows(600)
        raise OSError("the database is gone")

    async with sp, Job(sp, kind=KIND, journal=MemoryJournal()) as job:
        with pytest.raises(OSError, match="the database is gone"):
            await job.add(failing())
        await job.add(rows(700))
        await job.run()
    assert set(delivered(sandbox).values()) == {1}
    assert len(delivered(sandbox)) == 700


async def test_an_outcome_in_doubt_can_be_settled() -> None:
    """The row of an outcome is as good as one of `doubts`; its repr names the order, and no text."""
    sp = SellingPartner(refresh_token="Atzr|SELLER1", **given(Sandbox(plans=PLANS, faults=Faults(drop_after=1))))
    async with sp, Job(sp, kind=KIND, journal=MemoryJournal()) as job:
        await job.add(rows(1))
        async for outcome in job.run():
            assert outcome.state is State.IN_DOUBT
            assert "order 902-0000001-0000001" in repr(outcome)
            assert "message 1" not in repr(outcome)
            assert await job.ask(outcome.row) is State.IN_DOUBT
            await job.decide(outcome.row, sent=True)
        assert not await job.doubts()


async def test_a_job_is_used_within_its_block(sp: SellingPartner) -> None:
    """Outside of `async with` nothing is added and nothing runs."""
    job = Job(sp, kind=KIND, journal=MemoryJournal())
    with pytest.raises(JobError, match="async with"):
        await job.add(rows(1))
    with pytest.raises(JobError, match="async with"):
        job.run()


async def test_two_who_asked_for_the_run_before_it_began(sandbox: Sandbox, sp: SellingPartner) -> None:
    """`run()` is the same run for all who call it before anybody waits for it, and it ends for all of them."""
    outcomes: list[Outcome] = []

    async def read(run: Running) -> None:
        outcomes.extend([outcome async for outcome in run])

    async with sp, Job(sp, kind=KIND, journal=MemoryJournal()) as job:
        await job.add(rows(3))
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(read, job.run())
                tally = await job.run()
    assert (len(outcomes), tally.sent) == (3, 3)


async def test_who_left_the_loop_may_go_on(sp: SellingPartner) -> None:
    """Outcomes that came after a `break` are not lost: the next loop gets them."""
    async with sp, Job(sp, kind=KIND, journal=MemoryJournal()) as job:
        await job.add(rows(5))
        seen = []
        async for outcome in job.run():
            seen.append(outcome.number)
            break
        seen += [outcome.number async for outcome in job.run()]
    assert sorted(seen) == [1, 2, 3, 4, 5]


async def test_rows_are_added_one_call_after_the_other(sandbox: Sandbox, app: Application) -> None:
    """Calls of `add` at once do not get into each other's way: a selling partner has one part of the job."""
    async with app, Job(app, kind=KIND, journal=MemoryJournal(), selling_partners=SELLERS) as job:
        async with anyio.create_task_group() as group:
            for number in range(1, 6):
                group.start_soon(job.add, [one | {"key": str(number)} for one in theirs(1)])
        tally = await job.run()
    assert tally.sent == 20
    assert len(sandbox.state.messages) == 20


async def test_an_error_in_on_rejected_loses_no_row(sandbox: Sandbox, sp: SellingPartner) -> None:
    """An exception in `on_rejected` ends the adding; what is in the journal by then is sent and counted."""

    def fail(rejection: Rejection) -> None:
        raise RuntimeError("a fault of the user's")

    async with sp, Job(sp, kind=KIND, journal=MemoryJournal()) as job:
        with pytest.raises(RuntimeError):
            await job.add([row(1), row(1), row(2)], on_rejected=fail)
        tally = await job.run()
    assert (tally.sent, tally.duplicates, tally.waiting, tally.elsewhere) == (2, 1, 0, 0)


async def test_a_generator_of_rows_is_closed(sp: SellingPartner) -> None:
    """When adding fails in the middle, an async generator of rows is closed, and not by the garbage collector."""
    closed = []

    async def broken() -> AsyncIterator[Mapping[str, Any]]:
        try:
            yield {"order_id": 5}
            yield row(1)
        finally:
            closed.append(True)

    def fail(rejection: Rejection) -> None:
        raise RuntimeError("a fault of the user's")

    async with sp, Job(sp, kind=KIND, journal=MemoryJournal()) as job:
        with pytest.raises(RuntimeError):
            await job.add(broken(), on_rejected=fail)
        assert closed


async def test_rows_that_break_a_rule_do_not_hold_up_the_event_loop(sp: SellingPartner) -> None:
    """Other tasks get their turn also while a million rows are read of which none is right."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with sp, Job(sp, kind=KIND, journal=MemoryJournal()) as job, anyio.create_task_group() as group:
        group.start_soon(others)
        added = await job.add({"order_id": 5} for _ in range(5_000))
        group.cancel_scope.cancel()
    assert added.rejected == 5_000
    assert turns >= 9


async def test_rows_that_come_while_the_run_counts_are_nobody_elses(sandbox: Sandbox, sp: SellingPartner) -> None:
    """A row that is added at the very moment when a run sees what others have done is counted once."""
    more = [row(2)]

    class Meanwhile(MemoryJournal):
        async def count(self, run: Run) -> Mapping[State, int]:
            counts = await super().count(run)
            if more:
                await job.add([more.pop()])
            return counts

    async with sp, Job(sp, kind=KIND, journal=Meanwhile()) as job:
        await job.add(rows(1))
        tally = await job.run()
    assert (tally.sent, tally.elsewhere, tally.waiting, tally.total) == (2, 0, 0, 2)


async def test_rows_that_come_while_the_job_is_left_wait_in_the_journal(sp: SellingPartner) -> None:
    """Whoever adds rows while another task leaves the job has them in the journal, and no error."""
    journal = MemoryJournal()
    go, asked = anyio.Event(), anyio.Event()
    add = journal.add

    async def slowly(*arguments: Any, **options: Any) -> Any:
        admitted = await add(*arguments, **options)
        asked.set()
        await go.wait()
        return admitted

    async with sp, anyio.create_task_group() as group:
        async with Job(sp, kind=KIND, journal=journal) as job:
            await job.add(rows(1))
            async for _ in job.run():
                journal.add = slowly  # type: ignore[method-assign]
                group.start_soon(job.add, rows(3))
                await asked.wait()
        go.set()
    assert {count.state: count.count for count in await journal.counts(1)} == {State.SENT: 1, State.READY: 2}


async def test_refused_rows_are_tried_again_in_the_same_job(sandbox: Sandbox, sp: SellingPartner) -> None:
    """With `retry_refused` the very job that met the refusal tries the row again, and counts it once."""
    refused = row(2, order_id=NOT_OFFERED)
    async with sp, Job(sp, kind=KIND, journal=MemoryJournal()) as job:
        await job.add([row(1), refused])
        await job.run()
        added = await job.add([refused], retry_refused=True)
        assert (added.waiting, job.tally.waiting, job.tally.refused) == (1, 1, 0)
        tally = await job.run()
    assert (tally.sent, tally.refused, tally.total) == (1, 1, 2)


async def test_a_stopped_job_goes_on_in_the_same_journal(sandbox: Sandbox, sp: SellingPartner) -> None:
    """Rows that got no answer are tried again by the next job, also of the same process with the same open journal."""
    inner = httpx.ASGITransport(app=sandbox)
    is_down = True

    class Network(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if is_down and "/messaging/" in request.url.path:
                raise httpx.ConnectError("down")
            return await inner.handle_async_request(request)

    options = given(sandbox, transport=Network(), retry=RetryPolicy(max_attempts=1))
    sp = SellingPartner(refresh_token="Atzr|SELLER1", **options)
    journal = MemoryJournal()
    async with sp:
        async with Job(sp, kind=KIND, journal=journal) as job:
            await job.add(rows(5))
            with pytest.raises(JobStoppedError):
                await job.run()
            assert job.tally.unsent
        is_down = False
        async with Job(sp, journal=journal, number=1) as job:
            assert (await job.run()).sent == 5


async def test_rows_of_a_resumed_job_count_once(sp: SellingPartner) -> None:
    """Whoever goes on with a job and brings its rows again has each of them counted once."""
    journal = MemoryJournal()
    async with sp:
        async with Job(sp, kind=KIND, journal=journal) as job:
            await job.add([*rows(2), row(3, order_id=NOT_OFFERED)])
            await job.run()
            await job.add([row(4)])
        async with Job(sp, kind=KIND, journal=journal, number=1) as job:
            await job.add([*rows(2), row(3, order_id=NOT_OFFERED), row(4), row(5)], retry_refused=True)
            assert (job.tally.already_sent, job.tally.refused, job.tally.waiting) == (2, 0, 3)
            tally = await job.run()
    assert (tally.already_sent, tally.sent, tally.refused, tally.total) == (2, 2, 1, 5)


async def test_rows_that_another_process_adds_are_counted_when_they_are_sent(sp: SellingPartner) -> None:
    """Of two processes on one source, one sends rows that only the other one has read: no count is below zero."""
    journal = MemoryJournal()
    beside = MemoryJournal(journal)
    async with sp, Job(sp, kind=KIND, journal=journal, source="rows.csv") as job:
        await job.add(rows(1))
        async with Job(sp, kind=KIND, journal=beside, source="rows.csv") as other:
            await other.add(rows(4))
            tally = await job.run()
    assert (tally.sent, tally.waiting, tally.elsewhere, tally.total) == (4, 0, 0, 4)


async def test_a_job_is_of_one_kind(sp: SellingPartner) -> None:
    """A ready-made row of another kind is a mistake of the program's."""
    other = Row(number=1, kind="warranty", order_id="902-1", body={"marketplace_id": "A1PA6795UKMFR9"})
    async with sp, Job(sp, kind=KIND, journal=MemoryJournal()) as job:
        with pytest.raises(ConfigError, match="row 1 is of kind warranty, the job of confirmOrderDetails"):
            await job.add([other])


async def test_a_job_is_entered_once(sp: SellingPartner) -> None:
    """A job that was left is not entered again; another one goes on where it ended."""
    job = Job(sp, kind=KIND, journal=MemoryJournal())
    async with sp, job:
        pass
    with pytest.raises(JobError, match="entered once"):
        await job.__aenter__()


async def test_a_job_of_another_selling_partner(sandbox: Sandbox, sp: SellingPartner, tmp_path: Path) -> None:
    """A job goes on for whom it was begun, and for nobody else; there is none under a number that was not given."""
    journal = tmp_path / "jobs.db"
    ours = SellingPartner(refresh_token="Atzr|A1", selling_partner_id="A1", **given(sandbox))
    other = SellingPartner(refresh_token="Atzr|A2", selling_partner_id="A2", **given(sandbox))
    async with ours, Job(ours, kind=KIND, journal=journal) as job:
        await job.add(rows(1))
    with pytest.raises(JobError, match="job 1 is not of this selling partner"):
        async with Job(other, journal=journal, number=1):
            pass
    with pytest.raises(JobError, match="no job 7"):
        async with Job(ours, journal=journal, number=7):
            pass
    assert not delivered(sandbox)


# --- many selling partners


SELLERS = {f"A{n}SELLER": f"Atzr|A{n}SELLER" for n in range(1, 5)}


def theirs(count: int, names: Sequence[str] = tuple(SELLERS)) -> list[dict[str, Any]]:
    return [
        row(number, selling_partner=name, order_id=f"902-{place:07}-{number:07}")
        for number in range(1, count + 1)
        for place, name in enumerate(names)
    ]


@on_virtual_time
async def test_selling_partners_run_side_by_side() -> None:
    """Four selling partners at one a second each take as long as one of them, each by its own plan, without a 429."""
    plan = UsagePlan(1, 5)
    sandbox = Sandbox(plans={CHECK: plan, SEND: plan}, clock=anyio.current_time)
    app = Application(**given(sandbox, plans={CHECK: plan, SEND: plan}))
    began = anyio.current_time()
    async with app, Job(app, kind=KIND, journal=MemoryJournal(), selling_partners=SELLERS) as job:
        await job.add(theirs(65))
        outcomes = await outcomes_of(job)
    assert Counter(outcome.selling_partner for outcome in outcomes) == dict.fromkeys(SELLERS, 65)
    assert anyio.current_time() - began == pytest.approx(60, abs=1.5)
    assert not sandbox.requests()["operations"][SEND].get("429")
    assert set(delivered(sandbox).values()) == {1}


async def test_tokens_from_a_function(sandbox: Sandbox, app: Application) -> None:
    """Refresh tokens may come from a function, async or not; whom it does not know is told, row by row."""

    async def token_of(name: str) -> str:
        await anyio.lowlevel.checkpoint()
        return SELLERS[name]

    told: list[Rejection] = []
    async with app, Job(app, kind=KIND, journal=MemoryJournal(), selling_partners=token_of) as job:
        added = await job.add([*theirs(2), row(9, selling_partner="A9")], on_rejected=told.append)
        await job.run()
    assert (added.waiting, added.rejected) == (8, 1)
    assert told[0].reason == "selling_partner: there is no refresh token for 'A9'"
    assert told[0].fields["selling_partner"] == "A9"
    assert len(delivered(sandbox)) == 8


async def test_a_withdrawn_authorisation_stops_one_of_them(sandbox: Sandbox, app: Application, tmp_path: Path) -> None:
    """Who took back the authorisation in mid-job stops alone; authorised anew, the job delivers the rest by number."""
    journal = tmp_path / "jobs.db"
    async with app, Job(app, kind=KIND, journal=journal, selling_partners=SELLERS, concurrency=2) as job:
        await job.add(theirs(30))

        def revoke(_: Outcome) -> None:
            if job.tally.sent == 20:
                sandbox.revoke("A2SELLER", refresh_tokens=True)

        job._on_outcome = revoke
        with pytest.raises(JobStoppedError, match=r"A2SELLER: .*invalid_grant") as stopped:
            await job.run()
        assert list(stopped.value.stopped) == ["A2SELLER"]
        assert stopped.value.waiting == job.tally.waiting + job.tally.unsent > 0
        number = job.number
    assert job.tally.sent == 120 - stopped.value.waiting
    anew = SELLERS | {"A2SELLER": "Atzr|A2SELLER.anew"}
    async with app, Job(app, journal=journal, number=number, selling_partners=anew) as job:
        tally = await job.run()
    assert (tally.sent, tally.already_sent) == (stopped.value.waiting, 120 - stopped.value.waiting)
    assert len(delivered(sandbox)) == 120
    assert set(delivered(sandbox).values()) == {1}


@pytest.mark.parametrize(
    ("secret", "client", "words"),
    [("wrong", SELLERS, "invalid_client"), ("s", {"A1SELLER": "Atzr|invalid"}, "invalid_grant")],
)
async def test_rows_of_who_stopped_stay_ready(
    sandbox: Sandbox, secret: str, client: Mapping[str, str], words: str
) -> None:
    """A secret that expired stops all, a refresh token that is refused stops one; nothing was sent, all rows wait."""
    app = Application(**given(sandbox, client_secret=secret))
    journal = MemoryJournal()
    async with app, Job(app, kind=KIND, journal=journal, selling_partners=client) as job:
        await job.add(theirs(10, tuple(client)))
        with pytest.raises(JobStoppedError, match=words) as stopped:
            await job.run()
        assert set(stopped.value.stopped) == set(client)
        counts = await journal.counts(1)
    assert {count.state for count in counts} == {State.READY}
    assert not delivered(sandbox)


async def test_a_missing_role_stops_one_of_them() -> None:
    """A 403 for a role, or for the wrong region, says nothing about the rows: they wait, and the others go on."""
    sandbox = Sandbox(plans=PLANS, clock=anyio.current_time)
    inner = httpx.ASGITransport(app=sandbox)
    denied = {"errors": [{"code": "Unauthorized", "message": "Access to requested resource is denied.", "details": ""}]}

    class Gateway(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if "902-0000001-" in request.url.path:
                return httpx.Response(403, json=denied)
            return await inner.handle_async_request(request)

    app = Application(**given(sandbox, transport=Gateway()))
    async with app, Job(app, kind=KIND, journal=MemoryJournal(), selling_partners=SELLERS) as job:
        await job.add(theirs(10))
        with pytest.raises(JobStoppedError) as stopped:
            await job.run()
    assert set(stopped.value.stopped) == {"A2SELLER"}
    assert (job.tally.sent, stopped.value.waiting) == (30, 10)


async def test_a_stop_that_leaves_no_row_is_none(sandbox: Sandbox) -> None:
    """When Amazon failed at the last messages, each of them is in doubt, and nothing is left that could go on."""
    inner = httpx.ASGITransport(app=sandbox)

    class Failing(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return (
                await inner.handle_async_request(request)
                if "/messages/" not in request.url.path
                else httpx.Response(500)
            )

    sp = SellingPartner(refresh_token="Atzr|SELLER1", **given(sandbox, transport=Failing()))
    async with sp, Job(sp, kind=KIND, journal=MemoryJournal(), concurrency=1) as job:
        await job.add(rows(5))
        tally = await job.run()
    assert (tally.in_doubt, tally.total, job.stopped) == (5, 5, {})


async def test_who_stopped_has_no_time_left(app: Application) -> None:
    """How long the rest takes says nothing about rows that wait for another run."""
    app = Application(**given(Sandbox(plans=PLANS, clock=anyio.current_time), plans={}, client_secret="wrong"))
    async with app, Job(app, kind=KIND, journal=MemoryJournal(), selling_partners=SELLERS) as job:
        await job.add(theirs(40))
        assert job.seconds_left() == 35
        with pytest.raises(JobStoppedError):
            await job.run()
        assert (job.tally.waiting + job.tally.unsent, job.seconds_left()) == (160, 0)


async def test_a_thousand_selling_partners_are_taken_up_at_once(app: Application) -> None:
    """A job that goes on counts its rows twice, however many selling partners it has."""

    class Counting(MemoryJournal):
        reads = 0

        async def count(self, run: Run) -> Mapping[State, int]:
            self.reads += 1
            return await super().count(run)

    journal = Counting()
    sellers = {f"A{n}": f"Atzr|A{n}" for n in range(20)}
    async with app:
        async with Job(app, kind=KIND, journal=journal, selling_partners=sellers) as job:
            await job.add(theirs(1, tuple(sellers)))
        async with Job(app, journal=journal, number=1, selling_partners=sellers) as job:
            assert (job.tally.waiting, journal.reads) == (20, 0)


async def test_a_function_that_knows_no_token(app: Application) -> None:
    """None for a refresh token, as `dict.get` gives it, is one that is not there."""
    tokens: dict[str, str] = {}
    async with app, Job(app, kind=KIND, journal=MemoryJournal(), selling_partners=tokens.get) as job:
        added = await job.add([row(1, selling_partner="A1SELLER")])
    assert [each.reason for each in added.rejections] == ["selling_partner: there is no refresh token for 'A1SELLER'"]


async def test_a_refresh_token_for_a_name_is_told_to_nobody(app: Application) -> None:
    """A refresh token that stands in the column of names by mistake is in no reason, and not taken for a name."""
    reasons = []
    for look_up in (lambda name: None, lambda name: name):
        async with app, Job(app, kind=KIND, journal=MemoryJournal(), selling_partners=look_up) as job:
            added = await job.add([row(1, selling_partner="Atzr|SELLER1")])
        reasons += [each.reason for each in added.rejections]
    assert reasons == [
        "selling_partner: there is no refresh token for this name",
        "selling_partner: its name is its refresh token",
    ]


async def test_two_names_of_one_selling_partner(sandbox: Sandbox, app: Application) -> None:
    """Rows of a second name with the same refresh token are rejected: their buyers would be written to twice."""
    tokens = {"A1SELLER": "Atzr|SELLER1", "alias": "Atzr|SELLER1"}
    async with app, Job(app, kind=KIND, journal=MemoryJournal(), selling_partners=tokens) as job:
        added = await job.add([row(1, selling_partner=name) for name in tokens])
        await job.run()
    reason = "selling_partner: 'alias' has the same refresh token as 'A1SELLER'"
    assert [each.reason for each in added.rejections] == [reason]
    assert delivered(sandbox) == Counter(["902-0000001-0000001"])


async def test_whose_token_is_missing_waits(sandbox: Sandbox, app: Application, tmp_path: Path) -> None:
    """A job that goes on without the token of one of its selling partners sends the others' rows, and says so."""
    journal = tmp_path / "jobs.db"
    async with app, Job(app, kind=KIND, journal=journal, selling_partners=SELLERS) as job:
        await job.add(theirs(2))
        number = job.number
    some = {name: token for name, token in SELLERS.items() if name != "A3SELLER"}
    async with app, Job(app, journal=journal, number=number, selling_partners=some) as job:
        with pytest.raises(JobStoppedError, match="there is no refresh token for 'A3SELLER'; 2 rows wait"):
            await job.run()
        assert (job.tally.sent, job.tally.waiting) == (6, 2)


async def test_who_has_no_row_left_needs_no_token(app: Application, tmp_path: Path) -> None:
    """A job goes on without the token of a selling partner whose rows are all settled, and ends in peace."""
    journal = tmp_path / "jobs.db"
    async with app, Job(app, kind=KIND, journal=journal, selling_partners=SELLERS) as job:
        await job.add(theirs(2))
        await job.run()
        number = job.number
    some = {name: token for name, token in SELLERS.items() if name != "A3SELLER"}
    async with app, Job(app, journal=journal, number=number, selling_partners=some) as job:
        await job.run()
        assert not job.stopped


# --- stop and go


class Slow(httpx.AsyncBaseTransport):
    """The sandbox, whose answers to messages wait until they are let go."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._inner = httpx.ASGITransport(app=sandbox)
        self.under_way = 0
        self.entered = anyio.Event()
        self.go = anyio.Event()
        self.when_entered: Callable[[], None] = lambda: None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._inner.handle_async_request(request)
        if "/messages/" in request.url.path:
            self.under_way += 1
            self.entered.set()
            self.when_entered()
            await self.go.wait()
            self.under_way -= 1
        return answer


async def test_pause_and_resume(sandbox: Sandbox) -> None:
    """Paused, a job takes no further rows and lets those go that wait for their turn; resumed, it sends all once."""
    slow = Slow(sandbox)
    sp = SellingPartner(refresh_token="Atzr|SELLER1", **given(sandbox, transport=slow))
    journal = MemoryJournal()
    async with sp, Job(sp, kind=KIND, journal=journal, concurrency=3) as job, anyio.create_task_group() as group:
        await job.add(rows(9))
        group.start_soon(_drive, job)
        while slow.under_way < 3:
            await anyio.lowlevel.checkpoint()
        job.pause()
        slow.go.set()
        while job.tally.sent < 3:
            await anyio.lowlevel.checkpoint()
        for _ in range(50):
            await anyio.lowlevel.checkpoint()
        assert len(delivered(sandbox)) == 3
        job.resume()
    assert len(delivered(sandbox)) == 9
    assert set(delivered(sandbox).values()) == {1}


async def _drive(job: Job) -> None:
    await job.run()


async def test_selling_partners_who_come_later_share_the_room(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many rows are in hand of all selling partners together, of those too who are added while the job runs."""
    monkeypatch.setattr("spapi_async.jobs.job._MOST_IN_HAND", 8)
    shares: list[list[int]] = []

    def note(outcome: Outcome) -> None:
        shares.append([lane.concurrency for lane in job._lanes.values()])

    journal, tokens = MemoryJournal(), {f"A{n}SELLER": f"Atzr|A{n}" for n in range(4)}
    async with app, Job(app, kind=KIND, journal=journal, selling_partners=tokens, on_outcome=note) as job:
        await job.add(rows(3, selling_partner="A0SELLER"))
        async for outcome in job.run():
            if outcome.number == 1:
                await job.add([row(number, selling_partner=f"A{number % 4}SELLER") for number in range(4, 12)])
    assert shares[0] == [8]
    assert shares[-1] == [2, 2, 2, 2]
    assert job.tally.sent == 11


async def test_a_job_may_begin_paused(sandbox: Sandbox, sp: SellingPartner) -> None:
    """A job that was paused before it runs sends nothing until it is resumed."""
    async with sp, Job(sp, kind=KIND, journal=MemoryJournal()) as job, anyio.create_task_group() as group:
        await job.add(rows(3))
        job.pause()
        group.start_soon(_drive, job)
        for _ in range(50):
            await anyio.lowlevel.checkpoint()
        assert not delivered(sandbox)
        job.resume()
    assert len(delivered(sandbox)) == 3


async def test_a_paused_row_that_was_throttled_waits(sandbox: Sandbox) -> None:
    """A row whose exchange ends with a 429 after the pause has to wait for its turn anew, and leaves it."""
    inner = httpx.ASGITransport(app=sandbox)
    entered, go = anyio.Event(), anyio.Event()
    throttled = {"errors": [{"code": "QuotaExceeded", "message": "too many", "details": ""}]}

    class Busy(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if "/messages/" in request.url.path and not go.is_set():
                entered.set()
                await go.wait()
                return httpx.Response(429, json=throttled)
            return await inner.handle_async_request(request)

    sp = SellingPartner(refresh_token="Atzr|SELLER1", **given(sandbox, transport=Busy()))
    journal = MemoryJournal()
    async with sp, Job(sp, kind=KIND, journal=journal) as job, anyio.create_task_group() as group:
        await job.add(rows(1))
        group.start_soon(_drive, job)
        await entered.wait()
        job.pause()
        go.set()
        for _ in range(50):
            await anyio.lowlevel.checkpoint()
        in_hand = next(iter(job._lanes.values()))._active
        assert not in_hand
        job.resume()
    assert set(delivered(sandbox).values()) == {1}


async def test_drain_ends_the_run(sandbox: Sandbox) -> None:
    """After a drain the exchanges under way may end and the run with them; the others wait, and that is no error."""
    slow = Slow(sandbox)
    sp = SellingPartner(refresh_token="Atzr|SELLER1", **given(sandbox, transport=slow))
    journal = MemoryJournal()
    async with sp, Job(sp, kind=KIND, journal=journal, concurrency=2) as job, anyio.create_task_group() as group:
        await job.add(rows(9))
        group.start_soon(_drive, job)
        while slow.under_way < 2:
            await anyio.lowlevel.checkpoint()
        job.drain()
        slow.go.set()
    assert (job.tally.sent, job.tally.waiting) == (2, 7)


@pytest.mark.parametrize("grace", [3600.0, 0.0], ids=["in time", "too late"])
async def test_leaving_by_an_error_ends_in_order(sandbox: Sandbox, grace: float) -> None:
    """An exception in the block comes out as it is; exchanges under way get the grace, and are in doubt after it."""
    slow = Slow(sandbox)
    sp = SellingPartner(refresh_token="Atzr|SELLER1", **given(sandbox, transport=slow))
    journal = MemoryJournal()

    async def leave() -> None:
        async with Job(sp, kind=KIND, journal=journal, concurrency=2, grace=grace) as job:
            await job.add(rows(5))
            async with anyio.create_task_group() as group:
                group.start_soon(_let_go, slow, grace)
                async for _ in job.run():
                    raise ValueError("a fault of the user's")

    async with sp:
        with pytest.raises(BaseException) as raised:
            await leave()
    assert "a fault of the user's" in repr(raised.value)
    counts = {count.state: count.count for count in await journal.counts(1)}
    assert set(counts) <= {State.SENT, State.READY, State.IN_DOUBT}
    assert counts[State.SENT] >= 1
    assert grace == 0.0 or State.IN_DOUBT not in counts


async def _let_go(slow: Slow, grace: float) -> None:
    await slow.entered.wait()
    slow.go.set()


async def test_being_cancelled_ends_in_order(sandbox: Sandbox) -> None:
    """A cancellation from outside waits for the exchanges under way, so that none of them is in doubt."""
    slow = Slow(sandbox)
    sp = SellingPartner(refresh_token="Atzr|SELLER1", **given(sandbox, transport=slow))
    journal = MemoryJournal()
    async with sp:
        async with anyio.create_task_group() as group:

            async def work() -> None:
                async with Job(sp, kind=KIND, journal=journal, concurrency=2) as job:
                    await job.add(rows(5))
                    await job.run()

            group.start_soon(work)
            while slow.under_way < 2:
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
            slow.go.set()
        counts = {count.state: count.count for count in await journal.counts(1)}
    assert counts == {State.SENT: 2, State.READY: 3}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("times", [1, 2])
async def test_asyncios_own_cancellation_ends_in_order_too(sandbox: Sandbox, tmp_path: Path, times: int) -> None:
    """`task.cancel()`, also again and while the block is being left, waits for what is under way and leaves no task."""
    slow = Slow(sandbox)
    sp = SellingPartner(refresh_token="Atzr|SELLER1", **given(sandbox, transport=slow))

    async def work() -> None:
        async with sp, Job(sp, kind=KIND, journal=tmp_path / "jobs.db", concurrency=2) as job:
            await job.add(rows(5))
            if times == 1:  # it comes while the block is left in order
                with anyio.CancelScope() as scope:
                    slow.when_entered = scope.cancel
                    await job.run()
            else:
                await job.run()

    before = asyncio.all_tasks()
    task = asyncio.ensure_future(work())
    while slow.under_way < 2:
        await anyio.lowlevel.checkpoint()
    for _ in range(times):
        task.cancel()
        await anyio.wait_all_tasks_blocked()
    assert not task.done()
    slow.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == before
    async with SqliteJournal(tmp_path / "jobs.db") as journal:
        assert {count.state: count.count for count in await journal.counts(1)} == {State.SENT: 2, State.READY: 3}


@on_virtual_time
async def test_who_reads_slowly_slows_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outcomes that nobody takes are few: no further rows are taken while so many are unread."""
    monkeypatch.setattr("spapi_async.jobs.job._MOST_UNREAD", 5)
    sandbox = Sandbox(plans=PLANS, clock=anyio.current_time)
    sp = SellingPartner(refresh_token="Atzr|SELLER1", **given(sandbox))
    async with sp, Job(sp, kind=KIND, journal=MemoryJournal(), concurrency=2) as job:
        await job.add(rows(40))
        read = 0
        async for _ in job.run():
            read += 1
            await anyio.sleep(1)
            assert job.tally.sent - read <= 5 + 2
    assert read == 40


@on_virtual_time
async def test_who_left_the_loop_may_await_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a `break`, `await` runs to the end: it does not wait for somebody to take the outcomes."""
    monkeypatch.setattr("spapi_async.jobs.job._MOST_UNREAD", 5)
    sandbox = Sandbox(plans=PLANS, clock=anyio.current_time)
    sp = SellingPartner(refresh_token="Atzr|SELLER1", **given(sandbox))
    with anyio.fail_after(60):
        async with sp, Job(sp, kind=KIND, journal=MemoryJournal(), concurrency=2) as job:
            await job.add(rows(40))
            async for _ in job.run():
                break
            assert (await job.run()).sent == 40


async def test_a_run_may_be_looped_over_and_awaited_at_once(sp: SellingPartner) -> None:
    """Several tasks may wait for one run: one for the outcomes, another one for the counts."""
    with anyio.fail_after(10):
        async with sp, Job(sp, kind=KIND, journal=MemoryJournal()) as job, anyio.create_task_group() as group:
            await job.add(rows(30))
            group.start_soon(_drive, job)
            assert len(await outcomes_of(job)) == 30


@on_virtual_time
async def test_a_services_own_calls_go_first() -> None:
    """Rows are sent with the lowest priority: a call of the service's own for the same plan gets the next turn."""
    plan = UsagePlan(1, 1)
    sandbox = Sandbox(plans={CHECK: plan, SEND: plan}, clock=anyio.current_time)
    sp = SellingPartner(refresh_token="Atzr|SELLER1", **given(sandbox, plans={CHECK: plan, SEND: plan}))
    async with sp, Job(sp, kind=KIND, journal=MemoryJournal()) as job, anyio.create_task_group() as group:
        await job.add(rows(30))
        group.start_soon(_drive, job)
        await anyio.sleep(5.5)
        began = anyio.current_time()
        await sp.messaging_v1.get_messaging_actions_for_order(
            amazon_order_id="902-0000009-0000001", marketplace_ids=[Marketplace.DE]
        )
        assert anyio.current_time() - began <= 1.5


# --- windows, on virtual time


class Calendar:
    """The time of day that goes with the virtual clock."""

    def __init__(self, begins: datetime) -> None:
        self.begins = begins
        self._started = anyio.current_time()

    def __call__(self) -> datetime:
        return self.begins + timedelta(seconds=anyio.current_time() - self._started)

    def seconds(self) -> float:
        return self().timestamp()


@pytest.fixture
def hourly() -> dict[str, Any]:
    plan = {CHECK: UsagePlan(1, 1), SEND: UsagePlan(1 / 3600, 1)}
    return given(Sandbox(plans=plan, clock=anyio.current_time), plans=plan)


async def sent_at(sp: SellingPartner, calendar: Calendar, windows: Windows, added: Sequence[Any]) -> list[datetime]:
    """Run a job; return when each row was settled, in the order of the rows."""
    journal = MemoryJournal(clock=calendar.seconds)
    moments: dict[int, datetime] = {}
    options: dict[str, Any] = {"journal": journal, "windows": windows, "now": calendar}
    job = Job(sp, kind=KIND, on_outcome=lambda outcome: moments.update({outcome.number: calendar()}), **options)
    async with sp, job:
        await job.add(added)
        await job.run()
    return [moments[number] for number in sorted(moments)]


@on_virtual_time
async def test_nobody_is_written_to_at_night(hourly: dict[str, Any]) -> None:
    """With `between` a job that reaches the evening goes on the next morning, by the clock of each marketplace."""
    calendar = Calendar(datetime(2026, 5, 1, 17, 30, tzinfo=UTC))  # 19:30 in Berlin, 18:30 in London
    windows = Windows(between=(time(9), time(20)))
    sp = SellingPartner(refresh_token="Atzr|SELLER1", **hourly)
    added = [*rows(2), row(3, marketplace_id=Marketplace.UK)]
    moments = await sent_at(sp, calendar, windows, added)
    # One an hour, whichever is first: at 18:30 UTC it is 20:30 in Berlin and 19:30 in London.
    assert min(moments) == calendar.begins
    zones = [ZoneInfo("Europe/Berlin"), ZoneInfo("Europe/Berlin"), ZoneInfo("Europe/London")]
    local = [moment.astimezone(zone) for moment, zone in zip(moments, zones, strict=True)]
    assert all(9 <= moment.hour < 20 for moment in local)
    assert max(moment.day for moment in local[:2]) == 2


@on_virtual_time
async def test_so_many_a_day(sandbox: Sandbox) -> None:
    """With `max_per_day` the rest waits for midnight of the zone; what was refused does not count."""
    calendar = Calendar(datetime(2026, 5, 1, 10, tzinfo=UTC))
    windows = Windows(zone=ZoneInfo("Europe/Berlin"), max_per_day=3)
    sp = SellingPartner(refresh_token="Atzr|SELLER1", **given(Sandbox(plans=PLANS)))
    moments = await sent_at(sp, calendar, windows, [row(1, order_id=NOT_OFFERED), *rows(8)[1:]])
    days = Counter(moment.astimezone(ZoneInfo("Europe/Berlin")).day for moment in moments[1:])
    assert days == {1: 3, 2: 3, 3: 1}


async def test_so_many_a_day_by_all_jobs(sandbox: Sandbox, sp: SellingPartner) -> None:
    """The limit of a day is a selling partner's: what one job has sent the next one leaves out."""
    noon = datetime(2026, 1, 10, 12, tzinfo=UTC)
    journal = MemoryJournal(clock=noon.timestamp)
    options: dict[str, Any] = {"journal": journal, "windows": Windows(max_per_day=3), "now": lambda: noon}
    async with sp:
        async with Job(sp, kind=KIND, **options) as job:
            await job.add(rows(2))
            await job.run()
        async with Job(sp, kind=KIND, **options) as job:
            await job.add([row(number) for number in range(3, 9)])
            async for _ in job.run():
                break
            while job.waits_until is None:
                await anyio.lowlevel.checkpoint()
    assert len(delivered(sandbox)) == 3


@on_virtual_time
async def test_a_rows_own_moment(sandbox: Sandbox) -> None:
    """A row with `not_before` waits for it, and the others do not wait for the row."""
    calendar = Calendar(datetime(2026, 5, 1, 10, tzinfo=UTC))
    sp = SellingPartner(refresh_token="Atzr|SELLER1", **given(Sandbox(plans=PLANS)))
    added = [row(1, not_before="2026-05-03T08:00:00+02:00"), row(2), row(3, not_before="2026-05-01")]
    moments = await sent_at(sp, calendar, Windows(zone=ZoneInfo("Europe/Berlin")), added)
    assert [moment.replace(second=0, microsecond=0) for moment in moments] == [
        datetime(2026, 5, 3, 6, 0, tzinfo=UTC),
        datetime(2026, 5, 1, 10, 0, tzinfo=UTC),
        datetime(2026, 5, 1, 10, 0, tzinfo=UTC),
    ]


@on_virtual_time
async def test_a_job_that_waits_says_until_when_and_is_drained_at_once(sandbox: Sandbox) -> None:
    """While all that is left waits, `waits_until` tells until when; a drain ends the wait."""
    calendar = Calendar(datetime(2026, 5, 1, 22, tzinfo=UTC))
    sp = SellingPartner(refresh_token="Atzr|SELLER1", **given(Sandbox(plans=PLANS)))
    windows = Windows(between=(time(9), time(20)), zone=ZoneInfo("UTC"))
    options: dict[str, Any] = {"journal": MemoryJournal(clock=calendar.seconds), "windows": windows, "now": calendar}
    async with sp, Job(sp, kind=KIND, **options) as job, anyio.create_task_group() as group:
        await job.add(rows(3))
        group.start_soon(_drive, job)
        await anyio.sleep(10)
        assert job.waits_until == datetime(2026, 5, 2, 9, tzinfo=UTC)
        assert job.seconds_left() == pytest.approx(11 * 3600 - 10, abs=2)
        began = anyio.current_time()
        job.drain()
    assert anyio.current_time() == began
    assert job.tally.waiting == 3


async def test_adding_can_be_cancelled_between_rows(sp: SellingPartner, tmp_path: Path) -> None:
    """A cancellation ends the adding of many rows soon, though no write to the journal can be cancelled."""
    taken = 0

    def endless() -> Iterator[dict[str, Any]]:
        nonlocal taken
        while taken < 10_000:
            taken += 1
            if taken == 700:
                scope.cancel()
            yield row(taken)

    async with sp, Job(sp, kind=KIND, journal=tmp_path / "jobs.db") as job:
        with anyio.CancelScope() as scope:
            await job.add(endless())
    assert scope.cancelled_caught
    assert taken < 2_000


async def test_how_long_a_job_takes_by_the_clocks_of_its_marketplaces(sp: SellingPartner) -> None:
    """Of several marketplaces the last to open counts; before any row is known, the plan alone."""
    night = datetime(2026, 5, 1, 22, tzinfo=UTC)
    options: dict[str, Any] = {"windows": Windows(between=(time(9), time(20))), "now": lambda: night}
    journal = MemoryJournal()
    async with sp:
        async with Job(sp, kind=KIND, journal=journal, **options) as job:
            await job.add([row(1), row(2, marketplace_id="A1F83G8C2ARO7P")])
            assert job.seconds_left() == 10 * 3600
        async with Job(sp, journal=journal, number=1, **options) as job:
            assert job.seconds_left() == 0.0


@on_virtual_time
async def test_a_limit_of_the_day_that_is_not_reached_holds_up_nothing(sandbox: Sandbox) -> None:
    """Rows that wait for their moment are not looked at every second because there is a limit of the day too."""
    calendar = Calendar(datetime(2026, 5, 1, 22, tzinfo=UTC))
    sp = SellingPartner(refresh_token="Atzr|SELLER1", **given(Sandbox(plans=PLANS)))
    windows = Windows(max_per_day=3)
    options: dict[str, Any] = {"journal": MemoryJournal(clock=calendar.seconds), "windows": windows, "now": calendar}
    async with sp, Job(sp, kind=KIND, **options) as job, anyio.create_task_group() as group:
        await job.add([row(1), row(2, not_before="2026-05-03T08:00:00Z")])
        group.start_soon(_drive, job)
        await anyio.sleep(100)
        assert job.tally.sent == 1
        assert job.waits_until == datetime(2026, 5, 3, 8, tzinfo=UTC)
        job.drain()


# --- without sending, and after doubt


async def test_a_dry_run_sends_nothing(sandbox: Sandbox, sp: SellingPartner, tmp_path: Path) -> None:
    """A dry run asks Amazon for each order and tells what would become of it; nothing is sent and nothing kept."""
    journal = tmp_path / "jobs.db"
    async with sp, Job(sp, kind=KIND, journal=journal) as job:
        await job.add(rows(2))
        await job.run()
    before = journal.read_bytes()
    async with sp, Job(sp, kind=KIND, journal=journal, dry_run=True) as job:
        added = await job.add([*rows(4), row(5, order_id=NOT_OFFERED), row(6, text="")])
        outcomes = {outcome.number: outcome.state for outcome in await outcomes_of(job)}
    assert added.admissions == {Admission.ALREADY_SENT: 2, Admission.NEW: 3}
    assert outcomes == {3: State.SENT, 4: State.SENT, 5: State.REFUSED}
    assert (job.tally.sent, job.tally.already_sent, job.tally.refused, job.tally.invalid) == (2, 2, 1, 1)
    assert len(delivered(sandbox)) == 2
    assert journal.read_bytes() == before
    async with sp, Job(sp, kind=KIND, journal=tmp_path / "none.db", dry_run=True) as job:
        await job.add(rows(1))
        await job.run()
    assert not (tmp_path / "none.db").exists()


@on_virtual_time
async def test_a_dry_run_waits_for_nothing(tmp_path: Path) -> None:
    """A dry run writes to nobody, so it looks at all rows at once; how long the job would take counts the windows."""
    sandbox = Sandbox(plans=PLANS, clock=anyio.current_time)
    sp = SellingPartner(refresh_token="Atzr|SELLER1", **given(sandbox))
    windows = Windows(zone=ZoneInfo("UTC"), max_per_day=2)
    began = anyio.current_time()
    options: dict[str, Any] = {"journal": tmp_path / "none.db", "dry_run": True, "windows": windows}
    async with sp, Job(sp, kind=KIND, **options) as job:
        await job.add([*rows(4), row(5, not_before="2999-01-01")])
        tally = await job.run()
        assert job.seconds_left() > 86_400
    assert (tally.sent, tally.waiting) == (5, 0)
    assert anyio.current_time() - began < 60


def solicited(number: int) -> dict[str, Any]:
    columns = row(number)
    del columns["text"]
    return columns


@pytest.mark.parametrize(
    ("fault", "state"), [("drop-after", State.SENT), ("drop-before", State.READY)], ids=["arrived", "lost"]
)
async def test_amazon_tells_of_solicitations(sandbox: Sandbox, fault: str, state: State) -> None:
    """Of a solicitation in doubt Amazon's list says whether it was sent: it offers one for an order, and no second."""
    name = "solicitations_v1.create_product_review_and_seller_feedback_solicitation"
    sandbox = Sandbox(plans=PLANS, clock=anyio.current_time, faults=Faults(script={name: [fault]}))
    sp = SellingPartner(refresh_token="Atzr|SELLER1", **given(sandbox))
    async with sp, Job(sp, kind=REVIEW, journal=MemoryJournal()) as job:
        await job.add([solicited(1)])
        await job.run()
        [doubt] = await job.doubts()
        assert await job.ask(doubt) is state
        assert not await job.doubts()
        await job.run()
    assert len(delivered(sandbox)) == 1


async def test_a_person_decides_about_messages() -> None:
    """Of a message Amazon cannot tell: it stays in doubt until a person says that it was sent, or to send it again."""
    faults = Faults(script={SEND: ["drop-before", "drop-before"]})
    sandbox = Sandbox(plans=PLANS, clock=anyio.current_time, faults=faults)
    sp = SellingPartner(refresh_token="Atzr|SELLER1", **given(sandbox))
    async with sp, Job(sp, kind=KIND, journal=MemoryJournal()) as job:
        await job.add(rows(2))
        await job.run()
        first, second = await job.doubts()
        assert await job.ask(first) is State.IN_DOUBT
        await job.decide(first, sent=True)
        await job.decide(second, sent=False)
        assert not await job.doubts()
        assert (job.tally.in_doubt, job.tally.already_sent, job.tally.waiting) == (0, 1, 1)
        tally = await job.run()
    assert delivered(sandbox) == {second.order_id: 1}
    assert (tally.sent, tally.already_sent, tally.total) == (1, 1, 2)


async def test_what_is_asked_of_amazon_is_about_the_rows_own_kind(sandbox: Sandbox, sp: SellingPartner) -> None:
    """That a review may still be requested says nothing about a message in doubt: it is not sent again."""
    journal = MemoryJournal()
    async with sp:
        async with Job(sp, kind=REVIEW, journal=journal) as job:
            await job.add([solicited(1)])
        async with Job(sp, kind=KIND, journal=journal, number=1) as job:
            await job.add(rows(1))
            run = (await journal.jobs())[0].runs[0]
            [one] = await journal.claim(attrs.evolve(run, kind=KIND), 1)
            one = await journal.move(await journal.move(one, Move.BEGIN), Move.LOSE)
            assert await job.ask(one) is State.IN_DOUBT
