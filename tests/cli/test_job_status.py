from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterator, Sequence

import attrs
import pytest
from rich.console import Console

from spapi_async.cli import main
from spapi_async.cli.jobs.job_status import Look, Watch, content_of
from spapi_async.jobs.ledger import Count, JobRecord, Outcomes, PlanNote, ReasonCount, Run
from spapi_async.jobs.report.overview import Overview, Reason, overview
from spapi_async.jobs.row import State

from .journals import Jobs

NOW = 1_800_000_000.0
KINDS = ("confirmOrderDetails", "productReviewAndSellerFeedback")


def job(sellers: int = 1, kinds: int = 1, **more: object) -> Overview:
    """A job that runs, of which a quarter is sent."""
    runs = [
        Run(number=3, selling_partner=f"{n:064}", kind=kind, label=f"A{n:04}EXAMPLE")
        for n in range(sellers) for kind in KINDS[:kinds]
    ]  # fmt: skip
    values = {
        "number": 3, "name": "", "source": "/data/messages.csv", "options": {}, "begun": NOW - 100, "ended": None,
        "loaded": NOW - 99, "rejected": 2, "is_open": True,
    }  # fmt: skip
    record = JobRecord(**{**values, **more}, runs=runs)
    part = [(run.selling_partner, run.kind) for run in runs]
    counts = [
        Count(selling_partner=seller, kind=kind, state=state, count=count)
        for seller, kind in part
        for state, count in ((State.SENT, 25_000), (State.REFUSED, 4), (State.IN_DOUBT, 1), (State.READY, 74_995))
    ]
    recent = [Outcomes(since=NOW - 60, selling_partner=s, kind=k, state=State.SENT, count=30) for s, k in part]
    plans = [PlanNote(moment=NOW - 99, selling_partner=s, kind=k, rate=1.0, burst=5) for s, k in part]
    reasons = [
        ReasonCount(selling_partner=s, kind=k, state=State.REFUSED, reason=f"{word} \x1b[2J[b]", count=1)
        for s, k in part for word in ("alpha", "beta", "gamma", "delta")
    ]  # fmt: skip
    return overview(record, counts, recent, plans, reasons, NOW)


