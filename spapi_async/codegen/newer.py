"""What a user generates for himself: from models newer than ours, by our facts with his own laid over them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from .ir import ApiSpec
from .names import snake
from .read import read_api
from .source import ModelFile, Overrides, RefusedError, read_file

__all__ = ["Newer"]

_VERBS = ("get", "post", "put", "patch", "delete")


class Newer:
    """Newer models, and what is known about them.

    Args:
        folders: Where the models lie.
        overrides: A file like `overrides.toml`, with `[modules]` and `[facts]` only.

    Raises:
        RefusedError: The file is not like that.
    """

    def __init__(self, folders: Sequence[Path], overrides: Path | None = None) -> None:
        ours = Overrides.load()
        theirs: Mapping[str, Any] = {}
        if overrides is not None:
            try:
                theirs = tomllib.loads(overrides.read_text(encoding="utf-8"))
            except ValueError as error:
                raise RefusedError(f"{overrides}: it is no TOML: {error}") from None
            if strays := sorted(theirs.keys() - {"modules", "facts"}):
                raise RefusedError(f"{overrides}: {', '.join(strays)}: only [modules] and [facts] belong here")
        self._modules: Mapping[str, str] = {**ours.modules, **theirs.get("modules", {})}
        for name, module in theirs.get("modules", {}).items():
            if not (isinstance(module, str) and re.fullmatch(r"[a-z][a-z0-9_]*", module)):
                raise RefusedError(
                    f"{overrides}: {name}: a module's name has small letters, digits and underscores only"
                )
        self._ours = ours.facts
        self._theirs: Mapping[str, Any] = theirs.get("facts", {})
        self._folders = folders

    def read(self, only: Collection[str] | None = None) -> list[ApiSpec]:
        """Read the models.

        Args:
            only: Modules; None for all that there are models of.

        Raises:
            RefusedError: A file belongs to no module, a module has no file, or something in a model has not been seen
                before. All that is refused is told.
        """
        files = self._files(only)
        apis, refused = [], []
        for module in sorted(files):
            try:
                apis.append(read_api(module, files[module], self._facts(module, files[module])))
            except RefusedError as error:
                refused.append(str(error))
            except KeyError as error:
                refused.append(f"{files[module][0].name}: {error} is missing somewhere in it")
            except ValueError as error:  # of a usage plan
                refused.append(f"{module}: {error}")
        if refused:
            raise RefusedError("\n".join(refused))
        return apis

    def _files(self, only: Collection[str] | None) -> dict[str, list[ModelFile]]:
        found: dict[str, list[ModelFile]] = {}
        unknown: list[str] = []
        for path in (path for folder in self._folders for path in sorted(folder.rglob("*.json"))):
            module = self._modules.get(path.name)
            if module is None and only is None and "swagger" in read_file(path).content:
                unknown.append(path.name)
            elif module is not None and (only is None or module in only):
                found.setdefault(module, []).append(read_file(path))
        if unknown:
            names = "\n".join(f'"{name}" = "{snake(name.removesuffix(".json"))}"' for name in unknown)
            raise RefusedError(
                f"files of no known module; name one for each in a file for --overrides:\n[modules]\n{names}"
            )
        if missing := sorted(set(only or ()) - found.keys()):
            raise RefusedError(f"{', '.join(missing)}: none of the files in the folders given is of this module")
        if not found:
            raise RefusedError("there are no models in the folders given")
        return found

    def _facts(self, module: str, files: Sequence[ModelFile]) -> Mapping[str, Any]:
        ours = dict(self._ours.get(module, {}))
        # Ours about operations that Amazon has taken out since do no harm; in the user's own they are mistakes.
        names = set(_names(files, {**ours, **self._theirs.get(module, {})}.get("rename_operations", {})))
        ours["operations"] = {name: told for name, told in ours.get("operations", {}).items() if name in names}
        return merge(ours, self._theirs.get(module, {}))


def merge(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Lay facts over others. `false` takes away what is no boolean."""
    merged = dict(ours)
    for name, value in theirs.items():
        old = merged.get(name)
        if value is False and old is not None and not isinstance(old, bool):
            del merged[name]
        elif isinstance(value, Mapping) and isinstance(old, Mapping) and name != "paging":  # that holds together
            merged[name] = merge(old, value)
        else:
            merged[name] = value
    return merged


def _names(files: Sequence[ModelFile], renames: Mapping[str, str]) -> list[str]:
    """Name the operations that there are, as the reader does."""
    return [
        renames.get(f"{verb} {path}", snake(item[verb]["operationId"]))
        for file in files
        for path, item in file.content.get("paths", {}).items()
        for verb in _VERBS
        if verb in item
    ]
