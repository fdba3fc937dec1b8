"""What a fork answers first costs it no library: the template has loaded all that requests of any kind need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from server.pools.environment import of_threads
from tests.harness.tandem import ROOT, run_r

R_MODELS = r"""
folder <- commandArgs(TRUE)
put <- function(name, model) saveRDS(model, file.path(folder, paste0(name, ".rds")))
set.seed(1)
n <- 120L
d <- data.frame(
  x = rnorm(n), count = sample(9L, n, TRUE), flag = sample(c(TRUE, FALSE), n, TRUE),
  text = sample(c("p", "q"), n, TRUE),
  kind = factor(sample(c("u", "v", "w"), n, TRUE)), day = as.Date("2024-01-01") + sample(99, n, TRUE),
  time = as.POSIXct("2024-01-01", tz = "Europe/Vienna") + sample(1e6, n)
)
d$y <- d$x + d$count + rnorm(n)
put("line", lm(y ~ ., d))
put("tree", rpart::rpart(kind ~ x + count + flag, d))
put("risk", survival::coxph(survival::Surv(count, flag) ~ x + kind, d))
put("lasso", glmnet::cv.glmnet(as.matrix(d[c("x", "count")]), d$y))
put("holt", HoltWinters(co2))
put("seasons", forecast::ets(co2))
"""


def first_requests(runtime: str, folder: Path) -> tuple[int, list[dict[str, object]]]:
    """How many requests of how many kinds a fresh fork answered, and those at which it loaded something."""
    command = [
        sys.executable,
        "-m",
        "tests.server.workers.first_requests",
        runtime,
        *map(str, sorted(folder.iterdir())),
    ]
    environment = os.environ | of_threads(1)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == 0 and lines, done.stderr[-3000:]
    return lines[-1]["requests"], lines[:-1]


def test_a_fork_of_r_loads_no_package_and_imports_no_module_at_its_first_requests(tmp_path: Path) -> None:
    run_r(R_MODELS, str(tmp_path))
    requests, loading = first_requests("r", tmp_path)
    assert requests > 80 and not loading


def test_a_fork_of_python_imports_no_module_at_its_first_requests(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=90), "n": rng.integers(0, 9, 90), "text": rng.choice(["p", "q"], 90)})
    frame["flag"] = frame.x > 0
    label = np.where(frame.n > 4, "many", "few")
    encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["text"]), remainder="passthrough")
    numbers = frame[["x", "n"]].to_numpy()
    models = {
        "pipeline": make_pipeline(encode, LogisticRegression()).fit(frame, label),
        "forest": RandomForestClassifier(5, n_jobs=-1).fit(numbers, label),
        "boosted": HistGradientBoostingClassifier(max_iter=5).fit(numbers, label),
        "neighbours": KNeighborsClassifier().fit(numbers, label),
        "process": GaussianProcessClassifier().fit(numbers, label),
    }
    for name, model in models.items():
        joblib.dump(model, tmp_path / f"{name}.joblib")
    requests, loading = first_requests("python", tmp_path)
    assert requests > 80 and not loading
