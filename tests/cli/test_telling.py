from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import attrs
import pytest

from spapi_async.cli.jobs.telling import Telling
from spapi_async.jobs.kinds import KINDS
from spapi_async.jobs.outcome import Rejection
from spapi_async.jobs.refused import RefusedRows
from spapi_async.jobs.row import Row
from spapi_async.jobs.source import open_source
from spapi_async.jobs.summary import Tally
from spapi_async.jobs.template import Templates

DE = "A1PA6795UKMFR9"
NOON = datetime(2026, 12, 1, 11, tzinfo=UTC).timestamp()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def telling(tmp_path: Path, said: list[str]) -> Iterator[Telling]:
    path = tmp_path / "messages.csv"
    path.write_text(f"order_id,marketplace_id,selling_partner,when,name\n902-1,{DE},shop.de,2026-12-01T12:00,Ann\n")
    with open_source(
        path,
        KINDS["confirmOrderDetails"],
        templates=Templates.of({"": "Hello {name}"}),
        selling_partners={"shop.de"},
        not_before="when",
        zone=ZoneInfo("Europe/Berlin"),
    ) as source:
        columns = RefusedRows(tmp_path / "refused.csv", source.columns)
        telling = Telling("messages.csv", columns, source.knows, said.append, not_before=source.not_before)
        yield telling
    telling.close()


def test_a_refused_row_has_the_columns_of_the_source(telling: Telling, tmp_path: Path) -> None:
    """Who sells and the moment too, but for the text that a template made: so the file can be run as it is."""
    body = {"marketplace_id": DE, "text": "Hello Ann", "name": "Ann"}
    row = Row(number=2, kind="", order_id="902-1", key="7", body=body, selling_partner="shop.de", not_before=NOON)
    telling.rejected(Rejection.of_row(row, "why", "how"))
    telling.rejected(Rejection.of_row(attrs.evolve(row, number=3, not_before=0.0), "why", "how"))
    telling.write()
    with (tmp_path / "refused.csv").open(encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    assert first == {
        "order_id": "902-1",
        "marketplace_id": DE,
        "selling_partner": "shop.de",
        "when": "2026-12-01T11:00:00+00:00",
        "name": "Ann",
        "key": "7",
        "line": "2",
        "reason": "why",
        "cure": "how",
    }
    assert second["when"] == ""


@pytest.mark.parametrize(
    ("tally", "words"),
    [
        (Tally(), "messages.csv: no rows were read, so nothing was sent."),
        (Tally(sent=1), "messages.csv, 1 line in "),
        (Tally(sent=1, invalid=1), "messages.csv, 2 lines in "),
    ],
)
def test_the_lines_are_counted_in_words(telling: Telling, said: list[str], tally: Tally, words: str) -> None:
    """A file that has only a header is no mistake: there was nothing to send."""
    telling.tell(tally, [], 1.0, "messages.db 1")
    [line] = said
    assert line.startswith(words)
