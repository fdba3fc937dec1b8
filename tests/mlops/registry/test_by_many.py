"""Many processes at one store, and processes that are killed in the middle: real ones, on a folder."""

from __future__ import annotations

import random
from pathlib import Path

from mlops.objects import Objects
from mlops.registry.registry import CHAMPION, Registry
from tests.mlops.registering import register, said, started

PROCESSES = 6
KILLS = 6


def test_many_that_register_at_once_leave_no_hole_and_no_number_twice(tmp_path: Path) -> None:
    lines = said([started(tmp_path, "m", "runs", 12 * n, 12) for n in range(PROCESSES)])
    numbers = sorted(int(line.split()[0]) for line in lines)
    assert numbers == list(range(1, 12 * PROCESSES + 1))
    assert [version.number for version in Registry(Objects(tmp_path)).versions("m")] == numbers


def test_the_same_bytes_from_many_at_once_are_one_version(tmp_path: Path) -> None:
    lines = said([started(tmp_path, "m", "same", 0, 3) for _ in range(PROCESSES)])
    assert sorted(lines) == ["1 False"] * (3 * PROCESSES - 1) + ["1 True"]
    assert len(Registry(Objects(tmp_path)).versions("m")) == 1


def test_of_many_that_move_an_alias_at_one_revision_one_does(tmp_path: Path) -> None:
    registry = Registry(Objects(tmp_path))
    for content in range(3):
        register(registry, "m", f"{content}".encode())
    registry.move("m", CHAMPION, 1, seen=0)
    lines = said([started(tmp_path, "m", "move", 1, 1) for _ in range(PROCESSES)])
    assert sorted(lines) == ["2"] + ["stale_alias"] * (PROCESSES - 1)
    assert registry.alias("m", CHAMPION).revision == 2


def test_whoever_is_killed_while_registering_leaves_nothing_half_done(tmp_path: Path) -> None:
    """After each kill every version has whole bytes, numbers have no hole, and the work can be done again."""
    seed = 20261130
    moment = random.Random(seed)
    for kill in range(KILLS):
        process = started(tmp_path, "m", "runs", 100 * kill, 100)
        assert process.stdout is not None
        for _ in range(moment.randint(1, 9)):
            process.stdout.readline()
        process.kill()
        process.communicate()
        registry = Registry(Objects(tmp_path))
        versions = registry.versions("m")
        assert [version.number for version in versions] == list(range(1, len(versions) + 1)), f"seed {seed}"
        last = versions[-1].record
        assert registry.objects.read(f"blobs/{last.files[0].sha256}") is not None
        assert last.run is not None
        content = f"content {last.run.removeprefix('run ')}".encode()
        again, new = register(registry, "m", content, run=last.run)
        assert (again.number, new) == (versions[-1].number, False)
