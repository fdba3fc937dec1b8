"""Answers compared: what callers got beside what the mirrored deployment said to the same requests.

Owns what is kept of pairs and what is told of them. Must not know where pairs come from. What is exact for ever are the
counts, which the ledger has; quantiles and ranks are those of the newest rows.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

import numpy as np

from mlops.collection.answers import Columns, Undecodable, columns
from server.wire.collect import Copied, Described
from server.wire.schema import Schema

NEWEST: Final = 10_000
"""Rows of each column whose differences are kept."""
WORST: Final = 20
CLASSES: Final = 2500
"""Pairs of classes that are counted at most: fifty times fifty."""
QUANTILES: Final = (0.5, 0.9, 0.99, 1.0)
OUTCOMES: Final = ("equal", "differ", "only_live", "only_mirror", "both_failed", "unlike")
"""What a pair comes to: all values are equal, some are not, one or both failed, or the answers differ in form."""


@dataclass(slots=True)
class _Column:
    """The pairs of one output, or of one of its columns."""

    rows: int = 0
    equal: int = 0
    numbers: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=NEWEST))
    classes: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, live: Any, mirror: Any) -> float:
        """Add a pair; how far apart the two are, 0 where they are equal."""
        self.rows += 1
        is_equal = live == mirror
        self.equal += is_equal
        if _is_number(live) and _is_number(mirror):
            self.numbers.append((float(live), float(mirror)))
            return 0.0 if is_equal else abs(float(live) - float(mirror))
        pair = str(live), str(mirror)
        if pair in self.classes or len(self.classes) < CLASSES:
            self.classes[pair] += 1
        return 0.0 if is_equal else 1.0

    def told(self) -> dict[str, Any]:
        """What is known of the column."""
        found: dict[str, Any] = {"rows": self.rows, "equal": self.equal}
        if self.numbers:
            live, mirror = np.array(self.numbers).T
            apart = np.abs(live - mirror)
            largest = np.maximum(np.abs(live), np.abs(mirror))
            relative = np.divide(apart, largest, out=np.zeros_like(apart), where=largest > 0)
            found |= {
                "absolute_difference": _quantiles(apart),
                "relative_difference": _quantiles(relative),
                "rank_correlation": _rank_correlation(live, mirror),
            }
        if self.classes:
            pairs = [{"live": live, "mirror": mirror, "rows": n} for (live, mirror), n in self.classes.most_common()]
            found["confusion"] = pairs
        return found


class Comparison:
    """The pairs of two model versions behind one endpoint."""

    def __init__(self, live: Described, mirror: Described) -> None:
        self.live, self.mirror = live, mirror
        self.pairs: Counter[str] = Counter()
        self._columns: dict[str, _Column] = {}
        self._seconds: deque[tuple[float, float]] = deque(maxlen=NEWEST)
        self._worst: list[tuple[float, int, dict[str, Any]]] = []
        self._number = count()
        self._schemas = Schema.from_data(live.schema), Schema.from_data(mirror.schema)

    def add(self, live: Copied, mirror: Copied) -> str:
        """Add a pair; what became of it."""
        outcome = self._added(live, mirror)
        self.pairs[outcome] += 1
        return outcome

    def _added(self, live: Copied, mirror: Copied) -> str:
        failed = live.code != b"ok", mirror.code != b"ok"
        if any(failed):
            return {(True, True): "both_failed", (False, True): "only_live", (True, False): "only_mirror"}[failed]
        self._seconds.append((live.predict_s, mirror.predict_s))
        try:
            of_live, of_mirror = (
                self._read(schema, one) for schema, one in zip(self._schemas, (live, mirror), strict=True)
            )
        except Undecodable:
            return "unlike"
        if of_live.keys() != of_mirror.keys() or any(len(of_live[name]) != len(of_mirror[name]) for name in of_live):
            return "unlike"
        apart = [self._compare(name, of_live[name], of_mirror[name], live) for name in of_live]
        return "differ" if any(apart) else "equal"

    def _read(self, schema: Schema, one: Copied) -> Columns:
        """The answer's values; one output has one name on both sides, whatever each model calls it."""
        return columns(one.accept, one.answer, schema, self._schemas[0].outputs[0].name, one.rows)

    def _compare(self, name: str, live: Sequence[Any], mirror: Sequence[Any], of: Copied) -> bool:
        column = self._columns.setdefault(name, _Column())
        differs = False
        for row, (one, other) in enumerate(zip(live, mirror, strict=True)):
            apart = column.add(one, other)
            if apart:
                differs = True
                told = {
                    "request_id": of.request_id.decode("latin-1"),
                    "row": row,
                    "output": name,
                    "live": one,
                    "mirror": other,
                }
                item = apart, next(self._number), told
                (heapq.heappush if len(self._worst) < WORST else heapq.heappushpop)(self._worst, item)
        return differs

    def told(self) -> dict[str, Any]:
        """The report."""
        seconds = np.array(self._seconds).reshape(-1, 2).T
        return {
            "live": _named(self.live),
            "mirror": _named(self.mirror),
            "requests": {outcome: self.pairs[outcome] for outcome in OUTCOMES},
            "outputs": {name: column.told() for name, column in self._columns.items()},
            "predict_seconds": {"live": _quantiles(seconds[0]), "mirror": _quantiles(seconds[1])},
            "worst": [told for _, _, told in sorted(self._worst, reverse=True)],
        }


def _named(one: Described) -> dict[str, str]:
    return {"deployment": one.deployment, "model": one.model, "version": one.version}


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _quantiles(values: Any) -> dict[str, float]:
    if not len(values):
        return {}
    return {f"{q:g}": float(found) for q, found in zip(QUANTILES, np.quantile(values, QUANTILES), strict=True)}


def _rank_correlation(live: Any, mirror: Any) -> float | None:
    """Spearman's, with the mean rank for what is equal; None where one side is all alike."""
    a, b = _ranks(live), _ranks(mirror)
    a, b = a - a.mean(), b - b.mean()
    size = math.sqrt(float((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size else None


def _ranks(values: Any) -> Any:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]
