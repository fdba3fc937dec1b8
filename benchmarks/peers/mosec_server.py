"""mosec, as its guide shows: one stage for small models; images are decoded in a stage of their own before the network.

Its Rust front end takes the settings that are not here from the command line.
"""

from __future__ import annotations

import json
import os
from typing import Any

from mosec import Server, Worker

from benchmarks.peers import scoring


class Compact(Worker):
    """Replies without the line breaks and indents that mosec writes by default."""

    def serialize(self, data: Any) -> bytes:
        return json.dumps({"predictions": [data]}).encode()


class Whole(Compact):
    """Decodes and predicts."""

    def __init__(self) -> None:
        super().__init__()
        self.scorer = scoring.scorer_of_peer()

    def forward(self, data: list[Any]) -> list[Any]:
        return self.scorer.predict([self.scorer.decode(one) for one in data])


class Decode(Worker):
    """An image file, sent as it is, to the network's input."""

    def __init__(self) -> None:
        super().__init__()
        self.pixels = scoring.Pixels(scoring.settings_of_peer()["image"])

    def deserialize(self, data: bytes) -> Any:
        return data

    def forward(self, data: bytes) -> Any:
        return self.pixels.decode_file(data)


class Network(Compact):
    def __init__(self) -> None:
        super().__init__()
        self.scorer = scoring.scorer_of_peer()

    def forward(self, data: list[Any]) -> list[Any]:
        return self.scorer.predict(data)


if __name__ == "__main__":
    batch, wait_ms = int(os.environ["PEER_BATCH"]), int(os.environ["PEER_WAIT_MS"])
    workers, decoders = int(os.environ["PEER_WORKERS"]), int(os.environ["PEER_DECODERS"])
    server = Server()
    if decoders:
        server.append_worker(Decode, num=decoders)
        server.append_worker(Network, num=workers, max_batch_size=batch, max_wait_time=wait_ms)
    else:
        server.append_worker(Whole, num=workers, max_batch_size=batch, max_wait_time=wait_ms)
    server.run()
