"""ResNet-152 on a GPU: JPEG files of about 100 kB over 64 connections, against the bare network's best batch."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from benchmarks.client_load import ClientLoad, Target, check
from benchmarks.harness import Bar, Bench, Figure, Measured, ratios, take_turns
from benchmarks.networks import Network, placed
from benchmarks.peer import LITSERVE, MOSEC, Kind, Peer, Tuning
from benchmarks.peers.scoring import Ranking
from benchmarks.tandem import Tandem
from server.machine.cgroup import granted_cores

CONNECTIONS = 64
IMAGES = 16
JPEG_BYTES = 100_000
SIDE = (500, 375)
BATCHES = (16, 32, 64, 128, 256)
TOLERANCE = 0.02
"""Of a probability: bfloat16 has eight bits."""

PRECISION = {"precision": "bf16", "channels_last": True, "max_batch": CONNECTIONS, "tolerance": TOLERANCE}
JPEG = "image/jpeg"


def resnet152_gpu(bench: Bench) -> Measured:
    """Images a second over the bare forward loop's, and over LitServe's and mosec's where they are installed."""
    import torch

    if not torch.cuda.is_available():
        return Measured(skipped="PyTorch sees no NVIDIA GPU here")
    return _measured(bench, "cuda")


def _measured(bench: Bench, device: str) -> Measured:
    folder = bench.folder("resnet152")
    files = [_jpeg(number) for number in range(IMAGES)]
    network, probabilities = _network(folder, device, files)
    library = network.called_directly()
    batch, by_batch = _best_batch(library, files, bench.pick(2.0, 0.5))
    seconds = bench.pick(8.0, 3.0)
    with ExitStack() as stack:
        load = stack.enter_context(ClientLoad())
        peers = {
            kind: _Served.start(stack, kind, how, network, files, probabilities)
            for kind, how in tunings().items()
            if kind.installed
        }
        tandem = stack.enter_context(Tandem(folder))
        path = tandem.path(network.name)
        target = Target(tandem.port, path, files, JPEG, probabilities, TOLERANCE, tandem.token)
        with tandem.connect() as connection:
            for file, wanted in zip(files, probabilities, strict=True):
                check(connection.send(connection.posting(path, file, JPEG)), wanted, TOLERANCE)
        measures: dict[str, Callable[[int, float], float]] = {"tandem": partial(load.requests_per_s, target)}
        for kind, served in peers.items():
            measures[kind.name] = served.peer.awake(partial(load.requests_per_s, served.target))
        for measure in measures.values():
            measure(CONNECTIONS, 3.0)
        found = take_turns(
            bench.pick(5, 2),
            bare=partial(images_per_s, library, files, batch, bench.pick(4.0, 1.0)),
            **{name: partial(measure, CONNECTIONS, seconds) for name, measure in measures.items()},
            alone=partial(load.median_latency_s, target, bench.pick(3.0, 1.0)),
        )
    about = "ResNet-152 in bf16, JPEG of 100 kB, 64 connections: images"
    return Measured(
        [
            Figure(f"{about} / bare forward loop's", ratios(found["tandem"], found["bare"]), "x", Bar(">=", 0.7)),
            *(Figure(f"{about} / {k.label}'s", ratios(found["tandem"], found[k.name]), "x") for k in peers),
            Figure("ResNet-152, 64 connections: images", found["tandem"], "per s"),
            Figure(f"ResNet-152, bare forward loop of {batch}: images", found["bare"], "per s"),
            *(Figure(f"ResNet-152, 64 connections: {k.label}", found[k.name], "per s") for k in peers),
            Figure("ResNet-152, one connection: median latency", [s * 1e3 for s in found["alone"]], "ms"),
        ],
        {
            "resnet152_gpu": {
                "device": torch_device(device),
                "bare_images_per_s_by_batch": by_batch,
                "jpeg_bytes": [len(file) for file in files],
                "peers": {kind.name: tunings()[kind].to_data() for kind in peers},
            }
        },
    )


