"""How a request becomes an answer, alike in every peer; also what is asked for "the library called directly"."""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol


class Scorer(Protocol):
    """A loaded model. A batch has as many answers as inputs."""

    def decode(self, request: Any) -> Any:
        """One request's parsed JSON as the model's input."""

    def predict(self, batch: Sequence[Any]) -> list[Any]:
        """Answers as plain JSON data."""


class Probabilities:
    """A scikit-learn classifier in a joblib file; an answer is a probability for each class."""

    def __init__(self, path: Path) -> None:
        import joblib

        self._model = joblib.load(path)

    def decode(self, request: Any) -> list[float]:
        return list(request["rows"][0].values())

    def predict(self, batch: Sequence[list[float]]) -> list[Any]:
        import numpy as np

        return list(self._model.predict_proba(np.array(batch)).tolist())


class Pixels:
    """Image files to float32 arrays of channels, height and width, by a sidecar's `image`."""

    def __init__(self, image: Mapping[str, Any]) -> None:
        self._image = image

    def decode_file(self, data: bytes) -> Any:
        import numpy as np
        from PIL import Image

        picture = Image.open(io.BytesIO(data)).convert("L" if self._image["color"] == "gray" else "RGB")
        pixels = np.asarray(_cropped(_resized(picture, self._image["resize"]), self._image["crop"]), np.float32)
        pixels = pixels.reshape(*pixels.shape[:2], -1).transpose(2, 0, 1) * np.float32(self._image["scale"])
        if self._image["mean"]:
            pixels = pixels - np.array(self._image["mean"], np.float32)[:, None, None]
        if self._image["std"]:
            pixels = pixels / np.array(self._image["std"], np.float32)[:, None, None]
        return np.ascontiguousarray(pixels)


class Ranking:
    """An exported network for images; an answer is the most probable labels with their probabilities.

    `settings` are a sidecar's `image` and `torch`, the device and the number of threads.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        import torch
        from torch.export.passes import move_to_device_pass

        torch.set_num_threads(settings["threads"])
        how = settings["torch"]
        self.pixels = Pixels(settings["image"])
        self.labels = how["labels"]
        self._top_k = min(how["top_k"], len(self.labels))
        self._softmax = how["activation"] == "softmax"
        self._to: dict[str, Any] = {
            "device": settings["device"],
            "dtype": {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[how["precision"]],
            "memory_format": torch.channels_last if how["channels_last"] else torch.preserve_format,
        }
        program = move_to_device_pass(torch.export.load(path), settings["device"])
        network: Any = program.module()
        self._network = network.to(**self._to)

    def decode(self, request: Any) -> Any:
        (row,) = request["rows"]
        (file,) = row.values()
        return self.pixels.decode_file(base64.b64decode(file))

    def predict(self, batch: Sequence[Any]) -> list[Any]:
        best = self.probabilities(batch).topk(self._top_k)
        rows = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        return [[{"label": self.labels[i], "probability": p} for i, p in zip(*row, strict=True)] for row in rows]

    def probabilities(self, batch: Sequence[Any]) -> Any:
        """A tensor of images by labels."""
        values = self.forward(self.to_device(batch)).float()
        return values.softmax(1) if self._softmax else values

    def to_device(self, batch: Sequence[Any]) -> Any:
        """A batch as one tensor where the network is."""
        import numpy as np
        import torch

        return torch.from_numpy(np.stack(list(batch))).to(**self._to)

    def forward(self, inputs: Any) -> Any:
        """The bare network."""
        import torch

        with torch.inference_mode():
            return self._network(inputs)


def _resized(picture: Any, size: Any) -> Any:
    """By the shorter side, or to a height and a width."""
    from PIL.Image import Resampling

    if size is None:
        return picture
    width, height = picture.size
    if isinstance(size, int):
        short = min(width, height)
        return picture.resize((width * size // short, height * size // short), Resampling.BILINEAR)
    return picture.resize((size[1], size[0]), Resampling.BILINEAR)


def _cropped(picture: Any, size: Any) -> Any:
    """Out of the middle."""
    if size is None:
        return picture
    height, width = (size, size) if isinstance(size, int) else size
    left, top = round((picture.width - width) / 2), round((picture.height - height) / 2)
    return picture.crop((left, top, left + width, top + height))


def settings_of_peer() -> Any:
    return json.loads(os.environ["PEER_SETTINGS"])


def scorer_of_peer() -> Scorer:
    """The model that a peer was told to serve."""
    path = Path(os.environ["PEER_MODEL"])
    return Probabilities(path) if path.suffix == ".joblib" else Ranking(path, settings_of_peer())
