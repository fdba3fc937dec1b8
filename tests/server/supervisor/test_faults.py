"""Tandem broken on purpose: workers killed, a predict that loops, full queues, a template and a web process lost."""

from __future__ import annotations

import http.client
import os
import random
import signal
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import orjson
import pytest

from tests.harness.load import Load, expect
from tests.harness.tandem import Tandem, eventually, parent_of

SPEED = {"rows": [{"speed": 10}]}
LOOPS_ABOVE_100 = "local({f <- function(x) {while (any(x > 100)) {}; x}; lm(dist ~ f(speed), cars)})"
SLEEPS_ABOVE_100 = "local({f <- function(x) {if (any(x > 100)) Sys.sleep(0.2); x}; lm(dist ~ f(speed), cars)})"
CRASHES_ABOVE_100 = (
    "local({f <- function(x) {if (any(x > 100)) tools::pskill(Sys.getpid(), 9L); x}; lm(dist ~ f(speed), cars)})"
)

WORKERS = 4
"""Two workers, and as many spares, because there are several models."""

Factory = Callable[..., Tandem]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tandem]:
    """A server for all that one outlives; each test leaves all of its workers serving."""
    tandem = Tandem(tmp_path_factory.mktemp("faults"))
    tandem.environment["TMPDIR"] = str(tandem.folder)  # where its run folder is looked for
    for name in ("cars", "counted", "swapped"):
        tandem.drop(name, "lm(dist ~ speed, cars)")
    tandem.drop("fragile", CRASHES_ABOVE_100)
    tandem.drop("slow", "local({f <- function(x) {Sys.sleep(0.02); x}; lm(dist ~ f(speed), cars)})")
    (tandem.r_models / "slow.yaml").write_text("max_rows: 1")
    yield tandem.start()
    assert tandem.stop() == 0


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tandem]:
    """A server that waits for little and not for long."""
    tandem = Tandem(tmp_path_factory.mktemp("narrow"), queue_max=4, timeout_s=1.5)
    tandem.drop("loops", LOOPS_ABOVE_100)
    tandem.drop("slow", SLEEPS_ABOVE_100)
    yield tandem.start()
    assert tandem.stop() == 0


def prediction(server: Tandem, model: str = "cars") -> list[float]:
    return list(server.score(model, SPEED).json()["predictions"])


def test_killing_random_workers_under_load_fails_nothing_and_answers_nothing_wrong(server: Tandem) -> None:
    before = server.metric("tandem_worker_restarts_total", reason="crashed")
    chance = random.Random(1)
    with Load(server, "cars", SPEED, expect(prediction(server))) as load:
        for killed in range(1, 9):
            os.kill(chance.choice(server.processes("worker")), signal.SIGKILL)
            eventually(lambda n=killed: server.metric("tandem_worker_restarts_total", reason="crashed") == before + n)
            eventually(
                lambda: server.metric("tandem_workers", state="ready") == len(server.processes("worker")) == WORKERS
            )
            answered = load.answered
            eventually(lambda seen=answered: load.answered > seen + 50)
    assert load.wrong == []
    assert load.refused_connections == 0
    assert server.get("/health/ready").status_code == 200


def test_a_looping_predict_is_answered_504_on_time_and_its_worker_replaced(narrow: Tandem) -> None:
    server = narrow
    before = server.processes("worker")
    server.token()  # no part of what is timed
    started = time.monotonic()
    reply = server.score("loops", {"rows": [{"speed": 101}]})
    took_s = time.monotonic() - started
    assert (reply.status_code, reply.json()["code"]) == (504, "deadline_exceeded")
    assert 1.4 < took_s < 1.9
    after = eventually(lambda: len(now := server.processes("worker")) == WORKERS and now != before and now)
    assert len(set(before) & set(after)) == WORKERS - 1
    assert server.metric("tandem_worker_restarts_total", reason="deadline") == 1
    assert server.score("loops", SPEED).status_code == 200


