"""JSON bodies: the two shapes give the same cells, everything else is told, and numbers keep every bit both ways."""

from __future__ import annotations

import json
import math
import struct
import tracemalloc
from array import array
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.wire.schema import Input, Output, Schema
from server.workers.codecs import Question
from server.workers.codecs.json import JSON, json_values
from server.workers.codecs.json_pieces import LARGE_BYTES
from server.workers.errors import MAX_FAULTS, BadBody, Fault, Invalid
from server.workers.predictions import Predicted, Predictions
from server.workers.table import NA_INTEGER, NA_REAL, to_columns

SCHEMA = Schema(
    (Input("wt", "numeric"), Input("name", "string")),
    (Output("response", "number"), Output("prob", "columns", columns=("a", "b"))),
)
NUMBER = Schema((Input("x", "numeric"),), (Output("response", "number"),))


def decode(body: object, schema: Schema = SCHEMA) -> Question:
    return JSON.decode(body if isinstance(body, bytes) else orjson.dumps(body), schema)


def refused(body: object, schema: Schema = SCHEMA) -> Invalid:
    with pytest.raises(Invalid) as invalid:
        decode(body, schema)
    return invalid.value


def bits(value: float) -> int:
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


def of_bits(value: int) -> float:
    return float(struct.unpack("<d", struct.pack("<Q", value))[0])


# The two shapes


def test_rows_become_cells_in_the_models_order() -> None:
    question = decode({"rows": [{"name": "a", "wt": 1.5}, {"wt": None, "name": "b"}]})
    assert question == Question([[1.5, None], ["a", "b"]], 2)


def test_columns_become_cells_in_the_models_order() -> None:
    question = decode({"columns": {"name": ["a", "b"], "wt": [1.5, None]}})
    assert question == Question([[1.5, None], ["a", "b"]], 2)


VALUES = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False), st.text())
ROWS = st.lists(st.fixed_dictionaries({"wt": VALUES, "name": VALUES}, optional={"extra": VALUES}), min_size=1)


@given(st.lists(st.fixed_dictionaries({"wt": VALUES, "name": VALUES}), min_size=1), st.booleans())
def test_rows_and_columns_with_the_same_values_are_the_same_question(rows: list[dict[str, Any]], extra: bool) -> None:
    more = [{"extra": ":"} if extra else {} for _ in rows]
    told = [row | one for row, one in zip(rows, more, strict=True)]
    columns = {name: [row[name] for row in told] for name in told[0]}
    assert decode({"rows": told}) == decode({"columns": columns})


def test_an_output_can_be_named() -> None:
    assert decode({"output": "prob", "rows": [{"wt": 1, "name": "a"}]}).output == "prob"


@pytest.mark.parametrize("output", ["prob", "class", 1, ["prob"], {}])
@pytest.mark.parametrize("options", [{}, {"s": 1, "t": "a"}, [], 1])
def test_an_output_and_options_are_handed_on_as_they_are(output: Any, options: Any) -> None:
    question = decode({"output": output, "rows": [{"wt": 1, "name": "a"}], "options": options})
    assert (question.output, question.options) == (output, options)


def test_what_is_not_asked_for_is_none() -> None:
    question = decode({"rows": [{"wt": 1, "name": "a"}]})
    assert (question.output, question.options) == (None, None)


@pytest.mark.parametrize("name", ["output", "options"])
def test_null_asks_for_nothing_and_is_refused(name: str) -> None:
    assert f'"{name}" is null' in refused({"rows": [{"wt": 1, "name": "a"}], name: None}).detail


# What is not a question


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"nonsense", b"{'rows':[]}", b'{"rows":[NaN]}', b'{"rows":[1e999]}', b'{"rows":[]} {}', b"\xff"),
        *(b'{"rows":[{"wt":1,"name":"\\ud800"}]}', b"[" * 5000 + b"]" * 5000, b"\xef\xbb\xbf{}"),
    ],
)
def test_what_is_not_json_is_a_bad_body(body: bytes) -> None:
    with pytest.raises(BadBody, match="the body is not JSON"):
        decode(body)


@pytest.mark.parametrize("body", [[], [{"wt": 1, "name": "a"}], "rows", 1, None, True])
def test_json_that_is_not_an_object_is_refused(body: object) -> None:
    assert "must be a JSON object" in refused(body).detail


