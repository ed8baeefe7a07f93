"""Which columns a source may have, and the row that a record of it makes. The same for every format."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

import attrs

from ...marketplaces import Region
from ..kinds import Kind, Mistake
from ..row import Row
from ..template import Templates, column_name, text_mistakes
from ..variants import column_of, is_variant, locale_of
from .encoding import readable, undecodable

__all__ = ["REPORT_COLUMNS", "Columns", "Entry", "column_of_header", "plain"]

REPORT_COLUMNS = ("line", "reason", "cure")
"""The columns that the file of refused rows adds. They are ignored on the way in, so that file can be run again."""

_FORMULA = re.compile(r'="(.*)"', re.DOTALL)


@attrs.frozen(kw_only=True)
class Entry:
    """One record of a source.

    Args:
        number: The line where it begins, from 1.
        fields: What stands in its columns, as it came. All in the first one when it cannot be divided into columns.
        row: The row it makes; None when it has mistakes.
        mistakes: What is wrong with it.
    """

    number: int
    fields: Mapping[str, str] = attrs.field(repr=False)
    row: Row | None = None
    mistakes: Sequence[Mistake] = ()


def column_of_header(name: str) -> str:
    """Return the name of a column, as it stands in a source, as it is compared; `text.de-DE` is `text.de_de`."""
    name = column_name(name)
    before, _, after = name.partition(".")
    locale = locale_of(after) if before == "text" else None
    return column_of(locale) if locale else name


def plain(column: str, value: str) -> str:
    """Return the value of a spreadsheet's cell without what only keeps the spreadsheet from taking it for a number.

    That is `="902-1"` for 902-1 in any column, and an apostrophe before an id, where none can stand.
    """
    start = value[:1]
    if start == "=" and (found := _FORMULA.fullmatch(value.strip())):
        value = found[1].replace('""', '"')
        start = value[:1]
    if start == "'" and column.endswith("_id"):
        value = value[1:]
    return value


class Columns:
    """The columns of a source for one kind.

    Args:
        kind: What the rows are.
        region: The region the job sends to, when it is known; rows of others are mistakes.
        templates: What the text is made of; None when the source has it.
        encoding: The name of the source's encoding, to say what a wrong byte is not.

    Attributes:
        required: The columns that a source must have.
        fields: Those of them that a template names.
    """

    def __init__(self, kind: Kind, region: Region | None, templates: Templates | None, encoding: str) -> None:
        self._kind = kind
        self._region = region
        self._templates = templates
        self._encoding = encoding
        self.fields: Sequence[str] = ()
        own = kind.columns
        if templates:
            self.fields = templates.fields
            own = tuple(column for column in own if column != "text")
        self.required: Sequence[str] = tuple(dict.fromkeys([*own, *self.fields]))
        self._optional = tuple(name for name in (*kind.optional, "key") if name not in self.required)
        self._known = frozenset([*self.required, *self._optional, *REPORT_COLUMNS])
        self._has_text = "text" in kind.columns
        self._has_variants = "text" in own

    def knows(self, column: str) -> bool:
        """Whether a source may have a column."""
        return column in self._known or (self._has_variants and is_variant(column))

    def unknown(self, column: str) -> Mistake:
        """Say that a column is unknown, and which one may be meant."""
        if column == "text" or is_variant(column):
            return Mistake("", f"has a column {column}, and the template makes the text", "take away one of them")
        near = difflib.get_close_matches(column, [*self.required, *self._optional], n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        return Mistake(
            "",
            f"the column {column[:40]!r} is unknown{hint}",
            f"{self.takes()}; a --template may name others" if self._has_text else self.takes(),
        )

    def takes(self) -> str:
        """Say which columns there may be."""
        more = f" and, if you like, {', '.join(self._optional)}" if self._optional else ""
        return f"{self._kind.name} takes {', '.join(self.required)}{more}"

    def fault_of(self, names: Sequence[str]) -> str:
        """Say what is wrong with the columns of a source; "" when they can be used."""
        missing = [name for name in self.required if name not in names]
        unknown = [name for name in names if not self.knows(name)]
        if missing or unknown:
            faults = [f"the column {name} is missing" for name in missing]
            faults += [self.unknown(name).reason for name in unknown[:3]]
            return f"{', '.join(faults)}; {self.takes()}"
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            return f"the column {twice} stands there twice; leave one of them"
        return ""

    def broken(self, number: int, text: str, reason: str, cure: str) -> Entry:
        """Make the entry of a record that cannot be divided into columns."""
        fields = {self.required[0]: readable(text).rstrip("\r\n")}
        return Entry(number=number, fields=fields, mistakes=[Mistake("", reason, cure)])

    def refused(self, number: int, fields: Mapping[str, str], mistakes: Sequence[Mistake]) -> Entry:
        """Make the entry of a record that has mistakes."""
        return Entry(number=number, fields={name: readable(value) for name, value in fields.items()}, mistakes=mistakes)

    def undecodable(self, field: str, text: str) -> Mistake | None:
        """Say which byte of a text is none in the encoding of the source; None if all are."""
        what = undecodable(text)
        if what is None:
            return None
        if what.startswith("half"):
            return Mistake(field, f"holds {what}, written as an escape", "write the character itself")
        cure = "save the file as “CSV UTF-8”, or say its encoding by --encoding"
        return Mistake(field, f"holds {what}, which is no {self._encoding}", cure)

    def entry(self, number: int, fields: Mapping[str, str], values: Mapping[str, str]) -> Entry:
        """Make the entry of a record.

        Args:
            number: Its line.
            fields: Its columns as they came, for the report.
            values: What they mean. All required ones are there.
        """
        mistakes: Sequence[Mistake]
        suspects = [name for name, value in values.items() if not value.isascii()]
        if mistakes := [found for name in suspects if (found := self.undecodable(name, values[name]))]:
            return self.refused(number, fields, mistakes)
        if self._templates is None:
            texts = {name: text for name, text in values.items() if name not in self._known and text.strip()}
            return self._made(number, fields, values, texts)
        filled, mistakes = self._templates.fill(values)
        if mistakes:
            others = self._kind.mistakes({**values, "text": "-"}, self._region)
            told = [each.field for each in others]
            return self.refused(number, fields, [*others, *(each for each in mistakes if each.field not in told)])
        beside = {name: text for name, text in filled.items() if name != "text"}
        beside |= {field: values[field] for field in self.fields}
        return self._made(number, fields, {**values, "text": filled["text"]}, beside)

    def _made(
        self, number: int, fields: Mapping[str, str], values: Mapping[str, str], beside: Mapping[str, str]
    ) -> Entry:
        """Make an entry of values for the kind, and of what the row's body has beside them: variants and fields."""
        mistakes = list(self._kind.mistakes(values, self._region))
        for name, text in beside.items():
            if is_variant(name):
                mistakes += (attrs.evolve(each, field=name) for each in text_mistakes(self._kind, text))
        if not mistakes:
            row = self._kind.row(number, values)
            row = attrs.evolve(row, body={**beside, **row.body}) if beside else row
            return Entry(number=number, fields=fields, row=row)
        if self._templates:
            mistakes = [
                self._templates.blame(self._kind, values, each.field, each)
                if each.field in self._templates.by_column
                else each
                for each in mistakes
            ]
        return self.refused(number, fields, list(dict.fromkeys(mistakes)))
