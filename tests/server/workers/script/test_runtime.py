"""The script runtime in a process of its own: what a script finds when it starts, and what it is refused for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.harness.tandem import ROOT

DRIVER = """
import sys
from dataclasses import asdict
from pathlib import Path
import orjson
from server import logs
from server.workers.azureml_script import ScriptRequest
from server.workers.errors import LoadFailed
from server.wire.models import ModelSpec
from server.workers.script.runtime import ScriptRuntime

logs.configure()
given = orjson.loads(sys.argv[1])
bodies = given.pop("bodies")
out = sys.stdout
runtime = ScriptRuntime()
runtime.start()
runtime.after_fork(1, Path(given["path"]).parent.parent / "scratch", 0)
spec = ModelSpec(model_key="k", name="m", version="v", **given)
try:
    told = {"description": asdict(runtime.describe(spec))}
    model = runtime.load(spec)
    asked = [(body, model.called(ScriptRequest(body.encode()))) for body in bodies]
    told["replies"] = [orjson.loads(model.reply(model.run(call, f"id-{body}"))) for body, call in asked]
except LoadFailed as e:
    told = {"code": e.code, "reason": str(e)}
except Exception as e:
    told = {"raised": f"{type(e).__name__}: {e}"}
out.write(orjson.dumps(told).decode())
"""

Describe = Callable[..., Any]


@pytest.fixture
def described(tmp_path: Path) -> Describe:
    """Describes and loads a script in a process of its own, and runs it for `bodies`; what was told, and the log."""

    def describe(script: str, *bodies: str, files: dict[str, str] | None = None, **spec: Any) -> tuple[Any, list[Any]]:
        folder = tmp_path / "folder"
        folder.mkdir(exist_ok=True)
        for name, text in {**(files or {}), "score.py": script}.items():
            (folder / name).write_text(text)
        given = {"path": str(folder / "score.py"), "bodies": bodies} | spec
        done = subprocess.run(
            [sys.executable, "-c", DRIVER, orjson.dumps(given)],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr.decode()
        lines = [orjson.loads(line) for line in done.stderr.splitlines()]
        return orjson.loads(done.stdout), lines

    return describe


SURROUNDINGS = """
import os, pickle, sys
import helper

class Level:
    pass

def init():
    global level
    level = pickle.loads(pickle.dumps(Level()))

def run(raw_data):
    return {
        "model_dir": os.environ["AZUREML_MODEL_DIR"],
        "helper": helper.ANSWER,
        "data": open("data.txt").read(),
        "level": type(level).__name__,
        "body": raw_data,
        "arguments": sys.argv[1:],
    }
