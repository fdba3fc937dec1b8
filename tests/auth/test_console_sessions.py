"""Sessions of the console: what a cookie stands for, and when it ends."""

from __future__ import annotations

import pytest

from auth.accounts import Accounts
from auth.console_sessions import LIFE_S, ConsoleSession, Vouched
from auth.credentials.session_cookie import COOKIE, SessionCookie, refuse_other_sites
from auth.errors import CrossSite, Unauthenticated
from auth.principal import Allowance

PASSWORD = "correct horse"
OURS = {b"sec-fetch-site": b"same-origin"}


@pytest.fixture
def cookie(accounts: Accounts) -> SessionCookie:
    return SessionCookie(accounts.console, accounts.allowances, accounts.groups, lambda name: name == "idp")


def sent(secret: str, **headers: str) -> dict[bytes, bytes]:
    return {b"cookie": f"other=1; {COOKIE}={secret}".encode()} | OURS


def refused(cookie: SessionCookie, secret: str, now: float = 1.0) -> str:
    with pytest.raises(Unauthenticated) as refusal:
        cookie.principal(sent(secret), now)
    return refusal.value.reason


def test_a_session_of_a_provider_has_the_roles_that_it_said(accounts: Accounts, cookie: SessionCookie) -> None:
    secret = accounts.console.open_for_provider(Vouched("idp:ann", "idp", ("analyst", "auditor")), 0.0)
    principal = cookie.principal(sent(secret), 1.0)
    assert (principal.name, principal.role, principal.expires_at) == ("idp:ann", "analyst auditor", LIFE_S)
    assert principal.may("details", "mpg")
    assert principal.may("audit")
    assert not principal.may("accounts")


def test_a_session_of_an_account_has_the_role_that_the_account_has_and_ends_with_its_password(
    accounts: Accounts, cookie: SessionCookie
) -> None:
    accounts.add("ann", "analyst", PASSWORD, 0.0)
    secret = accounts.console.sign_in("ann", PASSWORD, 0.0) or ""
    assert cookie.principal(sent(secret), 1.0).role == "analyst"
    accounts.set_password("ann", "another horse")
    assert refused(cookie, secret) == "revoked"


def test_grants_to_the_groups_that_a_provider_said_count_for_its_session(
    accounts: Accounts, cookie: SessionCookie
) -> None:
    accounts.policy.add_grant("group:idp:sales", Allowance(frozenset(), ("mpg",)), "scorer", "root", 0.0)
    person = Vouched("idp:ann", "idp", ("none",), ("idp:sales", "idp:a group of spaces"))
    principal = cookie.principal(sent(accounts.console.open_for_provider(person, 0.0)), 1.0)
    assert principal.groups == person.groups
    assert principal.may("score", "mpg") and not principal.may("score", "boston")
    other = Vouched("idp:bob", "idp", ("none",), ("idp:another",))
    assert not cookie.principal(sent(accounts.console.open_for_provider(other, 0.0)), 1.0).may("score")


def test_it_ends_by_itself_by_signing_out_and_with_its_provider(accounts: Accounts, cookie: SessionCookie) -> None:
    secret = accounts.console.open_for_provider(Vouched("idp:ann", "idp", ("scorer",)), 0.0)
    assert refused(cookie, secret, LIFE_S) == "revoked"
    accounts.console.end(secret)
    assert refused(cookie, secret) == "revoked"
    gone = accounts.console.open_for_provider(Vouched("gone:ann", "gone", ("scorer",)), 0.0)
    assert refused(cookie, gone) == "revoked"


def test_another_process_sees_it_and_sees_it_end(accounts: Accounts, elsewhere: Accounts) -> None:
    secret = accounts.console.open_for_provider(Vouched("idp:ann", "idp", ("scorer",)), 0.0)
    found = elsewhere.console.find(secret, 1.0)
    assert isinstance(found, ConsoleSession)
    accounts.console.end(secret)
    accounts.console.end(secret)
    assert elsewhere.console.find(secret, 1.0) is None
    assert elsewhere.ended_sessions() == [found.id]


def test_the_database_does_not_hold_what_the_cookie_holds(accounts: Accounts) -> None:
    secret = accounts.console.open_for_provider(Vouched("idp:ann", "idp", ("scorer",)), 0.0)
    rows = accounts._database.read("SELECT * FROM console_sessions")
    assert secret not in str(rows)
    assert secret.encode() not in rows[0][0]


@pytest.mark.parametrize("header", [b"", b"x", b"__Host-tandem", b"__Host-tandem=", b"__host-tandem=x", b"\xff=\xff"])
def test_without_the_cookie_nobody_is_known(cookie: SessionCookie, header: bytes) -> None:
    with pytest.raises(Unauthenticated, match="missing"):
        cookie.principal({b"cookie": header} | OURS, 1.0)


def test_a_cookie_that_comes_twice_is_none(accounts: Accounts, cookie: SessionCookie) -> None:
    secret = accounts.console.open_for_provider(Vouched("idp:ann", "idp", ("scorer",)), 0.0)
    with pytest.raises(Unauthenticated, match="missing"):
        cookie.principal({b"cookie": f"{COOKIE}=x; {COOKIE}={secret}".encode()} | OURS, 1.0)


@pytest.mark.parametrize(
    "headers",
    [
        {b"sec-fetch-site": b"same-origin"},
        {b"sec-fetch-site": b"same-origin", b"origin": b"https://elsewhere.example.org"},
        {b"origin": b"https://tandem.example.org"},
        {b"origin": b"https://TANDEM.example.org"},
    ],
)
def test_a_page_of_this_server_may_use_the_cookie(headers: dict[bytes, bytes]) -> None:
    refuse_other_sites({b"host": b"tandem.example.org"} | headers)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b"sec-fetch-site": b"same-site"},
        {b"sec-fetch-site": b"cross-site"},
        {b"sec-fetch-site": b"none"},
        {b"sec-fetch-site": b"same-site", b"origin": b"https://tandem.example.org"},
        {b"origin": b"https://tandem.example.org:8443"},
        {b"origin": b"https://tandem.example.org.example.com"},
        {b"origin": b"https://tandem.example.org@example.com"},
        {b"origin": b"null"},
        {b"origin": b"https://[", b"host": b""},
        {b"origin": b"", b"host": b""},
    ],
    ids=str,
)
def test_a_page_of_another_site_or_port_may_not(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(CrossSite):
        refuse_other_sites({b"host": b"tandem.example.org"} | headers)
