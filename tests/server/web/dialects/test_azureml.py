"""Azure ML's `/score` over real HTTP: the native answers in the form that a body's member asks for."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
import yaml

from tests.harness.tandem import ROOT, Tandem
from tests.server.web.dialects.test_open_inference import CARS, FLOWERS, native, post

ASKED = {"data": CARS[:1]}


def ask(server: Tandem, body: Any, model: str = "mpg", query: str = "", **more: Any) -> httpx.Response:
    return post(server, f"/endpoints/{model}/score{query}", body, **more)


def refused(reply: httpx.Response, status: int, code: str) -> str:
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/json"), reply.text
    assert reply.headers["x-tandem-code"] == code
    assert list(reply.json()) == ["message"]
    return str(reply.json()["message"])


def test_every_table_gets_the_native_predictions_as_a_bare_array(server: Tandem) -> None:
    names, expected = list(CARS[0]), native(server, "mpg", CARS)
    columns = {name: [row[name] for row in CARS] for name in names}
    order = [i["name"] for i in server.model("mpg")["versions"][0]["schema"]["inputs"]]
    data = [[row[name] for name in order] for row in CARS]
    tables: list[dict[str, Any]] = [
        {"data": data},
        {"data": CARS},
        {"data": columns},
        {"input_data": {"columns": order, "index": [*range(len(CARS))], "data": data}},
        {"input_data": data},
        {"df": CARS},
        {"df": columns},
    ]
    for body in tables:
        reply = ask(server, body)
        assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json"), reply.text
        assert reply.json() == expected, body
    assert ask(server, {"df": CARS[0]}).json() == expected[:1], "a scalar is a list of one"


def test_an_input_is_a_cell_a_row_or_rows_and_is_answered_with_its_time(server: Tandem) -> None:
    expected = native(server, "mpg", CARS[:2])
    order = [i["name"] for i in server.model("mpg")["versions"][0]["schema"]["inputs"]]
    asked: list[tuple[Any, Any]] = [
        (CARS[0], expected[0]),
        ([CARS[0][name] for name in order], expected[0]),
        (CARS[:2], expected),
        ([[row[name] for name in order] for row in CARS[:2]], expected),
    ]
    for given, answer in asked:
        told, time = ask(server, {"input": given}).json()["result"]
        assert told == answer
        assert re.fullmatch(r"Computed in \d+\.\d\d ms", time)


def test_an_input_of_named_images_is_answered_by_their_names(server: Tandem) -> None:
    golden = yaml.safe_load((ROOT / "python_models/digits.yaml").read_text())["golden"][:3]
    texts = [g["row"]["image"] for g in golden]
    ranking = [
        [[one["label"], one["probability"]] for one in row]
        for row in native(server, "digits", [g["row"] for g in golden])
    ]
    named = {"bare": texts[0], "quoted": f'"{texts[1]}"', "bytes": f"b'{texts[2]}'"}
    [told, _] = ask(server, {"input": named}, "digits").json()["result"]
    assert told == dict(zip(named, ranking, strict=True))
    assert ask(server, {"input": texts[0]}, "digits").json()["result"][0] == ranking[0]
    assert ask(server, {"input": texts[:2]}, "digits").json()["result"][0] == ranking[:2]


def test_outputs_options_horizons_and_scripts(server: Tandem) -> None:
    expected = native(server, "iris", FLOWERS, "prob")
    assert ask(server, {"data": FLOWERS}, "iris", "?output=prob").json() == expected
    assert ask(server, {"data": FLOWERS, "params": {"output": "prob"}}, "iris").json() == expected
    ahead = server.score("ahead", {"options": {"h": 3}}).json()["predictions"]
    assert ask(server, {"data": [], "params": {"h": 3}}, "ahead").json() == ahead
    assert ask(server, {}, "ahead", "?h=3").json() == ahead
    assert ask(server, {"data": [1]}, "echo").json() == {"got": {"data": [1]}}


@pytest.mark.parametrize(
    "kind", ["", "application/json", "application/json; charset=utf-8", "application/x-www-form-urlencoded"]
)
def test_a_body_is_json_where_a_client_says_so_or_knows_no_better(server: Tandem, kind: str) -> None:
    reply = ask(server, ASKED, headers={"content-type": kind} if kind else {})
    assert reply.json() == native(server, "mpg", CARS[:1])


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"a=1&b=2",
        {},
        {"data": CARS, "df": CARS},
        {"data": CARS, "parms": {}},
        {"data": CARS, "params": []},
        {"data": []},
        {"data": 1},
        {"data": [[1]]},
        {"df": {"wt": 1, "hp": 2}},
        {"df": {"wt": [1, 2], "hp": [2], "cyl": ["4"]}},
        {"input": {"wt": 1, "hp": 2, "cyl": "5"}},
        {"input": None},
        {"input_data": {"columns": ["wt"], "data": [[1, 2]]}},
        b'{"df":[{"wt":1,"wt":2,"hp":1,"cyl":"4"}]}',
        b'{"input":' + b"[" * 100_000,
    ],
)
def test_bad_bodies_are_400_with_a_message_alone(server: Tandem, body: Any) -> None:
    reply = ask(server, body)
    assert refused(reply, 400, reply.headers["x-tandem-code"])
    assert reply.headers["x-ms-run-function-failed"] == "False"


def test_each_stage_tells_what_went_wrong_in_azures_form(server: Tandem) -> None:
    refused(ask(server, ASKED, user=None), 401, "unauthenticated")
    refused(ask(server, ASKED, "none"), 404, "unknown_model")
    refused(server.get("/endpoints/mpg/score"), 405, "method_not_allowed")
    refused(ask(server, ASKED, headers={"content-type": "text/csv"}), 415, "unsupported_media_type")
    refused(ask(server, ASKED, headers={"content-encoding": "br"}), 415, "unsupported_encoding")
    refused(ask(server, b" " * ((2 << 20) + 1)), 413, "body_too_large")
    refused(server.get("/endpoints/mpg/nothing"), 404, "not_found")
    told = refused(ask(server, {"df": [CARS[0] | {"cyl": "5"}]}), 400, "invalid_input")
    assert 'column "cyl", row 0: expected one of "4", "6", "8"' in told
    failed = ask(server, b"no JSON", "echo")
    assert refused(failed, 500, "model_failed")
    assert failed.headers["x-ms-run-function-failed"] == "True"
    assert failed.headers["ms-azureml-model-error-statuscode"] == "500"


def test_an_endpoint_says_that_it_is_healthy(server: Tandem) -> None:
    for path in ("/endpoints/mpg", "/endpoints/mpg/"):
        reply = server.get(path, headers={"x-ms-client-request-id": "mine"})
        assert (reply.status_code, reply.text) == (200, "Healthy")
        assert reply.headers["x-ms-client-request-id"] == reply.headers["x-ms-request-id"] == "mine"
        refused(httpx.get(server.url + path), 401, "unauthenticated")
    refused(server.get("/endpoints/none/"), 404, "not_found")


def test_options_is_answered_at_once(server: Tandem) -> None:
    reply = httpx.request("OPTIONS", server.url + "/endpoints/mpg/score", headers=server.headers())
    assert (reply.status_code, reply.content) == (200, b"")
    assert reply.headers["x-ms-run-function-failed"] == "False" and "x-ms-run-fn-exec-ms" not in reply.headers
    assert reply.headers["x-ms-request-id"] == reply.headers["x-request-id"]


IDS = ("x-request-id", "x-ms-request-id", "x-ms-client-request-id", "traceid")


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"x-request-id": "a"}, {"x-request-id": "a", "x-ms-request-id": "a"}),
        (
            {"x-request-id": "a", "x-ms-client-request-id": "b"},
            {"x-request-id": "a", "x-ms-request-id": "b", "x-ms-client-request-id": "b"},
        ),
        (
            {"x-request-id": "a", "x-ms-request-id": "c"},
            {"x-request-id": "a", "x-ms-request-id": "c", "x-ms-client-request-id": "c"},
        ),
        (
            {"x-request-id": "a", "x-ms-request-id": "c", "x-ms-client-request-id": "b", "TraceId": "t"},
            {"x-request-id": "a", "x-ms-request-id": "c", "x-ms-client-request-id": "b", "traceid": "t"},
        ),
    ],
)
def test_ids_come_back_by_all_their_names(server: Tandem, sent: dict[str, str], told: dict[str, str]) -> None:
    for body in (ASKED, {}):
        reply = ask(server, body, headers=sent)
        assert {name: reply.headers[name] for name in IDS if name in reply.headers} == told
    good = ask(server, ASKED, headers=sent)
    assert good.headers["x-ms-run-function-failed"] == "False"
    assert re.fullmatch(r"\d+\.\d{3}", good.headers["x-ms-run-fn-exec-ms"])


def test_an_id_that_is_too_long_is_431(server: Tandem) -> None:
    reply = ask(server, ASKED, headers={"x-request-id": "a" * 101, "x-ms-client-request-id": "b"})
    assert refused(reply, 431, "headers_too_large") == "x-request-id must not exceed 100 characters"
    assert not [name for name in IDS if name in reply.headers]
    for name in ("x-ms-request-id", "x-ms-client-request-id"):
        reply = ask(server, ASKED, headers={"x-request-id": "a", name: "b" * 101})
        told = "x-ms-request-id and x-ms-client-request-id must not exceed 100 characters"
        assert refused(reply, 431, "headers_too_large") == told
        assert [n for n in IDS if n in reply.headers] == ["x-request-id"]
    assert server.get("/endpoints/mpg/", headers={"x-ms-request-id": "b" * 101}).status_code == 431


def test_a_header_pins_the_version_and_the_answer_names_it(server: Tandem) -> None:
    version = server.model("mpg")["version"]
    for said in ({}, {"azureml-model-deployment": version}):
        reply = ask(server, ASKED, headers=said)
        assert (reply.status_code, reply.headers["azureml-model-deployment"]) == (200, version)
    refused(ask(server, ASKED, headers={"azureml-model-deployment": "none"}), 404, "unknown_model")
    assert post(server, f"/endpoints/mpg/versions/{version}/score", ASKED).json() == native(server, "mpg", CARS[:1])


def test_what_is_ignored_is_told_in_a_header(server: Tandem) -> None:
    reply = ask(server, {"df": [CARS[0] | {"medv": 24}]})
    assert reply.json() == native(server, "mpg", CARS[:1])
    assert "medv" in reply.headers["x-tandem-warnings"]
