"""Draws the house: the rooms of `server`, `auth` and `mlops`, from the top floor to the ground, and whom each knows.

A room is a package, or a module that lies in `server` or `server/web` itself. Each knows only rooms that stand below
it; where rooms know each other in a circle, that is said, and the exit code is 1. `tests/test_house.py` holds the same.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median

import grimp

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("server", "auth", "mlops")
Knows = dict[str, set[str]]


def lines_of_modules() -> dict[str, int]:
    """The lines of each module's file, by the module's dotted name; an `__init__.py` that says nothing is left out."""
    found = {}
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        lines = len(path.read_text().splitlines())
        if path.name != "__init__.py" or lines > 1:
            found[module] = lines
    return found


def module_imports() -> Knows:
    """Which modules each module imports, of ours alone."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def room_of(module: str) -> str:
    """The room that a module lies in."""
    parts = module.split(".")
    depth = 1 if parts[0] == "auth" else 3 if parts[:2] == ["server", "web"] else 2
    return "/".join(parts[:depth])


def room_imports(imports: Knows) -> Knows:
    """Which other rooms each room knows."""
    rooms: Knows = defaultdict(set)
    for module, known in imports.items():
        rooms[room_of(module)] |= {room_of(other) for other in known} - {room_of(module)}
    return dict(rooms)


def circle(imports: Knows) -> list[str]:
    """The names on a circle of imports, the first of them again at the end; empty if there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def floors(rooms: Knows) -> list[list[str]]:
    """The rooms from the top to the ground: each knows rooms of lower floors alone."""
    order = TopologicalSorter(rooms)
    order.prepare()
    found: list[list[str]] = []
    while order.is_active():
        ready = order.get_ready()
        found.insert(0, sorted(ready))
        order.done(*ready)
    return found


def main() -> int:
    """Print the drawing."""
    rooms = room_imports(module_imports())
    round_and_round = circle(rooms)
    if round_and_round:
        print("a circle:", " → ".join(round_and_round))
        return 1
    sizes: dict[str, list[int]] = defaultdict(list)
    lines = lines_of_modules()
    for module, count in lines.items():
        sizes[room_of(module)].append(count)
    print(f"{'room':24} {'modules':>7} {'lines':>6} {'longest':>7}   knows")
    for floor in floors(rooms):
        print()
        for room in [room for room in floor if sizes[room]]:
            known = ", ".join(sorted(rooms[room])) or "nobody"
            print(f"{room:24} {len(sizes[room]):7} {sum(sizes[room]):6} {max(sizes[room]):7}   {known}")
    print(f"\n{len(lines)} modules, {sum(lines.values())} lines; a module has {median(lines.values()):.0f} (median)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
