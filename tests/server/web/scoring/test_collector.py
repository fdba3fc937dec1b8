"""What becomes of a request's copy in the web process, without a recorder: it is sent, or counted as what it is."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

from server.collect_metrics import CollectMetrics
from server.dispatch.dispatcher import Scored
from server.dispatch.messages import Request
from server.web.scoring.collector import BUFFER_BYTES, Collector, collected
from server.web.scoring.target import Behind
from server.wire.collect import HEAD, LARGEST_BYTES, Collect, Frames, Kind, request_of
from server.wire.frames import Member, Pieces, ReplyPayload, Result
from server.wire.snapshot import DeploymentState, EndpointState, Entry, Snapshot

SCHEMA = {"inputs": [{"name": "x", "type": "numeric"}], "outputs": [{"name": "y", "type": "number"}]}


def entry(name: str = "m", **more: Any) -> Entry:
    return Entry(name, "1", "r", "r", "ready", f"{name}-key", f"{name}.rds", False, 1, 0.0, schema=SCHEMA, **more)


def said(**collect: Any) -> dict[str, Any]:
    return Collect(**collect).to_data()


def request(request_id: str = "a", body: bytes | Pieces = b'{"rows":[{"x":1}]}', model: str = "m") -> Request:
    return Request("r", model, f"{model}-key", Member(body, request_id=request_id.encode()), len(body), 0.0, 0.0)


def scored(body: bytes = b'{"predictions":[2]}') -> Scored:
    result = Result(0, 1, body)
    return Scored(result, ReplyPayload(0, 0.5, 0, [result]), 0.25, 1)


class Counts(CollectMetrics):
    """Counts in memory."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()

    def count(self, model: str, outcome: str) -> None:
        self.outcomes[outcome] += 1

    def sent(self, model: str, count: int) -> None:
        self.outcomes["sent"] += count


class Pipe:
    """A connection to a recorder, which has taken all but `waiting` bytes."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.waiting = 0

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def get_write_buffer_size(self) -> int:
        return self.waiting


def played(
    scene: Callable[[Collector, Pipe], None], *entries: Entry, endpoints: tuple[EndpointState, ...] = ()
) -> tuple[Counter[str], list[bytes]]:
    """What was counted and written when a scene has been played."""
    counts, pipe = Counts(), Pipe()

    async def run() -> None:
        collector = Collector(None, counts)
        collector.connection_made(cast(asyncio.Transport, pipe))
        collector.switch(Snapshot(1, entries, {}, complete=True, endpoints=endpoints), {}, 30.0)
        scene(collector, pipe)
        await asyncio.sleep(0)

    asyncio.run(run())
    return counts.outcomes, pipe.writes


def test_requests_of_one_turn_are_one_write_and_say_once_what_their_model_is() -> None:
    def scene(collector: Collector, _: Pipe) -> None:
        collector.add(request("a"), None, "ok", scored())
        collector.add(request("b", Pieces([b'{"rows"', b':[{"x":1}]}'], 18)), None, "invalid_input", None)

    counts, writes = played(scene, entry(collect=said()))
    assert counts == {"sent": 2}
    [write] = writes
    frames = list(Frames().feed(write))
    assert [kind for kind, _ in frames] == [Kind.DESCRIPTION, Kind.REQUEST, Kind.REQUEST]
    first, second = (request_of(data[HEAD.size :]) for _, data in frames[1:])
    assert (first.body, first.answer, first.rows) == (b'{"rows":[{"x":1}]}', b'{"predictions":[2]}', 1)
    assert (first.queue_s, first.predict_s, first.code) == (0.25, 0.5, b"ok")
    assert (second.body, second.answer, second.code) == (first.body, b"", b"invalid_input")


def test_a_share_is_the_share_that_was_asked_for_even_of_ids_that_count_up() -> None:
    def scene(collector: Collector, _: Pipe) -> None:
        for n in range(20_000):
            collector.add(request(f"request-{n}"), None, "ok", scored())

    counts, _ = played(scene, entry(collect=said(sampling=0.1)))
    assert counts["sent"] + counts["not_sampled"] == 20_000
    assert abs(counts["sent"] - 2000) < 5 * (20_000 * 0.1 * 0.9) ** 0.5


def test_nothing_or_all_can_be_asked_for() -> None:
    def scene(collector: Collector, _: Pipe) -> None:
        for n in range(500):
            collector.add(request(f"{n}"), None, "ok", scored())

    assert played(scene, entry(collect=said(sampling=0.0)))[0] == {"not_sampled": 500}
    assert played(scene, entry(collect=said(sampling=1.0)))[0] == {"sent": 500}


def test_what_cannot_be_sent_is_counted_and_nothing_waits() -> None:
    def scene(collector: Collector, pipe: Pipe) -> None:
        collector.add(request(body=b"x" * LARGEST_BYTES), None, "ok", scored())
        pipe.waiting = BUFFER_BYTES - 10
        collector.add(request(), None, "ok", scored())
        collector.on = False
        collector.connection_lost(None)
        collector.add(request(), None, "ok", scored())

    assert played(scene, entry(collect=said()))[0] == {"too_large": 1, "buffer_full": 1, "no_recorder": 1}


def test_what_waits_within_a_turn_is_bounded_too() -> None:
    def scene(collector: Collector, _: Pipe) -> None:
        for _n in range(40):
            collector.add(request(body=b"x" * (LARGEST_BYTES // 2)), None, "ok", scored())

    counts, writes = played(scene, entry(collect=said()))
    assert counts["buffer_full"] > 0 and sum(map(len, writes)) <= BUFFER_BYTES + LARGEST_BYTES


def test_failures_can_be_left_out() -> None:
    def scene(collector: Collector, _: Pipe) -> None:
        collector.add(request(), None, "model_failed", None)

    assert played(scene, entry(collect=said(failures=False)))[0] == {"not_sampled": 1}


def test_a_deployment_is_collected_as_it_says_or_else_as_its_model_says() -> None:
    blue = DeploymentState("blue", "m", "1", collect=said(sampling=0.5))
    green, red = DeploymentState("green", "m", "1"), DeploymentState("red", "n", "1")
    cars = EndpointState("cars", "1", "x", deployments=(blue, green, red))
    found = collected(Snapshot(1, (entry(collect=said()), entry("n")), {}, True, endpoints=(cars,)))
    of = {key: one.threshold / 2**32 for key, one in found.items()}
    assert of == {
        ("m-key", None): 1.0,
        ("m-key", Behind("cars", "blue")): 0.5,
        ("m-key", Behind("cars", "green")): 1.0,
    }


def test_where_nothing_is_collected_it_is_off() -> None:
    def scene(collector: Collector, _: Pipe) -> None:
        assert not collector.on
        collector.add(request(), None, "ok", scored())

    assert played(scene, entry()) == ({}, [])
