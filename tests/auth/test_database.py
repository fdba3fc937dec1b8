"""What holds for any database under accounts."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from auth.accounts import open_database
from auth.database import Database
from auth.errors import AccountError, SetupError
from tests.harness.tandem import ROOT

ADD = "INSERT INTO accounts (name, role, password, created_at) VALUES (?, 'scorer', 'hash', 0)"


@pytest.fixture
def database(where: Path | str) -> Iterator[Database]:
    opened = open_database(where)
    yield opened
    opened.close()


def test_a_transaction_that_fails_leaves_nothing_and_does_not_block_the_next(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.transaction() as db:
        db.execute(ADD, ("ann",))
        _ = 1 / 0
    assert database.read("SELECT * FROM accounts") == []
    with database.transaction() as db:
        db.execute(ADD, ("ann",))
    assert len(database.read("SELECT * FROM accounts")) == 1


def test_a_reader_neither_waits_for_a_writer_nor_sees_what_is_not_committed(database: Database) -> None:
    with database.transaction() as db:
        db.execute(ADD, ("ann",))
        assert database.read("SELECT * FROM accounts") == []


def test_what_is_committed_is_still_there_when_opened_again(database: Database, where: Path | str) -> None:
    with database.transaction() as db:
        db.execute(ADD, ("ann",))
    again = open_database(where)
    assert len(again.read("SELECT * FROM accounts")) == 1
    again.close()


def test_a_name_is_there_once_and_lists_are_in_the_order_of_bytes(database: Database) -> None:
    names = ["a_b", "Zoe", "ann", "ab", "a-b", "Ann", "a.b", "a@b", "z", "0"]
    with database.transaction() as db:
        for name in names:
            db.execute(ADD, (name,))
    assert [name for (name,) in database.read("SELECT name FROM accounts ORDER BY name")] == sorted(names)


def test_what_is_looked_for_with_a_nul_or_a_percent_sign_is_found_nowhere(database: Database) -> None:
    with database.transaction() as db:
        db.execute(ADD, ("ann",))
    for name in ("ann\0", "\0", "%", "a%s", "?"):
        assert database.read("SELECT name FROM accounts WHERE name = ?", name) == []


def test_half_of_a_character_is_refused_and_the_database_goes_on(database: Database) -> None:
    with pytest.raises(AccountError, match="bad_text"):
        database.read("SELECT * FROM accounts WHERE name = ?", "\ud800")
    with pytest.raises(AccountError, match="bad_text"), database.transaction() as db:
        db.execute(ADD, ("\ud800",))
    assert database.read("SELECT * FROM accounts") == []


def test_numbers_and_bytes_come_back_as_they_were_to_the_last_bit(database: Database) -> None:
    at, digest = 1764460800.1234567, bytes(range(256))
    with database.transaction() as db:
        db.execute(ADD, ("ann",))
        row = digest, "ann", "", at
        db.execute("INSERT INTO console_sessions (digest, name, roles, expires_at) VALUES (?, ?, ?, ?)", row)
    assert database.read("SELECT digest, name, roles, expires_at FROM console_sessions") == [row]


def test_postgresql_without_its_library_is_told_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "auth.postgresql", None)
    with pytest.raises(SetupError, match="apt-get install libpq5"):
        open_database("postgresql://tandem@localhost/tandem")


def test_where_accounts_are_in_a_file_nothing_of_postgresql_is_imported(tmp_path: Path) -> None:
    code = "import sys, pathlib; from auth.accounts import Accounts; Accounts(pathlib.Path(sys.argv[1])).close();"
    command = [sys.executable, "-c", f"{code} print('psycopg' in sys.modules)", str(tmp_path / "accounts.sqlite")]
    assert subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stdout == "False\n"
