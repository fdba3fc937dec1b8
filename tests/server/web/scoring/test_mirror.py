"""Which requests are copied for a mirror, and when: never where a live request would wait for it."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import pytest

from server.collect_metrics import MirrorMetrics
from server.dispatch.dispatcher import Dispatcher, Refused, Scored
from server.dispatch.messages import Lane, Refusal, Request
from server.web.scoring.mirror import Mirror
from server.web.scoring.target import Behind
from server.wire.snapshot import DeploymentState, EndpointState, Snapshot
from tests.server.web.scoring.test_collector import entry, request, scored

BLUE, GREEN = Behind("cars", "blue"), Behind("cars", "green")


class Pool:
    """A dispatcher that keeps what it is asked."""

    def __init__(self, idle: int = 2) -> None:
        self.state = SimpleNamespace(workers=idle + 1, busy={"r-1"}, queued_requests=0)
        self.asked: list[Request] = []
        self.refusal: Refusal | None = None

    def submit(self, one: Request) -> None:
        if self.refusal is not None:
            raise Refused(self.refusal)
        self.asked.append(one)


class Outcomes(MirrorMetrics):
    def __init__(self) -> None:
        self.of: Counter[str] = Counter()

    def count(self, behind: tuple[str, str], outcome: str) -> None:
        assert behind == GREEN
        self.of[outcome] += 1


class Stage:
    """An endpoint whose green deployment is a mirror."""

    def __init__(self, share: int = 50, idle: int = 2) -> None:
        self.pool, self.counts, self.pairs = Pool(idle), Outcomes(), list[tuple[Any, ...]]()
        self.mirror = Mirror(self.counts, self)
        deployments = DeploymentState("blue", "m", "1"), DeploymentState("green", "n", "1", timeout_s=3.0)
        cars = EndpointState("cars", "1", "x", mirror_traffic={"green": share}, deployments=deployments)
        snapshot = Snapshot(1, (entry("m"), entry("n")), {}, True, endpoints=(cars,))
        self.mirror.switch(snapshot, {"r": cast(Dispatcher, self.pool)}, 30.0)

    def compared(self, live: Request, by: Behind, said: Scored, copy: Request, of: Behind, answer: Scored) -> None:
        self.pairs.append((live, by, said, copy, of, answer))

    def offer(self, *ids: str) -> None:
        for one in ids:
            self.mirror.offer(request(one), BLUE, scored())


def test_the_share_that_was_asked_for_is_copied() -> None:
    stage = Stage(20)
    for n in range(5000):
        stage.offer(f"{n}")
        if stage.pool.asked and stage.pool.asked[-1].reply_to is not None:
            stage.pool.asked[-1].reply_to.scored(scored())
            stage.pool.asked[-1].reply_to = None
    assert abs(len(stage.pool.asked) - 1000) < 150
    assert stage.counts.of["answered"] == len(stage.pool.asked) == len(stage.pairs)


def test_a_copy_is_tried_once_and_nobody_answers_for_it() -> None:
    stage = Stage(50)
    stage.offer(*map(str, range(20)))
    [copy] = stage.pool.asked
    assert copy.lane is Lane.BATCH
    assert (copy.attempts, copy.pinned, copy.model_key, copy.principal) == (1, True, "n-key", "mirror of cars")
    assert 2.5 < copy.deadline - copy.arrived <= 3.0


def test_one_copy_is_on_its_way_at_a_time() -> None:
    stage = Stage(50)
    stage.offer(*map(str, range(100)))
    assert len(stage.pool.asked) == 1 and stage.counts.of["busy"] > 20
    stage.pool.asked[0].reply_to.failed(Refused(Refusal.DEADLINE))
    stage.offer(*map(str, range(100)))
    assert len(stage.pool.asked) == 2 and stage.counts.of["deadline_exceeded"] == 1


@pytest.mark.parametrize(("idle", "queued"), [(1, 0), (0, 0), (2, 1)])
def test_the_last_idle_worker_is_left_to_live_requests(idle: int, queued: int) -> None:
    stage = Stage(50, idle)
    stage.pool.state.queued_requests = queued
    stage.offer(*map(str, range(100)))
    assert not stage.pool.asked and stage.counts.of["busy"] > 20


def test_a_refusal_ends_the_copy_and_no_more() -> None:
    stage = Stage(50)
    stage.pool.refusal = Refusal.QUEUE_FULL
    stage.offer(*map(str, range(100)))
    assert stage.counts.of["queue_full"] > 20 and not stage.pairs


def test_what_the_mirror_itself_was_asked_is_not_copied() -> None:
    stage = Stage(50)
    for n in range(100):
        stage.mirror.offer(request(f"{n}"), GREEN, scored())
        stage.mirror.offer(request(f"{n}"), Behind("trucks", "blue"), scored())
    assert not stage.pool.asked and not stage.counts.of
