"""The sandbox in a process of its own: real sockets, so a handful of tests that take tenths of a second each."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from spapi_async.errors import ConfigError
from spapi_async.operation import UsagePlan
from spapi_async.sandbox import Faults, SandboxProcess, start_process

SEND = "messaging_v1.create_confirm_order_details"
PATH = "/messaging/v1/orders/902-1845936-5435065/messages/confirmOrderDetails?marketplaceIds=ATVPDKIKX0DER"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    faults = Faults(script={SEND: ["drop-before", "drop-after", "ok"]})
    plans = {"*": UsagePlan(1000, 1000), "orders_v0.get_order": UsagePlan(0.25, 2)}
    applications = {"app": "se=cret"}
    with start_process(plans=plans, faults=faults, applications=applications, token_lifetime=60) as running:
        yield running


@pytest.fixture
def http(sandbox: SandboxProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sandbox.endpoint, trust_env=False) as client:
        form = {
            "grant_type": "refresh_token",
            "refresh_token": "Atzr|S",
            "client_id": "app",
            "client_secret": "se=cret",
        }
        answer = client.post(sandbox.lwa_endpoint, data=form).json()
        assert answer["expires_in"] == 60
        client.headers["x-amz-access-token"] = answer["access_token"]
        yield client


def _is_closed(endpoint: str) -> bool:
    host, port = endpoint.removeprefix("http://").split(":")
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            return True
        time.sleep(0.02)  # the other process needs a moment to end
    return False


def test_connections_are_really_cut(sandbox: SandboxProcess, http: httpx.Client) -> None:
    """A dropped call ends with a closed connection and no reply; what was done before it stays done."""
    sandbox.reset()
    for delivered in [0, 1]:
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            http.post(PATH, json={"text": "Hello"})
        assert len(sandbox.messages()) == delivered
    assert http.post(PATH, json={"text": "Hello"}).status_code == 201
    assert sandbox.requests()["operations"][SEND] == {"201": 1, "dropped": 2}


def test_plans_reach_the_process(sandbox: SandboxProcess, http: httpx.Client) -> None:
    """The more exact plan is in force there, and `reset` fills its bucket."""
    sandbox.reset()
    replies = [http.get("/orders/v0/orders/902-1845936-5435065") for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert replies[0].headers["x-amzn-ratelimit-limit"] == "0.25"
    assert "server" not in replies[0].headers
    sandbox.reset()
    assert http.get("/orders/v0/orders/902-1845936-5435065").status_code == 200


def test_a_client_in_the_terminal_is_interrupted_alone(sandbox: SandboxProcess) -> None:
    """SIGINT, which Ctrl-C sends to the whole group, does not end it: its parent decides."""
    os.kill(sandbox.pid, signal.SIGINT)
    with pytest.raises(ChildProcessError):
        # A server that heeds it ends within two of its ticks of 0.1 s; WNOHANG alone would look too early.
        _await_end(sandbox.pid, 0.5)
    assert sandbox.requests()


def _await_end(pid: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > deadline:
            raise ChildProcessError("it still runs")
        time.sleep(0.02)


def test_it_ends_with_its_block() -> None:
    """After the `with` block nothing listens there any more, and closing again is harmless."""
    with start_process() as running:
        pass
    assert _is_closed(running.endpoint)
    running.close()


def test_it_can_be_killed() -> None:
    """`kill` ends it at once, as a crash would."""
    running = start_process()
    running.kill()
    assert _is_closed(running.endpoint)


def test_it_ends_when_its_parent_is_killed() -> None:
    """A parent that gets SIGKILL can tidy nothing up; the sandbox ends by itself."""
    code = (
        "import time; from spapi_async.sandbox import start_process; s = start_process(); print(s.endpoint, flush=True)"
    )
    command = [sys.executable, "-c", code + "; time.sleep(60)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        endpoint = parent.stdout.readline().strip()
        assert httpx.get(f"{endpoint}/_sandbox/health", trust_env=False).status_code == 200
        parent.kill()
    assert _is_closed(endpoint)


def test_modules_in_the_users_folder_do_not_stand_in_for_pythons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It starts in a folder that holds a `queue.py` or a `calendar.py` of the user's."""
    (tmp_path / "queue.py").write_text("raise ImportError('the wrong module')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with start_process() as running:
        assert running.messages() == []


def test_why_it_did_not_start() -> None:
    """The reason is the child's own: a mistyped plan, a port in use."""
    with pytest.raises(ConfigError, match=r"orders_v0\.get_ordr.*orders_v0\.get_order"):
        start_process(plans={"orders_v0.get_ordr": UsagePlan(1, 1)})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} of 127.0.0.1 is in use"):
            start_process(port=port)
