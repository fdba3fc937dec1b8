"""Changes under load: the stop, models swapped, web processes replaced. No caller may notice."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from functools import partial

from benchmarks.chaos.checks import NONE
from benchmarks.chaos.generator import LOST, UNANSWERED, UNREAD
from benchmarks.chaos.load import Asked, Load, Result
from benchmarks.chaos.stage import BODY, CARS, ONE_BY_ONE, SLOW, asked, asked_of_cars, stage
from benchmarks.harness import Bench, Figure, Measured
from benchmarks.plain_r import PlainR
from benchmarks.processes import seconds_until
from benchmarks.tandem import Tandem

FOR_EVER_S = 3600.0
SWAPS_LOAD_PER_S = 200.0
ROLLING_LOAD_PER_S = 300.0
STOP_TIMEOUT_S = 60.0


def stop(bench: Bench) -> Measured:
    """SIGTERM while 32 callers ask as fast as they are answered."""
    with stage(bench, "stop", {"slow": SLOW}, **ONE_BY_ONE) as tandem:
        one = asked_of_cars(tandem, "slow")
        with Load(tandem.port, [one], [(FOR_EVER_S, 0.0)], connections=32) as load:
            time.sleep(bench.pick(5.0, 0.6))  # full load is not a moment but a time
            os.kill(tandem.pid, signal.SIGTERM)
            told = time.monotonic()
            code = tandem.wait(STOP_TIMEOUT_S)
            took_s = time.monotonic() - told
            result = load.stop()
    accepted = len(result.status) - result.count(200, UNREAD)
    return Measured(
        [
            Figure("SIGTERM at full load: accepted requests that were not answered", [accepted], "", NONE),
            Figure("SIGTERM at full load: wrong answers", [result.wrong], "", NONE),
            Figure("SIGTERM at full load: exit code", [abs(code)], "", NONE),
            Figure("SIGTERM at full load: ended after", [took_s], "s"),
        ],
        {"stop": {"statuses": result.statuses(), "examples": result.examples}},
    )


def swaps(bench: Bench) -> Measured:
    """Two model files take turns under one name; each answer must be exactly that of the version that it names."""
    count = bench.pick(200, 5)
    with stage(bench, "swaps", {"cars": CARS}) as tandem:
        files, answers = _two_versions(tandem)
        one = asked(tandem, "cars")
        seconds = []
        with Load(tandem.port, [Asked(one.request, frozenset(answers))], [(FOR_EVER_S, SWAPS_LOAD_PER_S)]) as load:
            for number in range(count):
                seconds.append(_swap(tandem, *files[number % 2]))
            result = load.stop()
    figures = unnoticed(f"{count} model swaps", result)
    figures.append(Figure("a swap: answers are the new version's after", seconds, "s"))
    return Measured(figures, {"swaps": {"statuses": result.statuses(), "examples": result.examples}})


def _two_versions(tandem: Tandem) -> tuple[list[tuple[str, bytes]], list[bytes]]:
    """Versions and their files' bytes, and the one body that is right for each."""
    files, answers = [], []
    path = tandem.folder / "saved.rds"
    with PlainR() as r:
        for power in (2, 3):
            model = f"lm(dist ~ I(speed^{power}), cars)"
            r.ask(f"saveRDS({model}, '{path}'); NULL")
            prediction = float(r.ask(f"sprintf('%.17g', predict({model}, data.frame(speed = 10)))").strip('"'))
            version = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
            files.append((version, path.read_bytes()))
            answers.append(f'{{"model":"cars","version":"{version}","predictions":[{prediction!r}]}}'.encode())
    with tandem.connect() as connection:  # the first version, which is there when the load begins
        return files, [*answers, connection.send(connection.posting(tandem.path("cars"), BODY)).body]


def _swap(tandem: Tandem, version: str, data: bytes) -> float:
    """Rename a file over the model's; seconds until an answer names its version."""
    new = tandem.folder / "new.rds"
    new.write_bytes(data)
    os.utime(new, (0, 0))  # what was written long ago need not settle
    new.rename(tandem.r_models / "cars.rds")
    with tandem.connect() as connection:
        request = connection.posting(tandem.path("cars"), BODY)
        return seconds_until(lambda: version.encode() in connection.send(request).body, 30.0, every_s=0.02)


def rolling(bench: Bench) -> Measured:
    """SIGHUP after a setting has changed: the supervisor replaces its web processes one by one."""
    rounds = bench.pick(5, 1)
    with stage(bench, "rolling", {"cars": CARS}, web_workers=2) as tandem:
        one = asked_of_cars(tandem, "cars")
        seconds = []
        with Load(tandem.port, [one], [(FOR_EVER_S, ROLLING_LOAD_PER_S)]) as load:
            for number in range(rounds):
                before = set(tandem.processes("web"))
                (tandem.folder / "tandem.toml").write_text(f"timeout_s = {31 + number}\n")
                os.kill(tandem.pid, signal.SIGHUP)
                seconds.append(seconds_until(partial(_replaced, tandem, before), 60.0, every_s=0.05))
            time.sleep(0.5)  # what the last replacement may have cost shows in the requests after it
            result = load.stop()
    figures = unnoticed(f"web processes replaced {rounds} times", result)
    figures.append(Figure("web processes replaced after", seconds, "s"))
    return Measured(figures, {"rolling": {"statuses": result.statuses(), "examples": result.examples}})


def _replaced(tandem: Tandem, before: set[int]) -> bool:
    now = tandem.processes("web")
    return len(now) == len(before) and not before & set(now)


def unnoticed(about: str, result: Result) -> list[Figure]:
    """What no caller may have noticed."""
    return [
        Figure(f"{about}: failed answers", [result.failed - result.count(LOST, UNREAD, UNANSWERED)], "", NONE),
        Figure(f"{about}: requests without an answer", [result.count(LOST, UNANSWERED)], "", NONE),
        Figure(f"{about}: connections refused or reset", [result.count(UNREAD)], "", NONE),
        Figure(f"{about}: wrong answers", [result.wrong], "", NONE),
        Figure(f"{about}: requests", [len(result.status)], ""),
    ]
