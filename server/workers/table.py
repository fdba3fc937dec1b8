"""Columns: from cells as a codec read them to typed arrays that a runtime takes, each fault named by row and column.

The same function serves one request and a whole batch. The loop first tries all requests of a batch together, where
one pass of C-speed checks per column is enough when nothing is wrong; only if something is does each request go
through alone, so that a fault is found, told and paid for by the request that has it.
"""

from __future__ import annotations

import binascii
import math
import re
import struct
from array import array
from collections.abc import Callable, Container, Iterable, Sequence
from datetime import UTC, date, datetime
from heapq import nsmallest
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from server.wire.schema import Input, Schema
from server.workers import whole_numbers
from server.workers.errors import MAX_FAULTS, Fault, Invalid
from server.workers.tensors import Misshapen, Tensor, flattened, shape_told

NA_REAL: float = struct.unpack("<d", struct.pack("<Q", 0x7FF00000000007A2))[0]
NA_INTEGER = -(2**31)
MAX_LEVELS_LISTED = 20
MAX_IGNORED = 20

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DOUBLES = ("numeric", "date", "datetime")
"""Types that travel as doubles; R keeps dates as days and times as seconds since 1970."""

SPECIAL_NUMBERS = {"NaN": math.nan, "Inf": math.inf, "-Inf": -math.inf}

Column: TypeAlias = "array[float] | array[int] | memoryview[float] | list[str | None] | list[bytes] | list[Tensor]"


def missing(given: Container[str], schema: Schema, row: int | None) -> list[Fault]:
    """A fault for each input that `given` (a row or the columns) lacks and must have."""
    return [
        Fault(row, i.name, f"a value of type {i.type}", "nothing", f'add "{i.name}"; {_LEFT_OUT[i.na]}')
        for i in schema.inputs
        if i.name not in given and i.missing == "refuse"
    ]


_LEFT_OUT = {
    True: "an unknown value is written null, or left out where the model's sidecar says `missing: na` of this input",
    False: "this model cannot predict a row without it",
}
"""Hints for an absent input, by whether it may be missing. It is refused even so: its name may be misspelt."""


def ignored(given: Iterable[str], schema: Schema) -> tuple[str, ...]:
    """A warning for each column that is no input. Raises Invalid if the schema refuses them."""
    known = set(schema.input_names)
    unknown = nsmallest(MAX_FAULTS, (name[:100] for name in given if name not in known))
    if unknown and schema.extra == "refuse":
        faults = [Fault(None, name, "an input of this model", "another column", "leave it out") for name in unknown]
        raise Invalid("there are columns that are no inputs of this model", faults)
    return tuple(f'column "{name}" is not an input of this model and was ignored' for name in unknown[:MAX_IGNORED])


def to_columns(schema: Schema, cells: Sequence[list[Any]]) -> list[Column]:
    """Typed columns, one array or list per input, from lists of cells. Raises Invalid with all faults found.

    numeric becomes array('d') or a view of doubles; integer, logical and factor codes (from 1) array('i'); string a
    list of str or None; image a list of bytes; tensor a list of Tensor.
    """
    columns: list[Column] = []
    faults: list[Fault] = []
    for spec, values in zip(schema.inputs, cells, strict=True):
        fast = _FAST[spec.type](spec, values)
        if fast is None:
            fast, found = _slow(spec, values)
            faults += found
        columns.append(fast)
    if faults:
        raise Invalid("the rows do not fit the model's inputs", sorted(faults, key=lambda f: f.row or 0))
    return columns


# Whole columns at once: None means "look closer"


def numbers(values: Sequence[Any]) -> array[float] | None:
    """Cells as doubles, if they are all numbers that a double holds exactly enough; None otherwise."""
    types = set(map(type, values))
    if types <= {float}:
        return array("d", values)
    if types <= {float, int}:
        column = array("d", values)
        return column if whole_numbers.are_held(min(column), max(column)) else None
    return None


def _fast_numeric(spec: Input, values: list[Any]) -> Column | None:
    column = numbers(values) if type(values) is list else values
    if column is None and spec.logical == "number" and set(map(type, values)) == {bool}:
        column = array("d", values)
    if spec.allowed is not None and column is not None and not set(column) <= set(spec.allowed):
        return None
    return column


