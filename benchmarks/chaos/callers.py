"""Bad neighbours: a model that is stuck, callers who vanish, models that misbehave beside a good one."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.chaos.checks import NONE
from benchmarks.chaos.load import Load, capacity_per_s
from benchmarks.chaos.stage import (
    CARS,
    ONE_BY_ONE,
    SERVICE_MS,
    SLOW,
    asked,
    asked_of_cars,
    descriptors,
    metric,
    stage,
)
from benchmarks.harness import Bar, Bench, BenchmarkError, Figure, Measured
from benchmarks.processes import seconds_until
from benchmarks.tandem import Tandem

STUCK_S = 16
STUCK = f"local({{f <- function(x) {{if (any(x > 100)) Sys.sleep({STUCK_S}); x}}; lm(dist ~ f(speed), cars)}})"
STUCK_BODY = b'{"rows":[{"speed":101}]}'
STUCK_CALLERS = 8

VANISH_TOGETHER = 50

NASTY = """local({f <- function(x) {
  if (any(x == 101)) {kept <- list(); repeat kept[[length(kept) + 1]] <- numeric(1e6) + 1};
  if (any(x == 102)) for (i in 1:20) cat(strrep("noise ", 1e5), "\\n");
  if (any(x == 103)) for (i in 1:3) parallel::mcparallel(Sys.sleep(30));
  if (any(x == 104)) quit(status = 0);
  if (any(x == 105)) system("sleep 30 &");
  x}; lm(dist ~ f(speed), cars)})"""
NASTY_SCRIPT = """import itertools, json, os, time
def init(): pass
def run(data):
    match json.loads(data)["do"]:
        case 1: kept = [b"x" * (1 << 20) + bytes([n % 256]) for n in itertools.count()]
        case 2: print("noise " * 1_000_000)
        case 3: os.fork() or time.sleep(30)
        case 4: os.closerange(3, 1024)
        case 5: os._exit(0)
    return {}
