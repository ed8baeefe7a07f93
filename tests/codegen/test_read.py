"""What the generator understands of a model: each oddity, by its rule or by an override."""

from __future__ import annotations

import pytest

from spapi_async.codegen.ir import ApiSpec, FieldSpec, ModelSpec, OperationSpec, TypeSpec
from spapi_async.operation import Parameter


@pytest.fixture
def odd(described: dict[str, ApiSpec]) -> ApiSpec:
    return described["odd_v1"]


@pytest.fixture
def paged(described: dict[str, ApiSpec]) -> ApiSpec:
    return described["paged_v0"]


def operation(api: ApiSpec, name: str) -> OperationSpec:
    [found] = [spec for spec in api.operations if spec.operation.name == name]
    return found


def parameter(api: ApiSpec, name: str, argument: str) -> Parameter:
    [found] = [p for p in operation(api, name).operation.parameters if p.argument == argument]
    return found


def model(api: ApiSpec, name: str) -> ModelSpec:
    [found] = [model for model in api.models if model.name == name]
    return found


def field(api: ApiSpec, name: str, wire: str) -> FieldSpec:
    [found] = [field for field in model(api, name).fields if field.wire == wire]
    return found


@pytest.mark.parametrize(
    ("name", "plan"),
    [
        ("get_thing", (0.5, 3, "model")),  # .5
        ("link_thing", (7, 8, "documentation")),  # the override wins
        ("replace_things", (5, 10, "model")),  # a column more, and a row of variables
        ("delete_thing", (1, 1, "default")),  # n and n
        ("get_file", (1, 1, "default")),  # no table
    ],
)
def test_usage_plans(odd: ApiSpec, name: str, plan: tuple[float, float, str]) -> None:
    """The figures of an override, else of the model's table, else 1/s burst 1; the source says which."""
    found = operation(odd, name).operation.plan
    assert (found.rate, found.burst, found.source) == plan


def test_duplicate_operation_ids(odd: ApiSpec) -> None:
    """Two operations of one operationId are told apart by verb and path; the wire name stays."""
    assert operation(odd, "link_thing").operation.method == "POST"
    renamed = operation(odd, "replace_things").operation
    assert (renamed.method, renamed.operation_id) == ("PUT", "linkThing")


def test_facts_of_operations(odd: ApiSpec, paged: ApiSpec) -> None:
    """What overrides and vendor keys say stands in the operation."""
    thing = operation(odd, "get_thing").operation
    assert (thing.restricted, thing.restricted_path, thing.accept) == ("optional", False, "application/hal+json")
    assert thing.data_elements == ("sender", "receiver")
    assert operation(odd, "get_trends").operation.accept == "application/json"
    assert operation(odd, "get_file").operation.grantless_scope == "sellingpartnerapi::files"
    assert operation(odd, "get_file").operation.sandbox_only
    assert operation(odd, "get_file").operation.greedy == {"resource"}
    assert operation(odd, "replace_things").operation.deprecated
    assert operation(odd, "link_thing").operation.application_rate == 100
    assert thing.roles == ("Odd Role",)
    assert operation(paged, "get_gone").operation.retired == "withdrawn on 2025-08-04"


def test_secrets(odd: ApiSpec) -> None:
    """An override says which fields no repr may show."""
    assert field(odd, "Accepted", "requestId").is_secret
    assert not field(odd, "Made", "id").is_secret


def test_repeatable(odd: ApiSpec, paged: ApiSpec) -> None:
    """Reads, PUT and DELETE are safe to repeat, POST is not, unless an override says so."""
    safe = {spec.operation.name for spec in (*odd.operations, *paged.operations) if spec.operation.repeatable}
    assert {"get_thing", "replace_things", "delete_thing", "list_offers"} <= safe
    assert not {"link_thing", "write"} & safe


def test_required_arguments_come_first(odd: ApiSpec) -> None:
    """The order is Amazon's otherwise."""
    names = [p.argument for p in operation(odd, "get_thing").operation.parameters]
    assert names[:3] == ["thing_id", "seller_skus", "mskus"]


def test_idempotency_header_is_optional(odd: ApiSpec) -> None:
    """The model demands the key; the library makes one, so the user need not."""
    spec = operation(odd, "link_thing").operation
    assert spec.idempotency_header == "x-amzn-idempotency-token"
    assert not parameter(odd, "link_thing", "idempotency_token").required


def test_arrays_in_queries(odd: ApiSpec) -> None:
    """Arrays are joined by commas unless the model says `multi`."""
    assert parameter(odd, "get_thing", "seller_skus").collection == "csv"
    mskus = parameter(odd, "get_thing", "mskus")
    assert (mskus.collection, mskus.double_encoded) == ("multi", True)


