import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.account_file import AccountFile
from auth.accounts import Accounts
from auth.authenticator import Authenticator
from auth.credentials.access_token import AccessTokens
from auth.credentials.credential import HEADERS, Recognised, Shown
from auth.errors import Reason, TwoCredentials, Unauthenticated
from auth.key_file import KeyFileTokens
from auth.principal import ROLES, Permission, Principal, built_in
from auth.sessions import IDLE_LIFE_S, PEER, Opened
from auth.store import AccountStore
from auth.tokens import Tokens
from tests.auth.conftest import Raw, line, settle, write

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
    return recogniser(accounts, tokens, clock, failures.append, most_known=3)


def recogniser(accounts: AccountStore, tokens: Tokens, clock: Callable[[], float], *more: Any, **named: Any) -> Any:
    """An authenticator of access tokens alone."""

    def changes() -> object:
        return accounts.change_counter(), tokens.change_counter()

    ended = accounts.ended_sessions
    return Authenticator((AccessTokens(accounts, tokens),), changes, clock, *more, ended=ended, **named)


def authenticate(authenticator: Authenticator, header: bytes | None) -> Principal:
    headers = {} if header is None else {b"authorization": header}
    return asyncio.run(authenticator.authenticate(headers, "10.0.0.1"))


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
        authenticate(authenticator, header)
    return refusal.value.reason


def test_a_token_of_ours_gives_the_principal(authenticator: Authenticator, opened: Opened, header: bytes) -> None:
    allowed = built_in("analyst")
    expected = Principal("ann", "person", "analyst", "token", opened.session.id, 4600.0, allowed)
    assert authenticate(authenticator, header) == expected


def test_the_second_time_it_is_remembered(authenticator: Authenticator, header: bytes) -> None:
    assert authenticate(authenticator, header) is authenticate(authenticator, header)


def test_a_token_may_stand_under_the_scheme_that_others_put_keys_under(
    authenticator: Authenticator, opened: Opened, header: bytes
) -> None:
    assert authenticate(authenticator, header.replace(b"Bearer ", b"Key ")).credential == opened.session.id


def test_the_scheme_may_be_written_in_any_case(authenticator: Authenticator, header: bytes) -> None:
    assert authenticate(authenticator, header.replace(b"Bearer", b"bEARER")).name == "ann"


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
    authenticate(authenticator, header)
    clock.now = 4600.0
    assert reason(authenticator, header) == "expired"


def test_a_token_does_not_outlive_its_session(
    accounts: Accounts, clock: Clock, opened: Opened, failures: list[Reason]
) -> None:
    tokens = Tokens(KEY, lifetime_s=10**9)
    authenticator = recogniser(accounts, tokens, clock, failures.append)
    header = b"Bearer " + tokens.issue("ann", "analyst", opened.session.id, 1000.0).encode()
    assert authenticate(authenticator, header).expires_at == 1000.0 + IDLE_LIFE_S
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
    authenticator: Authenticator, header: bytes, raw: Raw
) -> None:
    raw.execute("UPDATE accounts SET role = 'scorer' WHERE name = 'ann'")
    assert reason(authenticator, header) == "revoked"


def test_a_token_with_the_session_of_somebody_else_is_refused(
    authenticator: Authenticator, accounts: Accounts, tokens: Tokens, opened: Opened
) -> None:
    stranger = tokens.issue("root", "analyst", opened.session.id, 1000.0)
    assert reason(authenticator, b"Bearer " + stranger.encode()) == "revoked"


def test_a_revocation_in_another_process_is_noticed_at_the_next_tick(
    authenticator: Authenticator, elsewhere: Accounts, opened: Opened, header: bytes
) -> None:
    authenticate(authenticator, header)
    elsewhere.sessions.revoke(opened.refresh_token)
    assert authenticate(authenticator, header).name == "ann"  # remembered until then
    authenticator.forget_if_changed()
    assert reason(authenticator, header) == "revoked"


def test_who_signs_out_is_forgotten_by_every_process_and_nobody_else_is(
    authenticator: Authenticator, accounts: Accounts, elsewhere: Accounts, tokens: Tokens, opened: Opened, header: bytes
) -> None:
    other = b"Bearer " + tokens.issue("root", "admin", accounts.open_session("root", 1000.0).session.id, 990.0).encode()
    processes = authenticator, recogniser(elsewhere, tokens, lambda: 1000.0)
    remembered = [authenticate(one, other) for one in processes]
    for one in processes:
        authenticate(one, header)
    accounts.sessions.revoke(opened.refresh_token or "")
    for one in processes:
        one.forget_if_changed()
        assert one.known({b"authorization": header}, str) is None
        assert one.known({b"authorization": other}, str) in remembered


