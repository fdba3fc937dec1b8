"""Machine Learning Server's codec: values, lists and data frames are the same table as in Tandem's JSON."""

from __future__ import annotations

from array import array
from typing import Any

import orjson
import pytest
from hypothesis import given

from server.wire.frames import BodyFormat
from server.wire.schema import Input, Option, Output, Schema
from server.workers.codecs.mls import MLS, Form
from server.workers.codecs.mls_reply import of_script
from server.workers.errors import BadBody, Invalid
from server.workers.predictions import Predicted, Predictions
from server.workers.table import NA_REAL, to_columns
from tests.server.workers.codecs.bodies import Row, json_rows
from tests.server.workers.codecs.test_agreement import questions, settled, typed

SCHEMA = Schema((Input("x", "numeric"), Input("s", "string")), (Output("response", "number"), Output("p", "columns")))
TENSOR = Schema((Input("t", "tensor", shape=(2,)),), (Output("response", "number"),))
AHEAD = Schema((), (Output("mean", "number"),), (Option("h", "integer", 10),), horizon=True)


def read(body: Any, schema: Schema = SCHEMA, name: bytes = b"") -> Any:
    return MLS.decode(body if isinstance(body, bytes) else orjson.dumps(body), schema, name)


def encoded(predictions: Predictions, form: Form, stop: int = 1, warnings: tuple[str, ...] = ()) -> Any:
    body, notes = MLS.encoder("m", "v", predictions, SCHEMA, "response").encode(0, stop, warnings, form)
    assert notes == b""
    return orjson.loads(body)


@given(questions())
def test_lists_and_frames_are_the_same_columns_as_in_json(question: tuple[Schema, list[Row]]) -> None:
    schema, rows = question
    expected = typed(BodyFormat.JSON, json_rows(rows), schema)
    lists = {name: [row[name] for row in rows] for name in rows[0]}
    for body in (lists, {"inputData": lists}):
        found = read(body, schema)
        assert (found.rows, found.warnings, settled(to_columns(schema, found.cells))) == expected


def test_values_alone_are_one_row_and_are_answered_by_a_value() -> None:
    values = read({"x": 1.5, "s": "a"}, name=b"answer")
    assert (values.cells, values.rows, values.wanted) == ([[1.5], ["a"]], 1, Form("answer", False, True))
    beside = read({"x": 1.5, "s": ["a"], "more": 2})
    assert (beside.cells, beside.wanted.one) == ([[1.5], ["a"]], False)
    assert beside.warnings == ('column "more" is not an input of this model and was ignored',)
    assert read({"inputData": {"x": 1.5, "s": "a"}}).wanted == Form("", True, False)
    assert read(b'{"x":NaN,"s":null}').cells == [["NaN"], [None]]


def test_a_tensor_is_a_value_of_as_many_arrays_as_it_has_dimensions() -> None:
    assert (read({"t": [1, 2]}, TENSOR).cells, read({"t": [1, 2]}, TENSOR).wanted.one) == ([[[1, 2]]], True)
    assert (read({"t": [[1, 2]]}, TENSOR).cells, read({"t": [[1, 2]]}, TENSOR).wanted.one) == ([[[1, 2]]], False)


def test_an_input_may_be_called_as_the_data_frame() -> None:
    schema = Schema((Input("inputData", "numeric"),), SCHEMA.outputs)
    assert read({"inputData": 2.0}, schema).wanted == Form("", False, True)


def test_a_horizon_has_its_options_for_inputs() -> None:
    for body in ({"h": 3}, {"h": [3]}):
        question = read(body, AHEAD)
        assert (question.rows, question.options, question.wanted.one) == (0, {"h": 3}, False)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"1"])
def test_what_is_no_object_is_no_body(body: bytes) -> None:
    with pytest.raises(BadBody):
        read(body)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "the columns are not those of the model"),
        ({"x": 1}, "the columns are not those of the model"),
        ({"x": [1, 2], "s": "a"}, "the columns have different lengths"),
        ({"x": [], "s": []}, "there are no rows"),
        ({"inputData": [1]}, "must be an object"),
        (b'{"x":1,"s":"a","x":2}', "named twice"),
        (b'{"inputData":{"x":1,"s":"a","x":2}}', "named twice"),
    ],
)
def test_what_does_not_fit_is_told(body: Any, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        read(body)


NUMBERS = Predictions((Predicted("number", array("d", [0.1 + 0.2, NA_REAL])),), None)
COLUMNS = Predictions((Predicted("number", array("d", [0.5, 1])), Predicted("string", ["a", None])), ("p", "q"))


def test_replies_have_the_form_of_the_question() -> None:
    whole = encoded(NUMBERS, Form("", False, True), warnings=("one", "two"))
    rest = {"success": True, "errorMessage": "", "consoleOutput": "one\ntwo", "changedFiles": [], "outputFiles": {}}
    assert whole == rest | {"outputParameters": {"response": 0.30000000000000004}}
    assert encoded(NUMBERS, Form("a"), 2)["outputParameters"] == {"a": [0.30000000000000004, None]}
    assert encoded(NUMBERS, Form("a", True), 2)["outputData"] == {"a": [0.30000000000000004, None]}
    assert encoded(COLUMNS, Form("", False, True))["outputParameters"] == {"response": {"p": [0.5], "q": ["a"]}}
    assert encoded(COLUMNS, Form("", True), 2)["outputData"] == {"p": [0.5, 1.0], "q": ["a", None]}


def test_a_scripts_reply_is_one_output() -> None:
    assert orjson.loads(of_script(b'{"a":1}', b""))["outputParameters"] == {"result": {"a": 1}}
    assert orjson.loads(of_script(b"1", b"answer"))["outputParameters"] == {"answer": 1}
