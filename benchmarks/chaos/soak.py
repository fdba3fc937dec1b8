"""Ten minutes at 70 % of what the server can bear: nothing may grow. And leaks on purpose, which the check must see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.chaos.checks import NONE, Sample, gained, growth_mb_per_h
from benchmarks.chaos.load import Asked, capacity_per_s, run
from benchmarks.chaos.stage import CARS, ONE_BY_ONE, Sampler, asked, asked_of_cars, copy_python_model, stage
from benchmarks.harness import Bar, Bench, Figure, Measured
from benchmarks.tandem import Tandem

LOAD = 0.7
LIMIT_MB_PER_H = 1.0
CONNECTIONS = 32
EVERY_S = 2.0
LEAST_SAMPLES = 10

IRIS_BODY = b'{"rows":[{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}]}'
LEAKING_R = """local({kept <- new.env(); kept$n <- 0;
  f <- function(x) {kept$n <- kept$n + 1; assign(paste0("x", kept$n), numeric(128), envir = kept); x};
  lm(dist ~ f(speed), cars)})"""
LEAKING_SCRIPT = """kept = []
def init(): pass
def run(data):
    kept.append(bytearray(1024))
    return {}
"""
LEAK_PER_S = 400.0

Series = Mapping[tuple[str, int], Sequence[Sample]]


def steady(bench: Bench) -> Measured:
    """An R model and one of scikit-learn in turn; workers are not replaced by count, which would hide a leak."""
    seconds = bench.pick(600.0, 3.0)
    copy_python_model(bench, "soak", "iris_logistic")
    with stage(bench, "soak", {"cars": CARS}, worker_max_calls=0) as tandem:
        asked_in_turn = [asked_of_cars(tandem, "cars"), asked(tandem, "iris_logistic", IRIS_BODY)]
        per_s = LOAD * capacity_per_s(tandem.port, asked_in_turn, bench.pick(8.0, 0.6), CONNECTIONS)
        with Sampler(tandem, bench.pick(EVERY_S, 0.1)) as sampler:
            result = run(tandem.port, asked_in_turn, [(seconds, per_s)], CONNECTIONS)
    lasting = {who: samples for who, samples in sampler.series.items() if samples[-1].seconds > 0.9 * seconds}
    slopes = {who: growth_mb_per_h(samples) for who, samples in lasting.items()}
    figures = [
        Figure("soak: failed answers", [result.failed], "", NONE),
        Figure("soak: wrong answers", [result.wrong], "", NONE),
        Figure("soak: descriptors gained", [_most(lasting, "descriptors")], "", NONE),
        # asyncio's pool has a limit, but a short run ends before it is full
        Figure("soak: threads gained", [_most(lasting, "threads")], "", None if bench.quick else NONE),
        Figure("soak: requests", [per_s], "per s"),
    ]
    for kind in sorted({kind for kind, _ in slopes}):
        worst = max((s for (found, _), s in slopes.items() if found == kind), key=lambda s: s.per_h)
        about = f"soak: resident size, {kind} ({worst.low:.2g} to {worst.high:.2g} with 95 %)"
        figures.append(Figure(about, [worst.per_h], "MB/h", None if bench.quick else Bar("<=", LIMIT_MB_PER_H)))
    raw = {f"{kind} {pid}": [list(sample) for sample in samples] for (kind, pid), samples in sampler.series.items()}
    return Measured(figures, {"soak": {"statuses": result.statuses(), "series": raw}})


def leaks(bench: Bench) -> Measured:
    """A model in R and a script that keep 1 KiB a call: the soak's check must see both."""
    script = bench.folder("leaks") / "python_models" / "script"
    script.mkdir(parents=True)
    (script / "score.py").write_text(LEAKING_SCRIPT)
    seconds = bench.pick(40.0, 6.0)
    with stage(bench, "leaks", {"leaking": LEAKING_R}, worker_max_calls=0, r_workers=1, **ONE_BY_ONE) as tandem:
        with tandem.connect() as connection:
            in_turn = [Asked(connection.posting(tandem.path(m), _body(m))) for m in ("leaking", "script")]
        with Sampler(tandem, bench.pick(1.0, 0.1)) as sampler:
            result = run(tandem.port, in_turn, [(seconds, 2 * LEAK_PER_S)], CONNECTIONS)
        pools = {pid: _pool(tandem, pid) for pid in tandem.processes("worker")}
    figures = [Figure("leaks on purpose: failed answers", [result.failed], "", NONE)]
    for pool in ("r", "script"):
        of_pool = [s for (_, pid), s in sampler.series.items() if pools.get(pid) == pool and len(s) >= LEAST_SAMPLES]
        found = [growth_mb_per_h(samples) for samples in of_pool]
        unseen = not any(slope.low > LIMIT_MB_PER_H for slope in found)
        figures.append(Figure(f"a leak on purpose, {pool}: not seen", [unseen], "", NONE))
        figures.append(Figure(f"a leak on purpose, {pool}: growth", [s.per_h for s in found], "MB/h"))
    return Measured(figures)


def _body(model: str) -> bytes:
    return b'{"rows":[{"speed":10}]}' if model == "leaking" else b"{}"


def _pool(tandem: Tandem, pid: int) -> str:
    """Of which runtime a worker is, from its template's command line."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return words[words.index(b"--runtime") + 1].decode()


def _most(series: Series, what: str) -> float:
    return max(gained(samples, what) for samples in series.values())
