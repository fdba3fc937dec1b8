"""At the end of a run with the oracle in it: one table of what was compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass(frozen=True, slots=True)
class Compared:
    """One output of one case: how many rows were sent and how many were answered to the bit."""

    model_class: str
    case: str
    output: str
    rows: int = 0
    equal: int = 0
    fault: str = ""


COMPARED = pytest.StashKey[list[Compared]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[COMPARED] = []


@pytest.fixture(scope="session")
def compared(pytestconfig: pytest.Config) -> list[Compared]:
    """What the summary tells."""
    return pytestconfig.stash[COMPARED]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    found = config.stash[COMPARED]
    if not found:
        return
    terminalreporter.section("the same bits as predict() in plain R")
    cells = [("class", "case", "output", "rows", "equal"), *map(_cells, found)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        terminalreporter.write_line(_line(line, widths))


def _cells(one: Compared) -> tuple[str, ...]:
    equal = "all" if not one.fault else f"{one.equal}: {one.fault.splitlines()[0][:80]}"
    return (one.model_class or "?", one.case, one.output, str(one.rows), equal)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
