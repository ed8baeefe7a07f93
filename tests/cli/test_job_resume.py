from __future__ import annotations

import csv
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from spapi_async.cli import main
from spapi_async.cli.jobs.telling import Telling
from spapi_async.sandbox import SandboxProcess

from .job_commands import DE, GOOD, NOT_OFFERED, arguments, write


def resume(*more: str) -> int:
    return main(["jobs", "resume", "messages.db", *more])


def make_wait(*order_ids: str) -> None:
    """Let rows wait that were settled, as those of a job that was interrupted."""
    marks = ", ".join("?" * len(order_ids))
    query = (
        "UPDATE row SET state = 'READY', settled = NULL, body = json_object('marketplace_id', ?, 'text', 'hello') "
        f"WHERE order_id IN ({marks})"
    )
    with closing(sqlite3.connect("messages.db", isolation_level=None)) as connection:
        connection.execute(query, (DE, *order_ids))


def test_what_waits_is_sent_without_the_file(sandbox: SandboxProcess, capsys: pytest.CaptureFixture[str]) -> None:
    """`resume` sends by what the journal has: rows, endpoint, plans and concurrency; the source may be gone."""
    write(*GOOD)
    main(arguments("--name", "spring", "--concurrency", "2"))
    Path("messages.csv").unlink()
    sandbox.reset()
    make_wait("902-0000003-0000001")
    capsys.readouterr()
    assert resume() == 0
    out = capsys.readouterr().out
    assert out.startswith("job 1 (spring) of messages.db, begun ")
    assert "job 1 (spring), 3 lines in 0:0" in out
    assert "1 sent, 2 sent before, 0 refused by Amazon" in out
    assert [message["order_id"] for message in sandbox.messages()] == ["902-0000003-0000001"]


def test_who_sells_is_that_of_the_first_run(sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """The selling partner id of the first run need not be given again, also with a new refresh token."""
    write(*GOOD)
    main(arguments("--selling-partner-id", "A1EXAMPLE"))
    make_wait("902-0000003-0000001")
    assert resume() == 0
    make_wait("902-0000003-0000002")
    monkeypatch.setenv("SPAPI_REFRESH_TOKEN", "Atzr|SELLER1.anew")
    assert resume() == 0
    assert len(sandbox.messages()) == 5


def test_refused_rows_join_those_of_the_first_run(sandbox: SandboxProcess, capsys: pytest.CaptureFixture[str]) -> None:
    """The file of refused rows keeps what the first run wrote, and gets what this one adds, in the order of lines."""
    write(*GOOD, NOT_OFFERED, f"902-0000003-0000009,{DE},<b>hi</b>")
    main(arguments())
    make_wait(NOT_OFFERED.split(",")[0])
    lines = Path("messages.refused.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    Path("messages.refused.csv").write_text(lines[0] + lines[2], encoding="utf-8")
    assert resume("1") == 1
    with Path("messages.refused.csv").open(encoding="utf-8", newline="") as file:
        assert [(row["line"], row["text"]) for row in csv.DictReader(file)] == [("5", "hello"), ("6", "<b>hi</b>")]


def test_the_file_of_refused_rows_after_a_kill(
    sandbox: SandboxProcess, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the source had to refuse is in it before a message goes out; that what Amazon refused is not, is told."""
    write(*GOOD, NOT_OFFERED, f"902-0000003-0000009,{DE},<b>hi</b>")
    with monkeypatch.context() as patch:
        patch.setattr(Telling, "write", lambda telling: None)  # the end, which a killed run does not reach
        main(arguments())
    with Path("messages.refused.csv").open(encoding="utf-8", newline="") as file:
        assert [row["line"] for row in csv.DictReader(file)] == ["6"]
    capsys.readouterr()
    assert resume() == 1
    assert capsys.readouterr().out.endswith(
        "messages.refused.csv; 1 more, refused in an earlier run or by another process: "
        "`spapi-async jobs report messages.db 1`\n"
    )


def test_a_source_that_was_not_read_to_its_end(sandbox: SandboxProcess, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a job that was interrupted while its file was read not all rows are known: its own command goes on with it."""
    write(*GOOD)
    main(arguments())
    with closing(sqlite3.connect("messages.db", isolation_level=None)) as connection:
        connection.execute("UPDATE job SET loaded = NULL")
    capsys.readouterr()
    assert resume() == 2
    assert "run the command again that began it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("journal", "job", "words"),
    [
        ("nowhere.db", "1", "there is no journal nowhere.db"),
        ("messages.db", "7", "the journal has no job 7; `spapi-async jobs list` shows"),
        ("messages.csv", "1", "cannot be read"),
    ],
)
def test_a_job_that_is_not_there(
    sandbox: SandboxProcess, capsys: pytest.CaptureFixture[str], journal: str, job: str, words: str
) -> None:
    """A journal or a job that does not exist is one clear line, and no file is made."""
    write(*GOOD)
    main(arguments())
    capsys.readouterr()
    assert main(["jobs", "resume", journal, job]) == 2
    out, err = capsys.readouterr()
    assert words in err
    assert not out
    assert not Path("nowhere.db").exists()
