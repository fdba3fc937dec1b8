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
    more: tuple[str, ...] = ()
    """Further outputs that the body asks for, each a prediction of its own."""
    wanted: Any = None
    """How the reply shall be, where the body says so; for the encoder of the same codec."""


class Encoder(Protocol):
    """Writes replies from one batch's predictions."""

    def encode(self, start: int, stop: int, warnings: Sequence[str], wanted: Any = None) -> tuple[bytes, bytes]:
        """The reply body for the rows from `start` up to `stop`, and as notes what it cannot hold.

        `wanted` is what the question says of its reply.
        """


class Codec(Protocol):
    """One way to write bodies, in and out."""

    takes_query: bool
    """Whether a request's parameters are the query of its address, which may name an output and options."""

    def decode(self, body: bytes | memoryview, schema: Schema, parameters: bytes = b"") -> Question:
        """Read one body. Raises BadBody, or Invalid with faults."""

    def encoder(
        self, model: str, version: str, predictions: Predictions, schema: Schema | None = None, output: str = ""
    ) -> Encoder:
        """Prepare a whole batch's predictions of one output once, to be cut into replies."""


class JoiningCodec(Codec, Protocol):
    """A codec whose questions may ask for more than one output."""

    def joined(self, replies: Sequence[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
        """The replies for several outputs, body and notes of each, as one."""
