import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from auth.accounts import Accounts
from auth.authenticator import Authenticator
from auth.errors import Reason, Unauthenticated
from auth.principal import Principal
from auth.sessions import IDLE_LIFE_S, Opened
from auth.tokens import Tokens

PASSWORD = "correct horse"
KEY = bytes(range(32))


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def failures() -> list[Reason]:
    return []


@pytest.fixture
def authenticator(accounts: Accounts, tokens: Tokens, clock: Clock, failures: list[Reason]) -> Authenticator:
    return Authenticator(accounts, tokens, clock, failures.append, most_known=3)


@pytest.fixture
def opened(accounts: Accounts) -> Opened:
    accounts.add("root", "admin", PASSWORD, 0.0)
    accounts.add("ann", "analyst", PASSWORD, 0.0)
    return accounts.open_session("ann", 1000.0)


@pytest.fixture
def header(opened: Opened, tokens: Tokens) -> bytes:
    return b"Bearer " + tokens.issue("ann", "analyst", opened.session.id, 1000.0).encode()


def reason(authenticator: Authenticator, header: bytes | None) -> str:
    with pytest.raises(Unauthenticated) as refusal:
        authenticator.authenticate(header)
    return refusal.value.reason


def test_a_token_of_ours_gives_the_principal(authenticator: Authenticator, opened: Opened, header: bytes) -> None:
    assert authenticator.authenticate(header) == Principal("ann", "analyst", opened.session.id, 4600.0)


def test_the_second_time_it_is_remembered(authenticator: Authenticator, header: bytes) -> None:
    assert authenticator.authenticate(header) is authenticator.authenticate(header)


def test_the_scheme_may_be_written_in_any_case(authenticator: Authenticator, header: bytes) -> None:
    assert authenticator.authenticate(header.replace(b"Bearer", b"bEARER")).name == "ann"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, "missing"),
        (b"", "missing"),
        (b"Bearer", "malformed"),
        (b"Bearer ", "malformed"),
        (b"Basic YW5uOnB3", "malformed"),
        (b"Bearer  two spaces", "malformed"),
        (b"Bearer \xff", "malformed"),
        (b"Bearer " + b"x" * 10_000, "too_large"),
    ],
)
def test_anything_else_is_refused_and_counted(
    authenticator: Authenticator, failures: list[Reason], header: bytes | None, expected: Reason
) -> None:
    assert reason(authenticator, header) == expected
    assert failures == [expected]


def test_a_remembered_token_expires_all_the_same(authenticator: Authenticator, clock: Clock, header: bytes) -> None:
    authenticator.authenticate(header)
    clock.now = 4600.0
    assert reason(authenticator, header) == "expired"


def test_a_token_does_not_outlive_its_session(
    accounts: Accounts, clock: Clock, opened: Opened, failures: list[Reason]
) -> None:
    tokens = Tokens(KEY, lifetime_s=10**9)
    authenticator = Authenticator(accounts, tokens, clock, failures.append)
    header = b"Bearer " + tokens.issue("ann", "analyst", opened.session.id, 1000.0).encode()
    assert authenticator.authenticate(header).expires_at == 1000.0 + IDLE_LIFE_S
    clock.now += IDLE_LIFE_S
    assert reason(authenticator, header) == "expired"


def test_a_removed_account_is_refused(authenticator: Authenticator, accounts: Accounts, header: bytes) -> None:
    accounts.remove("ann")
    assert reason(authenticator, header) == "revoked"


def test_a_revoked_session_is_refused(
    authenticator: Authenticator, accounts: Accounts, opened: Opened, header: bytes
) -> None:
    accounts.sessions.revoke(opened.refresh_token)
    assert reason(authenticator, header) == "revoked"


def test_a_token_with_a_role_the_account_no_longer_has_is_refused(
    authenticator: Authenticator, header: bytes, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "accounts.sqlite")) as db, db:
        db.execute("UPDATE accounts SET role = 'scorer' WHERE name = 'ann'")
    assert reason(authenticator, header) == "revoked"


def test_a_token_with_the_session_of_somebody_else_is_refused(
    authenticator: Authenticator, accounts: Accounts, tokens: Tokens, opened: Opened
) -> None:
    stranger = tokens.issue("root", "analyst", opened.session.id, 1000.0)
    assert reason(authenticator, b"Bearer " + stranger.encode()) == "revoked"


def test_a_revocation_in_another_process_is_noticed_at_the_next_tick(
    authenticator: Authenticator, elsewhere: Accounts, opened: Opened, header: bytes
) -> None:
    authenticator.authenticate(header)
    elsewhere.sessions.revoke(opened.refresh_token)
    assert authenticator.authenticate(header).name == "ann"  # remembered until then
    authenticator.forget_if_changed()
    assert reason(authenticator, header) == "revoked"


def test_a_sign_in_elsewhere_does_not_empty_the_cache(
    authenticator: Authenticator, elsewhere: Accounts, header: bytes
) -> None:
    remembered = authenticator.authenticate(header)
    elsewhere.open_session("ann", 1000.0)
    authenticator.forget_if_changed()
    assert authenticator.authenticate(header) is remembered


def test_if_the_database_cannot_be_read_nothing_stays_remembered(
    authenticator: Authenticator, accounts: Accounts, header: bytes
) -> None:
    authenticator.authenticate(header)
    accounts.close()
    with pytest.raises(Exception, match="closed"):
        authenticator.forget_if_changed()
    with pytest.raises(Exception, match="closed"):
        authenticator.authenticate(header)


def test_what_is_remembered_is_bounded_and_nonsense_is_not_remembered(
    authenticator: Authenticator, tokens: Tokens, opened: Opened
) -> None:
    for i in range(10):
        authenticator.authenticate(b"Bearer " + tokens.issue("ann", "analyst", opened.session.id, 990.0 + i).encode())
        reason(authenticator, b"Bearer nonsense%d" % i)
        assert len(authenticator._known) <= 3
    assert all(b"nonsense" not in (known or b"") for known in authenticator._known)
