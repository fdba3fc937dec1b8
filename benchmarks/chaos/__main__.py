"""Run the scenarios, print the table, keep the result: `python -m benchmarks.chaos [names…] [--short]`."""

from __future__ import annotations

import sys

from benchmarks import run
from benchmarks.chaos.scenarios import SUITES

if __name__ == "__main__":
    sys.exit(run.main("benchmarks.chaos", __doc__ or "", SUITES))
