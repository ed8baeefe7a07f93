from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import orjson
import pytest

from spapi_async.apis.messaging_v1.operations import OPERATIONS as MESSAGING
from spapi_async.apis.solicitations_v1.operations import OPERATIONS as SOLICITATIONS
from spapi_async.errors import ConfigError
from spapi_async.jobs.kinds import KINDS, WITHDRAWN, Kind, Uploaded, find_kind
from spapi_async.jobs.kinds.columns import local_instant, read_not_before
from spapi_async.marketplaces import Region
from spapi_async.operation import Priority, Reply

ORDER = "902-1845936-5435065"
GOOD = {"order_id": ORDER, "marketplace_id": "A1PA6795UKMFR9", "text": "Which size?"}
KIND = KINDS["confirmOrderDetails"]


@pytest.mark.parametrize(
    ("name", "longest"),
    [
        ("confirmCustomizationDetails", 800),
        ("confirmDeliveryDetails", 2000),
        ("confirmOrderDetails", 2000),
        ("confirmServiceDetails", 2000),
        ("digitalAccessKey", 400),
        ("unexpectedProblem", 2000),
    ],
)
def test_each_kind_takes_a_text_of_its_own_length(name: str, longest: int) -> None:
    """A text may have as many characters as Amazon takes for its kind, and not one more."""
    kind = find_kind(name)
    assert not kind.mistakes({**GOOD, "text": "ä" * longest})
    [mistake] = kind.mistakes({**GOOD, "text": "ä" * (longest + 1)})
    assert (mistake.field, mistake.cure) == ("text", "cut 1 characters")


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if kind.longest], ids=lambda kind: kind.name)
def test_a_row_becomes_the_call_of_its_kind(kind: Kind) -> None:
    """A row becomes one POST of its own operation, with the order in the path and exactly one marketplace."""
    call = kind.call(kind.row(2, {**GOOD, "text": "Größe „M“?"}))
    assert call.operation.method == "POST"
    expected = f"/messaging/v1/orders/{ORDER}/messages/{kind.name}?marketplaceIds=A1PA6795UKMFR9"
    assert expected == call.target
    assert '{"text":"Größe „M“?"}'.encode() == call.body
    assert not call.operation.repeatable
    assert call.priority is Priority.BULK


def test_the_check_is_a_call_of_its_own() -> None:
    """What may be sent is asked by another operation, with a usage plan of its own."""
    call = KIND.check_call(KIND.row(2, GOOD))
    assert ("GET", f"/messaging/v1/orders/{ORDER}?marketplaceIds=A1PA6795UKMFR9") == (
        call.operation.method,
        call.target,
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"_links": {"actions": [{"href": "x", "name": "warranty"}, {"name": "confirmOrderDetails"}]}}', True),
        (b'{"_links": {"actions": [{"name": "warranty"}]}}', False),
        (b'{"_links": {"actions": []}}', False),
        (b'{"_links": {}}', False),
    ],
)
def test_an_order_offers_what_its_actions_name(body: bytes, expected: bool) -> None:
    """A kind may be sent if and only if the answer to the check lists it."""
    assert expected is KIND.is_offered(Reply(status=200, headers={}, body=body))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"_embedded": {}}', b'{"_links": {"actions": [1]}}'])
