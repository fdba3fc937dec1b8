"""Which limits hold for whom, and what they let through."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from auth.errors import OverLimit
from auth.limits.cells import Cells
from auth.limits.limit import Limit, Per, Unit
from auth.limits.limiter import Limiter
from auth.limits.usage import Counted, DaySum, Key
from auth.principal import Allowance, Permission, Principal, built_in

NOON = 1_796_126_400.0
"""2026-12-01T12:00:00Z"""


def limit(who: str = "ann", model: str = "*", amount: int = 3, per: Per = "second", **more: Any) -> Limit:
    unit: Unit = more.pop("unit", "requests")
    return Limit(more.pop("id", "l"), who, model, unit, amount, per, **more)


def principal(
    name: str = "ann", role: str = "scorer", credential: str = "s", groups: tuple[str, ...] = ()
) -> Principal:
    return Principal(name, "person", "scorer", "token", credential, 1e12, built_in("scorer"), groups=groups)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limiter(clock: Clock) -> Limiter:
    return Limiter(Cells(), clock)


def let_through(
    limiter: Limiter, tries: int, who: Principal | None = None, model: str = "mpg", now: float = 1.0
) -> int:
    return sum(1 for _ in range(tries) if refusal(limiter, who, model, now) is None)


def refusal(
    limiter: Limiter, who: Principal | None = None, model: str = "mpg", now: float = 1.0, rows: int = 0
) -> OverLimit | None:
    bounds = limiter.of(who or principal(), model)
    assert bounds is not None
    try:
        bounds.admit(now)
    except OverLimit as refused:
        return refused
    bounds.answered(rows, now)
    return None


def told(limiter: Limiter, now: float = 1.0) -> list[str]:
    bounds = limiter.of(principal(), "mpg")
    assert bounds is not None
    return bounds.lines(now).decode().splitlines()


def test_without_a_limit_nothing_holds(limiter: Limiter) -> None:
    assert not limiter.on
    assert limiter.of(principal(), "mpg") is None


@pytest.mark.parametrize(
    ("rule", "bound"),
    [
        (limit("ann"), True),
        (limit("bob"), False),
        (limit("*"), True),
        (limit("role:scorer"), True),
        (limit("role:admin"), False),
        (limit("group:entra:g1"), True),
        (limit("group:g1"), False),
        (limit("group:entra:g2"), False),
        (limit("ann", "mpg"), True),
        (limit("ann", "mp*"), True),
        (limit("ann", "mp"), False),
        (limit("ann", "boston"), False),
    ],
)
def test_a_limit_holds_for_whom_and_for_what_it_names(limiter: Limiter, rule: Limit, bound: bool) -> None:
    limiter.replace([rule])
    assert limiter.on
    assert (limiter.of(principal(groups=("entra:g1",)), "mpg") is not None) == bound


@pytest.mark.parametrize(
    ("who", "model", "bound"),
    [
        ("role:scorer", "boston", True),
        ("role:analyst", "mpg", True),
        ("role:analyst", "boston", False),
        ("role:watcher", "risk-9", True),
        ("role:watcher", "mpg", False),
    ],
)
def test_a_role_that_was_granted_counts_on_the_models_of_the_grant(
    limiter: Limiter, who: str, model: str, bound: bool
) -> None:
    nothing: frozenset[Permission] = frozenset()
    granted = Allowance(nothing, ("mpg",), "analyst"), Allowance(nothing, ("risk-*",), "watcher")
    ann = replace(principal(), allowances=(*built_in("scorer"), *granted))
    limiter.replace([limit(who)])
    assert (limiter.of(ann, model) is not None) == bound
    assert (limiter.of(principal(), model) is not None) == (who == "role:scorer")  # who comes without the grant


def test_all_credentials_of_a_principal_share_a_bucket_and_each_principal_has_its_own(limiter: Limiter) -> None:
    limiter.replace([limit("*")])
    one, two = principal(credential="key one"), principal(credential="key two")
    assert let_through(limiter, 2, one) == 2
    assert let_through(limiter, 2, two) == 1
    assert let_through(limiter, 5, principal("bob")) == 3


def test_all_models_that_fit_count_together(limiter: Limiter) -> None:
    limiter.replace([limit(model="m*")])
    assert let_through(limiter, 2, model="mpg") == 2
    assert let_through(limiter, 2, model="mtcars") == 1


def test_all_limits_have_to_allow_and_a_refusal_takes_from_none(limiter: Limiter) -> None:
    limiter.replace([limit(id="all", amount=4), limit(id="mpg", model="mpg", amount=2)])
    assert let_through(limiter, 10) == 2
    refused = refusal(limiter)
    assert refused is not None and (refused.limit, refused.code) == ("mpg", "rate_limited")
    assert let_through(limiter, 10, model="boston") == 2


def test_a_rate_goes_on_with_time_and_says_when(limiter: Limiter) -> None:
    limiter.replace([limit(amount=10, burst=1)])
    assert let_through(limiter, 5) == 1
    refused = refusal(limiter)
    assert refused is not None and refused.retry_after_s == pytest.approx(0.1, abs=0.001)
    assert refused.explanation.startswith("The limit 'l' allows you 10 requests a second.")
    assert let_through(limiter, 5, now=1.0 + refused.retry_after_s) == 1


def test_rows_are_counted_afterwards_and_the_request_that_crosses_the_line_is_answered(limiter: Limiter) -> None:
    limiter.replace([limit(unit="rows", amount=10)])
    assert refusal(limiter, rows=7) is None
    assert refusal(limiter, rows=7) is None
    assert refusal(limiter) is not None
    assert refusal(limiter, now=1.3, rows=0) is not None
    assert refusal(limiter, now=1.6, rows=1) is None


def test_a_quota_is_used_up_until_the_day_is_over_in_utc(limiter: Limiter, clock: Clock) -> None:
    limiter.replace([limit(per="day", amount=2)])
    assert let_through(limiter, 5) == 2
    refused = refusal(limiter)
    assert refused is not None and refused.code == "quota_exceeded"
    assert refused.retry_after_s == 12 * 3600
    clock.now += 12 * 3600 - 0.5
    assert let_through(limiter, 5) == 0
    clock.now += 0.5
    assert let_through(limiter, 5) == 2


def test_a_quota_of_rows_answers_the_request_that_crosses_the_line(limiter: Limiter) -> None:
    limiter.replace([limit(per="month", unit="rows", amount=100)])
    assert refusal(limiter, rows=99) is None
    assert refusal(limiter, rows=500) is None
    assert refusal(limiter) is not None


def test_a_quota_knows_what_others_have_used(limiter: Limiter) -> None:
    limiter.replace([limit(per="day", model="m*", amount=10), limit(id="month", per="month", amount=100)])
    assert let_through(limiter, 2) == 2
    limiter.take()
    assert let_through(limiter, 1) == 1
    assert limiter.has_quota("ann") and not limiter.has_quota("bob")
    sums = [DaySum("mpg", "2026-12-01", 7, 0), DaySum("mpg", "2026-11-30", 50, 0), DaySum("iris", "2026-12-01", 50, 0)]
    limiter.hear("ann", sums)
    assert let_through(limiter, 5) == 2
    assert told(limiter)[1] == 'ratelimit: "l";r=0;t=43200, "month";r=40;t=2635200'


def test_the_headers_tell_each_limit_and_what_is_left_of_it(limiter: Limiter) -> None:
    limiter.replace([limit(id="ann-mpg", amount=100), limit(id="d", per="day", unit="rows", amount=5000)])
    assert refusal(limiter, rows=42) is None
    assert told(limiter) == [
        'ratelimit-policy: "ann-mpg";q=100;w=1, "d";q=5000;w=86400;qu="rows"',
        'ratelimit: "ann-mpg";r=99;t=1, "d";r=4958;t=43200',
    ]


def test_a_limit_that_is_changed_goes_on_where_it_was_and_a_removed_one_is_gone(limiter: Limiter) -> None:
    limiter.replace([limit(amount=4)])
    assert let_through(limiter, 9) == 4
    limiter.replace([limit(amount=4, burst=6)])
    assert let_through(limiter, 9) == 2
    limiter.replace([])
    assert limiter.of(principal(), "mpg") is None


def test_what_other_servers_let_through_is_taken_out_of_the_bucket(limiter: Limiter) -> None:
    limiter.replace([limit(amount=10), limit(id="other", who="bob", amount=1)])
    assert let_through(limiter, 2, now=5.0) == 2
    limiter.charge(Key("ann", "mpg"), 5, 0, 0.0, 5.0)
    limiter.charge(Key("ann", "mpg"), 0, 99, 0.0, 5.0)
    limiter.charge(Key("zoe", "mpg"), 5, 0, 0.0, 5.0)
    assert let_through(limiter, 9, now=5.0) == 3


def test_what_was_counted_is_taken_once_and_can_be_put_back(limiter: Limiter) -> None:
    limiter.replace([limit(amount=2, per="day")])
    assert refusal(limiter, rows=5) is None
    assert let_through(limiter, 2) == 1
    counts = limiter.take()
    assert counts == {Key("ann", "mpg"): Counted(2, 5, 1)}
    assert limiter.take() == {}
    limiter.put_back(counts)
    assert let_through(limiter, 1) == 0
    assert limiter.take() == {Key("ann", "mpg"): Counted(2, 5, 2)}


def test_more_principals_than_are_remembered_are_held_all_the_same(
    limiter: Limiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auth.limits.limiter._MOST_DECIDED", 3)
    limiter.replace([limit("*")])
    names = [f"p{number}" for number in range(10)]
    assert [let_through(limiter, 2, principal(name)) for name in names] == [2] * 10
    assert [let_through(limiter, 2, principal(name)) for name in names] == [1] * 10
    assert sum(counted.requests for counted in limiter.take().values()) == 30
