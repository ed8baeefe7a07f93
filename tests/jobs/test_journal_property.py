"""Any interleaving of processes that claim, send, die, sleep, and whose clock is set: no row lost, none sent twice."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

import attrs
import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from spapi_async.errors import JobError, LeaseLostError
from spapi_async.jobs.journal import Identity, MemoryJournal, Run
from spapi_async.jobs.row import Move, Row, State

KIND = "confirmOrderDetails"
ROWS = 6
WHO = Identity(refresh_token="Atzr|one")

_T = TypeVar("_T")


@attrs.define
class Process:
    """A process, with the rows in its hand and those that it has on the wire, as it believes."""

    journal: MemoryJournal
    run: Run
    in_hand: list[Row] = attrs.field(factory=list)
    on_wire: list[tuple[Row, bool]] = attrs.field(factory=list)
    """Each with whether Amazon executes it."""


class Processes(RuleBasedStateMachine):
    """Up to three processes at a time on one journal."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.wall, self.ticks = 1_800_000_000.0, 0.0
        self.executed: Counter[int] = Counter()
        self.resent: Counter[int] = Counter()
        self.processes: list[Process] = []

    def do(self, work: Coroutine[Any, Any, _T]) -> _T:
        return self.loop.run(work)

    def open(self, run: Run | None) -> Process:
        clocks: Any = {"clock": lambda: self.wall, "ticks": lambda: self.ticks}
        beside = self.observer if run else None
        journal = MemoryJournal(beside, **clocks)
        job = run and run.number
        return Process(journal=journal, run=self.do(journal.start(WHO, KIND, job=job)))

    @initialize()
    def begin(self) -> None:
        self.observer: MemoryJournal | None = None
        first = self.open(None)
        self.observer, self.run_of = first.journal, first.run
        rows = [Row(number=n, kind=KIND, order_id=f"902-{n}", body={"text": "hello"}) for n in range(1, ROWS + 1)]
        self.do(first.journal.add(first.run, rows))
        self.processes = [self.open(self.run_of), self.open(self.run_of)]

    def pick(self, number: int) -> Process:
        return self.processes[number % len(self.processes)]

    @rule(who=st.integers(0, 2), limit=st.integers(1, 3))
    def claim(self, who: int, limit: int) -> None:
        process = self.pick(who)
        process.in_hand.extend(self.do(process.journal.claim(process.run, limit)))

    @rule(who=st.integers(0, 2), executes=st.booleans())
    def send(self, who: int, executes: bool) -> None:
        process = self.pick(who)
        if not process.in_hand:
            return
        row = process.in_hand.pop(0)
        try:
            row = self.do(process.journal.move(row, Move.BEGIN))
        except LeaseLostError:
            return
        process.on_wire.append((row, executes))
        self.executed[row.number] += executes

    @rule(who=st.integers(0, 2), is_clear=st.booleans(), is_refused=st.booleans())
    def answer(self, who: int, is_clear: bool, is_refused: bool) -> None:
        process = self.pick(who)
        if not process.on_wire:
            return
        row, executed = process.on_wire.pop(0)
        certain = Move.ACCEPT if executed else Move.REFUSE if is_refused else Move.UNSENT
        try:
            row = self.do(process.journal.move(row, certain if is_clear else Move.LOSE))
        except LeaseLostError:
            return
        if row.state is State.CLAIMED:
            process.in_hand.append(row)

    @rule(who=st.integers(0, 2))
    def give_back(self, who: int) -> None:
        process = self.pick(who)
        if process.in_hand:
            try:
                self.do(process.journal.move(process.in_hand.pop(0), Move.RELEASE))
            except LeaseLostError:
                return

    @rule(who=st.integers(0, 2))
    def drain(self, who: int) -> None:
        process = self.pick(who)
        self.do(process.journal.release(process.run))
        process.in_hand.clear()

    @rule(who=st.integers(0, 2))
    def kill(self, who: int) -> None:
        process = self.pick(who)
        process.journal.kill()
        self.processes.remove(process)
        self.processes.append(self.open(self.run_of))

    @rule(who=st.integers(0, 2))
    def look(self, who: int) -> None:
        self.do(self.pick(who).journal.recover())

    @rule(seconds=st.sampled_from([1.0, 20.0, 31.0, 61.0, 3600.0]))
    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.ticks += seconds

    @rule(seconds=st.sampled_from([-86400.0, -50.0, 50.0, 86400.0]))
    def set_the_clock(self, seconds: float) -> None:
        self.wall += seconds

    @rule(who=st.integers(0, 2), known=st.booleans())
    def decide(self, who: int, known: bool) -> None:
        """Take a row out of doubt: a person asks Seller Central, or has it resent without asking."""
        journal = self.pick(who).journal
        doubts = self.do(journal.doubts(self.run_of.number))
        if not doubts:
            return
        row = doubts[0]
        # Nobody can look it up while it may still be under way.
        is_over = row.number not in {sending.number for p in self.processes for sending, _ in p.on_wire}
        if known and is_over:
            self.do(journal.move(row, Move.CONFIRM if self.executed[row.number] else Move.REFUTE))
        else:
            self.resent[row.number] += 1
            self.do(journal.move(row, Move.RESEND))

    def states(self) -> dict[int, State]:
        assert self.observer
        found = {}
        for state in State:
            for row in self.do(self.observer.rows(self.run_of, state)):
                assert row.number not in found
                found[row.number] = state
        return found

    @invariant()
    def no_row_is_lost_and_none_is_sent_twice(self) -> None:
        if not self.processes:
            return
        states = self.states()
        assert set(states) == set(range(1, ROWS + 1))
        for number, state in states.items():
            assert self.executed[number] <= 1 + self.resent[number]
            if self.executed[number] and not self.resent[number]:
                assert state in (State.SENDING, State.SENT, State.IN_DOUBT)
            if state is State.SENT:
                assert self.executed[number]

    def teardown(self) -> None:
        """Kill them all: one that comes after them finds every row, and none in hand."""
        try:
            if self.processes and self.observer:
                for process in self.processes:
                    process.journal.kill()
                last = self.open(self.run_of)
                self.do(last.journal.recover())
                assert not {State.CLAIMED, State.SENDING} & set(self.states().values())
                self.no_row_is_lost_and_none_is_sent_twice()
                for row in self.do(last.journal.claim(last.run, ROWS)):
                    with pytest.raises(JobError):
                        self.do(self.processes[0].journal.move(row, Move.BEGIN))
        finally:
            self.loop.close()


Processes.TestCase.settings = settings(
    max_examples=int(os.environ.get("SPAPI_JOURNAL_EXAMPLES", "15")),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class TestProcesses(Processes.TestCase):  # type: ignore[name-defined, misc]  # made by hypothesis
    """No interleaving of two processes, kills, sleeps and clock steps loses a row or sends one twice."""
