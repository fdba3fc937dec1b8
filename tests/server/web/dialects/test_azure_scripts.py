"""The same scoring scripts under Azure's own server and under Tandem: status, headers and bodies are equal."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.harness.tandem import ROOT, Tandem
from tests.server.web.dialects import azure_cases
from tests.server.web.dialects.azure_cases import CASES, LATE, REPLIES, SCRIPTS, Case

EXPECTED: dict[str, Any] = json.loads(REPLIES.read_text())
PAGE = (ROOT / "docs/dialects/azure-ml.md").read_text()
[EXAMPLE] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tandem]:
    tandem = Tandem(tmp_path_factory.mktemp("azure"), root_target="plain")
    (tandem.python_models / "page").mkdir()
    (tandem.python_models / "page/score.py").write_text(EXAMPLE)
    shutil.copytree(SCRIPTS, tandem.python_models, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    tandem.start()
    yield tandem
    assert tandem.stop() == 0


def told(server: Tandem, case: Case) -> dict[str, Any]:
    return azure_cases.asked(f"{server.url}/endpoints/{case.script}", case, server.headers())


def test_there_are_cases_enough_and_each_has_a_reply_of_azures_server() -> None:
    assert len(CASES) >= 49
    assert {case.name for case in CASES} == EXPECTED.keys()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_script_is_asked_and_answers_as_under_azures_server(azure: Tandem, case: Case) -> None:
    assert told(azure, case) == EXPECTED[case.name]


def test_one_script_answers_at_the_root_too(azure: Tandem) -> None:
    """Clients that know an address and no path ask there."""
    for case in CASES:
        if case.script == "plain" and case.path != "/" and case.asked != LATE:
            assert azure_cases.asked(azure.url, case, azure.headers()) == EXPECTED[case.name]
    body = b'{"dataframe_split": {}}'
    for path, expected in (("/invocations", {"predictions": {"got": body.decode()}}), ("/predict", None)):
        asked = httpx.post(
            azure.url + path, content=body, headers=azure.headers() | {"content-type": "application/json"}
        )
        assert asked.status_code == 200 and expected in (None, asked.json())
    for path in ("/version", "/metadata", "/prototype"):
        assert azure.get(path).text == azure.get(f"/endpoints/plain{path}").text
        assert httpx.get(azure.url + path).status_code == 401
    for path in ("/ping", "/health"):
        assert httpx.get(azure.url + path).json()["status"] == "online", "open to load balancers"


def test_the_example_of_the_page_answers_as_it_says(azure: Tandem) -> None:
    url = f"{azure.url}/endpoints/page/score"
    assert httpx.get(f"{url}?q=why", headers=azure.headers()).json() == {"asked": "why"}
    reply = httpx.post(url, content=b"abc", headers=azure.headers())
    assert (reply.text, reply.headers["content-type"]) == ("cba", "text/plain")


def test_a_script_answers_in_other_dialects_too(azure: Tandem) -> None:
    def ask(model: str, body: bytes) -> httpx.Response:
        headers = azure.headers() | {"content-type": "application/json"}
        return httpx.post(f"{azure.url}/v1/models/{model}/score", content=body, headers=headers)

    assert ask("schema", b'{"num": 1}').json()["num"] == 1
    assert ask("raw", b"x").json()["type"] == "application/json"
    assert ask("headers", b"json").json() == {"a": [1, 2.5]}
    assert ask("headers", b"text").json() == "a page"
    refused = ask("headers", b"bad request")
    assert (refused.status_code, refused.json()["detail"]) == (422, "not so")
    assert ask("schema", b"{}").status_code == 400


SECRETS = ("authorization", "api-key", "x-api-key", "ocp-apim-subscription-key", "cookie", "proxy-authorization")


def test_a_script_sees_no_credential_of_its_caller(azure: Tandem) -> None:
    token = azure.headers()["authorization"].removeprefix("Bearer ")
    sent = azure.headers() | dict.fromkeys(SECRETS[1:4], token) | dict.fromkeys(SECRETS[4:], "a=secret")
    told = httpx.post(f"{azure.url}/endpoints/headers/score", content=b"all headers", headers=sent).json()
    assert "Host" in told and not [name for name in told if name.lower() in SECRETS]


def test_a_page_that_a_script_returns_can_do_nothing_in_a_browser(azure: Tandem) -> None:
    reply = httpx.post(f"{azure.url}/endpoints/headers/score", content=b"text", headers=azure.headers())
    assert (
        reply.headers["content-security-policy"] == "sandbox" and reply.headers["x-content-type-options"] == "nosniff"
    )


@pytest.mark.ship
def test_azures_server_still_says_what_was_recorded(tmp_path: Path) -> None:
    assert azure_cases.PEER.exists(), "made by `make ship-test`"
    assert azure_cases.recorded(tmp_path) == EXPECTED


WITH_AZURES_OWN = """
import sys

sys.path.insert(0, sys.argv[1])
from server.wire import heads
from server.wire.frames import BodyFormat, Member
from server.wire.models import ModelSpec
from server.workers.score_script import score
from server.workers.script.runtime import ScriptRuntime

out, path, body = sys.stdout, *sys.argv[2:]
model = ScriptRuntime().load(ModelSpec(model_key="k", name="m", version="v", path=path))
head = heads.written_request(b"POST", b"a=1", [])
[result] = score(model, [Member(body.encode(), BodyFormat.AZUREML, BodyFormat.AZUREML, 0, head)]).results
own = "flask" in sys.modules and "azureml_inference_server_http" in sys.modules
out.write(f"{own} {result.notes[:3].decode()} {result.body.decode()}")
"""


@pytest.mark.ship
@pytest.mark.parametrize(
    ("script", "body", "told"), [("headers", "teapot", "418 short"), ("raw", "abc", '200 {"method"')]
)
def test_a_script_that_brings_azures_own_packages_gets_those(script: str, body: str, told: str, tmp_path: Path) -> None:
    [packages] = (azure_cases.PEER.parent / "lib").glob("python*/site-packages")
    shutil.copy(SCRIPTS / script / "score.py", tmp_path)
    command = [sys.executable, "-c", WITH_AZURES_OWN, packages, tmp_path / "score.py", body]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith(f"True {told}"), done.stderr
