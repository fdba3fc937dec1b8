"""Whether a server answers what the library says, before it is measured; and load that must get the same again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from benchmarks.harness import BenchmarkError
from benchmarks.peer import Peer
from benchmarks.tandem import Tandem
from benchmarks.wrk import Load

JSON = "application/json"


def alike(got: Any, wanted: Any, tolerance: float) -> bool:
    """The same JSON data, but for numbers that differ by no more than `tolerance`."""
    if isinstance(wanted, float):
        return isinstance(got, int | float) and abs(got - wanted) <= tolerance
    if isinstance(wanted, list) and isinstance(got, list):
        return len(got) == len(wanted) and all(alike(g, w, tolerance) for g, w in zip(got, wanted, strict=True))
    if isinstance(wanted, dict) and isinstance(got, dict):
        return got.keys() == wanted.keys() and all(alike(got[k], wanted[k], tolerance) for k in wanted)
    return bool(got == wanted)


def prove(name: str, replies: Sequence[bytes], answers: Sequence[Any], tolerance: float) -> None:
    """Raises BenchmarkError for the first reply that is not the library's answer."""
    for reply, answer in zip(replies, answers, strict=True):
        if not alike(orjson.loads(reply)["predictions"], [answer], tolerance):
            raise BenchmarkError(f"{name} answers {reply[:500]!r}, the library {answer}")


def tandem_replies(tandem: Tandem, model: str, bodies: Sequence[bytes], content_type: str = JSON) -> list[bytes]:
    with tandem.connect() as connection:
        path = tandem.path(model)
        replies = [connection.send(connection.posting(path, body, content_type)) for body in bodies]
    if bad := next((reply for reply in replies if reply.status != 200), None):
        raise BenchmarkError(f"Tandem refused a request: {bad.body[:500]!r}")
    return [reply.body for reply in replies]


def tandem_load(
    folder: Path,
    tandem: Tandem,
    model: str,
    bodies: Sequence[bytes],
    answers: Sequence[Any],
    tolerance: float = 0.0,
    content_type: str = JSON,
) -> Load:
    """Load on a model whose answers were found to be the library's: to the last bit without a tolerance."""
    replies = tandem_replies(tandem, model, bodies, content_type)
    prove("Tandem", replies, answers, tolerance)
    return Load(folder, tandem.url(model), bodies, replies, tandem.token, content_type, tolerance)


def peer_load(folder: Path, peer: Peer, bodies: Sequence[bytes], answers: Sequence[Any], tolerance: float) -> Load:
    """The same for a peer, which is halted until it is measured."""
    replies = peer.answers(bodies)
    prove(peer.name, replies, answers, tolerance)
    return Load(folder, peer.url, bodies, replies, tolerance=tolerance)
