from __future__ import annotations

import platform
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from spapi_async.cli import main
from spapi_async.sandbox import Faults, SandboxProcess, start_process

from .job_commands import DE, GOOD, PLANS, SOLICITATIONS, arguments, write

SEND = "messaging_v1.create_confirm_order_details"
LOST = ["drop-after", "drop-before", "ok"]


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxProcess]:
    """In place of the one without faults: of each operation the first call is done and lost, the second only lost."""
    with start_process(plans=PLANS, faults=Faults(script={SEND: LOST, SOLICITATIONS: LOST})) as sandbox:
        yield sandbox


def doubt(*more: str) -> int:
    return main(["jobs", "doubt", "messages.db", *more])


def run_messages() -> None:
    write(*GOOD)
    main(arguments("--concurrency", "1"))


def test_messages_are_for_a_person_to_decide(sandbox: SandboxProcess, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows in doubt are listed with order, reason and moment; --sent and --resend settle them, each by --order."""
    run_messages()
    capsys.readouterr()
    assert doubt() == 3
    out = capsys.readouterr().out
    assert out.startswith("2 rows are in doubt in job 1.\n  line 2: order 902-0000003-0000000: it may have been done")
    assert "(since 20" in out
    assert "2 rows left for you to decide" in out
    assert doubt("--order", "902-0000003-0000000", "--sent") == 0
    assert "1 row counts as sent now" in capsys.readouterr().out
    assert doubt("--resend") == 0
    assert "`spapi-async jobs resume messages.db 1` sends it" in capsys.readouterr().out
    assert doubt() == 0
    assert capsys.readouterr().out == "0 rows are in doubt in job 1.\n"
    assert main(["jobs", "resume", "messages.db"]) == 0
    assert sorted(message["order_id"][-1] for message in sandbox.messages()) == ["0", "1", "2"]


def test_of_solicitations_amazon_tells(sandbox: SandboxProcess, capsys: pytest.CaptureFixture[str]) -> None:
    """Amazon's list says whether a solicitation was sent; what was not waits, and `resume` sends it."""
    write(*[line.rpartition(",")[0] for line in GOOD], header="order_id,marketplace_id")
    main(arguments("--concurrency", "1", kind="productReviewAndSellerFeedback"))
    capsys.readouterr()
    assert doubt("--no-ask") == 3
    assert "asked" not in capsys.readouterr().out
    assert doubt() == 0
    out = capsys.readouterr().out
    assert "line 2: asked, Amazon tells that it was sent" in out
    assert "line 3: asked, Amazon tells that it was not sent, and waits" in out
    assert main(["jobs", "resume", "messages.db"]) == 0
    assert sorted(message["order_id"][-1] for message in sandbox.messages()) == ["0", "1", "2"]


def test_without_credentials_nobody_is_asked(
    sandbox: SandboxProcess, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are listed all the same when Amazon cannot be asked, and a line says why it was not."""
    write(f"902-0000003-0000000,{DE}", header="order_id,marketplace_id")
    main(arguments(kind="productReviewAndSellerFeedback"))
    monkeypatch.delenv("SPAPI_REFRESH_TOKEN")
    capsys.readouterr()
    assert doubt() == 2
    out, err = capsys.readouterr()
    assert out.startswith("1 row is in doubt in job 1.")
    assert "Amazon was not asked: missing from the environment: SPAPI_REFRESH_TOKEN" in err


def test_an_order_that_is_not_in_doubt(sandbox: SandboxProcess, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt --order is one clear line, and nothing changes."""
    run_messages()
    capsys.readouterr()
    assert doubt("--order", "902-9", "--resend") == 2
    assert "no row in doubt is of order 902-9" in capsys.readouterr().err
    assert doubt("--no-ask") == 3


def test_what_a_killed_process_had_under_way_is_in_doubt(
    sandbox: SandboxProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is listed right after the kill, though no job was run on the journal since; `status` says that none runs."""
    run_messages()
    doubt("--resend")
    with closing(sqlite3.connect("messages.db", isolation_level=None)) as connection:
        killed = (platform.node(), "messages.db.killed.lock")
        connection.execute("INSERT INTO owner (id, host, pid, lock, job, until) VALUES (9, ?, 1, ?, 1, 9e9)", killed)
        connection.execute("UPDATE row SET state = 'SENDING', owner = 9 WHERE state = 'READY'")
    capsys.readouterr()
    main(["jobs", "status", "messages.db"])
    out = capsys.readouterr().out
    assert out.startswith("job 1, not running")
    assert "2 waiting (2 in hand of a process that is gone)" in out
    assert doubt() == 3
    assert "line 3: order 902-0000003-0000001: the program ended, or slept" in capsys.readouterr().out
