"""Vetiver's scoring: an array of records in; out what R's vetiver answers, or what Python's does.

R's client writes a missing value as the text NA, and Python's a date or a time as milliseconds since 1970. In R's reply
a row is an object with columns as tidymodels names them, in Python's a value, or an array of several.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import orjson

from server.wire.schema import Input, Schema
from server.workers.codecs import Encoder, Question
from server.workers.codecs.instances import objects_in
from server.workers.codecs.json import cells_of_rows, json_values, refuse_duplicates
from server.workers.errors import BadBody, Invalid
from server.workers.predictions import Predicted, Predictions
from server.workers.table import EPOCH

MISSING = "NA"
DAY_MS = 86_400_000
NOMINAL = ("label", "string")


class VetiverCodec:
    """See the module. Replies are those of R's vetiver."""

    takes_query = True

    def decode(self, body: bytes | memoryview, schema: Schema, parameters: bytes = b"") -> Question:
        """Read one body. Raises BadBody where it is not JSON, Invalid where it is no array of records that fit."""
        text = bytes(body)
        try:
            rows = orjson.loads(text)
        except orjson.JSONDecodeError as e:
            raise BadBody(f"the body is not JSON: {e.msg} (line {e.lineno}, column {e.colno})") from e
        if type(rows) is not list:
            raise Invalid("the body must be an array of records, each an object by column")
        if schema.horizon:
            if rows:
                raise Invalid("this model takes no rows: the body [] and the query ?h=12 ask for 12 steps")
            return Question([], 0)
        if not rows:
            raise Invalid("there are no rows to predict; send at least one")
        cells, warnings = cells_of_rows(rows, schema)
        refuse_duplicates(text, objects_in(rows))
        fitted = [_fitted(values, spec) for values, spec in zip(cells, schema.inputs, strict=True)]
        return Question(fitted, len(rows), warnings=warnings)

    def encoder(
        self, model: str, version: str, predictions: Predictions, schema: Schema | None = None, output: str = ""
    ) -> Encoder:
        """Prepare a batch."""
        return VetiverEncoder(_records(predictions, _type(schema, output)), b"%b")


class VetiverPythonCodec(VetiverCodec):
    """The same, with the replies of Python's vetiver."""

    def encoder(
        self, model: str, version: str, predictions: Predictions, schema: Schema | None = None, output: str = ""
    ) -> Encoder:
        """Prepare a batch."""
        columns = [_without_nan(column) for column in predictions.columns]
        rows = columns[0] if predictions.names is None else [list(row) for row in zip(*columns, strict=True)]
        return VetiverEncoder(rows, b'{"predict":%b}')


class VetiverEncoder:
    """A batch's predictions, row by row; warnings travel as notes."""

    def __init__(self, rows: list[Any], around: bytes) -> None:
        self._rows = rows
        self._around = around

    def encode(self, start: int, stop: int, warnings: Sequence[str], wanted: Any = None) -> tuple[bytes, bytes]:
        """The reply for some rows."""
        notes = orjson.dumps(list(warnings)) if warnings else b""
        return self._around % orjson.dumps(self._rows[start:stop]), notes


VETIVER = VetiverCodec()
VETIVER_PYTHON = VetiverPythonCodec()


def _fitted(values: list[Any], spec: Input) -> list[Any]:
    """A column as Tandem takes it: without the ways in which vetiver's clients write what is missing, and times."""
    if MISSING in values and not _knows_na(spec):
        values = [None if value == MISSING else value for value in values]
    if spec.type == "date":
        return [_day(value) for value in values]
    return [_moment(value) for value in values] if spec.type == "datetime" else values


def _knows_na(spec: Input) -> bool:
    """Whether the text NA may be a value of this column."""
    return spec.type == "string" if spec.levels is None else MISSING in spec.levels


def _day(value: Any) -> Any:
    """A day that came as the milliseconds of its midnight; any other value as it is."""
    if type(value) is not int or value % DAY_MS:
        return value
    moment = _moment(value)
    return moment[:10] if type(moment) is str else value


def _moment(value: Any) -> Any:
    """A time that came as milliseconds; what cannot be one stays, to be refused."""
    if type(value) is not int:
        return value
    try:
        return (EPOCH + timedelta(milliseconds=value)).isoformat()
    except OverflowError:
        return value


def _type(schema: Schema | None, output: str) -> str:
    outputs = schema.outputs if schema is not None else ()
    return next((one.type for one in outputs if one.name == output), "")


def _records(predictions: Predictions, type: str) -> list[Any]:
    """Rows with the names that tidymodels gives to predictions."""
    columns = [json_values(column) for column in predictions.columns]
    if predictions.names is None:
        name = ".pred_class" if type in NOMINAL else ".pred"
        return [{name: value} for value in columns[0]]
    names = [f".pred_{name}" for name in predictions.names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _without_nan(column: Predicted) -> list[Any]:
    """A column's values, with null for a number that is none; a label may have that name."""
    values = json_values(column)
    if column.kind != "number" or column.levels is not None:
        return values
    return [None if value == "NaN" else value for value in values]
