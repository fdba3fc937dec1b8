"""vetiver's own server with a scikit-learn model from a file; its processes are uvicorn's."""

from __future__ import annotations

import os

import joblib
import pandas as pd
import uvicorn
from vetiver import VetiverAPI, VetiverModel

model = joblib.load(os.environ["PEER_MODEL"])
columns = [f"x{i}" for i in range(model.n_features_in_)]
served = VetiverModel(model, "model", prototype_data=pd.DataFrame([[0.5] * len(columns)], columns=columns))
app = VetiverAPI(served, check_prototype=True).app

if __name__ == "__main__":
    workers = int(os.environ["PEER_WORKERS"])
    port = int(os.environ["PEER_PORT"])
    uvicorn.run(
        "benchmarks.peers.vetiver_server:app", port=port, workers=workers, log_level="warning", access_log=False
    )
