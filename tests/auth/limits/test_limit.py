"""Limits as an administrator sets them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from auth.account_file import AccountFile
from auth.accounts import Accounts
from auth.audit import Wanted
from auth.errors import AccountError
from auth.limits.limit import MOST, Limit


def limit(**changed: Any) -> Limit:
    usual = {"id": "l", "who": "ann", "model": "*", "unit": "requests", "amount": 1, "per": "second", "created_at": 7.0}
    return Limit(**(usual | changed))


def test_a_limit_is_set_made_another_and_removed_and_the_audit_says_so(accounts: Accounts) -> None:
    first = accounts.limits.put(limit())
    second = accounts.limits.put(limit(id="k", who="role:admin", unit="rows", amount=9, burst=4))
    assert accounts.limits.list() == (second, first)
    changed = accounts.limits.put(limit(model="mpg", amount=5, per="day"))
    assert accounts.limits.in_force() == (second, changed)
    accounts.limits.remove("l")
    assert accounts.limits.list() == (second,)
    rows = accounts.audit.rows(Wanted(), 10)
    assert [(row.action, row.target) for row in rows] == [
        ("limit.set", "l"),
        ("limit.set", "k"),
        ("limit.set", "l"),
        ("limit.removed", "l"),
    ]
    assert rows[1].more == '{"burst":4,"model":"*","per":"second","rows":9,"who":"role:admin"}'


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"id": ""}, "bad_limit_name"),
        ({"id": 'a"b'}, "bad_limit_name"),
        ({"id": "a" * 65}, "bad_limit_name"),
        ({"who": ""}, "bad_limited"),
        ({"who": "a b"}, "bad_limited"),
        ({"who": "a" * 301}, "bad_limited"),
        ({"who": "role:none-such"}, "unknown_role"),
        ({"model": "a*b"}, "bad_pattern"),
        ({"model": ""}, "bad_pattern"),
        ({"amount": 0}, "bad_amount"),
        ({"amount": -1}, "bad_amount"),
        ({"amount": MOST + 1}, "bad_amount"),
        ({"burst": 0}, "bad_amount"),
        ({"burst": 2, "per": "day"}, "burst_of_quota"),
    ],
)
def test_what_is_no_limit_is_refused_and_changes_nothing(
    accounts: Accounts, wrong: dict[str, Any], problem: str
) -> None:
    with pytest.raises(AccountError) as refused:
        accounts.limits.put(limit(**wrong))
    assert refused.value.problem == problem
    assert refused.value.explanation
    assert accounts.limits.list() == ()
    assert accounts.audit.rows(Wanted(), 10) == []


def test_there_are_no_more_than_the_processes_can_look_through(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auth.limits.limit.MOST_LIMITS", 2)
    for name in "ab":
        accounts.limits.put(limit(id=name))
    with pytest.raises(AccountError, match="too_many_limits"):
        accounts.limits.put(limit(id="c"))
    accounts.limits.put(limit(id="b", amount=2))
    assert [one.id for one in accounts.limits.list()] == ["a", "b"]


def test_an_unknown_limit_cannot_be_removed(accounts: Accounts) -> None:
    with pytest.raises(AccountError, match="unknown_limit"):
        accounts.limits.remove("l")


def test_a_limit_goes_with_the_account_that_it_names(accounts: Accounts) -> None:
    accounts.add_service("ann", "scorer", 1.0)
    accounts.limits.put(limit())
    everybody = accounts.limits.put(limit(id="all", who="*"))
    accounts.remove("ann")
    assert accounts.limits.list() == (everybody,)


def test_where_accounts_are_in_a_file_there_are_none_and_none_can_be_set(path: Path) -> None:
    file = AccountFile(path)
    assert file.limits.in_force() == ()
    for change in (file.limits.list, lambda: file.limits.put(limit()), lambda: file.limits.remove("l")):
        with pytest.raises(AccountError, match="in_file"):
            change()
    with pytest.raises(AccountError, match="in_file"):
        file.usage.rows(Any, 1)
