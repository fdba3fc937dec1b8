"""What an endpoint costs: requests a second by way of it and at the model itself, and how long a change takes."""

from __future__ import annotations

import time
from functools import partial

from benchmarks.accounts import send
from benchmarks.chaos.traffic import ENDPOINT, define
from benchmarks.harness import Bar, Bench, Figure, Measured, ratios, take_turns
from benchmarks.one_row import CONNECTIONS, DIFFERENT_ROWS, prepared
from benchmarks.plain_r import PlainR
from benchmarks.rows import cars
from benchmarks.tandem import Tandem


def endpoints(bench: Bench) -> Measured:
    """The `mpg` lm over 64 connections: at its own name, and behind an endpoint whose two deployments share it."""
    folder = bench.folder("endpoints")
    with Tandem(folder, ["mpg"]) as tandem, PlainR() as r:
        define(tandem, {"blue": "mpg", "green": "mpg"}, {"blue": 50, "green": 50})
        direct, _ = prepared(folder, tandem, r, "mpg", cars(DIFFERENT_ROWS))
        behind = direct.at(tandem.url(ENDPOINT))
        for load in (direct, behind):
            load.requests_per_s(CONNECTIONS, 1.0)
        seconds = bench.pick(5.0, 2.0)
        measures = {
            "direct": partial(direct.requests_per_s, CONNECTIONS, seconds),
            "behind": partial(behind.requests_per_s, CONNECTIONS, seconds),
        }
        found = take_turns(bench.pick(7, 3), **measures)
        changes = [_change(tandem, number) for number in range(bench.pick(50, 5))]
    return Measured(
        [
            Figure(
                "an endpoint of two / the model: requests",
                ratios(found["behind"], found["direct"]),
                "x",
                Bar(">=", 0.93),
            ),
            Figure("the model: requests", found["direct"], "per s"),
            Figure("an endpoint of two: requests", found["behind"], "per s"),
            Figure("a change of traffic without load: in force after", changes, "s"),
        ]
    )


def _change(tandem: Tandem, number: int) -> float:
    began = time.monotonic()
    share = 10 + number % 80
    send(tandem, "PATCH", f"/v1/endpoints/{ENDPOINT}", {"traffic": {"blue": share, "green": 100 - share}})
    return time.monotonic() - began
