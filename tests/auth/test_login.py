import asyncio
import threading
from collections.abc import Iterator

import pytest

from auth.account_file import AccountFile
from auth.accounts import Accounts
from auth.errors import NoRefreshTokens, Reason, Throttled, Unauthenticated
from auth.login import Login
from auth.sessions import PEER
from auth.tokens import Tokens

PASSWORD = "correct horse"
HERE, THERE = "10.0.0.1", "10.0.0.2"


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
def login(accounts: Accounts, tokens: Tokens, clock: Clock, failures: list[Reason]) -> Iterator[Login]:
    accounts.add("ann", "analyst", PASSWORD, 0.0)
    opened = Login(accounts, tokens, clock, failures.append)
    yield opened
    opened.close()


def outcome(login: Login, name: str, password: str, address: str = HERE) -> str:
    try:
        asyncio.run(login.password(name, password, address))
    except Unauthenticated as refusal:
        return refusal.reason
    except Throttled as refusal:
        return f"wait {refusal.retry_after_s:g}"
    return "in"


def test_the_right_password_gives_tokens_for_a_session(login: Login, accounts: Accounts, tokens: Tokens) -> None:
    grant = asyncio.run(login.password("ann", PASSWORD, HERE))
    claims = tokens.verify(grant.access_token, 1000.0)
    assert (claims.name, claims.role, grant.expires_in_s) == ("ann", "analyst", 3600)
    assert accounts.sessions.find(claims.session) is not None


@pytest.mark.parametrize(
    ("name", "password"),
    [("ann", "wrong horse"), ("bob", PASSWORD), ("", PASSWORD), ("a/b", PASSWORD), ("ann", ""), ("n" * 10**6, "x")],
    ids=["password", "unknown", "no name", "bad name", "no password", "long name"],
)
def test_anything_wrong_is_refused_alike_and_counted(
    login: Login, failures: list[Reason], name: str, password: str
) -> None:
    assert outcome(login, name, password) == "bad_password"
    assert failures == ["bad_password"]


@pytest.mark.parametrize(
    "name", ["ANN", "Ann", "ann\0", "ann\n", " ann", "ann ", "\uff41nn", "a\u0301nn", "ann\ud800", "ann;"]
)
def test_no_other_spelling_of_a_name_is_the_account(login: Login, name: str) -> None:
    assert outcome(login, name, PASSWORD) == "bad_password"
    assert outcome(login, "ann", PASSWORD) == "in"


def test_a_refresh_continues_the_session(login: Login, tokens: Tokens, clock: Clock) -> None:
    grant = asyncio.run(login.password("ann", PASSWORD, HERE))
    clock.now += 3000
    renewed = asyncio.run(login.refresh(grant.refresh_token))
    before, after = (tokens.verify(token, 4000.0) for token in (grant.access_token, renewed.access_token))
    assert after.session == before.session
    assert after.expires_at == before.expires_at + 3000


def test_a_refresh_token_used_again_is_refused_and_counted(login: Login, failures: list[Reason]) -> None:
    grant = asyncio.run(login.password("ann", PASSWORD, HERE))
    asyncio.run(login.refresh(grant.refresh_token))
    with pytest.raises(Unauthenticated):
        asyncio.run(login.refresh(grant.refresh_token))
    assert failures == ["reused_refresh_token"]


def test_after_signing_out_the_session_cannot_be_continued(login: Login) -> None:
    grant = asyncio.run(login.password("ann", PASSWORD, HERE))
    asyncio.run(login.revoke(grant.refresh_token))
    with pytest.raises(Unauthenticated):
        asyncio.run(login.refresh(grant.refresh_token))


@pytest.mark.parametrize("name", ["ann", "bob"], ids=["known", "unknown"])
def test_an_account_under_attack_makes_every_address_wait_whether_it_exists_or_not(
    login: Login, clock: Clock, failures: list[Reason], name: str
) -> None:
    assert [outcome(login, name, "wrong horse", f"10.0.1.{i}") for i in range(5)] == ["bad_password"] * 5
    assert outcome(login, name, PASSWORD, THERE) == "wait 1"
    assert failures[-1] == "throttled"
    clock.now += 1
    assert outcome(login, name, "wrong horse", THERE) == "bad_password"
    assert outcome(login, name, "wrong horse", THERE) == "wait 2"


def test_signing_in_forgives_the_account(login: Login) -> None:
    for _ in range(3):
        assert [outcome(login, "ann", "wrong horse") for _ in range(4)] == ["bad_password"] * 4
        assert outcome(login, "ann", PASSWORD) == "in"


