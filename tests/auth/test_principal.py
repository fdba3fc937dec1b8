from typing import get_args

import pytest

from auth.principal import ROLES, AnyRole, Permission, Principal

GRANTED: dict[AnyRole, tuple[Permission, ...]] = {
    "scorer": ("score",),
    "analyst": ("score", "details"),
    "admin": ("score", "details", "accounts"),
    "peer": ("catalog",),
}


@pytest.mark.parametrize("role", GRANTED)
def test_a_role_may_do_what_it_is_for_and_nothing_else(role: AnyRole) -> None:
    principal = Principal("ann", role, "s1", 0.0)
    assert tuple(permission for permission in get_args(Permission) if principal.may(permission)) == GRANTED[role]


def test_every_role_is_in_the_table_and_no_account_can_be_a_peer() -> None:
    assert {*ROLES, "peer"} == GRANTED.keys()
    assert "peer" not in ROLES
