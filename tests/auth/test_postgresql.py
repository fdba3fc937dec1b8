"""What is PostgreSQL's own: going away and coming back, telling of changes, and several servers at once."""

import time
from collections.abc import Iterator
from contextlib import closing
from threading import Thread

import psycopg
import pytest

from auth import postgresql as driver
from auth.accounts import Accounts
from auth.endings import note_end
from auth.errors import AccountError, AccountsUnavailable, SetupError
from auth.migrations import STEPS
from auth.postgresql import Postgresql
from auth.store import AccountChange
from tests.auth.conftest import Raw
from tests.harness.postgresql import PostgresServer
from tests.harness.tandem import eventually

ADD = "INSERT INTO roles VALUES (?, 'list')"
REVOKE = "UPDATE revocations SET count = count + 1"


@pytest.fixture
def name(postgresql: PostgresServer) -> str:
    return postgresql.emptied()


@pytest.fixture
def url(postgresql: PostgresServer, name: str) -> str:
    return postgresql.url(name)


@pytest.fixture
def database(url: str) -> Iterator[Postgresql]:
    with closing(Postgresql(url)) as opened:
        yield opened


@pytest.fixture
def watched(url: str) -> Iterator[Postgresql]:
    with closing(Postgresql(url, watched=True)) as opened:
        eventually(lambda: opened._looked_at > 0)
        yield opened


def add(database: Postgresql, role: str) -> None:
    with database.transaction() as db:
        db.execute(ADD, (role,))


def at_once(work: list[Thread]) -> None:
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()


# The schema


def test_servers_that_start_at_once_on_an_empty_database_take_each_step_once(postgresql: PostgresServer) -> None:
    url = postgresql.url(postgresql.make())
    failed: list[BaseException] = []

    def open_it() -> None:
        try:
            Accounts(url).close()
        except BaseException as problem:
            failed.append(problem)

    at_once([Thread(target=open_it) for _ in range(6)])
    assert failed == []
    with closing(Raw(url)) as raw:
        assert raw.execute("SELECT version FROM schema_version") == [(len(STEPS),)]
        assert raw.execute("SELECT count FROM revocations") == [(0,)]


def test_a_database_of_a_newer_program_is_refused_with_what_to_do_and_left_as_it_is(postgresql: PostgresServer) -> None:
    url = postgresql.url(postgresql.make())
    Accounts(url).close()
    with closing(Raw(url)) as raw:
        raw.execute("UPDATE schema_version SET version = 900")
        with pytest.raises(SetupError, match="newer Tandem: its schema is version 900, this program knows"):
            Accounts(url)
        assert raw.execute("SELECT version FROM schema_version") == [(900,)]


def test_a_step_that_fails_leaves_the_database_as_it_was(
    postgresql: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgresql.url(postgresql.make())
    Accounts(url).close()
    broken = (*STEPS, ("CREATE TABLE half (way TEXT) STRICT", "CREATE NONSENSE"))
    monkeypatch.setattr(driver, "STEPS", broken)
    with pytest.raises(SetupError, match="cannot be used"):
        Accounts(url)
    monkeypatch.undo()
    with closing(Raw(url)) as raw:
        assert raw.execute("SELECT to_regclass('half')") == [(None,)]
    Accounts(url).close()


# Changes


def test_a_change_elsewhere_is_known_at_once_and_others_are_none(watched: Postgresql, database: Postgresql) -> None:
    before = watched.changes()
    add(database, "watcher")
    with database.transaction() as db:
        db.execute(REVOKE)
    made = time.monotonic()
    eventually(lambda: watched.changes() == before + 1, every_s=0.001)
    assert time.monotonic() - made < 0.9  # word came: the next look would be later, or as late


def test_a_change_is_known_within_a_second_or_so_where_no_word_of_it_comes(
    watched: Postgresql, url: str, postgresql: PostgresServer
) -> None:
    before = watched.changes()
    with closing(Raw(url)) as raw:
        raw.execute("SET session_replication_role = replica")  # no trigger
        raw.execute(REVOKE)
    eventually(lambda: watched.changes() == before + 1, 5)


def test_a_change_of_ones_own_is_known_without_a_look(watched: Postgresql) -> None:
    before = watched.changes()
    with watched.transaction() as db:
        db.execute(REVOKE)
    assert watched.changes() == before + 1


def test_sessions_that_end_elsewhere_or_here_are_heard_of_once(watched: Postgresql, database: Postgresql) -> None:
    eventually(lambda: watched.changes() >= 0)
    assert watched.ended() is None, "nobody looked before, so anything may have ended"
    for session, through in (("a", database), ("b", watched), ("c", database)):
        with through.transaction() as db:
            note_end(db, session)
    heard: list[str] = []
    eventually(lambda: heard.extend(watched.ended() or ()) or heard == ["a", "b", "c"])
    assert watched.ended() == []


# Out of reach


def cut(raw: Raw) -> None:
    """End every other connection to the database, as a server does that is started anew."""
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    raw.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {others}")


def test_a_connection_that_was_cut_is_made_anew_without_a_failure(database: Postgresql, url: str) -> None:
    add(database, "one")
    with closing(Raw(url)) as raw:
        cut(raw)
        assert database.read("SELECT name FROM roles") == [("one",)]
        cut(raw)
        add(database, "two")
        assert database.read("SELECT name FROM roles ORDER BY name") == [("one",), ("two",)]


def test_a_transaction_that_is_cut_leaves_nothing(database: Postgresql, url: str) -> None:
    with closing(Raw(url)) as raw:
        with pytest.raises(AccountsUnavailable), database.transaction() as db:
            db.execute(ADD, ("one",))
            cut(raw)
            db.execute(ADD, ("two",))
        assert database.read("SELECT name FROM roles") == []


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver._Connection, "patience_s", 0.5)
    monkeypatch.setattr(driver, "_SESSION", "SET statement_timeout = 200")