@pytest.mark.parametrize("body", [{}, {"output": "prob"}, {"rows": [], "columns": {}}, {"rows": None, "columns": None}])
def test_both_or_neither_of_rows_and_columns_are_refused(body: object) -> None:
    assert "exactly one of" in refused(body).detail


def test_an_unknown_member_is_named() -> None:
    detail = refused({"rows": [{"wt": 1, "name": "a"}], "outputs": "prob"}).detail
    assert detail == 'the body has a member "outputs"; known are rows, columns, output, options'


@pytest.mark.parametrize("rows", [{}, None, "a", 1, {"wt": 1, "name": "a"}])
def test_rows_that_are_not_an_array_are_refused(rows: object) -> None:
    assert refused({"rows": rows}).detail == '"rows" must be an array of objects'


@pytest.mark.parametrize("columns", [[], None, "a", 1])
def test_columns_that_are_not_an_object_are_refused(columns: object) -> None:
    assert refused({"columns": columns}).detail == '"columns" must be an object of arrays'


@pytest.mark.parametrize("row", [None, 1, "wt", [], ["wt", "name"], True])
def test_a_row_that_is_not_an_object_is_told_by_its_number(row: object) -> None:
    [fault] = refused({"rows": [{"wt": 1, "name": "a"}, row]}).faults
    assert (fault.row, fault.column, fault.expected) == (1, None, "an object")


def test_missing_columns_are_told_by_row_and_name() -> None:
    faults = refused({"rows": [{"wt": 1, "name": "a"}, {"wt": 1}, {}]}).faults
    assert [(f.row, f.column, f.got) for f in faults] == [
        (1, "name", "nothing"),
        (2, "wt", "nothing"),
        (2, "name", "nothing"),
    ]


def test_a_row_that_lacks_one_column_and_has_another_is_not_mistaken_for_whole() -> None:
    assert [f.column for f in refused({"rows": [{"wt": 1, "Name": "a"}]}).faults] == ["name"]


def test_how_to_send_an_unknown_value_is_told_where_one_may_be_missing() -> None:
    """R's jsonlite leaves an NA out. Even where other rows have the column it may as well be misspelt in this one."""
    schema = Schema((Input("may", "numeric"), Input("must", "numeric", na=False)), NUMBER.outputs)
    told = refused({"rows": [{"may": 1, "must": 1}, {}]}, schema).faults
    assert [f.hint for f in told] == [
        'add "may"; an unknown value is written null, '
        "or left out where the model's sidecar says `missing: na` of this input",
        'add "must"; this model cannot predict a row without it',
    ]
    lenient = Schema((Input("may", "numeric", missing="na"),), NUMBER.outputs)
    assert decode({"rows": [{"may": 1.5}, {}]}, lenient).cells == [[1.5, None]]


def test_only_the_first_hundred_missing_columns_are_told() -> None:
    assert len(refused({"rows": [{}] * 200}).faults) == MAX_FAULTS


def test_a_missing_column_and_one_that_is_no_array_are_both_told() -> None:
    faults = refused({"columns": {"wt": 1.5}}).faults
    assert [(f.row, f.column, f.expected) for f in faults] == [
        (None, "name", "a value of type string"),
        (None, "wt", "an array of values"),
    ]


def test_ragged_columns_are_told_with_their_lengths() -> None:
    [fault] = refused({"columns": {"wt": [1, 2, 3], "name": ["a"]}}).faults
    assert (fault.column, fault.expected, fault.got) == ("name", "3 values", "1 values")


@pytest.mark.parametrize("body", [{"rows": []}, {"columns": {"wt": [], "name": []}}])
def test_zero_rows_are_refused(body: object) -> None:
    assert "no rows" in refused(body).detail


@pytest.mark.parametrize(
    "body",
    [
        {"rows": [{"wt": 1, "name": "a"}, {"wt": 1, "name": "a", "b:": 1, "a": 2}]},
        {"columns": {"wt": [1], "b:": ["not", "looked", "at"], "name": ["a"], "a": None}},
    ],
)
def test_an_unknown_column_is_ignored_with_a_warning(body: object) -> None:
    assert decode(body).warnings == tuple(
        f'column "{name}" is not an input of this model and was ignored' for name in ("a", "b:")
    )


