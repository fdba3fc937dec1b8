import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from auth.errors import AccountsUnavailable, SetupError
from auth.sqlite import Sqlite
from tests.auth.conftest import Raw

ADD = "INSERT INTO accounts (name, role, password, created_at) VALUES ('ann', 'scorer', 'hash', 0)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "accounts.sqlite"


@pytest.fixture
def database(path: Path) -> Iterator[Sqlite]:
    opened = Sqlite(path)
    yield opened
    opened.close()


def test_no_file_of_it_can_be_read_by_anybody_else(database: Sqlite, path: Path) -> None:
    with database.transaction() as db:
        db.execute(ADD)
    files = sorted(path.parent.glob("accounts.sqlite*"))
    assert [file.name for file in files] == ["accounts.sqlite", "accounts.sqlite-shm", "accounts.sqlite-wal"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_file_that_is_no_database_is_refused_with_what_to_do(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to be read as one" * 100)
    with pytest.raises(SetupError, match="move it away"):
        Sqlite(path)


def test_a_file_that_is_full_locked_or_read_only_takes_nothing_and_is_as_it_was_afterwards(
    database: Sqlite, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Raw(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        database._writer.execute("PRAGMA busy_timeout = 1")
        with pytest.raises(AccountsUnavailable, match="locked"), database.transaction():
            pass
        other.execute("ROLLBACK")
    database._writer.execute("PRAGMA query_only = ON")  # as a disk that was mounted anew for reading alone
    with pytest.raises(AccountsUnavailable, match="readonly"), database.transaction() as db:
        db.execute(ADD)
    database._writer.execute("PRAGMA query_only = OFF")
    [(pages,)] = database.read("PRAGMA page_count")
    database._writer.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(AccountsUnavailable, match="full"), database.transaction() as db:
        db.execute("INSERT INTO roles VALUES ('much', ?)", ("x" * 100_000,))
    assert database.read("SELECT * FROM roles") == []
    with database.transaction() as db:
        db.execute(ADD)
    assert database.changes() == 0
