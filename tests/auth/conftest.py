"""What several tests of auth stand on: a real database in a folder of its own, a file of accounts, and their parts."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import argon2
import psycopg
import pytest

from auth.account_file import AccountFile
from auth.accounts import Accounts
from auth.tokens import Tokens
from tests.harness.postgresql import PostgresServer

CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def line(name: str, role: str = "scorer", password: str = "correct horse") -> str:
    """A line of a file of accounts whose password is checked in no time."""
    return f"{name}:{role}:{CHEAP.hash(password)}"


def write(path: Path, *lines: str) -> Path:
    """Write a file of secrets whole, as Kubernetes and careful people do."""
    part = path.with_name(path.name + ".part")
    part.write_text("".join(f"{text}\n" for text in lines))
    part.chmod(0o440)
    return part.rename(path)


def settle(look: Callable[[], object]) -> None:
    """Look as often as it takes until a change that is there counts."""
    for _ in range(3):
        look()


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """What opens a database that is new: of either kind, so that whatever holds for accounts is shown for both."""
    if request.param == "sqlite":
        return tmp_path / "accounts.sqlite"
    server: PostgresServer = request.getfixturevalue("postgresql")
    return server.url(server.emptied())


@pytest.fixture
def accounts(where: Path | str) -> Iterator[Accounts]:
    opened = Accounts(where)
    yield opened
    opened.close()


@pytest.fixture
def elsewhere(accounts: Accounts, where: Path | str) -> Iterator[Accounts]:
    """The same accounts as another process sees them."""
    opened = Accounts(where)
    yield opened
    opened.close()


class Raw:
    """The database under accounts, for whoever goes around us."""

    def __init__(self, where: Path | str) -> None:
        self.sqlite = isinstance(where, Path)
        if isinstance(where, Path):
            self._db: Any = sqlite3.connect(where, isolation_level=None, timeout=10)
        else:
            self._db = psycopg.connect(where, autocommit=True)

    def execute(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        done = self._db.execute(query if self.sqlite else query.replace("?", "%s"), values)
        return done.fetchall() if done.description else []

    def kept(self) -> bytes:
        """All that is in it."""
        tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        if self.sqlite:
            tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
        rows = [row for (table,) in self.execute(tables) for row in self.execute(f"SELECT * FROM {table}")]
        return b"|".join(value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row)

    def without_trigger(self, name: str) -> None:
        self.execute(f"DROP TRIGGER {name}" if self.sqlite else f"DROP TRIGGER {name} ON audit")

    def close(self) -> None:
        self._db.close()


REFUSED_BY_DATABASE = (sqlite3.IntegrityError, psycopg.IntegrityError)


@pytest.fixture
def raw(accounts: Accounts, where: Path | str) -> Iterator[Raw]:
    opened = Raw(where)
    yield opened
    opened.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of accounts: root, an admin, and ann, an analyst."""
    return write(tmp_path / "accounts", line("root", "admin"), line("ann", "analyst"))


@pytest.fixture
def shared(path: Path) -> AccountFile:
    return AccountFile(path)


@pytest.fixture
def tokens() -> Tokens:
    return Tokens(bytes(range(32)))
