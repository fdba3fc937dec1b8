"""KServe's first protocol: `{"instances": [...]}` in, `{"predictions": [...]}` out.

An instance is an object by column, or an array in the model's order; of a model with one input also the value alone.
`parameters` may name an output and options. What JSON lacks is written as in Tandem's own JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from server.wire.schema import Schema
from server.workers.codecs import Encoder, Question
from server.workers.codecs.json import cells_of_rows, refuse_duplicates, rows_of
from server.workers.codecs.open_inference_message import document
from server.workers.errors import MAX_FAULTS, Fault, Invalid
from server.workers.predictions import Predictions


class KServeV1Codec:
    """See the module."""

    takes_query = True

    def decode(self, body: bytes | memoryview, schema: Schema, parameters: bytes = b"") -> Question:
        """Read one body. Raises BadBody where it is no JSON object, Invalid where its instances do not fit."""
        text = bytes(body)
        found = document(text)
        said = found.get("parameters", {})
        if type(said) is not dict:
            raise Invalid('"parameters" must be an object: output, and options of the model')
        options = {name: value for name, value in said.items() if name != "output"}
        output = said.get("output")
        instances = found.get("instances")
        if schema.horizon:
            if instances:
                raise Invalid('this model takes no rows: "instances": [] and "parameters": {"h": 12} ask for 12 steps')
            return Question([], 0, output, options)
        if type(instances) is not list or not instances:
            raise Invalid('the body must have "instances", an array of at least one row')
        objects = [row for row in instances if type(row) is dict]
        members = len(found) + sum(map(len, objects)) + len(said)
        if objects:
            cells, warnings = cells_of_rows(instances, schema)
        else:
            cells, warnings = _by_position(instances, schema), ()
        refuse_duplicates(text, members)
        return Question(cells, len(instances), output, options or None, warnings)

    def encoder(
        self, model: str, version: str, predictions: Predictions, schema: Schema | None = None, output: str = ""
    ) -> Encoder:
        """Prepare a batch."""
        return KServeV1Encoder(predictions)


class KServeV1Encoder:
    """A batch's predictions, row by row; warnings travel as notes."""

    def __init__(self, predictions: Predictions) -> None:
        self._values = rows_of(predictions)

    def encode(self, start: int, stop: int, warnings: Sequence[str], wanted: Any = None) -> tuple[bytes, bytes]:
        """The reply for some rows."""
        notes = orjson.dumps(list(warnings)) if warnings else b""
        return b'{"predictions":%b}' % orjson.dumps(self._values[start:stop]), notes


KSERVE_V1 = KServeV1Codec()


def _by_position(instances: list[Any], schema: Schema) -> list[list[Any]]:
    """Columns of rows without names. Raises Invalid."""
    width = len(schema.inputs)
    if width == 1 and (schema.inputs[0].type == "tensor" or not any(type(row) is list for row in instances)):
        return [instances]
    faults = [
        Fault(at, None, f"an array of {width} values", _told(row), "give a value for each column, in the model's order")
        for at, row in enumerate(instances)
        if type(row) is not list or len(row) != width
    ]
    if faults:
        raise Invalid("some rows are not those of the model", faults[:MAX_FAULTS])
    return [list(column) for column in zip(*instances, strict=True)]


def _told(row: Any) -> str:
    return f"{len(row)} values" if type(row) is list else "something else"
