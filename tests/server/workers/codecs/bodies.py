"""The same rows written in each format, and replies of each format read back, for tests of several codecs.

A row is a dict of JSON values as Tandem takes them: None, "NaN", "Inf", "-Inf", ISO dates.
"""

from __future__ import annotations

import csv
import io
import math
import struct
from collections.abc import Sequence
from typing import Any

import orjson
import pyarrow as pa

from server.wire.frames import BodyFormat
from server.wire.schema import Input, Schema

Row = dict[str, Any]
SPECIAL = {"NaN": math.nan, "Inf": math.inf, "-Inf": -math.inf}


def bits(value: float) -> int:
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


def json_rows(rows: Sequence[Row]) -> bytes:
    return orjson.dumps({"rows": rows})


def json_columns(rows: Sequence[Row]) -> bytes:
    return orjson.dumps({"columns": {name: [row[name] for row in rows] for name in rows[0]}})


# Arrow

TEXT = pa.utf8()
ARROW_TYPES: dict[str, pa.DataType] = {
    "numeric": pa.float64(),
    "integer": pa.int32(),
    "logical": pa.bool_(),
    "string": TEXT,
    "factor": pa.dictionary(pa.int32(), TEXT),
    "ordered": pa.dictionary(pa.int32(), TEXT, ordered=True),
    "date": TEXT,
    "datetime": TEXT,
}


def arrow_array(values: Sequence[Any], type: pa.DataType) -> pa.Array:
    if pa.types.is_floating(type):
        return pa.array([SPECIAL.get(v, v) if isinstance(v, str) else v for v in values], type, from_pandas=False)
    if pa.types.is_dictionary(type):
        return pa.array(values, TEXT).dictionary_encode().cast(type)
    return pa.array(values, type)


def stream(table: pa.Table, **how: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, **how) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def arrow(rows: Sequence[Row], schema: Schema, chunk_rows: int = 1 << 30, /, **types: pa.DataType) -> bytes:
    """`types` are Arrow types by column, where they are not the obvious ones."""
    inputs = {i.name: i for i in schema.inputs}
    names = list(rows[0])
    arrays = [arrow_array([row[n] for row in rows], types.get(n) or _arrow_type(inputs.get(n))) for n in names]
    table = pa.Table.from_arrays(arrays, names=names)
    batches = table.to_batches(max_chunksize=chunk_rows)
    return stream(pa.Table.from_batches(batches, table.schema), options=pa.ipc.IpcWriteOptions(unify_dictionaries=True))


def _arrow_type(spec: Input | None) -> pa.DataType:
    return ARROW_TYPES[spec.type if spec is not None else "string"]


# CSV


def csv_cell(value: Any, type: str = "string") -> str:
    if value is None:
        return "NA"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str) and not (type == "numeric" and value in SPECIAL):
        return '"' + value.replace('"', '""') + '"'
    return value if isinstance(value, str) else repr(value)


def csv_body(rows: Sequence[Row], schema: Schema, end: str = "\n") -> bytes:
    types: dict[str, str] = {i.name: i.type for i in schema.inputs}
    names = list(rows[0])
    lines = [",".join(csv_cell(name) for name in names)]
    lines += [",".join(csv_cell(row[name], types.get(name, "string")) for name in names) for row in rows]
    return (end.join(lines) + end).encode()


def every_body(rows: Sequence[Row], schema: Schema) -> list[tuple[BodyFormat, bytes]]:
    """The rows in every format."""
    return [
        (BodyFormat.JSON, json_rows(rows)),
        (BodyFormat.JSON, json_columns(rows)),
        (BodyFormat.ARROW, arrow(rows, schema)),
        (BodyFormat.CSV, csv_body(rows, schema)),
    ]


# Replies: columns by name, in JSON values, with doubles as their bits

Columns = dict[str, list[Any]]


def read_reply(body_format: int, body: bytes) -> Columns:
    match body_format:
        case BodyFormat.JSON:
            return _of_json(body)
        case BodyFormat.ARROW:
            return _of_arrow(body)
        case _:
            return _of_csv(body)


def _of_json(body: bytes) -> Columns:
    predictions = orjson.loads(body)["predictions"]
    if predictions and isinstance(predictions[0], dict):
        return {name: [_settled(row[name]) for row in predictions] for name in predictions[0]}
    return {"prediction": [_settled(value) for value in predictions]}


def _of_arrow(body: bytes) -> Columns:
    table = pa.ipc.open_stream(body).read_all()
    table.validate(full=True)
    return {name: [_settled(v) for v in table.column(name).to_pylist()] for name in table.column_names}


def _of_csv(body: bytes) -> Columns:
    """By hand, because only the text tells NA from "NA"."""
    text = body.decode()
    unquoted = [_csv_cells(line) for line in _csv_lines(text)]
    names = [next(csv.reader(io.StringIO(name, newline="")))[0] for name in unquoted[0]]
    return {name: [_of_csv_cell(line[i]) for line in unquoted[1:]] for i, name in enumerate(names)}


def _csv_lines(text: str) -> list[str]:
    lines, start, quoted = [], 0, False
    for at, char in enumerate(text):
        if char == '"':
            quoted = not quoted
        elif char == "\n" and not quoted:
            lines.append(text[start:at])
            start = at + 1
    assert start == len(text), "a reply ends with a line end"
    return lines


def _csv_cells(line: str) -> list[str]:
    cells, start, quoted = [], 0, False
    for at, char in enumerate(line):
        if char == '"':
            quoted = not quoted
        elif char == "," and not quoted:
            cells.append(line[start:at])
            start = at + 1
    return [*cells, line[start:]]


def _of_csv_cell(text: str) -> Any:
    if text.startswith('"'):
        return text[1:-1].replace('""', '"')
    known = {"NA": None, "TRUE": True, "FALSE": False}
    if text in known:
        return known[text]
    return _settled(SPECIAL[text] if text in SPECIAL else float(text) if set(text) & set(".e") else int(text))


def _settled(value: Any) -> Any:
    """A double as its bits, whichever NaN it is; and as JSON has it where it is none."""
    if isinstance(value, str) and value in SPECIAL:
        value = SPECIAL[value]
    if isinstance(value, float):
        return ("double", "NaN" if math.isnan(value) else bits(value))
    return value
