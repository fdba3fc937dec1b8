"""One row a request: how many a second over 64 connections, and how long one takes alone, against plain R."""

from __future__ import annotations

import math
from pathlib import Path

import orjson

from benchmarks.harness import ROOT, Bar, Bench, BenchmarkError, Figure, Measured, ratios, take_turns
from benchmarks.plain_r import PlainR
from benchmarks.plumber import Plumber
from benchmarks.rows import Rows, boston, cars
from benchmarks.tandem import Tandem
from benchmarks.wrk import Load

CONNECTIONS = 64
DIFFERENT_ROWS = 60


def lm_throughput(bench: Bench) -> Measured:
    """The `mpg` lm over 64 connections, against a bare R loop and against plumber."""
    folder = bench.folder("lm_throughput")
    seconds = bench.pick(5.0, 2.0)
    model = ROOT / "r_models" / "mpg.rds"
    with Tandem(folder, ["mpg"]) as tandem, PlainR() as r, Plumber(model) as plumber:
        load, answers = prepared(folder, tandem, r, "mpg", cars(DIFFERENT_ROWS))
        plumber_load = _plumber_load(bench.folder("plumber"), plumber, cars(DIFFERENT_ROWS), answers)
        load.requests_per_s(CONNECTIONS, 1.0)
        found = take_turns(
            bench.pick(5, 3),
            tandem=lambda: load.requests_per_s(CONNECTIONS, seconds),
            bare=r.calls_per_s(bench.pick(3.0, 1.0)),
            plumber=lambda: plumber_load.requests_per_s(CONNECTIONS, bench.pick(3.0, 2.0)),
        )
    over_bare = ratios(found["tandem"], found["bare"])
    over_plumber = ratios(found["tandem"], found["plumber"])
    return Measured(
        [
            Figure("lm, one row, 64 connections: requests / bare R calls", over_bare, "x", Bar(">=", 2.5, 4.4)),
            Figure("lm, one row, 64 connections: requests / plumber's", over_plumber, "x", Bar(">=", 20, 50)),
            Figure("lm: requests", found["tandem"], "per s"),
            Figure("lm: bare R loop", found["bare"], "per s"),
            Figure("lm: plumber", found["plumber"], "per s"),
        ]
    )


def forest_throughput(bench: Bench) -> Measured:
    """The `boston` randomForest over 64 connections, against a bare R loop."""
    folder = bench.folder("forest_throughput")
    with Tandem(folder, ["boston"]) as tandem, PlainR() as r:
        load, _ = prepared(folder, tandem, r, "boston", boston(DIFFERENT_ROWS), "randomForest")
        load.requests_per_s(CONNECTIONS, 1.0)
        found = take_turns(
            bench.pick(5, 3),
            tandem=lambda: load.requests_per_s(CONNECTIONS, bench.pick(5.0, 2.0)),
            bare=r.calls_per_s(bench.pick(3.0, 1.0)),
        )
    over_bare = ratios(found["tandem"], found["bare"])
    return Measured(
        [
            Figure("randomForest, one row, 64 connections: requests / bare R calls", over_bare, "x", Bar(">=", 10)),
            Figure("randomForest: requests", found["tandem"], "per s"),
            Figure("randomForest: bare R loop", found["bare"], "per s"),
        ]
    )


def lm_latency(bench: Bench) -> Measured:
    """The `mpg` lm over one connection: the median against the time of one bare predict() call."""
    folder = bench.folder("lm_latency")
    with Tandem(folder, ["mpg"]) as tandem, PlainR() as r:
        load, _ = prepared(folder, tandem, r, "mpg", cars(DIFFERENT_ROWS))
        load.median_latency_s(1.0)
        calls_per_s = r.calls_per_s(bench.pick(2.0, 1.0))
        found = take_turns(
            bench.pick(5, 3),
            tandem=lambda: load.median_latency_s(bench.pick(3.0, 1.0)),
            bare=lambda: 1 / calls_per_s(),
        )
    return Measured(
        [
            Figure(
                "lm, one row, one connection: median latency / bare predict()",
                ratios(found["tandem"], found["bare"]),
                "x",
                Bar("<=", 5),
            ),
            Figure("lm: median latency", [s * 1e6 for s in found["tandem"]], "µs"),
            Figure("lm: bare predict()", [s * 1e6 for s in found["bare"]], "µs"),
        ]
    )


def prepared(
    folder: Path, tandem: Tandem, r: PlainR, model: str, rows: Rows, package: str = "stats"
) -> tuple[Load, list[float]]:
    """Load whose expected answers are plain R's, and those answers."""
    r.read_model(ROOT / "r_models" / f"{model}.rds", package)
    r.read_rows(rows, folder)
    answers = r.answers(folder)
    bodies = rows.one_by_one()
    with tandem.connect() as connection:
        first = orjson.loads(connection.post(tandem.path(model), bodies[0]).body)
    expected = [orjson.dumps(first | {"predictions": [answer]}) for answer in answers]
    return Load(folder, tandem.url(model), bodies, expected, tandem.token), answers


def _plumber_load(folder: Path, plumber: Plumber, rows: Rows, answers: list[float]) -> Load:
    """Plumber writes 15 digits, so its own first answers are what it must repeat, once they are found to be right."""
    bodies = rows.one_by_one()
    expected = [plumber.score(body) for body in bodies]
    for body, answer in zip(expected, answers, strict=True):
        if not math.isclose(orjson.loads(body)["predictions"][0], answer, rel_tol=1e-12):
            raise BenchmarkError(f"plumber answers {body!r}, R {answer}")
    return Load(folder, plumber.url, bodies, expected)
