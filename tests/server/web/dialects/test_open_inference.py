"""The Open Inference Protocol over real HTTP, with Triton's own client: every kind of model, the native bits."""

from __future__ import annotations

import asyncio
import base64
import math
import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import orjson
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
import yaml

from tests.harness.tandem import ROOT, Tandem, eventually

CARS = [
    {"wt": 2.6, "hp": 110.0, "cyl": "6"},
    {"wt": 1 / 3, "hp": 0.1, "cyl": "4"},
    {"wt": None, "hp": 1.0, "cyl": "8"},
    {"wt": "NaN", "hp": 1.0, "cyl": "8"},
    {"wt": "Inf", "hp": 1.0, "cyl": "8"},
    {"wt": "-Inf", "hp": 1.0, "cyl": "8"},
]
FLOWERS = [
    {"Sepal.Length": 6.1, "Sepal.Width": 2.8, "Petal.Length": 4.7, "Petal.Width": 1.2},
    {"Sepal.Length": 5.1, "Sepal.Width": 3.5, "Petal.Length": 1.4, "Petal.Width": 0.2},
]
NA = struct.unpack("<d", struct.pack("<Q", 0x7FF00000000007A2))[0]
SPECIAL = {None: NA, "NaN": math.nan, "Inf": math.inf, "-Inf": -math.inf}


@pytest.fixture(scope="module")
def client(server: Tandem) -> Iterator[Any]:
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}", network_timeout=60.0) as client:
        yield client


def tensor(name: str, values: Sequence[Any], datatype: str = "FP64", binary: bool = True) -> Any:
    array = (
        np.array([str(v).encode() for v in values], dtype=np.object_)
        if datatype == "BYTES"
        else np.array([SPECIAL.get(v, v) if v is None or isinstance(v, str) else v for v in values], dtype=np.float64)
    )
    given = triton.InferInput(name, list(array.shape), datatype)
    given.set_data_from_numpy(array, binary_data=binary)
    return given


def tensors(rows: Sequence[dict[str, Any]], binary: bool = True, texts: Sequence[str] = ("cyl",)) -> list[Any]:
    return [tensor(name, [row[name] for row in rows], "BYTES" if name in texts else "FP64", binary) for name in rows[0]]


def native(server: Tandem, model: str, rows: Sequence[dict[str, Any]], output: str | None = None) -> list[Any]:
    reply = server.score(model, {"rows": rows} | ({"output": output} if output else {}))
    assert reply.status_code == 200, reply.text
    return list(reply.json()["predictions"])


def bits(values: Any) -> list[int]:
    return [int(word) for word in np.asarray(values, dtype=np.float64).ravel().view(np.uint64)]


def doubles(values: Sequence[Any]) -> list[int]:
    """The bits of native predictions; NaN has the bits that C's NaN has."""
    return bits([SPECIAL.get(v, v) if v is None or isinstance(v, str) else v for v in values])


def infer(server: Tandem, client: Any, model: str, inputs: list[Any], **more: Any) -> Any:
    return client.infer(model, inputs, headers=server.headers(), **more)


def post(server: Tandem, path: str, body: Any, user: str | None = "admin", **more: Any) -> httpx.Response:
    headers = (server.headers(user) if user else {}) | more.pop("headers", {})
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return httpx.post(server.url + path, content=content, headers=headers, timeout=60, **more)


CAR = {"inputs": [{"name": "wt", "shape": [1], "datatype": "FP64", "data": [2.6]},
                  {"name": "hp", "shape": [1, 1], "datatype": "FP64", "data": [[110]]},
                  {"name": "cyl", "shape": [1], "datatype": "BYTES", "data": ["6"]}]}  # fmt: skip


# The bits


