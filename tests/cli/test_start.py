"""What a command imports before it does anything: its start is part of every job."""

from __future__ import annotations

import subprocess
import sys

import pytest

import spapi_async
from spapi_async.cli import COMMANDS, main


def loaded(command: str) -> set[str]:
    code = (
        "import sys\nfrom spapi_async.cli import main\n"
        f"try: main([{command!r}, '--help'])\nexcept SystemExit: pass\n"
        "print('MODULES', *(name for name, module in sys.modules.items() if module))"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    return set(process.stdout.split("MODULES ")[1].split())


@pytest.mark.parametrize(
    ("command", "needed", "needless"),
    [
        ("jobs", "spapi_async.jobs.lane", {"rich", "click", "uvicorn", "spapi_async.sandbox", "aiobotocore"}),
        ("call", "spapi_async.client", {"rich", "click", "uvicorn", "spapi_async.sandbox", "spapi_async.codegen"}),
        ("plans", "spapi_async.apis.namespace", {"httpx", "aiohttp", "rich", "spapi_async.client", "cattrs"}),
        (
            "generate",
            "spapi_async.codegen.run",
            {"httpx", "aiohttp", "spapi_async.client", "spapi_async.apis.orders_v0"},
        ),
        ("sandbox", "spapi_async.sandbox.app", {"httpx", "aiohttp", "rich", "spapi_async.client", "aiobotocore"}),
    ],
)
def test_a_command_loads_what_it_needs(command: str, needed: str, needless: set[str]) -> None:
    """A job loads neither sandbox nor progress bar before they are wanted, and the sandbox no client."""
    modules = loaded(command)
    assert needed in modules
    assert not needless & modules


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` tells which release this is."""
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"spapi-async {spapi_async.__version__}\n"


def test_every_command_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` has a line on each command, and no command is loaded for it."""
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    assert [name for name in COMMANDS if f"\n    {name} " not in out] == []
