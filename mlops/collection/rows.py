"""Rows of recordings: requests and answers decoded by the workers' codecs, masked, as columns of a table.

Owns what a recording holds. Must not know where it goes. The same copies give the same table, whenever it is made.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import orjson
import pyarrow as pa

from mlops.collection.answers import Columns, Undecodable, columns
from server.wire.collect import Copied, Described
from server.wire.frames import BodyFormat
from server.wire.schema import Input, Schema
from server.workers.codecs.registry import codec
from server.workers.errors import RequestError
from server.workers.inflate import inflated
from server.workers.options import asked
from server.workers.table import NA_INTEGER, to_columns

log = logging.getLogger(__name__)

RAW_BYTES: Final = 16 << 10
"""How much of a body is kept as it came, in bytes, where it cannot be rows."""
INFLATED_BYTES: Final = 64 << 20
_EPOCH_DAY: Final = date(1970, 1, 1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BEFORE: Final = (
    *(("request_id", pa.string()), ("row", pa.int32()), ("time", pa.timestamp("us", "UTC"))),
    *(("endpoint", pa.string()), ("deployment", pa.string()), ("version", pa.string()), ("mirrored", pa.bool_())),
    *(("code", pa.string()), ("queue_s", pa.float64()), ("predict_s", pa.float64()), ("raw", pa.string())),
)
_INPUTS: Final[Mapping[str, pa.DataType]] = {
    "numeric": pa.float64(),
    "integer": pa.int32(),
    "logical": pa.bool_(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us", "UTC"),
}
_OUTPUTS: Final[Mapping[str, pa.DataType]] = {"number": pa.float64(), "integer": pa.int64(), "logical": pa.bool_()}


class Recording:
    """The rows of one description's requests."""

    def __init__(self, described: Described, key: bytes) -> None:
        self.became: Counter[str] = Counter()
        self._described = described
        self._schema = Schema.from_data(described.schema)
        self._key = key
        self._mask = dict(described.collect.mask)
        self._fixed: list[tuple[Any, ...]] = []
        self._inputs: dict[str, list[Any]] = {}
        self._outputs: dict[str, list[Any]] = {}
        self._plain = [i for i in self._schema.inputs if i.type not in ("image", "tensor")]
        if described.collect.inputs:
            self._inputs = {i.name: [] for i in self._plain if self._mask.get(i.name) != "drop"}
        if described.collect.outputs:
            names = (name for one in self._schema.outputs for name in one.columns or (one.name,))
            self._outputs = {name: [] for name in names if self._mask.get(name) != "drop"}
        self._unknown = self._mask.keys() - _names(self._schema)
        if self._unknown:
            reason = f"the mask names columns that the model lacks: {', '.join(sorted(self._unknown))}"
            log.error("nothing can be recorded", extra={"model": described.model, "reason": reason})

    def add(self, copied: Copied) -> None:
        """Add one request. What cannot be decoded is counted; a misspelt mask must not lay open what it was for."""
        if self._unknown:
            self.became["undecodable"] += 1
        elif copied.code != b"ok" or self._schema.raw:
            self._add_whole(copied)
            self.became["kept"] += 1
        else:
            try:
                self._add_rows(copied)
                self.became["kept"] += 1
            except (RequestError, Undecodable, MemoryError, ValueError, TypeError, OverflowError) as e:
                name = copied.request_id.decode("latin-1")
                log.warning("a request cannot be recorded", extra={"request_id": name, "reason": type(e).__name__})
                self.became["undecodable"] += 1

    def table(self) -> pa.Table:
        """All rows that were added."""
        arrays = [pa.array(column, kind) for column, (_, kind) in zip(self._columns(), _BEFORE, strict=True)]
        names = [name for name, _ in _BEFORE]
        types = {i.name: i.type for i in self._schema.inputs}
        for name, values in self._inputs.items():
            kind = pa.string() if name in self._mask else _INPUTS.get(types[name], pa.string())
            arrays.append(pa.array(values, kind))
            names.append(f"in_{name}")
        declared = {one.name: one.type for one in self._schema.outputs}
        for name, values in self._outputs.items():
            arrays.append(self._masked(name, values) if name in self._mask else _output(declared.get(name), values))
            names.append(f"out_{name}")
        about = {"model": self._described.model, "version": self._described.version}
        return pa.Table.from_arrays(arrays, names=names).replace_schema_metadata(about)

    def _columns(self) -> list[Sequence[Any]]:
        return list(zip(*self._fixed, strict=True)) if self._fixed else [()] * len(_BEFORE)

    def _add_rows(self, copied: Copied) -> None:
        schema, rows = self._schema, copied.rows
        body = inflated(copied.body, copied.encoding, INFLATED_BYTES)
        form = codec(copied.content)
        question = form.decode(body, schema, copied.parameters)
        query = copied.parameters if form.takes_query else b""
        output, _ = asked(schema, question.output, question.options, query)
        found = columns(copied.accept, copied.answer, schema, output, rows) if self._outputs else {}
        sent = self._sent(question.cells) if self._inputs else {}
        if any(len(values) != rows for values in (*found.values(), *sent.values())):
            raise Undecodable("so many rows were not asked")
        self._fix(copied, range(rows), None)
        for name, values in self._inputs.items():
            values.extend(self._hashed(sent[name]) if name in self._mask else sent[name])
        self._extend_outputs(found, rows)

    def _sent(self, cells: Sequence[Any]) -> Columns:
        """What was sent, by column; None where it is missing."""
        schema = self._schema
        at = [place for place, spec in enumerate(schema.inputs) if spec.name in self._inputs]
        specs = [schema.inputs[place] for place in at]
        plain = Schema(tuple(specs), schema.outputs)
        typed = to_columns(plain, [cells[place] for place in at])
        return {spec.name: _values(spec, column) for spec, column in zip(specs, typed, strict=True)}

    def _extend_outputs(self, found: Columns, rows: int) -> None:
        for name, values in self._outputs.items():
            values.extend(found[name] if name in found else [None] * rows)

    def _add_whole(self, copied: Copied) -> None:
        """A row that holds the body as it came, where it did not become rows or never was any."""
        raw = None if self._mask or not self._described.collect.inputs else _text(copied)
        self._fix(copied, [0], raw)
        for values in self._inputs.values():
            values.append(None)
        if self._schema.raw and self._outputs and copied.code == b"ok":
            self._extend_outputs({next(iter(self._outputs)): [copied.answer[:RAW_BYTES].decode("utf-8", "replace")]}, 1)
        else:
            self._extend_outputs({}, 1)

    def _fix(self, copied: Copied, rows: Sequence[int], raw: str | None) -> None:
        described = self._described
        when = _EPOCH + timedelta(seconds=copied.time)
        after = (
            *(when, described.endpoint or None, described.deployment or None, described.version, copied.mirrored),
            *(copied.code.decode(), copied.queue_s, copied.predict_s, raw),
        )
        request_id = copied.request_id.decode("latin-1")
        self._fixed += [(request_id, row, *after) for row in rows]

    def _masked(self, name: str, values: Sequence[Any]) -> pa.Array:
        return pa.array(self._hashed(values), pa.string())

    def _hashed(self, values: Sequence[Any]) -> list[str | None]:
        """Values by a keyed hash: equal ones stay equal, and nobody without the key can try what they were."""
        return [None if value is None else self._hash(str(value)) for value in values]

    def _hash(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()[:32]


def _names(schema: Schema) -> set[str]:
    inputs, outputs = set(schema.input_names), {one.name for one in schema.outputs}
    return inputs | outputs | {name for one in schema.outputs for name in one.columns or ()}


def _values(spec: Input, column: Any) -> list[Any]:
    """A column as Python's values."""
    if spec.type == "string":
        return list(column)
    plain = column.tolist()
    match spec.type:
        case "factor" | "ordered":
            levels = (None, *(spec.levels or ()))
            return [levels[code] if code > 0 else None for code in plain]
        case "integer":
            return [None if value == NA_INTEGER else value for value in plain]
        case "logical":
            return [None if value == NA_INTEGER else bool(value) for value in plain]
        case "date":
            return [None if value != value else _EPOCH_DAY + timedelta(days=value) for value in plain]
        case "datetime":
            return [None if value != value else _EPOCH + timedelta(seconds=value) for value in plain]
    return plain if math.isfinite(math.fsum(plain)) else [None if value != value else value for value in plain]


def _output(kind: str | None, values: Sequence[Any]) -> pa.Array:
    """Predicted values, typed as the model says; the columns of an output are numbers if they all can be."""
    convert = _CONVERT.get(kind or "")
    if convert is not None:
        return pa.array([None if value is None else convert(value) for value in values], _OUTPUTS[kind or ""])
    if kind is None:
        try:
            return pa.array([None if value is None else float(value) for value in values], pa.float64())
        except (TypeError, ValueError):
            pass
    texts = (value if value is None or isinstance(value, str) else orjson.dumps(value).decode() for value in values)
    return pa.array(list(texts), pa.string())


def _logical(value: Any) -> bool:
    return value == "TRUE" if isinstance(value, str) else bool(value)


_CONVERT: Final[Mapping[str, Callable[[Any], Any]]] = {"number": float, "integer": int, "logical": _logical}


def _text(copied: Copied) -> str | None:
    """The beginning of a body, where it is text."""
    if copied.content in (BodyFormat.ARROW, BodyFormat.JPEG, BodyFormat.PNG):
        return None
    try:
        body = inflated(copied.body, copied.encoding, INFLATED_BYTES)
    except RequestError:
        return None
    return bytes(body[:RAW_BYTES]).decode("utf-8", "replace")