@pytest.mark.parametrize("binary", [True, False])
def test_numbers_na_nan_and_infinities_have_the_native_bits(server: Tandem, client: Any, binary: bool) -> None:
    expected = native(server, "mpg", CARS if binary else [CARS[0], CARS[1], *CARS[3:]])
    rows = CARS if binary else [CARS[0], CARS[1], *CARS[3:]]  # Triton's client cannot write NA in JSON
    for wanted in (True, False):
        outputs = [triton.InferRequestedOutput("response", binary_data=wanted)]
        found = infer(server, client, "mpg", tensors(rows, binary), outputs=outputs, request_id="7")
        assert found.get_response()["id"] == "7"
        values = found.as_numpy("response")
        if wanted:
            assert [np.isnan(v) for v in values] == [e in (None, "NaN") for e in expected]
            finite = [at for at, e in enumerate(expected) if e not in (None, "NaN")]
            assert bits(values[finite]) == doubles([expected[at] for at in finite])
            assert [v & 0xFFFFFFFF == 1954 for v in bits(values)] == [e is None for e in expected]
        else:
            assert found.get_response()["outputs"][0]["data"] == expected


def test_json_has_null_for_na_as_the_native_reply(server: Tandem) -> None:
    named = {name: [row[name] for row in CARS] for name in CARS[0]}
    kinds = {"wt": "FP64", "hp": "FP64", "cyl": "BYTES"}
    inputs = [{"name": n, "shape": [6], "datatype": kinds[n], "data": v} for n, v in named.items()]
    reply = post(server, "/v2/models/mpg/infer", {"inputs": inputs})
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json"), reply.text
    assert reply.json()["outputs"][0]["data"] == native(server, "mpg", CARS)
    assert "id" not in reply.json()


@pytest.mark.parametrize("model", ["iris", "iris_logistic", "graph"])
def test_labels_and_a_matrix_of_probabilities(server: Tandem, client: Any, model: str) -> None:
    about = client.get_model_metadata(model, headers=server.headers())
    names = [i["name"] for i in about["inputs"]]
    rows = [dict(zip(names, row.values(), strict=True)) for row in FLOWERS]
    outputs = {o["name"]: o for o in about["outputs"]}
    asked = [triton.InferRequestedOutput(name, binary_data=True) for name in outputs]
    found = infer(server, client, model, tensors(rows, texts=()), outputs=asked)
    assert [o["name"] for o in found.get_response()["outputs"]] == list(outputs)
    for name, output in outputs.items():
        expected = native(server, model, rows, name)
        values = found.as_numpy(name)
        if output["datatype"] == "BYTES":
            assert [v.decode() for v in values] == expected
        elif len(output["shape"]) == 2:
            labels = orjson.loads(output["parameters"]["labels"])
            assert values.shape == (2, len(labels))
            assert bits(values) == doubles([row[label] for row in expected for label in labels])
        else:
            assert bits(values) == doubles(expected)
    alone = infer(server, client, model, tensors(rows, texts=()))
    assert [o["name"] for o in alone.get_response()["outputs"]] == [about["outputs"][0]["name"]]


def test_one_tensor_of_numbers_is_the_columns_in_the_models_order(server: Tandem, client: Any) -> None:
    one = triton.InferInput("predict", [2, 4], "FP32")
    one.set_data_from_numpy(np.array([list(row.values()) for row in FLOWERS], dtype=np.float32))
    names = [i["name"] for i in client.get_model_metadata("iris", headers=server.headers())["inputs"]]
    assert names == list(FLOWERS[0])
    rows = [{n: float(np.float32(v)) for n, v in row.items()} for row in FLOWERS]
    found = infer(server, client, "iris", [one], outputs=[triton.InferRequestedOutput("prob")])
    assert bits(found.as_numpy("prob")) == doubles(
        [v for r in native(server, "iris", rows, "prob") for v in r.values()]
    )


def test_dates_logicals_and_integers(server: Tandem, client: Any) -> None:
    rows = [{"day": "2026-02-28", "weekend": True, "count": 3}, {"day": "2024-02-29", "weekend": False, "count": -4}]
    day = tensor("day", ["2026-02-28T00:00:00", "2024-02-29"], "BYTES")
    weekend = triton.InferInput("weekend", [2], "BOOL").set_data_from_numpy(np.array([True, False]))
    for datatype, values in (("INT32", np.array([3, -4], np.int32)), ("FP64", np.array([3.0, -4.0]))):
        count = triton.InferInput("count", [2], datatype).set_data_from_numpy(values)
        found = infer(server, client, "dated", [count, weekend, day])
        assert bits(found.as_numpy("response")) == doubles(native(server, "dated", rows))


