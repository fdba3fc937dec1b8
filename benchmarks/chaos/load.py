"""The parent's side of the load: ordering it, and what the figures are made of."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
import orjson

from benchmarks.chaos import generator
from benchmarks.chaos.checks import percentile
from benchmarks.harness import ROOT, BenchmarkError

Phase = tuple[float, float]
"""So many seconds, at so many requests a second."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as its bytes, and the bodies that are exactly right as its answer."""

    request: bytes
    answers: frozenset[bytes] = frozenset()


class Result:
    """What became of every request, in the order of their ends; times in seconds from the start of the load."""

    def __init__(self, facts: dict[str, Any], columns: dict[str, Any]) -> None:
        self._facts, self._columns = facts, columns
        self.due, self.sent, self.done = (columns[name] for name in ("due", "sent", "done"))
        self.status, self.right = columns["status"], columns["right"].astype(bool)

    @property
    def started(self) -> float:
        return float(self._facts["started"])

    @property
    def examples(self) -> list[str]:
        """Some of the answers that were not right."""
        return list(self._facts["examples"])

    def due_between(self, begin_s: float, end_s: float) -> Result:
        mask = (self.due >= begin_s) & (self.due < end_s)
        return Result(self._facts, {name: column[mask] for name, column in self._columns.items()})

    def statuses(self) -> dict[str, int]:
        names = {generator.LOST: "lost", generator.UNREAD: "unread", generator.UNANSWERED: "unanswered"}
        return {names.get(status, str(status)): n for status, n in sorted(Counter(self.status.tolist()).items())}

    @property
    def failed(self) -> int:
        return int((self.status != 200).sum())

    @property
    def wrong(self) -> int:
        """Answered 200, and not exactly what was to be answered."""
        return int(((self.status == 200) & ~self.right).sum())

    def count(self, *statuses: int) -> int:
        return int(np.isin(self.status, statuses).sum())

    def latency_ms(self, percent: float) -> float:
        return percentile(self.latencies_ms(), percent)

    def latencies_ms(self) -> list[float]:
        """From when each request was due to its right answer."""
        return list((1e3 * (self.done - self.due)[self.right]).tolist())

    def refused_ms(self) -> list[float]:
        """From when each refused request was sent to its refusal."""
        return list((1e3 * (self.done - self.sent))[np.isin(self.status, (429, 503))].tolist())

    def sent_late_ms(self, percent: float) -> float:
        """What the generator itself, or its want of a free connection, adds to the latency."""
        return percentile((1e3 * (self.sent - self.due)).tolist(), percent)

    def goodput_per_s(self, begin_s: float, end_s: float) -> float:
        """Right answers a second."""
        return float((self.right & (self.done >= begin_s) & (self.done < end_s)).sum()) / (end_s - begin_s)


class Load:
    """A load that runs in a process of its own until its phases are over or it is stopped."""

    def __init__(
        self, port: int, asked: Sequence[Asked], phases: Sequence[Phase], connections: int = 64, even: bool = False
    ) -> None:
        order = {
            "port": port,
            "requests": [one.request.decode("latin-1") for one in asked],
            "answers": [[body.decode("latin-1") for body in one.answers] for one in asked],
            "phases": phases,
            "connections": connections,
            "even": even,
            "seed": 1,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.chaos.generator"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._stdin.write(orjson.dumps(order) + b"\n")
        self._stdin.flush()
        self._stdout.readline()  # it has begun

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        with self._process:
            self._process.kill()

    def stop(self) -> Result:
        """Send no more; what became of everything."""
        self._stdin.close()
        return self.result()

    def result(self) -> Result:
        """When its phases are over: what became of everything."""
        line = self._stdout.readline()
        if not line:
            raise BenchmarkError("the load generator failed")
        facts = orjson.loads(line)
        types = {"due": "f8", "sent": "f8", "done": "f8", "status": "i2", "right": "i1"}
        sizes = {name: facts["count"] * np.dtype(kind).itemsize for name, kind in types.items()}
        return Result(facts, {n: np.frombuffer(self._stdout.read(sizes[n]), kind) for n, kind in types.items()})


def run(
    port: int, asked: Sequence[Asked], phases: Sequence[Phase], connections: int = 64, even: bool = False
) -> Result:
    with Load(port, asked, phases, connections, even) as load:
        return load.result()


def capacity_per_s(port: int, asked: Sequence[Asked], seconds: float, connections: int = 16) -> float:
    """Right answers a second to so many callers who ask again as soon as they are answered."""
    result = run(port, asked, [(seconds, 0.0)], connections)
    return result.goodput_per_s(0.1 * seconds, seconds)
