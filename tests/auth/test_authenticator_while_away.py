"""Who is known while the accounts cannot be reached."""

import asyncio

import pytest

from auth.authenticator import Authenticator
from auth.credentials.credential import Recognised, Shown
from auth.errors import AccountsUnavailable
from auth.principal import Principal, built_in


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def authenticate(authenticator: Authenticator, header: bytes) -> Principal:
    return asyncio.run(authenticator.authenticate({b"authorization": header}, "10.0.0.1"))


class Lookups:
    """Recognises anybody for a minute at a time; unless it is `away`."""

    away = False

    def takes(self, shown: Shown) -> bool:
        return True

    async def verify(self, shown: Shown, now: float) -> Recognised:
        if self.away:
            raise AccountsUnavailable("away")
        return Recognised(Principal("ann", "service", "scorer", "key", "k", 5000.0, built_in("scorer")), 60.0)


class Counter:
    away = False

    def __call__(self) -> int:
        if self.away:
            raise AccountsUnavailable("away for too long")
        return 1


def test_who_is_known_stays_so_and_who_is_not_is_told_to_come_again(clock: Clock) -> None:
    lookups, counter = Lookups(), Counter()
    authenticator = Authenticator((lookups,), counter, clock)
    authenticate(authenticator, b"Bearer a")
    lookups.away = True
    for later in (30.0, 61.0, 61.5, 300.0):
        clock.now = 1000.0 + later
        authenticator.forget_if_changed()
        assert authenticate(authenticator, b"Bearer a").name == "ann"
        with pytest.raises(AccountsUnavailable):
            authenticate(authenticator, b"Bearer b")
    counter.away = True
    authenticator.forget_if_changed()
    with pytest.raises(AccountsUnavailable):
        authenticate(authenticator, b"Bearer a")
    lookups.away = counter.away = False
    authenticator.forget_if_changed()
    assert authenticate(authenticator, b"Bearer a").name == "ann"


def test_what_is_known_while_nobody_can_look_ends_with_its_credential(clock: Clock) -> None:
    lookups = Lookups()
    authenticator = Authenticator((lookups,), Counter(), clock)
    authenticate(authenticator, b"Bearer a")
    lookups.away = True
    clock.now = 4999.0
    assert authenticate(authenticator, b"Bearer a").name == "ann"
    clock.now = 5000.0
    with pytest.raises(AccountsUnavailable):
        authenticate(authenticator, b"Bearer a")


def test_a_process_that_starts_while_they_are_away_recognises_people_as_soon_as_they_are_there(clock: Clock) -> None:
    lookups, counter = Lookups(), Counter()
    lookups.away = counter.away = True
    authenticator = Authenticator((lookups,), counter, clock)
    authenticator.forget_if_changed()
    lookups.away = counter.away = False
    authenticator.forget_if_changed()
    known = authenticate(authenticator, b"Bearer a")
    authenticator.forget_if_changed()
    assert authenticate(authenticator, b"Bearer a") is known
