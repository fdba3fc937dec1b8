"""KServe's, MLflow's and Python vetiver's own clients, unmodified, in an environment of their own: the native bits."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from tests.harness.tandem import ROOT, Tandem
from tests.server.web.dialects.test_open_inference import FLOWERS, native

PYTHON = ROOT / ".venv-clients" / "bin" / "python"
CARS = [{"wt": 2.6, "hp": 110.0, "cyl": "6"}, {"wt": 1 / 3, "hp": 0.1, "cyl": "4"}]

ROUND = [{"wt": 2.6, "hp": 110.0, "cyl": "6"}, {"wt": 3.25, "hp": 0.1, "cyl": "4"}]
"""Numbers of few digits: pandas writes ten to the right of the point, and vetiver's client writes with pandas."""

pytestmark = pytest.mark.ship


def told_by(script: str, *arguments: str, given: Any, **environment: str) -> dict[str, Any]:
    assert PYTHON.exists(), "made by `make ship-test`"
    done = subprocess.run(
        [PYTHON, ROOT / "tests/clients" / script, *arguments],
        input=json.dumps(given),
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def bits(server: Tandem) -> list[str]:
    return [float(value).hex() for value in native(server, "mpg", CARS)]


def test_kserves_client_gets_the_native_bits_and_is_told_what_is_wrong(server: Tandem) -> None:
    kinds = {"wt": "FP64", "hp": "FP64", "cyl": "BYTES"}
    columns = {name: {"datatype": kinds[name], "values": [car[name] for car in CARS]} for name in kinds}
    told = told_by("ask_kserve.py", server.url, server.token(), "mpg", given=columns)
    assert told["binary"] == told["json"] == told["v1"] == bits(server)
    assert all(told[name] for name in ("live", "ready", "model ready", "v1 model ready"))
    assert 'column "hp": expected a value of type numeric, got nothing' in told["refused"]


def test_mlflows_clients_get_the_native_bits_and_are_told_what_is_wrong(server: Tandem) -> None:
    columns = {name: [car[name] for car in CARS] for name in CARS[0]}
    login = "admin:" + (server.folder / "data/admin-password").read_text().strip()
    told = told_by("ask_mlflow.py", server.url, "mpg", login, given=columns, MLFLOW_TRACKING_TOKEN=server.token())
    for form in ("dataframe_split", "dataframe_records", "instances", "inputs", "scoring client"):
        assert told[form] == bits(server), form
    assert "INVALID_PARAMETER_VALUE" in told["refused"] and "hp" in told["refused"]
    assert {"mpg", "iris_logistic", "echo"} <= set(told["listed"]) and told["found"] == "mpg"


def test_pythons_vetiver_gets_the_native_bits_of_models_of_both_languages(server: Tandem) -> None:
    key = server.command("keys", "add", "admin", "--name", "python").stdout.splitlines()[0].split("\t")[2]
    dated = [{"day": "2026-02-28", "weekend": True, "count": 3}, {"day": "2024-02-29", "weekend": False, "count": -4}]
    names = [i["name"] for i in server.model("iris_logistic")["versions"][0]["schema"]["inputs"]]
    flowers = [dict(zip(names, row.values(), strict=True)) for row in FLOWERS]
    rows: dict[str, list[dict[str, Any]]] = {"mpg": ROUND, "dated": dated, "iris_logistic": flowers, "iris": FLOWERS}
    given = {model: {name: [row[name] for row in of] for name in of[0]} for model, of in rows.items()}
    told = told_by("ask_vetiver.py", server.url, key, given=given)
    for model, of in rows.items():
        expected = native(server, model, of)
        assert told[model] == [value.hex() if isinstance(value, float) else value for value in expected], model
    assert told["mpg, one row"] == native(server, "mpg", ROUND[:1])
    assert told["iris_logistic, refused"].startswith("TypeError: some rows lack columns of the model: column")
    assert told["mpg, refused"].startswith("TypeError: ") and "hp" in told["mpg, refused"]
