"""Load without wrk, for large bodies and few answers a second: processes of threads, each with a connection.

Every answer is compared. A client that shares two cores with a server needs wrk instead (`benchmarks.wrk`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice
from multiprocessing import get_context
from statistics import median
from types import TracebackType
from typing import Self

import orjson

from benchmarks.harness import BenchmarkError
from benchmarks.http import Connection, Reply

PROCESSES = 4
SETTLING_S = 0.3
"""All processes begin together, so long after they were told to."""


@dataclass(frozen=True, slots=True)
class Target:
    """What to send where, and each body's probabilities by label, within `tolerance` of which an answer's must be."""

    port: int
    path: str
    bodies: Sequence[bytes]
    content_type: str
    probabilities: Sequence[Mapping[str, float]]
    tolerance: float
    token: str | None = None


class ClientLoad:
    """Client processes that are kept from one measurement to the next."""

    def __enter__(self) -> Self:
        self._pool = ProcessPoolExecutor(PROCESSES, get_context("spawn"))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._pool.shutdown()

    def requests_per_s(self, target: Target, connections: int, seconds: float) -> float:
        """Answers a second over all connections. Raises BenchmarkError if one of them is not right."""
        shares = [connections // PROCESSES + (i < connections % PROCESSES) for i in range(PROCESSES)]
        start = time.monotonic() + SETTLING_S
        runs = [self._pool.submit(drive, target, share, start, seconds) for share in shares if share]
        return sum(len(run.result()) for run in runs) / seconds

    def median_latency_s(self, target: Target, seconds: float) -> float:
        """Over one connection."""
        times = self._pool.submit(drive, target, 1, time.monotonic(), seconds).result()
        if not times:
            raise BenchmarkError(f"no answer within {seconds:g} s")
        return median(times)


def drive(target: Target, connections: int, start: float, seconds: float) -> list[float]:
    """One client process: the seconds that each answer took that came in time."""
    time.sleep(max(0.0, start - time.monotonic()))  # all client processes begin at one moment
    with ThreadPoolExecutor(connections) as threads:
        runs = [threads.submit(_one_connection, target, number, start + seconds) for number in range(connections)]
        return [took for run in runs for took in run.result()]


def _one_connection(target: Target, number: int, end: float) -> list[float]:
    """Bodies in turn; each connection begins with another."""
    times: list[float] = []
    with Connection(target.port, target.token) as connection:
        requests = [connection.posting(target.path, body, target.content_type) for body in target.bodies]
        turns = islice(cycle(zip(requests, target.probabilities, strict=True)), number % len(requests), None)
        for request, probabilities in turns:
            reply = connection.send(request)
            if time.monotonic() > end:
                break
            check(reply, probabilities, target.tolerance)
            times.append(reply.seconds)
    return times


def check(reply: Reply, probabilities: Mapping[str, float], tolerance: float) -> None:
    """Raises BenchmarkError unless every label of a ranking has the probability that the library says."""
    ranking = orjson.loads(reply.body)["predictions"][0] if reply.status == 200 else []
    if not ranking or any(abs(one["probability"] - probabilities[one["label"]]) > tolerance for one in ranking):
        raise BenchmarkError(f"an answer that is not right: {reply.status} {reply.body[:500]!r}")
