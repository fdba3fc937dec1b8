"""The example model digits in a running server: trained by its script, asked for by image and by JSON."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from tests.harness.tandem import Tandem, eventually

PROBABILITIES = "/v1/models/digits/score?output=prob"


@pytest.fixture(scope="module")
def server(digits: Path, net: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tandem]:
    tandem = Tandem(tmp_path_factory.mktemp("server"), torch_threads=1)
    for name in ("digits.pt2", "digits.yaml"):
        shutil.copy(digits / name, tandem.python_models)
    shutil.copy(net, tandem.python_models / "net.pt2")
    (tandem.python_models / "broken.pt2").write_bytes(net.read_bytes()[:5000])
    tandem.start()
    yield tandem
    assert tandem.stop() == 0


@pytest.fixture(scope="module")
def golden(digits: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((digits / "digits.yaml").read_text())["golden"]
    return found


def send(server: Tandem, body: bytes, kind: str = "image/png", model: str = "digits", **more: Any) -> httpx.Response:
    return server.score(model, body, headers={"content-type": kind, **more.pop("headers", {})}, **more)


def image_of(golden_row: dict[str, Any]) -> bytes:
    return base64.b64decode(golden_row["row"]["image"])


def test_digits_reads_at_least_97_percent_of_held_out_images(digits: Path) -> None:
    said = (digits / "said").read_text()
    assert float(said.partition("%")[0]) >= 97, said
    assert "held-out" in said


def test_the_model_is_ready_and_batched_bit_for_bit(server: Tandem) -> None:
    version = server.version("digits", "ready")
    assert version is not None, server.model("digits")
    assert (version["runtime"], version["batched"]) == ("torch", True), version["batch_reason"]
    assert version["golden_rows"] == 5
    assert "gave the same bits" in version["batch_reason"]


def test_a_png_is_answered_with_labels_and_probabilities(server: Tandem, golden: list[dict[str, Any]]) -> None:
    for one in golden:
        reply = send(server, image_of(one))
        assert reply.status_code == 200 and reply.headers["content-type"] == "application/json"
        [top] = reply.json()["predictions"]
        assert [top[0]["label"], len(top)] == [one["class"], 3]
        assert top[0]["probability"] == pytest.approx(max(one["prob"].values()), abs=1e-5)


def test_base64_in_json_gets_the_same_answer(server: Tandem, golden: list[dict[str, Any]]) -> None:
    together = server.score("digits", {"rows": [one["row"] for one in golden]}).json()["predictions"]
    assert together == [send(server, image_of(one)).json()["predictions"][0] for one in golden]


def test_a_jpeg_is_answered_as_pytorch_answers_its_pixels(server: Tandem, digits: Path) -> None:
    file = BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (60, 80, 3), np.uint8)).save(file, "JPEG")
    small = Image.open(BytesIO(file.getvalue())).convert("L").resize((8, 8), Image.Resampling.BILINEAR)
    with torch.inference_mode():
        model = torch.export.load(str(digits / "digits.pt2")).module()
        expected = model(torch.from_numpy(np.array(small)).float()[None, None] / 255).softmax(1)[0]
    reply = send(server, file.getvalue(), "image/jpeg", path=PROBABILITIES)
    assert list(reply.json()["predictions"][0].values()) == pytest.approx(expected.tolist(), abs=1e-6)


def test_many_at_once_get_the_bits_they_get_alone(server: Tandem, golden: list[dict[str, Any]]) -> None:
    images = [image_of(one) for one in golden]
    alone = [send(server, i, path=PROBABILITIES).json()["predictions"] for i in images]
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda k: send(server, images[k % 5], path=PROBABILITIES), range(80)))
    assert [r.json()["predictions"] for r in replies] == [alone[k % 5] for k in range(80)]


def test_what_is_no_image_is_told_and_everything_else_keeps_serving(
    server: Tandem, golden: list[dict[str, Any]]
) -> None:
    whole = image_of(golden[0])
    for body in (b"", b"GIF89a", whole[:50]):
        reply = send(server, body)
        assert (reply.status_code, reply.json()["code"]) == (422, "invalid_input")
        [fault] = reply.json()["errors"]
        assert (fault["row"], fault["column"]) == (0, "image")
    assert send(server, whole).status_code == 200


def test_an_image_for_a_model_of_something_else_is_refused(server: Tandem, golden: list[dict[str, Any]]) -> None:
    reply = send(server, image_of(golden[0]), model="net")
    assert (reply.status_code, reply.json()["code"]) == (415, "unsupported_media_type")
    assert reply.json()["detail"].startswith("This model does not take an image.")
    assert send(server, b"x", "image/webp").status_code == 415


def test_no_reply_is_an_image(server: Tandem, golden: list[dict[str, Any]]) -> None:
    whole = image_of(golden[0])
    assert send(server, whole, headers={"accept": "image/png"}).status_code == 406
    reply = send(server, whole, headers={"accept": "text/csv"})
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/csv")


def test_a_broken_file_is_refused_with_a_reason(server: Tandem) -> None:
    failed = eventually(lambda: server.version("broken", "failed"))
    assert "not a whole .pt2 file" in failed["reason"]


def test_the_documentation_knows_the_bodies(server: Tandem) -> None:
    document = server.get("/openapi.json").json()
    operation = document["paths"]["/v1/models/digits/score"]["post"]
    assert {"image/jpeg", "image/png", "application/json"} <= set(operation["requestBody"]["content"])
    assert "image/png" not in document["paths"]["/v1/models/net/score"]["post"]["requestBody"]["content"]


def test_a_machine_without_a_gpu_has_no_gpu_metrics(server: Tandem) -> None:
    text = httpx.get(server.metrics_url).text
    assert torch.cuda.is_available() or "tandem_gpu_memory_bytes{" not in text


@pytest.mark.long
def test_many_pictures_at_once_of_just_under_the_most_pixels_are_answered_like_one_or_told_to_come_later(
    server: Tandem,
) -> None:
    file = BytesIO()
    Image.new("L", (7000, 7000), 200).save(file, "PNG")
    alone = send(server, file.getvalue())
    assert alone.status_code == 200
    workers = server.processes("worker")
    with ThreadPoolExecutor(32) as callers:
        replies = list(callers.map(lambda _: send(server, file.getvalue()), range(32)))
    served = [reply for reply in replies if reply.status_code == 200]
    assert {reply.json()["code"] for reply in replies if reply not in served} <= {"overloaded", "queue_full"}
    assert served and all(reply.json()["predictions"] == alone.json()["predictions"] for reply in served)
    assert server.processes("worker") == workers
