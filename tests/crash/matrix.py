"""The crash matrix: jobs that are killed at random instants and started again until done, while Amazon misbehaves.

    python tests/crash/matrix.py --runs 200 [--seed N] [--rows N]

Each run has a source, a journal and a sandbox of its own. The sandbox is another process and lets calls go wrong by a
script that the seed decides: lost replies, resets, storms of 429 and of 5xx, slow answers. The job is the command
`spapi-async jobs run`, for one selling partner or for three, in one process or in two at once. It is killed by SIGKILL
while it starts, reads its source, sends, or ends, and started again, by the same command or by `jobs resume`, until it
says that it is done. Then `judge.py` looks at what is left.

A run in which the job was done before the kill is judged too, but not counted. Faults and settings of a run are
repeatable (`--seed N --first RUN --runs 1`); the instant of a kill depends on the machine besides.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from typing import Any

import attrs
from judge import ABANDONED, Fate, Judgement, Kill, Line, Violation, judge

from spapi_async import UsagePlan
from spapi_async.errors import JobError
from spapi_async.jobs.kinds import KINDS
from spapi_async.jobs.sqlite import open_read_only
from spapi_async.sandbox import Faults, SandboxProcess, start_process

PLAN = UsagePlan(rate=150, burst=30)
UPLOAD = "uploads_2020_11_01.create_upload_destination_for_resource"
PATIENCE = 90.0
"""Seconds that a job may take from a start to its end."""

MOST_STARTS = 40
DONE, NOT_DONE = (0, 1, 3), 2
"""Exit statuses of `jobs run`: every row has its outcome, or not."""

_PART = r"(?:SELLER\d: )?(?:messaging_v1|solicitations_v1|uploads_2020_11_01)\.[^;]*"
STOP = re.compile(rf"(stopped): (?:{_PART}; )+\d+ rows? waits?|(not every row got an answer)")
"""How a job ends early because of what the sandbox does: the operations that failed are named."""

CUTS = ("drop-before", "drop-after", "reset-before", "reset-after")
ERRORS = ("error-before:500", "error-before:503", "error-after:502", "error-after:504")
STORMS = {"429": ("throttle",), "5xx": ERRORS, "lost": CUTS, "slow": ("slow:0.2", "slow:0.4")}
SINGLE = (*CUTS, *ERRORS, "throttle", "slow:0.2")

_NEVER_SENT = ("000-0000403", "000-0000404", "000-0000503")
"""Orders for which the check says no, or nothing at all; the sandbox's reference has a list of such orders."""


# --- what a run is


@attrs.frozen(kw_only=True)
class Setting:
    """What the seed decides of a run."""

    kind: str
    fates: Mapping[str, Fate]
    sellers: Mapping[str, str]
    script: Mapping[str, Sequence[str]]
    concurrency: int
    processes: int
    latency: float
    jitter: float
    text: str
    kills: Sequence[tuple[str, float, float]]
    """For each kill the mode, how far the job shall be by then (from 0 to 1), and the seconds to wait then."""