def _fast_integer(spec: Input, values: list[Any]) -> Column | None:
    if set(map(type, values)) <= {int}:
        try:
            column = array("i", values)
        except OverflowError:
            return None
        return None if NA_INTEGER in column else column
    return None


def _fast_logical(spec: Input, values: list[Any]) -> Column | None:
    return array("i", values) if set(map(type, values)) <= {bool} else None


def _fast_string(spec: Input, values: list[Any]) -> Column | None:
    if not set(map(type, values)) <= {str} or (spec.codes and not spec.codes.keys() >= set(values)):
        return None
    if "\0" in "".join(values):
        return None
    return values


def _fast_factor(spec: Input, values: list[Any]) -> Column | None:
    codes = spec.codes
    try:
        return array("i", [codes[v] for v in values])
    except (KeyError, TypeError):
        return None


def _fast_image(spec: Input, values: list[Any]) -> Column | None:
    return values if set(map(type, values)) <= {bytes} else None


_FAST: dict[str, Callable[[Input, list[Any]], Column | None]] = {
    "numeric": _fast_numeric,
    "integer": _fast_integer,
    "logical": _fast_logical,
    "string": _fast_string,
    "factor": _fast_factor,
    "ordered": _fast_factor,
    "date": lambda spec, values: values if isinstance(values, array) else None,
    "datetime": lambda spec, values: values if isinstance(values, array) else None,
    "image": _fast_image,
    "tensor": lambda spec, values: values if set(map(type, values)) <= {Tensor} else None,
}


# Cell by cell


def _slow(spec: Input, values: list[Any]) -> tuple[Column, list[Fault]]:
    convert = _CELLS[spec.type]
    faults: list[Fault] = []
    cells = []
    for row, value in enumerate(values):
        try:
            cells.append(_na(spec) if value is None else convert(spec, value))
        except _Unfit as e:
            cells.append(_FILL.get(spec.type, 0))
            if len(faults) < MAX_FAULTS:
                faults.append(Fault(row, spec.name, e.expected, e.got or _shown(value), e.hint))
    if spec.type in ("string", "image", "tensor"):
        return cells, faults
    return array("d" if spec.type in DOUBLES else "i", cells), faults


class _Unfit(Exception):
    def __init__(self, expected: str, hint: str, got: str | None = None) -> None:
        super().__init__(expected)
        self.expected = expected
        self.hint = hint
        self.got = got


def _na(spec: Input) -> Any:
    if not spec.na:
        raise _Unfit(f"a value of type {spec.type}", "this model cannot predict a row with a missing value here")
    if spec.type in ("image", "tensor"):
        raise _Unfit(f"a value of type {spec.type}", f"a {spec.type} cannot be missing")
    return None if spec.type == "string" else NA_REAL if spec.type in DOUBLES else NA_INTEGER


def _numeric(spec: Input, value: Any) -> float:
    number = _number(spec, value)
    if spec.allowed is None or number in spec.allowed or number != number:
        return number
    if spec.new_level == "na":
        return NA_REAL
    listed = ", ".join(f"{n:g}" for n in spec.allowed[:MAX_LEVELS_LISTED])
    raise _Unfit(f"one of {listed}", "the model makes levels of these numbers and knows no others")