def tunings() -> dict[Kind, Tuning]:
    """LitServe: up to four workers a GPU for one model; mosec: images decoded in a stage of their own.

    mosec's guide wants the wait shorter than a batch takes.
    """
    decoders = max(1, granted_cores() - 4)
    return {
        LITSERVE: Tuning(workers=4, batch=CONNECTIONS, wait_ms=10),
        MOSEC: Tuning(workers=2, batch=CONNECTIONS // 2, wait_ms=5, decoders=decoders),
    }


@dataclass(frozen=True, slots=True)
class _Served:
    """A peer that was found to answer right, and what to send to it."""

    peer: Peer
    target: Target

    @staticmethod
    def start(
        stack: ExitStack,
        kind: Kind,
        how: Tuning,
        network: Network,
        files: Sequence[bytes],
        probabilities: Sequence[Mapping[str, float]],
    ) -> _Served:
        """LitServe takes JSON only, so images go to it in base64."""
        folder = network.file.parent.parent
        peer = stack.enter_context(Peer(kind, folder, network.file, how, network.settings))
        bodies, content_type = list(files), JPEG
        if kind is LITSERVE:
            bodies = [orjson.dumps({"rows": [{"image": base64.b64encode(file).decode()}]}) for file in files]
            content_type = "application/json"
        peer.answers(bodies[:1], content_type)
        return _Served(peer, Target(peer.port, peer.path, bodies, content_type, probabilities, TOLERANCE))


def _network(folder: Path, device: str, files: Sequence[bytes]) -> tuple[Network, list[dict[str, float]]]:
    """The network in bf16 with what it says in fp32: as a golden row, and of each image."""
    exact = placed(folder, "resnet152", device).called_directly()
    rows = [exact.probabilities([exact.pixels.decode_file(file)])[0].tolist() for file in files]
    probabilities = [dict(zip(exact.labels, row, strict=True)) for row in rows]
    golden = {"row": {"image": base64.b64encode(files[0]).decode()}, "prob": probabilities[0]}
    return placed(folder, "resnet152", device, {"golden": [golden]}, **PRECISION), probabilities


def _best_batch(library: Ranking, files: Sequence[bytes], seconds: float) -> tuple[int, dict[int, float]]:
    """The batch with which the bare network is fastest, and images a second for each."""
    by_batch = {batch: images_per_s(library, files, batch, seconds) for batch in BATCHES}
    return max(by_batch, key=by_batch.__getitem__), by_batch


def images_per_s(library: Ranking, files: Sequence[bytes], batch: int, seconds: float) -> float:
    """The bare forward loop: images that are already on the device, nothing but the network."""
    import torch

    pictures = [library.pixels.decode_file(files[i % len(files)]) for i in range(batch)]
    inputs = library.to_device(pictures)

    def synchronize() -> None:
        if inputs.is_cuda:
            torch.cuda.synchronize()

    for _ in range(3):
        library.forward(inputs)
    synchronize()
    calls, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        library.forward(inputs)
        synchronize()
        calls += 1
    return calls * batch / (time.perf_counter() - started)


def torch_device(device: str) -> str:
    import torch

    return torch.cuda.get_device_name() if device == "cuda" else device


def _jpeg(number: int) -> bytes:
    """Invented: colours that change slowly under fine grain, at the quality that gives about the wanted size."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(number)
    coarse = Image.fromarray(random.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(SIDE, Image.Resampling.BICUBIC)
    grain = random.normal(0, 12, (SIDE[1], SIDE[0], 1))
    picture = Image.fromarray((np.asarray(coarse) + grain).clip(0, 255).astype(np.uint8))
    return min((_saved(picture, quality) for quality in range(60, 97, 2)), key=lambda file: abs(len(file) - JPEG_BYTES))


def _saved(picture: Any, quality: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return file.getvalue()
