"""What a journal holds and every change that it can make, on an open SQLite database.

No file, no lock, no thread and no transaction is made here: the journals (`journal.py`, `sqlite.py`) call these methods
inside a transaction of theirs. A method that raises `JobError` has written nothing.
"""

from __future__ import annotations

import secrets
import sqlite3
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

import attrs
import orjson

from ..errors import JobError, LeaseLostError
from ..operation import UsagePlan
from . import lease
from .identity import Identity, body_bytes, digest, digests, resolve
from .row import LATE, TRANSITIONS, Admission, Move, Row, State, Stored, admit

__all__ = [
    "ABANDONED",
    "SCHEMA_VERSION",
    "Admitted",
    "Claim",
    "Count",
    "JobRecord",
    "Ledger",
    "Outcomes",
    "Owner",
    "PlanNote",
    "ReasonCount",
    "Run",
    "Step",
    "create",
    "migrate",
    "queries",
]

SCHEMA_VERSION = 3

APPLICATION_ID = 0x73704A31
"""In the header of the file from version 2 on: "spJ1"."""

ABANDONED = "the program ended, or slept, while the message was under way"


@attrs.frozen(kw_only=True)
class Run:
    """The part of a job that one selling partner has in one kind.

    Args:
        number: The journal's number for the job.
        selling_partner: The digest under which the journal knows the selling partner.
        kind: The kind of the rows.
        label: What people see for the selling partner; "" when it was given none.
    """

    number: int
    selling_partner: str
    kind: str
    label: str = attrs.field(default="", eq=False)


@attrs.frozen(kw_only=True)
class Admitted:
    """What became of a row that was added.

    Args:
        admission: What became of it.
        stored: The row as the journal has it.
        is_known: Whether it was in the same job before.
    """

    admission: Admission
    stored: Row
    is_known: bool = False


@attrs.frozen(kw_only=True)
class JobRecord:
    """A job as the journal knows it.

    Args:
        number: The journal's number for it, from 1.
        name: A name that it was given; "" for none.
        source: Where its rows came from, as in `messages.csv`.
        options: What it takes to go on with it, as it was given.
        begun: The moment of its beginning, in seconds since 1970.
        ended: The moment from which on no row of it waited; None while some do.
        loaded: The moment when its source was read to its end; None before, and where that is not known.
        rejected: So many lines of the source never became rows.
        is_open: Whether a process has it open now; where files cannot be locked, it may have died with it a minute ago.
        runs: Who sells what in it.
    """

    number: int
    name: str
    source: str
    options: Mapping[str, Any]  # JSON, whose values may be anything that JSON has
    begun: float
    ended: float | None
    loaded: float | None
    rejected: int
    is_open: bool
    runs: Sequence[Run]


@attrs.frozen(kw_only=True)
class Count:
    """How many rows of a job, of one selling partner and kind, are in a state."""

    selling_partner: str
    kind: str
    state: State
    count: int


@attrs.frozen(kw_only=True)
class Outcomes:
    """How many rows of a job, of one selling partner and kind, got an outcome in an interval.

    Args:
        since: Its beginning, in seconds since 1970.
        selling_partner: The digest of the selling partner.
        kind: The kind.
        state: The outcome.
        count: How many.
    """

    since: float
    selling_partner: str
    kind: str
    state: State
    count: int


@attrs.frozen(kw_only=True)
class ReasonCount:
    """How many rows of a job, of one selling partner and kind, were refused or are in doubt for a reason."""

    selling_partner: str
    kind: str
    state: State
    reason: str
    count: int


@attrs.frozen(kw_only=True)
class PlanNote:
    """The usage plan of the sending operation from a moment on.

    Args:
        moment: In seconds since 1970.
        selling_partner: The digest of the selling partner.
        kind: The kind of the rows.
        rate: Requests a second.
        burst: The most at once.
    """

    moment: float
    selling_partner: str
    kind: str
    rate: float
    burst: float


