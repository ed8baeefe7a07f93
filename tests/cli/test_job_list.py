from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from spapi_async.cli import main

from .journals import Jobs


def test_all_jobs_are_listed(jobs: Jobs, capsys: pytest.CaptureFixture[str]) -> None:
    """Each job has a line: its number and name, its time, how its rows stand, and who sells what."""
    jobs.add("ACME", "Bolt")
    jobs.add("ACME", rows=4, name="spring")
    assert main(["jobs", "list", "jobs.db"]) == 0
    heads, first, second = capsys.readouterr().out.splitlines()
    assert re.split("  +", heads.strip())[:4] == ["Job", "Name", "Begun", "Ended"]
    first, second = (re.split("  +", line.strip()) for line in (first, second))
    assert [first[1], *first[3:]] == ["messages.csv", "not running", "2", "4", "2", "4", "2", "confirmOrderDetails"]
    assert [second[1], *second[4:]] == ["spring", "1", "2", "1", "0", "1", "confirmOrderDetails"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", second[3])


def test_jobs_as_json(jobs: Jobs, capsys: pytest.CaptureFixture[str]) -> None:
    """For programs there is an array of objects."""
    jobs.add("ACME", "Bolt")
    assert main(["jobs", "list", "jobs.db", "--json"]) == 0
    [job] = json.loads(capsys.readouterr().out)
    assert job["kinds"] == ["confirmOrderDetails"]
    counts = ("selling_partners", "sent", "refused", "in_doubt", "waiting", "in_hand", "rejected")
    assert [job[name] for name in counts] == [2, 2, 4, 2, 4, 0, 3]
    assert job["ended"] is None
    assert job["begun"].endswith("Z")


@pytest.mark.parametrize("has_rich", [True, False])
def test_on_a_terminal_nothing_is_cut(
    jobs: Jobs, has_rich: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There a job has a few short lines instead of a wide one, with rich and without."""
    jobs.add("ACME", "Bolt")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    if not has_rich:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    assert main(["jobs", "list", "jobs.db"]) == 0
    shown = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    assert "   1  messages.csv\n" in shown
    assert "      2 sent, 4 refused, 2 in doubt, 4 waiting\n" in shown
    assert "      confirmOrderDetails; 2 selling partners\n" in shown


def test_a_journal_without_jobs(jobs: Jobs, capsys: pytest.CaptureFixture[str]) -> None:
    """That is told, and so is that there is no journal; none is made."""
    assert main(["jobs", "list", "jobs.db"]) == 2
    assert capsys.readouterr().err == "spapi-async: there is no journal jobs.db\n"
    assert not Path("jobs.db").exists()
