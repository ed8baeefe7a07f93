"""Arguments are checked before anything is sent; everything that is wrong is named at once."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from urllib.parse import parse_qs

import pytest

from spapi_async.apis.arguments import get, make_call, put
from spapi_async.apis.messaging_v1 import Attachment, CreateConfirmCustomizationDetailsRequest, CreateWarrantyRequest
from spapi_async.apis.messaging_v1.operations import (
    CONFIRM_CUSTOMIZATION_DETAILS,
    CREATE_CONFIRM_ORDER_DETAILS,
    CREATE_DIGITAL_ACCESS_KEY,
    CREATE_WARRANTY,
)
from spapi_async.apis.orders_v0 import operations as orders
from spapi_async.apis.product_fees_v0.operations import GET_MY_FEES_ESTIMATES
from spapi_async.apis.replenishment_2022_11_07 import ListOffersRequest
from spapi_async.apis.replenishment_2022_11_07.operations import LIST_OFFERS
from spapi_async.apis.reports_2021_06_30 import CreateReportSpecification
from spapi_async.apis.reports_2021_06_30.operations import CREATE_REPORT
from spapi_async.apis.tokens_2021_03_01.operations import CREATE_RESTRICTED_DATA_TOKEN
from spapi_async.apis.uploads_2020_11_01.operations import CREATE_UPLOAD_DESTINATION_FOR_RESOURCE
from spapi_async.codec import encode
from spapi_async.errors import ArgumentError
from spapi_async.marketplaces import Marketplace
from spapi_async.operation import Operation, Parameter, UsagePlan

NONE: Any = None
ORDER = {"amazon_order_id": "902-1845936-5435065", "marketplace_ids": ["A1PA6795UKMFR9"]}


def operation(*parameters: Parameter, **facts: Any) -> Operation:
    return Operation(
        module="test_v0",
        name="get",
        operation_id="get",
        method="GET",
        path="/test/{id}" if any(parameter.location == "path" for parameter in parameters) else "/test",
        plan=UsagePlan(1, 1),
        parameters=parameters,
        **facts,
    )


def query(**facts: Any) -> Operation:
    return operation(Parameter(name="Value", argument="value", location="query", **facts))


def problems(of: Operation, **arguments: Any) -> list[str]:
    with pytest.raises(ArgumentError) as caught:
        make_call(of, arguments)
    assert str(caught.value).startswith(f"{of.key}: ")
    return list(caught.value.problems)


def sent(of: Operation, value: Any) -> str:
    return make_call(of, {"value": value}).query.removeprefix("Value=")


def test_everything_is_named_at_once() -> None:
    """Missing, of the wrong type, too many, without a zone: one error."""
    found = problems(
        orders.GET_ORDERS,
        marketplace_ids=None,
        created_after=datetime(2026, 1, 1),
        max_results_per_page="5",
        amazon_order_ids=["1"] * 51,
    )
    assert len(found) == 4
    assert found[-1] == "marketplace_ids is required"
    assert "created_after: a datetime without a time zone is ambiguous" in found[0]


def test_what_is_not_given_is_not_sent() -> None:
    """None is no value; defaults of Amazon's are left to Amazon."""
    call = make_call(orders.GET_ORDERS, {"marketplace_ids": ["A", "B"], "next_token": None})
    assert call.target == "/orders/v0/orders?MarketplaceIds=A%2CB"


@pytest.mark.parametrize("value", ["ATVPDKIKX0DER", {"A"}, 5, {"A": 1}])
def test_an_array_is_a_list_or_a_tuple(value: Any) -> None:
    """A str is a sequence of letters, and would ask for as many marketplaces."""
    [problem] = problems(orders.GET_ORDERS, marketplace_ids=value)
    assert (
        problem == f"marketplace_ids must be a list of str, and is {'an' if value == 5 else 'a'} {type(value).__name__}"
    )


def test_items_are_strings() -> None:
    """Ids that were read as numbers have lost their zeros."""
    assert problems(orders.GET_ORDERS, marketplace_ids=["A", 5]) == [
        "marketplace_ids must be a list of str, and holds an int"
    ]
    assert "is empty" in problems(orders.GET_ORDERS, marketplace_ids=[])[0]


