from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spapi_async.sandbox import SandboxProcess, start_process

from .job_commands import PLANS
from .journals import Jobs


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


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    """Makes jobs in `jobs.db` of the working folder."""
    monkeypatch.chdir(tmp_path)
    return Jobs(Path("jobs.db"))
