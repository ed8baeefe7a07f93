"""The file of refused rows: what came in, with the line, the reason and the cure, fit to be mended and run again.

It is a CSV whatever the source was.
"""

from __future__ import annotations

import csv
import errno
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import orjson

from ..errors import JobError
from .source import REPORT_COLUMNS
from .whole_file import partial_of, replaced

__all__ = ["RefusedRows", "refused_path"]


def refused_path(source: str) -> Path:
    """Return where the refused rows of a source go: beside it, or of standard input ("-") into the working folder."""
    if source == "-":
        return Path("stdin.refused.csv")
    path = Path(source)
    name = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
    stem = name[:-4] if name.lower().endswith(".csv") else name
    return path.with_name(f"{stem or name}.refused.csv")


class RefusedRows:
    """Collects refused rows as they come up and writes them in the order of their lines.

    They wait in a temporary database that SQLite moves to the disk when it grows, so their number does not matter.

    Args:
        path: The file to write. One that an earlier run left is replaced, or removed when nothing was refused.
        columns: The columns of a row, without the three that this file adds. A row that has a value in another one
            adds it.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self._columns = dict.fromkeys(columns)
        self._waiting = sqlite3.connect("", isolation_level=None)
        self._waiting.execute("CREATE TABLE refused (line INTEGER, fields TEXT, reason TEXT, cure TEXT)")
        self.count = 0

    def check(self) -> None:
        """See that the file can be written, before anything is sent.

        Raises:
            JobError: Its folder is not writable, or it is one itself.
        """
        try:
            if self.path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            partial = partial_of(self.path)
            partial.touch()
            partial.unlink()
        except OSError as error:
            raise JobError(
                f"{self.path}, the file for refused rows, cannot be written: {error.strerror or error}; "
                "name another by --refused"
            ) from error

    def take_over(self) -> None:
        """Take the rows of the file as it is there, so that those of another run join them.

        Raises:
            JobError: It cannot be read, or is no such file.
        """
        try:
            with self.path.open(encoding="utf-8", newline="") as file:
                for record in csv.DictReader(file):
                    line, reason, cure = (record.pop(name) for name in REPORT_COLUMNS)
                    self.add(int(line), {name: value or "" for name, value in record.items()}, reason, cure)
        except FileNotFoundError:
            return
        except (OSError, UnicodeError, csv.Error, KeyError, ValueError, AttributeError) as error:
            raise JobError(f"{self.path} is no file of refused rows; name another by --refused") from error

    def add(self, line: int, fields: Mapping[str, str], reason: str, cure: str) -> None:
        """Add a row.

        Raises:
            JobError: The folder for temporary files is full.
        """
        self._columns |= dict.fromkeys(name for name, value in fields.items() if value and name not in REPORT_COLUMNS)
        values = (line, orjson.dumps(dict(fields)).decode(), reason, cure)
        try:
            self._waiting.execute("INSERT INTO refused VALUES (?, ?, ?, ?)", values)
        except sqlite3.Error as error:
            raise JobError(f"refused rows cannot be kept in the folder for temporary files: {error}") from error
        self.count += 1

    def write(self) -> None:
        """Write the file at once as a whole; with no rows, remove an old one.

        Raises:
            OSError: It cannot be written.
        """
        if not self.count:
            self.path.unlink(missing_ok=True)
            return
        with replaced(self.path) as file:
            writer = csv.writer(file)
            writer.writerow([*self._columns, *REPORT_COLUMNS])
            writer.writerows(self._records())

    def close(self) -> None:
        """Drop what was collected."""
        self._waiting.close()

    def _records(self) -> Iterable[Sequence[object]]:
        for line, fields, reason, cure in self._waiting.execute("SELECT * FROM refused ORDER BY line, rowid"):
            values = orjson.loads(fields)
            yield [*(values.get(column, "") for column in self._columns), line, reason, cure]
