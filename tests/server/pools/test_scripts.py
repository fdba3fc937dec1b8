"""Scoring scripts on a real server: each in a process of its own, replaced while it serves, broken on its own."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.harness.load import Load
from tests.harness.tandem import Tandem, eventually
from tests.harness.wheels import wheel

ECHO = """
import json, os

def init():
    global where
    where = os.environ["AZUREML_MODEL_DIR"]

def run(raw_data):
    data = json.loads(raw_data)
    if data.get("die"):
        os._exit(7)
    if data.get("hang"):
        print("hanging")
        while True:
            pass
    return {"echo": data, "version": 1, "pid": os.getpid()}
"""
SUM = """
import json, logging

def init():
    print("init was called")

def run(raw_data):
    print("summing")
    logging.info("of %d", len(raw_data))
    return sum(json.loads(raw_data))
"""
SPEED = {"rows": [{"speed": 10}]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tandem]:
    """One server with two scripts and an R model, which every test leaves serving."""
    tandem = Tandem(tmp_path_factory.mktemp("scripts"), load_timeout_s=8, timeout_s=5, r_workers=1)
    write(tandem, "echo", ECHO)
    write(tandem, "sum", SUM)
    tandem.drop("cars", "lm(dist ~ speed, cars)")
    tandem.start()
    yield tandem
    assert_all_serve(tandem)
    assert tandem.stop() == 0


def write(server: Tandem, name: str, script: str, **files: str) -> Path:
    """Write a script's folder, at once: files that are written one after the other may be seen half done."""
    folder = server.python_models / name
    folder.mkdir(exist_ok=True)
    for file, text in {**files, "score.py": script}.items():
        (folder / file.replace("_txt", ".txt").replace("_yaml", ".yaml")).write_text(text)
    return folder


def assert_all_serve(server: Tandem) -> None:
    assert server.score("echo", {"a": 1}).json()["echo"] == {"a": 1}
    assert server.score("sum", [1, 2, 3.5]).json() == 6.5
    assert server.score("cars", SPEED).status_code == 200


def refused(server: Tandem, name: str) -> tuple[str, str]:
    version = eventually(lambda: server.version(name, "failed"))
    return version["code"], version["reason"]


def remove(server: Tandem, name: str) -> None:
    shutil.rmtree(server.python_models / name)
    eventually(lambda: server.model(name) == {})


def test_the_reply_is_what_run_returns(server: Tandem) -> None:
    assert_all_serve(server)
    details = server.model("sum")
    [version] = details["versions"]
    assert (details["state"], version["runtime"], version["model_class"]) == ("ready", "script", "score.py")
    assert version["schema"] == {"inputs": [], "outputs": [], "raw": True}
    assert server.get("/v1/models/sum/schema").status_code == 200
    assert "/v1/models/sum/score" in server.get("/openapi.json").json()["paths"]


@pytest.mark.parametrize("accept", ["application/json", "*/*", "text/csv", None])
def test_a_reply_is_json_whatever_is_wanted(server: Tandem, accept: str | None) -> None:
    headers = {"content-type": "text/csv"} | ({"accept": accept} if accept else {})
    reply = server.score("sum", b"[1,2]", headers=headers)
    assert (reply.status_code, reply.headers["content-type"], reply.json()) == (200, "application/json", 3)


def test_a_body_that_is_no_text_is_refused(server: Tandem) -> None:
    assert server.score("sum", b"\xff\xfe").json()["code"] == "bad_body"
    arrow = {"content-type": "application/vnd.apache.arrow.stream"}
    assert server.score("sum", b"[1]", headers=arrow).json()["code"] == "unsupported_media_type"


def test_a_scripts_words_are_in_the_log_with_its_name_and_the_request_id(server: Tandem) -> None:
    assert server.score("sum", [1], headers={"x-request-id": "find-me-7"}).json() == 1

    def said() -> list[tuple[str, str]]:
        lines = [line for line in server.log_lines() if line.get("request_id") == "find-me-7"]
        return [(line["logger"], line["message"]) for line in lines if line["model"] == "sum"]

    eventually(lambda: len(said()) >= 3)
    assert said()[:2] == [("script.stdout", "summing"), ("root", "of 3")]
    [init, *_] = [line for line in server.log_lines() if line["message"] == "init was called"]
    assert init["model"] == "sum"
    assert "request_id" not in init


