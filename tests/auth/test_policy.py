from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auth.accounts import Accounts
from auth.errors import AccountError
from auth.policy import NoPolicy, Policy
from auth.principal import BUILT_IN, GRANTABLE, ROLES, Allowance, Permission, Principal
from auth.store import AccountChange, narrowing


@pytest.fixture
def policy(accounts: Accounts) -> Policy:
    accounts.add_service("ann", "none", 0.0)
    return accounts.policy


def on(*models: str) -> Allowance:
    return Allowance(frozenset(), models)


def who(accounts: Accounts, name: str = "ann", role: str = "none", *groups: str) -> Principal:
    return Principal(name, "service", role, "key", "k", 0.0, accounts.allowances(name, role, groups))


def test_an_account_may_what_its_role_and_all_its_grants_allow(accounts: Accounts, policy: Policy) -> None:
    policy.add_grant("ann", on("mpg"), "scorer", "root", 1.0)
    policy.add_grant("ann", on("risk-*"), "analyst", "root", 1.0)
    policy.add_grant("bob", on("*"), "admin", "root", 1.0)
    ann = who(accounts)
    assert [ann.may("score", name) for name in ("mpg", "risk-a", "boston")] == [True, True, False]
    assert [ann.may("details", name) for name in ("mpg", "risk-a")] == [False, True]
    assert not ann.may("accounts")
    assert [ann.roles_on(name) for name in ("mpg", "boston")] == [{"none", "scorer"}, {"none"}]


def test_a_grant_to_a_group_is_for_whoever_is_in_it_and_for_no_account_of_that_name(
    accounts: Accounts, policy: Policy
) -> None:
    policy.add_grant("group:entra:0f0e", on("mpg"), "scorer", "root", 1.0)
    assert who(accounts, "entra:someone", "none", "entra:0f0e").may("score", "mpg")
    assert not who(accounts, "entra:someone", "none", "entra:another").may("score", "mpg")
    assert not who(accounts, "entra:0f0e").may("score", "mpg")


def test_a_role_of_ones_own_is_what_it_consists_of_at_the_time(accounts: Accounts, policy: Policy) -> None:
    policy.put_role("watcher", ["details", "list"])
    policy.add_grant("ann", on("*"), "watcher", "root", 1.0)
    assert (who(accounts).may("details", "mpg"), who(accounts).may("score", "mpg")) == (True, False)
    policy.put_role("watcher", ["score"])
    assert (who(accounts).may("details", "mpg"), who(accounts).may("score", "mpg")) == (False, True)
    assert [role.name for role in policy.roles()] == [*ROLES, "watcher"]


def test_a_role_that_somebody_has_cannot_be_removed(accounts: Accounts, policy: Policy) -> None:
    policy.put_role("watcher", ["list"])
    grant = policy.add_grant("ann", on("*"), "watcher", "root", 1.0)
    with pytest.raises(AccountError, match="role_in_use"):
        policy.remove_role("watcher")
    policy.remove_grant(grant.id)
    accounts.change("ann", AccountChange(role="watcher"))
    with pytest.raises(AccountError, match="role_in_use"):
        policy.remove_role("watcher")
    accounts.change("ann", AccountChange(role="none"))
    policy.remove_role("watcher")
    assert [role.name for role in policy.roles()] == [*ROLES]


def test_an_account_may_what_the_groups_were_granted_that_it_was_put_into(accounts: Accounts, policy: Policy) -> None:
    policy.add_grant("group:sales", on("mpg"), "scorer", "root", 1.0)
    assert not who(accounts).may("score", "mpg")
    changed = accounts.change("ann", AccountChange(groups=("sales", "north", "sales")))
    assert changed.groups == accounts.groups("ann") == ("north", "sales")
    assert [account.groups for account in accounts.list() if account.name == "ann"] == [("north", "sales")]
    assert who(accounts).may("score", "mpg") and not who(accounts).may("score", "boston")
    accounts.change("ann", AccountChange(about="unchanged"))
    assert accounts.groups("ann") == ("north", "sales")
    accounts.change("ann", AccountChange(groups=()))
    assert not who(accounts).may("score", "mpg")


def test_who_comes_after_somebody_is_in_none_of_their_groups(accounts: Accounts, policy: Policy) -> None:
    accounts.change("ann", AccountChange(groups=("sales",)))
    accounts.remove("ann")
    accounts.add_service("ann", "none", 2.0)
    assert accounts.groups("ann") == ()


