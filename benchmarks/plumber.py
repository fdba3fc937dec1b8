"""A plumber service with a model of ours, started and stopped."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.harness import BenchmarkError
from benchmarks.http import Connection
from benchmarks.processes import end, seconds_until
from benchmarks.tandem import free_port


class Plumber:
    """See plumber.R."""

    def __init__(self, model: Path) -> None:
        self._model = model
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/score"

    def __enter__(self) -> Self:
        script = str(Path(__file__).with_name("plumber.R"))
        self._process = subprocess.Popen(
            ["Rscript", "--vanilla", script, str(self._model), str(self.port)], stdin=subprocess.DEVNULL
        )
        seconds_until(self._listens, 30.0, every_s=0.05)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        end(self._process)

    def score(self, body: bytes) -> bytes:
        with Connection(self.port) as connection:
            reply = connection.post("/score", body)
        if reply.status != 200:
            raise BenchmarkError(f"plumber refused: {reply.body[:500]!r}")
        return reply.body

    def _listens(self) -> bool:
        if self._process.poll() is not None:
            raise BenchmarkError("plumber did not start; `make system-bench` installs it")
        try:
            with Connection(self.port):
                return True
        except OSError:
            return False
