"""What a sidecar says of a PyTorch model, as it comes in `ModelSpec.settings`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.machine import sandbox
from server.workers.errors import LoadFailed

FP32_TOLERANCE = 1e-5
"""What golden rows may differ by where the sidecar does not say: another processor adds up in another order."""


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """How an image becomes the model's input; sizes are [height, width] in pixels, or one number."""

    resize: int | Sequence[int] | None
    crop: int | Sequence[int] | None
    color: str
    scale: float
    mean: Sequence[float] | None
    std: Sequence[float] | None
    max_pixels: int

    @property
    def channels(self) -> int:
        """Three for red, green and blue."""
        return 1 if self.color == "gray" else 3


@dataclass(frozen=True, slots=True)
class TorchSettings:
    """How the model is run. The sidecar's own description of each is in `server.catalog.sidecar`."""

    activation: str
    labels: Sequence[str] | None
    top_k: int
    precision: str
    channels_last: bool
    compile: bool
    cuda_graphs: bool
    max_batch: int
    pad: float | None
    tolerance: float | None

    @property
    def inexact(self) -> list[str]:
        """The options in force that change answers in their last digits, or more."""
        found = [f"precision {self.precision}"] if self.precision != "fp32" else []
        return found + [name for name in ("channels_last", "compile", "cuda_graphs") if getattr(self, name)]


def read(settings: Mapping[str, Any]) -> tuple[ImageSettings | None, TorchSettings]:
    """Both parts. Raises LoadFailed where they contradict themselves."""
    torch_settings = TorchSettings(**settings["torch"])
    labels = torch_settings.labels
    if labels is not None and len(set(labels)) < len(labels):
        twice = next(label for at, label in enumerate(labels) if label in labels[:at])
        raise LoadFailed("bad_sidecar", f"torch.labels has '{twice}' twice; every class needs a label of its own")
    if settings.get("image") is None:
        return None, torch_settings
    image = ImageSettings(**settings["image"])
    for name in ("mean", "std"):
        values = getattr(image, name)
        if values is not None and len(values) != image.channels:
            raise LoadFailed("bad_sidecar", f"image.{name} needs {image.channels} numbers: the color is {image.color}")
    if image.std is not None and 0 in image.std:
        raise LoadFailed("bad_sidecar", "image.std has a zero, by which nothing can be divided")
    return image, torch_settings


def check_compiler(settings: TorchSettings) -> None:
    """PyTorch compiles by starting a compiler, which nobody can do who is locked up."""
    if settings.compile and sandbox.locked():
        raise LoadFailed(
            "needs_compiler",
            "torch.compile starts a compiler, which the sandbox does not let a model do; leave compile out of the "
            "sidecar, or have the server run with TANDEM_SANDBOX=off",
        )


def check_inexact(settings: TorchSettings, golden_rows: int) -> None:
    """What changes answers must be proven by golden rows, within a tolerance that somebody stated."""
    if not settings.inexact:
        return
    told = ", ".join(settings.inexact)
    if settings.tolerance is None:
        raise LoadFailed("no_tolerance", f"{told}: the answers change; state torch.tolerance, by how much they may")
    if not golden_rows:
        raise LoadFailed("no_golden", f"{told}: the answers change; golden rows must show that they agree")
