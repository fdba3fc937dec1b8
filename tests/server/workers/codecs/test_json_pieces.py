"""Reading in pieces is only ever a faster way to the same question."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.wire.schema import Schema
from server.workers.codecs import Question, json_pieces
from server.workers.codecs.json import JSON
from server.workers.errors import BadBody, Invalid
from server.workers.table import to_columns

SCHEMA = Schema.from_data(
    {
        "inputs": [
            {"name": "x", "type": "numeric"},
            {"name": 'a "b"', "type": "numeric"},
            {"name": "s", "type": "string"},
            {"name": "f", "type": "factor", "levels": ["},{", "]", "k"]},
        ],
        "outputs": [{"name": "response", "type": "number"}, {"name": "prob", "type": "number"}],
    }
)
NUMBER = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**60), 2**60))
TEXT = st.one_of(st.sampled_from(["},{", "]", '"', "a:b", "\\", "é"]), st.text(max_size=4))
ROW = st.fixed_dictionaries(
    {"x": NUMBER, 'a "b"': NUMBER, "s": TEXT, "f": st.sampled_from(["},{", "]", "k"])},
)
ROWS = st.lists(ROW, min_size=1, max_size=30)
OUTPUT = st.sampled_from([{}, {"output": "prob"}, {"output": "nothing"}, {"output": None}])


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_pieces, "PIECE_BYTES", 40)


def as_columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def as_whole(body: bytes) -> Any:
    """What reading the whole gives: typed columns, output and rows, or the kind of refusal."""
    assert len(body) < json_pieces.LARGE_BYTES
    try:
        return settled(JSON.decode(body, SCHEMA))
    except (BadBody, Invalid) as e:
        return type(e)


def settled(question: Question) -> Any:
    try:
        columns = to_columns(SCHEMA, question.cells)
    except Invalid:
        return Invalid
    return [list(map(repr, column)) for column in columns], question.output, question.rows, question.warnings


@given(ROWS, OUTPUT, st.booleans(), st.booleans())
def test_whatever_is_read_in_pieces_is_what_the_whole_says(
    rows: list[dict[str, Any]], output: dict[str, Any], spaced: bool, by_column: bool
) -> None:
    document = ({"columns": as_columns(rows)} if by_column else {"rows": rows}) | output
    body = json.dumps(document, indent=1).encode() if spaced else orjson.dumps(document)
    question = json_pieces.decode(body, SCHEMA)
    if question is not None:
        assert settled(question) == as_whole(body)


@given(ROWS, st.booleans(), st.integers(0, 10_000), st.sampled_from([b"", b",", b"}", b"]", b'"', b"1", b":", b"null"]))
def test_a_damaged_body_is_never_taken_for_more_than_the_whole_takes_it(
    rows: list[dict[str, Any]], by_column: bool, at: int, piece: bytes
) -> None:
    body = orjson.dumps({"columns": as_columns(rows)} if by_column else {"rows": rows})
    at %= len(body)
    damaged = body[:at] + piece + body[at + 1 :]
    question = json_pieces.decode(damaged, SCHEMA)
    if question is not None:
        assert settled(question) == as_whole(damaged)


@pytest.mark.parametrize(
    "body",
    [
        b'{"columns":{"x":[1.5],"a \\"b\\"":[2],"s":["t"],"f":["k"]]}',
        b'{"columns":{"x":[1.5],"a \\"b\\"":[2],"s":["t"],"f":["k"],}}',
        b'{"columns":{}}',
        b'{"rows":[{"x":1.5,"a \\"b\\"":2,"s":"t","f":"k"}}}',
        b'{"rows":[{"x":1.5,"a \\"b\\"":2,"s":"t","f":"k"},]}',
        b'{"rows":[]}',
    ],
)
def test_brackets_and_commas_that_json_does_not_know_are_left_to_the_whole(body: bytes) -> None:
    assert json_pieces.decode(body, SCHEMA) is None


@pytest.mark.parametrize("by_column", [False, True])
@pytest.mark.parametrize("spaced", [False, True])
def test_a_regular_body_is_read_in_pieces(spaced: bool, by_column: bool) -> None:
    """Without this, reading nothing in pieces would pass the tests above."""
    rows = [{"x": i / 3, 'a "b"': i, "s": "text", "f": "k"} for i in range(50)]
    document = {"columns": as_columns(rows)} if by_column else {"rows": rows}
    body = json.dumps(document).encode() if spaced else orjson.dumps(document)
    question = json_pieces.decode(body, SCHEMA)
    assert question is not None
    assert settled(question) == as_whole(body)
    assert json_pieces.decode(body[:-1] + b',"output":"prob"}', SCHEMA).output == "prob"


@pytest.mark.parametrize(
    "body",
    [
        b'{"rows":[]}',
        b'{"rows":[{"x":1,"x":2,"a \\"b\\"":1,"s":"","f":"k"}]}',
        b'{"columns":{"x":[1],"x":[2],"a \\"b\\"":[1],"s":[""],"f":["k"]}}',
        b'{"rows":[{"x":null,"a \\"b\\"":1,"s":"","f":"k"}]}',
        b'{"rows":[{"x":9007199254740993,"a \\"b\\"":1,"s":"","f":"k"}]}',
        b'{"columns":{"x":[1,2],"a \\"b\\"":[1],"s":[""],"f":["k"]}}',
        b'{"columns":{"x":[1]}}',
        b'{"rows":[1]}',
        b'{"rows":',
        b"",
    ],
)
def test_what_needs_a_closer_look_is_left_to_the_whole(body: bytes) -> None:
    assert json_pieces.decode(body, SCHEMA) is None
