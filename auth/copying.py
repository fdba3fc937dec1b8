"""Moving accounts from the file of one server to a database that servers share.

Owns that all of it comes over or none of it: accounts, sessions, keys, roles, grants, and the audit with its chain.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from auth.accounts import open_database
from auth.database import Database
from auth.errors import SetupError

_OWN: Final = ("schema_version", "revocations", "ended_sessions")
"""Tables that say nothing of accounts, and are made anew with each database."""


def copy_accounts(file: Path, setting: str) -> dict[str, int]:
    """Copy the accounts of a file to the database that a setting names; how many rows each table had.

    Raise `SetupError` unless there is such a file, and the database has no account yet.
    """
    if not file.exists():
        raise SetupError(f"{file} is not there, so there is nothing to copy.")
    source, target = open_database(file), open_database(setting)
    try:
        with target.transaction() as db:
            if db.execute("SELECT 1 FROM accounts UNION ALL SELECT 1 FROM audit").fetchone():
                raise SetupError("There are accounts in the database already. Copy into one that is empty.")
            copied: dict[str, int] = {}
            for table in _tables(source):
                columns = [name for (name,) in source.read("SELECT name FROM pragma_table_info(?)", table)]
                named = ", ".join(columns)
                insert = f"INSERT INTO {table} ({named}) VALUES ({', '.join('?' * len(columns))})"
                db.execute(f"DELETE FROM {table}")  # what is made with the database comes from the file too
                rows = source.read(f"SELECT {named} FROM {table}")
                for row in rows:
                    db.execute(insert, row)
                copied[table] = len(rows)
            return copied
    finally:
        source.close()
        target.close()


def _tables(source: Database) -> Iterator[str]:
    """The tables, in such an order that a table comes after those that it refers to."""
    made = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name <> 'accounts', rowid"
    for (name,) in source.read(made):
        if name not in _OWN and not name.startswith("sqlite_"):
            yield name
