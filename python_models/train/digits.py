"""Trains the example model `digits`: a small convolutional network that reads handwritten digits, 8 x 8 pixels of gray.

    python python_models/train/digits.py

Takes some seconds on one core, prints the share of held-out images that it reads right, and writes digits.pt2 and
digits.yaml. The images are scikit-learn's (1,797 of them, pixels from 0 to 16); a PNG of them has pixels from 0 to 255.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy as np
import torch
from export import MODELS, png, save
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

SEED = 1
EPOCHS = 25
ROWS_A_STEP = 64
GOLDEN = 5
LABELS = [str(digit) for digit in range(10)]


class Digits(nn.Module):
    """Two convolutions and two linear layers: (rows, 1, 8, 8) of numbers from 0 to 1 to (rows, 10) logits."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(64 * 16, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the ten digits."""
        logits: Tensor = self.layers(images)
        return logits


def bytes_of(images: np.ndarray) -> np.ndarray:
    """Pixels from 0 to 16 as a PNG has them, from 0 to 255."""
    return np.rint(images * (255 / 16)).astype(np.uint8)


def trained(images: Tensor, digits: Tensor) -> Digits:
    """A network that was trained on `images`; the same one every time."""
    torch.set_num_threads(1)  # more only get in each other's way, and change the last digits
    torch.manual_seed(SEED)
    model = Digits()
    steps = math.ceil(len(images) / ROWS_A_STEP)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=5e-3, total_steps=EPOCHS * steps)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(images)).split(ROWS_A_STEP):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[rows]), digits[rows], label_smoothing=0.05).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def main() -> None:
    """Train, measure, export."""
    parser = argparse.ArgumentParser(description="Train the example model digits.")
    parser.add_argument("--folder", type=Path, default=MODELS, help="where to write (default: python_models)")
    folder = parser.parse_args().folder
    pixels, digits = load_digits(return_X_y=True)
    parts = train_test_split(
        bytes_of(pixels).reshape(-1, 8, 8), digits, test_size=0.25, random_state=SEED, stratify=digits
    )
    images = [torch.from_numpy(part / np.float32(255)).float()[:, None] for part in parts[:2]]
    model = trained(images[0], torch.from_numpy(parts[2]))
    with torch.inference_mode():
        probabilities = model(images[1]).softmax(1)
    right = (probabilities.argmax(1).numpy() == parts[3]).mean()
    sys.stdout.write(f"{right:.2%} of {len(parts[3])} held-out images read right, trained on {len(parts[2])}\n")
    golden = [
        {
            "row": {"image": png(Image.fromarray(parts[1][k]))},
            "class": LABELS[int(probabilities[k].argmax())],
            "prob": dict(zip(LABELS, probabilities[k].tolist(), strict=True)),
        }
        for k in range(GOLDEN)
    ]
    sidecar = {
        "description": f"Reads handwritten digits, 8 x 8 pixels, white on black; {right:.1%} of held-out images right.",
        "image": {"resize": [8, 8], "color": "gray"},
        "torch": {"activation": "softmax", "labels": LABELS, "top_k": 3},
        "golden": golden,
    }
    save(model, (1, 8, 8), "digits", sidecar, folder)


if __name__ == "__main__":
    main()
