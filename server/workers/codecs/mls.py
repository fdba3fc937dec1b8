"""Machine Learning Server's contract: a value or a list for each input, or a data frame as `inputData`.

Values alone are one row and get a value; lists get a list; a data frame gets one. A value beside lists of one is such a
list, as R's jsonlite writes it. A model with a horizon has its options for inputs. What JSON lacks is written as in
Tandem's own JSON, and warnings are what the console said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from server.wire.schema import Schema
from server.workers.codecs import Encoder, Question
from server.workers.codecs.bare_words import document
from server.workers.codecs.instances import fitted
from server.workers.codecs.json import cells_of_columns, json_values, refuse_duplicates
from server.workers.codecs.mls_reply import reply
from server.workers.errors import Invalid
from server.workers.predictions import Predictions

FRAME = "inputData"


class Form(NamedTuple):
    """What a body says of its reply without words, and what the service calls its output."""

    name: str = ""
    frame: bool = False
    one: bool = False
    """Whether values were sent, not lists."""


class MlsCodec:
    """See the module."""

    takes_query = False

    def decode(self, body: bytes | memoryview, schema: Schema, parameters: bytes = b"") -> Question:
        """Read one body. Raises BadBody where it is no JSON object, Invalid where its values do not fit."""
        text = bytes(body)
        found = document(text)
        name = parameters.decode()
        if schema.horizon:
            refuse_duplicates(text, len(found))
            return Question([], 0, None, {option: _alone(value) for option, value in found.items()}, wanted=Form(name))
        frame = FRAME in found and FRAME not in schema.input_names
        sent = found[FRAME] if frame else found
        if type(sent) is not dict:
            raise Invalid(f'"{FRAME}" must be an object with an array for each column')
        columns, one = _columns(sent, schema)
        cells, warnings = cells_of_columns(columns, schema)
        refuse_duplicates(text, len(found) + (len(sent) if frame else 0))
        rows = len(cells[0])
        if not rows:
            raise Invalid("there are no rows to predict; send a value, or a list of values, for each input")
        return Question(fitted(cells, schema), rows, warnings=warnings, wanted=Form(name, frame, one and not frame))

    def encoder(
        self, model: str, version: str, predictions: Predictions, schema: Schema | None = None, output: str = ""
    ) -> Encoder:
        """Prepare a batch."""
        return MlsEncoder(predictions, output)


class MlsEncoder:
    """A batch's predictions of one output: a value a row, or several columns."""

    def __init__(self, predictions: Predictions, output: str) -> None:
        self._output = output
        self._names = predictions.names
        self._columns = [json_values(column) for column in predictions.columns]

    def encode(self, start: int, stop: int, warnings: Sequence[str], wanted: Any = None) -> tuple[bytes, bytes]:
        """The reply for some rows."""
        form = wanted if isinstance(wanted, Form) else Form()
        name = form.name or self._output
        cut = [values[start:stop] for values in self._columns]
        columns = {name: cut[0]} if self._names is None else dict(zip(self._names, cut, strict=True))
        if form.frame:
            return reply("outputData", columns, warnings), b""
        if self._names is not None:
            return reply("outputParameters", {name: columns}, warnings), b""
        return reply("outputParameters", {name: cut[0][0] if form.one else cut[0]}, warnings), b""


MLS = MlsCodec()


def _columns(sent: Mapping[str, Any], schema: Schema) -> tuple[dict[str, Any], bool]:
    """What was sent for each input as a list of cells, and whether all of it were values."""
    depths = {i.name: len(i.shape or ()) for i in schema.inputs}
    listed = {name: _depth(value) > depths.get(name, 0) for name, value in sent.items()}
    columns = {name: value if listed[name] else [value] for name, value in sent.items()}
    return columns, not any(listed[name] for name in depths if name in listed)


def _alone(value: Any) -> Any:
    return value[0] if type(value) is list and len(value) == 1 else value


def _depth(value: Any) -> int:
    """How many arrays a value's first cell is in."""
    depth = 0
    while type(value) is list:
        depth += 1
        value = value[0] if value else None
    return depth
