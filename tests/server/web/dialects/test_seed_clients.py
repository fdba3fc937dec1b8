"""The calls that older scoring services are asked with, as their users wrote them: curl, requests and httr."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml

from tests.harness.tandem import ROOT, Tandem
from tests.server.web.dialects.test_open_inference import CARS, FLOWERS, native


@pytest.fixture(scope="module")
def key(server: Tandem) -> Iterator[str]:
    """An API key, as those services had one."""
    yield server.command("keys", "add", "admin", "--name", "seeds").stdout.splitlines()[0].split("\t")[2]


def test_curl_sends_a_file_with_a_bearer_token(server: Tandem, key: str, tmp_path: Path) -> None:
    sample = tmp_path / "sample-request.json"
    order = [i["name"] for i in server.model("mpg")["versions"][0]["schema"]["inputs"]]
    sample.write_text(json.dumps({"data": [[car[name] for name in order] for car in CARS]}))
    command = ["curl", "-s", f"{server.url}/endpoints/mpg/score", "-H", f"Authorization: Bearer {key}"]
    command += ["-H", "Content-Type: application/json", "--data-binary", f"@{sample}"]
    told = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    assert json.loads(told) == native(server, "mpg", CARS)


def test_requests_asks_for_the_best_labels_of_an_image_by_its_name(server: Tandem, key: str) -> None:
    image = yaml.safe_load((ROOT / "python_models/digits.yaml").read_text())["golden"][0]["row"]["image"]
    assert base64.b64decode(image)
    headers = {"content-type": "application/json", "Authorization": f"Bearer {key}"}
    body = json.dumps({"input": {"image": f'"{image}"'}})
    reply = requests.post(f"{server.url}/endpoints/digits/score", data=body, headers=headers, timeout=60)
    answer, took = reply.json()["result"]
    assert took.startswith("Computed in ") and took.endswith(" ms")
    [expected] = native(server, "digits", [{"image": image}])
    assert answer["image"] == [[one["label"], one["probability"]] for one in expected]


def test_requests_asks_with_one_row_alone(server: Tandem, key: str) -> None:
    headers = {"content-type": "application/json", "Authorization": f"Bearer {key}"}
    reply = requests.post(
        f"{server.url}/endpoints/iris/score", data=json.dumps({"input": FLOWERS[0]}), headers=headers, timeout=60
    )
    assert reply.json()["result"][0] == native(server, "iris", FLOWERS[:1])[0]


def test_httr_sends_a_data_frame_with_a_user_and_a_password(server: Tandem) -> None:
    """Needs httr (Debian: r-cran-httr)."""
    password = (server.folder / "data/admin-password").read_text().strip()
    code = """
        given <- commandArgs(TRUE)
        cars <- data.frame(wt = c(2.6, 3.25), hp = c(110, 90), cyl = c("6", "4"), mpg = c(21, 22.8))
        reply <- httr::POST(given[1], httr::authenticate("admin", given[2]), body = list(df = cars), encode = "json")
        answer <- unlist(httr::content(reply))
        stopifnot(is.numeric(answer), length(answer) == 2)
        cat(jsonlite::toJSON(answer, digits = NA))
    """
    command = ["Rscript", "-e", code, f"{server.url}/endpoints/mpg/score", password]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    cars = [{"wt": 2.6, "hp": 110, "cyl": "6"}, {"wt": 3.25, "hp": 90, "cyl": "4"}]
    assert json.loads(done.stdout) == pytest.approx(native(server, "mpg", cars), rel=1e-14)
