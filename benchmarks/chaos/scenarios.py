"""All scenarios: those of `make chaos`, which takes under ten minutes, and the slow ones of `make soak`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.chaos.callers import hostile, stuck, vanish
from benchmarks.chaos.change import rolling, stop, swaps
from benchmarks.chaos.fuzz import fuzz, wire
from benchmarks.chaos.kill import kill
from benchmarks.chaos.overload import overload
from benchmarks.chaos.soak import leaks, steady
from benchmarks.chaos.traffic import traffic
from benchmarks.run import Measure

SUITES: Mapping[str, Sequence[Measure]] = {
    "chaos": (kill, overload, stop, swaps, rolling, traffic, stuck, vanish, hostile, fuzz),
    "soak": (steady, leaks, wire),
}
