"""Shared by the scripts that make PyTorch examples: model and sidecar, written so that a watcher sees both whole."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
import yaml
from PIL import Image

MODELS = Path(__file__).resolve().parent.parent
MAX_ROWS = 4096


def save(model: torch.nn.Module, row: tuple[int, ...], name: str, sidecar: dict[str, Any], folder: Path) -> None:
    """Export for any number of rows of the shape `row`. The sidecar comes first: no model is ever seen without it."""
    rows = torch.export.Dim("rows", max=MAX_ROWS)
    program = torch.export.export(model.eval(), (torch.zeros(2, *row),), dynamic_shapes=({0: rows},))
    text = yaml.safe_dump(sidecar, sort_keys=False, allow_unicode=True, width=120)
    _renamed_into(folder / f"{name}.yaml", lambda file: file.write_text(text))
    _renamed_into(folder / f"{name}.pt2", lambda file: torch.export.save(program, file))


def _renamed_into(path: Path, write: Callable[[Path], Any]) -> None:
    temporary = path.with_name(f".{path.stem}-{os.getpid()}{path.suffix}")
    try:
        write(temporary)
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)


def png(image: Image.Image) -> str:
    """An image as a row of JSON has it."""
    file = BytesIO()
    image.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()
