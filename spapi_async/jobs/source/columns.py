"""Which columns a source may have, and the row that a record of it makes. The same for every format."""

from __future__ import annotations

import difflib
import re
from collections.abc import Container, Mapping, Sequence
from datetime import tzinfo

import attrs

from ...errors import ConfigError
from ...marketplaces import Region
from ..kinds import Kind, Mistake
from ..kinds.columns import read_not_before
from ..row import Row
from ..template import Templates, column_name, text_mistakes
from ..variants import column_of, is_variant, locale_of
from .encoding import readable, undecodable

__all__ = ["REPORT_COLUMNS", "SELLING_PARTNER", "Columns", "Entry", "column_of_header", "plain", "shown_name"]

REPORT_COLUMNS = ("line", "reason", "cure")
"""The columns that the file of refused rows adds. They are ignored on the way in, so that file can be run again."""

SELLING_PARTNER = "selling_partner"
"""The column that names who sells, where a job has several selling partners."""
_NEEDS = {
    SELLING_PARTNER: "--credentials FILE, or selling_partners= in Python",
    "not_before": "--not-before not_before",
}
"""Columns that there are with an option only."""

_FORMULA = re.compile(r'="(.*)"', re.DOTALL)


@attrs.frozen(kw_only=True)
class Entry:
    """One record of a source.

    Args:
        number: The line where it begins, from 1.
        fields: What stands in its columns, as it came. All in the first one when it cannot be divided into columns.
        row: The row it makes; None when it has mistakes. Its `selling_partner` is the name that its column has, which
            the job replaces by what the journal knows it by.
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


def shown_name(name: str) -> str:
    """Return the name of a selling partner that is not known, as it is told: it may be a refresh token by mistake."""
    return repr(name) if len(name) <= 40 and "|" not in name else "this name"


class Columns:
    """The columns of a source for one kind.

    Args:
        kind: What the rows are.
        region: The region the job sends to, when it is known; rows of others are mistakes.
        templates: What the text is made of; None when the source has it.
        selling_partners: The names that the column `selling_partner` may have; None when there is no such column.
        not_before: The column of the moments before which rows are not sent; None when there is none.
        zone: Where the times without a zone in that column are local; None if such a time is a mistake.

    Attributes:
        required: The columns that a source must have.
        fields: Those of them that a template names.
        numbers: Those that take whole numbers, where values have a type.
        times: Those that hold times.
        not_before: The column of moments, as it is compared; "" when there is none.
        encoding: The name of the source's encoding, to say what a wrong byte is not.

    Raises:
        ConfigError: The templates do not fit the kind, or `not_before` names a column that holds something else.
    """

    def __init__(
        self,
        kind: Kind,
        region: Region | None = None,
        templates: Templates | None = None,
        *,
        selling_partners: Container[str] | None = None,
        not_before: str | None = None,
        zone: tzinfo | None = None,
    ) -> None:
        if templates:
            templates.check(kind, REPORT_COLUMNS)
        self._kind = kind
        self._region = region
        self._templates = templates
        self._selling_partners = selling_partners
        self._zone = zone
        self.encoding = "UTF-8"
        self.fields: Sequence[str] = templates.fields if templates else ()
        self.not_before = "" if not_before is None else self._column_of_moments(not_before)
        own = tuple(column for column in kind.columns if not (templates and column == "text"))
        added = [*([] if selling_partners is None else [SELLING_PARTNER]), *filter(None, [self.not_before])]
        self.required: Sequence[str] = tuple(dict.fromkeys([*own, *added, *self.fields]))
        self._needed = frozenset([*self.required]) - ({self.not_before} - {*self.fields})
        self._optional = tuple(name for name in (*kind.optional, "key") if name not in self.required)
        self._known = frozenset([*self.required, *self._optional, *REPORT_COLUMNS])
        self._has_text = "text" in kind.columns
        self._has_variants = "text" in own
        self.numbers = frozenset(["key", SELLING_PARTNER, *self.fields])
        self.times = frozenset([*kind.period, *filter(None, [self.not_before])])

    def _column_of_moments(self, not_before: str) -> str:
        kind, name = self._kind, column_of_header(not_before)
        others = {*kind.columns, *kind.optional, *REPORT_COLUMNS, SELLING_PARTNER, "key", "text", ""} - {*kind.period}
        if name in others or is_variant(name):
            raise ConfigError(f"--not-before names {not_before[:40]!r}, which is no column of times; name another one")
        return name

    def knows(self, column: str) -> bool:
        """Whether a source may have a column."""
        return column in self._known or (self._has_variants and is_variant(column))

    def needs(self, column: str) -> bool:
        """Whether a row must have a value in a column."""
        return column in self._needed

    def unknown(self, column: str) -> Mistake:
        """Say that a column is unknown, and which one may be meant."""
        if self._templates and (column == "text" or is_variant(column)):
            return Mistake("", f"has a column {column}, and the template makes the text", "take away one of them")
        near = difflib.get_close_matches(column, [*self.required, *self._optional], n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        if column in _NEEDS:
            hint = f" without {_NEEDS[column]}"
        return Mistake(
            "",
            f"the column {column[:40]!r} is unknown{hint}",
            f"{self.takes()}; a template may name others" if self._has_text else self.takes(),
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
        return Mistake(field, f"holds {what}, which is no {self.encoding}", cure)

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
            others = [*self._kind.mistakes({**values, "text": "-"}, self._region), *self._whose(values)[1]]
            others += self._when(values)[1]
            told = [each.field for each in others]
            return self.refused(number, fields, [*others, *(each for each in mistakes if each.field not in told)])
        beside = {name: text for name, text in filled.items() if name != "text"}
        beside |= {field: values[field] for field in self.fields}
        return self._made(number, fields, {**values, "text": filled["text"]}, beside)

    def _made(
        self, number: int, fields: Mapping[str, str], values: Mapping[str, str], beside: Mapping[str, str]
    ) -> Entry:
        """Make an entry of values for the kind, and of what the row's body has beside them: variants and fields."""
        whose, nobody = self._whose(values)
        not_before, never = self._when(values)
        mistakes = [*self._kind.mistakes(values, self._region), *nobody, *never]
        for name, text in beside.items():
            if is_variant(name):
                mistakes += (attrs.evolve(each, field=name) for each in text_mistakes(self._kind, text))
        if not mistakes:
            row = self._kind.row(number, values)
            if beside or whose or not_before:
                body = {**beside, **row.body}
                row = attrs.evolve(row, body=body, selling_partner=whose, not_before=not_before)
            return Entry(number=number, fields=fields, row=row)
        if self._templates:
            mistakes = [
                self._templates.blame(self._kind, values, each.field, each)
                if each.field in self._templates.by_column
                else each
                for each in mistakes
            ]
        return self.refused(number, fields, list(dict.fromkeys(mistakes)))

    def _whose(self, values: Mapping[str, str]) -> tuple[str, Sequence[Mistake]]:
        """Return the name of the selling partner, "" for the only one, and what is wrong with it."""
        if self._selling_partners is None:
            return "", ()
        name = values[SELLING_PARTNER].strip()
        if not name:
            return "", [Mistake(SELLING_PARTNER, "is missing", "give the name that it has in the credentials")]
        if name in self._selling_partners:
            return name, ()
        cure = "write it as it stands there, capitals too, or add it there"
        return "", [Mistake(SELLING_PARTNER, f"{shown_name(name)} is not in the credentials", cure)]

    def _when(self, values: Mapping[str, str]) -> tuple[float, Sequence[Mistake]]:
        """Return the moment before which the row is not sent, and what is wrong with it."""
        return read_not_before(self.not_before, values[self.not_before], self._zone) if self.not_before else (0.0, ())
