"""What a journal of bulk jobs must do, its rules about selling partners, and a journal in memory.

A journal remembers every row and its state. It must hold each change durably before the method that makes it returns,
and it finishes a change that was begun: a cancellation of the caller arrives afterwards, never in the middle.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

import attrs
import orjson
from anyio import lowlevel

from ..errors import JobError
from .row import Admission, Move, Row, State, Stored, admit

__all__ = [
    "Admitted",
    "Identity",
    "Journal",
    "MemoryJournal",
    "Run",
    "abandoned",
    "body_bytes",
    "digest",
    "digests",
    "resolve",
]


@attrs.frozen(kw_only=True)
class Identity:
    """Who sells: what makes the rows of one selling partner different from those of another.

    Args:
        refresh_token: Its refresh token. The journal keeps a keyed digest only.
        selling_partner_id: Its id, if you give one. Then a new refresh token does not make it a stranger.
    """

    refresh_token: str = attrs.field(repr=False)
    selling_partner_id: str | None = None


@attrs.frozen(kw_only=True)
class Run:
    """One run of a job over one source.

    Args:
        number: The journal's number for it.
        selling_partner: The digest under which the journal knows the selling partner.
        kind: The kind of its rows.
    """

    number: int
    selling_partner: str
    kind: str


@attrs.frozen(kw_only=True)
class Admitted:
    """What became of a row that was added.

    Args:
        admission: What became of it.
        stored: The row as the journal has it.
    """

    admission: Admission
    stored: Row


class Journal(Protocol):
    """Remembers the rows of bulk jobs. One process has it at a time."""

    async def recover(self) -> None:
        """Put right what a dead run left: CLAIMED becomes READY, SENDING becomes IN_DOUBT."""

    async def start(self, identity: Identity, kind: str, *, same_selling_partner: bool = False) -> Run:
        """Begin a run.

        Args:
            identity: Who sells.
            kind: The kind of the rows.
            same_selling_partner: A person says that the rows under another refresh token are this one's too.

        Raises:
            JobError: The journal was begun by a selling partner that may be another or the same: nobody can tell.
        """

    async def add(self, run: Run, rows: Sequence[Row], *, retry_refused: bool = False) -> Sequence[Admitted]:
        """Add rows of the run's source, and say of each what becomes of it. See `row.admit`."""

    async def claim(self, run: Run, after: int, limit: int) -> Sequence[Row]:
        """Take up to so many READY rows of the run whose line number is above `after`, in the order of their lines."""

    async def move(self, row: Row, move: Move, *, reason: str = "", request_id: str | None = None) -> Row:
        """Make a move, durably.

        Raises:
            JobError: The row's state does not allow it, or somebody else moved it first. Nothing changed.
        """

    async def release(self, run: Run) -> None:
        """Make every CLAIMED row of the run READY again."""

    async def count(self, run: Run) -> Mapping[State, int]:
        """Count the rows of the run's source by state."""

    async def rows(self, run: Run, state: State) -> Sequence[Row]:
        """Return the rows of the run's source that are in a state, in the order of their lines."""


def body_bytes(body: Mapping[str, str]) -> bytes:
    """Write a row's columns as JSON, always the same for the same columns."""
    return orjson.dumps(dict(body), option=orjson.OPT_SORT_KEYS)


def digest(salt: bytes, content: bytes) -> bytes:
    """Digest content so that it can be recognised, but not guessed without the journal's salt."""
    return hmac.digest(salt, content, hashlib.sha256)


_ABANDONED = {
    State.CLAIMED: "",
    State.SENDING: "the program ended while the message was under way",
}


def abandoned(row: Row) -> Row:
    """Return a row of a dead run as it stands now."""
    return row.after(Move.ABANDON, reason=_ABANDONED[row.state])


def digests(salt: bytes, identity: Identity) -> tuple[str, str | None]:
    """Return the digests of a selling partner's refresh token and of its id, each for its own purpose."""
    name = identity.selling_partner_id
    token = digest(salt, b"token:" + identity.refresh_token.encode()).hex()
    return token, digest(salt, b"id:" + name.encode()).hex() if name else None


def resolve(known: Mapping[str, bool], token: str, named: str | None, same: bool) -> tuple[str, str | None]:
    """Decide under which digest a selling partner's rows stand.

    A selling partner that authorises the application anew gets a new refresh token. Taken for a stranger, all its
    buyers would be written to again; so a token that the journal has not seen is a question, not an answer.

    Args:
        known: The digests under which something was done; True for that of an id, False for that of a refresh token.
        token: The digest of the refresh token.
        named: The digest of the selling partner's id; None when none was given.
        same: A person says that it is the same selling partner.

    Returns:
        The digest to use, and the one whose rows are to be moved to it, if any.

    Raises:
        JobError: It cannot be decided.
    """
    mine = named or token
    if mine in known:
        return mine, None
    if known.get(token) is False:
        return mine, token  # it has got a name since
    strangers = [other for other, is_named in known.items() if not (is_named and named)]
    if not strangers:
        return mine, None
    if same and len(strangers) == 1:
        return mine, strangers[0]
    raise JobError(
        "the journal was begun with another refresh token, or under a selling partner id. If it is the same selling "
        "partner, go on with that id, or with --same-selling-partner; for another one, or for another sandbox, take "
        "another journal"
    )


