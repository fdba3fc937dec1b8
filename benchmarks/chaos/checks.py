"""The arithmetic of the verdicts: percentiles, and the slope of something that must not grow. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median
from typing import NamedTuple

from benchmarks.harness import Bar

NONE = Bar("<=", 0)
"""What may not happen once. A short run is held to these; the other bars are for a machine that does nothing else."""

WARM_UP = 0.2
"""Share of a series that is left out: allocators, caches and pages shared with the template settle in it."""
BLOCKS = 24
CONFIDENCE_Z = 1.96


class Sample(NamedTuple):
    """One process at one moment."""

    seconds: float
    rss_bytes: int
    descriptors: int
    threads: int


@dataclass(frozen=True, slots=True)
class Slope:
    """Growth an hour, and between what it lies with 95 % confidence."""

    per_h: float
    low: float
    high: float


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least so many per cent do not exceed (nearest rank); NaN of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else math.nan


def slope(seconds: Sequence[float], values: Sequence[float]) -> Slope:
    """Theil and Sen's: the median of the slopes of all pairs, of blocks' medians.

    One step, such as an arena that an allocator took once, makes no slope unless it is near the middle, and then the
    lower bound stays 0. A collector's saw teeth are evened out by the blocks, which also are independent enough for the
    confidence that Kendall's variance gives.
    """
    size = max(1, len(values) // BLOCKS)
    starts = range(0, len(values) - size + 1, size)
    points = [(median(seconds[at : at + size]), median(values[at : at + size])) for at in starts]
    slopes = sorted((b[1] - a[1]) / (b[0] - a[0]) * 3600 for a, b in combinations(points, 2))
    if not slopes:
        return Slope(math.nan, -math.inf, math.inf)
    n = len(points)
    spread = CONFIDENCE_Z * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low = max(0, math.floor((len(slopes) - spread) / 2))
    high = min(len(slopes) - 1, math.ceil((len(slopes) + spread) / 2))
    return Slope(median(slopes), slopes[low], slopes[high])


def settled(samples: Sequence[Sample]) -> Sequence[Sample]:
    """Without the warm-up."""
    return samples[math.ceil(len(samples) * WARM_UP) :]


def growth_mb_per_h(samples: Sequence[Sample]) -> Slope:
    """Of the resident size, after the warm-up."""
    kept = settled(samples)
    return slope([s.seconds for s in kept], [s.rss_bytes / 1e6 for s in kept])


def gained(samples: Sequence[Sample], what: str) -> float:
    """By how many descriptors or threads the last quarter has more than the first one after the warm-up, at least.

    What is opened for a moment, to be asked for metrics for example, does not count.
    """
    counts = [getattr(s, what) for s in settled(samples)]
    quarter = max(1, len(counts) // 4)
    return float(min(counts[-quarter:]) - min(counts[:quarter]))
