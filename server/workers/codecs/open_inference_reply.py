"""Replies of the Open Inference Protocol: one batch's predictions as tensors, cut into the requests' shares.

A number is FP64, in bytes with R's own bits, so NA and NaN stay apart. What has an NA in a share and no way to say it
(INT32, BOOL) is sent as FP64; a text that is missing makes its tensor one of JSON.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import chain
from typing import Any

import orjson

from server.wire.schema import Schema
from server.workers.codecs.json import json_values, with_specials
from server.workers.codecs.open_inference_message import Wanted, as_bytes, written
from server.workers.predictions import Predicted, Predictions
from server.workers.table import NA_INTEGER, NA_REAL, SPECIAL_NUMBERS

_NUMBERS = ("number", "integer", "logical")
Share = tuple[str, list[int], Any]
"""A datatype, a shape and values in row-major order."""


class OpenInferenceEncoder:
    """A batch's predictions of one output."""

    def __init__(self, model: str, version: str, predictions: Predictions, schema: Schema | None, output: str) -> None:
        self._model, self._version, self._output = model, version, output
        self._predictions = predictions
        self._levels = _levels(schema)
        self._type = next((o.type for o in schema.outputs if o.name == output), "") if schema else ""

    def encode(self, start: int, stop: int, warnings: Sequence[str], wanted: Any = None) -> tuple[bytes, bytes]:
        """The reply for some rows, and as notes the length of its head, where bytes follow it."""
        said = wanted if isinstance(wanted, Wanted) else Wanted()
        datatype, shape, values = self._share(start, stop)
        tensor: dict[str, Any] = {"name": self._output, "datatype": datatype, "shape": shape}
        about: dict[str, Any] = {}
        if self._predictions.names is not None:
            about["labels"] = orjson.dumps(self._predictions.names).decode()
        blob = _blob(datatype, values) if said.binary.get(self._output, said.otherwise) else None
        if blob is None:
            tensor["data"] = list(with_specials(values)) if datatype == "FP64" else values
        else:
            about["binary_data_size"] = len(blob)
        if about:
            tensor["parameters"] = about
        head: dict[str, Any] = {"model_name": self._model, "model_version": self._version}
        if said.id is not None:
            head["id"] = said.id
        if warnings:
            head["parameters"] = {"warnings": orjson.dumps(list(warnings)).decode()}
        return written(head | {"outputs": [tensor]}, [] if blob is None else [blob])

    def _share(self, start: int, stop: int) -> Share:
        columns = [Predicted(c.kind, c.values[start:stop], c.levels) for c in self._predictions.columns]
        rows = stop - start
        if self._predictions.names is not None:
            return _matrix(columns, rows)
        [column] = columns
        if column.kind != "object":
            datatype, values = _column(column)
            return datatype, [rows], values
        if self._type == "ranking":
            return _rankings(column.values, self._levels)
        return _objects(column.values)


def _levels(schema: Schema | None) -> dict[str, int]:
    """The number of each class, where the model's outputs name classes."""
    found = next((o.levels for o in schema.outputs if o.levels), None) if schema else None
    return {label: at for at, label in enumerate(found or ())}


def _column(column: Predicted) -> tuple[str, Any]:
    """A value a row."""
    if column.levels is not None or column.kind == "string":
        return "BYTES", json_values(column)
    if column.kind == "number":
        return "FP64", column.values
    if NA_INTEGER in column.values:
        return "FP64", _as_doubles(column)
    return ("INT32", list(column.values)) if column.kind == "integer" else ("BOOL", list(map(bool, column.values)))


def _as_doubles(column: Predicted) -> Any:
    if column.kind == "number":
        return column.values
    return array("d", [NA_REAL if value == NA_INTEGER else value for value in column.values])


def _matrix(columns: Sequence[Predicted], rows: int) -> Share:
    """Several columns a row: numbers, or where some are texts all as texts."""
    shape = [rows, len(columns)]
    if all(c.levels is None and c.kind in _NUMBERS for c in columns):
        values = array("d", bytes(8 * rows * len(columns)))
        for at, column in enumerate(columns):
            values[at :: len(columns)] = array("d", _as_doubles(column))
        return "FP64", shape, values
    texts = [[_text(value) for value in json_values(column)] for column in columns]
    return "BYTES", shape, list(chain.from_iterable(zip(*texts, strict=True)))


def _text(value: Any) -> str | None:
    return value if value is None or type(value) is str else orjson.dumps(value).decode()


def _rankings(values: Sequence[Any], levels: dict[str, int]) -> Share:
    """The best classes of each row, in the text that Triton has for them: `probability:number:label`."""
    rows = [[] if value is None else [_ranked(one, levels) for one in value] for value in values]
    width = max(map(len, rows), default=0)
    texts = [row + [None] * (width - len(row)) for row in rows]
    return "BYTES", [len(rows), width], list(chain.from_iterable(texts))


def _ranked(one: dict[str, Any], levels: dict[str, int]) -> str:
    label = one.get("label")
    number = levels.get(label, "") if label is not None else ""
    told = f"{_text(one['probability'])}:{number}"
    return told if label is None else f"{told}:{label}"


def _objects(values: Sequence[Any]) -> Share:
    """Nested lists of numbers as a tensor, where all rows are of one shape; anything else as its JSON."""
    level, shape = list(values), [len(values)]
    while level and set(map(type, level)) == {list}:
        sizes = set(map(len, level))
        if len(sizes) > 1:
            break
        shape += sizes
        level = list(chain.from_iterable(level))
    if len(shape) > 1 and all(map(_is_double, level)):
        return "FP64", shape, array("d", map(_double, level))
    return "BYTES", [len(values)], [_text(value) for value in values]


def _is_double(value: Any) -> bool:
    return value is None or type(value) in (int, float) or (type(value) is str and value in SPECIAL_NUMBERS)


def _double(value: Any) -> float:
    return NA_REAL if value is None else SPECIAL_NUMBERS[value] if type(value) is str else float(value)


def _blob(datatype: str, values: Any) -> bytes | None:
    """The values as bytes; None where one of them is missing and bytes cannot say so."""
    match datatype:
        case "FP64":
            return bytes(memoryview(values).cast("B")) if not isinstance(values, array) else values.tobytes()
        case "INT32":
            return array("i", values).tobytes()
        case "BOOL":
            return bytes(values)
    return None if None in values else as_bytes([text.encode() for text in values])
