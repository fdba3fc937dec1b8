"""Arrow bodies: every Arrow type that can hold a value is read, any other is told, and no bit is lost or invented."""

from __future__ import annotations

import math
import resource
import subprocess
import sys
from array import array
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.wire.schema import Input, InputType, Option, Output, Schema
from server.workers.codecs import Question
from server.workers.codecs.arrow import ARROW
from server.workers.errors import MAX_FAULTS, BadBody, Fault, Invalid
from server.workers.predictions import Predicted, Predictions
from server.workers.table import NA_INTEGER, NA_REAL, to_columns
from tests.harness.tandem import ROOT
from tests.server.workers.codecs.bodies import bits, stream

OUTPUTS = (Output("response", "number"),)
LEVELS = ("north", "süd")


def one(type: InputType, **more: Any) -> Schema:
    return Schema((Input("x", type, LEVELS if type in ("factor", "ordered") else None, **more),), OUTPUTS)


def decode(columns: dict[str, Any] | pa.Table, schema: Schema) -> Question:
    return ARROW.decode(stream(columns if isinstance(columns, pa.Table) else pa.table(columns)), schema)


def column(values: Any, type: InputType, **more: Any) -> Any:
    """The typed column that an Arrow array or chunked array becomes."""
    schema = one(type, **more)
    [found] = to_columns(schema, decode({"x": values}, schema).cells)
    return found


def faults(values: Any, type: InputType, **more: Any) -> tuple[Fault, ...]:
    with pytest.raises(Invalid) as invalid:
        column(values, type, **more)
    return invalid.value.faults


def refused(columns: dict[str, Any] | pa.Table, schema: Schema) -> Invalid:
    with pytest.raises(Invalid) as invalid:
        decode(columns, schema)
    return invalid.value


def bad(body: bytes, schema: Schema | None = None) -> str:
    with pytest.raises(BadBody) as error:
        ARROW.decode(body, schema or one("numeric"))
    return str(error.value)


def told(value: Any) -> str:
    return str(getattr(value, "type", value))


def same(found: Any, expected: list[Any]) -> bool:
    return [bits(v) if isinstance(v, float) else v for v in found] == [
        bits(v) if isinstance(v, float) else v for v in expected
    ]


# What fits, in whatever Arrow type it comes

S, MS, US, NS = (pa.timestamp(unit) for unit in ("s", "ms", "us", "ns"))
TEXTS = [pa.utf8(), pa.large_utf8(), pa.string_view()]
INTEGERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
FLOATS = [pa.float16(), pa.float32(), pa.float64()]


@pytest.mark.parametrize("type", INTEGERS, ids=str)
def test_every_width_of_integer_is_a_number_and_an_integer(type: pa.DataType) -> None:
    values = pa.array([0, 1, 127, None], type)
    assert same(column(values, "numeric"), [0.0, 1.0, 127.0, NA_REAL])
    assert column(values, "integer") == array("i", [0, 1, 127, NA_INTEGER])


@pytest.mark.parametrize("type", FLOATS, ids=str)
def test_every_width_of_float_is_a_number(type: pa.DataType) -> None:
    values = pa.array([1.5, -0.0, None, math.inf, -math.inf], type)
    assert same(column(values, "numeric"), [1.5, -0.0, NA_REAL, math.inf, -math.inf])


@pytest.mark.parametrize("type", FLOATS, ids=str)
def test_whole_floats_are_integers_and_others_are_not(type: pa.DataType) -> None:
    assert column(pa.array([1.0, -0.0, None], type), "integer") == array("i", [1, 0, NA_INTEGER])
    [fault] = faults(pa.array([1.0, 1.5, None], type), "integer")
    assert (fault.row, fault.column, fault.got) == (1, "x", "the number 1.5")


@pytest.mark.parametrize("value", [2.0**31, -(2.0**31), 1e300, math.inf, -math.inf, math.nan])
def test_a_float_that_no_integer_holds_is_refused(value: float) -> None:
    [fault] = faults(pa.array([1.0, value]), "integer")
    assert (fault.row, fault.column) == (1, "x")
    assert fault.expected.startswith("a whole number")


@pytest.mark.parametrize("value", [2**31, -(2**31), 2**40])
def test_a_wide_integer_that_r_cannot_hold_is_refused(value: int) -> None:
    [fault] = faults(pa.array([1, value, None]), "integer")
    assert (fault.row, fault.got) == (1, f"the number {value}")


@given(st.lists(st.floats(width=64), min_size=1))
def test_every_double_goes_in_bit_for_bit(values: list[float]) -> None:
    raw = pa.Array.from_buffers(pa.float64(), len(values), [None, pa.py_buffer(array("d", values))])
    assert same(column(raw, "numeric"), values)


