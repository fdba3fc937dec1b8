"""The documentation that follows the catalog."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from server.web.problems import CODES, STATUS
from server.web.routes.openapi import CHANGE_CODES, ROUTE_CODES, SCORE_STATUSES
from tests.harness.tandem import Tandem

MODELS = ("am", "boston", "iris", "mpg")


@pytest.fixture
def document(tandem: Tandem) -> dict[str, Any]:
    return dict(httpx.get(f"{tandem.url}/openapi.json").json())


def test_each_model_has_one_typed_operation(document: dict[str, Any]) -> None:
    for model in MODELS:
        operation = document["paths"][f"/v1/models/{model}/score"]["post"]
        assert operation["operationId"] == f"score_{model}"
        assert operation["security"] == [{"OAuth2PasswordBearer": []}]
        statuses = "200 400 401 403 404 406 408 413 415 422 429 431 500 503 504"
        assert set(operation["responses"]) == set(statuses.split())
    cell = _row(document, "mpg")["properties"]
    assert {"type": "string", "enum": ["4", "6", "8"]} in cell["cyl"].get("anyOf", [cell["cyl"]])
    assert {"type": "number"} in cell["wt"]["anyOf"]


def test_the_example_row_of_each_model_scores(tandem: Tandem, document: dict[str, Any]) -> None:
    for model in MODELS:
        body = document["paths"][f"/v1/models/{model}/score"]["post"]["requestBody"]
        example = body["content"]["application/json"]["schema"]["example"]
        assert tandem.score(model, example).status_code == 200, model
        assert set(example["rows"][0]) == set(_row(document, model)["required"])


def _row(document: dict[str, Any], model: str) -> dict[str, Any]:
    body = document["paths"][f"/v1/models/{model}/score"]["post"]["requestBody"]
    return dict(body["content"]["application/json"]["schema"]["oneOf"][0]["properties"]["rows"]["items"])


def test_the_schema_route_gives_the_models_request_schema(tandem: Tandem, document: dict[str, Any]) -> None:
    schema = tandem.get("/v1/models/mpg/schema").json()
    body = document["paths"]["/v1/models/mpg/score"]["post"]["requestBody"]
    assert schema == body["content"]["application/json"]["schema"]
    assert tandem.get("/v1/models/nothing/schema").status_code == 404


def test_the_routes_of_other_dialects_are_named_only_where_they_are_asked_for(
    tandem: Tandem, document: dict[str, Any]
) -> None:
    everything = httpx.get(f"{tandem.url}/openapi.json", params={"dialects": "true"}).json()["paths"]
    added = {path for path in everything if path not in document["paths"]}
    assert {path: everything[path] for path in document["paths"]} == document["paths"]
    version = tandem.model("mpg")["version"]
    below = {f"/{root}/mpg/invocations" for root in ("endpoints", "serving-endpoints")}
    below |= {"/endpoints/mpg/score", "/endpoints/mpg/predict"}
    beside = {"/v1/models/mpg:predict", "/v2/models/mpg/infer", f"/api/mpg/{version}"}
    assert {path for path in added if re.search(r"/mpg\b", path)} == below | beside
    tags = {path: everything[path]["post"]["tags"] for path in added}
    assert tags["/endpoints/mpg/predict"] == ["vetiver"] and tags["/v2/models/mpg/infer"] == ["open_inference"]


def test_authorize_is_offered_where_tokens_are(document: dict[str, Any]) -> None:
    flows = document["components"]["securitySchemes"]["OAuth2PasswordBearer"]["flows"]
    assert flows["password"]["tokenUrl"] == "/auth/token"


def test_an_operation_has_the_codes_that_its_route_declares_and_those_of_its_kind(document: dict[str, Any]) -> None:
    replies = document["paths"]["/auth/keys"]["post"]["responses"]
    assert {status: reply["description"] for status, reply in replies.items() if status >= "4"} == {
        "400": "bad_request",
        "401": "unauthenticated",
        "403": "forbidden or cross_site or confirm or groups_overage",
        "404": "not_found",
        "409": "conflict or not_collected",
        "413": "body_too_large",
        "422": "invalid_input",
        "429": "too_many_attempts",
        "500": "internal_error",
        "503": "provider_unavailable or accounts_unavailable or recorder_unavailable",
    }
    assert set(document["paths"]["/health/live"]["get"]["responses"]) == {"200", "500"}
    signing_in = document["paths"]["/auth/token"]["post"]["responses"]
    assert set(signing_in["400"]["content"]) == {"application/json", "application/problem+json"}
    assert set(signing_in["422"]["content"]) == {"application/problem+json"}


def test_every_code_is_one_of_a_route_or_has_a_status_that_scoring_has() -> None:
    # Of no operation: none has another method than its own, and services of Machine Learning Server are not told of.
    elsewhere = {"method_not_allowed", "not_implemented"}
    assert elsewhere == {
        code for code in CODES if code not in (*ROUTE_CODES, *CHANGE_CODES) and STATUS[code] not in SCORE_STATUSES
    }


def test_every_reference_in_the_document_leads_somewhere(document: dict[str, Any]) -> None:
    for reference in set(re.findall(r"#/components/schemas/(\w+)", httpx.Response(200, json=document).text)):
        assert reference in document["components"]["schemas"]


def test_documentation_and_the_details_of_health_can_be_closed_or_switched_off(tandem_factory: Any) -> None:
    closed, off = tandem_factory(docs="login").start(), tandem_factory(docs="off").start()
    assert httpx.get(f"{closed.url}/openapi.json").status_code == 401
    assert closed.get("/openapi.json").status_code == 200
    assert httpx.get(f"{closed.url}/health/ready").json() == {"status": "ready"}
    assert closed.command("users", "add", "plain", text="long enough\n").returncode == 0
    assert closed.get("/health/ready", user="plain").json() == {"status": "ready"}
    assert closed.get("/health/ready", user=None, headers={"authorization": "Bearer x.y.z"}).json() == {
        "status": "ready"
    }
    assert closed.get("/health/ready").json().keys() == {"status", "reasons", "sandbox"}
    assert httpx.get(f"{off.url}/health/ready").json() == {"status": "ready"}
    assert httpx.get(f"{off.url}/openapi.json").status_code == 404
    assert httpx.get(f"{off.url}/docs").status_code == 404
