"""Columns: what each type takes, what it becomes, and how a fault is told."""

from __future__ import annotations

import math
import struct
from array import array
from base64 import b64encode
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.wire.schema import Input, Output, Schema
from server.workers.errors import MAX_FAULTS, Fault, Invalid
from server.workers.table import NA_INTEGER, NA_REAL, to_columns
from server.workers.tensors import Tensor

LEVELS = ("north", "south")


def schema(*inputs: Input) -> Schema:
    return Schema(inputs, (Output("response", "number"),))


def column(type: Any, values: list[Any], na: bool = True, logical: Any = "refuse") -> Any:
    """The typed column of one input."""
    levels = LEVELS if type in ("factor", "ordered") else None
    [found] = to_columns(schema(Input("x", type, levels, na, logical=logical)), [values])
    return found


def faults(type: Any, values: list[Any], na: bool = True, logical: Any = "refuse") -> tuple[Fault, ...]:
    with pytest.raises(Invalid) as invalid:
        column(type, values, na, logical)
    return invalid.value.faults


def bits(value: float) -> int:
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


# What fits


@pytest.mark.parametrize(
    ("type", "values", "expected"),
    [
        ("numeric", [1.5, -0.0], array("d", [1.5, -0.0])),
        ("numeric", [1, 2.5], array("d", [1.0, 2.5])),
        ("numeric", [1, 1e300], array("d", [1.0, 1e300])),
        ("numeric", [2**53, -(2**53)], array("d", [2.0**53, -(2.0**53)])),
        ("numeric", ["Inf", "-Inf"], array("d", [math.inf, -math.inf])),
        ("integer", [1, -1], array("i", [1, -1])),
        ("integer", [1.0, -0.0], array("i", [1, 0])),
        ("integer", [2**31 - 1, -(2**31) + 1], array("i", [2**31 - 1, -(2**31) + 1])),
        ("integer", [None, 1], array("i", [NA_INTEGER, 1])),
        ("logical", [True, False, None], array("i", [1, 0, NA_INTEGER])),
        ("string", ["", "a\1b"], ["", "a\1b"]),
        ("string", ["a", None], ["a", None]),
        ("factor", ["south", "north"], array("i", [2, 1])),
        ("ordered", ["south", None], array("i", [2, NA_INTEGER])),
        ("date", ["1970-01-02", "1969-12-31"], array("d", [1.0, -1.0])),
        ("date", ["2024-02-29", "0001-01-01", "9999-12-31"], array("d", [19782.0, -719162.0, 2932896.0])),
        ("datetime", ["1970-01-01T00:00:01Z", "1970-01-01 00:00:01"], array("d", [1.0, 1.0])),
        ("datetime", ["1970-01-01T01:00:00+01:00", "1969-12-31T18:30-05:30"], array("d", [0.0, 0.0])),
        ("datetime", ["1969-12-31T23:59:59.5Z", "1970-01-02"], array("d", [-0.5, 86400.0])),
        ("datetime", ["0001-01-01T00:00:00+23:59"], array("d", [-62135683140.0])),
        ("numeric", array("d", [1.5]), array("d", [1.5])),
    ],
)
def test_what_fits_becomes_a_typed_column(type: str, values: list[Any], expected: Any) -> None:
    found = column(type, values)
    assert found == expected
    assert getattr(found, "typecode", None) == getattr(expected, "typecode", None)


def test_minus_zero_keeps_its_sign() -> None:
    assert math.copysign(1, column("numeric", [-0.0])[0]) == -1


def test_a_missing_number_is_rs_own_na_and_nan_is_not() -> None:
    missing, nan = column("numeric", [None, "NaN"])
    assert bits(missing) == bits(NA_REAL)
    assert bits(missing) & 0xFFFFFFFF == 1954
    assert math.isnan(nan)
    assert bits(nan) & 0xFFFFFFFF != 1954


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_every_finite_double_goes_in_bit_for_bit(values: list[float]) -> None:
    assert [bits(v) for v in column("numeric", values)] == [bits(v) for v in values]


# Dates and times


MOMENTS = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29))
OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def moment(text: str, tz: str | None = None) -> float:
    [[value]] = to_columns(schema(Input("x", "datetime", tz=tz)), [[text]])
    return float(value)  # type: ignore[arg-type]


@given(st.dates())
def test_a_date_is_its_days_since_1970(date: Any) -> None:
    assert column("date", [date.isoformat()])[0] == (date - datetime(1970, 1, 1).date()).days


