"""What the contracts of other servers cost beside our own, and those servers' own figures with the same model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import tritonclient.http as triton

from benchmarks.harness import Bar, Bench, BenchmarkError, Figure, Measured, ratios, take_turns
from benchmarks.http import Connection
from benchmarks.media_types import ARROW
from benchmarks.one_row import CONNECTIONS, DIFFERENT_ROWS, prepared
from benchmarks.peer import MLFLOW, MLSERVER, VETIVER, Kind, Peer, Tuning
from benchmarks.plain_r import PlainR
from benchmarks.rows import boston, cars
from benchmarks.tandem import Tandem
from benchmarks.wrk import Load
from server.machine.cgroup import granted_cores

JSON, BINARY = "application/json", "application/octet-stream"
LENGTH = "Inference-Header-Content-Length"
MANY = 100_000
LAST_DIGITS = 1e-9
NAME = "model"


def one_row_by_dialect(bench: Bench) -> Measured:
    """The `mpg` lm over 64 connections, one row a request, by the native contract and by others, turn about."""
    folder = bench.folder("one_row_by_dialect")
    rows = cars(DIFFERENT_ROWS)
    with Tandem(folder, ["mpg"]) as tandem, PlainR() as r:
        native, answers = prepared(folder, tandem, r, "mpg", rows)
        objects = [orjson.loads(body)["rows"][0] for body in rows.one_by_one()]
        tensors = [_tensors(row) for row in objects]
        records = [orjson.dumps({"dataframe_records": [row]}) for row in objects]
        in_json, _ = zip(*(_body(one, binary=False) for one in tensors), strict=True)
        binary, length = _of_one_length([_body(one, binary=True) for one in tensors])
        infer = "/v2/models/mpg/infer"
        with_length = [f"{LENGTH}: {length}"]
        loads = {
            "native": native,
            "v2 JSON": _load(bench, "json", tandem, infer, in_json, _outputs(answers)),
            "v2 binary": _load(bench, "binary", tandem, infer, binary, _doubles(answers), with_length, BINARY),
            "MLflow records": _load(bench, "records", tandem, "/endpoints/mpg/invocations", records, _plain(answers)),
        }
        for load in loads.values():
            load.requests_per_s(CONNECTIONS, 1.0)
        seconds = bench.pick(5.0, 2.0)
        measures = {name: partial(load.requests_per_s, CONNECTIONS, seconds) for name, load in loads.items()}
        found = take_turns(bench.pick(7, 3), **measures)
    bars = {"v2 JSON": 0.85, "v2 binary": 1.0, "MLflow records": 0.85}
    about = "lm, one row, 64 connections: {} / native, requests"
    return Measured(
        [
            *(Figure(about.format(n), ratios(found[n], found["native"]), "x", Bar(">=", b)) for n, b in bars.items()),
            *(Figure(f"lm by {name}: requests", rates, "per s") for name, rates in found.items()),
        ]
    )


def rows_by_open_inference(bench: Bench) -> Measured:
    """100,000 rows of 13 numbers in one request, as binary tensors and as Arrow, turn about over one connection."""
    folder = bench.folder("rows_by_open_inference")
    (folder / "r_models").mkdir(exist_ok=True)
    with PlainR() as r:
        r.ask(f"saveRDS(lm(medv ~ ., MASS::Boston), '{folder / 'r_models' / 'medv.rds'}'); NULL")
    rows = boston(MANY)
    arrow = pa.BufferOutputStream()
    table = pa.table(rows.columns)
    with pa.ipc.new_stream(arrow, table.schema) as writer:
        writer.write_table(table)
    body, length = _body([_tensor(name, np.array(values)) for name, values in rows.columns.items()], binary=True)
    with Tandem(folder) as tandem, tandem.connect() as connection:
        infer = connection.posting("/v2/models/medv/infer", body, BINARY, [f"{LENGTH}: {length}"])
        native = connection.posting(tandem.path("medv"), arrow.getvalue().to_pybytes(), ARROW)
        _same_bits(connection, infer, native)
        found = take_turns(
            bench.pick(15, 5),
            tensors=lambda: connection.send(infer).seconds,
            arrow=lambda: connection.send(native).seconds,
        )
    times = ratios(found["tensors"], found["arrow"])
    return Measured(
        [
            Figure("100,000 rows x 13: v2 binary's time / Arrow's", times, "x", Bar("<=", 1.3)),
            Figure("100,000 rows x 13 by v2 binary", [1e3 * s for s in found["tensors"]], "ms"),
            Figure("100,000 rows x 13 as Arrow", [1e3 * s for s in found["arrow"]], "ms"),
        ]
    )


def other_servers(bench: Bench) -> Measured:
    """A linear regression of scikit-learn: each server with the bodies of its own clients, and Tandem with the same."""
    import joblib
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import LinearRegression

    folder = bench.folder("other_servers")
    data, target = load_diabetes(return_X_y=True)
    model = LinearRegression().fit(data, target)
    file = folder / "python_models" / f"{NAME}.joblib"
    file.parent.mkdir(exist_ok=True)
    joblib.dump(model, file)
    rows = data[:DIFFERENT_ROWS]
    objects = [{f"x{i}": value for i, value in enumerate(row)} for row in rows.tolist()]
    answers = [float(model.predict(row[None])[0]) for row in rows]
    tensors = [orjson.dumps({"id": "1", "inputs": [_in_json(row)]}) for row in rows.tolist()]
    bodies: dict[Kind, tuple[str, Sequence[bytes], Sequence[str], str]] = {
        MLSERVER: (f"/v2/models/{NAME}/infer", tensors, (), JSON),  # it reads no binary tensors
        MLFLOW: (
            *(f"/endpoints/{NAME}/invocations", [orjson.dumps({"dataframe_records": [row]}) for row in objects]),
            *((), JSON),
        ),
        VETIVER: (f"/endpoints/{NAME}/predict", [orjson.dumps([row]) for row in objects], (), JSON),
    }
    with ExitStack() as stack:
        tandem = stack.enter_context(Tandem(folder))
        tuning = Tuning(workers=granted_cores())
        measures: dict[str, Callable[[float], float]] = {}
        for kind, (path, sent, headers, content_type) in bodies.items():
            ours = _load(bench, f"tandem-{kind.name}", tandem, path, sent, _about(answers), headers, content_type)
            peer = stack.enter_context(Peer(kind, folder, file, tuning))
            replies = peer.answers(sent, content_type, headers)
            _prove(kind.label, replies, _about(answers))
            theirs = Load(bench.folder(kind.name), peer.url, sent, replies, content_type=content_type, headers=headers)
            measures[f"tandem {kind.name}"] = partial(ours.requests_per_s, CONNECTIONS)
            measures[kind.name] = peer.awake(partial(theirs.requests_per_s, CONNECTIONS))
        for measure in measures.values():
            measure(1.0)
        seconds = bench.pick(3.0, 1.0)
        found = take_turns(bench.pick(5, 2), **{name: partial(one, seconds) for name, one in measures.items()})
    bars = {MLSERVER: 5, MLFLOW: 10, VETIVER: 10}
    about = "linear regression, one row, 64 connections, the clients' bodies: requests / {}'s"
    figures = []
    for kind, bar in bars.items():
        tandems, peers = found[f"tandem {kind.name}"], found[kind.name]
        figures.append(Figure(about.format(kind.label), ratios(tandems, peers), "x", Bar(">=", bar)))
        figures.append(Figure(f"linear regression in the contract of {kind.label}: requests", tandems, "per s"))
        figures.append(Figure(f"linear regression: {kind.label}", peers, "per s"))
    return Measured(figures)


# Bodies, as tritonclient writes them


def _in_json(row: list[float]) -> dict[str, Any]:
    return {"name": "input-0", "shape": [1, len(row)], "datatype": "FP64", "data": row}


def _tensor(name: str, values: Any) -> Any:
    given = triton.InferInput(name, list(values.shape), "BYTES" if values.dtype == np.object_ else "FP64")
    return given, values


def _tensors(row: dict[str, Any]) -> list[Any]:
    return [
        _tensor(name, np.array([value], dtype=np.object_ if isinstance(value, str) else np.float64))
        for name, value in row.items()
    ]


def _body(tensors: Sequence[Any], binary: bool) -> tuple[bytes, int]:
    """A body and the length of its head. An id is given, as MLServer makes one for each request that has none."""
    for given, values in tensors:
        given.set_data_from_numpy(values, binary_data=binary)
    outputs = None if binary else [triton.InferRequestedOutput("response", binary_data=False)]
    inputs = [given for given, _ in tensors]
    body, length = triton.InferenceServerClient.generate_request_body(inputs, outputs=outputs, request_id="1")
    return body, length or len(body)


def _of_one_length(made: Sequence[tuple[bytes, int]]) -> tuple[list[bytes], int]:
    """Bodies whose heads have the same length, since wrk sends one header with all of them."""
    [length] = {length for _, length in made}
    return [body for body, _ in made], length


# Answers

Right = Callable[[bytes, int], bool]
"""Whether a reply is right, for the row of this number."""


def _outputs(answers: Sequence[float]) -> Right:
    return lambda body, at: orjson.loads(body)["outputs"][0]["data"] == [answers[at]]


def _doubles(answers: Sequence[float]) -> Right:
    return lambda body, at: body.endswith(np.float64(answers[at]).tobytes())


def _plain(answers: Sequence[float]) -> Right:
    return lambda body, at: orjson.loads(body)["predictions"] == [answers[at]]


def _about(answers: Sequence[float]) -> Right:
    """The answer as a server may write it: the last digits are those of the sum's order."""

    def right(body: bytes, at: int) -> bool:
        return abs(_number(body) - answers[at]) <= LAST_DIGITS * abs(answers[at])

    return right


