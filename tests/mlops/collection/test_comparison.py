"""Answers compared: differences, ranks and confusions against numpy and scipy, and answers that do not fit."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import orjson
import pytest
from scipy import stats

from mlops.collection.comparison import WORST, Comparison
from server.wire.collect import Collect, Copied, Described, id_of
from server.wire.frames import BodyFormat
from server.wire.schema import Output, Schema
from tests.mlops.collection.copies import NOON, SCHEMA


def deployment(name: str, schema: Schema = SCHEMA) -> Described:
    return Described("m", name, schema.to_data(), Collect(), "e", name)


LIVE, MIRROR = deployment("blue"), deployment("green")


def answered(
    of: Described, values: Any, code: bytes = b"ok", request_id: bytes = b"r", predict_s: float = 0.1
) -> Copied:
    answer = orjson.dumps({"predictions": values}) if code == b"ok" else b""
    rows = len(values) if isinstance(values, list) else 0
    forms = (rows, BodyFormat.JSON, BodyFormat.JSON, 0, False)
    return Copied._make((id_of(of.payload()), NOON, 0.0, predict_s, *forms, request_id, code, b"", b"", answer))


def test_numbers_are_compared_as_numpy_and_scipy_do() -> None:
    random = np.random.default_rng(1)
    live, mirror = random.normal(size=500).round(2), random.normal(size=500).round(2)
    comparison = Comparison(LIVE, MIRROR)
    for at in range(0, 500, 5):
        comparison.add(answered(LIVE, live[at : at + 5].tolist()), answered(MIRROR, mirror[at : at + 5].tolist()))
    told = comparison.told()
    json.dumps(told, allow_nan=False)
    output = told["outputs"]["y"]
    apart = np.abs(live - mirror)
    assert output["rows"] == 500 and output["equal"] == int((live == mirror).sum())
    assert output["absolute_difference"]["0.9"] == pytest.approx(np.quantile(apart, 0.9))
    relative = apart / np.maximum(np.abs(live), np.abs(mirror))
    assert output["relative_difference"]["0.5"] == pytest.approx(np.quantile(relative, 0.5))
    assert output["rank_correlation"] == pytest.approx(stats.spearmanr(live, mirror).statistic)
    worst = [abs(row["live"] - row["mirror"]) for row in told["worst"]]
    assert worst == pytest.approx(sorted(apart, reverse=True)[:WORST])


def test_equal_answers_are_equal_and_constant_ones_have_no_rank() -> None:
    comparison = Comparison(LIVE, MIRROR)
    for _ in range(3):
        assert comparison.add(answered(LIVE, [1.5, None]), answered(MIRROR, [1.5, None])) == "equal"
    output = comparison.told()["outputs"]["y"]
    assert (output["rows"], output["equal"], output["rank_correlation"]) == (6, 6, None)
    assert output["absolute_difference"]["1"] == 0.0


def test_classes_are_counted_by_pairs_and_the_rows_that_differ_are_kept() -> None:
    labels = Schema(SCHEMA.inputs, (Output("class", "label", ("no", "yes")),))
    live, mirror = deployment("blue", labels), deployment("green", labels)
    comparison = Comparison(live, mirror)
    assert comparison.add(answered(live, ["no", "yes"]), answered(mirror, ["no", "no"])) == "differ"
    told = comparison.told()
    assert told["outputs"]["class"]["confusion"] == [
        {"live": "no", "mirror": "no", "rows": 1},
        {"live": "yes", "mirror": "no", "rows": 1},
    ]
    assert told["worst"] == [{"request_id": "r", "row": 1, "output": "class", "live": "yes", "mirror": "no"}]


def test_failures_and_answers_of_another_form_are_counted_as_what_they_are() -> None:
    comparison = Comparison(LIVE, MIRROR)
    failed = b"model_failed"
    assert comparison.add(answered(LIVE, [1]), answered(MIRROR, [], failed)) == "only_live"
    assert comparison.add(answered(LIVE, [], failed), answered(MIRROR, [1])) == "only_mirror"
    assert comparison.add(answered(LIVE, [], failed), answered(MIRROR, [], failed)) == "both_failed"
    assert comparison.add(answered(LIVE, [1, 2]), answered(MIRROR, [1])) == "unlike"
    assert comparison.add(answered(LIVE, [1]), answered(MIRROR, [{"a": 1, "b": 2}])) == "unlike"
    assert comparison.add(answered(LIVE, 3), answered(MIRROR, [1])) == "unlike"
    assert comparison.told()["requests"] == {
        "equal": 0,
        "differ": 0,
        "only_live": 1,
        "only_mirror": 1,
        "both_failed": 1,
        "unlike": 3,
    }


def test_times_stand_beside_each_other() -> None:
    comparison = Comparison(LIVE, MIRROR)
    for n in range(100):
        comparison.add(answered(LIVE, [1.0], predict_s=n / 100), answered(MIRROR, [1.0], predict_s=2.0))
    seconds = comparison.told()["predict_seconds"]
    assert seconds["live"]["0.5"] == pytest.approx(0.495) and seconds["mirror"]["0.99"] == 2.0