@attrs.frozen(kw_only=True)
class Owner:
    """A process that works on a journal.

    Args:
        id: The journal's number for it.
        host: The machine it runs on.
        pid: Its process id there.
        lock: The file that it holds locked, beside the journal; None where files cannot be locked.
        until: The end of its lease, in seconds since 1970.
    """

    id: int
    host: str
    pid: int
    lock: str | None
    until: float


@attrs.define
class Step:
    """A move that is asked for; see `Journal.move`."""

    row: Row
    move: Move
    reason: str = ""
    request_id: str | None = None
    not_before: float = 0.0


@attrs.define
class Claim:
    """Rows that are asked for; see `Journal.claim`."""

    run: Run
    limit: int
    most: int | None = None
    since: float = 0.0


_HAS_BULK = sqlite3.sqlite_version_info >= (3, 38)
"""Whether SQLite knows UPDATE ... FROM, and JSON in every build."""

_CHUNK = 1000
"""Rows that `Ledger.each` reads at once."""

_TOGETHER = 100
"""Claims whose rows are in the memory as one text."""


def _of_different_parts(claims: Sequence[Claim]) -> Sequence[Claim]:
    """Return the claims from the first one on until a part comes again: it gets what the first left."""
    parts: set[tuple[str, str]] = set()
    for n, claim in enumerate(claims):
        part = claim.run.selling_partner, claim.run.kind
        if part in parts:
            return claims[:n]
        parts.add(part)
    return claims


def _claimed(
    run: Run,
    id_: int,
    number: int,
    order_id: str,
    key: str,
    body: Mapping[str, str],
    attempts: int,
    request_id: str | None,
    not_before: float,
) -> Row:
    return Row(
        id=id_,
        number=number,
        kind=run.kind,
        order_id=order_id,
        key=key,
        body=body,
        state=TRANSITIONS[State.READY, Move.CLAIM],
        attempts=attempts,
        request_id=request_id,
        selling_partner=run.selling_partner,
        not_before=not_before,
    )


def _request_id(step: Step) -> str | None:
    return step.request_id or step.row.request_id