def test_a_full_queue_answers_429_with_retry_after_at_once(narrow: Tandem) -> None:
    server = narrow
    slow = {"rows": [{"speed": 101}]}
    with Load(server, "slow", slow, lambda status, body: None, threads=12) as load:
        eventually(lambda: load.statuses[429] > 5)
        refused_ms = []
        headers = {"content-type": "application/json"} | server.headers()
        with httpx.Client(headers=headers) as client:
            for _ in range(20):
                started = time.monotonic()
                reply = client.post(f"{server.url}/v1/models/slow/score", content=orjson.dumps(slow))
                took_ms = (time.monotonic() - started) * 1000
                if reply.status_code == 429:
                    refused_ms.append(took_ms)
                    assert int(reply.headers["retry-after"]) >= 1
                    assert reply.json()["code"] == "queue_full"
                assert server.get("/health/live", user=None).status_code == 200
    assert statistics.median(refused_ms) < 10
    assert set(load.statuses) <= {200, 429}
    assert load.statuses[200] > 0


def test_sigterm_under_load_answers_all_that_was_accepted_exits_0_and_leaves_nothing_behind(
    tandem_factory: Factory,
) -> None:
    server = tandem_factory()
    server.drop("slow", "local({f <- function(x) {Sys.sleep(0.05); x}; lm(dist ~ f(speed), cars)})")
    server.start()
    pids = [*server.processes("worker"), *server.processes("template"), *server.processes("web")]
    assert len(pids) == 4
    with Load(server, "slow", SPEED, expect(prediction(server, "slow"))) as load:
        eventually(lambda: load.answered > 50)
        assert server.stop() == 0
        answered = load.answered
    assert answered > 50
    assert load.wrong == []
    eventually(lambda: not any(_alive(pid) for pid in pids))


def test_a_killed_supervisor_takes_everything_with_it(tandem_factory: Factory) -> None:
    server = tandem_factory()
    server.drop("cars", "lm(dist ~ speed, cars)")
    server.start()
    pids = [*server.processes("worker"), *server.processes("template"), *server.processes("web")]
    assert server.process is not None
    server.process.kill()
    server.process.wait()
    eventually(lambda: not any(_alive(pid) for pid in pids), 30)


def test_a_killed_gunicorn_takes_its_web_processes_along_so_that_the_next_start_finds_its_port(
    tandem_factory: Factory,
) -> None:
    server = tandem_factory().start()
    assert server.process is not None
    [web] = server.processes("web")
    os.kill(parent_of(web), signal.SIGKILL)
    assert server.process.wait(30) == 1
    assert not [line for line in server.log_lines() if "exception" in line]
    server.start()


def test_ctrl_c_reaches_every_process_and_still_answers_what_was_accepted(tandem_factory: Factory) -> None:
    """A terminal sends SIGINT to the whole group; only the supervisor and gunicorn may act on it."""
    server = tandem_factory()
    server.drop("slow", "local({f <- function(x) {Sys.sleep(0.05); x}; lm(dist ~ f(speed), cars)})")
    server.start(group=True)
    with Load(server, "slow", SPEED, expect(prediction(server, "slow"))) as load:
        eventually(lambda: load.answered > 50)
        assert server.process is not None
        os.killpg(server.process.pid, signal.SIGINT)
        assert server.process.wait(30) == 0
    assert load.wrong == []
    assert not [line for line in server.log_lines() if "exception" in line or line.get("reason") == "crashed"]


def test_a_killed_template_is_rebuilt_while_its_workers_serve(server: Tandem) -> None:
    before = server.metric("tandem_worker_restarts_total", reason="template")
    [template] = server.processes("template")
    with Load(server, "cars", SPEED, expect(prediction(server))) as load:
        os.kill(template, signal.SIGKILL)
        eventually(lambda: server.processes("template") not in ([], [template]))
        server.drop("later", "lm(dist ~ speed, cars)")
        eventually(lambda: server.score("later", SPEED).status_code == 200)
    assert load.wrong == []
    assert server.metric("tandem_worker_restarts_total", reason="template") == before + 1


