from __future__ import annotations

from typing import Any

import anyio
import httpx
import pytest
from trio.testing import MockClock

from spapi_async.apis import catalog
from spapi_async.errors import ConfigError
from spapi_async.operation import UsagePlan
from spapi_async.sandbox import Faults, Sandbox

pytestmark = pytest.mark.anyio

SEND = "messaging_v1.create_confirm_order_details"
PATH = "/messaging/v1/orders/902-1845936-5435065/messages/confirmOrderDetails"
PLENTY = {"*": UsagePlan(1000, 1000)}


async def _send(caller: Any) -> str:
    try:
        reply = await caller.post(PATH, {"text": "Hello"}, marketplaceIds="ATVPDKIKX0DER")
    except httpx.RemoteProtocolError:
        return "dropped"
    except httpx.ReadError:
        return "reset"
    return str(reply.status_code)


@pytest.mark.parametrize(
    ("word", "outcome", "delivered"),
    [
        ("ok", "201", 1),
        ("drop-before", "dropped", 0),
        ("drop-after", "dropped", 1),
        ("reset-before", "reset", 0),
        ("reset-after", "reset", 1),
        ("error-before", "500", 0),
        ("error-before:503", "503", 0),
        ("error-after:504", "504", 1),
        ("throttle", "429", 0),
        ("bad-json", "201", 1),
        ("html", "201", 1),
    ],
)
async def test_each_kind(connect: Any, word: str, outcome: str, delivered: int) -> None:
    """What the caller sees, and whether the buyer received the message, are two things."""
    app = Sandbox(faults=Faults(script={SEND: [word]}))
    async with connect(app) as caller:
        assert await _send(caller) == outcome
        assert len(app.state.messages) == delivered
        assert await _send(caller) == "201"
        [statuses] = [v for k, v in app.requests()["operations"].items() if k == SEND]
        assert sum(statuses.values()) == 2
        assert [call.fault for call in app.state.calls][1:] == [word.partition(":")[0].replace("ok", ""), ""]


async def test_bodies_that_cannot_be_read(connect: Any) -> None:
    """`bad-json` cuts the body short, `html` replaces it; the status stays that of success."""
    app = Sandbox(faults=Faults(script={"orders_v0.get_order": ["bad-json", "html"]}))
    async with connect(app) as caller:
        cut, page = [await caller.get("/orders/v0/orders/902-1845936-5435065") for _ in range(2)]
    assert (cut.status_code, page.status_code) == (200, 200)
    with pytest.raises(ValueError, match=r"."):
        cut.json()
    assert page.headers["content-type"] == "text/html"


@pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})])
async def test_a_slow_reply(connect: Any) -> None:
    """The message is delivered at once, the reply comes late: a client that gives up has sent it."""
    app = Sandbox(faults=Faults(script={SEND: ["slow:60"]}))
    async with connect(app) as caller:
        with anyio.move_on_after(30) as patience:
            await _send(caller)
    assert patience.cancelled_caught
    assert len(app.state.messages) == 1


async def test_a_throttle_fault_leaves_the_script_alone(connect: Any) -> None:
    """Calls that the usage plan refuses do not use up the script."""
    app = Sandbox(plans={SEND: UsagePlan(0.001, 2)}, faults=Faults(script={SEND: ["ok", "drop-after"]}))
    async with connect(app) as caller:
        assert [await _send(caller) for _ in range(3)] == ["201", "dropped", "429"]


async def test_a_seed_repeats_chance(connect: Any) -> None:
    """The same seed gives the same faults in the same places, another seed others, and a reset begins anew."""

    async def outcomes(seed: int) -> list[str]:
        chances = {"drop_before": 0.1, "drop_after": 0.1, "error_before": 0.1, "error_after": 0.1}
        app = Sandbox(plans=PLENTY, faults=Faults(**chances, seed=seed))
        async with connect(app) as caller:
            first = [await _send(caller) for _ in range(100)]
            app.reset()
            assert [await _send(caller) for _ in range(100)] == first
        assert 20 < sum(outcome != "201" for outcome in first) < 60
        return first

    assert await outcomes(1) == await outcomes(1)
    assert await outcomes(1) != await outcomes(2)


async def test_operations_can_be_chosen(connect: Any) -> None:
    """With `operations`, chance hits those and no others."""
    app = Sandbox(faults=Faults(error_before=1.0, operations=["orders_v0.*"]))
    async with connect(app) as caller:
        assert (await caller.get("/orders/v0/orders/902-1845936-5435065")).status_code >= 500
        assert await _send(caller) == "201"


def test_the_command_lines_words() -> None:
    """What `arguments` writes, `parse` reads back."""
    script = {SEND: ("drop-after", "ok", "slow:2.5")}
    faults = Faults(drop_after=0.03, slow=0.01, slow_seconds=20, operations=["orders_v0.*"], script=script, seed=7)
    words = iter(faults.arguments())
    given: dict[str, list[str]] = {"--fault": [], "--fault-on": [], "--script": [], "--seed": []}
    for option in words:
        given[option].append(next(words))
    again = Faults.parse(given["--fault"], given["--fault-on"], given["--script"], int(given["--seed"][0]))
    assert vars(again).keys() == vars(faults).keys()
    for name in ["chances", "slow_seconds", "operations", "script", "seed"]:
        assert getattr(again, name) == getattr(faults, name)


def test_several_faults_in_one_word() -> None:
    """Chances are given together or one by one."""
    together = Faults.parse(["drop-before=0.03,drop-after=0.03,slow=0.01:20"], [], [])
    assert (
        together.arguments()
        == Faults.parse(["drop-before=0.03", "drop-after=0.03", "slow=0.01:20"], [], []).arguments()
    )
    assert together.slow_seconds == 20


@pytest.mark.parametrize(
    ("chances", "scripts", "words"),
    [
        (["drop=0.1"], [], "drop-before"),
        (["drop-after"], [], "no number"),
        (["drop-after=1.1"], [], "at most 1"),
        (["drop-after=-0.1"], [], "at least 0"),
        ([], [f"{SEND}=nothing"], "unknown fault 'nothing'"),
        ([], [f"{SEND}=slow:x"], "no number"),
    ],
)
def test_words_that_cannot_be_read(chances: list[str], scripts: list[str], words: str) -> None:
    """Each is an error that says what is possible."""
    with pytest.raises(ConfigError, match=words):
        Faults.parse(chances, [], scripts)


def test_names_that_mean_nothing() -> None:
    """A script or a choice for an operation that does not exist is refused when the sandbox is made."""
    for faults in [Faults(script={"messaging_v1.x": ["ok"]}), Faults(operations=["messaging_v9.*"])]:
        with pytest.raises(ConfigError, match="no operation"):
            faults.aim(catalog())
