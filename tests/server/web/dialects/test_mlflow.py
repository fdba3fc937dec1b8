"""MLflow's scoring protocol over real HTTP: the native answers, in its form."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.harness.tandem import Tandem
from tests.server.web.dialects.test_open_inference import CARS, FLOWERS, native, post

PATH = "/endpoints/mpg/invocations"


def ask(server: Tandem, body: Any, model: str = "mpg", kind: str = "application/json", **more: Any) -> httpx.Response:
    headers = {"content-type": kind} | more.pop("headers", {})
    return post(server, f"/endpoints/{model}/invocations", body, headers=headers, **more)


def without_nan(predictions: list[Any]) -> list[Any]:
    return [None if value == "NaN" else value for value in predictions]


def refused(reply: httpx.Response, status: int, code: str, error_code: str) -> dict[str, Any]:
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/json"), reply.text
    document = dict(reply.json())
    assert (document["code"], document["error_code"]) == (code, error_code)
    assert code == reply.headers["x-tandem-code"]
    assert isinstance(document["message"], str)
    return document


def test_every_form_gets_the_native_predictions(server: Tandem) -> None:
    names, expected = list(CARS[0]), without_nan(native(server, "mpg", CARS))
    data = [[row[name] for name in names] for row in CARS]
    forms: list[dict[str, Any]] = [
        {"dataframe_split": {"columns": names[::-1], "data": [row[::-1] for row in data]}},
        {"dataframe_records": CARS},
        {"instances": CARS},
        {"inputs": {name: [row[name] for row in CARS] for name in names}},
        {"inputs": {name: [[row[name]] for row in CARS] for name in names}},
    ]
    for body in forms:
        reply = ask(server, body, kind="application/json; charset=utf-8")
        assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json"), reply.text
        assert reply.json() == {"predictions": expected}
    version = server.model("mpg")["version"]
    for path in (f"/endpoints/mpg/versions/{version}/invocations", "/serving-endpoints/mpg/invocations"):
        json = {"content-type": "application/json"}
        assert post(server, path, forms[0], headers=json).json() == {"predictions": expected}


def test_csv_as_pandas_writes_it(server: Tandem) -> None:
    body = "\ufeffwt,hp,cyl\r\n2.6,110,6\r\n".encode()
    assert ask(server, body, kind="text/csv").json()["predictions"] == native(server, "mpg", CARS[:1])


def test_outputs_horizons_pytorch_onnx_and_scripts(server: Tandem) -> None:
    asked = {"dataframe_records": FLOWERS, "params": {"output": "prob"}}
    assert ask(server, asked, "iris").json()["predictions"] == native(server, "iris", FLOWERS, "prob")
    ahead = ask(server, {"inputs": [], "params": {"h": 3}}, "ahead").json()["predictions"]
    assert ahead == server.score("ahead", {"options": {"h": 3}}).json()["predictions"]
    names = [i["name"] for i in server.model("graph")["versions"][0]["schema"]["inputs"]]
    rows = [dict(zip(names, row.values(), strict=True)) for row in FLOWERS]
    for model in ("graph", "iris_logistic"):
        by_name = [i["name"] for i in server.model(model)["versions"][0]["schema"]["inputs"]]
        named = [dict(zip(by_name, row.values(), strict=True)) for row in rows]
        body = {"instances": [list(row.values()) for row in named]}
        assert ask(server, body, model).json()["predictions"] == native(server, model, named)
    said = ask(server, {"instances": [1]}, "echo").json()
    assert said == {"predictions": {"got": {"instances": [1]}}}


def test_an_endpoint_says_that_it_is_there(server: Tandem) -> None:
    for path in ("ping", "health"):
        assert server.get(f"/endpoints/mpg/{path}").json()["status"] == "online"
        assert httpx.get(f"{server.url}/endpoints/mpg/{path}").status_code == 401
        none = server.get(f"/endpoints/none/{path}")
        refused(none, 404, "not_found", "RESOURCE_DOES_NOT_EXIST")
    assert server.get("/endpoints/mpg/version").headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("body", "error_code"),
    [
        (b"{", "BAD_REQUEST"),
        ([], "BAD_REQUEST"),
        ({}, "BAD_REQUEST"),
        ({"instances": CARS, "inputs": CARS}, "BAD_REQUEST"),
        ({"dataframe_records": [{"wt": 1, "hp": 2}]}, "INVALID_PARAMETER_VALUE"),
        ({"instances": [{"wt": 1, "hp": 2, "cyl": "5"}]}, "INVALID_PARAMETER_VALUE"),
        ({"instances": [[1, 2]]}, "INVALID_PARAMETER_VALUE"),
    ],
)
def test_bad_bodies_are_400(server: Tandem, body: Any, error_code: str) -> None:
    reply = ask(server, body)
    refused(reply, 400, reply.json()["code"], error_code)


def test_each_stage_tells_what_went_wrong_in_mlflows_form(server: Tandem) -> None:
    good = {"instances": CARS[:1]}
    refused(ask(server, good, user=None), 401, "unauthenticated", "UNAUTHENTICATED")
    refused(ask(server, good, "none"), 404, "unknown_model", "RESOURCE_DOES_NOT_EXIST")
    refused(httpx.get(server.url + PATH, headers=server.headers()), 405, "method_not_allowed", "BAD_REQUEST")
    refused(ask(server, good, kind="application/vnd.apache.parquet"), 415, "unsupported_media_type", "BAD_REQUEST")
    refused(ask(server, good, kind="text/csv; charset=latin-1"), 415, "unsupported_media_type", "BAD_REQUEST")
    refused(ask(server, b" " * ((2 << 20) + 1)), 413, "body_too_large", "BAD_REQUEST")
    refused(
        ask(server, {"a": 1}, "echo", headers={"content-encoding": "br"}), 415, "unsupported_encoding", "BAD_REQUEST"
    )
    refused(ask(server, b"no JSON", "echo"), 500, "model_failed", "INTERNAL_ERROR")


def test_endpoints_are_listed_for_mlflows_client(server: Tandem) -> None:
    for path in ("/api/2.0/endpoints", "/api/2.0/endpoints/"):
        told = server.get(path).json()
        assert {"mpg", "echo", "digits"} <= {one["name"] for one in told["endpoints"]} and told[
            "next_page_token"
        ] is None
    mpg = server.get("/api/2.0/endpoints/mpg").json()
    assert mpg in told["endpoints"] and server.get(f"{mpg['endpoint_url']}").status_code == 405
    missing = server.get("/api/2.0/endpoints/none")
    assert (missing.status_code, missing.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
