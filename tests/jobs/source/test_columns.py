from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from spapi_async.errors import ConfigError
from spapi_async.jobs.identity import body_bytes
from spapi_async.jobs.kinds import KINDS
from spapi_async.jobs.refused import RefusedRows
from spapi_async.jobs.source import Columns, Entry, Format, Source, open_source
from spapi_async.jobs.template import Templates

KIND = KINDS["confirmOrderDetails"]
DE = "A1PA6795UKMFR9"
BERLIN = ZoneInfo("Europe/Berlin")
SELLERS = {"A1SELLER": "Atzr|1", "shop.de": "Atzr|2"}
NOON = datetime(2026, 12, 1, 11, tzinfo=UTC).timestamp()
GOOD = {"order_id": "902-1", "marketplace_id": DE, "text": "hello"}
FORMATS = pytest.mark.parametrize("form", list(Format))


def written(form: Format, rows: Sequence[Mapping[str, str]]) -> bytes:
    if form is Format.JSONL:
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if form is Format.TSV else ",")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


def read(content: bytes, form: Format | None = None, **options: Any) -> tuple[Source, Sequence[Entry]]:
    with open_source("-", options.pop("kind", KIND), format=form, stdin=io.BytesIO(content), **options) as source:
        return source, list(source.entries)


@FORMATS
@pytest.mark.parametrize("is_packed", [False, True])
def test_the_columns_of_who_and_when(form: Format, is_packed: bool) -> None:
    """A row has the name of its selling partner and its moment, and its content is the same without them."""
    more = {"Selling_Partner": " shop.de ", "Send_After": "2026-12-01T12:00+01:00"}
    rows = [GOOD | more, GOOD | {"Selling_Partner": "A1SELLER", "Send_After": " "}]
    content = written(form, rows)
    content = gzip.compress(content) if is_packed else content
    source, (first, second) = read(content, form, selling_partners=SELLERS, not_before=" send_AFTER")
    assert first.row
    assert (first.row.selling_partner, first.row.not_before) == ("shop.de", NOON)
    assert second.row
    assert (second.row.selling_partner, second.row.not_before) == ("A1SELLER", 0.0)
    [plain] = read(written(form, [GOOD]), form)[1]
    assert plain.row
    assert (plain.row.selling_partner, plain.row.not_before) == ("", 0.0)
    assert body_bytes(first.row.body) == body_bytes(second.row.body) == body_bytes(plain.row.body)
    assert {"selling_partner", "send_after"} <= set(source.columns)
    assert source.knows("selling_partner")
    assert source.knows("send_after")
    assert source.not_before == "send_after"


@FORMATS
def test_who_is_not_among_the_selling_partners(form: Format) -> None:
    """It is a mistake of the line, and what looks like a refresh token is not repeated."""
    names = ["a1seller", "", "Atzr|" + "5ecre7" * 9, "Atzr|5ecre7", "x" * 41]
    rows = [GOOD | {"selling_partner": name} for name in names]
    entries = read(written(form, rows), form, selling_partners=SELLERS)[1]
    assert [str(mistake) for entry in entries for mistake in entry.mistakes] == [
        "selling_partner: 'a1seller' is not in the credentials (write it as it stands there, capitals too, or add it "
        "there)",
        "selling_partner: is missing (give the name that it has in the credentials)",
        *["selling_partner: this name is not in the credentials (write it as it stands there, capitals too, or add it "
          "there)"] * 3,
    ]  # fmt: skip
    assert [entry.fields["selling_partner"] for entry in entries] == names


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("2026-12-01T12:00", "'2026-12-01T12:00' has no zone (write one, as in 2026-12-01T09:00:00+01:00, or give"),
        ("2026-12-01", "'2026-12-01' has no zone"),
        ("01.12.2026", "'01.12.2026' is no time (write it as 2026-12-01T09:00:00+01:00, or leave it empty"),
        ("1796122800", "'1796122800' is no time"),
        ("2026-02-30T09:00Z", "'2026-02-30T09:00Z' is no time"),
        ("0026-12-01T09:00Z", "'0026-12-01T09:00Z' is before 1970"),
        ("x" * 99, f"'{'x' * 40}' is no time"),
    ],
)
@FORMATS
def test_what_is_no_moment(form: Format, value: str, words: str) -> None:
    """It is a mistake of the line, beside all others that it has."""
    rows = [GOOD | {"key": "x" * 101, "when": value}]
    _, [entry] = read(written(form, rows), form, not_before="when")
    assert entry.row is None
    assert [mistake.field for mistake in entry.mistakes] == ["key", "when"]
    assert str(entry.mistakes[1]).startswith(f"when: {words}")
    assert entry.fields["when"] == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-12-01", "2026-11-30T23:00:00Z"),
        ("2026-12-01 12:00", "2026-12-01T11:00:00Z"),
        ("20260701T120000", "2026-07-01T10:00:00Z"),
        ("2026-12-01T12:00:00-05:00", "2026-12-01T17:00:00Z"),
    ],
)
def test_local_times_are_those_of_the_zone(value: str, expected: str) -> None:
    """A date is its midnight, and a zone that is written goes before."""
    _, [entry] = read(written(Format.CSV, [GOOD | {"when": value}]), not_before="when", zone=BERLIN)
    assert entry.row
    assert entry.row.not_before == datetime.fromisoformat(expected).timestamp()


