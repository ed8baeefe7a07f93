from __future__ import annotations

from datetime import UTC, datetime

import pytest

from spapi_async.jobs.ledger import Count, JobRecord, Outcomes, PlanNote, ReasonCount, Run
from spapi_async.jobs.report.overview import Standing, group, name_of, overview, plain, title_of
from spapi_async.jobs.row import State
from spapi_async.jobs.windows import Windows

KIND = "confirmOrderDetails"
NOW = 1_800_000_000.0


def record(*labels: str, **more: object) -> JobRecord:
    runs = [Run(number=1, selling_partner=f"{n}" * 64, kind=KIND, label=label) for n, label in enumerate(labels)]
    values = {
        "number": 1, "name": "", "source": "/data/messages.csv", "options": {}, "begun": NOW - 100, "ended": None,
        "loaded": NOW - 99, "rejected": 0, "is_open": True, "runs": runs,
    }  # fmt: skip
    return JobRecord(**{**values, **more})


def count(seller: int, state: State, number: int) -> Count:
    return Count(selling_partner=f"{seller}" * 64, kind=KIND, state=state, count=number)


def plan(seller: int, rate: float, moment: float = NOW - 100) -> PlanNote:
    return PlanNote(moment=moment, selling_partner=f"{seller}" * 64, kind=KIND, rate=rate, burst=5)


def lately(seller: int, since: float, number: int, state: State = State.SENT) -> Outcomes:
    return Outcomes(since=since, selling_partner=f"{seller}" * 64, kind=KIND, state=state, count=number)


def why(reason: str, number: int = 1, state: State = State.REFUSED) -> ReasonCount:
    return ReasonCount(selling_partner="0" * 64, kind=KIND, state=state, reason=reason, count=number)


def test_parts_and_their_sums() -> None:
    """Each selling partner has its figures, the troubled ones first; the slowest says how long the whole takes."""
    counts = [
        count(0, State.SENT, 50), count(0, State.READY, 20), count(0, State.CLAIMED, 4), count(0, State.SENDING, 1),
        count(1, State.SENT, 30), count(1, State.IN_DOUBT, 2), count(1, State.REFUSED, 3), count(1, State.READY, 10),
    ]  # fmt: skip
    recent = [lately(0, NOW - 60, 30), lately(0, NOW - 30, 30, State.REFUSED), lately(1, NOW - 20, 10)]
    plans = [plan(0, 2.0), plan(1, 0.5), plan(0, 1.0, NOW - 50)]
    found = overview(record("A", "B"), counts, recent, plans, [why("no", 3)], NOW)
    second, first = found.parts
    assert (first.selling_partner, first.sent, first.waiting, first.in_hand) == ("A", 50, 20, 5)
    assert (first.pace, first.rate, first.left) == (1.0, 1.0, 25.0)
    assert (second.selling_partner, second.in_doubt, second.refused) == ("B", 2, 3)
    assert (second.pace, second.left) == (0.5, 20.0)
    whole = found.whole
    assert (whole.total, whole.settled, whole.unsettled) == (120, 85, 35)
    assert (whole.pace, whole.rate, whole.left) == (1.5, 1.5, 25.0)
    assert [reason.words for reason in whole.reasons] == ["no"]


def test_without_a_plan_nobody_knows_how_long_it_takes() -> None:
    """A part without a noted plan has no rate, and the whole no time left, unless that part is done."""
    waiting = overview(record("A"), [count(0, State.READY, 5)], [], [], [], NOW)
    assert (waiting.whole.rate, waiting.whole.left) == (None, None)
    done = overview(record("A"), [count(0, State.SENT, 5)], [], [], [], NOW)
    assert (done.whole.rate, done.whole.left) == (None, 0.0)


@pytest.mark.parametrize(
    ("now", "most", "ends"),
    [
        ("2026-11-21T12:00", None, "2026-11-21T12:10"),
        ("2026-11-21T18:55", None, "2026-11-22T08:05:01"),  # the 300th would go at 20:00 sharp, which is 19:00 in UTC
        ("2026-11-21T22:00", None, "2026-11-22T09:10"),  # in London it opens later
        ("2026-11-21T12:00", 250, "2026-11-23T09:01:40"),  # 250 on each of two days, and 100
    ],
)
def test_the_time_left_knows_the_windows(now: str, most: int | None, ends: str) -> None:
    """What cannot go out before its window closes waits for the next one, by the slowest of the rows' marketplaces."""
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC).timestamp()
    windows = Windows.parse("09:00-20:00", "marketplace", most)
    counts, plans = [count(0, State.READY, 600)], [plan(0, 1.0)]
    found = overview(record("A"), counts, [], plans, [], moment, windows, ["A1F83G8C2ARO7P", "A1PA6795UKMFR9"])
    assert found.whole.left == datetime.fromisoformat(ends).replace(tzinfo=UTC).timestamp() - moment


