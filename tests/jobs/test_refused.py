from __future__ import annotations

import os
from pathlib import Path

import pytest

from spapi_async.errors import JobError
from spapi_async.jobs.kinds import KINDS
from spapi_async.jobs.refused import RefusedRows
from spapi_async.jobs.source import open_source

COLUMNS = ["text", "order_id", "marketplace_id"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "messages.refused.csv"


def test_rows_stand_in_the_order_of_their_lines(path: Path) -> None:
    """The columns are those of the source in their order, then line, reason and cure."""
    rows = RefusedRows(path, COLUMNS)
    rows.add(9, {"order_id": "902-9", "text": "b, c"}, "why", "how")
    rows.add(4, {"order_id": "902-4", "marketplace_id": "M", "text": "a\nb"}, "why", "how")
    rows.write()
    rows.close()
    expected = (
        'text,order_id,marketplace_id,line,reason,cure\r\n"a\nb",902-4,M,4,why,how\r\n"b, c",902-9,,9,why,how\r\n'
    )
    assert path.read_bytes().decode() == expected


def test_the_file_can_be_run_again(path: Path) -> None:
    """When the mistake is mended, the file is a source like any other."""
    rows = RefusedRows(path, COLUMNS)
    rows.add(4, {"order_id": "902-4", "marketplace_id": "A1PA6795UKMFR9", "text": "mended"}, "why", "how")
    rows.write()
    rows.close()
    with open_source(path, KINDS["confirmOrderDetails"]) as source:
        [entry] = source.entries
    assert entry.row
    assert (entry.row.number, entry.row.order_id) == (2, "902-4")


def test_an_old_file_does_not_outlive_its_rows(path: Path) -> None:
    """When nothing is refused any more, the file of an earlier run goes."""
    path.write_text("old")
    rows = RefusedRows(path, COLUMNS)
    rows.check()
    rows.write()
    rows.close()
    assert not list(path.parent.iterdir())


def test_two_processes_may_write_it_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has the whole file in its own hand until it stands there; the last one stays."""
    first, second = RefusedRows(path, COLUMNS), RefusedRows(path, COLUMNS)
    first.add(2, {"order_id": "902-1"}, "why", "how")
    second.add(3, {"order_id": "902-2"}, "why", "how")
    replace = os.replace

    def meanwhile(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "replace", replace)
        monkeypatch.setattr(os, "getpid", lambda: 0)
        second.check()
        second.write()
        replace(source, target)

    monkeypatch.setattr(os, "replace", meanwhile)
    first.write()
    assert "902-1" in path.read_text(encoding="utf-8")
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    first.close()
    second.close()


def test_a_folder_that_cannot_be_written_shows_before_anything_is_sent(tmp_path: Path) -> None:
    """Whether the report can be written is known at the start."""
    rows = RefusedRows(tmp_path / "nowhere" / "x.refused.csv", COLUMNS)
    with pytest.raises(JobError, match=r"x\.refused\.csv, the file for refused rows, cannot be written"):
        rows.check()
    rows.close()


def test_a_folder_is_no_file_for_refused_rows(path: Path) -> None:
    """That is known at the start, and nothing is left beside it, whose texts would be buyers'."""
    path.mkdir()
    rows = RefusedRows(path, COLUMNS)
    with pytest.raises(JobError, match=r"refused\.csv, the file for refused rows, cannot be written: .*; name another"):
        rows.check()
    rows.add(4, {"order_id": "902-4", "text": "a"}, "why", "how")
    with pytest.raises(OSError, match="refused"):
        rows.write()
    rows.close()
    assert list(path.parent.iterdir()) == [path]