def test_a_model_that_cannot_be_read_once_more_serves_as_long_as_its_state_says_so(tandem_factory: Factory) -> None:
    """Regression: the file was replaced by a refused one, the template lost; new workers lacked what was "ready"."""
    server = tandem_factory(r_workers=2)
    server.drop("cars", "lm(dist ~ speed, cars)")
    server.drop("other", "lm(dist ~ speed, cars)")
    server.start()
    served = server.version("cars", "ready")
    assert served is not None
    (server.r_models / "newer").write_bytes(b"no model at all, though it is long enough to be one")
    (server.r_models / "newer").rename(server.r_models / "cars.rds")
    eventually(lambda: server.version("cars", "failed"))
    [template], workers = server.processes("template"), server.processes("worker")
    with Load(server, "other", SPEED, expect(prediction(server)), threads=2) as others:
        os.kill(template, signal.SIGKILL)
        eventually(lambda: server.processes("template") not in ([], [template]))
        assert server.version("cars", "ready") == served
        assert server.score("cars", SPEED).status_code == 200
        os.kill(workers[0], signal.SIGKILL)
        replies = []
        while server.version("cars", "ready"):
            replies.append(server.score("cars", SPEED))
        eventually(lambda: len(server.processes("worker")) == 2)
    assert {reply.status_code for reply in replies[:-1]} <= {200}
    failed = server.version("cars", "failed")
    assert failed is not None
    assert failed["code"] == "unreadable"
    assert server.score("cars", SPEED).status_code in (404, 503)
    assert others.wrong == []


def test_a_killed_web_process_comes_back_with_the_catalog(server: Tandem) -> None:
    expected = prediction(server, "counted")
    eventually(lambda: server.metric("tandem_requests_total", model="counted") == 1)
    [web] = server.processes("web")
    os.kill(web, signal.SIGKILL)
    eventually(lambda: server.processes("web") not in ([], [web]))
    eventually(server.ready)
    assert prediction(server, "counted") == expected
    eventually(lambda: server.metric("tandem_requests_total", model="counted") == 2)


def test_a_request_that_kills_two_workers_is_answered_and_its_neighbours_are_not_harmed(server: Tandem) -> None:
    with Load(server, "fragile", SPEED, expect(prediction(server, "fragile")), threads=4) as load:
        for _ in range(3):
            reply = server.score("fragile", {"rows": [{"speed": 101}]})
            assert (reply.status_code, reply.json()["code"]) == (500, "worker_crashed")
            eventually(lambda: len(server.processes("worker")) == WORKERS)
    assert load.wrong == []


def test_a_client_that_hangs_up_harms_nobody(server: Tandem) -> None:
    before = server.metric("tandem_requests_total", code="client_gone")
    body = orjson.dumps(SPEED)
    head = f"POST /v1/models/cars/score HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {server.token()}\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    for whole in (head.encode() + body, head.encode() + body[:5], head.encode()[:40]):
        for _ in range(50):
            with socket.create_connection(("127.0.0.1", server.port)) as connection:
                connection.sendall(whole)
    assert server.score("cars", SPEED).status_code == 200
    assert eventually(lambda: server.metric("tandem_requests_total", code="client_gone") > before)
    eventually(lambda: server.metric("tandem_queue_depth", runtime="r") == 0)


def test_no_worker_dies_of_garbage_on_its_socket(server: Tandem) -> None:
    """Whoever reaches a worker's socket (only this user can) and talks nonsense is dropped; the worker serves on."""
    workers = server.processes("worker")
    [run_dir] = server.folder.glob("tandem-*")
    assert run_dir.stat().st_mode & 0o777 == 0o700
    for path in run_dir.glob("r-*.sock"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert connection.recv(100) == b""
    assert server.score("cars", SPEED).status_code == 200
    assert server.processes("worker") == workers


def test_two_servers_on_one_port_are_told_apart(tandem_factory: Factory) -> None:
    first = tandem_factory().start()
    second = tandem_factory(port=first.port).start(wait=False)
    assert second.process is not None
    assert second.process.wait(30) == 1
    assert "TANDEM_PORT" in second.log_path.read_text()


def test_no_more_requests_are_joined_than_the_sidecar_allows_rows(server: Tandem) -> None:
    """Else one worker is handed all that waits, and the other stands idle beside it."""
    with Load(server, "slow", SPEED, expect(prediction(server, "slow")), threads=12) as load:
        eventually(lambda: load.answered > 100)
    assert load.wrong == []
    scored = [line for line in server.log_lines() if line["message"] == "scored" and line["model"] == "slow"]
    assert max(line["batch_requests"] for line in scored) == 1


def test_idle_connections_survive_a_model_swap(server: Tandem) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    headers = server.headers() | {"content-type": "application/json"}
    for power in (2, 3, 4):
        connection.request("POST", "/v1/models/swapped/score", orjson.dumps(SPEED), headers)
        assert connection.getresponse().read()
        old = server.model("swapped")["version"]
        server.drop("swapped", f"lm(dist ~ I(speed^{power}), cars)")
        eventually(lambda seen=old: server.model("swapped")["version"] != seen)
    connection.close()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