def test_members_of_enumerations_are_their_values() -> None:
    """In a list and alone, of StrEnum and of older mixtures of str and Enum."""

    class Old(str, Enum):  # noqa: UP042
        ONE = "1"

    assert make_call(orders.GET_ORDERS, {"marketplace_ids": (Marketplace.US, Old.ONE)}).query.endswith("DER%2C1")
    assert sent(query(), Marketplace.US) == "ATVPDKIKX0DER"
    assert sent(query(), Old.ONE) == "1"


@pytest.mark.parametrize(
    ("facts", "value", "text"),
    [
        ({}, "a&b=c d+é", "a%26b%3Dc%20d%2B%C3%A9"),
        ({"type": "integer"}, 5, "5"),
        ({"type": "number"}, Decimal("1.50"), "1.50"),
        ({"type": "boolean"}, True, "true"),
        ({"type": "boolean"}, "false", "false"),
        ({"format": "date"}, date(2026, 1, 2), "2026-01-02"),
        ({"format": "date-time"}, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03%3A04%3A05Z"),
        (
            {"format": "date-time"},
            datetime(2026, 1, 2, 3, 4, 5, 60000, tzinfo=timezone(timedelta(hours=2))),
            "2026-01-02T01%3A04%3A05.060000Z",
        ),
        ({"format": "date-time"}, "2026-01-02", "2026-01-02"),
        ({"values": ("ASC", "DESC")}, "SIDEWAYS", "SIDEWAYS"),
    ],
)
def test_values_on_the_wire(facts: dict[str, Any], value: Any, text: str) -> None:
    """Values are written as Amazon wants them; one that it does not list is not refused."""
    assert sent(query(**facts), value) == text


@pytest.mark.parametrize(
    ("facts", "value", "words"),
    [
        ({}, 5, "must be a str, and is an int"),
        ({}, datetime(2026, 1, 1, tzinfo=UTC), "must be a str, and is a datetime"),
        ({"type": "integer"}, "5", "must be an int, and is a str"),
        ({"type": "integer"}, 5.0, "must be an int, and is a float"),
        ({"type": "integer"}, True, "must be an int, and is a bool"),
        ({"type": "number"}, True, "must be a number, and is a bool"),
        ({"type": "boolean"}, 1, "must be a bool, and is an int"),
        ({"type": "boolean"}, "yes", "must be a bool, and is a str"),
        ({"format": "date-time"}, date(2026, 1, 1), "must be a datetime or a str, and is a date"),
        ({"format": "date"}, datetime(2026, 1, 1, tzinfo=UTC), "must be a date or a str, and is a datetime"),
        ({"format": "date-time"}, 1767225600, "must be a datetime or a str, and is an int"),
        ({"type": "integer", "minimum": 1}, 0, "is 0, and must be at least 1"),
        ({"type": "number", "maximum": 1.5}, 2, "is 2, and must be at most 1.5"),
        ({"min_length": 2}, "a", "has 1 characters, and needs at least 2"),
        ({"max_length": 2}, "abc", "has 3 characters, and may have at most 2"),
        ({"pattern": "^[A-Z]{2}$"}, "de", "does not match ^[A-Z]{2}$"),
        ({"type": "array", "collection": "csv", "min_items": 2}, ["a"], "has 1 items, and needs at least 2"),
        ({"type": "array", "collection": "multi", "max_items": 1}, ["a", "b"], "has 2 items, and may have at most 1"),
    ],
)
def test_wrong_values(facts: dict[str, Any], value: Any, words: str) -> None:
    """Types and limits are checked, and the words say what is wanted; texts are never shown."""
    assert problems(query(**facts), value=value) == [f"value {words}"]


def test_half_a_character() -> None:
    """What UTF-8 cannot write is an error of the arguments too."""
    assert "UTF-8" in problems(query(), value="\ud800")[0]


@pytest.mark.parametrize("value", ["", ".", "..", "a/../b"])
def test_paths_that_lead_elsewhere(value: str) -> None:
    """A part of the path may not make another path of it, greedy ones included."""
    facts = {"marketplace_ids": ["A"], "content_md5": "x"}
    assert "no part of a path" in problems(CREATE_UPLOAD_DESTINATION_FOR_RESOURCE, resource=value, **facts)[0]


def test_paths_are_encoded() -> None:
    """A slash in an id stays in its segment; a greedy path keeps its slashes."""
    assert make_call(orders.GET_ORDER, {"order_id": "a/b?c#d"}).path == "/orders/v0/orders/a%2Fb%3Fc%23d"
    facts = {"marketplace_ids": ["A"], "content_md5": "x+="}
    call = make_call(CREATE_UPLOAD_DESTINATION_FOR_RESOURCE, {"resource": "messaging/v1/x", **facts})
    assert call.path == "/uploads/2020-11-01/uploadDestinations/messaging/v1/x"
    assert call.query == "marketplaceIds=A&contentMD5=x%2B%3D"


@pytest.mark.parametrize("value", ["a\r\nx-other: 1", "é"])
def test_headers_hold_plain_text(value: str) -> None:
    """A line end in a header would be another header."""
    header = operation(Parameter(name="locale", argument="value", location="header"))
    assert problems(header, value=value) == ["value holds characters that a header cannot"]


def test_idempotency_keys() -> None:
    """A key is made when none is given, also without an argument for it in the call."""
    parameter = Parameter(name="x-amzn-IdempotencyKey", argument="idempotency_key", location="header")
    of = operation(parameter, idempotency_header="x-amzn-IdempotencyKey")
    first, second = [make_call(of, {"idempotency_key": None}).headers["x-amzn-IdempotencyKey"] for _ in range(2)]
    assert first != second
    assert make_call(of, {"idempotency_key": "k"}).headers == {"x-amzn-IdempotencyKey": "k"}


@pytest.mark.parametrize(
    ("of", "longest"),
    [(CREATE_CONFIRM_ORDER_DETAILS, 2000), (CONFIRM_CUSTOMIZATION_DETAILS, 800), (CREATE_DIGITAL_ACCESS_KEY, 400)],
)
def test_messages_have_a_length(of: Operation, longest: int) -> None:
    """Each kind of message has its own; the text itself is in no error."""
    make_call(of, {**ORDER, "body": {"text": "x" * longest}})
    assert problems(of, **ORDER, body={"text": "x" * (longest + 1)}) == [
        f"body.text has {longest + 1} characters, and may have at most {longest}"
    ]
    assert problems(of, **ORDER, body={"text": ""}) == ["body.text has 0 characters, and needs at least 1"]


def test_bodies_are_checked_all_the_way_down() -> None:
    """Models and plain data alike, under the names that the user wrote."""
    plain = {"attachments": [{"fileName": "a"}, 5, Attachment(upload_destination_id="1", file_name="b")], "text": 5}
    assert problems(CONFIRM_CUSTOMIZATION_DETAILS, **ORDER, body=plain) == [
        "body.text must be a str, and is an int",
        "body.attachments[0].uploadDestinationId is required",
        "body.attachments[1] must be an Attachment or a dict, and is an int",
    ]
    none: Any = None
    model = CreateConfirmCustomizationDetailsRequest(
        attachments=[Attachment(upload_destination_id=none, file_name="a")] * 6
    )
    found = problems(CONFIRM_CUSTOMIZATION_DETAILS, **ORDER, body=model)
    assert found[0] == "body.attachments has 6 items, and may have at most 5"
    assert found[1] == "body.attachments[0].upload_destination_id is required"


def test_types_in_bodies() -> None:
    """A value of another type is named with its place, in models and in plain data, beside all else that is wrong."""
    model = CreateReportSpecification(
        report_type=5,  # type: ignore[arg-type]
        marketplace_ids=["A1", 2],  # type: ignore[list-item]
        data_start_time=datetime(2026, 1, 1),
        data_end_time=0,  # type: ignore[arg-type]
        report_options=[],  # type: ignore[arg-type]
    )
    plain = {
        "reportType": 5,
        "marketplaceIds": ["A1", 2],
        "dataStartTime": datetime(2026, 1, 1),
        "dataEndTime": 0,
        "reportOptions": [],
    }
    for body, wire in ((model, False), (plain, True)):
        assert sorted(problems(CREATE_REPORT, body=body)) == [
            f"body.{'dataEndTime' if wire else 'data_end_time'} must be a datetime or a str, and is an int",
            f"body.{'dataStartTime' if wire else 'data_start_time'}: a datetime without a time zone is ambiguous; "
            "give it one, as in tzinfo=UTC",
            f"body.{'marketplaceIds' if wire else 'marketplace_ids'}[1] must be a str, and is an int",
            f"body.{'reportOptions' if wire else 'report_options'} must be a dict, and is a list",
            f"body.{'reportType' if wire else 'report_type'} must be a str, and is an int",
        ]


@pytest.mark.parametrize("amount", [True, "1.00", Decimal("1.00")])
def test_numbers_in_bodies(amount: Any) -> None:
    """A number is an int or a float; a Decimal has no form in JSON of its own."""
    listing = {"ListingPrice": {"CurrencyCode": "USD", "Amount": amount}}
    request = {"MarketplaceId": "A1", "PriceToEstimateFees": listing, "Identifier": "1"}
    found = problems(GET_MY_FEES_ESTIMATES, body=[{"IdType": "ASIN", "IdValue": "B1", "FeesEstimateRequest": request}])
    assert found == [
        "body[0].FeesEstimateRequest.PriceToEstimateFees.ListingPrice.Amount must be a number, "
        f"and is a {type(amount).__name__}"
    ]


@pytest.mark.parametrize("validate", [True, False])
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_no_number_becomes_null(validate: bool, number: float) -> None:
    """NaN would be written as null, which takes a value away: it is refused, however deep it lies."""
    attachment: Any = {"uploadDestinationId": "1", "fileName": "a", "z": (number,)}
    for body in ({"x": [{"y": number}]}, CreateWarrantyRequest(attachments=[attachment])):
        with pytest.raises(ArgumentError, match="NaN or an infinity"):
            make_call(CREATE_WARRANTY, {**ORDER, "body": body}, validate=validate)
    assert make_call(CREATE_WARRANTY, {**ORDER, "body": {"x": None}}).body == b'{"x":null}'


def test_bodies_are_required() -> None:
    """None is no body; the wrong model is none either."""
    assert problems(CREATE_RESTRICTED_DATA_TOKEN, body=None) == ["body is required"]
    assert problems(CREATE_RESTRICTED_DATA_TOKEN, body={}) == ["body.restrictedResources is required"]
    [problem] = problems(CREATE_RESTRICTED_DATA_TOKEN, body=CreateWarrantyRequest())
    assert problem == "body must be a CreateRestrictedDataTokenRequest or a dict, and is a CreateWarrantyRequest"
    assert problems(CREATE_RESTRICTED_DATA_TOKEN, body="{}")[0].endswith("and is a str")


def test_times_in_bodies() -> None:
    """They are written in UTC, in models and in plain data; one without a zone is an error."""
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=1)))
    for body in (CreateWarrantyRequest(coverage_start_date=moment), {"coverageStartDate": moment}):
        call = make_call(CREATE_WARRANTY, {**ORDER, "body": body})
        assert call.body == b'{"coverageStartDate":"2026-01-02T02:04:05Z"}'
    for body in (
        CreateWarrantyRequest(coverage_start_date=datetime(2026, 1, 2)),
        {"coverageStartDate": datetime(2026, 1, 2)},
    ):
        assert "without a time zone" in problems(CREATE_WARRANTY, **ORDER, body=body)[0]


