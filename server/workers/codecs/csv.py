"""CSV with a header line: pyarrow reads it; what does not fit is found again cell by cell, and named.

An empty cell or NA without quotes is a missing value; in quotes both are text. Replies have a header line too, NA for
missing, TRUE and FALSE, numbers in shortest round-trip form; their warnings travel as notes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.csv

from server.workers.codecs import BadBody, Question, arrow
from server.workers.codecs.json import json_values
from server.workers.predictions import Predictions
from server.workers.schema import Input, Schema
from server.workers.table import SPECIAL_NUMBERS

_READ = pa.csv.ReadOptions(use_threads=False, block_size=1 << 20)
_PARSE = pa.csv.ParseOptions(newlines_in_values=True)


class CsvCodec:
    """See the module."""

    def decode(self, body: bytes | memoryview, schema: Schema) -> Question:
        """Read one body. Raises BadBody where it is not CSV, Invalid where its columns do not fit."""
        try:
            return arrow.question(_read(body, {i.name: _ARROW[i.type] for i in schema.inputs}), schema)
        except pa.ArrowInvalid:
            pass  # some cell does not fit its type: read text, and find out which
        try:
            table = _read(body, {})
        except (pa.ArrowInvalid, pa.ArrowKeyError) as e:
            raise BadBody("the body is not CSV with a header line, or its lines differ in length") from e
        asked = arrow.question(table, schema)
        cells = [[_cell(spec, v) for v in values] for spec, values in zip(schema.inputs, asked.cells, strict=True)]
        return Question(cells, asked.rows, warnings=asked.warnings)

    def encoder(self, model: str, version: str, predictions: Predictions) -> CsvEncoder:
        """Prepare a batch."""
        return CsvEncoder(predictions)


CSV = CsvCodec()

_ARROW: dict[str, pa.DataType] = {
    "numeric": pa.float64(),
    "integer": pa.int32(),
    "logical": pa.bool_(),
    "string": pa.utf8(),
    "factor": pa.utf8(),
    "ordered": pa.utf8(),
    "date": pa.utf8(),
    "datetime": pa.utf8(),
}


def _read(body: bytes | memoryview, types: dict[str, pa.DataType]) -> pa.Table:
    if not types:
        header = pa.csv.open_csv(pa.py_buffer(body), read_options=_READ, parse_options=_PARSE).schema
        types = dict.fromkeys(header.names, pa.utf8())
    options = pa.csv.ConvertOptions(
        column_types=types,
        null_values=["", "NA"],
        true_values=["TRUE", "true"],
        false_values=["FALSE", "false"],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    return pa.csv.read_csv(pa.py_buffer(body), read_options=_READ, parse_options=_PARSE, convert_options=options)


def _cell(spec: Input, text: Any) -> Any:
    """A cell's text as the value that it would be in JSON; text that is none of the type stays text."""
    convert = _VALUES.get(spec.type)
    if convert is None or type(text) is not str or text in SPECIAL_NUMBERS:
        return text
    try:
        return convert(text)
    except (ValueError, KeyError):
        return text


_VALUES: dict[str, Callable[[str], Any]] = {
    "numeric": float,
    "integer": lambda text: int(text) if text.lstrip("-").isdigit() else float(text),
    "logical": {"TRUE": True, "true": True, "FALSE": False, "false": False}.__getitem__,
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

    def encode(self, start: int, stop: int, warnings: Sequence[str]) -> tuple[bytes, bytes]:
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
    return _quoted(value) if type(value) is str else repr(value)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