def test_images_as_files_and_a_ranking(server: Tandem, client: Any) -> None:
    golden = yaml.safe_load((ROOT / "python_models/digits.yaml").read_text())["golden"][:2]
    given = triton.InferInput("image", [2], "BYTES")
    given.set_data_from_numpy(np.array([base64.b64decode(g["row"]["image"]) for g in golden], dtype=np.object_))
    found = infer(server, client, "digits", [given])
    expected = native(server, "digits", [g["row"] for g in golden])
    [output] = found.get_response()["outputs"]
    texts = found.as_numpy(output["name"])
    for told, ranking in zip(texts, expected, strict=True):
        for text, one in zip(told, ranking, strict=True):
            probability, number, label = text.decode().split(":")
            assert (float(probability), label) == (one["probability"], one["label"])
            assert number == label, "the classes of digits are numbered as they are called"
    encoded = {"name": "image", "shape": [2], "datatype": "BYTES", "data": [g["row"]["image"] for g in golden]}
    same = post(server, "/v2/models/digits/infer", {"inputs": [encoded]}).json()["outputs"][0]["data"]
    assert same == [text.decode() for text in texts.ravel()]


def test_a_model_of_a_horizon_and_a_script(server: Tandem, client: Any) -> None:
    found = infer(server, client, "ahead", [], parameters={"h": 3})
    name = found.get_response()["outputs"][0]["name"]
    assert bits(found.as_numpy(name)) == doubles(server.score("ahead", {"options": {"h": 3}}).json()["predictions"])
    given = triton.InferInput("raw_data", [1], "BYTES")
    given.set_data_from_numpy(np.array([b'{"a": [1, 2]}'], dtype=np.object_))
    for binary in (True, False):
        outputs = [triton.InferRequestedOutput("result", binary_data=binary)]
        [text] = infer(server, client, "echo", [given], outputs=outputs).as_numpy("result")
        assert orjson.loads(text) == {"got": {"a": [1, 2]}}


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_bodies(server: Tandem, client: Any, algorithm: str) -> None:
    given = tensors(CARS)
    found = infer(server, client, "mpg", given, request_compression_algorithm=algorithm)
    assert bits(found.as_numpy("response")) == bits(infer(server, client, "mpg", given).as_numpy("response"))


def test_the_clients_other_half_by_asyncio(server: Tandem) -> None:
    async def ask() -> Any:
        async with triton_aio.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
            assert await client.is_server_live() and await client.is_server_ready()
            return (await client.infer("mpg", tensors(CARS), headers=server.headers())).as_numpy("response")

    assert bits(asyncio.run(ask())[:2]) == doubles(native(server, "mpg", CARS[:2]))


def test_requests_of_different_dialects_at_once_get_the_same_answers(server: Tandem) -> None:
    expected = native(server, "mpg", CARS[:1])

    def ask(at: int) -> Any:
        if at % 2:
            return server.score("mpg", {"rows": CARS[:1]}).json()["predictions"]
        return post(server, "/v2/models/mpg/infer", CAR).json()["outputs"][0]["data"]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(32))) == [expected] * 32


# What is told of models


def test_health_is_open_and_all_else_is_not(server: Tandem, client: Any) -> None:
    assert client.is_server_live() and client.is_server_ready()
    assert httpx.get(f"{server.url}/v2/health/live").json() == {"live": True}
    assert httpx.get(f"{server.url}/v2/health/ready").json() == {"ready": True, "live": True}
    for path in ("/v2", "/v2/", "/v2/models/mpg", "/v2/models/mpg/ready", "/v2/models/none/ready"):
        refused = httpx.get(server.url + path)
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
        assert isinstance(refused.json()["error"], str)
        assert refused.headers["content-type"] == "application/json"


