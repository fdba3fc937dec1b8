"""MLflow's codec: each of its forms is the same table as in Tandem's JSON, and any other body is refused."""

from __future__ import annotations

import json
from array import array
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.wire.frames import BodyFormat
from server.wire.schema import Input, Option, Output, Schema
from server.workers.codecs.mlflow import FORMS, MLFLOW
from server.workers.errors import BadBody, Invalid
from server.workers.predictions import Predicted, Predictions
from server.workers.table import NA_INTEGER, NA_REAL, to_columns
from tests.server.workers.codecs.bodies import Row, json_rows
from tests.server.workers.codecs.test_agreement import questions, settled, typed

SCHEMA = Schema((Input("x", "numeric"), Input("s", "string")), (Output("response", "number"), Output("p", "columns")))


def bodies(schema: Schema, rows: list[Row]) -> dict[str, Any]:
    names = list(rows[0])
    return {
        "dataframe_split": {
            "columns": names,
            "index": [*range(len(rows))],
            "data": [[row[name] for name in names] for row in rows],
        },
        "dataframe_records": rows,
        "instances": rows,
        "inputs": {name: [[row[name]] for row in rows] for name in names},
    }


@given(questions())
def test_every_form_is_the_same_columns_as_in_json(question: tuple[Schema, list[Row]]) -> None:
    schema, rows = question
    expected = typed(BodyFormat.JSON, json_rows(rows), schema)
    for form, table in bodies(schema, rows).items():
        found = MLFLOW.decode(orjson.dumps({form: table}), schema)
        assert (found.rows, found.warnings, settled(to_columns(schema, found.cells))) == expected, form


def test_without_names_the_order_is_the_models() -> None:
    rows = [[1.5, "a"], [2.5, "b"]]
    for body in ({"dataframe_split": {"data": rows}}, {"instances": rows}, {"inputs": rows}):
        assert MLFLOW.decode(orjson.dumps(body), SCHEMA).cells == [[1.5, 2.5], ["a", "b"]]


def test_what_pandas_writes_for_missing_values_and_dates() -> None:
    schema = Schema(
        (Input("x", "numeric"), Input("i", "integer"), Input("s", "string"), Input("d", "date")), SCHEMA.outputs
    )
    text = b'{"dataframe_split":{"columns":["x","i","s","d"],"data":[[NaN,NaN,NaN,"2024-02-29T00:00:00.000"],'
    question = MLFLOW.decode(text + b'[-Infinity,3,"NaN",NaN]]}}', schema)
    assert question.cells == [["NaN", "-Inf"], [None, 3], [None, "NaN"], ["2024-02-29", None]]


def test_params_are_options_and_the_output() -> None:
    schema = Schema(SCHEMA.inputs, SCHEMA.outputs, (Option("level", "numeric"),))
    body = {"instances": [[1, "a"]], "params": {"output": "p", "level": 0.9}}
    question = MLFLOW.decode(orjson.dumps(body), schema)
    assert (question.output, question.options) == ("p", {"level": 0.9})


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{",
        {},
        {"instances": [[1, "a"]], "inputs": [[1, "a"]]},
        {"instances": []},
        {"instances": {}},
        {"instances": [[1]]},
        {"instances": [[1, "a"]], "params": []},
        {"dataframe_split": []},
        {"dataframe_split": {"data": []}},
        {"dataframe_split": {"columns": ["x", "x"], "data": [[1, 2]]}},
        {"dataframe_split": {"columns": ["x", "s"], "data": [[1]]}},
        {"dataframe_split": {"columns": ["x"], "data": [[1]]}},
        {"dataframe_split": {"columns": [1], "data": [[1]]}},
        {"dataframe_records": [{"x": 1}]},
        {"inputs": {"x": [1, 2], "s": ["a"]}},
        {"inputs": {"x": 1, "s": "a"}},
        b'{"instances":[{"x":1,"x":2,"s":"a"}]}',
    ],
)
def test_bad_bodies_are_refused(body: Any) -> None:
    if type(body) is dict and body.get("instances") and body.get("params") == []:
        body["params"] = [1]
    with pytest.raises((BadBody, Invalid)):
        MLFLOW.decode(body if type(body) is bytes else orjson.dumps(body), SCHEMA)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["columns", "data", "index", "x", "s"]), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from([*FORMS, "params"]), JSON, max_size=2))
def test_any_document_is_refused_or_read_and_nothing_else(document: Any) -> None:
    with suppress(BadBody, Invalid):
        question = MLFLOW.decode(json.dumps(document).encode(), SCHEMA)
        assert {len(column) for column in to_columns(SCHEMA, question.cells)} == {question.rows}


def replied(predictions: Predictions) -> Any:
    body, notes = MLFLOW.encoder("m", "v", predictions).encode(0, len(predictions), ("careful",))
    assert orjson.loads(notes) == ["careful"]
    return orjson.loads(body)["predictions"]


def test_nan_is_null_in_a_reply_and_a_label_of_that_name_is_not() -> None:
    numbers = Predicted("number", array("d", [float("nan"), NA_REAL, float("inf"), 1.5]))
    assert replied(Predictions((numbers,), None)) == [None, None, "Inf", 1.5]
    labels = Predicted("integer", array("i", [1, NA_INTEGER, 1, 1]), ("NaN",))
    assert replied(Predictions((labels,), None)) == ["NaN", None, "NaN", "NaN"]
    assert replied(Predictions((numbers, labels), ("n", "l")))[0] == {"n": None, "l": "NaN"}