@pytest.mark.usefixtures("impatient")
def test_a_server_that_says_nothing_is_waited_for_once_and_found_again(
    watched: Postgresql, postgresql: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    add(watched, "one")
    postgresql.freeze()
    try:
        with pytest.raises(AccountsUnavailable):
            watched.read("SELECT 1")
        began = time.monotonic()
        for _ in range(20):
            with pytest.raises(AccountsUnavailable):
                watched.read("SELECT 1")
            with pytest.raises(AccountsUnavailable):
                add(watched, "two")
        assert time.monotonic() - began < 0.5
        assert watched.changes() == 0  # known from before
    finally:
        postgresql.thaw()
    assert eventually(lambda: names_in(watched)) == ["one"]
    add(watched, "two")
    told = [record.message for record in caplog.records if record.name == driver.__name__]
    assert told[-1] == "the database of accounts can be reached again"


def names_in(database: Postgresql) -> list[str]:
    try:
        return [name for (name,) in database.read("SELECT name FROM roles")]
    except AccountsUnavailable:
        return []


def test_what_was_known_is_trusted_for_five_minutes_and_no_longer(
    watched: Postgresql, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert driver.KNOWN_FOR_S == 300
    monkeypatch.setattr(watched, "_looked_at", time.monotonic() - 299)
    monkeypatch.setattr(watched, "_look", lambda connection: None)
    watched.changes()
    monkeypatch.setattr(watched, "_looked_at", time.monotonic() - 301)
    with pytest.raises(AccountsUnavailable):
        watched.changes()


def test_a_server_may_start_while_the_database_is_away_and_a_command_may_not(postgresql: PostgresServer) -> None:
    url = postgresql.url("nowhere")
    with pytest.raises(SetupError, match=r"the database nowhere at .* does not exist"):
        Postgresql(url)
    with closing(Postgresql(url, watched=True)) as waiting:
        with pytest.raises(AccountsUnavailable):
            waiting.read("SELECT 1")
        with pytest.raises(AccountsUnavailable):
            waiting.changes()
        postgresql.execute("CREATE DATABASE nowhere")
        eventually(lambda: names_in(waiting) == [] and waiting._looked_at > 0, 20)
        add(waiting, "one")


# What cannot be written


@pytest.mark.usefixtures("impatient")
def test_a_database_that_is_full_locked_or_read_only_takes_nothing_and_is_read_meanwhile(
    database: Postgresql, url: str
) -> None:
    add(database, "one")
    with closing(Raw(url)) as raw:
        raw.execute("BEGIN")
        raw.execute(f"SELECT pg_advisory_xact_lock({driver._LOCK})")
        with closing(Postgresql(url)) as impatient, pytest.raises(AccountsUnavailable, match="timeout"):
            add(impatient, "locked")
        raw.execute("ROLLBACK")
        raw.execute(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE disk_full USING MESSAGE = 'could not extend file: No space left on device'; END $$"
        )
        raw.execute("CREATE TRIGGER full_disk BEFORE INSERT ON roles EXECUTE FUNCTION full_disk()")
        with pytest.raises(AccountsUnavailable, match="No space left"):
            add(database, "full")
        raw.execute("DROP TRIGGER full_disk ON roles")
        raw.execute("DROP FUNCTION full_disk")
    with pytest.raises(AccountsUnavailable, match="read-only"), database.transaction() as db:
        db.execute("SET TRANSACTION READ ONLY")
        db.execute(ADD, ("read only",))
    assert names_in(database) == ["one"]
    add(database, "two")


def test_a_database_that_only_follows_another_is_not_taken_for_it(postgresql: PostgresServer) -> None:
    name = postgresql.make()
    postgresql.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(SetupError, match="read-only"):
        Postgresql(postgresql.url(name))


def test_two_servers_cannot_take_each_other_the_last_admin(url: str) -> None:
    with closing(Accounts(url)) as one, closing(Accounts(url)) as two:
        one.add("ann", "admin", "correct horse", 1.0)
        one.add("bob", "admin", "correct horse", 1.0)
        refused: list[AccountError] = []

        def disable(accounts: Accounts, name: str) -> None:
            try:
                accounts.change(name, AccountChange(disabled=True))
            except AccountError as problem:
                refused.append(problem)

        at_once([Thread(target=disable, args=pair) for pair in ((one, "ann"), (two, "bob"))])
        assert [problem.problem for problem in refused] == ["last_admin"]
        assert [account.disabled for account in one.list()].count(False) == 1
        assert one.audit.verify().fault is None


def test_servers_that_write_at_once_keep_one_chain(url: str) -> None:
    with closing(Accounts(url)) as one, closing(Accounts(url)) as two:

        def write(accounts: Accounts, letter: str) -> None:
            for number in range(10):
                accounts.add_service(f"{letter}{number}", "scorer", 1.0)

        at_once([Thread(target=write, args=pair) for pair in ((one, "a"), (two, "b"))])
        verdict = one.audit.verify()
        assert (verdict.rows, verdict.fault) == (20, None)


def test_rows_are_not_taken_out_by_whoever_may_empty_tables(url: str) -> None:
    with closing(Accounts(url)) as accounts, closing(Raw(url)) as raw:
        accounts.add_service("a", "scorer", 1.0)
        for how in ("TRUNCATE audit", "TRUNCATE audit CASCADE"):
            with pytest.raises(psycopg.IntegrityError, match="400 days"):
                raw.execute(how)
