"""Decoding and encoding: what Amazon's static sandbox sends is kept, without a look at the bytes it came in."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from spapi_async.apis import base
from spapi_async.codec import encode
from spapi_async.operation import Call, Reply


@pytest.mark.asyncio
async def test_every_success_body(
    pairs: Any, api_of: Any, is_same: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each success body becomes what its method returns, and that is written as the same JSON."""
    # A reply that holds nothing but errors is raised; here the model that holds them is wanted.
    monkeypatch.setattr(base, "parse_errors", lambda _: ())
    bodies = [pair for pair in pairs if pair.status < 300 and pair.body is not None]
    different = []
    for pair in bodies:
        reply = Reply(status=pair.status, headers={}, body=orjson.dumps(pair.body) if pair.body != "" else b"")

        async def send(_: Call, reply: Reply = reply) -> Reply:
            return reply

        method = getattr(api_of(pair.operation.module)(send, validate=False), pair.operation.name)
        arguments = {
            parameter.argument: "x" if parameter.location == "path" else None for parameter in pair.operation.parameters
        }
        result = await method(**arguments)
        written = {} if result is None else json.loads(encode(result))
        if not is_same(written, pair.body or {}):
            different.append((pair.id, written, pair.body))
    declared = sum(pair.breaks is not None for pair in bodies)
    with capsys.disabled():
        print(f"\n{len(bodies)} success bodies, {declared} of them with a schema: {len(different)} come out different")
    assert different == []
    assert declared == 384  # of the models of 2026-08-05
