"""Other servers' clients, unmodified, in environments of their own: the native bits, asked directly and relayed."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.tandem import ROOT, Tandem, eventually
from tests.server.web.dialects.test_open_inference import FLOWERS, native

PYTHON = ROOT / ".venv-clients" / "bin" / "python"
MLSERVER = ROOT / "benchmarks/.peers/mlserver/bin/python"
"""MLServer asks for other versions than the clients do."""
CARS = [{"wt": 2.6, "hp": 110.0, "cyl": "6"}, {"wt": 1 / 3, "hp": 0.1, "cyl": "4"}]

ROUND = [{"wt": 2.6, "hp": 110.0, "cyl": "6"}, {"wt": 3.25, "hp": 0.1, "cyl": "4"}]
"""Numbers of few digits: pandas writes ten to the right of the point, and vetiver's client writes with pandas."""

DATED = [{"day": "2026-02-28", "weekend": True, "count": 3}, {"day": "2024-02-29", "weekend": False, "count": -4}]

pytestmark = pytest.mark.ship


@pytest.fixture(scope="module", params=["directly", "relayed"])
def asked(request: pytest.FixtureRequest, server: Tandem, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tandem]:
    """The server itself, or one that relays to another of the same models."""
    if request.param == "directly":
        yield server
        return
    folder = tmp_path_factory.mktemp("front")
    hashed = server.command("users", "hash", "admin", "--role", "admin", text=password(server))
    (folder / "accounts").write_text(hashed.stdout)
    (folder / "accounts").chmod(0o600)
    (folder / "token.key").write_text("a key of more than thirty-two characters\n")
    (folder / "token.key").chmod(0o600)
    shared = {"accounts": folder / "accounts", "token_key": folder / "token.key"}
    models = {"r_models": server.r_models, "python_models": server.python_models}
    back = Tandem(folder / "back", **shared, **models, r_workers=1, python_workers=1, torch_threads=1)
    front = Tandem(folder / "front", **shared, remotes=f"back={back.url}")
    back.start()
    front.start()
    eventually(lambda: front.get("/v1/models/mpg").status_code == 200)
    yield front
    assert [front.stop(), back.stop()] == [0, 0]


def password(server: Tandem) -> str:
    return (server.folder / "data/admin-password").read_text().strip()


