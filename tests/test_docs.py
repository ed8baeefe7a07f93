"""What README and docs show is run: Python page by page, commands through the real parser, links to their ends.

The conventions are in docs/contributing.md, under “Docs”.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import importlib.util
import inspect
import logging
import re
import shlex
import shutil
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from spapi_async import Marketplace

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])

_FENCE = re.compile(
    r"^(?:<!-- (?P<note>not run: .+?|command: \w+) -->\n)?```(?P<language>\w*)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_LINK = re.compile(r"\[[^\]\n]+\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


class Snippet(NamedTuple):
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    code: str
    note: str

    @property
    def is_run(self) -> bool:
        return not self.note.startswith("not run")

    @property
    def where(self) -> str:
        return f"{_name(self.page)}:{self.line}"


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _snippets(page: Path) -> list[Snippet]:
    text = page.read_text(encoding="utf-8")
    return [
        Snippet(
            page, text.count("\n", 0, match.start("code")) + 1, match["language"], match["code"], match["note"] or ""
        )
        for match in _FENCE.finditer(text)
    ]


def _prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


SNIPPETS = [snippet for page in PAGES for snippet in _snippets(page)]
PYTHON_PAGES = sorted({snippet.page for snippet in SNIPPETS if snippet.language == "python"})
COMMANDS = [
    (snippet, line.removeprefix("$ ").removeprefix(".venv/bin/"))
    for snippet in SNIPPETS
    if snippet.language in {"sh", "console"} and snippet.is_run
    for line in snippet.code.replace("\\\n", " ").splitlines()
    for line in line.split(" && ")
    if line.removeprefix("$ ").removeprefix(".venv/bin/").startswith("spapi-async")
]


@pytest.fixture(scope="session")
def sandbox_environment() -> Iterator[dict[str, str]]:
    """A sandbox process for all pages, and what points `SellingPartner.from_env` at it."""
    sandbox = importlib.import_module("spapi_async.sandbox")
    with sandbox.start_process() as running:
        yield {
            "SPAPI_CLIENT_ID": "amzn1.application-oa2-client.docs",
            "SPAPI_CLIENT_SECRET": "secret-of-the-docs",
            "SPAPI_REFRESH_TOKEN": "Atzr|DOCS",
            "SPAPI_ENDPOINT": running.endpoint,
            "SPAPI_LWA_ENDPOINT": running.lwa_endpoint,
        }


@pytest.fixture
def _logging() -> Iterator[None]:
    # A page may show how to set a level; no other test is to see it.
    logger = logging.getLogger("spapi_async")
    yield
    logger.setLevel(logging.NOTSET)


def _run(snippet: Snippet, namespace: dict[str, Any]) -> None:
    # Padded, so that a traceback shows the line of the page.
    source = "\n" * (snippet.line - 1) + snippet.code
    code = compile(source, _name(snippet.page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    result = eval(code, namespace)
    if inspect.iscoroutine(result):
        asyncio.run(result)


@pytest.mark.usefixtures("_logging")
@pytest.mark.parametrize("page", PYTHON_PAGES, ids=_name)
def test_python_snippets_run(
    page: Path, sandbox_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The snippets of a page, from top to bottom in one namespace, do what they show; its `test_` functions pass."""
    shutil.copytree(ROOT / "docs" / "examples", tmp_path / "docs" / "examples")
    monkeypatch.chdir(tmp_path)
    for name, value in sandbox_environment.items():
        monkeypatch.setenv(name, value)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for snippet in _snippets(page):
        if snippet.language == "python" and snippet.is_run:
            _run(snippet, namespace)
    for name, test in list(namespace.items()):
        if name.startswith("test_"):
            result = test()
            if inspect.iscoroutine(result):
                asyncio.run(result)


@pytest.mark.parametrize("snippet", [s for s in SNIPPETS if s.language == "python"], ids=lambda s: s.where)
def test_python_snippets_parse(snippet: Snippet) -> None:
    """A snippet that is marked as not run is Python all the same."""
    ast.parse(textwrap.dedent(snippet.code), snippet.where)  # a part of a file may be indented


@pytest.mark.parametrize(("snippet", "command"), COMMANDS, ids=[f"{s.where}-{c[:40]}" for s, c in COMMANDS])
def test_commands_are_understood(snippet: Snippet, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each `spapi-async` line has a command and options that exist. It is parsed, not carried out."""
    from spapi_async.cli import main

    words = shlex.split(command, comments=True)[1:]
    if "--help" in words:
        with pytest.raises(SystemExit) as exit_:
            main(words)
        assert exit_.value.code == 0
        return
    module = importlib.import_module(f"spapi_async.cli.{words[0]}")
    monkeypatch.setattr(module, "run", lambda _: 0)
    assert main(words) == 0, snippet.where


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    """A link inside the repository has a file at its end, and its heading if it names one."""
    for link in _LINK.findall(_prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT), f"{_name(page)}: {link} leads out of the repository"
        if not target.exists() and target.relative_to(ROOT).parts[0] not in {"docs", "README.md"}:
            continue  # a link into the sources, which are not there when the installed wheel is tested
        assert target.exists(), f"{_name(page)}: {link} leads nowhere"
        if anchor:
            headings = {_slug(heading) for heading in _HEADING.findall(_prose(target))}
            assert anchor in headings, f"{_name(page)}: {_name(target)} has no heading for #{anchor}"


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_page_can_be_reached() -> None:
    """From docs/index.md, link by link, a reader gets to every page."""
    reached: set[Path] = set()
    ahead = [ROOT / "docs" / "index.md"]
    while ahead:
        page = ahead.pop()
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        ahead += [(page.parent / link.partition("#")[0]).resolve() for link in _LINK.findall(_prose(page))]
    assert [_name(page) for page in PAGES if page not in reached and page != ROOT / "README.md"] == []


def test_operations_table_is_that_of_the_code() -> None:
    """docs/reference/operations.md lists the operations and usage plans that the package has."""
    spec = importlib.util.spec_from_file_location("operations", ROOT / "docs" / "operations.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = (ROOT / "docs" / "reference" / "operations.md").read_text(encoding="utf-8")
    assert written == module.page(), "run `nox -s docs`"


def test_time_zones_are_those_of_the_code() -> None:
    """docs/reference/jobs.md has the time zone of each marketplace."""
    page = (ROOT / "docs" / "reference" / "jobs.md").read_text(encoding="utf-8")
    written = re.findall(r"^\| ([A-Z]{2}) \| `(\w+/\w+)` \|", page, re.MULTILINE)
    assert written == [(marketplace.name, marketplace.timezone) for marketplace in Marketplace]


@pytest.mark.skipif(not (ROOT / ".ci" / "run").exists(), reason="the sdist has no .ci/run")
@pytest.mark.parametrize("name", ["demo", "test"])
def test_ci_runs_the_commands_of_the_readme(name: str) -> None:
    """What CI runs is read from the README, so that the two cannot differ."""
    [shown] = [s.code for s in _snippets(ROOT / "README.md") if s.note == f"command: {name}"]
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert f'bash -euo pipefail -c "$(readme_command {name})"' in script
    [function] = re.findall(r"^readme_command\(\) \{.*?^\}", script, re.MULTILINE | re.DOTALL)
    read = subprocess.run(
        ["bash", "-c", f"{function}\nreadme_command {name}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert read.stdout == shown