def test_na_and_nan_are_kept_apart() -> None:
    missing, nan = column(pa.array([None, math.nan], from_pandas=False), "numeric")
    assert bits(missing) == bits(NA_REAL)
    assert math.isnan(nan)
    assert bits(nan) & 0xFFFFFFFF != 1954


def test_rs_own_na_stays_na_where_it_is_no_null() -> None:
    """As R's nanoarrow may send it: a double without a validity buffer."""
    raw = pa.Array.from_buffers(pa.float64(), 1, [None, pa.py_buffer(array("d", [NA_REAL]))])
    assert same(column(raw, "numeric"), [NA_REAL])


@pytest.mark.parametrize("value", [2**53, -(2**53)])
def test_an_integer_of_exactly_2_to_the_53_is_a_number(value: int) -> None:
    assert same(column(pa.array([value]), "numeric"), [float(value)])


@pytest.mark.parametrize("value", [2**53 + 1, -(2**53) - 1, 2**53 + 2, 2**63 - 1])
def test_an_integer_beyond_2_to_the_53_is_refused_and_not_rounded(value: int) -> None:
    [fault] = faults(pa.array([1, None, value]), "numeric")
    assert (fault.row, fault.column, fault.got) == (2, "x", f"the number {value}")
    assert "2^53" in fault.hint
    [fault] = faults(pa.array([abs(value)], pa.uint64()), "numeric")
    assert fault.row == 0


def test_logicals_are_logicals() -> None:
    assert column(pa.array([True, False, None]), "logical") == array("i", [1, 0, NA_INTEGER])


@pytest.mark.parametrize("chunks", [[[True, False, True]], [[True], [False, True]]], ids=len)
def test_logicals_are_numbers_where_a_model_of_python_takes_numbers(chunks: list[list[bool]]) -> None:
    flags = pa.chunked_array(chunks)
    found = column(flags, "numeric", logical="number")
    assert (type(found) is not list) and list(found) == [1.0, 0.0, 1.0]
    assert column(flags, "integer", logical="number") == array("i", [1, 0, 1])
    assert same(column(pa.array([True, None]), "numeric", logical="number"), [1.0, NA_REAL])
    assert len(faults(flags, "numeric")) == 3


@pytest.mark.parametrize("type", TEXTS, ids=str)
def test_every_kind_of_string_is_text_and_a_level(type: pa.DataType) -> None:
    long = "a text that no view holds inline: süß, 😀"
    assert column(pa.array(["", "NA", long, None], type), "string") == ["", "NA", long, None]
    assert column(pa.array(["süd", None, "north"], type), "factor") == array("i", [2, NA_INTEGER, 1])


@pytest.mark.parametrize("index", [pa.int8(), pa.uint8(), pa.int32(), pa.int64(), pa.uint64()], ids=str)
@pytest.mark.parametrize("text", TEXTS, ids=str)
def test_dictionaries_are_factors_by_their_labels(text: pa.DataType, index: pa.DataType) -> None:
    """The codes are the sender's own: only the labels count."""
    values = pa.DictionaryArray.from_arrays(
        pa.array([0, 2, None, 0], index), pa.array(["süd", "unused", "north"], text)
    )
    assert column(values, "factor") == array("i", [2, 1, NA_INTEGER, 2])
    assert column(values, "ordered") == array("i", [2, 1, NA_INTEGER, 2])
    assert column(values, "string") == ["süd", "north", None, "süd"]


def test_a_null_among_the_labels_is_a_missing_value() -> None:
    values = pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array([None, "north"]))
    assert column(values, "factor") == array("i", [NA_INTEGER, 1])


def test_dictionaries_of_numbers_are_numbers() -> None:
    values = pa.DictionaryArray.from_arrays(pa.array([1, 0, None]), pa.array([1.5, math.nan], from_pandas=False))
    found = column(values, "numeric")
    assert math.isnan(found[0])
    assert same(found[1:], [1.5, NA_REAL])


def test_an_unknown_label_is_told_by_row_wherever_it_is_used() -> None:
    values = pa.array(["north", "west", None, "west"]).dictionary_encode()
    assert [(f.row, f.got) for f in faults(values, "factor")] == [(1, 'the string "west"'), (3, 'the string "west"')]
    assert column(pa.array(["north", "unused"]).dictionary_encode()[:1], "factor") == array("i", [1])


@pytest.mark.parametrize("type", ["numeric", "integer", "logical", "string", "factor", "ordered", "date", "datetime"])
def test_a_column_of_type_null_is_missing_values(type: Any) -> None:
    [value] = column(pa.nulls(1), type)
    assert value is None or value == NA_INTEGER or bits(value) == bits(NA_REAL)
    assert [f.row for f in faults(pa.nulls(2), type, na=False)] == [0, 1]


# Dates and times