def draw(chance: random.Random, rows: int) -> Setting:
    """Draw a run."""
    kind = chance.choice(["confirmOrderDetails"] * 4 + ["productReviewAndSellerFeedback", "invoice"])
    fates = {}
    for n in range(chance.randrange(rows // 2, rows + 1)):
        special = chance.choice(["403", "404", "410"]) if chance.random() < 0.04 else ""
        order_id = f"000-0000{special}-{n:07}" if special else f"902-0000006-{n:07}"
        fates[order_id] = Fate.REFUSED if special else Fate.SENT
    if chance.random() < 0.05:
        fates["000-0000503-0000000"] = Fate.STUCK
    most = chance.choice([1, 1, 3])
    sellers = {order_id: f"SELLER{n % most + 1}" for n, order_id in enumerate(fates)}
    storm = chance.choice(["", *STORMS])
    script = {
        KINDS[kind].operation.key: list(_weather(chance, len(fates), 0.08, storm)),
        # A failed check is made again after some tenths of a second: with more of them a run would wait and do little.
        KINDS[kind].check.key: list(_weather(chance, len(fates), 0.02, "")),
        UPLOAD: list(_weather(chance, len(fates), 0.02, "")),
    }
    kills = []
    for _ in range(chance.choice([1, 1, 1, 2, 2, 3, 5])):
        mode = chance.choice(["any", "reading", "sending", "sending", "sending", "ending"])
        delay = {"any": 1.5, "reading": 0.08, "sending": 0.05, "ending": 0.5}[mode]
        kills.append((mode, chance.uniform(0.0, 0.95), chance.uniform(0.0, delay)))
    latency = chance.choice([0.0, 0.01, 0.04])
    return Setting(
        kind=kind,
        fates=fates,
        sellers=sellers,
        script=script,
        concurrency=chance.choice([4, 16, 64]),
        processes=chance.choice([1, 1, 1, 2]),
        latency=latency,
        jitter=latency / 2,
        text="x" * chance.choice([10, 1900]),
        kills=sorted(kills, key=lambda kill: 1.0 if kill[0] == "ending" else kill[1]),
    )


def _weather(chance: random.Random, calls: int, likely: float, storm: str) -> Iterator[str]:
    """Say what becomes of the calls of an operation in turn: single faults, and now and then a storm."""
    left = 0
    for _ in range(calls):
        if storm and not left and chance.random() < 0.02:
            left = chance.randrange(5, 20)
        if left:
            left -= 1
            yield chance.choice(STORMS[storm]) if chance.random() < 0.7 else "ok"
        else:
            yield chance.choice(SINGLE) if chance.random() < likely else "ok"


# --- doing it


@attrs.define(kw_only=True)
class Outcome:
    """What became of a run."""

    number: int
    fates: Mapping[str, Fate]
    judgement: Judgement
    kills: Sequence[Kill]
    calls: Sequence[Mapping[str, Any]]
    lines: Mapping[str, Line]
    starts: int
    stops: Counter[str]
    violations: Sequence[Violation]
    seconds: float


class Drive:
    """One run."""

    def __init__(self, number: int, seed: int, rows: int, folder: Path) -> None:
        self._number = number
        self._chance = random.Random(f"{seed} {number}")
        self._setting = draw(self._chance, rows)
        self._folder = folder
        self._source, self._journal = folder / "messages.csv", folder / "messages.db"
        self._tokens = folder / "tokens.toml"
        self._has_several = len(set(self._setting.sellers.values())) > 1
        self._kind = KINDS[self._setting.kind]
        self._operations = [self._kind.check.key, self._kind.operation.key, UPLOAD]
        self._running: list[subprocess.Popen[str]] = []
        self._kills: list[Kill] = []
        self._starts = 0
        self._stops: Counter[str] = Counter()
        self._violations: list[Violation] = []
        self._is_done = False
        self._may_resume = False
        self._sandbox: SandboxProcess

    def run(self) -> Outcome:
        """Do it, and judge it."""
        setting, began = self._setting, time.monotonic()
        self._write_source()
        plans = dict.fromkeys(self._operations, PLAN)
        faults = Faults(script=setting.script)
        with start_process(plans=plans, faults=faults, latency=setting.latency, jitter=setting.jitter) as sandbox:
            self._sandbox = sandbox
            try:
                for mode, far, delay in setting.kills:
                    self._kill(mode, far, delay)
                self._finish()
            finally:
                for process in self._running:
                    process.kill()
                    process.communicate()
            calls = self._settled_calls()
            rows = _look(self._journal, self._folder).rows
            lines = {
                row["order_id"]: Line(state=row["state"], attempts=row["attempts"], reason=row["reason"])
                for row in rows
            }
            if len(rows) > len(lines):
                self._violations.append(Violation("invented", "", f"{len(rows)} rows are of {len(lines)} orders"))
            operation = self._kind.operation.key
            judgement = judge(setting.fates, setting.sellers, lines, calls, sandbox.messages(), self._kills, operation)
        return Outcome(
            number=self._number,
            fates=setting.fates,
            judgement=judgement,
            kills=self._kills,
            calls=calls,
            lines=lines,
            starts=self._starts,
            stops=self._stops,
            violations=[*judgement.violations, *self._violations],
            seconds=time.monotonic() - began,
        )

    def _write_source(self) -> None:
        further = {
            "confirmOrderDetails": {"text": self._setting.text},
            "invoice": {"attachments": "invoice.pdf"},
        }.get(self._setting.kind, {})
        if self._has_several:
            names = set(self._setting.sellers.values())
            self._tokens.write_text("".join(f'{name} = "Atzr|{name}"\n' for name in names), encoding="utf-8")
        (self._folder / "invoice.pdf").write_bytes(b"%PDF-1.7\n")
        with self._source.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(
                ["order_id", "marketplace_id", *further, *(["selling_partner"] if self._has_several else [])]
            )
            for order_id, seller in self._setting.sellers.items():
                whose = [seller] if self._has_several else []
                writer.writerow([order_id, "A1PA6795UKMFR9", *further.values(), *whose])

    def _start(self) -> None:
        self._starts += 1
        run = ["run", str(self._source), "--kind", self._setting.kind, "--journal", str(self._journal)]
        resume = ["resume", str(self._journal)]
        does_resume = self._may_resume and self._chance.random() < 0.5
        # A second process would find the source of the latest job being read, by the first one.
        self._may_resume = does_resume
        command = [
            *(sys.executable, "-m", "spapi_async", "jobs"),
            *(resume if does_resume else run),
            *("--concurrency", str(self._setting.concurrency)),
            *("--endpoint", self._sandbox.endpoint, "--lwa-endpoint", self._sandbox.lwa_endpoint),
            *(["--credentials", str(self._tokens)] if self._has_several else []),
        ]
        for operation in self._operations:
            command += ["--plan", f"{operation}={PLAN.rate}/{PLAN.burst}"]
        credentials = {"CLIENT_ID": "id", "CLIENT_SECRET": "secret", "REFRESH_TOKEN": "Atzr|SELLER1"}
        self._running.append(
            subprocess.Popen(
                command,
                env={**os.environ, **{f"SPAPI_{name}": value for name, value in credentials.items()}},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )

    def _kill(self, mode: str, far: float, delay: float) -> None:
        """Let the job come so far, and kill one of its processes; none if it is done before."""
        while not self._is_done:
            locks = self._locks()
            while len(self._running) < self._setting.processes:
                self._start()
            end = time.monotonic() + PATIENCE
            while not self._has_come(mode, far, locks) and self._is_alive():
                if time.monotonic() > end:
                    self._violations.append(Violation("hangs", "", f"it did not come to the kill while {mode}"))
                    return
                time.sleep(0.005)
            time.sleep(delay)
            if self._is_alive():
                self._strike()
                return
            self._collect()

    def _has_come(self, mode: str, far: float, locks: int) -> bool:
        """Whether the job is where it shall be when it is killed."""
        if mode == "any":
            return True
        if mode == "reading":  # a process that opens the journal locks a file beside it
            return self._locks() > locks
        statuses = self._sandbox.requests()["operations"].get(self._kind.operation.key, {})
        sent = sum(n for status, n in statuses.items() if status != "429")
        wanted = sum(not order_id.startswith(_NEVER_SENT) for order_id in self._setting.fates)
        return bool(sent >= (wanted - 2 if mode == "ending" else far * wanted))

    def _locks(self) -> int:
        return len(list(self._folder.glob("messages.db.*.lock")))

    def _is_alive(self) -> bool:
        return all(process.poll() is None for process in self._running)

    def _strike(self) -> None:
        """Kill the process that was started first, and look what it leaves, before another one takes that over."""
        victim = self._running.pop(0)
        wall, before = time.time(), time.monotonic()
        victim.send_signal(signal.SIGKILL)
        _, errors = victim.communicate()
        after = time.monotonic()
        if victim.returncode != -signal.SIGKILL:
            self._is_done = self._note(victim.returncode, errors)
            return
        left = _look(self._journal, None if self._running else self._folder)
        # One that still runs may be about to begin another job, whose source is read then.
        self._may_resume = left.is_loaded and not self._running
        held = [record for record in left.rows if record["pid"] == victim.pid]
        claimed = {record["order_id"]: record["attempts"] for record in held if record["state"] == "CLAIMED"}
        sending = {record["order_id"]: record["attempts"] for record in held if record["state"] == "SENDING"}
        known = {order_id for kill in self._kills for order_id in kill.sending}
        # With two processes, the other one may have been faster than our look.
        sending |= {
            record["order_id"]: record["attempts"]
            for record in left.rows
            if (record["state"], record["reason"]) == ("IN_DOUBT", ABANDONED)
            and record["settled"] >= wall
            and record["order_id"] not in known
        }
        is_open = any(record["settled"] is None for record in left.rows) or len(left.rows) < len(self._setting.fates)
        if not is_open:
            phase = "ending"
        elif held or sending:
            phase = "sending"
        else:
            phase = "reading" if victim.pid in left.owners else "starting"
        self._kills.append(
            Kill(
                before=before,
                after=after,
                sending=sending,
                phase=phase,
                claimed=claimed,
                is_shared=bool(self._running),
            )
        )

    def _finish(self) -> None:
        """Start the job again until it says that it is done."""
        while not self._is_done or self._running:
            if not self._running:
                if self._starts >= MOST_STARTS:
                    self._violations.append(Violation("never ends", "", f"not done after {self._starts} starts"))
                    return
                self._start()
            for process in self._running:
                try:
                    process.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    self._violations.append(Violation("hangs", "", f"it did not end within {PATIENCE:g} s"))
                    return
            self._collect()

    def _collect(self) -> None:
        """Note how processes ended by themselves: one may leave rows that another had counted on."""
        ended = [process for process in self._running if process.poll() is not None]
        self._running = [process for process in self._running if process not in ended]
        says_done = [self._note(process.returncode, process.communicate()[1]) for process in ended]
        if ended:
            self._is_done = all(says_done)

    def _note(self, status: int, errors: str) -> bool:
        """Note how a process ended by itself; return whether the job is done by what it says."""
        if "Traceback" in errors or status not in (*DONE, NOT_DONE):
            self._violations.append(Violation("crash", "", f"status {status}: {errors[-2000:]}"))
        if status != NOT_DONE:
            return status in DONE
        words = errors.strip().splitlines()[-1].removeprefix("spapi-async: ")
        stop = STOP.match(words)
        self._stops[stop[1] or stop[2] if stop else words] += 1
        if stop is None:
            self._violations.append(Violation("stopped", "", f"for a reason that the sandbox did not give: {words}"))
        waiting = {record["order_id"] for record in _look(self._journal, None).rows if record["settled"] is None}
        stuck = {order_id for order_id, fate in self._setting.fates.items() if fate is Fate.STUCK}
        return bool(stuck) and waiting == stuck

    def _settled_calls(self) -> Sequence[Mapping[str, Any]]:
        """Give the log when no call is under way any more: those of the dead go on for a while."""
        end = time.monotonic() + 10
        while True:
            calls = self._sandbox.calls()
            if all(call["ended"] is not None for call in calls):
                break
            if time.monotonic() > end:
                raise RuntimeError("calls of the sandbox do not end")
            time.sleep(0.05)
        if len(calls) == 10_000:
            raise RuntimeError("the sandbox's log is full: fewer --rows")
        return calls


@attrs.frozen
class Look:
    """What stands in a journal at a moment."""

    rows: Sequence[sqlite3.Row]
    owners: frozenset[int]
    """Process ids."""
    is_loaded: bool
    """Whether the source of the latest job was read to its end."""


def _look(journal: Path, folder: Path | None) -> Look:
    """Read a journal; with `folder` a copy made there, so that what was left is recovered by the next job and not here.

    A copy is right only while nobody writes.
    """
    nothing = Look([], frozenset(), False)
    if not journal.exists():
        return nothing
    if folder is not None:
        copy = folder / "copy" / journal.name
        shutil.rmtree(copy.parent, ignore_errors=True)
        copy.parent.mkdir()
        for suffix in "", "-wal":
            with suppress(FileNotFoundError):
                shutil.copy(f"{journal}{suffix}", f"{copy}{suffix}")
        journal = copy
    for attempt in count():
        try:
            connection, _ = open_read_only(journal)
            with closing(connection):
                rows = connection.execute("SELECT row.*, owner.pid FROM row LEFT JOIN owner ON owner.id = row.owner")
                jobs = connection.execute("SELECT loaded FROM job ORDER BY number").fetchall()
                owners = frozenset(pid for (pid,) in connection.execute("SELECT pid FROM owner"))
                return Look(rows.fetchall(), owners, bool(jobs) and jobs[-1]["loaded"] is not None)
        except (JobError, sqlite3.Error) as error:
            if "or empty" in str(error):  # killed before the first commit
                return nothing
            if attempt == 20:  # another process was about to open it
                raise
            time.sleep(0.02)
    raise AssertionError


# --- all of them


@attrs.define
class Total:
    """The counts of all runs."""

    runs: int = 0
    unkilled: int = 0
    starts: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    kills: Counter[str] = attrs.field(factory=Counter)
    faults: Counter[str] = attrs.field(factory=Counter)
    states: Counter[str] = attrs.field(factory=Counter)
    causes: Counter[str] = attrs.field(factory=Counter)
    stops: Counter[str] = attrs.field(factory=Counter)
    violations: Counter[str] = attrs.field(factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """Add a run."""
        self.runs += bool(outcome.kills)
        self.unkilled += not outcome.kills
        self.starts += outcome.starts
        self.seconds += outcome.seconds
        self.slowest = max(self.slowest, outcome.judgement.slowest)
        self.kills.update(kill.phase for kill in outcome.kills)
        self.faults.update(call["fault"] for call in outcome.calls if call["fault"])
        self.states.update(outcome.judgement.states)
        self.causes.update(outcome.judgement.causes)
        self.stops += outcome.stops
        self.violations.update(violation.rule for violation in outcome.violations)

    def table(self) -> Iterator[str]:
        """Write the counts as lines."""
        yield _line("runs, each killed at least once", self.runs)
        yield _line("further runs, done before the kill", self.unkilled)
        yield _line("starts of the job", self.starts)
        for title, counts in (
            ("kills", self.kills),
            ("faults", self.faults),
            ("rows", self.states),
            ("in doubt", self.causes),
            ("ends before it is done", self.stops),
        ):
            yield _line(title, counts.total())
            yield from (_line(f"  {name}", n) for name, n in sorted(counts.items()))
        yield _line("longest from an answer to a kill before it was written down, ms", round(self.slowest * 1000))
        yield _line("buyers with two messages", self.violations["double"])
        yield _line("rows lost", self.violations["lost"])
        yield _line("violations", self.violations.total())
        yield from (_line(f"  {name}", n) for name, n in sorted(self.violations.items()))


def _line(name: str, figure: int) -> str:
    return f"{name:<66}{figure:>8,}"


def main() -> int:
    """Do the runs, print the counts, and return 1 if something was violated."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200, help="runs that were killed at least once; default 200")
    parser.add_argument("--seed", type=int, help="default: a new one, which is printed")
    parser.add_argument("--rows", type=int, default=120, help="rows of a run at most; default 120")
    parser.add_argument("--first", type=int, default=0, metavar="RUN", help="number of the first run; default 0")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="runs at once; default 2")
    arguments = parser.parse_args()
    seed = random.randrange(1 << 30) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    total, began = Total(), time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="crash-"))
    numbers = count(arguments.first)
    pending: dict[Future[Outcome], int] = {}
    failed = False
    with ThreadPoolExecutor(arguments.jobs) as pool:
        while True:
            while not failed and total.runs + len(pending) < arguments.runs and len(pending) < arguments.jobs:
                number = next(numbers)
                own = folder / str(number)
                own.mkdir()
                pending[pool.submit(Drive(number, seed, arguments.rows, own).run)] = number
            if not pending:
                break
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                number = pending.pop(future)
                try:
                    outcome = future.result()
                except Exception:  # of the driver: it shall not take the counts of the others with it
                    traceback.print_exc()
                    print(f"run {number} of seed {seed} could not be judged")
                    failed = True
                    continue
                if outcome.violations and not total.violations:
                    _tell(outcome, seed, arguments.rows)
                total.add(outcome)
                if total.runs and total.runs % 20 == 0:
                    print(f"{total.runs} runs in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(*total.table(), sep="\n")
    print(_line("seconds", round(time.monotonic() - began)))
    if failed or total.violations:
        print(f"the journals of all runs are in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


def _tell(outcome: Outcome, seed: int, rows: int) -> None:
    """Print all that is known of the first violation of a run."""
    violation = outcome.violations[0]
    print(f"violated: {violation.rule}: order {violation.order_id or '-'}: {violation.words}")
    print(f"again: python tests/crash/matrix.py --runs 1 --rows {rows} --seed {seed} --first {outcome.number}")
    print(f"  journal: {outcome.lines.get(violation.order_id)}")
    for call in outcome.calls:
        if call["order_id"] == violation.order_id:
            went = f"{call['arrived']:.4f} to {call['ended']:.4f}"
            print(f"  call {went}: {call['operation']}: {call['status']} {call['fault']} lost: {call['is_lost']}")
    for kill in outcome.kills:
        attempts = kill.sending.get(violation.order_id)
        print(f"  kill while {kill.phase}: {kill.before:.4f} to {kill.after:.4f}; attempts if SENDING: {attempts}")


if __name__ == "__main__":
    sys.exit(main())
