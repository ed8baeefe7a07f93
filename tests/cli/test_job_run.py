from __future__ import annotations

import csv
import gzip
import io
import os
import platform
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from spapi_async.cli import main
from spapi_async.retry import RetryPolicy
from spapi_async.sandbox import SandboxProcess, start_process

from .job_commands import AMAZON_FAILS, DE, GOOD, NOT_OFFERED, PLANS, arguments, write


def test_all_sent_is_status_0(sandbox: SandboxProcess, capsys: pytest.CaptureFixture[str]) -> None:
    """When every row was sent the status is 0, and no file of refused rows is there."""
    write(*GOOD)
    assert main(arguments()) == 0
    assert len(sandbox.messages()) == 3
    out, err = capsys.readouterr()
    host = sandbox.endpoint.removeprefix("http://")
    assert out.startswith(f"messages.csv: CSV separated by commas, UTF-8; to {host}\nmessages.csv, 3 lines in ")
    assert out.endswith("3 sent, 0 refused by Amazon, 0 invalid, 0 duplicate, 0 in doubt.\n")
    assert not err
    assert not Path("messages.refused.csv").exists()


def test_refused_rows_are_status_1_and_a_file_to_mend(
    sandbox: SandboxProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bad lines are told and written to a file; mended, that file is run with the same journal."""
    write(*GOOD, f"902-0000003-0000009,{DE},<b>hi</b>", GOOD[0], NOT_OFFERED)
    assert main(arguments()) == 1
    assert len(sandbox.messages()) == 3
    out, _ = capsys.readouterr()
    assert "line 5: text: holds HTML → write plain text" in out
    assert "line 6: line 2 is for the same order already" in out
    assert "3 sent, 1 refused by Amazon, 1 invalid, 1 duplicate" in out
    with Path("messages.refused.csv").open(encoding="utf-8", newline="") as file:
        refused = list(csv.DictReader(file))
    assert [(row["line"], row["order_id"][-4:]) for row in refused] == [("5", "0009"), ("6", "0000"), ("7", "0001")]
    assert all(row["reason"] and row["cure"] for row in refused)
    mended = Path("messages.refused.csv").read_text(encoding="utf-8").replace("<b>hi</b>", "hi")
    Path("messages.refused.csv").write_text(mended, encoding="utf-8")
    assert main(arguments(source="messages.refused.csv")) == 1
    out, _ = capsys.readouterr()
    assert "1 sent, 1 sent before, 1 refused by Amazon, 0 invalid" in out


def test_the_same_command_again_sends_nothing_twice(
    sandbox: SandboxProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was sent before is counted, what was refused before is told again, a changed text is a duplicate."""
    write(*GOOD, NOT_OFFERED)
    main(arguments())
    assert main(arguments()) == 1
    out = capsys.readouterr().out.splitlines()
    assert "line 5: Amazon does not offer confirmOrderDetails for this order now" in out[-3]
    assert "0 sent, 3 sent before, 1 refused by Amazon" in out[-2]
    write(GOOD[0] + " changed", GOOD[1], GOOD[2] + ",2", header="order_id,marketplace_id,text,key")
    Path("messages.csv").write_text(
        f"order_id,marketplace_id,text,key\n{GOOD[0]} changed,\n{GOOD[1]},\n{GOOD[2]},second\n", encoding="utf-8"
    )
    assert main(arguments()) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[1].startswith("line 2: a message of this kind was sent for this order already, with another text")
    assert "1 sent, 1 sent before, 0 refused by Amazon, 0 invalid, 1 duplicate" in out[2]
    assert len(sandbox.messages()) == 4


def test_rows_in_doubt_are_status_3(sandbox: SandboxProcess, capsys: pytest.CaptureFixture[str]) -> None:
    """What may have been sent is listed, in this run and in later ones, and not sent again."""
    write(*GOOD)
    main(arguments())
    with closing(sqlite3.connect("messages.db")) as journal, journal:
        # As a process leaves it that was killed: its lock is gone.
        dead = (platform.node(), "messages.db.0123456789abcdef.lock")
        journal.execute("INSERT INTO owner (id, host, pid, lock, until) VALUES (99, ?, 1, ?, 1e12)", dead)
        journal.execute(
            "UPDATE row SET state = 'SENDING', owner = 99, settled = NULL, body = '{}' WHERE order_id LIKE '%2'"
        )
    capsys.readouterr()
    for _ in range(2):
        assert main(arguments()) == 3
        out, _ = capsys.readouterr()
        assert "line 4: order 902-0000003-0000002: the program ended, or slept, while the message was under way" in out
        assert "Seller Central" in out
    assert len(sandbox.messages()) == 3


def test_a_row_without_an_answer_waits_for_the_next_run(
    sandbox: SandboxProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row whose check Amazon could not answer is neither sent nor refused, and the status is 2."""
    write(*GOOD, AMAZON_FAILS)
    assert main(arguments()) == 2
    out, err = capsys.readouterr()
    assert "3 sent, 0 refused by Amazon, 0 invalid, 0 duplicate, 0 in doubt, 1 still waiting" in out
    assert "; 1 still waiting: " in err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--kind", "confirmOrder"], "no kind is called 'confirmOrder'. Did you mean confirmOrderDetails?"),
        (["--kind", "amazonMotors"], "amazonMotors was withdrawn by Amazon 2026-01-30; --withdrawn tries it"),
        (
            ["--journal", "nowhere/messages.db"],
            "the journal nowhere/messages.db cannot be made: there is no folder nowhere",
        ),
        (["--journal", "messages.csv"], "the journal messages.csv cannot be used"),
        (["--sandbox", "--endpoint", "http://127.0.0.1:1"], "--sandbox brings its own endpoints"),
        (["--sandbox-plan", "x=1/1"], "--sandbox-plan needs --sandbox"),
        (["--plan", "messaging.x=1/1"], "there is no operation 'messaging.x'"),
        (["--endpoint", "127.0.0.1"], "endpoint must be a URL"),
        (["--refused", "./messages.csv"], "--refused would replace messages.csv"),
        (["--encoding", "base64"], "no encoding is called 'base64'"),
        (["--template", "Hello {name}"], "the column name is missing, has a column text, and the template makes"),
        (["--template", "Hello {name"], "line 1 has a { alone"),
        (["--template", "Hello {reason}"], "names {reason}, which a column of yours cannot be called"),
        (["--template", "<b>{name}</b>"], "the template holds HTML; write plain text"),
        (["--template-file", "de=messages.csv"], "give another one for all other buyers"),
        (["--template-file", "messages.csv", "--template", "x"], "two templates are given for all buyers"),
        (["--template-file", "nowhere.txt"], "nowhere.txt cannot be read"),
        (["--max-per-day", "0"], "at most 0 messages a day would be none"),
        (["--attachments-dir", "nowhere"], "--attachments-dir: there is no folder nowhere"),
        (["--kind", "productReviewAndSellerFeedback"], "messages.csv: the column 'text' is unknown; product"),
        (["--credentials", "x", "--selling-partner-id", "A1"], "--selling-partner-id is for one selling partner"),
    ],
)
def test_wrong_use_is_one_clear_line(
    sandbox: SandboxProcess, capsys: pytest.CaptureFixture[str], more: list[str], words: str
) -> None:
    """Wrong arguments end with status 2 and one line, and nothing is sent."""
    write(*GOOD)
    assert main(arguments(*more)) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("spapi-async: ")
    assert words in line
    assert not sandbox.messages()


def test_wrong_usage_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    """An option that is missing or wrong is one line; the list of all options is left to --help."""
    with pytest.raises(SystemExit) as stopped:
        main(["jobs", "run", "messages.csv"])
    assert stopped.value.code == 2
    words = "the following arguments are required: --kind, --journal; see spapi-async jobs run --help"
    assert capsys.readouterr().err == f"spapi-async jobs run: error: {words}\n"


@pytest.mark.parametrize("source", [".", "/"])
def test_a_folder_is_no_source(sandbox: SandboxProcess, capsys: pytest.CaptureFixture[str], source: str) -> None:
    """A folder in the place of the file is one line."""
    assert main(arguments(source=source)) == 2
    assert capsys.readouterr().err == f"spapi-async: {source} is a folder; name a file, or - for standard input\n"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SPAPI_CLIENT_ID", "", "missing from the environment: SPAPI_CLIENT_ID"),
        ("SPAPI_CLIENT_SECRET", "wrong", "invalid_client"),
        ("SPAPI_REFRESH_TOKEN", "Atzr|SELLER1|revoked", "invalid_grant"),
        ("SPAPI_ENDPOINT", "http://127.0.0.1:1", "127.0.0.1:1"),
        ("SPAPI_LWA_ENDPOINT", "http://127.0.0.1:1/token", "127.0.0.1:1"),
    ],
)
def test_what_keeps_every_row_from_being_sent_is_one_clear_line(
    sandbox: SandboxProcess,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    words: str,
) -> None:
    """A wrong credential or a host that cannot be reached stops the job with one line; mended, it goes on."""
    monkeypatch.setattr("spapi_async.client.LWA_POLICY", RetryPolicy(max_attempts=2, base_delay=0))
    write(*GOOD)
    right = os.environ[name]
    monkeypatch.setenv(name, value)
    assert main(arguments()) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("spapi-async: ")
    assert words in line
    assert not sandbox.messages()
    monkeypatch.setenv(name, right)
    assert main(arguments()) == 0
    assert len(sandbox.messages()) == 3


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "messages.csv: it is empty"),
        ("order_id,text\n", "the column marketplace_id is missing"),
        ("order_id,marketplace_id,text,color\n", "the column 'color' is unknown"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_clear_line(
    sandbox: SandboxProcess, capsys: pytest.CaptureFixture[str], content: str, words: str
) -> None:
    """A fault of the file as a whole ends with status 2 before a journal is made."""
    Path("messages.csv").write_text(content, encoding="utf-8")
    assert main(arguments()) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert words in line
    assert not Path("messages.db").exists()


def test_a_source_that_breaks_off_stops_before_anything_is_sent(
    sandbox: SandboxProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole source is read before the first row is sent."""
    write(*GOOD)
    Path("messages.csv.gz").write_bytes(gzip.compress(Path("messages.csv").read_bytes())[:-9])
    assert main(arguments(source="messages.csv.gz")) == 2
    assert "messages.csv.gz is packed by gzip and damaged" in capsys.readouterr().err
    assert not sandbox.messages()


def test_standard_input_in_any_encoding(
    sandbox: SandboxProcess, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`-` is read once; what it was found to be is told, and refused rows go into the working folder, or elsewhere."""
    content = "\n".join(["order_id;marketplace_id;text", *(row.replace(",", ";") for row in GOOD)]) + "\n;;grün"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode("cp1252"))))
    assert main(arguments(source="-")) == 1
    out, _ = capsys.readouterr()
    assert out.startswith("standard input: CSV separated by semicolons, Windows-1252, since line 5 is no UTF-8; if")
    assert "standard input, 4 lines" in out
    assert Path("stdin.refused.csv").read_text(encoding="utf-8").startswith("order_id,marketplace_id,text,line,")
    assert len(sandbox.messages()) == 3
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
    assert main(arguments("--refused", "bad.csv", source="-")) == 1
    assert "grün" in Path("bad.csv").read_text(encoding="utf-8")


def test_a_template_makes_the_texts(sandbox: SandboxProcess, capsys: pytest.CaptureFixture[str]) -> None:
    """Texts come from a template, and refused rows have the source's columns, to be run again by the same command."""
    orders = [f"902-0000003-{n:07},{DE},Lamp {n}" for n in range(3)]
    write(*orders, NOT_OFFERED, f"902-0000003-0000009,{DE},", header="order_id,marketplace_id,product")
    assert main(arguments("--template", "Which size of {Product}?")) == 1
    assert {message["text"] for message in sandbox.messages()} == {f"Which size of Lamp {n}?" for n in range(3)}
    assert "line 6: product: is empty, and the template puts it into the text" in capsys.readouterr().out
    assert Path("messages.refused.csv").read_text(encoding="utf-8").splitlines()[0:2] == [
        "order_id,marketplace_id,product,line,reason,cure",
        NOT_OFFERED + ",5,Amazon does not offer confirmOrderDetails for this order now,"
        '"wait until the order allows it, then run it again with --retry-refused"',
    ]
    Path("text.txt").write_text("Which size of {product}?\n", encoding="utf-8")
    more = ["--template-file", "text.txt", "--template-file", "de=text.txt"]
    assert main(arguments(*more, source="messages.refused.csv")) == 1


def test_the_sandbox_needs_no_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--sandbox` starts a sandbox for the run, and needs nothing from the environment."""
    monkeypatch.chdir(tmp_path)
    write(*GOOD)
    assert main(arguments("--sandbox", *(p for name in PLANS for p in ("--sandbox-plan", f"{name}=100/100")))) == 0
    assert "3 sent" in capsys.readouterr().out


def test_invoices_reach_their_buyers(sandbox: SandboxProcess, capsys: pytest.CaptureFixture[str]) -> None:
    """Files are looked at before anything is sent, uploaded, and shown under their names; a mended one is sent."""
    Path("files").mkdir()
    Path("files/1.pdf").write_bytes(b"%PDF-1.7 one")
    Path("files/2.pdf").write_bytes(b"no PDF")
    header = "order_id,marketplace_id,attachments"
    write(f"902-0000003-0000001,{DE},1.pdf|Rechnung.pdf", f"902-0000003-0000002,{DE},2.pdf", header=header)
    invoices = ["jobs", "run", "messages.csv", "--kind", "invoice", "--journal", "messages.db"]
    assert main([*invoices, "--attachments-dir", "files"]) == 1
    assert "line 3: attachments: file 1 is no pdf inside" in capsys.readouterr().out
    Path("files/2.pdf").write_bytes(b"%PDF-1.7 two")
    assert main([*invoices, "--attachments-dir", "files"]) == 0
    first, second = sandbox.messages()
    assert [file["file_name"] for file in first["attachments"] + second["attachments"]] == ["Rechnung.pdf", "2.pdf"]
    assert [message["order_id"][-1] for message in (first, second)] == ["1", "2"]


def test_a_warranty_has_its_dates(sandbox: SandboxProcess) -> None:
    """A warranty reaches its buyer with its file and the times of its coverage; a time without a zone stays here."""
    Path("terms.docx").write_bytes(b"PK\x03\x04 terms")
    header = "order_id,marketplace_id,attachments,coverage_start_date,coverage_end_date"
    row = f"{DE},terms.docx,2026-01-01T00:00:00+01:00"
    write(f"902-0000003-0000001,{row},2028-01-01T00:00:00Z", f"902-0000003-0000002,{row},2028-01-01", header=header)
    assert main(["jobs", "run", "messages.csv", "--kind", "warranty", "--journal", "messages.db"]) == 1
    [message] = sandbox.messages()
    assert message["coverage"] == ["2026-01-01T00:00:00+01:00", "2028-01-01T00:00:00+00:00"]
    assert message["attachments"][0]["size"] == 10


def test_a_review_is_asked_for_in_its_time(sandbox: SandboxProcess, capsys: pytest.CaptureFixture[str]) -> None:
    """A solicitation that came too early tells from when on it may be tried again; then it goes out, once."""
    now = datetime.now(UTC)
    sandbox.set_delivery("902-0000003-0000002", now - timedelta(days=1))
    early = (now - timedelta(days=1)).isoformat(timespec="seconds")
    header = "order_id,marketplace_id,earliest_delivery_date"
    write(f"902-0000003-0000001,{DE},", f"902-0000003-0000002,{DE},{early}", header=header)
    reviews = ["jobs", "run", "messages.csv", "--kind", "productReviewAndSellerFeedback", "--journal", "messages.db"]
    assert main(reviews) == 1
    opens = (now + timedelta(days=4)).isoformat(timespec="seconds")
    assert f"it may be tried again from {opens}" in capsys.readouterr().out
    sandbox.set_delivery("902-0000003-0000002", now - timedelta(days=6))
    assert main([*reviews, "--retry-refused"]) == 0
    assert "1 sent, 1 sent before" in capsys.readouterr().out
    assert [message["kind"] for message in sandbox.messages()] == ["productReviewAndSellerFeedback"] * 2


def test_a_job_outlives_whoever_reads_its_output(sandbox: SandboxProcess) -> None:
    """When the other end of the pipe is closed, as by `head`, everything is sent all the same."""
    write(f"902-0000003-0000009,{DE},", *GOOD)
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "spapi_async", *arguments()]
    process = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=30)
    os.close(writer)
    assert (process.returncode, process.stderr) == (1, "")
    assert len(sandbox.messages()) == 3


def test_a_job_outlives_a_stream_that_knows_few_letters(sandbox: SandboxProcess) -> None:
    """An output that cannot show an arrow, as on Windows in a pipe, gets an escape instead, and the job goes on."""
    write(f"902-0000003-0000009,{DE},", *GOOD)
    command = [sys.executable, "-m", "spapi_async", *arguments()]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert (process.returncode, process.stderr) == (1, "")
    assert r"line 2: text: is empty \u2192 write" in process.stdout
    assert len(sandbox.messages()) == 3


def test_a_job_needs_no_output(sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its standard output closed, as some supervisors start programs, a job is done all the same."""
    write(*GOOD)
    monkeypatch.setattr(sys, "stdout", None)
    assert main(arguments()) == 0
    sys.stdout.close()
    assert len(sandbox.messages()) == 3


def test_an_unreachable_host_is_one_line_though_it_is_tried_again(sandbox: SandboxProcess) -> None:
    """The repeats of each row in hand, which the logger tells a program of yours, do not fill the screen."""
    write(*GOOD)
    command = [sys.executable, "-m", "spapi_async", *arguments("--endpoint", "http://127.0.0.1:1")]
    process = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert process.returncode == 2
    [line] = process.stderr.splitlines()
    assert line.startswith("spapi-async: stopped: ")
    assert "3 rows wait" in line


@pytest.mark.parametrize("number", ["0", "-1", "x", "999999999999"])
def test_rows_in_hand_have_a_limit(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows in hand are 1 to 10,000: each is a task, and a slip of the finger must not fill the memory."""
    with pytest.raises(SystemExit, match="2"):
        main(arguments("--concurrency", number))
    assert "is no number from 1 to 10000" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c(tmp_path: Path, times: int) -> None:
    """The first Ctrl-C lets messages under way end; the second ends them as in doubt. Both say how to go on."""
    source, journal = tmp_path / "messages.csv", tmp_path / "messages.db"
    source.write_text("\n".join(["order_id,marketplace_id,text", *GOOD]), encoding="utf-8")
    with start_process(plans=PLANS, latency=1.0) as sandbox:
        environment = {
            **os.environ,
            "SPAPI_CLIENT_ID": "id",
            "SPAPI_CLIENT_SECRET": "secret",
            "SPAPI_REFRESH_TOKEN": "Atzr|SELLER1",
            "SPAPI_ENDPOINT": sandbox.endpoint,
            "SPAPI_LWA_ENDPOINT": sandbox.lwa_endpoint,
        }
        command = [sys.executable, "-m", "spapi_async", "jobs", "run", str(source), "--kind", "confirmOrderDetails"]
        command += ["--journal", str(journal), "--concurrency", "1"]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        _wait_for_sending(journal)
        for _ in range(times):
            process.send_signal(signal.SIGINT)
            time.sleep(0.1)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert err == "spapi-async: interrupted; to go on: run the same command again\n"
    assert "Press Ctrl-C again" in out
    with closing(sqlite3.connect(journal)) as connection:
        states = [state for (state,) in connection.execute("SELECT state FROM row ORDER BY number")]
    assert states == ["SENT" if times == 1 else "IN_DOUBT", "READY", "READY"]


def _wait_for_sending(journal: Path) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if journal.exists():
            with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as connection:
                try:
                    if connection.execute("SELECT 1 FROM row WHERE state = 'SENDING'").fetchone():
                        return
                except sqlite3.OperationalError:
                    pass
        time.sleep(0.02)
    raise AssertionError("no row was sent")


def test_a_dry_run_sends_nothing(sandbox: SandboxProcess, capsys: pytest.CaptureFixture[str]) -> None:
    """With --dry-run Amazon is asked for each order, and nothing is sent or kept; it says what it would take."""
    write(*GOOD, NOT_OFFERED, f"902-0000003-0000009,{DE},<b>hi</b>")
    assert main(arguments("--dry-run")) == 1
    out = capsys.readouterr().out
    assert "line 5: Amazon does not offer confirmOrderDetails for this order now" in out
    assert "line 6: text: holds HTML" in out
    assert "3 would be sent, 1 refused by Amazon, 1 invalid" in out
    assert "To send them would take 0:00 by the usage plan." in out
    assert not sandbox.messages()
    assert not Path("messages.db").exists()
    main(arguments())
    assert len(sandbox.messages()) == 3
    capsys.readouterr()
    assert main(arguments("--dry-run")) == 1
    assert "0 would be sent, 3 sent before, 1 refused by Amazon" in capsys.readouterr().out


THEIRS = [f"902-{n % 2:07}-{n:07},{DE},hello {n},A{n % 2}SELLER" for n in range(6)]
WITH_SELLERS = "order_id,marketplace_id,text,selling_partner"


@pytest.fixture
def sellers(sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("SPAPI_REFRESH_TOKEN")
    path = Path("sellers.toml")
    path.write_text('A0SELLER = "Atzr|A0SELLER"\nA1SELLER = "Atzr|A1SELLER"\n', encoding="utf-8")
    path.chmod(0o600)
    return path


def test_rows_of_several_selling_partners(
    sandbox: SandboxProcess, sellers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --credentials each row is sent for who stands in its column; who is not in the file is told."""
    write(*THEIRS, f"902-1,{DE},hello,A2SELLER", header=WITH_SELLERS)
    assert main(arguments("--credentials", "sellers.toml")) == 1
    out, err = capsys.readouterr()
    assert "line 8: selling_partner: 'A2SELLER' is not in the credentials" in out
    assert "6 sent, 0 refused by Amazon, 1 invalid" in out
    assert not err
    assert Counter(message["seller"] for message in sandbox.messages()) == {"A0SELLER": 3, "A1SELLER": 3}


def test_one_selling_partner_stops_alone(
    sandbox: SandboxProcess, sellers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A refresh token that is refused stops one selling partner; one line names it, and the others' rows are sent."""
    sellers.write_text(sellers.read_text(encoding="utf-8").replace("|A1SELLER", "|A1SELLER.invalid"), encoding="utf-8")
    write(*THEIRS, header=WITH_SELLERS)
    assert main(arguments("--credentials", "sellers.toml")) == 2
    out, err = capsys.readouterr()
    assert "3 sent" in out
    assert "3 still waiting" in out
    assert err.startswith("spapi-async: stopped: A1SELLER: ")
    assert "invalid_grant" in err
    assert err.count("\n") == 1


def test_credentials_that_others_can_read_are_told(
    sandbox: SandboxProcess, sellers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of refresh tokens with a mode for everybody is one warning, with the cure."""
    sellers.chmod(0o644)
    write(*THEIRS, header=WITH_SELLERS)
    assert main(arguments("--credentials", "sellers.toml")) == 0
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith("chmod 600 sellers.toml")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_credentials_by_a_pipe(sandbox: SandboxProcess, sellers: Path) -> None:
    """Refresh tokens may come by a pipe, which can be read once only: as in --credentials <(decrypt sellers.toml)."""
    write(*THEIRS, header=WITH_SELLERS)
    reading, writing = os.pipe()
    try:
        os.write(writing, sellers.read_bytes())
        os.close(writing)
        assert main(arguments("--credentials", f"/dev/fd/{reading}")) == 0
    finally:
        os.close(reading)
    assert len(sandbox.messages()) == len(THEIRS)


def test_rows_wait_for_their_moment(sandbox: SandboxProcess, capsys: pytest.CaptureFixture[str]) -> None:
    """With --not-before a row waits for the time in its column, and the job for the row."""
    soon = datetime.now(UTC) + timedelta(seconds=2)
    write(f"{GOOD[0]},{soon.isoformat()}", f"{GOOD[1]},", header="order_id,marketplace_id,text,when")
    assert main(arguments("--not-before", "when")) == 0
    assert [message["order_id"][-1] for message in sandbox.messages()] == ["1", "0"]
    assert datetime.now(UTC) >= soon


def test_an_order_takes_one_solicitation(sandbox: SandboxProcess, capsys: pytest.CaptureFixture[str]) -> None:
    """Of solicitations a second line for an order has no other cure than to remove it: no key tells them apart."""
    write(f"902-0000003-0000000,{DE}", f"902-0000003-0000000,{DE}", header="order_id,marketplace_id")
    assert main(arguments(kind="productReviewAndSellerFeedback")) == 1
    assert "line 3: line 2 is for the same order already → remove the line\n" in capsys.readouterr().out


def test_by_the_clock_of_the_marketplace(sandbox: SandboxProcess, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --timezone the hours are those of each row's marketplace; `resume` keeps to them too."""
    now = datetime.now(ZoneInfo("Europe/Berlin"))
    hours = f"{(now - timedelta(hours=1)):%H:%M}-{(now + timedelta(hours=2)):%H:%M}"
    write(*GOOD)
    assert main(arguments("--between", hours)) == 0
    assert len(sandbox.messages()) == 3
    assert main(["jobs", "resume", "messages.db"]) == 0
    assert "3 sent before" in capsys.readouterr().out


def test_at_night_a_job_waits_and_can_be_interrupted(sandbox: SandboxProcess) -> None:
    """With --between a job outside of the hours sends nothing, and Ctrl-C ends its wait at once."""
    now = datetime.now(UTC)
    hours = f"{(now + timedelta(hours=2)):%H:%M}-{(now + timedelta(hours=3)):%H:%M}"
    write(*GOOD)
    command = [sys.executable, "-m", "spapi_async", *arguments("--between", hours, "--timezone", "UTC")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 20
    while time.monotonic() < end and not _is_loaded(Path("messages.db")):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "3 still waiting" in out
    assert not sandbox.messages()


def _is_loaded(journal: Path) -> bool:
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as connection:
        return bool(connection.execute("SELECT count(*) FROM job WHERE loaded IS NOT NULL").fetchone()[0])
    return False


def test_texts_are_kept_if_asked(sandbox: SandboxProcess) -> None:
    """Texts are dropped when their row is settled, unless --keep-bodies is given."""
    for name, options in ("messages.db", ()), ("kept.db", ("--keep-bodies", "--journal", "kept.db")):
        sandbox.reset()
        write(*GOOD)
        assert main(arguments(*options)) == 0
        with closing(sqlite3.connect(name)) as connection:
            bodies = [body for (body,) in connection.execute("SELECT body FROM row")]
        assert all(bodies) if options else not any(bodies)