def test_an_answer_that_cannot_be_read_is_no_yes_and_no_no(body: bytes) -> None:
    """An answer to the check that cannot be read is an error, not a refusal."""
    with pytest.raises(ValueError, match="answer to getMessagingActionsForOrder cannot be read"):
        KIND.is_offered(Reply(status=200, headers={}, body=body))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("order_id", "", "is missing"),
        ("order_id", "  ", "is missing"),
        ("order_id", "902 1845936", "is no order id"),
        ("order_id", "902/../x", "is no order id"),
        ("marketplace_id", "", "is missing"),
        ("marketplace_id", "A1PA6795UKMFR8", "is no marketplace id"),
        ("marketplace_id", "DE", "the id of DE is A1PA6795UKMFR9"),
        ("text", "", "is empty"),
        ("text", " \n\t", "is empty"),
        ("text", "Hello<br>world", "HTML"),
        ("text", "Hello <b>you</b>", "HTML"),
        ("text", 'see <a href="https://x">this</a>', "HTML"),
        ("text", "see <a href='https://x", "HTML"),
        ("text", "a <!-- b", "HTML"),
        ("text", "Tom &amp; Jerry", "HTML"),
        ("text", "it&#39;s", "HTML"),
        ("text", "write to me@example.com please", "e-mail"),
        ("text", "first.last+tag@mail.example.co.uk", "e-mail"),
        ("text", "jürgen@müller.de", "e-mail"),
        ("text", "nul\x00", "control"),
        ("key", "x" * 101, "100 characters"),
    ],
)
def test_each_rule_names_the_field(field: str, value: str, words: str) -> None:
    """A field that breaks a rule is named, with what is wrong and what helps."""
    [mistake] = KIND.mistakes({**GOOD, field: value})
    assert field == mistake.field
    assert words in str(mistake)
    assert mistake.cure


@pytest.mark.parametrize(
    "text",
    ["a < b and c > d", "I <3 it", "AT&T; R&D", "x<y and y>z", "at 5 @ noon.", "@home", "1\r\n2\t3", "👍" * 2000],
)
def test_plain_text_is_left_alone(text: str) -> None:
    """What only resembles HTML or an e-mail address is no mistake."""
    assert not KIND.mistakes({**GOOD, "text": text})


def test_every_mistake_of_a_row_is_told_at_once() -> None:
    """A row with several mistakes has to be mended once."""
    assert len(KIND.mistakes({"order_id": "", "marketplace_id": "x", "text": "<b>a@b.de</b>"})) == 4


def test_a_mistake_does_not_repeat_the_text() -> None:
    """What is said about a text does not show it: the lines of a log live long."""
    mistakes = KIND.mistakes({**GOOD, "text": "<b>secret</b> a@b.de" + "x" * 3000})
    assert "secret" not in str(mistakes)


def test_a_marketplace_of_another_region_is_a_mistake() -> None:
    """When the region is known, a row of another one is refused before Amazon would answer 403."""
    assert not KIND.mistakes(GOOD, Region.EU)
    [mistake] = KIND.mistakes(GOOD, Region.NA)
    assert "--region eu" in mistake.cure


def test_the_text_is_sent_as_it_is() -> None:
    """Blanks around an order id go; those of a text stay."""
    row = KIND.row(2, {"order_id": f" {ORDER} ", "marketplace_id": " A1PA6795UKMFR9", "text": " hi ", "key": " 2 "})
    assert (
        row.order_id,
        row.key,
        row.body["marketplace_id"],
        row.body["text"],
    ) == (ORDER, "2", "A1PA6795UKMFR9", " hi ")


def test_an_unknown_kind_is_told_with_the_nearest() -> None:
    """A kind that does not exist is refused with the list of those that do, and a guess."""
    with pytest.raises(ConfigError, match=r"no kind is called 'confirmorderdetail'. Did you mean confirmOrderDetails"):
        find_kind("confirmorderdetail")
    with pytest.raises(ConfigError, match="unexpectedProblem"):
        find_kind("xyz")


ATTACHED = {"order_id": ORDER, "marketplace_id": "A1PA6795UKMFR9", "attachments": "a.pdf;b.png|shown.png"}
UPLOADED = [Uploaded("id-1", "a.pdf"), Uploaded("id-2", "shown.png")]


def test_the_table_has_all_that_amazon_has() -> None:
    """Every operation of Messaging and Solicitations that sends something is a kind, the withdrawn ones apart."""
    sends = {operation for operation in (*MESSAGING, *SOLICITATIONS) if operation.method == "POST"}
    assert {kind.operation for kind in (*KINDS.values(), *WITHDRAWN.values())} == sends
    assert {kind.operation for kind in WITHDRAWN.values()} == {operation for operation in sends if operation.retired}