@given(MOMENTS, OFFSETS, st.sampled_from(["T", " "]))
def test_a_time_with_an_offset_is_a_moment_whatever_the_columns_zone(time: datetime, offset: Any, t: str) -> None:
    text = time.replace(tzinfo=offset).isoformat(t)
    since = time.replace(tzinfo=offset) - datetime(1970, 1, 1, tzinfo=UTC)
    seconds = since.days * 86400 + since.seconds
    for tz in (None, "Europe/Vienna"):
        assert bits(moment(text, tz)) == bits(seconds + since.microseconds / 1e6)


@given(MOMENTS, st.sampled_from([None, "UTC", "Europe/Vienna", "America/New_York", "Asia/Kolkata", "EST5EDT"]))
def test_a_time_without_an_offset_is_one_of_the_columns_zone(time: datetime, tz: str | None) -> None:
    told = moment(time.isoformat(), tz)
    assert told == moment(time.replace(tzinfo=ZoneInfo(tz or "UTC")).isoformat())


def test_summer_time_is_kept_apart() -> None:
    assert moment("2026-07-01T12:00:00", "Europe/Vienna") == moment("2026-07-01T10:00:00Z")
    assert moment("2026-01-01T12:00:00", "Europe/Vienna") == moment("2026-01-01T11:00:00Z")


@given(MOMENTS.map(lambda m: m.replace(microsecond=0)), st.text("0123456789", min_size=1, max_size=12))
def test_every_digit_of_a_fraction_counts(time: datetime, digits: str) -> None:
    """Python's datetime would cut it to microseconds without a word."""
    whole = moment(time.isoformat() + "Z")
    assert bits(moment(f"{time.isoformat()}.{digits}Z")) == bits(whole + float(f"0.{digits}"))


@pytest.mark.parametrize("tz", ["Nowhere/City", "Europe", "../etc", "/etc/passwd", "a\0b"])
def test_a_zone_that_does_not_exist_refuses_what_needs_it_and_nothing_else(tz: str) -> None:
    assert moment("1970-01-01T00:00:01Z", tz) == 1
    with pytest.raises(Invalid):
        moment("1970-01-01T00:00:01", tz)


# Policies


def test_a_string_may_have_levels_and_stays_a_string() -> None:
    known = schema(Input("x", "string", LEVELS))
    assert to_columns(known, [["south", None]]) == [["south", None]]
    with pytest.raises(Invalid) as invalid:
        to_columns(known, [["south", "west", 1]])
    assert [(f.row, f.expected) for f in invalid.value.faults] == [(1, 'one of "north", "south"'), (2, "a string")]
    lenient = schema(Input("x", "string", LEVELS, new_level="na"))
    assert to_columns(lenient, [["west", "south"]]) == [[None, "south"]]


@pytest.mark.parametrize("cells", [[1, 2.5], [1.0, 2.5], array("d", [1, 2.5])])
def test_a_number_may_have_to_be_one_of_a_few(cells: Any) -> None:
    few = schema(Input("x", "numeric", allowed=(1.0, 2.5)))
    assert to_columns(few, [cells]) == [array("d", [1.0, 2.5])]
    wrong = array("d", [1, 3]) if isinstance(cells, array) else [1.0, 3]
    with pytest.raises(Invalid) as invalid:
        to_columns(few, [wrong])
    assert [(f.row, f.expected) for f in invalid.value.faults] == [(1, "one of 1, 2.5")]
    [[known, new]] = to_columns(schema(Input("x", "numeric", allowed=(1.0,), new_level="na")), [wrong])
    assert (known, bits(new)) == (1.0, bits(NA_REAL))  # type: ignore[arg-type]


def test_a_missing_number_is_missing_where_only_a_few_are_allowed() -> None:
    [column] = to_columns(schema(Input("x", "numeric", allowed=(1.0,))), [[None, 1.0]])
    assert bits(column[0]) == bits(NA_REAL)  # type: ignore[arg-type]


@pytest.mark.parametrize("type", ["factor", "ordered"])
def test_a_new_level_can_be_taken_as_a_missing_value(type: Any) -> None:
    lenient = schema(Input("x", type, LEVELS, new_level="na"))
    assert to_columns(lenient, [["west", "south", None]]) == [array("i", [NA_INTEGER, 2, NA_INTEGER])]
    with pytest.raises(Invalid) as invalid:
        to_columns(lenient, [["west", 1, True]])
    assert [f.row for f in invalid.value.faults] == [1, 2]


# What does not

FITS: dict[str, Any] = {
    "numeric": 1.0,
    "integer": 1,
    "logical": True,
    "string": "a",
    "date": "2026-01-31",
    "datetime": "2026-01-31T12:30:00Z",
}