class Ledger:
    """The rows of bulk jobs in a database, for one owner.

    Args:
        connection: An open database that holds a journal. Its `row_factory` is `sqlite3.Row`.
        clock: The wall clock, in seconds since 1970.
        ticks: A clock that nobody can set, in seconds.
        is_gone: Says of another owner whether it is certainly dead.
        keep_bodies: Keep the texts of rows that are settled.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        clock: Callable[[], float],
        ticks: Callable[[], float],
        is_gone: Callable[[Owner], bool],
        keep_bodies: bool = False,
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._ticks = ticks
        self._is_gone = is_gone
        self._keep_bodies = keep_bodies
        self._queries = queries()
        self._salt: bytes = self._do("get_salt").fetchone()[0]
        self._self: Mapping[str, object] = {}
        self._owner = 0
        self._job: int | None = None
        self._until = 0.0
        self._watched: dict[int, tuple[float, float]] = {}
        self._looked = float("-inf")
        self._has_tried = False
        """Whether a row was given back that this owner leaves to others."""
        self.forget()

    def undone(self) -> None:
        """Forget what a transaction that was rolled back may have told, our own number as an owner too.

        Another process may be given that number by now, so the next transaction must ask whether it is ours.
        """
        self._until = 0.0
        self.forget()

    def forget(self) -> None:
        """Forget what is only remembered of the database."""
        self._digests: dict[int, str] = {}
        self._ids: dict[str, int] = {}
        self._bound: set[int] = set()

    # --- who works on it

    def enter(self, *, host: str, pid: int, lock: str | None) -> None:
        """Become an owner."""
        self._self = {"host": host, "pid": pid, "lock": lock}
        self._become()

    def _become(self) -> None:
        until = self._clock() + lease.LEASE
        values = {**self._self, "job": self._job, "until": until}
        self._owner = self._do("add_owner", values).lastrowid or 0
        self._until = until

    def renew(self) -> None:
        """Renew the lease if that is due. When it was taken from us we go on as another owner, with empty hands."""
        now = self._clock()
        if self._self and lease.needs_renewal(self._until, now):
            until = now + lease.LEASE
            if self._do("renew_owner", (until, self._owner)).rowcount:
                self._until = until
            else:
                self._become()

    def holds(self) -> bool:
        """Return whether our own lease is surely not over, without asking the database."""
        return self._clock() < self._until

    def leave(self) -> None:
        """Give back all that is in our hand and be no owner any more."""
        self._free(self._owner)
        self._self = {}

    def recover(self) -> int:
        """Take back what owners have in hand whose lease is over; return how many owners that were."""
        ticks = self._ticks()
        self._looked = ticks
        others = {record["id"]: record for record in self._all("other_owners", (self._owner,))}
        self._watched = {id_: seen for id_, seen in self._watched.items() if id_ in others}
        freed = 0
        for id_, record in others.items():
            until = record["until"]
            if self._watched.get(id_, (None,))[0] != until:
                self._watched[id_] = (until, ticks)
            if lease.is_over(until, self._clock(), ticks - self._watched[id_][1]) or self._is_gone(_owner(record)):
                self._free(id_)
                freed += 1
        return freed

    def _is_at_work(self, owner: Owner) -> bool:
        return not self._is_gone(owner) and (owner.lock is not None or self._clock() < owner.until)

    def _look_around(self) -> None:
        if self._ticks() - self._looked >= 1.0:
            self.recover()

    def _free(self, owner: int) -> None:
        for record in self._all("rows_of_owner", (owner,)):
            row = self._row(record)
            reason = ABANDONED if row.state is State.SENDING else ""
            self._put(row, row.after(Move.ABANDON, reason=reason, at=self._clock()), owner)
        self._do("remove_owner", (owner,))

    # --- jobs

    def start(
        self,
        identity: Identity,
        kind: str,
        *,
        same_selling_partner: bool,
        job: int | None,
        name: str,
        source: str,
        options: Mapping[str, Any],
        label: str,
    ) -> Run:
        """See `Journal.start`."""
        self.recover()
        mine = self._identify(identity, same_selling_partner)
        if job is None and source:
            job = self._do("open_job_of_source", (source, self._owner)).fetchone()[0]
        now = self._clock()
        if job is None:
            job = self._do("add_job", (name, source, orjson.dumps(dict(options)).decode(), now)).lastrowid or 0
        elif not self._do("reopen_job", (job,)).rowcount:
            raise JobError(f"the journal has no job {job}")
        id_ = self._id_of(mine)
        if label:
            self._do("label_selling_partner", {"label": label, "id": id_})
        else:
            label = self._do("label_of_selling_partner", (id_,)).fetchone()[0]
        self._do("add_part", (job, id_, kind))
        if self._has_tried:
            values = {"job": job, "selling_partner": id_, "kind": kind, "owner": self._owner}
            self._do("forget_tries", values)
        self._job = job
        self._do("owner_works_at", (job, self._owner))
        return Run(number=job, selling_partner=mine, kind=kind, label=label)

    def loaded(self, run: Run, rejected: int) -> None:
        """See `Journal.loaded`."""
        self._do("job_is_loaded", (self._clock(), rejected, run.number))

    def note_plan(self, run: Run, plan: UsagePlan) -> None:
        """See `Journal.note_plan`."""
        self._do("add_plan", {**self._part(run), "moment": self._clock(), "rate": plan.rate, "burst": plan.burst})

    def _identify(self, identity: Identity, same: bool) -> str:
        token, named = digests(self._salt, identity)
        mine = self._resolve(token, named, same)
        if identity.refresh_token:
            self._do("note_token", {"digest": mine, "token": token})
        return mine

    def _resolve(self, token: str, named: str | None, same: bool) -> str:
        mine = named or token
        record = self._do("selling_partner_of_digest", (mine,)).fetchone()
        if record is not None and record["is_bound"]:
            return mine
        mine, adopted = self.resolve(token, named, same=same)
        if adopted:
            of_adopted = self._id_of(adopted)
            if record is not None:  # it stood beside the other, with nothing done for it
                move = {"from": record["id"], "to": of_adopted}
                for query in ("drop_rows_of_both", "adopt_rows", "adopt_parts", "adopt_plans"):
                    self._do(query, move)
                self._do("forget_selling_partner", (record["id"],))
            values = {"id": of_adopted, "digest": mine, "is_named": named is not None}
            self._do("name_selling_partner", values)
            self.forget()
        elif record is None and mine == (named or token):
            self._do("add_selling_partner", (mine, named is not None))
        return mine

    def jobs(self) -> Sequence[JobRecord]:
        """See `Journal.jobs`."""
        owners = [(record["job"], _owner(record)) for record in self._all("other_owners", (None,))]
        open_jobs = {job for job, owner in owners if self._is_at_work(owner)}
        return [
            JobRecord(
                number=record["number"],
                name=record["name"],
                source=record["source"],
                options=orjson.loads(record["options"]),
                begun=record["begun"],
                ended=record["ended"],
                loaded=record["loaded"],
                rejected=record["rejected"],
                is_open=record["number"] in open_jobs,
                runs=[
                    Run(
                        number=record["number"],
                        selling_partner=part["digest"],
                        kind=part["kind"],
                        label=part["label"],
                    )
                    for part in self._all("parts", (record["number"],))
                ],
            )
            for record in self._all("jobs")
        ]

    # --- rows

    def add(self, run: Run, rows: Iterable[Row], retry_refused: bool) -> Sequence[Admitted]:
        """See `Journal.add`."""
        admitted = [self._add(run, row, retry_refused) for row in rows]
        if any(each.admission.is_waiting for each in admitted):
            self._do("job_waits", (run.number,))
        return admitted

    def _add(self, run: Run, row: Row, retry_refused: bool) -> Admitted:
        whose = row.selling_partner or run.selling_partner
        name = (self._id_of(whose), run.kind, row.order_id, row.key)
        body = body_bytes(row.body)
        content = digest(self._salt, body)
        text = body.decode()
        cursor = self._do("add_row", (*name, run.number, row.number, row.not_before, content, text))
        if cursor.rowcount == 1:
            kept = attrs.evolve(row, id=cursor.lastrowid or 0, kind=run.kind, selling_partner=whose)
            return Admitted(admission=Admission.NEW, stored=kept)
        record = self._do("find_row", name).fetchone()
        stored = Stored(row=self._row(record), digest=record["digest"], run=record["job"])
        admission = admit(stored, content, run.number, row.number, retry_refused)
        kept = stored.row
        if admission.is_waiting:
            kept = attrs.evolve(
                row, id=kept.id, kind=run.kind, selling_partner=kept.selling_partner, attempts=kept.attempts
            )
            values = {"job": run.number, "number": row.number, "not_before": row.not_before, "id": kept.id}
            self._do("renew_row", {**values, "body": text, "digest": content})
        elif admission not in (Admission.REPEATED, Admission.IN_HAND):
            kept = attrs.evolve(kept, number=row.number)
            if (stored.run, stored.row.number) != (run.number, row.number):
                self._do("touch_row", {"job": run.number, "number": row.number, "id": kept.id})
        return Admitted(admission=admission, stored=kept, is_known=stored.run == run.number)

    def claim_all(self, claims: Sequence[Claim]) -> Sequence[Sequence[Row] | JobError]:
        """Make many claims, and return what each of them came to; see `Journal.claim`."""
        done: list[Sequence[Row] | JobError] = []
        if claims:
            self._look_around()
        start = 0
        while start < len(claims):
            together = _of_different_parts(claims[start : start + _TOGETHER])
            done.extend(self._claim(together))
            start += len(together)
        return done

    def _claim(self, claims: Sequence[Claim]) -> Sequence[Sequence[Row] | JobError]:
        """Make claims of different parts: those of the same limit by one query, as in `move_all`."""
        done: dict[int, Sequence[Row] | JobError] = {}
        of_limit: defaultdict[int, list[int]] = defaultdict(list)
        for n, claim in enumerate(claims):
            try:
                of_limit[self._limit(claim)].append(n)
            except JobError as error:
                done[n] = error
        taken: list[int] = []
        for limit, numbers in of_limit.items():
            for n, rows in zip(numbers, self._ready([claims[n].run for n in numbers], limit), strict=True):
                done[n] = rows
                taken.extend(row.id for row in rows)
        self._take(taken)
        return [done[n] for n in range(len(claims))]

    def _limit(self, claim: Claim) -> int:
        """Return how many rows a claim may take."""
        if claim.most is None:
            self._id_of(claim.run.selling_partner)  # it raises for one that is unknown by now
            return claim.limit
        taken = self.in_hand(claim.run) + self.sent_since(claim.run, claim.since)
        return max(min(claim.limit, claim.most - taken), 0)

    def _ready(self, runs: Sequence[Run], limit: int) -> Sequence[Sequence[Row]]:
        """Return the rows that claims take, as they stand after it."""
        parts = orjson.dumps([[run.number, self._id_of(run.selling_partner), run.kind] for run in runs]).decode()
        values = {"parts": parts, "now": self._clock(), "owner": self._owner, "limit": limit}
        found = orjson.loads(self._do("ready_rows", values).fetchone()[0])
        return [[_claimed(run, *columns) for columns in rows] for run, rows in zip(runs, found, strict=True)]

    def _take(self, ids: Sequence[int]) -> None:
        if ids:
            self._do("claim_rows", {"ids": orjson.dumps(ids).decode(), "owner": self._owner})

    def move_all(self, steps: Sequence[Step]) -> Sequence[Row | JobError]:
        """Make many moves, and return what each of them came to; see `Journal.move`.

        The two moves of a row that is sent are made for all such rows by one statement each: one call into SQLite
        instead of hundreds, between any two of which the event loop would take the interpreter.
        """
        done: dict[int, Row | JobError] = {}
        if _HAS_BULK:
            begun: dict[int, list[int]] = {}
            accepted: list[int] = []
            for n, step in enumerate(steps):
                if step.move is Move.BEGIN and step.row.state is State.CLAIMED:
                    begun.setdefault(step.row.attempts, []).append(n)
                elif step.move is Move.ACCEPT and step.row.state is State.SENDING and not step.reason:
                    accepted.append(n)
            for attempts, numbers in begun.items():
                ids = orjson.dumps([steps[n].row.id for n in numbers]).decode()
                values: dict[str, object] = {"ids": ids, "attempts": attempts, "owner": self._owner}
                done |= self._move_bulk("begin_rows", values, steps, numbers)
            rows = [(steps[n].row.id, steps[n].row.attempts, _request_id(steps[n])) for n in accepted]
            values = {"rows": orjson.dumps(rows).decode(), "owner": self._owner, "keep_body": self._keep_bodies}
            now = self._clock()
            done |= self._move_bulk("accept_rows", {**values, "settled": now}, steps, accepted, now)
        for n, step in enumerate(steps):
            if n not in done:
                try:
                    done[n] = self.move(
                        step.row,
                        step.move,
                        reason=step.reason,
                        request_id=step.request_id,
                        not_before=step.not_before,
                    )
                except JobError as error:
                    done[n] = error
        return [done[n] for n in range(len(steps))]

    def _move_bulk(
        self,
        query: str,
        values: Mapping[str, object],
        steps: Sequence[Step],
        numbers: Sequence[int],
        at: float | None = None,
    ) -> Mapping[int, Row]:
        """Make moves by one statement; if one of them is not as it should be, none is made."""
        if len(numbers) < 2:
            return {}
        self._connection.execute("SAVEPOINT moves")
        is_made = self._do(query, values).rowcount == len(numbers)
        if not is_made:
            self._connection.execute("ROLLBACK TO moves")
        self._connection.execute("RELEASE moves")
        if not is_made:
            return {}
        moved = {
            n: steps[n].row.after(steps[n].move, request_id=steps[n].request_id, at=at, keep_body=self._keep_bodies)
            for n in numbers
        }
        for selling_partner in {row.selling_partner for row in moved.values()}:
            self._bind(selling_partner)
        return moved

    def move(
        self, row: Row, move: Move, *, reason: str = "", request_id: str | None = None, not_before: float = 0.0
    ) -> Row:
        """See `Journal.move`."""
        owner = self._owner if row.state.is_held else None
        moved = self._after(row, move, reason, request_id)
        if move is Move.RELEASE:
            moved = attrs.evolve(moved, not_before=not_before)
        if moved.state is State.READY and not (row.body or self._has_body(row)):
            raise JobError(f"line {row.number}: the journal has no text of the row; run its file again")
        tried_by = None
        if move is Move.RELEASE:
            tried_by, self._has_tried = self._owner, True
        if self._is_put(row, moved, owner, tried_by):
            return moved
        return self._move_late(row, move, reason, request_id)

    def _after(self, row: Row, move: Move, reason: str, request_id: str | None, *, is_late: bool = False) -> Row:
        return row.after(
            move,
            reason=reason,
            request_id=request_id,
            at=self._clock(),
            is_late=is_late,
            keep_body=self._keep_bodies,
        )

    def _has_body(self, row: Row) -> bool:
        record = self._do("get_row", (row.id,)).fetchone()
        return record is not None and record["body"] is not None

    def _move_late(self, row: Row, move: Move, reason: str, request_id: str | None) -> Row:
        """Somebody else moved the row first: make of an exchange of ours what `LATE` says."""
        record = self._do("get_row", (row.id,)).fetchone()
        if record is not None and row.state is State.SENDING and record["attempts"] == row.attempts:
            stored = self._row(record)
            if (stored.state, move) not in LATE:
                return stored
            moved = self._after(stored, move, reason, request_id, is_late=True)
            return self._put(stored, moved, record["owner"])
        raise LeaseLostError(f"line {row.number}: somebody else moved the row first; it is not in this process's hand")

    def release(self, run: Run) -> None:
        """See `Journal.release`."""
        values = (self._owner, run.number, self._id_of(run.selling_partner), run.kind)
        for record in self._all("rows_in_hand", values):
            row = self._row(record)
            self._put(row, row.after(Move.RELEASE), self._owner)
        self._do("end_job", {"job": run.number, "now": self._clock()})

    def defer(self, rows: Sequence[Row], until: float) -> None:
        """See `Journal.defer`."""
        ids = orjson.dumps([row.id for row in rows]).decode()
        self._do("defer_rows", {"ids": ids, "until": until, "owner": self._owner})

    def held(self, run: Run) -> int:
        """See `Journal.held`."""
        self._look_around()
        values = (self._owner, run.number, self._id_of(run.selling_partner), run.kind)
        count: int = self._do("count_in_other_hands", values).fetchone()[0]
        return count

    def in_hand(self, run: Run) -> int:
        """See `Journal.in_hand`."""
        count: int = self._do("count_in_hand", self._part(run)).fetchone()[0]
        return count

    def next_attempt(self, run: Run) -> float | None:
        """See `Journal.next_attempt`."""
        values = (run.number, self._id_of(run.selling_partner), run.kind, self._clock())
        moment: float | None = self._do("next_attempt", values).fetchone()[0]
        return moment

    def find(self, selling_partner: str, row: Row) -> Stored | None:
        """Return what is known of a row that a source brings."""
        record = self._do("selling_partner_of_digest", (selling_partner,)).fetchone()
        if record is not None:
            record = self._do("find_row", (record["id"], row.kind, row.order_id, row.key)).fetchone()
        if record is None:
            return None
        return Stored(row=self._row(record), digest=record["digest"], run=record["job"])

    def resolve(self, token: str, named: str | None, *, same: bool) -> tuple[str, str | None]:
        """Decide under which digest a selling partner's rows stand; see `identity.resolve`."""
        known = {record["digest"]: bool(record["is_named"]) for record in self._all("bound_selling_partners")}
        last = self._do("named_selling_partner_of_token", (token,)).fetchone()["digest"]
        return resolve(known, token, named, same, last)

    @property
    def salt(self) -> bytes:
        """What the digests of this journal are made with."""
        return self._salt

    # --- queries

    def count(self, run: Run) -> Mapping[State, int]:
        """See `Journal.count`."""
        counts = self._all("count_rows_of_part", self._part(run))
        return {State(record["state"]): record["count"] for record in counts if record["count"]}

    def counts(self, job: int) -> Sequence[Count]:
        """See `Journal.counts`."""
        return [
            Count(
                selling_partner=self._digest_of(record["selling_partner"]),
                kind=record["kind"],
                state=State(record["state"]),
                count=record["count"],
            )
            for record in self._all("count_rows", {"job": job})
        ]

    def rows(self, run: Run, state: State) -> Sequence[Row]:
        """See `Journal.rows`."""
        values = (run.number, self._id_of(run.selling_partner), run.kind, state)
        query = "settled_rows_in_state" if state.is_settled else "rows_in_state"
        return [self._row(record) for record in self._all(query, values)]

    def doubts(self, job: int) -> Sequence[Row]:
        """See `Journal.doubts`."""
        return [self._row(record) for record in self._all("doubts", (job,))]

    def outcomes(self, job: int, width: float, since: float = 0.0) -> Sequence[Outcomes]:
        """See `Journal.outcomes`; of a live screen only those since a moment."""
        return [
            Outcomes(
                since=record["since"],
                selling_partner=self._digest_of(record["selling_partner"]),
                kind=record["kind"],
                state=State(record["state"]),
                count=record["count"],
            )
            for record in self._all("outcomes", {"job": job, "width": width, "from": since})
        ]

    def reasons(self, job: int) -> Sequence[ReasonCount]:
        """See `Journal.reasons`."""
        return [
            ReasonCount(
                selling_partner=self._digest_of(record["selling_partner"]),
                kind=record["kind"],
                state=State(record["state"]),
                reason=record["reason"],
                count=record["count"],
            )
            for record in self._all("reasons", (job,))
        ]

    def plans(self, job: int) -> Sequence[PlanNote]:
        """See `Journal.plans`."""
        return [
            PlanNote(
                moment=record["moment"],
                selling_partner=record["digest"],
                kind=record["kind"],
                rate=record["rate"],
                burst=record["burst"],
            )
            for record in self._all("plans", (job,))
        ]

    def each(self, job: int) -> Iterator[Row]:
        """Yield all rows of a job, in the order of their lines, without holding them in memory.

        Which rows those are is settled at the first one; each is as it stands when it is read, a thousand at a time.
        One transaction for all of them would keep the log of a running job from being copied into the file.
        """
        ids = array("q", (record[0] for record in self._do("ids_of_job", (job,))))
        for start in range(0, len(ids), _CHUNK):
            chunk = orjson.dumps(ids[start : start + _CHUNK].tolist()).decode()
            yield from [self._row(record) for record in self._all("rows_of_ids", (chunk,))]

    def marketplaces_of_next(self, job: int) -> Sequence[str]:
        """Return the marketplaces of the rows of the job that wait; of the first of them, if they are many."""
        return [record["marketplace_id"] for record in self._all("marketplaces_of_next", (job,))]

    def refused(self, job: int, limit: int) -> Sequence[Row]:
        """Return the first refused rows of a job, in the order of their lines."""
        return [self._row(record) for record in self._all("refused_rows", (job, limit))]

    def sent_since(self, run: Run, moment: float) -> int:
        """See `Journal.sent_since`."""
        values = (self._id_of(run.selling_partner), run.kind, moment)
        count: int = self._do("count_settled_since", values).fetchone()[0]
        return count

    # --- the database

    def _put(self, old: Row, new: Row, owner: int | None) -> Row:
        """Write a move of a row that was read in this transaction."""
        if not self._is_put(old, new, owner):
            raise JobError(f"line {old.number}: the journal is damaged")
        return new

    def _is_put(self, old: Row, new: Row, owner: int | None, tried_by: int | None = None) -> bool:
        """Write a move; return whether the row stood where it should."""
        values: dict[str, object] = {
            "id": old.id,
            "old": old.state,
            "old_attempts": old.attempts,
            "owner": owner,
            "state": new.state,
        }
        if new.state.is_held:
            if old.state.is_held:
                query = "step_row"
                values |= {"attempts": new.attempts, "reason": new.reason, "request_id": new.request_id}
            else:
                query = "claim_row"
                values["new_owner"] = self._owner
        elif new.state is State.READY:
            query = "free_row"
            values |= {"reason": new.reason, "request_id": new.request_id}
            values |= {"not_before": new.not_before, "tried_by": tried_by}
        else:
            query = "settle_row"
            values |= {"reason": new.reason, "request_id": new.request_id, "settled": new.settled}
            values["keep_body"] = self._keep_bodies or new.state.needs_body
        if self._do(query, values).rowcount != 1:
            return False
        if new.state is not State.READY and new.state is not State.CLAIMED:
            self._bind(new.selling_partner)
        elif old.state.is_settled:
            self._do("job_of_row_waits", (new.id,))
        return True

    def _part(self, run: Run) -> dict[str, object]:
        return {"job": run.number, "selling_partner": self._id_of(run.selling_partner), "kind": run.kind}

    def _bind(self, selling_partner: str) -> None:
        id_ = self._id_of(selling_partner)
        if id_ not in self._bound:
            self._do("bind_selling_partner", (id_,))
            self._bound.add(id_)

    def _id_of(self, selling_partner: str) -> int:
        id_ = self._ids.get(selling_partner)
        if id_ is None:
            record = self._do("selling_partner_of_digest", (selling_partner,)).fetchone()
            if record is None:
                raise JobError("the journal knows the selling partner of the rows under another name by now; run again")
            id_ = self._ids[selling_partner] = int(record["id"])
        return id_

    def _digest_of(self, id_: int) -> str:
        found = self._digests.get(id_)
        if found is None:
            found = self._digests[id_] = str(self._do("digest_of_selling_partner", (id_,)).fetchone()[0])
        return found

    def _row(self, record: sqlite3.Row) -> Row:
        return Row(
            id=record["id"],
            number=record["number"],
            kind=record["kind"],
            order_id=record["order_id"],
            key=record["key"],
            body=orjson.loads(record["body"]) if record["body"] is not None else {},
            state=State(record["state"]),
            attempts=record["attempts"],
            reason=record["reason"],
            request_id=record["request_id"],
            selling_partner=self._digest_of(record["selling_partner"]),
            not_before=record["not_before"],
            settled=record["settled"],
        )

    def _do(self, query: str, values: Mapping[str, object] | Sequence[object] = ()) -> sqlite3.Cursor:
        return self._connection.execute(self._queries[query], values)

    def _all(self, query: str, values: Mapping[str, object] | Sequence[object] = ()) -> Sequence[Any]:
        return self._do(query, values).fetchall()  # a record's values are what its column holds


