"""What the generator writes: our style, none of Amazon's prose, the same bytes every time."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from spapi_async.codegen.__main__ import main
from spapi_async.codegen.run import compare, generate
from spapi_async.codegen.source import Overrides

ROOT = Path(__file__).parents[2]


def texts(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def arguments(models: Path, out: Path, *more: str) -> list[str]:
    return ["--models", str(models), "--overrides", str(models / "overrides.toml"), "--out", str(out), *more]


def test_the_same_every_time(folder: Path, models: Path, overrides: Overrides, tmp_path: Path) -> None:
    """Two runs write the same bytes."""
    generate([models], overrides, tmp_path)
    assert texts(tmp_path) == texts(folder)


def test_no_prose(folder: Path) -> None:
    """No description, title or example of the models gets into the code."""
    assert not [name for name, text in texts(folder).items() if "PROSE" in text]


def test_style(folder: Path) -> None:
    """The project's own linter and formatter have nothing to say."""
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("the project's configuration is not here")
    config = ["--config", str(ROOT / "pyproject.toml"), "--no-cache", str(folder)]
    # Docstrings, unused arguments and names are judged by the path too, which is another one here.
    for command in (["check", "--ignore", "A002,D417"], ["format", "--check"]):
        done = subprocess.run([sys.executable, "-m", "ruff", *command, *config], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_check(folder: Path, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` tells what has changed and which files, writes nothing, ends with 1; after a run it finds nothing."""
    assert main(arguments(models, tmp_path)) == 0
    capsys.readouterr()
    assert main(arguments(models, tmp_path, "--check")) == 0
    assert capsys.readouterr().out == "nothing to change\n"
    (tmp_path / "odd_v1" / "client.py").write_text("")
    (tmp_path / "odd_v1" / "models.py").unlink()
    (tmp_path / "old_v1").mkdir()
    (tmp_path / "old_v1" / "operations.py").write_text("")
    (tmp_path / "base.py").write_text("by hand")
    before = texts(tmp_path)
    assert main(arguments(models, tmp_path, "--check")) == 1
    assert capsys.readouterr().out.split("\n") == [
        "odd_v1",
        "  + the whole module: 6 operations, 10 classes",
        "gone: old_v1/operations.py",
        "changed: odd_v1/client.py",
        "new: odd_v1/models.py",
        "",
    ]
    assert texts(tmp_path) == before
    assert main(arguments(models, tmp_path)) == 0
    assert texts(tmp_path) == {**texts(folder), "base.py": "by hand"}


def test_only(folder: Path, models: Path, tmp_path: Path) -> None:
    """`--only` writes the packages named and touches nothing else."""
    assert main(arguments(models, tmp_path, "--only", "paged_v0")) == 0
    assert {name.split("/")[0] for name in texts(tmp_path)} == {"paged_v0"}
    assert compare(folder, tmp_path) != []


def test_lock(folder: Path) -> None:
    """The lock names the models' commit, the generator's version, and each file with its hash."""
    lines = (folder / "models.lock").read_text().split("\n")
    assert lines[0] == "source amzn/selling-partner-api-models 0123456"
    assert re.fullmatch(r"generator \d+", lines[1])
    assert [line.split(" sha256:")[0] for line in lines[3:-1]] == [
        "odd_v1 odd.json",
        "paged_v0 paged.json",
        "paged_v0 paged.retired.json",
    ]


@pytest.mark.usefixtures("packages")
class TestPackage:
    def test_importing_a_package_imports_no_model(self) -> None:
        """Names are found when they are first touched."""
        package = import_module("spapi_async.apis.odd_v1")
        assert "spapi_async.apis.odd_v1.models" not in sys.modules
        assert package.Thing is import_module("spapi_async.apis.odd_v1.models").Thing
        assert package.OddV1.__name__ == "OddV1"
        with pytest.raises(AttributeError, match="Nothing"):
            package.Nothing  # noqa: B018

    def test_signatures(self) -> None:
        """Arguments are keyword-only, required ones first, and typed; what may be left out is None."""
        client: Any = import_module("spapi_async.apis.odd_v1.client").OddV1
        signature = inspect.signature(client.get_thing)
        kinds = {parameter.kind for name, parameter in signature.parameters.items() if name != "self"}
        assert kinds == {inspect.Parameter.KEYWORD_ONLY}
        annotations = {name: parameter.annotation for name, parameter in signature.parameters.items()}
        assert annotations["thing_id"] == "str"
        assert annotations["seller_skus"] == "Sequence[str] | None"
        assert annotations["undeclared_after"] == "dt.datetime | str | None"
        assert annotations["as_of"] == "dt.date | str | None"
        assert annotations["sort_order"] in {
            "Literal['ASC', 'DESC'] | str | None",
            'Literal["ASC", "DESC"] | str | None',
        }
        assert signature.return_annotation == "m.Thing"
        returned = {name: inspect.signature(getattr(client, name)).return_annotation for name in dir(client)[-6:]}
        assert returned["get_trends"] == "m.Made | None"
        assert returned["link_thing"] == "m.Made | m.Accepted"
        assert returned["replace_things"] == "list[m.Thing]"
        body = inspect.signature(client.replace_things).parameters["body"].annotation
        assert body == "Sequence[m.ThingRequest | Mapping[str, Any]] | None"

    def test_personal_data_on_request(self) -> None:
        """Where a restricted data token is optional, the method takes the data to ask for, after Amazon's arguments."""
        client: Any = import_module("spapi_async.apis.odd_v1.client").OddV1
        *_, (name, parameter) = inspect.signature(client.get_thing).parameters.items()
        assert (name, parameter.default) == ("restricted", None)
        assert parameter.annotation.replace('"', "'") == "Sequence[Literal['sender', 'receiver'] | str] | None"
        assert "restricted: Data to ask for: sender, receiver." in (inspect.getdoc(client.get_thing) or "")

    def test_secrets(self) -> None:
        """A field that holds a secret is kept out of the repr."""
        accepted = import_module("spapi_async.apis.odd_v1").Accepted(request_id="hush")
        assert (repr(accepted), accepted.request_id) == ("Accepted()", "hush")

    def test_docstrings(self) -> None:
        """Verb, path, plan with its source, limits with their units, and a link."""
        doc = inspect.getdoc(import_module("spapi_async.apis.odd_v1.client").OddV1.get_thing) or ""
        assert "GET /odd/v1/things/{thingId}" in doc
        assert "Usage plan: 0.5 requests/s, burst 3 (model)." in doc
        assert "seller_skus: 1 to 2 items." in doc
        assert "https://developer-docs.amazon.com/sp-api/reference/getthing" in doc

    def test_request_classes_demand_what_amazon_demands(self) -> None:
        """A required field has no default, so that type-checkers and Python itself miss it."""
        attachment = import_module("spapi_async.apis.odd_v1").Attachment
        with pytest.raises(TypeError, match="file_name"):
            attachment()

    def test_money(self) -> None:
        """A class of an amount and a currency has its amount as a decimal number; the wire's type stays."""
        money = import_module("spapi_async.apis.odd_v1").Money
        assert str(money(amount="12.30", currency_code="EUR").decimal) == "12.30"
        assert money(amount="?").decimal is None
        assert money().decimal is None
