"""The ceiling of memory, in processes of their own: it holds, Python can say so, and freed memory goes back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from server.machine.memory import Hoard, Meter
from server.workers import memory

MIB = 1 << 20


def in_own_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_beyond_the_ceiling_an_allocation_fails_and_the_process_goes_on() -> None:
    said = in_own_process(
        """
from server.machine.memory import Meter
from server.workers import memory
memory.limit(Meter(), 64 << 20)
kept = bytearray(60 << 20)
try:
    bytearray(200 << 20)
except MemoryError:
    print("refused")
del kept
print(len(bytearray(60 << 20)))
"""
    )
    assert said.split() == ["refused", str(60 * MIB)]


def test_a_limit_cannot_be_raised_again() -> None:
    said = in_own_process(
        """
import resource
from server.machine.memory import Meter
from server.workers import memory
memory.limit(Meter(), 64 << 20)
before = resource.getrlimit(resource.RLIMIT_AS)
memory.limit(Meter(), 640 << 20)
print(resource.getrlimit(resource.RLIMIT_AS) == before)
memory.limit(Meter(), 1 << 20)
print(resource.getrlimit(resource.RLIMIT_AS)[0] < before[0])
"""
    )
    assert said.split() == ["True", "True"]


def test_who_reads_a_file_may_use_more_the_larger_it_is(tmp_path: Path) -> None:
    model = tmp_path / "m.rds"
    model.write_bytes(bytes(1000))
    assert memory.reading_bytes([str(model), str(tmp_path / "gone.rds")]) == memory.READING_FACTOR * 1000


def test_a_script_is_its_whole_folder(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_bytes(bytes(10))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "w.bin").write_bytes(bytes(1000))
    assert memory.reading_bytes([str(tmp_path / "score.py")]) >= memory.READING_FACTOR * 1010


def test_memory_that_was_freed_goes_back_to_the_kernel() -> None:
    """With the thresholds that web processes and workers start with, under which it is kept."""
    code = """
from server.machine.memory import Hoard, Meter
meter = Meter()
hoard = Hoard(meter)
before = meter.anonymous_bytes()
blocks = [bytes([1]) * 60_000 for _ in range(800)]
top = bytes(1000)
del blocks
kept = meter.anonymous_bytes() - before
hoard.give_back()
print(kept >> 20, (meter.anonymous_bytes() - before) >> 20)
"""
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(32 * MIB), "MALLOC_TRIM_THRESHOLD_": str(64 * MIB)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment, check=True
    )
    kept, after = map(int, done.stdout.split())
    assert kept > 30
    assert after < 5


def test_little_is_not_given_back() -> None:
    meter = Meter()
    hoard = Hoard(meter)
    freed: list[None] = []
    hoard.give_back(lambda: freed.append(None))
    assert not freed
    hoard.give_back(lambda: freed.append(None), grown_bytes=-(1 << 40))
    assert freed


def test_the_meter_measures_this_process() -> None:
    meter = Meter()
    before = meter.anonymous_bytes(), meter.address_bytes()
    block = bytes([1]) * (50 * MIB)
    after = meter.anonymous_bytes(), meter.address_bytes()
    assert all(new - old > 45 * MIB for old, new in zip(before, after, strict=True))
    assert len(block) == 50 * MIB