@pytest.mark.parametrize(
    ("type", "value", "expected", "got"),
    [
        ("numeric", "2.6", "a number", 'the string "2.6"'),
        ("numeric", "nan", "a number", 'the string "nan"'),
        ("numeric", True, "a number", "true"),
        ("numeric", [], "a number", "an array"),
        ("numeric", 2**53 + 1, "a number that a double can hold", "the number 9007199254740993"),
        ("numeric", -(2**53) - 1, "a number that a double can hold", "the number -9007199254740993"),
        ("numeric", 2**53 + 2, "a number that a double can hold", "the number 9007199254740994"),
        ("integer", 1.5, "a whole number between", "the number 1.5"),
        ("integer", 2**31, "a whole number between", "the number 2147483648"),
        ("integer", -(2**31), "a whole number between", "the number -2147483648"),
        ("integer", 1e300, "a whole number between", "the number 1e+300"),
        ("integer", True, "a whole number between", "true"),
        ("integer", "Inf", "a whole number between", 'the string "Inf"'),
        ("logical", 1, "true or false", "the number 1"),
        ("logical", "true", "true or false", 'the string "true"'),
        ("string", 1, "a string", "the number 1"),
        ("string", False, "a string", "false"),
        ("string", "a\0b", "a string without the character U+0000", 'the string "a\0b"'),
        ("string", "\0", "a string without the character U+0000", 'the string "\0"'),
        ("factor", "west", 'one of "north", "south"', 'the string "west"'),
        ("factor", 1, 'one of "north", "south"', "the number 1"),
        ("factor", {}, 'one of "north", "south"', "an object"),
        ("ordered", ["north"], 'one of "north", "south"', "an array"),
        ("date", "2023-02-29", "a date", 'the string "2023-02-29"'),
        ("date", "31/01/2026", "a date", 'the string "31/01/2026"'),
        ("date", "2026-01-31T00:00:00", "a date", 'the string "2026-01-31T00:00:00"'),
        ("date", "10000-01-01", "a date", 'the string "10000-01-01"'),
        ("date", "", "a date", 'the string ""'),
        ("date", 20260131, "a date", "the number 20260131"),
        ("date", 1.0, "a date", "the number 1.0"),
        ("date", True, "a date", "true"),
        ("datetime", "2026-01-31T25:00:00Z", "a date with time", 'the string "2026-01-31T25:00:00Z"'),
        ("datetime", "2026-01-31T12:00:00+25:00", "a date with time", 'the string "2026-01-31T12:00:00+25:00"'),
        ("datetime", "now", "a date with time", 'the string "now"'),
        ("datetime", 0, "a date with time", "the number 0"),
        ("datetime", [], "a date with time", "an array"),
    ],
)
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "among others"])
def test_what_does_not_fit_is_told_with_row_and_column(
    type: str, value: Any, expected: str, got: str, alone: bool
) -> None:
    fits = FITS.get(type, "north")
    [fault] = faults(type, [value] if alone else [fits, value, fits])
    assert (fault.row, fault.column) == (0 if alone else 1, "x")
    assert fault.expected.startswith(expected)
    assert fault.got == got
    assert fault.hint


@pytest.mark.parametrize("type", [*FITS, "factor", "ordered"])
def test_a_missing_value_is_refused_where_the_model_cannot_have_one(type: str) -> None:
    [fault] = faults(type, [None], na=False)
    assert (fault.row, fault.column, fault.got) == (0, "x", "null")
    assert fault.expected == f"a value of type {type}"


@pytest.mark.parametrize("type", ["date", "datetime"])
def test_a_missing_date_is_rs_own_na(type: str) -> None:
    values = column(type, [None, FITS[type]])
    assert bits(values[0]) == bits(NA_REAL)
    assert not math.isnan(values[1])


def test_nan_is_a_missing_value_too_but_infinity_is_not() -> None:
    assert len(faults("numeric", ["NaN"], na=False)) == 1
    assert column("numeric", ["Inf"], na=False) == array("d", [math.inf])


def test_the_faults_of_all_columns_are_told_by_row() -> None:
    inputs = schema(Input("x", "numeric"), Input("y", "logical"))
    with pytest.raises(Invalid) as invalid:
        to_columns(inputs, [[1.0, "a", "b"], [7, True, 7]])
    assert [(f.row, f.column) for f in invalid.value.faults] == [(0, "y"), (1, "x"), (2, "x"), (2, "y")]


def test_only_the_first_hundred_faults_are_told() -> None:
    found = faults("numeric", ["a"] * (MAX_FAULTS + 50))
    assert [f.row for f in found] == list(range(100))


def test_of_many_levels_the_first_twenty_are_told_and_the_rest_counted() -> None:
    levels = tuple(f"level {i}" for i in range(25))
    with pytest.raises(Invalid) as invalid:
        to_columns(schema(Input("x", "factor", levels)), [["?"]])
    told = invalid.value.faults[0].expected
    assert '"level 19" and 5 more' in told
    assert "level 20" not in told


