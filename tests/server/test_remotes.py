"""Models of other servers at one address: two real servers that share keys and accounts, one of which relays."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
import pyarrow as pa
import pytest

from tests.attack.mutation import files
from tests.harness.tandem import Tandem, eventually, free_port
from tests.server.web.dialects import azure_cases

PASSWORD = "a password of ann's"
CARS = "lm(dist ~ speed, cars)"
SCRIPTS = ("headers", "raw")
SLEEPY = """
import json, time

def init():
    pass

def run(raw_data):
    time.sleep(json.loads(raw_data)["seconds"])  # a slow model: its caller's time or patience ends before
    return 1
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The settings of servers that share accounts and the key that signs tokens."""
    folder = tmp_path_factory.mktemp("secrets")
    accounts, key = folder / "accounts", folder / "token.key"
    key.write_text("a key of more than thirty-two characters\n")
    key.chmod(0o600)
    hashed = Tandem(folder / "hashes").command("users", "hash", "ann", "--role", "analyst", text=PASSWORD)
    assert hashed.returncode == 0, hashed.stderr
    accounts.write_text(hashed.stdout)
    accounts.chmod(0o600)
    return {"accounts": accounts, "token_key": key}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, shared: dict[str, object]) -> Iterator[tuple[Tandem, Tandem]]:
    """Two servers: the first has `near` and relays to the second, which has the others and its own `near`."""
    folder = tmp_path_factory.mktemp("pair")
    back = Tandem(folder / "back", **shared, r_workers=1)
    for name in ("far", "tallied"):
        back.drop(name, CARS)
    back.drop("near", "lm(mpg ~ wt, mtcars)")
    for name in SCRIPTS:
        shutil.copytree(azure_cases.SCRIPTS / name, back.python_models / name)
    script = back.python_models / "sleepy" / "score.py"
    script.parent.mkdir()
    script.write_text(SLEEPY)
    front = Tandem(folder / "front", **shared, remotes=f"back=http://127.0.0.1:{back.port}")
    front.drop("near", CARS)
    back.start()
    front.start()
    eventually(lambda: front.get("/v1/models/far", "ann").status_code == 200)
    yield front, back
    assert front.stop() == 0
    assert back.stop() == 0


ROWS = {"rows": [{"speed": 10}, {"speed": 21.5}]}


def test_a_remote_model_is_asked_in_every_dialect(pair: tuple[Tandem, Tandem]) -> None:
    front, back = pair
    speeds = np.array([10.0, 21.5])
    head = orjson.dumps(
        {
            "inputs": [
                {"name": "speed", "shape": [2], "datatype": "FP64", "parameters": {"binary_data_size": speeds.nbytes}}
            ],
            "parameters": {"binary_data_output": True},
        }
    )
    asked = {
        "/v2/models/far/infer": (head + speeds.tobytes(), {"inference-header-content-length": str(len(head))}),
        "/v1/models/far:predict": (b'{"instances":[{"speed":10},{"speed":21.5}]}', {}),
    }
    for path, (body, headers) in asked.items():
        replies = [
            httpx.post(server.url + path, content=body, headers=server.headers("ann") | headers) for server in pair
        ]
        assert [reply.status_code for reply in replies] == [200, 200], replies[0].text
        here, there = replies
        assert here.content == there.content
        for name in ("content-type", "inference-header-content-length"):
            assert here.headers.get(name) == there.headers.get(name)
        bad = httpx.post(front.url + path, content=b"{", headers=front.headers("ann"))
        assert (bad.status_code, bad.headers["x-tandem-code"]) == (400, "bad_body")
        assert isinstance(bad.json()["error"], str)
    about = [server.get("/v2/models/far", "ann").json() for server in (front, back)]
    assert about[0] == about[1]


@pytest.mark.parametrize("case", [c for c in azure_cases.CASES if c.script in SCRIPTS], ids=lambda case: case.name)
def test_a_remote_script_sees_its_request_and_answers_as_it_likes(
    pair: tuple[Tandem, Tandem], case: azure_cases.Case
) -> None:
    front, _ = pair
    eventually(lambda: front.get(f"/v1/models/{case.script}", "ann").status_code == 200)
    told = azure_cases.asked(f"{front.url}/endpoints/{case.script}", case, front.headers("ann"))
    assert told == orjson.loads(azure_cases.REPLIES.read_bytes())[case.name]


def test_a_batch_of_records_for_a_remote_model_is_answered_by_that_server(pair: tuple[Tandem, Tandem]) -> None:
    front, back = pair
    path = f"/api/far/{front.get('/v1/models/far', 'ann').json()['version']}"
    signed = front.headers("ann")
    begun = httpx.post(
        f"{front.url}{path}/batch", json=[{"speed": 10}, {"speed": "x"}, {"speed": 21.5}], headers=signed
    )
    assert begun.status_code == 202
    about = f"{path}/batch/{begun.json()['batchExecutionId']}"
    eventually(lambda: front.get(about, "ann").json()["state"] == "complete")
    first, wrong, last = front.get(about, "ann").json()["batchExecutionResults"]
    expected = back.score("far", ROWS, "ann").json()["predictions"]
    assert [first["outputParameters"]["response"], last["outputParameters"]["response"]] == expected
    assert 'column "speed"' in wrong["errorMessage"]


def test_of_another_server_callers_are_told_its_name_and_never_its_address(pair: tuple[Tandem, Tandem]) -> None:
    front, back = pair
    version = front.get("/v1/models/far", "ann").json()["version"]
    pool = front.get(f"/services/far/{version}/pool", "ann")
    [node] = pool.json()
    assert (node["ComputeNodeEndpoint"], node["Status"]) == ("back", "Success")
    assert "Workers" not in node and node["AnsweredRequests"] >= 0
    status, swagger = (
        front.get("/status", "ann"),
        front.get(f"/api/far/{version}/swagger.json", "ann"),
    )
    assert status.json()["components"]["back"]["statusCode"] == "pass"
    assert swagger.json()["host"] == f"127.0.0.1:{front.port}"
    assert not any(str(back.port) in told.text for told in (pool, status, swagger))


def test_a_remote_model_answers_here_as_it_does_there(pair: tuple[Tandem, Tandem]) -> None:
    front, back = pair
    here, there = front.score("far", ROWS, "ann"), back.score("far", ROWS, "ann")
    assert here.status_code == 200
    assert here.content == there.content
    assert here.headers["content-type"] == "application/json"
    assert "predict;dur=" in here.headers["server-timing"]
    version = here.json()["version"]
    pinned = front.score("far", ROWS, "ann", path=f"/v1/models/far/versions/{version}/score")
    assert pinned.content == there.content


def test_the_catalog_the_schema_and_the_documentation_have_remote_models(pair: tuple[Tandem, Tandem]) -> None:
    front, back = pair
    listed = [model["model"] for model in front.get("/v1/models", "ann").json()]
    assert listed == ["far", "headers", "near", "raw", "sleepy", "tallied"]
    [version] = front.get("/v1/models/far", "ann").json()["versions"]
    assert (version["remote"], version["runtime"], version["model_class"]) == ("back", "r", "lm")
    assert front.get("/v1/models/far/schema", "ann").json() == back.get("/v1/models/far/schema", "ann").json()
    paths = httpx.get(f"{front.url}/openapi.json").json()["paths"]
    assert {"/v1/models/far/score", "/v1/models/near/score"} <= paths.keys()


def test_a_name_that_is_taken_here_is_answered_here(pair: tuple[Tandem, Tandem]) -> None:
    front, _ = pair
    assert front.score("near", ROWS, "ann").status_code == 200  # the remote's takes other inputs
    said = "a remote model is not served"
    eventually(lambda: [line for line in front.log_lines() if line["message"].startswith(said)])


def test_other_formats_and_queries_are_relayed_as_they_are(pair: tuple[Tandem, Tandem]) -> None:
    front, back = pair
    table = pa.table({"speed": [10.0, 21.5]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    arrow = {"content-type": "application/vnd.apache.arrow.stream"}
    replies = [s.score("far", sink.getvalue().to_pybytes(), "ann", headers=arrow) for s in pair]
    assert replies[0].content == replies[1].content
    assert replies[0].headers["content-type"] == arrow["content-type"]
    csv = {"content-type": "text/csv", "accept": "application/json"}
    path = "/v1/models/far/score?se.fit=true"
    replies = [s.score("far", b"speed\n10\n", "ann", headers=csv, path=path) for s in (front, back)]
    assert replies[0].status_code == replies[1].status_code
    assert _without_id(replies[0]) == _without_id(replies[1])


def _model(tandem: Tandem, name: str) -> dict[str, Any]:
    model: dict[str, Any] = tandem.get(f"/v1/models/{name}", "ann").json()
    return model


def _without_id(reply: httpx.Response) -> dict[str, Any]:
    document: dict[str, Any] = reply.json()
    document.pop("request_id", None)
    return document


def test_a_refusal_of_the_remote_is_passed_back_whole(pair: tuple[Tandem, Tandem]) -> None:
    front, _ = pair
    refused = front.score("far", {"rows": [{"speed": "fast"}]}, "ann", headers={"x-request-id": "mine"})
    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["x-request-id"] == refused.json()["request_id"] == "mine"
    assert refused.json()["errors"][0]["column"] == "speed"


MEDIA = {
    "json": {"content-type": "application/json"},
    "csv": {"content-type": "text/csv"},
    "arrow": {"content-type": "application/vnd.apache.arrow.stream"},
    "inflate": {"content-type": "application/json", "content-encoding": "gzip"},
}


@pytest.mark.parametrize("kind", MEDIA)
def test_a_body_that_means_no_good_is_refused_through_the_relay_as_it_is_there(
    pair: tuple[Tandem, Tandem], kind: str
) -> None:
    """What is kept for the fuzzers, some of it because it ended a worker."""
    front, back = pair
    workers = back.processes("worker")
    with httpx.Client(headers=front.headers("ann") | MEDIA[kind], timeout=60) as client:
        for kept in files(kind):
            body = kept.values[1]
            here, there = (client.post(f"{one.url}/v1/models/far/score", content=body) for one in pair)
            assert (here.status_code, here.json()["code"]) == (there.status_code, there.json()["code"]), kept.id
            assert there.status_code in (400, 413, 422), kept.id
    assert back.processes("worker") == workers


def test_the_request_id_and_the_caller_are_carried(pair: tuple[Tandem, Tandem]) -> None:
    front, back = pair
    assert front.score("far", ROWS, "ann", headers={"x-request-id": "carried-7"}).headers["x-request-id"] == "carried-7"

    def logged() -> dict[str, Any] | None:
        lines = (line for line in back.log_lines() if line.get("request_id") == "carried-7")
        return next((line for line in lines if line["message"] == "scored"), None)

    assert eventually(logged)["principal"] == "ann"


def test_who_is_signed_in_to_the_console_scores_with_models_of_other_servers(pair: tuple[Tandem, Tandem]) -> None:
    front, back = pair
    ours = {"sec-fetch-site": "same-origin"}
    signed_in = httpx.post(f"{front.url}/auth/session", json={"name": "ann", "password": PASSWORD}, headers=ours)
    assert signed_in.status_code == 204, signed_in.text
    with_cookie = ours | {"cookie": signed_in.headers["set-cookie"].partition(";")[0], "x-request-id": "console-1"}
    assert front.score("far", ROWS, None, headers=with_cookie).status_code == 200

    def logged() -> dict[str, Any] | None:
        lines = (line for line in back.log_lines() if line.get("request_id") == "console-1")
        return next((line for line in lines if line["message"] == "scored"), None)

    line = eventually(logged)
    assert (line["principal"], line["via"]) == ("ann", "session")


def test_relayed_requests_are_counted_here_as_remote_and_there_by_their_runtime(pair: tuple[Tandem, Tandem]) -> None:
    front, back = pair

    def counted() -> tuple[float, float]:
        here = front.metric("tandem_requests_total", model="tallied", runtime="remote", code="ok")
        return here, back.metric("tandem_requests_total", model="tallied", runtime="r", code="ok")

    assert [front.score("tallied", ROWS, "ann").status_code for _ in range(3)] == [200] * 3
    eventually(lambda: counted() == (3, 3))
    assert front.metric("tandem_remote_up", remote="back") == 1
    assert front.metric("tandem_requests_total", model="tallied", runtime="r") == 0


@pytest.mark.parametrize("declared", [True, False], ids=["with a length", "chunked"])
def test_a_body_larger_than_what_is_held_is_relayed(pair: tuple[Tandem, Tandem], declared: bool) -> None:
    front, _ = pair
    rows = 400_000
    body = b"speed\n" + b"10.5\n" * rows
    parts = [body[i : i + 65_536] for i in range(0, len(body), 65_536)]
    reply = httpx.post(
        f"{front.url}/v1/models/far/score",
        content=body if declared else iter(parts),
        headers=front.headers("ann") | {"content-type": "text/csv"},
        timeout=60,
    )
    assert reply.status_code == 200
    assert reply.text.count("\n") == rows + 1


def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(
    tandem_factory: Callable[..., Tandem], shared: dict[str, object], pair: tuple[Tandem, Tandem]
) -> None:
    _, back = pair
    front = tandem_factory(**shared, remotes=f"back=http://127.0.0.1:{back.port}", max_body_mb=2).start()
    eventually(lambda: front.get("/v1/models/far", "ann").status_code == 200)
    for content in (b" " * (3 << 20), iter([b" " * (1 << 20)] * 3)):
        reply = httpx.post(
            f"{front.url}/v1/models/far/score",
            content=content,
            headers=front.headers("ann") | {"content-type": "application/json"},
            timeout=60,
        )
        assert (reply.status_code, reply.json()["code"]) == (413, "body_too_large")


def test_the_time_that_a_caller_has_left_is_carried(pair: tuple[Tandem, Tandem]) -> None:
    front, back = pair
    started = time.monotonic()
    late = front.score("sleepy", {"seconds": 20}, "ann", headers={"x-request-timeout-ms": "700"})
    assert (late.status_code, late.json()["code"]) == (504, "deadline_exceeded")
    assert time.monotonic() - started < 3
    eventually(lambda: back.metric("tandem_requests_total", model="sleepy", code="deadline_exceeded") == 1)


def test_a_caller_that_hangs_up_is_told_to_the_remote(pair: tuple[Tandem, Tandem]) -> None:
    front, back = pair
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{front.url}/v1/models/sleepy/score",
            content=orjson.dumps({"seconds": 20}),
            headers=front.headers("ann") | {"content-type": "application/json"},
            timeout=1.0,
        )
    eventually(lambda: back.metric("tandem_requests_total", model="sleepy", code="client_gone") == 1)
    eventually(lambda: front.metric("tandem_requests_total", model="sleepy", code="client_gone") == 1)


@pytest.fixture(scope="module")
def frail(tmp_path_factory: pytest.TempPathFactory, shared: dict[str, object]) -> Iterator[tuple[Tandem, Tandem]]:
    """A server that relays, and the other one, which comes and goes: a test that needs it starts it."""
    folder = tmp_path_factory.mktemp("frail")
    back = Tandem(folder / "back", **shared, r_workers=1)
    back.drop("far", CARS)
    front = Tandem(folder / "front", **shared, remotes=f"back=http://127.0.0.1:{back.port}")
    front.drop("near", CARS)
    yield front.start(), back
    assert front.stop() == 0
    if back.process is not None:
        back.stop()


def test_a_remote_that_is_down_takes_its_models_along_and_nothing_else(frail: tuple[Tandem, Tandem]) -> None:
    front, back = frail  # the other has never been heard of
    unknown = front.score("far", ROWS, "ann")
    assert (unknown.status_code, unknown.json()["code"]) == (503, "remote_unavailable")
    assert "back" in unknown.json()["detail"]
    back.start()
    eventually(lambda: front.score("far", ROWS, "ann").status_code == 200)
    assert front.score("nowhere", ROWS, "ann").status_code == 404

    assert back.stop() == 0
    gone = eventually(lambda: (reply := front.score("far", ROWS, "ann")).status_code == 503 and reply)
    assert gone.json()["code"] == "remote_unavailable"
    assert int(gone.headers["retry-after"]) >= 1
    eventually(lambda: _model(front, "far")["versions"][0].get("code") == "remote_unavailable")
    assert _model(front, "far")["state"] == "failed"
    eventually(lambda: front.metric("tandem_remote_up", remote="back") == 0)
    assert front.score("near", ROWS, "ann").status_code == 200
    assert front.get("/health/ready", None).status_code == 200

    back.start()
    eventually(lambda: front.score("far", ROWS, "ann").status_code == 200)
    eventually(lambda: _model(front, "far")["state"] == "ready")


def test_a_remote_with_another_key_is_said_to_be_so(
    tandem_factory: Callable[..., Tandem], shared: dict[str, object], tmp_path: Path, pair: tuple[Tandem, Tandem]
) -> None:
    key = tmp_path / "token.key"
    key.write_text("another key of more than thirty-two characters\n")
    key.chmod(0o600)
    _, back = pair
    front = tandem_factory(**shared | {"token_key": key}, remotes=f"back=http://127.0.0.1:{back.port}").start()
    reasons = [line["reason"] for line in front.log_lines() if line["message"] == "a remote cannot be reached"]
    assert reasons == ["it does not know our key or our accounts"]


def test_the_catalog_is_for_other_servers_only_and_they_may_do_nothing_else(pair: tuple[Tandem, Tandem]) -> None:
    front, _ = pair
    assert front.get("/v1/catalog", None).status_code == 401
    assert front.get("/v1/catalog", "ann").status_code == 403


class Unreliable:
    """A server that hangs up on the first request of each connection but the last, then answers with a proxy's page."""

    def __init__(self, port: int, drops: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self.asked = 0
        self._drops = drops
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                head = connection.recv(65536)
                if b"/score" in head:
                    self.asked += 1
                    if self.asked > self._drops:
                        connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 4\r\n\r\nhtml")

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def test_a_small_request_whose_connection_breaks_goes_once_more_and_only_once(frail: tuple[Tandem, Tandem]) -> None:
    front, back = frail
    if back.process is None:
        back.start()
    eventually(lambda: front.score("far", ROWS, "ann").status_code == 200)
    assert back.stop() == 0
    for drops in (1, 9):
        broken = Unreliable(back.port, drops)
        try:
            reply = front.score("far", ROWS, "ann")
            assert (reply.status_code, reply.json()["code"]) == (503, "remote_unavailable")
            assert broken.asked == 2
        finally:
            broken.close()


def test_remotes_need_shared_accounts(tmp_path: Path) -> None:
    lonely = Tandem(tmp_path, remotes=f"back=http://127.0.0.1:{free_port()}")
    done = lonely.command("serve")
    assert done.returncode == 3
    assert "TANDEM_REMOTES" in done.stderr and "TANDEM_ACCOUNTS" in done.stderr