# The same name twice

DUPLICATES = [
    b'{"rows":[{"wt":1,"wt":2,"name":"a"}]}',
    b'{"rows":[{"wt":1,"name":"a"},{"name":":","wt":1,"name":"::"}]}',
    b'{"rows":[{"wt":1,"w\\u0074":2,"name":"a"}]}',
    b'{"rows":[{"wt":1,"name":"a","name":"\\"wt\\":1"}]}',
    b'{"rows":[{"wt":1,"name":"a","x:y":1,"x:y":1}]}',
    b'{"rows":[{"wt":1,"name":"a"}],"rows":[{"wt":1,"name":"a"}]}',
    b'{"output":"prob","output":"prob","rows":[{"wt":1,"name":"a"}]}',
    b'{"columns":{"wt":[1],"name":["a"],"wt":[1]}}',
    b'{"columns":{"wt":[1],"name":["a:b\\\\"],"wt":[1]}}',
]


@pytest.mark.parametrize("body", DUPLICATES)
def test_a_name_given_twice_is_refused(body: bytes) -> None:
    invalid = refused(body)
    assert invalid.detail.endswith("is named twice in one object")
    assert len(invalid.faults) == 1


NAMES = st.text('"\\:{}[],wt', min_size=1, max_size=3)


@given(st.lists(st.tuples(NAMES, NAMES), max_size=4), st.booleans())
def test_colons_and_quotes_in_strings_are_not_mistaken_for_names(pairs: list[tuple[str, str]], escaped: bool) -> None:
    """The row is written by hand from pairs, so that it can hold a name twice."""
    told = [("wt", ":"), ("name", '":'), *((name, value) for name, value in pairs if name not in ("wt", "name"))]
    row = ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in told)
    body = (f'{{"rows":[{{{row}}}]}}').replace("t", "\\u0074" if escaped else "t").encode()
    if len({name for name, _ in told}) == len(told):
        assert decode(body).cells == [[":"], ['":']]
    else:
        assert "named twice" in refused(body).detail


@given(st.binary(max_size=80))
def test_random_bytes_are_refused_and_nothing_else(body: bytes) -> None:
    with pytest.raises((BadBody, Invalid)):
        decode(body)


DOCUMENTS = st.recursive(
    VALUES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["rows", "columns", "wt", "name"]), inner)
    ),
    max_leaves=12,
)


@given(DOCUMENTS)
def test_any_json_is_a_question_or_refused(document: object) -> None:
    try:
        question = decode(document)
    except (BadBody, Invalid):
        return
    assert {len(cells) for cells in question.cells} == {question.rows}


# Numbers, both ways


def encoded(predictions: Predictions, start: int = 0, stop: int | None = None, warnings: tuple[str, ...] = ()) -> Any:
    stop = len(predictions) if stop is None else stop
    body, notes = JSON.encoder("mpg", "v1", predictions).encode(start, stop, warnings)
    assert notes == b""
    return orjson.loads(body)


def there_and_back(cells: list[Any]) -> list[Any]:
    """Cells decoded into a column, and the column encoded as predictions."""
    [column] = to_columns(NUMBER, decode({"rows": [{"x": cell} for cell in cells]}, NUMBER).cells)
    assert isinstance(column, array)
    predictions: list[Any] = encoded(Predictions((Predicted("number", column),), None))["predictions"]
    return predictions


@given(st.lists(st.integers(0, 2**64 - 1).map(of_bits).filter(math.isfinite) | st.floats(allow_nan=False), min_size=1))
def test_every_double_goes_through_unchanged_to_the_last_bit(values: list[float]) -> None:
    special = {math.inf: "Inf", -math.inf: "-Inf"}
    returned = there_and_back([special.get(value, value) for value in values])
    assert [bits(float(v.lower()) if isinstance(v, str) else v) for v in returned] == [bits(v) for v in values]


@pytest.mark.parametrize("value", [-0.0, 5e-324, -5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 0.1, 1 / 3])
def test_the_hard_doubles_go_through_unchanged(value: float) -> None:
    [returned] = there_and_back([value])
    assert bits(returned) == bits(value)


def test_na_nan_and_the_infinities_go_through_as_they_are_written() -> None:
    assert there_and_back([None, "NaN", "Inf", "-Inf", 1.5]) == [None, "NaN", "Inf", "-Inf", 1.5]


