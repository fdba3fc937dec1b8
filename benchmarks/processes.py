"""Processes: starting and stopping our own, and what /proc says of a server's."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from benchmarks.harness import BenchmarkError

POLL_EVERY_S = 0.002
MIB = 2**20

Kind = Literal["template", "worker", "web", "other"]


def seconds_until(check: Callable[[], bool], timeout_s: float, every_s: float = POLL_EVERY_S) -> float:
    """Poll until `check` is true; how long that took. Raises BenchmarkError after `timeout_s`."""
    started = time.monotonic()
    while not check():
        if time.monotonic() - started > timeout_s:
            raise BenchmarkError(f"not within {timeout_s:g} s: {getattr(check, '__qualname__', check)}")
        time.sleep(every_s)
    return time.monotonic() - started


def end(process: subprocess.Popen[bytes], timeout_s: float = 60.0) -> None:
    """SIGTERM, and SIGKILL where that is not enough."""
    process.terminate()
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def pss_mib(pid: int) -> float:
    """Memory with shared pages counted by share."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def cpu_s(pid: int) -> float:
    """Processor time that a process has used, its own and the kernel's for it."""
    times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")


def below(pid: int) -> dict[int, Kind]:
    """All processes that descend from one, by what they are in a Tandem."""
    found: dict[int, Kind] = {}
    for child in _children(pid):
        found[child] = _kind(child, pid)
        found |= below(child)
    return found


def _children(pid: int) -> list[int]:
    children: list[int] = []
    with suppress(OSError):  # it has just ended
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            children += map(int, task.read_text().split())
    return children


def _kind(pid: int, parent: int) -> Kind:
    command, above = _command(pid), _command(parent)
    if _is_template(command):
        return "worker" if _is_template(above) else "template"
    return "web" if b"gunicorn" in command and b"gunicorn" in above else "other"


def _is_template(command: bytes) -> bool:
    """Its forks are called as it is. One on an environment of a model's own is started by a file."""
    return b"server.workers.template" in command or b"server/workers/start.py" in command


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
