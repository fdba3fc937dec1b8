"""A model of 200 MB held by 8 workers: how much memory that takes, against one plain R process that holds it."""

from __future__ import annotations

import socket
from pathlib import Path

import orjson

from benchmarks.harness import Bar, Bench, BenchmarkError, Figure, Measured
from benchmarks.plain_r import PlainR
from benchmarks.processes import pss_mib
from benchmarks.tandem import Tandem
from server.wire import frames
from server.wire.frames import FrameDecoder, FrameType, Member, ReplyCode

WORKERS = 8
PREDICTIONS, PREDICTIONS_QUICK = 50, 10
MODEL_MB = 200
ROW = {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4}
TIME_LEFT_MS = 60_000


def big_model(bench: Bench) -> Measured:
    """A randomForest on synthetic data."""
    return _shared(bench, "randomForest")


def big_ranger(bench: Bench) -> Measured:
    """A ranger on the same data; not in a quick run."""
    return Measured() if bench.quick else _shared(bench, "ranger")


def _shared(bench: Bench, package: str) -> Measured:
    folder = bench.folder(f"big_{package}")
    (folder / "r_models").mkdir(exist_ok=True)
    file = folder / "r_models" / "big.rds"
    object_mb = _train(package, file)
    predictions = bench.pick(PREDICTIONS, PREDICTIONS_QUICK)
    alone = _alone(file, package, predictions)
    with Tandem(folder, workers=WORKERS) as tandem:
        key = _key(tandem)
        tandem.wait_complete()
        for path in sorted(tandem.published()):
            _predict(path, key, predictions)
        template, workers = tandem.pss_mib("template"), tandem.pss_mib("worker")
    about = f"{package} of {object_mb:.0f} MB, {WORKERS} workers"
    return Measured(
        [
            Figure(f"{about}: PSS / one R process", [(template + workers) / alone], "x", Bar("<=", 3)),
            Figure(f"{about}: PSS of the template", [template], "MiB"),
            Figure(f"{about}: PSS of the workers together", [workers], "MiB"),
            Figure(f"{package} of {object_mb:.0f} MB: PSS of one plain R process", [alone], "MiB"),
        ]
    )


def _train(package: str, file: Path) -> float:
    """Train, save uncompressed; the object's size in MB."""
    with PlainR() as r:
        r.ask(f"source('{Path(__file__).with_suffix('.R')}'); model <- big_{package}(); NULL")
        object_mb = float(r.ask("as.numeric(object.size(model)) / 1e6"))
        r.ask(f"saveRDS(model, '{file}', compress = FALSE); NULL")
    if not 0.9 < object_mb / MODEL_MB < 1.1:
        raise BenchmarkError(f"the {package} has {object_mb:.0f} MB, not about {MODEL_MB}")
    return object_mb


def _alone(file: Path, package: str, predictions: int) -> float:
    """PSS in MiB of a plain R process that holds the model and has predicted as often."""
    with PlainR() as r:
        r.read_model(file, package)
        r.ask(f"row <- data.frame({', '.join(f'{name} = {value}' for name, value in ROW.items())}); NULL")
        r.ask(f"for (i in 1:{predictions}) predict(model, row); NULL")
        return pss_mib(r.pid)


def _key(tandem: Tandem) -> str:
    """What workers call the model: see server/catalog/files.py."""
    from server.catalog.files import R_FILES, candidates, identify

    (candidate,) = candidates(tandem.r_models, R_FILES)
    return identify(candidate).model_key


def _predict(worker: str, key: str, predictions: int) -> None:
    """Have one certain worker predict, over its own socket: which worker a web process takes is not ours to choose."""
    body = orjson.dumps({"rows": [ROW]})
    decoder = FrameDecoder(1 << 20)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIME_LEFT_MS / 1e3)
        connection.connect(worker)
        for batch in range(predictions):
            connection.sendall(frames.encode_score(batch, key, TIME_LEFT_MS, [Member(body)]))
            while not (got := decoder.feed(connection.recv(1 << 16))):
                pass
            if got[0].type is not FrameType.REPLY:
                raise BenchmarkError(f"a worker sent {got[0].type.name}")
            (result,) = frames.decode_reply(got[0].payload).results
            if result.code != ReplyCode.OK:
                raise BenchmarkError(f"the worker refused: {result.body[:500]!r}")