@pytest.mark.parametrize("type", [pa.date32(), pa.date64(), pa.utf8()], ids=str)
def test_dates_are_days(type: pa.DataType) -> None:
    values = ["1970-01-02", "1969-12-31", None, "2024-02-29", "0001-01-01", "9999-12-31"]
    parsed = [v and date.fromisoformat(v) for v in values]
    told = pa.array(values if type == pa.utf8() else parsed, type)
    assert same(column(told, "date"), [1.0, -1.0, NA_REAL, 19782.0, -719162.0, 2932896.0])


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", "+05:30", "Europe/Vienna", "Nowhere/City"])
@pytest.mark.parametrize("tz", [None, "America/New_York"])
def test_a_timestamp_with_a_zone_is_a_moment_whatever_the_columns_zone(unit: str, zone: str, tz: Any) -> None:
    values = pa.array([0, -1, None, 10], pa.timestamp(unit, zone))
    per_s = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    expected = [0.0, -1 + (per_s - 1) / per_s if per_s > 1 else -1.0, NA_REAL, 10 / per_s]
    assert same(column(values, "datetime", tz=tz), expected)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_timestamp_without_a_zone_is_one_of_the_columns_zone(unit: str) -> None:
    noon = pa.array([datetime(2026, 7, 1, 12)], pa.timestamp(unit))
    assert column(noon, "datetime") == array("d", [1782907200.0])
    assert column(noon, "datetime", tz="Europe/Vienna") == array("d", [1782907200.0 - 7200])


def test_nanoseconds_count() -> None:
    values = pa.array([1_000_000_123_456_789, 1], pa.timestamp("ns", "UTC"))
    assert same(column(values, "datetime"), [1_000_000 + 0.123456789, 1e-9])


def test_a_date_is_its_midnight_where_a_time_is_due_but_a_time_is_no_date() -> None:
    assert column(pa.array([1], pa.date32()), "datetime") == array("d", [86400.0])
    assert column(pa.array([1], pa.date32()), "datetime", tz="Europe/Vienna") == array("d", [82800.0])
    [fault] = faults(pa.array([0], S), "date")
    assert (fault.row, fault.expected, fault.got) == (0, "a date", 'the string "1970-01-01T00:00:00"')


@pytest.mark.parametrize(
    ("values", "type"),
    [
        (pa.array([0, 3_000_000], pa.date32()), "date"),
        (pa.array([0, -(2**31)], pa.date32()), "date"),
        (pa.array([0, 2**53 // 86_400_000 * 86_400_000], pa.int64()).view(pa.date64()), "date"),
        (pa.array([0, 2**62], S), "datetime"),
        (pa.array([0, -(2**63)], pa.timestamp("s", "UTC")), "datetime"),
        (pa.array([0, 2**63 - 1], MS), "datetime"),
        (pa.array([0, -(2**63)], US), "datetime"),
    ],
    ids=told,
)
def test_what_no_calendar_holds_is_refused(values: pa.Array, type: Any) -> None:
    [fault] = faults(values, type)
    assert (fault.row, fault.column) == (1, "x")
    assert fault.expected.startswith("a date")


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=1), st.sampled_from(["s", "ms", "us", "ns"]))
def test_any_timestamp_is_a_time_or_told(values: list[int | None], unit: str) -> None:
    for zone in (None, "UTC", "Nowhere/City"):
        with suppress(Invalid):
            column(pa.array(values, pa.timestamp(unit, zone)), "datetime")


# What does not fit


@pytest.mark.parametrize(
    ("values", "type", "got"),
    [
        (pa.array(["1.5"]), "numeric", 'the string "1.5"'),
        (pa.array(["NA"]), "numeric", 'the string "NA"'),
        (pa.array([True]), "numeric", "true"),
        (pa.array([0], pa.date32()), "numeric", 'the string "1970-01-01"'),
        (pa.array([0], S), "numeric", 'the string "1970-01-01T00:00:00"'),
        (pa.array([True]), "integer", "true"),
        (pa.array(["1"]), "integer", 'the string "1"'),
        (pa.array([1]), "logical", "the number 1"),
        (pa.array([1.0]), "logical", "the number 1.0"),
        (pa.array(["true"]), "logical", 'the string "true"'),
        (pa.array([1]), "string", "the number 1"),
        (pa.array([math.inf]), "logical", 'the string "Inf"'),
        (pa.array([True]), "string", "true"),
        (pa.array([1]), "factor", "the number 1"),
        (pa.array([1]).dictionary_encode(), "factor", "the number 1"),
        (pa.array(["west"]), "ordered", 'the string "west"'),
        (pa.array(["31.1.2026"]), "date", 'the string "31.1.2026"'),
        (pa.array([20484]), "date", "the number 20484"),
        (pa.array([20484.0]), "date", "the number 20484.0"),
        (pa.array([0]), "datetime", "the number 0"),
    ],
    ids=told,
)
def test_a_value_of_another_type_is_told_with_row_and_column(values: pa.Array, type: Any, got: str) -> None:
    rows = pa.concat_arrays([pa.nulls(2, values.type), values])
    [fault] = faults(rows, type)
    assert (fault.row, fault.column, fault.got) == (2, "x", got)
    assert fault.hint


@pytest.mark.parametrize(
    ("values", "named"),
    [
        (pa.array([Decimal("1.5")]), "decimal128(2, 1)"),
        (pa.array([b"a"]), "binary"),
        (pa.array([b"a"], pa.binary_view()), "binary_view"),
        (pa.array([b"ab"], pa.binary(2)), "fixed_size_binary[2]"),
        (pa.array([[1.5]]), "list<item: double>"),
        (pa.array([[1.5]], pa.list_view(pa.float64())), "list_view<item: double>"),
        (pa.array([{"a": 1}]), "struct<a: int64>"),
        (pa.array([[("a", 1)]], pa.map_(pa.utf8(), pa.int64())), "map<string, int64>"),
        (pa.array([1], pa.duration("s")), "duration[s]"),
        (pa.array([1], pa.time32("s")), "time32[s]"),
        (pa.array([1], pa.time64("ns")), "time64[ns]"),
        (pa.array([(1, 2, 3)], pa.month_day_nano_interval()), "month_day_nano_interval"),
        (pa.RunEndEncodedArray.from_arrays(pa.array([1], pa.int32()), pa.array([1.5])), "run_end_encoded"),
        (pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1.5])]), "sparse_union"),
        (pa.array([Decimal("1.5")]).dictionary_encode(), "dictionary<values=decimal128"),
        (pa.array([0], pa.date32()).dictionary_encode(), "dictionary<values=date32"),
    ],
    ids=told,
)
@pytest.mark.parametrize("type", ["numeric", "integer", "logical", "string", "factor", "date", "datetime"])
def test_an_arrow_type_that_no_input_takes_is_told_by_its_name(values: pa.Array, named: str, type: Any) -> None:
    [fault] = faults(values, type)
    assert (fault.row, fault.column, fault.expected) == (None, "x", f"a column of type {type}")
    assert fault.got.startswith(f"a column of type {named}")
    assert fault.hint


