"""Vetiver's codecs: records are the same rows as in Tandem's JSON, in the words of R's client and of Python's."""

from __future__ import annotations

import math
from array import array
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.wire.frames import BodyFormat
from server.wire.schema import Input, Output, Schema
from server.workers.codecs.vetiver import VETIVER, VETIVER_PYTHON
from server.workers.errors import BadBody, Invalid
from server.workers.predictions import Predicted, Predictions
from server.workers.table import NA_INTEGER, NA_REAL, to_columns
from tests.server.workers.codecs.bodies import Row, json_rows
from tests.server.workers.codecs.test_agreement import questions, settled, typed

OUTPUTS = (Output("response", "number"), Output("class", "label", ("NaN", "b")), Output("p", "columns"))
SCHEMA = Schema((Input("x", "numeric"), Input("s", "string")), OUTPUTS)


@given(questions())
def test_records_are_the_same_columns_as_in_json(question: tuple[Schema, list[Row]]) -> None:
    schema, rows = question
    if any("NA" in row.values() for row in rows):
        return  # what that means is told apart below
    found = VETIVER.decode(orjson.dumps(rows), schema)
    columns = settled(to_columns(schema, found.cells))
    assert (found.rows, found.warnings, columns) == typed(BodyFormat.JSON, json_rows(rows), schema)


def test_the_text_na_is_missing_where_it_cannot_be_a_value() -> None:
    schema = Schema(
        (
            *(Input("x", "numeric"), Input("i", "integer"), Input("l", "logical"), Input("d", "date")),
            *(Input("s", "string"), Input("known", "string", ("a",)), Input("f", "factor", ("a",))),
            Input("g", "factor", ("NA", "a")),
        ),
        OUTPUTS,
    )
    question = VETIVER.decode(orjson.dumps([dict.fromkeys(schema.input_names, "NA")]), schema)
    assert question.cells == [[None], [None], [None], [None], ["NA"], [None], [None], ["NA"]]


def test_days_and_times_come_as_milliseconds_too() -> None:
    schema = Schema((Input("d", "date"), Input("t", "datetime")), OUTPUTS)
    rows = [{"d": 1709164800000, "t": 1709210096123}, {"d": "2024-02-29", "t": "2024-02-29 12:34:56.123"}]
    columns = to_columns(schema, VETIVER.decode(orjson.dumps(rows), schema).cells)
    assert [list(column) for column in columns] == [[19782.0, 19782.0], [1709210096.123, 1709210096.123]]  # type: ignore[arg-type]
    for unfit in ({"d": 1709164800001, "t": 0}, {"d": 0, "t": 10**18}, {"d": 10**18 - 10**18 % 86400000, "t": 0}):
        with pytest.raises(Invalid):
            to_columns(schema, VETIVER.decode(orjson.dumps([unfit]), schema).cells)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"{}", b"[]", b"[1]", b"[[]]", b'[{"x":1}]', b'[{"x":1,"x":2,"s":"a"}]', b"[" * 100_000, b"\xff"],
)
def test_bad_bodies_are_refused(body: bytes) -> None:
    with pytest.raises((BadBody, Invalid)):
        VETIVER.decode(body, SCHEMA)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "s", "y"]), inner, max_size=3),
    max_leaves=10,
)


@given(VALUES)
def test_any_document_is_refused_or_read_and_nothing_else(document: Any) -> None:
    with suppress(BadBody, Invalid, TypeError):  # the last is orjson's, of integers that JSON has no room for
        body = orjson.dumps(document)
        question = VETIVER.decode(body, SCHEMA)
        assert {len(column) for column in to_columns(SCHEMA, question.cells)} == {question.rows}


NUMBERS = Predicted("number", array("d", [math.nan, NA_REAL, math.inf, 1.5]))
LABELS = Predicted("integer", array("i", [1, NA_INTEGER, 2, 2]), ("NaN", "b"))


def replied(codec: Any, predictions: Predictions, output: str) -> Any:
    body, notes = codec.encoder("m", "v", predictions, SCHEMA, output).encode(0, 4, ("careful",))
    assert orjson.loads(notes) == ["careful"]
    return orjson.loads(body)


def test_rs_reply_is_a_table_with_tidymodels_names() -> None:
    assert replied(VETIVER, Predictions((NUMBERS,), None), "response") == [
        {".pred": "NaN"},
        {".pred": None},
        {".pred": "Inf"},
        {".pred": 1.5},
    ]
    assert replied(VETIVER, Predictions((LABELS,), None), "class")[:2] == [
        {".pred_class": "NaN"},
        {".pred_class": None},
    ]
    both = replied(VETIVER, Predictions((NUMBERS, NUMBERS), ("a", "b")), "p")
    assert both[3] == {".pred_a": 1.5, ".pred_b": 1.5}


def test_pythons_reply_is_a_list_where_nan_is_null() -> None:
    assert replied(VETIVER_PYTHON, Predictions((NUMBERS,), None), "response") == {"predict": [None, None, "Inf", 1.5]}
    assert replied(VETIVER_PYTHON, Predictions((LABELS,), None), "class") == {"predict": ["NaN", None, "b", "b"]}
    both = replied(VETIVER_PYTHON, Predictions((NUMBERS, LABELS), ("a", "b")), "p")
    assert both == {"predict": [[None, "NaN"], [None, None], ["Inf", "b"], [1.5, "b"]]}
