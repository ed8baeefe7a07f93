"""Which module may import which: the rows of docs/explanation/architecture.md, read off the syntax trees.

Every import counts: at the top of a module, inside a function, and under `if TYPE_CHECKING`. An import that only the
type-checker sees still couples its module to the one it names, so a type from a higher row is as wrong as a call into
it. With libraries it is another matter: naming a type of httpx or asyncio loads neither, so there it does not count.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

# From the bottom up. A module may import those of lower rows, and of its own entry. An entry is a module or a folder
# with all that is in it; the modules of a folder that spans two rows are named one by one.
ROWS: list[list[str]] = [
    ["errors", "hidden"],
    ["marketplaces", "operation", "events"],
    ["middleware"],
    ["retry", "codec", "paging"]
    + [f"scheduler.{name}" for name in ("bucket", "keys", "lanes", "queue", "share", "state")],
    ["transport", "scheduler", "auth", "logs"],
    ["apis", "config"],
    ["client", "uploads"],
    ["jobs", "oauth"],
    ["sandbox"],
    ["cli"],
]
# Their own `__init__` and drivers stand in the folder's row; a new file in them has to be given a row by name.
SPLIT = {"scheduler": {"scheduler", "scheduler.limiter", "scheduler.partner"}}
# The package itself only hands on names; the generator shares nothing with what it generates for.
TOP = {"", "__main__"}
APART = {"codegen"}

# Tighter than the rows, each with the reason that architecture.md gives.
ONLY: dict[str, set[str]] = {
    # Importing one API costs nothing but its models: no HTTP, no scheduler, no tokens.
    "apis": {"apis", "errors", "marketplaces", "operation", "paging", "codec"},
    # A server that shared the client's code would agree with the client's mistakes.
    "sandbox": {"sandbox", "errors", "marketplaces", "operation", "apis"},
    # What it generates are operations, so that is the one thing it has to know.
    "codegen": {"codegen", "operation"},
}
# The generator stands apart: a client needs it as little as its tests do. One command hands it to users.
USES_CODEGEN = {"cli.generate"}

# Rules that know no clock, no network and no disk. `datetime` is a value; what time it is now comes in as an argument.
PURE = [
    *(entry for row in ROWS[:4] for entry in row),
    "auth.lwa",
    "auth.sigv4",
    "jobs.kinds",
    *(f"jobs.report.{name}" for name in ("chart", "overview", "pace", "page", "table", "words")),
    "jobs.row",
    "jobs.template",
    "jobs.variants",
    "jobs.verdict",
    "jobs.windows",
    "oauth.query",
    "oauth.links",
    "oauth.state",
    "sandbox.bucket",
]
IMPURE_LIBRARIES = {
    "aiobotocore", "aiohttp", "anyio", "asyncio", "httpx", "os", "random", "rich", "socket", "sqlite3", "ssl",
    "subprocess", "threading", "time", "trio", "urllib.request", "uvicorn",
}  # fmt: skip

# Optional libraries: in a function, at first use, and only here.
OPTIONAL = {"uvicorn": {"sandbox"}, "rich": {"cli", "jobs"}, "aiobotocore": {"auth"}, "botocore": {"auth"}}
# Who knows HTTP: the engine, and the sandbox, which breaks connections the way httpx reports it.
HTTP_LIBRARIES = {"httpx", "httpcore", "aiohttp"}
KNOWS_HTTP = {"transport", "sandbox"}
# An import by name in a string is one that this test cannot see. The sandbox so finds the models of an operation, the
# codec the decode functions of a model: both are in apis/, and neither may import any of its modules before it is used.
IMPORTS_BY_STRING = {"apis", "codec", "sandbox", "cli"}


class Import(NamedTuple):
    """One import statement's target, as a module of ours (`ours`) or a library."""

    importer: str
    target: str
    ours: bool
    line: int
    in_function: bool
    typing_only: bool

    def __str__(self) -> str:
        return f"{self.importer or 'spapi_async'} (line {self.line}) imports {self.target or 'spapi_async'}"


