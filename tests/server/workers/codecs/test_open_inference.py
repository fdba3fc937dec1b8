"""The Open Inference Protocol's codec: the cells of the other formats, and of bodies that lie a refusal, never more."""

from __future__ import annotations

import json
import struct
from array import array
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from server.wire.frames import BodyFormat
from server.wire.schema import Input, InputType, Option, Output, Schema
from server.workers.codecs import Question
from server.workers.codecs.open_inference import OPEN_INFERENCE
from server.workers.codecs.open_inference_message import Wanted
from server.workers.errors import BadBody, Invalid
from server.workers.predictions import Predicted, Predictions
from server.workers.table import NA_INTEGER, NA_REAL, to_columns
from tests.server.workers.codecs.bodies import SPECIAL, Row, bits, json_rows
from tests.server.workers.codecs.test_agreement import questions, settled, typed

OUTPUTS = (Output("response", "number"), Output("class", "label", ("a", "b")))
SCHEMA = Schema(
    (Input("x", "numeric"), Input("i", "integer"), Input("l", "logical"), Input("s", "string")),
    OUTPUTS,
    (Option("times", "numeric"),),
)
DATATYPES = {"numeric": "FP64", "integer": "INT32", "logical": "BOOL"}


def one(type: InputType, **more: Any) -> Schema:
    return Schema((Input("x", type, **more),), OUTPUTS)


def body(tensors: Sequence[dict[str, Any]], blobs: Sequence[bytes] = (), **more: Any) -> tuple[bytes, bytes]:
    """A body, and the length of its head if bytes follow it."""
    head = orjson.dumps({"inputs": list(tensors)} | more)
    return head + b"".join(blobs), b"%d" % len(head) if blobs else b""


def tensor(name: str, datatype: str, values: Sequence[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [len(values)], "data": list(values)}


def behind(name: str, datatype: str, count: int, blob: bytes) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [count], "parameters": {"binary_data_size": len(blob)}}


def texts(values: Sequence[bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(value)) + value for value in values)


def decode(given: tuple[bytes, bytes], schema: Schema = SCHEMA) -> Question:
    return OPEN_INFERENCE.decode(given[0], schema, given[1])


def columns_of(rows: Sequence[Row], schema: Schema, binary: bool) -> tuple[bytes, bytes]:
    kinds = {i.name: DATATYPES.get(i.type, "BYTES") for i in schema.inputs}
    tensors, blobs = [], []
    for name in rows[0]:
        values, datatype = [row[name] for row in rows], kinds.get(name, "BYTES")
        if binary and datatype == "FP64":
            blobs.append(struct.pack(f"<{len(rows)}d", *(NA_REAL if v is None else SPECIAL.get(v, v) for v in values)))
        elif binary and None not in values:
            blobs.append(
                texts([v.encode() for v in values])
                if datatype == "BYTES"
                else struct.pack(f"<{len(rows)}{'i' if datatype == 'INT32' else '?'}", *values)
            )
        else:
            tensors.append(tensor(name, datatype, values))
            continue
        tensors.append(behind(name, datatype, len(rows), blobs[-1]))
    return body(tensors, blobs)


@given(questions(), st.booleans())
def test_the_same_rows_are_the_same_columns_as_in_json(question: tuple[Schema, list[Row]], binary: bool) -> None:
    schema, rows = question
    assume(len(schema.inputs) > 1 or schema.inputs[0].name in rows[0])  # else a lone tensor is taken for it
    found = decode(columns_of(rows, schema, binary), schema)
    columns = settled(to_columns(schema, found.cells))
    assert (found.rows, found.warnings, columns) == typed(BodyFormat.JSON, json_rows(rows), schema)


ROWS = [{"x": 1.5, "i": 3, "l": True, "s": "süß"}, {"x": -0.0, "i": -4, "l": False, "s": ""}]
GOOD = columns_of(ROWS, SCHEMA, True)


