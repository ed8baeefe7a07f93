from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from spapi_async.cli import estimate, main
from spapi_async.jobs.journal import Identity
from spapi_async.jobs.kinds import KINDS, find_kind
from spapi_async.jobs.row import Move, Row
from spapi_async.jobs.source import open_source
from spapi_async.jobs.sqlite import SqliteJournal
from spapi_async.jobs.windows import Windows
from spapi_async.scheduler.bucket import Bucket

KIND = "confirmOrderDetails"
SEND, CHECK = "messaging_v1.create_confirm_order_details", "messaging_v1.get_messaging_actions_for_order"
LOCALE, UPLOAD = "messaging_v1.get_attributes", "uploads_2020_11_01.create_upload_destination_for_resource"
START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


class _Clock(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return START


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(estimate, "datetime", _Clock)


def write(*lines: str, header: str = "order_id,marketplace_id,text") -> None:
    Path("messages.csv").write_text("\n".join([header, *lines, ""]), encoding="utf-8")


def good(count: int) -> list[str]:
    return [f"902-{n},A1PA6795UKMFR9,hello" for n in range(count)]


def arguments(*more: str) -> list[str]:
    return ["estimate", "messages.csv", "--kind", KIND, *more]


def facts(capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    assert main(arguments("--json", *more)) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    """It tells how many rows are good and how many are not, how long the good ones take and when they are done."""
    write(*good(65), "902-1,A1PA6795UKMFR9,hello", "902-99,A1PA6795UKMFR9,<b>hi</b>")
    assert main(arguments()) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "messages.csv: CSV separated by commas, UTF-8",
        "messages.csv, 67 rows: 65 good, 2 would be refused (1 invalid, 1 duplicate).",
        f"The good ones take 1 min: 5 at once, then 1 a second, by the usage plan of {SEND}.",
        f"Begun now, the last one goes out at {(START + timedelta(minutes=1)).astimezone():%H:%M:%S}.",
    ]
    assert not err


def test_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` gives the same as an object, with seconds and an ISO 8601 time."""
    write(*good(25), "902-99,A1PA6795UKMFR9,")
    found = facts(capsys)
    assert datetime.fromisoformat(found.pop("finish")) == START + timedelta(seconds=20)
    assert found == {
        "file": "messages.csv",
        "format": "csv",
        "encoding": "utf-8",
        "kind": KIND,
        "rows": 26,
        "good": 25,
        "refused": 1,
        "invalid": 1,
        "duplicates": 0,
        "settled": 0,
        "operation": SEND,
        "rate": 1.0,
        "burst": 5.0,
        "calls": {SEND: 25, CHECK: 25, LOCALE: 0},
        "selling_partner": "",
        "seconds": 20.0,
        "opens": None,
    }


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("count", [1, 5, 6, 1_000_000])
def test_it_agrees_with_the_scheduler(kind: Any, count: int) -> None:
    """The client's own bucket, full, says the same of the last of so many calls, to the second."""
    plan = kind.operation.plan
    seconds = (Windows().ends(START, count, plan.rate, plan.burst) - START).total_seconds()
    assert seconds == pytest.approx(Bucket(plan).wait(0.0, count - 1), abs=1.0)


def test_the_slower_operation_sets_the_pace(capsys: pytest.CaptureFixture[str]) -> None:
    """Each row is checked and sent, by two usage plans; which one is slower may depend on how many rows there are."""
    write(*good(40))
    plans = ["--plan", f"{SEND}=2/30", "--plan", f"{CHECK}=4/10"]
    found = facts(capsys, *plans)
    assert (found["operation"], found["seconds"]) == (CHECK, 7.5)
    write(*good(100))
    found = facts(capsys, *plans)
    assert (found["operation"], found["rate"], found["burst"], found["seconds"]) == (SEND, 2.0, 30.0, 35.0)


def test_uploads_count(capsys: pytest.CaptureFixture[str]) -> None:
    """Each attachment takes a call, of which there are ten a second; with another plan they can set the pace."""
    Path("a.txt").write_text("a", encoding="utf-8")
    rows = [f"902-{n},A1PA6795UKMFR9,{'a.txt;a.txt|b.txt;a.txt|c.txt' if n % 2 else 'a.txt'}" for n in range(100)]
    Path("messages.csv").write_text("\n".join(["order_id,marketplace_id,attachments", *rows]), encoding="utf-8")
    found = facts(capsys, "--kind", "invoice")
    assert (found["calls"][UPLOAD], found["operation"], found["seconds"]) == (200, "messaging_v1.send_invoice", 95.0)
    found = facts(capsys, "--kind", "invoice", "--plan", f"{UPLOAD}=1/10")
    assert (found["operation"], found["burst"], found["seconds"]) == (UPLOAD, 10.0, 190.0)
    assert main(arguments("--kind", "invoice", "--plan", f"{UPLOAD}=1/10")) == 0
    words = (
        f"take 3 min 10 s: 10 at once, then 1 a second, by the usage plan of {UPLOAD}, of which they need 200 calls."
    )
    assert words in capsys.readouterr().out


def test_buyers_languages_count(capsys: pytest.CaptureFixture[str]) -> None:
    """A row with texts in several languages asks for its buyer's; one with a single text does not."""
    rows = [f"902-{n},A1PA6795UKMFR9,hello,{'hallo' if n < 60 else ''}" for n in range(100)]
    Path("messages.csv").write_text("\n".join(["order_id,marketplace_id,text,text.de", *rows]), encoding="utf-8")
    found = facts(capsys, "--plan", f"{LOCALE}=0.5/10")
    assert found["calls"] == {SEND: 100, CHECK: 100, LOCALE: 60}
    assert (found["operation"], found["seconds"]) == (LOCALE, 100.0)
    Path("de.txt").write_text("hallo", encoding="utf-8")
    write(*good(100))
    Path("orders.csv").write_text(Path("messages.csv").read_text().replace(",text", "").replace(",hello", ""))
    templates = ["--template", "hello", "--template-file", "de=de.txt"]
    assert main(["estimate", "orders.csv", "--kind", KIND, "--json", *templates]) == 0
    assert json.loads(capsys.readouterr().out)["calls"][LOCALE] == 100


def test_windows(capsys: pytest.CaptureFixture[str]) -> None:
    """With hours and a limit for the day it tells when the first and the last message go out."""
    write(*good(250))
    more = ["--between", "14-20", "--timezone", "Europe/Berlin", "--max-per-day", "100"]
    found = facts(capsys, *more)
    assert datetime.fromisoformat(found["opens"]) == START + timedelta(hours=1)
    assert datetime.fromisoformat(found["finish"]) == START + timedelta(days=2, hours=1, seconds=45)
    assert found["seconds"] == 2 * 86_400 + 3645.0
    assert main(arguments(*more)) == 0
    opens, finish = (datetime.fromisoformat(found[name]).astimezone() for name in ("opens", "finish"))
    assert capsys.readouterr().out.splitlines()[2:] == [
        f"The good ones take 2 days 1 h: 5 at once, then 1 a second, by the usage plan of {SEND}.",
        "They go out between 14:00 and 20:00 by the clock of Europe/Berlin, at most 100 a day.",
        f"Begun now, the first one goes out at {opens:%H:%M:%S} and "
        f"the last one goes out on {finish:%A}, {finish:%Y-%m-%d}, at {finish:%H:%M:%S}.",
    ]


def test_a_moment_outside_of_the_hours(capsys: pytest.CaptureFixture[str]) -> None:
    """A row whose moment of --not-before comes at night goes out when it opens then."""
    write("902-1,A1PA6795UKMFR9,hello,2026-12-01T00:00:00+01:00", header="order_id,marketplace_id,text,when")
    found = facts(capsys, "--not-before", "when", "--between", "09:00-20:00")
    assert datetime.fromisoformat(found["finish"]) == datetime(2026, 12, 1, 8, tzinfo=UTC)


def test_windows_of_several_marketplaces(capsys: pytest.CaptureFixture[str]) -> None:
    """Each row goes by its own clock, so the end is the latest that can be; rows of one clock have one end."""
    write(*good(10), "902-99,A21TJRUUN4KGV,hello")
    between = ["--between", "9:00-20:00"]
    found = facts(capsys, *between)
    assert found["opens"] is None
    assert datetime.fromisoformat(found["finish"]) == START + timedelta(seconds=6)  # both are open: 13:00, 17:30
    found = facts(capsys, "--between", "15-20")
    assert found["opens"] is None  # in India
    assert datetime.fromisoformat(found["finish"]) == START + timedelta(hours=2, seconds=6)
    assert main(arguments("--between", "15-20")) == 0
    out = capsys.readouterr().out
    assert "They go out between 15:00 and 20:00 by the clock of each marketplace.\n" in out
    assert "Begun now, the last one goes out at the latest at " in out
    write(*good(10), "902-99,A13V1IB3VIYZZH,hello")
    assert main(arguments("--between", "15-20")) == 0
    out = capsys.readouterr().out
    assert "the latest" not in out


def test_an_end_that_is_too_far_off(capsys: pytest.CaptureFixture[str]) -> None:
    """Beyond a century there is none."""
    write(*good(100))
    more = ["--max-per-day", "1", "--plan", f"{SEND}=1e-8/5"]
    found = facts(capsys, *more)
    assert (found["seconds"], found["finish"]) == (None, None)
    assert main(arguments(*more)) == 0
    out = capsys.readouterr().out
    assert "The good ones take more than a century: 5 at once, " in out
    assert "They go out at most 1 a day." in out
    assert "Begun now" not in out


@pytest.mark.parametrize(
    ("count", "plan", "words"),
    [
        (0, "1/5", "There is nothing to send."),
        (5, "1/5", f"They can go out at once: the usage plan of {SEND} has a burst of 5."),
        (7, "4/5", "take 0.5 s: 5 at once, then 4 a second, by"),
        (25, "0.0055/20", "take 15 min 9 s: 20 at once, then one in 3 min 2 s, by"),
        (8, "0.001/1", "take 1 h 56 min: 1 at once, then one in 16 min 40 s, by"),
        (25, "0.0001/1", "take 2 days 18 h: 1 at once, then one in 2 h 46 min, by"),
        (2, "0.00001/1", "take 1 day 3 h: 1 at once, then one in 1 day 3 h, by"),
        (2, "1e-15/1", "take more than a century: 1 at once, then one in "),
    ],
)
def test_durations_in_words(count: int, plan: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By the two largest units; a slow rate as the time from one to the next."""
    write(*good(count))
    assert main(arguments("--plan", f"{SEND}={plan}", "--plan", f"{CHECK}=1000/1000")) == 0
    assert words in capsys.readouterr().out


def test_another_day_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A time of day alone would mislead when the last message goes out days later."""
    write(*good(10))
    assert main(arguments("--plan", f"{SEND}=0.00001/1")) == 0
    finish = (START + timedelta(seconds=900_000)).astimezone()
    assert f"goes out on {finish:%A}, {finish:%Y-%m-%d}, at {finish:%H:%M:%S}." in capsys.readouterr().out


def test_rows_that_a_journal_knows(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is settled is not counted again; a journal that is not there yet knows nothing, and that is said."""
    write(*good(25))
    assert facts(capsys, "--journal", "messages.db")["good"] == 25
    assert main(arguments("--journal", "messages.db")) == 0
    assert "messages.db is not there yet" in capsys.readouterr().err
    assert not Path("messages.db").exists()
    anyio.run(_send, 10)
    monkeypatch.setenv("SPAPI_SELLING_PARTNER_ID", "A")
    found = facts(capsys, "--journal", "messages.db")
    assert (found["good"], found["settled"], found["seconds"]) == (15, 10, 10.0)
    assert facts(capsys, "--journal", "messages.db", "--selling-partner-id", "B")["good"] == 25
    assert facts(capsys, "--journal", "messages.db", "--retry-refused")["good"] == 16
    assert main(arguments("--journal", "messages.db")) == 0
    assert "\nmessages.csv, 25 rows: 15 good, 10 settled before.\n" in capsys.readouterr().out


async def _send(count: int) -> None:
    async with SqliteJournal(Path("messages.db")) as journal:
        run = await journal.start(Identity(refresh_token="Atzr|A", selling_partner_id="A"), KIND)
        with open_source("messages.csv", find_kind(KIND)) as source:
            await journal.add(run, [entry.row for entry in source.entries if entry.row][:count])
        first, *rows = await journal.claim(run, count)
        await journal.move(first, Move.REFUSE)
        for row in rows:
            await journal.move(await journal.move(row, Move.BEGIN), Move.ACCEPT)


def test_the_region_is_that_of_a_job(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`--region`, else SPAPI_REGION, makes rows of other regions invalid; with an endpoint none is."""
    write("902-1,A1PA6795UKMFR9,hello", "902-2,ATVPDKIKX0DER,hello")
    assert facts(capsys)["invalid"] == 0
    assert facts(capsys, "--region", "fe")["invalid"] == 2
    monkeypatch.setenv("SPAPI_REGION", "EU ")
    assert facts(capsys)["invalid"] == 1
    monkeypatch.setenv("SPAPI_ENDPOINT", "http://127.0.0.1:1")
    assert facts(capsys)["invalid"] == 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--kind", "confirmOrder"], "no kind is called 'confirmOrder'. Did you mean confirmOrderDetails?"),
        (["--plan", f"{SEND}s=1/1"], f"--plan {SEND}s: {KIND} calls only {SEND}, {CHECK} and {LOCALE}"),
        (["--journal", "messages.csv"], "the journal messages.csv cannot be read"),
        (["--between", "9am-8pm"], "'9am-8pm' are no hours of a day; write them as in 09:00-20:00"),
        (["--timezone", "Europe/Berln"], "no time zone is called 'Europe/Berln'. Did you mean Europe/Berlin"),
        (["--max-per-day", "0"], "at most 0 messages a day would be none"),
    ],
)
def test_wrong_use_is_one_clear_line(capsys: pytest.CaptureFixture[str], more: list[str], words: str) -> None:
    """Wrong arguments end with status 2 and one line."""
    write(*good(1), *[f"{'x' * 100},A1PA6795UKMFR9,hello"] * 20)
    assert main(arguments(*more)) == 2
    out, err = capsys.readouterr()
    [line] = err.splitlines()
    assert line.startswith("spapi-async: ")
    assert words in line
    assert not out


def test_a_file_or_a_region_that_cannot_be_used(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is status 2 and one line, as by `jobs run`."""
    assert main(arguments()) == 2
    assert "messages.csv cannot be read" in capsys.readouterr().err
    write(*good(1))
    monkeypatch.setenv("SPAPI_REGION", "mars")
    assert main(arguments()) == 2
    assert capsys.readouterr().err == "spapi-async: SPAPI_REGION must be one of na, eu, fe, not 'mars'\n"


def test_a_plan_that_cannot_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    """It ends with status 2 and says how one is written."""
    with pytest.raises(SystemExit, match="2"):
        main(arguments("--plan", f"{SEND}=0/5"))
    assert "is no plan as in messaging_v1.create_confirm_order_details=5/10" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX's")
def test_rows_of_several_selling_partners(capsys: pytest.CaptureFixture[str]) -> None:
    """With their credentials and a column of moments, the file is read as by a job; others must not read the tokens."""
    row = "902-1,A1PA6795UKMFR9,hello,A1SELLER,2026-12-01T09:00Z"
    Path("messages.csv").write_text(
        f"order_id,marketplace_id,text,selling_partner,when\n{row}\n{row.replace('902-1,', '902-2,').lower()}\n"
    )
    credentials = Path("sellers.toml")
    credentials.write_text('A1SELLER = "Atzr|5ecre7"')
    credentials.chmod(0o644)
    assert main(arguments("--json", "--credentials", "sellers.toml", "--not-before", "when")) == 0
    out, err = capsys.readouterr()
    assert (json.loads(out)["good"], json.loads(out)["invalid"]) == (1, 1)
    assert err == "spapi-async: others can read the refresh tokens in sellers.toml; chmod 600 sellers.toml\n"
    credentials.chmod(0o600)
    assert main(arguments("--credentials", "sellers.toml")) == 2
    assert "the column 'when' is unknown" in capsys.readouterr().err
    assert main(arguments("--not-before", "when")) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "the column 'selling_partner' is unknown without --credentials FILE" in line
    credentials.write_text("A1SELLER = Atzr|5ecre7")
    assert main(arguments("--credentials", "sellers.toml", "--not-before", "when")) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "sellers.toml: line 1 is no TOML" in line
    assert "5ecre7" not in line


def test_a_journal_of_several_selling_partners(capsys: pytest.CaptureFixture[str]) -> None:
    """With --credentials each row is looked up under its own selling partner."""

    async def fill() -> None:
        async with SqliteJournal(Path("messages.db")) as journal:
            for name in ("A1SELLER", "A2SELLER"):
                run = await journal.start(Identity(refresh_token=f"Atzr|{name}", selling_partner_id=name), KIND)
                if name == "A1SELLER":
                    body = {"marketplace_id": "A1PA6795UKMFR9", "text": "hello"}
                    row = Row(number=2, kind=KIND, order_id="902-0", body=body)
                    await journal.add(run, [row])
                    [row] = await journal.claim(run, 1)
                    await journal.move(row, Move.REFUSE, reason="no")

    anyio.run(fill)
    Path("sellers.json").write_text('{"A1SELLER": "Atzr|A1SELLER", "A2SELLER": "Atzr|A2SELLER"}')
    Path("sellers.json").chmod(0o600)
    [line] = good(1)
    write(f"{line},A1SELLER", f"{line},A2SELLER", header="order_id,marketplace_id,text,selling_partner")
    found = facts(capsys, "--credentials", "sellers.json", "--journal", "messages.db")
    assert (found["rows"], found["good"], found["settled"]) == (2, 1, 1)


def test_who_takes_longest_sets_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    """Selling partners are served side by side: the one that takes longest is told; a later moment is the end."""
    Path("sellers.json").write_text('{"A1SELLER": "Atzr|1", "A2SELLER": "Atzr|2"}')
    Path("sellers.json").chmod(0o600)
    lines = [f"{line},A{1 + (n >= 30)}SELLER," for n, line in enumerate(good(100))]
    write(*lines, header="order_id,marketplace_id,text,selling_partner,when")
    sellers = ("--credentials", "sellers.json", "--not-before", "when")
    assert main(arguments(*sellers)) == 0
    out = capsys.readouterr().out
    assert "The good ones take 1 min 5 s: 5 at once, then 1 a second" in out
    assert "for A2SELLER, who takes longest with 70 rows." in out
    found = facts(capsys, *sellers)
    assert (found["selling_partner"], found["seconds"], found["calls"][SEND]) == ("A2SELLER", 65.0, 100)
    later = START + timedelta(days=3)
    write(
        *lines[:-1],
        lines[0].replace("902-0,", "902-x,") + later.isoformat(),
        header="order_id,marketplace_id,text,selling_partner,when",
    )
    assert datetime.fromisoformat(facts(capsys, *sellers)["finish"]) == later
