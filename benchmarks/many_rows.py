"""1 to 100,000 rows a request: rows a second, and how much of the time is not spent in predict()."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from statistics import median

import orjson

from benchmarks.harness import Bar, Bench, BenchmarkError, Figure, Measured
from benchmarks.http import Connection, Reply
from benchmarks.plain_r import PlainR
from benchmarks.rows import Rows, boston
from benchmarks.tandem import Tandem

SIZES = (1, 10, 100, 1_000, 10_000, 100_000)
PARTS = ("queue", "decode", "predict", "encode")
NOISE = 0.95
"""A step of the curve that keeps this share of the rows a second does not bend down."""


def rows_per_request(bench: Bench) -> Measured:
    """An lm of 13 numeric columns over one connection, as JSON columns and as JSON rows, and predict() in plain R."""
    folder = bench.folder("rows_per_request")
    with PlainR() as r:
        model = folder / "medv.rds"
        r.ask(f"model <- lm(medv ~ ., MASS::Boston); saveRDS(model, '{model}'); NULL")
        (folder / "r_models").mkdir(exist_ok=True)
        model.rename(folder / "r_models" / model.name)
        with Tandem(folder) as tandem, tandem.connect() as connection:
            curves = _Curves(bench, folder, r, connection, tandem.path("medv"))
            for size in SIZES:
                curves.measure(boston(size))
    return Measured([*curves.figures(), *curves.steps()], {"rows_per_request": curves.raw})


class _Curves:
    """Rows a second by size, for each form of body and for plain R."""

    def __init__(self, bench: Bench, folder: Path, r: PlainR, connection: Connection, path: str) -> None:
        self._rounds = bench.pick(5, 2)
        self._seconds = bench.pick(0.5, 0.25)
        self._folder = folder
        self._r = r
        self._connection = connection
        self._path = path
        self.raw: dict[str, dict[int, dict[str, list[float]]]] = {"columns": {}, "rows": {}, "plain R": {}}

    def measure(self, rows: Rows) -> None:
        self._r.read_rows(rows, self._folder)
        answers = self._r.answers(self._folder)
        requests = {
            "columns": self._connection.posting(self._path, rows.as_columns()),
            "rows": self._connection.posting(self._path, rows.as_rows()),
        }
        right = {form: self._right(request, answers) for form, request in requests.items()}
        for _ in range(self._rounds):
            for form, request in requests.items():
                self._note(form, len(rows), self._ask(request, right[form], len(rows)))
            bare = float(self._r.ask(f"rows_per_s(model, rows, {self._seconds})"))
            self._note("plain R", len(rows), {"rows_per_s": bare})

    def figures(self) -> list[Figure]:
        """Rows a second, and the median share of the time outside predict(), for each size and form."""
        figures = []
        for size in SIZES:
            for form in ("columns", "rows"):
                found = self.raw[form][size]
                about = f"{size:,} rows as {form}: "
                figures.append(Figure(about + "rows", found["rows_per_s"], "per s"))
                figures.append(Figure(about + "time outside predict()", found["outside_percent"], "%"))
            figures.append(Figure(f"{size:,} rows in plain R", self.raw["plain R"][size]["rows_per_s"], "per s"))
        return figures

    def steps(self) -> list[Figure]:
        """For each form the step of the curve that gains least, which is below 1 where it bends down."""
        figures = []
        for form in ("columns", "rows"):
            medians = [median(self.raw[form][size]["rows_per_s"]) for size in SIZES]
            least = min(after / before for before, after in pairwise(medians))
            figures.append(Figure(f"1 to 100,000 rows as {form}: least gain of a step", [least], "x", Bar(">=", NOISE)))
        return figures

    def _right(self, request: bytes, answers: list[float]) -> bytes:
        reply = self._connection.send(request)
        if reply.status != 200 or orjson.loads(reply.body)["predictions"] != answers:
            raise BenchmarkError(f"wrong answer for {len(answers)} rows: {reply.body[:500]!r}")
        return reply.body

    def _ask(self, request: bytes, right: bytes, rows: int) -> dict[str, float]:
        replies: list[Reply] = []
        until = time.monotonic() + self._seconds
        while not replies or time.monotonic() < until:
            replies.append(self._connection.send(request))
        if any(reply.body != right for reply in replies):
            raise BenchmarkError(f"an answer for {rows} rows is not that of the first time")
        wall = sum(reply.seconds for reply in replies)
        spent = {
            part: sum(r.times_s[part] for r in replies) / wall for part in ("queue", "decode", "predict", "encode")
        }
        shares = {f"{part}_percent": 100 * share for part, share in spent.items()}
        return shares | {"rows_per_s": rows * len(replies) / wall, "outside_percent": 100 * (1 - spent["predict"])}

    def _note(self, form: str, rows: int, found: dict[str, float]) -> None:
        kept = self.raw[form].setdefault(rows, {})
        for name, value in found.items():
            kept.setdefault(name, []).append(value)
