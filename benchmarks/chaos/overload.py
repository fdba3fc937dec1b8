"""Twice and five times what the server can bear: what it still answers, how fast it refuses, how it recovers."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Sequence

from benchmarks.chaos.checks import NONE, percentile
from benchmarks.chaos.load import Result, capacity_per_s, run
from benchmarks.chaos.stage import ONE_BY_ONE, SLOW, Beside, Sampler, asked_of_cars, probed, stage
from benchmarks.harness import Bar, Bench, Figure, Measured
from benchmarks.tandem import Tandem

CALM = 0.5
TIMES = (2, 5)
QUEUE_WAIT_S = 1.0
"""With the default of 10 s nothing would be refused for long, and the queue alone would take 10 s to recover."""
CONNECTIONS = 400
LATE_MS = 100.0
NORMAL = 1.2
WINDOW_S = 0.5
PROBE_EVERY_S = 0.03


def overload(bench: Bench) -> Measured:
    """Calm, twice the capacity, calm, five times, calm: one load without a gap."""
    calm_s, over_s = bench.pick((8.0, 15.0), (1.0, 2.0))
    with stage(bench, "overload", {"slow": SLOW}, queue_wait_s=QUEUE_WAIT_S, **ONE_BY_ONE) as tandem:
        asked = [asked_of_cars(tandem, "slow")]
        peak = capacity_per_s(tandem.port, asked, bench.pick(8.0, 0.8))
        phases = [(calm_s, CALM * peak)]
        for times in TIMES:
            phases += [(over_s, times * peak), (calm_s, CALM * peak)]
        with Sampler(tandem, 0.5) as sampler, Prober(tandem) as prober:
            result = run(tandem.port, asked, phases, CONNECTIONS)
    figures = [
        Figure("overload: wrong answers", [result.wrong], "", NONE),
        Figure("overload: requests without any answer", [result.count(0, 1, 2)], "", NONE),
        Figure("overload: answers that are neither 200, 429 nor 503", [_odd(result)], "", NONE),
    ]
    begin = calm_s
    for times in TIMES:
        end = begin + over_s
        share = result.goodput_per_s(begin + WINDOW_S, end) / peak
        part = result.due_between(begin, end)
        refused_ms = part.refused_ms()
        figures += [
            Figure(f"{times} times the load: goodput / peak", [share], "x", Bar(">=", 0.95)),
            Figure(f"{times} times the load: p99 of refusals", [percentile(refused_ms, 99)], "ms", Bar("<=", 10)),
            Figure(f"{times} times the load: refusals after a wait", [_late_percent(refused_ms)], "%"),
            Figure(
                f"{times} times the load: normal again after", [_recovery_s(result, calm_s, end)], "s", Bar("<=", 5)
            ),
            Figure(f"{times} times the load: p99 of answers", [part.latency_ms(99)], "ms"),
        ]
        begin = end + calm_s
    begun = sampler.totals[: max(1, int(calm_s / 0.5))]
    growth = 100 * (max(sampler.totals) / max(begun) - 1)
    figures.append(Figure("overload: growth of resident memory, all processes", [growth], "%", Bar("<=", 10)))
    for path, seconds in prober.seconds.items():
        p99 = 1e3 * percentile(seconds, 99)
        figures.append(Figure(f"overload: p99 of {path}", [p99], "ms", Bar("<=", 100)))
    figures.append(Figure("overload: probes that failed", [prober.failed], "", NONE))
    raw = {"peak_per_s": peak, "statuses": result.statuses(), "sent_late_p99_ms": result.sent_late_ms(99)}
    return Measured(figures, {"overload": raw})


def _odd(result: Result) -> int:
    return len(result.status) - result.count(0, 1, 2, 200, 429, 503)


def _late_percent(refused_ms: Sequence[float]) -> float:
    """Of so many that were taken, waited, and then were told that the wait is too long."""
    return 100 * sum(ms > LATE_MS for ms in refused_ms) / max(1, len(refused_ms))


def _recovery_s(result: Result, calm_s: float, end: float) -> float:
    """From the end of an overload to a window without a refusal and with a median within 1.2 times the first calm's."""
    normal_ms = NORMAL * result.due_between(0, calm_s).latency_ms(50)
    for window in range(int(calm_s / WINDOW_S)):
        begin = end + window * WINDOW_S
        part = result.due_between(begin, begin + WINDOW_S)
        if not part.failed and part.latency_ms(50) <= normal_ms:
            return window * WINDOW_S
    return math.inf


class Prober(Beside):
    """Asks for health and metrics, one after the other, each over a connection of its own; from a thread."""

    def __init__(self, tandem: Tandem) -> None:
        self._probes = [
            (tandem.port, "/health/live"),
            (tandem.port, "/health/ready"),
            (tandem.metrics_port, "/metrics"),
        ]
        super().__init__()
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.failed = 0

    def _run(self) -> None:
        while not self._stop.is_set():
            for port, path in self._probes:
                started = time.monotonic()
                try:
                    ok = probed(port, path).status == 200
                except OSError:
                    ok = False
                self.seconds[path].append(time.monotonic() - started)
                self.failed += not ok
                self._stop.wait(PROBE_EVERY_S)
