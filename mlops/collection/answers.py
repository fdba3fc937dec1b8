"""Answers read back: the predictions in a reply's bytes, row by row, whatever the form that the caller wanted.

Owns the way back from what the workers' codecs write. Must not know where answers come from or go.
"""

from __future__ import annotations

import csv
import io
import json
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import pyarrow as pa

from server.wire.frames import BodyFormat
from server.wire.schema import Schema

Columns = dict[str, list[Any]]
"""Values by the name of an output, or of one of its columns."""


class Undecodable(Exception):
    """Bytes that are no answer of that form."""


def columns(form: int, answer: bytes, schema: Schema, output: str, rows: int) -> Columns:
    """The predictions of an answer, of which the question asked for this output. Raises Undecodable."""
    try:
        if form == BodyFormat.AZUREML:
            return _rows(_azureml(orjson.loads(answer), schema, rows), schema, output)
        return _READERS[form](answer, schema, output)
    except (KeyError, ValueError, TypeError, AttributeError, IndexError, pa.ArrowException, OSError) as e:
        raise Undecodable(f"an answer of form {form}") from e


def _rows(rows: Sequence[Any], schema: Schema, output: str, prefix: str = "") -> Columns:
    """Rows that are values, objects or lists of columns."""
    if rows and isinstance(rows[0], Mapping):
        return {name.removeprefix(prefix): [row.get(name) for row in rows] for name in rows[0]}
    names = next((one.columns for one in schema.outputs if one.name == output), None)
    if names and rows and isinstance(rows[0], list):
        return {name: [row[at] for row in rows] for at, name in enumerate(names)}
    return {output: list(rows)}


def _predictions(answer: bytes, schema: Schema, output: str) -> Columns:
    return _rows(orjson.loads(answer)["predictions"], schema, output)


def _azureml(found: Any, schema: Schema, rows: int) -> list[Any]:
    """The rows of an answer, which may stand in `result` beside the time that they took, one of them bare."""
    if isinstance(found, list):
        return found
    found, _ = found["result"]
    if isinstance(found, list) and len(found) == rows and not (rows == 1 and _is_ranking(schema)):
        return found
    named = {name for one in schema.outputs for name in one.columns or ()}
    if isinstance(found, dict) and not found.keys() <= named:
        return list(found.values())
    return [found]


def _is_ranking(schema: Schema) -> bool:
    return schema.outputs[0].type == "ranking"


def _vetiver(answer: bytes, schema: Schema, output: str) -> Columns:
    rows = orjson.loads(answer)
    if rows and rows[0].keys() <= {".pred", ".pred_class"}:
        return {output: [next(iter(row.values())) for row in rows]}
    return _rows(rows, schema, output, ".pred_")


def _vetiver_python(answer: bytes, schema: Schema, output: str) -> Columns:
    return _rows(orjson.loads(answer)["predict"], schema, output)


def _mls(answer: bytes, schema: Schema, output: str) -> Columns:
    found = orjson.loads(answer)
    said = found.get("outputParameters") or found["outputData"]
    [value] = said.values() if "outputParameters" in found and len(said) == 1 else [said]
    if isinstance(value, Mapping):
        return {name: one if isinstance(one, list) else [one] for name, one in value.items()}
    return {output: value if isinstance(value, list) else [value]}


def _csv(answer: bytes, schema: Schema, output: str) -> Columns:
    names, *rows = csv.reader(io.StringIO(answer.decode()))
    found = [[None if value == "NA" else value for value in column] for column in zip(*rows, strict=True)]
    return {output if name == "prediction" else name: column for name, column in zip(names, found, strict=True)}


def _arrow(answer: bytes, schema: Schema, output: str) -> Columns:
    with pa.ipc.open_stream(pa.py_buffer(answer)) as reader:
        table = reader.read_all()
    return {output if name == "prediction" else name: table[name].to_pylist() for name in table.column_names}


def _open_inference(answer: bytes, schema: Schema, output: str) -> Columns:
    text = answer.decode("latin-1")
    _, end = json.JSONDecoder().raw_decode(text)
    found: Columns = {}
    for tensor in orjson.loads(answer[:end])["outputs"]:
        about = tensor.get("parameters", {})
        size = about.get("binary_data_size")
        if size is None:
            values = tensor["data"]
        else:
            values = _binary(tensor["datatype"], answer[end : end + size])
            end += size
        names = orjson.loads(about["labels"]) if "labels" in about else None
        width = tensor["shape"][1] if len(tensor["shape"]) > 1 else 1
        if names is not None:
            found |= {name: list(values[at::width]) for at, name in enumerate(names)}
        elif width > 1:
            found[tensor["name"]] = [list(values[at : at + width]) for at in range(0, len(values), width)]
        else:
            found[tensor["name"]] = list(values)
    return found


def _binary(datatype: str, data: bytes) -> Any:
    if datatype == "BYTES":
        found, at = [], 0
        while at < len(data):
            size = int.from_bytes(data[at : at + 4], "little")
            found.append(data[at + 4 : at + 4 + size].decode())
            at += 4 + size
        return found
    return [bool(one) for one in data] if datatype == "BOOL" else array({"FP64": "d", "INT32": "i"}[datatype], data)


_READERS: Mapping[int, Callable[[bytes, Schema, str], Columns]] = {
    BodyFormat.JSON: _predictions,
    BodyFormat.KSERVE_V1: _predictions,
    BodyFormat.MLFLOW: _predictions,
    BodyFormat.MLS: _mls,
    BodyFormat.VETIVER: _vetiver,
    BodyFormat.VETIVER_PYTHON: _vetiver_python,
    BodyFormat.CSV: _csv,
    BodyFormat.ARROW: _arrow,
    BodyFormat.OPEN_INFERENCE: _open_inference,
}
