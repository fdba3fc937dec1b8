"""What a runtime predicted for a batch: columns of raw values, cut into the requests' shares by the codecs."""

from __future__ import annotations

import re
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


class ModelFailed(Exception):
    """The model raised an error. The text is the model's own: for the log and for those who may see details."""


class OutOfMemory(ModelFailed):
    """An allocation failed. Raise it where the failed call's frames, and what they hold, have been let go."""

    detail = (
        "the model needed more memory than a worker may have; send fewer rows in a request, "
        "or have TANDEM_WORKER_MEMORY_MB raised"
    )


def lacks_memory(error: BaseException) -> bool:
    """Whether an allocation failed, in Python or in a library of C or C++ that says so in words of its own."""
    return isinstance(error, MemoryError) or _ALLOCATION.search(str(error)) is not None


_ALLOCATION = re.compile(r"std::bad_alloc|bad allocation|[Cc]annot allocate memory|can't allocate memory|out of memory")


class BadRows(ModelFailed):
    """The caller is at fault, where the schema could not tell; `detail` is for the caller."""

    detail: str


class UnknownLevel(BadRows):
    """The model said that it does not know a level."""

    detail = "the rows hold a level that the model was not trained with"


class NotFinite(BadRows):
    """The model's compiled code takes finite numbers only."""

    detail = "the rows hold, or lead to, a number that is missing or infinite, which this model cannot predict"
