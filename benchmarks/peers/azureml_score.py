"""The entry script of azureml-inference-server-http."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.peers import scoring

scorer: scoring.Scorer


def init() -> None:
    global scorer
    scorer = scoring.scorer_of_peer()


def run(raw_data: str) -> Any:
    return {"predictions": scorer.predict([scorer.decode(json.loads(raw_data))])}
