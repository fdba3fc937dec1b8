"""Two pods are replaced, one after the other, while callers keep asking: nobody notices.

The order is the kubelet's and the Deployment's (maxUnavailable 0, maxSurge 1): a new pod starts; once it is ready the
gateway learns of it; an old one is deleted, upon which two things happen beside each other: the gateway is told, some
time later, and preStop sleeps; only then comes SIGTERM. Only the length of that sleep is not the manifest's.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import quantiles

import httpx
import pytest

from tests.harness.pods import Pod, pause, sign_in
from tests.harness.tandem import eventually
from tests.k8s.cluster import Cluster, aks, score

pytestmark = pytest.mark.ship
log = logging.getLogger(__name__)

CALLERS = 8
EVERY_S = 0.2
"""Each caller's pace: 40 requests a second in all."""
ENDPOINTS_AFTER_S = 1.5
"""From a pod's deletion until the gateway does without it: several controllers have to be told."""
PRE_STOP_S = 3.0
SLOW_S = 2.0

ASKED = {
    "mpg": {"wt": 2.62, "hp": 110, "cyl": "6"},
    "iris_logistic": {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2},
}


@dataclass
class Answers:
    """What became of the requests."""

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    asked_again: int = 0
    """Requests that met a connection which the gateway had just closed for being idle: nginx does so when it reads its
    configuration anew, Envoy does not. It hides nothing that a pod does: that is a status, 502 or 504."""

    def __str__(self) -> str:
        cuts = quantiles(self.seconds, n=100)
        return (
            f"{sum(self.statuses.values())} requests, {dict(self.statuses)}, median {cuts[49] * 1000:.0f} ms,"
            f" p99 {cuts[98] * 1000:.0f} ms, slowest {max(self.seconds) * 1000:.0f} ms, {self.asked_again} asked again"
        )


@contextmanager
def callers(client: Callable[[], httpx.Client], token: str) -> Iterator[Answers]:
    """Callers with a connection each, which they keep, who ask for R and Python models in turn at a steady pace."""
    answers = Answers()
    stop = threading.Event()
    lock = threading.Lock()

    def ask(client: httpx.Client, model: str) -> None:
        started = time.monotonic()
        try:
            reply = score(client, model, {"rows": [ASKED[model]]}, token)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            with lock:
                answers.asked_again += 1
            reply = score(client, model, {"rows": [ASKED[model]]}, token)
        with lock:
            answers.statuses[reply.status_code] += 1
            answers.seconds.append(time.monotonic() - started)
            if '"predictions"' not in reply.text:
                answers.wrong.append(reply.text)

    def call(number: int) -> None:
        due = time.monotonic() + number * EVERY_S / CALLERS
        models = itertools.cycle(ASKED)
        with client() as connection:
            while not stop.wait(max(0.0, due - time.monotonic())):
                ask(connection, next(models))
                due += EVERY_S

    with ThreadPoolExecutor(CALLERS) as threads:
        calls = [threads.submit(call, number) for number in range(CALLERS)]
        try:
            yield answers
        finally:
            stop.set()
    for call_ in calls:
        call_.result()  # raises what a caller could not bear: no connection, or one that broke twice


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = aks(tmp_path_factory.mktemp("rollout"))
    yield cluster
    cluster.stop()


def replace(cluster: Cluster, old: Pod, others: list[Pod]) -> Pod:
    """As a rolling update does with one pod; asserts that the old one ends in good order."""
    new = cluster.pod().start().becomes_ready()
    cluster.gateway.set(pods={"tandem": [pod.address for pod in (*others, old, new)]})
    with ThreadPoolExecutor(1) as kubelet:
        deleted = time.monotonic()
        ending = kubelet.submit(terminate, old, deleted)
        pause(ENDPOINTS_AFTER_S)
        cluster.gateway.set(pods={"tandem": [pod.address for pod in (*others, new)]})
        assert ending.result() == 0
    return new


def terminate(pod: Pod, deleted: float) -> int:
    """preStop, SIGTERM, and what is left of the grace period; the exit code."""
    pause(deleted + PRE_STOP_S - time.monotonic())
    pod.signal("TERM")
    return pod.wait(pod.grace_s - pod.pre_stop_s)


def test_the_manifest_leaves_time_for_each_step(cluster: Cluster) -> None:
    pod = cluster.pod()
    assert pod.pre_stop_s > ENDPOINTS_AFTER_S
    longest = float(pod.environment["TANDEM_DRAIN_S"]) + float(pod.environment["TANDEM_TIMEOUT_S"])
    assert pod.grace_s >= pod.pre_stop_s + longest + 25  # what docs/operations.md allows a web process that hangs


def test_nobody_notices_a_rollout(cluster: Cluster) -> None:
    first, second = cluster.pod().start(), cluster.pod().start()
    first.becomes_ready(), second.becomes_ready()
    cluster.gateway.set(pods={"tandem": [first.address, second.address]})
    with cluster.client() as client:
        token = sign_in(client, "scorer")
    assert {_me(pod, token) for pod in (first, second)} == {"scorer"}  # whichever of them signed in

    with callers(cluster.client, token) as answers:
        third = replace(cluster, first, [second])
        fourth = replace(cluster, second, [third])
        assert {_me(pod, token) for pod in (third, fourth)} == {"scorer"}

    log.info("%s", answers)
    assert set(answers.statuses) == {200}, answers.wrong[:3]
    assert not answers.wrong
    assert answers.asked_again <= CALLERS
    assert "upstream" not in cluster.gateway.log()  # nor did it have to try another pod: none was gone too early


@pytest.mark.parametrize(
    ("signal", "status", "exit_code"),
    [("TERM", 200, 0), ("KILL", 502, 137)],
    ids=["a request in work is answered after SIGTERM", "after SIGKILL it is lost, and the gateway does not hide it"],
)
def test_a_pod_ends(cluster: Cluster, signal: str, status: int, exit_code: int) -> None:
    pod = cluster.pod().start().becomes_ready()
    cluster.gateway.set(pods={"tandem": [pod.address]})
    with cluster.client() as client, ThreadPoolExecutor(1) as threads:
        token = sign_in(client, "scorer")
        slow = threads.submit(score, client, "sleeper", {"seconds": SLOW_S}, token)
        eventually(lambda: pod.metric("tandem_inflight") == 1)
        signalled = time.monotonic()
        pod.signal(signal)
        assert slow.result().status_code == status
        if status == 200:
            assert time.monotonic() - signalled > SLOW_S / 2  # it was still being computed
    assert pod.wait(pod.grace_s) == exit_code


def _me(pod: Pod, token: str) -> str:
    return httpx.get(f"{pod.url}/auth/me", headers={"authorization": f"Bearer {token}"}).json()["name"]
