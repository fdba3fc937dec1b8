from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.principal import (
    BUILT_IN,
    OF_TARGETS,
    PERMISSIONS,
    ROLES,
    Allowance,
    Permission,
    Principal,
    built_in,
    fits,
)

GRANTED: dict[str, set[Permission]] = {
    "none": set(),
    "scorer": {"list", "score"},
    "analyst": {"list", "score", "details"},
    "publisher": {"list", "score", "details", "publish"},
    "auditor": {"audit"},
    "admin": {"list", "score", "details", "publish", "audit", "accounts"},
    "peer": {"catalog"},
}


def who(*allowances: Allowance, narrowed: Allowance | None = None) -> Principal:
    return Principal("ann", "person", "none", "token", "s1", 0.0, allowances, narrowed)


def allowing(*permissions: Permission, targets: tuple[str, ...] = ("*",)) -> Allowance:
    return Allowance(frozenset(permissions), targets)


@pytest.mark.parametrize("role", GRANTED)
def test_a_role_may_do_what_it_is_for_and_nothing_else(role: str) -> None:
    principal = who(*built_in(role))
    assert {permission for permission in PERMISSIONS if principal.may(permission)} == GRANTED[role]
    assert {permission for permission in PERMISSIONS if principal.may(permission, "mpg")} == GRANTED[role]


def test_every_role_is_in_the_table_and_no_account_can_be_a_peer() -> None:
    assert {*ROLES, "peer"} == GRANTED.keys() == BUILT_IN.keys()
    assert "peer" not in ROLES
    assert get_args(Permission) == PERMISSIONS


@pytest.mark.parametrize(
    ("pattern", "target", "expected"),
    [
        ("mpg", "mpg", True),
        ("mpg", "mpg2", False),
        ("mpg*", "mpg2", True),
        ("mpg*", "mpg", True),
        ("mpg*", "mp", False),
        ("*", "anything", True),
        ("m*g", "mpg", False),
    ],
)
def test_a_pattern_is_a_name_or_a_beginning(pattern: str, target: str, expected: bool) -> None:
    assert fits(pattern, target) is expected


def test_what_is_allowed_on_some_targets_is_allowed_on_no_other() -> None:
    principal = who(allowing("list", "score", targets=("mpg", "bos*")))
    assert [principal.may("score", name) for name in ("mpg", "boston", "iris")] == [True, True, False]
    assert principal.may("score") and not principal.may("score", "*")


def test_a_role_that_is_granted_on_some_targets_gives_nothing_that_is_about_the_whole_server() -> None:
    principal = who(Allowance(BUILT_IN["admin"], ("mpg",)))
    assert {p for p in PERMISSIONS if principal.may(p)} == OF_TARGETS
    assert who(Allowance(BUILT_IN["admin"])).may("accounts")


ALLOWANCES = st.builds(
    Allowance,
    st.frozensets(st.sampled_from(PERMISSIONS)),
    st.lists(st.sampled_from(["*", "a", "a*", "ab", "b*"]), max_size=3).map(tuple),
)


@given(st.lists(ALLOWANCES, max_size=4), ALLOWANCES, st.sampled_from(PERMISSIONS), st.sampled_from(["a", "ab", "c"]))
def test_a_narrowed_credential_may_what_both_its_owner_and_its_narrowing_allow(
    granted: list[Allowance], narrowed: Allowance, permission: Permission, target: str
) -> None:
    wide, narrow = who(*granted), who(*granted, narrowed=narrowed)
    assert narrow.may(permission, target) == (wide.may(permission, target) and narrowed.covers(permission, target))


def test_what_was_decided_is_remembered_within_bounds() -> None:
    principal = who(*built_in("scorer"))
    for number in range(20_001):
        assert principal.may("score", str(number))
    assert len(principal._decided) <= 10_000


NAMES = st.text("ab-", min_size=1, max_size=3)
PATTERNS = st.one_of(NAMES, NAMES.map(lambda name: f"{name}*"), st.just("*"))
ALLOWANCES = st.builds(
    Allowance,
    st.frozensets(st.sampled_from(PERMISSIONS), min_size=1),
    st.lists(PATTERNS, min_size=1, max_size=3).map(tuple),
)


@given(
    given_to_them=st.lists(ALLOWANCES, max_size=4).map(tuple),
    narrowed=st.none() | ALLOWANCES,
    to_give=ALLOWANCES,
    permission=st.sampled_from(PERMISSIONS),
    target=NAMES,
)
def test_whatever_somebody_may_give_they_may_do_themselves(
    given_to_them: tuple[Allowance, ...],
    narrowed: Allowance | None,
    to_give: Allowance,
    permission: Permission,
    target: str,
) -> None:
    giver = who(*given_to_them, narrowed=narrowed)
    if giver.holds(to_give):
        taker = who(to_give)
        assert not taker.may(permission, target) or giver.may(permission, target)
        assert not taker.may(permission) or giver.may(permission)
