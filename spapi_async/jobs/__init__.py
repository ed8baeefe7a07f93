"""Bulk jobs: many buyer messages, at most one for each row, whatever happens in between.

    async with Job(sp, kind="confirmOrderDetails", journal="messages.db") as job:
        await job.add(rows)
        async for outcome in job.run():
            ...

`job` holds together what `lane` sends for each selling partner. `source` makes rows of a file or of what a program
hands in, with texts from a `template` if there is one; `variants` chooses among the languages of a row. `kinds` says
what each kind of message needs, `attachments` looks at files and uploads them, `journal` remembers every row durably.
`row`, `verdict` and `windows` hold the rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .job import Job
    from .journal import MemoryJournal
    from .outcome import Added, Outcome, Rejection
    from .row import Admission, Row, State
    from .sqlite import SqliteJournal
    from .summary import Tally
    from .windows import Windows

__all__ = [
    "Added",
    "Admission",
    "Job",
    "MemoryJournal",
    "Outcome",
    "Rejection",
    "Row",
    "SqliteJournal",
    "State",
    "Tally",
    "Windows",
]


def __getattr__(name: str) -> Any:  # Any: a module attribute can be anything
    if name in __all__:
        # At first use: who only reads a journal need not pay for the client.
        from . import job, journal, outcome, row, sqlite, summary, windows

        modules = (job, journal, outcome, row, sqlite, summary, windows)
        return getattr(next(module for module in modules if name in module.__all__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
