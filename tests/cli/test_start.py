"""What a command imports before it does anything: its start is part of every job."""

from __future__ import annotations

import subprocess
import sys

import pytest


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
        ("jobs", "spapi_async.jobs.runner", {"rich", "click", "uvicorn", "spapi_async.sandbox", "aiobotocore"}),
        ("sandbox", "spapi_async.sandbox.app", {"httpx", "aiohttp", "rich", "spapi_async.client", "aiobotocore"}),
    ],
)
def test_a_command_loads_what_it_needs(command: str, needed: str, needless: set[str]) -> None:
    """A job loads neither sandbox nor progress bar before they are wanted, and the sandbox no client."""
    modules = loaded(command)
    assert needed in modules
    assert not needless & modules
