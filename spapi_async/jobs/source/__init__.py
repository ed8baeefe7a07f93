"""Where the rows of a job come from: CSV, TSV or JSON Lines, packed by gzip or not, from a file or standard input.

`opened` finds out what a source is and opens it, `encoding` which encoding it has; `delimited` and `json_lines` divide
it into records, line by line; `columns` knows which columns there may be and makes a row of a record; `mappings` does
the same with what a program hands in.

Two sorts of fault are kept apart. A fault of a line (a field that breaks a rule, too many fields, a quote that is never
closed, a byte that is no text) is an `Entry` with mistakes. A fault of the file (a column missing or unknown, nothing
in it, a gzip file that ends too early) is a `ConfigError`: nothing can be said about any of its lines.

Line numbers are those of an editor: a quoted field may run over several lines, and the row's number is its first.
"""

from __future__ import annotations

from .columns import REPORT_COLUMNS, Columns, Entry
from .mappings import entry_of
from .opened import Format, Source, open_source

__all__ = ["REPORT_COLUMNS", "Columns", "Entry", "Format", "Source", "entry_of", "open_source"]
