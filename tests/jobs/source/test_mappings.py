from __future__ import annotations

import io
import json
from collections import OrderedDict, namedtuple
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path, PureWindowsPath
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given, strategies as st

from spapi_async.jobs.kinds import KINDS
from spapi_async.jobs.source import Columns, Entry, Format, entry_of, open_source
from spapi_async.jobs.template import Templates
from spapi_async.marketplaces import Marketplace, Region

BERLIN = ZoneInfo("Europe/Berlin")
GOOD = {"order_id": "902-1", "marketplace_id": Marketplace.DE, "text": "hello"}
PLAIN = Columns(KINDS["confirmOrderDetails"])


class Name(str, Enum):  # noqa: UP042 - whose str() is another text
    TEXT = "text"
    HELLO = "hello"


class Size(IntEnum):
    LARGE = 7


class Broken(tzinfo):
    def utcoffset(self, moment: datetime | None) -> timedelta:
        raise LookupError("broken")


def row_of(entry: Entry) -> Any:
    assert entry.row, entry.mistakes
    assert orjson.dumps(dict(entry.row.body))
    return entry.row


def mistakes_of(mapping: object, columns: Columns = PLAIN) -> list[str]:
    entry = entry_of(3, mapping, columns)  # type: ignore[arg-type]
    assert entry.row is None
    assert entry.number == 3
    assert orjson.dumps(dict(entry.fields))
    return [f"{mistake.field}: {mistake.reason}" if mistake.field else mistake.reason for mistake in entry.mistakes]


@pytest.mark.parametrize(
    "mapping",
    [
        GOOD,
        MappingProxyType(GOOD),
        OrderedDict({Name.TEXT: Name.HELLO, " Order_ID": "902-1", "marketplace_id": str(Marketplace.DE), "line": 7}),
        GOOD | {"key": None, "reason": object()},
    ],
)
def test_a_mapping_is_a_row(mapping: Any) -> None:
    """Of any type, with members of enumerations that are strings; what a report adds is ignored."""
    row = row_of(entry_of(5, mapping, PLAIN))
    assert (row.number, row.order_id, row.key) == (5, "902-1", "")
    assert row.body == {"marketplace_id": "A1PA6795UKMFR9", "text": "hello"}
    assert {type(value) for value in row.body.values()} == {str}


def test_whole_numbers_are_taken_as_in_json_lines() -> None:
    """In the key, the selling partner and the fields of a template."""
    templates = Templates.of({"": "You bought {count}."})
    columns = Columns(KINDS["confirmOrderDetails"], templates=templates, selling_partners={"17"})
    mapping = GOOD | {"count": Size.LARGE, "key": 3, "selling_partner": 17}
    del mapping["text"]
    row = row_of(entry_of(1, mapping, columns))
    assert (row.key, row.body["text"], row.selling_partner) == ("3", "You bought 7.", "17")
    assert mistakes_of(mapping | {"key": 10**5000}, columns) == ["key: holds a number of thousands of digits"]
    assert mistakes_of(mapping | {"key": True}, columns) == ["key: holds true or false"]


@pytest.mark.parametrize(
    ("value", "zone", "expected"),
    [
        (datetime(2026, 12, 1, 11, tzinfo=UTC), None, "2026-12-01T11:00Z"),
        (datetime(2026, 12, 1, 12, tzinfo=BERLIN), None, "2026-12-01T11:00Z"),
        (datetime(2026, 12, 1, 12), BERLIN, "2026-12-01T11:00Z"),
        (date(2026, 12, 1), BERLIN, "2026-11-30T23:00Z"),
        ("2026-12-01", BERLIN, "2026-11-30T23:00Z"),
        (None, None, "1970-01-01T00:00Z"),
    ],
)
def test_columns_of_times_take_datetimes(value: object, zone: tzinfo | None, expected: str) -> None:
    """By the rules of times that are written."""
    columns = Columns(KINDS["confirmOrderDetails"], not_before="when", zone=zone)
    row = row_of(entry_of(1, GOOD | {"when": value}, columns))
    assert row.not_before == datetime.fromisoformat(expected).timestamp()


def test_dates_of_a_kind_are_datetimes() -> None:
    """Also those that are sent with the message."""
    columns = Columns(KINDS["productReviewAndSellerFeedback"])
    mapping = {"order_id": "902-1", "marketplace_id": Marketplace.DE}
    row = row_of(entry_of(1, mapping | {"latest_delivery_date": datetime(2026, 12, 1, 12, tzinfo=BERLIN)}, columns))
    assert row.body["latest_delivery_date"] == "2026-12-01T12:00:00+01:00"
    assert mistakes_of(mapping | {"latest_delivery_date": date(2026, 12, 1)}, columns) == [
        "latest_delivery_date: '2026-12-01' is no time with a zone"
    ]


