"""How a process that runs models is started: the program, and its environment variables."""

from __future__ import annotations

import site
import sys
from collections.abc import Mapping
from pathlib import Path

from server.config import PREFIX
from server.workers import start

PRIVATE = ("PGPASSWORD", "PGPASSFILE", "NOTIFY_SOCKET", "SSH_AUTH_SOCK", "PROMETHEUS_MULTIPROC_DIR")

MEMORY_KEPT = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}
"""Environment variables that have glibc keep freed blocks. By default it gives blocks of 128 KiB back to the kernel and
takes them anew for the next request: 100,000 rows took 58 ms, and 21 ms with this (docs/adr/0007-large-bodies.md)."""


SPIN_COUNT = "1000"
"""How often an idle OpenMP thread looks for work before it sleeps. By default it looks for milliseconds, in which no
other process has its core (docs/adr/0009-torch.md)."""


class EnvironmentFailed(Exception):
    """A script's requirements cannot be installed; the text, for its author, says which."""


def of_threads(threads: int) -> dict[str, str]:
    """The environment variables of a template whose libraries may use this many threads.

    One, where it forks what it has loaded: the workers are the parallelism. joblib, where it is not told how many
    cores it has (LOKY_MAX_CPU_COUNT), starts a program to count them, which the sandbox forbids.
    """
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
    more = {"JE_ARROW_MALLOC_CONF": "background_thread:false", "GOMP_SPINCOUNT": SPIN_COUNT}
    return dict.fromkeys(names, str(threads)) | more


def for_models(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment variables that a process with models sees: no settings of ours, no ways to other services."""
    return {name: value for name, value in environment.items() if not name.startswith(PREFIX) and name not in PRIVATE}


def program(environment: Path | None) -> list[str]:
    """The command that starts a template. It is always our own interpreter, never one that an environment brings."""
    if environment is None:
        return [sys.executable, "-m", "server.workers.template"]
    own = ["--environment", str(environment), "--own", *site.getsitepackages()]
    return [sys.executable, "-I", "-S", str(Path(start.__file__).absolute()), *own]
