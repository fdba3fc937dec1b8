"""What safety from the content of model folders costs: the start, a model that leaves, folders full of junk."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from benchmarks.chaos.checks import NONE, percentile
from benchmarks.chaos.load import Load
from benchmarks.chaos.stage import BODY, CARS, asked_of_cars, stage
from benchmarks.harness import ROOT, Bar, Bench, Figure, Measured, ratios, take_turns
from benchmarks.processes import below, pss_mib, seconds_until
from benchmarks.tandem import Tandem

EXAMPLES_OF_R = ("boston", "mpg", "am", "iris")
EXAMPLES_OF_PYTHON = ("iris_logistic.joblib", "digits.pt2", "faq")
FOR_EVER_S = 3600.0
LOAD_PER_S = 200.0
REST_S = 4.0
SETTLED_S = 1.0
JUNK = b"junk\n"


def start(bench: Bench) -> Measured:
    """The seven example models; beside another checkout, turn about, where VERSUS names one."""
    checkouts = {"this": ROOT}
    if "VERSUS" in os.environ:
        checkouts["other"] = Path(os.environ["VERSUS"]).resolve()
    measures = {name: partial(_seconds_to_ready, bench, name, path) for name, path in checkouts.items()}
    found = take_turns(bench.pick(5, 1), **measures)
    figures = [Figure("seven models: ready after", found["this"], "s")]
    if "other" in found:
        figures += [
            Figure("seven models: ready after, the other checkout", found["other"], "s"),
            Figure(
                "seven models: ready after / the other's", ratios(found["this"], found["other"]), "x", Bar("<=", 1.1)
            ),
        ]
    return Measured(figures)


def _seconds_to_ready(bench: Bench, name: str, checkout: Path) -> float:
    folder = bench.folder(f"start-{name}-{time.monotonic_ns()}")
    tandem = Tandem(folder, EXAMPLES_OF_R, checkout=checkout)
    for one in EXAMPLES_OF_PYTHON:
        for path in (ROOT / "python_models").glob(f"{Path(one).stem}*"):
            copy = shutil.copytree if path.is_dir() else shutil.copy
            copy(path, tandem.python_models / path.name)
    with tandem:
        return tandem.seconds_to_ready


def leaving(bench: Bench) -> Measured:
    """A model is deleted, so the pool that had loaded it is built anew behind those who serve its neighbours.

    In one renewal, of 3 s, a handful of requests make the 99th percentile; so those of all rounds are put together.
    """
    rest_ms: list[float] = []
    change_ms: list[float] = []
    change_s, failed = [], 0
    with stage(bench, "leaving", {"cars": CARS, "guest": CARS}) as tandem:
        one = asked_of_cars(tandem, "cars")
        guest = tandem.r_models / "guest.rds"
        content = guest.read_bytes()
        for _ in range(bench.pick(20, 2)):
            guest.write_bytes(content)
            seconds_until(partial(_answers, tandem, "guest"), 60.0, every_s=0.05)
            tandem.wait_complete()
            templates = set(tandem.processes("template"))
            with Load(tandem.port, [one], [(FOR_EVER_S, LOAD_PER_S)]) as load:
                time.sleep(SETTLED_S + REST_S)
                guest.unlink()
                left = time.monotonic()
                seconds_until(partial(_one_has_left, tandem, templates), 60.0, every_s=0.05)
                tandem.wait_complete()
                change_s.append(time.monotonic() - left)
                result = load.stop()
            begun = left - result.started
            rest_ms += result.due_between(SETTLED_S, begun).latencies_ms()
            change_ms += result.due_between(begun, begun + change_s[-1]).latencies_ms()
            failed += result.failed + result.wrong
    change, rest = percentile(change_ms, 99), percentile(rest_ms, 99)
    return Measured(
        [
            Figure("a model leaves: p99 of its neighbours / at rest", [change / rest], "x", Bar("<=", 1.1)),
            Figure("a model leaves: p99 of its neighbours", [change], "ms"),
            Figure("at rest: p99", [rest], "ms"),
            Figure("a model leaves: until the pool is built anew", change_s, "s"),
            Figure("a model leaves: requests that failed", [failed], "", NONE),
        ]
    )


def _answers(tandem: Tandem, model: str) -> bool:
    with tandem.connect() as connection:
        return connection.send(connection.posting(tandem.path(model), BODY)).status == 200


def _one_has_left(tandem: Tandem, templates: set[int]) -> bool:
    return bool(templates - set(tandem.processes("template")))


def junk(bench: Bench) -> Measured:
    """One good model among very many files that are none."""
    files = bench.pick(100_000, 5_000)
    memory_mib, ready_s = {}, {}
    for name, count in (("none", 0), ("junk", files)):
        folder = bench.folder(f"junk-{name}")
        (folder / "r_models").mkdir()
        for number in range(count):
            (folder / f"r_models/m{number}.rds").write_bytes(JUNK)
        with Tandem(folder, ["mpg"], all_ready=False) as tandem:
            ready_s[name] = tandem.seconds_to_ready
            memory_mib[name] = _most_memory_mib(tandem, bench.pick(60.0, 5.0))
    return Measured(
        [
            Figure(f"{files:,} files of junk: the good model is ready after", [ready_s["junk"]], "s", Bar("<=", 30)),
            Figure("without them: ready after", [ready_s["none"]], "s"),
            Figure(
                f"{files:,} files of junk: memory more than without",
                [memory_mib["junk"] - memory_mib["none"]],
                "MiB",
                Bar("<=", 95),
            ),
        ]
    )


def _most_memory_mib(tandem: Tandem, seconds: float) -> float:
    """The most that the supervisor, which reads the folders, and its helpers held while it went on reading."""
    most, ends = 0.0, time.monotonic() + seconds
    while time.monotonic() < ends:
        most = max(most, _pss_of_all_mib(tandem))
        time.sleep(0.2)
    return most


def _pss_of_all_mib(tandem: Tandem) -> float:
    total = 0.0
    for pid in (tandem.pid, *below(tandem.pid)):
        with suppress(OSError):  # it has just ended
            total += pss_mib(pid)
    return total
