"""The model files: where they are, what they hold, and which version of them the committed code was made from."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

__all__ = ["VERSION", "ModelFile", "Overrides", "RefusedError", "find_files", "read_file", "write_lock"]


VERSION = 1
"""Goes up when the generator writes other code from the same models; stands in `models.lock`."""


class RefusedError(Exception):
    """The generator met something that it has not seen before; it says in which file and at which JSON path."""


@attrs.frozen
class ModelFile:
    """One of Amazon's files."""

    name: str
    content: Mapping[str, Any]
    sha256: str


@attrs.frozen
class Overrides:
    """`overrides.toml`."""

    commit: str
    emit: tuple[str, ...]
    modules: Mapping[str, str]
    """File name -> module."""
    facts: Mapping[str, Mapping[str, Any]]
    """Module -> what the model lacks or gets wrong."""

    @classmethod
    def load(cls, path: Path | None = None) -> Overrides:
        """Read a file, by default the one that lies beside this module."""
        path = path or Path(__file__).parent / "overrides.toml"
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        return cls(content["commit"], tuple(content["emit"]), content["modules"], content.get("facts", {}))


def find_files(folders: Sequence[Path], overrides: Overrides) -> dict[str, list[ModelFile]]:
    """Read the files of all modules that are to be emitted.

    Returns:
        For each module its files: Amazon's first, then those that add to it.

    Raises:
        RefusedError: A file belongs to no module, or a module has no file.
    """
    found: dict[str, list[ModelFile]] = {module: [] for module in overrides.emit}
    for folder in folders:
        for path in sorted(folder.rglob("*.json")):
            module = overrides.modules.get(path.name)
            if module is None:
                raise RefusedError(f"{path.name}: no module is named for this file in overrides.toml [modules]")
            if module in found:
                found[module].append(read_file(path))
    for module, files in found.items():
        if not files:
            raise RefusedError(f"{module}: none of its files is in the folders given")
    return found


def read_file(path: Path) -> ModelFile:
    """Read a file.

    Raises:
        RefusedError: It is no JSON.
    """
    raw = path.read_bytes()
    try:
        content = json.loads(raw)
    except ValueError as error:
        raise RefusedError(f"{path.name}: it is no JSON: {error}") from None
    return ModelFile(path.name, content, hashlib.sha256(raw).hexdigest())


def write_lock(overrides: Overrides, files: Mapping[str, Sequence[ModelFile]]) -> str:
    """Return the text of `models.lock`: from what exactly the code was made."""
    lines = [f"source amzn/selling-partner-api-models {overrides.commit}", f"generator {VERSION}", ""]
    for module in sorted(files):
        lines += [f"{module} {file.name} sha256:{file.sha256}" for file in files[module]]
    return "\n".join(lines) + "\n"
