"""What an operator sees: metrics that add up to what clients got, logs that tell a request and no secret."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable

import httpx
import orjson

from tests.harness.load import Load
from tests.harness.tandem import Tandem, eventually

Factory = Callable[..., Tandem]

SPEED = {"rows": [{"speed": 10}, {"speed": 11}]}


def test_client_totals_equal_metrics_totals_over_several_web_processes(tandem_factory: Factory) -> None:
    server = tandem_factory(web_workers=2)
    server.drop("cars", "lm(dist ~ speed, cars)")
    server.start()
    with Load(server, "cars", SPEED, lambda status, body: None) as load:
        eventually(lambda: load.answered > 500)
    bad = [server.score("cars", {"rows": []}) for _ in range(7)]
    assert {reply.status_code for reply in bad} == {422}
    refused = [server.score("cars", SPEED, user=None) for _ in range(5)]
    assert {reply.status_code for reply in refused} == {401}
    ok = load.statuses[200]
    eventually(lambda: server.metric("tandem_requests_total", model="cars", code="ok") == ok)
    eventually(lambda: server.metric("tandem_requests_total", model="cars", code="invalid_input") == 7)
    eventually(lambda: server.metric("tandem_requests_total", model="cars") == ok + 7 + 5)
    assert server.metric("tandem_rows_total", model="cars") == 2 * ok
    assert server.metric("tandem_request_seconds_count", model="cars") == ok + 7 + 5
    assert server.metric("tandem_batch_requests_sum", model="cars") == ok + 7
    assert server.metric("tandem_auth_failures_total", reason="missing") == 5
    assert server.metric("tandem_workers", runtime="r", state="ready") == 2


def test_metrics_are_clean_for_promtool(tandem: Tandem) -> None:
    assert shutil.which("promtool"), "Debian's prometheus is needed: make system-dev installs it"
    tandem.score("iris", {"rows": []})
    eventually(lambda: tandem.metric("tandem_requests_total") > 0)
    exposition = httpx.get(tandem.metrics_url).text
    done = subprocess.run(["promtool", "check", "metrics"], input=exposition, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    for name in (
        "tandem_requests_total",
        "tandem_request_seconds_bucket",
        "tandem_queue_seconds_bucket",
        "tandem_predict_seconds_bucket",
        "tandem_batch_requests_bucket",
        "tandem_queue_depth",
        "tandem_workers",
        "tandem_worker_memory_bytes",
        "tandem_model_state",
        "tandem_model_load_seconds",
    ):
        assert f"\n{name}{{" in exposition, name


def test_what_autoscaling_and_alerts_ask_for_is_told(tandem_factory: Factory) -> None:
    tandem = tandem_factory(python_workers=1)
    tandem.drop("cars", "lm(dist ~ speed, cars)")
    tandem.start()
    eventually(lambda: tandem.metric("tandem_capacity", runtime="r") == 2)
    assert tandem.metric("tandem_capacity", runtime="python") == 0
    assert 0 < tandem.metric("tandem_memory_used_bytes") < tandem.metric("tandem_memory_granted_bytes")
    assert tandem.metric("tandem_build_info") == 1
    assert tandem.score("cars", {"rows": [{"speed": 10}]}).status_code == 200
    spent_s = eventually(lambda: tandem.metric("tandem_stage_seconds_total", model="cars", stage="predict"))
    assert spent_s == tandem.metric("tandem_predict_seconds_sum", model="cars")
    assert tandem.metric("tandem_inflight", runtime="r") == 0
    os.kill(tandem.processes("worker")[0], signal.SIGKILL)
    eventually(lambda: tandem.metric("tandem_refill_seconds_count", runtime="r") == 1)
    assert 0 < tandem.metric("tandem_refill_seconds_sum", runtime="r") < 30
    eventually(lambda: tandem.metric("tandem_capacity", runtime="r") == 2)


def test_metrics_of_a_model_that_does_not_exist_make_no_label(tandem: Tandem) -> None:
    tandem.score("made-up-name", {"rows": []})
    assert "made-up-name" not in httpx.get(tandem.metrics_url).text


def test_logs_tell_each_request_and_no_secret(tandem_factory: Factory) -> None:
    server = tandem_factory()
    server.drop("cars", "local({f <- function(x) if (any(x > 100)) stop('no') else x; lm(dist ~ f(speed), cars)})")
    server.start()
    password = (server.folder / "data" / "admin-password").read_text().strip()
    form = {"grant_type": "password", "username": "admin", "password": password}
    granted = httpx.post(f"{server.url}/auth/token", data=form).json()
    httpx.post(f"{server.url}/auth/token", data=form | {"password": "planted-wrong-password"})
    planted = {"rows": [{"speed": 10, "planted-column": "planted-value"}]}
    reply = server.score("cars", planted, headers={"x-request-id": "id-of-mine"})
    assert reply.status_code == 200
    server.score("cars", {"rows": [{"speed": 101, "planted-column": "planted-value"}]})
    httpx.post(f"{server.url}/auth/accounts", json={"name": "x", "password": "planted-pw", "role": "nobody"},
               headers={"authorization": f"Bearer {granted['access_token']}"})  # fmt: skip
    line = eventually(lambda: next((one for one in server.log_lines() if one.get("request_id") == "id-of-mine"), None))
    assert line["model"] == "cars"
    assert line["version"] == reply.json()["version"]
    assert (line["code"], line["rows"], line["principal"]) == ("ok", 1, "admin")
    assert 0 <= line["predict_s"] <= line["seconds"]
    assert server.stop() == 0
    text = server.log_path.read_text()
    assert all(orjson.loads(one) for one in text.splitlines())
    for secret in (password, granted["access_token"], granted["refresh_token"], "planted"):
        assert secret not in text
