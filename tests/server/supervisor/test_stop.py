"""Stop and change: nothing is lost when Tandem stops, takes other settings, or replaces web processes and models."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import joblib
import orjson
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from tests.harness.load import Load, expect
from tests.harness.tandem import ROOT, Tandem, eventually, run_r

SPEED = {"rows": [{"speed": 10}]}
SLEEPS_IN_THE_SERVER = """
local({
    f <- function(x) {if (nzchar(Sys.getenv("SLEEPS"))) Sys.sleep(60); x}
    lm(dist ~ f(speed), cars)
})
"""

Factory = Callable[..., Tandem]


def cars(server: Tandem) -> Any:
    return expect(server.score("cars", SPEED).json()["predictions"])


def readiness(server: Tandem) -> tuple[int, dict[str, str]]:
    reply = httpx.get(f"{server.url}/health/ready")
    return reply.status_code, reply.json().get("reasons", {})


def logged(server: Tandem, message: str) -> dict[str, Any]:
    return eventually(lambda: next((line for line in server.log_lines() if line["message"] == message), None))


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def tell(server: Tandem, number: signal.Signals) -> None:
    assert server.process is not None
    server.process.send_signal(number)


# Stop


def test_readiness_says_no_first_while_everything_is_still_answered_and_a_second_signal_cuts_it_short(
    tandem_factory: Factory,
) -> None:
    server = tandem_factory(drain_s=60)
    server.drop("cars", "lm(dist ~ speed, cars)")
    server.start()
    assert server.process is not None
    with Load(server, "cars", SPEED, cars(server), threads=2) as load:
        tell(server, signal.SIGTERM)
        assert eventually(lambda: readiness(server)[0] == 503 and readiness(server)) == (503, {"server": "draining"})
        answered = load.answered
        eventually(lambda: load.answered > answered + 50)
        assert server.score("cars", SPEED).status_code == 200  # on a connection of its own
        assert server.get("/health/live", user=None).status_code == 200
        assert server.metric("tandem_workers", state="ready") == 2
        assert server.process.poll() is None
        assert load.refused_connections == 0
        load.stop()
    tell(server, signal.SIGTERM)
    assert server.process.wait(10) == 0
    assert load.wrong == []


def test_the_time_to_be_seen_ends_by_itself_and_an_idle_server_stops_at_once(tandem_factory: Factory) -> None:
    server = tandem_factory(drain_s=1).start()
    started = time.monotonic()
    assert server.stop() == 0
    assert 1 < time.monotonic() - started < 4


def test_nothing_that_is_being_started_or_tried_holds_up_the_stop(tandem_factory: Factory) -> None:
    server = tandem_factory()
    server.environment["SLEEPS"] = "yes"
    server.drop("slow", SLEEPS_IN_THE_SERVER)
    script = server.python_models / "script"
    script.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        index = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        (script / "requirements.txt").write_text(f"--index-url {index}\nnothing-that-exists\n")
        (script / "score.py").write_text("def init(): pass\ndef run(data): return 1\n")
        server.start(wait=False)
        logged(server, "requirements are being installed")
        below = eventually(lambda: server.processes("worker")) + server.processes("template")
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 6
    assert not [line for line in server.log_lines() if "exception" in line]
    eventually(lambda: not any(running(pid) for pid in below))


def test_a_supervisor_removes_what_a_killed_one_left_behind_and_nothing_of_one_that_lives(
    tandem_factory: Factory, tmp_path: Path
) -> None:
    servers = [tandem_factory(), tandem_factory()]
    for server in servers:
        server.environment["TMPDIR"] = str(tmp_path)
        server.start()
    run_folders = set(tmp_path.glob("tandem-*/hub.sock"))
    assert len(run_folders) == 2
    killed, living = servers
    assert killed.process is not None
    killed.process.kill()
    killed.process.wait()
    killed.start()
    assert len(run_folders & set(tmp_path.glob("tandem-*/hub.sock"))) == 1
    assert living.ready()


def test_a_terminal_that_is_closed_ends_the_server(tandem_factory: Factory) -> None:
    """The signal is that of settings to be read anew, but nobody is there any more who could stop it."""
    server = tandem_factory()
    ours, theirs = pty.openpty()
    server.process = subprocess.Popen(
        [sys.executable, "-m", "server.cli", "serve"],
        cwd=server.folder,
        env=server.environment | {"PYTHONPATH": str(ROOT)},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    os.set_blocking(ours, False)
    said = bytearray()

    def came(text: bytes) -> bool:
        with contextlib.suppress(BlockingIOError):
            said.extend(os.read(ours, 1 << 16))
        return text in said

    eventually(lambda: came(b"Tandem is ready"))
    tell(server, signal.SIGHUP)
    eventually(lambda: came(b"settings changed"))
    assert server.ready()
    os.close(ours)
    tell(server, signal.SIGHUP)
    server.process.wait(20)


# Other settings


@pytest.fixture
def configured(tandem_factory: Factory) -> Iterator[Tandem]:
    """A server with a settings file that may be changed."""
    server = tandem_factory()
    for name in ("R_WORKERS", "HOST"):
        server.environment.pop(f"TANDEM_{name}", None)
    settings_file(server).write_text("r_workers = 1\n")
    server.drop("cars", "lm(dist ~ speed, cars)")
    yield server.start()
    assert server.stop() == 0


def settings_file(server: Tandem) -> Path:
    return server.folder / "tandem.toml"


def reread(server: Tandem, **settings: object) -> dict[str, Any]:
    """Have the server read these settings; what it logged when they were in force."""
    before = len(changes(server))
    text = "".join(f"{name} = {orjson.dumps(value).decode()}\n" for name, value in settings.items())
    settings_file(server).write_text(text)
    tell(server, signal.SIGHUP)
    eventually(lambda: len(changes(server)) > before, 60)
    return changes(server)[-1]


def changes(server: Tandem) -> list[dict[str, Any]]:
    return [line for line in server.log_lines() if line["message"] == "settings changed"]


def test_settings_change_and_web_processes_are_replaced_without_a_lost_request(configured: Tandem) -> None:
    server = configured
    assert len(server.processes("worker")) == 1
    [first] = server.processes("web")
    with Load(server, "cars", SPEED, cars(server), threads=3) as load:
        change = reread(server, r_workers=2, web_workers=2, docs="off", max_body_mb=0.001, host="0.0.0.0")
        assert change["settings"] == ["docs", "max_body_mb", "r_workers", "web_workers"]
        logged(server, "needs a restart: TANDEM_HOST")
        assert len(webs := server.processes("web")) == 2
        assert first not in webs
        workers = min(2, len(os.sched_getaffinity(0)))
        eventually(lambda: len(server.processes("worker")) == workers)
        assert server.get("/docs", user=None).status_code == 404
        large = {"rows": [{"speed": 10}] * 1000}
        assert server.score("cars", large).status_code == 413
        answered = load.answered
        eventually(lambda: load.answered > answered + 20)

        change = reread(server, r_workers=2, docs="open")
        assert change["settings"] == ["docs", "max_body_mb", "web_workers"]
        assert len(server.processes("web")) == 1
        assert server.get("/docs", user=None).status_code == 200
        assert server.score("cars", large).status_code == 200
    assert load.wrong == []
    assert load.refused_connections == 0
    assert load.slowest_s < 1.5
    assert len(server.processes("template")) == 1
    assert server.metric("tandem_worker_restarts_total") == 0
    told = [row["more"] for row in server.get("/auth/audit?action=settings.read").json()]
    assert [one["settings"] for one in told] == [line["settings"] for line in changes(server)[-2:]]
    assert told[0]["restart"] == ["host"]


def test_a_bad_settings_file_changes_nothing_not_even_for_a_web_process_that_starts_later(configured: Tandem) -> None:
    server = configured
    assert server.score("cars", SPEED).status_code == 200
    settings_file(server).write_text("timeout_s = -1\n")
    tell(server, signal.SIGHUP)
    said = logged(server, "the settings cannot be used and stay as they were")
    assert "TANDEM_TIMEOUT_S" in said["reason"]
    [web] = server.processes("web")
    os.kill(web, signal.SIGKILL)
    eventually(lambda: server.processes("web") not in ([], [web]))
    eventually(server.ready)
    assert server.score("cars", SPEED).status_code == 200


# Readiness


def test_readiness_says_why_when_all_workers_are_gone_and_none_can_be_started(
    tandem_factory: Factory, tmp_path: Path
) -> None:
    """Other servers say that they are healthy, and hang."""
    server = tandem_factory()
    home = tmp_path / "R"
    installed = Path(subprocess.run(["R", "RHOME"], capture_output=True, text=True, check=True).stdout.strip())
    home.symlink_to(installed)
    server.environment["R_HOME"] = str(home)
    server.drop("cars", "lm(dist ~ speed, cars)")
    server.start()
    home.unlink()
    for pid in (*server.processes("template"), *server.processes("worker")):
        os.kill(pid, signal.SIGKILL)
    started = time.monotonic()
    eventually(lambda: readiness(server)[0] == 503)
    assert time.monotonic() - started < 1
    eventually(lambda: readiness(server) == (503, {"r": "workers cannot be started"}))
    assert server.get("/health/live", user=None).status_code == 200
    home.symlink_to(installed)
    eventually(server.ready)
    assert server.score("cars", SPEED).status_code == 200


# Models that change


def test_models_that_are_swapped_under_load_never_mix_versions_and_leave_no_process_behind(
    tandem_factory: Factory, tmp_path: Path
) -> None:
    server = tandem_factory(python_workers=1)
    made = tmp_path / "made"
    made.mkdir()
    run_r(
        "for (k in 1:11) saveRDS(lm(y ~ x, data.frame(x = c(0, 1), y = c(k, 2 * k))), "
        "file.path(commandArgs(TRUE), paste0(k, '.rds')))",
        str(made),
    )
    for k in range(1, 12):
        joblib.dump(LinearRegression().fit(pd.DataFrame({"x": [0.0, 1.0]}), [k, 2 * k]), made / f"{k}.joblib")
    places = {".rds": server.r_models / "swapped.rds", ".joblib": server.python_models / "other.joblib"}
    versions = {hashlib.sha256(f.read_bytes()).hexdigest()[:12]: int(f.stem) for f in made.iterdir()}

    def put(k: int) -> None:
        for suffix, place in places.items():
            new = place.with_suffix(".new")
            shutil.copy(made / f"{k}{suffix}", new)
            new.replace(place)

    def fits_its_version(status: int, body: bytes) -> str | None:
        if status != 200:
            return f"status {status}: {body[:300]!r}"
        reply = orjson.loads(body)
        seen.add((reply["model"], k := versions[reply["version"]]))
        return None if abs(reply["predictions"][0] - 3 * k) < 1e-6 else f"{reply} is not of version {k}"

    seen: set[tuple[str, int]] = set()
    put(1)
    server.start()
    with contextlib.ExitStack() as loads:
        body = {"rows": [{"x": 2}]}
        names = ("swapped", "other")
        load = [loads.enter_context(Load(server, name, body, fits_its_version, threads=1)) for name in names]
        for k in range(2, 12):
            put(k)
            eventually(lambda k=k: {("swapped", k), ("other", k)} <= seen)
    assert [wrong for each in load for wrong in each.wrong] == []
    assert sum(each.refused_connections for each in load) == 0
    # Processes that have read what has left leave too, so for a while there are more.
    eventually(lambda: len(server.processes("worker")) == 3 and len(server.processes("template")) == 2)
