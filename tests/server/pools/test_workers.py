"""Workers that misbehave, one real server for all: a fault costs at most the request that brings it, and no trace."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.harness.load import Load, expect
from tests.harness.tandem import Tandem, eventually, parent_of

SPEED = {"rows": [{"speed": 10}]}
SEGFAULT, QUIT, VECTORS, ONE_VECTOR, PRINTS, FORKS = range(101, 107)
R_MODEL = f"""local({{f <- function(x) {{
  if (any(x == {SEGFAULT})) tools::pskill(Sys.getpid(), 11L)
  if (any(x == {QUIT})) quit()
  if (any(x == {VECTORS})) {{l <- list(); repeat l[[length(l) + 1L]] <- numeric(1e6)}}
  if (any(x == {ONE_VECTOR})) numeric(1e10)
  if (any(x == {PRINTS})) {{for (i in 1:20000) cat(strrep("x", 100), "\\n"); cat(strrep("y", 1e7))}}
  if (any(x == {FORKS})) parallel::mcparallel(Sys.sleep(600))
  x}}; lm(dist ~ f(speed), cars)}})"""

SCRIPT = """
import json, os, time
def init():
    pass
def hold(megabytes):
    held = [bytes([1]) * 1_000_000 for _ in range(megabytes)]
    time.sleep(600)
def run(text):
    do = json.loads(text)["do"]
    if do == "allocate":
        held = []
        while True:
            held.append(bytearray(10_000_000))
    elif do == "print":
        for _ in range(20_000):
            print("y" * 100)
        print("z" * 10_000_000)
    elif do == "fork":
        if os.fork() == 0:
            time.sleep(600)
            os._exit(0)
    elif do == "fork and return":
        os.fork()
    elif do == "children allocate":
        for _ in range(3):
            if os.fork() == 0:
                hold(250)
        time.sleep(600)
    elif do == "close":
        os.closerange(3, 1000)
    elif do == "talk":
        for fd in range(3, 64):
            try:
                os.write(fd, b"GET / HTTP/1.1")
            except OSError:
                pass
    return {"predictions": [os.getpid()]}
"""

Factory = Callable[..., Tandem]
STEADY = 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tandem]:
    server = Tandem(tmp_path_factory.mktemp("workers"), worker_memory_mb=300, timeout_s=10)
    server.environment["TMPDIR"] = str(server.folder)
    server.drop("m", R_MODEL)
    (server.python_models / "s").mkdir()
    (server.python_models / "s" / "score.py").write_text(SCRIPT)
    server.start()
    yield server
    assert server.stop() == 0


@pytest.fixture(autouse=True)
def three_workers(request: pytest.FixtureRequest) -> Iterator[None]:
    """Two for R and the script's: before each test on the shared server, and after it."""
    if "server" not in request.fixturenames:
        yield
        return
    server: Tandem = request.getfixturevalue("server")
    eventually(lambda: len(leaders(server)) == 3 and server.ready())
    yield
    eventually(lambda: len(leaders(server)) == 3 and server.ready())


def leaders(server: Tandem) -> list[int]:
    """Workers and no children of theirs."""
    templates = server.processes("template")
    return [pid for pid in server.processes("worker") if parent_of(pid) in templates]


def ask(server: Tandem, speed: int) -> httpx.Response:
    return server.score("m", {"rows": [{"speed": speed}]})


def do(server: Tandem, what: str) -> httpx.Response:
    return server.score("s", {"do": what})


def ended(server: Tandem, reason: str) -> float:
    return server.metric("tandem_worker_restarts_total", reason=reason)


def right(server: Tandem) -> Load:
    """Load on the R model that expects the right answer, always."""
    return Load(server, "m", SPEED, expect(ask(server, 10).json()["predictions"]), threads=4)


# Memory


@pytest.mark.parametrize("speed", [VECTORS, ONE_VECTOR], ids=["many vectors", "one vector"])
def test_an_r_model_that_runs_out_of_memory_is_told_and_its_worker_and_neighbours_live(
    server: Tandem, speed: int
) -> None:
    before = leaders(server)
    with right(server) as load:
        reply = ask(server, speed)
    assert (reply.status_code, reply.json()["code"]) == (500, "model_failed")
    assert "TANDEM_WORKER_MEMORY_MB" in reply.json()["detail"]
    assert load.wrong == []
    assert leaders(server) == before


def test_a_script_that_runs_out_of_memory_is_told_and_its_worker_lives(server: Tandem) -> None:
    before = leaders(server)
    reply = do(server, "allocate")
    assert (reply.status_code, reply.json()["code"]) == (500, "model_failed")
    assert "TANDEM_WORKER_MEMORY_MB" in reply.json()["detail"]
    assert do(server, "").json()["predictions"][0] in before
    assert leaders(server) == before


def test_what_no_limit_catches_is_caught_by_the_watch_over_memory(server: Tandem) -> None:
    reply = do(server, "children allocate")
    assert (reply.status_code, reply.json()["code"]) == (500, "worker_crashed")
    assert ended(server, "memory") == 2
    assert do(server, "").status_code == 200


