"""What is public: the `__all__` of the package and of its folders, and what importing the package costs."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import importlib.util
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import spapi_async

PACKAGE = Path(spapi_async.__file__).parent
FOLDERS = [
    ".".join(["spapi_async", *init.parent.relative_to(PACKAGE).parts]) for init in sorted(PACKAGE.rglob("__init__.py"))
]
GENERATED = [name for name in FOLDERS if name.startswith("spapi_async.apis.")]
WRITTEN = [name for name in FOLDERS if name not in GENERATED and not name.startswith("spapi_async.codegen")]


def _tree(module: str) -> ast.Module:
    spec = importlib.util.find_spec(module)
    assert spec
    assert spec.origin
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))


def _in_order(name: str) -> tuple[int, str]:
    """CONSTANTS, then Classes, then functions, as ruff sorts `__all__`."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


@pytest.mark.parametrize("name", FOLDERS)
def test_every_folder_says_what_it_is_for(name: str) -> None:
    """The docstring of a folder is where a reader begins."""
    assert ast.get_docstring(_tree(name))


@pytest.mark.parametrize("name", WRITTEN)
def test_all_is_sorted_and_complete(name: str) -> None:
    """Every name that a folder takes from its modules is in its `__all__`, and all of them are there."""
    module = importlib.import_module(name)
    public = list(getattr(module, "__all__", []))
    assert public == sorted(public, key=_in_order)
    for each in public:
        assert hasattr(module, each), f"{name} has no {each}"
    taken = {
        alias.asname or alias.name
        for statement in _tree(name).body
        if isinstance(statement, ast.ImportFrom) and statement.level == 1
        for alias in statement.names
    }
    assert {each for each in taken if not each.startswith("_")} <= set(public)


@pytest.mark.parametrize("name", WRITTEN)
def test_every_public_name_has_a_docstring(name: str) -> None:
    """A class or function that users are meant to use says what it does."""
    module = importlib.import_module(name)
    for each in getattr(module, "__all__", []):
        thing = getattr(module, each)
        if inspect.isclass(thing) or inspect.isroutine(thing):
            assert thing.__doc__, f"{name}.{each} has no docstring"


def _loaded_after(code: str) -> set[str]:
    """Give the modules that a fresh interpreter has loaded after some code."""
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport json, sys; print(json.dumps(list(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(run.stdout))


def test_importing_the_package_loads_no_api_and_no_extra() -> None:
    """`import spapi_async` costs neither the models of an API nor what an extra brings."""
    loaded = _loaded_after("import spapi_async")
    assert {name for name in loaded if name.startswith("spapi_async.apis.")} <= {
        "spapi_async.apis.base",
        "spapi_async.apis.namespace",
    }
    assert not loaded & {"uvicorn", "rich", "aiobotocore", "botocore", "sqlite3", "aiohttp"}


def test_signing_by_keys_loads_no_botocore() -> None:
    """The signature is our own; only a role needs aiobotocore, whose import takes longer than that of all the rest."""
    make = "sp.SellingPartner(client_id='a', client_secret='b', region='eu', aws=keys)"
    keys = "sp.AwsCredentials(access_key_id='a', secret_access_key='b')"
    loaded = _loaded_after(f"import spapi_async as sp\nkeys = {keys}\n{make}")
    assert "spapi_async.auth.sigv4" in loaded
    assert not loaded & {"aiobotocore", "botocore"}


def test_the_package_can_be_used_without_its_extras() -> None:
    """A client can be made where none of the extras is installed: the core's requirements are enough."""
    absent = (
        "import sys; sys.modules.update(dict.fromkeys(['uvicorn', 'rich', 'aiobotocore', 'botocore', 'starlette']))"
    )
    make = "from spapi_async import SellingPartner; sp = SellingPartner(client_id='a', client_secret='b', region='eu')"
    assert "spapi_async.apis.orders_v0.client" in _loaded_after(f"{absent}\n{make}\nsp.orders_v0")


def test_the_version_is_that_of_the_installed_package() -> None:
    """`spapi_async.__version__` is read from the metadata when it is asked for."""
    assert spapi_async.__version__ == importlib.metadata.version("spapi-async")
    assert "importlib.metadata" not in {
        alias.name for each in _tree("spapi_async").body if isinstance(each, ast.Import) for alias in each.names
    }


@pytest.mark.parametrize("name", ["errors", "events"])
def test_the_reference_names_all_of(name: str) -> None:
    """docs/reference has a word on each error and each event."""
    page = Path(__file__).parents[1] / "docs" / "reference" / f"{name}.md"
    text = page.read_text(encoding="utf-8")
    public = importlib.import_module(f"spapi_async.{name}").__all__
    assert [each for each in public if not re.search(rf"\b{each}\b", text) and each != "Emit"] == []
