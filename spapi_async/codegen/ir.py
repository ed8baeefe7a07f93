"""The description that stands between Amazon's files and our source text: frozen, and free of raw JSON."""

from __future__ import annotations

from typing import Literal

import attrs

from ..operation import Operation

__all__ = ["ApiSpec", "EnumSpec", "FieldSpec", "ModelSpec", "OperationSpec", "PagingSpec", "TypeSpec"]

Kind = Literal["string", "integer", "number", "boolean", "any", "datetime", "date", "enum", "model", "list", "map"]


@attrs.frozen
class TypeSpec:
    """A type. `name` is the class of a `model` or `enum`; `of` is the element of a `list` or the value of a `map`."""

    kind: Kind
    name: str = ""
    of: TypeSpec | None = None

    @property
    def is_plain(self) -> bool:
        """Whether decoded JSON already is what it should be."""
        if self.kind in {"list", "map"}:
            return self.of is None or self.of.is_plain
        return self.kind in {"string", "boolean", "any", "enum", "integer"}


@attrs.frozen
class EnumSpec:
    """Values that Amazon lists; open, since it adds some at any time."""

    name: str
    values: tuple[str, ...]


@attrs.frozen
class FieldSpec:
    """A field of a model."""

    name: str
    wire: str
    type: TypeSpec
    required: bool
    limits: tuple[tuple[str, float | str], ...] = ()
    """Names as in `Parameter`: min_length, max_items, pattern, ..."""
    is_secret: bool = False
    """Whether no repr shows it."""


@attrs.frozen
class ModelSpec:
    """A class."""

    name: str
    fields: tuple[FieldSpec, ...]


@attrs.frozen
class PagingSpec:
    """How the pages of an operation follow each other."""

    argument: tuple[str, ...]
    """The argument that takes the token, or attributes that lead to its place in the body."""
    token: tuple[str, ...]
    """Attributes that lead from a page to its token."""
    items: tuple[str, ...]
    """Attributes that lead from a page to its items; none where they lie in parallel lists."""
    item: TypeSpec | None
    keep: tuple[str, ...] | None = None
    """The arguments that are sent with the token; None for all."""
    is_eager: bool = False
    """Whether the token expires too soon to be used when it is needed."""
    is_total: bool = False
    """Whether `token` leads to the number of all items, and the token is an offset."""
    switch: tuple[tuple[str, str], ...] = ()
    """Arguments that have another value when a token is sent."""
    follow: str = ""
    """The operation that gets the pages after the first, where it is another one."""


@attrs.frozen
class OperationSpec:
    """An operation with what only the writer needs beyond `Operation`."""

    operation: Operation
    body: TypeSpec | None
    results: tuple[tuple[int, TypeSpec | None], ...]
    """For each 2xx status what the reply holds; None for nothing."""
    paging: PagingSpec | None


@attrs.frozen
class ApiSpec:
    """One API version."""

    module: str
    class_name: str
    version: str
    sources: tuple[str, ...]
    operations: tuple[OperationSpec, ...]
    models: tuple[ModelSpec, ...]
    enums: tuple[EnumSpec, ...]
    encoded: frozenset[str]
    """Classes that a request may hold."""
