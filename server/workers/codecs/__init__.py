"""How bodies are written. A codec turns bytes into cells and predictions into bytes; adding one is adding a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from server.wire.schema import Schema
from server.workers.predictions import Predictions


@dataclass(frozen=True, slots=True)
class Question:
    """A decoded body: cells per input, the number of rows, what it asks for, and what was ignored.

    A list in `cells` holds plain values; an array('d') holds what is known to be doubles already. `output` and
    `options` are as the body has them, unchecked; None where it has none.
    """

    cells: list[Any]
    rows: int
    output: Any = None
    options: Any = None
    warnings: tuple[str, ...] = ()


class Encoder(Protocol):
    """Writes replies from one batch's predictions."""

    def encode(self, start: int, stop: int, warnings: Sequence[str]) -> tuple[bytes, bytes]:
        """The reply body for the rows from `start` up to `stop`, and as notes the warnings that it cannot hold."""


class Codec(Protocol):
    """One body format, both ways."""

    def decode(self, body: bytes | memoryview, schema: Schema) -> Question:
        """Read one body. Raises BadBody, or Invalid with faults."""

    def encoder(self, model: str, version: str, predictions: Predictions) -> Encoder:
        """Prepare a whole batch's predictions once, to be cut into replies."""
