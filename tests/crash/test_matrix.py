"""A short form of the crash matrix; `nox -s crash` does all of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_killed_jobs_send_nothing_twice_and_lose_nothing() -> None:
    """Jobs killed at random instants: no buyer gets two messages, no row is lost, and every doubt has its cause."""
    script = Path(__file__).with_name("matrix.py")
    command = [sys.executable, str(script), "--runs", "3", "--rows", "50"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=150)
    assert told.returncode == 0, f"{told.stdout}\n{told.stderr}"
