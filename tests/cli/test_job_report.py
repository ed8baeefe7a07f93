from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from spapi_async.cli import main
from spapi_async.cli.jobs import job_report
from spapi_async.cli.jobs.job_report import Progress

from .journals import Jobs


def test_both_files_stand_beside_the_journal(jobs: Jobs, capsys: pytest.CaptureFixture[str]) -> None:
    """The CSV has all rows, the page the refused ones and those in doubt; the command says what it wrote."""
    jobs.add("ACME", "Bolt")
    assert main(["jobs", "report", "jobs.db"]) == 0
    assert capsys.readouterr().out == (
        f"jobs-job-1.csv: 12 rows\njobs-job-1.html: {Path('jobs-job-1.html').stat().st_size:,} bytes\n"
    )
    with Path("jobs-job-1.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows if row["selling_partner"] == "ACME"] == [
        "SENT", "REFUSED", "REFUSED", "IN_DOUBT", "READY", "READY",
    ]  # fmt: skip
    assert [int(row["line"]) for row in rows] == sorted(int(row["line"]) for row in rows)
    html = Path("jobs-job-1.html").read_text(encoding="utf-8")
    assert html.count("order 902-3 is too young") == 2
    assert "no answer" in html
    assert "jobs-job-1.csv" in html
    assert sorted(path.name for path in Path().iterdir()) == [
        "jobs-job-1.csv",
        "jobs-job-1.html",
        "jobs.db",
        "jobs.db.lock",
    ]


def test_other_names_and_an_earlier_job(jobs: Jobs, capsys: pytest.CaptureFixture[str]) -> None:
    """A number chooses the job, and options where the files go; what was there is replaced."""
    jobs.add("ACME", name="first")
    jobs.add("Bolt", name="second")
    Path("a.csv").write_text("old", encoding="utf-8")
    assert main(["jobs", "report", "jobs.db", "1", "--csv", "a.csv", "--html", "b.html"]) == 0
    assert "<h1><bdi>first</bdi></h1>" in Path("b.html").read_text(encoding="utf-8")
    assert "ACME" in Path("a.csv").read_text(encoding="utf-8")
    assert not Path("jobs-job-1.csv").exists()


def test_a_file_that_cannot_be_written(jobs: Jobs, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told by the name that was asked for, in one line, and nothing else is left."""
    jobs.add("ACME")
    Path("taken.csv").mkdir()
    assert main(["jobs", "report", "jobs.db", "--csv", "taken.csv"]) == 2
    assert capsys.readouterr().err == "spapi-async: taken.csv cannot be written: Is a directory\n"
    assert sorted(path.name for path in Path().iterdir()) == ["jobs.db", "jobs.db.lock", "taken.csv"]


@pytest.mark.parametrize("names", [["--csv", "jobs.db"], ["--html", "jobs.db"], ["--csv", "a", "--html", "a"]])
def test_the_journal_is_not_replaced(jobs: Jobs, names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Neither file may be the journal, nor the other one."""
    jobs.add("ACME")
    before = Path("jobs.db").read_bytes()
    assert main(["jobs", "report", "jobs.db", *names]) == 2
    assert "must be three files" in capsys.readouterr().err
    assert Path("jobs.db").read_bytes() == before


def test_a_report_that_fails_leaves_the_old_one(
    jobs: Jobs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are replaced when they are whole; a half one is removed."""
    jobs.add("ACME")
    Path("jobs-job-1.csv").write_text("old", encoding="utf-8")

    def fail(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(job_report, "write_rows", fail)
    assert main(["jobs", "report", "jobs.db"]) == 2
    assert "No space left" in capsys.readouterr().err
    assert Path("jobs-job-1.csv").read_text(encoding="utf-8") == "old"
    assert not list(Path().glob(".*partial"))


@pytest.mark.parametrize("is_live", [False, True])
def test_long_work_shows_how_far_it_is(is_live: bool) -> None:
    """A line every five seconds; on a terminal one that changes, and is gone in the end."""
    stream = io.StringIO()
    stream.isatty = lambda: is_live  # type: ignore[method-assign]
    now = 0.0
    progress = Progress(stream, 4000, lambda: now)
    for _ in range(2560):
        now += 0.005
        progress.count()
    progress.close()
    if is_live:
        assert stream.getvalue().startswith("\r256 of 4,000 rows\r512 of 4,000 rows")
        assert stream.getvalue().endswith("\r\x1b[K")
    else:
        assert stream.getvalue() == "1,024 of 4,000 rows\n2,048 of 4,000 rows\n"
