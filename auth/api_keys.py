"""API keys: pairs of secrets by which programs are recognised.

Owns what is kept of a key (its SHA-256, its end, when and from where it was used last) and the promise that one of a
pair works while the other is replaced. Must not know HTTP. Every time is an argument, in unix seconds.
"""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NoReturn, Protocol, get_args

from auth.audit import Act, record
from auth.database import Database, Transaction
from auth.errors import AccountError
from auth.key_text import KeyText, new_key
from auth.principal import Allowance, Kind, Permission
from auth.sessions import count_revocation

Slot = Literal["primary", "secondary"]
SLOTS: Final[tuple[Slot, ...]] = get_args(Slot)

DAY_S: Final = 86_400.0
LONGEST_DAYS: Final = 730
USUAL_DAYS: Final = 365
WARN_DAYS: Final = 14
"""Days before its end from which on a key counts as ending soon."""
LONGEST_GRACE_S: Final = 86_400
_MOST_NAME: Final = 64


@dataclass(frozen=True, slots=True)
class Key:
    """One API key without its secret. `used_from` is the network that it was last used from."""

    id: str
    slot: Slot
    created_at: float
    expires_at: float
    used_at: float | None = None
    used_from: str | None = None


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Two keys for one purpose, and the most that they may be used for."""

    pair: str
    owner: str
    name: str
    permissions: tuple[Permission, ...]
    models: tuple[str, ...]
    created_at: float
    created_by: str
    keys: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class Made:
    """A pair, with the texts of those of its keys that were made just now. The texts are kept nowhere else."""

    pair: KeyPair
    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Held:
    """A key together with its owner, as they are found when the key is shown."""

    digest: bytes
    expires_at: float
    owner: str
    kind: Kind
    role: str
    narrowed: Allowance


class KeyStore(Protocol):
    """Where API keys are kept. A change that cannot be made raises `AccountError`."""

    def list(self) -> tuple[KeyPair, ...]:
        """Every pair, by owner and name."""

    def add(self, owner: str, name: str, allowance: Allowance, days: int, by: str, now: float) -> Made:
        """Make a pair for an account."""

    def regenerate(self, pair: str, slot: Slot, grace_s: float, days: int, now: float) -> Made:
        """Replace one key of a pair; the old one ends after `grace_s`."""

    def remove(self, pair: str, slot: Slot | None = None) -> KeyPair:
        """Remove a pair, or one key of it, and return the pair as it was."""

    def find(self, key_id: str) -> Held | None:
        """The key of this id, if its owner may be recognised."""

    def note_uses(self, uses: Mapping[str, tuple[float, str]]) -> None:
        """Write down when and from where keys were used last."""

    def note_ending(self, now: float) -> int:
        """Write each key that ends soon into the audit, once, and return how many there are."""


class NoKeys:
    """The keys of a file of accounts, which has none."""

    def list(self) -> NoReturn:
        """Refuse: a file of accounts has no keys."""
        raise AccountError("in_file")

    def add(self, owner: str, name: str, allowance: Allowance, days: int, by: str, now: float) -> NoReturn:
        """Refuse: a file of accounts has no keys."""
        raise AccountError("in_file")

    def regenerate(self, pair: str, slot: Slot, grace_s: float, days: int, now: float) -> NoReturn:
        """Refuse: a file of accounts has no keys."""
        raise AccountError("in_file")

    def remove(self, pair: str, slot: Slot | None = None) -> NoReturn:
        """Refuse: a file of accounts has no keys."""
        raise AccountError("in_file")

    def find(self, key_id: str) -> Held | None:
        """No key: a file of accounts has none."""
        return None

    def note_uses(self, uses: Mapping[str, tuple[float, str]]) -> None:
        """Do nothing: a file of accounts has no keys."""

    def note_ending(self, now: float) -> int:
        """Always 0: a file of accounts has no keys."""
        return 0


class ApiKeys:
    """The keys in a database."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def list(self) -> tuple[KeyPair, ...]:
        """Every pair, by owner and name."""
        pairs = [_pair(row) for row in self._database.read(f"{_PAIRS} ORDER BY owner, name, pair")]
        keys: dict[str, list[Key]] = {}
        for pair, *key in self._database.read(f"SELECT pair, {_KEY} FROM keys ORDER BY slot, created_at"):
            keys.setdefault(pair, []).append(Key(*key))
        return tuple(replace(pair, keys=tuple(keys.get(pair.pair, ()))) for pair in pairs)

    def add(self, owner: str, name: str, allowance: Allowance, days: int, by: str, now: float) -> Made:
        """Make a pair for an account."""
        if not 0 < len(name) <= _MOST_NAME or not name.isprintable():
            raise AccountError("bad_key_name")
        pair_id = secrets.token_hex(6)
        values = pair_id, owner, name, " ".join(sorted(allowance.permissions)), " ".join(allowance.targets), now, by
        with self._database.transaction() as db:
            if not db.execute("SELECT 1 FROM accounts WHERE name = ?", (owner,)).fetchone():
                raise AccountError("unknown")
            columns = "(pair, owner, name, permissions, models, created_at, created_by)"
            db.execute(f"INSERT INTO key_pairs {columns} VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            texts = {slot: _insert(db, pair_id, slot, days, now) for slot in SLOTS}
            about = {"owner": owner, "name": name, "permissions": values[3], "models": values[4], "days": days}
            record(db, Act("keys.added", pair_id, more=about), now)
            return Made(_found(db, pair_id), {text.id: text.text for text in texts.values()})

    def regenerate(self, pair: str, slot: Slot, grace_s: float, days: int, now: float) -> Made:
        """Replace one key of a pair; the old one ends after `grace_s`."""
        with self._database.transaction() as db:
            _found(db, pair)
            db.execute("DELETE FROM keys WHERE pair = ? AND slot = ? AND expires_at <= ?", (pair, slot, now))
            ending = "UPDATE keys SET expires_at = ? WHERE pair = ? AND slot = ? AND expires_at > ?"
            db.execute(ending, (now + grace_s, pair, slot, now + grace_s))
            made = _insert(db, pair, slot, days, now)
            count_revocation(db)
            about = {"slot": slot, "key": made.id, "grace_s": grace_s, "days": days}
            record(db, Act("key.replaced", pair, more=about), now)
            return Made(_found(db, pair), {made.id: made.text})

    def remove(self, pair: str, slot: Slot | None = None) -> KeyPair:
        """Remove a pair, or one key of it, and return the pair as it was."""
        with self._database.transaction() as db:
            was = _found(db, pair)
            if slot is not None:
                db.execute("DELETE FROM keys WHERE pair = ? AND slot = ?", (pair, slot))
            else:
                db.execute("DELETE FROM key_pairs WHERE pair = ?", (pair,))
            count_revocation(db)
            about = {"owner": was.owner, "slot": slot} if slot is not None else {"owner": was.owner}
            record(db, Act("keys.removed", pair, more=about), self._clock())
            return was

    def find(self, key_id: str) -> Held | None:
        """The key of this id, if its owner may be recognised."""
        rows = self._database.read(
            "SELECT k.digest, k.expires_at, a.name, a.kind, a.role, p.permissions, p.models FROM keys k"
            " JOIN key_pairs p ON p.pair = k.pair JOIN accounts a ON a.name = p.owner"
            " WHERE k.id = ? AND a.disabled = 0",
            key_id,
        )
        if not rows:
            return None
        digest, expires_at, owner, kind, role, permissions, models = rows[0]
        narrowed = Allowance(frozenset(permissions.split()), tuple(models.split()))
        return Held(digest, expires_at, owner, kind, role, narrowed)

    def note_uses(self, uses: Mapping[str, tuple[float, str]]) -> None:
        """Write down when and from where keys were used last."""
        rows = [(key_id, at, network) for key_id, (at, network) in uses.items()]
        with self._database.transaction() as db:
            # Many in one statement: nobody else may write meanwhile, and each statement waits for the event loop once.
            for first in range(0, len(rows), _USES_AT_ONCE):
                some = rows[first : first + _USES_AT_ONCE]
                marks = ", ".join(["(?, ?, ?)"] * len(some))
                db.execute(_NOTE_USES.format(marks), [value for row in some for value in row])

    def note_ending(self, now: float) -> int:
        """Write each key that ends soon into the audit, once, and return how many there are."""
        ending = self._database.read(_ENDING, now, now + WARN_DAYS * DAY_S, now)
        untold = [row for row in ending if not row[-1]][:_TOLD_AT_ONCE]
        if untold:
            with self._database.transaction() as db:
                for key_id, pair, slot, expires_at, owner, _ in untold:
                    tell = "UPDATE keys SET ending_told = 1 WHERE id = ? AND ending_told = 0"
                    if db.execute(tell, (key_id,)).rowcount:  # else another process has
                        about = {"owner": owner, "slot": slot, "key": key_id, "expires_at": expires_at}
                        record(db, Act("key.ending", pair, outcome="noticed", more=about), now)
        return len(ending)


_TOLD_AT_ONCE: Final = 100
# Not those that are being replaced, nor those of accounts that are disabled. A key that was made for a month or a day
# ends soon when a quarter of its life is left: else it would from its first day on.
_ENDING: Final = (
    "SELECT k.id, k.pair, k.slot, k.expires_at, a.name, k.ending_told FROM keys k"
    " JOIN key_pairs p ON p.pair = k.pair JOIN accounts a ON a.name = p.owner"
    " WHERE k.expires_at > ? AND k.expires_at <= ? AND 4 * (k.expires_at - ?) <= k.expires_at - k.created_at"
    " AND a.disabled = 0 AND NOT EXISTS"
    " (SELECT 1 FROM keys n WHERE n.pair = k.pair AND n.slot = k.slot AND n.created_at > k.created_at)"
    " ORDER BY k.expires_at, k.pair, k.slot"
)
_USES_AT_ONCE: Final = 1000
_NOTE_USES: Final = (
    "UPDATE keys SET used_at = used.column2, used_from = used.column3 FROM (VALUES {}) AS used"
    " WHERE keys.id = used.column1 AND coalesce(keys.used_at, 0) < used.column2"
)
_PAIRS: Final = "SELECT pair, owner, name, permissions, models, created_at, created_by FROM key_pairs"
_KEY: Final = "id, slot, created_at, expires_at, used_at, used_from"


def _pair(row: tuple[Any, ...]) -> KeyPair:
    pair, owner, name, permissions, models, created_at, created_by = row
    return KeyPair(pair, owner, name, tuple(permissions.split()), tuple(models.split()), created_at, created_by)


def _found(db: Transaction, pair: str) -> KeyPair:
    row = db.execute(f"{_PAIRS} WHERE pair = ?", (pair,)).fetchone()
    if row is None:
        raise AccountError("unknown_key")
    keys = db.execute(f"SELECT {_KEY} FROM keys WHERE pair = ? ORDER BY slot, created_at", (pair,)).fetchall()
    return replace(_pair(row), keys=tuple(Key(*key) for key in keys))


def _insert(db: Transaction, pair: str, slot: Slot, days: int, now: float) -> KeyText:
    if not 1 <= days <= LONGEST_DAYS:
        raise AccountError("bad_days")
    made = new_key()
    columns = "(id, pair, slot, digest, created_at, expires_at)"
    values = made.id, pair, slot, made.digest, now, now + days * DAY_S
    db.execute(f"INSERT INTO keys {columns} VALUES (?, ?, ?, ?, ?, ?)", values)
    return made
