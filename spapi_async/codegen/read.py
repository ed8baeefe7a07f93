"""Swagger 2.0 to our description. What has not been seen before is refused, with file and JSON path."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from ..operation import Operation, Parameter, UsagePlan
from .ir import ApiSpec, ModelSpec, OperationSpec, PagingSpec, TypeSpec
from .names import class_name, snake
from .shapes import LIMIT_KEYS, Shapes, check_keys, limits
from .source import ModelFile, RefusedError

__all__ = ["read_api"]

_VERBS = ("get", "post", "put", "patch", "delete")
_REPEATABLE = {"GET", "PUT", "DELETE"}
_REFERENCE = "https://developer-docs.amazon.com/sp-api/reference/"
_MEDIA_TYPES = {"application/json", "application/hal+json"}

# Keys that are read here, or say nothing the code needs: prose, examples, unused lists, sandbox data.
_FILE_KEYS = {
    "swagger", "info", "host", "basePath", "schemes", "consumes", "produces", "paths", "definitions", "tags",
    "parameters", "responses", "x-components",
}  # fmt: skip
_PATH_KEYS = {"parameters", "x-amzn-api-sandbox", "x-amzn-api-sandbox-only"} | set(_VERBS)
_OPERATION_KEYS = {
    "operationId", "parameters", "responses", "tags", "summary", "description", "deprecated", "consumes", "produces",
    "x-amzn-api-internal", "x-amzn-api-sandbox", "x-amzn-api-sandbox-only", "x-retired",
}  # fmt: skip
_PARAMETER_KEYS = {
    "name", "in", "description", "required", "type", "format", "enum", "items", "collectionFormat", "schema", "default",
    "uniqueItems", "allowEmptyValue", "x-example", "x-examples", "x-docgen-enum-table-extension",
    "x-amazon-spds-greedy-path-parameter",
} | LIMIT_KEYS  # fmt: skip
_ITEM_KEYS = {"type", "enum", "description", "x-docgen-enum-table-extension"} | LIMIT_KEYS
_RESPONSE_KEYS = {
    "description", "schema", "headers", "examples", "x-amzn-api-sandbox", "x-amazon-spds-sandbox-behaviors",
}  # fmt: skip
_PARAMETER_FORMATS = {None, "date-time", "date", "boolean", "int32", "int64", "float", "double", "[A-Z]{2}"}
# What overrides.toml may say of an operation.
_FACTS = {
    "plan", "application_rate", "repeatable", "grantless_scope", "restricted", "restricted_path", "data_elements",
    "roles", "paging",
    "timestamps", "double_encoded", "sandbox_only",
}  # fmt: skip
_MODULE_FACTS = {
    "roles", "timestamps", "secrets", "operations", "rename_operations", "rename_classes", "rename_arguments",
}  # fmt: skip
_PAGING = {"argument", "token", "total", "items", "keep", "eager", "switch", "follow"}

_RATE_TABLE = re.compile(
    r"\|(?:\s*Plan type\s*\|)?\s*Rate \(requests per second\)\s*\|\s*Burst\s*\|\s*\n"
    r"\s*\|[\s:|-]+\|\s*\n\s*\|(?:\s*Default\s*\|)?\s*([^|]+?)\s*\|\s*([^|]+?)\s*\|"
)


def read_api(module: str, files: Sequence[ModelFile], facts: Mapping[str, Any]) -> ApiSpec:
    """Read the files of one module.

    Args:
        module: Its name.
        files: Amazon's file, and those that add operations to it.
        facts: What `overrides.toml` says about it.

    Raises:
        RefusedError: Something has not been seen before.
    """
    _check_facts(module, facts)
    definitions: dict[str, Any] = {}
    for file in files:
        for name, schema in file.content.get("definitions", {}).items():
            definitions.setdefault(name, schema)  # Amazon's own file comes first
    shapes = Shapes(definitions, facts.get("rename_classes", {}), facts.get("timestamps", ()))
    operations: list[OperationSpec] = []
    for file in files:
        operations += _File(module, file, facts, shapes).operations()
    if shapes.unused_timestamps:
        raise RefusedError(f"overrides.toml: facts.{module}.timestamps: there is no {sorted(shapes.unused_timestamps)}")
    _check_names(module, facts, operations, shapes)
    results = [type_ for spec in operations for _, type_ in spec.results]
    return ApiSpec(
        module=module,
        class_name="".join(part.capitalize() for part in module.split("_")),
        version=files[0].content["info"]["version"],
        sources=tuple(file.name for file in files),
        operations=tuple(operations),
        models=tuple(_hidden(module, facts, _with_payload(shapes, results))),
        enums=tuple(shapes.enums[name] for name in sorted(shapes.enums)),
        encoded=_reachable(shapes, [spec.body for spec in operations]),
    )


def _check_facts(module: str, facts: Mapping[str, Any]) -> None:
    check_keys(facts, _MODULE_FACTS, f"facts.{module}", "overrides.toml")
    for name, told in facts.get("operations", {}).items():
        check_keys(told, _FACTS, f"facts.{module}.operations.{name}", "overrides.toml")
        check_keys(told.get("paging", {}), _PAGING, f"facts.{module}.operations.{name}.paging", "overrides.toml")


def _check_names(module: str, facts: Mapping[str, Any], operations: Sequence[OperationSpec], shapes: Shapes) -> None:
    names = [spec.operation.name for spec in operations]
    for name in names:
        if names.count(name) > 1:
            raise RefusedError(f"{module}: two operations are called {name}; rename one in overrides.toml")
    for name in facts.get("operations", {}):
        if name not in names:
            raise RefusedError(f"overrides.toml: facts.{module}.operations.{name}: there is no such operation")
    for name in set(shapes.models) & set(shapes.enums):
        raise RefusedError(f"{module}: {name} is a class and an enumeration")


def _with_payload(shapes: Shapes, results: Sequence[TypeSpec | None]) -> Iterator[Any]:
    """Yield the classes; the payload of a reply is always there, since a reply without one is raised as an error."""
    replies = {type_.name for type_ in results if type_ is not None and type_.kind == "model"}
    for name in sorted(shapes.models):
        model = shapes.models[name]
        if name in replies:
            fields = tuple(
                attrs.evolve(field, required=True) if field.wire == "payload" else field for field in model.fields
            )
            model = attrs.evolve(model, fields=fields)
        yield model


def _hidden(module: str, facts: Mapping[str, Any], models: Iterable[ModelSpec]) -> Iterator[ModelSpec]:
    """Yield the classes, with the fields marked that hold secrets."""
    secrets = set(facts.get("secrets", ()))
    for model in models:
        names = {f"{model.name}.{field.wire}" for field in model.fields} & secrets
        secrets -= names
        fields = tuple(attrs.evolve(each, is_secret=f"{model.name}.{each.wire}" in names) for each in model.fields)
        yield attrs.evolve(model, fields=fields) if names else model
    if secrets:
        raise RefusedError(f"overrides.toml: facts.{module}.secrets: there is no {sorted(secrets)}")


def _reachable(shapes: Shapes, types: Sequence[TypeSpec | None]) -> frozenset[str]:
    """Return the classes that these types hold, directly or not."""
    found: set[str] = set()
    todo = [type_ for type_ in types if type_ is not None]
    while todo:
        type_ = todo.pop()
        if type_.of is not None:
            todo.append(type_.of)
        if type_.kind == "model" and type_.name not in found:
            found.add(type_.name)
            todo += [field.type for field in shapes.models[type_.name].fields]
    return frozenset(found)


class _File:
    """Reads the operations of one file."""

    def __init__(self, module: str, file: ModelFile, facts: Mapping[str, Any], shapes: Shapes) -> None:
        self.module = module
        self.file = file
        self.facts = facts
        self.shapes = shapes
        shapes.file = file.name

    def refused(self, where: str, why: str) -> RefusedError:
        return RefusedError(f"{self.file.name}: {where}: {why} has not been seen before")

    def check(self, raw: Mapping[str, Any], known: set[str], where: str) -> None:
        check_keys(raw, known, where, self.file.name)

    def operations(self) -> Iterator[OperationSpec]:
        content = self.file.content
        self.check(content, _FILE_KEYS, "")
        for path, item in content["paths"].items():
            where = f"paths.{path}"
            self.check(item, _PATH_KEYS, where)
            if item.get("parameters"):
                raise self.refused(f"{where}.parameters", "a parameter of a whole path")
            for verb in _VERBS:
                if verb in item:
                    yield self.operation(verb, path, item, f"{where}.{verb}")

    def operation(self, verb: str, path: str, item: Mapping[str, Any], where: str) -> OperationSpec:
        raw = item[verb]
        self.check(raw, _OPERATION_KEYS, where)
        operation_id = raw["operationId"]
        name = self.facts.get("rename_operations", {}).get(f"{verb} {path}", snake(operation_id))
        facts = self.facts.get("operations", {}).get(name, {})
        parameters, body = self.parameters(raw, facts, name, where)
        if {p.name for p in parameters if p.location == "path"} != set(re.findall(r"{(\w+)}", path)):
            raise self.refused(where, "a path whose parameters are not those that are declared")
        if facts.get("restricted") == "optional" and "restricted" in {p.argument for p in parameters}:
            raise self.refused(where, "an argument of the name of our own, restricted; rename it in overrides.toml")
        results = self.results(raw, name, where)
        first = next((type_ for _, type_ in results if type_ is not None), None)
        method = verb.upper()
        operation = Operation(
            module=self.module,
            name=name,
            operation_id=operation_id,
            method=method,
            path=path,
            plan=self.plan(raw, facts, where),
            application_rate=facts.get("application_rate"),
            parameters=parameters,
            result=first.name if first is not None and first.kind == "model" else None,
            success=tuple(status for status, _ in results),
            accept=self.media_type(raw, where),
            repeatable=facts.get("repeatable", method in _REPEATABLE),
            idempotency_header=next((p.name for p in parameters if _is_idempotency(p)), None),
            grantless_scope=facts.get("grantless_scope"),
            restricted=facts.get("restricted", "never"),
            restricted_path=facts.get("restricted_path", facts.get("restricted", "never") != "never"),
            data_elements=tuple(facts.get("data_elements", ())),
            greedy=frozenset(
                p["name"] for p in raw.get("parameters", ()) if p.get("x-amazon-spds-greedy-path-parameter")
            ),
            deprecated=bool(raw.get("deprecated")),
            retired=raw.get("x-retired"),
            sandbox_only=bool(
                item.get("x-amzn-api-sandbox-only")
                or raw.get("x-amzn-api-sandbox-only")
                or facts.get("sandbox_only", False)
            ),
            roles=tuple(facts.get("roles", self.facts.get("roles", ()))),
            docs=_REFERENCE + operation_id.lower(),
        )
        return OperationSpec(operation, body, results, self.paging(operation, body, first, facts))

    def media_type(self, raw: Mapping[str, Any], where: str) -> str:
        consumes = raw.get("consumes", self.file.content.get("consumes", ["application/json"]))
        produces = raw.get("produces", self.file.content.get("produces", ["application/json"]))
        if consumes != ["application/json"]:
            raise self.refused(f"{where}.consumes", str(consumes))
        if len(produces) != 1 or produces[0] not in _MEDIA_TYPES:
            raise self.refused(f"{where}.produces", str(produces))
        return str(produces[0])

    def plan(self, raw: Mapping[str, Any], facts: Mapping[str, Any], where: str) -> UsagePlan:
        if "plan" in facts:
            rate, burst, source = facts["plan"]
            return UsagePlan(rate, burst, source)
        text = raw.get("description", "").replace("\\n", "\n")  # two tables hold backslash and n for line ends
        if found := _RATE_TABLE.search(text):
            try:
                return UsagePlan(float(found[1]), float(found[2]), "model")
            except ValueError:
                if (found[1], found[2]) != ("n", "n"):  # a placeholder that Amazon left in
                    raise self.refused(f"{where}.description", f"the plan {found[1]} | {found[2]}") from None
        elif "requests per second" in text.lower() and "burst" in text.lower():
            raise self.refused(f"{where}.description", "such a table of the usage plan")
        return UsagePlan(1.0, 1.0, "default")

    # -- parameters

    def parameters(
        self, raw: Mapping[str, Any], facts: Mapping[str, Any], name: str, where: str
    ) -> tuple[tuple[Parameter, ...], TypeSpec | None]:
        parameters: list[Parameter] = []
        body: TypeSpec | None = None
        for index, told in enumerate(raw.get("parameters", ())):
            at = f"{where}.parameters[{index}]"
            self.check(told, _PARAMETER_KEYS, at)
            if told["in"] == "body":
                body = self.shapes.read(told["schema"], class_name(name) + "Body", f"{at}.schema")
                parameters.append(self.body(told, body, at))
            elif told["in"] in {"path", "query", "header"}:
                parameters.append(self.parameter(told, facts, at))
            else:
                raise self.refused(f"{at}.in", f"a parameter in {told['in']!r}")
        arguments = [parameter.argument for parameter in parameters]
        if len(set(arguments)) < len(arguments):
            raise RefusedError(f"{self.file.name}: {where}.parameters: two of {arguments} have one name")
        for key in ("timestamps", "double_encoded"):
            if strays := set(facts.get(key, ())) - set(arguments):
                raise RefusedError(f"overrides.toml: {self.module}.{name}.{key}: there is no argument {sorted(strays)}")
        # Required ones first, as in the signature; else in Amazon's order.
        return tuple(sorted(parameters, key=lambda parameter: not parameter.required)), body

    def body(self, told: Mapping[str, Any], type_: TypeSpec, where: str) -> Parameter:
        item = type_.of if type_.kind == "list" else type_
        if item is None or item.kind not in {"model", "map"}:
            raise self.refused(f"{where}.schema", f"a body of the type {type_.kind}")
        return Parameter(
            name=told["name"],
            argument="body",
            location="body",
            type="array" if type_.kind == "list" else "object",
            required=bool(told.get("required")),
            model=item.name or None,
        )

    def parameter(self, told: Mapping[str, Any], facts: Mapping[str, Any], where: str) -> Parameter:
        kind, items, format_ = told.get("type"), told.get("items", {}), told.get("format")
        argument = self.facts.get("rename_arguments", {}).get(told["name"], snake(told["name"]))
        if format_ not in _PARAMETER_FORMATS:
            raise self.refused(f"{where}.format", f"the format {format_!r}")
        collection = None
        if kind == "array":
            self.check(items, _ITEM_KEYS, f"{where}.items")
            if told["in"] != "query" or items.get("type") != "string":
                raise self.refused(where, f"an array of {items.get('type')} in the {told['in']}")
            collection = told.get("collectionFormat", "csv")  # Swagger's default
            if collection not in {"csv", "multi"}:
                raise self.refused(f"{where}.collectionFormat", repr(collection))
        elif kind not in {"string", "integer", "number", "boolean"}:
            raise self.refused(f"{where}.type", f"a parameter of the type {kind!r}")
        if kind == "string" and format_ == "boolean":
            kind = "boolean"
        if argument in facts.get("timestamps", ()):
            format_ = "date-time"
        parameter = Parameter(
            name=told["name"],
            argument=argument,
            location=told["in"],
            type=kind,
            format=format_ if format_ in {"date-time", "date"} else None,
            required=bool(told.get("required")),
            collection=collection,
            values=tuple(told.get("enum", items.get("enum", ()))),
            double_encoded=argument in facts.get("double_encoded", ()),
            **limits(told, kind),
        )
        # The library makes a key when the user gives none, also where the model demands one.
        return attrs.evolve(parameter, required=False) if _is_idempotency(parameter) else parameter

    # -- replies

    def results(self, raw: Mapping[str, Any], name: str, where: str) -> tuple[tuple[int, TypeSpec | None], ...]:
        found: list[tuple[int, TypeSpec | None]] = []
        for status, response in raw["responses"].items():
            at = f"{where}.responses.{status}"
            self.check(response, _RESPONSE_KEYS, at)
            if not status.isdigit():
                raise self.refused(at, f"the status {status!r}")
            if 200 <= int(status) < 300:
                schema = response.get("schema")
                # RFC 9110: a 204 has no body, though some models declare one.
                has_body = schema is not None and status != "204"
                type_ = self.shapes.read(schema, class_name(name) + "Reply", f"{at}.schema") if has_body else None
                found.append((int(status), type_))
        if not found:
            raise self.refused(f"{where}.responses", "an operation without a 2xx reply")
        return tuple(sorted(found, key=lambda result: result[0]))

    # -- pages

    def paging(
        self, operation: Operation, body: TypeSpec | None, result: TypeSpec | None, facts: Mapping[str, Any]
    ) -> PagingSpec | None:
        told = facts.get("paging")
        if told is None:
            return None
        if result is None:
            raise RefusedError(f"overrides.toml: {operation.key}: no reply to page")
        arguments = {parameter.name: parameter.argument for parameter in operation.parameters}
        name, _, place = told["argument"].partition(".")
        if name == "body" and body is not None:
            argument = ("body", *self.walk(operation.key, body, place)[0])
        elif name in arguments:
            argument = (arguments[name],)
        elif "follow" in told:
            argument = (snake(name),)
        else:
            raise RefusedError(f"overrides.toml: {operation.key}: there is no argument {name}")
        token, _ = self.walk(operation.key, result, told.get("token") or told["total"])
        items: tuple[str, ...] = ()
        item: TypeSpec | None = None
        if "items" in told:
            items, type_ = self.walk(operation.key, result, told["items"])
            item = type_.of
            if type_.kind != "list" or item is None:
                raise RefusedError(f"overrides.toml: {operation.key}: {told['items']} is no list")
        return PagingSpec(
            argument=argument,
            token=token,
            items=items,
            item=item,
            keep=tuple(snake(name) for name in told["keep"]) if "keep" in told else None,
            is_eager=told.get("eager", False),
            is_total="total" in told,
            switch=tuple((snake(name), value) for name, value in told.get("switch", {}).items()),
            follow=told.get("follow", ""),
        )

    def walk(self, key: str, type_: TypeSpec, path: str) -> tuple[tuple[str, ...], TypeSpec]:
        """Follow a path of wire names through the models."""
        attributes = []
        for wire in path.split("."):
            model = self.shapes.models.get(type_.name) if type_.kind == "model" else None
            fields = {field.wire: field for field in model.fields} if model else {}
            if wire not in fields:
                raise RefusedError(f"overrides.toml: {key}: the path {path} leads nowhere at {wire}")
            attributes.append(fields[wire].name)
            type_ = fields[wire].type
        return tuple(attributes), type_


def _is_idempotency(parameter: Parameter) -> bool:
    return parameter.location == "header" and "idempotency" in parameter.name.lower()
