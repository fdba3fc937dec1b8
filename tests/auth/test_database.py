import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from auth.database import Database
from auth.errors import SetupError

ADD = "INSERT INTO accounts (name, role, password, created_at) VALUES ('ann', 'scorer', 'hash', 0)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "accounts.sqlite"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    opened = Database(path)
    yield opened
    opened.close()


def test_no_file_of_it_can_be_read_by_anybody_else(database: Database, path: Path) -> None:
    with database.transaction() as db:
        db.execute(ADD)
    files = sorted(path.parent.glob("accounts.sqlite*"))
    assert [file.name for file in files] == ["accounts.sqlite", "accounts.sqlite-shm", "accounts.sqlite-wal"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_transaction_that_fails_leaves_nothing_and_does_not_block_the_next(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction() as db:
        db.execute(ADD)
        _ = 1 / 0
    assert database.read("SELECT * FROM accounts") == []
    with database.transaction() as db:
        db.execute(ADD)
    assert len(database.read("SELECT * FROM accounts")) == 1


def test_a_reader_neither_waits_for_a_writer_nor_sees_what_is_not_committed(database: Database) -> None:
    with database.transaction() as db:
        db.execute(ADD)
        assert database.read("SELECT * FROM accounts") == []


def test_what_is_committed_is_still_there_when_opened_again(database: Database, path: Path) -> None:
    with database.transaction() as db:
        db.execute(ADD)
    again = Database(path)
    assert len(again.read("SELECT * FROM accounts")) == 1
    again.close()


def test_a_file_that_is_no_database_is_refused_with_what_to_do(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to be read as one" * 100)
    with pytest.raises(SetupError, match="move it away"):
        Database(path)
