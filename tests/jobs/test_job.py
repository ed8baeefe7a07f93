"""The job as a program uses it, against the sandbox in-process."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
import trio.testing

from spapi_async import Application, ConfigError, JobError, JobStoppedError, Marketplace, SellingPartner, UsagePlan
from spapi_async.events import Event, RowSettled
from spapi_async.jobs.job import Job
from spapi_async.jobs.journal import MemoryJournal
from spapi_async.jobs.outcome import Outcome, Rejection
from spapi_async.jobs.row import Admission, State
from spapi_async.sandbox import Sandbox

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
        assert await job.doubts() == ()
        assert (await job.run()).total == 0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"kind": "confirmOrderDetail"}, "Did you mean confirmOrderDetails"),
        ({"kind": None}, "kind= is missing"),
        ({"concurrency": 0}, "concurrency"),
        ({"selling_partners": {}}, "selling_partners"),
        ({"dry_run": True}, "dry_run"),
        ({"template": "{"}, "has a { alone"),
        ({"client": None}, "client"),
    ],
)
async def test_wrong_arguments(sp: SellingPartner, wrong: dict[str, Any], words: str) -> None:
    """What cannot work is said before anything is opened."""
    arguments: dict[str, Any] = {"client": sp, "kind": KIND, "journal": MemoryJournal()} | wrong
    with pytest.raises(ConfigError, match=words):
        Job(arguments.pop("client"), **arguments)


async def test_a_job_is_used_within_its_block(sp: SellingPartner) -> None:
    """Outside of `async with` nothing is added and nothing runs."""
    job = Job(sp, kind=KIND, journal=MemoryJournal())
    with pytest.raises(JobError, match="async with"):
        await job.add(rows(1))
    with pytest.raises(JobError, match="async with"):
        job.run()


async def test_one_run_at_a_time(sp: SellingPartner) -> None:
    """A second run beside the first is refused."""
    async with sp, Job(sp, kind=KIND, journal=MemoryJournal()) as job:
        await job.add(rows(2))
        async for _ in job.run():
            with pytest.raises(JobError, match="already"):
                await job.run()


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