def _owner(record: sqlite3.Row) -> Owner:
    return Owner(**{name: record[name] for name in attrs.fields_dict(Owner)})


def create(connection: sqlite3.Connection) -> None:
    """Make an empty database a journal, within the transaction that is open."""
    for statement in _statements("schema"):
        connection.execute(statement)
    connection.execute(queries()["set_salt"], (secrets.token_bytes(32),))
    _mark(connection)


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring a journal of an earlier version up to date, within the transaction that is open."""
    for statement in _statements(f"from_{version}"):
        connection.execute(statement, {"reason": ABANDONED} if ":reason" in statement else ())
    _mark(connection)


def _mark(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _statements(name: str) -> Sequence[str]:
    text = queries()[name]
    if name != "schema":
        tables = queries()["schema"].replace("CREATE TABLE setting", "CREATE TABLE IF NOT EXISTS setting")
        text = text.replace("{schema}", tables).replace("{{}}", "{}")
    return text.split(";\n")


def queries() -> Mapping[str, str]:
    """Read the queries of `journal.sql`, by name."""
    text = resources.files(__package__).joinpath("journal.sql").read_text(encoding="utf-8")
    parts: Iterable[str] = text.split("-- name: ")[1:]
    return {name.strip(): query.strip().rstrip(";") for name, _, query in (part.partition("\n") for part in parts)}
