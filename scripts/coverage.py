"""Print how many of the lines of each room ran in the tests' own processes; 1 where all rooms together are too few.

Workers, web processes and templates are processes of their own: what runs there is seen by what they answer.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

FLOOR_PERCENT = 80
"""The least share of all lines. It may only rise."""


def main(report: Path) -> int:
    """Print a line for each room, the least covered first, and one for all of them."""
    ran: dict[str, int] = defaultdict(int)
    missed: dict[str, int] = defaultdict(int)
    for file, lines in json.loads(report.read_text())["files"].items():
        room = str(Path(file).parent)
        ran[room] += len(lines["executed_lines"])
        missed[room] += len(lines["missing_lines"])
    for room in sorted(ran, key=lambda room: _percent(ran[room], missed[room])):
        print(f"{_percent(ran[room], missed[room]):5.1f} %  {room}")
    total = _percent(sum(ran.values()), sum(missed.values()))
    print(f"{total:5.1f} %  of all lines ran in the tests' own processes; at least {FLOOR_PERCENT} % have to")
    return 0 if total >= FLOOR_PERCENT else 1


def _percent(ran: int, missed: int) -> float:
    return 100 * ran / max(1, ran + missed)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
