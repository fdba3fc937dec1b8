"""One contract in every format: the same rows are the same typed columns, bit for bit, and so are the replies.

Hypothesis draws a schema, and rows that fit it or do not; each codec reads them, and none may see more, less or another
value than the others, nor another fault.
"""

from __future__ import annotations

import math
from array import array
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.wire.frames import BodyFormat
from server.wire.schema import INPUT_TYPES, Input, InputType, Output, Schema
from server.workers.codecs.registry import codec
from server.workers.errors import Invalid
from server.workers.predictions import Predicted, Predictions
from server.workers.table import NA_INTEGER, NA_REAL, to_columns
from tests.server.workers.codecs.bodies import (
    Row,
    arrow,
    bits,
    csv_body,
    every_body,
    json_columns,
    json_rows,
    read_reply,
)

OUTPUTS = (Output("response", "number"),)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=4)
TEXTS = st.one_of(
    st.sampled_from(["", "NA", "NaN", "Inf", "TRUE", "1.5", "a,b", 'q"', "two\nlines", "r\r\nn", " ", "süß", "😀"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6),
)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
FITTING: dict[str, st.SearchStrategy[Any]] = {
    "numeric": FINITE | st.integers(-(2**53), 2**53).map(float) | st.sampled_from(["NaN", "Inf", "-Inf", -0.0]),
    "integer": st.integers(-(2**31) + 1, 2**31 - 1),
    "logical": st.booleans(),
    "string": TEXTS,
    "date": st.dates().map(str),
    "datetime": st.datetimes().map(str) | st.datetimes().map(lambda t: t.isoformat() + "+02:00"),
}
UNFIT: dict[str, list[Any]] = {
    "numeric": ["many", 2**53 + 1, -(2**53) - 1, True],
    "integer": [1.5, 2.0**31, -(2.0**31), 1e300],
    "logical": ["yes", "1"],
    "string": ["a\0b"],
    "factor": ["no level"],
    "ordered": ["no level"],
    "date": ["2023-02-29", "yesterday"],
    "datetime": ["2026-01-31T25:00:00", "now"],
}

IN_EVERY_FORMAT = [type for type in INPUT_TYPES if type not in ("image", "tensor")]
"""A tensor has no form in CSV, and an image's bytes have another one in JSON than in Arrow."""


@st.composite
def inputs(draw: st.DrawFn, name: str) -> Input:
    type: InputType = draw(st.sampled_from(IN_EVERY_FORMAT))  # type: ignore[arg-type]
    levels = None
    if type in ("factor", "ordered"):
        levels = tuple(draw(st.lists(TEXTS, min_size=1, max_size=4, unique=True)))
    na = draw(st.booleans())
    policy = st.sampled_from(["refuse", "na"] if na else ["refuse"])
    tz = draw(st.sampled_from([None, "UTC", "Europe/Vienna"])) if type == "datetime" else None
    logical = st.sampled_from(["refuse", "number"])
    return Input(name, type, levels, na, tz, new_level=draw(policy), missing=draw(policy), logical=draw(logical))


@st.composite
def questions(draw: st.DrawFn) -> tuple[Schema, list[Row]]:
    """A schema and rows that fit it, with columns in any order, and sometimes one more or one less."""
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    schema = Schema(
        tuple(draw(inputs(name)) for name in names),
        OUTPUTS,
    )
    sent = [i for i in schema.inputs if i.missing == "refuse" or draw(st.booleans())]
    cells = {i.name: _cells(i) for i in sent}
    if not sent or draw(st.booleans()):
        cells[draw(NAMES.filter(lambda name: name not in names))] = TEXTS
    order = draw(st.permutations(list(cells)))
    rows = draw(st.lists(st.fixed_dictionaries({name: cells[name] for name in order}), min_size=1, max_size=6))
    return schema, rows


def _cells(spec: Input) -> st.SearchStrategy[Any]:
    values = st.sampled_from(spec.levels) if spec.levels else FITTING[spec.type]
    if spec.type == "numeric" and not spec.na:
        values = values.filter(lambda v: v != "NaN")
    if spec.new_level == "na":
        values = values | TEXTS if spec.type in ("factor", "ordered") else values
    return values | st.none() if spec.na else values


def settled(columns: list[Any]) -> list[Any]:
    """Typed columns so that they can be compared: what kind they are, and every bit of every value."""
    return [
        (c.typecode, [bits(v) if c.typecode == "d" else v for v in c]) if isinstance(c, array) else c for c in columns
    ]


def typed(body_format: int, body: bytes, schema: Schema) -> Any:
    question = codec(body_format).decode(body, schema)
    columns = [array("d", c) if isinstance(c, memoryview) else c for c in to_columns(schema, question.cells)]
    return question.rows, question.warnings, settled(columns)


def faults(body_format: int, body: bytes, schema: Schema) -> list[tuple[int | None, str | None, str]]:
    with pytest.raises(Invalid) as invalid:
        typed(body_format, body, schema)
    return sorted(((f.row, f.column, f.expected) for f in invalid.value.faults), key=repr)


@settings(max_examples=300, deadline=None)
@given(questions(), st.sampled_from(["\n", "\r\n"]), st.integers(1, 3))
def test_the_same_rows_are_the_same_columns_in_every_format(
    question: tuple[Schema, list[Row]], end: str, chunk_rows: int
) -> None:
    schema, rows = question
    [(_, as_json), *others] = every_body(rows, schema)
    expected = typed(BodyFormat.JSON, as_json, schema)
    others += [(BodyFormat.CSV, csv_body(rows, schema, end)), (BodyFormat.ARROW, arrow(rows, schema, chunk_rows))]
    for body_format, body in others:
        assert typed(body_format, body, schema) == expected, body_format


@settings(deadline=None)
@given(st.lists(FITTING["datetime"] | st.none(), min_size=1), st.sampled_from([None, "Europe/Vienna"]), st.booleans())
def test_times_are_the_same_as_text_and_as_timestamps(texts: list[str | None], tz: str | None, zoned: bool) -> None:
    schema = Schema((Input("x", "datetime", tz=tz),), OUTPUTS)
    texts = [text and (text[:-6] if text.endswith("+02:00") else text) + ("Z" if zoned else "") for text in texts]
    expected = typed(BodyFormat.JSON, every_body([{"x": text} for text in texts], schema)[0][1], schema)
    stamps = pa.array([text and text.removesuffix("Z") for text in texts]).cast(pa.timestamp("us"))
    if zoned:
        stamps = stamps.cast(pa.int64()).cast(pa.timestamp("us", "UTC"))
    for unit in ("us", "ns") if all(text is None or "1700" < text < "2200" for text in texts) else ("us",):
        column = stamps.cast(pa.timestamp(unit, stamps.type.tz))
        sink = pa.BufferOutputStream()
        table = pa.table({"x": column})
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        assert typed(BodyFormat.ARROW, sink.getvalue().to_pybytes(), schema) == expected


@st.composite
def faulty(draw: st.DrawFn) -> tuple[Schema, list[Row]]:
    """Rows of which some cells, of one type per column as Arrow needs it, do not fit."""
    schema, rows = draw(questions())
    spoilt = draw(st.sampled_from([i for i in schema.inputs if i.name in rows[0]] or [None]))
    if spoilt is not None and UNFIT[spoilt.type] and spoilt.new_level == "refuse":
        bad = draw(st.sampled_from(UNFIT[spoilt.type]))
        at = draw(st.integers(0, len(rows) - 1))
        good = rows[0][spoilt.name]
        for i, row in enumerate(rows):
            row[spoilt.name] = bad if i == at else good if type(good) is type(bad) else None
    return schema, rows


@settings(max_examples=200, deadline=None)
@given(faulty())
def test_the_same_faults_are_told_in_every_format(question: tuple[Schema, list[Row]]) -> None:
    schema, rows = question
    names = {i.name: i.type for i in schema.inputs}
    types = {name: _arrow_type_of([row[name] for row in rows]) for name in rows[0] if name in names}
    [(_, as_json), (_, as_columns), *_] = every_body_with(rows, schema, types)
    try:
        expected = typed(BodyFormat.JSON, as_json, schema)
    except Invalid:
        told = faults(BodyFormat.JSON, as_json, schema)
        assert told
        for body_format, body in every_body_with(rows, schema, types)[1:]:
            assert faults(body_format, body, schema) == told, body_format
    else:
        assert typed(BodyFormat.JSON, as_columns, schema) == expected


def _arrow_type_of(values: list[Any]) -> pa.DataType:
    """The type that holds a column's values as they are, special numbers aside."""
    kinds = {type(v) for v in values if v is not None and v not in ("NaN", "Inf", "-Inf")}
    if kinds <= {float} and any(isinstance(v, float | str) for v in values):
        return pa.float64()
    return {bool: pa.bool_(), int: pa.int64(), str: pa.utf8(), float: pa.float64()}[kinds.pop()] if kinds else pa.utf8()


def every_body_with(rows: list[Row], schema: Schema, types: dict[str, pa.DataType]) -> list[tuple[BodyFormat, bytes]]:
    return [
        (BodyFormat.JSON, json_rows(rows)),
        (BodyFormat.JSON, json_columns(rows)),
        (BodyFormat.ARROW, arrow(rows, schema, **types)),
        (BodyFormat.CSV, csv_body(rows, schema)),
    ]


# Replies

DOUBLES = st.one_of(st.floats(), st.sampled_from([NA_REAL, -0.0, 5e-324, 1.7976931348623157e308, 0.1]))
LABELS = st.lists(TEXTS, min_size=1, max_size=4, unique=True).map(tuple)


@st.composite
def columns(draw: st.DrawFn, rows: int) -> Predicted:
    def of(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(values, min_size=rows, max_size=rows))

    match draw(st.sampled_from(["number", "integer", "logical", "string", "label"])):
        case "number":
            return Predicted("number", array("d", of(DOUBLES)))
        case "integer":
            return Predicted("integer", array("i", of(st.integers(-(2**31), 2**31 - 1))))
        case "logical":
            return Predicted("logical", array("i", of(st.sampled_from([0, 1, NA_INTEGER]))))
        case "string":
            return Predicted("string", of(TEXTS.filter(lambda t: t not in ("NaN", "Inf", "-Inf")) | st.none()))
    levels = tuple(level for level in draw(LABELS) if level not in ("NaN", "Inf", "-Inf")) or ("a",)
    return Predicted("integer", array("i", of(st.integers(1, len(levels)) | st.just(NA_INTEGER))), levels)


@st.composite
def predictions(draw: st.DrawFn) -> Predictions:
    rows = draw(st.integers(1, 5))
    if draw(st.booleans()):
        return Predictions((draw(columns(rows)),), None)
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    return Predictions(tuple(draw(columns(rows)) for _ in names), tuple(names))


@settings(max_examples=300, deadline=None)
@given(predictions(), st.data())
def test_the_same_predictions_are_read_back_from_every_format(given: Predictions, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(given) - 1))
    stop = data.draw(st.integers(start + 1, len(given)))
    replies = []
    for body_format in (BodyFormat.JSON, BodyFormat.ARROW, BodyFormat.CSV):
        body, _ = codec(body_format).encoder("m", "v", given).encode(start, stop, ())
        replies.append(read_reply(body_format, body))
    assert replies[0] == replies[1] == replies[2]
    assert list(replies[0]) == list(given.names or ("prediction",))
    for name, column in zip(replies[0], given.columns, strict=True):
        if column.kind == "number" and column.levels is None:
            assert replies[0][name] == [_told(v) for v in column.values[start:stop]]


def _told(value: Any) -> Any:
    if math.isnan(value):
        return None if bits(value) & 0xFFFFFFFF == 1954 else ("double", "NaN")
    return ("double", bits(value))
