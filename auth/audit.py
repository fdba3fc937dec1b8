"""The audit: who did what, on what, with which outcome; and the proof that nobody has changed it since.

Owns its rows and their chain. A row is written in the transaction of what it tells, so nothing is done without a trace.
Must not know HTTP, and never sees a body, a password or a key.

Each row has the SHA-256 of the chain before it and of what it says. So a row that is changed, taken out or put in
between does not fit any more, and neither do those after it. Whoever can write the file could write all of it anew: so
note the last chain somewhere else, as an export does, and have it checked against.
"""

import hashlib
import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, Protocol

from auth.database import Database, Transaction
from auth.errors import AccountError

log = logging.getLogger(__name__)

KEPT_DAYS: Final = 400
_FIRST: Final = bytes(32)
_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, by which credential, from where, in which request."""

    who: str
    via: str
    address: str = ""
    request_id: str = ""


NOBODY: Final = Actor("", "")
_acting: ContextVar[Actor] = ContextVar("acting", default=NOBODY)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the audit. `chain` is hexadecimal."""

    seq: int
    at: float
    who: str
    via: str
    address: str
    request_id: str
    action: str
    target: str
    outcome: str
    more: str
    chain: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows are wanted: those of a span of time, of somebody, of an action.

    `after` is the number of a row; rows come in order.
    """

    since: float | None = None
    until: float | None = None
    who: str | None = None
    action: str | None = None
    outcome: str | None = None
    after: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check of the chain has found. `fault` is None where all rows fit."""

    rows: int
    first: int
    last: int
    chain: str
    fault: str | None = None


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """Within this block, the audit names this actor."""
    token = _acting.set(actor)
    try:
        yield
    finally:
        _acting.reset(token)


def act_as(actor: Actor) -> None:
    """From now on in this request, the audit names this actor."""
    _acting.set(actor)


@dataclass(frozen=True, slots=True)
class Act:
    """Something that was done, or refused."""

    action: str
    target: str = ""
    outcome: str = "done"
    more: Mapping[str, Any] = field(default_factory=dict)
    who: str | None = None
    """The name for the audit, where it is not the actor's: somebody who signs in is nobody until then."""


def record(db: Transaction, act: Act, now: float) -> None:
    """Write a row of the audit, in the transaction that does what the row tells.

    Once the transaction is written, the log has a line of it too, for whoever collects logs.
    """
    actor = _acting.get()
    last = db.execute("SELECT seq, chain FROM audit ORDER BY seq DESC LIMIT 1").fetchone() or (0, _FIRST)
    who = actor.who if act.who is None else act.who
    more = json.dumps(act.more, sort_keys=True, separators=(",", ":")) if act.more else ""
    texts = who, actor.via, actor.address, actor.request_id, act.action, act.target, act.outcome, more
    said = (last[0] + 1, float(now), *map(_without_nul, texts))
    db.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*said, _next(last[1], said)))
    names = "seq", "principal", "via", "address", "request_id", "action", "target", "outcome"
    about = dict(zip(names, (said[0], *said[2:-1]), strict=True))
    db.then(lambda: log.info("audited", extra=about | {"more": dict(act.more)}))


class AuditStore(Protocol):
    """The audit, wherever accounts are kept."""

    def rows(self, wanted: Wanted, limit: int) -> list[Row]:
        """The rows that are wanted, in order, at most `limit`; raise `AccountError` where there is no audit."""

    def write(self, act: Act, now: float) -> None:
        """Write a row about something that changes nothing in the database."""

    def write_all(self, acts: Sequence[Act]) -> None:
        """Write several rows, all with the time of now."""

    def verify(self) -> Verdict:
        """Check that every row is as it was written."""


class NoAudit:
    """The audit of a file of accounts, which has none: nothing is changed here."""

    def rows(self, wanted: Wanted, limit: int) -> NoReturn:
        """Refuse: a file of accounts has no audit."""
        raise AccountError("in_file")

    def write(self, act: Act, now: float) -> None:
        """Do nothing: a file of accounts has no audit."""

    def write_all(self, acts: Sequence[Act]) -> None:
        """Do nothing: a file of accounts has no audit."""

    def verify(self) -> NoReturn:
        """Refuse: a file of accounts has no audit."""
        raise AccountError("in_file")


class Audit:
    """The audit in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def rows(self, wanted: Wanted, limit: int) -> list[Row]:
        """The rows that are wanted, in order, at most `limit`."""
        conditions = {
            "at >= ?": wanted.since,
            "at < ?": wanted.until,
            "who = ?": wanted.who,
            "action = ?": wanted.action,
            "outcome = ?": wanted.outcome,
            "seq > ?": wanted.after,
        }
        used = {condition: value for condition, value in conditions.items() if value is not None}
        query = f"SELECT {_COLUMNS} FROM audit WHERE {' AND '.join(used)} ORDER BY seq LIMIT ?"
        return [_row(row) for row in self._database.read(query, *used.values(), limit)]

    def write(self, act: Act, now: float) -> None:
        """Write a row about something that changes nothing in the database."""
        with self._database.transaction() as db:
            record(db, act, now)

    def write_all(self, acts: Sequence[Act]) -> None:
        """Write several rows, all with the time of now."""
        now = time.time()
        with self._database.transaction() as db:
            for act in acts:
                record(db, act, now)

    def verify(self) -> Verdict:
        """Check that every row is as it was written. The chain begins at the oldest row that is still there."""
        rows, first, last, chain = 0, 0, 0, _FIRST
        while found := self._database.read(_NEXT_ROWS, last, _AT_ONCE):
            for *said, written in found:
                seq = said[0]
                if rows and seq != last + 1:
                    return Verdict(rows, first, last, chain.hex(), f"row {last + 1} is missing")
                # The oldest rows may have been cleared away, so the first may follow on one that is gone.
                if (rows or seq == 1) and _next(chain, tuple(said)) != written:
                    return Verdict(rows, first, last, chain.hex(), f"row {seq} is not as it was written")
                first, last, chain, rows = first or seq, seq, written, rows + 1
        return Verdict(rows, first, last, chain.hex())


_COLUMNS: Final = "seq, at, who, via, address, request_id, action, target, outcome, more, chain"
_NEXT_ROWS: Final = f"SELECT {_COLUMNS} FROM audit WHERE seq > ? ORDER BY seq LIMIT ?"


def pages(audit: AuditStore, wanted: Wanted, size: int = _AT_ONCE) -> Iterator[list[Row]]:
    """All rows that are wanted, in pages of `size` rows."""
    after = wanted.after
    while found := audit.rows(
        Wanted(wanted.since, wanted.until, wanted.who, wanted.action, wanted.outcome, after), size
    ):
        yield found
        after = found[-1].seq


def _next(chain: bytes, said: tuple[Any, ...]) -> bytes:
    return hashlib.sha256(chain + json.dumps(said, separators=(",", ":")).encode()).digest()


def _without_nul(text: str) -> str:
    """A text as every database keeps it, or the chain would not fit what was kept."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _row(row: tuple[Any, ...]) -> Row:
    return Row(*(*row[:-1], row[-1].hex()))
