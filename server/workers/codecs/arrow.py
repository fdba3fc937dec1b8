"""Arrow IPC streams: one record batch stream in, one out; dictionaries are factors, nulls are NA.

A body may describe far more than it holds: a null column has any number of rows in no bytes at all, and a million views
can share one long text. What is turned into Python values is bounded by the size of the body.

A reply's schema carries `model`, `version` and, where there are any, `warnings` (a JSON array) as metadata.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from server.wire.schema import Input, Schema
from server.workers.codecs import Question, arrow_messages
from server.workers.codecs.json import with_specials
from server.workers.errors import BadBody, Fault, Invalid
from server.workers.predictions import Predicted, Predictions
from server.workers.table import NA_INTEGER, NA_REAL, ignored, missing

MAX_ROWS_PER_BYTE = 8
"""Cells that a byte of an Arrow body may hold: a logical takes one bit, and only a null column takes less."""

MAX_VIEWED_PER_BYTE = 16
"""How often, on average, a byte of text may be shared by string views."""


class _Nowhere(MetaPathFinder):
    """Says of pandas that it is not installed."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name=name)


def prepare() -> None:
    """Have pyarrow look for pandas, which it does once, at its first list.

    It takes what is loaded by now. It would load it else: half a second and 40 MB, for nothing that is needed here.
    """
    nowhere = _Nowhere()
    sys.meta_path.insert(0, nowhere)
    try:
        pa.array([""])
    finally:
        sys.meta_path.remove(nowhere)


class ArrowCodec:
    """The codec for Arrow streams."""

    takes_query = True

    def decode(self, body: bytes | memoryview, schema: Schema, parameters: bytes = b"") -> Question:
        """Read one body. Raises BadBody where it is no Arrow stream, Invalid where its columns do not fit."""
        try:
            arrow_messages.check(body)
            with pa.ipc.open_stream(pa.py_buffer(body)) as reader:
                table = reader.read_all()
                table.validate(full=True)
                viewed = sum(_viewed_bytes(column) for column in table.columns)
                names = table.column_names
                _ = [c.type.tz for c in table.columns if pa.types.is_timestamp(c.type)]  # a name that may be no text
        except (pa.ArrowException, OSError, TypeError, ValueError, OverflowError) as e:
            raise BadBody("the body is not a whole Arrow IPC stream") from e
        if names and table.num_rows > MAX_ROWS_PER_BYTE * len(body):
            raise BadBody("the body claims more rows than it can hold")
        if viewed > MAX_VIEWED_PER_BYTE * len(body):
            raise BadBody("the body's string views share too much text; write strings instead of views")
        return question(table, schema)

    def encoder(
        self, model: str, version: str, predictions: Predictions, schema: Schema | None = None, output: str = ""
    ) -> ArrowEncoder:
        """Prepare a batch."""
        return ArrowEncoder(model, version, predictions)


ARROW = ArrowCodec()


def question(table: pa.Table, schema: Schema) -> Question:
    """A table's columns as cells. Raises Invalid."""
    if schema.horizon:
        raise Invalid("this model takes no rows: send JSON with the option h")
    names = table.column_names
    if len(set(names)) < len(names):
        fault = Fault(None, _twice(names)[:100], "one column", "the same name twice", "name every column once")
        raise Invalid("a column is there twice", [fault])
    faults = missing(names, schema, None)
    if faults:
        raise Invalid("the columns are not those of the model", faults)
    if table.num_rows == 0:
        raise Invalid("there are no rows to predict; send at least one")
    rows = table.num_rows
    warnings = ignored(names, schema)
    present = set(names)
    found = [_unknown_type(i, table.column(i.name).type) for i in schema.inputs if i.name in present]
    faults = [fault for fault in found if fault is not None]
    if faults:
        raise Invalid("the columns are not those of the model", faults)
    cells = [_cells(table.column(i.name), i) if i.name in present else [None] * rows for i in schema.inputs]
    return Question(cells, rows, warnings=warnings)


def _twice(names: Sequence[str]) -> str:
    """The first name that is there twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return ""


def _unknown_type(spec: Input, kind: pa.DataType) -> Fault | None:
    """A fault for a column of a type that no input takes; its values are not even looked at."""
    if spec.type in ("image", "tensor"):
        return _unfit_for(spec, kind)
    if _is_moment(kind) or any(test(_value_type(kind)) for test in _VALUE_TYPES):
        return None
    hint = "cast it to float64" if pa.types.is_decimal(kind) else "send numbers, booleans, strings, dates or timestamps"
    return Fault(None, spec.name, f"a column of type {spec.type}", f"a column of type {str(kind)[:80]}", hint)


def _unfit_for(spec: Input, kind: pa.DataType) -> Fault | None:
    """Dictionaries and views are none of them: they could share one large value among any number of rows."""
    if spec.type == "image":
        fits = any(test(kind) for test in _IMAGE_TYPES)
        hint = "send the files' bytes as binary, or base64 as strings"
    else:
        while any(test(kind) for test in _LIST_TYPES):
            kind = kind.value_type
        fits = pa.types.is_floating(kind) or pa.types.is_integer(kind)
        hint = "send lists of numbers, nested as deep as the shape has dimensions"
    return (
        None if fits else Fault(None, spec.name, f"a column of type {spec.type}", f"a column of {str(kind)[:80]}", hint)
    )


_IMAGE_TYPES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_string, pa.types.is_large_string)
_LIST_TYPES = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
_VALUE_TYPES: tuple[Callable[[pa.DataType], bool], ...] = (
    pa.types.is_null,
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
)


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_moment(kind: pa.DataType) -> bool:
    return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind))


def _cells(column: pa.ChunkedArray, spec: Input) -> Any:
    """Doubles as an array where that is certain; else plain values, as they would be in JSON."""
    if spec.type == "numeric" and _is_number(column.type, spec):
        numbers = _doubles(column, spec)
        if numbers is not None:
            return numbers
    if pa.types.is_dictionary(column.type):
        return _labels(column)
    if _is_moment(column.type):
        return _moments(column)
    if spec.type == "integer" and pa.types.is_floating(column.type):
        with suppress(pa.ArrowInvalid):  # a fraction: found again cell by cell
            column = column.cast(pa.int32())
    return [_plain(v) for v in column.to_pylist()]


def _is_number(kind: pa.DataType, spec: Input) -> bool:
    logical = spec.logical == "number" and pa.types.is_boolean(kind)
    return bool(logical or pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _labels(column: pa.ChunkedArray) -> list[Any]:
    """A dictionary's values by its indices: each value is made once, however often it is used."""
    cells: list[Any] = []
    labels: list[Any] = []
    known: tuple[Any, ...] = ()
    for chunk in column.chunks:
        dictionary = chunk.dictionary
        place = (dictionary.offset, len(dictionary), *(b and b.address for b in dictionary.buffers()))
        if place != known:  # most streams have one dictionary, which every batch refers to
            known = place
            labels = [_plain(v) for v in dictionary.to_pylist()]
        cells += [None if i is None else labels[i] for i in chunk.indices.to_pylist()]
    return cells


