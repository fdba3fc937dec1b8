"""The steps that bring the database from any earlier schema to today's.

Owns the schema and its history. A step is never changed once it was released: what comes later is another step. Each is
one transaction together with its number, so a file is never between two of them. Must not know what the rows mean.

The first step is what was there before steps were numbered. It takes nothing amiss that is there already, so a file of
that time is taken over as it is.

Statements are written for SQLite. PostgreSQL gets the same ones with the names of its own types; where that is not
enough, `Apart` has them for each.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from auth.errors import SetupError

Dialect = Literal["sqlite", "postgresql"]


@dataclass(frozen=True, slots=True)
class Apart:
    """A statement that differs between the databases."""

    sqlite: tuple[str, ...]
    postgresql: tuple[str, ...]


Step = tuple[str | Apart, ...]

# Texts are compared by their bytes, as SQLite does: so lists have one order everywhere, and no index depends on the
# languages of the machine, which change with its updates.
_TYPES: Final = {
    "REAL": "DOUBLE PRECISION",
    "BLOB": "BYTEA",
    "INTEGER": "BIGINT",
    "TEXT": 'TEXT COLLATE "C"',
    "STRICT": "",
}
_TYPE: Final = re.compile(rf"\b({'|'.join(_TYPES)})\b")


def statements(step: Step, dialect: Dialect) -> Iterator[str]:
    """The statements of a step for a database of this kind."""
    for statement in step:
        if isinstance(statement, Apart):
            yield from statement.sqlite if dialect == "sqlite" else statement.postgresql
        elif dialect == "sqlite":
            yield statement
        else:
            yield _TYPE.sub(lambda found: _TYPES[found[0]], statement)


def check_version(found: int, known: int, place: str) -> None:
    """Raise `SetupError` if a database has taken more steps than are known here."""
    if found > known:
        raise SetupError(
            f"{place} was written by a newer Tandem: its schema is version {found}, this program knows {known}."
            " Start the newer program, or restore a copy from before the update."
        )


VERSIONS: Final = "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL) STRICT"

_FIRST: Final = (
    """CREATE TABLE IF NOT EXISTS accounts (
        name TEXT PRIMARY KEY,
        role TEXT NOT NULL CHECK (role IN ('scorer', 'analyst', 'admin')),
        password TEXT NOT NULL,
        created_at REAL NOT NULL
    ) STRICT""",
    """CREATE TABLE IF NOT EXISTS sessions (
        id TEXT PRIMARY KEY,
        account TEXT NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
        created_at REAL NOT NULL,
        expires_at REAL NOT NULL
    ) STRICT""",
    "CREATE INDEX IF NOT EXISTS sessions_by_account ON sessions (account)",
    "CREATE INDEX IF NOT EXISTS sessions_by_expiry ON sessions (expires_at)",
    """CREATE TABLE IF NOT EXISTS refresh_tokens (
        digest BLOB PRIMARY KEY,
        session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
        spent INTEGER NOT NULL DEFAULT 0
    ) STRICT""",
    "CREATE INDEX IF NOT EXISTS refresh_tokens_by_session ON refresh_tokens (session)",
    "CREATE TABLE IF NOT EXISTS revocations (one INTEGER PRIMARY KEY CHECK (one = 1), count INTEGER NOT NULL) STRICT",
    "INSERT INTO revocations VALUES (1, 0) ON CONFLICT DO NOTHING",
)

# Accounts may be of services, which have no password, and may have roles that an administrator made.
_KINDS: Final = (
    Apart(
        sqlite=(
            """CREATE TABLE accounts_with_kinds (
        name TEXT PRIMARY KEY,
        kind TEXT NOT NULL DEFAULT 'person' CHECK (kind IN ('person', 'service')),
        role TEXT NOT NULL,
        password TEXT CHECK (password IS NOT NULL OR kind <> 'person'),
        disabled INTEGER NOT NULL DEFAULT 0,
        about TEXT NOT NULL DEFAULT '',
        created_at REAL NOT NULL,
        created_by TEXT NOT NULL DEFAULT ''
    ) STRICT""",
            "INSERT INTO accounts_with_kinds (name, role, password, created_at)"
            " SELECT name, role, password, created_at FROM accounts",
            "DROP TABLE accounts",
            "ALTER TABLE accounts_with_kinds RENAME TO accounts",
        ),
        postgresql=(
            """ALTER TABLE accounts
        ADD COLUMN kind TEXT COLLATE "C" NOT NULL DEFAULT 'person' CHECK (kind IN ('person', 'service')),
        ADD COLUMN disabled BIGINT NOT NULL DEFAULT 0,
        ADD COLUMN about TEXT COLLATE "C" NOT NULL DEFAULT '',
        ADD COLUMN created_by TEXT COLLATE "C" NOT NULL DEFAULT '',
        DROP CONSTRAINT accounts_role_check,
        ALTER COLUMN password DROP NOT NULL,
        ADD CHECK (password IS NOT NULL OR kind <> 'person')""",
        ),
    ),
)

# Who is signed in to the console. Those of a provider have no account, so what it said of them is written down.
_CONSOLE: Final = (
    """CREATE TABLE console_sessions (
        digest BLOB PRIMARY KEY,
        name TEXT NOT NULL,
        account TEXT REFERENCES accounts (name) ON DELETE CASCADE,
        provider TEXT,
        roles TEXT NOT NULL,
        expires_at REAL NOT NULL
    ) STRICT""",
    "CREATE INDEX console_sessions_by_account ON console_sessions (account)",
    "CREATE INDEX console_sessions_by_expiry ON console_sessions (expires_at)",
)

# Keys come in pairs, so that one works while the other is replaced. A slot has two while an old one runs out.
_KEYS: Final = (
    """CREATE TABLE key_pairs (
        pair TEXT PRIMARY KEY,
        owner TEXT NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
        name TEXT NOT NULL,
        permissions TEXT NOT NULL,
        models TEXT NOT NULL,
        created_at REAL NOT NULL,
        created_by TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX key_pairs_by_owner ON key_pairs (owner)",
    """CREATE TABLE keys (
        id TEXT PRIMARY KEY,
        pair TEXT NOT NULL REFERENCES key_pairs (pair) ON DELETE CASCADE,
        slot TEXT NOT NULL CHECK (slot IN ('primary', 'secondary')),
        digest BLOB NOT NULL,
        created_at REAL NOT NULL,
        expires_at REAL NOT NULL,
        used_at REAL,
        used_from TEXT
    ) STRICT""",
    "CREATE INDEX keys_by_pair ON keys (pair)",
)

