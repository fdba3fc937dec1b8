"""Folders as MLflow 3 saves models in, written by hand: MLflow is large, and its format is documented."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

BESIDE = ("conda.yaml", "python_env.yaml", "input_example.json", "serving_input_example.json", "registered_model_meta")

Columns = Mapping[str, str | tuple[str, bool]]
"""The columns of a signature: their type, or that and whether they are required."""


def signature_of(columns: Columns) -> list[dict[str, Any]]:
    """A signature's inputs as MLflow writes them."""
    told = {name: one if isinstance(one, tuple) else (one, True) for name, one in columns.items()}
    return [{"type": kind, "name": name, "required": required} for name, (kind, required) in told.items()]


def save(
    folder: Path,
    flavor: str,
    about: Mapping[str, Any],
    columns: Columns | Sequence[Mapping[str, Any]] = (),
    requirements: str = "mlflow==3.17.2\n",
    example: Mapping[str, Any] | None = None,
    params: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """The folder with all that MLflow writes but the model's own file; its MLmodel."""
    folder.mkdir(parents=True, exist_ok=True)
    inputs = signature_of(columns) if isinstance(columns, Mapping) else list(columns)
    flavors: dict[str, Any] = {"python_function": {"loader_module": f"mlflow.{flavor}", "python_version": "3.11.7"}}
    flavors[flavor] = dict(about) if flavor in flavors else {"code": None, **about}
    said: dict[str, Any] = {"flavors": flavors, "mlflow_version": "3.17.2", "model_uuid": "ef76d8c2"}
    if inputs:
        told = json.dumps(list(params)) if params else None
        said["signature"] = {"inputs": json.dumps(inputs), "outputs": '[{"type": "double"}]', "params": told}
    for name in BESIDE:
        (folder / name).write_text("{}\n")
    if example is not None:
        said["saved_input_example_info"] = {"artifact_path": "input_example.json", "type": "dataframe"}
        written = {"columns": [*example], "data": [[*example.values()], [*example.values()]]}
        (folder / "input_example.json").write_text(json.dumps(written))
    (folder / "metadata").mkdir(exist_ok=True)
    (folder / "metadata" / "MLmodel").write_text("{}\n")
    (folder / "requirements.txt").write_text(requirements)
    (folder / "MLmodel").write_text(json.dumps(said))  # which is YAML too
    return folder / "MLmodel"
