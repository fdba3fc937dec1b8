"""What was measured on: the machine, the commit, the versions of everything that matters for the figures."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.harness import ROOT
from server.config import granted_cores

R_FACTS = "cat(R.version.string, extSoftVersion()[['BLAS']], as.character(packageVersion('plumber')), sep = '\\n')"


def machine() -> dict[str, object]:
    """CPU model, granted cores, memory, kernel."""
    return {
        "cpu": _first("/proc/cpuinfo", "model name"),
        "cores": granted_cores(),
        "memory_gib": round(int(_first("/proc/meminfo", "MemTotal").split()[0]) / 2**20, 1),
        "kernel": platform.release(),
        "load_at_start": os.getloadavg()[0],
    }


def commit() -> dict[str, object]:
    """The commit, and whether the tree had changes beside results."""
    changes = _output("git", "status", "--porcelain", "--", ".", ":!benchmarks/results")
    return {"commit": _output("git", "rev-parse", "--short=12", "HEAD"), "dirty": bool(changes)}


def versions() -> dict[str, str]:
    """Python, R and its BLAS, plumber, rpy2, wrk."""
    r, blas, plumber = _output("Rscript", "--vanilla", "-e", R_FACTS).splitlines()
    return {
        "python": platform.python_version(),
        "r": r,
        "blas": str(Path(blas).resolve()),
        "plumber": plumber,
        "rpy2": version("rpy2"),
        "rpy2-rinterface": version("rpy2-rinterface"),
        "uvicorn": version("uvicorn"),
        "uvloop": version("uvloop"),
        "wrk": _output("wrk", "--version").splitlines()[0],
    }


def _first(path: str, key: str) -> str:
    lines = Path(path).read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "unknown")


def _output(*command: str) -> str:
    """What a command printed; its exit code does not matter (wrk's is 1 for --version)."""
    done: Sequence[str] = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
    return "\n".join(done).strip()
