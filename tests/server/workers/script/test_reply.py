"""What run() returned, as JSON: what the standard library would write, arrays and tables, or a clear refusal."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.workers.errors import NotJson
from server.workers.script.reply import encoded

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(VALUES)
def test_what_json_holds_is_what_the_standard_library_writes(value: Any) -> None:
    try:
        expected = json.loads(json.dumps(value, ensure_ascii=False).encode())
    except UnicodeEncodeError:
        with pytest.raises(NotJson):
            encoded(value)
    else:
        assert json.loads(encoded(value)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a text", "a text"),
        (None, None),
        ({1: "a", None: "b", 2.5: "c"}, {"1": "a", "null": "b", "2.5": "c"}),
        ([float("nan"), float("inf"), 0.1], [None, None, 0.1]),
        (np.float64(0.1), 0.1),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.arange(4.0).reshape(2, 2).T, [[0.0, 2.0], [1.0, 3.0]]),
        (np.array(["a", None], dtype=object), ["a", None]),
        (np.array([0.1, np.nan]), [0.1, None]),
        ({"probability": np.array([1, 2], dtype=np.uint8)}, {"probability": [1, 2]}),
        (pd.Series([1.5, 2.5]), [1.5, 2.5]),
        (pd.DataFrame({"a": [1, 2], "b": ["x", None]}), [{"a": 1, "b": "x"}, {"a": 2, "b": None}]),
        (pd.Index(["a", "b"]), ["a", "b"]),
    ],
)
def test_what_models_give_is_written_plainly(value: Any, expected: Any) -> None:
    assert orjson.loads(encoded(value)) == expected


@dataclass
class Answer:
    x: int


class Sly:
    def tolist(self) -> Any:
        raise ValueError("not today")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ({1, 2}, "set"),
        ([b"x"], "bytes"),
        ({"a": object()}, "object"),
        (Answer(1), "Answer"),
        (1j, "complex"),
        (Sly(), "Sly"),
        (np.complex128(1j), "complex"),
    ],
)
def test_what_json_cannot_hold_is_named_by_its_type(value: Any, name: str) -> None:
    with pytest.raises(NotJson, match=rf"^run\(\) returned a value of type {name}, which JSON cannot hold$"):
        encoded(value)


def test_other_reasons_are_told_too() -> None:
    circle: list[Any] = []
    circle.append(circle)
    for value, reason in ((2**64, "64-bit"), ("\ud800", "surrogates"), (circle, "[Rr]ecursion")):
        with pytest.raises(NotJson, match=f"a value that JSON cannot hold: .*{reason}"):
            encoded(value)
