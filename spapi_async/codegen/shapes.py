"""Schemas to types: aliases and lists are inlined, `allOf` is flattened, inline objects and enumerations get names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from .ir import EnumSpec, FieldSpec, ModelSpec, TypeSpec
from .names import class_name, pascal, snake
from .source import RefusedError

__all__ = ["Shapes", "check_keys", "limits"]

# Keys that say nothing the code needs: prose, examples, tables for documentation tools.
_IGNORED = {
    "description", "example", "title", "default", "uniqueItems", "multipleOf", "x-docgen-enum-table-extension",
    "x-example",
}  # fmt: skip
_LIMITS = {
    "string": {"minLength": "min_length", "maxLength": "max_length", "pattern": "pattern"},
    "number": {"minimum": "minimum", "maximum": "maximum"},
    # Messaging writes the bounds of arrays as those of strings.
    "array": {
        "minItems": "min_items",
        "maxItems": "max_items",
        "minLength": "min_items",
        "maxLength": "max_items",
    },
}
LIMIT_KEYS = {key for limits in _LIMITS.values() for key in limits}
_KEYS = {
    "$ref", "type", "format", "enum", "items", "properties", "required", "allOf", "additionalProperties",
} | LIMIT_KEYS | _IGNORED  # fmt: skip
# Formats that change nothing, some in the place of a pattern or of a type.
_FORMATS = {
    None, "date-time", "dateTime", "date", "double", "float", "int32", "int64", "byte", "ip", "uri", "boolean",
    "application/pdf", "[A-Z]{2}",
}  # fmt: skip


def check_keys(raw: Mapping[str, Any], known: Collection[str], where: str, file: str) -> None:
    """Refuse a key that has not been seen before: it may mean something."""
    for key in raw:
        if key not in known:
            raise RefusedError(f"{file}: {where}.{key}: a key not seen before")


def limits(raw: Mapping[str, Any], kind: str | None) -> dict[str, Any]:
    """Return the limits that apply to a JSON type, under the names of `Parameter`."""
    known = _LIMITS.get("number" if kind == "integer" else kind or "", {})
    return {ours: raw[theirs] for theirs, ours in known.items() if theirs in raw}


class Shapes:
    """Reads the schemas of one module, and collects the classes and enumerations that it meets.

    Args:
        definitions: The named schemas.
        renames: Class names that differ from the definitions' names.
        timestamps: `Class.wireName` of strings that are points in time, though their schemas do not say so.
    """

    def __init__(self, definitions: Mapping[str, Any], renames: Mapping[str, str], timestamps: Iterable[str]) -> None:
        self.definitions = definitions
        self.models: dict[str, ModelSpec] = {}
        self.enums: dict[str, EnumSpec] = {}
        self.file = ""
        self._renames = renames
        self._taken = {self._class(name) for name in definitions}
        self._sources: dict[str, Any] = {}
        self._timestamps = set(timestamps)

    @property
    def unused_timestamps(self) -> set[str]:
        """Timestamps of the overrides that no class has."""
        known = {f"{model.name}.{field.wire}" for model in self.models.values() for field in model.fields}
        return self._timestamps - known

    def read(self, schema: Mapping[str, Any], owner: str, where: str, *, invented: bool = True) -> TypeSpec:
        """Read a schema.

        Args:
            schema: The schema.
            owner: The name of the class, if it is one.
            where: Its JSON path.
            invented: Whether that name is ours, not that of a definition.

        Raises:
            RefusedError: It holds something that has not been seen before.
        """
        check_keys(schema, _KEYS, where, self.file)
        if "$ref" in schema:
            name = self._target(schema, where)
            return self.read(self.definitions[name], self._class(name), f"definitions.{name}", invented=False)
        if "allOf" in schema:
            return self._model(self._flatten(schema, where), owner, where, invented)
        kind = schema.get("type", "object" if "properties" in schema or "additionalProperties" in schema else None)
        if schema.get("format") not in _FORMATS:
            raise self._refused(f"{where}.format", f"the format {schema['format']!r}")
        if "enum" in schema and kind in {"string", None}:
            return self._enum(owner, schema["enum"], where, invented)
        match kind:
            case None:
                return TypeSpec("any")
            case "string":
                formats = {"date-time": "datetime", "dateTime": "datetime", "date": "date"}
                return TypeSpec(formats.get(schema.get("format", ""), "string"))  # type: ignore[arg-type]
            case "integer" | "number" | "boolean":
                return TypeSpec(kind)
            case "array":
                return TypeSpec("list", of=self.read(schema["items"], owner + "Item", f"{where}.items"))
            case "object" if schema.get("properties"):
                return self._model(schema, owner, where, invented)
            case "object":
                more = schema.get("additionalProperties")
                if isinstance(more, dict) and more:
                    return TypeSpec("map", of=self.read(more, owner + "Value", f"{where}.additionalProperties"))
                return TypeSpec("map", of=TypeSpec("any"))
        raise self._refused(f"{where}.type", f"the type {kind!r}")

    def resolve(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """Follow references to the schema behind them."""
        while "$ref" in schema:
            schema = self.definitions[self._target(schema, "")]
        return schema

    def _class(self, definition: str) -> str:
        return self._renames.get(definition, class_name(definition))

    def _refused(self, where: str, why: str) -> RefusedError:
        return RefusedError(f"{self.file}: {where}: {why} has not been seen before")

    def _target(self, schema: Mapping[str, Any], where: str) -> str:
        reference = str(schema["$ref"])
        name = reference.removeprefix("#/definitions/")
        if name == reference or name not in self.definitions:
            raise self._refused(f"{where}.$ref", f"a reference to {reference!r}")
        return name

    def _flatten(self, schema: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Merge the parts of an allOf: they are composition everywhere, never inheritance."""
        properties: dict[str, Any] = {}
        required: list[str] = []
        own = {key: value for key, value in schema.items() if key in {"properties", "required"}}
        for index, part in enumerate([*schema["allOf"], own]):
            part = self.resolve(part)
            check_keys(part, _KEYS, f"{where}.allOf[{index}]", self.file)
            if "allOf" in part:
                part = self._flatten(part, f"{where}.allOf[{index}]")
            for name, value in part.get("properties", {}).items():
                if name in properties and _shape(properties[name]) != _shape(value):
                    # Variants of one pseudo-union: a free string, and one with a list of values. The free one is wider.
                    if {self.resolve(properties[name]).get("type"), self.resolve(value).get("type")} != {"string"}:
                        raise self._refused(f"{where}.allOf[{index}].properties.{name}", "a second type of a property")
                    value = {"type": "string"}
                properties[name] = value
            required += part.get("required", ())
        return {"type": "object", "properties": properties, "required": required}

    def _model(self, schema: Mapping[str, Any], name: str, where: str, invented: bool) -> TypeSpec:
        if invented and name in self._taken:
            name += "Object"
        shape = _shape(schema)
        if name in self._sources:
            if self._sources[name] != shape:
                raise self._refused(where, f"a second class {name}")
            return TypeSpec("model", name)
        self._sources[name] = shape
        self.models[name] = ModelSpec(name, ())  # stands in while the fields are read: some classes hold themselves
        required = schema.get("required", ())
        fields: dict[str, FieldSpec] = {}
        for wire, value in schema["properties"].items():
            field = self._field(name, wire, value, f"{where}.properties.{wire}", wire in required)
            if field.name in fields:
                raise RefusedError(f"{self.file}: {where}.properties.{wire}: another field is called {field.name} too")
            fields[field.name] = field
        self.models[name] = ModelSpec(name, tuple(fields.values()))
        return TypeSpec("model", name)

    def _field(self, owner: str, wire: str, value: Mapping[str, Any], where: str, required: bool) -> FieldSpec:
        type_ = self.read(value, owner + pascal(wire), where)
        if f"{owner}.{wire}" in self._timestamps:
            if type_.kind != "string":
                raise RefusedError(f"overrides.toml: {owner}.{wire} is {type_.kind}, not a string that is a timestamp")
            type_ = TypeSpec("datetime")
        kinds = {"string": "string", "enum": "string", "integer": "number", "number": "number", "list": "array"}
        found = limits(self.resolve(value), kinds.get(type_.kind))
        return FieldSpec(snake(wire), wire, type_, required, tuple(found.items()))

    def _enum(self, name: str, values: Sequence[Any], where: str, invented: bool) -> TypeSpec:
        if invented and name in self._taken:
            name += "Enum"
        spec = EnumSpec(name, tuple(str(value) for value in values))
        if self.enums.setdefault(name, spec) != spec:
            raise self._refused(where, f"a second enumeration {name}")
        return TypeSpec("enum", name)


def _shape(schema: Any) -> Any:  # Any: any part of a schema
    """Return a schema without its prose, to compare it with another one."""
    if isinstance(schema, Mapping):
        # A property may be called `description` too: it is a schema then, not prose.
        kept = {key: value for key, value in schema.items() if key not in _IGNORED or isinstance(value, Mapping)}
        return {key: _shape(value) for key, value in kept.items()}
    return [_shape(item) for item in schema] if isinstance(schema, list) else schema
