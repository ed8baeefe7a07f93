from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from spapi_async.errors import ConfigError
from spapi_async.jobs.kinds import KINDS
from spapi_async.jobs.source import Entry, read_columns, read_csv

KIND = KINDS["confirmOrderDetails"]
HEAD = "order_id,marketplace_id,text\n"
DE = "A1PA6795UKMFR9"


def read(path: Path, content: str | bytes) -> Sequence[Entry]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_csv(path, KIND))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "messages.csv"


def test_a_row_has_the_line_where_it_begins(path: Path) -> None:
    """Line numbers are those of an editor, with quoted fields over several lines and empty lines between."""
    entries = read(path, HEAD + f'902-1,{DE},"one\ntwo\n\nfour"\n\n902-2,{DE},five\r\n902-3,{DE},six')
    assert [(e.number, e.row.order_id) for e in entries if e.row] == [(2, "902-1"), (7, "902-2"), (8, "902-3")]
    assert entries[0].row
    assert entries[0].row.body["text"] == "one\ntwo\n\nfour"


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_what_spreadsheets_write_can_be_read(path: Path, mark: bytes, separator: str) -> None:
    """UTF-8 with or without a byte order mark; commas, semicolons or tabs; names in any case."""
    content = f"Order_ID,marketplace_id ,text\r\n902-1,{DE},Größe?\r\n".replace(",", separator)
    [entry] = read(path, mark + content.encode())
    assert entry.row
    assert entry.row.body["text"] == "Größe?"


def test_a_bad_line_does_not_stop_the_rest(path: Path) -> None:
    """Each bad line is told with its number, and all others become rows."""
    entries = read(
        path,
        HEAD + f"902-1,{DE},good\n902-2,XX,bad\n902-3,{DE}\n902-4,{DE},a, b\n902-5,{DE},good\n",
    )
    assert [entry.number for entry in entries if entry.row] == [2, 6]
    assert [(e.number, e.mistakes[0].reason) for e in entries if not e.row] == [
        (3, "'XX' is no marketplace id that Amazon lists"),
        (4, "has 2 fields instead of 3"),
        (5, "has 4 fields instead of 3"),
    ]


def test_a_text_with_bare_commas_is_kept_whole(path: Path) -> None:
    """What is too much for its columns is kept in the last one, so that it can be mended."""
    [entry] = read(path, HEAD + f"902-1,{DE},one, two, three\n")
    assert entry.fields["text"] == "one, two, three"


@pytest.mark.parametrize("tail", ["", "\n", f'\n902-9,{DE},"last"\n'])
def test_a_quote_that_is_never_closed_swallows_nothing(path: Path, tail: str) -> None:
    """A stray quote costs its own line only: those after it are read as they stand."""
    entries = read(path, HEAD + f'902-1,{DE},"open\n' + "".join(f"902-{n},{DE},good\n" for n in range(2, 6)) + tail)
    assert entries[0].number == 2
    assert entries[0].row is None
    assert [e.row.order_id for e in entries[1:] if e.row][:4] == ["902-2", "902-3", "902-4", "902-5"]
    assert [e.number for e in entries[1:]][:4] == [3, 4, 5, 6]


def test_two_stray_quotes_make_no_text_of_the_rows_between(path: Path) -> None:
    """Rows between two stray quotes are a legal field, but no buyer gets to read them: each is read by itself."""
    entries = read(path, HEAD + f'902-1,{DE},"open\n902-2,{DE},good\n902-3,{DE},"\n902-4,{DE},good\n')
    assert [entry.number for entry in entries] == [2, 3, 4, 5]
    assert [entry.row.order_id for entry in entries if entry.row] == ["902-2", "902-4"]


def test_a_quote_that_is_never_closed_costs_no_memory(path: Path) -> None:
    """In a big file, too, no more than a piece of it is looked through for the end of a quote."""
    rest = "".join(f"902-{n},{DE},{'x' * 200}\n" for n in range(1000))
    entries = read(path, HEAD + f'902-A,{DE},"open\n' + rest)
    assert len([entry for entry in entries if entry.row]) == 1000


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty; its first line must name the columns: order_id, marketplace_id, text"),
        (b"\n \n", "is empty"),
        (b"order_id,text\n", "the column marketplace_id is missing"),
        (b"order_id,marketplace_id,text,colour\n", "the column 'colour' is unknown"),
        (
            b"order_id,marketplace_id,txt\n",
            r"the column text is missing, the column 'txt' is unknown \(did you mean text",
        ),
        (b"order_id,marketplace_id,text,text\n", "the column text stands there twice"),
        (b"902-1,A1PA6795UKMFR9,hello\n", "the column order_id is missing"),
        (b"order_id,marketplace_id,text\na,b,ok\na,b,Gr\xf6\xdfe\n", "line 3 holds the byte 0xf6, which is no UTF-8"),
        ("order_id,marketplace_id,text\n".encode("utf-16"), "the file is UTF-16"),
    ],
)
def test_a_fault_of_the_file_is_one_clear_error(path: Path, content: bytes, words: str) -> None:
    """When nothing can be said about any line, one error says why, with the name of the file."""
    with pytest.raises(ConfigError, match=rf"messages\.csv.*{words}"):
        read(path, content)


def test_a_file_that_is_not_there_is_one_clear_error(path: Path) -> None:
    """A missing file is told by its name."""
    with pytest.raises(ConfigError, match=r"messages\.csv cannot be read: No such file"):
        read_columns(path, KIND)


def test_a_header_alone_is_a_job_without_rows(path: Path) -> None:
    """A file with a header only has no rows, and that is no fault."""
    assert read(path, HEAD) == []


def test_the_columns_of_a_report_are_ignored(path: Path) -> None:
    """The file of refused rows can be run again as it is."""
    [entry] = read(path, f"text,order_id,marketplace_id,line,reason,cure\nhi,902-1,{DE},7,why,how\n")
    assert entry.row
    assert entry.row.body == {"marketplace_id": DE, "text": "hi"}
    assert read_columns(path, KIND) == ["text", "order_id", "marketplace_id", "line", "reason", "cure"]


@given(body=st.text(alphabet=st.sampled_from('ab,;"\n\r\t é\x00<'), max_size=60))
def test_no_line_vanishes(tmp_path_factory: pytest.TempPathFactory, body: str) -> None:
    """Whatever stands in a file, every line that is not empty belongs to exactly one entry, told once."""
    path = tmp_path_factory.getbasetemp() / "hostile.csv"
    entries = read(path, HEAD + body)
    numbers = [entry.number for entry in entries]
    assert sorted(set(numbers)) == numbers
    for entry in entries:
        assert (entry.row is None) == bool(entry.mistakes)
    if body.strip("\r\n"):
        assert entries


def test_good_lines_survive_any_neighbour(path: Path) -> None:
    """A good line after a broken one is read, however that one is broken."""
    for bad in ('"', '"x"y,', 'a,"b', "\x00", ",,,,,,", '""""', 'a,b,"c'):
        entries = read(path, HEAD + f"{bad}\n902-1,{DE},good\n")
        assert entries[-1].row, bad
