"""At the end of a run with the oracle in it: one table of what was compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Compared:
    """One output of one case: how many rows were sent and how many were answered to the bit."""

    model_class: str
    case: str
    output: str
    rows: int = 0
    equal: int = 0
    fault: str = ""


PROPERTY = "compared"
"""Under this name a test records the fields of what it compared."""


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table; what it tells has come with the tests' reports, from whatever process ran them."""
    reports = [report for of_kind in terminalreporter.stats.values() for report in of_kind]
    told = [report.user_properties for report in reports if getattr(report, "when", None) == "call"]
    found = [value for properties in told for name, value in properties if name == PROPERTY]
    if not found:
        return
    terminalreporter.section("the same bits as predict() in plain R")
    cells = [("class", "case", "output", "rows", "equal"), *(_cells(Compared(*values)) for values in found)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        terminalreporter.write_line(_line(line, widths))


def _cells(one: Compared) -> tuple[str, ...]:
    equal = "all" if not one.fault else f"{one.equal}: {one.fault.splitlines()[0][:80]}"
    return (one.model_class or "?", one.case, one.output, str(one.rows), equal)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
