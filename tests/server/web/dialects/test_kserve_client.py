"""KServe's own client, unmodified, in an environment of its own: both protocols, the native bits, what it shows."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.harness.tandem import ROOT, Tandem
from tests.server.web.dialects.test_open_inference import native

PYTHON = ROOT / ".venv-clients" / "bin" / "python"
CARS = [{"wt": 2.6, "hp": 110.0, "cyl": "6"}, {"wt": 1 / 3, "hp": 0.1, "cyl": "4"}]


@pytest.mark.ship
def test_kserves_client_gets_the_native_bits_and_is_told_what_is_wrong(server: Tandem) -> None:
    assert PYTHON.exists(), "made by `make ship-test`"
    kinds = {"wt": "FP64", "hp": "FP64", "cyl": "BYTES"}
    columns = {name: {"datatype": kinds[name], "values": [car[name] for car in CARS]} for name in kinds}
    command = [PYTHON, ROOT / "tests/clients/ask_kserve.py", server.url, server.token(), "mpg"]
    done = subprocess.run(command, input=json.dumps(columns), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    expected = [float(value).hex() for value in native(server, "mpg", CARS)]
    assert told["binary"] == told["json"] == told["v1"] == expected
    assert all(told[name] for name in ("live", "ready", "model ready", "v1 model ready"))
    assert 'column "hp": expected a value of type numeric, got nothing' in told["refused"]
