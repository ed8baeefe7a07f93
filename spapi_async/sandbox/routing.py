"""From verb and path to the operation: a tree of path segments, built once.

Amazon's 66 models have no two templates that could both match (counted over all of them), except for a fixed segment
beside a parameter, where the fixed one goes first.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote

from ..operation import Operation

__all__ = ["Router"]


class _Node:
    __slots__ = ("fixed", "greedy", "operations", "parameter")

    def __init__(self) -> None:
        self.fixed: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.greedy: _Node | None = None
        self.operations: dict[str, tuple[Operation, tuple[str, ...]]] = {}


class Router:
    """Finds the operation of a request."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._root = _Node()
        for operation in operations:
            node, names = self._root, []
            for segment in operation.path.split("/")[1:]:
                if not segment.startswith("{"):
                    node = node.fixed.setdefault(segment, _Node())
                    continue
                names.append(segment[1:-1])
                if names[-1] in operation.greedy:
                    node.greedy = node = node.greedy or _Node()
                else:
                    node.parameter = node = node.parameter or _Node()
            node.operations[operation.method] = operation, tuple(names)

    def find(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """Give the operation and its path arguments, decoded; None for an unknown path or verb.

        Args:
            method: The verb.
            path: The path, percent-encoded as it came: an encoded slash belongs to its segment.
        """
        found = _walk(self._root, method, path.split("/"), 1, ())
        if found is None:
            return None
        operation, names, values = found
        return operation, {name: unquote(value) for name, value in zip(names, values, strict=True)}


def _walk(
    node: _Node, method: str, segments: list[str], at: int, values: tuple[str, ...]
) -> tuple[Operation, tuple[str, ...], tuple[str, ...]] | None:
    if at == len(segments):
        match = node.operations.get(method)
        return (*match, values) if match else None
    segment = segments[at]
    if child := node.fixed.get(segment):
        found = _walk(child, method, segments, at + 1, values)
        if found:
            return found
    if node.parameter and segment:
        found = _walk(node.parameter, method, segments, at + 1, (*values, segment))
        if found:
            return found
    if node.greedy and segment:
        return _walk(node.greedy, method, segments, len(segments), (*values, "/".join(segments[at:])))
    return None
