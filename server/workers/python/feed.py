"""What a library's predict takes, made from a batch's typed columns: an array of numbers, a data frame, or texts.

A model that was fitted on a data frame of numbers gets an array laid out as pandas would lay out the frame of the same
rows (columns together), others get rows together, as `numpy.array(rows)` would. It matters: BLAS has a kernel for each
layout, and their last bits differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd

from server.wire.schema import Input, Schema, SchemaError
from server.workers.python import inputs
from server.workers.python.boosted import Categories
from server.workers.python.tree import attribute, first, is_text, needs_frame
from server.workers.table import NA_INTEGER, Column

Feed = Callable[[Sequence[Column], int, bool], Any]
"""Makes the rows that a predict takes, of columns, the number of rows, and whether each row is a request of its own."""

NUMBERS = ("numeric", "integer", "logical")


def feed_for(model: Any, schema: Schema) -> Feed:
    """How this model wants its rows. Raises SchemaError for an input that has no place in them."""
    for spec in schema.inputs:
        if spec.type in ("image", "tensor"):
            raise SchemaError(f"input '{spec.name}': a model of scikit-learn takes no {spec.type}")
    if is_text(first(model)):
        if [i.type for i in schema.inputs] != ["string"]:
            raise SchemaError("a model that begins with a text vectorizer takes one input, a string")
        return lambda columns, rows, single: list(columns[0])
    names = inputs.named(model)
    numeric = all(i.type in NUMBERS for i in schema.inputs)
    unknown = names is None and attribute(model, "n_features_in_") is None
    if unknown or (names is not None and (needs_frame(model) or not numeric)):
        return _Frame(schema, inputs.categories(model, schema.input_names))
    if numeric:
        return _Numbers(schema, as_frame=names is not None)
    return _objects(schema)


def frame_feed(schema: Schema) -> Feed:
    """A feed that hands rows over as a data frame, whatever the model."""
    return _Frame(schema, {})


def takes_arrays(feed: Feed) -> bool:
    """Whether the model sees no names of columns."""
    return isinstance(feed, _Numbers)


class _Numbers:
    """A feed that hands rows over as an array of doubles."""

    def __init__(self, schema: Schema, as_frame: bool) -> None:
        self._doubles = all(i.type == "numeric" for i in schema.inputs)
        self._as_frame = as_frame

    def __call__(self, columns: Sequence[Column], rows: int, single: bool) -> Any:
        if rows == 1 and self._doubles:
            return np.array([[column[0] for column in columns]])
        table = np.empty((len(columns), rows))
        for i, column in enumerate(columns):
            table[i] = column if self._doubles else with_nan(column)
        return table.T if self._as_frame and not single else np.ascontiguousarray(table.T)


class _Frame:
    """A feed that hands rows over as a pandas data frame.

    The columns have the types that pandas would find, and the model's categories.
    """

    def __init__(self, schema: Schema, categories: Categories) -> None:
        self._inputs = schema.inputs
        stated = {i.name: i.levels for i in schema.inputs if i.type in ("factor", "ordered")}
        ordered = {i.name for i in schema.inputs if i.type == "ordered"}
        self._dtypes = {
            name: pd.CategoricalDtype(levels, ordered=name in ordered)
            for name, levels in {**categories, **stated}.items()
        }

    def __call__(self, columns: Sequence[Column], rows: int, single: bool) -> Any:
        cells = {spec.name: self._series(spec, column) for spec, column in zip(self._inputs, columns, strict=True)}
        return pd.DataFrame(cells, copy=False)

    def _series(self, spec: Input, column: Column) -> Any:
        dtype = self._dtypes.get(spec.name)
        if dtype is None:
            return _series(spec, column)
        if spec.type in ("factor", "ordered"):
            codes = np.asarray(column)  # from 1; a missing one is far below
            return pd.Categorical.from_codes(np.where(codes > 0, codes - 1, -1), dtype=dtype)
        return pd.Categorical(_series(spec, column), dtype=dtype)


def _objects(schema: Schema) -> Feed:
    def feed(columns: Sequence[Column], rows: int, single: bool) -> Any:
        table = np.empty((rows, len(columns)), dtype=object)
        for i, (spec, column) in enumerate(zip(schema.inputs, columns, strict=True)):
            table[:, i] = _texts(spec, column) if spec.type not in NUMBERS else _cells(spec, column).tolist()
        return table

    return feed


def _series(spec: Input, column: Column) -> Any:
    if spec.type == "string":
        return pd.array(_texts(spec, column), dtype="str")
    if spec.type == "date":
        return pd.to_datetime(np.asarray(column), unit="D")
    if spec.type == "datetime":
        return pd.to_datetime(np.asarray(column), unit="s")
    return _cells(spec, column)


def _texts(spec: Input, column: Column) -> list[Any]:
    if spec.type == "string":
        return [np.nan if text is None else text for text in column] if None in column else list(column)
    labels = (np.nan, *(spec.levels or ()))
    return [labels[code if code > 0 else 0] for code in cast("Sequence[int]", column)]


def _cells(spec: Input, column: Column) -> Any:
    if spec.type == "numeric":
        return np.array(column)
    values = with_nan(column)
    if values.dtype == float:
        return values
    return values.astype(bool) if spec.type == "logical" else values.astype(np.int64)


def with_nan(column: Column) -> Any:
    """Numbers as they are. Whole numbers become doubles where one is missing."""
    values = np.asarray(column)
    if values.dtype.kind == "i" and NA_INTEGER in column:
        return np.where(values == NA_INTEGER, np.nan, values)
    return values
