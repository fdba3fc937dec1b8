"""Makes the example model `resnet152`: ResNet-152 (He et al., 2015) for images of 224 x 224 pixels and 1,000 classes.

    python python_models/train/resnet152.py --weights resnet152.pth --labels imagenet_classes.txt

The architecture is written here in plain PyTorch, with the names that torchvision gives its parameters, so that a
checkpoint published for torchvision's resnet152 loads as it is. Without `--weights` the network is seeded and
untrained: its answers mean nothing, only loading and speed are real, and its description says so. `--labels` is a
text file with one label a line, in the order of the classes.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from export import MODELS, png, save
from PIL import Image
from torch import Tensor, nn

SEED = 1
CLASSES = 1000
BLOCKS = (3, 8, 36, 3)
EXPANSION = 4
MEAN = [0.485, 0.456, 0.406]
STD = [0.229, 0.224, 0.225]
RESIZE, CROP = 256, 224
TOLERANCE = 1e-4


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions around a shortcut; the 3 x 3 has the stride (torchvision's ResNet v1.5)."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        out = channels * EXPANSION
        self.conv1 = nn.Conv2d(channels_in, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels_in != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels_in, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        """The block's features."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        features: Tensor = self.relu(self.bn3(self.conv3(x)) + shortcut)
        return features


class ResNet152(nn.Module):
    """(rows, 3, height, width) to (rows, 1000) logits."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        channels_in = 64
        for number, blocks in enumerate(BLOCKS, 1):
            channels = 64 << (number - 1)
            layer = nn.Sequential()
            for block in range(blocks):
                layer.append(Bottleneck(channels_in, channels, 2 if number > 1 and block == 0 else 1))
                channels_in = channels * EXPANSION
            self.add_module(f"layer{number}", layer)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels_in, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the classes."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for number in range(1, len(BLOCKS) + 1):
            x = self.get_submodule(f"layer{number}")(x)
        logits: Tensor = self.fc(torch.flatten(self.avgpool(x), 1))
        return logits


def untrained() -> ResNet152:
    """A seeded network, initialised as torchvision does; the last normalisation of a block starts small."""
    torch.manual_seed(SEED)
    model = ResNet152()
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif name.endswith("bn3"):
            nn.init.constant_(module.weight, 0.2)  # at 1, 50 untrained blocks would overflow half precision
    return model


def with_weights(path: Path) -> ResNet152:
    """The network with a published checkpoint: a state_dict, bare or under the key `state_dict`."""
    model = ResNet152()
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(state.get("state_dict", state))
    return model


def unique(labels: list[str]) -> list[str]:
    """Labels that are there twice (ImageNet has two cranes) get a number."""
    seen: Counter[str] = Counter()
    told = []
    for label in labels:
        seen[label] += 1
        told.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return told


def test_image() -> Image.Image:
    """A picture of our own: colours that change from corner to corner."""
    side = torch.linspace(0, 255, CROP).to(torch.uint8)
    planes = [
        side[:, None].expand(CROP, CROP),
        side[None, :].expand(CROP, CROP),
        side.flip(0)[None, :].expand(CROP, CROP),
    ]
    return Image.fromarray(torch.stack(planes, 2).contiguous().numpy())


def golden(model: ResNet152, labels: list[str], image: Image.Image) -> list[dict[str, Any]]:
    """What PyTorch itself answers for a picture."""
    resized = image.resize((RESIZE, RESIZE), Image.Resampling.BILINEAR)
    margin = (RESIZE - CROP) // 2
    cropped = resized.crop((margin, margin, margin + CROP, margin + CROP))
    pixels = torch.tensor(bytearray(cropped.tobytes()), dtype=torch.uint8).view(1, CROP, CROP, 3).permute(0, 3, 1, 2)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    with torch.inference_mode():
        best, codes = model((pixels / 255 - mean) / std)[0].softmax(0).topk(5)
    top = [{"label": labels[c], "probability": p} for c, p in zip(codes.tolist(), best.tolist(), strict=True)]
    return [{"row": {"image": png(image)}, "top": top}]


def main() -> None:
    """Build, load, export."""
    parser = argparse.ArgumentParser(description="Make the example model resnet152.")
    parser.add_argument("--weights", type=Path, help="a checkpoint of torchvision's resnet152 (default: untrained)")
    parser.add_argument("--labels", type=Path, help="1,000 labels, one a line (default: class_0000 and so on)")
    parser.add_argument("--folder", type=Path, default=MODELS, help="where to write (default: python_models)")
    given = parser.parse_args()
    labels = [f"class_{number:04}" for number in range(CLASSES)]
    if given.labels is not None:
        labels = unique([line.strip() for line in given.labels.read_text().splitlines() if line.strip()])
        if len(labels) != CLASSES:
            parser.error(f"{given.labels} has {len(labels)} labels, not {CLASSES}")
    model = (untrained() if given.weights is None else with_weights(given.weights)).eval()
    about = "UNTRAINED: its answers mean nothing, it shows loading and speed." if given.weights is None else "ImageNet."
    sidecar = {
        "description": f"ResNet-152, images of any size to 1,000 classes. {about}",
        "image": {"resize": RESIZE, "crop": CROP, "mean": MEAN, "std": STD},
        "torch": {"activation": "softmax", "labels": labels, "top_k": 5, "tolerance": TOLERANCE},
        "golden": golden(model, labels, test_image()),
    }
    save(model, (3, CROP, CROP), "resnet152", sidecar, given.folder)
    parameters = sum(p.numel() for p in model.parameters())
    source = "untrained" if given.weights is None else given.weights.name
    sys.stdout.write(f"resnet152: {parameters:,} parameters, {source}\n")


if __name__ == "__main__":
    main()
