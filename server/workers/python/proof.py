"""The proof that joining requests changes no answer: sample rows scored as requests together and alone."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import cycle, islice
from time import perf_counter
from typing import Any, cast

import orjson

from server.workers.codecs.json import JSON
from server.workers.errors import Invalid, LoadFailed, ModelFailed
from server.workers.predictions import Predictions
from server.workers.python.cost import Stopwatch
from server.workers.python.model import PythonModel
from server.workers.table import Column, to_columns

SPLITS: tuple[tuple[int, ...], ...] = ((1,), (2, 1, 3), (8, 1, 1, 16, 1), (1, 1, 5, 33))
"""How many rows the joined requests have, over and over until the rows are used up."""
MANY_ROWS = 1024
ENOUGH_S = 4.0
"""About how many seconds to spend on one model."""
LEAST_ROWS = 4
CALLS = 20
"""How many calls the proof makes for each output, if the model is slow."""


def prove(model: PythonModel, samples: Iterable[Mapping[str, Any]], patience_s: float) -> tuple[int, str | None]:
    """How many rows were tried, and why requests must not be joined; None if every answer has the same bits.

    If the proof would take longer than `patience_s`, it is only tried whether two rows are answered. Raises LoadFailed.
    """
    calls = CALLS * len(model.schema.outputs)
    rows, call_s = _bearable(model, samples, patience_s / calls)
    _refuse_one_row_only(model, rows)
    if call_s * calls > patience_s:
        return len(rows), f"a row takes {call_s:.1f} s: too slow to prove more"
    return len(rows), _differing(model, rows)


def _bearable(model: PythonModel, rows: Iterable[Mapping[str, Any]], limit_s: float) -> tuple[list[list[Any]], float]:
    """The cells of the rows that the model can predict alone, by input, and the time of its quickest call.

    A slow model is tried with fewer rows, and with one if that takes longer than the limit.
    """
    started = perf_counter()
    kept: list[list[Any]] = []
    quickest = math.inf
    for row in rows:
        call = Stopwatch()
        with suppress(ModelFailed, Invalid, TypeError):
            cells = _cells(model, row)
            model.predict(to_columns(model.schema, [[c] for c in cells]), [1], model.schema.default_output, ())
            kept.append(cells)
            quickest = min(quickest, call.spent())
        if len(kept) >= LEAST_ROWS and perf_counter() - started > ENOUGH_S / 4:
            break
        if kept and quickest > limit_s:
            break
    return kept, quickest


def _refuse_one_row_only(model: PythonModel, rows: Sequence[Sequence[Any]]) -> None:
    """Raise LoadFailed if the model answers a row but not the same row twice: it would fail when it is called."""
    if not rows:
        return
    output = model.schema.default_output
    try:
        found = model.predict(_columns(model, [rows[0], rows[0]]), [2], output, ())
        lengths = {len(column.values) for column in found.columns}
        failed = None if lengths == {2} else f"it gave {min(lengths, default=0)} predictions"
    except ModelFailed as e:
        failed = str(e)
    if failed is not None:
        raise LoadFailed(
            "predict_fails",
            f"the model answers one row but not two: {failed}; a request may have many rows, so predict must give one "
            "prediction for each",
        )


def _differing(model: PythonModel, rows: Sequence[Sequence[Any]]) -> str | None:
    if len(rows) < LEAST_ROWS:
        return "too few of the sample rows could be predicted; state golden rows in the sidecar"
    for output in model.schema.outputs:
        if reason := _differs(model, rows, output.name):
            return reason
    return None


def _differs(model: PythonModel, rows: Sequence[Sequence[Any]], output: str) -> str | None:
    for split in SPLITS:
        sizes, taken = _sizes(split, len(rows)), rows
        if split == (1,):
            taken = [*islice(cycle(rows), _many(model, rows, output))]
            sizes = [1] * len(taken)
        try:
            together = _bits(model.predict(_columns(model, taken), sizes, output, ()))
            alone = _alone(model, rows, sizes, output)
        except ModelFailed as e:
            return f"the output {output} of sample rows cannot be predicted: {e}"
        wrong = sum(a != b for a, b in zip(together, alone, strict=True))
        if wrong:
            return (
                f"{wrong} of {len(together)} sample rows get other bits together than alone (output {output}), so "
                "each request is predicted by a call of its own"
            )
    return None


def _many(model: PythonModel, rows: Sequence[Sequence[Any]], output: str) -> int:
    """How many single rows to try together: as many as may be joined, or fewer if the model is slow."""
    started = perf_counter()
    with suppress(ModelFailed):
        model.predict(_columns(model, rows[:1]), [1], output, ())
    in_time = int(ENOUGH_S / (perf_counter() - started))
    return max(len(rows), min(MANY_ROWS, model.max_rows, in_time))


def _alone(model: PythonModel, rows: Sequence[Sequence[Any]], sizes: Sequence[int], output: str) -> list[Any]:
    """The answers to each request by itself. A repeated row is asked about once."""
    found: list[Any] = []
    start = 0
    for size in sizes:
        if start >= len(rows):
            break
        found += _bits(model.predict(_columns(model, rows[start : start + size]), [size], output, ()))
        start += size
    return found if start >= sum(sizes) else [*islice(cycle(found), sum(sizes))]


def _sizes(split: Sequence[int], total: int) -> list[int]:
    sizes: list[int] = []
    for size in cycle(split):
        left = total - sum(sizes)
        if left <= 0:
            return sizes
        sizes.append(min(size, left))
    return sizes


def _cells(model: PythonModel, row: Mapping[str, Any]) -> list[Any]:
    return [cells[0] for cells in JSON.decode(orjson.dumps({"rows": [row]}), model.schema).cells]


def _columns(model: PythonModel, rows: Sequence[Sequence[Any]]) -> list[Column]:
    return to_columns(model.schema, [list(column) for column in zip(*rows, strict=True)])


def _bits(predictions: Predictions) -> list[Any]:
    """One value per row, in which doubles differ if any bit does (a negative zero, another NaN)."""
    columns = [
        memoryview(cast("array[float]", c.values)).cast("B").cast("q").tolist()
        if c.kind == "number"
        else list(c.values)
        for c in predictions.columns
    ]
    return list(zip(*columns, strict=True))
