"""`python -m spapi_async.codegen`: make the packages of `spapi_async/apis` from Amazon's models."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import attrs

from .read import read_api
from .source import Overrides, RefusedError, find_files, write_lock
from .write import write_api, write_namespace

_APIS = Path(__file__).parent.parent / "apis"
# Our own style, wherever the folder lies: no configuration is read.
_STYLE = ["--isolated", "--config", "line-length = 120", "--config", "lint.isort.combine-as-imports = true"]
# Sorted imports, and none that is not used: the writer need not know which a file uses.
_CHECK = ["check", "--quiet", "--no-cache", "--select", "I,F401", "--fix"]
_FORMAT = ["format", "--quiet", "--no-cache"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the generator.

    Returns:
        The exit status: 0 when all is written, or `--check` found nothing to change; 1 when something was refused, or
        `--check` found differences; 2 when the arguments are wrong.
    """
    parser = argparse.ArgumentParser(prog="python -m spapi_async.codegen", description=__doc__)
    parser.add_argument("--models", type=Path, required=True, help="folder with Amazon's models")
    parser.add_argument("--supplement", type=Path, help="folder with operations that those lack")
    parser.add_argument("--overrides", type=Path, help="what the models lack (default: the one beside the generator)")
    parser.add_argument("--out", type=Path, default=_APIS, help="folder to write to (default: spapi_async/apis)")
    parser.add_argument("--only", metavar="MODULE,...", help="write these packages and nothing else")
    parser.add_argument(
        "--all", action="store_true", help="every module that overrides.toml names, listed to emit or not"
    )
    parser.add_argument("--check", action="store_true", help="write nothing, list what would change")
    arguments = parser.parse_args(argv)
    folders = [folder for folder in (arguments.models, arguments.supplement) if folder is not None]
    for folder in folders:
        if not folder.is_dir():
            parser.error(f"{folder} is no folder")
    overrides = Overrides.load(arguments.overrides)
    if arguments.all:
        overrides = attrs.evolve(overrides, emit=tuple(sorted(set(overrides.modules.values()))))
    only = arguments.only.split(",") if arguments.only else None
    if only is not None:
        if unknown := sorted(set(only) - set(overrides.modules.values())):
            parser.error(f"overrides.toml names no module {', '.join(unknown)}")
        overrides = attrs.evolve(overrides, emit=tuple(sorted(only)))
    with tempfile.TemporaryDirectory() as name:
        made = Path(name)
        made.chmod(0o755)  # a temporary folder is its owner's alone, and copying takes that over
        try:
            generate(folders, overrides, made, is_part=only is not None)
        except RefusedError as refusal:
            sys.stderr.write(f"{refusal}\n")
            return 1
        changes = compare(made, arguments.out, is_part=only is not None)
        if not arguments.check:
            replace(made, arguments.out, is_part=only is not None)
    sys.stdout.write("\n".join(changes or ["nothing to change"]) + "\n")
    return 1 if arguments.check and changes else 0


def generate(folders: Sequence[Path], overrides: Overrides, out: Path, *, is_part: bool = False) -> None:
    """Write the packages into an empty folder, and what belongs to all of them unless they are a part.

    Raises:
        RefusedError: Something in the models has not been seen before.
    """
    files = find_files(folders, overrides)
    apis = [read_api(module, files[module], overrides.facts.get(module, {})) for module in sorted(files)]
    for api in apis:
        (out / api.module).mkdir()
        for name, text in write_api(api).items():
            (out / api.module / name).write_text(text, encoding="utf-8")
    if not is_part:
        (out / "namespace.py").write_text(write_namespace(apis), encoding="utf-8")
        (out / "models.lock").write_text(write_lock(overrides, files), encoding="utf-8")
    for command in (_CHECK, _FORMAT):
        subprocess.run([sys.executable, "-m", "ruff", *command, *_STYLE, str(out)], check=True)


def compare(made: Path, out: Path, *, is_part: bool = False) -> list[str]:
    """List the files that are new, differ, or are gone."""
    new = _files(made, [path.name for path in made.iterdir() if path.is_dir()])
    old = _files(out, [path.name for path in made.iterdir() if path.is_dir()] if is_part else _packages(out))
    changes = [f"gone: {name}" for name in sorted(old.keys() - new.keys())]
    for name in sorted(new):
        there = old.get(name) or out / name
        if not there.exists():
            changes.append(f"new: {name}")
        elif there.read_bytes() != new[name].read_bytes():
            changes.append(f"changed: {name}")
    return changes


def replace(made: Path, out: Path, *, is_part: bool = False) -> None:
    """Put the new files in the place of the old ones; packages that are no longer made go."""
    for package in [path.name for path in made.iterdir() if path.is_dir()] if is_part else _packages(out):
        shutil.rmtree(out / package, ignore_errors=True)
    shutil.copytree(made, out, dirs_exist_ok=True)


def _packages(out: Path) -> list[str]:
    """Name the generated packages in a folder: those with a module of operations."""
    return [path.parent.name for path in out.glob("*/operations.py")]


def _files(folder: Path, packages: Sequence[str]) -> dict[str, Path]:
    """Return the sources of these packages and what lies beside them, by relative path."""
    paths = [path for package in packages for path in (folder / package).rglob("*.py")]
    paths += [path for path in (folder / "namespace.py", folder / "models.lock") if path.exists()]
    return {path.relative_to(folder).as_posix(): path for path in paths}


if __name__ == "__main__":
    raise SystemExit(main())
