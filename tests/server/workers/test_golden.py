"""Golden rows: equal answers pass, others are told, and a tolerance is for numbers only."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.wire.schema import Input, Option, Options, Output, Schema
from server.workers import golden
from server.workers.errors import LoadFailed
from server.workers.predictions import Predicted, Predictions
from server.workers.table import Column

numbers = st.floats(-1e6, 1e6)


class Twice:
    """Doubles x, and ranks two labels by it."""

    name = "twice"
    version = "v1"
    schema = Schema((Input("x", "numeric"),), (Output("response", "number"), Output("top", "ranking")))
    max_rows = 10
    rowwise = True

    def predict(self, columns: list[Column], sizes: Sequence[int], output: str, options: Options) -> Predictions:
        doubled = [2 * float(x) for x in columns[0]]  # type: ignore[arg-type]
        if output == "response":
            return Predictions((Predicted("number", array("d", doubled)),), None)
        return Predictions((Predicted("object", [ranking(d) for d in doubled]),), None)


def ranking(probability: float, *labels: str) -> list[dict[str, Any]]:
    first, second = labels or ("a", "b")
    return [{"label": first, "probability": probability}, {"label": second, "probability": 1 - probability}]


def refusal(*rows: dict[str, Any], tolerance: float = 0.0) -> str:
    with pytest.raises(LoadFailed) as failed:
        golden.check(Twice(), rows, tolerance)
    assert failed.value.code == "golden_mismatch"
    return str(failed.value)


def test_equal_answers_pass() -> None:
    golden.check(Twice(), [{"row": {"x": 1.5}, "response": 3}, {"row": {"x": 0.3}, "top": ranking(0.6)}])


def test_without_a_tolerance_the_last_bit_counts() -> None:
    told = refusal({"row": {"x": 1}, "response": math.nextafter(2, 3)})
    assert told == "golden row 0: expected response 2.0000000000000004, the model answers 2.0"


def test_of_several_rows_the_one_that_differs_most_is_told() -> None:
    rows = [{"row": {"x": x}, "response": 2 * x + off} for x, off in ((1, 0.1), (2, 0.5), (3, 0.0))]
    told = refusal(*rows, tolerance=0.01)
    assert told.startswith("golden row 1: ") and "the largest difference is 0.0909, the tolerance 0.01" in told


def test_a_ranking_needs_the_same_order_and_probabilities_within_the_tolerance() -> None:
    golden.check(Twice(), [{"row": {"x": 0.3}, "top": ranking(0.605)}], 0.01)
    assert "largest difference" in refusal({"row": {"x": 0.3}, "top": ranking(0.7)}, tolerance=0.01)
    assert "largest" not in refusal({"row": {"x": 0.3}, "top": ranking(0.6, "b", "a")}, tolerance=0.01)


@given(numbers, numbers)
def test_a_difference_is_none_only_between_equals_and_grows_with_the_distance(given: float, expected: float) -> None:
    apart = golden.difference(given, expected)
    assert (apart == 0) == (given == expected) or abs(given - expected) < 1e-300
    assert apart <= abs(given - expected)
    assert golden.difference({"a": [given]}, {"a": [expected]}) == apart


@pytest.mark.parametrize(
    ("given", "expected"), [("a", "b"), (1, "1"), (True, 1), ([1], [1, 2]), ({"a": 1}, {"b": 1}), (None, 0)]
)
def test_what_is_no_pair_of_numbers_differs_wholly(given: Any, expected: Any) -> None:
    assert golden.difference(given, expected) == math.inf or given == expected


class Steps:
    """Answers with as many numbers as it is asked for, and notes what it is asked."""

    name = "steps"
    version = "v1"
    schema = Schema(
        (),
        (Output("response", "number"), Output("interval", "number")),
        (Option("h", "integer", default=10, minimum=1), Option("level", "numeric", default=95)),
        horizon=True,
    )
    max_rows = 10
    rowwise = False

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def predict(self, columns: list[Column], sizes: Sequence[int], output: str, options: Options) -> Predictions:
        [rows] = sizes
        assert dict(options)["h"] == rows and not columns
        self.asked.append((output, rows))
        return Predictions((Predicted("number", array("d", range(rows))),), None, ("h is large",) if rows > 9 else ())


def test_a_model_with_a_horizon_is_called_for_one_step_and_two_and_its_own_choice() -> None:
    model = Steps()
    for call in [*golden.calls(model, {}), *golden.calls_of_others(model, {})]:
        call()
    assert model.asked == [("response", 10), ("response", 1), ("response", 2), ("interval", 10)]


def test_a_rehearsal_calls_every_output_and_stops_when_its_time_is_over() -> None:
    model = Steps()
    golden.rehearse(model, {}, 2, limit_s=60)
    golden.rehearse(model, {}, 2, limit_s=0)
    assert model.asked == [("response", 10), ("response", 10), ("interval", 10), ("response", 10)]


def test_what_predict_warns_of_is_told_of_the_example() -> None:
    assert golden.warned(Steps(), {}) == ["predict() warns of the example row: h is large"]
    assert golden.warned(Twice(), {"x": 1}) == golden.warned(Twice(), {"unknown": 1}) == []
