"""Whatever stands in a source: no traceback, no row that vanishes, and one clear error for each that cannot be sent.

A hundred examples of each property in the normal run; `nox -s hostile` tries ten thousand of each.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given, strategies as st

from spapi_async.errors import ConfigError
from spapi_async.jobs.kinds import KINDS
from spapi_async.jobs.refused import RefusedRows
from spapi_async.jobs.source import Columns, Entry, Format, entry_of, open_source
from spapi_async.jobs.template import Templates

KIND = KINDS["confirmOrderDetails"]
DE = "A1PA6795UKMFR9"
TEMPLATES = Templates.of({"": "Hello {name}, {{{size}}}", "de": "Hallo {name}"})
HEAD = "order_id,marketplace_id,text"
FILLED_HEAD = "order_id,marketplace_id,name,size"
# Of several selling partners, with moments.
SELLERS = {"shop.de", "A1SELLER"}
MORE: dict[str, Any] = {"selling_partners": SELLERS, "not_before": "when", "zone": ZoneInfo("Europe/Berlin")}

# What breaks readers: quotes, separators, line ends, zeros, marks, halves of letters, formulas, braces, ids.
PIECES = [
    *'",;\t\n\r \'={}[]:\\\x00\x1a\x85\xa0“”é漢\ufeff\u2028😀',
    *('""', '"\n', '\r\n', '="', '="902-1"', "'902-1", "null", "NaN", "1e999", "\\u0000", "\\ud800", "<b>", "a@b.de"),
    *(DE, "902-1", "order_id", "hello", "sep=;", "x" * 900, "," * 50),
    *("shop.de", "2026-03-29T02:30", "2026-12-01", "9999-12-31T23:59:59-12:00", "0001-01-01", "T24:00", "Z"),
]  # fmt: skip
JUNK = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)
NASTY_BYTES = st.sampled_from(
    [b"", b"\xff", b"\xc3", b"\x81", b"\xed\xa0\x80", b"\xff\xfe", b"\x00", b"\xe9", b"\x1f\x8b"]
)
STARTS = st.sampled_from(
    [b"", f"{HEAD}\n".encode(), f"{HEAD},selling_partner,when\n".encode(), b'{"order_id": 1}\n', b"\x1f\x8b"]
)
NAMES = st.sampled_from(["order_id", "marketplace_id", "name", "size", "key", "x", "Name ", "selling_partner", "when"])
LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])
UNTOLD = ("utf-16-le", "shift_jis", "mac_roman")
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252", "shift_jis", "mac_roman"])


def read(
    content: bytes, form: Format | None, templates: Templates | None = None, encoding: str | None = None, **more: Any
) -> Sequence[Entry] | None:
    """Read a source; None if it cannot be used as a whole, which is said in one line."""
    stdin = io.BytesIO(content)
    try:
        with open_source("-", KIND, format=form, templates=templates, encoding=encoding, stdin=stdin, **more) as source:
            return list(source.entries)
    except ConfigError as error:
        words = str(error)
    assert words.startswith("standard input")
    assert words.isprintable()
    return None


def check(entries: Sequence[Entry], last_line: int) -> None:
    """Each entry is a row or a mistake, in the order of their lines, and fit for the report and the journal."""
    numbers = [entry.number for entry in entries]
    assert numbers == sorted(set(numbers))
    assert all(0 < number <= last_line for number in numbers)
    for entry in entries:
        assert (entry.row is None) == bool(entry.mistakes)
        assert orjson.dumps(dict(entry.fields))
        for mistake in entry.mistakes:
            assert mistake.reason
            assert mistake.cure
            assert orjson.dumps(str(mistake).encode("ascii", "backslashreplace").decode())
        if entry.row:
            assert orjson.dumps(dict(entry.row.body))
            assert KIND.call(entry.row).body
            assert entry.row.selling_partner in {"", *SELLERS}
            assert entry.row.not_before >= 0
            assert datetime.fromtimestamp(entry.row.not_before, UTC)


def lines_of(text: str) -> int:
    return len(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))


@given(data=st.binary(max_size=200), start=STARTS)
def test_any_bytes_are_rows_or_clear_errors(data: bytes, start: bytes) -> None:
    """Whatever bytes come, they end as entries or as one error of the file in a line."""
    content = start + data
    for form in None, *Format:
        for each in content, gzip.compress(content, 1):
            for more in {}, MORE:
                if (entries := read(each, form, **more)) is not None:
                    check(entries, 10**9)


@given(
    pieces=st.lists(st.tuples(JUNK, st.booleans()), max_size=8),
    end=LINE_ENDS,
    delimiter=st.sampled_from([",", ";", "\t"]),
    encoding=ENCODINGS,
    byte=NASTY_BYTES,
    is_filled=st.booleans(),
    has_more=st.booleans(),
)
def test_no_row_of_a_csv_vanishes(
    pieces: Sequence[tuple[str, bool]],
    end: str,
    delimiter: str,
    encoding: str,
    byte: bytes,
    is_filled: bool,
    has_more: bool,
) -> None:
    """Every row, however its neighbours are broken, stands in exactly one entry: accepted, or with what is wrong."""
    lines, tags = [(FILLED_HEAD if is_filled else HEAD) + has_more * ",selling_partner,when"], []
    for number, (junk, is_inside) in enumerate(pieces):
        tag = f"TAG-{number:04}"
        tags.append(tag)
        good = f"{tag},{DE},{'Ann,L' if is_filled else 'hello'}" + has_more * ",shop.de,2026-12-01"
        lines += [f"{tag},{DE},{junk}"] if is_inside else [junk, good]
    text = end.join(line.replace(",", delimiter) if line.startswith(("TAG", "order")) else line for line in lines)
    content = text.encode(encoding, "replace")
    # In the middle, where it falls into a line like any other; two bytes off, UTF-16 is another text.
    is_wide = encoding.startswith(("utf-16", "utf-32"))
    middle = len(content) // 2
    content = content if is_wide else content[:middle] + byte + content[middle:]
    told = encoding if encoding in UNTOLD else None
    entries = read(content, None, TEMPLATES if is_filled else None, told, **(MORE if has_more else {}))
    if entries is None:
        return
    check(entries, lines_of(text) + 1)  # the byte may part a line end
    for tag in tags:
        if tag.encode(encoding)[2 * is_wide :] not in content:
            continue  # the nasty byte fell into it
        where = [
            entry.number
            for entry in entries
            # Without its first letter, which the byte before it may have made another one.
            if tag[1:] in (entry.row.order_id if entry.row else " ".join(entry.fields.values()))
        ]
        assert len(where) == 1, (tag, where)


@given(
    rows=st.lists(st.tuples(JUNK, JUNK, JUNK), max_size=6),
    form=st.sampled_from([Format.CSV, Format.TSV, Format.JSONL]),
    encoding=st.sampled_from(["utf-8", "utf-16"]),
)
def test_what_is_written_properly_is_read_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, rows: Sequence[tuple[str, str, str]], form: Format, encoding: str
) -> None:
    """Properly quoted, each row is one entry with its fields as they were; and the report can be run again."""
    names = ["order_id", "marketplace_id", "text"]
    file = io.StringIO()
    if form is Format.JSONL:
        for row in rows:
            file.write(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n")
    else:
        csv.writer(file, delimiter="\t" if form is Format.TSV else ",", quoting=csv.QUOTE_ALL).writerows([names, *rows])
    if form is Format.JSONL and not rows:
        return
    entries = read(file.getvalue().encode(encoding), form)
    assert entries is not None
    check(entries, 10**9)
    kept = [row for row in rows if form is Format.JSONL or any(map(str.strip, row))]
    is_swallowed = any(DE in field for row in rows for field in row)  # then its lines are read one by one
    if not is_swallowed:
        assert [tuple(entry.fields.values()) for entry in entries] == kept
    path = tmp_path_factory.getbasetemp() / "hostile.refused.csv"
    report = RefusedRows(path, names)
    for entry in entries:
        if entry.row is None:
            report.add(entry.number, entry.fields, "why", "how")
    report.write()
    count = report.count
    report.close()
    if count and not is_swallowed:
        with open_source(path, KIND) as source:
            again = list(source.entries)
        assert len(again) <= count
        assert not any(entry.row for entry in again)


@given(
    lines=st.lists(
        st.one_of(
            JUNK,
            st.recursive(
                st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), JUNK),
                lambda inner: st.one_of(
                    st.lists(inner, max_size=3),
                    st.dictionaries(NAMES, inner),
                ),
                max_leaves=8,
            ).map(json.dumps),
        ),
        max_size=6,
    ),
    end=LINE_ENDS,
    byte=NASTY_BYTES,
)
def test_no_line_of_json_lines_vanishes(lines: Sequence[str], end: str, byte: bytes) -> None:
    """Every line that is not empty is one entry, with a template too, whatever it holds."""
    text = end.join(lines)
    content = text.encode() + byte
    good = json.dumps(
        {"order_id": "902-1", "marketplace_id": DE, "name": "Ann", "size": "L", "selling_partner": "shop.de"}
    )
    for before in "", good + end:
        entries = read(before.encode() + content, Format.JSONL, TEMPLATES, **MORE)
        if entries is None:
            assert byte or not before
            continue
        check(entries, lines_of(before + text))
        if before and not byte:
            told = (before + text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
            assert [entry.number for entry in entries] == [n for n, line in enumerate(told, 1) if line.strip()]
            assert entries[0].row


KEYS = st.one_of(NAMES, JUNK, st.none(), st.integers(), st.binary(max_size=3), st.tuples(JUNK))
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.just(10**4000),
    st.floats(),
    st.complex_numbers(),
    st.decimals(),
    JUNK,
    st.text(st.characters(), max_size=3),  # halves of letters too
    st.binary(max_size=3),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.timezones()),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.sampled_from([KIND, Format.CSV, Entry, print, ..., object(), range(3), iter([]), memoryview(b"a")]),
)


@given(
    row=st.one_of(
        ODD,
        st.dictionaries(
            KEYS,
            st.recursive(
                ODD,
                lambda inner: st.one_of(
                    st.lists(inner, max_size=3),
                    st.tuples(inner),
                    st.frozensets(KEYS, max_size=2),
                    st.dictionaries(KEYS, inner, max_size=2),
                ),
                max_leaves=5,
            ),
            max_size=6,
        ),
    ),
    is_filled=st.booleans(),
)
def test_no_row_of_a_program_vanishes(row: Any, is_filled: bool) -> None:
    """Whatever a program hands in, among it what is no mapping, is one entry."""
    columns = Columns(KIND, templates=TEMPLATES if is_filled else None, **MORE)
    good = {"order_id": "902-1", "marketplace_id": DE, "selling_partner": "shop.de"}
    good |= {"name": "Ann", "size": "L"} if is_filled else {"text": "hello"}
    rows = [row, good | row if isinstance(row, dict) else good]
    check([entry_of(number, each, columns) for number, each in enumerate(rows, 1)], 2)
