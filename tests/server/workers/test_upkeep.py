"""When a worker is worn: by calls, by memory that it does not give back, and never all the time."""

from __future__ import annotations

import subprocess
import sys

from server.workers.upkeep import JITTER, LOOK_EVERY_S, MIN_AGE_S, Wear

CEILING = 1000
TEMPLATES = 5000
"""What the template held when the worker was forked."""


class FakeMeter:
    """Memory that a test sets; `freed` of it goes where it is given back."""

    def __init__(self) -> None:
        self.held = TEMPLATES
        self.freed = 0
        self.looks = 0

    def anonymous_bytes(self) -> int:
        self.looks += 1
        return self.held

    def give_back(self) -> None:
        self.held -= self.freed


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def wear(max_calls: int = 0, ceiling_bytes: int = CEILING) -> tuple[Wear, FakeMeter, Clock]:
    meter, clock = FakeMeter(), Clock()
    return Wear(meter, max_calls, ceiling_bytes, clock), meter, clock  # type: ignore[arg-type]  # a meter to this test


def calls_until_worn(max_calls: int) -> int:
    worn, meter, _ = wear(max_calls)
    for call in range(1, 10 * max_calls):
        worn.called()
        if worn.worn(meter.give_back):
            return call
    raise AssertionError("never worn")


def test_calls_wear_a_worker_out_and_not_all_workers_at_once() -> None:
    lives = {calls_until_worn(100) for _ in range(50)}
    assert len(lives) > 5
    assert min(lives) >= 100 * (1 - JITTER)
    assert max(lives) <= 100 * (1 + JITTER) + 1


def test_without_a_limit_no_number_of_calls_wears_a_worker_out() -> None:
    worn, meter, _ = wear(max_calls=0)
    for _ in range(1000):
        worn.called()
    assert not worn.worn(meter.give_back)


def test_memory_beyond_half_the_ceiling_that_does_not_go_down_wears_a_worker_out() -> None:
    worn, meter, clock = wear()
    clock.now, meter.held = MIN_AGE_S, TEMPLATES + CEILING // 2 + 1
    assert worn.worn(meter.give_back)


def test_memory_that_can_be_given_back_does_not() -> None:
    worn, meter, clock = wear()
    clock.now, meter.held, meter.freed = MIN_AGE_S, TEMPLATES + CEILING, CEILING // 2
    assert not worn.worn(meter.give_back)
    assert meter.held == TEMPLATES + CEILING // 2


def test_a_young_worker_is_not_worn_whatever_its_memory() -> None:
    """Or a model that needs more than half the ceiling would have its workers replaced without end."""
    worn, meter, clock = wear()
    clock.now, meter.held = MIN_AGE_S - 1, TEMPLATES + 2 * CEILING
    assert not worn.worn(meter.give_back, at_rest=True)


def test_memory_is_looked_at_now_and_then_and_always_at_rest() -> None:
    worn, meter, clock = wear()
    clock.now = MIN_AGE_S
    for _ in range(100):
        worn.worn(meter.give_back)
    assert meter.looks == 2, "once as it began and once since"
    clock.now += LOOK_EVERY_S
    worn.worn(meter.give_back)
    assert meter.looks == 3
    worn.worn(meter.give_back, at_rest=True)
    assert meter.looks == 4


def test_a_worker_whose_full_collection_unshared_the_models_is_not_worn_and_one_that_grew_is() -> None:
    """In a fork of real R: the collection writes to every object that the template made."""
    code = """
import os
from pathlib import Path
from server.machine.memory import Meter, private_bytes
from server.workers.r import embedded
from server.workers.upkeep import MIN_AGE_S, Wear
embedded.start()
import rpy2.rinterface as ri
ri.evalr("model <- lapply(seq_len(1e6), function(i) c(i, i))")
embedded.collect_garbage()
pid = os.fork()
if pid:
    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
now = [0.0]
worn = Wear(Meter(), 0, 80 << 20, lambda: now[0])
now[0] = MIN_AGE_S
mine = lambda: private_bytes(Path("/proc/self/smaps_rollup").read_bytes())
shared = mine()
ri.evalr("invisible(gc(full = TRUE))")
unshared = mine() - shared
unsharing_wears = worn.worn(embedded.collect_young_garbage, at_rest=True)
ri.evalr("kept <- lapply(seq_len(1e6), function(i) c(i, i))")
print(unshared > 40 << 20, unsharing_wears, worn.worn(embedded.collect_young_garbage, at_rest=True), flush=True)
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.returncode) == ("True False True\n", 0), done.stderr


def test_what_was_collected_a_moment_ago_is_not_collected_a_hundred_times_again() -> None:
    """Each change of a model did, which took R most of a second; and a fork must still have many until it unshares."""
    code = """
from server.workers.r import embedded
embedded.start()
embedded.collect_garbage()
before = embedded._collections()
embedded.collect_garbage()
again = embedded._collections()
for _ in range(embedded.MANY_LEFT - 10):
    young, full = embedded._collections()
print(again[0] - before[0] < 10, full - again[1])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.returncode) == ("True 0\n", 0), done.stderr
