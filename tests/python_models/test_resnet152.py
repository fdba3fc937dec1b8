"""The architecture of the example resnet152 is torchvision's, name for name, so that published checkpoints load."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from tests.harness.tandem import ROOT

TRAIN = ROOT / "python_models" / "train"


@pytest.fixture(scope="module")
def resnet() -> Iterator[ModuleType]:
    sys.path.insert(0, str(TRAIN))
    spec = importlib.util.spec_from_file_location("resnet152", TRAIN / "resnet152.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(TRAIN))


@pytest.fixture(scope="module")
def state(resnet: ModuleType) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        return dict(resnet.ResNet152().state_dict())


def expected_shapes() -> dict[str, tuple[int, ...]]:
    """What torchvision's resnet152 has, from its definition: Bottleneck blocks, 3, 8, 36 and 3 of them."""
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (64, 3, 7, 7)}

    def norm(name: str, channels: int) -> None:
        shapes.update({f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")})
        shapes[f"{name}.num_batches_tracked"] = ()

    norm("bn1", 64)
    channels_in = 64
    for layer, (blocks, channels) in enumerate(((3, 64), (8, 128), (36, 256), (3, 512)), 1):
        for block in range(blocks):
            name = f"layer{layer}.{block}"
            sizes = ((channels, channels_in, 1, 1), (channels, channels, 3, 3), (4 * channels, channels, 1, 1))
            for number, size in enumerate(sizes, 1):
                shapes[f"{name}.conv{number}.weight"] = size
                norm(f"{name}.bn{number}", size[0])
            if block == 0:
                shapes[f"{name}.downsample.0.weight"] = (4 * channels, channels_in, 1, 1)
                norm(f"{name}.downsample.1", 4 * channels)
            channels_in = 4 * channels
    return shapes | {"fc.weight": (1000, 2048), "fc.bias": (1000,)}


def test_names_and_shapes_are_torchvisions(state: dict[str, torch.Tensor]) -> None:
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == expected_shapes()
    assert len(state) == 932
    assert {"layer3.35.bn3.running_var", "layer4.2.conv3.weight"} <= state.keys()


def test_it_has_60_192_808_parameters(state: dict[str, torch.Tensor]) -> None:
    counted = re.compile(r"(weight|bias)$")
    assert sum(tensor.numel() for name, tensor in state.items() if counted.search(name)) == 60_192_808


def test_a_checkpoint_loads(resnet: ModuleType, state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    weights = {name: torch.full(t.shape, 0.5).to(t.dtype) for name, t in state.items()}
    torch.save(weights, tmp_path / "checkpoint.pth")
    model = resnet.with_weights(tmp_path / "checkpoint.pth")
    assert torch.equal(model.state_dict()["layer3.35.bn3.running_var"], weights["layer3.35.bn3.running_var"])


def test_labels_that_are_there_twice_get_a_number(resnet: ModuleType) -> None:
    assert resnet.unique(["crane", "toad", "crane"]) == ["crane", "toad", "crane (2)"]
