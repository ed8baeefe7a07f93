"""A bulk job: rows of one or many selling partners, sent side by side, at most once each.

    async with Job(sp, kind="confirmOrderDetails", journal="messages.db") as job:
        await job.add(rows)
        async for outcome in job.run():
            print(outcome.order_id, outcome.state, outcome.reason)

Here is what belongs to the job as a whole; `lane` sends the rows of one selling partner.
"""

from __future__ import annotations

import inspect
import logging
import os
from collections import Counter, defaultdict, deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType, UnionType
from typing import Any, Self
from urllib.parse import urlsplit

import anyio
import attrs
import orjson
from anyio import lowlevel, to_thread
from anyio.abc import TaskGroup

from ..client import Application, SellingPartner
from ..config import check_kind
from ..errors import ConfigError, JobError, JobStoppedError
from ..hidden import hide
from .attachments import AttachmentFiles, InMemory, Uploader
from .doubt import SEEN, ask, can_tell
from .dry_run import DryRun
from .identity import Identity
from .journal import Admitted, Journal
from .kinds import Kind, find_kind
from .kinds.attachments import COLUMN as ATTACHMENTS
from .lane import Attach, Lane, Send
from .outcome import Added, Outcome, Rejection
from .row import Admission, Move, Row, State
from .source import Entry
from .source.columns import Columns, shown_name
from .source.mappings import entry_of
from .sqlite import SqliteJournal
from .summary import Pace, Tally
from .template import Templates
from .windows import Windows

__all__ = ["Job", "Running"]

_CHUNK = 500
"""Rows that are added in one transaction."""
_MOST_IN_HAND = 4_000
"""Rows in hand of all selling partners together: each is a task, and what it has under way is in the memory."""
_MOST_UNREAD = 1_000
"""Outcomes that wait for whoever iterates over them; no further rows are taken before they are fewer."""

Rows = Iterable[Mapping[str, Any] | Row | Entry] | AsyncIterable[Mapping[str, Any] | Row | Entry]
"""Rows: mappings of columns, whose values the columns check (so Any), or what `open_source` and `Kind.row` make."""
SellingPartners = Mapping[str, str] | Callable[[str], str | Awaitable[str | None] | None]
"""Refresh tokens by selling partner."""


