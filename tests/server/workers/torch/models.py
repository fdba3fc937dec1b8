"""Small PyTorch models, the files they are saved in, and what a template would be told of these."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from server.catalog import sidecar
from server.catalog.files import ModelFile
from server.config import Settings
from server.pools.probing import model_spec
from server.wire.models import Description, ModelSpec
from server.workers.torch.model import TorchModel

Served = tuple[TorchModel, Description]


class Net(nn.Module):
    """A small convolutional network for images of 8 x 8 pixels and 3 classes."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(512, 3)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def seeded(model: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(7)
    return model().eval()


def export(path: Path, model: nn.Module, *arguments: torch.Tensor, dynamic: Any = "rows") -> Path:
    """Save as .pt2; the first dimension of every argument is any number of rows, unless `dynamic` says otherwise."""
    shapes = tuple({0: torch.export.Dim("rows")} for _ in arguments) if dynamic == "rows" else dynamic
    torch.export.save(torch.export.export(model, arguments, dynamic_shapes=shapes), path)
    return path


def spec_of(path: Path, side: str = "", description: Description | None = None) -> ModelSpec:
    """What a template would be told of this file with this sidecar."""
    file = ModelFile("torch", path.stem, "v1", path.stem, path, path.with_suffix(".yaml"), 0, 0.0, False)
    return model_spec(file, sidecar.parse(side.encode()), Settings(), description)