def test_a_sign_in_elsewhere_does_not_empty_the_cache(
    authenticator: Authenticator, elsewhere: Accounts, header: bytes
) -> None:
    remembered = authenticate(authenticator, header)
    elsewhere.open_session("ann", 1000.0)
    authenticator.forget_if_changed()
    assert authenticate(authenticator, header) is remembered


def test_if_the_database_cannot_be_read_nothing_stays_remembered(
    authenticator: Authenticator, accounts: Accounts, header: bytes
) -> None:
    authenticate(authenticator, header)
    accounts.close()
    with suppress(sqlite3.ProgrammingError):
        authenticator.forget_if_changed()
    with pytest.raises(Exception, match=r"closed|shutdown"):
        authenticate(authenticator, header)


def test_what_is_remembered_is_bounded_and_nonsense_is_not_remembered(
    authenticator: Authenticator, tokens: Tokens, opened: Opened
) -> None:
    for i in range(10):
        authenticate(authenticator, b"Bearer " + tokens.issue("ann", "analyst", opened.session.id, 990.0 + i).encode())
        reason(authenticator, b"Bearer nonsense%d" % i)
        assert len(authenticator._known) <= 3
    assert all(len(known) == 16 for known in authenticator._known)  # digests


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_is_remembered_for_itself_and_for_no_other(
    authenticator: Authenticator, header: bytes, name: bytes
) -> None:
    authenticate(authenticator, header)
    known = authenticator.known({name: header}, str)
    assert (known is not None) == (name == b"authorization")


def test_two_credentials_that_differ_are_refused_and_the_same_one_twice_is_not(
    authenticator: Authenticator, header: bytes
) -> None:
    authenticate(authenticator, header)
    with pytest.raises(TwoCredentials):
        authenticator.known({b"authorization": header, b"api-key": b"another"}, str)
    bare = header.partition(b" ")[2]
    assert authenticator.known({b"authorization": header, b"api-key": bare, b"x-api-key": bare}, str) is not None


def test_what_was_revoked_while_it_was_being_recognised_is_not_remembered(
    accounts: Accounts, tokens: Tokens, opened: Opened, header: bytes
) -> None:
    class Slow(AccessTokens):
        async def verify(self, shown: Shown, now: float) -> Recognised:
            found = await super().verify(shown, now)
            accounts.sessions.revoke(opened.refresh_token or "")
            authenticator.forget_if_changed()
            return found

    ended = accounts.ended_sessions
    authenticator = Authenticator((Slow(accounts, tokens),), accounts.change_counter, lambda: 1000.0, ended=ended)
    authenticate(authenticator, header)
    assert authenticator.known({b"authorization": header}, str) is None


# Accounts in a file


@pytest.fixture
def stateless(shared: AccountFile, tokens: Tokens, clock: Clock) -> Authenticator:
    return recogniser(shared, tokens, clock)


def bearer(tokens: Tokens, name: str, role: str, session: str) -> bytes:
    return b"Bearer " + tokens.issue(name, role, session, 1000.0).encode()


def bearer_of(accounts: AccountFile, tokens: Tokens, name: str) -> bytes:
    session = accounts.open_session(name, 1000.0).session
    return bearer(tokens, session.account, session.role, session.id)


def test_a_token_of_an_account_in_a_file_gives_the_principal(
    stateless: Authenticator, shared: AccountFile, tokens: Tokens
) -> None:
    principal = authenticate(stateless, bearer_of(shared, tokens, "ann"))
    assert (principal.name, principal.role, principal.expires_at) == ("ann", "analyst", 4600.0)


@pytest.mark.parametrize(
    "after",
    [[line("root", "admin")], [line("root", "admin"), line("ann", "analyst")], [line("ann", "scorer")]],
    ids=["taken out", "another password", "another role"],
)
def test_a_change_of_the_line_ends_its_tokens_in_every_process(
    stateless: Authenticator, shared: AccountFile, tokens: Tokens, path: Path, after: list[str]
) -> None:
    another = recogniser(AccountFile(path), tokens, lambda: 1000.0)
    header = bearer_of(shared, tokens, "ann")
    write(path, *after)
    for authenticator in (stateless, another):
        authenticate(authenticator, header)
        settle(authenticator.forget_if_changed)
        assert reason(authenticator, header) == "revoked"