def test_whoever_guesses_from_elsewhere_does_not_keep_the_owner_out(login: Login) -> None:
    assert outcome(login, "ann", PASSWORD, HERE) == "in"
    for _ in range(5):
        outcome(login, "ann", "wrong horse", THERE)
    assert outcome(login, "ann", PASSWORD, THERE) == "wait 1"
    assert outcome(login, "ann", PASSWORD, HERE) == "in"
    for _ in range(5):
        outcome(login, "ann", "wrong horse", HERE)
    assert outcome(login, "ann", PASSWORD, HERE) == "wait 1", "its own failures count there too"


def test_where_somebody_has_signed_in_is_remembered_of_so_many_and_no_more(login: Login) -> None:
    for number in range(10_001):
        login._note_home("ann", str(number))
    assert len(login._homes) == 10_000 and ("ann", "0") not in login._homes


def test_an_address_that_guesses_at_many_accounts_waits_and_a_good_account_does_not_buy_more(login: Login) -> None:
    for i in range(20):
        assert outcome(login, f"user/{i}", "x") == "bad_password"
        if i < 2:
            assert outcome(login, "ann", PASSWORD) == "in"
    assert outcome(login, "ann", PASSWORD) == "wait 1"
    assert outcome(login, "ann", PASSWORD, THERE) == "in"


def test_the_addresses_of_one_ipv6_network_wait_together(login: Login) -> None:
    for i in range(20):
        outcome(login, "user/x", "x", f"2001:db8::{i:x}")
    assert outcome(login, "ann", PASSWORD, "2001:db8::ffff:1") == "wait 1"
    assert outcome(login, "ann", PASSWORD, "2001:db8:0:1::1") == "in"
    assert outcome(login, "ann", PASSWORD, "::ffff:10.0.0.1") == "in"


def test_a_burst_of_parallel_guesses_gets_no_further_than_single_ones(login: Login) -> None:
    async def burst() -> list[object]:
        guesses = [login.password("ann", "wrong horse", HERE) for _ in range(12)]
        return [type(result) for result in await asyncio.gather(*guesses, return_exceptions=True)]

    results = asyncio.run(burst())
    assert (results.count(Unauthenticated), results.count(Throttled)) == (5, 7)


def test_a_full_queue_refuses_at_once_counts_against_nobody_and_refreshing_goes_on(login: Login) -> None:
    async def scenario() -> None:
        grant = await login.password("ann", PASSWORD, HERE)
        gate = threading.Event()
        others = [asyncio.create_task(login.hashing.run(gate.wait)) for _ in range(18)]
        await asyncio.sleep(0)
        for _ in range(50):
            with pytest.raises(Throttled):
                await login.password("ann", PASSWORD, HERE)
        await login.refresh(grant.refresh_token)
        gate.set()
        await asyncio.gather(*others)
        await login.password("ann", PASSWORD, HERE)

    asyncio.run(scenario())


# Accounts in a file


@pytest.fixture
def stateless(shared: AccountFile, tokens: Tokens, clock: Clock, failures: list[Reason]) -> Iterator[Login]:
    opened = Login(shared, tokens, clock, failures.append)
    yield opened
    opened.close()


def test_an_account_in_a_file_gets_a_token_for_its_line_and_nothing_to_refresh(
    stateless: Login, shared: AccountFile, tokens: Tokens
) -> None:
    grant = asyncio.run(stateless.password("ann", PASSWORD, HERE))
    claims = tokens.verify(grant.access_token, 1000.0)
    assert (claims.name, claims.role, claims.session) == ("ann", "analyst", shared.open_session("ann", 0.0).session.id)
    assert (grant.expires_in_s, grant.refresh_token) == (3600, None)


@pytest.mark.parametrize("name", ["ann", "bob", PEER.account])
def test_a_wrong_password_for_an_account_in_a_file_is_refused_alike_and_makes_it_wait(
    stateless: Login, failures: list[Reason], name: str
) -> None:
    assert [outcome(stateless, name, "wrong horse") for _ in range(5)] == ["bad_password"] * 5
    assert failures == ["bad_password"] * 5
    if name != PEER.account:  # which is no name, so nothing is counted for it
        assert outcome(stateless, name, PASSWORD, THERE) == "wait 1"


def test_where_there_are_no_refresh_tokens_none_can_be_used_or_ended_and_nothing_is_counted(
    stateless: Login, failures: list[Reason]
) -> None:
    with pytest.raises(NoRefreshTokens):
        asyncio.run(stateless.refresh("token"))
    with pytest.raises(NoRefreshTokens):
        asyncio.run(stateless.revoke("token"))
    assert failures == []
