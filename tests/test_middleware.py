"""The one mechanism for the way through."""

import pytest

from spapi_async.middleware import Middleware, Next, compose
from spapi_async.operation import Call, Operation, Reply, UsagePlan

CALL = Operation(module="test_v0", name="get", operation_id="get", method="GET", path="/", plan=UsagePlan(1, 1)).call()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_first_is_the_outermost(anyio_backend: str) -> None:
    """Stages are passed in the order of the list on the way down, and the other way round on the way up."""
    steps: list[str] = []

    def stage(name: str) -> Middleware:
        async def middleware(call: Call, next_: Next) -> Reply:
            steps.append(f"{name} down")
            reply = await next_(call)
            steps.append(f"{name} up")
            return reply

        return middleware

    async def last(call: Call) -> Reply:
        steps.append("wire")
        return Reply(status=200, headers={}, body=b"")

    await compose([stage("a"), stage("b")], last)(CALL)
    assert steps == ["a down", "b down", "wire", "b up", "a up"]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_without_stages_the_last_step_is_all(anyio_backend: str) -> None:
    """Composing nothing gives the last step itself."""

    async def last(call: Call) -> Reply:
        raise NotImplementedError

    assert compose([], last) is last
