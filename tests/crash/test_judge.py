"""The judge of the crash matrix on made-up runs: it must see everything that must not be."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ORDER, SEND = "902-0000006-0000001", "messaging_v1.create_confirm_order_details"
KILLED = 100.0


@pytest.fixture(scope="module")
def judge() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("judge", Path(__file__).with_name("judge.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["judge"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["judge"]


def call(arrived: float, ended: float, status: int = 201, fault: str = "", *, is_lost: bool = False) -> dict[str, Any]:
    return {
        "operation": SEND,
        "order_id": ORDER,
        "arrived": arrived,
        "ended": ended,
        "status": status,
        "fault": fault,
        "is_lost": is_lost,
    }


def found(
    judge: ModuleType,
    state: str,
    *calls: dict[str, Any],
    delivered: int = 0,
    attempts: int | None = None,
    reason: str | None = None,
    killed: int | None = None,
    fate: str = "SENT",
    seller: str = "SELLER1",
    is_shared: bool = False,
    is_claimed: bool = False,
) -> tuple[set[str], list[str]]:
    """Judge one row; `killed` is the attempt in which it was SENDING at a kill. Return broken rules and causes."""
    attempts = len(calls) if attempts is None else attempts
    line = judge.Line(state=state, attempts=attempts, reason=judge.ABANDONED if reason is None else reason)
    in_hand = {"claimed": {ORDER: killed}, "sending": {}} if is_claimed else {"sending": {ORDER: killed}}
    kills = [judge.Kill(before=KILLED, after=KILLED + 0.01, phase="sending", is_shared=is_shared, **in_hand)]
    outcome = judge.judge(
        {ORDER: judge.Fate(fate)},
        {ORDER: "SELLER1"},
        {ORDER: line},
        calls,
        [{"order_id": ORDER, "seller": seller}] * delivered,
        kills if killed is not None else [],
        SEND,
    )
    return {violation.rule for violation in outcome.violations}, list(outcome.causes)


def test_what_may_be(judge: ModuleType) -> None:
    """A row that was sent, one sent after a 429, one refused, and one that never gets an answer break nothing."""
    assert found(judge, "SENT", call(1, 2), delivered=1) == (set(), [])
    assert found(judge, "SENT", call(1, 2, 429, "throttle"), call(3, 4), delivered=1) == (set(), [])
    assert found(judge, "REFUSED", call(1, 2, 403), fate="REFUSED") == (set(), [])
    assert found(judge, "REFUSED", fate="REFUSED") == (set(), [])
    assert found(judge, "READY", fate="READY") == (set(), [])


def test_doubts_with_a_cause(judge: ModuleType) -> None:
    """A doubt is explained by a kill during the exchange, right before it or right after it, or by a lost answer."""
    for calls, delivered, cause in [
        ([call(99.9, 100.1)], 1, "kill: on the wire"),
        ([call(100.2, 100.3, is_lost=True)], 1, "kill: on the wire"),
        ([call(99.8, 99.9)], 1, "kill: answered, not written down yet"),
        ([call(99.8, 99.9, 429)], 0, "kill: answered, not written down yet"),
    ]:
        assert found(judge, "IN_DOUBT", *calls, delivered=delivered, killed=1) == (set(), [cause])
    unborn = "kill: not on the wire yet"
    assert found(judge, "IN_DOUBT", attempts=1, killed=1) == (set(), [unborn])
    assert found(judge, "IN_DOUBT", call(1, 2, 429), attempts=2, killed=2) == (set(), [unborn])
    for fault, delivered in [("drop-before", 0), ("reset-after", 1), ("error-before", 0), ("error-after", 1)]:
        told = found(judge, "IN_DOUBT", call(1, 2, 0, fault), delivered=delivered, reason="a lost answer")
        assert told == (set(), [f"fault: {fault}"])


def test_a_commit_that_nobody_saw(judge: ModuleType) -> None:
    """Beside a process that lives, the last commit of the dead may come into view later: an outcome, or a BEGIN."""
    answered, beside = call(99.8, 99.9), {"killed": 1, "is_shared": True}
    assert found(judge, "SENT", answered, delivered=1, **beside) == (set(), [])
    assert found(judge, "SENT", call(99.8, 99.9, 429), call(101, 102), delivered=1, **beside) == (set(), [])
    assert found(judge, "SENT", answered, delivered=1, killed=1)[0] == {"doubt not seen"}
    assert found(judge, "SENT", call(99.9, 100.1), delivered=1, **beside)[0] == {"doubt not seen"}
    begun = {"attempts": 1, "killed": 0, "is_claimed": True}
    assert found(judge, "IN_DOUBT", is_shared=True, **begun) == (set(), ["kill: not on the wire yet"])
    assert found(judge, "IN_DOUBT", **begun)[0] == {"doubt without cause"}


@pytest.mark.parametrize(
    ("calls", "more"),
    [
        ([], {"attempts": 1}),  # no kill at all
        ([], {"attempts": 2, "killed": 1}),  # the kill was in another attempt
        ([call(1, 2)], {"killed": 1}),  # answered long before the kill
        ([call(102, 103)], {"killed": 1}),  # came long after it
        ([call(1, 2)], {"killed": 2, "attempts": 2}),  # sent for good before
        ([call(1, 2, 429)], {"killed": 1}),  # left undone long before
        ([call(1, 2)], {"reason": "a lost answer"}),  # nothing was lost
        ([call(1, 2, 201, "slow")], {"reason": "a lost answer"}),  # late is not lost
        ([call(1, 2, 0, "drop-after"), call(3, 4, 429)], {"reason": "a lost answer"}),  # the last one was not
    ],
)
def test_doubts_without_a_cause(judge: ModuleType, calls: list[dict[str, Any]], more: dict[str, Any]) -> None:
    """A doubt that no kill and no fault explains is a violation: a job that doubts everything would pass else."""
    rules, causes = found(judge, "IN_DOUBT", *calls, **more)
    assert "doubt without cause" in rules
    assert causes == ["unexplained"]


@pytest.mark.parametrize(
    ("rule", "state", "calls", "more"),
    [
        ("double", "SENT", [call(1, 2), call(3, 4)], {"delivered": 2}),
        ("sent again", "SENT", [call(1, 2, 0, "drop-before"), call(3, 4)], {"delivered": 1}),
        ("sent again", "REFUSED", [call(1, 2), call(3, 4, 403)], {"delivered": 1, "fate": "REFUSED"}),
        ("no intent", "SENT", [call(1, 2)], {"delivered": 1, "attempts": 0}),
        ("doubt not seen", "SENT", [call(1, 2, 0, "drop-after")], {"delivered": 1}),
        ("doubt not seen", "READY", [], {"killed": 1}),
        ("not sent", "SENT", [], {}),
        ("not sent", "SENT", [call(1, 2, 503, "error-before")], {}),
        ("not sent", "SENT", [call(1, 2, is_lost=True)], {"delivered": 1}),
        ("not refused", "REFUSED", [call(1, 2, 429)], {"fate": "REFUSED"}),
        ("refused and sent", "REFUSED", [call(1, 2)], {"delivered": 1, "fate": "REFUSED"}),
        ("ready and sent", "READY", [call(1, 2)], {"delivered": 1, "fate": "READY"}),
        ("fate", "REFUSED", [], {}),
        ("fate", "SENT", [call(1, 2)], {"delivered": 1, "fate": "REFUSED"}),
        ("wrong seller", "SENT", [call(1, 2)], {"delivered": 1, "seller": "SELLER2"}),
        ("lost", "READY", [], {}),
        ("lost", "CLAIMED", [], {}),
        ("lost", "SENDING", [call(1, 2)], {}),
    ],
)
def test_what_must_not_be(
    judge: ModuleType, rule: str, state: str, calls: list[dict[str, Any]], more: dict[str, Any]
) -> None:
    """Each rule is found broken."""
    assert rule in found(judge, state, *calls, **more)[0]


def test_rows_that_came_or_went(judge: ModuleType) -> None:
    """A row that only the source has is lost, and one that the source does not have is invented."""
    sent = judge.Line(state="SENT", attempts=1)
    outcome = judge.judge({"902-1": judge.Fate.SENT}, {"902-1": "S"}, {"902-2": sent}, [], [], [], SEND)
    assert {(violation.rule, violation.order_id) for violation in outcome.violations} == {
        ("lost", "902-1"),
        ("invented", "902-2"),
    }