def test_bodies_that_are_no_json() -> None:
    """What JSON cannot hold is an error of the arguments, not of the encoder."""
    assert problems(CREATE_WARRANTY, **ORDER, body={"x": object()}) == ["body: object cannot be sent as JSON"]


def test_fields_that_are_not_in_the_model_are_sent() -> None:
    """Amazon adds fields before its models do; plain data can carry them."""
    assert make_call(CREATE_WARRANTY, {**ORDER, "body": {"new": 1}}).body == b'{"new":1}'


def test_without_validation_what_breaks_the_rules_is_sent() -> None:
    """With `validate=False` limits, types and missing arguments are Amazon's business."""
    call = make_call(
        orders.GET_ORDERS,
        {"max_results_per_page": "5", "amazon_order_ids": ["1"] * 51, "is_ispu": "yes", "order_statuses": "Shipped"},
        validate=False,
    )
    query = parse_qs(call.query)
    assert query["MaxResultsPerPage"] == ["5"]
    assert query["AmazonOrderIds"] == [",".join(["1"] * 51)]
    assert query["IsISPU"] == ["yes"]
    assert query["OrderStatuses"] == ["Shipped"]
    assert "MarketplaceIds" not in query
    of = operation(
        *(
            Parameter(name=kind, argument=kind, location="query", type=kind)
            for kind in ("string", "integer", "number", "boolean", "array")
        )
    )
    assert make_call(of, {"string": 5, "integer": True, "array": 7}, validate=False).query == (
        "string=5&integer=true&array=7"
    )
    assert problems(of, string=5) == ["string must be a str, and is an int"]


