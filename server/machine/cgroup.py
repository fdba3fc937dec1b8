"""What this process may use of the machine: cores and memory, by its cgroup where it is in one."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def granted_cores() -> int:
    """Cores this process may use: its CPU affinity, and the cgroup's quota where there is one (v2 or v1)."""
    cores = len(os.sched_getaffinity(0))
    quota = _quota_v2() or _quota_v1()
    return max(1, min(cores, int(quota))) if quota else cores


def _quota_v2() -> float | None:
    try:
        quota, period = (_CGROUP / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def _quota_v1() -> float | None:
    folder = _CGROUP / "cpu"
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        return quota / int((folder / "cpu.cfs_period_us").read_text()) if quota > 0 else None
    except (OSError, ValueError):
        return None


def granted_memory_bytes() -> int:
    """Memory this process may use: the cgroup's limit where there is one (v2 or v1), else what the machine has."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = (_number(_CGROUP / name) for name in ("memory.max", "memory/memory.limit_in_bytes"))
    return min([machine, *(limit for limit in limits if limit)])


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # a group without a limit says "max"
        return None


def used_memory_bytes() -> int:
    """Memory in use that cannot be given back, of what is granted: what the kubelet calls the working set."""
    used = _number(_CGROUP / "memory.current") or _number(_CGROUP / "memory/memory.usage_in_bytes")
    if used is not None:
        named = _named_numbers(_CGROUP / "memory.stat") or _named_numbers(_CGROUP / "memory/memory.stat")
        return max(0, used - named.get("total_inactive_file", named.get("inactive_file", 0)))
    machine = _named_numbers(Path("/proc/meminfo"))
    return 1024 * (machine["MemTotal:"] - machine["MemAvailable:"])


def _named_numbers(path: Path) -> dict[str, int]:
    try:
        return {line.split()[0]: int(line.split()[1]) for line in path.read_text().splitlines()}
    except OSError:
        return {}