class Job:
    """Sends rows, at most one message for each, and remembers in a journal what became of every one.

    Use it as an async context manager. Leaving the block, by an exception too, takes no further rows and gives the
    exchanges under way the grace; what was not sent waits in the journal. The same rows added again, by the same
    process or by another one, send only what was not sent.

    Args:
        client: Of the selling partner; or the application, if rows of many say in `selling_partner` whose they are.
        kind: Of the rows, as in `confirmOrderDetails`; see the table of kinds in the reference. May be left out with
            `number`.
        journal: The path of a SQLite file, which is made if it is not there; or an open journal, as a `MemoryJournal`.
        number: The job of the journal to go on with. Default: a new one.
        selling_partners: With an application: the refresh token of each value of `selling_partner`, as a mapping or a
            function (which may be async, and for whom it does not know gives None or raises `LookupError`). Best, the
            values are Amazon's selling partner ids: the journal knows a selling partner by them after it has authorised
            anew.
        name: Of a new job, for people.
        source: Where the rows of a new job come from. While a process works at a job of the same source, a second one
            shares that.
        options: What the journal keeps with a new job: anything that JSON has, and no secret.
        template: Makes the texts: one with `{column}` fields, or several by locale, "" for everybody.
        attachments: The folder where relative paths of attachments begin. Default: the working folder.
        windows: When rows may go out, and how many a day. Default: at any time.
        concurrency: Rows in hand at once, of each selling partner. Default 16; with more than 250 selling partners it
            is less, so that all together have at most 4,000.
        grace: Seconds that exchanges under way get when the job is left or drained. Default 10.
        keep_bodies: Keep the texts of rows that are settled. Default: they are dropped.
        dry_run: Do everything but sending. Amazon is asked for each order, no buyer gets anything, and the journal is
            only read: an outcome SENT means that the row would be sent.
        same_selling_partner: A person says that what the journal has under another refresh token is this one's too.
        on_outcome: Is called with each outcome, besides `run()`. An exception in it is logged and changes nothing.
        now: The time, with a zone.

    Attributes:
        number: The journal's number for the job; None before the first row was added.

    Raises:
        ConfigError: An argument is wrong.
        JobError: On entering: the journal cannot be used.
    """

    def __init__(
        self,
        client: SellingPartner | Application,
        *,
        kind: str | Kind | None = None,
        journal: Journal | str | os.PathLike[str],
        number: int | None = None,
        selling_partners: SellingPartners | None = None,
        name: str = "",
        source: str = "",
        options: Mapping[str, Any] | None = None,  # Any: JSON
        template: str | Mapping[str, str] | Templates | None = None,
        attachments: str | os.PathLike[str] = ".",
        windows: Windows | None = None,
        concurrency: int = 16,
        grace: float = 10.0,
        keep_bodies: bool = False,
        dry_run: bool = False,
        same_selling_partner: bool = False,
        on_outcome: Callable[[Outcome], object] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        check_kind(
            "client", isinstance(client, SellingPartner | Application), "a SellingPartner or Application", client
        )
        check_kind("kind", isinstance(kind, str | Kind | None), "the name of a kind", kind)
        # A journal of one's own is known by no class; what is often handed in by mistake is told.
        is_journal = isinstance(journal, str | os.PathLike) or hasattr(journal, "claim")
        check_kind("journal", is_journal, "the path of a file, or an open journal", journal)
        check_kind(
            "windows",
            isinstance(windows, Windows | None),
            'Windows(...) or Windows.parse("09:00-20:00", "Europe/Berlin", 500)',
            windows,
        )
        check_kind(
            "template", isinstance(template, str | Mapping | Templates | None), "text, or texts by locale", template
        )
        is_tokens = selling_partners is None or isinstance(selling_partners, Mapping) or callable(selling_partners)
        check_kind("selling_partners", is_tokens, "a mapping of refresh tokens, or a function", selling_partners)
        _check_number("concurrency", concurrency, int, 1)
        _check_number("grace", grace, int | float, 0)
        if inspect.iscoroutinefunction(on_outcome):
            raise ConfigError("on_outcome is called and not awaited: give a plain function, or iterate over run()")
        if isinstance(client, Application) != (selling_partners is not None):
            raise ConfigError(
                "selling_partners= belongs to an Application, whose rows name their selling partner: give both, or a "
                "SellingPartner and no selling_partners"
            )
        if kind is None and number is None:
            raise ConfigError("kind= is missing; it may be left out only with number=")
        if dry_run and number is not None:
            raise ConfigError("dry_run= looks at rows that are added, and at no job: leave number= out")
        _check_kept("name", name, "text in UTF-8")
        _check_kept("source", source, "text in UTF-8; give a file whose name is not another one")
        _check_kept("options", dict(options or {}), "what JSON has")
        self.number = number
        self._client = client
        self._application = client if isinstance(client, Application) else client._application
        self._kind = find_kind(kind, withdrawn=True) if isinstance(kind, str) else kind
        self._tokens = selling_partners
        self._name = name
        self._source = source
        self._start_options = options
        self._files = AttachmentFiles(Path(attachments))
        self._templates = template if isinstance(template, Templates | None) else _templates(template)
        self._windows = windows
        self._concurrency = concurrency
        self._grace = grace
        self._same = same_selling_partner
        self._on_outcome = on_outcome
        self._now = now
        self._region = self._application._config.known_region
        self._opens: SqliteJournal | None = None
        self._dry: DryRun | None = None
        if not isinstance(journal, str | os.PathLike):
            self._journal = journal
            if dry_run:
                raise ConfigError("dry_run= needs the path of a journal, which it only reads")
        elif dry_run:
            self._dry = DryRun(Path(journal))
            self._journal = self._dry.journal
        else:
            self._journal = self._opens = SqliteJournal(Path(journal), keep_bodies=keep_bodies)
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._unable: dict[str, str] = {}
        """Who has no refresh token, and why."""
        self._resumed: set[Lane] = set()
        """Those whose counts have the rows that an earlier run left."""
        self._owners: dict[str, str] = {}
        """Whose refresh token it is."""
        self._left: dict[str, int] = {}
        """How many of the rows that an earlier run left are theirs."""
        self._in_memory = InMemory()
        self._adding = anyio.Lock()
        self._added = 0
        self._rejected = 0
        self._pace = Pace()
        self._group: TaskGroup | None = None
        self._active: set[Lane] = set()
        self._share = concurrency
        """Rows in hand of each lane."""
        self._ended = anyio.Event()
        self._running: Running | None = None
        self._next: Running | None = None
        """The run that nobody waits for yet: it is the same one for all who will."""
        self._fault: Exception | None = None
        self._is_paused = False
        self._is_draining = False

    async def __aenter__(self) -> Self:
        if self._is_draining:
            raise JobError("a job is entered once: make another one, with number= to go on")
        if self._opens is not None:
            await self._opens.__aenter__()
        if self._dry is not None:
            self._dry.open()
        try:
            if self.number is not None:
                await self._go_on(self.number)
            self._group = anyio.create_task_group()
            await self._group.__aenter__()
        except BaseException as error:
            if self._opens is not None:
                await self._opens.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._group is not None
        group, self._group = self._group, None
        cancelled: BaseException | None = None
        try:
            with anyio.CancelScope(shield=True):  # it ends after the grace, whoever cancelled the block
                self.drain()
                while self._active:
                    try:
                        await self._ended.wait()
                    except anyio.get_cancelled_exc_class() as again:  # asyncio's own, which heeds no shield
                        cancelled = again
            await group.__aexit__(None, None, None)
            if cancelled is not None:
                raise cancelled
        finally:
            if self._opens is not None:
                await self._opens.__aexit__(kind, error, trace)
            if self._dry is not None:
                self._dry.close()

    # --- rows

    async def add(
        self,
        rows: Rows,
        *,
        retry_refused: bool = False,
        on_rejected: Callable[[Rejection], object] | None = None,
    ) -> Added:
        """Add rows. It may be called again, also while the job runs.

        A row that cannot be sent keeps no other one from being added, and is told with what is wrong and what helps.

        Args:
            rows: Mappings of the columns that the reference lists, as in `{"order_id": ..., "marketplace_id": ...,
                "text": ...}`; any number, from any iterable or async iterable.
            retry_refused: Try rows again that Amazon refused before.
            on_rejected: Is called with each row that breaks a rule, or is in the job or was refused already.

        Returns:
            How many rows met what, and the first hundred rejections.

        Raises:
            ConfigError: `rows` is no iterable of rows, as a single row or a file's name.
            JobError: The journal cannot be written.
            Exception: One of `rows` itself, or of `on_rejected`. Rows before it may be in the job already: add all
                again, which sends none twice.
        """
        if self._group is None:
            raise JobError("rows are added within `async with`")
        _check_rows(rows)
        adding = _Adding(retry_refused, on_rejected)
        async with self._adding:
            await self._add_all(rows, adding)
        return adding.added

    async def _add_all(self, rows: Rows, adding: _Adding) -> None:
        chunk: list[Row] = []
        columns = None
        async with aclosing(_each(rows)) as each:
            async for one in each:
                self._added += 1
                if not isinstance(one, Row | Entry):
                    columns = columns or self._columns()
                    one = entry_of(self._added, one, columns)
                entry = one if isinstance(one, Entry) else Entry(number=one.number, fields={}, row=one)
                if entry.row is not None and ATTACHMENTS in entry.row.body:
                    entry = await to_thread.run_sync(self._files.checked, entry)
                if entry.row is not None:
                    if self._kind is None or entry.row.kind != self._kind.name:
                        of = self._kind.name if self._kind else "none, since kind= is missing"
                        raise ConfigError(f"row {entry.number} is of kind {entry.row.kind}, the job of {of}")
                    chunk.append(entry.row)
                else:
                    self._reject(Rejection.of_entry(entry), adding)
                if len(chunk) == _CHUNK:
                    await self._add(chunk, adding)
                    chunk = []
                    await lowlevel.checkpoint_if_cancelled()  # the journal lets no write be cancelled, so here
                elif self._added % _CHUNK == 0:  # rows that break a rule wait for nothing
                    await lowlevel.checkpoint()
        await self._add(chunk, adding)

    async def loaded(self) -> None:
        """Say that the source was read to its end, so that `number=` can go on without it.

        Raises:
            JobError: The journal cannot be written.
        """
        lane = next(iter(self._lanes.values()), None)
        if lane is not None:
            await self._journal.loaded(lane.part, self._rejected)

    async def _add(self, rows: Sequence[Row], adding: _Adding) -> None:
        await self._enlist(dict.fromkeys((self._seller_of(row), row.kind) for row in rows))
        known: list[tuple[Row, Lane]] = []
        for row in rows:
            seller = self._seller_of(row)
            if (lane := self._lanes.get((seller, row.kind))) is not None:
                # Under the journal's name for who sells.
                known.append((attrs.evolve(row, selling_partner=lane.part.selling_partner), lane))
                continue
            cure = "mend the name, or give its refresh token"
            self._reject(Rejection.of_row(row, f"selling_partner: {self._unable[seller]}", cure), adding)
        if self._dry is not None:
            known = [
                (attrs.evolve(row, not_before=0.0), lane)  # nothing goes out, so it need not wait for its moment
                for row, lane in known
                if not self._is_known(row, lane, adding)
            ]
        if not known:
            return
        _, first = known[0]
        lanes = dict.fromkeys(lane for _, lane in known)
        for lane in lanes:
            lane.arriving += 1
        try:
            admitted = await self._journal.add(
                first.part, [row for row, _ in known], retry_refused=adding.retry_refused
            )
            rejections = [
                self._count(*each, outcome, adding.added) for each, outcome in zip(known, admitted, strict=True)
            ]
        finally:
            for lane in lanes:
                lane.arriving -= 1
        if self._running is not None:
            for lane in lanes:
                lane.wake()
                self._launch(lane)
        for rejection in rejections:  # last: it may raise
            if rejection is not None:
                adding.tell(rejection)

    def _reject(self, rejection: Rejection, adding: _Adding) -> None:
        """Count a row that breaks a rule, and tell it."""
        self._rejected += 1
        adding.added.rejected += 1
        adding.tell(rejection)

    def _count(self, row: Row, lane: Lane, admitted: Admitted, added: Added) -> Rejection | None:
        if admitted.is_known and (lane in self._resumed or admitted.admission is Admission.REOPENED):
            lane.tally.readmit(admitted.admission)
        else:
            lane.tally.admit(admitted.admission)
        lane.marketplaces.add(row.body["marketplace_id"])
        added.admissions[admitted.admission] += 1
        named = attrs.evolve(row, selling_partner=lane.part.label if self._tokens is not None else "")
        return Rejection.of_admission(named, admitted.admission, admitted.stored)

    def _is_known(self, row: Row, lane: Lane, adding: _Adding) -> bool:
        """Count a row that the journal of a dry run has settled."""
        assert self._dry is not None
        admitted = self._dry.admitted(row, retry_refused=adding.retry_refused)
        if admitted is None or admitted.admission.is_waiting:
            return False
        if rejection := self._count(row, lane, admitted, adding.added):
            adding.tell(rejection)
        return True

    def _seller_of(self, row: Row) -> str:
        return row.selling_partner if self._tokens is not None else ""

    def _columns(self) -> Columns:
        if self._kind is None:
            raise ConfigError("kind= is missing: it says what the rows are")
        sellers = self._tokens if isinstance(self._tokens, Mapping | None) else _Anybody()
        return Columns(
            self._kind,
            self._region,
            self._templates,
            selling_partners=sellers,
            not_before="not_before",
            zone=self._windows.zone if self._windows else None,
        )

    # --- who sells

    async def _go_on(self, number: int) -> None:
        """Take up the rows of an earlier run."""
        record = next((record for record in await self._journal.jobs() if record.number == number), None)
        if record is None:
            raise JobError(f"the journal has no job {number}")
        self._rejected = record.rejected
        parts = record.runs
        if self._tokens is None and len({part.selling_partner for part in parts}) > 1:
            raise ConfigError(f"job {number} is of several selling partners: give the refresh tokens of all")
        named = {(part.label if self._tokens is not None else "", part.kind): part for part in parts}
        left = await self._counts(number)
        await self._enlist(named)
        now = await self._counts(number)  # under the names that the parts have by now
        for (seller, kind), part in named.items():
            counts = left[part.selling_partner, kind]
            lane = self._lanes.get((seller, kind))
            if lane is None:
                if counts[State.READY]:
                    self._left[seller] = self._left.get(seller, 0) + counts[State.READY]
                continue
            lane.tally.resume(now[lane.part.selling_partner, kind])
            self._resumed.add(lane)
            if lane.tally.total < counts.total():
                raise JobError(f"job {number} is not of this selling partner, but of another one")

    async def _counts(self, number: int) -> defaultdict[tuple[str, str], Counter[State]]:
        """Count the rows of a job by who sells, kind and state; at once, since there may be a thousand who sell."""
        counts: defaultdict[tuple[str, str], Counter[State]] = defaultdict(Counter)
        for each in await self._journal.counts(number):
            counts[each.selling_partner, each.kind][each.state] += each.count
        return counts

    async def _enlist(self, parts: Iterable[tuple[str, str]]) -> None:
        """Make a lane for each selling partner and kind that has none yet; who cannot have one is noted."""
        new = [part for part in parts if part not in self._lanes and part[0] not in self._unable]
        while new and self.number is None:  # the first one makes the job
            await self._start(*new.pop(0))
        failures: list[Exception] = []

        async def start(seller: str, kind: str) -> None:
            try:
                await self._start(seller, kind)
            except Exception as error:  # kept out of the group, which would wrap it up
                failures.append(error)

        async with anyio.create_task_group() as group:  # together, since they share a commit then
            for part in new:
                group.start_soon(start, *part)
        if failures:
            raise failures[0]

    async def _start(self, seller: str, kind_name: str) -> None:
        kind = find_kind(kind_name, withdrawn=True)
        client = await self._partner(seller)
        if client is None:
            return
        identity = Identity(
            refresh_token=client._credentials.refresh_token or "", selling_partner_id=client.selling_partner_id
        )
        part = await self._journal.start(
            identity,
            kind.name,
            same_selling_partner=self._same,
            job=self.number,
            label=seller,
            name=self._name,
            source=self._source,
            options=self._start_options,
        )
        self.number = part.number
        send: Send = client.send
        attach: Attach = Uploader(client.send, client.transfer, self._files, self._in_memory)
        if self._dry is not None:
            self._dry.knows(part, identity)
            send, attach = self._dry.sends(kind, client.send), self._dry.attach
        self._lanes[seller, kind.name] = Lane(
            send,
            kind,
            self._journal,
            part,
            concurrency=self._share,
            grace=self._grace,
            windows=None if self._dry is not None else self._windows,  # no buyer is written to, so at any time
            region=self._region,
            on_outcome=self._tell,
            room=self._room,
            emit=self._application._emit,
            attach=attach,
            plan=partial(client.scheduler.plan, kind.operation),
            now=self._now,
        )

    async def _partner(self, seller: str) -> SellingPartner | None:
        if isinstance(self._client, SellingPartner):
            return self._client
        assert self._tokens is not None
        try:
            token = self._tokens[seller] if isinstance(self._tokens, Mapping) else self._tokens(seller)
            token = await token if isinstance(token, Awaitable) else token
            if token is None:  # as of `dict.get`
                raise LookupError
            if token == seller:  # which the journal would keep, and every list show
                raise ConfigError("its name is its refresh token")
            client = self._client.selling_partner(refresh_token=hide(token), selling_partner_id=seller)
        except LookupError:
            self._unable[seller] = f"there is no refresh token for {shown_name(seller)}"
        except ConfigError as error:
            self._unable[seller] = str(error)
        else:
            # Two names of one selling partner: its buyers would be written to twice.
            if (other := self._owners.setdefault(client._credentials.refresh_token or "", seller)) == seller:
                return client
            self._unable[seller] = f"{seller!r} has the same refresh token as {other!r}"
        return None

    # --- the run

    def run(self) -> Running:
        """Send all rows that wait.

            async for outcome in job.run():
                ...

        or `tally = await job.run()`, which only counts. It ends when no row waits any more, or after `drain`.
        Who leaves the loop early may go on in another one.

        Rows wait also for a window, or their own `not_before`. Whoever takes the outcomes slowly slows the job down;
        unless somebody awaits it besides: then only the last thousand that were not taken are kept.

        Raises:
            JobStoppedError: When all the others are through: a selling partner's part stopped by itself, since its rows
                would all meet the same. They wait in the journal.
        """
        if self._group is None:
            raise JobError("a job runs within `async with`")
        if self._running is not None:
            return self._running
        self._next = self._next or Running(self)
        return self._next

    def pause(self) -> None:
        """Take no further rows for now; exchanges under way go on, and rows that wait for their turn leave it."""
        self._is_paused = True
        for lane in self._lanes.values():
            lane.pause()

    def resume(self) -> None:
        """Go on after `pause`."""
        self._is_paused = False
        for lane in self._lanes.values():
            lane.resume()

    def drain(self) -> None:
        """Take no further rows; exchanges under way get the grace, and all other rows wait in the journal."""
        self._is_draining = True
        for lane in self._lanes.values():
            lane.drain()
        if self._running is not None:
            self._running.make_room()

    def abort(self) -> None:
        """End the exchanges under way too: their rows are IN_DOUBT then."""
        self.drain()
        for lane in self._lanes.values():
            lane.abort()

    @property
    def host(self) -> str:
        """Where it sends to, as in `sellingpartnerapi-eu.amazon.com`."""
        return urlsplit(self._application._config.url).netloc

    @property
    def tally(self) -> Tally:
        """The counts so far, of all selling partners."""
        tally = Tally.sum(lane.tally for lane in self._lanes.values())
        tally.invalid += self._rejected
        tally.waiting += sum(self._left.values())
        return tally

    @property
    def pace(self) -> float:
        """Rows that got their outcome, per second, over the last ten seconds."""
        return self._pace.per_second(anyio.current_time())

    @property
    def stopped(self) -> Mapping[str, Exception]:
        """Why parts of the job stopped by themselves before all rows had an outcome.

        By selling partner; "" if the client is of one.
        """
        stopped: dict[str, Exception] = {
            seller: lane.stopped
            for (seller, _), lane in self._lanes.items()
            if lane.stopped is not None and lane.tally.left
        }
        return stopped | {seller: ConfigError(self._unable[seller]) for seller in self._left}

    @property
    def unanswered(self) -> tuple[int, Exception] | None:
        """The line of the first row that was tried without an answer, and why; it waits for the next run."""
        return min(filter(None, (lane.unanswered for lane in self._lanes.values())), default=None, key=lambda it: it[0])

    @property
    def waits_until(self) -> datetime | None:
        """When the next row may go out, if all that are left wait for a window or for their own moment."""
        moments = [lane.waits_until for lane in self._active]
        return min((moment for moment in moments if moment), default=None) if all(moments) else None

    async def doubts(self) -> Sequence[Row]:
        """Return the rows of the job that are in doubt, in the order of their lines.

        Raises:
            JobError: The journal cannot be read.
        """
        return () if self.number is None else await self._journal.doubts(self.number)

    async def ask(self, row: Row) -> State:
        """Ask Amazon what became of a row in doubt. Of solicitations it can tell, of messages it cannot.

        Args:
            row: Of `doubts`.

        Returns:
            `SENT`; `READY` if it was not sent, so that the next run sends it; or `IN_DOUBT` if Amazon cannot tell.

        Raises:
            CallError: Amazon did not answer; the row stays in doubt.
            JobError: The row is in doubt no more, or the journal cannot be written.
        """
        lane = self._lane_of(row)
        if lane is None or not can_tell(lane.kind, row, self._now()):
            return State.IN_DOUBT
        state = await ask(lane.send, lane.kind, self._journal, row)
        lane.tally.resolve(state)
        return state

    async def decide(self, row: Row, *, sent: bool) -> None:
        """Settle a row in doubt by a person's word.

        Args:
            row: Of `doubts`.
            sent: True: it was sent. False: send it again by the next run, though the buyer may get it twice.

        Raises:
            JobError: The row is in doubt no more, or the journal cannot be written.
        """
        if sent:
            moved = await self._journal.move(row, Move.CONFIRM, reason=SEEN)
        else:
            moved = await self._journal.move(row, Move.RESEND)
        if (lane := self._lane_of(row)) is not None:
            lane.tally.resolve(moved.state)

    def _lane_of(self, row: Row) -> Lane | None:
        whose = row.selling_partner, row.kind
        lanes = self._lanes.values()
        return next((lane for lane in lanes if (lane.part.selling_partner, lane.part.kind) == whose), None)

    def seconds_left(self) -> float:
        """Return how long the rows that wait will take by the usage plans in use, and in their windows.

        Where windows go by the clocks of several marketplaces it is the longest that it can be.
        Rows of a selling partner whose part stopped by itself do not count: they wait for another run.
        After a dry run: how long those would take that would be sent.
        """
        return max(
            (
                lane.seconds_for(lane.tally.waiting + (lane.tally.sent if self._dry else 0), self._windows)
                for lane in self._lanes.values()
                if lane.stopped is None
            ),
            default=0.0,
        )

    # --- for `Running`

    def _begin(self, running: Running) -> None:
        self._running, self._next = running, None
        for lane in self._lanes.values():
            self._launch(lane)

    def _end(self) -> None:
        self._running = None
        if self._fault is not None:
            raise self._fault
        if stopped := self.stopped:
            raise JobStoppedError(stopped, waiting=self.tally.left, dry_run=self._dry is not None)

    def _launch(self, lane: Lane) -> None:
        if lane in self._active or self._is_draining:
            return
        assert self._group is not None
        if self._is_paused:
            lane.pause()
        if not self._active:
            self._ended = anyio.Event()
        self._active.add(lane)
        self._share_out()
        self._group.start_soon(self._run_lane, lane)

    def _share_out(self) -> None:
        """Give each lane its part of the rows in hand; those that run keep to it too."""
        share = max(min(self._concurrency, _MOST_IN_HAND // len(self._lanes)), 1)
        if share != self._share:
            self._share = share
            for lane in self._lanes.values():
                lane.concurrency = share

    async def _run_lane(self, lane: Lane) -> None:
        try:
            with anyio.CancelScope(shield=True):  # it ends by `drain` and its grace, whoever cancelled the block
                await lane.run()
        except Exception as error:  # a fault of ours: told by `run`, where the group would tear all down
            logging.getLogger("spapi_async").exception("a job ends by a fault of this library")
            self._fault = error
            self.drain()
        finally:
            self._active.discard(lane)
            if not self._active:
                self._ended.set()
                if self._running is not None:
                    self._running.look()

    def _tell(self, outcome: Outcome) -> None:
        self._pace.note(anyio.current_time())
        if self._on_outcome is not None:
            try:
                self._on_outcome(outcome)
            except Exception:
                # After a sent message it would look as if that had failed.
                logging.getLogger("spapi_async").exception("on_outcome raised")
        if self._running is not None:
            self._running.put(outcome)

    async def _room(self) -> None:
        if self._running is not None:
            await self._running.room()


class Running:
    """A run of a job: iterate over it for the outcomes, or await it for the counts."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._unread: deque[Outcome] = deque()
        self._is_read = False
        self._awaited = 0
        """How many wait for the counts."""
        self._has_begun = False
        self._looked = anyio.Event()
        self._read = anyio.Event()

    def __await__(self) -> Generator[Any, Any, Tally]:
        return self._all().__await__()

    def __aiter__(self) -> AsyncIterator[Outcome]:
        self._is_read = True
        return self

    async def __anext__(self) -> Outcome:
        """Return the next outcome."""
        self._begin()
        while not self._unread:
            if not self._job._active:
                self._job._end()
                raise StopAsyncIteration
            await self._looked.wait()
        outcome = self._unread.popleft()
        if len(self._unread) < _MOST_UNREAD:  # not before: it wakes everybody who waits for that
            self.make_room()
        return outcome

    async def _all(self) -> Tally:
        self._begin()
        self._awaited += 1
        self.make_room()
        try:
            while self._job._active:
                await self._looked.wait()
        finally:
            self._awaited -= 1
        self._job._end()
        return self._job.tally

    def _begin(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._job._begin(self)

    def put(self, outcome: Outcome) -> None:
        """Take an outcome."""
        if self._is_read:
            if self._awaited and len(self._unread) >= _MOST_UNREAD:
                self._unread.popleft()
            self._unread.append(outcome)
            self.look()

    def look(self) -> None:
        """See that all who wait look again."""
        self._looked.set()
        self._looked = anyio.Event()

    async def room(self) -> None:
        """Wait until there is room for further outcomes, somebody only wants the counts, or the job is drained."""
        while len(self._unread) >= _MOST_UNREAD and not self._awaited and not self._job._is_draining:
            await self._read.wait()

    def make_room(self) -> None:
        """Let those go on who wait for room."""
        self._read.set()
        self._read = anyio.Event()


class _Adding:
    """One call of `Job.add`: what became of its rows so far, and whom to tell."""

    def __init__(self, retry_refused: bool, on_rejected: Callable[[Rejection], object] | None) -> None:
        self.added = Added()
        self.retry_refused = retry_refused
        self._on_rejected = on_rejected

    def tell(self, rejection: Rejection) -> None:
        self.added.note(rejection)
        if self._on_rejected is not None:
            self._on_rejected(rejection)


class _Anybody:
    """Every selling partner, as long as no function was asked."""

    def __contains__(self, name: object) -> bool:
        return True


def _templates(template: str | Mapping[str, str]) -> Templates | None:
    return Templates.of({"": template} if isinstance(template, str) else template)


def _check_number(name: str, value: object, kind: type | UnionType, least: int) -> None:
    is_number = isinstance(value, kind) and not isinstance(value, bool)
    check_kind(name, is_number, f"a number from {least}", value)
    if not value >= least:  # type: ignore[operator]  # NaN too
        raise ConfigError(f"{name} must be a number from {least}, not {value}")


def _check_kept(name: str, value: object, words: str) -> None:
    """Refuse what the journal cannot keep, as the name of a file that is not in this machine's encoding."""
    try:
        orjson.dumps(value)
    except TypeError as error:
        raise ConfigError(f"{name}= must be {words} ({error})") from None


def _check_rows(rows: object) -> None:
    """Refuse what is no rows, though it can be iterated over, and what only makes some."""
    words = "an iterable or async iterable of rows"
    if isinstance(rows, Mapping | Row | Entry):
        raise ConfigError(f"rows must be {words}; put a single one into a list")
    if isinstance(rows, str | bytes | os.PathLike):
        raise ConfigError(f"rows must be {words}, not text; the rows of a file are sent by `spapi-async jobs run`")
    if callable(rows):
        raise ConfigError(f"rows must be {words}, not a function; call it")
    if isinstance(rows, Awaitable):
        raise ConfigError(f"rows must be {words}, not an awaitable; await it")
    check_kind("rows", isinstance(rows, Iterable | AsyncIterable), words, rows)


async def _each(rows: Rows) -> AsyncGenerator[Mapping[str, Any] | Row | Entry, None]:
    if isinstance(rows, AsyncGenerator):
        async with aclosing(rows):  # its caller has nothing to close it by
            async for row in rows:
                yield row
    elif isinstance(rows, AsyncIterable):
        async for row in rows:
            yield row
    else:
        for row in rows:
            yield row
