"""JSON: `{"rows":[{…}]}` or `{"columns":{…}}` in, `{"model":…,"version":…,"predictions":[…]}` out.

Doubles are read correctly rounded and written in shortest round-trip form (orjson does both), so a number goes through
unchanged to the last bit. NA is null; NaN and the infinities, which JSON lacks, are the strings "NaN", "Inf", "-Inf".
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from server.wire.schema import Schema
from server.workers.codecs import Question, json_pieces
from server.workers.errors import MAX_FAULTS, BadBody, Fault, Invalid
from server.workers.predictions import Predicted, Predictions
from server.workers.table import NA_INTEGER, ignored, missing

_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"')
"""A JSON string. The quantifiers are possessive: backtracking would take a hundred bytes for each character."""
_MEMBERS = frozenset(("rows", "columns", "output", "options"))


class JsonCodec:
    """The codec for JSON."""

    takes_query = True

    def decode(self, body: bytes | memoryview, schema: Schema, parameters: bytes = b"") -> Question:
        """Read one body. Raises BadBody where it is not JSON, Invalid where it is not one of the two shapes."""
        body = bytes(body)
        if len(body) > json_pieces.LARGE_BYTES and not schema.horizon:
            question = json_pieces.decode(body, schema)
            if question is not None:
                return question
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as e:
            raise BadBody(f"the body is not JSON: {e.msg} (line {e.lineno}, column {e.colno})") from e
        if type(document) is not dict:
            raise Invalid('the body must be a JSON object with "rows" or "columns"')
        if not _MEMBERS.issuperset(document):
            raise Invalid(
                f'the body has a member "{_first_unknown(document)}"; known are rows, columns, output, options'
            )
        for name in ("output", "options"):
            if name in document and document[name] is None:
                raise Invalid(f'"{name}" is null; leave it out or give it a value')
        cells, warnings = _cells(document, schema)
        refuse_duplicates(body, _members(document))
        rows = len(cells[0]) if cells else 0
        if not rows and not schema.horizon:
            raise Invalid("there are no rows to predict; send at least one")
        return Question(cells, rows, document.get("output"), document.get("options"), warnings)

    def encoder(
        self, model: str, version: str, predictions: Predictions, schema: Schema | None = None, output: str = ""
    ) -> JsonEncoder:
        """Prepare a batch."""
        return JsonEncoder(model, version, predictions)


class JsonEncoder:
    """A batch's predictions as JSON values, row by row."""

    def __init__(self, model: str, version: str, predictions: Predictions) -> None:
        head = orjson.dumps({"model": model, "version": version})
        self._head = head[:-1] + b',"predictions":'
        self._values = rows_of(predictions)

    def encode(self, start: int, stop: int, warnings: Sequence[str], wanted: Any = None) -> tuple[bytes, bytes]:
        """The reply for some rows."""
        body = self._head + orjson.dumps(self._values[start:stop])
        if warnings:
            return body + b',"warnings":' + orjson.dumps(list(warnings)) + b"}", b""
        return body + b"}", b""


JSON = JsonCodec()


# Reading


def _cells(document: dict[str, Any], schema: Schema) -> tuple[list[list[Any]], tuple[str, ...]]:
    given = ("rows" in document) + ("columns" in document)
    if schema.horizon:
        if given:
            raise Invalid('this model takes no rows: "options": {"h": 12} says how many steps ahead to predict')
        return [], ()
    if given != 1:
        raise Invalid('the body must have exactly one of "rows" and "columns"')
    if "rows" in document:
        return cells_of_rows(document["rows"], schema)
    return cells_of_columns(document["columns"], schema)


def cells_of_rows(rows: Any, schema: Schema) -> tuple[list[list[Any]], tuple[str, ...]]:
    """Rows written as objects, as columns of cells, with the warnings. Raises Invalid."""
    if type(rows) is not list:
        raise Invalid('"rows" must be an array of objects')
    names = schema.input_names
    try:
        cells = [[row[name] for row in rows] for name in names]
        extra = max(map(len, rows), default=0) > len(names)
    except (KeyError, TypeError, IndexError):
        faults = _row_faults(rows, schema)
        if faults:
            raise Invalid("some rows lack columns of the model", faults) from None
        cells = [[row.get(name) for row in rows] for name in names]  # what lacks may be missing
        extra = True
    return cells, ignored({name for row in rows for name in row}, schema) if extra else ()


