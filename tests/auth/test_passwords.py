import time

import argon2
import pytest

from auth.errors import AccountError
from auth.passwords import COMMON, check_new_password, hash_password, is_hash, needs_rehash, verify_password

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def stored() -> str:
    return hash_password(PASSWORD)


def test_the_password_fits_its_hash_and_no_other_does(stored: str) -> None:
    assert verify_password(stored, PASSWORD)
    assert not verify_password(stored, PASSWORD + "x")


def test_the_cost_is_owasps_minimum(stored: str) -> None:
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert not needs_rehash(stored)


def test_a_hash_of_another_cost_fits_and_wants_replacing() -> None:
    old = argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    assert verify_password(old, PASSWORD)
    assert needs_rehash(old)


def test_the_same_password_never_has_the_same_hash(stored: str) -> None:
    assert hash_password(PASSWORD) != stored


@pytest.mark.parametrize("password", ["", "short", "x" * 1025, "surrogate \ud800"], ids=["empty", "7", "1025", "utf8"])
def test_a_password_outside_the_rule_is_refused_and_fits_nothing(stored: str, password: str) -> None:
    with pytest.raises(AccountError, match="bad_password"):
        hash_password(password)
    assert not verify_password(stored, password)


@pytest.mark.parametrize(
    "password", ["12345678", "password", "PASSWORD", "qwertyuiop", "trustno1", "ann-of-sales", "Ann-Of-Sales"]
)
def test_what_is_tried_first_is_no_password(password: str) -> None:
    with pytest.raises(AccountError, match="common_password"):
        check_new_password("ann-of-sales", password)


@pytest.mark.parametrize("password", [PASSWORD, "ann-of-sale", "12345678\n123456789", "# The commonest", "\ud800"])
def test_any_other_may_be_one(password: str) -> None:
    check_new_password("ann-of-sales", password)


def test_the_list_is_of_passwords_that_are_long_enough_to_be_tried() -> None:
    listed = [line for line in COMMON.read_text().splitlines() if not line.startswith("#")]
    assert len(listed) == len(set(listed)) > 11_000
    assert all(len(line) >= 8 and line == line.casefold().strip() for line in listed)


@pytest.mark.parametrize("password", [PASSWORD, "", "\ud800\ud800\ud800\ud800"])
def test_an_unknown_account_fits_no_password(password: str) -> None:
    assert not verify_password(None, password)


def test_a_damaged_hash_fits_no_password() -> None:
    assert not verify_password("not a hash", PASSWORD)


SALT, DIGEST = "c29tZXNhbHQ", "MDEyMzQ1Njc4OWFiY2RlZg"  # 8 and 16 bytes, the fewest there may be


@pytest.mark.parametrize(
    ("hashed", "good"),
    [
        (f"$argon2id$v=19$m=8,t=1,p=1${SALT}${DIGEST}", True),
        (f"$argon2id$v=19$m=32,t=2,p=4${SALT}${DIGEST}", True),
        (f"$argon2i$v=19$m=8,t=1,p=1${SALT}${DIGEST}", False),
        (f"$argon2id$v=16$m=8,t=1,p=1${SALT}${DIGEST}", False),
        (f"$argon2id$m=8,t=1,p=1${SALT}${DIGEST}", False),
        (f"$argon2id$v=19$t=1,m=8,p=1${SALT}${DIGEST}", False),
        (f"$argon2id$v=19$m=08,t=1,p=1${SALT}${DIGEST}", False),
        (f"$argon2id$v=19$m=7,t=1,p=1${SALT}${DIGEST}", False),
        (f"$argon2id$v=19$m=8,t=1,p=2${SALT}${DIGEST}", False),
        (f"$argon2id$v=19$m=262145,t=1,p=1${SALT}${DIGEST}", False),
        (f"$argon2id$v=19$m=8,t=17,p=1${SALT}${DIGEST}", False),
        (f"$argon2id$v=19$m=8,t=0,p=1${SALT}${DIGEST}", False),
        (f"$argon2id$v=19$m=8,t=1,p=1${SALT[:-1]}${DIGEST}", False),
        (f"$argon2id$v=19$m=8,t=1,p=1${SALT}${DIGEST[:-2]}", False),
        (f"$argon2id$v=19$m=8,t=1,p=1${SALT[:-1]}R${DIGEST}", False),  # bits after the end
        (f"$argon2id$v=19$m=8,t=1,p=1${SALT}=${DIGEST}", False),
        (f"$argon2id$v=19$m=8,t=1,p=1${SALT}${DIGEST}\n", False),
        (f"$argon2id$v=19$m=8,t=1,p=1${SALT}${DIGEST[:-1]}é", False),
        (f"$argon2id$v=19$m=٨,t=1,p=1${SALT}${DIGEST}", False),
        ("$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW", False),
        ("", False),
    ],
)
def test_a_hash_is_one_that_argon2_reads_at_a_cost_that_can_be_borne(hashed: str, good: bool) -> None:
    assert is_hash(hashed) is good
    if good:
        with pytest.raises(argon2.exceptions.VerifyMismatchError):  # it was read, and does not fit
            argon2.PasswordHasher().verify(hashed, PASSWORD)


@pytest.mark.parametrize("cost", [(1, 8, 1), (3, 64, 4), (2, 19 * 1024, 1)])
def test_what_argon2_makes_is_a_hash(cost: tuple[int, int, int]) -> None:
    time_cost, memory_cost, parallelism = cost
    assert is_hash(argon2.PasswordHasher(time_cost, memory_cost, parallelism).hash(PASSWORD))


def test_an_unknown_account_costs_as_much_as_a_wrong_password(stored: str) -> None:
    def cpu_seconds(of: str | None) -> float:
        began = time.thread_time()
        verify_password(of, "wrong password")
        return time.thread_time() - began

    # The best of several: a busy machine makes a try slower, never faster.
    known, unknown = (min(cpu_seconds(of) for _ in range(5)) for of in (stored, None))
    assert 0.5 < unknown / known < 2.0
