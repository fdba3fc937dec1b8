"""Whether a model that was read in one process can be called in a fork of it, as it is in workers.

A library may have started threads as it read the model, which a fork does not have: LightGBM's calls then wait for them
for ever. So a probe has a fork of its own call the model; one that waits without computing is found out in seconds.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from server.machine import sandbox

STUCK_S = 3.0
"""Seconds after which a fork that computes nothing is stuck, unless the calls took longer in the process before."""
LONGEST_S = 10.0
PATIENCE = 5
"""Calls in a fork may compute this many times as long as before, and LONGEST_S more, before they are given up."""
ENOUGH_S = 1.0
"""How long what is not the first that anybody asks for may take."""
PAUSE_S = 0.05
LOOK_EVERY_S = 0.1

REASON = (
    "called in a fork of the process that read it, it does not answer: its library starts threads, which do not live "
    "on in a fork; so each of its workers reads it by itself"
)

Call = Callable[[], object]


def survives(calls: Sequence[Call], more: Sequence[Call] = ()) -> bool:
    """Whether these calls, which return or raise Exceptions here, do so in a fork too, one after another and again.

    They are made here first; of `more`, those that there is time for. False where the fork is stuck or dies.
    """
    started = time.perf_counter()
    _make(calls)
    more = _made_in_time(more)
    took_s = time.perf_counter() - started
    done, report = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            sandbox.lock_signals()
            _make([*calls, *more])
            time.sleep(PAUSE_S)
            _make(calls)
            os.write(report, b"1")
        finally:
            os._exit(0)
    os.close(report)
    answered = _answered(pid, done, took_s)
    os.close(done)
    if not answered:
        try:
            os.kill(pid, signal.SIGKILL)
        except PermissionError:  # on older kernels nobody in the sandbox may signal anybody: it ends with the probe
            return False
    os.waitpid(pid, 0)
    return answered


def _make(calls: Sequence[Call]) -> None:
    for call in calls:
        with suppress(Exception):
            call()


def _made_in_time(calls: Sequence[Call]) -> list[Call]:
    started, made = time.perf_counter(), []
    for call in calls:
        if time.perf_counter() - started > ENOUGH_S:
            break
        _make([call])
        made.append(call)
    return made


def _answered(pid: int, done: int, took_s: float) -> bool:
    computed, since = 0.0, time.monotonic()
    while True:
        if select.select([done], [], [], LOOK_EVERY_S)[0]:
            return bool(os.read(done, 1))
        now, computing = time.monotonic(), _computed_s(pid)
        if computing > computed:
            computed, since = computing, now
        if now - since > max(STUCK_S, PATIENCE * took_s) or computed > LONGEST_S + PATIENCE * took_s:
            return False


def _computed_s(pid: int) -> float:
    """The processor's seconds that another process has used, by its clock (clock_getcpuclockid)."""
    return time.clock_gettime((~pid << 3) | 2)
