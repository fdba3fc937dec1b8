"""The house stands: nothing in it knows itself by a detour. `make house` draws it."""

from __future__ import annotations

from statistics import median

import pytest

from scripts import house

LATE = ("server.workers.start", "server.workers.template")
"""The one import that may close a circle: it happens inside of a function, once the process is locked up."""


@pytest.fixture(scope="module")
def imports() -> house.Knows:
    return house.module_imports()


def test_no_modules_import_each_other_in_a_circle(imports: house.Knows) -> None:
    importer, imported = LATE
    assert imported in imports[importer]
    assert house.circle(imports | {importer: imports[importer] - {imported}}) == []


def test_no_rooms_know_each_other_in_a_circle(imports: house.Knows) -> None:
    assert house.circle(house.room_imports(imports)) == []


def test_a_circle_is_found() -> None:
    found = house.circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})
    assert (len(found), found[0], set(found)) == (4, found[-1], {"a", "b", "c"})


def test_every_module_lies_in_a_room_that_knows_lower_floors_alone(imports: house.Knows) -> None:
    rooms = house.room_imports(imports)
    floors = house.floors(rooms)
    assert {house.room_of(module) for module in house.lines_of_modules()} <= set(rooms)
    for number, floor in enumerate(floors):
        below = {room for lower in floors[number + 1 :] for room in lower}
        assert all(rooms[room] <= below for room in floor)


MEDIAN_LINES = 120
LONGEST_LINES = 350


def test_a_module_is_read_in_one_sitting() -> None:
    lines = house.lines_of_modules()
    assert median(lines.values()) <= MEDIAN_LINES
    assert {name: n for name, n in lines.items() if n > LONGEST_LINES} == {}
