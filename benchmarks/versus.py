"""This checkout against another one, turn about: `VERSUS=../other .venv/bin/python -m benchmarks.run versus`.

The other checkout is ready to serve: it has its `.venv`, with the packages of its own lock. Both serve this checkout's
example models, and get the same load.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.harness import ROOT, Bar, Bench, Figure, Measured, ratios, take_turns
from benchmarks.one_row import CONNECTIONS, DIFFERENT_ROWS, prepared
from benchmarks.plain_r import PlainR
from benchmarks.processes import cpu_s
from benchmarks.rows import cars
from benchmarks.tandem import Tandem
from benchmarks.wrk import Load

MICROSECONDS = 1e6


def versus(bench: Bench) -> Measured:
    """The `mpg` lm over 64 connections and over one: requests, latency, and a web process's time for each request."""
    if "VERSUS" not in os.environ:
        return Measured([], skipped="VERSUS names no other checkout")
    other = Path(os.environ["VERSUS"]).resolve()
    seconds = bench.pick(5.0, 2.0)
    with ExitStack() as stack:
        r = stack.enter_context(PlainR())
        measures: dict[str, Callable[[], float]] = {}
        cpu_us: dict[str, list[float]] = {"this": [], "other": []}
        for name, checkout in (("this", ROOT), ("other", other)):
            tandem = stack.enter_context(Tandem(bench.folder(name), ["mpg"], checkout=checkout))
            load, _ = prepared(bench.folder(name), tandem, r, "mpg", cars(DIFFERENT_ROWS))
            load.requests_per_s(CONNECTIONS, 1.0)
            measures[f"{name} many"] = _costed(tandem, load, seconds, cpu_us[name])
            measures[f"{name} one"] = partial(load.median_latency_s, bench.pick(3.0, 1.0))
        found = take_turns(bench.pick(7, 3), **measures)
    requests = ratios(found["this many"], found["other many"])
    latency = ratios(found["this one"], found["other one"])
    cost = ratios(cpu_us["this"], cpu_us["other"])
    return Measured(
        [
            Figure("lm, one row, 64 connections: requests / the other checkout's", requests, "x", Bar(">=", 0.98)),
            Figure("lm, one row, one connection: median latency / the other's", latency, "x", Bar("<=", 1.02)),
            Figure("lm, 64 connections: a web process's time for a request / the other's", cost, "x"),
            Figure("lm: requests", found["this many"], "per s"),
            Figure("lm: requests of the other", found["other many"], "per s"),
            Figure("lm: a web process's time for a request", cpu_us["this"], "µs"),
            Figure("lm: a web process's time for a request, the other", cpu_us["other"], "µs"),
        ]
    )


def _costed(tandem: Tandem, load: Load, seconds: float, cpu_us: list[float]) -> Callable[[], float]:
    """The requests a second; what each costs the web processes goes to `cpu_us`."""

    def measure() -> float:
        before = sum(map(cpu_s, tandem.processes("web")))
        per_s = load.requests_per_s(CONNECTIONS, seconds)
        cpu_us.append((sum(map(cpu_s, tandem.processes("web"))) - before) / (per_s * seconds) * MICROSECONDS)
        return per_s

    return measure
