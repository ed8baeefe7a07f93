from __future__ import annotations

import pytest

from spapi_async.operation import Operation, UsagePlan
from spapi_async.sandbox.routing import Router


def _operation(method: str, path: str, greedy: str = "") -> Operation:
    names = frozenset({greedy} - {""})
    return Operation(
        module="m", name=path, operation_id=path, method=method, path=path, plan=UsagePlan(1, 1), greedy=names
    )


ROUTER = Router(
    [
        _operation("GET", "/a"),
        _operation("GET", "/a/{id}"),
        _operation("POST", "/a/{id}/test"),
        _operation("GET", "/a/{id}/{other}"),
        _operation("POST", "/u/{resource}", "resource"),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "template", "arguments"),
    [
        ("GET", "/a", "/a", {}),
        ("GET", "/a/x%2Fy", "/a/{id}", {"id": "x/y"}),
        ("POST", "/a/x/test", "/a/{id}/test", {"id": "x"}),
        ("GET", "/a/x/test", "/a/{id}/{other}", {"id": "x", "other": "test"}),
        ("POST", "/u/b/c/d", "/u/{resource}", {"resource": "b/c/d"}),
    ],
)
def test_a_path_finds_its_operation(method: str, path: str, template: str, arguments: dict[str, str]) -> None:
    """Encoded slashes stay in their segment, fixed segments go first, a greedy parameter takes all that is left."""
    found = ROUTER.find(method, path)
    assert found is not None
    assert (template, arguments) == (found[0].path, found[1])


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/a"), ("GET", "/b"), ("GET", "/a/"), ("GET", "/a/x/y/z"), ("POST", "/u/"), ("GET", "")],
)
def test_no_operation(method: str, path: str) -> None:
    """Another verb, an unknown path and an empty id lead nowhere."""
    assert ROUTER.find(method, path) is None