def test_a_script_that_raises_is_answered_and_its_words_are_for_analysts(server: Tandem) -> None:
    reply = server.score("sum", ["a"], headers={"x-request-id": "raises-7"})
    assert (reply.status_code, reply.json()["code"], reply.json()["detail"]) == (
        500,
        "model_failed",
        "the script failed",
    )
    said = "TypeError: unsupported operand type(s) for +: 'int' and 'str' (line 10 of score.py)"
    assert reply.json()["model_message"] == said

    def failed() -> list[dict[str, Any]]:  # the lines of a model's process take a way of their own
        return [line for line in server.log_lines() if line.get("request_id") == "raises-7" and "exception" in line]

    failures = eventually(failed)
    assert [line["reason"] for line in failures] == [said]
    assert "Traceback" in failures[0]["exception"]


def test_a_script_that_crashes_is_refilled_and_nobody_else_notices(server: Tandem) -> None:
    def check(status: int, body: bytes) -> str | None:
        return None if status == 200 else f"{status}: {body!r}"

    with Load(server, "sum", [1, 2], check, 2) as other, Load(server, "cars", SPEED, check, 2) as r:
        for number in (1, 2, 3):  # each body another: one that has killed two workers is not sent again
            assert server.score("echo", {"die": number}).json()["code"] == "worker_crashed"
        eventually(lambda: server.score("echo", {}).status_code == 200)
        eventually(lambda: other.answered > 50 and r.answered > 50)
    assert (other.wrong, r.wrong) == ([], [])
    assert server.metric("tandem_worker_restarts_total", runtime="script") >= 3


def test_a_script_that_never_returns_is_ended_at_the_deadline(server: Tandem) -> None:
    write(server, "slow", ECHO, model_yaml="timeout_s: 0.5\n")
    before = eventually(lambda: (r := server.score("slow", {})).status_code == 200 and r).json()["pid"]
    reply = server.score("slow", {"hang": True})
    assert (reply.status_code, reply.json()["code"]) == (504, "deadline_exceeded")
    after = eventually(lambda: (r := server.score("slow", {})).status_code == 200 and r).json()["pid"]
    assert after != before
    remove(server, "slow")


def test_a_changed_script_replaces_the_old_one_without_a_failed_request(server: Tandem) -> None:
    write(server, "changing", ECHO)
    eventually(lambda: server.score("changing", {}).status_code == 200)
    versions: set[int] = set()

    def check(status: int, body: bytes) -> str | None:
        if status != 200:
            return f"{status}: {body!r}"
        versions.add(orjson.loads(body)["version"])
        return None

    with Load(server, "changing", {}, check, 4) as load:
        for version in (2, 3):
            write(server, "changing", ECHO.replace('"version": 1', f'"version": {version}'))
            eventually(lambda v=version: server.score("changing", {}).json()["version"] == v)
    assert load.wrong == []
    assert versions == {1, 2, 3}
    eventually(lambda: len([v for v in server.model("changing")["versions"]]) == 1)
    remove(server, "changing")
    assert server.score("changing", {}).status_code == 404


def test_a_call_that_hangs_in_a_replaced_script_is_ended_at_its_deadline(server: Tandem) -> None:
    write(server, "leaving", ECHO, model_yaml="timeout_s: 4\n")
    old = eventually(lambda: server.version("leaving", "ready"))["version"]
    replies = []
    headers = {"x-request-id": "hangs-7"}
    client = threading.Thread(target=lambda: replies.append(server.score("leaving", {"hang": True}, headers=headers)))
    client.start()
    eventually(lambda: [line for line in server.log_lines() if line.get("request_id") == "hangs-7"])
    write(server, "leaving", ECHO.replace('"version": 1', '"version": 2'))
    eventually(lambda: server.model("leaving")["version"] not in (None, old), timeout_s=4)
    assert server.score("leaving", {}).json()["version"] == 2
    assert client.is_alive()
    client.join(10)
    assert [reply.status_code for reply in replies] == [504]
    eventually(lambda: [x for x in server.log_lines() if x["message"] == "worker killed" and x["reason"] == "deadline"])
    remove(server, "leaving")
    eventually(lambda: len(server.processes("template")) == 3)