def test_columns_of_an_odd_type_that_are_no_inputs_do_not_matter() -> None:
    question = decode({"x": [1.5], "odd": pa.array([[1]]), "big": pa.array([2**63 - 1])}, one("numeric"))
    assert question.cells == [array("d", [1.5])]
    assert [w.split('"')[1] for w in question.warnings] == ["big", "odd"]


def test_faults_of_all_columns_are_told_by_row_up_to_a_hundred() -> None:
    schema = Schema((Input("x", "numeric"), Input("n", "integer")), OUTPUTS)
    question = decode({"n": pa.array([1.5, 2, 3.5]), "x": ["a", "b", None]}, schema)
    with pytest.raises(Invalid) as invalid:
        to_columns(schema, question.cells)
    assert [(f.row, f.column) for f in invalid.value.faults] == [(0, "x"), (0, "n"), (1, "x"), (2, "n")]
    assert len(faults(pa.array(["a"] * 200), "numeric")) == MAX_FAULTS


# Missing values where there may be none


@pytest.mark.parametrize(
    ("values", "type"),
    [
        (pa.array([1.5, None]), "numeric"),
        (pa.array([1, None]), "numeric"),
        (pa.array([1, None]), "integer"),
        (pa.array([True, None]), "logical"),
        (pa.array(["a", None]), "string"),
        (pa.array(["north", None]), "factor"),
        (pa.array(["north", None]).dictionary_encode(), "factor"),
        (pa.array([1, None], pa.date32()), "date"),
        (pa.array([1, None], NS), "datetime"),
    ],
    ids=told,
)
def test_a_null_is_refused_where_the_model_cannot_have_one(values: pa.Array, type: Any) -> None:
    [fault] = faults(values, type, na=False)
    assert (fault.row, fault.column, fault.got) == (1, "x", "null")


def test_nan_is_a_missing_value_too_but_infinity_is_not() -> None:
    [fault] = faults(pa.array([1.0, math.nan, math.inf], from_pandas=False), "numeric", na=False)
    assert (fault.row, fault.got) == (1, 'the string "NaN"')
    raw = pa.Array.from_buffers(pa.float64(), 1, [None, pa.py_buffer(array("d", [NA_REAL]))])
    assert len(faults(raw, "numeric", na=False)) == 1


# How a column is cut


