"""The Open Inference Protocol: a tensor a column in, a tensor an output out, in JSON or as bytes.

Numbers that came as bytes are used as they are, so a double goes through unchanged to the last bit, NA's among them. A
model without names takes one tensor of numbers, a column of it for each input in the model's order.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from server.wire.schema import Input, Schema
from server.workers.codecs import Encoder, Question
from server.workers.codecs.instances import days
from server.workers.codecs.json import with_specials
from server.workers.codecs.open_inference_message import FLOATS, NUMBERS, Message, Tensor, read
from server.workers.codecs.open_inference_reply import OpenInferenceEncoder
from server.workers.errors import Fault, Invalid
from server.workers.predictions import Predictions
from server.workers.table import ignored, missing
from server.workers.tensors import Tensor as Cell
from server.workers.tensors import shape_told

MAX_TENSORS_PER_INPUT, MAX_MORE_TENSORS = 10, 1000
RESERVED = frozenset(
    (
        *("sequence_id", "sequence_start", "sequence_end", "priority", "timeout"),
        *("content_type", "headers", "binary_data_output", "output"),
    )
)
"""Parameters that clients of other servers send; here they change nothing, or are read elsewhere."""


class OpenInferenceCodec:
    """See the module."""

    takes_query = False

    def decode(self, body: bytes | memoryview, schema: Schema, parameters: bytes = b"") -> Question:
        """Read one body; `parameters` is the length of its head. Raises BadBody or Invalid."""
        message = read(body, parameters, MAX_TENSORS_PER_INPUT * len(schema.inputs) + MAX_MORE_TENSORS)
        output, more = _outputs(message)
        options, strange = _options(message.parameters, schema)
        if schema.horizon:
            if message.tensors:
                raise Invalid('this model takes no tensors: "inputs": [] and "parameters": {"h": 12} ask for 12 steps')
            return Question([], 0, output, options, strange, more, message.wanted)
        cells, rows, warnings = _cells(message.tensors, schema)
        return Question(cells, rows, output, options or None, warnings + strange, more, message.wanted)

    def encoder(
        self, model: str, version: str, predictions: Predictions, schema: Schema | None = None, output: str = ""
    ) -> Encoder:
        """Prepare a batch."""
        return OpenInferenceEncoder(model, version, predictions, schema, output)

    def joined(self, replies: Sequence[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
        """The replies for several outputs as one."""
        heads, blobs = [], []
        for body, notes in replies:
            size = int(notes) if notes else len(body)
            heads.append(orjson.loads(body[:size]))
            blobs.append(body[size:])
        heads[0]["outputs"] = [output for head in heads for output in head["outputs"]]
        text = orjson.dumps(heads[0])
        return text + b"".join(blobs), b"%d" % len(text) if any(notes for _, notes in replies) else b""


OPEN_INFERENCE = OpenInferenceCodec()


# What is asked for


def _outputs(message: Message) -> tuple[Any, tuple[str, ...]]:
    if message.outputs:
        return message.outputs[0], message.outputs[1:]
    return message.parameters.get("output"), ()


def _options(parameters: Mapping[str, Any], schema: Schema) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The parameters that are options of the model, and a warning for each that nobody knows."""
    known = {o.name for o in schema.options}
    strange = sorted(name[:100] for name in parameters if name not in known and name not in RESERVED)[:20]
    told = tuple(f'parameter "{name}" is no option of this model and was ignored' for name in strange)
    return {name: value for name, value in parameters.items() if name in known}, told


# Tensors to cells


def _cells(tensors: Sequence[Tensor], schema: Schema) -> tuple[list[Any], int, tuple[str, ...]]:
    tensors = _named(tensors, schema)
    by_name = {tensor.name: tensor for tensor in tensors}
    if len(by_name) < len(tensors):
        names = [tensor.name for tensor in tensors]
        name = next(name for name in names if names.count(name) > 1)[:100]
        raise Invalid("a tensor is there twice", [Fault(None, name, "one tensor", "two", "send every column once")])
    faults = missing(by_name, schema, None)
    if faults:
        raise Invalid("the tensors are not the columns of the model", faults)
    warnings = ignored(by_name, schema)
    sent = [(spec, by_name[spec.name]) for spec in schema.inputs if spec.name in by_name]
    rows = max((tensor.shape[0] for tensor in [t for _, t in sent] or tensors), default=0)
    faults = [fault for spec, tensor in sent if (fault := _shape_fault(spec, tensor, rows)) is not None]
    if faults:
        raise Invalid("the tensors have other shapes than the columns of the model", faults)
    if not rows:
        raise Invalid("there are no rows to predict; send at least one")
    return [_of(by_name.get(spec.name), spec, rows) for spec in schema.inputs], rows, warnings


