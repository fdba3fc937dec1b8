"""`mlflow models serve` with a scikit-learn model from a file, in the environment that it runs in."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import joblib
import mlflow.sklearn

folder = Path("mlflow")
shutil.rmtree(folder, ignore_errors=True)
mlflow.sklearn.save_model(joblib.load(os.environ["PEER_MODEL"]), folder, pip_requirements=[])
command = ["models", "serve", "--model-uri", str(folder), "--env-manager", "local", "--host", "127.0.0.1"]
command += ["--port", os.environ["PEER_PORT"], "--workers", os.environ["PEER_WORKERS"]]
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # it asks for uvicorn
os.execv(sys.executable, [sys.executable, "-m", "mlflow", *command])