NUMBERS = pa.array([float(i) if i % 3 else None for i in range(40)])
TEXT = pa.array([f"text {i}" * (i % 4) if i % 5 else None for i in range(40)])
LABELS = pa.array([LEVELS[i % 2] if i % 7 else None for i in range(40)]).dictionary_encode()
FLAGS = pa.array([i % 2 == 0 if i % 3 else None for i in range(40)])
DAYS = pa.array([i if i % 3 else None for i in range(40)], pa.date32())
CUT: list[tuple[pa.Array, Any]] = [
    (NUMBERS, "numeric"),
    (NUMBERS.fill_null(0.5), "numeric"),
    (NUMBERS.cast(pa.int64()), "numeric"),
    (NUMBERS, "integer"),
    (TEXT, "string"),
    (TEXT.cast(pa.string_view()), "string"),
    (LABELS, "factor"),
    (FLAGS, "logical"),
    (DAYS, "date"),
]


@pytest.mark.parametrize(("whole", "type"), CUT, ids=told)
@given(data=st.data())
def test_slices_and_chunks_are_read_as_the_whole(whole: pa.Array, type: Any, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    start, stop = sorted(data.draw(st.tuples(st.integers(0, 39), st.integers(0, 40))))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    expected = list(column(whole, type))
    assert same(column(pa.chunked_array(pieces), type), expected)
    if start < stop:
        assert same(column(whole[start:stop], type), expected[start:stop])


def test_chunks_with_dictionaries_of_their_own_are_read_by_their_labels() -> None:
    texts: list[list[str | None]] = [["north"], ["süd", "north"], ["north"], [None]]
    chunks = [pa.array(values, pa.utf8()).dictionary_encode() for values in texts]
    schema = one("factor")
    sink = pa.BufferOutputStream()
    batches = [pa.record_batch({"x": chunk}) for chunk in chunks]
    with pa.ipc.new_stream(sink, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    question = ARROW.decode(sink.getvalue().to_pybytes(), schema)
    assert question.cells == [["north", "süd", "north", "north", None]]


# The table


def test_columns_are_found_by_name_in_any_order_and_extra_ones_ignored_with_a_warning() -> None:
    schema = Schema((Input("a", "numeric"), Input("b", "string")), OUTPUTS)
    question = decode({"z": [1], "b": ["t"], "a": [1.5], "é": [0]}, schema)
    assert question.cells == [array("d", [1.5]), ["t"]]
    assert (question.rows, question.output, question.options) == (1, None, None)
    assert question.warnings == tuple(
        f'column "{name}" is not an input of this model and was ignored' for name in ("z", "é")
    )


def test_an_extra_column_is_refused_where_the_schema_says_so() -> None:
    strict = Schema(one("numeric").inputs, OUTPUTS, extra="refuse")
    [fault] = refused({"x": [1.0], "y": [1]}, strict).faults
    assert (fault.row, fault.column) == (None, "y")


def test_a_column_that_is_not_there_is_told_by_name_or_taken_as_missing_values() -> None:
    schema = Schema((Input("a", "numeric"), Input("b", "string"), Input("c", "logical", missing="na")), OUTPUTS)
    invalid = refused({"y": [1]}, schema)
    assert [(f.row, f.column, f.got) for f in invalid.faults] == [(None, "a", "nothing"), (None, "b", "nothing")]
    question = decode({"a": [1.5, 2.5], "b": ["s", "t"]}, schema)
    assert to_columns(schema, question.cells)[2] == array("i", [NA_INTEGER] * 2)


def test_a_new_level_is_taken_as_a_missing_value_where_the_schema_says_so() -> None:
    for values in (pa.array(["west", "north"]), pa.array(["west", "north"]).dictionary_encode()):
        assert column(values, "factor", new_level="na") == array("i", [NA_INTEGER, 1])


@pytest.mark.parametrize("name", ["x", "y"])
def test_a_column_that_is_there_twice_is_refused(name: str) -> None:
    table = pa.Table.from_arrays([pa.array([1.0])] * 3, names=["x", "y", name])
    [fault] = refused(table, one("numeric")).faults
    assert (fault.column, fault.got) == (name, "the same name twice")
    assert fault.hint


def test_many_columns_of_which_one_is_there_twice_are_refused_at_once() -> None:
    names = [f"c{i}" for i in range(20_000)]
    table = pa.Table.from_arrays([pa.array([], pa.int8())] * 20_001, names=[*names, names[-1]])
    assert refused(table, one("numeric")).faults[0].column == "c19999"


@pytest.mark.parametrize("table", [pa.table({"x": pa.array([], pa.float64())}), pa.table({"x": pa.nulls(0)})])
def test_zero_rows_are_refused(table: pa.Table) -> None:
    assert "no rows" in refused(table, one("numeric")).detail


def test_a_table_without_columns_is_refused() -> None:
    assert refused(pa.table({}), one("numeric")).faults[0].column == "x"
    assert "no rows" in refused(pa.table({}), one("numeric", missing="na")).detail


def test_a_model_with_a_horizon_takes_no_table() -> None:
    schema = Schema((), OUTPUTS, (Option("h", "integer"),), horizon=True)
    assert "takes no rows" in refused({"x": [1]}, schema).detail


def test_the_body_may_be_a_view_at_any_address() -> None:
    body = stream(pa.table({"x": [1.5, None, 2.5]}))
    for shift in range(8):
        view = memoryview(b"-" * shift + body)[shift:]
        assert same(to_columns(one("numeric"), ARROW.decode(view, one("numeric")).cells)[0], [1.5, NA_REAL, 2.5])


# What is no stream, and what is more than it seems

BODY = stream(pa.table({"x": [1.5, None], "f": pa.array(["a", None]).dictionary_encode()}))


@pytest.mark.parametrize(
    "body",
    [b"", b"x", b'{"rows":[]}', b"x\n1\n", bytes(100), b"\xff" * 100, b"ARROW1\0\0" + BODY, BODY[8:]],
)
def test_what_is_no_stream_is_a_bad_body(body: bytes) -> None:
    assert bad(body) == "the body is not a whole Arrow IPC stream"


def test_the_file_format_is_no_stream() -> None:
    sink = pa.BufferOutputStream()
    table = pa.table({"x": [1.5]})
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    bad(sink.getvalue().to_pybytes())


def test_a_stream_that_is_cut_off_is_never_read_as_a_shorter_one() -> None:
    body = stream(pa.table({"x": [1.5, None]}))
    for size in range(len(body) - 8):  # the last eight bytes say that nothing follows
        with pytest.raises((BadBody, Invalid)):
            ARROW.decode(body[:size], one("numeric"))


def test_text_that_is_not_utf_8_is_a_bad_body() -> None:
    text = pa.array(["aé"])
    damaged = stream(pa.table({"x": text})).replace("aé".encode(), b"a\xc3\x28")
    assert "Arrow" in bad(damaged, one("string"))
    assert "Arrow" in bad(stream(pa.table({"né": [1.5]})).replace("né".encode(), b"n\xc3\x28"))


def test_a_zone_whose_name_is_no_text_is_a_bad_body() -> None:
    times = pa.array([None, None], pa.timestamp("us", "Zone"))
    damaged = stream(pa.table({"x": times})).replace(b"Zone", b"Z\xffne")
    assert "Arrow" in bad(damaged, one("datetime"))


def test_views_that_end_within_a_view_are_a_bad_body() -> None:
    body = stream(pa.table({"x": pa.array(["short"], pa.string_view())}))
    for size in range(4, 17):  # whatever of the message says that the views take sixteen bytes
        damaged = body.replace((16).to_bytes(8, "little"), size.to_bytes(8, "little"))
        with suppress(Invalid, BadBody):
            ARROW.decode(damaged, one("string"))


def test_an_index_outside_its_dictionary_is_a_bad_body() -> None:
    values = pa.DictionaryArray.from_arrays(pa.array([0, 7]), pa.array(["north"]), safe=False)
    bad(stream(pa.table({"x": values})), one("factor"))


def test_compressed_buffers_are_refused_because_nothing_caps_them() -> None:
    for codec in ("lz4", "zstd"):
        options = pa.ipc.IpcWriteOptions(compression=codec)
        for values in (pa.array([0.0] * 100), pa.array(["north"]).dictionary_encode(), pa.nulls(3)):
            assert "without compression" in bad(stream(pa.table({"x": values}), options=options))


def test_delta_dictionaries_are_refused_because_every_batch_keeps_all() -> None:
    sink = pa.BufferOutputStream()
    batches = [
        pa.record_batch({"x": pa.DictionaryArray.from_arrays(pa.array([0]), pa.array(labels))})
        for labels in (["north"], ["north", "süd"])
    ]
    options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
    with pa.ipc.new_stream(sink, batches[0].schema, options=options) as writer:
        for batch in batches:
            writer.write_batch(batch)
    assert "delta" in bad(sink.getvalue().to_pybytes(), one("factor"))


def peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_rows_without_bytes_are_refused_before_they_are_made() -> None:
    before = peak_kib()
    options = pa.ipc.IpcWriteOptions(allow_64bit=True)
    for rows in (2**31 - 1, 2**40):
        nulls = pa.Array.from_buffers(pa.null(), rows, [None])
        runs = pa.RunEndEncodedArray.from_arrays(pa.array([rows], pa.int64()), pa.array([1.5]))
        for column in (nulls, runs):
            for name in ("x", "y"):
                body = stream(pa.table({name: column}), options=options)
                assert "more rows" in bad(body, one("numeric", missing="na"))
    assert peak_kib() - before < 20_000


def test_a_long_text_that_many_rows_share_is_made_once() -> None:
    """As plain text this dictionary would be 5 GB."""
    before = peak_kib()
    codes = pa.DictionaryArray.from_arrays(pa.array([0] * 100_000, pa.int8()), pa.array(["x" * 50_000]))
    assert decode({"x": codes}, one("string")).rows == 100_000
    assert peak_kib() - before < 50_000


def test_views_that_share_a_long_text_are_refused() -> None:
    before = peak_kib()
    _, view, data = pa.array(["x" * 100_000], pa.string_view()).buffers()
    text = pa.Array.from_buffers(pa.string_view(), 50_000, [None, pa.py_buffer(view.to_pybytes()[:16] * 50_000), data])
    assert "share too much" in bad(stream(pa.table({"x": text})), one("string"))
    codes = pa.DictionaryArray.from_arrays(pa.array([0]), text)
    assert "share too much" in bad(stream(pa.table({"x": codes})), one("string"))
    assert peak_kib() - before < 50_000


def test_logicals_alone_fit_however_little_they_take() -> None:
    assert decode({"x": pa.array([True] * 100_000)}, one("logical")).rows == 100_000


@given(st.lists(st.tuples(st.integers(0, len(BODY) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_damage_is_refused_or_does_not_matter(damage: list[tuple[int, int]]) -> None:
    body = bytearray(BODY)
    for at, byte in damage:
        body[at] = byte
    schema = Schema((Input("x", "numeric"), Input("f", "factor", ("a",))), OUTPUTS)
    try:
        question = ARROW.decode(bytes(body), schema)
        columns = to_columns(schema, question.cells)
    except (BadBody, Invalid):
        return
    assert {len(c) for c in columns} == {question.rows}


# Replies


def encoded(
    predictions: Predictions, start: int = 0, stop: int | None = None, warnings: tuple[str, ...] = ()
) -> pa.Table:
    stop = len(predictions) if stop is None else stop
    body, notes = ARROW.encoder("mpg", "v1", predictions).encode(start, stop, warnings)
    assert notes == b""
    table = pa.ipc.open_stream(body).read_all()
    table.validate(full=True)
    return table


def number(*values: float) -> Predicted:
    return Predicted("number", array("d", values))


@pytest.mark.parametrize(
    ("predicted", "type", "expected"),
    [
        (number(1.5, NA_REAL, math.inf), pa.float64(), [1.5, None, math.inf]),
        (Predicted("integer", array("i", [3, NA_INTEGER])), pa.int32(), [3, None]),
        (Predicted("logical", array("i", [1, 0, NA_INTEGER])), pa.bool_(), [True, False, None]),
        (Predicted("string", ["a", None, ""]), pa.utf8(), ["a", None, ""]),
        (
            Predicted("integer", array("i", [2, 1, NA_INTEGER]), ("u", "v")),
            pa.dictionary(pa.int32(), pa.utf8()),
            ["v", "u", None],
        ),
    ],
)
def test_a_predicted_column_has_its_own_arrow_type(predicted: Predicted, type: pa.DataType, expected: Any) -> None:
    table = encoded(Predictions((predicted,), None))
    assert table.column_names == ["prediction"]
    assert table.column(0).type == type
    assert table.column(0).to_pylist() == expected


@given(st.lists(st.floats()))
def test_every_double_comes_out_bit_for_bit(values: list[float]) -> None:
    column = encoded(Predictions((number(*values),), None)).column(0)
    assert column.null_count == sum(bits(v) & 0xFFFFFFFF == 1954 for v in values if math.isnan(v))
    assert [
        math.isnan(a) if math.isnan(b) else bits(a) == bits(b) for a, b in zip(column.to_pylist(), values, strict=True)
    ] == [True] * len(values)


def test_na_is_null_and_nan_is_not() -> None:
    column = encoded(Predictions((number(NA_REAL, math.nan, 1.7e308, 1.7e308),), None)).column(0)
    assert column.is_null().to_pylist() == [True, False, False, False]
    assert column.to_pylist()[2:] == [1.7e308, 1.7e308]


def test_named_columns_are_columns_and_levels_are_all_there() -> None:
    classes = Predicted("integer", array("i", [1, 1]), ("u", "v", "ü"))
    table = encoded(Predictions((number(1, 2), classes), ("a", "b é")), 1, 2)
    assert table.to_pydict() == {"a": [2], "b é": ["u"]}
    assert table.column(1).chunk(0).dictionary.to_pylist() == ["u", "v", "ü"]


@pytest.mark.parametrize("start", range(10))
def test_no_byte_of_a_reply_is_of_another_request(start: int) -> None:
    """A slice of an array is written with what follows it, up to the next multiple of 64 bytes."""
    secrets = [f"secret {i:02}" for i in range(20)]
    columns = (
        number(*(1e-100 + i for i in range(20))),
        Predicted("string", secrets),
        Predicted("integer", array("i", range(1000, 1020))),
        Predicted("integer", array("i", [1, 2] * 10), ("u", "v")),
        Predicted("logical", array("i", [1, 0] * 10)),
    )
    names = tuple("abcde")
    share = Predictions(tuple(Predicted(c.kind, c.values[start : start + 3], c.levels) for c in columns), names)
    together, _ = ARROW.encoder("m", "v", Predictions(columns, names)).encode(start, start + 3, ())
    assert together == ARROW.encoder("m", "v", share).encode(0, 3, ())[0]
    for i, secret in enumerate(secrets):
        assert (secret.encode() in together) == (start <= i < start + 3)


def test_each_request_gets_its_own_rows_and_no_more_bytes_than_they_take() -> None:
    encoder = ARROW.encoder("mpg", "v1", Predictions((number(*range(10_000)),), None))
    body, _ = encoder.encode(5000, 5002, ())
    assert pa.ipc.open_stream(body).read_all().to_pydict() == {"prediction": [5000, 5001]}
    assert len(body) < 1000


def test_model_version_and_warnings_are_metadata() -> None:
    about = encoded(Predictions((number(1.0),), None), warnings=("wärning",)).schema.metadata
    assert (about[b"model"], about[b"version"]) == (b"mpg", b"v1")
    assert orjson.loads(about[b"warnings"]) == ["wärning"]
    assert b"warnings" not in encoded(Predictions((number(1.0),), None)).schema.metadata


# Images, tensors, and what JSON alone would hold

NUMBERS = [[[1.5, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]


@pytest.mark.parametrize("type", [pa.binary(), pa.large_binary()])
def test_an_image_is_a_binary(type: pa.DataType) -> None:
    assert column(pa.array([b"a", b"bc"], type), "image") == [b"a", b"bc"]
    assert column(pa.array(["aA==", "Yg=="]), "image") == [b"h", b"b"]


@pytest.mark.parametrize(
    "type",
    [pa.list_(pa.list_(pa.float32())), pa.large_list(pa.list_(pa.int8(), 2)), pa.list_(pa.list_(pa.float64()), 2)],
)
def test_a_tensor_is_lists_of_numbers(type: pa.DataType) -> None:
    numbers = NUMBERS if pa.types.is_floating(type.value_type.value_type) else [[[1, 2]], [[3, 4]]]
    found = column(pa.array(numbers, type), "tensor", shape=(None, 2))
    assert [list(t.values) for t in found] == [[n for row in one for n in row] for one in numbers]


@pytest.mark.parametrize(
    ("values", "type"),
    [
        (pa.array([b"a"]).dictionary_encode(), "image"),
        (pa.array([b"a"], pa.binary_view()), "image"),
        (pa.array([1.5]), "image"),
        (pa.array([["a"]]), "tensor"),
        (pa.array([[None]]), "tensor"),
        (pa.array(["a"]).dictionary_encode(), "tensor"),
        (pa.array([[1.5]], pa.list_view(pa.float64())), "tensor"),
    ],
)
def test_a_type_that_could_share_or_is_no_number_is_refused(values: pa.Array, type: InputType) -> None:
    [fault] = faults(values, type, shape=(None,) if type == "tensor" else None)
    assert (fault.row, fault.expected) == (None, f"a column of type {type}")


def test_a_ranking_is_a_list_of_structs_and_what_is_unlike_is_json() -> None:
    ranking = [{"label": "a", "probability": 0.75}]
    for values, expected in (([ranking, ranking], [ranking] * 2), ([[1.5], ["NaN"]], ["[1.5]", '["NaN"]'])):
        predictions = Predictions((Predicted("object", values),), None)
        body, _ = ARROW.encoder("m", "v", predictions).encode(0, 2, ())
        assert pa.ipc.open_stream(body).read_all()["prediction"].to_pylist() == expected


def test_a_template_has_pyarrow_look_for_pandas_before_any_fork() -> None:
    """pyarrow imports pandas at its first list: half a second in every fork, unless it was done before."""
    code = """
import sys
from server.workers.template import _score

_score("r")
import pyarrow as pa
pa.array([1])
print("pandas" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False", done.stderr


@pytest.mark.parametrize(("before", "loaded"), [("import pandas", "True"), ("", "False")])
def test_pandas_is_not_loaded_for_pyarrow_and_used_where_it_is(before: str, loaded: str) -> None:
    code = f"""{before}
import sys
import pyarrow as pa
from server.workers.codecs import arrow

arrow.prepare()
pa.array([1])
print("pandas" in sys.modules)
import pandas
print(pa.array(pandas.Series([1], dtype="int64")).to_pylist())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == [loaded, "[1]"], done.stderr
