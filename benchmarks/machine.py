"""What was measured on: the machine, the commit, the versions of everything that matters for the figures."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.harness import ROOT
from benchmarks.peer import KINDS
from server.machine.cgroup import granted_cores

R_FACTS = "cat(R.version.string, extSoftVersion()[['BLAS']], as.character(packageVersion('plumber')), sep = '\\n')"

PACKAGES = ("rpy2", "rpy2-rinterface", "uvicorn", "uvloop", "numpy", "scikit-learn", "torch", "pillow")


def machine() -> dict[str, object]:
    """CPU model, granted cores, memory, kernel; GPUs with their driver, nothing where there is none."""
    return {
        "cpu": _first("/proc/cpuinfo", "model name"),
        "cores": granted_cores(),
        "memory_gib": round(int(_first("/proc/meminfo", "MemTotal").split()[0]) / 2**20, 1),
        "kernel": platform.release(),
        "gpu": _output("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"),
        "load_at_start": os.getloadavg()[0],
    }


def commit() -> dict[str, object]:
    """The commit, and whether the tree had changes beside results."""
    changes = _output("git", "status", "--porcelain", "--", ".", ":!benchmarks/results")
    return {"commit": _output("git", "rev-parse", "--short=12", "HEAD"), "dirty": bool(changes)}


def versions() -> dict[str, str]:
    """Python, R and its BLAS, what runs in Tandem, the peers, wrk; nothing for what is not there."""
    r, blas, plumber, *_ = [*_output("Rscript", "--vanilla", "-e", R_FACTS).splitlines(), "", "", ""]
    return {
        "python": platform.python_version(),
        "r": r,
        "blas": str(Path(blas).resolve()) if blas else "",
        "plumber": plumber,
        **{name: _version(name) for name in PACKAGES},
        **{kind.name: kind.version or "" for kind in KINDS},
        "wrk": _output("wrk", "--version").partition("\n")[0],
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _first(path: str, key: str) -> str:
    lines = Path(path).read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "unknown")


def _output(*command: str) -> str:
    """What a command printed; its exit code does not matter (wrk's is 1 for --version). Nothing without the command."""
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        return ""
