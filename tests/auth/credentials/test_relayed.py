"""Callers of whom another server tells: they are here who they are there, and their secrets stay there."""

import asyncio
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.account_file import AccountFile
from auth.accounts import Accounts
from auth.authenticator import Authenticator
from auth.console_sessions import ConsoleStore, Vouched
from auth.credentials.access_token import AccessTokens
from auth.credentials.api_key import ApiKeyCredentials
from auth.credentials.basic import BasicCredentials
from auth.credentials.credential import Shown
from auth.credentials.relayed import LIFE_S, PURPOSE, RelayedCallers, RelayTokens
from auth.credentials.session_cookie import COOKIE, SessionCookie
from auth.errors import Unauthenticated
from auth.login import Login
from auth.principal import Allowance, Principal
from auth.sealed_sessions import SealedSessions
from auth.store import AccountChange, AccountStore
from auth.tokens import Tokens

PASSWORD = "correct horse"
Headers = dict[bytes, bytes]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Server:
    """What one of two servers with the same accounts and key knows of callers."""

    def __init__(self, accounts: AccountStore, tokens: Tokens, clock: Clock) -> None:
        self.console: ConsoleStore = accounts.console or SealedSessions(accounts, tokens)
        self.relay_tokens = RelayTokens(tokens, clock)
        keys = ApiKeyCredentials(accounts, lambda *use: None)
        verifiers = (
            keys,
            BasicCredentials(accounts, keys, Login(accounts, tokens, clock), "passwords"),
            RelayedCallers(accounts, self.console, tokens),
            AccessTokens(accounts, tokens),
        )
        cookie = SessionCookie(self.console, accounts.allowances, accounts.groups, lambda name: name == "idp")
        ended = accounts.ended_sessions
        self.authenticator = Authenticator(verifiers, accounts.change_counter, clock, cookie=cookie, ended=ended)

    def principal(self, headers: Headers) -> Principal:
        return asyncio.run(self.authenticator.authenticate(headers, "203.0.113.7"))

    def passed_on(self, headers: Headers) -> Headers:
        """What goes to the other server when these headers came."""
        return {b"authorization": self.relay_tokens.authorization(self.principal(headers), headers)}


@pytest.fixture
def here(accounts: Accounts, tokens: Tokens, clock: Clock) -> Server:
    accounts.add("ann", "analyst", PASSWORD, 0.0)
    accounts.add_service("batch", "scorer", 0.0)
    accounts.policy.put_role("watcher", ["list"])
    accounts.policy.add_grant("group:idp:sales", Allowance(frozenset(), ("risk-*",)), "scorer", "root", 0.0)
    return Server(accounts, tokens, clock)


@pytest.fixture
def there(elsewhere: Accounts, tokens: Tokens, clock: Clock) -> Server:
    return Server(elsewhere, tokens, clock)


def with_key(accounts: Accounts) -> tuple[Headers, str]:
    made = accounts.keys.add("batch", "n", Allowance(frozenset({"score"}), ("mpg",)), 1, "root", 1000.0)
    key = next(iter(made.texts.values()))
    return {b"api-key": key.encode()}, key


def with_password(accounts: Accounts) -> tuple[Headers, str]:
    sent = b64encode(f"ann:{PASSWORD}".encode())
    return {b"authorization": b"Basic " + sent}, PASSWORD


def with_cookie(accounts: Accounts) -> tuple[Headers, str]:
    secret = accounts.console.sign_in("ann", PASSWORD, 1000.0) or ""
    return cookie(secret), secret


def with_cookie_of_a_provider(accounts: Accounts) -> tuple[Headers, str]:
    person = Vouched("idp:eve", "idp", ("auditor", "none"), ("idp:sales",), 1000.0)
    secret = accounts.console.open_for_provider(person, 1000.0)
    return cookie(secret), secret


def cookie(secret: str) -> Headers:
    return {b"cookie": f"{COOKIE}={secret}".encode(), b"sec-fetch-site": b"same-origin"}


CALLERS: dict[str, Callable[[Accounts], tuple[Headers, str]]] = {
    "key": with_key,
    "password": with_password,
    "session": with_cookie,
    "session of a provider": with_cookie_of_a_provider,
}


