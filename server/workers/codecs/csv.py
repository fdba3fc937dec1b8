"""CSV with a header line: pyarrow reads it; what does not fit is found again cell by cell, and named.

An empty cell or NA without quotes is a missing value; in quotes both are text. Where there is one column, an empty line
is an empty cell; else it is nothing. Replies have a header line too, NA for missing, TRUE and FALSE, numbers in
shortest round-trip form; their warnings travel as notes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from server.wire.schema import Input, Schema
from server.workers import whole_numbers
from server.workers.codecs import Question, arrow
from server.workers.codecs.json import json_values
from server.workers.errors import BadBody, Fault, Invalid
from server.workers.predictions import Predictions

BLOCK_BYTES = 1 << 20
MAX_COLUMNS_PER_INPUT, MAX_MORE_COLUMNS = 10, 1000
"""How many columns a body may have. Those that are no inputs are ignored, but a million take gigabytes."""


class CsvCodec:
    """The codec for CSV."""

    takes_query = True

    def decode(self, body: bytes | memoryview, schema: Schema, parameters: bytes = b"") -> Question:
        """Read one body. Raises BadBody where it is not CSV, Invalid where its columns do not fit."""
        body = bytes(body)
        if body.count(b'"') % 2:
            raise BadBody("the body is not CSV: a quote is opened and never closed")
        columns = _HEADER.match(body)[0].count(b",") + 1  # type: ignore[index]  # it matches whatever comes
        if columns > (most := MAX_COLUMNS_PER_INPUT * len(schema.inputs) + MAX_MORE_COLUMNS):
            raise BadBody(
                f"the body has {columns} columns, and no more than {most} are read; leave out what is no input"
            )
        table = _typed(body, schema)
        if table is not None:
            return arrow.question(table, schema)
        asked = arrow.question(_texts(body), schema)
        cells = [[_cell(spec, v) for v in values] for spec, values in zip(schema.inputs, asked.cells, strict=True)]
        return Question(cells, asked.rows, warnings=asked.warnings)

    def encoder(
        self, model: str, version: str, predictions: Predictions, schema: Schema | None = None, output: str = ""
    ) -> CsvEncoder:
        """Prepare a batch."""
        return CsvEncoder(predictions)


CSV = CsvCodec()

_ARROW: dict[str, pa.DataType] = {
    "numeric": pa.float64(),
    "integer": pa.float64(),  # as an int32, pyarrow would take 0x1F
    "logical": pa.bool_(),
    "string": pa.utf8(),
    "factor": pa.utf8(),
    "ordered": pa.utf8(),
    "date": pa.utf8(),
    "datetime": pa.utf8(),
    "image": pa.utf8(),
    "tensor": pa.utf8(),
}


def _typed(body: bytes, schema: Schema) -> pa.Table | None:
    """The table with the model's types; None where a cell does not fit its type, or may have been rounded."""
    try:
        table = _read(body, {i.name: _ARROW[i.type] for i in schema.inputs}, BLOCK_BYTES)
        names = table.column_names
    except (pa.ArrowException, ValueError):
        return None
    numbers = [c for c, name in zip(table.columns, names, strict=True) if name in schema.input_names]
    return None if any(_beyond(c) for c in numbers if pa.types.is_floating(c.type)) else table


def _beyond(column: pa.ChunkedArray) -> bool:
    """Whether a number may be a whole one that no double holds, or too large for any."""
    ends = pc.min_max(column).as_py()
    if ends["min"] is None or math.isnan(ends["min"]):  # nothing, or no number but NaN
        return False
    return not whole_numbers.are_held(ends["min"], ends["max"])


def _texts(body: bytes) -> pa.Table:
    """The table with every cell as text. Raises BadBody, or Invalid for the first line with too many or few cells."""
    ragged: list[Any] = []
    block_bytes = min(len(body) + 1, (1 << 31) - 1)  # a line may be as long as the body
    try:
        body.decode()  # what is not UTF-8 is told as such, and not as lines of too many cells
        names = pa.csv.open_csv(pa.py_buffer(body), *_options(body, block_bytes, ragged)).schema.names
        return _read(body, dict.fromkeys(names, pa.utf8()), block_bytes, ragged)
    except (pa.ArrowException, ValueError) as e:
        if not ragged:
            raise BadBody("the body is not CSV in UTF-8 with a header line") from e
        first = ragged[0]
        row = None if first.number is None else first.number - 2  # the header is number 1
        expected, got = f"{first.expected_columns} cells", f"{first.actual_columns} cells"
        fault = Fault(row, None, expected, got, 'a cell that holds a comma is written in quotes: "a,b"')
        raise Invalid("the lines differ in their number of cells", [fault]) from e


