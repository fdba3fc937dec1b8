"""The pages can be read where they are read: in a terminal, in a diff, beside the code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

MEASURED = Path("benchmarks/results")
"""Pages that a benchmark writes and nobody edits: they stay as they were measured."""
LONGEST_LINE = 120


def pages(folder: Path = ROOT) -> Iterator[Path]:
    """Every page below a folder, by its path from the root; folders that a dot hides hold what others have made."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith(".") and path.relative_to(ROOT) != MEASURED:
            yield from pages(path)
        elif path.suffix == ".md":
            yield path.relative_to(ROOT)


@pytest.mark.parametrize("page", list(pages()), ids=str)
def test_no_line_of_a_page_is_longer_than_a_terminal_shows(page: Path) -> None:
    lines = (ROOT / page).read_text().splitlines()
    assert [(n, line) for n, line in enumerate(lines, 1) if len(line) > LONGEST_LINE] == []