@pytest.mark.parametrize("how", CALLERS)
def test_a_caller_is_there_who_they_are_here_and_their_secret_stays_here(
    here: Server, there: Server, accounts: Accounts, how: str
) -> None:
    headers, secret = CALLERS[how](accounts)
    before = here.principal(headers)
    passed = here.passed_on(headers)
    after = there.principal(passed)
    same = ("name", "kind", "role", "via", "credential", "groups", "narrowed", "key")
    assert [getattr(before, what) for what in same] == [getattr(after, what) for what in same]
    for model in ("mpg", "risk-a", "boston"):
        asked = ("list", "score", "details")
        assert [before.may(one, model) for one in asked] == [after.may(one, model) for one in asked]
    assert before.may("audit") == after.may("audit")
    assert secret.encode() not in passed[b"authorization"]
    assert b64encode(secret.encode()) not in passed[b"authorization"]


def test_an_access_token_goes_along_as_it_came(here: Server, there: Server, accounts: Accounts, tokens: Tokens) -> None:
    session = accounts.open_session("ann", 1000.0).session
    headers = {b"authorization": b"Bearer " + tokens.issue("ann", "analyst", session.id, 1000.0).encode()}
    assert here.passed_on(headers) == headers
    assert there.principal(headers).name == "ann"


def test_a_caller_is_told_of_once_a_minute_and_each_time_is_good_for_a_minute(
    here: Server, there: Server, accounts: Accounts, clock: Clock
) -> None:
    headers = with_cookie(accounts)[0]  # of a session there is a new principal each time
    first = here.passed_on(headers)
    assert here.passed_on(headers) == first
    clock.now += LIFE_S - 20
    assert here.passed_on(headers) == first
    clock.now += 10
    second = here.passed_on(headers)
    assert second != first
    assert there.principal(first).name == there.principal(second).name == "ann"
    clock.now += 10
    with pytest.raises(Unauthenticated, match="expired"):
        there.principal(first)
    assert there.principal(second).name == "ann"
    clock.now -= 3600  # a clock that was set back
    assert here.passed_on(headers) != second


def test_what_was_taken_back_is_refused_there_too_and_what_changed_is_told_anew(
    here: Server, there: Server, accounts: Accounts
) -> None:
    keyed, session = with_key(accounts)[0], with_cookie(accounts)[0]
    of_key, of_session = here.passed_on(keyed), here.passed_on(session)
    for one in (of_key, of_session):
        assert there.principal(one).may("score", "mpg")
    accounts.change("batch", AccountChange(role="watcher"))
    accounts.console.end(session[b"cookie"].decode().partition("=")[2])
    for server in (here, there):
        server.authenticator.forget_if_changed()
    with pytest.raises(Unauthenticated, match="revoked"):
        there.principal(of_session)
    changed = here.passed_on(keyed)
    assert changed != of_key and not there.principal(changed).may("score", "mpg")
    accounts.keys.remove(accounts.keys.list()[0].pair)
    there.authenticator.forget_if_changed()
    with pytest.raises(Unauthenticated, match="revoked"):
        there.principal(changed)


def test_where_accounts_are_in_a_file_a_cookie_is_not_passed_on_either(
    shared: AccountFile, tokens: Tokens, clock: Clock
) -> None:
    here, there = Server(shared, tokens, clock), Server(shared, tokens, clock)
    for secret in (
        here.console.sign_in("ann", PASSWORD, 1000.0) or "",
        here.console.open_for_provider(Vouched("idp:ann", "idp", ("analyst",), (), 1000.0), 1000.0),
    ):
        passed = here.passed_on(cookie(secret))
        assert there.principal(passed).may("details", "mpg")
        assert secret.encode() not in passed[b"authorization"]


@given(st.binary(max_size=300))
def test_whatever_else_comes_under_the_scheme_of_servers_is_refused(secret: bytes) -> None:
    tokens = Tokens(bytes(range(32)))
    nobody: Any = None
    callers = RelayedCallers(nobody, nobody, tokens)
    access = tokens.issue("ann", "admin", "id", 1000.0).encode()
    other = tokens.seal("console", {"name": "ann"}, 1000.0, 60).encode()
    strange = Tokens(b"x" * 32).seal(PURPOSE, {"name": "ann"}, 1000.0, 60).encode()
    for one in (secret, access, other, strange):
        with pytest.raises(Unauthenticated):
            asyncio.run(callers.verify(Shown(b"tandem", one, ""), 1000.0))