@given(st.integers(0, 2**51 - 1), st.booleans(), st.booleans())
def test_a_nan_is_na_only_with_rs_payload(payload: int, quiet: bool, negative: bool) -> None:
    raw = 0x7FF << 52 | payload | quiet << 51 | negative << 63
    value = of_bits(raw)
    if math.isnan(value):
        expected = None if payload & 0xFFFFFFFF == 1954 else "NaN"
        assert json_values(Predicted("number", array("d", [value]))) == [expected]


def test_numbers_whose_sum_overflows_are_written_as_numbers() -> None:
    values = array("d", [1.7e308, 1.7e308])
    assert json_values(Predicted("number", values)) == [1.7e308, 1.7e308]


# Replies


def number(*values: float) -> Predicted:
    return Predicted("number", array("d", values))


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (number(1.0, NA_REAL), [1.0, None]),
        (Predicted("integer", array("i", [3, NA_INTEGER])), [3, None]),
        (Predicted("logical", array("i", [1, 0, NA_INTEGER])), [True, False, None]),
        (Predicted("string", ["a", None]), ["a", None]),
        (Predicted("integer", array("i", [2, 1, NA_INTEGER]), ("u", "v")), ["v", "u", None]),
    ],
)
def test_a_predicted_column_becomes_json_values(column: Predicted, expected: list[Any]) -> None:
    assert json_values(column) == expected


def test_a_reply_names_model_and_version_first() -> None:
    body, _ = JSON.encoder("mpg", "v1", Predictions((number(1.0, 2.5),), None)).encode(0, 2, ())
    assert body == b'{"model":"mpg","version":"v1","predictions":[1.0,2.5]}'


def test_named_columns_become_an_object_per_row() -> None:
    predictions = Predictions((number(0.25, 0.5), number(0.75, NA_REAL)), ("a", "b"))
    assert encoded(predictions)["predictions"] == [{"a": 0.25, "b": 0.75}, {"a": 0.5, "b": None}]


def test_each_request_gets_its_own_rows_and_warnings() -> None:
    predictions = Predictions((number(1, 2, 3),), None)
    assert encoded(predictions, 1, 3, ("w",)) == {
        "model": "mpg",
        "version": "v1",
        "predictions": [2, 3],
        "warnings": ["w"],
    }
    assert "warnings" not in encoded(predictions, 0, 1)


def test_a_fault_of_a_duplicate_shows_a_long_name_shortened() -> None:
    name = "n" * 300
    [fault] = refused(f'{{"rows":[{{"{name}":1,"{name}":1,"wt":1,"name":"a"}}]}}'.encode()).faults
    assert fault == Fault(None, "n" * 100, "one value", "the same name twice", "name every member once")


# Hostile bodies


@pytest.mark.parametrize(
    "value",
    [
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"1" * 1_000_000,
        b"-" + b"1" * 1_000_000 + b".5",
        b"1e999999",
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b'"\xed\xa0\x80"',
    ],
    ids=["arrays", "objects", "digits", "decimal", "exponent", "high-surrogate", "low-surrogate", "utf-8-surrogate"],
)
def test_what_nests_too_deep_or_is_too_long_a_number_or_no_text_cannot_be_read(value: bytes) -> None:
    with pytest.raises(BadBody):
        decode(b'{"rows":[{"wt":1,"name":%b}]}' % value)


def test_a_long_string_takes_what_the_parser_takes_and_no_more() -> None:
    """The parser sets aside 13 times the body; a regular expression that remembers took 100 times."""
    size = 2 << 20
    body = b'{"rows":[{"wt":1,"name":"%b"}]}' % (b":" * size)
    tracemalloc.start()
    try:
        assert decode(body).cells[1] == [":" * size]
        assert tracemalloc.get_traced_memory()[1] < 20 * size
    finally:
        tracemalloc.stop()


def test_whole_numbers_beyond_64_bits_are_read_in_a_large_body_as_in_a_small_one() -> None:
    digits = b"1" * 30
    for count in (10, LARGE_BYTES // 30):
        body = b'{"columns":{"x":[%b]}}' % b",".join([digits] * count)
        assert to_columns(NUMBER, decode(body, NUMBER).cells) == [array("d", [float(digits)] * count)]
