"""Orphans: who has no parent any more is waited for, and nobody whom somebody else waits for."""

from __future__ import annotations

import asyncio
import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from server.supervisor.orphans import Orphans
from tests.harness.tandem import eventually

PR_SET_CHILD_SUBREAPER = 36
FORKS_AND_ENDS = "import os\npid = os.fork()\nif pid:\n    print(pid)\n"


def state(pid: int) -> str | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return None


@pytest.fixture
def orphan() -> int:
    """A process that has ended, whose parent ended before it, and that is ours now as if we were process 1."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        pid = int(subprocess.run([sys.executable, "-c", FORKS_AND_ENDS], stdout=subprocess.PIPE, check=True).stdout)
        eventually(lambda: state(pid) == "Z")
        return pid
    finally:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 0)


def test_an_orphan_that_has_ended_is_waited_for_at_the_second_look(orphan: int) -> None:
    orphans = Orphans()
    orphans.reap()
    assert state(orphan) == "Z"
    orphans.reap()
    assert state(orphan) is None


def test_a_process_that_somebody_waits_for_keeps_its_exit_code() -> None:
    async def started_and_ended() -> int:
        orphans = Orphans()
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(7)")
        while process.returncode is None:
            orphans.reap()
            await asyncio.sleep(0.05)  # between two looks the loop has its turn, as the supervisor's has
        return process.returncode

    assert asyncio.run(started_and_ended()) == 7
