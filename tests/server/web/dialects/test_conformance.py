"""The Open Inference Protocol's OpenAPI documents against the server, by schemathesis.

They are those that MLServer's package has, without the routes that are MLServer's own. Where a document names no other
status than 200, an error in the protocol's form is added; arrays in arrays without end are made flat.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from tests.harness.tandem import ROOT, Tandem

pytestmark = pytest.mark.ship

SEED = 20261130
EXAMPLES = 60
ERROR = {
    "description": "What went wrong",
    "content": {
        "application/json": {
            "schema": {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
        }
    },
}
OWN = ("infer_stream", "generate", "generate_stream")
"""Routes that are MLServer's own."""
MODELS = ("mpg", "iris_logistic", "graph")


def mended(name: str, server: Tandem) -> dict[str, Any]:
    """A document of the package whose paths are those of our models."""
    [file] = ROOT.glob(f"benchmarks/.peers/mlserver/lib/python*/site-packages/mlserver/rest/openapi/{name}.json")
    document = json.loads(file.read_text())
    paths: dict[str, Any] = {}
    for path, ways in document["paths"].items():
        if path.endswith(OWN):
            continue
        for model in MODELS if "{model_name}" in path else ("",):
            version = server.model(model)["version"] if model else ""
            at = path.replace("{model_name}", model).replace("{model_version}", version)
            paths[at] = {method: told(way) for method, way in ways.items() if method in ("get", "post")}
    schemas = document["components"]["schemas"]
    if "TensorData" in schemas:
        schemas["TensorData"] = {"type": "array", "items": {"type": ["number", "string", "boolean"]}}
    return {**document, "openapi": "3.1.0", "paths": paths}


def told(way: dict[str, Any]) -> dict[str, Any]:
    """An operation without the parameters that its path has now, and with an error for every other status."""
    parameters = [p for p in way.get("parameters", []) if p.get("in") != "path"]
    return {**way, "parameters": parameters, "responses": {**way["responses"], "default": ERROR}}


@pytest.mark.parametrize("name", ["dataplane", "model_repository"])
def test_whatever_the_document_allows_is_answered_as_it_says(server: Tandem, name: str) -> None:
    schema = schemathesis.openapi.from_dict(mended(name, server))
    found: Counter[str] = Counter()
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
        def asked(case: schemathesis.Case) -> None:
            reply = case.call(base_url=server.url, headers=server.headers(), timeout=60)
            found[f"{case.method} {case.path} {reply.status_code}"] += 1
            assert reply.status_code < 500, (case.path, reply.text)
            case.validate_response(reply, checks=[content_type_conformance, response_schema_conformance])

        asked()
    assert found