def _named(tensors: Sequence[Tensor], schema: Schema) -> Sequence[Tensor]:
    """The tensors by the names of the inputs, where there is one under another name that holds them all."""
    names = schema.input_names
    if len(tensors) != 1 or tensors[0].name in names:
        return tensors
    [tensor] = tensors
    if len(names) == 1:
        return [Tensor(names[0], tensor.datatype, tensor.shape, tensor.values, tensor.parameters)]
    width = len(names)
    if tensor.datatype not in NUMBERS or len(tensor.shape) != 2 or tensor.shape[1] != width:
        return tensors
    rows = tensor.shape[:1]
    return [Tensor(name, tensor.datatype, rows, tensor.values[at::width]) for at, name in enumerate(names)]


def _shape_fault(spec: Input, tensor: Tensor, rows: int) -> Fault | None:
    """What is wrong with a tensor's shape: a column has a value a row, a tensor more of a shape of its own."""
    first, *rest = tensor.shape
    wanted = spec.shape or ()
    if spec.type == "tensor":
        fits = len(rest) == len(wanted) and all(w in (None, r) and r > 0 for w, r in zip(wanted, rest, strict=True))
        told = f"the shape n x {shape_told(wanted)}"
    else:
        fits, told = rest in ([], [1]), "the shape [n] or [n, 1]"
    if fits and first == rows:
        return None
    expected = told if not fits else f"{rows} rows"
    hint = "the first dimension is the number of rows, the same for all tensors"
    return Fault(None, spec.name, expected, f"the shape {list(tensor.shape)}"[:100], hint)


def _of(tensor: Tensor | None, spec: Input, rows: int) -> Any:
    """One column's cells, as `to_columns` takes them."""
    if tensor is None:
        return [None] * rows
    values = tensor.values
    if spec.type == "tensor":
        return _tensors(tensor, spec, rows)
    if tensor.datatype == "BYTES":
        texts = values if spec.type == "image" else _texts(spec, values)
        return days(texts) if spec.type == "date" else texts
    if spec.type == "numeric":
        return _doubles(tensor, spec)
    if tensor.datatype in FLOATS:
        return [_whole(value) for value in values] if spec.type == "integer" else list(with_specials(values))
    return list(values)


def _doubles(tensor: Tensor, spec: Input) -> Any:
    """Doubles as they are; plain values where each has to be looked at."""
    values = tensor.values
    if not isinstance(values, array):
        return values
    if values.typecode in "bBhHiI":
        return array("d", values)
    if values.typecode == "d" and (spec.na or not math.isnan(sum(values))):
        return values
    return list(with_specials(values)) if values.typecode == "d" else list(values)


def _whole(value: Any) -> Any:
    """A cell of integers that came as doubles, as pandas has them where one is missing: NaN stands for that."""
    if value == "NaN" or value != value:
        return None
    return int(value) if type(value) is float and value.is_integer() else value


def _texts(spec: Input, values: Any) -> list[Any]:
    texts = []
    for row, value in enumerate(values):
        try:
            texts.append(value.decode() if type(value) is bytes else value)
        except UnicodeDecodeError:
            fault = Fault(row, spec.name, "text in UTF-8", "other bytes", "encode texts as UTF-8")
            raise Invalid(f'tensor "{spec.name}" holds bytes that are no text', [fault]) from None
    return texts


def _tensors(tensor: Tensor, spec: Input, rows: int) -> list[Cell]:
    """A tensor for each row."""
    if tensor.datatype not in NUMBERS or (type(tensor.values) is list and not _are_numbers(tensor.values)):
        fault = Fault(None, spec.name, "numbers", f"a tensor of {tensor.datatype}", "NaN and null have no place here")
        raise Invalid("the tensors are not those of the model", [fault])
    shape = tensor.shape[1:]
    size = math.prod(shape)
    values = array("d", tensor.values)
    return [Cell(shape, values[at * size : (at + 1) * size]) for at in range(rows)]


def _are_numbers(values: list[Any]) -> bool:
    return set(map(type, values)) <= {int, float} and all(type(v) is float or abs(v) <= 2**53 for v in values)
