"""`spapi-async generate`: packages like those of `spapi_async/apis`, from models that are newer than this release."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

from ..codegen.newer import Newer
from ..codegen.report import in_words, report
from ..codegen.run import OWN_MARK, RELEASE, compare, replace, write_packages
from ..codegen.source import RefusedError
from ..errors import ConfigError

__all__ = ["add_arguments", "run"]

_INIT = '"""API versions of the Selling Partner API, made by `spapi-async generate`."""\n'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = (
        "It tells what differs from this release: + is new, - is gone, ~ is changed. Each module becomes a package of "
        "its own in --out, to be used with any client, as in sp.api(Orders20270101). Exit status: 0 done, 1 --check "
        "found something to write, 2 usage, or a model holds something that the generator has not seen before."
    )
    add = parser.add_argument
    add(
        "--models", type=Path, required=True, metavar="DIR", help="Amazon's Swagger models, searched in all its folders"
    )
    add("--out", type=Path, required=True, metavar="DIR", help="a package of yours; nothing else in it is touched")
    add("--supplement", type=Path, metavar="DIR", help="files that add operations to those models")
    add("--overrides", type=Path, metavar="FILE", help="TOML: names of new modules, and facts that the models lack")
    add("--only", metavar="MODULE,...", help="these modules only; default: all that there are models of")
    add("--changed", action="store_true", help="only modules that differ from this release")
    add("--check", action="store_true", help="write nothing, tell what would be written")


def run(arguments: argparse.Namespace) -> int:
    """Generate and tell what differs; the exit status.

    Raises:
        ConfigError: ruff is missing, a folder is none, or a model cannot be read. Nothing was written.
    """
    folders = [folder for folder in (arguments.models, arguments.supplement) if folder is not None]
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"{folder} is no folder")
    if find_spec("ruff") is None:
        raise ConfigError("the generator needs ruff to format what it writes: pip install 'spapi-async[generate]'")
    with tempfile.TemporaryDirectory() as name:
        made = Path(name)
        made.chmod(0o755)  # a temporary folder is its owner's alone, and copying takes that over
        try:
            only = [name.strip() for name in arguments.only.split(",")] if arguments.only else None
            apis = Newer(folders, arguments.overrides).read(only)
            write_packages(apis, made, is_own=True)
        except RefusedError as refusal:
            raise ConfigError(str(refusal)) from None
        changes = report(made, RELEASE, is_part=True)
        print("\n".join(in_words(changes) or ["nothing differs from this release"]))
        if arguments.changed:
            for path in [path for path in made.iterdir() if path.name not in changes]:
                shutil.rmtree(path)
        return _put(made, arguments.out, is_check=arguments.check)


def _put(made: Path, out: Path, *, is_check: bool) -> int:
    """Put the packages where the user wants them, and say which."""
    for package in made.iterdir():
        _check_place(out / package.name)
    files = [change.partition(": ")[2] for change in compare(made, out, is_part=True)]
    packages = sorted({file.partition("/")[0] for file in files})
    if packages and not is_check:
        is_new = not out.exists()
        replace(made, out, is_part=True)
        if is_new:  # elsewhere it is the user's business whether the folder is a package
            (out / "__init__.py").write_text(_INIT, encoding="utf-8")
    for name in packages:
        print(f"{'to write' if is_check else 'written'}: {out / name}")
    if not packages:
        print(f"nothing to write in {out}")
    return 1 if is_check and packages else 0


def _check_place(place: Path) -> None:
    """See that nothing is lost there: a package is replaced as a whole."""
    marked = place / "operations.py"
    if place.exists() and not (marked.exists() and OWN_MARK in marked.read_text(encoding="utf-8")):
        raise ConfigError(f"{place} is there already and was not made by this command; choose another --out")
