"""The physical lines of a source, counted, none longer than fits into the memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

__all__ = ["LONGEST_LINE", "Lines"]

LONGEST_LINE = 131_072
"""Characters after which a line is cut, and no row. The longest text that Amazon takes has 2,000."""


class Lines:
    """The lines of a file with their numbers.

    Args:
        file: A text file that was opened with `newline=""`.

    Attributes:
        number: The number of the line that came last, from 1; 0 before the first.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._again: list[str] = []
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.pop() if self._again else self._read()
        if not line:
            raise StopIteration
        self.number += 1
        return line

    def give_back(self, lines: list[str]) -> None:
        """Have the last lines come once more."""
        self._again.extend(reversed(lines))
        self.number -= len(lines)

    def _read(self) -> str:
        line = self._file.readline(LONGEST_LINE)
        if len(line) == LONGEST_LINE and line[-1] not in "\r\n":
            while (rest := self._file.readline(LONGEST_LINE)) and rest[-1] not in "\r\n":
                pass
        # Some codecs hand the byte order mark on.
        return line if self.number else line.removeprefix("\ufeff")
