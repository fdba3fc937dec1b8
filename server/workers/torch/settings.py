"""What a sidecar says of a PyTorch model: whether it contradicts itself, or asks for what cannot be had."""

from __future__ import annotations

from server.machine import sandbox
from server.wire.models import RuntimeSettings, TorchSettings
from server.workers.errors import LoadFailed

FP32_TOLERANCE = 1e-5
"""What golden rows may differ by where the sidecar does not say it: another processor adds up in another order."""


def check(settings: RuntimeSettings) -> None:
    """Raise LoadFailed where the settings contradict themselves."""
    labels, image = settings.torch.labels, settings.image
    if labels is not None and len(set(labels)) < len(labels):
        twice = next(label for at, label in enumerate(labels) if label in labels[:at])
        raise LoadFailed("bad_sidecar", f"torch.labels has '{twice}' twice; every class needs a label of its own")
    if image is None:
        return
    for name in ("mean", "std"):
        values = getattr(image, name)
        if values is not None and len(values) != image.channels:
            raise LoadFailed("bad_sidecar", f"image.{name} needs {image.channels} numbers: the color is {image.color}")
    if image.std is not None and 0 in image.std:
        raise LoadFailed("bad_sidecar", "image.std has a zero, by which nothing can be divided")


def check_compiler(settings: TorchSettings) -> None:
    """Raise LoadFailed where a model is to be compiled.

    PyTorch starts a compiler for it, which a process in a sandbox cannot do.
    """
    if settings.compile and sandbox.locked():
        raise LoadFailed(
            "needs_compiler",
            "torch.compile starts a compiler, which the sandbox does not let a model do; leave compile out of the "
            "sidecar, or have the server run with TANDEM_SANDBOX=off",
        )


def check_inexact(settings: TorchSettings, golden_rows: int) -> None:
    """Raise LoadFailed for a setting that changes answers, unless golden rows prove them within a stated tolerance."""
    if not settings.inexact:
        return
    inexact = ", ".join(settings.inexact)
    if settings.tolerance is None:
        raise LoadFailed("no_tolerance", f"{inexact}: the answers change; state torch.tolerance, by how much they may")
    if not golden_rows:
        raise LoadFailed("no_golden", f"{inexact}: the answers change; golden rows must show that they agree")
