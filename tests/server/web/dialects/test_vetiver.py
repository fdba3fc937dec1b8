"""Vetiver over real HTTP: the native answers in the forms of R's vetiver and of Python's, and R's own calls."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import httpx
import pytest

from tests.harness.tandem import ROOT, Tandem
from tests.server.web.dialects.test_open_inference import CARS, FLOWERS, native, post

PATH = "/endpoints/mpg/predict"


@pytest.fixture(scope="module")
def key(server: Tandem) -> str:
    """An API key that may ask everything."""
    made = server.command("keys", "add", "admin", "--name", "vetiver")
    assert made.returncode == 0, made.stderr
    return made.stdout.splitlines()[0].split("\t")[2]


def flowers(server: Tandem, model: str) -> list[dict[str, Any]]:
    names = [i["name"] for i in server.model(model)["versions"][0]["schema"]["inputs"]]
    return [dict(zip(names, row.values(), strict=True)) for row in FLOWERS]


def test_a_model_of_r_answers_with_rows_named_as_tidymodels_names_them(server: Tandem) -> None:
    reply = post(server, PATH, CARS)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json"), reply.text
    assert reply.json() == [{".pred": value} for value in native(server, "mpg", CARS)]
    version = server.model("mpg")["version"]
    assert post(server, f"/endpoints/mpg/versions/{version}/predict", CARS).json() == reply.json()
    assert post(server, "/endpoints/iris/predict", FLOWERS).json() == [
        {".pred_class": label} for label in native(server, "iris", FLOWERS)
    ]
    told = post(server, "/endpoints/iris/predict?output=prob", FLOWERS).json()
    expected = native(server, "iris", FLOWERS, "prob")
    assert told == [{f".pred_{label}": value for label, value in row.items()} for row in expected]


def test_any_other_model_answers_with_a_list(server: Tandem) -> None:
    for model in ("iris_logistic", "graph"):
        rows = flowers(server, model)
        assert post(server, f"/endpoints/{model}/predict", rows).json() == {"predict": native(server, model, rows)}
    rows = flowers(server, "iris_logistic")
    told = post(server, "/endpoints/iris_logistic/predict?output=prob", rows).json()["predict"]
    assert told == [list(row.values()) for row in native(server, "iris_logistic", rows, "prob")]
    assert post(server, "/endpoints/echo/predict", [1]).json() == {"predict": {"got": [1]}}


def test_dates_in_milliseconds_missing_values_in_words_and_horizons(server: Tandem) -> None:
    rows = [{"day": "2024-02-29", "weekend": True, "count": 3}]
    expected = [{".pred": value} for value in native(server, "dated", rows)]
    assert post(server, "/endpoints/dated/predict", [rows[0] | {"day": 1709164800000}]).json() == expected
    missing = post(server, PATH, [CARS[0] | {"wt": "NA"}]).json()
    assert missing == [{".pred": None}] == [{".pred": v} for v in native(server, "mpg", [CARS[0] | {"wt": None}])]
    ahead = server.score("ahead", {"options": {"h": 3}}).json()["predictions"]
    assert post(server, "/endpoints/ahead/predict?h=3", []).json() == [{".pred": value} for value in ahead]


def test_a_key_comes_as_posits_users_send_it(server: Tandem, key: str) -> None:
    assert post(server, PATH, CARS[:1], user=None, headers={"authorization": f"Key {key}"}).status_code == 200


def test_what_is_told_of_a_model_of_r(server: Tandem) -> None:
    version = server.model("mpg")["version"]
    about = server.get("/endpoints/mpg/metadata").json()
    assert about == {"user": {}, "version": version, "url": None, "required_pkgs": ["stats"]}
    assert server.get("/endpoints/mpg/prototype").json() == {
        "wt": {"type": "numeric", "default": None, "details": []},
        "hp": {"type": "numeric", "default": None, "details": []},
        "cyl": {"type": "factor", "default": None, "details": {"levels": ["4", "6", "8"]}},
    }
    types = {name: column["type"] for name, column in server.get("/endpoints/dated/prototype").json().items()}
    assert types == {"day": "Date", "weekend": "logical", "count": "numeric"}
    assert server.get(f"/endpoints/mpg/versions/{version}/prototype").status_code == 200


def test_what_is_told_of_any_other_model(server: Tandem) -> None:
    told = server.get("/endpoints/iris_logistic/prototype").json()
    assert (told["title"], told["type"]) == ("prototype", "object")
    assert list(told["properties"]) == told["required"] == list(flowers(server, "iris_logistic")[0])
    assert {column["type"] for column in told["properties"].values()} == {"number"}
    for model in ("mpg", "iris_logistic", "digits", "echo", "ahead"):
        document = server.get(f"/endpoints/{model}/openapi.json").json()
        assert set(document["paths"]) == {"/predict", "/ping", "/metadata", "/prototype"}, model


def test_what_is_not_there_is_not_found(server: Tandem) -> None:
    for path in ("/endpoints/mpg/pin-url", "/endpoints/none/metadata", "/endpoints/mpg/versions/none/prototype"):
        refused(server.get(path), 404, "not_found")
        refused(httpx.get(server.url + path), *((404, "not_found") if "pin-url" in path else (401, "unauthenticated")))


# What goes wrong


def refused(reply: httpx.Response, status: int, code: str) -> str:
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/json"), reply.text
    document = reply.json()
    assert document["error"] == f"{status} - {code}" and document["code"] == code == reply.headers["x-tandem-code"]
    assert document["request_id"] == reply.headers["x-request-id"]
    return str(document["message"])


def refused_in_text(reply: httpx.Response, status: int, code: str) -> str:
    assert (reply.status_code, reply.headers["content-type"]) == (status, "text/plain; charset=utf-8"), reply.text
    assert reply.headers["x-tandem-code"] == code
    return reply.text


BAD: list[tuple[Any, str]] = [
    (b"{", "bad_body"),
    (b"\xff", "bad_body"),
    (b"[" * 100_000, "bad_body"),
    ({}, "invalid_input"),
    ([], "invalid_input"),
    ([1], "invalid_input"),
    ([{}], "invalid_input"),
]


@pytest.mark.parametrize(("body", "code"), BAD)
def test_bad_bodies_are_422_in_the_form_of_each_kind_of_model(server: Tandem, body: Any, code: str) -> None:
    refused(post(server, PATH, body), 422, code)
    refused_in_text(post(server, "/endpoints/iris_logistic/predict", body), 422, code)


def test_each_stage_tells_what_went_wrong(server: Tandem) -> None:
    told = refused(post(server, PATH, [{"wt": 1, "hp": 2}]), 422, "invalid_input")
    assert 'column "cyl", row 0: expected a value of type factor, got nothing' in told
    refused(post(server, PATH + "?output=none", CARS), 422, "invalid_input")
    refused(post(server, PATH + "?level=none", CARS), 422, "invalid_input")
    refused(post(server, "/endpoints/none/predict", CARS), 404, "unknown_model")
    refused(httpx.get(server.url + PATH, headers=server.headers()), 405, "method_not_allowed")
    refused(post(server, PATH, CARS, headers={"content-encoding": "br"}), 415, "unsupported_encoding")
    refused(post(server, PATH, b" " * ((2 << 20) + 1)), 413, "body_too_large")
    refused_in_text(post(server, "/endpoints/echo/predict", b"no JSON"), 500, "model_failed")


def test_a_stranger_is_not_told_of_which_kind_a_model_is(server: Tandem) -> None:
    told = {refused(post(server, f"/endpoints/{m}/predict", [], user=None), 401, "unauthenticated")
            for m in ("mpg", "iris_logistic", "none")}  # fmt: skip
    assert len(told) == 1


def test_rs_client_gets_a_table_and_shows_what_is_wrong(server: Tandem, key: str) -> None:
    rows = [{"wt": 2.62, "hp": 110, "cyl": "6"}, {"wt": "NA", "hp": 175, "cyl": "8"}]
    done = subprocess.run(
        ["Rscript", ROOT / "tests/clients/ask_vetiver.R", server.url + PATH, key],
        input=json.dumps(rows),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    first, _ = native(server, "mpg", [rows[0], rows[1] | {"wt": None}])
    assert (float(told["predicted"][0]), told["predicted"][1]) == (first, "NA")
    assert told["refused"].startswith("Failed to predict: some rows lack columns of the model")
    assert told["levels"] == ["4", "6", "8"]