def test_a_key_that_was_taken_away_is_forgotten_with_all_that_it_signed(shared: AccountFile, tmp_path: Path) -> None:
    path = write(tmp_path / "token.key", "n" * 32, "o" * 32)
    authenticator = recogniser(shared, KeyFileTokens(path), lambda: 1000.0)
    old, new = (bearer_of(shared, Tokens(key * 32), "ann") for key in (b"o", b"n"))
    assert [authenticate(authenticator, header).name for header in (old, new)] == ["ann", "ann"]
    write(path, "n" * 32)
    settle(authenticator.forget_if_changed)
    assert reason(authenticator, old) == "bad_header"
    assert authenticate(authenticator, new).name == "ann"


def test_a_token_of_a_session_in_a_database_is_nothing_where_accounts_are_in_a_file(
    stateless: Authenticator, header: bytes
) -> None:
    assert reason(stateless, header) == "revoked"


def test_a_token_of_an_account_in_a_file_is_nothing_where_accounts_are_in_a_database(
    authenticator: Authenticator, accounts: Accounts, shared: AccountFile, tokens: Tokens
) -> None:
    accounts.add("ann", "analyst", PASSWORD, 0.0)
    assert reason(authenticator, bearer_of(shared, tokens, "ann")) == "revoked"


def test_the_two_kinds_of_session_can_never_have_the_same_id(accounts: Accounts, shared: AccountFile) -> None:
    """One has a dot or an at sign, the other is base64url."""
    accounts.add("ann", "analyst", PASSWORD, 0.0)
    letters = set(accounts.open_session("ann", 0.0).session.id)
    assert letters <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert shared.open_session("ann", 0.0).session.id.startswith("line.")
    assert PEER.id.startswith("@")


@given(
    st.sampled_from(["ann", "root", "bob", PEER.account]),
    st.sampled_from([*ROLES, PEER.role]),
    st.sampled_from(["ann", "root", "peer", "none"]),
)
def test_only_the_name_the_role_and_the_line_together_pass(name: str, role: str, session: str) -> None:
    accounts, tokens, ids = _two_accounts()
    good = {("ann", "analyst", "ann"), ("root", "admin", "root"), (PEER.account, PEER.role, "peer")}
    authenticator = recogniser(accounts, tokens, lambda: 1000.0)
    header = bearer(tokens, name, role, ids[session])
    if (name, role, session) in good:
        assert authenticate(authenticator, header).role == role
    else:
        assert reason(authenticator, header) == "revoked"


@cache
def _two_accounts() -> tuple[AccountFile, Tokens, dict[str, str]]:
    with TemporaryDirectory() as folder:
        accounts = AccountFile(write(Path(folder) / "accounts", line("root", "admin"), line("ann", "analyst")))
    ids = {name: accounts.open_session(name, 0.0).session.id for name in ("ann", "root")}
    return accounts, Tokens(KEY), ids | {"peer": PEER.id, "none": "line." + "0" * 64}


# Peers


def test_a_peer_may_see_the_catalog_and_do_nothing_else(stateless: Authenticator, tokens: Tokens) -> None:
    peer = authenticate(stateless, bearer(tokens, PEER.account, "peer", PEER.id))
    assert [permission for permission in get_args(Permission) if peer.may(permission)] == ["catalog"]


def test_a_peer_is_somebody_only_in_a_database_that_servers_share(
    authenticator: Authenticator, tokens: Tokens, where: Path | str
) -> None:
    peer = bearer(tokens, PEER.account, "peer", PEER.id)
    if isinstance(where, Path):
        assert reason(authenticator, peer) == "revoked"
    else:
        principal = authenticate(authenticator, peer)
        assert [permission for permission in get_args(Permission) if principal.may(permission)] == ["catalog"]
    assert reason(authenticator, bearer(tokens, PEER.account, "admin", PEER.id)) == "revoked"
    assert reason(authenticator, bearer(tokens, "root", "peer", PEER.id)) == "revoked"


def test_a_peer_with_another_key_is_nobody(stateless: Authenticator) -> None:
    assert reason(stateless, bearer(Tokens(bytes(32)), PEER.account, "peer", PEER.id)) == "bad_header"
