"""What the tests of the registry make versions of, also in processes of their own.

As a program: `registering.py STORE MODEL WHAT FIRST COUNT` registers versions, `registering.py STORE MODEL move SEEN N`
moves the alias; what came of it is printed, a line each.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

from mlops.objects import Objects
from mlops.registry.errors import RegistryError
from mlops.registry.record import File, Record, Version
from mlops.registry.registry import CHAMPION, Registry

ROOT = Path(__file__).resolve().parents[2]


def register(registry: Registry, model: str, content: bytes, run: str | None = None) -> tuple[Version, bool]:
    """Register a version of one file with this content, by no sidecar."""
    file = File("model.rds", hashlib.sha256(content).hexdigest(), len(content))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.rds"
        path.write_bytes(content)
        return registry.register(Record(model, (file,), "r", run=run), {"model.rds": path})


def started(store: object, *arguments: object) -> subprocess.Popen[str]:
    """One process that does what the arguments of `main` say."""
    command = [sys.executable, "-m", "tests.mlops.registering", str(store), *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def said(processes: list[subprocess.Popen[str]]) -> list[str]:
    """What all of them have printed, once they have ended well."""
    lines = [line for process in processes for line in process.communicate(timeout=120)[0].splitlines()]
    assert all(process.returncode == 0 for process in processes)
    return lines


def main(store: str, model: str, what: str, first: int, count: int) -> None:
    """What one of many processes does."""
    registry = Registry(Objects(store))
    for number in range(first, first + count):
        try:
            if what == "move":
                said: object = registry.move(model, CHAMPION, number, seen=first).revision
            else:
                content = b"the same" if what == "same" else f"content {number}".encode()
                version, new = register(registry, model, content, run=f"run {number}" if what == "runs" else None)
                said = f"{version.number} {new}"
        except RegistryError as e:
            said = e.code
        sys.stdout.write(f"{said}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:6]))