# What an account is allowed beyond its role, and where. A grantee need not have an account: it may be a group.
_GRANTS: Final = (
    "CREATE TABLE roles (name TEXT PRIMARY KEY, permissions TEXT NOT NULL) STRICT",
    """CREATE TABLE grants (
        id TEXT PRIMARY KEY,
        grantee TEXT NOT NULL,
        role TEXT NOT NULL,
        models TEXT NOT NULL,
        created_at REAL NOT NULL,
        created_by TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX grants_by_grantee ON grants (grantee)",
)

# Nothing changes a row, and nothing takes one out before it is 400 days old.
_AUDIT: Final = (
    """CREATE TABLE audit (
        seq INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        who TEXT NOT NULL,
        via TEXT NOT NULL,
        address TEXT NOT NULL,
        request_id TEXT NOT NULL,
        action TEXT NOT NULL,
        target TEXT NOT NULL,
        outcome TEXT NOT NULL,
        more TEXT NOT NULL,
        chain BLOB NOT NULL
    ) STRICT""",
    "CREATE INDEX audit_by_time ON audit (at)",
    Apart(
        sqlite=(
            "CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit"
            " BEGIN SELECT RAISE(ABORT, 'a row of the audit is not changed'); END",
            "CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit WHEN OLD.at > strftime('%s', 'now') - 400 * 86400"
            " BEGIN SELECT RAISE(ABORT, 'a row of the audit is kept for 400 days'); END",
        ),
        postgresql=(
            """CREATE FUNCTION audit_is_not_changed() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE restrict_violation USING MESSAGE = 'a row of the audit is not changed'; END $$""",
            """CREATE FUNCTION audit_is_kept() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE restrict_violation USING MESSAGE = 'a row of the audit is kept for 400 days'; END $$""",
            "CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit"
            " FOR EACH ROW EXECUTE FUNCTION audit_is_not_changed()",
            "CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit FOR EACH ROW"
            " WHEN (OLD.at > extract(epoch FROM now()) - 400 * 86400) EXECUTE FUNCTION audit_is_kept()",
            "CREATE TRIGGER audit_is_not_emptied BEFORE TRUNCATE ON audit"
            " FOR EACH STATEMENT EXECUTE FUNCTION audit_is_kept()",
        ),
    ),
)

# A session of the console is known by an id that may be shown; and when its person last proved who they are.
_SIGNED_IN: Final = (
    "DELETE FROM console_sessions",  # whoever was signed in signs in again
    "ALTER TABLE console_sessions ADD COLUMN id TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE console_sessions ADD COLUMN groups TEXT NOT NULL DEFAULT '[]'",
    "ALTER TABLE console_sessions ADD COLUMN signed_in_at REAL NOT NULL DEFAULT 0",
)

# Servers that share a database are told of each change, and need not wait until they look.
_TELLING: Final = (
    Apart(
        sqlite=(),
        postgresql=(
            """CREATE FUNCTION tell_of_changes() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_notify('tandem_changes', ''); RETURN NULL; END $$""",
            "CREATE TRIGGER changes_are_told AFTER UPDATE ON revocations"
            " FOR EACH STATEMENT EXECUTE FUNCTION tell_of_changes()",
        ),
    ),
)

# How much principals may ask for, and how much they have. Each web process counts in rows of its own; `tick` numbers
# the writes, so that the others find what is new to them whatever their clocks say.
_LIMITS: Final = (
    """CREATE TABLE limits (
        id TEXT PRIMARY KEY,
        who TEXT NOT NULL,
        model TEXT NOT NULL,
        unit TEXT NOT NULL CHECK (unit IN ('requests', 'rows')),
        amount INTEGER NOT NULL,
        per TEXT NOT NULL,
        burst INTEGER,
        created_at REAL NOT NULL,
        created_by TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE usage (
        principal TEXT NOT NULL,
        day TEXT NOT NULL,
        model TEXT NOT NULL,
        process TEXT NOT NULL,
        requests INTEGER NOT NULL,
        rows INTEGER NOT NULL,
        refused INTEGER NOT NULL,
        tick INTEGER NOT NULL,
        PRIMARY KEY (principal, day, model, process)
    ) STRICT""",
    "CREATE INDEX usage_by_tick ON usage (tick)",
    "CREATE INDEX usage_by_day ON usage (day)",
    "CREATE TABLE usage_ticks (one INTEGER PRIMARY KEY CHECK (one = 1), tick INTEGER NOT NULL) STRICT",
    "INSERT INTO usage_ticks VALUES (1, 0)",
)

# Groups of our own. One is there as long as somebody is in it.
_MEMBERS: Final = (
    """CREATE TABLE members (
        of_group TEXT NOT NULL,
        member TEXT NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
        PRIMARY KEY (of_group, member)
    ) STRICT""",
    "CREATE INDEX members_by_member ON members (member)",
)

# The audit is told once of a key that ends soon.
_ENDING: Final = ("ALTER TABLE keys ADD COLUMN ending_told INTEGER NOT NULL DEFAULT 0",)

# What endpoints and their deployments are to be, in documents. The deployment '' is the endpoint itself. Each change is
# counted, so that servers that share the database see it; each of them says which one it has in force.
_ENDPOINTS: Final = (
    """CREATE TABLE endpoint_definitions (
        endpoint TEXT NOT NULL,
        deployment TEXT NOT NULL,
        definition TEXT NOT NULL,
        PRIMARY KEY (endpoint, deployment)
    ) STRICT""",
    "CREATE TABLE endpoint_changes (one INTEGER PRIMARY KEY CHECK (one = 1), count INTEGER NOT NULL) STRICT",
    "INSERT INTO endpoint_changes VALUES (1, 0)",
    """CREATE TABLE endpoint_servers (
        server TEXT PRIMARY KEY,
        beat INTEGER NOT NULL,
        in_force INTEGER NOT NULL
    ) STRICT""",
)

# Whoever signs out is forgotten by every process, and nobody else is. The numbers say what a process has missed.
_ENDED: Final = (
    "CREATE TABLE ended_sessions (seq INTEGER PRIMARY KEY, session TEXT NOT NULL) STRICT",
    Apart(
        sqlite=(),
        postgresql=(
            "CREATE TRIGGER ends_are_told AFTER INSERT ON ended_sessions"
            " FOR EACH STATEMENT EXECUTE FUNCTION tell_of_changes()",
        ),
    ),
)

STEPS: Final[tuple[Step, ...]] = (
    _FIRST,
    _KINDS,
    _CONSOLE,
    _KEYS,
    _GRANTS,
    _AUDIT,
    _SIGNED_IN,
    _TELLING,
    _LIMITS,
    _MEMBERS,
    _ENDING,
    _ENDPOINTS,
    _ENDED,
)
"""All steps. The version of a schema is how many of them were taken."""