"""


def stuck(bench: Bench) -> Measured:
    """One model of the shared pool does not come back from predict; callers of another, at a moderate rate, wait?"""
    seconds = bench.pick(STUCK_S - 1.0, 1.0)
    with stage(bench, "stuck", {"slow": SLOW, "stuck": STUCK}, **ONE_BY_ONE) as tandem:
        one = asked_of_cars(tandem, "slow")
        asked(tandem, "stuck")
        # Evenly spaced, so that nobody waits for the one before and the 99th percentile is that of one call.
        per_s = 0.35 * capacity_per_s(tandem.port, [one], bench.pick(4.0, 0.6))
        with Load(tandem.port, [one], [(2 * seconds, per_s)], even=True) as load:
            time.sleep(seconds)  # the first half of the load is what the second is compared with
            with _held(tandem, "stuck", STUCK_BODY, STUCK_CALLERS):
                result = load.result()
    before, after = result.due_between(0, seconds), result.due_between(seconds, 2 * seconds)
    ratio = after.latency_ms(99) / before.latency_ms(99)
    return Measured(
        [
            Figure("one model stuck: failed answers of the other", [result.failed], "", NONE),
            Figure("one model stuck: wrong answers of the other", [result.wrong], "", NONE),
            Figure("one model stuck: p99 of the other / before", [ratio], "x", Bar("<=", 1.1)),
            Figure("one model stuck: p99 of the other before", [before.latency_ms(99)], "ms"),
        ],
        {"stuck": {"per_s": per_s, "statuses": result.statuses(), "examples": result.examples}},
    )


@contextmanager
def _held(tandem: Tandem, model: str, body: bytes, callers: int) -> Iterator[None]:
    """So many callers who have asked and wait; they hang up at the end."""
    with ExitStack() as stack:
        with tandem.connect() as connection:
            request = connection.posting(tandem.path(model), body)
        for _ in range(callers):
            caller = stack.enter_context(socket.create_connection(("127.0.0.1", tandem.port)))
            caller.sendall(request)
        yield


def vanish(bench: Bench) -> Measured:
    """Callers who hang up: half of them after the head, a third in the middle of the body, the rest while they wait."""
    count = bench.pick(1000, 100)
    with stage(bench, "vanish", {"slow": SLOW}, **ONE_BY_ONE) as tandem:
        one = asked_of_cars(tandem, "slow")
        head = one.request.find(b"\r\n\r\n") + 4
        before = _settled_descriptors(tandem)
        for first in range(0, count, VANISH_TOGETHER):
            _vanish(tandem, one.request, head, range(first, min(count, first + VANISH_TOGETHER)))
        with tandem.connect() as connection:
            vanished = time.monotonic()
            fresh = connection.send(one.request)
            took_ms = 1e3 * (time.monotonic() - vanished)
        waiting = _after(lambda: metric(tandem, "tandem_queue_depth"))
        left = _after(lambda: sum(descriptors(tandem, "web").values()) - before)
    return Measured(
        [
            Figure(f"{count} callers vanished: a fresh request failed", [fresh.status != 200], "", NONE),
            Figure(f"{count} callers vanished: still queued", [waiting], "", NONE),
            Figure(f"{count} callers vanished: descriptors left in the web process", [left], "", NONE),
            # At once: a worker that is busy with a caller who has gone may finish that one call, and no other.
            Figure(f"{count} callers vanished: a fresh request answered after", [took_ms], "ms", Bar("<=", 100)),
        ]
    )


def _vanish(tandem: Tandem, request: bytes, head: int, numbers: range) -> None:
    with ExitStack() as stack:
        for number in numbers:
            end = (head, head, head, head + 8, head + 8, len(request))[number % 6]
            caller = stack.enter_context(socket.create_connection(("127.0.0.1", tandem.port)))
            caller.sendall(request[:end])
        time.sleep(SERVICE_MS / 1e3)  # so that some wait, and one or two are being answered


def _settled_descriptors(tandem: Tandem) -> int:
    """Of the web process, once the connections of the preparation are gone."""
    time.sleep(0.5)  # their number is what is asked for, so there is none to wait for
    return sum(descriptors(tandem, "web").values())


def _after(count: Callable[[], float], timeout_s: float = 5.0) -> float:
    """What is left of something that should become nothing."""
    try:
        seconds_until(lambda: count() <= 0, timeout_s, 0.05)
    except BenchmarkError:
        return count()
    return 0.0


def hostile(bench: Bench) -> Measured:
    """Models that allocate without end, print megabytes, fork, start programs, close descriptors; a good one beside."""
    rounds = bench.pick(4, 1)
    folder = bench.folder("hostile") / "python_models" / "script"
    folder.mkdir(parents=True)
    (folder / "score.py").write_text(NASTY_SCRIPT)
    outcomes: dict[str, Counter[int]] = {}
    with stage(bench, "hostile", {"cars": CARS, "nasty": NASTY}, worker_memory_mb=512, timeout_s=5) as tandem:
        one = asked_of_cars(tandem, "cars")
        bodies = {f"R {n}": ("nasty", b'{"rows":[{"speed":%d}]}' % n) for n in range(101, 106)}
        bodies |= {f"script {n}": ("script", b'{"do":%d}' % n) for n in range(1, 6)}
        with Load(tandem.port, [one], [(3600.0, 100.0)]) as load:
            for name, (model, body) in bodies.items():
                outcomes[name] = Counter(_ask(tandem, model, body + b" " * n) for n in range(rounds))
            result = load.stop()
        served = _ask(tandem, "script", b'{"do":0}') == 200 and _ask(tandem, "nasty", b'{"rows":[{"speed":10}]}') == 200
    unanswered = sum(outcome[0] for outcome in outcomes.values())
    return Measured(
        [
            Figure("hostile models: failed answers of the good one", [result.failed], "", NONE),
            Figure("hostile models: wrong answers of the good one", [result.wrong], "", NONE),
            Figure("hostile models: calls without an answer", [unanswered], "", NONE),
            Figure("hostile models: afterwards one does not serve good rows", [not served], "", NONE),
            Figure("hostile models: p99 of the good one", [result.latency_ms(99)], "ms"),
        ],
        {"hostile": {"statuses": result.statuses(), "examples": result.examples, "outcomes": outcomes}},
    )


def _ask(tandem: Tandem, model: str, body: bytes) -> int:
    """The status; 0 without an answer."""
    try:
        with tandem.connect() as connection:
            return connection.send(connection.posting(tandem.path(model), body)).status
    except OSError:
        return 0
