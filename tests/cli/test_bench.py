from __future__ import annotations

import pytest

from spapi_async.cli import main


@pytest.mark.parametrize(
    "words",
    [["--rate", "0"], ["--rate", "nan"], ["--burst", "0"], ["--calls", "0"], ["--sellers", "5", "--sellers", "0"]],
)
def test_numbers_out_of_range_are_one_clear_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A benchmark of nothing ends with status 2 and says which option, before anything is started."""
    assert main(["bench", *words]) == 2
    out, err = capsys.readouterr()
    assert not out
    [line] = err.splitlines()
    assert words[0] in line


def test_a_short_measurement_is_a_line_of_figures(capsys: pytest.CaptureFixture[str]) -> None:
    """It tells the machine, then calls and pace for each number of selling partners. Takes the plan's second."""
    assert main(["bench", "--sellers", "2", "--rate", "50", "--burst", "5", "--calls", "10"]) == 0
    machine, _, _, figures = capsys.readouterr().out.splitlines()
    assert "cores" in machine
    assert figures.split()[:2] == ["2", "20"]
