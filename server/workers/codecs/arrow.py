"""Arrow IPC streams: one record batch stream in, one out; dictionaries are factors, nulls are NA.

A reply's schema carries `model`, `version` and, where there are any, `warnings` (a JSON array) as metadata.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from server.workers.codecs import BadBody, Question
from server.workers.codecs.json import with_specials
from server.workers.predictions import Predicted, Predictions
from server.workers.schema import Input, Schema
from server.workers.table import NA_INTEGER, NA_REAL, Fault, Invalid, ignored, missing


class ArrowCodec:
    """See the module."""

    def decode(self, body: bytes | memoryview, schema: Schema) -> Question:
        """Read one body. Raises BadBody where it is no Arrow stream, Invalid where its columns do not fit."""
        try:
            with pa.ipc.open_stream(pa.py_buffer(body)) as reader:
                table = reader.read_all()
                table.validate(full=True)
        except (pa.ArrowException, OSError, ValueError) as e:
            raise BadBody("the body is not a whole Arrow IPC stream") from e
        return question(table, schema)

    def encoder(self, model: str, version: str, predictions: Predictions) -> ArrowEncoder:
        """Prepare a batch."""
        return ArrowEncoder(model, version, predictions)


ARROW = ArrowCodec()


def question(table: pa.Table, schema: Schema) -> Question:
    """A table's columns as cells. Raises Invalid."""
    if schema.horizon:
        raise Invalid("this model takes no rows: send JSON with the option h")
    names = table.column_names
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise Invalid("a column is there twice", [Fault(None, twice, "one column", "the same name twice", "")])
    faults = missing(names, schema, None)
    if faults:
        raise Invalid("the columns are not those of the model", faults)
    if table.num_rows == 0:
        raise Invalid("there are no rows to predict; send at least one")
    rows = table.num_rows
    cells = [_cells(table.column(i.name), i) if i.name in names else [None] * rows for i in schema.inputs]
    return Question(cells, rows, warnings=ignored(names, schema))


def _cells(column: pa.ChunkedArray, spec: Input) -> Any:
    """Doubles as an array where that is certain; else plain values, as they would be in JSON."""
    if spec.type == "numeric" and (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        numbers = _doubles(column, spec)
        if numbers is not None:
            return numbers
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_temporal(column.type):
        return [None if v is None else _iso(v) for v in column.to_pylist()]
    return [_plain(v) for v in column.to_pylist()]


def _doubles(column: pa.ChunkedArray, spec: Input) -> array[float] | None:
    """The column as doubles, None where a cell needs a closer look: NA or NaN where not allowed, or rounding."""
    if column.null_count and not spec.na:
        return None
    try:
        doubles = column.cast(pa.float64())  # checked: a whole number that a double cannot hold is an error
    except pa.ArrowInvalid:
        return None
    if not spec.na and pc.any(pc.is_nan(doubles)).as_py():
        return None
    if doubles.null_count:
        doubles = doubles.fill_null(pa.scalar(NA_REAL))
    values = array("d")
    for chunk in doubles.chunks:
        start = chunk.offset * 8
        values.frombytes(memoryview(chunk.buffers()[1])[start : start + len(chunk) * 8])
    return values


def _iso(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return next(with_specials([value])) or "NaN"
    return value


class ArrowEncoder:
    """A batch's predictions as one table, cut into streams."""

    def __init__(self, model: str, version: str, predictions: Predictions) -> None:
        names = predictions.names or ("prediction",)
        columns = [_array(column) for column in predictions.columns]
        self._table = pa.table(columns, names=list(names))
        self._about = {"model": model, "version": version}

    def encode(self, start: int, stop: int, warnings: Sequence[str]) -> tuple[bytes, bytes]:
        """The reply for some rows."""
        about = self._about | ({"warnings": orjson.dumps(list(warnings)).decode()} if warnings else {})
        table = self._table.slice(start, stop - start).replace_schema_metadata(about)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return sink.getvalue().to_pybytes(), b""


def _array(column: Predicted) -> pa.Array:
    if column.levels is not None:
        codes = pa.array([code - 1 if code > 0 else None for code in column.values], pa.int32())  # type: ignore[operator]
        return pa.DictionaryArray.from_arrays(codes, pa.array(column.levels, pa.utf8()))
    match column.kind:
        case "number":
            return _floats(column.values)
        case "integer":
            return pa.array([None if v == NA_INTEGER else v for v in column.values], pa.int32())
        case "logical":
            return pa.array([None if v == NA_INTEGER else bool(v) for v in column.values], pa.bool_())
        case "string":
            return pa.array(column.values, pa.utf8())


def _floats(values: Any) -> pa.Array:
    if math.isfinite(sum(values)):
        return pa.Array.from_buffers(pa.float64(), len(values), [None, pa.py_buffer(array("d", values))])
    told = list(with_specials(values))
    return pa.array([None if t is None else v for t, v in zip(told, values, strict=True)], pa.float64())