def told_by(script: str, *arguments: str, given: Any, python: Path = PYTHON, **environment: str) -> dict[str, Any]:
    assert python.exists(), "made by `make ship-test`"
    done = subprocess.run(
        [python, ROOT / "tests/clients" / script, *arguments],
        input=json.dumps(given),
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def bits(server: Tandem, model: str = "mpg", rows: list[dict[str, Any]] = CARS) -> list[Any]:
    return [value.hex() if isinstance(value, float) else value for value in native(server, model, rows)]


def flowers(server: Tandem, model: str) -> list[dict[str, Any]]:
    """The same flowers by the names that a model has for their measures."""
    names = [i["name"] for i in server.model(model)["versions"][0]["schema"]["inputs"]]
    return [dict(zip(names, row.values(), strict=True)) for row in FLOWERS]


def columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def test_kserves_client_gets_the_native_bits_and_is_told_what_is_wrong(server: Tandem, asked: Tandem) -> None:
    kinds = {"wt": "FP64", "hp": "FP64", "cyl": "BYTES"}
    columns = {name: {"datatype": kinds[name], "values": [car[name] for car in CARS]} for name in kinds}
    told = told_by("ask_kserve.py", asked.url, asked.token(), "mpg", given=columns)
    assert told["binary"] == told["json"] == told["v1"] == bits(server)
    assert all(told[name] for name in ("live", "ready", "model ready", "v1 model ready"))
    assert 'column "hp": expected a value of type numeric, got nothing' in told["refused"]


def test_mlflows_clients_get_the_native_bits_and_are_told_what_is_wrong(server: Tandem, asked: Tandem) -> None:
    login = "admin:" + password(server) if asked is server else ""  # who relays takes no passwords by Basic
    told = told_by("ask_mlflow.py", asked.url, "mpg", login, given=columns(CARS), MLFLOW_TRACKING_TOKEN=asked.token())
    forms = ("dataframe_split", "dataframe_records", "instances", "inputs")
    for form in (*forms, "scoring client") if login else forms:
        assert told[form] == bits(server), form
    assert "INVALID_PARAMETER_VALUE" in told["refused"] and "hp" in told["refused"]
    assert {"mpg", "iris_logistic", "echo"} <= set(told["listed"]) and told["found"] == "mpg"


def test_pythons_vetiver_gets_the_native_bits_of_models_of_both_languages(server: Tandem, asked: Tandem) -> None:
    signed = f"Bearer {asked.token()}"
    if asked is server:
        signed = "Key " + server.command("keys", "add", "admin", "--name", "py").stdout.splitlines()[0].split("\t")[2]
    rows = {"mpg": ROUND, "dated": DATED, "iris_logistic": flowers(server, "iris_logistic"), "iris": FLOWERS}
    given = {model: columns(of) for model, of in rows.items()}
    told = told_by("ask_vetiver.py", asked.url, signed, given=given)
    for model, of in rows.items():
        assert told[model] == bits(server, model, of), model
    assert told["mpg, one row"] == native(server, "mpg", ROUND[:1])
    assert told["iris_logistic, refused"].startswith("TypeError: some rows lack columns of the model: column")
    assert told["mpg, refused"].startswith("TypeError: ") and "hp" in told["mpg, refused"]


def of_both_languages(server: Tandem) -> dict[str, list[dict[str, Any]]]:
    """Rows for models of R, scikit-learn and ONNX."""
    of_python = {model: flowers(server, model) for model in ("iris_logistic", "graph")}
    return {"mpg": CARS, "dated": DATED, "iris": FLOWERS, **of_python}


def test_machine_learning_servers_client_gets_the_native_bits_also_in_batches(server: Tandem, asked: Tandem) -> None:
    rows = of_both_languages(server)
    given = {model: columns(of) for model, of in rows.items()}
    told = told_by("ask_mls.py", asked.url, "admin", password(server), given=given)
    assert set(rows) <= set(told["services"])
    for model, of in rows.items():
        assert told[model] == told[f"{model}, batch"] == bits(server, model, of), model
        assert (told[f"{model}, batches"], told[f"{model}, files"], told[f"{model}, swagger"]) == (True, [], "2.0")
    for model, column in {"mpg": "cyl", "iris_logistic": "petal"}.items():
        assert "(400)" in told[f"{model}, refused"] and column in told[f"{model}, refused"]
    assert "(404)" in told["no such service"] and "not_found" in told["no such service"]
    assert "(501)" in told["no publishing"] and "model folder" in told["no publishing"]
    assert "(401)" in told["no such user"]


def test_a_client_made_of_the_swagger_document_gets_the_native_bits_and_finds_every_reply_in_it(
    server: Tandem, asked: Tandem
) -> None:
    rows = of_both_languages(server)
    del rows["dated"]  # its operation has a name of its own, and its client wants dates as objects
    given = {m: {"path": f"/api/{m}/{server.model(m)['version']}", "rows": of} for m, of in rows.items()}
    told = told_by("ask_bravado.py", asked.url, asked.token(), given=given)
    for model, of in rows.items():
        expected = native(server, model, of)
        assert [value for one in told[model] for value in one.values()] == expected, model
        assert told[f"{model}, batch"] == told[model] and told[f"{model}, batches"]
        assert list(told[f"{model}, frame"].values()) == [expected]
        status, message, code = told[f"{model}, refused"]
        assert (status, code) == (400, "invalid_input") and "column" in message


def test_tritons_asyncio_client_gets_the_native_bits_and_is_told_what_is_wrong(server: Tandem, asked: Tandem) -> None:
    rows = of_both_languages(server)
    given = {}
    for model, of in rows.items():
        about = server.get(f"/v2/models/{model}").json()
        kinds = {tensor["name"]: tensor["datatype"] for tensor in about["inputs"]}
        inputs = {name: {"datatype": kinds[name], "values": values} for name, values in columns(of).items()}
        given[model] = {"inputs": inputs, "output": about["outputs"][0]["name"]}
    told = told_by("ask_triton_aio.py", asked.url.removeprefix("http://"), asked.token(), given=given)
    assert told["live"] is True
    for model, of in rows.items():
        for form in ("binary", "JSON", "compressed"):
            assert told[f"{model}, {form}"] == bits(server, model, of), (model, form)
        assert "the tensors are not the columns of the model" in told[f"{model}, refused"]


def test_what_mlservers_codecs_write_and_read_has_the_native_bits(server: Tandem, asked: Tandem) -> None:
    rows = of_both_languages(server)
    given = {model: columns(of) for model, of in rows.items()}
    told = told_by("ask_mlserver.py", asked.url, asked.token(), given=given, python=MLSERVER)
    for model, of in rows.items():
        assert told[model] == bits(server, model, of), model
        assert "the tensors are not the columns of the model" in told[f"{model}, refused"]
    for model in ("iris", "iris_logistic", "graph"):
        assert told[f"{model}, one tensor"] == told[model]