class MemoryJournal:
    """A journal that is gone with the process: for tests, and for jobs that need not survive."""

    def __init__(self) -> None:
        self._salt = secrets.token_bytes(32)
        self._known: dict[str, bool] = {}
        self._runs = 0
        self._rows: dict[int, Stored] = {}
        self._by_name: dict[tuple[str, str, str, str], int] = {}

    async def recover(self) -> None:
        """See `Journal.recover`."""
        await lowlevel.cancel_shielded_checkpoint()
        for stored in list(self._rows.values()):
            if stored.row.state in (State.CLAIMED, State.SENDING):
                self._put(abandoned(stored.row))

    async def start(self, identity: Identity, kind: str, *, same_selling_partner: bool = False) -> Run:
        """See `Journal.start`."""
        await lowlevel.cancel_shielded_checkpoint()
        token, named = digests(self._salt, identity)
        mine, adopted = resolve(self._bound(), token, named, same_selling_partner)
        if adopted:
            del self._known[adopted]
            self._by_name = {(mine if n[0] == adopted else n[0], *n[1:]): i for n, i in self._by_name.items()}
        self._known.setdefault(mine, named is not None)
        self._runs += 1
        return Run(number=self._runs, selling_partner=mine, kind=kind)

    def _bound(self) -> Mapping[str, bool]:
        done = {name[0] for name, id_ in self._by_name.items() if self._rows[id_].row.state is not State.READY}
        return {digest: is_named for digest, is_named in self._known.items() if digest in done}

    async def add(self, run: Run, rows: Sequence[Row], *, retry_refused: bool = False) -> Sequence[Admitted]:
        """See `Journal.add`."""
        await lowlevel.cancel_shielded_checkpoint()
        return [self._add(run, row, retry_refused) for row in rows]

    def _add(self, run: Run, row: Row, retry_refused: bool) -> Admitted:
        name = (run.selling_partner, run.kind, row.order_id, row.key)
        stored = self._rows.get(self._by_name.get(name, 0))
        content = digest(self._salt, body_bytes(row.body))
        admission = admit(stored, content, run.number, retry_refused)
        if admission is Admission.REPEATED and stored:
            return Admitted(admission=admission, stored=stored.row)
        if stored is None:
            self._by_name[name] = len(self._rows) + 1
            kept = attrs.evolve(row, id=len(self._rows) + 1)
        elif admission.is_waiting:
            kept = attrs.evolve(row, id=stored.row.id, attempts=stored.row.attempts)
        else:
            kept = attrs.evolve(stored.row, number=row.number)
            content = stored.digest
        self._rows[kept.id] = Stored(row=kept, digest=content, run=run.number)
        return Admitted(admission=admission, stored=kept)

    async def claim(self, run: Run, after: int, limit: int) -> Sequence[Row]:
        """See `Journal.claim`."""
        ready = [row for row in await self.rows(run, State.READY) if row.number > after]
        return [self._put(row.after(Move.CLAIM)) for row in ready[:limit]]

    async def move(self, row: Row, move: Move, *, reason: str = "", request_id: str | None = None) -> Row:
        """See `Journal.move`."""
        await lowlevel.cancel_shielded_checkpoint()
        moved = row.after(move, reason=reason, request_id=request_id)
        if self._rows[row.id].row.state is not row.state:
            raise JobError(f"line {row.number}: somebody else moved the row first")
        return self._put(moved)

    def _put(self, row: Row) -> Row:
        self._rows[row.id] = attrs.evolve(self._rows[row.id], row=row)
        return row

    async def release(self, run: Run) -> None:
        """See `Journal.release`."""
        for row in await self.rows(run, State.CLAIMED):
            self._put(row.after(Move.RELEASE))

    async def count(self, run: Run) -> Mapping[State, int]:
        """See `Journal.count`."""
        await lowlevel.cancel_shielded_checkpoint()
        return Counter(stored.row.state for stored in self._rows.values() if stored.run == run.number)

    async def rows(self, run: Run, state: State) -> Sequence[Row]:
        """See `Journal.rows`."""
        await lowlevel.cancel_shielded_checkpoint()
        mine = (s.row for s in self._rows.values() if s.run == run.number and s.row.state is state)
        return sorted(mine, key=lambda row: row.number)
