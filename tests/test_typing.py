"""What `tests/typing` holds for the type-checker: it is checked by `nox -s types`, and it leaves no module out."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

from spapi_async.apis import catalog

HERE = Path(__file__).parent


def calls(path: Path) -> set[tuple[str, str]]:
    """Return module and method of every `sp.<module>.<method>(...)`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Attribute(ast.Attribute(ast.Name("sp"), module), method)):
                found.add((module, method))
    return found


def test_one_operation_of_each_module_is_typed() -> None:
    """A new API version is not done before a user's call of it passes the type-checker."""
    used = calls(HERE / "typing" / "modules.py")
    assert used <= {(operation.module, operation.name) for operation in catalog()}
    assert {module for module, _ in used} == {operation.module for operation in catalog()}


def test_the_type_checker_reads_them() -> None:
    """The folder is among mypy's files, and mypy is strict."""
    pyproject = HERE.parent / "pyproject.toml"
    settings = tomllib.loads(pyproject.read_text(encoding="utf-8"))["tool"]["mypy"]
    assert "tests/typing" in settings["files"]
    assert settings["strict"] is True