def _number(spec: Input, value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is int:
        if not whole_numbers.is_held(value):
            raise _Unfit("a number that a double can hold", "whole numbers above 2^53 would be rounded")
        return float(value)
    if type(value) is bool and spec.logical == "number":
        return float(value)
    if type(value) is str and value in SPECIAL_NUMBERS:
        if value == "NaN" and not spec.na:
            raise _Unfit("a number", "this model cannot predict a row with a missing value here")
        return SPECIAL_NUMBERS[value]
    raise _Unfit("a number", 'write numbers without quotes; an unknown value is null, and NaN is "NaN"')


def _integer(spec: Input, value: Any) -> int:
    if type(value) is bool and spec.logical == "number":
        return int(value)
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is int and -(2**31) < value < 2**31:
        return int(value)
    raise _Unfit("a whole number between -2147483647 and 2147483647", "R's integers have 32 bits")


def _logical(spec: Input, value: Any) -> int:
    if type(value) is bool:
        return int(value)
    raise _Unfit("true or false", "write true or false without quotes")


def _string(spec: Input, value: Any) -> str | None:
    if type(value) is not str:
        raise _Unfit("a string", "write it in quotes")
    if "\0" in value:
        raise _Unfit("a string without the character U+0000", "no text in R can hold it")
    if not spec.codes or value in spec.codes:
        return value
    if spec.new_level == "na":
        return None
    raise _Unfit("one of " + _levels_told(spec), "the model knows only the texts it was trained with")


def _factor(spec: Input, value: Any) -> int:
    code = spec.codes.get(value) if type(value) is str else None
    if code is None and type(value) is str and spec.new_level == "na":
        return NA_INTEGER
    if code is None:
        raise _Unfit("one of " + _levels_told(spec), "the model knows only the levels it was trained with")
    return code


def _date(spec: Input, value: Any) -> float:
    try:
        return float((date.fromisoformat(value) - EPOCH.date()).days)
    except (TypeError, ValueError):
        raise _Unfit("a date", 'write it as "2026-01-31"') from None


def _datetime(spec: Input, value: Any) -> float:
    """Seconds since 1970; a time without an offset is one of the column's zone."""
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=ZoneInfo(spec.tz or "UTC"))
        since = moment - EPOCH
    except (TypeError, ValueError, OverflowError, OSError, ZoneInfoNotFoundError):
        raise _Unfit("a date with time", 'write it as "2026-01-31T12:30:00Z"') from None
    long = _LONG_FRACTION.search(value)
    return since.days * 86400 + since.seconds + (float(f"0.{long[1]}") if long else since.microseconds / 1e6)


_LONG_FRACTION = re.compile(r"[T ]\d\d:?\d\d:?\d\d[.,](\d{7,})", re.ASCII)
"""A fraction of a second with more digits than Python's datetime keeps."""


def _image(spec: Input, value: Any) -> bytes:
    if type(value) is bytes:
        return value
    try:
        return binascii.a2b_base64(value, strict_mode=True)
    except (TypeError, ValueError):
        hint = "encode the file's bytes as base64, without line breaks and without a prefix"
        raise _Unfit("a JPEG or PNG file in base64", hint) from None


def _tensor(spec: Input, value: Any) -> Tensor:
    expected = f"numbers of the shape {shape_told(spec.shape or ())}"
    try:
        shape, cells = flattened(value, spec.shape or ())
    except Misshapen as e:
        raise _Unfit(expected, e.hint, e.got) from None
    values = numbers(cells)
    if values is None:
        found = next(v for v in cells if numbers([v]) is None)
        raise _Unfit(expected, "write numbers without quotes; NaN and null have no place here", _shown(found))
    return Tensor(shape, values)


_CELLS: dict[str, Callable[[Input, Any], Any]] = {
    "numeric": _numeric,
    "integer": _integer,
    "logical": _logical,
    "string": _string,
    "factor": _factor,
    "ordered": _factor,
    "date": _date,
    "datetime": _datetime,
    "image": _image,
    "tensor": _tensor,
}
_FILL: dict[str, Any] = {"string": "", "factor": 1, "ordered": 1, "image": b"", "tensor": Tensor((), array("d"))}


def _levels_told(spec: Input) -> str:
    levels = spec.levels or ()
    listed = ", ".join(f'"{level}"' for level in levels[:MAX_LEVELS_LISTED])
    return listed + (f" and {len(levels) - MAX_LEVELS_LISTED} more" if len(levels) > MAX_LEVELS_LISTED else "")


def _shown(value: Any) -> str:
    """What was got instead: its kind and a little of its text, because a reply must not echo a body."""
    if value is None:
        return "null"
    if type(value) is bool:
        return str(value).lower()
    if type(value) in (int, float):
        return f"the number {str(value)[:40]}"
    if type(value) is str:
        return f'the string "{value[:40]}"' + ("…" if len(value) > 40 else "")
    return "an object" if type(value) is dict else "an array"
