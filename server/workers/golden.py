"""Golden rows: rows with their expected answers, kept in a sidecar and checked before a model may serve.

    golden:
      - row: {speed: 10}
        response: 21.744992700729928

They go the way that a request goes (decode, predict, encode), so they also prove the schema. Answers must be equal, or
where a runtime allows a tolerance, each number within it and everything else, such as a ranking's order, equal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import Any

import orjson

from server.workers.codecs.json import JSON
from server.workers.errors import BadBody, Invalid, LoadFailed, ModelFailed
from server.workers.options import asked
from server.workers.predictions import Predictions
from server.workers.score import Model
from server.workers.table import to_columns

UNANSWERED = (BadBody, Invalid, ModelFailed, TypeError)
"""What decoding a row and predicting it may raise."""


def example(golden: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The row of the first golden row, which serves as the model's example."""
    return golden[0].get("row") if golden else None


def check(model: Model, golden: Sequence[Mapping[str, Any]], tolerance: float = 0.0) -> None:
    """Predict each golden row and compare. Raises LoadFailed with the row, the expected and the given answer.

    Numbers may differ by `tolerance`, and by as much again for each unit of their size. Of several rows that differ,
    the one that does most is told.
    """
    faults: list[tuple[float, str]] = []
    for number, one in enumerate(golden):
        expected = {name: value for name, value in one.items() if name != "row"}
        if not isinstance(one.get("row"), dict) or not expected:
            raise LoadFailed("bad_golden", f"golden row {number} needs 'row' and at least one expected output")
        for output, answer in expected.items():
            given = _given(model, number, one["row"], output)
            apart = 0.0 if given == answer else difference(given, answer)
            if apart > tolerance:
                by = f"; the largest difference is {apart:.3g}, the tolerance {tolerance:g}" if tolerance else ""
                text = f"golden row {number}: expected {output} {answer!r}, the model answers {given!r}"
                faults.append((apart, text + (by if math.isfinite(apart) else "")))
    if faults:
        raise LoadFailed("golden_mismatch", max(faults, key=lambda fault: fault[0])[1])


def difference(given: Any, expected: Any) -> float:
    """The largest difference of two answers' numbers, relative to one plus the expected size.

    Infinite where anything else differs: a label, an order, a form.
    """
    if _is_number(given) and _is_number(expected):
        return float(abs(given - expected) / (1 + abs(expected)))
    if isinstance(given, dict) and isinstance(expected, dict) and given.keys() == expected.keys():
        return max((difference(given[name], expected[name]) for name in given), default=0.0)
    if isinstance(given, list) and isinstance(expected, list) and len(given) == len(expected):
        return max((difference(g, e) for g, e in zip(given, expected, strict=True)), default=0.0)
    return 0.0 if given == expected else math.inf


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _given(model: Model, number: int, row: Mapping[str, Any], output: str) -> Any:
    try:
        return predict_row(model, row, output)
    except (BadBody, Invalid) as e:
        faults = getattr(e, "faults", ())
        where = f" ({faults[0].column}: expected {faults[0].expected}, got {faults[0].got})" if faults else ""
        raise LoadFailed("bad_golden", f"golden row {number} does not fit the schema: {e}{where}") from e
    except (ModelFailed, TypeError) as e:
        raise LoadFailed("golden_mismatch", f"golden row {number} cannot be predicted: {e}") from e


def predict_row(model: Model, row: Mapping[str, Any], output: str) -> Any:
    """One row's prediction as a reply would hold it. Raises what decoding and predicting raise."""
    question = JSON.decode(orjson.dumps({"rows": [row]}), model.schema)
    predictions = model.predict(to_columns(model.schema, question.cells), [1], output, ())
    body, _ = JSON.encoder("", "", predictions).encode(0, 1, ())
    return orjson.loads(body)["predictions"][0]


Call = Callable[[], Predictions]


def calls(model: Model, example: Mapping[str, Any]) -> list[Call]:
    """Calls as requests make them: the example, the example twice, and with nothing where that may be."""
    return [partial(_predict, model, document) for document in _of_default(model, example)]


def calls_of_others(model: Model, example: Mapping[str, Any]) -> list[Call]:
    """The same for each output but the default: the example."""
    return [partial(_predict, model, document) for document in _of_others(model, example)]


def _of_default(model: Model, example: Mapping[str, Any]) -> list[dict[str, Any]]:
    if model.schema.horizon:
        return [{"options": options} for options in ({}, {"h": 1}, {"h": 2})]
    missing = {**example, **{i.name: None for i in model.schema.inputs if i.na}}
    return [{"rows": rows} for rows in ([example], [example, example], [missing, example])]


def _of_others(model: Model, example: Mapping[str, Any]) -> list[dict[str, Any]]:
    first = _of_default(model, example)[0]
    return [{**first, "output": output.name} for output in model.schema.outputs[1:]]


def _predict(model: Model, document: Mapping[str, Any]) -> Predictions:
    schema = model.schema
    question = JSON.decode(orjson.dumps(document), schema)
    output, options = asked(schema, question.output, question.options, b"")
    rows = dict(options)["h"] if schema.horizon else question.rows
    return model.predict(to_columns(schema, question.cells), [rows], output, options)


def rehearse(model: Model, example: Mapping[str, Any], times: int, limit_s: float) -> None:
    """Call a model before any fork, so that workers share what is made, loaded and compiled on first use.

    The default output several times, each other once, and nothing more once so many seconds have passed.
    """
    started = perf_counter()
    for document in (*_of_default(model, example)[:1] * times, *_of_others(model, example)):
        with suppress(*UNANSWERED):
            _predict(model, document)
        if perf_counter() - started > limit_s:
            return


def warned(model: Model, example: Mapping[str, Any]) -> list[str]:
    """What predict() warns of as it answers the example, for the model's details."""
    with suppress(*UNANSWERED):
        return [f"predict() warns of the example row: {text}" for text in calls(model, example)[0]().warnings]
    return []