def _options(body: bytes, block_bytes: int, ragged: list[Any] | None) -> tuple[Any, Any]:
    def on_ragged(row: Any) -> str:
        assert ragged is not None
        ragged.append(row)
        return "error"

    return pa.csv.ReadOptions(use_threads=False, block_size=block_bytes), pa.csv.ParseOptions(
        newlines_in_values=True,
        ignore_empty_lines=_COMMA_IN_HEADER.match(body) is not None,
        invalid_row_handler=None if ragged is None else on_ragged,
    )


_HEADER = re.compile(rb'[\r\n]*(?:[^"\r\n]+|"[^"]*")*+')
_COMMA_IN_HEADER = re.compile(rb'[\r\n]*(?:[^",\r\n]+|"[^"]*")*+,')


def _read(body: bytes, types: dict[str, pa.DataType], block_bytes: int, ragged: list[Any] | None = None) -> pa.Table:
    options = pa.csv.ConvertOptions(
        column_types=types,
        null_values=["", "NA"],
        true_values=[text for text, value in _LOGICALS.items() if value],
        false_values=[text for text, value in _LOGICALS.items() if not value],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    return pa.csv.read_csv(pa.py_buffer(body), *_options(body, block_bytes, ragged), options)


def _cell(spec: Input, text: Any) -> Any:
    """A cell's text as the value that it would be in JSON; text that is none of the type stays text."""
    convert = _VALUES.get(spec.type)
    if convert is None or type(text) is not str:
        return text
    if spec.logical == "number" and text in _LOGICALS:
        return _LOGICALS[text]
    try:
        return convert(text)
    except (ValueError, KeyError):
        return text


_LOGICALS = {"TRUE": True, "true": True, "True": True, "FALSE": False, "false": False, "False": False}
"""Logical values as R, JSON and pandas write them."""

_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_SPECIAL = {"nan": "NaN", "inf": "Inf", "infinity": "Inf"}


def _number_in(text: str) -> Any:
    """What pyarrow takes for a number, except that nothing is rounded on the way. Raises ValueError or KeyError."""
    text = text.strip(" \t")
    if not _NUMBER.fullmatch(text):
        name = _SPECIAL[text.lstrip("+-").lower()]
        return "-Inf" if name == "Inf" and text[0] == "-" else name
    value = float(text)
    if not whole_numbers.are_held(value, value) and _WHOLE.fullmatch(text):
        return int(text)
    if math.isinf(value):
        raise ValueError
    return value


_VALUES: dict[str, Callable[[str], Any]] = {
    "numeric": _number_in,
    "integer": _number_in,
    "logical": _LOGICALS.__getitem__,
}


class CsvEncoder:
    """A batch's predictions as lines, cut into bodies."""

    def __init__(self, predictions: Predictions) -> None:
        names = predictions.names or ("prediction",)
        self._head = ",".join(map(_quoted, names))
        columns = [
            list(map(_number if c.kind == "number" and c.levels is None else _text, json_values(c)))
            for c in predictions.columns
        ]
        self._lines = columns[0] if len(columns) == 1 else [",".join(row) for row in zip(*columns, strict=True)]

    def encode(self, start: int, stop: int, warnings: Sequence[str], wanted: Any = None) -> tuple[bytes, bytes]:
        """The reply for some rows."""
        body = "\n".join([self._head, *self._lines[start:stop], ""]).encode()
        return body, orjson.dumps(list(warnings)) if warnings else b""


def _number(value: Any) -> str:
    return "NA" if value is None else value if type(value) is str else repr(value)


def _text(value: Any) -> str:
    if value is None:
        return "NA"
    if type(value) is bool:
        return "TRUE" if value else "FALSE"
    if type(value) in (dict, list):
        return _quoted(orjson.dumps(value).decode())
    return _quoted(value) if type(value) is str else repr(value)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