@settings(max_examples=300)
@given(st.data())
def test_a_damaged_body_is_refused_or_read_and_nothing_else(data: st.DataObject) -> None:
    whole, size = GOOD
    damaged = bytearray(whole)
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=4)):
        damaged[at] = data.draw(st.integers(0, 255))
    cut = bytes(damaged[: data.draw(st.integers(0, len(whole) + 1))]) + data.draw(st.binary(max_size=5))
    told = data.draw(st.sampled_from([size, b"", b"0", b"9999999999", b"%d" % (int(size) - 1), b"%d" % len(cut)]))
    try:
        question = decode((cut, told))
        assert {len(column) for column in to_columns(SCHEMA, question.cells)} == {question.rows}
    except (BadBody, Invalid):
        pass


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["FP64", "BYTES", "x", "NaN", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["inputs", "outputs", "name", "shape", "datatype", "data", "parameters", "binary_data_size"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["inputs", "outputs", "parameters", "id"]), JSON), st.binary(max_size=9))
def test_any_document_is_refused_or_read_and_nothing_else(document: Any, blob: bytes) -> None:
    head = json.dumps(document).encode()
    for given_body in ((head, b""), (head + blob, b"%d" % len(head))):
        with suppress(BadBody, Invalid):
            decode(given_body)


X = tensor("x", "FP64", [1])


@pytest.mark.parametrize(
    ("tensors", "blobs", "words"),
    [
        ([behind("x", "FP64", 2, bytes(8))], [bytes(8)], "of 2 values has 8 bytes"),
        ([behind("x", "FP64", 1, bytes(8))], [bytes(9)], "1 bytes follow the last tensor"),
        ([behind("x", "FP64", 1, bytes(8))], [bytes(7)], "is not in the body"),
        ([behind("x", "FP64", 1, b"") | {"parameters": {"binary_data_size": -8}}], [bytes(8)], "is not in the body"),
        ([behind("x", "BYTES", 1, bytes(5))], [b"\2\0\0\0a"], "ends inside of value 0"),
        ([behind("x", "BYTES", 2, bytes(5))], [b"\1\0\0\0a"], "of 2 values has 1"),
        ([behind("x", "BYTES", 1, bytes(8))], [b"\xff\xff\xff\xffabcd"], "ends inside of value 0"),
        ([behind("x", "BOOL", 1, bytes(1))], [b"\2"], "neither 0 nor 1"),
        ([X | {"shape": [2]}], [], "has 1 values, its shape"),
        ([X | {"shape": [2, 2], "data": [[1, 2], [3]]}], [], "is not of its shape"),
        ([X | {"shape": []}], [], "one to 32 sizes"),
        ([X | {"shape": [1] * 33}], [], "one to 32 sizes"),
        ([X | {"shape": [True]}], [], "one to 32 sizes"),
        ([X | {"datatype": "FP128"}], [], "datatype"),
        ([X | {"data": None}], [], "neither"),
        ([X | {"parameters": {"binary_data_size": 0}}], [], "both"),
        ([X] * 2000, [], "no more than"),
    ],
)
def test_a_body_whose_lengths_do_not_add_up_is_told_where(tensors: Any, blobs: list[bytes], words: str) -> None:
    with pytest.raises(BadBody, match=words):
        decode(body(tensors, blobs))