def _number(body: bytes) -> float:
    """The one number of a reply, whichever server's: of JSON, or the double behind a head of JSON."""
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        return float(np.frombuffer(body[-8:], np.float64)[0])
    values = told["outputs"][0]["data"] if "outputs" in told else next(iter(told.values()))
    return float(values[0])


def _load(
    bench: Bench,
    name: str,
    tandem: Tandem,
    path: str,
    bodies: Sequence[bytes],
    right: Right,
    headers: Sequence[str] = (),
    content_type: str = JSON,
) -> Load:
    with tandem.connect() as connection:
        replies = [connection.send(connection.posting(path, body, content_type, headers)) for body in bodies]
    if bad := next((reply for reply in replies if reply.status != 200), None):
        raise BenchmarkError(f"Tandem refused a request: {bad.body[:500]!r}")
    found = [reply.body for reply in replies]
    _prove(f"Tandem at {path}", found, right)
    url = f"http://127.0.0.1:{tandem.port}{path}"
    return Load(bench.folder(name), url, bodies, found, tandem.token, content_type, headers=headers)


def _prove(name: str, replies: Sequence[bytes], right: Right) -> None:
    for at, reply in enumerate(replies):
        if not right(reply, at):
            raise BenchmarkError(f"{name} does not answer what the library says: {reply[:500]!r}")


def _same_bits(connection: Connection, tensors: bytes, arrow: bytes) -> None:
    infer, native = connection.send(tensors), connection.send(arrow)
    if (infer.status, native.status) != (200, 200):
        raise BenchmarkError(f"no answer: {infer.body[:300]!r} {native.body[:300]!r}")
    wanted = pa.ipc.open_stream(native.body).read_all()["prediction"].to_numpy()
    if infer.body[-wanted.nbytes :] != wanted.tobytes():
        raise BenchmarkError("tensors and Arrow do not answer alike")
