"""Azure ML's own client, unmodified, in an environment of its own, invokes models that Tandem serves."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.harness.tandem import ROOT, Tandem
from tests.server.web.dialects.test_open_inference import CARS, FLOWERS, native

PYTHON = ROOT / ".venv-azure/bin/python"

pytestmark = pytest.mark.ship


class Manager(ThreadingHTTPServer):
    """Azure's resource manager, as far as the client asks it: where an endpoint is, and with which key."""

    def __init__(self, server: Tandem, key: str) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.tandem, self.key = server, key
        self.url = f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    server: Manager

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        _, _, below = self.path.partition("?")[0].partition("/onlineEndpoints/")
        model, _, what = below.partition("/")
        told = json.dumps(self._told(model, what)).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    do_POST = do_GET

    def _told(self, model: str, what: str) -> dict[str, Any]:
        if what == "listKeys":
            return {"primaryKey": self.server.key, "secondaryKey": "none"}
        if what == "deployments":
            version = self.server.tandem.model(model)["version"]
            about = {"endpointComputeType": "Managed"}
            return {"value": [{"name": name, "location": "here", "properties": about} for name in (version, "gone")]}
        scoring = f"{self.server.tandem.url}/endpoints/{model}/score"
        return {"name": model, "location": "here", "properties": {"authMode": "Key", "scoringUri": scoring}}

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def manager(server: Tandem) -> Iterator[Manager]:
    key = server.command("keys", "add", "admin", "--name", "azure").stdout.splitlines()[0].split("\t")[2]
    with Manager(server, key) as manager:
        serving = threading.Thread(target=manager.serve_forever)
        serving.start()
        yield manager
        manager.shutdown()
        serving.join()


def test_it_gets_the_native_bits_and_is_told_what_is_wrong(server: Tandem, manager: Manager) -> None:
    assert PYTHON.exists(), "made by `make ship-test`"
    names = [i["name"] for i in server.model("iris_logistic")["versions"][0]["schema"]["inputs"]]
    flowers = [list(flower.values()) for flower in FLOWERS]
    version = server.model("mpg")["version"]
    asked = {
        "r": ("mpg", {"data": CARS}, None),
        "python": ("iris_logistic", {"input_data": {"columns": names, "index": [0], "data": flowers}}, None),
        "script": ("echo", {"data": [1]}, None),
        "refused": ("mpg", {"df": [{"wt": 1}]}, None),
        "pinned": ("mpg", {"data": CARS}, version),
        "still pinned": ("mpg", {"data": CARS}, None),
        "gone": ("mpg", {"data": CARS}, "gone"),
    }
    command = [PYTHON, ROOT / "tests/clients/ask_azure_ml.py", manager.url]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    cars = native(server, "mpg", CARS)
    assert json.loads(told["r"]) == json.loads(told["pinned"]) == json.loads(told["still pinned"]) == cars
    flowers_named = [dict(zip(names, row, strict=True)) for row in flowers]
    assert json.loads(told["python"]) == native(server, "iris_logistic", flowers_named)
    assert json.loads(told["script"]) == {"got": {"data": [1]}}
    assert "HttpResponseError" in told["refused"] and 'column "hp"' in told["refused"]
    assert "ResourceNotFoundError" in told["gone"] and "No such model or version" in told["gone"]
