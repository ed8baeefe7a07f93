"""`python -m spapi_async.codegen`: make the packages of `spapi_async/apis` from Amazon's models."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import attrs

from .report import in_words, report
from .run import RELEASE, compare, generate, replace
from .source import Overrides, RefusedError


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
    parser.add_argument("--out", type=Path, default=RELEASE, help="folder to write to (default: spapi_async/apis)")
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
        told = report(made, arguments.out, is_part=only is not None)
        if not arguments.check:
            replace(made, arguments.out, is_part=only is not None)
    sys.stdout.write("\n".join([*in_words(told), *changes] or ["nothing to change"]) + "\n")
    return 1 if arguments.check and changes else 0


if __name__ == "__main__":
    raise SystemExit(main())