def cells_of_columns(columns: Any, schema: Schema) -> tuple[list[list[Any]], tuple[str, ...]]:
    """Columns written as arrays, as cells, with the warnings. Raises Invalid."""
    try:
        cells = [columns[name] for name in schema.input_names]
        if set(map(type, cells)) == {list} and len(set(map(len, cells))) == 1 and len(columns) == len(cells):
            return cells, ()
    except (KeyError, TypeError):
        pass  # named below
    if type(columns) is not dict:
        raise Invalid('"columns" must be an object of arrays')
    faults = missing(columns, schema, None)
    faults += [
        Fault(None, name, "an array of values", "something else", "give one array per column, all of one length")
        for name in schema.input_names
        if name in columns and type(columns[name]) is not list
    ]
    if faults:
        raise Invalid("the columns are not those of the model", faults)
    sent = [columns[name] for name in schema.input_names if name in columns]
    rows = max(map(len, sent or [values for values in columns.values() if type(values) is list]), default=0)
    cells = [columns.get(name, [None] * rows) for name in schema.input_names]
    if len(set(map(len, cells))) > 1:
        raise Invalid("the columns have different lengths", _ragged(schema, cells))
    return cells, ignored(columns, schema)


def _row_faults(rows: list[Any], schema: Schema) -> list[Fault]:
    faults: list[Fault] = []
    for index, row in enumerate(rows):
        if len(faults) >= MAX_FAULTS:
            break
        if type(row) is dict:
            faults += missing(row, schema, index)
        else:
            faults.append(Fault(index, None, "an object", "something else", 'write a row as {"column": value}'))
    return faults


def _ragged(schema: Schema, cells: list[list[Any]]) -> list[Fault]:
    longest = max(map(len, cells))
    return [
        Fault(None, name, f"{longest} values", f"{len(values)} values", "every column needs one value per row")
        for name, values in zip(schema.input_names, cells, strict=True)
        if len(values) != longest
    ]


def _first_unknown(document: dict[str, Any]) -> str:
    return next(name for name in document if name not in _MEMBERS)[:100]


def _members(document: dict[str, Any]) -> int:
    """How many members were read, in all objects together."""
    objects = list(document.get("rows") or [document.get("columns") or {}])
    if type(document.get("options")) is dict:
        objects.append(document["options"])
    return len(document) + sum(map(len, objects))


def refuse_duplicates(body: bytes, members: int) -> None:
    """Refuse an object that names a member twice, which orjson would answer with the last one.

    Every member has one colon outside of strings. As many colons as members that were read means that none was lost;
    colons inside strings are cut out only if the first count, which costs next to nothing, does not settle it.
    """
    if body.count(b":") == members or _STRINGS.sub(b"", body).count(b":") == members:
        return
    try:
        json.loads(body, object_pairs_hook=_unique)
    except (RecursionError, ValueError) as e:
        raise BadBody("the body nests too deep or holds a number of too many digits") from e


def _unique(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            fault = Fault(None, name[:100], "one value", "the same name twice", "name every member once")
            raise Invalid(f'"{name[:100]}" is named twice in one object', [fault])
        seen.add(name)


# Writing


def rows_of(predictions: Predictions) -> list[Any]:
    """Predictions row by row as JSON can hold them: a value each, or an object by column."""
    columns = [json_values(column) for column in predictions.columns]
    names = predictions.names
    if names is None:
        return columns[0]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def json_values(column: Predicted) -> list[Any]:
    """A predicted column as values that JSON can hold."""
    if column.levels is not None:
        labels = (None, *column.levels)
        return [labels[code] if code > 0 else None for code in column.values]  # type: ignore[index,operator]
    match column.kind:
        case "number":
            values: list[float] = list(column.values)  # type: ignore[arg-type]
            return values if math.isfinite(sum(values)) else list(with_specials(values))
        case "integer":
            return [None if value == NA_INTEGER else value for value in column.values]
        case "logical":
            return [None if value == NA_INTEGER else bool(value) for value in column.values]
        case "string" | "object":
            return list(column.values)


def with_specials(values: Iterable[float]) -> Iterator[Any]:
    """Doubles as JSON can hold them: NA is None, NaN and the infinities are strings."""
    for value in values:
        if math.isfinite(value):
            yield value
        elif value != value:
            low_word = struct.unpack("<Q", struct.pack("<d", value))[0] & 0xFFFFFFFF
            yield None if low_word == 1954 else "NaN"  # R's own way to tell NA from NaN (arithmetic.c)
        else:
            yield "Inf" if value > 0 else "-Inf"
