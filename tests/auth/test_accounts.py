from pathlib import Path

import argon2
import pytest

from auth.accounts import Accounts
from auth.errors import AccountError
from auth.store import Account
from tests.auth.conftest import Raw

PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def _people(accounts: Accounts) -> None:
    accounts.add("root", "admin", PASSWORD, 1.0)
    accounts.add("ann", "analyst", PASSWORD, 2.0)


def password_in(raw: Raw, name: str) -> str:
    return str(raw.execute("SELECT password FROM accounts WHERE name = ?", name)[0][0])


def test_accounts_are_listed_by_name_and_found(accounts: Accounts) -> None:
    ann, root = Account("ann", "analyst", 2.0), Account("root", "admin", 1.0)
    assert accounts.list() == (ann, root)
    assert accounts.find("ann") == ann
    assert accounts.find("Ann") is None


@pytest.mark.parametrize("name", ["a", "7", "Ann.B_c@example.org", "x-1", "n" * 64])
def test_a_name_of_letters_digits_and_a_few_signs_is_taken(accounts: Accounts, name: str) -> None:
    accounts.add(name, "scorer", PASSWORD, 0.0)
    assert accounts.find(name) is not None


@pytest.mark.parametrize("name", ["", "n" * 65, "a b", "a/b", "é", "a\n", "..", "-h", "a\0", "\ud800"])
def test_any_other_name_is_refused(accounts: Accounts, name: str) -> None:
    with pytest.raises(AccountError, match="bad_name"):
        accounts.add(name, "scorer", PASSWORD, 0.0)


def test_a_name_is_given_once(accounts: Accounts) -> None:
    with pytest.raises(AccountError, match="exists"):
        accounts.add("ann", "scorer", PASSWORD, 0.0)
    assert accounts.find("ann") == Account("ann", "analyst", 2.0)


def test_signing_in_takes_the_right_name_and_the_right_password(accounts: Accounts) -> None:
    opened = accounts.sign_in("ann", PASSWORD, 5.0)
    assert opened is not None
    assert accounts.sessions.find(opened.session.id) == opened.session
    assert accounts.sign_in("ann", "wrong horse", 5.0) is None
    assert accounts.sign_in("bob", PASSWORD, 5.0) is None


def test_an_unknown_name_costs_a_check_of_a_password_too(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the time is measured but what is done: argon2 runs on one hash either way, with the same cost."""
    checked: list[str] = []

    def check(_: object, stored: str, password: str) -> bool:
        checked.append(stored)
        raise argon2.exceptions.VerifyMismatchError

    monkeypatch.setattr(argon2.PasswordHasher, "verify", check)
    for name in ("ann", "bob", "root", "nobody"):
        assert accounts.sign_in(name, "wrong horse", 5.0) is None
    assert len(checked) == 4
    assert len({stored.rpartition("$")[0].rpartition("$")[0] for stored in checked}) == 1


def test_no_password_is_kept(raw: Raw, tmp_path: Path) -> None:
    assert b"ann" in raw.kept() and PASSWORD.encode() not in raw.kept()
    assert not any(PASSWORD.encode() in file.read_bytes() for file in tmp_path.iterdir())


def test_removing_an_account_ends_its_sessions_and_a_new_one_of_the_name_does_not_revive_them(
    accounts: Accounts,
) -> None:
    session = accounts.open_session("ann", 5.0).session
    accounts.remove("ann")
    assert accounts.find("ann") is None
    accounts.add("ann", "analyst", PASSWORD, 6.0)
    assert accounts.sessions.find(session.id) is None


def test_changing_a_password_ends_the_sessions_of_that_account_alone(accounts: Accounts) -> None:
    session, other = (accounts.open_session(name, 5.0).session for name in ("ann", "root"))
    accounts.set_password("ann", "another horse")
    assert accounts.sessions.find(session.id) is None
    assert accounts.sessions.find(other.id) is not None
    assert accounts.sign_in("ann", PASSWORD, 6.0) is None
    assert accounts.sign_in("ann", "another horse", 6.0) is not None


def test_the_last_admin_stays(accounts: Accounts) -> None:
    with pytest.raises(AccountError, match="last_admin"):
        accounts.remove("root")
    accounts.add("root2", "admin", PASSWORD, 3.0)
    accounts.remove("root")
    assert accounts.find("root") is None


def test_an_account_that_is_not_there_cannot_be_changed(accounts: Accounts) -> None:
    with pytest.raises(AccountError, match="unknown"):
        accounts.remove("bob")
    with pytest.raises(AccountError, match="unknown"):
        accounts.set_password("bob", PASSWORD)
    with pytest.raises(AccountError, match="unknown"):
        accounts.open_session("bob", 0.0)


def test_a_hash_of_an_older_cost_is_replaced_at_the_next_sign_in(accounts: Accounts, raw: Raw) -> None:
    old = argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    raw.execute("UPDATE accounts SET password = ? WHERE name = 'ann'", old)
    session = accounts.open_session("ann", 5.0).session
    assert accounts.sign_in("ann", PASSWORD, 6.0) is not None
    assert password_in(raw, "ann").startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert accounts.sign_in("ann", PASSWORD, 7.0) is not None
    assert accounts.sessions.find(session.id) is not None


def test_only_what_takes_something_away_counts_as_a_change(accounts: Accounts, elsewhere: Accounts) -> None:
    before = elsewhere.change_counter()
    opened = accounts.sign_in("ann", PASSWORD, 5.0)
    assert opened is not None
    renewed = accounts.sessions.rotate(opened.refresh_token, 6.0)
    assert elsewhere.change_counter() == before
    accounts.sessions.revoke(renewed.refresh_token)
    assert elsewhere.change_counter() == before
    assert elsewhere.ended_sessions() == [renewed.session.id]
    accounts.set_password("ann", "another horse")
    changed = elsewhere.change_counter()
    accounts.remove("ann")
    assert len({before, changed, elsewhere.change_counter()}) == 3
    assert elsewhere.ended_sessions() == []
