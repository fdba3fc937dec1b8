"""`kill -9` of a worker: how long until the pool is complete again."""

from __future__ import annotations

import os
import signal
import time

from benchmarks.harness import Bar, Bench, Figure, Measured
from benchmarks.processes import seconds_until
from benchmarks.tandem import Tandem

KILLS = 10


def refill(bench: Bench) -> Measured:
    """With the four example models and nothing to do."""
    with Tandem(bench.folder("refill"), ["mpg", "boston", "am", "iris"]) as tandem:
        samples = [refill_ms(tandem) for _ in range(KILLS)]
    return Measured([Figure("worker refilled after kill -9", samples, "ms", Bar("<=", 200))])


def refill_ms(tandem: Tandem) -> float:
    """Kill one worker; milliseconds until every worker is published again."""
    tandem.wait_complete()
    before = tandem.published()
    victim = tandem.processes("worker")[0]
    os.kill(victim, signal.SIGKILL)
    killed = time.monotonic()
    seconds_until(lambda: len(now := tandem.published()) == len(before) and now != before, 30.0)
    return 1e3 * (time.monotonic() - killed)
