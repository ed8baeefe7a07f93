from __future__ import annotations

import csv
import os
import platform
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from spapi_async import UsagePlan
from spapi_async.cli import main
from spapi_async.sandbox import SandboxProcess, start_process

DE = "A1PA6795UKMFR9"
FAST = UsagePlan(rate=100, burst=100)
PLANS = {
    "messaging_v1.get_messaging_actions_for_order": FAST,
    "messaging_v1.create_confirm_order_details": FAST,
}
GOOD = [f"902-0000003-{n:07},{DE},hello {n}" for n in range(3)]
NOT_OFFERED = f"000-0000403-0000001,{DE},hello"
AMAZON_FAILS = f"000-0000500-0000001,{DE},hello"


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxProcess]:
    with start_process(plans=PLANS) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(server: SandboxProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SandboxProcess:
    server.reset()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPAPI_CLIENT_ID", "id")
    monkeypatch.setenv("SPAPI_CLIENT_SECRET", "secret")
    monkeypatch.setenv("SPAPI_REFRESH_TOKEN", "Atzr|SELLER1")
    monkeypatch.setenv("SPAPI_ENDPOINT", server.endpoint)
    monkeypatch.setenv("SPAPI_LWA_ENDPOINT", server.lwa_endpoint)
    return server


def write(*lines: str, name: str = "messages.csv", header: str = "order_id,marketplace_id,text") -> None:
    Path(name).write_text("\n".join([header, *lines, ""]), encoding="utf-8")


def arguments(*more: str, source: str = "messages.csv") -> Sequence[str]:
    plans = [part for name in PLANS for part in ("--plan", f"{name}=100/100")]
    return ["jobs", "run", source, "--kind", "confirmOrderDetails", "--journal", "messages.db", *plans, *more]


def test_all_sent_is_status_0(sandbox: SandboxProcess, capsys: pytest.CaptureFixture[str]) -> None:
    """When every row was sent the status is 0, and no file of refused rows is there."""
    write(*GOOD)
    assert main(arguments()) == 0
    assert len(sandbox.messages()) == 3
    out, err = capsys.readouterr()
    assert out.startswith("messages.csv, 3 lines in ")
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
    assert out[0].startswith("line 2: a message of this kind was sent for this order already, with another text")
    assert "1 sent, 1 sent before, 0 refused by Amazon, 0 invalid, 1 duplicate" in out[1]
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
    assert "1 row waits" in err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--kind", "confirmOrder"], "no kind is called 'confirmOrder'. Did you mean confirmOrderDetails?"),
        (["--journal", "nowhere/messages.db"], "nowhere/messages.db.lock cannot be written"),
        (["--journal", "messages.csv"], "the journal messages.csv cannot be used"),
        (["--sandbox", "--endpoint", "http://127.0.0.1:1"], "--sandbox brings its own endpoints"),
        (["--sandbox-plan", "x=1/1"], "--sandbox-plan needs --sandbox"),
        (["--plan", "messaging.x=1/1"], "there is no operation 'messaging.x'"),
        (["--endpoint", "127.0.0.1"], "endpoint must be a URL"),
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
        ("", "messages.csv is empty"),
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


def test_bytes_that_are_no_text_stop_before_anything_is_sent(
    sandbox: SandboxProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole file is read before the first row is sent."""
    write(*GOOD)
    with Path("messages.csv").open("ab") as file:
        file.write(b"902-0000003-0000007,A1PA6795UKMFR9,gr\xfcn\n")
    assert main(arguments()) == 2
    assert "line 5 holds the byte 0xfc" in capsys.readouterr().err
    assert not sandbox.messages()


def test_the_sandbox_needs_no_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--sandbox` starts a sandbox for the run, and needs nothing from the environment."""
    monkeypatch.chdir(tmp_path)
    write(*GOOD)
    assert main(arguments("--sandbox", *(p for name in PLANS for p in ("--sandbox-plan", f"{name}=100/100")))) == 0
    assert "3 sent" in capsys.readouterr().out


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
    assert err == "spapi-async: interrupted; run the same command again to go on\n"
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
