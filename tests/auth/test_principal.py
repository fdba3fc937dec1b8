import pytest

from auth.principal import ROLES, Permission, Principal, Role

GRANTED: dict[Role, tuple[Permission, ...]] = {
    "scorer": ("score",),
    "analyst": ("score", "details"),
    "admin": ("score", "details", "accounts"),
}
PERMISSIONS: tuple[Permission, ...] = ("score", "details", "accounts")


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_what_it_is_for_and_nothing_else(role: Role) -> None:
    principal = Principal("ann", role, "s1", 0.0)
    assert tuple(permission for permission in PERMISSIONS if principal.may(permission)) == GRANTED[role]
