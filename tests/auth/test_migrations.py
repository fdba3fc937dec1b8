"""The database of any earlier program is taken over; that of a later one is refused."""

import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest

from auth import sqlite
from auth.accounts import Accounts
from auth.errors import SetupError
from auth.migrations import STEPS
from auth.store import Account

BEFORE_STEPS = Path(__file__).with_name("fixtures") / "accounts-before-steps.sql"
"""A database of the program that knew no steps: three accounts, a session with a spent refresh token, a revocation."""
SESSION = "-jQP9HjEKaNMBPZvkhK6PQ"
REFRESH_TOKEN = "pIdIteCndjZUzyUDHoHDUNrP_m1XsNGmj6uwIaGTxQ4"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "accounts.sqlite"
    with closing(sqlite3.connect(made)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(BEFORE_STEPS.read_text())
    return made


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT version FROM schema_version").fetchone()[0])


def test_a_file_from_before_steps_is_taken_over_without_loss(path: Path) -> None:
    with closing(Accounts(path)) as accounts:
        listed = [Account("ann", "analyst", 1001.0), Account("bob", "scorer", 1002.0), Account("root", "admin", 1000.0)]
        assert list(accounts.list()) == listed
        assert accounts.sign_in("ann", "correct horse", 2100.0) is not None
        assert accounts.sign_in("ann", "wrong horse", 2100.0) is None
        assert accounts.sessions.find(SESSION) is not None
        assert accounts.sessions.rotate(REFRESH_TOKEN, 2100.0).session.account == "ann"
        assert accounts.change_counter() == 1
        accounts.remove("ann")  # the tables still belong together
        assert accounts.sessions.find(SESSION) is None
    assert version(path) == len(STEPS)


def test_what_a_file_holds_when_it_is_taken_over_fits_together(path: Path) -> None:
    Accounts(path).close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("SELECT count(*) FROM refresh_tokens").fetchone() == (2,)


def test_a_new_file_has_the_same_schema_as_one_that_was_taken_over(path: Path, tmp_path: Path) -> None:
    Accounts(path).close()
    Accounts(tmp_path / "new.sqlite").close()

    def schema(file: Path) -> set[tuple[str, str]]:
        with closing(sqlite3.connect(file)) as db:
            rows = db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
        return {(name, " ".join(sql.replace('"', "").split())) for name, sql in rows}

    assert schema(path) == schema(tmp_path / "new.sqlite")


def test_a_file_of_a_newer_program_is_refused_with_what_to_do_and_left_as_it_is(path: Path) -> None:
    Accounts(path).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE schema_version SET version = 900")
    with pytest.raises(SetupError, match=f"newer Tandem: its schema is version 900, this program knows {len(STEPS)}"):
        Accounts(path)
    assert version(path) == 900


def test_a_step_that_fails_leaves_the_file_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = (*STEPS, ("CREATE TABLE half (way TEXT) STRICT", "CREATE NONSENSE"))
    monkeypatch.setattr(sqlite, "STEPS", broken)
    with pytest.raises(SetupError, match="cannot be used"):
        Accounts(path)
    monkeypatch.undo()
    with closing(Accounts(path)) as accounts:
        assert len(accounts.list()) == 3
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT 1 FROM sqlite_master WHERE name = 'half'").fetchone() is None


def test_processes_that_open_an_old_file_at_once_take_each_step_once(path: Path) -> None:
    failed: list[BaseException] = []

    def open_it() -> None:
        try:
            Accounts(path).close()
        except BaseException as problem:
            failed.append(problem)

    threads = [Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert version(path) == len(STEPS)
