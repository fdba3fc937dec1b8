"""`/score` as Azure ML's examples and older scoring services have it: one member of the body decides the form.

`data`, `input_data` and `df` hold a table, and the reply is a bare array. `input` holds a cell, a row or rows, or
images by name; the reply is `{"result": [<answer>, "Computed in 1.23 ms"]}`. `params` are options, and may name an
output.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any, NamedTuple

import orjson

from server.wire.schema import Input, Schema
from server.workers.codecs import Encoder, Question
from server.workers.codecs.bare_words import document
from server.workers.codecs.instances import Cells, cells_of_instances, fitted, objects_in
from server.workers.codecs.json import cells_of_columns, refuse_duplicates, rows_of
from server.workers.codecs.split import cells_of_split
from server.workers.errors import BadBody, Invalid
from server.workers.predictions import Predictions

FORMS = ("data", "input_data", "df", "input")
_MEMBERS = {*FORMS, "params"}
_SPLIT = {"columns", "index", "data"}
_WRITTEN_BYTES = re.compile(r"b?(['\"])(.*)\1", re.DOTALL)
"""A text as Python or JSON writes it once more, within a JSON string."""


class Wrapped(NamedTuple):
    """How the reply to `input` is written."""

    began: float
    """When the request was read, on the clock of `perf_counter`."""
    one: bool
    """Whether the answer is one and no list."""
    names: Sequence[str] | None = None
    """The names of the images, where the answers have those."""


class AzureMlCodec:
    """See the module."""

    takes_query = True

    def decode(self, body: bytes | memoryview, schema: Schema, parameters: bytes = b"") -> Question:
        """Read one body. Raises BadBody where it is none of the forms, Invalid where it does not fit."""
        began = perf_counter()
        text = bytes(body)
        found = document(text)
        form = _form(found, schema)
        params = found.get("params", {})
        if type(params) is not dict:
            raise Invalid('"params" must be an object: output, and options of the model')
        options = {name: value for name, value in params.items() if name != "output"} or None
        table = found.get(form)
        wanted = None
        if schema.horizon:
            if table:
                raise Invalid('this model takes no rows: "data": [] and "params": {"h": 12} ask for 12 steps')
            return Question([], 0, params.get("output"), options)
        if form == "input":
            table, wanted = _input(table, schema, began)
        cells, warnings = _cells(form, table, schema)
        refuse_duplicates(text, len(found) + len(params) + _objects_in(found[form]))
        rows = len(cells[0]) if cells else 0
        if not rows:
            raise Invalid("there are no rows to predict; send at least one")
        return Question(fitted(cells, schema), rows, params.get("output"), options, warnings, wanted=wanted)

    def encoder(
        self, model: str, version: str, predictions: Predictions, schema: Schema | None = None, output: str = ""
    ) -> Encoder:
        """Prepare a batch."""
        return AzureMlEncoder(predictions)


class AzureMlEncoder:
    """A batch's predictions, row by row; warnings travel as notes."""

    def __init__(self, predictions: Predictions) -> None:
        self._values = rows_of(predictions)

    def encode(self, start: int, stop: int, warnings: Sequence[str], wanted: Any = None) -> tuple[bytes, bytes]:
        """The reply for some rows."""
        values: Any = self._values[start:stop]
        if wanted is not None:
            values = _wrapped([_ranked(value) for value in values], wanted)
        return orjson.dumps(values), orjson.dumps(list(warnings)) if warnings else b""


AZUREML = AzureMlCodec()


# Reading


def _form(found: Mapping[str, Any], schema: Schema) -> str:
    """The member that the body's form is called by."""
    unknown = next((name for name in found if name not in _MEMBERS), None)
    if unknown is not None:
        raise BadBody(f'the body has a member "{unknown[:100]}"; known are {", ".join(FORMS)} and params')
    forms = [form for form in FORMS if form in found]
    if not forms and schema.horizon:
        return FORMS[0]
    if len(forms) != 1:
        raise BadBody(f"the body must have exactly one of {', '.join(FORMS)}")
    return forms[0]


def _cells(form: str, table: Any, schema: Schema) -> Cells:
    if type(table) is not dict:
        return cells_of_instances(table, schema, form)
    if form == "input_data" and "data" in table and table.keys() <= _SPLIT:
        return cells_of_split(table, schema, form)
    nested = {i.name for i in schema.inputs if i.type == "tensor"}
    return cells_of_columns(
        {name: values if type(values) is list or name in nested else [values] for name, values in table.items()},
        schema,
    )


def _objects_in(table: Any) -> int:
    return len(table) if type(table) is dict else objects_in(table)


def _input(given: Any, schema: Schema, began: float) -> tuple[Any, Wrapped]:
    """What `input` holds, as rows, and how it is answered."""
    if [i.type for i in schema.inputs] == ["image"]:
        if type(given) is dict:
            return [[_base64(image)] for image in given.values()], Wrapped(began, False, list(given))
        one = type(given) is not list
        return [[_base64(image)] for image in ([given] if one else given)], Wrapped(began, one)
    one = _is_one(given, schema.inputs)
    if not one:
        return given, Wrapped(began, False)
    is_cell = type(given) is not dict and len(schema.inputs) == 1
    return [[given]] if is_cell and type(given) is not list else [given], Wrapped(began, True)


def _is_one(given: Any, inputs: Sequence[Input]) -> bool:
    """Whether this is a cell or a row, and no list of them."""
    if type(given) is not list:
        return True
    if len(inputs) == 1:
        return inputs[0].type == "tensor" and _depth(given) == len(inputs[0].shape or ())
    return not any(type(row) in (list, dict) for row in given)


def _depth(value: Any) -> int:
    depth = 0
    while type(value) is list and depth < 100:
        depth += 1
        value = value[0] if value else None
    return depth


def _base64(image: Any) -> Any:
    """An image's text without what some clients write around it: quotes, or Python's `b'…'`."""
    written = _WRITTEN_BYTES.fullmatch(image) if type(image) is str else None
    return written[2] if written else image


# Writing


def _wrapped(values: list[Any], wanted: Wrapped) -> dict[str, Any]:
    answer: Any = values
    if wanted.names is not None:
        answer = dict(zip(wanted.names, values, strict=True))
    elif wanted.one:
        answer = values[0]
    return {"result": [answer, f"Computed in {(perf_counter() - wanted.began) * 1e3:.2f} ms"]}


def _ranked(value: Any) -> Any:
    """A ranking as pairs, the best first."""
    if type(value) is list and value and type(value[0]) is dict and value[0].keys() == {"label", "probability"}:
        return [[one["label"], one["probability"]] for one in value]
    return value
