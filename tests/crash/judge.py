"""Judges what is left of a job that was killed: by the journal, the sandbox's log, and what buyers received. Pure.

What stands in no place but one proves nothing: the journal says what the job believes, the log and the messages are the
sandbox's, which is another program in another process, and the moments of the kills are the driver's.
Moments are seconds of `time.monotonic`, which all processes of a machine share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import attrs

ABANDONED = "the program ended, or slept, while the message was under way"
"""The journal's reason for a row that was SENDING when its process died."""

AMBIGUOUS = frozenset(f"{what}-{when}" for what in ("drop", "reset", "error") for when in ("before", "after"))
"""Faults after which no client can know whether its message went out."""

SOON = 1.0
"""Seconds within which an answer must be in the journal, and within which what had left a killed process must arrive.
It takes a tenth of a second at most; the rest is for a machine that is busy."""


class Fate(StrEnum):
    """What must become of an order, but for doubts."""

    SENT = "SENT"
    REFUSED = "REFUSED"
    STUCK = "READY"
    """The sandbox always answers 5xx when it is asked whether the order takes a message."""


@attrs.frozen(kw_only=True)
class Line:
    """A row as the journal has it in the end."""

    state: str
    attempts: int
    reason: str = ""


@attrs.frozen(kw_only=True)
class Kill:
    """A SIGKILL.

    Args:
        before: The moment before it.
        after: The moment at which the process was seen to be dead.
        sending: The rows that were SENDING in the dead process's hand: order id -> attempts.
        phase: What the process did.
        claimed: Those that were CLAIMED in its hand.
        is_shared: Whether another process had the journal open. Then one commit of the dead may have been on the disk
            and in nobody's view: SQLite's index of the log, which the living share, is written after the log. It comes
            into view if nobody writes before the log is read anew; else it is overwritten. Nobody acts on it before,
            since whoever acts writes first.
    """

    before: float
    after: float
    sending: Mapping[str, int]
    phase: str
    claimed: Mapping[str, int] = attrs.field(factory=dict)
    is_shared: bool = False


@attrs.frozen
class Violation:
    """Something that must not be."""

    rule: str
    order_id: str
    words: str


@attrs.frozen(kw_only=True)
class Judgement:
    """What a run came to.

    Args:
        causes: How many rows are in doubt, by why they may be.
        states: How many rows there are, by state.
        violations: What must not be.
        slowest: Seconds from the answer to the kill, the longest of those that did not come into the journal.
    """

    causes: Counter[str]
    states: Counter[str]
    violations: Sequence[Violation]
    slowest: float


def judge(
    fates: Mapping[str, Fate],
    sellers: Mapping[str, str],
    lines: Mapping[str, Line],
    calls: Sequence[Mapping[str, Any]],
    messages: Sequence[Mapping[str, Any]],
    kills: Sequence[Kill],
    operation: str,
) -> Judgement:
    """Judge a run that is over.

    Args:
        fates: The orders of the source.
        sellers: Whose they are.
        lines: The journal, by order id.
        calls: `SandboxProcess.calls()`, when none is under way any more.
        messages: `SandboxProcess.messages()`.
        kills: In their order.
        operation: The one that sends.
    """
    sends: dict[str, list[Mapping[str, Any]]] = {}
    for call in calls:
        if call["operation"] == operation:
            sends.setdefault(call["order_id"], []).append(call)
    delivered = Counter(message["order_id"] for message in messages)
    violations = [
        Violation("wrong seller", message["order_id"], f"{message['seller']} sent it")
        for message in messages
        if message["seller"] != sellers.get(message["order_id"])
    ]
    causes: Counter[str] = Counter()
    slowest = 0.0
    for order_id in sorted({*fates, *lines, *sends, *delivered}):
        fate, line = fates.get(order_id), lines.get(order_id)
        if fate is None:
            violations.append(Violation("invented", order_id, "no row of the source has this order"))
            continue
        if line is None:
            violations.append(Violation("lost", order_id, "the journal does not have the row"))
            continue
        case = _Case(order_id, fate, line, sends.get(order_id, ()), delivered[order_id], kills)
        violations += [Violation(rule, order_id, words) for rule, words in case.broken()]
        if line.state == "IN_DOUBT":
            cause = case.cause()
            causes[cause or "unexplained"] += 1
            slowest = max(slowest, case.delay)
            if cause is None:
                words = "neither was it under way at a kill, nor did it meet an ambiguous fault"
                violations.append(Violation("doubt without cause", order_id, words))
    states = Counter(line.state for line in lines.values())
    return Judgement(causes=causes, states=states, violations=violations, slowest=slowest)


