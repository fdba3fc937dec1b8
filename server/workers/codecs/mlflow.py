"""MLflow's scoring protocol: a table in one of four forms in, `{"predictions": [...]}` out.

`dataframe_split` and `dataframe_records` are what pandas writes, `instances` holds rows, `inputs` columns or rows.
`params` are options, and may name an output. NaN is null in a reply, as MLflow's own server has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from server.wire.schema import Schema
from server.workers.codecs import Encoder, Question
from server.workers.codecs.bare_words import document
from server.workers.codecs.instances import Cells, cells_of_instances, fitted, objects_in
from server.workers.codecs.json import cells_of_columns, refuse_duplicates, rows_of
from server.workers.codecs.split import cells_of_split
from server.workers.errors import BadBody, Invalid
from server.workers.predictions import Predictions

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")


class MlflowCodec:
    """See the module."""

    takes_query = True

    def decode(self, body: bytes | memoryview, schema: Schema, parameters: bytes = b"") -> Question:
        """Read one body. Raises BadBody where it is not one of the four forms, Invalid where it does not fit."""
        text = bytes(body)
        found = document(text)
        forms = [form for form in FORMS if form in found]
        params = found.get("params") or {}
        if type(params) is not dict:
            raise Invalid('"params" must be an object: output, and options of the model')
        options = {name: value for name, value in params.items() if name != "output"} or None
        if schema.horizon:
            if any(found[form] for form in forms):
                raise Invalid('this model takes no rows: "inputs": [] and "params": {"h": 12} ask for 12 steps')
            return Question([], 0, params.get("output"), options)
        if len(forms) != 1:
            raise BadBody(f"the body must have exactly one of {', '.join(FORMS)}")
        table = found[forms[0]]
        cells, warnings = _cells(forms[0], table, schema)
        members = len(found) + len(params) + (len(table) if type(table) is dict else objects_in(table))
        refuse_duplicates(text, members)
        rows = len(cells[0]) if cells else 0
        if not rows:
            raise Invalid("there are no rows to predict; send at least one")
        return Question(fitted(cells, schema), rows, params.get("output"), options, warnings)

    def encoder(
        self, model: str, version: str, predictions: Predictions, schema: Schema | None = None, output: str = ""
    ) -> Encoder:
        """Prepare a batch."""
        return MlflowEncoder(predictions)


class MlflowEncoder:
    """A batch's predictions, row by row; warnings travel as notes."""

    def __init__(self, predictions: Predictions) -> None:
        numbers = [column.kind == "number" and column.levels is None for column in predictions.columns]
        rows = rows_of(predictions)
        self._values = [_without_nan(row, numbers) for row in rows] if any(numbers) else rows

    def encode(self, start: int, stop: int, warnings: Sequence[str], wanted: Any = None) -> tuple[bytes, bytes]:
        """The reply for some rows."""
        notes = orjson.dumps(list(warnings)) if warnings else b""
        return b'{"predictions":%b}' % orjson.dumps(self._values[start:stop]), notes


MLFLOW = MlflowCodec()


def _cells(form: str, table: Any, schema: Schema) -> Cells:
    if form == "dataframe_split":
        return cells_of_split(table, schema, form)
    if form == "inputs" and type(table) is dict:
        nested = {i.name for i in schema.inputs if i.type == "tensor"}
        columns = {name: values if name in nested else _column(values) for name, values in table.items()}
        return cells_of_columns(columns, schema)
    return cells_of_instances(table, schema, form)


def _column(values: Any) -> Any:
    """A column, whose values may each be an array of one."""
    if type(values) is list and values and all(type(value) is list and len(value) == 1 for value in values):
        return [value[0] for value in values]
    return values


def _without_nan(row: Any, numbers: Sequence[bool]) -> Any:
    """A row in which a number that is none is null; a label may have that name."""
    if type(row) is dict:
        pairs = zip(row.items(), numbers, strict=True)
        return {name: None if is_number and value == "NaN" else value for (name, value), is_number in pairs}
    return None if row == "NaN" else row
