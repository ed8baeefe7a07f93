from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from spapi_async.errors import ConfigError
from spapi_async.jobs.kinds import KINDS
from spapi_async.jobs.source import Entry, open_source
from spapi_async.jobs.source.lines import LONGEST_LINE

KIND = KINDS["confirmOrderDetails"]
HEAD = "order_id,marketplace_id,text\n"
DE = "A1PA6795UKMFR9"


def read(path: Path, content: str | bytes) -> Sequence[Entry]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with open_source(path, KIND) as source:
        return list(source.entries)


def columns(path: Path) -> Sequence[str]:
    with open_source(path, KIND) as source:
        return source.columns


def bodies(entries: Sequence[Entry]) -> list[tuple[int, str, str]]:
    return [(entry.number, entry.row.order_id, entry.row.body["text"]) for entry in entries if entry.row]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "messages.csv"


def test_a_row_has_the_line_where_it_begins(path: Path) -> None:
    """Line numbers are those of an editor, with quoted fields over several lines and empty lines between."""
    entries = read(path, HEAD + f'902-1,{DE},"one\ntwo\n\nfour"\n\n902-2,{DE},five\r\n902-3,{DE},six')
    assert bodies(entries) == [(2, "902-1", "one\ntwo\n\nfour"), (7, "902-2", "five"), (8, "902-3", "six")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_what_spreadsheets_write_can_be_read(path: Path, mark: bytes, separator: str, end: str) -> None:
    """UTF-8 with or without a byte order mark; commas, semicolons or tabs; any line ends; names in any case."""
    content = f"Order_ID,\xa0marketplace_id ,text{end}902-1,{DE},Größe?{end}".replace(",", separator)
    assert bodies(read(path, mark + content.encode())) == [(2, "902-1", "Größe?")]


@pytest.mark.parametrize("line", ["sep=|", '"sep=|"', "SEP=|\r"])
def test_the_line_that_tells_a_spreadsheet_its_separator(path: Path, line: str) -> None:
    """A first line `sep=` goes before what the header looks like, and counts as a line."""
    assert bodies(read(path, f"{line}\norder_id|marketplace_id|text\n902-1|{DE}|a, b; c")) == [(3, "902-1", "a, b; c")]


def test_a_formula_that_only_keeps_digits_is_its_value(path: Path) -> None:
    """`="902-1"` is 902-1 in any column, and an apostrophe before an id is none of it; in a text it stays."""
    content = HEAD + f'="902-1","=""{DE}""","=""0049"""\n\'902-2,\'{DE},\'t is good\n'
    assert bodies(read(path, content)) == [(2, "902-1", "0049"), (3, "902-2", "'t is good")]


def test_curly_quotes_are_text(path: Path) -> None:
    """They neither open nor close anything."""
    assert bodies(read(path, HEAD + f"902-1,{DE},“hello”\n")) == [(2, "902-1", "“hello”")]
    [entry] = read(path, HEAD + f"902-1,{DE},“hello, you”\n")
    assert entry.mistakes[0].reason == "has 4 fields instead of 3"


def test_what_a_spreadsheet_leaves_empty_is_nothing(path: Path) -> None:
    """Thousands of empty columns at the right and empty lines at the end are no rows and no faults."""
    pad = "," * 16_000
    content = HEAD.strip() + f"{pad}\n902-1,{DE},one{pad}\n902-2,{DE},two\n902-3,{DE},three,,\n" + f",,{pad}\n \n" * 50
    assert bodies(read(path, content)) == [(2, "902-1", "one"), (3, "902-2", "two"), (4, "902-3", "three")]


def test_empty_cells_at_the_right_may_be_missing(path: Path) -> None:
    """Where only columns are missing that may be empty, a short line is whole."""
    content = HEAD.strip() + f",key,reason\n902-1,{DE},one\n902-2,{DE},two,k\n902-3,{DE}\n"
    entries = read(path, content)
    assert bodies(entries) == [(2, "902-1", "one"), (3, "902-2", "two")]
    assert entries[2].mistakes[0].reason == "has 2 fields instead of 5"


def test_a_comma_behind_a_text_is_not_lost(path: Path) -> None:
    """Where the header has no empty columns, what follows the text may belong to it, so somebody has to look."""
    [entry] = read(path, HEAD + f"902-1,{DE},Hello,\n")
    assert entry.mistakes[0].reason == "has 4 fields instead of 3"


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


@pytest.mark.parametrize("damaged", [DE, f"{DE[:4]}ÿ{DE[4:]}", f"{DE[:4]}\0{DE[4:]}"])
def test_two_stray_quotes_make_no_text_of_the_rows_between(path: Path, damaged: str) -> None:
    """Rows between two stray quotes are a legal field, but no buyer gets to read them: each is read by itself."""
    entries = read(path, HEAD + f'902-1,{DE},"open\n902-2,{DE},good\n902-3,{DE},"\n902-4,{DE},good\n')
    assert [entry.number for entry in entries] == [2, 3, 4, 5]
    assert [entry.row.order_id for entry in entries if entry.row] == ["902-2", "902-4"]
    entries = read(path, HEAD + f'902-1,{DE},"open\n902-2,{damaged},"\n902-3,{DE},good\n')
    assert [entry.row.order_id for entry in entries if entry.row] == ["902-3"]


def test_a_quote_that_is_never_closed_costs_no_memory(path: Path) -> None:
    """In a big file, too, no more than a piece of it is looked through for the end of a quote."""
    rest = "".join(f"902-{n},{DE},{'x' * 200}\n" for n in range(1000))
    entries = read(path, HEAD + f'902-A,{DE},"open\n' + rest)
    assert len([entry for entry in entries if entry.row]) == 1000


@pytest.mark.parametrize("before", ["", f'902-1,{DE},"open\n'])
def test_a_line_without_end_is_one_bad_line(path: Path, before: str) -> None:
    """Of a line that is longer than any row only its beginning is kept, and the next one is read as it stands."""
    for length in LONGEST_LINE - 1, LONGEST_LINE, LONGEST_LINE * 2, LONGEST_LINE * 2 + 1:
        entries = read(path, HEAD + before + "y" * length + f"\n902-2,{DE},good\n")
        assert bodies(entries) == [(3 + bool(before), "902-2", "good")], length
        assert "has more than 131072 characters" in entries[-2].mistakes[0].reason or length < LONGEST_LINE


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "it is empty; its first line must name the columns: order_id, marketplace_id, text"),
        ("\n \n,,\n", "it is empty"),
        ("\ufeff", "it is empty"),
        ("order_id,text\n", "the column marketplace_id is missing"),
        ("order_id,marketplace_id,text,colour\n", "the column 'colour' is unknown; confirmOrderDetails takes order_id"),
        ("order_id,marketplace_id,text,text.x\n", "the column 'text.x' is unknown"),
        (
            "order_id,marketplace_id,txt\n",
            r"the column text is missing, the column 'txt' is unknown \(did you mean text",
        ),
        ("order_id,marketplace_id,text,text\n", "the column text stands there twice"),
        ("order_id,marketplace_id,text,text.de-DE,text.de_de\n", "the column text.de_de stands there twice"),
        ("order_id,,marketplace_id,text\n", "the column 2 has no name"),
        ("902-1,A1PA6795UKMFR9,hello\n", "the column order_id is missing"),
        ("x" * LONGEST_LINE, "its first line is no line of a CSV: it is too long"),
        ("sep=||\norder_id", r"its first line says that '\|\|' separates columns"),
    ],
)
def test_a_fault_of_the_file_is_one_clear_error(path: Path, content: str, words: str) -> None:
    """When nothing can be said about any line, one error says why, with the name of the file."""
    with pytest.raises(ConfigError, match=rf"messages\.csv: .*{words}"):
        read(path, content)


