"""What all tests share: no test sees this machine's environment, and property tests are no race against its load."""

from __future__ import annotations

import os

import hypothesis
import pytest

hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.register_profile("hostile", deadline=None, max_examples=10_000)  # `nox -s hostile`
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "house"))


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    # A developer's own credentials or proxy must neither reach a test nor decide whether it passes.
    for name in os.environ:
        if name.upper().startswith(("SPAPI_", "LWA_", "SP_API_", "AWS_")) or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
