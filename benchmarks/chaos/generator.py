"""Load at a rate that does not wait for answers, in a process of its own: `python -m benchmarks.chaos.generator`.

The order is one line of JSON on standard input; the load ends when its phases do, or when standard input ends. Then
what became of every request is written to standard output. A request that finds no free connection waits, but its
latency is counted from when it was due, so a server that stalls is not spared the requests of that time.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
import time
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, cast

import uvloop

LOST = 0
"""The server took the request and closed the connection without an answer."""
UNREAD = 1
"""The connection could not be made, or was reset before the server had read the request."""
UNANSWERED = 2
"""Still waiting when the load had been over for so long:"""
GIVE_UP_S = 45.0

RETRY_S = 0.02
EXAMPLES = 5
LENGTH = re.compile(rb"(?i)\r\ncontent-length: (\d+)")


def schedule(phases: Sequence[Sequence[float]], even: bool, seed: int = 1) -> Iterator[float]:
    """When requests are due, in seconds from the start: of each phase so many seconds, at so many a second.

    Arrivals are spaced evenly, or at random as those of many callers who know nothing of each other.
    """
    chance = random.Random(seed)
    begun = 0.0
    for seconds, per_s in phases:
        due = begun
        while (due := due + (1 / per_s if even else chance.expovariate(per_s))) < begun + seconds:
            yield due
        begun += seconds


class _Shot:
    __slots__ = ("due", "number", "sent")

    def __init__(self, number: int, due: float) -> None:
        self.number, self.due, self.sent = number, due, 0.0


class _Connection(asyncio.Protocol):
    def __init__(self, run: Run) -> None:
        self._run = run
        self._data = b""
        self._shot: _Shot | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self, shot: _Shot) -> None:
        assert self._transport is not None
        self._shot, shot.sent = shot, time.monotonic()
        self._transport.write(self._run.requests[shot.number % len(self._run.requests)])

    def data_received(self, data: bytes) -> None:
        self._data = self._data + data if self._data else data
        end = self._data.find(b"\r\n\r\n") + 4
        if end < 4 or (length := LENGTH.search(self._data, 0, end)) is None or len(self._data) < end + int(length[1]):
            return
        whole, self._data, shot, self._shot = self._data, b"", self._shot, None
        if shot is None or self._transport is None:  # it says why it closes an idle connection
            return
        self._run.note(shot, int(whole[9:12]), whole[end:])
        if b"\r\nconnection: close" in whole[:end].lower():
            self._transport.close()
        else:
            self._run.freed(self)

    def connection_lost(self, exc: Exception | None) -> None:
        shot, self._shot = self._shot, None
        if shot is not None:
            # A server that closes a socket with unread data in it resets the connection; else it ends in good order.
            self._run.note(shot, UNREAD if exc is not None and not self._data else LOST, repr(exc).encode())
        self._run.gone(self)


class Run:
    """One load: connections, requests on their way, and what became of those that have ended."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.requests = [text.encode("latin-1") for text in order["requests"]]
        self._answers = [{text.encode("latin-1") for text in texts} for texts in order["answers"]]
        self._order = order
        self._free: list[_Connection] = []
        self._open = self._waiting = 0
        self._backlog: deque[_Shot] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._fired = 0
        self._again_until = 0.0
        self.stopped = False
        self.times = {"due": array("d"), "sent": array("d"), "done": array("d")}
        self.status = array("h")
        self.right = array("b")
        self.examples: list[str] = []
        self.started = 0.0

    def stop(self) -> None:
        """Send no more."""
        asyncio.get_running_loop().remove_reader(0)
        self.stopped = True

    async def fire(self) -> None:
        """Send everything, or until stopped; then wait for what is on its way."""
        self.started = time.monotonic()
        (seconds, per_s), *_ = phases = self._order["phases"]
        if per_s == 0:  # no rate: each connection asks again as soon as it is answered
            self._again_until = self.started + seconds
            for _ in range(self._order["connections"]):
                self._shoot(self.started)
            await self._sleep(self._again_until)
            self._again_until = 0.0
        else:
            for offset in schedule(phases, self._order["even"], self._order["seed"]):
                await self._sleep(self.started + offset)
                if self.stopped:
                    break
                self._shoot(self.started + offset)
        deadline = time.monotonic() + GIVE_UP_S
        while self._waiting and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        for _ in range(self._waiting):
            self.note(_Shot(0, time.monotonic()), UNANSWERED, b"")

    async def _sleep(self, until: float) -> None:
        while not self.stopped and (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, 0.05))

    def note(self, shot: _Shot, status: int, body: bytes) -> None:
        """What became of one request."""
        self._waiting -= 1
        for name, value in (("due", shot.due), ("sent", shot.sent), ("done", time.monotonic())):
            self.times[name].append(value - self.started)
        self.status.append(status)
        accepted = self._answers[shot.number % len(self._answers)] if self._answers else None
        right = status == 200 and (accepted is None or body in accepted)
        self.right.append(right)
        if not right and len(self.examples) < EXAMPLES:
            self.examples.append(f"{status} {body[:300]!r}")
        if time.monotonic() < self._again_until:
            if status >= 200:
                self._shoot(time.monotonic())
            else:
                asyncio.get_running_loop().call_later(RETRY_S, lambda: self._shoot(time.monotonic()))

    def freed(self, connection: _Connection) -> None:
        """A connection can take another request."""
        if self._backlog:
            connection.send(self._backlog.popleft())
        else:
            self._free.append(connection)

    def gone(self, connection: _Connection) -> None:
        """A connection has ended."""
        self._open -= 1
        if connection in self._free:
            self._free.remove(connection)
        if self._backlog:
            self._place(self._backlog.popleft())

    def _shoot(self, due: float) -> None:
        self._waiting += 1
        self._place(_Shot(self._fired, due))
        self._fired += 1

    def _place(self, shot: _Shot) -> None:
        if self._free:
            self._free.pop().send(shot)
        elif self._open < self._order["connections"]:
            self._open += 1
            task = asyncio.create_task(self._connect(shot))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._backlog.append(shot)

    async def _connect(self, shot: _Shot) -> None:
        connection = _Connection(self)
        try:
            await asyncio.get_running_loop().create_connection(lambda: connection, "127.0.0.1", self._order["port"])
        except OSError as e:
            shot.sent = time.monotonic()
            self.note(shot, UNREAD, repr(e).encode())
            self.gone(connection)
        else:
            connection.send(shot)


async def _main(order: dict[str, Any]) -> Run:
    run = Run(order)
    asyncio.get_running_loop().add_reader(0, run.stop)
    await run.fire()
    return run


if __name__ == "__main__":
    order = json.loads(sys.stdin.buffer.readline())
    sys.stdout.buffer.write(b"begun\n")
    sys.stdout.buffer.flush()
    done = uvloop.run(_main(order))
    facts = {"started": done.started, "count": len(done.right), "examples": done.examples}
    columns = [*(column.tobytes() for column in done.times.values()), done.status.tobytes(), done.right.tobytes()]
    # Not sys.stdout: where Python is told not to buffer it writes once, and what the pipe has no room for is lost.
    with open(1, "wb", closefd=False) as out:
        out.write(json.dumps(facts).encode() + b"\n" + b"".join(columns))