@pytest.mark.parametrize(
    ("schema", "tensors", "words"),
    [
        (SCHEMA, [X], "not the columns of the model"),
        (one("numeric"), [X, X], "there twice"),
        (one("numeric"), [X | {"shape": [0], "data": []}], "no rows"),
        (one("numeric"), [X | {"data": ["a"]}], "not of its datatype"),
        (one("numeric"), [X | {"datatype": "INT64", "data": [1.5]}], "not of its datatype"),
        (one("numeric"), [X | {"datatype": "BOOL", "data": [1]}], "not of its datatype"),
        (one("numeric"), [X | {"datatype": "FP32", "data": [1e300]}], "not of its datatype"),
        (one("numeric"), [X | {"shape": [1, 1, 1]}], "other shapes"),
        (SCHEMA, [X | {"shape": [1, 4], "datatype": "BYTES", "data": ["a"] * 4}], "not the columns"),
        (one("tensor", shape=(2,)), [X | {"shape": [1, 3], "data": [1, 2, 3]}], "other shapes"),
        (one("tensor", shape=(2,)), [X | {"shape": [1, 2], "data": [1, None]}], "not those of the model"),
    ],
)
def test_tensors_that_do_not_fit_the_model_are_refused(schema: Schema, tensors: Any, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        decode(body(tensors), schema)


def test_a_whole_number_that_no_double_holds_is_refused() -> None:
    blob = struct.pack("<q", 2**53 + 1)
    for given_body in (body([behind("x", "INT64", 1, blob)], [blob]), body([tensor("x", "INT64", [2**53 + 1])])):
        with pytest.raises(Invalid):
            to_columns(one("numeric"), decode(given_body, one("numeric")).cells)


def test_numbers_of_less_precision_are_widened_alike_in_json_and_in_bytes() -> None:
    for datatype, letter in (("FP32", "f"), ("FP16", "e")):
        blob = struct.pack(f"<2{letter}", 0.1, -2.5)
        in_bytes = decode(body([behind("x", datatype, 2, blob)], [blob]), one("numeric")).cells[0]
        in_json = decode(body([tensor("x", datatype, [0.1, -2.5])]), one("numeric")).cells[0]
        assert list(in_bytes) == in_json == list(struct.unpack(f"<2{letter}", blob))


@pytest.mark.parametrize("letter", "bBhHiIqQ")
def test_whole_numbers_of_every_size(letter: str) -> None:
    datatype = ("U" if letter.isupper() else "") + f"INT{8 * struct.calcsize(f'<{letter}')}"
    blob = struct.pack(f"<2{letter}", 1, 100)
    for kind in ("numeric", "integer"):
        schema = one(kind)  # type: ignore[arg-type]
        assert list(to_columns(schema, decode(body([behind("x", datatype, 2, blob)], [blob]), schema).cells)[0]) == [
            1,
            100,
        ]


def test_bare_words_of_other_json_writers_are_understood() -> None:
    text = b'{"inputs":[{"name":"x","datatype":"FP64","shape":[3],"data":[NaN,Infinity,-Infinity]}]}'
    assert OPEN_INFERENCE.decode(text, one("numeric")).cells == [["NaN", "Inf", "-Inf"]]


def test_a_bare_word_is_no_text() -> None:
    text = b'{"inputs":[{"name":"x","datatype":"BYTES","shape":[1],"data":[NaN]}]}'
    with pytest.raises(Invalid, match="not of its datatype"):
        OPEN_INFERENCE.decode(text, one("string"))


def test_a_missing_whole_number_comes_as_nan() -> None:
    blob = struct.pack("<2d", float("nan"), 3.0)
    for given_body in (body([behind("x", "FP64", 2, blob)], [blob]), body([tensor("x", "FP64", ["NaN", 3.0])])):
        assert list(to_columns(one("integer"), decode(given_body, one("integer")).cells)[0]) == [NA_INTEGER, 3]


def test_nan_is_refused_where_the_model_takes_none() -> None:
    for number in (NA_REAL, float("nan")):
        blob = struct.pack("<2d", number, 3.0)
        schema = one("numeric", na=False)
        with pytest.raises(Invalid):
            to_columns(schema, decode(body([behind("x", "FP64", 2, blob)], [blob]), schema).cells)


def test_outputs_options_and_unknown_parameters() -> None:
    more = {
        "parameters": {"times": 2, "timeout": 5, "strange": 1},
        "outputs": [{"name": "class"}, {"name": "response", "parameters": {"binary_data": True}}],
        "id": "7",
    }
    question = decode(body([X], **more), Schema((Input("x", "numeric"),), OUTPUTS, SCHEMA.options))
    assert (question.output, question.more, question.options) == ("class", ("response",), {"times": 2})
    assert question.warnings == ('parameter "strange" is no option of this model and was ignored',)
    assert question.wanted == Wanted("7", {"response": True}, False)
    with pytest.raises(BadBody, match="named twice"):
        decode(body([X], outputs=[{"name": "class"}] * 2))


# Replies


def replied(predictions: Predictions, start: int, stop: int, binary: bool, kind: str = "number") -> dict[str, Any]:
    """The one output of a reply, its bytes as `blob`."""
    schema = Schema(SCHEMA.inputs, (Output("out", kind, ("a", "b") if kind == "label" else None), *OUTPUTS))
    encoder = OPEN_INFERENCE.encoder("m", "v", predictions, schema, "out")
    told, notes = encoder.encode(start, stop, (), Wanted(otherwise=binary))
    size = int(notes) if notes else len(told)
    document = orjson.loads(told[:size])
    assert (document["model_name"], document["model_version"]) == ("m", "v")
    [output] = document["outputs"]
    return dict(output) | {"blob": told[size:]}


@given(st.lists(st.floats(width=64), min_size=1, max_size=9), st.data())
def test_a_share_of_doubles_has_their_bits(values: list[float], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(values) - 1))
    predictions = Predictions((Predicted("number", array("d", values)),), None)
    output = replied(predictions, start, len(values), True)
    assert (output["datatype"], output["shape"]) == ("FP64", [len(values) - start])
    found = struct.unpack(f"<{len(values) - start}d", output["blob"])
    assert [bits(v) for v in found] == [bits(v) for v in values[start:]]