def test_a_header_alone_is_a_job_without_rows(path: Path) -> None:
    """A file with a header only has no rows, and that is no fault."""
    assert read(path, HEAD) == []


def test_the_columns_of_a_report_are_ignored(path: Path) -> None:
    """The file of refused rows can be run again as it is."""
    [entry] = read(path, f"text,order_id,marketplace_id,line,reason,cure\nhi,902-1,{DE},7,why,how\n")
    assert entry.row
    assert entry.row.body == {"marketplace_id": DE, "text": "hi"}
    assert columns(path) == ["text", "order_id", "marketplace_id", "line", "reason", "cure"]


def test_texts_for_other_languages(path: Path) -> None:
    """A column `text.de-DE` is the text for buyers of that locale; each is checked, and an empty one is none."""
    entries = read(path, HEAD.strip() + f",text.de-DE\n902-1,{DE},a,ä\n902-2,{DE},a,\n902-3,{DE},a,<b>\n")
    assert entries[0].row
    assert entries[0].row.body == {"marketplace_id": DE, "text": "a", "text.de_de": "ä"}
    assert entries[1].row
    assert entries[1].row.body == {"marketplace_id": DE, "text": "a"}
    assert str(entries[2].mistakes[0]).startswith("text.de_de: holds HTML")


def test_good_lines_survive_any_neighbour(path: Path) -> None:
    """A good line after a broken one is read, however that one is broken."""
    for bad in ('"', '"x"y,', 'a,"b', "\x00", ",,,,,,x", '""""', 'a,b,"c'):
        entries = read(path, HEAD + f"{bad}\n902-1,{DE},good\n")
        assert entries[-1].row, bad
