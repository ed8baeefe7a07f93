"""What a developer runs: `nox -l` lists the sessions, plain `nox` runs those that must pass before a commit."""

from __future__ import annotations

import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import nox

nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
# A Python that is not on this machine is skipped with a message, in CI too (where nox would fail by default): which
# ones there are is the machine's business, and `.ci/run` prints them.
nox.options.error_on_missing_interpreters = False

PYPROJECT = nox.project.load_toml("pyproject.toml")
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
# A Python newer than the classifiers is tried where nox itself runs on it, and nowhere else.
PYTHONS = list(dict.fromkeys([*nox.project.python_versions(PYPROJECT), HERE]))

nox.options.sessions = ["lint", "types", f"tests-{HERE}"]


def _group(name: str) -> list[str]:
    # Read here rather than by `pip install --group`, which older bundled pips do not know.
    return list(nox.project.dependency_groups(PYPROJECT, name))


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting; `-- --fix` mends what can be mended."""
    session.install(*_group("lint"))
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", *([] if "--fix" in session.posargs else ["--check"]))


@nox.session
def types(session: nox.Session) -> None:
    """Check the types, also of the public API as a user writes it (tests/typing)."""
    session.install("-e", ".[all]", *_group("types"))
    session.run("mypy", *session.posargs)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests on every supported Python of this machine; arguments go to pytest."""
    session.install("-e", ".[all]", *_group("test"))
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def hostile(session: nox.Session) -> None:
    """Try ten thousand hostile sources, of each sort that the tests try a hundred of."""
    session.install("-e", ".[all]", *_group("test"))
    session.env["HYPOTHESIS_PROFILE"] = "hostile"
    session.run("python", "-m", "pytest", "tests/jobs/source/test_hostile.py", *session.posargs)


@nox.session
def report(session: nox.Session) -> None:
    """Look at the report of a job of 400,000 rows in a real browser, where the tests look at 4,000."""
    session.install("-e", ".[all]", *_group("test"))
    session.env["REPORT_ROWS"] = "400000"
    session.run("python", "-m", "pytest", "tests/jobs/report/test_page.py", *session.posargs)


@nox.session
def crash(session: nox.Session) -> None:
    """Kill jobs at random instants, two hundred runs of them, and judge what is left; `-- --runs 20 --seed 7`."""
    session.install("-e", ".[all]", *_group("test"))
    session.run("python", "tests/crash/matrix.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Run the snippets of README and docs, check the links, and write the operations table anew."""
    session.install("-e", ".[all]", *_group("docs"))
    session.run("python", "docs/operations.py")
    examples = ["tests/test_service_example.py", "tests/test_consent_site.py"]
    session.run("python", "-m", "pytest", "tests/test_docs.py", *examples, *session.posargs)


@nox.session
def generate(session: nox.Session) -> None:
    """Write spapi_async/apis from Amazon's models: `-- --models DIR --supplement DIR [--check]`."""
    session.install("-e", ".", *_group("generate"))
    session.run("python", "-m", "spapi_async.codegen", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure on this machine: every benchmark, or the one named first, as in `-- throughput`, with its arguments."""
    session.install("-e", ".[sandbox]", *_group("bench"))
    name, arguments = (session.posargs[0], session.posargs[1:]) if session.posargs else ("*", [])
    scripts = sorted(Path("benchmarks").glob(f"bench_{name}.py"))
    if not scripts:
        session.error(f"there is no benchmarks/bench_{name}.py")
    for script in scripts:
        session.run("python", str(script), *arguments)


@nox.session(reuse_venv=False)
def package(session: nox.Session) -> None:
    """Build wheel and sdist, look into them, and run the sdist's tests on the installed wheel."""
    tmp = Path(session.create_tmp())
    built, unpacked = tmp / "dist", tmp / "sdist"
    shutil.rmtree(tmp)  # nox keeps what the last run left in it
    tmp.mkdir()
    session.install("build")
    session.run("python", "-m", "build", "--outdir", str(built), silent=True)
    [wheel], [sdist] = built.glob("*.whl"), built.glob("*.tar.gz")

    names = zipfile.ZipFile(wheel).namelist()
    for wanted in ("spapi_async/py.typed", "/licenses/LICENSE", "/licenses/spapi_async/apis/NOTICE"):
        if not any(name.endswith(wanted) for name in names):
            session.error(f"{wheel.name} lacks {wanted}")
    strays = [name for name in names if not name.startswith(("spapi_async/", "spapi_async-"))]
    if strays:
        session.error(f"{wheel.name} holds files outside the package: {strays}")

    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    [root] = unpacked.iterdir()
    # The sources go: what the tests import can then only be the installed wheel.
    (root / "spapi_async").rename(unpacked / "out-of-reach")

    session.install(f"{wheel}[all]", *_group("test"))
    with session.chdir(root):
        session.run(
            "python",
            "-c",
            "import spapi_async, sys; sys.exit('site-packages' not in spapi_async.__file__ and spapi_async.__file__)",
        )
        session.run("python", "-m", "pytest", "-p", "no:cacheprovider", *session.posargs)
