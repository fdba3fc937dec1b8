"""Rows of recordings: every form of question and answer gives the same rows, and masked columns are not among them."""

from __future__ import annotations

from array import array
from typing import Any

import pytest

from mlops.collection.rows import Recording
from server.wire.collect import Copied, Described
from server.wire.frames import BodyFormat
from server.wire.schema import Input, Output, Schema
from server.workers.codecs.registry import codec
from server.workers.predictions import Predicted, Predictions
from server.workers.table import NA_REAL
from tests.mlops.collection.copies import NOON, ROW, SCHEMA, copied, described

KEY = b"k" * 32
FORMS = [
    *(BodyFormat.JSON, BodyFormat.ARROW, BodyFormat.CSV, BodyFormat.OPEN_INFERENCE, BodyFormat.KSERVE_V1),
    *(BodyFormat.MLFLOW, BodyFormat.AZUREML, BodyFormat.MLS, BodyFormat.VETIVER, BodyFormat.VETIVER_PYTHON),
]
NUMBER = Predictions((Predicted("number", array("d", [1.5, NA_REAL])),), None)
LABEL = Predictions((Predicted("integer", array("i", [2, 1]), ("no", "yes")),), None)
SHARES = Predictions(
    (Predicted("number", array("d", [0.25, 1.0])), Predicted("number", array("d", [0.75, 0.0]))), ("no", "yes")
)
CLASSES = Schema(SCHEMA.inputs, (Output("class", "label", ("no", "yes")),))
PROBABILITIES = Schema(SCHEMA.inputs, (Output("prob", "columns", columns=("no", "yes")),))


def recorded(about: Described, *copies: Copied) -> tuple[list[dict[str, Any]], dict[str, int]]:
    recording = Recording(about, KEY)
    for one in copies:
        recording.add(one)
    return recording.table().to_pylist(), dict(recording.became)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("schema", "predictions", "expected"),
    [
        (SCHEMA, NUMBER, {"out_y": [1.5, None]}),
        (CLASSES, LABEL, {"out_class": ["yes", "no"]}),
        (PROBABILITIES, SHARES, {"out_no": [0.25, 1.0], "out_yes": [0.75, 0.0]}),
    ],
)
def test_an_answer_is_read_back_from_every_form(
    form: int, schema: Schema, predictions: Predictions, expected: dict[str, list[Any]]
) -> None:
    encoder = codec(form).encoder("m", "1", predictions, schema, schema.default_output)
    answer, _ = encoder.encode(0, 2, ())
    about = described(schema=schema)
    rows, became = recorded(about, copied(about, "a", [ROW, ROW], answer, accept=form))
    assert became == {"kept": 1}
    assert {name: [row[name] for row in rows] for name in expected} == expected


def test_a_request_is_a_row_for_each_of_its_rows() -> None:
    about = described()
    rows, became = recorded(about, copied(about, "a", [ROW, ROW | {"x": None, "kind": "a"}]), copied(about, "b"))
    assert became == {"kept": 2}
    assert [(row["request_id"], row["row"]) for row in rows] == [("a", 0), ("a", 1), ("b", 0)]
    assert {k: v for k, v in rows[0].items() if k.startswith("in_")} == {f"in_{k}": v for k, v in ROW.items()}
    assert (rows[1]["in_x"], rows[1]["in_kind"], rows[1]["out_y"]) == (None, "a", None)
    assert (rows[0]["version"], rows[0]["code"], rows[0]["predict_s"]) == ("1", "ok", pytest.approx(0.002))
    assert rows[0]["time"].timestamp() == NOON


def test_what_is_masked_is_gone_or_a_hash_and_a_failure_keeps_no_body() -> None:
    about = described(mask={"name": "hash", "x": "drop", "y": "drop"})
    rows, _ = recorded(about, copied(about, "a"), copied(about, "b"), copied(about, "c", code="invalid"))
    assert not {"in_x", "out_y"} & rows[0].keys()
    assert rows[0]["in_name"] == rows[1]["in_name"] != "Ann"
    assert rows[0]["in_name"] != Recording(about, b"other" * 8)._hashed(["Ann"])[0]
    assert "Ann" not in str(rows)
    assert (rows[2]["code"], rows[2]["raw"]) == ("invalid", None)


def test_a_misspelt_mask_lets_nothing_through() -> None:
    about = described(mask={"nmae": "drop"})
    assert recorded(about, copied(about, "a"), copied(about, "b", code="invalid")) == ([], {"undecodable": 2})


def test_a_failure_keeps_the_beginning_of_its_body() -> None:
    about = described()
    [row], became = recorded(about, copied(about, "a", [ROW | {"name": "n" * 50_000}], code="model_failed"))
    assert became == {"kept": 1}
    assert row["raw"].startswith('{"rows":[{"x":1.5') and len(row["raw"]) == 16 << 10
    assert (row["in_x"], row["out_y"]) == (None, None)


@pytest.mark.parametrize(
    "answer", [b"", b"{}", b'{"predictions":[1,2,3]}', b'{"predictions":7}', b"\xff", b'[{"y":1}]']
)
def test_an_answer_that_does_not_fit_is_counted_and_leaves_no_row(answer: bytes) -> None:
    about = described()
    rows, became = recorded(about, copied(about, "a", answer=answer), copied(about, "b"))
    assert became == {"undecodable": 1, "kept": 1}
    assert [row["request_id"] for row in rows] == ["b"]


def test_inputs_or_outputs_can_be_left_out() -> None:
    only_out, only_in = described(inputs=False), described(outputs=False)
    [row], _ = recorded(only_out, copied(only_out, "a"))
    assert row["out_y"] == 1.5 and not [name for name in row if name.startswith("in_")]
    [row], _ = recorded(only_in, copied(only_in, "a", answer=b""))
    assert row["in_x"] == 1.5 and not [name for name in row if name.startswith("out_")]


def test_of_a_script_texts_are_kept() -> None:
    about = described(schema=Schema((), (Output("result", "string"),), raw=True))
    [row], _ = recorded(about, copied(about, "a", answer=b'{"score":1}'))
    assert row["raw"].startswith('{"rows"') and row["out_result"] == '{"score":1}'


def test_days_and_times_are_days_and_times() -> None:
    schema = Schema((Input("d", "date"), Input("t", "datetime", tz="UTC"), Input("ok", "logical")), SCHEMA.outputs)
    about = described(schema=schema)
    [row], _ = recorded(
        about, copied(about, "a", [{"d": "2026-11-30", "t": "2026-11-30T12:00:00Z", "ok": True, "x": 1}])
    )
    assert (str(row["in_d"]), row["in_t"].isoformat(), row["in_ok"]) == (
        "2026-11-30",
        "2026-11-30T12:00:00+00:00",
        True,
    )