@pytest.mark.parametrize("kind", [*KINDS.values(), *WITHDRAWN.values()], ids=lambda kind: kind.name)
def test_a_kind_has_amazons_name(kind: Kind) -> None:
    """The name of a kind is that of the actions of an order, which is also the end of its operation's path."""
    assert kind.operation.path.rpartition("/")[2] == kind.name


@pytest.mark.parametrize(
    ("name", "columns", "optional"),
    [
        ("confirmOrderDetails", ("text",), ()),
        ("confirmCustomizationDetails", ("text",), ("attachments",)),
        ("legalDisclosure", ("attachments",), ()),
        ("warranty", ("attachments",), ("coverage_start_date", "coverage_end_date")),
        ("invoice", ("attachments",), ()),
        ("productReviewAndSellerFeedback", (), ("earliest_delivery_date", "latest_delivery_date")),
    ],
)
def test_each_kind_has_its_columns(name: str, columns: tuple[str, ...], optional: tuple[str, ...]) -> None:
    """Besides order and marketplace, a source has the columns of its kind: those it must have, and those it may."""
    assert KINDS[name].columns == ("order_id", "marketplace_id", *columns)
    assert KINDS[name].optional == optional


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        ("legalDisclosure", {}, {}),
        ("invoice", {}, {}),
        ("digitalAccessKey", {"text": "key"}, {"text": "key"}),
        (
            "warranty",
            {"coverage_start_date": "2026-01-01T00:00:00Z", "coverage_end_date": " 2028-01-01 00:00+01:00 "},
            {"coverageStartDate": "2026-01-01T00:00:00+00:00", "coverageEndDate": "2028-01-01T00:00:00+01:00"},
        ),
    ],
)
def test_a_row_with_attachments_becomes_a_call(name: str, fields: dict[str, str], expected: dict[str, str]) -> None:
    """The request names the uploads as Amazon wants them, and times carry their zone."""
    kind = KINDS[name]
    columns = {**ATTACHED, **fields}
    assert not kind.mistakes(columns)
    row = kind.row(2, columns)
    attachments = [
        {"uploadDestinationId": "id-1", "fileName": "a.pdf"},
        {"uploadDestinationId": "id-2", "fileName": "shown.png"},
    ]
    assert orjson.loads(kind.call(row, UPLOADED).body) == {**expected, "attachments": attachments}
    assert kind.resource(row) == f"messaging/v1/orders/{ORDER}/messages/{name}"


def test_a_solicitation_has_no_body() -> None:
    """It is asked for by the path alone; what the row says of its delivery stays here."""
    kind = KINDS["productReviewAndSellerFeedback"]
    columns = {**GOOD, "earliest_delivery_date": "2026-01-01T00:00:00Z"}
    row = kind.row(2, columns)
    assert (kind.call(row).body, row.body["earliest_delivery_date"]) == (b"", "2026-01-01T00:00:00Z")
    assert kind.call(row).target.startswith(f"/solicitations/v1/orders/{ORDER}/solicitations/{kind.name}?")
    assert kind.check_call(row).target.startswith(f"/solicitations/v1/orders/{ORDER}?")
    assert kind.is_offered(
        Reply(status=200, headers={}, body=b'{"_links": {"actions": [{"name": "%s"}]}}' % kind.name.encode())
    )


