from __future__ import annotations

import signal
import socket
import subprocess
import sys

import pytest

from spapi_async.cli import main


def test_what_it_prints_and_how_it_ends() -> None:
    """It prints the settings that a client needs, as lines for a shell, and Ctrl-C ends it with status 0."""
    command = [sys.executable, "-m", "spapi_async", "sandbox", "--port", "0", "--application", "me=my=secret"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = []
        while not lines or "Ctrl-C" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], "it ended early"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
    settings = dict(line.strip().split("=", 1) for line in lines if "=" in line)
    assert settings["SPAPI_LWA_ENDPOINT"] == settings["SPAPI_ENDPOINT"] + "/auth/o2/token"
    assert (settings["SPAPI_CLIENT_ID"], settings["SPAPI_CLIENT_SECRET"]) == ("me", "my=secret")
    assert settings["SPAPI_REFRESH_TOKEN"] == "'Atzr|SELLER1'"  # quoted: a shell would take the bar for a pipe
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--plan", "orders_v0.get_order"], "NAME=RATE/BURST"),
        (["--plan", "orders_v0.get_order=5"], "'5' is no RATE/BURST"),
        (["--plan", "orders_v0.get_order=0/5"], "above 0"),
        (["--plan", "orders_v0.get_ordre=1/5"], "orders_v0.get_order"),
        (["--tokens", "*"], "NAME=N"),
        (["--tokens", "*=x"], "--tokens *=x: 'x' is no number"),
        (["--tokens", "*=-1"], "at least 0, not -1"),
        (["--eat", "orders_v0.get_order"], "NAME=RATE"),
        (["--eat", "orders_v0.get_order=fast"], "'fast' is no number"),
        (["--eat", "orders_v0.get_order=nan"], "0 to 1000, not nan"),
        (["--eat", "orders_v0.get_ordre=1"], "orders_v0.get_order"),
        (["--application-rate", "orders_v0.get_order"], "NAME=RATE"),
        (["--application-rate", "orders_v0.get_order=any"], "'any' is no number"),
        (["--application-rate", "orders_v0.get_order=0"], "above 0, or none"),
        (["--application-rate", "orders_v0.get_ordre=none"], "orders_v0.get_order"),
        (["--latency", "-1"], "latency must be a finite number of at least 0, not -1"),
        (["--jitter", "inf"], "jitter must be a finite number of at least 0, not inf"),
        (["--application", "me"], "ID=SECRET"),
        (["--aws", "AKIDEXAMPLE"], "ID=SECRET"),
        (["--models", "/nowhere"], "no Swagger models"),
        (["--fault", "drop=1"], "unknown fault"),
        (["--fault-on", "orders_v9.*"], "no operation"),
    ],
)
def test_options_that_cannot_be_read(option: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is one line that says what is wrong, and status 2."""
    assert main(["sandbox", "--port", "0", *option]) == 2
    output = capsys.readouterr()
    assert words in output.err
    assert output.err.count("\n") == 1
    assert not output.out


def test_a_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    """One line that names the port and the way out, and status 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["sandbox", "--port", str(port)]) == 2
    assert f"port {port} of 127.0.0.1 is in use; choose another one with --port" in capsys.readouterr().err