def test_types_of_arguments(odd: ApiSpec) -> None:
    """Formats in the place of types, and timestamps that the model does not declare."""
    assert parameter(odd, "get_thing", "include_details").type == "boolean"
    assert parameter(odd, "get_thing", "created_after").format == "date-time"
    assert parameter(odd, "get_thing", "undeclared_after").format == "date-time"
    assert parameter(odd, "get_thing", "as_of").format == "date"
    assert parameter(odd, "get_thing", "sort_order").values == ("ASC", "DESC")


def test_bodies(odd: ApiSpec) -> None:
    """A body is called `body`, whatever Amazon calls it, and may be a list."""
    assert parameter(odd, "link_thing", "body").name == "payload"
    assert parameter(odd, "link_thing", "body").model == "ThingRequest"
    many = parameter(odd, "replace_things", "body")
    assert (many.type, many.model, many.required) == ("array", "ThingRequest", False)


def test_replies(odd: ApiSpec) -> None:
    """Each status has its type; a 204 has none, though some models declare one."""
    thing = TypeSpec("model", "Thing")
    assert operation(odd, "get_thing").results == ((200, thing),)
    assert operation(odd, "delete_thing").results == ((204, None),)
    assert operation(odd, "get_trends").results == ((200, TypeSpec("model", "Made")), (204, None))
    assert operation(odd, "replace_things").results == ((200, TypeSpec("list", of=thing)),)
    assert operation(odd, "get_file").results == ((200, TypeSpec("map", of=TypeSpec("any"))),)
    assert dict(operation(odd, "link_thing").results).keys() == {200, 202}


def test_aliases_and_lists_are_inlined(odd: ApiSpec) -> None:
    """Only objects and enumerations become names of their own."""
    assert field(odd, "Money", "Amount").type == TypeSpec("string")
    assert field(odd, "Thing", "children").type == TypeSpec("list", of=TypeSpec("model", "Thing"))
    assert field(odd, "Thing", "whatever").type == TypeSpec("any")


def test_invented_names(odd: ApiSpec) -> None:
    """What has no name is called after its owner; where a definition has that name, the kind is added."""
    assert field(odd, "Thing", "_links").type == TypeSpec("model", "ThingLinks")
    assert field(odd, "Thing", "status").type == TypeSpec("enum", "ThingStatusEnum")


def test_all_of_is_flattened(odd: ApiSpec) -> None:
    """Parts are merged, nested ones too; a property that differs in its values only is the wider, free one."""
    context = {field.wire: (field.type.kind, field.required) for field in model(odd, "Context").fields}
    assert context == {"storeName": ("string", False), "shared": ("string", False), "contextType": ("string", True)}


def test_timestamps(odd: ApiSpec) -> None:
    """`date-time`, its misspelling, and strings that an override calls points in time."""
    assert field(odd, "Thing", "createdAt").type.kind == "datetime"
    assert field(odd, "Thing", "updatedAt").type.kind == "datetime"
    assert field(odd, "Thing", "moments").type == TypeSpec("list", of=TypeSpec("datetime"))
    assert field(odd, "Thing", "DateOfBirth").type.kind == "date"


def test_limits_of_fields(odd: ApiSpec) -> None:
    """Bounds that are written for the wrong type count for the right one; on a point in time they say nothing."""
    assert field(odd, "ThingRequest", "attachments").limits == (("max_items", 2),)
    assert dict(field(odd, "ThingRequest", "text").limits).keys() == {"min_length", "max_length", "pattern"}
    assert field(odd, "ThingRequest", "when").limits == ()


def test_what_is_not_reached_is_not_made(odd: ApiSpec) -> None:
    """A definition that no operation leads to becomes no class; errors are read by hand."""
    assert {"Unreachable", "BrandContext"}.isdisjoint(model.name for model in odd.models)
    assert "ThingRequest" in odd.encoded
    assert "Thing" not in odd.encoded


def test_a_payload_is_always_there(paged: ApiSpec) -> None:
    """A reply without its payload is raised as an error, so the type says that it is there."""
    assert field(paged, "GetOrdersResponse", "payload").required
    assert not field(paged, "GetOrdersResponse", "errors").required


def test_the_first_file_wins(paged: ApiSpec) -> None:
    """A file that adds operations does not change Amazon's classes."""
    assert paged.sources == ("paged.json", "paged.retired.json")
    assert [field.wire for field in model(paged, "Error").fields] == ["code", "message", "details"]
