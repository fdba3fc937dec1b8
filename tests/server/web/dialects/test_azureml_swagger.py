"""Azure's swagger.json of model files and scripts, as a function of their schema."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis

from server.web.dialects.azureml_swagger import document
from server.web.problems import ProblemError
from server.wire.schema import Input, Option, Output, Schema
from server.wire.snapshot import Entry

INPUTS = (
    Input("x", "numeric"),
    Input("n", "integer", na=False),
    Input("kind", "factor", levels=("a", "b")),
    Input("day", "date"),
    Input("when", "datetime"),
    Input("yes", "logical"),
    Input("word", "string", missing="na"),
    Input("pixels", "tensor", shape=(None, 2)),
    Input("photo", "image"),
)
TABLE = Schema(INPUTS, (Output("prob", "numeric", columns=("a", "b")),))
AHEAD = Schema((), (Output("mean", "numeric"),), (Option("h", "integer"),), horizon=True)
RANKED = Schema(INPUTS[:1], (Output("top", "ranking"),))
SCRIPT = Schema((), (), raw=True)


def entry(schema: Schema) -> Entry:
    given: dict[str, Any] = {"schema": schema.to_data(), "example": {"x": 1.5}, "example_prediction": 2.5}
    return Entry("mpg", "v1", "r", "r", "ready", "k", "mpg.rds", False, 1, 0.0, **given)


def told(schema: Schema, version: str) -> dict[str, Any]:
    return document(entry(schema), version, "/endpoints/mpg", "host:1", "http")


@pytest.mark.parametrize("schema", [TABLE, AHEAD, RANKED, SCRIPT], ids=["table", "horizon", "ranking", "script"])
@pytest.mark.parametrize("version", ["2", "3", "3.1"])
def test_each_document_is_what_it_says_it_is(schema: Schema, version: str) -> None:
    found = told(schema, version)
    schemathesis.openapi.from_dict(found).validate()
    assert list(found["paths"]) == ["/", "/score", "/swagger.json"]


def test_a_row_has_the_models_columns() -> None:
    item = told(TABLE, "2.0")["definitions"]["ServiceInput"]["properties"]["data"]["items"]
    assert item["required"] == [i.name for i in INPUTS if i.name != "word"]
    assert item["properties"]["kind"] == {"type": "string", "enum": ["a", "b"], "x-nullable": True}
    assert item["properties"]["n"] == {"type": "integer", "format": "int32"}
    assert item["properties"]["pixels"]["items"]["items"] == {"type": "number"}


def test_a_scripts_document_says_what_its_decorators_say() -> None:
    stated = {"input": {"type": "object", "example": {"n": 1}}, "output": {"type": "number"}, "versions": ["3", "3.1"]}
    script = Schema((), (), raw=True, swagger=stated)
    assert Schema.from_data(script.to_data()) == script
    assert told(script, "3.0")["components"]["schemas"]["ServiceInput"] == stated["input"]
    for version, words in (
        ("2", "Swagger version [2] is not supported for the scoring script. Supported swagger versions: [3, 3.1]."),
        ("4", "Swagger version [4] is not valid. Supported versions: [3, 3.1]."),
    ):
        with pytest.raises(ProblemError) as stopped:
            told(script, version)
        assert (stopped.value.problem.status, stopped.value.problem.detail) == (404, words)
