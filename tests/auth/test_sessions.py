import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from auth.accounts import Accounts
from auth.errors import Unauthenticated
from auth.sessions import IDLE_LIFE_S, WHOLE_LIFE_S, Opened, Session
from tests.auth.conftest import Raw

DAY = 86_400.0


@pytest.fixture
def opened(accounts: Accounts) -> Opened:
    accounts.add("ann", "analyst", "correct horse", 0.0)
    return accounts.open_session("ann", 0.0)


def test_a_session_is_found_with_the_role_of_its_account(accounts: Accounts, opened: Opened) -> None:
    assert accounts.sessions.find(opened.session.id) == Session(opened.session.id, "ann", "analyst", IDLE_LIFE_S)
    assert accounts.sessions.find("unknown") is None


def test_a_refresh_token_is_32_random_bytes_and_only_its_digest_is_kept(
    accounts: Accounts, opened: Opened, raw: Raw
) -> None:
    secret = base64.urlsafe_b64decode(opened.refresh_token + "=")
    assert len(secret) == 32
    kept = raw.kept()
    assert hashlib.sha256(opened.refresh_token.encode()).digest() in kept
    assert opened.refresh_token.encode() not in kept
    assert secret not in kept


def test_a_refresh_token_is_spent_for_another_of_the_same_session(accounts: Accounts, opened: Opened) -> None:
    renewed = accounts.sessions.rotate(opened.refresh_token, 10.0)
    assert renewed.refresh_token != opened.refresh_token
    assert renewed.session == Session(opened.session.id, "ann", "analyst", 10.0 + IDLE_LIFE_S)


def test_a_spent_refresh_token_ends_the_whole_session(accounts: Accounts, opened: Opened) -> None:
    renewed = accounts.sessions.rotate(opened.refresh_token, 10.0)
    with pytest.raises(Unauthenticated, match="reused_refresh_token"):
        accounts.sessions.rotate(opened.refresh_token, 20.0)
    assert accounts.sessions.find(opened.session.id) is None
    with pytest.raises(Unauthenticated, match="bad_refresh_token"):
        accounts.sessions.rotate(renewed.refresh_token, 30.0)


def test_a_spent_refresh_token_leaves_the_other_sessions_of_the_account_alone(
    accounts: Accounts, opened: Opened
) -> None:
    other = accounts.open_session("ann", 0.0)
    accounts.sessions.rotate(opened.refresh_token, 10.0)
    with pytest.raises(Unauthenticated):
        accounts.sessions.rotate(opened.refresh_token, 20.0)
    assert accounts.sessions.rotate(other.refresh_token, 30.0).session.id == other.session.id


@pytest.mark.parametrize(
    "token", ["", "nonsense", "é", "\ud800", "x" * 100_000], ids=["", "a", "é", "surrogate", "long"]
)
def test_an_unknown_refresh_token_is_refused(accounts: Accounts, opened: Opened, token: str) -> None:
    with pytest.raises(Unauthenticated, match="bad_refresh_token"):
        accounts.sessions.rotate(token, 10.0)


def test_a_session_left_idle_for_14_days_is_over(accounts: Accounts, opened: Opened) -> None:
    with pytest.raises(Unauthenticated, match="expired"):
        accounts.sessions.rotate(opened.refresh_token, 14 * DAY)


def test_a_session_in_use_is_over_after_90_days(accounts: Accounts, opened: Opened) -> None:
    for day in range(13, 90, 13):
        opened = accounts.sessions.rotate(opened.refresh_token, day * DAY)
    assert opened.session.expires_at <= WHOLE_LIFE_S
    opened = accounts.sessions.rotate(opened.refresh_token, 89 * DAY)
    assert opened.session.expires_at == WHOLE_LIFE_S
    with pytest.raises(Unauthenticated, match="expired"):
        accounts.sessions.rotate(opened.refresh_token, 90 * DAY)


def test_a_revoked_session_is_over(accounts: Accounts, opened: Opened) -> None:
    accounts.sessions.revoke(opened.refresh_token)
    assert accounts.sessions.find(opened.session.id) is None


def test_revoking_an_unknown_token_changes_nothing(accounts: Accounts, opened: Opened) -> None:
    before = accounts.change_counter()
    accounts.sessions.revoke("unknown")
    assert accounts.change_counter() == before
    assert accounts.sessions.find(opened.session.id) is not None


def test_sessions_that_ran_out_are_cleared_away_by_the_next(accounts: Accounts, opened: Opened) -> None:
    accounts.open_session("ann", 15 * DAY)
    assert accounts.sessions.find(opened.session.id) is None


def test_one_refresh_token_used_twice_at_once_is_good_at_most_once(
    accounts: Accounts, elsewhere: Accounts, opened: Opened
) -> None:
    def refresh(through: Accounts) -> bool:
        try:
            through.sessions.rotate(opened.refresh_token, 10.0)
        except Unauthenticated:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(refresh, [accounts, elsewhere] * 4)) == 1
    assert accounts.sessions.find(opened.session.id) is None
