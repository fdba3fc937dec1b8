import asyncio
from functools import partial
from typing import Any

import pytest

from auth.accounts import Accounts
from auth.api_keys import DAY_S, Made
from auth.authenticator import Authenticator
from auth.credentials.api_key import REMEMBER_S, ApiKeyCredentials
from auth.errors import Reason, Unauthenticated
from auth.key_text import new_key
from auth.principal import OF_TARGETS, Allowance, Principal
from auth.store import AccountChange
from auth.uses import EVERY_S, Uses


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def made(accounts: Accounts) -> Made:
    accounts.add_service("batch", "analyst", 0.0)
    return accounts.keys.add("batch", "n", Allowance(frozenset({"list", "score"}), ("mpg",)), 1, "root", 1000.0)


@pytest.fixture
def key(made: Made) -> bytes:
    return next(iter(made.texts.values())).encode()


@pytest.fixture
def uses() -> list[tuple[str, float, str]]:
    return []


@pytest.fixture
def authenticator(accounts: Accounts, clock: Clock, uses: Any) -> Authenticator:
    verifier = ApiKeyCredentials(accounts, lambda *use: uses.append(use))
    return Authenticator((verifier,), accounts.change_counter, clock)


def here() -> str:
    return "203.0.113.7"


def authenticate(authenticator: Authenticator, header: bytes, value: bytes) -> Principal:
    return asyncio.run(authenticator.authenticate({header: value}, here()))


def refused(authenticator: Authenticator, value: bytes, header: bytes = b"x-api-key") -> Reason:
    with pytest.raises(Unauthenticated) as refusal:
        authenticate(authenticator, header, value)
    return refusal.value.reason


@pytest.mark.parametrize(
    ("header", "scheme"),
    [
        (b"authorization", b"Bearer "),
        (b"authorization", b"Key "),
        (b"api-key", b""),
        (b"x-api-key", b""),
        (b"ocp-apim-subscription-key", b""),
    ],
)
def test_a_key_is_taken_wherever_keys_stand(
    authenticator: Authenticator, made: Made, key: bytes, header: bytes, scheme: bytes
) -> None:
    principal = authenticate(authenticator, header, scheme + key)
    assert (principal.name, principal.kind, principal.via) == ("batch", "service", "key")
    assert principal.credential in made.texts
    assert authenticator.known({header: scheme + key}, here) is principal


def test_a_key_allows_what_both_its_owner_and_itself_allow(authenticator: Authenticator, key: bytes) -> None:
    principal = authenticate(authenticator, b"x-api-key", key)
    assert principal.may("score", "mpg")
    assert not principal.may("score", "boston")  # not of the key
    assert not principal.may("details", "mpg")  # the owner's, but not the key's


def test_what_is_no_key_of_ours_is_refused_alike(authenticator: Authenticator, key: bytes) -> None:
    stranger = new_key().text.encode()
    assert refused(authenticator, stranger) == "bad_key"
    assert refused(authenticator, key[:13] + stranger[13:]) == "malformed"  # the checksum covers the id
    for nonsense in (b"", b"\xff\xfe", b"Bearer " + key, key + b" ", key[:-1], b"tdm_", b"x" * 20_000):
        assert refused(authenticator, nonsense) in ("malformed", "too_large")
    assert refused(authenticator, key, b"authorization") == "malformed"
    assert refused(authenticator, b"Basic " + key, b"authorization") == "malformed"


