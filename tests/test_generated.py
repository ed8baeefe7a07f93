"""The committed packages of `spapi_async/apis`: whole, and what the generator makes of Amazon's models today."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import get_type_hints

import attrs
import pytest

from spapi_async.apis import catalog
from spapi_async.apis.base import Api
from spapi_async.apis.namespace import MODULES, Apis
from spapi_async.operation import Operation
from spapi_async.paging import Pager

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
MODELS = [SHARED / "models", SHARED / "models-supplement"]
OPERATIONS = list(catalog())

needs_models = pytest.mark.skipif(
    not all(folder.is_dir() for folder in MODELS), reason="Amazon's models are not in ../shared/models"
)


def client_of(module: str) -> type[Api]:
    package = import_module(f"spapi_async.apis.{module}")
    [name] = [
        name for name in package.__all__ if inspect.isclass(found := getattr(package, name)) and issubclass(found, Api)
    ]
    return getattr(package, name)  # type: ignore[no-any-return]


@pytest.mark.parametrize("module", MODULES)
def test_packages(module: str) -> None:
    """Each package has its class, its models and its operations, and a method for each operation."""
    package = import_module(f"spapi_async.apis.{module}")
    assert package.__all__ == sorted(package.__all__)
    operations = import_module(f"spapi_async.apis.{module}.operations")
    client = client_of(module)
    for operation in operations.OPERATIONS:
        assert getattr(operations, operation.name.upper()) is operation
        assert operation.module == module
        assert callable(getattr(client, operation.name))
    assert issubclass(type(Apis()), Apis)
    assert module in vars(Apis)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.key)
def test_signatures(operation: Operation) -> None:
    """Every argument is keyword-only and typed, required ones come first; the reply is typed too."""
    method = getattr(client_of(operation.module), operation.name)
    hints = get_type_hints(method)
    _, *arguments = inspect.signature(method).parameters.values()
    if operation.restricted == "optional":
        *arguments, restricted = arguments
        assert (restricted.name, restricted.kind) == ("restricted", inspect.Parameter.KEYWORD_ONLY)
        assert restricted.default is (None if operation.data_elements else False)
    assert [argument.name for argument in arguments] == [parameter.argument for parameter in operation.parameters]
    for argument, parameter in zip(arguments, operation.parameters, strict=True):
        assert argument.kind is inspect.Parameter.KEYWORD_ONLY
        assert argument.name in hints
        assert (argument.default is inspect.Parameter.empty) == parameter.required
    required = [parameter.required for parameter in operation.parameters]
    assert required == sorted(required, reverse=True)
    assert "return" in hints
    is_paged = getattr(hints["return"], "__origin__", None) is Pager
    if operation.retired is None:  # else there is the function that warns around it
        assert inspect.iscoroutinefunction(method) != is_paged
    assert f"{operation.method} {operation.path}" in (inspect.getdoc(method) or "")


@pytest.mark.parametrize("module", MODULES)
def test_models(module: str) -> None:
    """Every model is a slotted attrs class that knows the wire name of each field and can be read or written."""
    models = import_module(f"spapi_async.apis.{module}.models")
    import_module(f"spapi_async.apis.{module}.decode")
    from spapi_async.codec import decoder_of, encoder_of

    for name in models.__all__:
        model = getattr(models, name)
        if not attrs.has(model):
            continue
        assert not hasattr(model, "__dict__") or "__dict__" not in model.__slots__
        assert list(model.__wire__) == [field.name for field in attrs.fields(model)]
        assert encoder_of(model) is not None
        if any(operation.result == name for operation in OPERATIONS if operation.module == module):
            assert decoder_of(model)({}) is not None


@pytest.mark.parametrize("module", MODULES)
def test_money(module: str) -> None:
    """Every class that Amazon calls money has its amount as a decimal number."""
    models = import_module(f"spapi_async.apis.{module}.models")
    for name in {"Money", "MoneyType", "Currency"} & vars(models).keys():
        assert isinstance(getattr(models, name).decimal, property)


def test_catalogue_is_unique() -> None:
    """No two operations have one key, or one verb and path."""
    assert len({operation.key for operation in OPERATIONS}) == len(OPERATIONS)
    assert len({(operation.method, operation.path) for operation in OPERATIONS}) == len(OPERATIONS)


def test_catalogue_imports_no_model() -> None:
    """Reading the facts of every operation loads neither a model nor a client class."""
    code = (
        "import sys; from spapi_async.apis import catalog; list(catalog()); "
        "sys.exit(' '.join(n for n in sys.modules if n.endswith(('.models', '.decode', '.client')) and '.apis.' in n))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.split() == []


def facts(key: str) -> Operation:
    [found] = [operation for operation in OPERATIONS if operation.key == key]
    return found


def test_restricted_operations() -> None:
    """27 operations need a restricted data token, four can have one; the newer orders API needs none."""
    by_kind = {kind: {o.key for o in OPERATIONS if o.restricted == kind} for kind in ("required", "optional")}
    assert len(by_kind["required"]) == 27
    assert by_kind["optional"] == {
        "orders_v0.get_orders",
        "orders_v0.get_order",
        "orders_v0.get_order_items",
        "reports_2021_06_30.get_report_document",
    }
    assert {o.restricted for o in OPERATIONS if o.module == "orders_2026_01_01"} == {"never"}
    # The template stands for all ids, but for a document's.
    assert all(o.restricted_path for o in OPERATIONS if o.restricted == "required")
    assert not facts("reports_2021_06_30.get_report_document").restricted_path


def test_facts_that_the_models_lack() -> None:
    """Plans by source, scopes, restrictions, links: one of each, against the sources that overrides.toml names."""
    plan = facts("orders_v0.get_orders").plan
    assert (plan.rate, plan.burst, plan.source) == (0.0167, 20, "model")
    plan = facts("messaging_v1.send_invoice").plan
    assert (plan.rate, plan.burst, plan.source) == (1, 5, "sdk")
    plan = facts("uploads_2020_11_01.create_upload_destination_for_resource").plan
    assert (plan.rate, plan.burst, plan.source) == (10, 10, "model")
    grantless = {operation.key for operation in OPERATIONS if operation.grantless_scope}
    assert grantless >= {"notifications_v1.create_destination", "notifications_v1.delete_subscription_by_id"}
    assert not grantless & {"notifications_v1.create_subscription", "notifications_v1.get_subscription"}
    assert facts("orders_v0.get_order_address").restricted == "required"
    assert facts("orders_v0.get_orders").restricted == "optional"
    assert facts("orders_v0.get_order_items").data_elements == ("buyerInfo",)
    assert facts("orders_v0.get_orders").deprecated
    assert not facts("messaging_v1.create_confirm_order_details").repeatable
    assert facts("messaging_v1.get_messaging_actions_for_order").accept == "application/hal+json"
    assert facts("uploads_2020_11_01.create_upload_destination_for_resource").greedy == {"resource"}
    assert facts("notifications_v1.send_test_notification").sandbox_only
    assert facts("messaging_v1.create_amazon_motors").retired == "withdrawn by Amazon 2026-01-30"
    assert facts("app_integrations_2024_04_01.create_notification").roles == ("Notifications in Seller Central",)
    assert facts("messaging_v1.create_warranty").roles == ("Buyer Communication",)
    assert facts("supply_sources_2020_07_01.get_supply_source").roles == ("Selling Partner Insights",)
    assert facts("customer_feedback_2024_06_01.get_item_review_topics").roles == (
        "Brand Analytics",
        "Selling Partner Insights",
    )
    assert facts("notifications_v1.create_destination").roles == ()  # grantless: it takes none


# -- against Amazon's models


@needs_models
def test_nothing_to_change(capsys: pytest.CaptureFixture[str]) -> None:
    """The committed code is what the generator makes of the models; run `nox -s generate` after a change of either."""
    pytest.importorskip("ruff", reason="the generator needs ruff")
    from spapi_async.codegen.__main__ import main

    status = main(["--models", str(MODELS[0]), "--supplement", str(MODELS[1]), "--check"])
    assert (capsys.readouterr().out, status) == ("nothing to change\n", 0)


@needs_models
def test_every_operation_of_the_models_is_there() -> None:
    """Verbs and paths are those of all model files there are, no more and no fewer."""
    files = [file for folder in MODELS for file in sorted(folder.rglob("*.json"))]
    wanted = {
        (verb.upper(), path)
        for file in files
        for path, item in json.loads(file.read_bytes()).get("paths", {}).items()
        for verb in item
        if verb in {"get", "post", "put", "patch", "delete"}
    }
    assert wanted == {(operation.method, operation.path) for operation in OPERATIONS}
    # Of the models of 2026-08-05 and the supplement to them.
    assert len(wanted) == 389
