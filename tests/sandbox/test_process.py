"""The sandbox in a process of its own: real sockets, so a handful of tests that take tenths of a second each."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from spapi_async.errors import ConfigError
from spapi_async.operation import UsagePlan
from spapi_async.sandbox import Faults, SandboxProcess, start_process

ACTIONS = "messaging_v1.get_messaging_actions_for_order"
SEND = "messaging_v1.create_confirm_order_details"
PATH = "/messaging/v1/orders/902-1845936-5435065/messages/confirmOrderDetails?marketplaceIds=ATVPDKIKX0DER"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    script = {SEND: ["drop-before", "drop-after", "ok", "reset-before", "reset-after"], ACTIONS: ["slow:0.2"]}
    faults = Faults(script=script)
    plans = {"*": UsagePlan(1000, 1000), "orders_v0.get_order": UsagePlan(0.25, 2)}
    applications = {"app": "se=cret"}
    rates = {"orders_v0.get_order_items": 0.001, "*": None}
    with start_process(
        plans=plans, faults=faults, application_rates=rates, applications=applications, token_lifetime=60
    ) as running:
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
    for delivered in [1, 2]:
        with pytest.raises(httpx.ReadError, match="reset"):
            http.post(PATH, json={"text": "Hello"})
        assert len(sandbox.messages()) - 1 == delivered
    assert sandbox.requests()["operations"][SEND] == {"201": 1, "dropped": 4}


def test_the_log_of_calls(sandbox: SandboxProcess, http: httpx.Client) -> None:
    """Each call is listed with its order, what befell it and when, and whether its caller was gone by the answer."""
    sandbox.reset()
    before = time.monotonic()
    with pytest.raises(httpx.RemoteProtocolError):
        http.post(PATH, json={"text": "Hello"})
    with pytest.raises(httpx.ReadTimeout):
        http.get(PATH.replace("/messages/confirmOrderDetails", ""), timeout=0.05)
    while (calls := sandbox.calls())[1]["ended"] is None:
        assert time.monotonic() < before + 5
    dropped, lost = calls
    assert (dropped["operation"], dropped["order_id"], dropped["seller"]) == (SEND, "902-1845936-5435065", "S")
    assert (dropped["fault"], dropped["status"], dropped["is_lost"]) == ("drop-before", 0, False)
    assert before <= dropped["arrived"] <= dropped["served"] <= dropped["ended"] <= time.monotonic()
    assert (lost["operation"], lost["fault"], lost["status"], lost["is_lost"]) == (ACTIONS, "slow", 200, True)


def test_plans_reach_the_process(sandbox: SandboxProcess, http: httpx.Client) -> None:
    """The more exact plan is in force there, and `reset` fills its bucket."""
    sandbox.reset()
    replies = [http.get("/orders/v0/orders/902-1845936-5435065") for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert replies[0].headers["x-amzn-ratelimit-limit"] == "0.25"
    assert "server" not in replies[0].headers
    sandbox.reset()
    assert http.get("/orders/v0/orders/902-1845936-5435065").status_code == 200


def test_plans_change_in_the_process(sandbox: SandboxProcess, http: httpx.Client) -> None:
    """Plans, tokens and unseen consumers are changed from here, for one selling partner or all, until `reset`."""
    sandbox.reset()
    operation, path = "orders_v0.get_order", "/orders/v0/orders/902-1845936-5435065"
    sandbox.set_plan("*", UsagePlan(0.125, 3), seller="S")
    assert http.get(path).headers["x-amzn-ratelimit-limit"] == "0.125"
    sandbox.set_tokens(operation, 0)
    assert http.get(path).status_code == 429
    sandbox.set_plan(operation, UsagePlan(1000, 3))
    sandbox.eat(operation, 1000)
    [bucket] = sandbox.requests()["buckets"]
    assert (bucket["rate"], bucket["throttled"], bucket["eaten"]) == (1000, 1, 0)
    sandbox.reset()
    assert http.get(path).headers["x-amzn-ratelimit-limit"] == "0.25"
    with pytest.raises(ConfigError, match=r"did you mean orders_v0\.get_order"):
        sandbox.eat("orders_v0.get_ordr", 1)


def test_limits_of_applications_reach_the_process(sandbox: SandboxProcess, http: httpx.Client) -> None:
    """They are given when it starts and changed later; None, for no limit, too."""
    sandbox.reset()
    operation, path = "orders_v0.get_order_items", "/orders/v0/orders/902-1845936-5435065/orderItems"
    assert [http.get(path).status_code for _ in range(2)] == [200, 429]
    sandbox.set_application_rate(operation, None)
    assert http.get(path).status_code == 200
    sandbox.set_application_rate(operation, 0.01)
    assert [http.get(path).status_code for _ in range(2)] == [200, 429]
    with pytest.raises(ConfigError, match="above 0, or none"):
        sandbox.set_application_rate(operation, float("inf"))
    assert [(b["limit"], b["rate"]) for b in sandbox.requests()["buckets"]][1:] == [("application", 0.01)]


def test_tokens_fail_in_the_process(sandbox: SandboxProcess, http: httpx.Client) -> None:
    """Revocation, an outage of the token endpoint and another client secret are caused from here."""
    sandbox.fail_lwa(60)
    assert http.post(sandbox.lwa_endpoint).status_code == 503
    sandbox.fail_lwa(0)
    assert http.post(sandbox.lwa_endpoint).status_code == 400
    sandbox.set_client_secret("another", "secret")
    assert sandbox.revoke("NOBODY") == 0


def test_requests_come_late_there() -> None:
    """With jitter, requests that leave together reach their usage plan apart; tokens and `rate_header` go there too."""
    form = {"grant_type": "refresh_token", "refresh_token": "Atzr|S", "client_id": "app", "client_secret": "secret"}
    options: dict[str, Any] = {"tokens": {"*": 8}, "eat": {"*": 0.001}, "rate_header": False}
    with (
        start_process(latency=0.01, jitter=0.1, plans={"*": UsagePlan(0.001, 30)}, **options) as running,
        httpx.Client(base_url=running.endpoint, trust_env=False) as http,
        ThreadPoolExecutor(10) as pool,
    ):
        headers = {"x-amz-access-token": http.post(running.lwa_endpoint, data=form).json()["access_token"]}
        path = "/orders/v0/orders/902-1845936-5435065"
        replies = list(pool.map(lambda _: http.get(path, headers=headers), range(10)))
        [bucket] = running.requests()["buckets"]
    assert sorted(reply.status_code for reply in replies) == [200] * 8 + [429] * 2
    assert not any("x-amzn-ratelimit-limit" in reply.headers for reply in replies)
    assert max(bucket["arrivals"]) - min(bucket["arrivals"]) > 0.02


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
