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
from server.workers.codecs.bare_words import document
from server.workers.codecs.instances import cells_of_instances, fitted, objects_in
from server.workers.codecs.json import refuse_duplicates, rows_of
from server.workers.errors import Invalid
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
        cells, warnings = cells_of_instances(instances, schema, "instances")
        refuse_duplicates(text, len(found) + len(said) + objects_in(instances))
        return Question(fitted(cells, schema), len(cells[0]), output, options or None, warnings)

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
