"""Each scenario of `make chaos` in its short form: what may not happen once does not. Times are for the long form.

What the verdicts are reckoned by is tested here too: percentiles, slopes and the schedule of the load.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.chaos.checks import NONE, Sample, gained, growth_mb_per_h, percentile, slope
from benchmarks.chaos.generator import schedule
from benchmarks.chaos.scenarios import SUITES
from benchmarks.harness import Bench, Measured

ELSEWHERE = {"fuzz"}
"""Is tests/server/web/test_openapi_fuzz.py, run with more examples."""
SCENARIOS = [scenario for suite in SUITES.values() for scenario in suite if scenario.__name__ not in ELSEWHERE]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_nothing_happens_that_may_not_happen_once(scenario: Callable[[Bench], Measured], tmp_path: Path) -> None:
    measured = scenario(Bench(tmp_path, quick=True))
    strict = [figure for figure in measured.figures if figure.bar == NONE]
    assert strict
    assert not [(figure.name, figure.value, measured.raw) for figure in strict if not figure.met]


def samples(values: list[float], every_s: float = 2.0) -> list[Sample]:
    return [Sample(n * every_s, int(value), 20, 4) for n, value in enumerate(values)]


@pytest.mark.parametrize("mb_per_h", [2, 10, 500])
@pytest.mark.parametrize("seed", range(5))
def test_a_leak_is_told_from_noise(mb_per_h: float, seed: int) -> None:
    chance = random.Random(seed)
    per_sample = mb_per_h * 1e6 / 3600 * 2.0
    found = growth_mb_per_h(samples([5e7 + n * per_sample + chance.uniform(0, 3e4) for n in range(300)]))
    assert found.low > 1
    assert found.low <= found.per_h <= found.high
    assert found.per_h == pytest.approx(mb_per_h, rel=0.25)


@pytest.mark.parametrize("seed", range(5))
def test_noise_that_does_not_grow_is_no_leak(seed: int) -> None:
    chance = random.Random(seed)
    found = growth_mb_per_h(samples([5e7 + chance.uniform(0, 3e5) for _ in range(300)]))
    assert found.low < 1
    assert abs(found.per_h) < 1


def test_a_collectors_saw_teeth_are_no_leak() -> None:
    assert abs(growth_mb_per_h(samples([5e7 + 2e4 * (n % 9) for n in range(300)])).per_h) < 0.2


def test_one_step_and_what_happens_in_the_warm_up_are_no_leak() -> None:
    assert growth_mb_per_h(samples([5e7 + 1e6 * (n > 250) for n in range(300)])).per_h == 0
    in_the_middle = growth_mb_per_h(samples([5e7 + 1e6 * (n > 180) for n in range(300)]))
    assert in_the_middle.low == 0, "one step in the middle cannot be told from growth, and that is said"
    assert growth_mb_per_h(samples([5e7 + 1e5 * min(n, 50) for n in range(300)])).per_h == 0


@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=80), st.floats(-100, 100))
def test_a_straight_line_has_its_own_slope(noise: list[float], per_s: float) -> None:
    seconds = [float(n) for n in range(len(noise))]
    found = slope(seconds, [per_s * s for s in seconds])
    assert found.per_h == pytest.approx(per_s * 3600, abs=1e-6)
    assert found.low - 1e-6 <= found.per_h <= found.high + 1e-6


def test_a_slope_of_one_point_is_not_known() -> None:
    assert slope([1.0], [1.0]).high == float("inf")


def test_a_descriptor_that_stays_is_gained_and_one_that_is_open_for_a_moment_is_not() -> None:
    def counted(counts: list[int]) -> list[Sample]:
        return [Sample(float(n), 0, count, 4) for n, count in enumerate(counts)]

    assert gained(counted([9, 9, *[20] * 60, *[21] * 40]), "descriptors") == 1
    assert gained(counted([9, 9, *[20 + (n % 7 == 0) for n in range(100)]]), "descriptors") == 0
    assert gained(counted([20] * 100), "threads") == 0


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(1, 100))
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(v <= found for v in values) >= len(values) * percent / 100 * (1 - 1e-12)
    assert sum(v < found for v in values) < len(values) * percent / 100 * (1 + 1e-12) or found == min(values)


def test_percentiles_of_a_hundred_values() -> None:
    values = [float(n) for n in range(1, 101)]
    assert [percentile(values, p) for p in (50, 99, 100)] == [50, 99, 100]


def test_even_arrivals_are_so_many_a_second_and_equally_far_apart() -> None:
    due = list(schedule([(2.0, 100.0)], even=True))
    assert len(due) in (199, 200)
    assert all(later - sooner == pytest.approx(0.01) for sooner, later in pairwise(due))


@pytest.mark.parametrize("seed", range(3))
def test_random_arrivals_keep_the_rate_and_the_phases(seed: int) -> None:
    due = list(schedule([(10.0, 100.0), (10.0, 500.0)], even=False, seed=seed))
    assert due == sorted(due)
    assert sum(at < 10 for at in due) == pytest.approx(1000, rel=0.15)
    assert sum(at >= 10 for at in due) == pytest.approx(5000, rel=0.15)
    assert max(due) < 20