def test_without_validation_bodies_are_sent_as_they_are() -> None:
    """With `validate=False` a body may lack fields, break limits, or be of another type than the model's."""
    body = {"attachments": [{}] * 6, "text": None}
    assert make_call(CREATE_WARRANTY, {**ORDER, "body": body}, validate=False).body == encode(body)
    assert make_call(CREATE_WARRANTY, {**ORDER, "body": []}, validate=False).body == b"[]"
    assert make_call(CREATE_WARRANTY, ORDER, validate=False).body == b""


@pytest.mark.parametrize(
    ("of", "arguments", "problem"),
    [
        (orders.GET_ORDER, {}, "order_id is required"),
        (orders.GET_ORDER, {"order_id": ".."}, "order_id is '..', which is no part of a path"),
        (orders.GET_ORDERS, {"created_after": datetime(2026, 1, 1)}, "created_after: a datetime without a time zone"),
        (orders.GET_ORDERS, {"marketplace_ids": [None]}, "marketplace_ids must be a list of str, and holds a NoneType"),
        (orders.GET_ORDERS, {"next_token": {}}, "next_token must be a str, and is a dict"),
        (CREATE_WARRANTY, {**ORDER, "body": object()}, "body: object cannot be sent as JSON"),
        (
            operation(Parameter(name="X", argument="value", location="header")),
            {"value": "a\nb"},
            "value holds characters that a header cannot",
        ),
    ],
)
def test_what_cannot_be_sent_is_refused_always(of: Operation, arguments: dict[str, Any], problem: str) -> None:
    """With `validate=False` too: a path with a hole, a time without a zone, what has no form on the wire."""
    with pytest.raises(ArgumentError) as caught:
        make_call(of, arguments, validate=False)
    [found] = caught.value.problems
    assert found.startswith(problem)


