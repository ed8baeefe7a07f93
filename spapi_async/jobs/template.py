"""Texts with `{column}` fields that each row fills from its own columns. Pure.

A field is whatever stands between braces, so a column may have any name; nothing in it is evaluated. `{{` and `}}` are
the braces themselves.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import attrs

from ..errors import ConfigError
from .kinds import Kind, Mistake
from .variants import column_of, is_variant

__all__ = ["Template", "Templates", "column_name", "text_mistakes"]

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def column_name(name: str) -> str:
    """Return the name of a column as it is compared: in lower case and without blanks around it."""
    return name.strip().lower()


@attrs.frozen
class Template:
    """One text with fields.

    Args:
        literals: What stands before, between and behind the fields; one more than there are fields.
        fields: The columns that are put between them, in their order.
    """

    literals: Sequence[str]
    fields: Sequence[str]

    @classmethod
    def parse(cls, text: str, name: str = "the template") -> Template:
        """Read a template.

        Args:
            text: The template.
            name: What an error calls it.

        Raises:
            ConfigError: A brace has no partner, a field has no name, or there is no text at all.
        """
        literals, fields, end = [""], [], 0
        for match in _TOKEN.finditer(text):
            literals[-1] += text[end : match.start()]
            end = match.end()
            match match[0]:
                case "{{" | "}}":
                    literals[-1] += match[0][0]
                case "{" | "}":
                    where = f"line {text.count(chr(10), 0, match.start()) + 1}"
                    raise ConfigError(f"{name}: {where} has a {match[0]} alone; to mean the brace itself, double it")
                case _:
                    field = column_name(match[1])
                    if not field:
                        raise ConfigError(f"{name}: a field is empty; name a column in it, as in {{first_name}}")
                    fields.append(field)
                    literals.append("")
        literals[-1] += text[end:]
        if not fields and not literals[0].strip():
            raise ConfigError(f"{name} is empty; write what the buyer is to read")
        return cls(tuple(literals), tuple(fields))

    def fill(self, values: Mapping[str, str]) -> str:
        """Put the values, without blanks around them, into the fields."""
        parts = [self.literals[0]]
        for field, literal in zip(self.fields, self.literals[1:], strict=True):
            parts += values[field].strip(), literal
        return "".join(parts)


@attrs.frozen
class Templates:
    """The template of a job, with its variants for the languages of buyers.

    Args:
        by_column: `text` for the one that is used by default, and as many of `text.de_de` as there are variants.
    """

    by_column: Mapping[str, Template]

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> Templates:
        """Read templates by their locale; "" is the default.

        Raises:
            ConfigError: One cannot be read, or there is no default.
        """
        if "" not in texts:
            raise ConfigError("every template is for one language; give another one for all other buyers")
        return cls({column_of(each): Template.parse(text, _name_of(column_of(each))) for each, text in texts.items()})

    @property
    def fields(self) -> Sequence[str]:
        """The columns that any of them names, each once."""
        return tuple(dict.fromkeys(field for each in self.by_column.values() for field in each.fields))

    def check(self, kind: Kind, reserved: Collection[str] = ()) -> None:
        """See that they can become texts of a kind, whatever is filled in.

        Args:
            kind: What the rows are.
            reserved: Columns that they may not name.

        Raises:
            ConfigError: The kind has no text, a field has a name that it cannot have, or what stands between the fields
                breaks the kind's rules already.
        """
        if "text" not in kind.columns:
            raise ConfigError(f"{kind.name} has no text, so it takes no template")
        for field in self.fields:
            if field in reserved or field == "text" or is_variant(field):
                raise ConfigError(f"the template names {{{field}}}, which a column of yours cannot be called")
        for column, template in self.by_column.items():
            # Each piece by itself, since what joins over a field depends on the field; their length all together.
            pieces = [*filter(str.strip, template.literals), "x" * max(1, sum(map(len, template.literals)))]
            if mistakes := [mistake for piece in pieces for mistake in text_mistakes(kind, piece)]:
                raise ConfigError(f"{_name_of(column)} {mistakes[0].reason}; {mistakes[0].cure}")

    def fill(self, values: Mapping[str, str]) -> tuple[Mapping[str, str], Sequence[Mistake]]:
        """Make the texts of one row.

        Returns:
            The texts by column; and the fields without a value, with which there are no texts.
        """
        empty = [field for field in self.fields if not values.get(field, "").strip()]
        if empty:
            cure = "give it a value, or take the field out of the template"
            return {}, [Mistake(field, "is empty, and the template puts it into the text", cure) for field in empty]
        return {column: template.fill(values) for column, template in self.by_column.items()}, ()

    def blame(self, kind: Kind, values: Mapping[str, str], column: str, mistake: Mistake) -> Mistake:
        """Return a mistake of a filled text with the column whose value brings it, else with the template's name."""
        for field in self.by_column[column].fields:
            if any(each.reason == mistake.reason for each in text_mistakes(kind, values[field])):
                return attrs.evolve(mistake, field=field)
        return attrs.evolve(mistake, field=_name_of(column).removeprefix("the "))


def text_mistakes(kind: Kind, text: str) -> Sequence[Mistake]:
    """List what is wrong with a text alone."""
    return [each for each in kind.mistakes({**dict.fromkeys(kind.columns, ""), "text": text}) if each.field == "text"]


def _name_of(column: str) -> str:
    _, _, locale = column.partition(".")
    return f"the template {locale}" if locale else "the template"
