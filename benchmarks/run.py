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
from benchmarks.accounts import accounts
from benchmarks.big_model import big_model, big_ranger
from benchmarks.defence import junk, leaving, start
from benchmarks.dialects import one_row_by_dialect, other_servers, rows_by_open_inference
from benchmarks.digits import digits_torch
from benchmarks.endpoints import endpoints
from benchmarks.harness import Bench, BenchmarkError, Figure, Measured
from benchmarks.many_models import model_files
from benchmarks.many_rows import rows_per_request
from benchmarks.media_types import media_types
from benchmarks.one_row import forest_throughput, lm_latency, lm_throughput
from benchmarks.python_models import logistic_iris, python_forest
from benchmarks.refill import refill
from benchmarks.relay import relay
from benchmarks.resnet152 import resnet152_gpu
from benchmarks.table import markdown
from benchmarks.versus import versus
from benchmarks.wrong_passwords import wrong_passwords

RESULTS = Path(__file__).with_name("results")
Measure = Callable[[Bench], Measured]
SUITES: Mapping[str, Sequence[Measure]] = {
    "bench": (
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
        relay,
        resnet152_gpu,
    ),
    "relay": (relay,),
    "accounts": (accounts, wrong_passwords),
    "endpoints": (endpoints,),
    "dialects": (one_row_by_dialect, rows_by_open_inference, other_servers),
    "versus": (versus,),
    "defence": (start, leaving, junk),
}
"""What is measured together and kept in one result file. The first one is what runs when no name is given."""


def main(program: str, about: str, suites: Mapping[str, Sequence[Measure]]) -> int:
    """Exit code 0: all done, whether or not a bar was missed; 1: something could not be measured."""
    measurements = {measure.__name__: measure for suite in suites.values() for measure in suite}
    parser = _parser(program, about, (*suites, *measurements))
    asked = parser.parse_args()
    given = asked.names or [next(iter(suites))]
    names = [name for one in given for name in ([m.__name__ for m in suites[one]] if one in suites else [one])]
    if unknown := set(names) - set(measurements):
        parser.error(f"nothing is called {', '.join(sorted(unknown))}; there are {', '.join((*suites, *measurements))}")
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
            figures += _measure(measurements[name], bench, result)
    result["figures"] = [figure.to_data() for figure in figures]
    text = markdown(result, figures)
    print(text)
    _keep(result, text, suite=given[0] if len(given) == 1 and given[0] in suites and not asked.quick else None)
    return 1 if result["failed"] else 0


def _measure(measure: Measure, bench: Bench, result: dict[str, Any]) -> Sequence[Figure]:
    name = measure.__name__
    print(f"{name} …", file=sys.stderr, flush=True)
    started = time.monotonic()
    try:
        measured = measure(bench)
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


def _keep(result: Mapping[str, Any], text: str, suite: str | None) -> None:
    """A whole suite under its date and commit; a quick or partial run under a name that git ignores."""
    name = f"{result['date'][:10]}-{result['commit']}" if suite is not None else "last-partial"
    name += "" if suite in (None, "bench") else f".{suite}"
    RESULTS.mkdir(exist_ok=True)
    data = orjson.dumps(result, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE)
    (RESULTS / f"{name}.json").write_bytes(data)
    (RESULTS / f"{name}.md").write_text(text)
    print(f"kept: {RESULTS / name}.json", file=sys.stderr)


def _parser(program: str, about: str, names: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(program, description=about)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(names))
    parser.add_argument("--quick", "--short", action="store_true", help="fewer and shorter rounds")
    return parser


if __name__ == "__main__":
    sys.exit(main("benchmarks.run", __doc__ or "", SUITES))
