"""Numbers that all processes of one server share."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

from auth.limits.cells import Cell, Cells


def value(cell: Cell) -> float:
    return cell.numbers[cell.at]


def put(cell: Cell, number: float) -> None:
    cell.numbers[cell.at] = number


def test_a_number_is_one_for_all_that_map_the_file(tmp_path: Path) -> None:
    one, two = Cells(tmp_path / "buckets"), Cells(tmp_path / "buckets")
    cell = one.cell("ann")
    assert value(cell) == 0.0
    put(cell, 12.5)
    assert value(two.cell("ann")) == 12.5
    assert value(two.cell("bob")) == 0.0
    assert one.server == two.server != Cells().server


def test_who_only_looks_adds_nothing(tmp_path: Path) -> None:
    cells = Cells(tmp_path / "buckets")
    assert cells.known("ann") is None
    put(cells.cell("ann"), 1.0)
    known = cells.known("ann")
    assert known is not None and value(known) == 1.0


def test_a_full_table_gives_numbers_of_ones_own(tmp_path: Path) -> None:
    cells = Cells(tmp_path / "buckets", slots=8, most_filled=5)
    for name in "abcde":
        put(cells.cell(name), ord(name))
    spare = cells.cell("f")
    put(spare, 6.0)
    assert cells.known("f") is None
    assert [value(cells.cell(name)) for name in "abcde"] == [ord(name) for name in "abcde"]


def test_one_of_a_servers_processes_leads_and_another_when_it_is_gone(tmp_path: Path) -> None:
    one, two = Cells(tmp_path / "buckets"), Cells(tmp_path / "buckets")
    assert one.leads() and not two.leads() and one.leads()
    one.close()
    assert two.leads()
    assert Cells().leads()


def _add(path: Path, first: int) -> None:
    cells = Cells(path)
    for number in range(first, first + 300):
        cell = cells.cell(f"name {number}")
        cell.numbers[cell.at] = number


def test_processes_that_add_at_once_get_a_place_for_each_name(tmp_path: Path) -> None:
    path, spawn = tmp_path / "buckets", multiprocessing.get_context("fork")
    processes = [spawn.Process(target=_add, args=(path, first)) for first in (0, 150, 300)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    cells = Cells(path)
    assert [value(cells.cell(f"name {number}")) for number in range(600)] == list(range(600))