def test_a_long_string_is_cut_before_it_is_told() -> None:
    [fault] = faults("numeric", ["x" * 41])
    assert fault.got == f'the string "{"x" * 40}"…'


CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.sampled_from([2**53, 2**53 + 1, -(2**53) - 1, 2**31 - 1, -(2**31)]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([*LEVELS, "NaN", "Inf", "-Inf", "", "x", "a\0", "2026-01-31", "2026-01-31T12:30:00+02:00"]),
    st.lists(st.none(), max_size=1),
    st.dictionaries(st.text(max_size=1), st.none(), max_size=1),
)


@pytest.mark.parametrize("type", ["numeric", "integer"])
def test_logicals_are_numbers_where_a_model_of_python_takes_numbers(type: Any) -> None:
    counting = schema(Input("x", type, logical="number"))
    for values in ([True, False], [True, 7, False], [True, None]):
        [found] = to_columns(counting, [values])
        [as_numbers] = to_columns(counting, [[v if v is None else int(v) for v in values]])
        assert found.tobytes() == as_numbers.tobytes()  # type: ignore[union-attr]


def test_a_logical_is_one_of_the_numbers_that_a_model_knows_or_none() -> None:
    known = schema(Input("x", "numeric", allowed=(1.0, 2.0), logical="number"))
    assert to_columns(known, [[True]]) == [array("d", [1.0])]
    with pytest.raises(Invalid, match="do not fit"):
        to_columns(known, [[False]])


@given(
    st.sampled_from([*FITS, "factor"]),
    st.booleans(),
    st.sampled_from(["refuse", "number"]),
    st.lists(CELLS, max_size=8),
)
def test_a_column_is_what_its_cells_are_alone(type: Any, na: bool, logical: Any, values: list[Any]) -> None:
    """The quick way over whole columns and the slow way over cells know the same rules."""

    def attempt(values: list[Any]) -> list[Any] | None:
        try:
            found = column(type, values, na, logical)
        except Invalid:
            return None
        return [bits(v) if isinstance(v, float) else v for v in found]

    alone = [attempt([value]) for value in values]
    together = attempt(values)
    if None in alone:
        assert together is None
        assert [f.row for f in faults(type, values, na, logical)] == [i for i, one in enumerate(alone) if one is None]
    else:
        assert together == [cell for one in alone if one is not None for cell in one]


# Images and tensors


def cells_of(type: Any, values: list[Any], shape: tuple[int | None, ...] | None = None) -> Any:
    [found] = to_columns(schema(Input("x", type, shape=shape)), [values])
    return found


@given(st.lists(st.binary(max_size=30), min_size=1))
def test_an_image_is_bytes_or_their_base64(files: list[bytes]) -> None:
    assert cells_of("image", files) == files
    assert cells_of("image", [b64encode(data).decode() for data in files]) == files


@pytest.mark.parametrize(
    "value", ["a", "aGVsbG8", "aGVs bG8=", "aGVsbG8=\n", "data:image/png;base64,aGVsbG8=", 3, None, ["aA=="]]
)
def test_what_is_no_base64_is_no_image(value: Any) -> None:
    with pytest.raises(Invalid) as refused:
        cells_of("image", ["aA==", value])
    [fault] = refused.value.faults
    assert (fault.row, fault.column) == (1, "x")


def nested(shape: list[int], values: Any) -> Any:
    return next(values) if not shape else [nested(shape[1:], values) for _ in range(shape[0])]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.data())
def test_a_tensor_is_flattened_in_order_and_its_shape_found(shape: list[int], data: st.DataObject) -> None:
    count = math.prod(shape)
    values = data.draw(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=count, max_size=count))
    known = data.draw(st.tuples(*(st.sampled_from([None, n]) for n in shape)))
    [found] = cells_of("tensor", [nested(shape, iter(values))], known)
    assert found == Tensor(tuple(shape), array("d", values))


@pytest.mark.parametrize(
    ("value", "got"),
    [
        ([[1, 2], [3]], "1 to 2 values in dimension 2"),
        ([[1, 2, 3]], "3 values in dimension 2"),
        ([], "0 values in dimension 1"),
        ([[], []], "0 values in dimension 2"),
        ([1, 2], "an array"),
        ([[[1], [2]]], "an array"),
        ([[1, "NaN"]], 'the string "NaN"'),
        ([[1, True]], "true"),
        ([[1, 2**60]], f"the number {2**60}"),
        (None, "null"),
        (7, "the number 7"),
    ],
)
def test_a_tensor_of_another_shape_or_content_is_refused(value: Any, got: str) -> None:
    with pytest.raises(Invalid) as refused:
        cells_of("tensor", [[[0, 0]], value], (None, 2))
    [fault] = refused.value.faults
    assert (fault.row, fault.got) == (1, got)
