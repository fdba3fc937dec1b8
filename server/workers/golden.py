"""Golden rows: rows with their expected answers, kept in a sidecar and checked before a model may serve.

    golden:
      - row: {speed: 10}
        response: 21.744992700729928

They go the way that a request goes (decode, predict, encode), so they also prove the schema.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from server.workers.codecs import BadBody
from server.workers.codecs.json import JSON
from server.workers.predictions import ModelFailed
from server.workers.runtime import LoadFailed
from server.workers.score import Model
from server.workers.table import Invalid, to_columns


def example(golden: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The row of the first golden row, which serves as the model's example."""
    return golden[0].get("row") if golden else None


def check(model: Model, golden: Sequence[Mapping[str, Any]]) -> None:
    """Predict each golden row and compare. Raises LoadFailed with the row, the expected and the given answer."""
    for number, one in enumerate(golden):
        expected = {name: value for name, value in one.items() if name != "row"}
        if not isinstance(one.get("row"), dict) or not expected:
            raise LoadFailed("bad_golden", f"golden row {number} needs 'row' and at least one expected output")
        for output, answer in expected.items():
            _check_one(model, number, one["row"], output, answer)


def _check_one(model: Model, number: int, row: Mapping[str, Any], output: str, expected: Any) -> None:
    try:
        given = predict_row(model, row, output)
    except (BadBody, Invalid) as e:
        faults = getattr(e, "faults", ())
        where = f" ({faults[0].column}: expected {faults[0].expected}, got {faults[0].got})" if faults else ""
        raise LoadFailed("bad_golden", f"golden row {number} does not fit the schema: {e}{where}") from e
    except (ModelFailed, TypeError) as e:
        raise LoadFailed("golden_mismatch", f"golden row {number} cannot be predicted: {e}") from e
    if given != expected:
        raise LoadFailed(
            "golden_mismatch", f"golden row {number}: expected {output} {expected!r}, the model answers {given!r}"
        )


def predict_row(model: Model, row: Mapping[str, Any], output: str) -> Any:
    """One row's prediction as a reply would hold it. Raises what decoding and predicting raise."""
    question = JSON.decode(orjson.dumps({"rows": [row]}), model.schema)
    predictions = model.predict(to_columns(model.schema, question.cells), 1, output, ())
    body, _ = JSON.encoder("", "", predictions).encode(0, 1, ())
    return orjson.loads(body)["predictions"][0]
