"""What a runtime predicted for a batch: columns of raw values, cut into the requests' shares by the codecs."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["number", "integer", "logical", "string", "object"]
"""An object is a value that JSON can hold, such as a ranking."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """One predicted column. `levels` is given where integer values are codes of labels, from 1."""

    kind: Kind
    values: array[float] | array[int] | Sequence[str | None] | Sequence[Any]
    levels: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Predictions:
    """One value per row (one column, no `names`) or several named ones, and what the model warned of."""

    columns: tuple[Predicted, ...]
    names: tuple[str, ...] | None
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.columns[0].values)
