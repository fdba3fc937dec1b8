"""MLServer with a scikit-learn model from a file, as its documentation starts it: a folder with two JSON files."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from mlserver.cli import main

if __name__ == "__main__":  # its workers are processes that read this file too
    folder = Path("mlserver")
    folder.mkdir(exist_ok=True)
    port = int(os.environ["PEER_PORT"])
    settings = {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": 0,
        "metrics_endpoint": None,
        "parallel_workers": int(os.environ["PEER_WORKERS"]),
    }
    model = {
        "name": "model",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": os.environ["PEER_MODEL"]},
        "max_batch_size": int(os.environ["PEER_BATCH"]),
        "max_batch_time": float(os.environ["PEER_WAIT_MS"]) / 1000,
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    sys.argv = ["mlserver", "start", str(folder)]
    main()