@FORMATS
def test_columns_without_their_options_are_unknown(form: Format) -> None:
    """Who sells and when is too much to be ignored, so the error names the option."""
    for column, option in ("selling_partner", "--credentials FILE"), ("not_before", "--not-before not_before"):
        with pytest.raises(ConfigError, match=f"the column '{column}' is unknown without {option}"):
            read(written(form, [GOOD | {column: "x"}]), form)


@pytest.mark.parametrize("form", [Format.CSV, Format.TSV])
def test_columns_of_options_must_be_there(form: Format) -> None:
    """A file that lacks one of them is not what the options say."""
    with pytest.raises(
        ConfigError, match=r"the column selling_partner is missing, the column when is missing; confirm"
    ):
        read(written(form, [GOOD]), form, selling_partners=SELLERS, not_before="when")


def test_objects_may_lack_the_moment() -> None:
    """In JSON Lines, where a name that is not there is an empty value; not who sells."""
    content = written(Format.JSONL, [GOOD, GOOD | {"selling_partner": "A1SELLER"}])
    _, (first, second) = read(content, selling_partners=SELLERS, not_before="when")
    assert [str(mistake)[:27] for mistake in first.mistakes] == ["selling_partner: is missing"]
    assert second.row
    assert second.row.not_before == 0.0


def test_an_empty_moment_at_the_right_may_be_missing() -> None:
    """As spreadsheets leave it out; a name at the right may not."""
    content = f"order_id,marketplace_id,text,when\n902-1,{DE},hello\n".encode()
    _, [entry] = read(content, not_before="when")
    assert entry.row
    _, [entry] = read(content.replace(b"when", b"selling_partner"), selling_partners=SELLERS)
    assert [mistake.reason for mistake in entry.mistakes] == ["has 3 fields instead of 4"]


@pytest.mark.parametrize("name", ["order_id", "Text", "text.de", "key", "line", "selling_partner", " ", "attachments"])
def test_a_column_of_something_else_holds_no_moments(name: str) -> None:
    """`--not-before` with such a name is a slip; a kind's own dates can be named."""
    with pytest.raises(ConfigError, match=r"^--not-before names .*, which is no column of times; name another one$"):
        Columns(KINDS["digitalAccessKey"], not_before=name)
    kind = KINDS["productReviewAndSellerFeedback"]
    row = {"order_id": "902-1", "marketplace_id": DE, "latest_delivery_date": "2026-12-01T11:00:00Z"}
    _, [entry] = read(written(Format.CSV, [row]), kind=kind, not_before="latest_delivery_date")
    assert entry.row
    assert (entry.row.not_before, entry.row.body["latest_delivery_date"]) == (NOON, "2026-12-01T11:00:00Z")


def test_a_template_may_name_the_columns() -> None:
    """Then they are a part of the text, and must have a value."""
    templates = Templates.of({"": "{selling_partner} writes from {when} on."})
    row = {"order_id": "902-1", "marketplace_id": DE, "selling_partner": "shop.de", "when": "2026-12-01"}
    content = written(Format.CSV, [row, row | {"when": "", "selling_partner": "x"}])
    options = {"selling_partners": SELLERS, "not_before": "when", "zone": BERLIN}
    _, (first, second) = read(content, templates=templates, **options)
    assert first.row
    assert first.row.body["text"] == "shop.de writes from 2026-12-01 on."
    assert (first.row.selling_partner, first.row.not_before) == ("shop.de", NOON - 12 * 3600)
    assert [(mistake.field, mistake.reason) for mistake in second.mistakes] == [
        ("selling_partner", "'x' is not in the credentials"),
        ("when", "is empty, and the template puts it into the text"),
    ]
    _, [entry] = read(written(Format.CSV, [row]), templates=templates)
    assert entry.row
    assert entry.row.selling_partner == ""


@FORMATS
def test_refused_rows_have_the_columns(form: Format, tmp_path: Path) -> None:
    """Mended, their file can be run with the options of the first run."""
    row = GOOD | {"selling_partner": "shop.de", "when": "2026-12-01", "text": "<b>"}
    options: dict[str, Any] = {"selling_partners": SELLERS, "not_before": "when", "zone": BERLIN}
    source, [entry] = read(written(form, [row]), form, **options)
    refused = RefusedRows(tmp_path / "refused.csv", source.columns)
    refused.add(entry.number, entry.fields, "why", "how")
    refused.write()
    refused.close()
    content = (tmp_path / "refused.csv").read_bytes().replace(b"<b>", b"hello")
    _, [entry] = read(content, **options)
    assert entry.row
    assert (entry.row.selling_partner, entry.row.not_before) == ("shop.de", NOON - 12 * 3600)
