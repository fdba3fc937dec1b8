"""Workers killed again and again under load, and what a hundred kills leave behind."""

from __future__ import annotations

import os
import random
import signal
import time

from benchmarks.chaos.checks import NONE
from benchmarks.chaos.load import Load, capacity_per_s
from benchmarks.chaos.stage import (
    ONE_BY_ONE,
    SERVICE_MS,
    SLOW,
    asked_of_cars,
    descriptors,
    processes,
    run_files,
    stage,
    zombies,
)
from benchmarks.harness import Bar, Bench, BenchmarkError, Figure, Measured
from benchmarks.processes import seconds_until
from benchmarks.tandem import Tandem

LOAD = 0.6
MARGIN_MS = 50.0
LEAVE_S = 5.0
SETTLE_S = 1.0
"""A web process opens the files of its metrics within this time of its first answers."""
LASTING = ("supervisor", "template", "web", "gunicorn")
"""Processes that live through all kills."""


def kill(bench: Bench) -> Measured:
    """A worker SIGKILLed every 2 s for a minute at 60 % of what the server can bear; then kills without a pause."""
    undisturbed_s, disturbed_s, every_s = bench.pick((15.0, 60.0, 2.0), (1.0, 2.5, 0.5))
    chance = random.Random(1)
    with stage(bench, "kill", {"slow": SLOW}, **ONE_BY_ONE) as tandem:
        asked = asked_of_cars(tandem, "slow")
        per_s = LOAD * capacity_per_s(tandem.port, [asked], bench.pick(5.0, 0.6))
        time.sleep(SETTLE_S)
        before = _belongings(tandem)
        with Load(tandem.port, [asked], [(undisturbed_s + disturbed_s, per_s)]) as load:
            time.sleep(undisturbed_s)  # what the kills are compared with
            killed = int(disturbed_s / every_s)
            for _ in range(killed):
                os.kill(chance.choice(tandem.processes("worker")), signal.SIGKILL)
                time.sleep(every_s)  # the pace of the kills is the scenario's
            result = load.result()
        for _ in range(bench.pick(100, 8) - killed):
            _kill_and_wait(tandem, chance)
        left = _left(tandem, before)
    undisturbed = result.due_between(0, undisturbed_s).latency_ms(99)
    limit = Bar("<=", undisturbed + SERVICE_MS + MARGIN_MS)
    p99 = result.due_between(undisturbed_s, undisturbed_s + disturbed_s).latency_ms(99)
    return Measured(
        [
            Figure("workers killed under load: failed answers", [result.failed], "", NONE),
            Figure("workers killed under load: wrong answers", [result.wrong], "", NONE),
            Figure("workers killed under load: p99", [p99], "ms", limit),
            Figure("workers killed under load: p99 undisturbed", [undisturbed], "ms"),
            *(Figure(f"{bench.pick(100, 8)} kills: {what} left behind", [n], "", NONE) for what, n in left.items()),
        ],
        {"kill": {"per_s": per_s, "statuses": result.statuses(), "examples": result.examples}},
    )


def _kill_and_wait(tandem: Tandem, chance: random.Random) -> None:
    """Kill one worker and wait until there are as many again."""
    before = tandem.processes("worker")
    victim = chance.choice(before)
    os.kill(victim, signal.SIGKILL)
    seconds_until(lambda: victim not in (now := tandem.processes("worker")) and len(now) == len(before), 30.0, 0.01)


def _belongings(tandem: Tandem) -> dict[str, int]:
    return {
        **{f"descriptors of {kind}": sum(descriptors(tandem, kind).values()) for kind in LASTING},
        "zombies": zombies(tandem),
        "files": run_files(tandem),
        "processes": len(processes(tandem)),
    }


def _left(tandem: Tandem, before: dict[str, int]) -> dict[str, int]:
    """What there is more than before, once all that leaves has left."""
    try:
        seconds_until(lambda: _belongings(tandem) == before, LEAVE_S, 0.1)
    except BenchmarkError:
        return {what: max(0, n - before[what]) for what, n in _belongings(tandem).items()}
    return dict.fromkeys(before, 0)
