"""The steps that bring the database from any earlier schema to today's.

Owns the schema and its history. A step is never changed once it was released: what comes later is another step. Each is
one transaction together with its number, so a file is never between two of them. Must not know what the rows mean.

The first step is what was there before steps were numbered. It takes nothing amiss that is there already, so a file of
that time is taken over as it is.
"""

from typing import Final

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
    "CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit"
    " BEGIN SELECT RAISE(ABORT, 'a row of the audit is not changed'); END",
    "CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit WHEN OLD.at > strftime('%s', 'now') - 400 * 86400"
    " BEGIN SELECT RAISE(ABORT, 'a row of the audit is kept for 400 days'); END",
)

# A session of the console is known by an id that may be shown; and when its person last proved who they are.
_SIGNED_IN: Final = (
    "DELETE FROM console_sessions",  # whoever was signed in signs in again
    "ALTER TABLE console_sessions ADD COLUMN id TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE console_sessions ADD COLUMN groups TEXT NOT NULL DEFAULT '[]'",
    "ALTER TABLE console_sessions ADD COLUMN signed_in_at REAL NOT NULL DEFAULT 0",
)

STEPS: Final[tuple[tuple[str, ...], ...]] = (_FIRST, _KINDS, _CONSOLE, _KEYS, _GRANTS, _AUDIT, _SIGNED_IN)
"""All steps. A schema's version is how many of them were taken."""
