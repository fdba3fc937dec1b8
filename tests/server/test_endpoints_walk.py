"""The walk of a tutorial of Azure's managed endpoints: its files, commands and curl, with Tandem in Azure's place."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import joblib
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from server.cli import main
from tests.harness.tandem import Tandem, eventually
from tests.server.web.scoring.test_route import CAR

NAME = "whats-in-a-name"
ENDPOINT = f"""\
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineEndpoint.schema.json

name: {NAME}
auth_mode: key
"""
DEPLOYMENT = f"""\
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json
name: blue
endpoint_name: {NAME}
model:
  path: ../../model-1/model/
code_configuration:
  code: ../../model-1/onlinescoring/
  scoring_script: score.py
environment:
  conda_file: ../../model-1/environment/conda.yml
  image: mcr.microsoft.com/azureml/openmpi3.1.2-ubuntu18.04:20210727.v1
instance_type: Standard_DS2_v2
instance_count: 1
"""
CONDA = (
    "name: model-env\nchannels: [conda-forge]\ndependencies:\n- python=3.11\n- pip\n- pip: [azureml-defaults==1.38.0]\n"
)
SCRIPT = '''\
import os
import logging
import json
import numpy
import joblib


def init():
    """Called when the container is initialized."""
    global model
    # It is the path to the model folder (./azureml-models/$MODEL_NAME/$VERSION)
    model_path = os.path.join(
        os.getenv("AZUREML_MODEL_DIR"), "model/sklearn_regression_model.pkl"
    )
    # Deserialize the model file back into a sklearn model
    model = joblib.load(model_path)
    logging.info("Init complete")
    print("init is done")


def run(raw_data):
    """Called for every invocation of the endpoint."""
    logging.info("model 1: request received")
    data = json.loads(raw_data)["data"]
    data = numpy.array(data)
    result = model.predict(data)
    logging.info("Request processed")
    return result.tolist()
'''
SAMPLE = {"data": [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]]}


class Laptop:
    """A server, and somebody at its command line in the folder of the YAML files."""

    def __init__(self, tandem: Tandem, folder: Path) -> None:
        self.tandem = tandem
        self.folder = folder
        self.models: dict[str, Any] = {}

    def model(self, number: int) -> None:
        """A model with its script and its packages, as azureml-examples has them."""
        top = self.folder / f"model-{number}"
        for name in ("model", "onlinescoring", "environment"):
            (top / name).mkdir(parents=True)
        random = np.random.default_rng(number)
        fitted = LinearRegression().fit(random.normal(size=(50, 10)), random.normal(size=50))
        joblib.dump(fitted, top / "model" / "sklearn_regression_model.pkl")
        (top / "onlinescoring" / "score.py").write_text(SCRIPT)
        (top / "environment" / "conda.yml").write_text(CONDA)
        self.models[("blue", "green")[number - 1]] = fitted

    def answer(self, deployment: str) -> list[float]:
        predicted: list[float] = self.models[deployment].predict(np.array(SAMPLE["data"])).tolist()
        return predicted

    def asked(self, **headers: str) -> httpx.Response:
        path = f"/endpoints/{NAME}/score"
        return self.tandem.score("", SAMPLE, path=path, headers={k.replace("_", "-"): v for k, v in headers.items()})


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    folder = tmp_path_factory.mktemp("laptop")
    tandem = Tandem(folder / "tandem", publish="on", python_workers=1, r_workers=1)
    there = Laptop(tandem, folder)
    for number in (1, 2):
        there.model(number)
    work = folder / "endpoints" / "online"
    work.mkdir(parents=True)
    (work / "endpoint.yml").write_text(ENDPOINT)
    (work / "blue-deployment.yml").write_text(DEPLOYMENT)
    green = DEPLOYMENT.replace("name: blue", "name: green").replace("model-1", "model-2")
    (work / "green-deployment.yml").write_text(green)
    (work / "sample-request.json").write_text(json.dumps(SAMPLE))
    tandem.start()
    yield there
    assert tandem.stop() == 0


@pytest.fixture
def az(laptop: Laptop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """A command, in the folder of the YAML files; what it says. It has to succeed unless `fails`."""
    for name in [name for name in os.environ if name.startswith("TANDEM_")]:
        monkeypatch.delenv(name)
    for name, value in laptop.tandem.environment.items():
        if name.startswith("TANDEM_"):
            monkeypatch.setenv(name, value)
    monkeypatch.chdir(laptop.folder / "endpoints" / "online")

    def run(command: str, *more: str, fails: bool = False) -> str:
        code = main([*command.split(), *more])
        said = capsys.readouterr()
        assert bool(code) == fails, said.err
        return said.err if fails else said.out.strip()

    return run


def test_the_article_from_its_files_to_its_curl(laptop: Laptop, az: Any) -> None:
    group = ("-g", "<your-resource-group>", "-w", "<your-workspace>")
    assert az("online-endpoint create -f endpoint.yml", *group) == NAME
    assert az("online-deployment create -f blue-deployment.yml", *group) == "blue"
    az(f"online-endpoint update -n {NAME} --traffic", "blue=100", *group)
    uri = az(f"online-endpoint show -n {NAME} --query", "scoring_uri", "-o", "tsv", *group)
    key = az(f"online-endpoint get-credentials -n {NAME} --query", "primaryKey", "-o", "tsv", *group)
    curl = ["curl", "-sS", uri, "-H", f"Authorization: Bearer {key}", "-H", "Content-Type: application/json"]
    done = subprocess.run([*curl, "--data-binary", "@sample-request.json"], capture_output=True, timeout=60)
    assert json.loads(done.stdout) == laptop.answer("blue"), done
    assert "init is done" in az(f"online-deployment get-logs -n blue -e {NAME} --lines 20")
    assert json.loads(az(f"online-endpoint invoke -n {NAME} --request-file sample-request.json")) == laptop.answer(
        "blue"
    )


def test_a_second_deployment_is_tried_shifted_to_and_rolled_back_without_a_lost_request(
    laptop: Laptop, az: Any
) -> None:
    assert az("online-deployment create -f green-deployment.yml") == "green"
    pinned = az(f"online-endpoint invoke -n {NAME} -r sample-request.json -d green")
    assert json.loads(pinned) == laptop.answer("green")
    answers: list[tuple[int, str]] = []
    stop = threading.Event()

    def load() -> None:
        with httpx.Client(headers=laptop.tandem.headers(), timeout=30) as client:
            while not stop.is_set():
                reply = client.post(f"{laptop.tandem.url}/endpoints/{NAME}/score", json=SAMPLE)
                who = reply.headers.get("azureml-model-deployment", "")
                right = reply.status_code == 200 and reply.json() == laptop.answer(who)
                answers.append((reply.status_code, who if right else "wrong"))

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for share, expected in (
            ("blue=90 green=10", {"blue", "green"}),
            ("green=100", {"green"}),
            ("blue=100", {"blue"}),
        ):
            az(f"online-endpoint update -n {NAME} --traffic", share)
            assert laptop.asked().headers["azureml-model-deployment"] in expected
            enough = len(answers) + 20
            eventually(lambda enough=enough: len(answers) > enough)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert {status for status, _ in answers} == {200}
    assert {who for _, who in answers} == {"blue", "green"}
    assert az(f"online-deployment list -e {NAME} --query", "[?traffic > `0`].name | [0]", "-o", "tsv") == "blue"


def test_an_update_that_cannot_be_used_leaves_what_was_there_and_one_that_can_takes_its_place(
    laptop: Laptop, az: Any
) -> None:
    script = laptop.folder / "model-1" / "onlinescoring" / "score.py"
    script.write_text("def init():\n    raise ValueError('no such district')\n\n\ndef run(raw_data):\n    return 1\n")
    said = az("online-deployment update -f blue-deployment.yml", fails=True)
    assert "the deployment 'blue' of 'whats-in-a-name' cannot answer" in said
    shown = json.loads(az(f"online-deployment show -n blue -e {NAME}"))
    assert (shown["state"], shown["serving"] != shown["model"]) == ("failed", True)
    assert laptop.asked().json() == laptop.answer("blue")
    script.write_text("def init():\n    pass\n\n\ndef run(raw_data):\n    return 'new'\n")
    az("online-deployment update -f blue-deployment.yml")
    assert laptop.asked().json() == "new"
    versions = laptop.tandem.model(f"{NAME}-blue")["versions"]
    eventually(lambda: len(laptop.tandem.model(f"{NAME}-blue")["versions"]) == 1)
    assert versions


def test_a_file_with_set_and_a_name_and_what_is_refused_in_a_line(laptop: Laptop, az: Any) -> None:
    assert az("online-endpoint create -f endpoint.yml", fails=True) == (
        f"tandem: There is the endpoint '{NAME}' already; update it.\n"
    )
    assert az("online-endpoint create -f endpoint.yml -n other --set tags.team=a --set auth_mode=aml_token") == "other"
    shown = az("online-endpoint show -n other --query", "[auth_mode, tags.team]", "-o", "tsv")
    assert shown == "aml_token\na"
    assert "accessToken" in json.loads(az("online-endpoint get-credentials -n other"))
    assert az("online-endpoint list --query", "[].name", "-o", "json").split() == ["[", '"other",', f'"{NAME}"', "]"]
    assert az("online-endpoint list -o table").splitlines()[0].startswith("name")
    assert "is not JMESPath" in az("online-endpoint list --query", "[", fails=True)
    az("online-endpoint delete -n other --yes")
    assert "There is nothing here" in az("online-endpoint show -n other", fails=True)


def test_what_is_no_archive_is_refused_and_what_a_deployment_needs_stays(laptop: Laptop) -> None:
    headers = laptop.tandem.headers()
    refused = httpx.put(f"{laptop.tandem.url}/v1/models/bad/versions/1", content=b"no archive", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_archive")
    [needed] = laptop.tandem.model(f"{NAME}-green")["versions"]
    address = f"{laptop.tandem.url}/v1/models/{NAME}-green/versions/{needed['version']}"
    for method, content in (("DELETE", None), ("PUT", b"x")):
        again = httpx.request(method, address, content=content, headers=headers)
        assert (again.status_code, again.json()["code"]) == (409, "conflict"), again.text
    assert httpx.delete(f"{laptop.tandem.url}/v1/models/bad/versions/1", headers=headers).status_code == 404
    assert laptop.asked(azureml_model_deployment="green").json() == laptop.answer("green")


def test_r_models_on_both_sides_and_a_folder_that_is_applied_twice(
    laptop: Laptop, az: Any, tmp_path: Path, example_models: Path
) -> None:
    (tmp_path / "defined").mkdir()
    (tmp_path / "defined" / "cars.yml").write_text("name: cars\ntraffic: {blue: 90, green: 10}\n")
    for color in ("blue", "green"):
        (tmp_path / color).mkdir()
        shutil.copy(example_models / "mpg.rds", tmp_path / color / "model.rds")
        (tmp_path / color / "model.yaml").write_text(f"description: {color}\n")
        text = f"name: {color}\nendpoint_name: cars\nmodel: {{path: ../{color}}}\n"
        (tmp_path / "defined" / f"{color}.yml").write_text(text)
    said = az(f"apply -f {tmp_path}/defined").splitlines()
    assert said == ["cars/blue", "cars", "cars/green"]
    before = laptop.tandem.get("/v1/endpoints/cars").json()
    assert {one["state"] for one in before["deployments"]} == {"ready"}
    asked = laptop.tandem.score("cars", {"rows": [CAR]})
    assert (asked.status_code, asked.headers["azureml-model-deployment"] in ("blue", "green")) == (200, True)
    rows = laptop.tandem.get("/auth/audit?action=endpoint.changed").json()
    az(f"apply -f {tmp_path}/defined")
    assert laptop.tandem.get("/v1/endpoints/cars").json() == before
    assert laptop.tandem.get("/auth/audit?action=endpoint.changed").json() == rows
    az("online-endpoint delete -n cars")