def test_a_model_file_that_inflates_without_measure_is_refused_and_nobody_is_harmed(server: Tandem) -> None:
    server.drop("bomb", "numeric(5e7)")
    # It is refused as an empty file first where R takes long to write it.
    eventually(lambda: "TANDEM_WORKER_MEMORY_MB" in (server.version("bomb", "failed") or {}).get("reason", ""))
    (server.r_models / "bomb.rds").unlink()
    eventually(lambda: not server.model("bomb"))


# Ends


@pytest.mark.parametrize("speed", [SEGFAULT, QUIT], ids=["segfault", "quit()"])
def test_a_model_that_ends_its_process_costs_nobody_else_anything(server: Tandem, speed: int) -> None:
    before = ended(server, "crashed")
    with right(server) as load:
        reply = ask(server, speed)
    assert (reply.status_code, reply.json()["code"]) == (500, "worker_crashed")
    assert ended(server, "crashed") == before + 2
    assert load.wrong == []


def test_a_stopped_worker_is_replaced_and_its_requests_are_answered_by_others(server: Tandem) -> None:
    before = ended(server, "stopped")
    with right(server) as load:
        victim = next(pid for pid in leaders(server) if _is_r(pid))
        os.kill(victim, signal.SIGSTOP)
        eventually(lambda: ended(server, "stopped") == before + 1)
        answered = load.answered
        eventually(lambda: load.answered > answered + 20)
    assert load.wrong == []


def test_a_model_that_closes_descriptors_ends_its_worker_at_once(server: Tandem) -> None:
    reply = do(server, "close")
    assert (reply.status_code, reply.json()["code"]) == (500, "worker_crashed")
    eventually(lambda: do(server, "").status_code == 200)


def test_a_worker_that_talks_nonsense_is_killed_and_the_web_process_lives(server: Tandem) -> None:
    [web] = server.processes("web")
    reply = do(server, "talk")
    assert (reply.status_code, reply.json()["code"]) == (500, "worker_crashed")
    eventually(lambda: ended(server, "wire") == 2)
    assert server.processes("web") == [web]


# Children and output


def test_what_a_model_forks_ends_with_its_worker(server: Tandem) -> None:
    assert ask(server, FORKS).status_code == 200
    assert do(server, "fork").status_code == 200
    workers = leaders(server)
    children = set(server.processes("worker")) - set(workers)
    eventually(lambda: len(set(server.processes("worker")) - set(leaders(server))) >= 1)
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in (*children, *workers)))
    eventually(lambda: ask(server, 10).status_code == 200 and do(server, "").status_code == 200)


def test_a_child_that_comes_back_from_the_model_answers_nothing(server: Tandem) -> None:
    before = leaders(server)
    for _ in range(5):
        assert do(server, "fork and return").json()["predictions"][0] in before
    assert leaders(server) == before


def test_of_megabytes_that_a_model_prints_a_little_reaches_the_log_and_how_much_was_left_out(server: Tandem) -> None:
    before = server.log_path.stat().st_size
    assert ask(server, PRINTS).status_code == 200
    assert do(server, "print").status_code == 200
    for logger in ("server.workers.r.embedded", "script.stdout"):
        eventually(lambda name=logger: _told_what_was_left_out(server, name))
    assert server.log_path.stat().st_size - before < 500_000


def _told_what_was_left_out(server: Tandem, logger: str) -> bool:
    said = [str(line.get("text", line["message"])) for line in server.log_lines() if line["logger"] == logger]
    return any("lines left out" in text for text in said)


# Traces


def test_twenty_kills_leave_no_descriptor_zombie_or_file_behind(server: Tandem) -> None:
    assert server.process is not None
    [run_dir] = server.folder.glob("tandem-*")
    watched = [server.process.pid, *server.processes("web"), *server.processes("template")]

    def traces() -> tuple[list[int], int, int]:
        files = [path for path in run_dir.rglob("*") if path.suffix != ".db"]
        zombies = [pid for pid in server.processes("worker") if _state(pid) == "Z"]
        return [len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in watched], len(files), len(zombies)

    def kill_one() -> None:
        before = leaders(server)
        os.kill(before[0], signal.SIGKILL)
        eventually(lambda: len(now := leaders(server)) == 3 and now != before and server.ready())

    def steady() -> tuple[list[int], int, int] | None:
        """What has been the same a number of times: a connection that is about to be closed is no trace."""
        seen.append(traces())
        return seen[-1] if seen[-1][2] == 0 and seen[-STEADY:] == [seen[-1]] * STEADY else None

    seen: list[tuple[list[int], int, int]] = []
    kill_one()
    before = eventually(steady)
    for _ in range(19):
        kill_one()
    eventually(lambda: traces() == before)


# Recycling


def test_workers_are_replaced_after_so_many_calls_and_nothing_is_lost(tandem_factory: Factory) -> None:
    server = tandem_factory(worker_max_calls=50)
    server.drop("m", "lm(dist ~ speed, cars)")
    server.start()
    before = server.processes("worker")
    with right(server) as load:
        eventually(lambda: ended(server, "recycled") >= 4)
    assert load.wrong == []
    assert load.refused_connections == 0
    eventually(lambda: len(server.processes("worker")) == 2)
    assert not set(server.processes("worker")) & set(before)
    assert ended(server, "crashed") == 0


def _is_r(pid: int) -> bool:
    return b"--runtime\0r\0" in Path(f"/proc/{pid}/cmdline").read_bytes()


def _state(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return ""
