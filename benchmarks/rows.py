"""Rows to send: invented, always the same, and the same numbers to the last bit for Tandem and for plain R."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from random import Random

import orjson

BOSTON = {
    "crim": (0.0, 89.0),
    "zn": (0.0, 100.0),
    "indus": (0.5, 28.0),
    "chas": (0.0, 1.0),
    "nox": (0.38, 0.88),
    "rm": (3.5, 8.8),
    "age": (3.0, 100.0),
    "dis": (1.1, 12.2),
    "rad": (1.0, 24.0),
    "tax": (187.0, 711.0),
    "ptratio": (12.6, 22.0),
    "black": (0.3, 396.9),
    "lstat": (1.7, 38.0),
}
CYLINDERS = (4, 6, 8)


@dataclass(frozen=True, slots=True)
class Rows:
    """Columns of numbers; those named in `factors` are sent as strings."""

    columns: dict[str, list[float]]
    factors: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def doubles(self) -> bytes:
        """Column after column, for R's readBin."""
        return array("d", (value for column in self.columns.values() for value in column)).tobytes()

    @staticmethod
    def from_doubles(data: bytes) -> list[float]:
        values = array("d")
        values.frombytes(data)
        return values.tolist()

    def as_columns(self) -> bytes:
        """The body with all rows as columns."""
        return orjson.dumps({"columns": self._values()})

    def as_rows(self) -> bytes:
        """The body with all rows as objects."""
        return orjson.dumps({"rows": self._objects()})

    def one_by_one(self) -> list[bytes]:
        """A body for each row."""
        return [orjson.dumps({"rows": [row]}) for row in self._objects()]

    def _values(self) -> dict[str, list[float] | list[str]]:
        return {name: [f"{v:g}" for v in c] if name in self.factors else c for name, c in self.columns.items()}

    def _objects(self) -> list[dict[str, object]]:
        values = self._values()
        return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def boston(rows: int) -> Rows:
    """Thirteen numbers a row."""
    random = Random(rows)
    return Rows({name: [round(random.uniform(*span), 4) for _ in range(rows)] for name, span in BOSTON.items()})


def cars(rows: int) -> Rows:
    """Two numbers and a factor of three levels, all of which occur."""
    random = Random(rows)
    return Rows(
        {
            "wt": [round(random.uniform(1.5, 5.5), 3) for _ in range(rows)],
            "hp": [float(random.randint(50, 340)) for _ in range(rows)],
            "cyl": [float(CYLINDERS[i % 3]) for i in range(rows)],
        },
        frozenset({"cyl"}),
    )
