import asyncio
import time
from base64 import b64encode
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.accounts import Accounts
from auth.api_keys import Made
from auth.authenticator import Authenticator
from auth.credentials.api_key import ApiKeyCredentials
from auth.credentials.basic import REMEMBER_S, REMEMBER_WRONG_S, BasicCredentials, Passwords, _read
from auth.errors import Reason, Throttled, Unauthenticated
from auth.login import Login
from auth.principal import Allowance, Principal
from auth.store import AccountChange
from auth.tokens import Tokens

PASSWORD = "correct horse"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def login(accounts: Accounts, tokens: Tokens, clock: Clock) -> Iterator[Login]:
    accounts.add("ann", "analyst", PASSWORD, 0.0)
    opened = Login(accounts, tokens, clock)
    yield opened
    opened.close()


@pytest.fixture
def made(accounts: Accounts) -> Made:
    accounts.add_service("batch", "scorer", 0.0)
    return accounts.keys.add("batch", "n", Allowance(frozenset({"score"}), ("mpg",)), 1, "root", 1000.0)


def authenticator(accounts: Accounts, login: Login, clock: Clock, takes: Passwords) -> Authenticator:
    keys = ApiKeyCredentials(accounts, lambda *_: None)
    return Authenticator((BasicCredentials(accounts, keys, login, takes),), accounts.change_counter, clock)


@pytest.fixture
def passwords(accounts: Accounts, login: Login, clock: Clock) -> Authenticator:
    return authenticator(accounts, login, clock, "passwords")


def header(user: str, password: str) -> dict[bytes, bytes]:
    return {b"authorization": b"Basic " + b64encode(f"{user}:{password}".encode())}


def authenticate(asked: Authenticator, user: str, password: str) -> Principal:
    return asyncio.run(asked.authenticate(header(user, password), "203.0.113.7"))


def refused(asked: Authenticator, user: str, password: str) -> Reason:
    with pytest.raises(Unauthenticated) as refusal:
        authenticate(asked, user, password)
    return refusal.value.reason


@pytest.mark.parametrize("user", ["", "key", "batch"])
def test_a_key_is_a_password_whatever_basic_takes(
    accounts: Accounts, login: Login, clock: Clock, made: Made, user: str
) -> None:
    key = next(iter(made.texts.values()))
    for takes in ("keys", "passwords"):
        principal = authenticate(authenticator(accounts, login, clock, takes), user, key)
        assert (principal.name, principal.via, principal.may("score", "mpg")) == ("batch", "key", True)
    assert refused(authenticator(accounts, login, clock, "off"), user, key) == "malformed"
    assert refused(authenticator(accounts, login, clock, "keys"), "ann", key) == "bad_key"


def test_a_password_is_taken_only_where_that_is_allowed(accounts: Accounts, login: Login, clock: Clock) -> None:
    assert refused(authenticator(accounts, login, clock, "keys"), "ann", PASSWORD) == "password_not_taken"
    principal = authenticate(authenticator(accounts, login, clock, "passwords"), "ann", PASSWORD)
    assert (principal.name, principal.role, principal.via) == ("ann", "analyst", "password")


def test_a_password_is_checked_once_in_ten_minutes(
    passwords: Authenticator, accounts: Accounts, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = []
    check = accounts.check
    monkeypatch.setattr(accounts, "check", lambda *given: checked.append(given) or check(*given))
    for _ in range(3):
        authenticate(passwords, "ann", PASSWORD)
    assert len(checked) == 1
    clock.now += REMEMBER_S
    authenticate(passwords, "ann", PASSWORD)
    assert len(checked) == 2


def test_many_at_once_with_the_same_password_wait_for_one_check(
    passwords: Authenticator, accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = []
    check = accounts.check
    monkeypatch.setattr(accounts, "check", lambda *given: checked.append(given) or check(*given))

    async def ask() -> list[Principal]:
        asked = (passwords.authenticate(header("ann", PASSWORD), "203.0.113.7") for _ in range(50))
        return await asyncio.gather(*asked)

    assert {principal.name for principal in asyncio.run(ask())} == {"ann"}
    assert len(checked) == 1


def test_one_who_hangs_up_ends_the_check_for_nobody_else(passwords: Authenticator) -> None:
    async def ask() -> Principal:
        first = asyncio.create_task(passwords.authenticate(header("ann", PASSWORD), "203.0.113.7"))
        await asyncio.sleep(0)
        second = asyncio.create_task(passwords.authenticate(header("ann", PASSWORD), "203.0.113.7"))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(ask()).name == "ann"


def test_a_wrong_password_is_remembered_for_a_minute_and_costs_no_check(
    passwords: Authenticator, accounts: Accounts, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = []
    monkeypatch.setattr(accounts, "check", lambda *given: checked.append(given))
    for _ in range(20):  # would be throttled after five, if each were an attempt
        assert refused(passwords, "ann", "wrong horse") == "bad_password"
    assert len(checked) == 1
    clock.now += REMEMBER_WRONG_S
    assert refused(passwords, "ann", "wrong horse") == "bad_password"
    assert len(checked) == 2


def test_guesses_are_slowed_down_as_those_of_signing_in(passwords: Authenticator, accounts: Accounts) -> None:
    for guess in range(5):
        assert refused(passwords, "ann", f"guess number {guess}") == "bad_password"
    with pytest.raises(Throttled):
        authenticate(passwords, "ann", "guess number six")
    with pytest.raises(Throttled):
        authenticate(passwords, "ann", PASSWORD)


@pytest.mark.parametrize("end", ["password", "disabled", "removed"])
def test_a_change_of_the_account_ends_what_is_remembered(
    passwords: Authenticator, accounts: Accounts, clock: Clock, end: str
) -> None:
    authenticate(passwords, "ann", PASSWORD)
    match end:
        case "password":
            accounts.set_password("ann", "another horse")
        case "disabled":
            accounts.change("ann", AccountChange(disabled=True))
        case _:
            accounts.remove("ann")
    passwords.forget_if_changed()
    assert refused(passwords, "ann", PASSWORD) == "bad_password"


def test_neither_the_header_nor_the_password_is_kept_in_memory(passwords: Authenticator) -> None:
    authenticate(passwords, "ann", PASSWORD)
    refused(passwords, "ann", "wrong horse")
    basic = passwords._verifiers[0]
    assert isinstance(basic, BasicCredentials)
    kept = repr((passwords._known, basic._wrong, basic._checks))
    assert PASSWORD not in kept and "wrong horse" not in kept and "Basic" not in kept


@pytest.mark.parametrize(
    "value", ["", "a", "YW5u", "YW5u=OnB3", "****", "YW5u Onh4", b64encode(b"\xff:\xff").decode(), "ÄÄÄÄ", "YW5uOnB3\t"]
)
def test_what_is_no_user_and_password_is_refused(passwords: Authenticator, value: str) -> None:
    with pytest.raises(Unauthenticated, match="malformed"):
        asyncio.run(passwords.authenticate({b"authorization": b"Basic " + value.encode()}, ""))


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    for secret in (raw, b64encode(raw)):
        try:
            user, password = _read(secret)
        except Unauthenticated:
            continue
        assert b64encode(f"{user}:{password}".encode()) == secret or secret == raw


def test_a_flood_of_wrong_passwords_of_one_program_leaves_the_checks_to_others(passwords: Authenticator) -> None:
    refused(passwords, "bob", "wrong horse")
    began = time.perf_counter()
    for _ in range(500):
        refused(passwords, "bob", "wrong horse")
    assert time.perf_counter() - began < 5
    assert authenticate(passwords, "ann", PASSWORD).name == "ann"
