"""PyTorch on the CPU: small images, one a request, against LitServe with the same exported network."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import orjson

from benchmarks.answers import peer_load, tandem_load
from benchmarks.harness import Bar, Bench, Figure, Measured, ratios, take_turns
from benchmarks.networks import placed
from benchmarks.peer import LITSERVE, Peer
from benchmarks.peers.scoring import Ranking
from benchmarks.python_models import CONNECTIONS, DIFFERENT_ROWS, tunings
from benchmarks.tandem import Tandem

TOLERANCE = 1e-5
"""By how much a probability may be off: sums are added up in another order when images are computed together."""


def digits_torch(bench: Bench) -> Measured:
    """The `digits` network on the CPU, PNG files of 8 by 8 pixels in JSON for both, and as they are."""
    folder = bench.folder("digits_torch")
    network = placed(folder, "digits", "cpu", tolerance=TOLERANCE)
    files = _digits(DIFFERENT_ROWS)
    answers = _answers(network.called_directly(), files)
    bodies = [orjson.dumps({"rows": [{"image": base64.b64encode(file).decode()}]}) for file in files]
    with ExitStack() as stack:
        peer = stack.enter_context(Peer(LITSERVE, folder, network.file, tunings()[LITSERVE], network.settings))
        litserve = peer_load(bench.folder("load_litserve"), peer, bodies, answers, TOLERANCE)
        tandem = stack.enter_context(Tandem(folder))
        load = tandem_load(folder, tandem, network.name, bodies, answers, TOLERANCE)
        raw = tandem_load(bench.folder("load_png"), tandem, network.name, files, answers, TOLERANCE, "image/png")
        seconds = bench.pick(3.0, 1.0)
        many: dict[str, Callable[[int, float], float]] = {
            "tandem": load.requests_per_s,
            "litserve": peer.awake(litserve.requests_per_s),
            "png": raw.requests_per_s,
        }
        for measure in many.values():
            measure(CONNECTIONS, 1.0)
        found = take_turns(
            bench.pick(5, 2),
            **{name: partial(measure, CONNECTIONS, seconds) for name, measure in many.items()},
            tandem_alone=partial(load.alone_per_s, bench.pick(2.0, 1.0)),
            litserve_alone=partial(peer.awake(litserve.alone_per_s), bench.pick(2.0, 1.0)),
        )
    over, over_alone = (ratios(found["tandem" + n], found["litserve" + n]) for n in ("", "_alone"))
    return Measured(
        [
            Figure("digits on the CPU, 64 connections: requests / LitServe's", over, "x", Bar(">=", 2)),
            Figure("digits on the CPU, one connection: requests / LitServe's", over_alone, "x"),
            Figure("digits, 64 connections: requests", found["tandem"], "per s"),
            Figure("digits, 64 connections: requests as image/png", found["png"], "per s"),
            Figure("digits, 64 connections: LitServe", found["litserve"], "per s"),
            Figure("digits, one connection: requests", found["tandem_alone"], "per s"),
            Figure("digits, one connection: LitServe", found["litserve_alone"], "per s"),
        ],
        {"digits_torch": tunings()[LITSERVE].to_data()},
    )


def _digits(count: int) -> list[bytes]:
    """The first of scikit-learn's handwritten digits as gray PNG files, from 0 (paper) to 255."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    files = []
    for picture in load_digits().images[:count]:
        file = io.BytesIO()
        Image.fromarray((picture * 255 / 16).round().astype(np.uint8)).save(file, "PNG")
        files.append(file.getvalue())
    return files


def _answers(library: Ranking, files: Sequence[bytes]) -> list[Any]:
    """What the network says of each image alone, called directly."""
    return [library.predict([library.pixels.decode_file(file)])[0] for file in files]
