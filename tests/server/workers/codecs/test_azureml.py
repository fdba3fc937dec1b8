"""The codec of Azure ML's `/score`: each table is the same as in Tandem's JSON, and any other body is refused."""

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
from server.wire.schema import Input, Output, Schema
from server.workers.codecs.azureml import AZUREML, FORMS
from server.workers.errors import BadBody, Invalid
from server.workers.predictions import Predicted, Predictions
from server.workers.table import to_columns
from tests.server.workers.codecs.bodies import Row, json_rows
from tests.server.workers.codecs.test_agreement import questions, settled, typed

SCHEMA = Schema((Input("x", "numeric"), Input("s", "string")), (Output("response", "number"),))
TEXT = Schema((Input("text", "string"),), (Output("class", "label"),))
IMAGE = Schema((Input("image", "image"),), (Output("top", "ranking"),))
TENSOR = Schema((Input("x", "tensor", shape=(2, None)),), (Output("response", "number"),))


def cells(body: Any, schema: Schema) -> list[Any]:
    return AZUREML.decode(orjson.dumps(body), schema).cells


@given(questions())
def test_every_table_is_the_same_columns_as_in_json(question: tuple[Schema, list[Row]]) -> None:
    schema, rows = question
    names = list(rows[0])
    expected = typed(BodyFormat.JSON, json_rows(rows), schema)
    split = {"columns": names, "data": [[row[name] for name in names] for row in rows]}
    for body in ({"data": rows}, {"df": rows}, {"input_data": rows}, {"input_data": split}, {"input": rows}):
        found = AZUREML.decode(orjson.dumps(body), schema)
        assert (found.rows, found.warnings, settled(to_columns(schema, found.cells))) == expected, body


def test_a_scalar_is_a_list_of_one_where_columns_are_meant() -> None:
    for form in ("data", "df", "input_data"):
        assert cells({form: {"x": 4, "s": "a"}}, SCHEMA) == [[4], ["a"]]


def test_a_model_of_one_input_takes_cells() -> None:
    asked: list[tuple[Any, list[str], bool]] = [
        ("hello", ["hello"], True),
        ({"text": "hello"}, ["hello"], True),
        (["a", "b"], ["a", "b"], False),
        ([["a"], ["b"]], ["a", "b"], False),
        ([{"text": "a"}], ["a"], False),
    ]
    for body, values, one in asked:
        question = AZUREML.decode(orjson.dumps({"input": body}), TEXT)
        assert (question.cells, question.wanted.one) == ([values], one)


def test_a_tensor_is_one_or_a_list_by_its_depth() -> None:
    one = [[1, 2], [3, 4]]
    assert AZUREML.decode(orjson.dumps({"input": one}), TENSOR).cells == [[one]]
    assert AZUREML.decode(orjson.dumps({"input": [one, one]}), TENSOR).cells == [[one, one]]
    assert cells({"data": [one, one]}, TENSOR) == [[one, one]]


def test_an_image_is_read_as_it_is_quoted_or_written_as_pythons_bytes() -> None:
    for text in ("QUJD", '"QUJD"', "b'QUJD'", 'b"QUJD"'):
        question = AZUREML.decode(orjson.dumps({"input": {"a": text}}), IMAGE)
        assert (question.cells, question.wanted.names) == ([["QUJD"]], ["a"])


def test_bare_words_and_midnights_are_what_pandas_means_by_them() -> None:
    schema = Schema((Input("x", "numeric"), Input("d", "date")), SCHEMA.outputs)
    question = AZUREML.decode(b'{"data": [[NaN, "2024-02-29T00:00:00.000"], [-Infinity, NaN]]}', schema)
    assert question.cells == [["NaN", "-Inf"], ["2024-02-29", None]]


@pytest.mark.parametrize(
    "body", [b"", b"[]", {}, {"data": []}, {"data": {}}, {"df": 1}, {"input": []}, {"data": [[1, "a"]], "df": []}]
)
def test_bad_bodies_are_refused(body: Any) -> None:
    with pytest.raises((BadBody, Invalid)):
        AZUREML.decode(body if type(body) is bytes else orjson.dumps(body), SCHEMA)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["columns", "data", "index", "x", "s"]), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from([*FORMS, "params"]), JSON, max_size=2), st.sampled_from([SCHEMA, TEXT, TENSOR]))
def test_any_document_is_refused_or_read_and_nothing_else(document: Any, schema: Schema) -> None:
    with suppress(BadBody, Invalid):
        question = AZUREML.decode(json.dumps(document).encode(), schema)
        assert {len(column) for column in to_columns(schema, question.cells)} == {question.rows}


def test_replies_are_bare_arrays_and_answers_of_an_input_have_their_time() -> None:
    predictions = Predictions((Predicted("number", array("d", [1.5, 2.5])),), None)
    encoder = AZUREML.encoder("m", "v", predictions)
    assert encoder.encode(0, 2, ("careful",)) == (b"[1.5,2.5]", b'["careful"]')
    one = AZUREML.decode(b'{"input": {"x": 1, "s": "a"}}', SCHEMA).wanted
    [answer, time] = orjson.loads(encoder.encode(1, 2, (), one)[0])["result"]
    assert answer == 2.5 and time.startswith("Computed in ")