def test_metadata_ready_config_and_statistics(server: Tandem, client: Any) -> None:
    said = server.headers()
    assert client.get_server_metadata(headers=said)["name"] == "tandem"
    version = server.model("mpg")["version"]
    about = client.get_model_metadata("mpg", headers=said)
    assert about == client.get_model_metadata("mpg", version, headers=said)
    assert about["platform"] == "tandem_r" and about["versions"] == [version]
    assert {i["name"]: (i["datatype"], i["shape"]) for i in about["inputs"]} == {
        "wt": ("FP64", [-1]),
        "hp": ("FP64", [-1]),
        "cyl": ("BYTES", [-1]),
    }
    assert about["outputs"][0] == {"name": "response", "datatype": "FP64", "shape": [-1]}
    assert client.is_model_ready("mpg", headers=said) and client.is_model_ready("mpg", version, headers=said)
    assert not client.is_model_ready("none", headers=said)
    assert {i["data_type"] for i in client.get_model_config("mpg", headers=said)["input"]} == {
        "TYPE_FP64",
        "TYPE_STRING",
    }
    infer(server, client, "mpg", tensors(CARS))

    def counted() -> Any:
        [one] = client.get_inference_statistics("mpg", headers=said)["model_stats"]
        assert one["inference_count"] >= 6 and one["execution_count"] >= 1
        assert one["inference_stats"]["success"]["count"] >= 1 and one["inference_stats"]["compute_infer"]["ns"] > 0
        return one

    eventually(counted)
    assert {"mpg", "echo"} <= {one["name"] for one in client.get_inference_statistics(headers=said)["model_stats"]}


def test_the_repository_is_the_folder(server: Tandem, client: Any) -> None:
    said = server.headers()
    index = {one["name"]: one for one in client.get_model_repository_index(headers=said)}
    assert index["mpg"]["state"] == "READY"
    assert {one["name"] for one in client.get_model_repository_index(headers=said)} == set(index)
    client.load_model("mpg", headers=said)
    with pytest.raises(triton.InferenceServerException, match="model folder decides"):
        client.unload_model("mpg", headers=said)
    with pytest.raises(triton.InferenceServerException, match="404"):
        client.load_model("none", headers=said)


# What goes wrong


def refused(reply: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/json"), reply.text
    document = dict(reply.json())
    assert document["code"] == code == reply.headers["x-tandem-code"]
    assert document["request_id"] == reply.headers["x-request-id"]
    assert isinstance(document["error"], str)
    return document


def test_each_stage_tells_what_went_wrong_in_the_protocols_form(server: Tandem) -> None:
    path = "/v2/models/mpg/infer"
    assert server.command("users", "add", "watcher", "--role", "auditor", text="long enough\n").returncode == 0
    refused(post(server, path, CAR, user=None), 401, "unauthenticated")
    refused(post(server, path, CAR, user="watcher"), 403, "forbidden")
    refused(post(server, "/v2/models/none/infer", CAR), 404, "unknown_model")
    refused(post(server, "/v2/nothing", CAR), 404, "not_found")
    refused(httpx.get(server.url + path, headers=server.headers()), 405, "method_not_allowed")
    refused(httpx.delete(server.url + "/v2/models/mpg", headers=server.headers()), 405, "method_not_allowed")
    refused(post(server, path, b"x" * ((2 << 20) + 1)), 413, "body_too_large")
    refused(post(server, path, CAR, headers={"content-encoding": "br"}), 415, "unsupported_encoding")
    refused(post(server, path, CAR, headers={"inference-header-content-length": "-1"}), 400, "bad_request")
    refused(post(server, path, b"{"), 400, "bad_body")
    unfit = {"inputs": [CAR["inputs"][0], CAR["inputs"][1], CAR["inputs"][2] | {"data": ["5"]}]}
    told = refused(post(server, path, unfit), 400, "invalid_input")
    assert told["errors"][0]["column"] == "cyl"
    assert 'column "cyl", row 0: expected one of "4", "6", "8", got the string "5"' in told["error"]
    refused(post(server, "/v2/models/echo/infer", CAR), 400, "bad_body")
    wrong = {"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "data": ["no JSON"]}]}
    refused(post(server, "/v2/models/echo/infer", wrong), 500, "model_failed")
    assert server.score("mpg", {"rows": CARS[:1]}).status_code == 200


def test_what_comes_of_a_request_is_counted_and_logged_by_dialect(server: Tandem) -> None:
    post(server, "/v2/models/mpg/infer", CAR, headers={"x-request-id": "counted"})
    eventually(lambda: server.metric("tandem_requests_total", model="mpg", dialect="open_inference", code="ok"))
    lines = eventually(lambda: [line for line in server.log_lines() if line.get("request_id") == "counted"])
    assert lines[0]["dialect"] == "open_inference"
