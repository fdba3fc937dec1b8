"""A plain R process that is kept, so that rounds can take turns without paying for R's start."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.harness import ROOT, BenchmarkError
from benchmarks.rows import Rows


class PlainR:
    """See plain.R."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            ["Rscript", "--vanilla", str(Path(__file__).with_name("plain.R"))],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        with self._process:  # closes its pipes
            self._process.kill()

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, expression: str) -> str:
        """Evaluate one line of R; its value as R formats it."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(expression.encode() + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise BenchmarkError(f"plain R failed on: {expression}")
        return answer.decode().strip()

    def read_model(self, path: Path, package: str = "stats") -> None:
        self.ask(f"suppressMessages(library('{package}')); model <- readRDS('{path}'); NULL")

    def read_rows(self, rows: Rows, folder: Path) -> None:
        """The rows as a data frame called `rows`."""
        path = folder / "rows"
        path.write_bytes(rows.doubles())
        names = ", ".join(f"'{name}'" for name in rows.columns)
        factors = "".join(f"rows${name} <- factor(rows${name}); " for name in rows.factors)
        self.ask(f"rows <- columns_of('{path}', c({names})); {factors}NULL")

    def answers(self, folder: Path) -> list[float]:
        """What `predict(model, rows)` says, to the last bit."""
        path = folder / "answers"
        self.ask(f"write_answers(model, rows, '{path}'); NULL")
        return Rows.from_doubles(path.read_bytes())

    def calls_per_s(self, seconds: float) -> Callable[[], float]:
        """A measurement: one-row predictions a second."""
        self.ask("row <- rows[1, , drop = FALSE]; NULL")
        return lambda: float(self.ask(f"calls_per_s(model, row, {seconds})"))
