"""What differs between two folders of generated packages, in words: operations, plans, arguments, fields, values.

Both sides are read off the generated source text, so Amazon's older models are not needed, and nothing is imported.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

__all__ = ["in_words", "report"]

Facts = Mapping[str, Any]  # Any: literals of the generated code


@attrs.frozen
class _Package:
    operations: Mapping[str, Facts]
    classes: Mapping[str, Mapping[str, Facts]]
    """Class -> field -> facts."""
    enums: Mapping[str, tuple[str, ...]]

    @property
    def size(self) -> str:
        return f"{_count(self.operations, 'operation')}, {_count(self.classes, 'class')}"


def report(made: Path, since: Path, *, is_part: bool = False) -> dict[str, list[str]]:
    """Tell what has changed.

    Args:
        made: The new packages.
        since: The packages to compare with.
        is_part: Whether packages that only `since` has are passed over.

    Returns:
        For each module that has changed a line for each change: + is new, - is gone, ~ is different.
    """
    names = {path.parent.name for path in made.glob("*/operations.py")}
    if not is_part:
        names |= {path.parent.name for path in since.glob("*/operations.py")}
    changes = {}
    for name in sorted(names):
        old, new = _read(since / name), _read(made / name)
        if new is None:
            changes[name] = [] if old is None else ["- the whole module"]
        elif old is None:
            changes[name] = [f"+ the whole module: {new.size}"]
        else:
            changes[name] = list(_changes(old, new))
    return {name: lines for name, lines in changes.items() if lines}


def in_words(changes: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a report as lines: the name of each module, and below it, indented, what has changed."""
    return [line for name, lines in changes.items() for line in (name, *(f"  {each}" for each in lines))]


def _changes(old: _Package, new: _Package) -> Iterator[str]:
    for name, before, after in _pairs(old.operations, new.operations):
        if before is None:
            yield f"+ operation {name}: {after['method']} {after['path']}, {after['plan']}"
        elif after is None:
            yield f"- operation {name}: {before['method']} {before['path']}"
        else:
            yield from _operation_changes(name, before, after)
    for name, was, now in _pairs(old.classes, new.classes):
        if was is None:
            yield f"+ class {name}: {_count(now, 'field')}"
        elif now is None:
            yield f"- class {name}"
        else:
            yield from (f"{sign} {name}.{words}" for sign, words in _member_changes(was, now))
    for name, listed, lists in _pairs(old.enums, new.enums):
        if listed is None:
            yield f"+ values {name}: {', '.join(lists)}"
        elif lists is None:
            yield f"- values {name}"
        else:
            yield from (f"+ value {name}: {value}" for value in lists if value not in listed)
            yield from (f"- value {name}: {value}" for value in listed if value not in lists)


def _operation_changes(name: str, before: Facts, after: Facts) -> Iterator[str]:
    for fact, was, now in _pairs(before, after):
        if fact == "parameters":
            for sign, words in _member_changes(was or {}, now or {}):
                yield f"{sign} operation {name}, argument {words}"
        elif was != now:
            yield f"~ operation {name}, {fact}: {_show(was)} -> {_show(now)}"


def _member_changes(old: Mapping[str, Facts], new: Mapping[str, Facts]) -> Iterator[tuple[str, str]]:
    """Yield what changed among fields or arguments, each with + for new, - for gone, ~ for changed."""
    for name, before, after in _pairs(old, new):
        if before is None:
            yield "+", f"{name}: {after['type']}{', required' if after.get('required') else ''}"
        elif after is None:
            yield "-", name
        else:
            for fact, was, now in _pairs(before, after):
                if fact == "required":
                    if bool(was) != bool(now):
                        yield "~", f"{name}: {'now required' if now else 'no longer required'}"
                elif was != now:
                    label = name if fact == "type" else f"{name}, {fact}"
                    yield "~", f"{label}: {_show(was)} -> {_show(now)}"


def _pairs(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield each name with its old and its new value, None where there is none; the new side's order first."""
    for name in [*new, *(name for name in old if name not in new)]:
        yield name, old.get(name), new.get(name)


def _show(value: Any) -> str:
    return "none" if value is None else value if isinstance(value, str) else repr(value)


def _count(things: Any, noun: str) -> str:
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{len(things)} {noun if len(things) == 1 else plural}"


# -- reading the source text


def _read(package: Path) -> _Package | None:
    try:
        operations = ast.parse((package / "operations.py").read_bytes())
        models = ast.parse((package / "models.py").read_bytes())
        client = ast.parse((package / "client.py").read_bytes())
    except (FileNotFoundError, SyntaxError):  # half a package is none
        return None
    classes = [node for node in models.body if isinstance(node, ast.ClassDef)]
    pages = dict(_constants(client))
    return _Package(
        operations=dict(_operation(call, pages.get(f"_{name}_PAGES")) for name, call in _constants(operations)),
        classes={node.name: _fields(node) for node in classes if node.decorator_list},
        enums={node.name: _values(node) for node in classes if not node.decorator_list},
    )


def _constants(module: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """Yield the constants that a module makes by calls: its operations, or how their pages follow each other."""
    for node in module.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value


def _operation(call: ast.Call, pages: ast.Call | None) -> tuple[str, Facts]:
    facts = _keywords(call)
    if pages is not None:
        facts["pages"] = ast.unparse(pages)
    return facts.pop("name"), facts


def _keywords(call: ast.Call) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for keyword in call.keywords:
        name, node = keyword.arg or "", keyword.value
        if name == "plan":
            assert isinstance(node, ast.Call)
            rate, burst, source = map(ast.literal_eval, node.args)
            facts[name] = f"{rate:g}/s, burst {burst:g} ({source})"
        elif name == "parameters":
            assert isinstance(node, ast.Tuple)
            told = [_keywords(each) for each in node.elts if isinstance(each, ast.Call)]
            # `string` is not written down, being the default.
            facts[name] = {each.pop("argument"): {"type": "string", **each} for each in told}
        else:
            facts[name] = _literal(node)
    return facts


def _fields(node: ast.ClassDef) -> Mapping[str, Facts]:
    fields: dict[str, dict[str, Any]] = {}
    facts: dict[str, Any] = {}
    for each in node.body:
        if not isinstance(each, ast.AnnAssign) or not isinstance(each.target, ast.Name):
            continue
        name, type_ = each.target.id, ast.unparse(each.annotation)
        if name.startswith("__") and each.value is not None:
            facts[name] = _literal(each.value)
        else:
            # A field that is kept out of the repr is made by a call, with a default or without.
            is_optional = "default" in _keywords(each.value) if isinstance(each.value, ast.Call) else bool(each.value)
            fields[name] = {
                "type": type_.removesuffix(" | None") if is_optional else type_,
                "required": not is_optional,
            }
    for name, wire in facts["__wire__"].items():
        fields[name]["wire name"] = wire
    for name, limits in facts.get("__limits__", {}).items():
        fields[name]["limits"] = limits
    return fields


def _values(node: ast.ClassDef) -> tuple[str, ...]:
    return tuple(
        ast.literal_eval(each.value) for each in node.body if isinstance(each, ast.AnnAssign) and each.value is not None
    )


def _literal(node: ast.expr) -> Any:
    # A frozenset is written as a call; what it holds is a literal.
    inner = node.args[0] if isinstance(node, ast.Call) and node.args else node
    value = ast.literal_eval(inner)
    return sorted(value) if isinstance(value, set) else value