def test_what_cannot_say_that_a_value_is_missing_is_sent_as_what_can() -> None:
    whole = Predictions((Predicted("integer", array("i", [1, NA_INTEGER, 3])),), None)
    assert replied(whole, 0, 3, True)["datatype"] == "FP64"
    assert bits(struct.unpack("<3d", replied(whole, 0, 3, True)["blob"])[1]) == bits(NA_REAL)
    assert replied(whole, 0, 3, False)["data"] == [1.0, None, 3.0]
    assert replied(whole, 2, 3, True)["blob"] == struct.pack("<i", 3), "a share without a missing value stays INT32"
    logical = Predictions((Predicted("logical", array("i", [1, NA_INTEGER])),), None)
    assert replied(logical, 0, 2, False)["data"] == [1.0, None]
    assert (replied(logical, 0, 1, False)["datatype"], replied(logical, 0, 1, False)["data"]) == ("BOOL", [True])
    labels = Predictions((Predicted("integer", array("i", [1, NA_INTEGER]), ("a", "b")),), None)
    assert replied(labels, 0, 2, True, "label") == {
        "name": "out", "datatype": "BYTES", "shape": [2], "data": ["a", None], "blob": b""
    }  # fmt: skip
    assert replied(labels, 0, 1, True, "label")["blob"] == texts([b"a"])


def test_columns_are_a_matrix_with_labels() -> None:
    columns = (Predicted("number", array("d", [1.5, 2.5])), Predicted("integer", array("i", [3, NA_INTEGER])))
    output = replied(Predictions(columns, ("p", "q")), 0, 2, False, "columns")
    assert (output["datatype"], output["shape"], output["data"]) == ("FP64", [2, 2], [1.5, 3.0, 2.5, None])
    assert orjson.loads(output["parameters"]["labels"]) == ["p", "q"]
    mixed = (columns[0], Predicted("string", ["a", None]))
    assert replied(Predictions(mixed, ("p", "q")), 0, 2, True, "columns")["data"] == ["1.5", "a", "2.5", None]


def test_objects_are_tensors_rankings_or_their_json() -> None:
    nested = Predictions((Predicted("object", [[[1, 2.5]], [[None, "Inf"]]]),), None)
    output = replied(nested, 0, 2, True, "tensor")
    assert (output["datatype"], output["shape"]) == ("FP64", [2, 1, 2])
    assert output["blob"] == struct.pack("<4d", 1, 2.5, NA_REAL, float("inf"))
    ranking = Predictions((Predicted("object", [[{"label": "b", "probability": 0.75}], None]),), None)
    assert replied(ranking, 0, 2, False, "ranking")["data"] == ["0.75:1:b", None]
    ragged = Predictions((Predicted("object", [[1], [1, 2]]),), None)
    assert replied(ragged, 0, 2, False, "tensor")["data"] == ["[1]", "[1,2]"]
    assert replied(Predictions((Predicted("object", [{"a": 1}]),), None), 0, 1, True)["blob"] == texts([b'{"a":1}'])


def test_the_replies_for_several_outputs_are_one() -> None:
    wanted = Wanted("7", {"class": True})
    numbers = Predictions((Predicted("number", array("d", [1.5])),), None)
    labels = Predictions((Predicted("integer", array("i", [2]), ("a", "b")),), None)
    parts = [
        OPEN_INFERENCE.encoder("m", "v", numbers, SCHEMA, "response").encode(0, 1, (), wanted),
        OPEN_INFERENCE.encoder("m", "v", labels, SCHEMA, "class").encode(0, 1, (), wanted),
    ]
    told, notes = OPEN_INFERENCE.joined(parts)
    document = orjson.loads(told[: int(notes)])
    assert (document["id"], [o["name"] for o in document["outputs"]]) == ("7", ["response", "class"])
    assert told[int(notes) :] == texts([b"b"])
