"""The endpoints that are kept beside the accounts, and which servers have which of their changes in force.

Owns the rows, and that a change, its row of the audit and its number are written together. Must not know what makes a
definition wrong. What cannot be read or written raises `AccountsUnavailable`.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from typing import Any, Final

from auth.audit import Act, Actor, acting, record
from auth.database import Database, Transaction
from server.endpoints import documents
from server.endpoints.documents import Documents
from server.endpoints.folder import Definitions
from server.wire.control import EndpointChange

_COUNT: Final = "SELECT count FROM endpoint_changes"
# One query, so that all that is read is of one moment. Without a definition there is one row, with no endpoint in it.
_ALL: Final = (
    "SELECT c.count, d.endpoint, d.deployment, d.definition FROM endpoint_changes c"
    " LEFT JOIN endpoint_definitions d ON 1 = 1 ORDER BY d.endpoint, d.deployment"
)
_DONE: Final = {True: "created", False: "changed"}


class EndpointStore:
    """Definitions as documents, in the database of the accounts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def shared(self) -> bool:
        """Whether other servers may have the same database."""
        return self._database.remote

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def count(self) -> int:
        """How many changes there have been."""
        return int(self._database.read(_COUNT)[0][0])

    def read(self) -> tuple[int, Definitions]:
        """How many changes there have been, and what is wanted after them. Raises BadDefinition."""
        found: dict[str, dict[str, Mapping[str, Any]]] = {}
        rows = self._database.read(_ALL)
        for _, endpoint, deployment, definition in rows:
            if endpoint is not None:
                found.setdefault(endpoint, {})[deployment] = json.loads(definition)
        endpoints = {name: documents.defined(name, kept) for name, kept in found.items()}
        return int(rows[0][0]), Definitions(endpoints)

    def change(self, change: EndpointChange) -> tuple[int, tuple[str, ...]]:
        """Make a change; its number, and what was passed over in it. Raises BadDefinition and Refusal."""
        actor = Actor(change.who, change.via, change.address, change.request_id)
        with acting(actor), self._database.transaction() as db:
            before = _of(db, change.endpoint)
            after = documents.changed(before, change, int(time.time()))
            if after == before:
                return int(db.execute(_COUNT).fetchone()[0]), ()
            for of in before.keys() | after.keys():
                if before.get(of) != after.get(of):
                    _write(db, change.endpoint, of, after.get(of))
            db.execute("UPDATE endpoint_changes SET count = count + 1")
            record(db, _act(change, before, after), time.time())
            number = int(db.execute(_COUNT).fetchone()[0])
        return number, documents.warnings(after, change.deployment)


def _of(db: Transaction, endpoint: str) -> Documents:
    query = "SELECT deployment, definition FROM endpoint_definitions WHERE endpoint = ?"
    return {of: json.loads(definition) for of, definition in db.execute(query, (endpoint,)).fetchall()}


def _write(db: Transaction, endpoint: str, of: str, document: Mapping[str, Any] | None) -> None:
    db.execute("DELETE FROM endpoint_definitions WHERE endpoint = ? AND deployment = ?", (endpoint, of))
    if document is not None:
        db.execute("INSERT INTO endpoint_definitions VALUES (?, ?, ?)", (endpoint, of, json.dumps(document)))


def _act(change: EndpointChange, before: Documents, after: Documents) -> Act:
    """What the audit is told: which traffic or which model there is now."""
    of = change.deployment
    kind, target = ("deployment", f"{change.endpoint}/{of}") if of else ("endpoint", change.endpoint)
    done = _DONE[of not in before] if of in after else "removed"
    document = after.get(of, {})
    traffic = " ".join(f"{name}={share}" for name, share in sorted((document.get("traffic") or {}).items()))
    keys, were = (one.get(of, {}).get("key_generations") or {} for one in (after, before))
    replaced = " ".join(slot for slot in sorted(keys) if of in before and keys[slot] != were.get(slot))
    told = {"traffic": traffic, "model": document.get("model", ""), "keys_replaced": replaced}
    return Act(f"{kind}.{done}", target, more={key: value for key, value in told.items() if value})


class Servers:
    """The servers that share the database: each says again and again that it lives, and what it has in force."""

    LIVE_S: Final = 10.0
    """So long after its last word a server counts. Its word is a number that grows, so no clocks are compared."""
    BEAT_EVERY_S: Final = 2.0
    FORGOTTEN_S: Final = 600.0

    def __init__(self, database: Database) -> None:
        self._database = database
        self._name = secrets.token_hex(8)
        self._beats = 0
        self._said: tuple[float, int] = (0.0, -1)
        self._heard: dict[str, tuple[int, float]] = {}

    def say(self, in_force: int, now: float) -> None:
        """Say that this server lives, where that is due or there is news. `now` is of a clock of its own."""
        at, number = self._said
        if number == in_force and now - at < self.BEAT_EVERY_S:
            return
        self._beats += 1
        with self._database.transaction() as db:
            db.execute("DELETE FROM endpoint_servers WHERE server = ?", (self._name,))
            db.execute("INSERT INTO endpoint_servers VALUES (?, ?, ?)", (self._name, self._beats, in_force))
            for gone in self._silent(now, self.FORGOTTEN_S):
                db.execute("DELETE FROM endpoint_servers WHERE server = ? AND beat = ?", (gone, self._heard[gone][0]))
        self._said = now, in_force

    def behind(self, number: int, now: float) -> bool:
        """Whether a server that lives has not got this change in force yet."""
        found = self._database.read("SELECT server, beat, in_force FROM endpoint_servers")
        heard = self._heard
        self._heard = {
            name: heard[name] if name in heard and heard[name][0] == beat else (beat, now) for name, beat, _ in found
        }
        silent = self._silent(now, self.LIVE_S)
        return any(in_force < number for name, _, in_force in found if name not in silent)

    def leave(self) -> None:
        """Say that this server is no more."""
        with self._database.transaction() as db:
            db.execute("DELETE FROM endpoint_servers WHERE server = ?", (self._name,))

    def _silent(self, now: float, seconds: float) -> set[str]:
        return {name for name, (_, at) in self._heard.items() if now - at > seconds and name != self._name}