@pytest.mark.parametrize("body", [None, {}, ListOffersRequest(pagination=NONE, filters=NONE)])
def test_a_place_in_a_body_that_lacks_it(body: Any) -> None:
    """What lies above the place is made; a body that is not given is an empty one."""
    assert get(LIST_OFFERS, body, ("pagination", "offset")) is None
    call = make_call(LIST_OFFERS, {"body": put(LIST_OFFERS, body, ("pagination", "offset"), 5)}, validate=False)
    assert call.body == b'{"pagination":{"offset":5}}'


def test_an_item_with_a_comma_is_refused() -> None:
    """Arrays that travel joined by commas cannot hold one: Amazon would read two items."""
    of = query(type="array", collection="csv")
    assert problems(of, value=["red,large"]) == ["value holds a comma within an item: Amazon would read two"]
    assert make_call(of, {"value": ["red,large"]}, validate=False).query == "Value=red%2Clarge"
    assert make_call(query(type="array", collection="multi"), {"value": ["a,b", "c"]}).query == "Value=a%2Cb&Value=c"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("NaN")])
def test_numbers_that_are_none_are_refused_always(value: Any) -> None:
    """What no JSON could hold is no number in a query either, with `validate=False` too."""
    with pytest.raises(ArgumentError, match="is no number that can be sent"):
        make_call(query(type="number"), {"value": value}, validate=False)


def test_decimals_have_no_exponent() -> None:
    """A Decimal is written in full."""
    assert sent(query(type="number"), Decimal("1E+2")) == "100"
