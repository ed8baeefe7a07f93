"""The kinds of rows a bulk job can send: what columns each has, how they are checked, and which calls they become.

`table` has a line for each. `kind` says what a line can hold, `columns` and `attachments` have the rules.
"""

from .columns import Mistake
from .kind import Kind, Uploaded
from .table import KINDS, WITHDRAWN, find_kind

__all__ = ["KINDS", "WITHDRAWN", "Kind", "Mistake", "Uploaded", "find_kind"]