class _Case:
    """One order, and all that is known of it."""

    def __init__(
        self,
        order_id: str,
        fate: Fate,
        line: Line,
        calls: Sequence[Mapping[str, Any]],
        delivered: int,
        kills: Sequence[Kill],
    ) -> None:
        self._fate = fate
        self._line = line
        self._calls = calls
        self._delivered = delivered
        self._held = [(kill, kill.sending[order_id]) for kill in kills if order_id in kill.sending]
        self._begun = [
            (kill, kill.claimed[order_id] + 1) for kill in kills if kill.is_shared and order_id in kill.claimed
        ]
        """Where BEGIN may have been in the last commit, which nobody saw."""
        self.delay = 0.0

    def broken(self) -> list[tuple[str, str]]:
        """List the rules that the row breaks, in words."""
        line, broken = self._line, []
        if self._delivered > 1:
            broken.append(("double", f"the buyer has {self._delivered} messages"))
        if any(not _is_undone(call) for call in self._calls[:-1]):
            broken.append(("sent again", "a further request followed one that was not certainly left undone"))
        if len(self._calls) > line.attempts:
            broken.append(("no intent", f"{len(self._calls)} requests arrived, {line.attempts} were written down"))
        is_ambiguous = any(call["fault"] in AMBIGUOUS for call in self._calls)
        is_unknown = any(not self._may_be_written(kill) for kill, _ in self._held)
        if (is_unknown or is_ambiguous) and line.state != "IN_DOUBT":
            broken.append(("doubt not seen", f"nobody knows whether it was sent, and it is {line.state}"))
        last = self._calls[-1] if self._calls else None
        match line.state:
            case "SENT":
                if self._delivered == 0 or last is None or last["status"] != 201 or last["is_lost"]:
                    broken.append(("not sent", "it is SENT, and no answer said so"))
                if self._fate is not Fate.SENT:
                    broken.append(("fate", f"it is SENT and should be {self._fate}"))
            case "REFUSED":
                if last is not None and last["status"] not in (400, 403, 404):
                    broken.append(("not refused", "it is REFUSED, and no answer said so"))
                if self._delivered:
                    broken.append(("refused and sent", "it is REFUSED, and the buyer has a message"))
                if self._fate is not Fate.REFUSED:
                    broken.append(("fate", f"it is REFUSED and should be {self._fate}"))
            case "READY":
                if self._delivered:
                    broken.append(("ready and sent", "it is READY, and the buyer has a message"))
                if self._fate is not Fate.STUCK:
                    broken.append(("lost", "the job is done, and the row waits"))
            case "IN_DOUBT":
                pass
            case state:
                broken.append(("lost", f"the job is done, and the row is {state}"))
        return broken

    def cause(self) -> str | None:
        """Say why the row may be in doubt; None when nothing explains it.

        A row whose process lived to see the end of its exchange has what went wrong as its reason, and must have met
        an ambiguous fault. Any other has the reason ABANDONED, and must have been SENDING in the hand of a process when
        that was killed, in the same attempt, by the journal as it was right then. So as not to believe the journal
        alone, the sandbox's log has to fit:

        - The kill was between arrival and answer of the row's last request; or the request had left by then, and
          arrived right after.
        - Its answer was written less than `SOON` before: too late to come into the journal.
        - No request of this attempt came at all: the process died between the intent and the wire. Only requests that
          were certainly left undone may have come before. A row that was lost sight of, or begun for nothing, has one
          that was answered for good long before the kill, and is found out by that.
        """
        last = self._calls[-1] if self._calls else None
        if self._line.reason != ABANDONED:
            return f"fault: {last['fault']}" if last is not None and last["fault"] in AMBIGUOUS else None
        held = [*self._held, *self._begun]
        kill = next((kill for kill, attempts in held if attempts == self._line.attempts), None)
        if kill is None:
            return None
        has_all = len(self._calls) == self._line.attempts
        if last is None or (_is_undone(last) and last["ended"] < kill.before and not has_all):
            return "kill: not on the wire yet"
        if last["ended"] >= kill.before:
            return "kill: on the wire" if last["arrived"] <= kill.after + SOON else None
        self.delay = kill.before - last["ended"]
        return "kill: answered, not written down yet" if self.delay <= SOON else None

    def _may_be_written(self, kill: Kill) -> bool:
        """Whether the answer may be in the last commit, which nobody saw."""
        calls = [call for call in self._calls if call["arrived"] <= kill.after]
        return kill.is_shared and bool(calls) and calls[-1]["ended"] <= kill.after


def _is_undone(call: Mapping[str, Any]) -> bool:
    """Whether the answer says that nothing was done, for no reason of the row."""
    return bool(call["status"] == 429)
