"""What the Open Inference Protocol says of a model, made from its schema: tensors, and Triton's configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from server.web.json_schema import is_raw
from server.wire.schema import Input, Output, Schema
from server.wire.snapshot import Entry

_INPUTS = {"numeric": "FP64", "integer": "INT32", "logical": "BOOL", "tensor": "FP64"}
_OUTPUTS = {"number": "FP64", "integer": "INT32", "logical": "BOOL", "columns": "FP64", "tensor": "FP64"}
"""The protocol's types of numbers. All other types are BYTES."""
_TEXT, _REPLY = "raw_data", "result"
"""The tensors that a script takes and gives: one text each."""


def metadata(entry: Entry, versions: Sequence[str]) -> dict[str, Any]:
    """A model's metadata: its versions, and a tensor for each input and output, the default output first."""
    inputs, outputs = tensors(entry)
    about = {"name": entry.name, "versions": list(versions), "platform": f"tandem_{entry.runtime}"}
    return about | {"inputs": inputs, "outputs": outputs}


def config(entry: Entry) -> dict[str, Any]:
    """A model's configuration as Triton writes it.

    The rows of a request are part of its shapes, so it names no batch size.
    """
    inputs, outputs = tensors(entry)
    return {
        "name": entry.name,
        "platform": f"tandem_{entry.runtime}",
        "backend": "tandem",
        "max_batch_size": 0,
        "input": [_configured(tensor) for tensor in inputs],
        "output": [_configured(tensor) for tensor in outputs],
    }


def tensors(entry: Entry) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The tensors that a model takes, and those that it can give."""
    if is_raw(entry):
        return [_tensor(_TEXT, "BYTES", [1])], [_tensor(_REPLY, "BYTES", [1])]
    schema = Schema.from_data(entry.schema or {})
    return [_input(one) for one in schema.inputs], [_output(one) for one in schema.outputs]


def _tensor(name: str, datatype: str, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape}


def _input(spec: Input) -> dict[str, Any]:
    shape = [-1, *(-1 if size is None else size for size in spec.shape or ())]
    return _tensor(spec.name, _INPUTS.get(spec.type, "BYTES"), shape)


def _output(spec: Output) -> dict[str, Any]:
    datatype = _OUTPUTS.get(spec.type, "BYTES")
    match spec.type:
        case "columns":
            labels = {"labels": orjson.dumps(list(spec.columns or ())).decode()}
            return _tensor(spec.name, datatype, [-1, len(spec.columns or ()) or -1]) | {"parameters": labels}
        case "ranking" | "tensor":
            return _tensor(spec.name, datatype, [-1, -1])
    return _tensor(spec.name, datatype, [-1])


def _configured(tensor: dict[str, Any]) -> dict[str, Any]:
    kind = "STRING" if tensor["datatype"] == "BYTES" else tensor["datatype"]
    return {"name": tensor["name"], "data_type": f"TYPE_{kind}", "dims": tensor["shape"]}
