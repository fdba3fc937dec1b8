"""What is left in a session when its leader has gone is ended, whatever group it is in; others are left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from server.pools import session
from tests.harness.tandem import eventually

LEADER = """
import os, signal, sys
for apart in (False, True):
    if not (pid := os.fork()):
        signal.pause()
    if apart:
        os.setpgid(pid, pid)
    print(pid, flush=True)
if sys.argv[1] == "stay":
    signal.pause()
"""


def leader(stays: str) -> tuple[subprocess.Popen[str], list[int]]:
    process = subprocess.Popen(
        [sys.executable, "-c", LEADER, stays], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    children = [int(process.stdout.readline()) for _ in range(2)]
    process.stdout.close()
    return process, children


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_all_groups_end_but_those_that_are_spared() -> None:
    process, (in_its_group, apart) = leader("go")
    process.wait()
    session.end(process.pid, {apart})
    eventually(lambda: not lives(in_its_group))
    assert lives(apart)
    session.end(process.pid, set())
    eventually(lambda: not lives(apart))


def test_a_session_whose_leader_lives_is_somebody_elses() -> None:
    process, children = leader("stay")
    session.end(process.pid, set())
    assert all(map(lives, children))
    assert process.poll() is None
    for pid in (*children, process.pid):
        os.kill(pid, signal.SIGKILL)
    process.wait()
