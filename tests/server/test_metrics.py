"""Metrics: what web processes note is what the supervisor serves, while they live and after they have ended."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
from prometheus_client import CollectorRegistry, Histogram

from server.metrics import MOST_IDLE, SECONDS, STAGES, SupervisorMetrics
from tests.harness.tandem import ROOT

WEB_PROCESS = """
import sys
import orjson
from server.metrics import WebMetrics
metrics = WebMetrics()
for line in sys.stdin.buffer:
    for name, *arguments in orjson.loads(line):
        getattr(metrics, name)(*arguments)
    metrics.flush()
    print("done", flush=True)
"""

Call = list[object]


@contextmanager
def web_process(files: Path, *bursts: list[Call]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has noted and flushed each burst of calls, and lives until this ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", WEB_PROCESS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PROMETHEUS_MULTIPROC_DIR": str(files), "PYTHONPATH": str(ROOT)},
    )
    with process:
        assert process.stdin is not None and process.stdout is not None
        for burst in bursts:
            process.stdin.write(orjson.dumps(burst) + b"\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"done\n"
        yield process
        process.stdin.close()
    assert process.returncode == 0


def run_web_process(files: Path, *bursts: list[Call]) -> None:
    with web_process(files, *bursts):
        pass


WHILE_A_PROCESS_LIVES = ("tandem_accounts_away_seconds", "tandem_keys_ending")


def samples(metrics: SupervisorMetrics) -> dict[str, float]:
    """Everything that is served, by name and labels."""
    return {
        f"{s.name}{dict(sorted(s.labels.items()))}": s.value
        for family in metrics.registry.collect()
        for s in family.samples
        if not s.name.endswith("_created") and s.name not in WHILE_A_PROCESS_LIVES
    }


def value(metrics: SupervisorMetrics, name: str, **labels: str) -> float:
    found = metrics.registry.get_sample_value(name, labels)
    assert found is not None, (name, samples(metrics))
    return found


ANSWERED: Call = ["answered", "mpg", "v1", "r", "native", "ok", 0.01, 2]
QUEUED: Call = ["queued", "mpg", "r", 0.25]


def test_a_tally_equals_observing_one_by_one(tmp_path: Path) -> None:
    chance = random.Random(7)
    values = [*SECONDS, 0.0, 100.0, *(chance.uniform(0, 2) * limit for limit in SECONDS for _ in range(20))]
    one_by_one = Histogram("seconds", "", buckets=SECONDS, registry=CollectorRegistry())
    for observed in values:
        one_by_one.observe(observed)
    calls: list[Call] = [["queued", "mpg", "r", observed] for observed in values]
    run_web_process(tmp_path, calls[:100], [], calls[100:])
    metrics = SupervisorMetrics(tmp_path)
    [family] = one_by_one.collect()
    for sample in family.samples:
        if sample.name.endswith("_created"):
            continue
        served = value(metrics, sample.name.replace("seconds", "tandem_queue_seconds", 1), runtime="r", **sample.labels)
        assert served == pytest.approx(sample.value)


def test_every_instrument_serves_what_was_noted(tmp_path: Path) -> None:
    failed: Call = ["answered", "mpg", "v1", "r", "native", "invalid_input", 0.02, 0]
    batch: Call = ["batch", "mpg", 3, 0.25, 0.004, 0.125]
    load: Call = ["load", "r", 5, 7, 0.75]
    auth: list[Call] = [["auth_failure", "expired"], ["keys_ending", 3], ["jwks_ages", {"entra": 60.0, "old": 9.0}]]
    calls = [ANSWERED, ANSWERED, failed, batch, QUEUED, QUEUED, *auth, ["jwks_ages", {"entra": 75.5}], load]
    with web_process(tmp_path, calls):
        metrics = SupervisorMetrics(tmp_path)
        labels = {"model": "mpg", "version": "v1"}
        assert value(metrics, "tandem_requests_total", **labels, runtime="r", dialect="native", code="ok") == 2
        assert (
            value(metrics, "tandem_requests_total", **labels, runtime="r", dialect="native", code="invalid_input") == 1
        )
        assert value(metrics, "tandem_rows_total", **labels) == 4
        assert value(metrics, "tandem_request_seconds_count", model="mpg", runtime="r") == 3
        assert value(metrics, "tandem_request_seconds_sum", model="mpg", runtime="r") == pytest.approx(0.04)
        assert value(metrics, "tandem_batch_requests_bucket", model="mpg", le="2.0") == 0
        assert value(metrics, "tandem_batch_requests_bucket", model="mpg", le="4.0") == 1
        assert value(metrics, "tandem_predict_seconds_sum", model="mpg") == 0.004
        assert value(metrics, "tandem_auth_failures_total", reason="expired") == 1
        assert value(metrics, "tandem_keys_ending") == 3
        assert value(metrics, "tandem_jwks_age_seconds", provider="entra") == 75.5
        assert value(metrics, "tandem_jwks_age_seconds", provider="old") == 0  # no longer described
        stages = {s: value(metrics, "tandem_stage_seconds_total", model="mpg", stage=s) for s in STAGES}
        assert stages == {"queue": 0.5, "decode": 0.75, "predict": 0.012, "encode": 0.375}
        assert value(metrics, "tandem_queue_depth", runtime="r") == 5
        assert value(metrics, "tandem_inflight", runtime="r") == 7
        assert value(metrics, "tandem_queue_wait_seconds", runtime="r") == 0.75


def test_the_files_of_ended_processes_are_folded_without_losing_a_count(tmp_path: Path) -> None:
    for _ in range(2):
        run_web_process(tmp_path, [ANSWERED, QUEUED, ["auth_failure", "expired"]])
    metrics = SupervisorMetrics(tmp_path)
    with web_process(tmp_path, [ANSWERED, QUEUED]) as living:
        before = samples(metrics)
        metrics.sweep()
        assert samples(metrics) == pytest.approx(before)
        names = {path.name for path in tmp_path.iterdir()}
        assert {"counter_0.db", "histogram_0.db"} <= names
        assert {name.rpartition("_")[2] for name in names} == {"0.db", f"{living.pid}.db"}
    metrics.sweep()
    metrics.sweep()
    assert samples(metrics) == pytest.approx(before)
    assert {path.name for path in tmp_path.iterdir()} == {"counter_0.db", "histogram_0.db"}
    assert (
        value(metrics, "tandem_requests_total", model="mpg", version="v1", runtime="r", dialect="native", code="ok")
        == 3
    )


def test_the_queue_of_an_ended_process_no_longer_counts(tmp_path: Path) -> None:
    run_web_process(tmp_path, [["load", "r", 100, 110, 9.0]])
    with web_process(tmp_path, [["load", "r", 5, 6, 0.5]]):
        metrics = SupervisorMetrics(tmp_path)
        metrics.sweep()
        assert value(metrics, "tandem_queue_depth", runtime="r") == 5
        assert value(metrics, "tandem_inflight", runtime="r") == 6
        assert value(metrics, "tandem_queue_wait_seconds", runtime="r") == 0.5


def test_models_that_serve_all_have_a_state_and_of_junk_no_more_than_can_be_told(tmp_path: Path) -> None:
    """Regression: ten thousand refused files were thirty thousand series."""
    metrics = SupervisorMetrics(tmp_path)
    junk = [(f"junk{n}", "-", "failed") for n in range(2 * MOST_IDLE)]
    metrics.tell_states([*junk, ("good", "1", "ready")])
    assert value(metrics, "tandem_model_state", model="good", version="1", state="ready") == 1
    assert value(metrics, "tandem_model_state", model="good", version="1", state="failed") == 0
    assert sum(name.startswith("tandem_model_state{") for name in samples(metrics)) == 3 * (MOST_IDLE + 1)
    metrics.tell_states(junk[-1:])
    assert value(metrics, "tandem_model_state", model=junk[-1][0], version="-", state="failed") == 1
    assert sum(name.startswith("tandem_model_state{") for name in samples(metrics)) == 3