"""


def test_a_script_finds_its_folder_and_what_lies_in_it(described: Describe, tmp_path: Path) -> None:
    told, _ = described(SURROUNDINGS, "{}", files={"helper.py": "ANSWER = 42", "data.txt": "levels"})
    folder = tmp_path / "folder"
    assert told["replies"] == [
        {
            "model_dir": str(folder),
            "helper": 42,
            "data": "levels",
            "level": "Level",
            "body": "{}",
            "arguments": [],
        }
    ]
    assert sorted(path.name for path in folder.iterdir()) == ["data.txt", "helper.py", "score.py"]
    assert told["description"]["schema"] == {"inputs": [], "outputs": [], "raw": True}


PLAIN = "import json\ndef init(): pass\ndef run(raw_data): return sum(json.loads(raw_data))\n"


def test_golden_rows_are_bodies_with_their_replies(described: Describe) -> None:
    told, _ = described(PLAIN, golden=[{"row": [1, 2], "response": 3}, {"row": [], "response": 0}])
    about = told["description"]
    assert (about["golden_rows"], about["example"], about["example_prediction"]) == (2, [1, 2], 3)


@pytest.mark.parametrize(
    ("script", "spec", "code", "reason"),
    [
        pytest.param(
            "def run(x): return x",
            {},
            "bad_script",
            "score.py has no function init; define both: def init(), which may do nothing, and def run(raw_data), "
            "which returns the reply",
            id="no-init",
        ),
        pytest.param(
            "def init(): pass\ndef run(): pass",
            {},
            "bad_script",
            "run() is called with one argument, the request's body as text; score.py's does not take that; "
            "define def init(), which may do nothing, and def run(raw_data), which returns the reply",
            id="run-takes-nothing",
        ),
        pytest.param(
            "import nosuchthing",
            {},
            "script_fails",
            "the import fails: ModuleNotFoundError: No module named 'nosuchthing' (line 1 of score.py); what the "
            "script needs is named in a requirements.txt beside it",
            id="module-missing",
        ),
        pytest.param(
            "def init(): open('/srv/secret/levels.csv')\ndef run(x): pass",
            {},
            "script_fails",
            "init() fails: FileNotFoundError: [Errno 2] No such file or directory: 'levels.csv' (line 1 of score.py); "
            "what the script reads lies in its own folder, which is its working directory and "
            "os.environ['AZUREML_MODEL_DIR']",
            id="no-path-is-told",
        ),
        pytest.param(
            "def init(): raise PermissionError(1, 'Operation not permitted')\ndef run(x): pass",
            {},
            "script_fails",
            "init() fails: PermissionError: [Errno 1] Operation not permitted (line 1 of score.py); a script has no "
            "network, starts no other program, reads its own folder and writes to tempfile.gettempdir() only: whatever "
            "else it needs, copy into its folder",
            id="not-permitted",
        ),
        pytest.param(
            "def init(): open('count', 'a').write('1')\ndef run(x): pass",
            {},
            "writes_to_its_folder",
            "the script writes the file count into its own folder, where every change is a new version; write to "
            "tempfile.gettempdir()",
            id="writes",
        ),
        pytest.param(
            PLAIN,
            {"golden": [{"row": [1], "response": 2}]},
            "golden_mismatch",
            "golden row 0: expected 2, run() returns 1",
            id="golden-mismatch",
        ),
        pytest.param(
            PLAIN,
            {"golden": [{"row": 1, "response": 2}]},
            "golden_mismatch",
            "golden row 0 cannot be answered: TypeError: 'int' object is not iterable (line 3 of score.py)",
            id="golden-raises",
        ),
        pytest.param(
            PLAIN,
            {"golden": [{"row": [1]}]},
            "bad_golden",
            "golden row 0 of a script needs 'row', the body, and 'response', the reply",
            id="golden-without-response",
        ),
    ],
)
def test_what_cannot_serve_is_refused_with_a_reason(
    described: Describe, script: str, spec: dict[str, Any], code: str, reason: str
) -> None:
    told, _ = described(script, **spec)
    assert told == {"code": code, "reason": reason}


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("raise ValueError('no such district')", "ValueError: no such district (line 3 of score.py)"),
        ("import sys; sys.exit(3)", "the script calls sys.exit(3) (line 3 of score.py)"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt (line 3 of score.py)"),
    ],
)
def test_whatever_run_raises_ends_the_request_only(described: Describe, statement: str, said: str) -> None:
    told, _ = described(f"def init(): pass\ndef run(raw_data):\n    {statement}\n", "x")
    assert told == {"raised": f"ScriptFailed: {said}"}


WORDY = """
import logging, sys, warnings

def init():
    print("ready")

def run(raw_data):
    print("one\\ntwo")
    print("no newline", end="")
    sys.stderr.write("to stderr\\n")
    sys.stdout.buffer.write(b"bytes\\n")
    print("x" * 10_000)
    logging.getLogger("mine").warning("took %s s", 3)
    logging.info("y" * 10_000)
    logging.basicConfig(force=True, level="DEBUG", format="%(levelname)s %(message)s")
    logging.debug("anew")
    logging.info("%d", "wrong")
"""


def test_all_that_is_said_is_logged_with_model_and_request(described: Describe) -> None:
    _, lines = described(WORDY, "7")
    of_request = [line for line in lines if line.get("request_id") == "id-7"]
    said = [(line["logger"], line["level"], line["message"]) for line in of_request]
    assert all(line["model"] == "m" for line in lines)
    assert [line["message"] for line in lines if "request_id" not in line] == ["ready", "ready"]
    assert said[:2] == [("script.stdout", "info", "one"), ("script.stdout", "info", "two")]
    assert ("script.stderr", "warning", "to stderr") in said
    assert ("script.stdout", "info", "no newlinebytes") in said
    assert ("script.stdout", "info", "x" * 4000 + "…") in said
    assert ("mine", "warning", "took 3 s") in said
    assert ("root", "info", "y" * 4000 + "…") in said
    assert ("script.stderr", "warning", "DEBUG anew") in said
    assert any("TypeError" in message for _, _, message in said)
