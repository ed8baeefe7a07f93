"""What the generator has not seen before it refuses, and says in which file and where."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from spapi_async.codegen.__main__ import main
from spapi_async.codegen.read import read_api
from spapi_async.codegen.source import ModelFile, Overrides, RefusedError, find_files
from spapi_async.codegen.write import write_api

PLAIN: dict[str, Any] = {
    "swagger": "2.0",
    "info": {"version": "v1"},
    "paths": {
        "/plain/{id}": {
            "get": {
                "operationId": "getPlain",
                "parameters": [
                    {"name": "id", "in": "path", "type": "string", "required": True},
                    {"name": "ids", "in": "query", "type": "array", "items": {"type": "string"}},
                ],
                "responses": {"200": {"schema": {"$ref": "#/definitions/Plain"}}},
            }
        }
    },
    "definitions": {"Plain": {"type": "object", "properties": {"name": {"type": "string"}}}},
}


def read(content: dict[str, Any], facts: dict[str, Any] | None = None) -> None:
    write_api(read_api("plain_v1", [ModelFile("plain.json", content, "")], facts or {}))


def changed(change: Callable[[dict[str, Any], dict[str, Any], dict[str, Any]], object]) -> dict[str, Any]:
    content = copy.deepcopy(PLAIN)
    change(content, content["paths"]["/plain/{id}"]["get"], content["definitions"])
    return content


def test_an_argument_of_our_name() -> None:
    """An operation cannot have an argument called `restricted` where the library adds one."""
    content = changed(lambda c, o, d: o["parameters"].append({"name": "restricted", "in": "query", "type": "string"}))
    read(content)
    with pytest.raises(RefusedError, match="restricted; rename it"):
        read(content, {"operations": {"get_plain": {"restricted": "optional"}}})


def test_the_plain_model_is_taken() -> None:
    """The model that the other tests change is fine as it is."""
    read(PLAIN)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c, o, d: c.update({"x-new": 1}), "x-new: a key"),
        (lambda c, o, d: c["paths"]["/plain/{id}"].update(parameters=[{"in": "query"}]), "plain/{id}.parameters"),
        (lambda c, o, d: o.update({"x-new": 1}), "paths./plain/{id}.get.x-new: a key"),
        (lambda c, o, d: o["parameters"][0].update({"x-new": 1}), "get.parameters[0].x-new: a key"),
        (lambda c, o, d: o["parameters"][0].update({"in": "formData"}), "parameters[0].in: a parameter in 'formData'"),
        (lambda c, o, d: o["parameters"][0].update({"$ref": "#/parameters/x"}), "parameters[0].$ref: a key"),
        (lambda c, o, d: o["parameters"][0].update(format="uuid"), "parameters[0].format: the format 'uuid'"),
        (lambda c, o, d: o["parameters"][0].update(type="file"), "parameters[0].type"),
        (
            lambda c, o, d: o["parameters"][1].update(collectionFormat="pipes"),
            "parameters[1].collectionFormat: 'pipes'",
        ),
        (lambda c, o, d: o["parameters"][1].update(items={"type": "integer"}), "parameters[1]: an array of integer"),
        (lambda c, o, d: o["parameters"].append({"name": "Ids", "in": "query", "type": "string"}), "have one name"),
        (lambda c, o, d: o["parameters"].pop(0), "a path whose parameters"),
        (lambda c, o, d: o.update(consumes=["multipart/form-data"]), "get.consumes"),
        (lambda c, o, d: o.update(produces=["text/xml"]), "get.produces"),
        (lambda c, o, d: o.update(description="Rate (requests per second): 1, burst 2"), "table of the usage plan"),
        (
            lambda c, o, d: o.update(
                description="| Rate (requests per second) | Burst |\n| --- | --- |\n| many | some |\n"
            ),
            "the plan many | some",
        ),
        (lambda c, o, d: o["responses"].update(default={}), "responses.default: the status 'default'"),
        (lambda c, o, d: o.update(responses={"400": {}}), "without a 2xx reply"),
        (lambda c, o, d: o["responses"]["200"].update({"x-new": 1}), "responses.200.x-new: a key"),
        (lambda c, o, d: o["responses"]["200"].update(schema={"type": "string"}), "a reply of str"),
        (
            lambda c, o, d: o["responses"]["200"]["schema"].update({"$ref": "other.json#/A"}),
            "reference to 'other.json#/A'",
        ),
        (lambda c, o, d: o["responses"]["200"]["schema"].update({"$ref": "#/definitions/Gone"}), "#/definitions/Gone"),
        (lambda c, o, d: d["Plain"].update(oneOf=[]), "definitions.Plain.oneOf: a key"),
        (lambda c, o, d: d["Plain"].update(discriminator="kind"), "definitions.Plain.discriminator: a key"),
        (lambda c, o, d: d["Plain"]["properties"]["name"].update(type="null"), "properties.name.type: the type 'null'"),
        (lambda c, o, d: d["Plain"]["properties"]["name"].update(format="uuid"), "properties.name.format"),
        (lambda c, o, d: d["Plain"]["properties"].update(Name={"type": "string"}), "another field is called name"),
        (lambda c, o, d: d["Plain"]["properties"]["name"].update(enum=["a b", "A-B"]), "the same constant"),
        (
            lambda c, o, d: d.update(
                {"Plain": {"allOf": [d["Plain"], {"type": "object", "properties": {"name": {"type": "integer"}}}]}}
            ),
            "a second type of a property",
        ),
        (
            lambda c, o, d: d.update(
                {
                    "Warning": {"type": "object", "properties": {"a": {"type": "string"}}},
                    "Plain": {"type": "object", "properties": {"w": {"$ref": "#/definitions/Warning"}}},
                }
            ),
            "Warning is the name of something else too",
        ),
    ],
)
def test_unknown_models(change: Callable[[dict[str, Any], dict[str, Any], dict[str, Any]], object], words: str) -> None:
    """A key, type, place or name that no rule covers stops the generator, with file or module and JSON path."""
    with pytest.raises(RefusedError) as caught:
        read(changed(change))
    assert words in str(caught.value)
    assert str(caught.value).startswith(("plain.json: ", "plain_v1", "PlainName: "))


def test_two_operations_of_one_name() -> None:
    """They are not told apart by guessing: an override has to name one."""
    content = copy.deepcopy(PLAIN)
    content["paths"]["/plain/{id}"]["put"] = content["paths"]["/plain/{id}"]["get"]
    with pytest.raises(RefusedError, match="two operations are called get_plain"):
        read(content)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"operation": {}}, "facts.plain_v1.operation: a key"),
        ({"operations": {"get_plane": {}}}, "there is no such operation"),
        ({"operations": {"get_plain": {"restrict": True}}}, "get_plain.restrict: a key"),
        ({"operations": {"get_plain": {"timestamps": ["since"]}}}, "there is no argument"),
        ({"timestamps": ["Plain.since"]}, "there is no"),
        ({"operations": {"get_plain": {"paging": {"argument": "t", "token": "name"}}}}, "there is no argument t"),
        ({"operations": {"get_plain": {"paging": {"argument": "id", "token": "a.b"}}}}, "leads nowhere at a"),
        ({"operations": {"get_plain": {"paging": {"argument": "id", "token": "name", "items": "name"}}}}, "is no list"),
        ({"operations": {"get_plain": {"paging": {"argument": "id", "toke": "name"}}}}, "paging.toke: a key"),
    ],
)
def test_overrides_that_fit_nothing(facts: dict[str, Any], words: str) -> None:
    """An override that no longer fits the models is refused as well: it would be lost in silence."""
    with pytest.raises(RefusedError) as caught:
        read(PLAIN, facts)
    assert words in str(caught.value)


def test_files(tmp_path: Path) -> None:
    """A file without a module, a module without a file, and a file that is no JSON are refused by name."""
    overrides = Overrides("", ("plain_v1",), {"plain.json": "plain_v1"}, {})
    with pytest.raises(RefusedError, match="plain_v1: none of its files"):
        find_files([tmp_path], overrides)
    (tmp_path / "plain.json").write_text("{")
    with pytest.raises(RefusedError, match=r"plain\.json: it is no JSON"):
        find_files([tmp_path], overrides)
    (tmp_path / "new.json").write_text("{}")
    with pytest.raises(RefusedError, match=r"new\.json: no module is named"):
        find_files([tmp_path], attrs.evolve(overrides, emit=()))


def test_the_command_says_it_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Refusals end with status 1 and a line on standard error, wrong arguments with 2; nothing is written."""
    (tmp_path / "plain.json").write_text(json.dumps(PLAIN))
    out = tmp_path / "out"
    assert main(["--models", str(tmp_path), "--out", str(out)]) == 1
    assert "plain.json" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        main(["--models", str(tmp_path / "nowhere"), "--out", str(out)])
    assert caught.value.code == 2
    assert not out.exists()