def test_a_wrong_secret_under_a_good_id_is_as_unknown_as_an_unknown_id(
    authenticator: Authenticator, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = next(iter(made.texts))
    monkeypatch.setattr("auth.key_text._random", lambda length: good if length == 8 else "A" * length)
    assert refused(authenticator, new_key().text.encode()) == "bad_key"


def test_a_key_ends_when_it_should_and_when_its_pair_is_removed(
    authenticator: Authenticator, accounts: Accounts, made: Made, key: bytes, clock: Clock
) -> None:
    authenticate(authenticator, b"x-api-key", key)
    clock.now += DAY_S
    assert refused(authenticator, key) == "expired"
    clock.now -= DAY_S
    authenticate(authenticator, b"x-api-key", key)
    accounts.keys.remove(made.pair.pair)
    authenticator.forget_if_changed()
    assert refused(authenticator, key) == "bad_key"


def test_a_use_is_noted_at_the_first_request_and_once_a_minute_from_then_on(
    authenticator: Authenticator, key: bytes, clock: Clock, uses: list[tuple[str, float, str]]
) -> None:
    for _ in range(3):
        authenticate(authenticator, b"x-api-key", key)
    assert [use[1:] for use in uses] == [(1000.0, "203.0.113.7")]
    clock.now += REMEMBER_S
    authenticate(authenticator, b"x-api-key", key)
    assert [use[1] for use in uses] == [1000.0, 1000.0 + REMEMBER_S]


def test_a_key_that_is_known_is_not_looked_up_again_to_note_its_use(
    authenticator: Authenticator,
    accounts: Accounts,
    key: bytes,
    clock: Clock,
    uses: list[tuple[str, float, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    principal = authenticate(authenticator, b"x-api-key", key)
    monkeypatch.setattr(accounts, "look", None)
    for minute in range(1, 4):
        clock.now += REMEMBER_S
        address = f"198.51.100.{minute}"
        assert authenticator.known({b"x-api-key": key}, partial(str, address)) is principal
        assert uses[minute][1:] == (clock.now, address)


def test_a_known_key_that_comes_again_drives_nobody_out(accounts: Accounts, made: Made, clock: Clock) -> None:
    authenticator = Authenticator(
        (ApiKeyCredentials(accounts, lambda *use: None),), accounts.change_counter, clock, most_known=2
    )
    headers = [{b"x-api-key": text.encode()} for text in made.texts.values()]
    for header in headers:
        asyncio.run(authenticator.recognise(header, "203.0.113.7"))
    clock.now += REMEMBER_S - 1
    clock.now += 1
    assert all(authenticator.known(header, here) for header in (headers[0], headers[0], headers[1]))


def test_what_is_given_or_taken_elsewhere_holds_at_the_next_tick_however_long_a_key_is_known(
    authenticator: Authenticator, accounts: Accounts, elsewhere: Accounts, clock: Clock
) -> None:
    accounts.add_service("night", "none", 0.0)
    everything = Allowance(frozenset(OF_TARGETS))
    key = next(iter(accounts.keys.add("night", "n", everything, 30, "root", 1000.0).texts.values())).encode()

    def may() -> str:
        authenticator.forget_if_changed()
        clock.now += REMEMBER_S
        try:
            principal = authenticate(authenticator, b"x-api-key", key)
        except Unauthenticated:
            return "nobody"
        return " ".join(one for one in ("list", "score", "details") if principal.may(one, "mpg"))

    policy = elsewhere.policy
    assert may() == ""
    grant = policy.add_grant("night", Allowance(frozenset(), ("mpg",)), "scorer", "root", clock.now)
    assert may() == "list score"
    policy.remove_grant(grant.id)
    assert may() == ""
    elsewhere.change("night", AccountChange(role="analyst"))
    assert may() == "list score details"
    policy.put_role("watcher", ["list"])
    elsewhere.change("night", AccountChange(role="watcher"))
    assert may() == "list"
    policy.put_role("watcher", ["list", "details"])
    assert may() == "list details"
    elsewhere.change("night", AccountChange(disabled=True))
    assert may() == "nobody"
    elsewhere.change("night", AccountChange(disabled=False, role="none"))
    assert may() == ""
    policy.add_grant("group:shift", Allowance(frozenset(), ("mpg",)), "analyst", "root", clock.now)
    elsewhere.change("night", AccountChange(groups=("shift",)))
    assert may() == "list score details"
    elsewhere.change("night", AccountChange(groups=()))
    assert may() == ""


def test_uses_are_written_together_and_not_more_often_than_every_few_seconds() -> None:
    written: list[object] = []
    uses = Uses(written.append)
    assert not uses.due(1000.0)
    uses.note("a", 1000.0, "203.0.113.7")
    uses.note("a", 1001.0, "203.0.113.8")
    assert uses.due(1001.0)
    uses.take(1001.0)()
    assert written == [{"a": (1001.0, "203.0.113.0/24")}]
    uses.note("b", 1001.5, "203.0.113.7")
    assert not uses.due(1001.5) and uses.due(1001.0 + EVERY_S) and uses.due(0.0)  # a clock that was set back


def test_uses_that_cannot_be_written_harm_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: object) -> None:
        raise OSError("disk full")

    uses = Uses(fail)
    uses.note("a", 1000.0, "203.0.113.7")
    uses.take(1000.0)()
    assert "could not be written" in caplog.text