def test_attachments_are_paths() -> None:
    """One or several, also with names; in a path no letter has a meaning, as it has in a string."""
    columns = Columns(KINDS["invoice"])
    mapping: dict[str, object] = {"order_id": "902-1", "marketplace_id": Marketplace.DE}
    for value, expected in [
        (Path("a;b|c.pdf"), [{"path": "a;b|c.pdf"}]),
        (("a.pdf", PureWindowsPath("b\\c.pdf")), ["a.pdf", {"path": "b\\c.pdf"}]),
        ([{"path": Path("a.pdf"), "name": "Größe.pdf"}], [{"path": "a.pdf", "name": "Größe.pdf"}]),
    ]:
        row = row_of(entry_of(1, mapping | {"attachments": value}, columns))
        assert json.loads(row.body["attachments"]) == expected
    for odd in [b"a.pdf"], [{"path": b"a.pdf"}], [["a.pdf"]], [{1: "a.pdf"}], [None]:
        assert mistakes_of(mapping | {"attachments": odd}, columns) == [
            "attachments: must hold paths, or objects with path and perhaps name"
        ]
    assert mistakes_of(mapping | {"attachments": {"path": "a"}}, columns)[0] == "attachments: holds an object"
    assert mistakes_of(mapping | {"attachments": {b"a"}}, columns)[0] == "attachments: holds a value of type set"


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        (GOOD | {"text": b"hello"}, "text: holds a value of type bytes"),
        (GOOD | {"text": ["hello"]}, "text: holds a list"),
        (GOOD | {"text": {"a": 1}}, "text: holds an object"),
        (GOOD | {"text": float("nan")}, "text: holds a number"),
        (GOOD | {"text": Decimal(1)}, "text: holds a value of type Decimal"),
        (GOOD | {"text": datetime(2026, 12, 1)}, "text: holds a value of type datetime"),
        (GOOD | {"text": "\ud800"}, "text: holds half a character, written as an escape"),
        (GOOD | {"when": time(12)}, "when: holds a value of type time"),
        (GOOD | {"when": datetime(2026, 12, 1)}, "when: '2026-12-01T00:00:00' has no zone"),
        (GOOD | {"when": datetime(2026, 12, 1, tzinfo=Broken())}, "when: holds a time that cannot be written"),
        (GOOD | {"when": 1796122800}, "when: holds a number"),
        (GOOD | {"Text": "again"}, "text: stands there twice"),
        (GOOD | {"txt": "a"}, "the column 'txt' is unknown (did you mean text?)"),
        (GOOD | {7: "a"}, "has a name that is a number"),
        (GOOD | {None: ["more"]}, "has a name that is null"),  # as csv.DictReader has fields without a column
        ({}, "order_id: is missing"),
        (["902-1"], "holds a list and no object"),
        ("902-1", "holds a string and no object"),
        (None, "holds null and no object"),
        (namedtuple("Order", "order_id")("902-1"), "holds a list and no object"),
        (object(), "holds a value of type object and no object"),
    ],
)
def test_odd_values_are_mistakes(mapping: object, words: str) -> None:
    """Whatever a program hands in; only the type of what cannot be used is told."""
    assert mistakes_of(mapping, Columns(KINDS["confirmOrderDetails"], not_before="when"))[0] == words


def test_what_goes_round_in_circles_is_a_mistake() -> None:
    """A list in itself, and one that is nested too deeply."""
    circle: list[object] = []
    circle.append(circle)
    deep: list[object] = []
    for _ in range(10**5):
        deep = [deep]
    for value in circle, deep:
        assert mistakes_of(GOOD | {"text": value}) == ["is nested too deeply"]
        assert mistakes_of(value) == ["is nested too deeply"]


TEXTS = st.text(st.sampled_from('a1 -"{}[]\\;|@<\x00é😀\ud800'), max_size=5)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        TEXTS,
        st.sampled_from(["902-1", Marketplace.DE, "hello", "shop.de", "2026-12-01T12:00", "2026-12-01T11:00Z"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(TEXTS, st.sampled_from(["path", "name"])), inner)
    ),
    max_leaves=5,
)
NAMES = st.sampled_from(
    ["order_id", "marketplace_id", "selling_partner", "when", "key", "attachments", "text", "x", "Key "]
)
KIND = KINDS["confirmCustomizationDetails"]


@given(mapping=st.dictionaries(NAMES, VALUES, max_size=8), is_good=st.booleans())
def test_a_mapping_gives_what_its_line_of_json_gives(mapping: dict[str, object], is_good: bool) -> None:
    """The row, the mistakes and the fields for the report."""
    if is_good:
        mapping = {**GOOD, "selling_partner": "shop.de", **mapping}
    options: dict[str, Any] = {"selling_partners": {"shop.de"}, "not_before": "when", "zone": BERLIN}
    content = "{}\n" + json.dumps(mapping)
    stdin = io.BytesIO(content.encode())
    with open_source("-", KIND, region=Region.EU, format=Format.JSONL, stdin=stdin, **options) as source:
        _, expected = source.entries
    assert entry_of(2, mapping, Columns(KIND, Region.EU, **options)) == expected
