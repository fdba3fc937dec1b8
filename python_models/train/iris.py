"""The example `iris_logistic`: species of an iris flower, by logistic regression on scaled measurements in cm.

python python_models/train/iris.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

NAME = "iris_logistic"
SIDECAR = """\
description: Species of an iris flower, logistic regression
golden:
  - row: {sepal_length: 5.1, sepal_width: 3.5, petal_length: 1.4, petal_width: 0.2}
    class: setosa
  - row: {sepal_length: 6.3, sepal_width: 2.5, petal_length: 4.9, petal_width: 1.8}
    class: virginica
"""


def main() -> None:
    """Train, then write the sidecar before the model: no model is ever seen without it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(__file__).resolve().parent.parent)
    folder: Path = parser.parse_args().folder
    data = load_iris(as_frame=True)
    flowers = data.data.rename(columns=lambda name: name.removesuffix(" (cm)").replace(" ", "_"))
    species = data.target_names[data.target]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(flowers, species)
    (folder / f"{NAME}.yaml").write_text(SIDECAR)
    partial = folder / f".{NAME}.partial"
    joblib.dump(model, partial)
    partial.replace(folder / f"{NAME}.joblib")


if __name__ == "__main__":
    main()