def test_a_job_of_centuries_has_a_time_left() -> None:
    """Of what a window and a day's limit would stretch over ages, a century is told."""
    windows = Windows.parse(None, "Europe/Berlin", 1)
    found = overview(record("A"), [count(0, State.READY, 10**6)], [], [plan(0, 1.0)], [], NOW, windows)
    assert found.whole.left == 36_525 * 86_400


@pytest.mark.parametrize(
    ("outcomes", "rate", "expected"),
    [
        ([(NOW - 60, 60)], 1.0, 1.0),
        ([(NOW - 15, 15)], 1.0, 1.0),  # it has just begun
        ([(NOW - 1, 3)], 1.0, 0.3),  # over a second it would be 3
        ([(NOW - 1, 1)], 0.02, 1 / 50),  # one in 50 s
        ([(NOW - 1, 1)], 0.001, 1 / 60),
        ([], 1.0, 0.0),
    ],
)
def test_the_pace_is_that_of_the_last_minute(outcomes: list[tuple[float, int]], rate: float, expected: float) -> None:
    """It is measured from the first outcome of the last minute on, but over 10 s at least, or one turn of the plan."""
    recent = [lately(0, since, number) for since, number in outcomes]
    found = overview(record("A"), [count(0, State.READY, 1)], recent, [plan(0, rate)], [], NOW)
    assert found.whole.pace == pytest.approx(expected)


def test_what_a_job_does_now() -> None:
    """It is read, runs, waits for somebody to go on with it, or has ended; the time stops with it."""
    ready, sent = [count(0, State.READY, 1)], [count(0, State.SENT, 1)]
    assert overview(record("A", loaded=None), ready, [], [], [], NOW).standing == Standing.READING
    assert overview(record("A", loaded=None), sent, [], [], [], NOW).standing == Standing.RUNNING
    assert overview(record("A"), ready, [], [], [], NOW).standing == Standing.RUNNING
    assert overview(record("A", is_open=False), ready, [], [], [], NOW).standing == Standing.WAITING
    ended = overview(record("A", ended=NOW - 40), sent, [], [], [], NOW)
    assert (ended.standing, ended.elapsed) == (Standing.ENDED, 60.0)


def test_reasons_that_differ_in_a_moment_are_one() -> None:
    """A thousand reasons with other dates, order ids and numbers are one; what is the same in all of them stays."""
    days = [
        why(f"Amazon answered 403: outside the 5-30 day range; order 902-{n:07}-{n:07}, from 2026-10-{n % 28 + 1:02}"
            f"T00:00:00+00:00 on") for n in range(1000)
    ]  # fmt: skip
    assert [(reason.words, reason.count) for reason in group(days)] == [
        ("Amazon answered 403: outside the 5-30 day range; order …, from … on", 1000)
    ]
    alone = group([why("Amazon answered 404: order 902-1845936-5435065 was not found", 7)])
    assert [(reason.words, reason.count) for reason in alone] == [
        ("Amazon answered 404: order 902-1845936-5435065 was not found", 7)
    ]


def test_reasons_that_are_not_one() -> None:
    """Another status, another outcome and other words are another reason."""
    found = group([
        why("Amazon answered 403: no", 2), why("Amazon answered 404: no", 4), why("", 3),
        why("Amazon answered 403: no", 1, State.IN_DOUBT), why("no way"),
    ])  # fmt: skip
    assert [(reason.words, reason.count) for reason in found] == [
        ("Amazon answered 404: no", 4),
        ("no reason given", 3),
        ("Amazon answered 403: no", 2),
        ("Amazon answered 403: no", 1),
        ("no way", 1),
    ]


def test_rare_reasons_are_summed_up() -> None:
    """Beyond the twenty most frequent ones, the others of each outcome are one line."""
    letters = [f"{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(60)]
    reasons = [why(word, 100 - n) for n, word in enumerate(letters)] + [why("lost", 1, State.IN_DOUBT)]
    *shown, refused, doubt = group(reasons)
    assert len(shown) == 20
    assert (refused.words, refused.count) == ("40 other reasons", sum(range(41, 81)))
    assert (doubt.words, doubt.state, doubt.count) == ("1 other reason", State.IN_DOUBT, 1)


def test_a_long_reason_costs_no_time() -> None:
    """Words of any shape are looked through once."""
    for words in ("a" * 100_000, ".:/-" * 25_000, "1a" * 50_000, "- " * 50_000):
        assert group([why(words)])[0].count == 1


def test_words_from_outside_are_printable() -> None:
    """No control code reaches a terminal, and nothing turns the order of what follows."""
    assert plain("a\x1b[31mb\n\tc \u202ed\x00") == "a\ufffd[31mb c \ufffdd\ufffd"
    assert name_of(Run(number=1, selling_partner="c" * 64, kind=KIND, label="\x07B")) == "\ufffdB"


def test_names() -> None:
    """A selling partner without a label goes by its digest, a job by its name, its file or its number."""
    assert name_of(Run(number=1, selling_partner="0123456789", kind=KIND)) == "seller 01234567"
    assert title_of(record(name="spring")) == "spring"
    assert title_of(record()) == "messages.csv"
    assert title_of(record(source="")) == "job 1"
