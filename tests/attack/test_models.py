"""Model files that attack the server that reads them: every payload of tests/attack/payloads, in R and in Python,
through a running server, as its file is read and when it is called.

On a server without the sandbox the same files succeed, so that the tests of the other can fail.
"""

from __future__ import annotations

import hashlib
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.machine import sandbox
from tests.attack.arena import CARRIERS, SPEED, Arena, X, arena
from tests.attack.payloads import FOLDER, plant
from tests.harness.tandem import Tandem, eventually, run_r
from tests.server.pools.test_isolation import Source
from tests.server.pools.test_session import lives

PLANTED = ("profile", "environ", "sitecustomize", "orjson")

needs_all = pytest.mark.skipif(not sandbox.available().full, reason=f"the kernel here offers {sandbox.available()}")


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """With the sandbox, and several web processes."""
    with arena(tmp_path_factory.mktemp("locked"), "require", web_workers=2) as made:
        yield made


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """Without it."""
    with arena(tmp_path_factory.mktemp("free"), "off") as made:
        yield made


@pytest.fixture(params=CARRIERS)
def carrier(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if "promise" in name and run_r("cat(getRversion() >= '4.4')") == "TRUE":
        pytest.skip("this R does not read promises")
    return name


@needs_all
def test_what_a_model_tries_is_stopped(locked: Arena, carrier: str) -> None:
    assert locked.wrong(carrier) == {}


def test_without_the_sandbox_the_same_models_succeed(free: Arena, carrier: str) -> None:
    assert free.wrong(carrier) == {}


@needs_all
def test_nothing_of_the_servers_was_changed_read_or_called(locked: Arena) -> None:
    assert locked.canaries() == locked.before
    assert [*Path(locked.targets.loot).iterdir()] == []
    assert locked.listener.calls == []
    assert (locked.server.folder / "data" / "signing.key").read_text() not in locked.log()


def test_without_the_sandbox_it_was(free: Arena) -> None:
    assert free.listener.calls
    loot = {path.name.partition("-")[0] for path in Path(free.targets.loot).iterdir()}
    assert loot >= {"written", "library", "preload", "native", "created"}


@needs_all
def test_the_server_lives_and_others_serve(locked: Arena) -> None:
    assert locked.server.score("cars", SPEED).status_code == 200
    assert locked.server.score("line", X).json()["predictions"] == pytest.approx([4])
    # A model that changes its process leaves it, and then the processes that have read it are made anew.
    meant = [locked.server.metric("tandem_worker_restarts_total", reason=why) for why in ("changed", "drained")]
    assert locked.server.metric("tandem_worker_restarts_total") == sum(meant)


@needs_all
def test_the_level_is_shown(locked: Arena) -> None:
    shown = locked.server.get("/health/ready").json()["sandbox"]
    assert {"r", "python"} <= shown.keys()
    assert set(shown.values()) == {str(sandbox.available())}
    assert locked.server.metric("tandem_sandbox_level", runtime="r") == 2
    ready = [line for line in locked.server.log_lines() if line["message"] == "template ready"]
    assert {line["facts"]["sandbox"] for line in ready} == {str(sandbox.available())}


def test_an_old_r_is_warned_of(locked: Arena) -> None:
    old = run_r("cat(getRversion() < '4.4')") == "TRUE"
    warned = any("CVE-2024-27322" in line["message"] for line in locked.server.log_lines())
    assert warned == old == bool(locked.server.metric("tandem_r_vulnerable"))


def test_models_see_no_settings(locked: Arena) -> None:
    for pid in locked.server.processes("template"):
        assert b"TANDEM_" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_without_the_sandbox_the_level_says_so(free: Arena) -> None:
    assert set(free.server.get("/health/ready").json()["sandbox"].values()) == {"off"}
    assert free.server.metric("tandem_sandbox_level", runtime="r") == 0


# What else can be put into a model folder


def test_what_is_planted_beside_models_is_run_by_a_process_that_is_started_there(tmp_path: Path) -> None:
    """So that it would be seen if Tandem's were."""
    r, python, loot = tmp_path / "r", tmp_path / "python", tmp_path / "loot"
    for folder in (r, python, loot):
        folder.mkdir()
    plant(r, python, str(loot))
    subprocess.run(["Rscript", "-e", "1"], cwd=r, check=True, capture_output=True)
    subprocess.run([sys.executable, "-c", "import sitecustomize, orjson"], cwd=python, check=True)
    assert {path.name for path in loot.iterdir()} == {f"planted-{name}" for name in PLANTED}


def test_what_is_planted_beside_models_is_not_run_even_without_the_sandbox(free: Arena) -> None:
    assert not [path for path in Path(free.targets.loot).iterdir() if path.name.startswith("planted")]


def test_links_lead_nowhere_and_tell_nothing(locked: Arena) -> None:
    server, key = locked.server, Path(locked.targets.key)
    models, canary = server.python_models, Path(locked.targets.canaries, "known_size_of_any_file")
    (models / "stolen.pkl").symlink_to(key)
    (models / "endless.pkl").symlink_to("/proc/kmsg")
    for source, name in ((models / "line.joblib", "told.joblib"), (canary, "told.yaml")):
        (models / name).symlink_to(source)
    made = server.folder / "noted"
    made.mkdir()
    (made / "score.py").write_text("def init(): pass\ndef run(raw_data): return open('notes.txt').read(4)\n")
    (made / "notes.txt").symlink_to(key)
    made.rename(models / "noted")
    digest = hashlib.sha256(key.read_bytes()).hexdigest()
    for name in ("stolen", "endless", "told", "noted"):
        refused = eventually(lambda n=name: server.version(n, "failed"))
        assert refused["code"] == "not_served", refused
        assert digest[:12] not in str(server.model(name))
        assert "secret" not in str(server.model(name))
    assert server.score("line", X).status_code == 200


@pytest.mark.parametrize("sidecar", sorted(path.name for path in (FOLDER / "payloads/sidecars").iterdir()))
def test_a_sidecar_that_is_more_than_it_seems_is_refused(locked: Arena, sidecar: str) -> None:
    server, text = locked.server, (FOLDER / "payloads/sidecars" / sidecar).read_text()
    before = resident_bytes(server)
    name = sidecar.removesuffix(".yaml")
    (server.python_models / sidecar).write_text(text)
    (server.python_models / f"{name}.joblib").write_bytes((server.python_models / "line.joblib").read_bytes())
    assert eventually(lambda: server.version(name, "failed"))["code"] == "bad_sidecar"
    assert resident_bytes(server) - before < 64 << 20
    assert server.score("line", X).status_code == 200


def test_a_model_folder_of_mlflow_that_no_reader_can_follow_is_refused(locked: Arena) -> None:
    """It ended the supervisor, and every one that was started after it."""
    made = locked.server.folder / "endless-mlflow"
    made.mkdir()
    (made / "MLmodel").write_text("flavors: " + "[" * 200_000 + "]" * 200_000)
    made.rename(locked.server.python_models / "mlflow")
    assert "not what MLflow writes" in eventually(lambda: locked.server.version("mlflow", "failed"))["reason"]


def resident_bytes(server: Tandem) -> int:
    """The supervisor's memory, in which sidecars are read."""
    assert server.process is not None
    [kib] = re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{server.process.pid}/status").read_text())
    return int(kib) << 10


# What is left of a model


LEAVES = """
import os, signal

def left_behind(leave):
    pid = os.fork()
    if not pid:
        try:
            leave()
        except OSError:
            pass  # in a probe, whose children cannot
        finally:
            signal.pause()
    return pid

LEFT = [left_behind(leave) for leave in (lambda: None, lambda: os.setpgid(0, 0), os.setsid)]

class Model:
    n_features_in_ = 1
    def predict(self, X):
        return [float(LEFT[int(number)]) for (number,) in X]
"""


@needs_all
def test_what_a_model_forks_as_it_is_read_is_gone_with_its_file(locked: Arena) -> None:
    server = locked.server
    (server.python_models / "leaver.pkl").write_bytes(pickle.dumps(Source(LEAVES)))
    assert eventually(lambda: server.version("leaver", "ready"))
    rows = {"rows": [{"x0": number} for number in range(3)]}
    left = [int(pid) for pid in server.score("leaver", rows).json()["predictions"]]
    assert all(map(lives, left))
    (server.python_models / "leaver.pkl").unlink()
    eventually(lambda: not any(map(lives, left)))
    assert server.score("line", X).json()["predictions"] == pytest.approx([4])


FORGERS = {
    "a name of a package": """
f <- function(df) {
  unlockBinding("median", asNamespace("stats"))
  assign("median", function(...) 666, asNamespace("stats"))
  df$x * 2
}
environment(f) <- globalenv()
f
""",
    "a method and a name of base": """
f <- function(df) {
  wrong <- function(...) c(`1` = 666)
  registerS3method("predict", "lm", wrong, envir = asNamespace("stats"))
  unlockBinding("mean", baseenv())
  assign("mean", wrong, baseenv())
  df$x * 2
}
environment(f) <- globalenv()
f
""",
}


def test_a_model_of_r_that_forged_its_neighbours_answers_is_gone_with_its_file(locked: Arena) -> None:
    server = locked.server
    neighbours = {"middle": "function(df) df$x * stats::median(c(1, 2, 6))", "average": "function(df) df$x * mean(2)"}

    def drop(name: str, code: str) -> None:
        (server.r_models / f"{name}.yaml").write_text("schema:\n  inputs:\n    - {name: x, type: numeric}\n")
        server.drop(name, code)

    def answers() -> list[list[float]]:
        bodies = {"cars": SPEED, "middle": X, "average": X}
        return [server.score(name, body).json()["predictions"] for name, body in bodies.items()]

    for name, code in neighbours.items():
        drop(name, code)
    for name in neighbours:
        eventually(lambda n=name: server.version(n, "ready"))
    right = answers()
    drop("namer", FORGERS["a name of a package"])
    assert "stats" in eventually(lambda: server.version("namer", "ready"))["isolated"]
    server.score("namer", X)
    assert answers() == right, "it was found out, and has a process of its own"
    drop("forger", FORGERS["a method and a name of base"])
    eventually(lambda: server.version("forger", "ready"))
    server.score("forger", X)
    assert answers() == [[666], right[1], [1332]], "nothing tells that it does this"
    (server.r_models / "forger.rds").unlink()
    eventually(lambda: answers() == right)
    assert all(answers() == right for _ in range(10))
