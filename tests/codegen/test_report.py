"""What has changed, told from the generated code alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spapi_async.codegen.report import in_words, report
from spapi_async.codegen.run import generate
from spapi_async.codegen.source import Overrides

pytest.importorskip("ruff", reason="the generator needs ruff")

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def changed(
    folder: Path, models: Path, overrides: Overrides, tmp_path: Path
) -> Callable[[Change], dict[str, list[str]]]:
    """Report what a change of the model `odd.json` makes."""

    def report_of(change: Change) -> dict[str, list[str]]:
        copy, made = tmp_path / "models", tmp_path / "made"
        shutil.copytree(models, copy)
        made.mkdir()
        model = json.loads((copy / "odd.json").read_text())
        change(model)
        (copy / "odd.json").write_text(json.dumps(model))
        generate([copy], overrides, made)
        return report(made, folder)

    return report_of


def test_the_same(changed: Callable[[Change], dict[str, list[str]]]) -> None:
    """Prose that changes is no change."""

    def change(model: dict[str, Any]) -> None:
        model["info"]["description"] = "other PROSE"

    assert changed(change) == {}


def test_operations(changed: Callable[[Change], dict[str, list[str]]]) -> None:
    """New ones, gone ones, another path, another plan, other arguments."""

    def change(model: dict[str, Any]) -> None:
        paths = model["paths"]
        paths["/odd/v2/files/{resource}"] = paths.pop("/odd/v1/files/{resource}")
        thing = paths["/odd/v1/things/{thingId}"]
        thing["get"]["description"] = thing["get"]["description"].replace("| .5 |", "| .25 |")
        parameters = thing["get"]["parameters"]
        [size] = [parameter for parameter in parameters if parameter["name"] == "pageSize"]
        size["maximum"] = 77
        size["type"] = "number"
        [gift] = [parameter for parameter in parameters if parameter["name"] == "isGift"]
        gift["required"] = True
        parameters.remove(next(parameter for parameter in parameters if parameter["name"] == "operation"))
        parameters.append({"name": "newOne", "in": "query", "type": "string", "required": True})
        paths["/odd/v1/new"] = {"get": {"operationId": "getNew", "responses": {"200": {"description": ""}}}}
        del thing["delete"]

    assert set(changed(change)["odd_v1"]) == {
        "~ operation get_file, path: /odd/v1/files/{resource} -> /odd/v2/files/{resource}",
        "~ operation get_thing, plan: 0.5/s, burst 3 (model) -> 0.25/s, burst 3 (model)",
        "~ operation get_thing, argument page_size: integer -> number",
        "~ operation get_thing, argument page_size, maximum: 50 -> 77",
        "~ operation get_thing, argument is_gift: now required",
        "- operation get_thing, argument operation",
        "+ operation get_thing, argument new_one: string, required",
        "+ operation get_new: GET /odd/v1/new, 1/s, burst 1 (default)",
        "- operation delete_thing: DELETE /odd/v1/things/{thingId}",
    }


def test_fields_and_values(changed: Callable[[Change], dict[str, list[str]]]) -> None:
    """New ones, gone ones, another type, required or not, limits, classes and listed values."""

    def change(model: dict[str, Any]) -> None:
        request = model["definitions"]["ThingRequest"]
        request["properties"]["added"] = {"type": "array", "items": {"$ref": "#/definitions/NewClass"}}
        request["required"] = ["added"]
        request["properties"]["text"]["maxLength"] = 7
        model["definitions"]["NewClass"] = {"type": "object", "properties": {"a": {"type": "string", "enum": ["x"]}}}
        thing = model["definitions"]["Thing"]["properties"]
        del thing["supportedDPIs"]
        thing["weight"] = {"type": "string"}
        size = thing["size"]
        while "$ref" in size:
            size = model["definitions"][size["$ref"].rpartition("/")[2]]
        size["enum"] = [*size["enum"][1:], "brand-new"]

    lines = changed(change)["odd_v1"]
    for line in (
        "+ ThingRequest.added: list[NewClass], required",
        "+ class NewClass: 1 field",
        "+ values NewClassA: x",
        "- Thing.supported_dpis",
        "~ Thing.weight: float -> str",
    ):
        assert line in lines
    assert [line for line in lines if line.startswith("~ ThingRequest.text, limits: ")]
    assert [line for line in lines if line.startswith("~ ThingRequest.") and line.endswith("no longer required")]
    assert [line for line in lines if line.startswith("+ value ") and line.endswith(": brand-new")]
    assert [line for line in lines if line.startswith("- value ")]


def test_pages(folder: Path, tmp_path: Path) -> None:
    """How the pages of an operation follow each other is a fact about it too."""
    shutil.copytree(folder / "paged_v0", tmp_path / "paged_v0")
    client = tmp_path / "paged_v0" / "client.py"
    client.write_text(client.read_text().replace("keep=()", 'keep=("page_size",)'))
    [line] = report(tmp_path, folder, is_part=True)["paged_v0"]
    assert line.startswith("~ operation get_feeds, pages: Paging(")


def test_modules(folder: Path, tmp_path: Path) -> None:
    """A module is new or gone as a whole; one that is half there, or cannot be read, counts as absent."""
    shutil.copytree(folder / "odd_v1", tmp_path / "odd_v1")
    (tmp_path / "paged_v0").mkdir()
    (tmp_path / "paged_v0" / "operations.py").write_text("<<<<<<<")
    changes = report(folder, tmp_path)
    assert list(changes) == ["paged_v0"]
    [line] = changes["paged_v0"]
    assert line.startswith("+ the whole module: ")
    assert in_words(changes) == ["paged_v0", f"  {line}"]
    shutil.rmtree(tmp_path / "paged_v0")
    assert report(tmp_path, folder) == {"paged_v0": ["- the whole module"]}
    assert report(tmp_path, folder, is_part=True) == {}