def test_the_status_in_plain_text(jobs: Jobs, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal it is plain text: the sums, a line for each selling partner, and the reasons."""
    jobs.add("ACME", "Bolt")
    assert main(["jobs", "status", "jobs.db"]) == 0
    out = capsys.readouterr().out
    assert re.match(
        r"job 1, not running, begun \d+ s ago · messages.csv · confirmOrderDetails · 2 selling partners\n", out
    )
    assert "█ 2 sent   ▓ 4 refused   ▒ 2 in doubt   · 4 waiting\n" in out
    assert "no process works on it; `spapi-async jobs resume` sends what waits\n" in out
    assert "3 lines of the source were rejected and became no row\n" in out
    assert re.search(r"^ACME +6 +1 +2 +1 +2 +0:04 ", out, re.MULTILINE)
    assert re.search(
        r"^ +4  refused +Amazon answered 403: order … is too young; it may be tried again from 2026", out, re.MULTILINE
    )


def test_the_status_of_a_job_that_has_ended(jobs: Jobs, capsys: pytest.CaptureFixture[str]) -> None:
    """Its number chooses the job, else the latest one is shown; nothing is left to do."""
    jobs.add("ACME")
    jobs.finish()
    jobs.add("Bolt", name="later")
    assert main(["jobs", "status", "jobs.db", "1"]) == 0
    out = capsys.readouterr().out
    assert re.match(r"job 1, ended after \d+ s · messages.csv · confirmOrderDetails · ACME\n", out)
    assert "· 0 waiting" in out
    assert main(["jobs", "status", "jobs.db"]) == 0
    assert capsys.readouterr().out.startswith("job 2, not running")
    assert main(["jobs", "status", "jobs.db", "7"]) == 2
    assert "the journal has no job 7" in capsys.readouterr().err


def test_the_status_as_json(jobs: Jobs, capsys: pytest.CaptureFixture[str]) -> None:
    """Programs get all figures, of the whole and of each part, with moments in UTC."""
    jobs.add("ACME", "Bolt")
    assert main(["jobs", "status", "jobs.db", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    names = ("job", "rows", "sent", "refused", "in_doubt", "waiting", "in_hand", "rejected", "rate", "left")
    assert [found[name] for name in names] == [1, 12, 2, 4, 2, 4, 0, 3, 1.0, 4.0]
    assert [part["selling_partner"] for part in found["parts"]] == ["ACME", "Bolt"]
    assert found["parts"][0]["reasons"][0]["rows"] == 2
    assert found["now"].endswith("Z")


@pytest.mark.parametrize("size", [(80, 24), (160, 50), (40, 10), (20, 5)])
@pytest.mark.parametrize(("sellers", "kinds"), [(1, 1), (3, 2), (1000, 2)])
def test_the_screen_fits_the_terminal(size: tuple[int, int], sellers: int, kinds: int) -> None:
    """However many selling partners and whatever the size, no line is too long, and no figure is cut."""
    width, height = size
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=width, height=height, color_system=None)
    Watch(lambda: job(sellers, kinds, ended=NOW), lambda seconds: None).on_screen(console)
    lines = drawn(stream)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    shown = "\n".join(lines)
    assert "[2J" not in shown.replace("\ufffd[2J", "")
    if height >= 24:
        parts = sellers * kinds
        assert f"{25_000 * parts:,} sent" in shown
        assert ("Left" in shown) == (parts > 1)
        if parts > 20:
            [others] = re.findall(r"([\d,]+) others +.*", shown)
            listed = len(re.findall(r"A\d+EXAMPLE", shown))
            assert int(others.replace(",", "")) + listed == parts
            assert 5 <= listed < 20
        assert "alpha" in shown
    if parts_are_cut := re.findall(r"\d…", shown):
        pytest.fail(f"figures are cut: {parts_are_cut}")


def test_reasons_have_the_room_that_is_there() -> None:
    """A job of one selling partner has no table above its reasons, so they have all the lines that are left."""
    seen, stream = job(ended=NOW), io.StringIO()
    reasons = [Reason(state=State.REFUSED, words=f"because {letter}", count=1) for letter in "ABCDEFGH"]
    seen = attrs.evolve(seen, whole=attrs.evolve(seen.whole, reasons=reasons))
    console = Console(file=stream, force_terminal=True, width=80, height=24, color_system=None)
    Watch(lambda: seen, lambda seconds: None).on_screen(console)
    lines = drawn(stream)
    assert "because H" in lines[-1]
    assert len(lines) <= 24


def test_a_source_that_was_not_read_to_its_end() -> None:
    """`resume` does not go on with such a job, so the status does not say so."""
    content = content_of(job(loaded=None, is_open=False), most_parts=5, is_wide=True)
    assert content.notes[0].endswith("run the command again that began it")


def drawn(stream: io.StringIO) -> Sequence[str]:
    """Return the lines of the last screen, without what moves the cursor."""
    text = stream.getvalue().rpartition("\x1b[H")[2].partition("\x1b[?1049l")[0]
    return [line.rstrip() for line in re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", text).rstrip().split("\n")]


def test_the_pace_against_the_plan() -> None:
    """While it runs the screen says how fast it goes, how fast it may, and until when it will take."""
    content = content_of(job(2), most_parts=5, is_wide=True)
    assert re.match(r"1 a second, 50 % of the plan's 2; 20 h 49 min left by the plan, until ", content.notes[0])
    assert content.parts[0] == ["A0000EXAMPLE", "100,000", "25,000", "4", "1", "74,995", "20:49:55", "0.5/1"]
    assert [column.title for column in content.columns][:2] == ["Selling partner", "Rows"]
    endless = attrs.evolve(job(), whole=attrs.evolve(job().whole, left=1e12))
    assert content_of(endless, most_parts=5, is_wide=True).notes[0].endswith("until after the year 9999")


def test_watching_ends_with_the_job() -> None:
    """A live screen is drawn each second until the job has ended; what it showed last is kept."""
    stream = io.StringIO()
    seen = iter([job(), job(), job(ended=NOW)])
    slept: list[float] = []
    watch = Watch(lambda: next(seen), slept.append)
    watch.on_screen(Console(file=stream, force_terminal=True, width=80, height=24))
    assert slept == [1.0, 1.0]
    assert watch.seen is not None
    assert watch.seen.standing == "ended"
    assert "\x1b[?1049h" in stream.getvalue()  # a screen of its own, which a change of size cannot spoil


def test_watching_without_a_terminal() -> None:
    """In a log a line comes every five seconds."""
    stream = io.StringIO()
    seen = iter([job(), job(ended=NOW)])
    slept: list[float] = []
    Watch(lambda: next(seen), slept.append).in_lines(stream)
    first, last = stream.getvalue().splitlines()
    counts = "25,005 of 100,000 rows: 25,000 sent, 4 refused, 1 in doubt, 74,995 waiting"
    assert first.endswith(f"job 3, running: {counts}; 0.5/s, 20:49:55 left")
    assert last.endswith(f"job 3, ended: {counts}")
    assert slept == [5.0]


def test_watching_by_the_command(
    jobs: Jobs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends it with status 0, as the end of the job does."""
    jobs.add("ACME")

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("time.sleep", interrupt)
        assert main(["jobs", "status", "jobs.db", "--watch"]) == 0
    assert "job 1, not running: 4 of 6 rows" in capsys.readouterr().out
    jobs.finish()
    assert main(["jobs", "status", "jobs.db", "--watch"]) == 0
    assert capsys.readouterr().out.count("\n") == 1


@pytest.mark.parametrize("has_rich", [True, False])
def test_on_a_terminal(
    jobs: Jobs, has_rich: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There it is a table of rich; without rich the same in plain text, live too."""
    jobs.add("ACME", "Bolt")
    jobs.finish()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    if not has_rich:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    for more in ([], ["--watch"]):
        assert main(["jobs", "status", "jobs.db", *more]) == 0
        out = capsys.readouterr().out
        assert "job 1, ended" in out
        assert "8 refused" in out


class Reader:
    """Takes its time, and counts."""

    def __init__(self, costs: Iterator[float]) -> None:
        self.now = 0.0
        self.asked: list[tuple[float, bool]] = []
        self._costs = costs

    def ticks(self) -> float:
        return self.now

    def overview(self, number: int | None, now: float, *, has_reasons: bool = True) -> Overview:
        self.asked.append((self.now, has_reasons))
        self.now += next(self._costs)
        found = job()
        return found if has_reasons else attrs.evolve(found, whole=attrs.evolve(found.whole, reasons=()))


def test_a_big_journal_is_read_less_often() -> None:
    """Reading takes a tenth of the time at most; the reasons, which take longest, stay meanwhile as they were."""
    reader = Reader(iter([2.0, 0.25, 0.25, 0.25]))
    look = Look(reader, None, lambda: NOW, reader.ticks)
    for _ in range(9):
        assert look().whole.reasons
        reader.now += 1.0
    assert reader.asked == [(0.0, True), (3.0, False), (6.25, False), (9.5, False)]
