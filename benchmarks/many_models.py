"""1, 100 and 1,000 model files: time to ready, one more file, memory, and what refilling a worker costs among them."""

from __future__ import annotations

from pathlib import Path

from benchmarks.harness import Bar, Bench, Figure, Measured
from benchmarks.plain_r import PlainR
from benchmarks.processes import seconds_until
from benchmarks.refill import refill_ms
from benchmarks.tandem import Tandem

COUNTS = (1, 100, 1_000)
DROPS = 3
BODY = b'{"rows":[{"speed":10}]}'


def model_files(bench: Bench) -> Measured:
    """Small lms, all of them different."""
    measured = Measured()
    for count in bench.pick(COUNTS, (1, 100)):
        folder = bench.folder(f"models_{count}")
        _make_models(folder, count)
        with Tandem(folder) as tandem:
            dropped = [_drop(tandem, folder, number) for number in range(count + 1, count + 1 + DROPS)]
            tandem.wait_complete()
            about = f"{count:,} model files" if count > 1 else "1 model file"
            many = count == max(COUNTS)
            measured.figures += [
                Figure(f"{about}: ready after", [tandem.seconds_to_ready], "s", Bar("<=", 60) if many else None),
                Figure(f"{about}: one more answers after", dropped, "s", Bar("<=", 3) if many else None),
                Figure(f"{about}: PSS of the template", [tandem.pss_mib("template")], "MiB"),
                Figure(
                    f"{about}: PSS of each of {tandem.workers} workers",
                    [tandem.pss_mib("worker") / tandem.workers],
                    "MiB",
                ),
                Figure(f"{about}: worker refilled after", [refill_ms(tandem) for _ in range(DROPS)], "ms"),
            ]
    return measured


def _make_models(folder: Path, count: int) -> None:
    """As many as wanted in the model folder, and some more beside it to be dropped later."""
    (folder / "r_models").mkdir(exist_ok=True)
    with PlainR() as r:
        r.ask("saved <- function(i, to) saveRDS(lm(dist ~ speed, transform(cars, dist = dist + i)), to); NULL")
        r.ask(f"for (i in 1:{count}) saved(i, sprintf('{folder}/r_models/m%d.rds', i)); NULL")
        r.ask(f"for (i in {count} + 1:{DROPS}) saved(i, sprintf('{folder}/m%d.rds', i)); NULL")


def _drop(tandem: Tandem, folder: Path, number: int) -> float:
    """Seconds until a file that appears at once is a model that answers."""
    name = f"m{number}"
    (folder / f"{name}.rds").touch()  # one that was written long ago would be taken without waiting for it to settle
    with tandem.connect() as connection:
        (folder / f"{name}.rds").rename(tandem.r_models / f"{name}.rds")
        request = connection.posting(tandem.path(name), BODY)
        return seconds_until(lambda: connection.send(request).status == 200, 60.0, every_s=0.01)
