"""Every query of the dashboards, rules and scalers has data, from a real Prometheus that scrapes real servers."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import httpx
import pytest

from tests.harness.observed import Prometheus, Traffic, observed
from tests.harness.tandem import Tandem, eventually
from tests.k8s import queries

pytestmark = pytest.mark.ship

ON_NO_PANEL: dict[str, str] = {}
"""Metrics that are served and shown nowhere, each with its reason."""

Observed = tuple[Prometheus, Traffic, tuple[Tandem, ...]]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    with observed(tmp_path_factory.mktemp("observed")) as everything:
        yield everything


def test_the_load_met_every_outcome_that_can_be_had_at_will(running: Observed) -> None:
    _, traffic, _ = running
    told = {"invalid_input", "unauthenticated", "queue_full", "deadline_exceeded", "model_failed", "worker_crashed"}
    assert traffic.codes >= {"ok", "remote_unavailable", *told}


def test_every_query_has_data(running: Observed) -> None:
    prometheus, _, _ = running
    every = [*queries.of_panels(), *queries.of_variables(), *queries.of_rules(), *queries.of_scalers()]

    def all_have_data() -> bool:
        lacking = [(query.where, part) for query in every if (part := prometheus.complaint(query.expr)) is not None]
        assert not lacking, lacking
        return True

    eventually(all_have_data, every_s=1)  # a rate takes two scrapes with an event between them


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("tandem_queue_wait_seconds", "tandem_queue_waiting_seconds"),
        ("remote_unavailable", "remote_unavailible"),
        ("too_many_connections", "too_many_conections"),
        ("tandem_remote_up", "tandem_remotes_up"),
        ("by (le, runtime)", "by (runtime)"),
    ],
)
def test_a_misspelt_name_is_found(running: Observed, right: str, wrong: str) -> None:
    prometheus, _, _ = running
    every = [query.expr for query in (*queries.of_panels(), *queries.of_rules()) if right in query.expr]
    assert every
    for expr in every:
        assert prometheus.complaint(expr.replace(right, wrong)) is not None, expr


def test_every_metric_is_on_a_panel(running: Observed) -> None:
    _, _, servers = running
    served = {
        line.split()[2].removesuffix("_total")
        for server in servers
        for line in httpx.get(server.metrics_url).text.splitlines()
        if line.startswith("# TYPE ") and not line.split()[2].endswith("_created")
    }
    shown = {name for query in queries.of_panels() for name in queries.metrics(query.expr)}
    shown = {re.sub("_(total|bucket|sum|count)$", "", name) for name in shown}
    assert served - shown == set(ON_NO_PANEL)


def test_promtool_finds_no_fault_with_the_metrics(running: Observed) -> None:
    _, _, servers = running
    for server in servers:
        text = httpx.get(server.metrics_url).text
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_alerts_say_what_they_are_about(running: Observed) -> None:
    prometheus, _, _ = running
    told = [
        (one["labels"]["alertname"], one["annotations"]["description"]) for one in prometheus.get("alerts")["alerts"]
    ]
    assert [text for name, text in told if name == "TandemModelRefused" and " of broken in tandem " in text]
    assert [text for name, text in told if name == "TandemRemoteDown" and " the remote lost." in text]
    assert not [text for name, text in told if name == "TandemModelRefused" and " of petals in " in text]
    assert not [text for _, text in told if "no value" in text]