def _moments(column: pa.ChunkedArray) -> list[str | None]:
    """Dates and times as ISO text, in every unit and without a look at the name of the zone: the values are UTC."""
    kind = column.type
    values = column.cast(pa.int32() if pa.types.is_date32(kind) else pa.int64()).to_pylist()
    if pa.types.is_date(kind):
        per_day = 1 if pa.types.is_date32(kind) else 86_400_000
        return [None if v is None else _date(v // per_day) for v in values]
    digits = {"s": 0, "ms": 3, "us": 6, "ns": 9}[kind.unit]
    zone = "" if kind.tz is None else "Z"
    return [None if v is None else _time(v, digits, zone) for v in values]


_EPOCH = datetime(1970, 1, 1)


def _date(days: int) -> str:
    try:
        return (_EPOCH.date() + timedelta(days)).isoformat()
    except OverflowError:
        return f"{days} days since 1970"


def _time(value: int, digits: int, zone: str) -> str:
    seconds, rest = divmod(value, 10**digits)
    try:
        moment = (_EPOCH + timedelta(seconds=seconds)).isoformat()
    except OverflowError:
        return f"{seconds} seconds since 1970"
    return moment + (f".{rest:0{digits}}" if rest else "") + zone


def _viewed_bytes(column: pa.ChunkedArray) -> int:
    """Bytes of text that a column of views, or a dictionary of them, would become."""
    if not pa.types.is_string_view(_value_type(column.type)):
        return 0
    inside = pa.types.is_dictionary(column.type)
    total = 0
    for views in ((chunk.dictionary if inside else chunk) for chunk in column.chunks):
        if len(views):
            words = memoryview(views.buffers()[1]).cast("i")[views.offset * 4 : (views.offset + len(views)) * 4 : 4]
            total += sum(size for size in words if size > 0)
    return total


def _doubles(column: pa.ChunkedArray, spec: Input) -> memoryview[float] | array[float] | None:
    """The column as doubles, in place where they are such; None where a cell needs a closer look.

    That is NA or NaN where the model takes none, and whole numbers that would be rounded.
    """
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
    parts = [
        memoryview(chunk.buffers()[1])[chunk.offset * 8 : (chunk.offset + len(chunk)) * 8] for chunk in doubles.chunks
    ]
    return parts[0].cast("d") if len(parts) == 1 else array("d", b"".join(parts))


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return next(with_specials([value])) or "NaN"
    return value


class ArrowEncoder:
    """A batch's predictions, of which each reply gets arrays of its own.

    Not slices of one table: a slice is written with what follows it, up to the next multiple of 64 bytes, and that is
    the answer to somebody else's request.
    """

    def __init__(self, model: str, version: str, predictions: Predictions) -> None:
        self._columns = predictions.columns
        self._names = list(predictions.names or ("prediction",))
        self._about = {"model": model, "version": version}

    def encode(self, start: int, stop: int, warnings: Sequence[str], wanted: Any = None) -> tuple[bytes, bytes]:
        """The reply for some rows."""
        about = self._about | ({"warnings": orjson.dumps(list(warnings)).decode()} if warnings else {})
        arrays = [_array(Predicted(c.kind, c.values[start:stop], c.levels)) for c in self._columns]
        batch = pa.RecordBatch.from_arrays(arrays, names=self._names, metadata=about)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
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
        case "object":
            return _objects(column.values)


def _objects(values: Any) -> pa.Array:
    """Lists and structs, where all values are alike; else their JSON."""
    try:
        return pa.array(values)
    except (pa.ArrowException, TypeError, ValueError):
        return pa.array([orjson.dumps(v).decode() for v in values], pa.utf8())


def _floats(values: Any) -> pa.Array:
    floats = pa.Array.from_buffers(pa.float64(), len(values), [None, pa.py_buffer(values)])
    if math.isfinite(pc.sum(floats).as_py() or 0.0):
        return floats
    cells = list(with_specials(values))
    return pa.array([None if t is None else v for t, v in zip(cells, values, strict=True)], pa.float64())
