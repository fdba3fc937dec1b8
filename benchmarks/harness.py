"""What every measurement shares: how long to measure, rounds that take turns, and figures with their bars.

The machine drifts while it is measured, so things that are compared take turns (A B A B), each round gives one ratio,
and the figure is the median of the ratios with the smallest and the largest beside it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal, TypeVar

ROOT = Path(__file__).resolve().parent.parent
COMPARE = {">=": operator.ge, "<=": operator.le}

T = TypeVar("T")


class BenchmarkError(Exception):
    """A measurement cannot be trusted or done: wrong answers, a tool that is missing, a server that did not start."""


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure must reach, and what we would like it to reach."""

    sense: Literal[">=", "<="]
    limit: float
    aim: float | None = None

    def met_by(self, value: float) -> bool:
        return bool(COMPARE[self.sense](value, self.limit))

    def __str__(self) -> str:
        aim = f" (aim {shown(self.aim)})" if self.aim is not None else ""
        return f"{self.sense} {shown(self.limit)}{aim}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of the table: the median of its samples, which are kept."""

    name: str
    samples: Sequence[float]
    unit: str
    bar: Bar | None = None

    @property
    def value(self) -> float:
        return median(self.samples)

    @property
    def met(self) -> bool | None:
        return None if self.bar is None else self.bar.met_by(self.value)

    def to_data(self) -> dict[str, Any]:
        data = {"name": self.name, "value": self.value, "unit": self.unit, "samples": list(self.samples)}
        return data if self.bar is None else data | {"bar": str(self.bar), "met": self.met}


@dataclass(slots=True)
class Measured:
    """What one measurement found: figures for the table, and raw data for the result file only.

    `skipped` says why nothing can be measured on this machine, where that is no fault.
    """

    figures: list[Figure] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class Bench:
    """One run: a folder that is removed at the end, and how thorough to be."""

    scratch: Path
    quick: bool

    def pick(self, thorough: T, quick: T) -> T:
        return quick if self.quick else thorough

    def folder(self, name: str) -> Path:
        folder = self.scratch / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def take_turns(rounds: int, **measure: Callable[[], float]) -> dict[str, list[float]]:
    """Call every function once a round; what each gave, round by round."""
    found: dict[str, list[float]] = {name: [] for name in measure}
    for _ in range(rounds):
        for name, one in measure.items():
            found[name].append(one())
    return found


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(above, below, strict=True)]


def shown(value: float) -> str:
    """Three significant digits, or all those before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
