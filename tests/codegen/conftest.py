"""Three small models that hold every oddity of Amazon's, and the packages that the generator makes of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

import spapi_async.apis
from spapi_async.codegen.ir import ApiSpec
from spapi_async.codegen.read import read_api
from spapi_async.codegen.source import Overrides, find_files

MODELS = Path(__file__).parent / "models"
MODULES = ("odd_v1", "paged_v0")


@pytest.fixture(scope="session")
def models() -> Path:
    """The folder of the small models."""
    return MODELS


@pytest.fixture(scope="session")
def overrides() -> Overrides:
    """The facts that the small models lack."""
    return Overrides.load(MODELS / "overrides.toml")


@pytest.fixture(scope="session")
def described(overrides: Overrides) -> dict[str, ApiSpec]:
    """The small models as the generator reads them."""
    files = find_files([MODELS], overrides)
    return {module: read_api(module, files[module], overrides.facts[module]) for module in MODULES}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, overrides: Overrides) -> Path:
    """A folder with what the generator writes for the small models."""
    pytest.importorskip("ruff", reason="the generator needs ruff")
    from spapi_async.codegen.run import generate

    out = tmp_path_factory.mktemp("apis")
    generate([MODELS], attrs.evolve(overrides), out)
    return out


@pytest.fixture
def packages(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The generated packages as parts of `spapi_async.apis`, for one test."""
    monkeypatch.setattr(spapi_async.apis, "__path__", [*spapi_async.apis.__path__, str(folder)])
    yield
    for name in [name for name in sys.modules if name.startswith(tuple(f"spapi_async.apis.{m}" for m in MODULES))]:
        del sys.modules[name]
    for module in MODULES:
        if hasattr(spapi_async.apis, module):
            delattr(spapi_async.apis, module)
