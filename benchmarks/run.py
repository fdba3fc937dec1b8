"""Run the measurements, print the table, keep the result: `python -m benchmarks.run [names…] [--quick]`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from benchmarks import machine
from benchmarks.big_model import big_model, big_ranger
from benchmarks.digits import digits_torch
from benchmarks.harness import Bench, BenchmarkError, Figure, Measured
from benchmarks.many_models import model_files
from benchmarks.many_rows import rows_per_request
from benchmarks.media_types import media_types
from benchmarks.one_row import forest_throughput, lm_latency, lm_throughput
from benchmarks.python_models import logistic_iris, python_forest
from benchmarks.refill import refill
from benchmarks.resnet152 import resnet152_gpu
from benchmarks.table import markdown

RESULTS = Path(__file__).with_name("results")
MEASUREMENTS: Mapping[str, Callable[[Bench], Measured]] = {
    measure.__name__: measure
    for measure in (
        lm_throughput,
        lm_latency,
        forest_throughput,
        rows_per_request,
        media_types,
        model_files,
        big_model,
        big_ranger,
        refill,
        logistic_iris,
        python_forest,
        digits_torch,
        resnet152_gpu,
    )
}


def main() -> int:
    """Exit code 0: all done, whether or not a bar was missed; 1: something could not be measured."""
    parser = _parser()
    asked = parser.parse_args()
    names = asked.names or list(MEASUREMENTS)
    if unknown := set(names) - set(MEASUREMENTS):
        parser.error(f"no measurement is called {', '.join(sorted(unknown))}; there are {', '.join(MEASUREMENTS)}")
    result: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **machine.commit(),
        "quick": asked.quick,
        "machine": machine.machine(),
        "versions": machine.versions(),
        "seconds": {},
        "failed": {},
        "skipped": {},
        "figures": [],
        "raw": {},
    }
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="tandem-bench-") as scratch:
        bench = Bench(Path(scratch), asked.quick)
        for name in names:
            figures += _measure(name, bench, result)
    result["figures"] = [figure.to_data() for figure in figures]
    text = markdown(result, figures)
    print(text)
    _keep(result, text, whole=not asked.names and not asked.quick)
    return 1 if result["failed"] else 0


def _measure(name: str, bench: Bench, result: dict[str, Any]) -> Sequence[Figure]:
    print(f"{name} …", file=sys.stderr, flush=True)
    started = time.monotonic()
    try:
        measured = MEASUREMENTS[name](bench)
    except (BenchmarkError, OSError) as e:
        result["failed"][name] = str(e)
        print(f"{name} failed: {e}", file=sys.stderr, flush=True)
        return []
    finally:
        result["seconds"][name] = round(time.monotonic() - started, 1)
    result["raw"] |= measured.raw
    if measured.skipped:
        result["skipped"][name] = measured.skipped
    return measured.figures


def _keep(result: Mapping[str, Any], text: str, whole: bool) -> None:
    """A whole run under its date and commit; a quick or partial one under a name that git ignores."""
    name = f"{result['date'][:10]}-{result['commit']}" if whole else "last-partial"
    RESULTS.mkdir(exist_ok=True)
    data = orjson.dumps(result, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE)
    (RESULTS / f"{name}.json").write_bytes(data)
    (RESULTS / f"{name}.md").write_text(text)
    print(f"kept: {RESULTS / name}.json", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("benchmarks.run", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(MEASUREMENTS))
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds; no 1,000 models")
    return parser


if __name__ == "__main__":
    sys.exit(main())