@pytest.mark.parametrize(
    ("name", "fields", "field", "words"),
    [
        ("invoice", {"attachments": ""}, "attachments", "needs at least one"),
        ("invoice", {"attachments": ";".join("abcdef")}, "attachments", "has 6 files, and Amazon takes 5"),
        ("invoice", {"attachments": "a.pdf|"}, "attachments", "without a name"),
        ("invoice", {"attachments": "[1]"}, "attachments", "must hold paths"),
        ("invoice", {"attachments": "[a"}, "attachments", "is no JSON"),
        ("confirmOrderDetails", {"text": "hi"}, "attachments", "Amazon takes 0"),
        ("warranty", {"coverage_start_date": "2026-01-01"}, "coverage_start_date", "no time with a zone"),
        ("warranty", {"coverage_end_date": "soon"}, "coverage_end_date", "no time with a zone"),
        (
            "warranty",
            {"coverage_start_date": "2026-01-01T00:00:00Z", "coverage_end_date": "2026-01-01T00:00:00+01:00"},
            "coverage_end_date",
            "is before coverage_start_date",
        ),
        ("productReviewAndSellerFeedback", {"attachments": "", "key": "2"}, "key", "one for each order"),
    ],
)
def test_each_rule_of_a_kind_names_the_field(name: str, fields: dict[str, str], field: str, words: str) -> None:
    """Attachments, times and keys that break a rule of their kind are named, with what is wrong and what helps."""
    [mistake] = KINDS[name].mistakes({**ATTACHED, **fields})
    assert mistake.field == field
    assert words in mistake.reason
    assert mistake.cure


def test_a_withdrawn_kind_has_to_be_asked_for() -> None:
    """What Amazon has withdrawn is refused with the day, unless a person insists."""
    with pytest.raises(ConfigError, match=r"was withdrawn by Amazon 2025-08-04; --withdrawn"):
        find_kind("negativeFeedbackRemoval")
    assert find_kind("amazonMotors", withdrawn=True).operation.retired


@pytest.mark.parametrize(
    ("time", "zone", "expected"),
    [
        ("2026-03-29T01:59:59", "Europe/Berlin", "2026-03-29T00:59:59"),
        ("2026-03-29T02:00:00", "Europe/Berlin", "2026-03-29T01:00:00"),
        ("2026-03-29T02:30:00.5", "Europe/Berlin", "2026-03-29T01:00:00"),
        ("2026-03-29T02:59:59", "Europe/Berlin", "2026-03-29T01:00:00"),
        ("2026-03-29T03:00:00", "Europe/Berlin", "2026-03-29T01:00:00"),
        ("2026-10-25T02:30:00", "Europe/Berlin", "2026-10-25T00:30:00"),
        ("2026-10-25T03:00:00", "Europe/Berlin", "2026-10-25T02:00:00"),
        ("2026-03-08T02:30:00", "America/New_York", "2026-03-08T07:00:00"),
        ("2026-10-04T02:15:00", "Australia/Lord_Howe", "2026-10-03T15:30:00"),  # by half an hour
        ("2018-11-04T00:00:00", "America/Sao_Paulo", "2018-11-04T03:00:00"),  # no midnight
        ("2011-12-30T12:00:00", "Pacific/Apia", "2011-12-30T10:00:00"),  # no day
        ("2026-07-01T12:00:00", "Asia/Tokyo", "2026-07-01T03:00:00"),
    ],
)
def test_a_local_time_that_there_is_twice_or_never(time: str, zone: str, expected: str) -> None:
    """Of two moments it is the first, and of none the first one after the gap."""
    moment = local_instant(datetime.fromisoformat(time), ZoneInfo(zone))
    assert moment == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    ["0001-01-01", "9999-12-31T23:59:59", "9999-12-31T23:59:59-12:00", "2026-12-01T24:01", "NaT", "2026-12-01T\x00"],
)
@pytest.mark.parametrize("zone", [ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("Asia/Tokyo")])
def test_times_at_the_end_of_the_calendar(value: str, zone: ZoneInfo) -> None:
    """What is no moment, or lies beyond those that can be counted, is a mistake."""
    moment, mistakes = read_not_before("when", value, zone)
    assert bool(moment) != bool(mistakes)
    assert datetime.fromtimestamp(moment, UTC)
    assert [mistake.field for mistake in mistakes] in ([], ["when"])