@pytest.mark.parametrize("group", ["", "idp:sales", "a b", "x" * 65, "-x"])
def test_a_group_of_our_own_is_never_taken_for_one_of_a_provider(
    accounts: Accounts, policy: Policy, group: str
) -> None:
    with pytest.raises(AccountError, match="bad_group"):
        accounts.change("ann", AccountChange(groups=("sales", group)))
    assert accounts.groups("ann") == ()


def test_who_comes_after_somebody_of_the_same_name_has_none_of_their_grants(accounts: Accounts, policy: Policy) -> None:
    policy.add_grant("ann", on("*"), "scorer", "root", 1.0)
    accounts.remove("ann")
    accounts.add_service("ann", "none", 2.0)
    assert not who(accounts).may("score")


@pytest.mark.parametrize(
    "change",
    [
        lambda policy: policy.put_role("watcher", ["list"]),
        lambda policy: policy.add_grant("ann", on("*"), "scorer", "root", 1.0),
        lambda policy: policy.remove_grant(policy.grants()[0].id),
    ],
)
def test_every_change_is_heard_of_in_every_process(
    policy: Policy, elsewhere: Accounts, change: Callable[[Policy], object]
) -> None:
    policy.add_grant("bob", on("mpg"), "scorer", "root", 1.0)
    before = elsewhere.change_counter()
    change(policy)
    assert elsewhere.change_counter() != before


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda policy: policy.put_role("admin", ["list"]), "built_in"),
        (lambda policy: policy.put_role("peer", ["list"]), "built_in"),
        (lambda policy: policy.remove_role("scorer"), "built_in"),
        (lambda policy: policy.remove_role("watcher"), "no_such_role"),
        (lambda policy: policy.put_role("Not A Role", ["list"]), "bad_role_name"),
        (lambda policy: policy.put_role("", ["list"]), "bad_role_name"),
        (lambda policy: policy.add_grant("", on("*"), "scorer", "root", 1.0), "bad_grantee"),
        (lambda policy: policy.add_grant("a b", on("*"), "scorer", "root", 1.0), "bad_grantee"),
        (lambda policy: policy.add_grant("ann", on("*"), "king", "root", 1.0), "unknown_role"),
        (lambda policy: policy.add_grant("ann", on("*"), "peer", "root", 1.0), "unknown_role"),
        (lambda policy: policy.remove_grant("none"), "unknown_grant"),
        (lambda policy: policy.permissions("king"), "unknown_role"),
    ],
)
def test_what_cannot_be_is_refused(policy: Policy, change: Callable[[Policy], object], problem: str) -> None:
    with pytest.raises(AccountError, match=f"^{problem}$"):
        change(policy)


def test_where_accounts_are_in_a_file_there_are_the_built_in_roles_alone() -> None:
    policy = NoPolicy()
    assert [role.name for role in policy.roles()] == [*ROLES]
    assert policy.permissions("analyst") == BUILT_IN["analyst"]
    for change in (policy.grants, lambda: policy.put_role("a", ()), lambda: policy.remove_grant("a")):
        with pytest.raises(AccountError, match="in_file"):
            change()
    with pytest.raises(AccountError, match="unknown_role"):
        policy.permissions("watcher")


PERMISSIONS = st.lists(st.sampled_from(GRANTABLE), unique=True)
PATTERNS = st.lists(st.sampled_from(["*", "a", "a*", "ab", "b"]), min_size=1, max_size=3, unique=True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(PERMISSIONS, st.lists(st.tuples(PERMISSIONS, PATTERNS), max_size=3), PERMISSIONS, PATTERNS)
def test_what_somebody_may_give_is_no_more_than_what_they_have(
    accounts: Accounts,
    role: list[Permission],
    granted: list[tuple[list[Permission], list[str]]],
    wanted: list[Permission],
    models: list[str],
) -> None:
    allowances = (Allowance(frozenset(role)), *(narrowing(of, where) for of, where in granted))
    giver = Principal("ann", "person", "own", "token", "s", 0.0, allowances)
    given_away = narrowing(wanted, models)
    taker = Principal("bob", "person", "own", "token", "s", 0.0, (given_away,))
    more = [
        (permission, target)
        for permission in GRANTABLE
        for target in ("a", "ab", "abc", "b", "c", "*", None)
        if taker.may(permission, target) and not giver.may(permission, target)
    ]
    if giver.holds(given_away):
        assert more == []
