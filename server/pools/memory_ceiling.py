"""How much memory a worker may use beyond its models, and whether all of them together have room."""

from __future__ import annotations

import logging

from server.config import Settings
from server.machine import gpus
from server.machine.cgroup import granted_cores, granted_memory_bytes

log = logging.getLogger(__name__)

MIB = 1 << 20
GRANTED_SHARE = 0.8
"""Share of the granted memory that all workers together may use beyond their models. The rest is for the models, the
web processes and the supervisor."""
LEAST_BYTES = 256 * MIB
PROBES = 2


def ceiling_bytes(settings: Settings) -> int:
    """Bytes that one worker or probe may use beyond the memory that it shares with its template."""
    if settings.worker_memory_mb:
        return int(settings.worker_memory_mb * MIB)
    return max(LEAST_BYTES, int(GRANTED_SHARE * granted_memory_bytes()) // forks(settings))


def forks(settings: Settings) -> int:
    """How many workers and probes the settings allow at once, spares included. Pools of single models come on top."""
    cores = granted_cores()
    shared = min(settings.r_workers, cores) + min(settings.python_workers, cores)
    return 2 * shared + (gpus.count() or 1) + PROBES


def check(settings: Settings) -> None:
    """Warn where all ceilings together exceed the memory that is granted."""
    each, number, granted = ceiling_bytes(settings), forks(settings), granted_memory_bytes()
    if each * number > granted:
        reason = (
            f"{number} workers and probes may use {each // MIB} MiB each beyond their models, {each * number // MIB} "
            f"MiB together, and {granted // MIB} MiB are granted: where they do, the kernel kills. Grant more, lower "
            "TANDEM_WORKER_MEMORY_MB (256 or more), or lower TANDEM_R_WORKERS and TANDEM_PYTHON_WORKERS"
        )
        log.warning("the workers' memory together exceeds what is granted", extra={"reason": reason})