def _package() -> Path:
    spec = importlib.util.find_spec("spapi_async")
    assert spec
    assert spec.origin
    return Path(spec.origin).parent


def _modules() -> dict[str, Path]:
    """Name every module relative to the package: "" is the package itself, "scheduler" a folder's `__init__`."""
    root = _package()
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = _modules()


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _statements(
    node: ast.AST, in_function: bool = False, typing_only: bool = False
) -> Iterator[tuple[ast.AST, bool, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, in_function, typing_only
        elif isinstance(child, ast.If) and _is_type_checking(child.test):
            for statement in child.body:
                yield from _statements(ast.Module([statement], []), in_function, True)
            for statement in child.orelse:
                yield from _statements(ast.Module([statement], []), in_function, typing_only)
        else:
            inside = in_function or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _statements(child, inside, typing_only)


def imports_of(name: str, source: str, is_folder: bool) -> list[Import]:
    """Read every import of a module off its source."""
    found = []
    for statement, in_function, typing_only in _statements(ast.parse(source)):
        targets: list[tuple[str, bool]] = []
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                ours = alias.name.split(".")[0] == "spapi_async"
                targets.append((alias.name.removeprefix("spapi_async").removeprefix(".") if ours else alias.name, ours))
        elif isinstance(statement, ast.ImportFrom):
            base, ours = _base(name, statement, is_folder)
            for alias in statement.names:
                inner = f"{base}.{alias.name}".lstrip(".")
                # `from .scheduler import bucket` is that module, `from .scheduler import Bucket` the folder's own.
                targets.append((inner if not ours or inner in MODULES else base, ours))
        found += [
            Import(name, target, ours, getattr(statement, "lineno", 0), in_function, typing_only)
            for target, ours in dict.fromkeys(targets)
        ]
    return found


def _base(name: str, statement: ast.ImportFrom, is_folder: bool) -> tuple[str, bool]:
    module = statement.module or ""
    if not statement.level:
        ours = module.split(".")[0] == "spapi_async"
        return (module.removeprefix("spapi_async").removeprefix(".") if ours else module), ours
    folder = name.split(".") if is_folder and name else name.split(".")[:-1]
    folder = folder[: len(folder) - (statement.level - 1)]
    return ".".join(filter(None, [*folder, module])), True


IMPORTS = [
    found
    for name, path in MODULES.items()
    for found in imports_of(name, path.read_text(encoding="utf-8"), path.name == "__init__.py")
]
OURS = [found for found in IMPORTS if found.ours]
LIBRARIES = [found for found in IMPORTS if not found.ours]


def _within(name: str, entries: set[str] | list[str]) -> str | None:
    """Find the longest entry that a module belongs to."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        if (entry := ".".join(parts[:length])) in entries:
            return entry
    return name if name in entries else None


def entry_of(name: str) -> str | None:
    """Say which entry of ROWS, APART or TOP a module belongs to, if any."""
    if name in TOP:
        return name
    entry = _within(name, {entry for row in ROWS for entry in row} | APART)
    if entry in SPLIT and name not in SPLIT[entry]:
        return None
    return entry


def row_of(name: str) -> int:
    """Give the number of a module's row; the package itself stands above all rows."""
    entry = entry_of(name)
    return next((number for number, row in enumerate(ROWS) if entry in row), len(ROWS))


def complaint(found: Import) -> str | None:
    """Say what is wrong with an import of ours, if anything."""
    importer, target = entry_of(found.importer), entry_of(found.target)
    if target is None:
        return f"{found}, which has no row"
    if importer is None or importer in TOP or importer == target:
        return None
    if target in APART:
        return None if found.importer in USES_CODEGEN else f"{found}: the generator stands apart"
    if (only := ONLY.get(importer)) is not None:
        return None if target in only else f"{found}: {importer} may import only {', '.join(sorted(only))}"
    here, there = row_of(found.importer), row_of(found.target)
    if there > here:
        return f"{found}: that is up"
    if there == here and importer.split(".")[0] != target.split(".")[0]:
        return f"{found}: that is sideways"
    return None


@pytest.mark.parametrize("name", MODULES)
def test_every_module_has_a_row(name: str) -> None:
    """A new module fails here until somebody has decided where it stands."""
    assert entry_of(name) is not None, f"give spapi_async.{name} a row in ROWS and in docs/explanation/architecture.md"


@pytest.mark.parametrize("entry", [*(entry for row in ROWS for entry in row), *APART, *PURE, *KNOWS_HTTP])
def test_every_row_names_a_module_that_is_there(entry: str) -> None:
    """The table has no entries for modules that are gone or not yet written."""
    assert entry in MODULES


def test_imports_point_down() -> None:
    """A module imports from rows below its own and from its own folder; never up, never sideways."""
    wrong = [words for found in OURS if (words := complaint(found))]
    assert not wrong


def test_nothing_of_ours_imports_the_package_itself() -> None:
    """`from spapi_async import X` inside the package would load everything, and go round in circles."""
    wrong = [str(found) for found in OURS if found.target == "" and found.importer not in TOP]
    assert not wrong


def test_rules_import_no_io() -> None:
    """A pure module gets its clock, its sleep and its randomness as arguments, so it needs no library that has them."""
    wrong = [
        str(found)
        for found in LIBRARIES
        if _within(found.importer, PURE) and _within(found.target, IMPURE_LIBRARIES) and not found.typing_only
    ]
    assert not wrong


def test_generated_code_imports_no_io() -> None:
    """One can import an API's models in a notebook or a web worker at no cost."""
    wrong = [
        str(found)
        for found in LIBRARIES
        if _within(found.importer, {"apis"}) and _within(found.target, IMPURE_LIBRARIES) and not found.typing_only
    ]
    assert not wrong


def test_only_the_engine_knows_http() -> None:
    """Everything above the transport deals in calls, replies and errors."""
    wrong = [
        str(found)
        for found in LIBRARIES
        if _within(found.target, HTTP_LIBRARIES)
        and not _within(found.importer, KNOWS_HTTP)
        and not found.typing_only
        and not found.in_function
    ]
    assert not wrong


@pytest.mark.parametrize("library", OPTIONAL)
def test_optional_libraries_load_at_first_use(library: str) -> None:
    """What an extra brings is imported inside a function, and only where that extra is what the module is about."""
    for found in LIBRARIES:
        if _within(found.target, {library}) and not found.typing_only:
            assert found.in_function, f"{found} at import time"
            assert _within(found.importer, OPTIONAL[library]), str(found)


def test_imports_by_string_are_few() -> None:
    """`importlib.import_module` hides a direction from this test, so only a few places may use it."""
    users = {found.importer for found in LIBRARIES if found.target.split(".")[0] == "importlib"}
    hidden = {
        name
        for name in users
        if "import_module" in MODULES[name].read_text(encoding="utf-8") and entry_of(name) not in APART
    }
    assert {entry_of(name) for name in hidden} <= IMPORTS_BY_STRING


@pytest.mark.parametrize(
    ("name", "source", "words"),
    [
        ("errors", "from .operation import Call", "up"),
        ("operation", "from . import events", "sideways"),
        ("auth.chain", "from ..transport import wire", "sideways"),
        ("scheduler.queue", "def f():\n    from .limiter import Scheduler", "up"),
        ("scheduler.queue", "from ..retry import RetryPolicy", "sideways"),
        ("retry", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .client import SellingPartner", "up"),
        ("sandbox.app", "from ..codec import decode", "may import only"),
        ("sandbox.app", "from spapi_async.scheduler.bucket import Bucket", "may import only"),
        ("apis.orders_v0.client", "from ...auth import tokens", "may import only"),
        ("client", "from .codegen import ir", "apart"),
    ],
)
def test_the_check_itself_sees_a_wrong_import(name: str, source: str, words: str) -> None:
    """The table above would be worth nothing if a wrong import passed."""
    [found] = [found for found in imports_of(name, source, is_folder=False) if found.ours]
    assert words in (complaint(found) or "")