def test_a_script_has_as_many_processes_as_its_sidecar_says(server: Tandem) -> None:
    write(server, "wide", ECHO, model_yaml="workers: 2\n")
    eventually(lambda: server.score("wide", {}).status_code == 200)
    pids: set[int] = set()

    def check(status: int, body: bytes) -> str | None:
        pids.add(orjson.loads(body)["pid"])
        return None

    with Load(server, "wide", {}, check, 4):
        eventually(lambda: len(pids) == 2)
    remove(server, "wide")


def test_a_broken_new_version_keeps_the_old_one_serving(server: Tandem) -> None:
    write(server, "mended", ECHO)
    version = eventually(lambda: server.version("mended", "ready"))["version"]
    folder = write(server, "mended", ECHO.replace("def run", "def walk"))
    assert refused(server, "mended") == (
        "bad_script",
        "score.py has no function run; define both: def init(), which may do nothing, and def run(raw_data), which "
        "returns the reply",
    )
    reply = server.score("mended", {})
    assert reply.json()["version"] == 1
    (folder / "score.py").write_text(ECHO)
    eventually(lambda: server.version("mended", "failed") is None)
    assert eventually(lambda: server.version("mended", "ready"))["version"] == version
    assert server.score("mended", {}).status_code == 200
    remove(server, "mended")


@pytest.mark.parametrize(
    ("script", "code", "reason"),
    [
        pytest.param(
            "1 +", "script_fails", "the import fails: SyntaxError: invalid syntax (line 1 of score.py)", id="syntax"
        ),
        pytest.param(
            "def init(): raise ValueError('no district in /srv/secret/districts.csv')\ndef run(x): return x",
            "script_fails",
            "init() fails: ValueError: no district in districts.csv (line 1 of score.py)",
            id="raises",
        ),
        pytest.param(
            "import sys\nsys.exit(3)",
            "script_fails",
            "the import fails: the script calls sys.exit(3) (line 2 of score.py)",
            id="exits",
        ),
        pytest.param(
            "import os\nos._exit(3)", "crashes", "the process that read and tried the model crashed", id="crashes"
        ),
        pytest.param("while True: pass", "hangs", "reading and trying the model took longer than 8 s", id="hangs"),
    ],
)
def test_a_script_that_cannot_be_loaded_is_refused_with_a_reason(
    server: Tandem, script: str, code: str, reason: str
) -> None:
    write(server, "broken", script)
    assert refused(server, "broken") == (code, reason)
    remove(server, "broken")


SHADE = """
import shade, orjson, sys

def init(): pass

def run(raw_data):
    return {"shade": shade.VERSION, "prefix": sys.prefix}
"""


def test_each_script_has_the_requirements_it_names(server: Tandem, tmp_path: Path) -> None:
    for name, version in (("light", "1.0"), ("dark", "2.0")):
        folder = server.folder / "parts" / name
        folder.mkdir(parents=True)
        file = wheel(folder, "shade", version)
        (folder / "requirements.txt").write_text(f"--no-index\n./{file}\n")
        (folder / "score.py").write_text(SHADE)
        shutil.copytree(folder, server.python_models / name)
    replies = {
        n: eventually(lambda n=n: server.score(n, {}).json() if server.score(n, {}).status_code == 200 else None, 60)
        for n in ("light", "dark")
    }
    assert {n: r["shade"] for n, r in replies.items()} == {"light": "1.0", "dark": "2.0"}
    assert all(Path(r["prefix"]).is_relative_to(server.folder / "data" / "environments") for r in replies.values())
    assert_all_serve(server)
    (server.python_models / "light" / "requirements.txt").write_text("--no-index\nnothing-of-this-name==1\n")
    code, reason = refused(server, "light")
    assert (code, reason) == (
        "bad_requirements",
        "the requirements cannot be installed: No matching distribution found for nothing-of-this-name==1",
    )
    assert server.score("light", {}).json()["shade"] == "1.0"
    for name in replies:
        remove(server, name)
