"""KServe's first protocol over real HTTP: the native answers, in its form."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.harness.tandem import Tandem
from tests.server.web.dialects.test_open_inference import CARS, FLOWERS, native, post, refused


@pytest.mark.parametrize("by_position", [False, True])
def test_predictions_are_the_native_ones(server: Tandem, by_position: bool) -> None:
    for model, rows in (("mpg", CARS), ("iris", FLOWERS)):
        names = [i["name"] for i in server.model(model)["versions"][0]["schema"]["inputs"]]
        instances = [[row[name] for name in names] for row in rows] if by_position else rows
        reply = post(server, f"/v1/models/{model}:predict", {"instances": instances})
        assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json"), reply.text
        assert reply.json() == {"predictions": native(server, model, rows)}


def test_outputs_options_horizons_images_and_scripts(server: Tandem) -> None:
    asked = {"instances": FLOWERS, "parameters": {"output": "prob"}}
    assert post(server, "/v1/models/iris:predict", asked).json()["predictions"] == native(
        server, "iris", FLOWERS, "prob"
    )
    ahead = post(server, "/v1/models/ahead:predict", {"instances": [], "parameters": {"h": 3}}).json()["predictions"]
    assert ahead == server.score("ahead", {"options": {"h": 3}}).json()["predictions"]
    names = [i["name"] for i in server.model("graph")["versions"][0]["schema"]["inputs"]]
    rows = [dict(zip(names, row.values(), strict=True)) for row in FLOWERS]
    assert post(server, "/v1/models/graph:predict", {"instances": rows}).json()["predictions"] == native(
        server, "graph", rows
    )
    said = post(server, "/v1/models/echo:predict", {"instances": [1]}).json()
    assert said == {"predictions": {"got": {"instances": [1]}}}


def test_a_models_details_say_that_it_is_ready(server: Tandem) -> None:
    about = server.model("mpg")
    assert (about["name"], about["ready"]) == ("mpg", True)


def test_warnings_come_as_a_header(server: Tandem) -> None:
    reply = post(server, "/v1/models/mpg:predict", {"instances": [CARS[0] | {"colour": "red"}]})
    assert "colour" in reply.headers["x-tandem-warnings"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        {},
        {"instances": {}},
        {"instances": []},
        {"instances": [[1.0]]},
        {"instances": [CARS[0], [1, 2, 3]]},
        {"instances": [1]},
        {"instances": [CARS[0]], "parameters": []},
        b'{"instances":[{"wt":1,"wt":2,"hp":1,"cyl":"4"}]}',
        b'{"instances":' + b"[" * 100_000,
    ],
)
def test_bad_bodies_are_told_so(server: Tandem, body: Any) -> None:
    reply = post(server, "/v1/models/mpg:predict", body)
    refused(reply, 400, reply.json()["code"])


def test_each_stage_tells_what_went_wrong_in_the_protocols_form(server: Tandem) -> None:
    path, good = "/v1/models/mpg:predict", {"instances": CARS[:1]}
    refused(post(server, path, good, user=None), 401, "unauthenticated")
    refused(post(server, "/v1/models/none:predict", good), 404, "unknown_model")
    refused(httpx.get(server.url + path, headers=server.headers()), 405, "method_not_allowed")
    refused(httpx.get(f"{server.url}/v1/models/mpg:explain", headers=server.headers()), 404, "not_found")
    refused(post(server, path, good, headers={"content-encoding": "br"}), 415, "unsupported_encoding")
    refused(post(server, path, b" " * ((2 << 20) + 1)), 413, "body_too_large")
