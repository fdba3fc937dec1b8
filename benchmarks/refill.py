"""`kill -9` of a worker: how long until the pool is complete again."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from benchmarks.harness import Bar, Bench, Figure, Measured
from benchmarks.processes import seconds_until
from benchmarks.tandem import Tandem

KILLS = 10
CONNECTED = "03"


def refill(bench: Bench) -> Measured:
    """With the four example models and nothing to do."""
    with Tandem(bench.folder("refill"), ["mpg", "boston", "am", "iris"]) as tandem:
        samples = [refill_ms(tandem) for _ in range(KILLS)]
    return Measured([Figure("worker refilled after kill -9", samples, "ms", Bar("<=", 200))])


def refill_ms(tandem: Tandem) -> float:
    """Kill one worker; milliseconds until every worker is published again.

    The web process connects to a worker when a snapshot names it, which is after the worker has answered the
    supervisor. So the pool is complete when as many workers as before have both connections.
    """
    seconds_until(lambda: len(tandem.processes("worker")) == len(_complete(tandem)) == tandem.workers, 30.0)
    before = _complete(tandem)
    victim = tandem.processes("worker")[0]
    os.kill(victim, signal.SIGKILL)
    killed = time.monotonic()
    seconds_until(lambda: len(_complete(tandem) - before) == 1 and len(_complete(tandem)) == len(before), 30.0)
    return 1e3 * (time.monotonic() - killed)


def _complete(tandem: Tandem) -> set[str]:
    """Sockets of the workers that the supervisor and the web process are connected to."""
    connections: dict[str, int] = {}
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        _, _, _, _, _, state, _, *path = line.split()
        if path and path[0].startswith(str(tandem.temporary)) and "/r-" in path[0] and state == CONNECTED:
            connections[path[0]] = connections.get(path[0], 0) + 1
    return {path for path, number in connections.items() if number >= 2}
