"""A worker between its calls: gives freed memory back, and knows when it is worn and should be replaced."""

from __future__ import annotations

import gc
import math
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

from server.machine.memory import Hoard, Meter
from server.workers import memory
from server.workers.captured_output import Printed, take_over
from server.workers.runtime import Runtime

LOOK_EVERY_S = 10.0
MIN_AGE_S = 60.0
JITTER = 0.1


class Wear:
    """How worn this worker is: by the calls it has made, or by memory that it has gained and does not give back.

    `max_calls` of 0 means that calls do not wear it, a `ceiling_bytes` of 0 that memory does not. A page of the
    template that this worker has written to is no gain: a full collection of R's writes to every object of every
    model, and so it would in the next worker.
    """

    def __init__(
        self, meter: Meter, max_calls: int, ceiling_bytes: int, clock: Callable[[], float] = monotonic
    ) -> None:
        self._meter = meter
        self._clock = clock
        # Jitter, or all workers would go at once; and not from the generator that all forks have a copy of.
        self._max_calls = max_calls * random.SystemRandom().uniform(1 - JITTER, 1 + JITTER) if max_calls else math.inf
        self._calls = 0
        self._most_bytes = meter.anonymous_bytes() + ceiling_bytes // 2 if ceiling_bytes else math.inf
        self._oldest = self._next_look = clock() + MIN_AGE_S

    def called(self) -> None:
        """Count a call of a model."""
        self._calls += 1

    def worn(self, give_back: Callable[[], object], at_rest: bool = False) -> bool:
        """Whether the worker should be replaced now. Looks at its memory when it is `at_rest`, else now and then.

        Not soon after the start: a model that always needs so much must not have its workers replaced all the time.
        """
        if self._calls >= self._max_calls:
            return True
        if self._most_bytes == math.inf:
            return False
        now = self._clock()
        if now < self._oldest or (now < self._next_look and not at_rest):
            return False
        self._next_look = now + LOOK_EVERY_S
        if self._meter.anonymous_bytes() <= self._most_bytes:
            return False
        give_back()
        return self._meter.anonymous_bytes() > self._most_bytes


class Upkeep:
    """What a worker does for itself. The loop says when."""

    def __init__(self, runtime: Runtime, meter: Meter, wear: Wear, printed: Printed) -> None:
        self._runtime = runtime
        self._wear = wear
        self._hoard = Hoard(meter)
        self._printed = printed

    def called(self) -> bool:
        """Note a call of a model; True if the worker should be replaced now."""
        self._wear.called()
        return self._wear.worn(self._give_back)

    def on_idle(self) -> bool:
        """Note that nothing has come for a while; True if the worker should be replaced now."""
        self._printed.on_idle()
        self._runtime.on_idle()
        self._hoard.give_back(self._free)
        return self._wear.worn(self._give_back, at_rest=True)

    def _give_back(self) -> None:
        self._hoard.give_back(self._free, grown_bytes=0)

    def _free(self) -> None:
        self._runtime.free()
        gc.collect()


@dataclass(frozen=True, slots=True)
class Budget:
    """What each fork of a template may use: memory beyond the template's own, and calls until it is worn (0: any)."""

    ceiling_bytes: int
    max_calls: int


class ForkLimits:
    """The memory and the calls that one fork may still use, counted from the fork."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._meter = Meter()
        self._printed = take_over()

    def limit(self, runtime: Runtime, files: Sequence[str] = ()) -> None:
        """Limit memory to the ceiling, and to what reading these model files takes."""
        if runtime.on_gpu:
            return
        ceiling_bytes = self._budget.ceiling_bytes + memory.reading_bytes(files)
        runtime.limit_memory(ceiling_bytes)
        memory.limit(self._meter, ceiling_bytes, 2 * int(os.environ.get("OMP_NUM_THREADS", "1")))

    def upkeep(self, runtime: Runtime) -> Upkeep:
        """The upkeep of a worker that has its models."""
        calls, ceiling_bytes = self._budget.max_calls, self._budget.ceiling_bytes
        wear = Wear(self._meter, 0, 0) if runtime.on_gpu else Wear(self._meter, calls, ceiling_bytes)
        return Upkeep(runtime, self._meter, wear, self._printed)
