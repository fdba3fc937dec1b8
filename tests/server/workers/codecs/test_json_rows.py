"""Reading rows column by column gives what reading JSON gives, or nothing."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from server.wire.schema import Schema
from server.workers.codecs import json_rows

NAMES = ["x", "a name of more than twenty bytes", "é", "s"]
SCHEMA = Schema.from_data(
    {
        "inputs": [{"name": name, "type": "string" if name == "s" else "numeric"} for name in NAMES],
        "outputs": [{"name": "response", "type": "number"}],
    }
)
NUMBER = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**54), 2**54))
TEXT = st.one_of(st.sampled_from(["},{", ",", ":", "", "é", "5", "\\", '"']), st.text(max_size=4))
ROWS = st.lists(
    st.fixed_dictionaries({name: TEXT if name == "s" else NUMBER for name in NAMES}), min_size=1, max_size=6
)
ORDER = st.permutations(NAMES)
SEPARATORS = st.sampled_from([(",", ":"), (", ", ": "), (",  ", ":"), (",", " :"), (",\n", ":")])


def written(rows: list[dict[str, Any]], order: list[str], separators: tuple[str, str]) -> bytes:
    ordered = [{name: row[name] for name in order} for row in rows]
    return json.dumps(ordered, ensure_ascii=False, separators=separators).encode("utf-8", "surrogatepass")[1:-1]


def read(piece: bytes) -> list[list[Any]] | None:
    try:
        return [list(cells) for cells in json_rows.read(piece, SCHEMA)]
    except (json_rows.Unlike, ValueError):
        return None


def as_json(piece: bytes) -> list[list[Any]] | None:
    """The cells as orjson reads them; None where the rows are no JSON, or do not have just these columns."""
    try:
        rows = orjson.loads(b"[%b]" % piece)
        cells = [[row[name] if name == "s" else float(row[name]) for row in rows] for name in NAMES]
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None
    regular = all(set(row) == set(NAMES) and isinstance(row["s"], str) for row in rows)
    numbers = all(type(row[name]) in (int, float) for row in rows for name in NAMES if name != "s")
    return cells if regular and numbers else None


@given(ROWS, ORDER, SEPARATORS)
def test_what_is_read_is_what_json_says(
    rows: list[dict[str, Any]], order: list[str], separators: tuple[str, str]
) -> None:
    piece = written(rows, order, separators)
    cells = read(piece)
    if cells is not None:
        assert repr(cells) == repr(as_json(piece))


PIECES = [
    b"5",
    b" 5",
    b"5 ",
    b"-",
    b".5",
    b"e5",
    b",",
    b"{",
    b"}",
    b":",
    b'"',
    b"[",
    b"]",
    b" ",
    b"null",
    b"\x01",
    b"\xff",
]


@settings(max_examples=300)
@given(ROWS, ORDER, SEPARATORS, st.integers(0, 10_000), st.sampled_from([b"", *PIECES]), st.integers(0, 3))
@example([{"x": 1, NAMES[1]: 2, "é": 3, "s": "t"}], NAMES, (",", ":"), 1, b"5", 0)
def test_damaged_rows_are_never_taken_for_anything_else(
    rows: list[dict[str, Any]], order: list[str], separators: tuple[str, str], at: int, more: bytes, fewer: int
) -> None:
    piece = written(rows, order, separators)
    at %= len(piece) + 1
    damaged = piece[:at] + more + piece[at + fewer :]
    cells = read(damaged)
    if cells is not None:
        assert repr(cells) == repr(as_json(damaged))


ONE = b'{"x":1,"%b":2,"\xc3\xa9":3,"s":"t"}' % NAMES[1].encode()


@pytest.mark.parametrize(
    "damaged",
    [
        ONE.replace(b'{"x":1', b'{5"x":'),
        ONE.replace(b":1,", b":,"),
        ONE.replace(b"3,", b'3"s"'),
        ONE + b",5" + ONE.replace(b":1,", b":,"),
        ONE.replace(b'"t"', b'5"t"'),
        ONE.replace(b'"t"', b'"t".5'),
        ONE.replace(b":1,", b":9007199254740993,"),
        ONE.replace(b'"x"', b'"y"'),
        ONE + b"," + ONE.replace(b'"x":1', b'"y":1'),
    ],
)
def test_a_stray_number_a_lost_one_and_another_name_are_left_to_who_reads_any_json(damaged: bytes) -> None:
    assert read(damaged) is None


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_rows_written_alike_are_read_here(separators: tuple[str, str]) -> None:
    """Without this, reading nothing here would pass the tests above."""
    rows = [{"x": i / 3, NAMES[1]: -i, "é": 1e-300, "s": "},{é"} for i in range(50)]
    piece = written(rows, NAMES, separators)
    assert repr(read(piece)) == repr(as_json(piece))
