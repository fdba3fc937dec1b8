"""100,000 rows in one request as Arrow, JSON and CSV: how much of the time is in predict(), and what each costs."""

from __future__ import annotations

from statistics import median

import orjson
import pyarrow as pa
import pyarrow.csv

from benchmarks.harness import Bar, Bench, BenchmarkError, Figure, Measured
from benchmarks.http import Connection, Reply
from benchmarks.plain_r import PlainR
from benchmarks.rows import boston
from benchmarks.tandem import Tandem

ROWS = 100_000
ARROW, JSON, CSV = "application/vnd.apache.arrow.stream", "application/json", "text/csv"


def media_types(bench: Bench) -> Measured:
    """An lm of 13 numeric columns over one connection; the media types take turns."""
    folder = bench.folder("media_types")
    (folder / "r_models").mkdir(exist_ok=True)
    with PlainR() as r:
        r.ask(f"saveRDS(lm(medv ~ ., MASS::Boston), '{folder / 'r_models' / 'medv.rds'}'); NULL")
    with Tandem(folder) as tandem, tandem.connect() as connection:
        bodies = _bodies()
        path = tandem.path("medv")
        requests = {kind: connection.posting(path, body, kind) for kind, body in bodies.items()}
        _alike(connection, requests)
        replies: dict[str, list[Reply]] = {kind: [] for kind in requests}
        for _ in range(bench.pick(15, 5)):
            for kind, request in requests.items():
                replies[kind].append(connection.send(request))
    return Measured(_figures(replies), {"media_types": {k: [r.seconds for r in v] for k, v in replies.items()}})


def _bodies() -> dict[str, bytes]:
    body = boston(ROWS).as_columns()
    table = pa.table(orjson.loads(body)["columns"])
    arrow, csv = pa.BufferOutputStream(), pa.BufferOutputStream()
    with pa.ipc.new_stream(arrow, table.schema) as writer:
        writer.write_table(table)
    pa.csv.write_csv(table, csv)
    return {ARROW: arrow.getvalue().to_pybytes(), JSON: body, CSV: csv.getvalue().to_pybytes()}


def _alike(connection: Connection, requests: dict[str, bytes]) -> None:
    """All three must answer the same bits, or there is nothing to compare."""
    replies = {kind: connection.send(request) for kind, request in requests.items()}
    if any(reply.status != 200 for reply in replies.values()):
        raise BenchmarkError(f"no answer: {[reply.body[:300] for reply in replies.values()]}")
    right = orjson.loads(replies[JSON].body)["predictions"]
    arrow = pa.ipc.open_stream(replies[ARROW].body).read_all()["prediction"].to_pylist()
    csv = [float(line) for line in replies[CSV].body.decode().splitlines()[1:]]
    if not right == arrow == csv:
        raise BenchmarkError("the media types do not answer alike")


def _figures(replies: dict[str, list[Reply]]) -> list[Figure]:
    seconds = {kind: [r.seconds for r in found] for kind, found in replies.items()}
    arrow = replies[ARROW]
    of_server = [r.times_s["predict"] / sum(r.times_s.values()) for r in arrow]
    of_worker = [r.times_s["predict"] / (sum(r.times_s.values()) - r.times_s["queue"]) for r in arrow]
    of_all = [r.times_s["predict"] / r.seconds for r in arrow]
    dearer = [j / a for j, a in zip(seconds[JSON], seconds[ARROW], strict=True)]
    share = "100,000 rows as Arrow: share of the {} time in predict()"
    figures = [
        Figure(share.format("server's"), of_server, "", Bar(">=", 0.5)),
        Figure(share.format("worker's"), of_worker, ""),
        Figure(share.format("caller's"), of_all, ""),
        Figure("100,000 rows: JSON's time / Arrow's", dearer, "x", Bar("<=", 4)),
    ]
    for name, kind in (("Arrow", ARROW), ("JSON", JSON), ("CSV", CSV)):
        figures.append(Figure(f"100,000 rows as {name}: one request", [1e3 * median(seconds[kind])], "ms"))
    return figures
