"""Accounts that are moved from a file to a database that servers share."""

from contextlib import closing
from pathlib import Path

import pytest

from auth.accounts import Accounts
from auth.console_sessions import Vouched
from auth.copying import copy_accounts
from auth.errors import SetupError
from auth.principal import Allowance
from tests.auth.conftest import Raw
from tests.harness.postgresql import PostgresServer

PASSWORD = "correct horse"


@pytest.fixture
def url(postgresql: PostgresServer) -> str:
    return postgresql.url(postgresql.emptied())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "accounts.sqlite"


def test_all_of_a_file_is_there_as_it_was_and_goes_on(file: Path, url: str) -> None:
    with closing(Accounts(file)) as before:
        before.add("root", "admin", PASSWORD, 1.0)
        before.add("ann", "analyst", PASSWORD, 2.5)
        before.add_service("batch", "scorer", 3.0)
        made = before.keys.add("batch", "nightly", Allowance(frozenset({"score"}), ("mpg",)), 10, "root", 4.0)
        before.policy.put_role("watcher", ["list"])
        before.policy.add_grant("ann", Allowance(frozenset(), ("risk-*",)), "watcher", "root", 5.0)
        opened = before.sign_in("ann", PASSWORD, 6.0)
        cookie = before.console.open_for_provider(Vouched("idp:eve", "idp", ("scorer",)), 7.0)
        assert opened is not None and opened.refresh_token is not None
        kept = (before.list(), before.keys.list(), before.policy.grants(), before.audit.verify())
    copied = copy_accounts(file, url)
    assert copied["accounts"] == 3 and copied["keys"] == 2
    with closing(Accounts(url)) as after, closing(Raw(file)) as raw:
        assert (after.list(), after.keys.list(), after.policy.grants(), after.audit.verify()) == kept
        assert after.keys.find(next(iter(made.texts))) is not None
        assert after.sign_in("ann", PASSWORD, 8.0) is not None
        assert after.sessions.rotate(opened.refresh_token, 9.0).session.account == "ann"
        found = after.console.find(cookie, 10.0)
        assert found is not None and found.name == "idp:eve"
        assert after.audit.verify().fault is None
        tables = {name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert set(copied) == tables - {"schema_version", "revocations", "ended_sessions"}


def test_a_database_that_has_accounts_is_left_as_it_is(file: Path, url: str) -> None:
    Accounts(file).close()
    with closing(Accounts(url)) as there:
        there.add_service("batch", "scorer", 1.0)
        with pytest.raises(SetupError, match="accounts in the database already"):
            copy_accounts(file, url)
        assert [account.name for account in there.list()] == ["batch"]


def test_what_cannot_be_copied_whole_is_not_copied(file: Path, url: str) -> None:
    with closing(Accounts(file)) as before:
        before.add_service("batch", "scorer", 1.0)
        before.policy.put_role("watcher", ["list"])
    with closing(Raw(file)) as raw:
        raw.execute("INSERT INTO refresh_tokens VALUES (x'00', 'no session', 0)")
    with pytest.raises(Exception, match="foreign key"):
        copy_accounts(file, url)
    with closing(Accounts(url)) as after:
        assert after.list() == ()


def test_a_file_that_is_not_there_is_told(file: Path, url: str) -> None:
    with pytest.raises(SetupError, match="is not there"):
        copy_accounts(file, url)
    assert not file.exists()
