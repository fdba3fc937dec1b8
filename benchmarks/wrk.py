"""Load by wrk. No run counts whose answers are not right: a part of the connections compares every answer.

wrk is a good deal slower when it hands each response to a script, and it shares the machine with the server, so of 64
connections 60 only count and have their status looked at, and 4 send other rows in turn and compare every answer.
"""

from __future__ import annotations

import copy
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from benchmarks.harness import BenchmarkError

SCRIPT = Path(__file__).with_name("load.lua")
CHECKING = 4


@dataclass(frozen=True, slots=True)
class Found:
    """What one run of wrk found."""

    requests: int
    seconds: float
    not_ok: int
    broken: int
    checked: int
    wrong: int
    p50_us: int
    p99_us: int

    @property
    def per_s(self) -> float:
        return self.requests / self.seconds


class Load:
    """Requests to one URL: bodies, and the answer that each must get, byte for byte unless there is a tolerance.

    `tolerance` is by how much a number in an answer may be off, `headers` are more lines of each request's head.
    """

    def __init__(
        self,
        folder: Path,
        url: str,
        bodies: Sequence[bytes],
        expected: Sequence[bytes],
        token: str | None = None,
        content_type: str = "application/json",
        tolerance: float = 0.0,
        headers: Sequence[str] = (),
    ) -> None:
        self._url = url
        self._environment = os.environ | {
            "LOAD_BODIES": str(_lines(folder / "bodies", bodies)),
            "LOAD_EXPECTED": str(_lines(folder / "expected", expected)),
            "LOAD_CONTENT_TYPE": content_type,
            "LOAD_TOLERANCE": repr(tolerance),
            "LOAD_HEADERS": str(_lines(folder / "headers", [line.encode() for line in headers])),
        }
        if token is not None:
            self._environment["LOAD_TOKEN"] = token

    def at(self, url: str) -> Load:
        """The same load at another address."""
        other = copy.copy(self)
        other._url = url
        return other

    def by(self, folder: Path, credentials: Sequence[str]) -> Load:
        """The same load by other callers: each is a header's line. Where there are several they take turns."""
        other = copy.copy(self)
        other._environment = {name: value for name, value in self._environment.items() if name != "LOAD_TOKEN"}
        lines = [line.encode() for line in credentials]
        other._environment["LOAD_CREDENTIALS"] = str(_lines(folder / "credentials", lines))
        return other

    def requests_per_s(self, connections: int, seconds: float) -> float:
        """Answers a second over all connections. Raises BenchmarkError if one of them is not right."""
        plain = self._start(connections - CHECKING, 1, seconds, check=False)
        checking = self._start(CHECKING, CHECKING, seconds, check=True)
        return sum(found.per_s for found in (_found(plain), _found(checking)))

    def alone_per_s(self, seconds: float) -> float:
        """Answers a second over one connection, every one compared."""
        return _found(self._start(1, 1, seconds, check=True)).per_s

    def median_latency_s(self, seconds: float) -> float:
        """Over one connection, every answer compared (after its time was taken)."""
        return _found(self._start(1, 1, seconds, check=True)).p50_us / 1e6

    def _start(self, connections: int, threads: int, seconds: float, check: bool) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [
                *("wrk", "-t", str(threads), "-c", str(connections), "-d", f"{seconds:g}s"),
                *("-s", str(SCRIPT), self._url),
            ],
            env=self._environment | {"LOAD_CHECK": "1" if check else "0"},
            stdout=subprocess.PIPE,
        )


def _lines(path: Path, lines: Sequence[bytes]) -> Path:
    path.write_text("".join(line.hex() + "\n" for line in lines))
    return path


def _found(process: subprocess.Popen[bytes]) -> Found:
    output, _ = process.communicate()
    if process.returncode:
        raise BenchmarkError(f"wrk failed: {output.decode()}")
    found = Found(**orjson.loads(output.splitlines()[-1]))
    if found.not_ok or found.broken or found.wrong or not found.requests:
        raise BenchmarkError(f"wrk met answers that are not right: {found}")
    return found
