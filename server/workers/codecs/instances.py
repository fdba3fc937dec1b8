"""Rows as KServe and MLflow write them: objects by column, arrays in the model's order, or of one input the values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from server.wire.schema import Input, Schema
from server.workers.codecs.bare_words import Bare, as_missing, as_numbers
from server.workers.codecs.json import cells_of_rows
from server.workers.errors import MAX_FAULTS, Fault, Invalid

Cells = tuple[list[Any], tuple[str, ...]]
"""A column of cells for each input, and warnings."""


def cells_of_instances(instances: Any, schema: Schema, member: str) -> Cells:
    """Columns of cells from the rows in a body's `member`. Raises Invalid."""
    if type(instances) is not list or not instances:
        raise Invalid(f'"{member}" must be an array of at least one row')
    if any(type(row) is dict for row in instances):
        return cells_of_rows(instances, schema)
    return cells_by_position(instances, schema), ()


def cells_by_position(rows: Sequence[Any], schema: Schema) -> list[Any]:
    """Columns of rows without names, which are in the model's order. Raises Invalid."""
    width = len(schema.inputs)
    if width == 1 and (schema.inputs[0].type == "tensor" or not any(type(row) is list for row in rows)):
        return [list(rows)]
    faults = [
        Fault(at, None, f"an array of {width} values", _told(row), "give a value for each column, in the model's order")
        for at, row in enumerate(rows)
        if type(row) is not list or len(row) != width
    ]
    if faults:
        raise Invalid("some rows are not those of the model", faults[:MAX_FAULTS])
    return [list(column) for column in zip(*rows, strict=True)]


def fitted(cells: Sequence[list[Any]], schema: Schema) -> list[list[Any]]:
    """Columns as pandas has them, as Tandem takes them: bare words by what they mean, and dates without a time."""
    return [_fitted(values, spec) for values, spec in zip(cells, schema.inputs, strict=True)]


def _fitted(values: list[Any], spec: Input) -> list[Any]:
    if Bare in set(map(type, values)):
        values = as_numbers(values) if spec.type == "numeric" else as_missing(values)
    return days(values) if spec.type == "date" else values


_MIDNIGHT = re.compile(r"(\d{4}-\d\d-\d\d)[T ]00:00:00(?:\.0+)?Z?", re.ASCII)


def days(values: Iterable[Any]) -> list[Any]:
    """Dates, which some libraries write as their midnights."""
    found = [(value, _MIDNIGHT.fullmatch(value) if type(value) is str else None) for value in values]
    return [midnight[1] if midnight else value for value, midnight in found]


def objects_in(rows: Any) -> int:
    """How many members all objects among the rows have together."""
    return sum(len(row) for row in rows if type(row) is dict) if type(rows) is list else 0


def _told(row: Any) -> str:
    return f"{len(row)} values" if type(row) is list else "something else"
