"""The arithmetic of rates, against a bucket that is counted in exact fractions."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from auth.limits.pace import Pace

AMOUNTS = st.integers(1, 10_000)
SECONDS = st.sampled_from([1, 60])
BURSTS = st.integers(1, 500)
STEPS = st.lists(st.integers(0, 3000), min_size=1, max_size=200)
"""Milliseconds between requests."""
START_S = 1_000_000.0


class Bucket:
    """A bucket of tokens, in exact numbers."""

    def __init__(self, amount: int, seconds: int, burst: int) -> None:
        self.per_s, self.most = Fraction(amount, seconds), Fraction(burst)
        self.tokens, self.at = self.most, Fraction(START_S)

    def allows(self, now: Fraction) -> Fraction:
        """The tokens there are; one is taken if there is a whole one."""
        self.tokens = min(self.most, self.tokens + (now - self.at) * self.per_s)
        self.at = now
        had = self.tokens
        if had >= 1:
            self.tokens -= 1
        return had


@given(AMOUNTS, SECONDS, BURSTS, STEPS)
def test_it_allows_what_an_exact_bucket_allows(amount: int, seconds: int, burst: int, steps: list[int]) -> None:
    pace, bucket, empty_at, now = Pace(amount, seconds, burst), Bucket(amount, seconds, burst), 0.0, Fraction(START_S)
    for step in steps:
        now += Fraction(step, 1000)
        had = bucket.allows(now)
        after = pace.admitted(empty_at, float(now))
        allowed = after > 0
        assert allowed == (pace.wait_s(empty_at, float(now)) <= 0) or abs(had - 1) < Fraction(1, 100)
        if abs(had - 1) > Fraction(1, 100):  # closer than that, floating point may say either
            assert allowed == (had >= 1)
        elif allowed != (had >= 1):
            return  # they have parted over a hundredth of a request
        if allowed:
            empty_at = after


@given(AMOUNTS, SECONDS, BURSTS, STEPS)
def test_no_stretch_of_time_has_more_than_the_burst_and_the_rate(
    amount: int, seconds: int, burst: int, steps: list[int]
) -> None:
    pace, empty_at, now, allowed = Pace(amount, seconds, burst), 0.0, START_S, []
    for step in steps:
        now += step / 1000
        if pace.wait_s(empty_at, now) <= 0:
            empty_at = pace.after(empty_at, now)
            allowed.append(now)
    for first in range(len(allowed)):
        for last in range(first, len(allowed)):
            passed_s = allowed[last] - allowed[first]
            assert last - first + 1 <= burst + passed_s * amount / seconds + 0.01


@given(AMOUNTS, SECONDS, BURSTS, st.integers(0, 2000))
def test_who_waits_as_long_as_told_is_let_through_and_not_a_moment_earlier(
    amount: int, seconds: int, burst: int, taken: int
) -> None:
    pace = Pace(amount, seconds, burst)
    empty_at = pace.after(0.0, START_S, taken)
    wait_s = pace.wait_s(empty_at, START_S)
    if wait_s > 0:
        assert pace.wait_s(empty_at, START_S + wait_s + 1e-6) <= 0
        assert pace.wait_s(empty_at, START_S + wait_s * 0.999 - 1e-6) > 0


@given(AMOUNTS, SECONDS, BURSTS)
def test_as_many_are_left_as_are_then_allowed_at_once(amount: int, seconds: int, burst: int) -> None:
    pace, empty_at, count = Pace(amount, seconds, burst), 0.0, 0
    assert pace.left(empty_at, START_S) == (burst, 0)
    while after := pace.admitted(empty_at, START_S):
        count += 1
        empty_at = after
        assert pace.left(empty_at, START_S)[0] == burst - count
    assert count == burst


@given(AMOUNTS, SECONDS, BURSTS, st.integers(0, 2000), st.floats(0, 5))
def test_what_others_took_lately_costs_no_more_than_what_was_taken_here_now(
    amount: int, seconds: int, burst: int, count: int, since_s: float
) -> None:
    pace = Pace(amount, seconds, burst)
    heard, own = pace.after_others(0.0, START_S, count, since_s), pace.after(0.0, START_S, count)
    assert own - since_s - 1e-6 <= heard <= own
    assert pace.after_others(own, START_S, count, since_s) == pace.after(own, START_S, count) or count == 0


def test_a_clock_that_stands_still_or_goes_back_gives_nothing_away() -> None:
    pace = Pace(10, 1, 2)
    empty_at = pace.after(pace.after(0.0, START_S), START_S)
    for now in (START_S, START_S - 5):
        assert pace.wait_s(empty_at, now) > 0
        assert pace.left(empty_at, now)[0] == 0
