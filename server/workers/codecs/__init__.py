"""How bodies are written. A codec turns bytes into cells and predictions into bytes; adding one is adding a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from server.wire.frames import MediaType
from server.workers.predictions import Predictions
from server.workers.schema import Schema


class BadBody(Exception):
    """A body is not written in the way its media type says. The caller is at fault; the text is for the caller."""


@dataclass(frozen=True, slots=True)
class Question:
    """A decoded body: cells per input, the output asked for, the number of rows, and what was ignored."""

    cells: list[Any]
    """Per input a list of cells, or an array('d') where they are known to be doubles already."""
    output: str
    rows: int
    warnings: tuple[str, ...] = ()


class Codec(Protocol):
    """One media type, both ways."""

    def decode(self, body: bytes, schema: Schema) -> Question:
        """Read one body. Raises BadBody, or `table.Invalid` with faults."""

    def encoder(self, model: str, version: str, predictions: Predictions) -> Encoder:
        """Prepare a whole batch's predictions once, to be cut into replies."""


class Encoder(Protocol):
    """Writes replies from one batch's predictions."""

    def encode(self, start: int, stop: int, warnings: Sequence[str]) -> bytes:
        """The reply body for the rows from `start` up to `stop`."""


def codec(media_type: int) -> Codec:
    """The codec for a media type as it came over the wire. Raises BadBody for one this worker does not have."""
    from server.workers.codecs.json import JSON

    if media_type == MediaType.JSON:
        return JSON
    raise BadBody("this media type is not supported")
