"""scikit-learn, one row a request over 64 connections: against other servers, and against a bare Python loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import orjson

from benchmarks.answers import peer_load, tandem_load
from benchmarks.harness import Bar, Bench, Figure, Measured, ratios, take_turns
from benchmarks.peer import AZUREML, LITSERVE, MOSEC, Kind, Peer, Tuning
from benchmarks.tandem import Tandem
from server.machine.cgroup import granted_cores

CONNECTIONS = 64
DIFFERENT_ROWS = 60
LAST_DIGITS = 1e-12
"""Peers that join requests do not answer to the last bit what the model says of a row alone."""

TREES = 100


def tunings() -> dict[Kind, Tuning]:
    """As each one's documentation advises: a worker a core, requests joined where the server can.

    How many, and how long the first waits for others, is what was best of some tries at 64 connections.
    """
    cores = granted_cores()
    return {
        LITSERVE: Tuning(workers=cores, batch=CONNECTIONS, wait_ms=1),
        AZUREML: Tuning(workers=cores),
        MOSEC: Tuning(workers=cores, batch=CONNECTIONS // 2, wait_ms=1),
    }


def logistic_iris(bench: Bench) -> Measured:
    """A logistic regression's probabilities, against the peers with the same file and the same bodies."""
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    folder = bench.folder("logistic_iris")
    model = LogisticRegression(max_iter=1000).fit(*load_iris(return_X_y=True))
    file = _save(folder, "iris", model)
    rows = _rows(load_iris().data, decimals=1)
    bodies, answers = _bodies(rows), _probabilities(model, rows)
    plain = [list(answer.values()) for answer in answers]
    with ExitStack() as stack:
        peers = {kind: stack.enter_context(Peer(kind, folder, file, how)) for kind, how in tunings().items()}
        loads = {
            kind: peer_load(bench.folder(f"load_{kind.name}"), peer, bodies, plain, LAST_DIGITS)
            for kind, peer in peers.items()
        }
        tandem = stack.enter_context(Tandem(folder))
        load = tandem_load(folder, tandem, "iris", bodies, answers)
        measures = {"tandem": load.requests_per_s} | {
            kind.name: peers[kind].awake(loads[kind].requests_per_s) for kind in peers
        }
        for measure in measures.values():
            measure(CONNECTIONS, 1.0)
        seconds = bench.pick(3.0, 1.0)
        found = take_turns(
            bench.pick(5, 2), **{name: partial(measure, CONNECTIONS, seconds) for name, measure in measures.items()}
        )
    about = "logistic regression, one row, 64 connections: requests / {}'s"
    bars = {LITSERVE: Bar(">=", 5), AZUREML: Bar(">=", 5), MOSEC: None}
    return Measured(
        [
            *(Figure(about.format(k.label), ratios(found["tandem"], found[k.name]), "x", bars[k]) for k in peers),
            Figure("logistic regression: requests", found["tandem"], "per s"),
            *(Figure(f"logistic regression: {k.label}", found[k.name], "per s") for k in peers),
        ],
        {"logistic_iris": {k.name: how.to_data() for k, how in tunings().items()}},
    )


def python_forest(bench: Bench) -> Measured:
    """A random forest's probabilities, against a loop over `predict_proba(one row)` in one process."""
    from sklearn.datasets import load_wine
    from sklearn.ensemble import RandomForestClassifier

    folder = bench.folder("python_forest")
    model = RandomForestClassifier(TREES, random_state=1, n_jobs=1).fit(*load_wine(return_X_y=True))
    _save(folder, "wine", model)
    rows = _rows(load_wine().data, decimals=2)
    with Tandem(folder) as tandem:
        load = tandem_load(folder, tandem, "wine", _bodies(rows), _probabilities(model, rows))
        load.requests_per_s(CONNECTIONS, 1.0)
        found = take_turns(
            bench.pick(5, 3),
            tandem=lambda: load.requests_per_s(CONNECTIONS, bench.pick(3.0, 1.0)),
            bare=lambda: calls_per_s(lambda: model.predict_proba(rows[:1]), bench.pick(2.0, 1.0)),
        )
    about = f"random forest of {TREES} trees, one row, 64 connections: requests / bare predict_proba() calls"
    return Measured(
        [
            Figure(about, ratios(found["tandem"], found["bare"]), "x", Bar(">=", 10)),
            Figure("random forest: requests", found["tandem"], "per s"),
            Figure("random forest: bare loop", found["bare"], "per s"),
        ]
    )


def calls_per_s(call: Callable[[], object], seconds: float) -> float:
    """How often a second one thread can do it."""
    calls, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < seconds:
        call()
        calls += 1
    return calls / spent


def _save(folder: Path, name: str, model: Any) -> Path:
    import joblib

    file = folder / "python_models" / f"{name}.joblib"
    file.parent.mkdir(exist_ok=True)
    joblib.dump(model, file)
    return file


def _rows(data: Any, decimals: int) -> Any:
    """Invented rows within the data's range."""
    import numpy as np

    random = Random(1)
    low, high = data.min(0), data.max(0)
    shares = [[random.random() for _ in low] for _ in range(DIFFERENT_ROWS)]
    return (low + np.array(shares) * (high - low)).round(decimals)


def _bodies(rows: Any) -> list[bytes]:
    """The columns of a model that was fitted on an array are x0, x1 and so on."""
    named = [{f"x{i}": value for i, value in enumerate(row)} for row in rows.tolist()]
    return [orjson.dumps({"rows": [row], "output": "prob"}) for row in named]


def _probabilities(model: Any, rows: Any) -> Sequence[dict[str, float]]:
    """What the library says of each row alone."""
    labels = [str(label) for label in model.classes_.tolist()]
    return [dict(zip(labels, model.predict_proba(row[None])[0].tolist(), strict=True)) for row in rows]
