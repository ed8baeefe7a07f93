"""A job in two processes, one of which is killed; tests/crash kills them at every instant."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from spapi_async import UsagePlan
from spapi_async.sandbox import SandboxProcess, start_process

CONCURRENCY = 8
PLAN = UsagePlan(rate=60, burst=10)
PLANS = {
    "messaging_v1.get_messaging_actions_for_order": PLAN,
    "messaging_v1.create_confirm_order_details": PLAN,
}


def write_source(path: Path, orders: Iterable[str]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["order_id", "marketplace_id", "text"])
        writer.writerows([order, "A1PA6795UKMFR9", f"message for {order}"] for order in orders)


def environment() -> dict[str, str]:
    credentials = {"CLIENT_ID": "id", "CLIENT_SECRET": "secret", "REFRESH_TOKEN": "Atzr|SELLER1"}
    return {**os.environ, **{f"SPAPI_{name}": value for name, value in credentials.items()}}


def command(source: Path, journal: Path, sandbox: SandboxProcess) -> list[str]:
    return [
        *(sys.executable, "-m", "spapi_async", "jobs", "run", str(source), "--kind", "confirmOrderDetails"),
        *("--journal", str(journal), "--endpoint", sandbox.endpoint, "--lwa-endpoint", sandbox.lwa_endpoint),
        *("--concurrency", str(CONCURRENCY)),
        *(part for name in PLANS for part in ("--plan", f"{name}={PLAN.rate}/{PLAN.burst}")),
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_two_processes_share_a_job_and_one_survives(tmp_path: Path) -> None:
    """The same command twice at once: both send, one is killed, the other finishes, and no order gets two messages."""
    source, journal = tmp_path / "messages.csv", tmp_path / "messages.db"
    orders = [f"902-0000003-{n:07}" for n in range(120)]
    write_source(source, orders)
    with start_process(plans=PLANS, latency=0.01, jitter=0.02) as sandbox:
        first, second = (
            subprocess.Popen(
                command(source, journal, sandbox), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            for _ in range(2)
        )
        end = time.monotonic() + 20
        while len(sandbox.messages()) < 40 and time.monotonic() < end:
            time.sleep(0.01)
        first.send_signal(signal.SIGKILL)
        first.communicate()
        out, errors = second.communicate(timeout=60)
        delivered = Counter(message["order_id"] for message in sandbox.messages())
    told = f"{out.decode()}\n{errors.decode()}"
    doubtful = {line.split("order ")[1].split(":")[0] for line in told.splitlines() if ": order " in line}
    assert first.returncode == -signal.SIGKILL, told
    assert second.returncode == (3 if doubtful else 0), told
    assert set(delivered.values()) == {1}, told
    assert set(orders) - set(delivered) <= doubtful, told
    assert len(doubtful) <= CONCURRENCY, told
